//! Placing primitives.

use super::IfNone;
use crate::action::{Task, flag};
use crate::ledger::Cause;
use crate::options::NoQuorum;
use crate::score::INF;
use crate::world::{GuestCheck, NodeIx, Role, RscIx, World};

impl World<'_> {
    pub(super) fn assign_primitive(
        &mut self,
        r: RscIx,
        prefer: Option<NodeIx>,
        if_none: IfNone,
    ) -> Option<NodeIx> {
        if let Some(p) = self.rscs[r].parent
            && !self.rscs[p].assigning
            && self.rscs[p].unassigned
        {
            self.assign(p, prefer, if_none);
        }
        if !self.rscs[r].unassigned {
            return self.rscs[r].assigned;
        }
        if self.rscs[r].assigning {
            return None;
        }
        self.rscs[r].assigning = true;
        self.apply_colocations(r);
        let rsc = &self.rscs[r];
        if rsc.next_role == Role::Stopped {
            self.ban_everywhere(r, rsc.next_role_why);
        } else if rsc.next_role > rsc.role
            && !self.opts.quorate
            && self.opts.no_quorum == NoQuorum::Freeze
        {
            let role = rsc.role;
            self.set_next_role(r, role, "no-quorum-policy=freeze");
        }
        self.log_scores("pcmk__primitive_assign", r);
        if self.opts.fencing && !self.have_fence_device {
            self.rscs[r].managed = false;
        }
        if !self.rscs[r].managed {
            let role = self.rscs[r].role;
            self.set_next_role(r, role, "unmanaged");
            let node = self.current_node(r);
            self.give(r, node, true, if_none);
        } else if self.opts.stop_all {
            self.give(r, None, true, if_none);
        } else {
            self.assign_best(r, prefer, if_none);
        }
        self.rscs[r].assigning = false;
        if self.rscs[r].remote_connection {
            self.connection_assigned(r);
        }
        self.rscs[r].assigned
    }

    /// Mandatory colocations first, to satisfy as many as possible.
    fn apply_colocations(&mut self, r: RscIx) {
        if !self.have_colocations {
            return;
        }
        let this_with = self.colocations_of(r);
        let with_this = self.colocations_with(r);
        for mandatory in [true, false] {
            for &c in &this_with {
                if (self.colocations[c].score.abs() >= INF) == mandatory {
                    let before = self.ledger_before(r);
                    self.apply_this_with(c, r);
                    self.ledger_after(r, before, &Cause::Together(c));
                }
            }
            for &c in &with_this {
                if (self.colocations[c].score.abs() >= INF) == mandatory {
                    let before = self.ledger_before(r);
                    self.add_dependent_scores(c, r);
                    self.ledger_after(r, before, &Cause::Dependent(c));
                }
            }
        }
    }

    fn apply_this_with(&mut self, c: usize, r: RscIx) {
        let con = &self.colocations[c];
        let primary = con.primary;
        let keep = con.dependent_role >= Role::Promoted || (con.score < 0 && con.score > -INF);
        let saved = keep.then(|| self.rscs[r].allowed.clone());
        if self.rscs[primary].unassigned {
            self.assign(primary, None, IfNone::Stop);
        }
        self.apply_coloc(r, primary, c, true);
        if let Some(saved) = saved
            && !self.any_available(&self.rscs[r].allowed)
        {
            self.rscs[r].allowed = saved;
        }
    }

    fn assign_best(&mut self, r: RscIx, prefer: Option<NodeIx>, if_none: IfNone) {
        let before = self.ledger_before(r);
        self.ban_where_too_small(r);
        self.ledger_after(r, before, &Cause::Capacity);
        self.ledger_choice(r);
        let current = self.current_node(r);
        let best = self.best_node(r, current);
        let mut chosen = None;
        if let (Some(p), Some(b)) = (prefer, best) {
            let cell = self.rscs[r].allowed[p];
            let best_score = self.rscs[r].allowed[b].score;
            if cell.allowed
                && cell.score >= best_score
                && self.node_available(p, cell.score, GuestCheck::Nodes)
            {
                chosen = Some(p);
            }
        }
        if chosen.is_none()
            && let Some(b) = best
        {
            chosen = Some(b);
            let score = self.rscs[r].allowed[b].score;
            let unique_instance = self.rscs[r]
                .parent
                .is_some_and(|p| self.is_cloned(p) && self.rscs[p].unique);
            if !unique_instance
                && score > 0
                && self.node_available(b, 0, GuestCheck::Nodes)
                && let Some(running) = current
                && self.rscs[r].allowed[running].allowed
                && self.rscs[r].allowed[running].score == score
                && self.node_available(running, self.nodes[running].weight, GuestCheck::Nodes)
            {
                chosen = Some(running);
            }
        }
        self.give(r, chosen, false, if_none);
    }

    /// Gives a resource a node (or none); true when that changed something.
    pub(crate) fn give(
        &mut self,
        r: RscIx,
        node: Option<NodeIx>,
        force: bool,
        if_none: IfNone,
    ) -> bool {
        let children = self.rscs[r].children.clone();
        if !children.is_empty() {
            let mut changed = false;
            for c in children {
                changed |= self.give(c, node, force, if_none);
            }
            return changed;
        }
        let mut node = node;
        if let Some(n) = node
            && !force
            && !self.node_available(n, self.rscs[r].allowed[n].score, GuestCheck::Nodes)
            && !self.inside_own_container(r, n)
        {
            if if_none == IfNone::Stop {
                self.set_next_role(r, Role::Stopped, "node availability");
            }
            node = None;
        }
        let changed = self.rscs[r].assigned != node;
        self.take_back(r);
        self.rscs[r].unassigned = false;
        let Some(n) = node else {
            if if_none == IfNone::Keep {
                return changed;
            }
            self.set_next_role(r, Role::Stopped, "unable to assign");
            for a in self.rscs[r].actions.clone() {
                let action = &mut self.actions[a];
                match action.task {
                    Task::Stop => action.flags &= !flag::OPTIONAL,
                    Task::Start => action.flags &= !flag::RUNNABLE,
                    _ if action.interval_ms != 0 && action.target_rc != Some(7) => {
                        action.flags &= !flag::RUNNABLE;
                    }
                    _ => {}
                }
            }
            return changed;
        };
        self.rscs[r].assigned = Some(n);
        self.nodes[n].count += 1;
        self.consume(n, r);
        changed
    }

    /// What a bundle wraps belongs into its container, whether that one can run or not: whatever keeps
    /// the container from running keeps its inside from starting, and is its reason.
    fn inside_own_container(&self, r: RscIx, n: NodeIx) -> bool {
        self.rscs[r].allowed[n].score >= 0 && self.is_bundle_node(n) && self.bundled(r)
    }

    /// Undoes an assignment.
    pub(crate) fn take_back(&mut self, r: RscIx) {
        let children = self.rscs[r].children.clone();
        if !children.is_empty() {
            for c in children {
                self.take_back(c);
            }
            self.rscs[r].unassigned = true;
            return;
        }
        self.rscs[r].unassigned = true;
        if let Some(n) = self.rscs[r].assigned.take() {
            self.nodes[n].count = self.nodes[n].count.saturating_sub(1);
            self.release(n, r);
        }
    }

    /// What the fate of a connection means for the node behind it.
    fn connection_assigned(&mut self, r: RscIx) {
        let Some(n) = self.find_node(&self.rscs[r].id.clone()) else {
            return;
        };
        let up = self.rscs[r].assigned.is_some() && self.rscs[r].next_role != Role::Stopped;
        let node = &mut self.nodes[n];
        if up {
            node.online = true;
            if node.unseen {
                // Only not seen, not known to be lost: the connection will tell.
                node.unclean = false;
            }
        } else {
            node.shutdown = true;
        }
    }
}
