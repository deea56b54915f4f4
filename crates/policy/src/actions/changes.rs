//! Configuration that changed since operations were run: restart, reload, reschedule, cancel.

use crate::action::{Task, flag};
use crate::digest::Verdict;
use crate::relation::{Side, rel};
use crate::world::{GuestCheck, NodeIx, RscIx, World};
use quorate_model::status::OperationHistory;
use quorate_model::status::ResourceHistory;
use std::collections::BTreeMap;

impl<'c> World<'c> {
    pub fn handle_config_changes(&mut self) {
        for (n, state, resource, r) in self.entries_by_name() {
            let cib = self.cib;
            let history = &cib.status.nodes[state].resources[resource];
            if self.rscs[r].removed {
                if !self.is_anon_clone(self.uber(r)) {
                    self.schedule_delete(r, n, false);
                }
                continue;
            }
            let changed = self.defined_otherwise(r, history);
            let running = self.rscs[r].running.contains(&n);
            if changed {
                if running {
                    let stop = self.stop_action(r, n, false);
                    self.set_reason(stop, Some("resource definition change"), true);
                    self.actions[stop].flags &= !flag::OPTIONAL;
                }
                self.device_changed(r, n, "Device definition changed");
                self.schedule_delete(r, n, false);
            }
            if !running {
                continue;
            }
            self.check_operations(r, n, state, resource);
        }
    }

    /// What is no longer configured is forgotten where it failed, whether it may run there or not.
    pub(crate) fn forget_removed(&mut self) {
        if !self.opts.stop_removed {
            return;
        }
        for r in self.top.clone() {
            if !self.rscs[r].removed {
                continue;
            }
            for n in 0..self.nodes.len() {
                if self.nodes[n].online {
                    self.forget_failures(r, n);
                }
            }
        }
    }

    /// What is no longer configured leaves no failures behind for a namesake to find.
    fn forget_failures(&mut self, r: RscIx, n: NodeIx) {
        let expiry = crate::facts::failcount::Expiry::Honoured;
        if self.fail_count(n, r, expiry, None).count == 0 {
            return;
        }
        let clear = self.clear_failcount(r, n);
        self.order_sides(
            Side::Action(clear, Some(r)),
            Side::Rsc(r, Task::Stop, 0),
            rel::ORDERED,
        );
    }

    /// Whether a history was made by another agent than the configured one.
    fn defined_otherwise(&self, r: RscIx, history: &ResourceHistory) -> bool {
        let cfg = self.cfg(r);
        cfg.agent != history.agent
            || cfg.class != history.class
            || cfg.provider.unwrap_or("") != history.provider.as_deref().unwrap_or("")
    }

    /// Entries of the history on nodes that can act, each with the primitives that go by its name: an entry
    /// of one instance is on its node's word even where another instance was seen in it.
    fn entries_by_name(&self) -> Vec<(NodeIx, usize, usize, RscIx)> {
        let mut by_name: BTreeMap<&str, Vec<RscIx>> = BTreeMap::new();
        let mut family = Vec::new();
        for &r in &self.top {
            self.family(r, &mut family);
        }
        for &r in family.iter().rev().filter(|&&r| self.is_primitive(r)) {
            let rsc = &self.rscs[r];
            by_name.entry(&rsc.id).or_default().push(r);
            if let Some(h) = rsc.history_id.as_deref().filter(|h| *h != rsc.id) {
                by_name.entry(h).or_default().push(r);
            }
        }
        let mut out = Vec::new();
        // Nodes mostly list resources in the same order.
        let mut before: Vec<(&str, &[RscIx])> = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let Some(state) = node.state_ix else { continue };
            if !node.maintenance && !self.node_available(n, 0, GuestCheck::Nodes) {
                continue;
            }
            for (ix, entry) in self.cib.status.nodes[state].resources.iter().enumerate() {
                if entry.operations.is_empty() {
                    continue;
                }
                let found: &[RscIx] = match before.get(ix) {
                    Some(&(id, found)) if id == entry.id => found,
                    _ => by_name.get(entry.id.as_str()).map_or(&[], Vec::as_slice),
                };
                if before.len() <= ix {
                    before.resize(ix + 1, ("", &[]));
                }
                before[ix] = (&entry.id, found);
                // Where it does not run only another definition or its removal matters.
                let matters = |r: RscIx| {
                    let rsc = &self.rscs[r];
                    rsc.removed || rsc.running.contains(&n) || self.defined_otherwise(r, entry)
                };
                out.extend(
                    found
                        .iter()
                        .filter(|&&r| matters(r))
                        .map(|&r| (n, state, ix, r)),
                );
            }
        }
        out
    }

    fn check_operations(&mut self, r: RscIx, n: NodeIx, state: usize, resource: usize) {
        let cib = self.cib;
        let history = &cib.status.nodes[state].resources[resource];
        let list = crate::facts::in_order(&history.operations);
        let (start, stop) = crate::facts::active_span(&list);
        for (at, op) in list.into_iter().enumerate() {
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
                let forced = history
                    .operations
                    .iter()
                    .position(|o| std::ptr::eq(o, op))
                    .is_some_and(|ix| self.history_override.contains_key(&(state, resource, ix)));
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
        if !matches!(verdict, Verdict::Same | Verdict::Unknown) {
            self.device_changed(r, n, "Device parameters changed");
        }
        match verdict {
            Verdict::Same => false,
            Verdict::Restart => {
                if forced || interval_ms > 0 {
                    self.reschedule(r, task, interval_ms, n);
                } else {
                    self.force_restart(r, task, interval_ms);
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
                    self.force_restart(r, task, interval_ms);
                }
                true
            }
        }
    }

    fn reschedule(&mut self, r: RscIx, task: Task, interval_ms: i64, n: NodeIx) {
        let a = self.action(r, task, interval_ms, Some(n), true);
        self.actions[a].flags |= flag::RESCHEDULED;
    }

    /// Requires an operation to be run anew, wherever that will be. What a probe, a promotion or a migration
    /// found running was started with other parameters, so that it is the start which has to be repeated.
    fn force_restart(&mut self, r: RscIx, task: Task, interval_ms: i64) {
        let task = match task {
            Task::Monitor | Task::MigrateFrom | Task::Promote if interval_ms == 0 => Task::Start,
            task => task,
        };
        let a = self.action(r, task, interval_ms, None, false);
        self.set_reason(a, Some("resource definition change"), true);
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
            self.force_restart(r, Task::Start, 0);
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
