//! Configuration that changed since operations were run: restart, reload, reschedule, cancel.

use crate::action::{Task, flag};
use crate::digest::Verdict;
use crate::relation::{Side, rel};
use crate::world::{GuestCheck, NodeIx, RscIx, World};
use quorate_model::status::OperationHistory;

impl<'c> World<'c> {
    pub fn handle_config_changes(&mut self) {
        let mut list: Vec<_> = self
            .history
            .iter()
            .map(|(&(r, n), &h)| (n, h.resource, h.node_state, r))
            .collect();
        list.sort_unstable();
        for (n, resource, state, r) in list {
            if !self.nodes[n].maintenance && !self.node_available(n, 0, GuestCheck::Nodes) {
                continue;
            }
            let cib = self.cib;
            let history = &cib.status.nodes[state].resources[resource];
            if self.rscs[r].removed {
                if !self.is_anon_clone(self.uber(r)) {
                    self.schedule_delete(r, n, false);
                }
                continue;
            }
            let changed = {
                let cfg = self.cfg(r);
                cfg.class != history.class
                    || cfg.agent != history.agent
                    || cfg.provider.unwrap_or("") != history.provider.as_deref().unwrap_or("")
            };
            let running = self.rscs[r].running.contains(&n);
            if changed {
                if running {
                    let stop = self.stop_action(r, n, false);
                    self.set_reason(stop, Some("resource definition change"), true);
                    self.actions[stop].flags &= !flag::OPTIONAL;
                }
                self.schedule_delete(r, n, false);
                if !running {
                    continue;
                }
            }
            if !running {
                continue;
            }
            self.check_operations(r, n, state, resource);
        }
    }

    fn check_operations(&mut self, r: RscIx, n: NodeIx, state: usize, resource: usize) {
        let cib = self.cib;
        let history = &cib.status.nodes[state].resources[resource];
        let mut ops: Vec<(usize, &OperationHistory)> =
            history.operations.iter().enumerate().collect();
        ops.sort_by(|a, b| crate::facts::by_call(a.1, b.1));
        let list: Vec<&OperationHistory> = ops.iter().map(|(_, o)| *o).collect();
        let (start, stop) = crate::facts::active_span(&list);
        for (at, (ix, op)) in ops.iter().enumerate() {
            let at = i64::try_from(at).unwrap_or(0);
            if start < stop {
                break;
            }
            if at < start {
                continue;
            }
            let interval_ms = i64::try_from(op.interval_ms).unwrap_or(0);
            if interval_ms > 0 && (self.rscs[r].maintenance || self.nodes[n].maintenance) {
                self.schedule_cancel(
                    r,
                    op.call_id,
                    Task::parse(&op.operation),
                    interval_ms,
                    n,
                    "maintenance mode",
                );
            } else if interval_ms > 0
                || matches!(
                    op.operation.as_str(),
                    "monitor" | "start" | "promote" | "migrate_from"
                )
            {
                let forced = self.history_override.contains_key(&(state, resource, *ix));
                if self.operation_changed(r, n, op, forced)
                    && self
                        .fail_count(n, r, crate::facts::failcount::Expiry::Honoured, None)
                        .count
                        != 0
                {
                    self.clear_failcount(r, n);
                }
            }
        }
    }

    fn operation_changed(
        &mut self,
        r: RscIx,
        n: NodeIx,
        op: &OperationHistory,
        forced: bool,
    ) -> bool {
        let interval_ms = i64::try_from(op.interval_ms).unwrap_or(0);
        let task = Task::parse(&op.operation);
        if interval_ms > 0 && self.find_op(r, &op.operation, interval_ms, false).is_none() {
            if self.opts.cancel_removed {
                self.schedule_cancel(r, op.call_id, task, interval_ms, n, "orphan");
            }
            return true;
        }
        let verdict = if forced {
            Verdict::Restart
        } else {
            self.digest_check(r, op, n)
        };
        match verdict {
            Verdict::Same => false,
            Verdict::Restart => {
                if forced || interval_ms > 0 {
                    self.reschedule(r, task, interval_ms, n);
                } else {
                    self.force_restart(r, task, interval_ms, n);
                }
                true
            }
            Verdict::Unknown if op.digest.is_none() => false,
            _ => {
                if interval_ms > 0 {
                    self.reschedule(r, task, interval_ms, n);
                } else if op.restart_digest.is_some() {
                    self.schedule_reload(r, n);
                } else {
                    self.force_restart(r, task, interval_ms, n);
                }
                true
            }
        }
    }

    fn reschedule(&mut self, r: RscIx, task: Task, interval_ms: i64, n: NodeIx) {
        let a = self.action(r, task, interval_ms, Some(n), true);
        self.actions[a].flags |= flag::RESCHEDULED;
    }

    fn force_restart(&mut self, r: RscIx, task: Task, interval_ms: i64, n: NodeIx) {
        let a = self.action(r, task, interval_ms, Some(n), false);
        self.set_reason(a, Some("resource definition change"), true);
        if task == Task::Start {
            let rsc = &mut self.rscs[r];
            let _ = rsc;
        }
    }

    fn schedule_reload(&mut self, r: RscIx, n: NodeIx) {
        let rsc = &self.rscs[r];
        if !rsc.managed || rsc.reload {
            return;
        }
        if rsc.failed {
            let stop = self.stop_action(r, n, false);
            self.actions[stop].flags &= !flag::OPTIONAL;
            return;
        }
        if rsc.start_pending {
            self.force_restart(r, Task::Start, 0, n);
            return;
        }
        self.rscs[r].reload = true;
        let reload = self.action(r, Task::Reload, 0, Some(n), false);
        self.set_reason(reload, Some("resource definition change"), false);
        let flags = rel::ORDERED | rel::CANCELS_FIRST;
        self.order_sides(
            Side::Action(reload, Some(r)),
            Side::Rsc(r, Task::Stop, 0),
            flags,
        );
        self.order_sides(
            Side::Action(reload, Some(r)),
            Side::Rsc(r, Task::Demote, 0),
            flags,
        );
    }
}
