//! Actions of primitives: down, up, or to another role.

use crate::action::{Task, flag};
use crate::relation::rel;
use crate::world::{MultipleActive, NodeIx, Role, RscIx, World};

/// Next role on the way from one to another.
fn step(from: Role, to: Role) -> Role {
    use Role::{Promoted, Started, Stopped, Unknown, Unpromoted};
    match (from, to) {
        (Unknown, _) => Stopped,
        (Stopped, Unknown | Stopped) => Stopped,
        (Stopped, Started) => Started,
        (Stopped, _) => Unpromoted,
        (Started, Unknown | Stopped) => Stopped,
        (Started, Started) => Started,
        (Started, Unpromoted) => Unpromoted,
        (Started, Promoted) => Promoted,
        (Unpromoted, Unknown | Stopped) => Stopped,
        (Unpromoted, Started) => Stopped,
        (Unpromoted, Unpromoted) => Unpromoted,
        (Unpromoted, Promoted) => Promoted,
        (Promoted, Promoted) => Promoted,
        (Promoted, _) => Unpromoted,
    }
}

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Nothing,
    Start,
    Stop,
    Promote,
    Demote,
    Error,
}

fn deed(from: Role, to: Role) -> Deed {
    use Role::{Promoted, Started, Stopped, Unknown, Unpromoted};
    match (from, to) {
        (Unknown | Started | Unpromoted, Stopped) => Deed::Stop,
        (Stopped, Started | Unpromoted) => Deed::Start,
        (Started | Unpromoted, Promoted) => Deed::Promote,
        (Promoted, Unpromoted) => Deed::Demote,
        (Promoted, _) => Deed::Error,
        _ => Deed::Nothing,
    }
}

