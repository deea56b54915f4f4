//! Second stage: what constraints, stickiness, health and failures say of each resource on each node.

pub(crate) mod colocation;
mod health;
mod location;
mod ordering;
mod refs;
mod ticket;

use crate::ledger::Cause;
use crate::score::{INF, add};
use crate::world::{Discover, Kind, NodeIx, RscIx, World};
use quorate_model::cib::Constraint;

impl World<'_> {
    /// Reads all constraints.
    pub fn unpack_constraints(&mut self) {
        let cib = self.cib;
        for constraint in &cib.configuration.constraints {
            match constraint {
                Constraint::Location(c) => self.unpack_location(c),
                Constraint::Colocation(c) => self.unpack_colocation(c),
                Constraint::Order(c) => self.unpack_order(c),
                Constraint::Ticket(c) => self.unpack_ticket(c),
            }
        }
    }

    /// Applies what is known before anything is placed.
    pub fn apply_node_criteria(&mut self) {
        for ix in 0..self.locations.len() {
            let r = self.locations[ix].rsc;
            self.apply_location(r, ix, true);
        }
        for r in self.top.clone() {
            self.apply_exclusive_discovery(r);
        }
        for r in self.top.clone() {
            self.apply_stickiness(r);
        }
        let failing: Vec<NodeIx> = (0..self.nodes.len())
            .filter(|&n| {
                self.nodes[n]
                    .attrs
                    .range("fail-count-".to_owned()..)
                    .next()
                    .is_some_and(|(k, _)| k.starts_with("fail-count-"))
            })
            .collect();
        for n in failing {
            for r in self.top.clone() {
                self.apply_threshold(r, n);
            }
        }
    }

    /// Applies one location constraint to a resource as its kind demands.
    pub(crate) fn apply_location(&mut self, r: RscIx, ix: usize, full: bool) {
        let con = &self.locations[ix];
        if con.role > crate::world::Role::Unknown && con.role != self.rscs[r].next_role {
            return;
        }
        let (nodes, discover) = (con.nodes.clone(), con.discover);
        self.apply_nodes(r, ix, &nodes, discover, full);
    }

    fn apply_nodes(
        &mut self,
        r: RscIx,
        ix: usize,
        nodes: &[(NodeIx, i32)],
        discover: Discover,
        full: bool,
    ) {
        for &(n, score) in nodes {
            let score = if full { score } else { 0 };
            let rsc = &mut self.rscs[r];
            let before = rsc.allowed[n];
            let cell = &mut rsc.allowed[n];
            cell.allowed = true;
            cell.score = add(cell.score, score);
            let rank = |d: Discover| match d {
                Discover::Always => 0,
                Discover::Never => 1,
                Discover::Exclusive => 2,
            };
            if rank(cell.discover) < rank(discover) {
                cell.discover = discover;
                rsc.exclusive_discovery |= discover == Discover::Exclusive;
            }
            self.ledger_note(r, n, before, || Cause::Location(ix));
        }
        let children = match &self.rscs[r].kind {
            // A connection goes where its container goes, and what runs inside to its own node.
            Kind::Bundle(b) => b
                .replicas
                .iter()
                .flat_map(|p| p.ip.into_iter().chain([p.container]))
                .collect(),
            _ => self.rscs[r].children.clone(),
        };
        let first_only = matches!(&self.rscs[r].kind, Kind::Group(g) if g.colocated);
        for (at, c) in children.into_iter().enumerate() {
            // Of a group that stays together the first member speaks for all.
            self.apply_nodes(c, ix, nodes, discover, full && !(first_only && at > 0));
        }
    }

    fn apply_exclusive_discovery(&mut self, r: RscIx) {
        let top = self.uber(r);
        if !self.rscs[r].exclusive_discovery && !self.rscs[top].exclusive_discovery {
            return;
        }
        for c in self.rscs[r].children.clone() {
            self.apply_exclusive_discovery(c);
        }
        let before = self.ledger_before(r);
        for cell in &mut self.rscs[r].allowed {
            if cell.discover != Discover::Exclusive {
                cell.score = -INF;
            }
        }
        self.ledger_after(r, before, &Cause::Exclusive);
    }

    fn apply_stickiness(&mut self, r: RscIx) {
        let children = self.rscs[r].children.clone();
        if !children.is_empty() {
            for c in children {
                self.apply_stickiness(c);
            }
            return;
        }
        let rsc = &self.rscs[r];
        if !rsc.managed || rsc.stickiness < 1 || rsc.running.len() != 1 {
            return;
        }
        let n = rsc.running[0];
        if !self.opts.symmetric && !rsc.allowed[n].allowed {
            return;
        }
        let score = rsc.stickiness;
        self.add_location(r, &[(n, score)], "stickiness");
    }

    fn apply_threshold(&mut self, r: RscIx, n: NodeIx) {
        let children = self.rscs[r].children.clone();
        if !children.is_empty() {
            for c in children {
                self.apply_threshold(c, n);
            }
            return;
        }
        if !self.is_primitive(r) {
            return;
        }
        let cleared = !self
            .actions_of(r, crate::action::Task::ClearFailcount, Some(n))
            .is_empty();
        if !cleared && let Some(who) = self.threshold_reached(r, n) {
            self.ban_on(who, n, "__fail_limit__");
        }
    }
}
