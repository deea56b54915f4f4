//! Capacity: what resources use of nodes.

use crate::options::Strategy;
use crate::score::INF;
use crate::world::{NodeIx, RscIx, World};
use std::cmp::Ordering;

impl World<'_> {
    /// Compares free capacity: the node with more comes first.
    pub(super) fn compare_capacity(&self, a: NodeIx, b: NodeIx) -> Ordering {
        let (ua, ub) = (&self.nodes[a].utilization, &self.nodes[b].utilization);
        let mut result = 0;
        for (name, have) in ua {
            let other = ub.get(name).copied().unwrap_or(0);
            result += match have.cmp(&other) {
                Ordering::Greater => -1,
                Ordering::Less => 1,
                Ordering::Equal => 0,
            };
        }
        for (name, have) in ub {
            if !ua.contains_key(name) {
                result += match 0.cmp(have) {
                    Ordering::Greater => -1,
                    Ordering::Less => 1,
                    Ordering::Equal => 0,
                };
            }
        }
        result.cmp(&0)
    }

    pub(super) fn consume(&mut self, n: NodeIx, r: RscIx) {
        for (name, amount) in &self.rscs[r].utilization {
            if let Some(have) = self.nodes[n].utilization.get_mut(name) {
                *have -= amount;
            }
        }
    }

    pub(super) fn release(&mut self, n: NodeIx, r: RscIx) {
        for (name, amount) in &self.rscs[r].utilization {
            if let Some(have) = self.nodes[n].utilization.get_mut(name) {
                *have += amount;
            }
        }
    }

    /// Resources that are hard to place come first.
    pub(super) fn sort_for_utilization(&mut self) {
        let mut ranked: Vec<NodeIx> = (0..self.nodes.len()).collect();
        ranked.sort_by(|&a, &b| self.nodes_by_capacity(a, b));
        let mut keyed: Vec<(RscIx, Vec<Option<i32>>)> = Vec::new();
        for r in self.top.clone() {
            let mut work = None;
            let how = super::coloc::Merge {
                this_with: true,
                ..Default::default()
            };
            self.merge_scores(r, r, &mut work, None, 1.0, how);
            let cells = work.unwrap_or_else(|| self.rscs[r].allowed.clone());
            let scores = ranked
                .iter()
                .map(|&n| cells[n].allowed.then_some(cells[n].score))
                .collect();
            keyed.push((r, scores));
        }
        // Priority first, then how well each likes where it runs now, then any node.
        let rank = |(r, scores): &(RscIx, Vec<Option<i32>>)| {
            let here = self.current_node(*r);
            let place = here.and_then(|n| ranked.iter().position(|&m| m == n));
            let liked = place.and_then(|p| scores[p]).unwrap_or(-INF);
            let all: Vec<i64> = scores
                .iter()
                .map(|s| -i64::from(s.unwrap_or(-INF)))
                .collect();
            (-i64::from(self.rscs[*r].priority), -i64::from(liked), all)
        };
        keyed.sort_by_cached_key(rank);
        self.top = keyed.into_iter().map(|(r, _)| r).collect();
    }

    fn nodes_by_capacity(&self, a: NodeIx, b: NodeIx) -> Ordering {
        let weight = |n: NodeIx| {
            if self.node_available(n, 0, crate::world::GuestCheck::Nodes) {
                0
            } else {
                -INF
            }
        };
        weight(b)
            .cmp(&weight(a))
            .then_with(|| {
                if self.opts.strategy == Strategy::Balanced {
                    self.compare_capacity(a, b)
                } else {
                    Ordering::Equal
                }
            })
            .then_with(|| self.by_name(a, b))
    }

    /// Forbids nodes that are too small for all that has to go together, or, where each is, for the resource.
    pub(super) fn ban_where_too_small(&mut self, r: RscIx) {
        if self.opts.strategy == Strategy::Default {
            return;
        }
        let group = self.colocated_unassigned(r);
        let mut need: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
        for &x in &group {
            for (k, v) in &self.rscs[x].utilization {
                *need.entry(k.clone()).or_default() += v;
            }
        }
        let fits = |world: &Self, n: NodeIx, need: &std::collections::BTreeMap<String, i64>| {
            need.iter().all(|(k, v)| {
                world.nodes[n]
                    .utilization
                    .get(k)
                    .is_some_and(|have| have >= v)
                    || *v <= 0
            })
        };
        if group.len() > 1 {
            let able = (0..self.nodes.len()).any(|n| {
                let cell = self.rscs[r].allowed[n];
                let up = self.node_available(n, cell.score, crate::world::GuestCheck::Nodes);
                cell.allowed && up && fits(self, n, &need)
            });
            if able {
                for n in 0..self.nodes.len() {
                    if !fits(self, n, &need) {
                        self.rscs[r].allowed[n].score = -INF;
                    }
                }
                return;
            }
        }
        let own: std::collections::BTreeMap<String, i64> = self.rscs[r].utilization.clone();
        for n in 0..self.nodes.len() {
            if !fits(self, n, &own) {
                self.rscs[r].allowed[n].score = -INF;
            }
        }
    }

    /// Everything that has to go to the same node and has none yet.
    fn colocated_unassigned(&self, r: RscIx) -> Vec<RscIx> {
        let mut out = vec![r];
        let mut at = 0;
        while at < out.len() {
            let x = out[at];
            at += 1;
            let add = |y: RscIx, out: &mut Vec<RscIx>| {
                let mut leaves = Vec::new();
                if self.is_group(y) || self.is_primitive(y) {
                    self.leaves(y, &mut leaves);
                }
                for l in leaves {
                    if !out.contains(&l) && self.rscs[l].unassigned {
                        out.push(l);
                    }
                }
            };
            for c in self.colocations_of(x) {
                if self.colocations[c].score >= INF {
                    add(self.colocations[c].primary, &mut out);
                }
            }
            for c in self.colocations_with(x) {
                if self.colocations[c].score >= INF {
                    add(self.colocations[c].dependent, &mut out);
                }
            }
        }
        out
    }
}