impl World<'_> {
    pub(super) fn primitive_actions(&mut self, r: RscIx) {
        if self.rscs[r].next_role == Role::Unknown {
            let next = if self.rscs[r].assigned.is_some() {
                Role::Started
            } else {
                Role::Stopped
            };
            self.set_next_role(r, next, "assignment");
        }
        let (current, all, clean) = self.active_node(r);
        for n in self.rscs[r].dangling.clone() {
            self.abort_dangling(r, n);
        }
        let assigned = self.rscs[r].assigned;
        let (mut need_stop, mut need_promote, mut migrate) = (false, false, false);
        let moving = current.is_some()
            && assigned.is_some()
            && current != assigned
            && self.rscs[r].next_role >= Role::Started;
        if moving {
            migrate = self.can_migrate(r, current);
            need_stop = true;
        }
        let multiple = self.migration_state(r, current, all, clean, &mut migrate, &mut need_stop);
        if multiple {
            match self.rscs[r].multiple_active {
                MultipleActive::StopStart | MultipleActive::StopOnly => need_stop = true,
                MultipleActive::StopUnexpected => {
                    need_stop = true;
                    self.rscs[r].stop_unexpected = true;
                }
                MultipleActive::Block => {}
            }
        }
        if self.rscs[r].start_pending {
            self.pending_start(r);
        }
        if moving {
        } else if self.rscs[r].failed {
            if self.rscs[r].stop_if_failed {
                need_stop = true;
            } else if self.rscs[r].next_role == Role::Promoted {
                need_promote = true;
            }
        } else if self.rscs[r].blocked {
            need_stop = true;
        } else if self.rscs[r].role > Role::Started
            && let (Some(_), Some(n)) = (current, assigned)
        {
            let start = self.start_action(r, n, true);
            if !self.actions[start].is(flag::OPTIONAL) {
                need_stop = true;
            }
        }
        self.restart_actions(r, current, need_stop, need_promote);
        self.transition_actions(r);
        self.recurring_actions(r);
        if migrate {
            self.migration_actions(r, current);
        }
    }

    /// Looks at migrations under way; true when the resource is active where it must not be.
    fn migration_state(
        &mut self,
        r: RscIx,
        current: Option<NodeIx>,
        all: u32,
        clean: u32,
        migrate: &mut bool,
        need_stop: &mut bool,
    ) -> bool {
        let rsc = &self.rscs[r];
        let (source, target) = (rsc.partial_source, rsc.partial_target);
        if source.is_some()
            && target.is_some()
            && *migrate
            && all == 2
            && current == source
            && rsc.assigned == target
        {
            return false;
        }
        if source.is_some() || target.is_some() {
            *need_stop = true;
            self.rscs[r].partial_source = None;
            self.rscs[r].partial_target = None;
            *migrate = false;
            return false;
        }
        if self.rscs[r].needs_fencing {
            all > 1
        } else {
            clean > 1
        }
    }

    pub(super) fn can_migrate(&self, r: RscIx, current: Option<NodeIx>) -> bool {
        let rsc = &self.rscs[r];
        let (Some(c), Some(a)) = (current, rsc.assigned) else {
            return false;
        };
        if !rsc.allow_migrate || !rsc.managed || rsc.failed || rsc.start_pending {
            return false;
        }
        // The connection into a container can go along only with a container that itself migrates.
        if let Some(container) = rsc.container {
            let (host, _, _) = self.active_node(container);
            if !self.can_migrate(container, host) {
                return false;
            }
        }
        let (from, to) = (&self.nodes[c], &self.nodes[a]);
        !from.unclean && from.online && !to.unclean && to.online
    }

    /// Down to a stop and up again, each step required only where it is.
    fn restart_actions(
        &mut self,
        r: RscIx,
        current: Option<NodeIx>,
        need_stop: bool,
        need_promote: bool,
    ) {
        let start_role = self.rscs[r].role;
        let mut role = start_role;
        self.rscs[r].restarting = true;
        while role != Role::Stopped {
            let next = step(role, Role::Stopped);
            self.act(r, deed(role, next), current, !need_stop);
            role = next;
        }
        while start_role <= self.rscs[r].next_role && role != start_role && !self.rscs[r].blocked {
            let mut required = need_stop;
            let next = step(role, start_role);
            if next == Role::Promoted && need_promote {
                required = true;
            }
            let node = self.rscs[r].assigned;
            self.act(r, deed(role, next), node, !required);
            role = next;
        }
        self.rscs[r].restarting = false;
    }

    fn transition_actions(&mut self, r: RscIx) {
        let mut role = self.rscs[r].role;
        let goal = self.rscs[r].next_role;
        while role != goal {
            let next = step(role, goal);
            let node = self.rscs[r].assigned;
            self.act(r, deed(role, next), node, false);
            if next == role {
                break;
            }
            role = next;
        }
    }

    fn act(&mut self, r: RscIx, deed: Deed, node: Option<NodeIx>, optional: bool) {
        match deed {
            Deed::Nothing | Deed::Error => {}
            Deed::Start => self.do_start(r, node, optional),
            Deed::Stop => self.do_stop(r, optional),
            Deed::Promote => self.do_promote(r, node, optional),
            Deed::Demote => self.do_demote(r, optional),
        }
    }

    /// The one node where a resource that is active too often may stay.
    fn expected_node(&self, r: RscIx, n: Option<NodeIx>) -> bool {
        let rsc = &self.rscs[r];
        rsc.stop_unexpected
            && rsc.restarting
            && rsc.next_role > Role::Stopped
            && n.is_some()
            && rsc.assigned == n
    }

    fn do_stop(&mut self, r: RscIx, optional: bool) {
        for n in self.rscs[r].running.clone() {
            let mut optional = optional;
            if self.expected_node(r, Some(n)) {
                continue;
            }
            if let Some(target) = self.rscs[r].partial_target {
                if target == n && self.rscs[r].assigned == Some(n) {
                    continue;
                }
                optional = false;
            }
            let stop = self.stop_action(r, n, optional);
            if self.rscs[r].assigned.is_none() {
                self.set_reason(stop, Some("node availability"), true);
            } else if self.rscs[r].restarting && self.rscs[r].stop_unexpected {
                self.set_reason(stop, Some("being multiply active"), true);
            }
            if !self.rscs[r].managed {
                self.actions[stop].flags &= !flag::RUNNABLE;
            }
            if self.opts.remove_after_stop {
                self.schedule_delete(r, n, optional);
            }
            if self.rscs[r].needs_unfencing {
                let unfence = self.fence_op(n, Some("on"), true, None, false);
                self.order(stop, unfence, rel::THEN_IMPLIES_FIRST);
            }
        }
    }

    fn do_start(&mut self, r: RscIx, node: Option<NodeIx>, optional: bool) {
        let start = self.action(r, Task::Start, 0, node, true);
        if let Some(n) = node {
            self.order_vs_unfence(r, n, start, rel::FIRST_IMPLIES_THEN);
        }
        if self.actions[start].is(flag::RUNNABLE) && !optional {
            self.actions[start].flags &= !flag::OPTIONAL;
        }
        if self.expected_node(r, node) {
            // It runs there already; only what is ordered after its start matters.
            self.actions[start].flags |= flag::PSEUDO;
        }
    }

    fn do_promote(&mut self, r: RscIx, node: Option<NodeIx>, optional: bool) {
        let starts = self.actions_of(r, Task::Start, node);
        let runnable = starts.iter().all(|&a| self.actions[a].is(flag::RUNNABLE));
        if runnable {
            let promote = self.action(r, Task::Promote, 0, node, optional);
            if let Some(n) = node {
                self.order_vs_unfence(r, n, promote, rel::FIRST_IMPLIES_THEN);
            }
            if self.expected_node(r, node) {
                self.actions[promote].flags |= flag::PSEUDO;
            }
        } else {
            for a in self.actions_of(r, Task::Promote, node) {
                self.actions[a].flags &= !flag::RUNNABLE;
            }
        }
    }

    fn do_demote(&mut self, r: RscIx, optional: bool) {
        for n in self.rscs[r].running.clone() {
            if !self.expected_node(r, Some(n)) {
                self.demote_action(r, n, optional);
            }
        }
    }

    /// Forgets the history of a resource on a node.
    pub(crate) fn schedule_delete(&mut self, r: RscIx, n: NodeIx, optional: bool) {
        let node = &self.nodes[n];
        if !node.online || node.unclean {
            return;
        }
        if self.rscs[r].failed {
            return;
        }
        self.action(r, Task::Delete, 0, Some(n), optional);
        let stop_flags = if optional {
            rel::FIRST_IMPLIES_THEN
        } else {
            rel::ORDERED
        };
        self.order_tasks((r, Task::Stop), (r, Task::Delete), stop_flags);
        self.order_tasks((r, Task::Delete), (r, Task::Start), stop_flags);
    }

    /// Orders an action after the unfencing of its node.
    pub(crate) fn order_vs_unfence(&mut self, r: RscIx, n: NodeIx, a: usize, flags: u32) {
        // Devices often cannot even be probed before their node is unfenced.
        let device = self.rscs[r].fence_device && self.have_unfencing;
        if !device && !self.rscs[r].needs_unfencing {
            return;
        }
        let unfence = self.fence_op(n, Some("on"), true, None, false);
        self.order(unfence, a, flags);
        let node = &self.nodes[n];
        if !self.unfenced(n) && node.online && !node.unclean && !node.shutdown {
            let reason = format!(
                "required by {} {}",
                self.rscs[r].id,
                self.actions[a].task.text()
            );
            self.fence_op(n, Some("on"), false, Some(&reason), false);
        }
    }

    /// Whether a node has been unfenced since it joined.
    pub(crate) fn unfenced(&self, n: NodeIx) -> bool {
        self.nodes[n]
            .attrs
            .get("#node-unfenced")
            .is_some_and(|v| v != "0" && !v.is_empty())
    }
}
