//! Recurring monitors.

use crate::action::{Task, flag, op_key};
use crate::opconfig::{attribute, enabled, interval_of};
use crate::relation::{OrderCon, Side, rel};
use crate::world::{ActIx, NodeIx, Role, RscIx, World};

/// A recurring operation as configured.
struct Recurring {
    task: Task,
    interval_ms: i64,
    role: Role,
}

impl World<'_> {
    pub(super) fn recurring_actions(&mut self, r: RscIx) {
        let rsc = &self.rscs[r];
        if rsc.blocked || rsc.maintenance {
            return;
        }
        let node = rsc.assigned;
        if node.is_some_and(|n| self.nodes[n].maintenance) {
            return;
        }
        let active = node.is_some() && (rsc.next_role != Role::Stopped || !rsc.managed);
        let start = match (active, node) {
            (true, Some(n)) => Some(self.start_action(r, n, true)),
            _ => None,
        };
        for op in self.recurring_ops(r) {
            if let (Some(start), Some(n)) = (start, node) {
                self.recurring_for_active(r, start, n, &op);
            }
            self.recurring_for_inactive(r, node, &op);
        }
    }

    fn recurring_ops(&self, r: RscIx) -> Vec<Recurring> {
        let cfg = self.cfg(r);
        let mut out = Vec::new();
        for op in cfg.ops.iter().copied().chain(cfg.made_ops.iter()) {
            let interval_ms = interval_of(op);
            let task = Task::parse(&op.name);
            if interval_ms <= 0
                || !enabled(op)
                || matches!(
                    task,
                    Task::Start | Task::Stop | Task::Promote | Task::Demote
                )
            {
                continue;
            }
            let alike = |o: &&quorate_model::cib::Operation| {
                o.name == op.name && interval_of(o) == interval_ms
            };
            if cfg.ops.iter().copied().filter(alike).count() > 1 {
                // Two of one name and interval cannot be told apart; neither counts.
                continue;
            }
            let role = attribute(op, "role")
                .and_then(Role::parse)
                .unwrap_or(Role::Unknown);
            out.push(Recurring {
                task,
                interval_ms,
                role,
            });
        }
        out
    }

    fn running_monitor(&self, r: RscIx, key: &str, n: NodeIx) -> Option<ActIx> {
        let found =
            self.rscs[r].index.iter().rev().find(|e| {
                e.node == Some(n) && e.task != Task::Cancel && self.actions[e.a].key == key
            });
        found.map(|e| e.a)
    }

    fn recurring_for_active(&mut self, r: RscIx, start: ActIx, n: NodeIx, op: &Recurring) {
        if op.role == Role::Stopped {
            return;
        }
        let key = op_key(&self.rscs[r].id, op.task.text(), op.interval_ms);
        let optional = match self.running_monitor(r, &key, n) {
            None => false,
            Some(a) => {
                self.actions[start].is(flag::OPTIONAL) && !self.actions[a].is(flag::RESCHEDULED)
            }
        };
        let next = self.rscs[r].next_role;
        // "Started" means any active role but the promoted one.
        let default_role = op.role == Role::Unknown;
        let mismatch = if default_role {
            next == Role::Promoted
        } else {
            next != op.role
        };
        if mismatch {
            if optional {
                let cancel = self.cancel_action(r, op.task, op.interval_ms, n);
                let after = match self.rscs[r].role {
                    Role::Unpromoted | Role::Started => match next {
                        Role::Promoted => Some(Task::Promote),
                        Role::Stopped => Some(Task::Stop),
                        _ => None,
                    },
                    Role::Promoted => Some(Task::Demote),
                    _ => None,
                };
                if let Some(after) = after {
                    self.order_sides(
                        Side::Action(cancel, Some(r)),
                        Side::Rsc(r, after, 0),
                        rel::UNRUNNABLE_BLOCKS,
                    );
                }
            }
            return;
        }
        let mon = self.action(r, op.task, op.interval_ms, Some(n), optional);
        let node = &self.nodes[n];
        if !self.actions[start].is(flag::RUNNABLE) || !node.online || node.unclean {
            self.actions[mon].flags &= !flag::RUNNABLE;
        }
        if next == Role::Promoted {
            self.actions[mon].target_rc = Some(8);
        }
        if !self.rscs[r].managed {
            return;
        }
        let before = |world: &mut Self, task: Task, flags: u32| {
            world.order_keys(OrderCon {
                first: Side::Rsc(r, task, 0),
                then: Side::Action(mon, Some(r)),
                flags,
                first_key: None,
                then_key: None,
            });
        };
        let implied = rel::FIRST_IMPLIES_THEN | rel::UNRUNNABLE_BLOCKS;
        before(self, Task::Start, implied);
        before(self, Task::Reload, implied);
        if next == Role::Promoted {
            before(self, Task::Promote, rel::ORDERED | rel::UNRUNNABLE_BLOCKS);
        } else if self.rscs[r].role == Role::Promoted {
            before(self, Task::Demote, rel::ORDERED | rel::UNRUNNABLE_BLOCKS);
        }
    }

    /// Monitors for the stopped role, on all nodes where the resource is not.
    fn recurring_for_inactive(&mut self, r: RscIx, node: Option<NodeIx>, op: &Recurring) {
        if op.role != Role::Stopped || !self.rscs[r].unique {
            return;
        }
        let key = op_key(&self.rscs[r].id, op.task.text(), op.interval_ms);
        if let Some(n) = node
            && self.rscs[r].next_role != Role::Stopped
            && self.running_monitor(r, &key, n).is_some()
        {
            // It will be active there.
            let cancel = self.cancel_action(r, op.task, op.interval_ms, n);
            if matches!(self.rscs[r].next_role, Role::Started | Role::Unpromoted) {
                self.order_sides(
                    Side::Action(cancel, Some(r)),
                    Side::Rsc(r, Task::Start, 0),
                    rel::UNRUNNABLE_BLOCKS,
                );
            }
        }
        for n in 0..self.nodes.len() {
            if node == Some(n) {
                continue;
            }
            let running = self.running_monitor(r, &key, n);
            let optional = running.is_some_and(|a| !self.actions[a].is(flag::RESCHEDULED));
            let mon = self.action(r, op.task, op.interval_ms, Some(n), optional);
            self.actions[mon].target_rc = Some(7);
            if self.rscs[r].managed {
                for probe in self.actions_of(r, Task::Monitor, Some(n)) {
                    self.order(probe, mon, rel::UNRUNNABLE_BLOCKS);
                }
            }
            for stop in self.actions_of(r, Task::Stop, Some(n)) {
                if !self.actions[stop].is(flag::OPTIONAL)
                    && !self.actions[mon].is(flag::OPTIONAL)
                    && !self.rscs[r].managed
                {
                    self.actions[mon].flags |= flag::OPTIONAL;
                }
                if !self.actions[stop].is(flag::RUNNABLE) {
                    self.actions[mon].flags &= !flag::RUNNABLE;
                }
                if self.rscs[r].managed {
                    self.order_sides(
                        Side::Action(stop, Some(r)),
                        Side::Action(mon, None),
                        rel::FIRST_IMPLIES_THEN | rel::UNRUNNABLE_BLOCKS,
                    );
                }
            }
            let down = !self.nodes[n].online || self.nodes[n].unclean;
            if down {
                self.actions[mon].flags &= !flag::RUNNABLE;
            }
        }
    }
}
