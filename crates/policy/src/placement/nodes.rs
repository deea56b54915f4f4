//! Ranking of nodes.

use crate::options::Strategy;
use crate::score::INF;
use crate::world::{Cell, GuestCheck, NodeIx, RscIx, World};
use std::cmp::Ordering;

impl World<'_> {
    /// Best node first: score, load, where it runs now, name.
    pub(super) fn ranked(&self, r: RscIx, active: Option<NodeIx>) -> Vec<NodeIx> {
        let cells = &self.rscs[r].allowed;
        let mut nodes: Vec<NodeIx> = (0..cells.len()).filter(|&n| cells[n].allowed).collect();
        nodes.sort_by(|&a, &b| self.compare_nodes(cells, a, b, active));
        nodes
    }

    pub(super) fn compare_nodes(
        &self,
        cells: &[Cell],
        a: NodeIx,
        b: NodeIx,
        active: Option<NodeIx>,
    ) -> Ordering {
        let weight = |n: NodeIx| {
            if self.node_available(n, 0, GuestCheck::Nodes) {
                cells[n].score
            } else {
                -INF
            }
        };
        let order = weight(b).cmp(&weight(a));
        if order != Ordering::Equal {
            return order;
        }
        if self.opts.strategy != Strategy::Minimal {
            if self.opts.strategy == Strategy::Balanced {
                let order = self.compare_capacity(a, b);
                if order != Ordering::Equal {
                    return order;
                }
            }
            let order = self.nodes[a].count.cmp(&self.nodes[b].count);
            if order != Ordering::Equal {
                return order;
            }
        }
        if active == Some(a) && a != b {
            return Ordering::Less;
        }
        if active == Some(b) && a != b {
            return Ordering::Greater;
        }
        self.by_name(a, b)
    }

    /// Last resort: names letter by letter, `node10` before `node9` (lists count otherwise).
    pub(super) fn by_name(&self, a: NodeIx, b: NodeIx) -> Ordering {
        self.nodes[a].name.cmp(&self.nodes[b].name)
    }

    /// Best node without ranking the rest, with how many are as good.
    pub(super) fn best_node(&self, r: RscIx, active: Option<NodeIx>) -> Option<NodeIx> {
        let cells = &self.rscs[r].allowed;
        (0..cells.len())
            .filter(|&n| cells[n].allowed)
            .min_by(|&a, &b| self.compare_nodes(cells, a, b, active))
    }

    /// Whether any node could take the resource.
    pub(super) fn any_available(&self, cells: &[Cell]) -> bool {
        cells
            .iter()
            .enumerate()
            .any(|(n, c)| c.allowed && self.node_available(n, c.score, GuestCheck::Nodes))
    }

    /// Node on which a resource is now, the first of several.
    pub fn current_node(&self, r: RscIx) -> Option<NodeIx> {
        self.active_node(r).0
    }

    /// Node on which a resource counts as active, with how many there are and how many of them are well.
    pub fn active_node(&self, r: RscIx) -> (Option<NodeIx>, u32, u32) {
        if !self.is_primitive(r) {
            return self.active_node_of_many(r);
        }
        let rsc = &self.rscs[r];
        let (mut chosen, mut all, mut clean) = (None, 0, 0);
        let happy = |n: NodeIx| self.nodes[n].online && !self.nodes[n].unclean;
        for &n in &rsc.running {
            all += 1;
            clean += u32::from(happy(n));
            if rsc.partial_source.is_some() {
                if rsc.partial_source == Some(n) {
                    chosen = Some(n);
                }
            } else if !rsc.needs_fencing && happy(n) && !chosen.is_some_and(happy) {
                chosen = Some(n);
            }
            if chosen.is_none() {
                chosen = Some(n);
            }
        }
        (chosen, all, clean)
    }

    fn active_node_of_many(&self, r: RscIx) -> (Option<NodeIx>, u32, u32) {
        let on = self.locations_now(r);
        let clean = on
            .iter()
            .filter(|&&n| self.nodes[n].online && !self.nodes[n].unclean)
            .count();
        let first = self.rscs[r]
            .children
            .iter()
            .find_map(|&c| self.active_node(c).0);
        (
            first,
            u32::try_from(on.len()).unwrap_or(u32::MAX),
            u32::try_from(clean).unwrap_or(u32::MAX),
        )
    }

    /// The node that an instance has been given (of a group: its members' when it is one).
    pub fn assigned_node(&self, r: RscIx) -> Option<NodeIx> {
        if self.is_primitive(r) {
            return self.rscs[r].assigned;
        }
        let mut found = None;
        for &c in &self.rscs[r].children {
            if let Some(n) = self.assigned_node(c) {
                if found.is_some_and(|f| f != n) {
                    return None;
                }
                found = Some(n);
            }
        }
        found
    }

    /// The same of the present.
    pub fn current_single(&self, r: RscIx) -> Option<NodeIx> {
        match self.locations_now(r).as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}
