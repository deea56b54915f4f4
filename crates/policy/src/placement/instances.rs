//! Distributing instances of a clone (or replicas of a bundle) over nodes.

use super::IfNone;
use super::coloc::Merge;
use crate::ledger::Cause;
use crate::score::{INF, Score};
use crate::world::{Cell, GuestCheck, NodeIx, RscIx, World};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How much the present nodes of instances are liked by what goes with them.
pub(super) struct Liking(BTreeMap<RscIx, Score>);

impl Liking {
    fn of(&self, i: RscIx) -> Score {
        self.0.get(&i).copied().unwrap_or(0)
    }
}

impl World<'_> {
    /// The clone or bundle whose nodes limit an instance's.
    fn limits(&self, r: RscIx) -> RscIx {
        self.rscs[r].parent.unwrap_or(r)
    }

    fn top_cell(&self, r: RscIx, n: NodeIx) -> Option<Cell> {
        let top = self.limits(r);
        let cell = self.rscs[top].allowed[n];
        cell.allowed.then_some(cell)
    }

    /// Order in which instances get their nodes.
    pub(super) fn compare_instances(&self, a: RscIx, b: RscIx, liking: &Liking) -> Ordering {
        let (node_a, count_a, _) = self.active_node(a);
        let (node_b, count_b, _) = self.active_node(b);
        if count_a > 0 && count_b > 0 && count_a != count_b {
            return count_a.cmp(&count_b);
        }
        // A place where it must not be counts as none.
        let place = |r: RscIx, n: Option<NodeIx>| {
            n.filter(|&n| self.rscs[r].allowed[n].allowed && self.rscs[r].allowed[n].score >= 0)
        };
        let (here_a, here_b) = (place(a, node_a), place(b, node_b));
        let fine = |before: Option<NodeIx>, now: Option<NodeIx>| before == now;
        let order = fine(node_b, here_b).cmp(&fine(node_a, here_a));
        if order != Ordering::Equal {
            return order;
        }
        let (node_a, node_b) = (here_a, here_b);
        let order = self.instance_priority(b).cmp(&self.instance_priority(a));
        if order != Ordering::Equal {
            return order;
        }
        let (node_a, node_b) = match (node_a, node_b) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(x), Some(y)) => (x, y),
        };
        let can = |n: NodeIx| self.node_available(n, 0, GuestCheck::Nodes);
        let order = can(node_b).cmp(&can(node_a));
        if order != Ordering::Equal {
            return order;
        }
        let (cell_a, cell_b) = match (self.top_cell(a, node_a), self.top_cell(b, node_b)) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(x), Some(y)) => (x, y),
        };
        let order = cell_a.count.cmp(&cell_b.count);
        if order != Ordering::Equal {
            return order;
        }
        let order = self.rscs[a].failed.cmp(&self.rscs[b].failed);
        if order != Ordering::Equal {
            return order;
        }
        liking.of(b).cmp(&liking.of(a)).then_with(|| {
            let number = |r: RscIx| self.rscs[r].instance;
            number(a).cmp(&number(b))
        })
    }

    fn instance_priority(&self, r: RscIx) -> i32 {
        self.rscs[r].priority.max(self.rscs[r].promotion_priority)
    }

    /// Instances in the order in which they get their nodes.
    pub(super) fn in_order_of_choice(&mut self, instances: &[RscIx]) -> Vec<RscIx> {
        let liking = self.liking(instances);
        crate::sorting::by_halves(instances, &mut |&a, &b| {
            self.compare_instances(a, b, &liking)
        })
    }

    /// How much each instance's present node is liked by what it is colocated with.
    pub(super) fn liking(&mut self, instances: &[RscIx]) -> Liking {
        let mut out = BTreeMap::new();
        if !self.have_colocations {
            return Liking(out);
        }
        for &i in instances {
            if let Some(n) = self.active_node(i).0 {
                out.insert(i, self.liked_at(i, n));
            }
        }
        Liking(out)
    }

    /// What an instance's colocations, and its clone's, make of the node where it is now.
    fn liked_at(&mut self, i: RscIx, n: NodeIx) -> Score {
        let mut cells = vec![Cell::NONE; self.nodes.len()];
        cells[n].allowed = true;
        cells[n].score = self.nodes[n].weight;
        let mut work = Some(cells);
        for c in self.colocations_of(i) {
            let con = &self.colocations[c];
            let (other, factor) = (con.primary, f64::from(con.score) / f64::from(INF));
            self.merge_scores(other, i, &mut work, Some(c), factor, Merge::default());
        }
        for c in self.colocations_with(i) {
            if !self.has_influence(c, Some(i)) {
                continue;
            }
            let con = &self.colocations[c];
            let (other, factor) = (con.dependent, f64::from(con.score) / f64::from(INF));
            let how = Merge {
                nonnegative: true,
                ..Merge::default()
            };
            self.merge_scores(other, i, &mut work, Some(c), factor, how);
        }
        work.map_or(0, |cells| cells[n].score)
    }

    pub(super) fn assign_instances(
        &mut self,
        r: RscIx,
        instances: &[RscIx],
        max: i32,
        node_max: i32,
    ) {
        let mut available = 0;
        for n in 0..self.nodes.len() {
            let cell = &mut self.rscs[r].allowed[n];
            cell.count = 0;
            let (allowed, score) = (cell.allowed, cell.score);
            let _ = score;
            if allowed && self.node_available(n, 0, GuestCheck::Nodes) {
                available += 1;
            }
        }
        let mut optimal = if available > 0 { max / available } else { 1 };
        optimal = optimal.min(node_max).max(1);
        let mut assigned = 0;
        for &i in instances {
            if assigned >= max {
                break;
            }
            if let Some(current) = self.preferred_node(i, optimal)
                && self.assign_early(i, current, node_max, max - assigned)
            {
                assigned += 1;
            }
        }
        for &i in instances {
            if !self.rscs[i].unassigned {
                continue;
            }
            if assigned >= max {
                self.ban_everywhere(i, "collective_limit_reached");
            } else if self.assign_instance(i, None, node_max).is_some() {
                assigned += 1;
            }
        }
    }

    /// Where an instance may stay.
    fn preferred_node(&self, i: RscIx, optimal: i32) -> Option<NodeIx> {
        if self.rscs[i].running.is_empty() || !self.rscs[i].unassigned || self.rscs[i].failed {
            return None;
        }
        let n = self.current_node(i)?;
        if !self.node_available(n, self.nodes[n].weight, GuestCheck::Nodes) {
            return None;
        }
        if self
            .top_cell(i, n)
            .is_some_and(|c| i64::from(c.count) >= i64::from(optimal))
        {
            return None;
        }
        Some(n)
    }

    /// Leaves an instance where it is, provided that better nodes can be filled by other instances.
    fn assign_early(&mut self, i: RscIx, current: NodeIx, node_max: i32, available: i32) -> bool {
        let cell = self.rscs[i].allowed[current];
        if !cell.allowed || !self.node_available(current, cell.score, GuestCheck::Nodes) {
            return false;
        }
        let mut family = Vec::new();
        self.family(i, &mut family);
        let saved: Vec<Vec<Cell>> = family
            .iter()
            .map(|&x| self.rscs[x].allowed.clone())
            .collect();
        let top = self.limits(i);
        let saved_top = self.rscs[top].allowed.clone();
        let mark = self.ledger_mark();
        let mut stays = false;
        for _ in 0..available {
            self.ban_unavailable(i, node_max);
            let chosen = self.assign(i, Some(current), IfNone::Keep);
            if chosen == Some(current) {
                stays = true;
                break;
            }
            self.take_back(i);
            for (&x, cells) in family.iter().zip(&saved) {
                self.rscs[x].allowed.clone_from(cells);
            }
            self.ledger_strike(mark, &family);
            let Some(other) = chosen else { break };
            // That place is left to an instance without a node yet.
            self.rscs[top].allowed[other].count += 1;
        }
        self.rscs[top].allowed = saved_top;
        if stays {
            self.rscs[top].allowed[current].count += 1;
        }
        stays
    }

    fn assign_instance(
        &mut self,
        i: RscIx,
        prefer: Option<NodeIx>,
        node_max: i32,
    ) -> Option<NodeIx> {
        self.ban_unavailable(i, node_max);
        let if_none = if prefer.is_none() {
            IfNone::Stop
        } else {
            IfNone::Keep
        };
        let chosen = self.assign(i, prefer, if_none);
        if let Some(n) = chosen {
            let top = self.limits(i);
            self.rscs[top].allowed[n].count += 1;
        }
        chosen
    }

    /// Nodes that have as many instances as they may, or are not the clone's at all.
    fn ban_unavailable(&mut self, i: RscIx, node_max: i32) {
        let top = self.limits(i);
        let removed = self.rscs[i].removed;
        for n in 0..self.nodes.len() {
            if !self.rscs[i].allowed[n].allowed {
                continue;
            }
            let cell = self.rscs[top].allowed[n];
            let full = i64::from(cell.count) >= i64::from(node_max);
            let down = !self.node_available(n, 0, GuestCheck::Nodes);
            if removed || down || !cell.allowed || cell.score < 0 || full {
                let mut family = Vec::new();
                self.family(i, &mut family);
                for x in family {
                    let before = self.rscs[x].allowed[n];
                    self.rscs[x].allowed[n].score = -INF;
                    self.ledger_note(x, n, before, || Cause::CloneLimit);
                }
            }
        }
    }
}
