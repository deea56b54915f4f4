//! What the whole history of a resource on a node amounts to: where it is active, and what failures lead to.

use super::result::rc;
use crate::action::Task;
use crate::ledger::Cause;
use crate::score::INF;
use crate::world::{Kind, MultipleActive, NodeIx, OnFail, Role, RscIx, World};
use quorate_model::status::OperationHistory;

impl<'c> World<'c> {
    /// Monitors that still run, as the history shows them.
    pub(super) fn recurring_in_history(
        &mut self,
        r: RscIx,
        n: NodeIx,
        ops: &[&'c OperationHistory],
    ) {
        let (start, stop) = active_span(ops);
        if !self.nodes[n].online {
            return;
        }
        for (at, op) in ops.iter().enumerate() {
            let at = i64::try_from(at).unwrap_or(0);
            if (start < stop && at <= stop) || at < start || op.interval_ms == 0 || op.status == -1
            {
                continue;
            }
            let interval = i64::try_from(op.interval_ms).unwrap_or(0);
            self.action(r, Task::parse(&op.operation), interval, Some(n), true);
        }
    }

    /// What the whole history of a resource on a node amounts to.
    pub(super) fn judge_state(&mut self, r: RscIx, n: NodeIx, on_fail: OnFail) {
        let role = self.rscs[r].role;
        let active = role > Role::Stopped;
        if role != Role::Unknown {
            let mut at = Some(r);
            while let Some(x) = at {
                self.rscs[x].known[n] = true;
                if self.rscs[x].unique {
                    break;
                }
                at = self.rscs[x].parent;
            }
        }
        if active && !self.nodes[n].online && !self.nodes[n].maintenance && self.rscs[r].managed {
            let mut reason = None;
            let mut fence = false;
            if self.is_guest(n) {
                self.rscs[r].failed = true;
                self.rscs[r].stop_if_failed = true;
                fence = true;
            } else if self.opts.fencing {
                if self.is_bare_remote(n)
                    && self.nodes[n]
                        .remote_rsc
                        .is_some_and(|c| !self.rscs[c].failed)
                {
                    self.nodes[n].unseen = true;
                    reason = Some(format!(
                        "{} is active there (fencing will be revoked if remote connection can be re-established elsewhere)",
                        self.rscs[r].id
                    ));
                }
                fence = true;
            }
            if fence {
                let reason = reason.unwrap_or_else(|| {
                    format!("{} is thought to be active there", self.rscs[r].id)
                });
                self.fence_node(n, &reason, false);
            }
        }
        let saved = on_fail;
        let on_fail = if self.nodes[n].unclean {
            OnFail::Ignore
        } else {
            on_fail
        };
        self.recover(r, n, on_fail, active);
        if self.rscs[r].failed
            && self.rscs[r].remote_connection
            && let Some(t) = self.find_node(&self.rscs[r].id)
            && self.nodes[t].unclean
        {
            self.nodes[t].unseen = false;
        }
        let role = self.rscs[r].role;
        if role > Role::Stopped {
            self.add_running(r, n, saved != OnFail::Ignore);
            match on_fail {
                OnFail::Ignore => {}
                OnFail::Demote | OnFail::Block => self.rscs[r].failed = true,
                _ => {
                    self.rscs[r].failed = true;
                    self.rscs[r].stop_if_failed = true;
                }
            }
        } else if self.rscs[r]
            .history_id
            .as_deref()
            .is_some_and(|h| h.contains(':'))
        {
            // Only a running instance keeps the number it had in the history.
            self.rscs[r].history_id = None;
        } else {
            for a in self.actions_of(r, Task::Stop, Some(n)) {
                self.actions[a].flags |= crate::action::flag::OPTIONAL;
            }
        }
        let rsc = &mut self.rscs[r];
        if rsc.role == Role::Stopped
            && rsc.partial_source == Some(n)
            && rsc.partial_target.is_some()
        {
            rsc.role = Role::Started;
        }
    }

    /// Does what the failure policy says.
    fn recover(&mut self, r: RscIx, n: NodeIx, on_fail: OnFail, active: bool) {
        match on_fail {
            OnFail::Ignore => {}
            OnFail::Demote => {
                self.rscs[r].failed = true;
                self.demote_action(r, n, false);
            }
            OnFail::Fence => {
                let reason = format!("{} failed there", self.rscs[r].id);
                self.fence_node(n, &reason, false);
            }
            OnFail::Standby => {
                self.nodes[n].standby = true;
                self.nodes[n].standby_onfail = true;
            }
            OnFail::Block => {
                self.rscs[r].managed = false;
                self.rscs[r].blocked = true;
            }
            OnFail::Ban => self.ban_on(r, n, "__action_migration_auto__"),
            OnFail::Stop => self.set_next_role(r, Role::Stopped, "on-fail=stop"),
            OnFail::Restart => {
                if active {
                    self.rscs[r].failed = true;
                    self.rscs[r].stop_if_failed = true;
                    self.stop_action(r, n, false);
                }
            }
            OnFail::RestartContainer => {
                self.rscs[r].failed = true;
                self.rscs[r].stop_if_failed = true;
                match self.rscs[r].container {
                    Some(c) if self.bundled(r) => self.stop_needed.insert(0, c),
                    Some(c) => {
                        self.stop_action(c, n, false);
                    }
                    None if active => {
                        self.stop_action(r, n, false);
                    }
                    None => {}
                }
            }
            OnFail::ResetRemote => self.reset_remote(r, n),
        }
    }

    fn reset_remote(&mut self, r: RscIx, n: NodeIx) {
        self.rscs[r].failed = true;
        self.rscs[r].stop_if_failed = true;
        if self.opts.fencing
            && self.rscs[r].remote_connection
            && let Some(t) = self.find_node(&self.rscs[r].id)
            && self.is_bare_remote(t)
            && !self.nodes[t].remote_was_fenced
        {
            self.fence_node(t, "remote connection is unrecoverable", false);
        }
        if self.rscs[r].role > Role::Stopped {
            self.stop_action(r, n, false);
        }
        if self.rscs[r].remote_reconnect_ms != 0 {
            self.set_next_role(r, Role::Stopped, "remote reset");
        }
    }

    /// Notes that a resource is active on a node, and what follows if it must not be.
    pub(super) fn add_running(&mut self, r: RscIx, n: NodeIx, failed: bool) {
        if self.rscs[r].running.contains(&n) {
            return;
        }
        self.rscs[r].running.push(n);
        self.nodes[n].running.push(r);
        if self.is_primitive(r) {
            if !failed {
                let promoted = i32::from(self.rscs[r].role == Role::Promoted);
                let importance = self.rscs[r].priority.saturating_add(promoted);
                let carrier = if self.is_guest(n) {
                    self.guest_host(n)
                } else {
                    Some(n)
                };
                self.nodes[n].priority = self.nodes[n].priority.saturating_add(importance);
                if let Some(c) = carrier.filter(|&c| c != n) {
                    self.nodes[c].priority = self.nodes[c].priority.saturating_add(importance);
                }
            }
            if self.nodes[n].maintenance {
                self.rscs[r].managed = false;
                self.rscs[r].maintenance = true;
            }
        }
        if !self.rscs[r].managed {
            self.add_location(r, &[(n, INF)], "not_managed_default");
            let mut at = self.rscs[r].parent;
            while let Some(p) = at.filter(|_| self.nodes[n].online) {
                if !self.rscs[p].running.contains(&n) {
                    self.rscs[p].running.push(n);
                }
                at = self.rscs[p].parent;
            }
            return;
        }
        if self.is_primitive(r) && self.rscs[r].running.len() > 1 {
            self.multiply_active(r);
        }
        if let Some(p) = self.rscs[r].parent {
            self.add_running(p, n, failed);
        }
    }

    fn guest_host(&self, n: NodeIx) -> Option<NodeIx> {
        let container = self.nodes[n]
            .remote_rsc
            .and_then(|r| self.rscs[r].container)?;
        self.rscs[container].running.first().copied()
    }

    fn multiply_active(&mut self, r: RscIx) {
        match self.rscs[r].multiple_active {
            MultipleActive::StopOnly => {
                let before = self.ledger_before(r);
                for cell in &mut self.rscs[r].allowed {
                    cell.score = -INF;
                }
                self.ledger_after(r, before, &Cause::Rule("multiple-active".to_owned()));
            }
            MultipleActive::Block => {
                self.rscs[r].managed = false;
                self.rscs[r].blocked = true;
                if let Some(p) = self.rscs[r].parent
                    && matches!(self.rscs[p].kind, Kind::Group(_) | Kind::Bundle(_))
                    && self.rscs[p].multiple_active == MultipleActive::Block
                {
                    for c in self.rscs[p].children.clone() {
                        self.rscs[c].managed = false;
                        self.rscs[c].blocked = true;
                    }
                }
            }
            MultipleActive::StopStart | MultipleActive::StopUnexpected => {}
        }
    }
}

/// First and last position between which results concern the present activity.
pub(crate) fn active_span(ops: &[&OperationHistory]) -> (i64, i64) {
    let (mut start, mut stop, mut implied_monitor, mut implied_role) = (-1, -1, -1, -1);
    for (at, op) in ops.iter().enumerate() {
        let at = i64::try_from(at).unwrap_or(0);
        match op.operation.as_str() {
            "stop" if op.status == 0 => stop = at,
            "start" | "migrate_from" => start = at,
            "monitor" if implied_monitor <= stop && matches!(op.rc, rc::OK | rc::PROMOTED) => {
                implied_monitor = at;
            }
            "monitor" if implied_monitor <= stop => {}
            "promote" | "demote" => implied_role = at,
            _ => {}
        }
    }
    if start == -1 {
        start = if implied_role != -1 {
            implied_role
        } else {
            implied_monitor
        };
    }
    (start, stop)
}
