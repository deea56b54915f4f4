//! One result of the history: what it says about a resource's role, and whether it is a failure.

use super::failcount::Expiry;
use crate::action::Task;
use crate::ledger::Cause;
use crate::score::INF;
use crate::world::{NodeIx, OnFail, Role, RscIx, World};
use quorate_model::status::OperationHistory;

/// Results that agents give.
pub(super) mod rc {
    pub const OK: i32 = 0;
    pub const INVALID: i32 = 2;
    pub const UNIMPLEMENTED: i32 = 3;
    pub const PRIVILEGES: i32 = 4;
    pub const NOT_INSTALLED: i32 = 5;
    pub const NOT_CONFIGURED: i32 = 6;
    pub const NOT_RUNNING: i32 = 7;
    pub const PROMOTED: i32 = 8;
    pub const FAILED_PROMOTED: i32 = 9;
    pub const DEGRADED: i32 = 190;
    pub const DEGRADED_PROMOTED: i32 = 191;
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exec {
    Pending,
    Done,
    Error,
    Hard,
    Fatal,
    NotInstalled,
    NotConnected,
    Other,
}

fn exec(status: i32) -> Option<Exec> {
    Some(match status {
        -1 => Exec::Pending,
        0 => Exec::Done,
        1 => return None,
        2 | 3 | 8 | 10 => Exec::Other,
        4 => Exec::Error,
        5 => Exec::Hard,
        6 => Exec::Fatal,
        7 => Exec::NotInstalled,
        9 => Exec::NotConnected,
        _ => return None,
    })
}

/// One result while it is judged.
struct Result_<'c> {
    r: RscIx,
    n: NodeIx,
    op: &'c OperationHistory,
    rc: i32,
    exec: Exec,
    interval_ms: i64,
}

impl Result_<'_> {
    /// The result that whoever asked for it expected; read only where it matters.
    fn expected(&self) -> i32 {
        expected_rc(self.op)
    }

    fn probe(&self) -> bool {
        self.op.operation == "monitor" && self.interval_ms == 0
    }

    /// A probe that says "cannot run here" is as good as "not running".
    fn maskable(&self) -> bool {
        self.probe()
            && (matches!(self.op.rc, rc::NOT_INSTALLED | rc::INVALID) || self.op.status == 7)
    }

    fn history_key(&self) -> &str {
        history_key(self.op)
    }
}

fn history_key(op: &OperationHistory) -> &str {
    op.key.as_deref().unwrap_or(&op.id)
}

pub(super) fn expected_rc(op: &OperationHistory) -> i32 {
    op.transition_key
        .as_deref()
        .and_then(|k| k.split(':').nth(2))
        .and_then(|p| p.parse().ok())
        .unwrap_or(-1)
}
impl<'c> World<'c> {
    pub(super) fn unpack_result(
        &mut self,
        r: RscIx,
        n: NodeIx,
        op: &'c OperationHistory,
        last_failure: &mut Option<&'c OperationHistory>,
        on_fail: &mut OnFail,
    ) {
        let Some(exec) = exec(op.status) else { return };
        let interval_ms = i64::try_from(op.interval_ms).unwrap_or(0);
        let mut h = Result_ {
            r,
            n,
            op,
            rc: op.rc,
            exec,
            interval_ms,
        };
        if matches!(
            op.operation.as_str(),
            "cancel" | "meta-data" | "delete" | "notify"
        ) {
            return;
        }
        let expired = self.expired(&h);
        self.remap(&mut h, on_fail, expired);
        if expired && h.expected() != h.op.rc && h.rc != h.expected() {
            if interval_ms == 0 {
                return;
            }
            if self.nodes[n].online && !self.nodes[n].unclean {
                // The monitor has to be run again: its result is no longer believed.
                if let Some(at) = self.history_at(r, n) {
                    let list =
                        &self.cib.status.nodes[at.node_state].resources[at.resource].operations;
                    if let Some(ix) = list.iter().position(|o| std::ptr::eq(o, op)) {
                        self.history_override
                            .insert((at.node_state, at.resource, ix), ());
                    }
                }
                return;
            }
        }
        if h.maskable() && h.op.rc != h.expected() {
            let who = self.banned_one(r);
            let expected = h.expected();
            self.succeeded(&h, expected, *last_failure, on_fail);
            self.record_failed(&h);
            self.ban_on(who, n, "masked-probe-failure");
            return;
        }
        match h.exec {
            Exec::Pending => return self.pending(&h),
            Exec::Done => {
                let rc = h.rc;
                return self.succeeded(&h, rc, *last_failure, on_fail);
            }
            _ => {}
        }
        let meta = self.op_meta(r, &op.operation, interval_ms);
        let policy = self.on_fail(r, &op.operation, interval_ms, &meta);
        let role = self.fail_role(r, &op.operation, policy);
        let banned = self.banned_one(r);
        match h.exec {
            Exec::NotInstalled => {
                if policy == OnFail::Ignore {
                    *on_fail = OnFail::Ban;
                }
                self.ban_on(banned, n, "hard-error");
                return self.failed(&h, policy, role, last_failure, on_fail);
            }
            Exec::NotConnected => {
                if self.is_remote(n)
                    && let Some(c) = self.nodes[n].remote_rsc
                    && self.rscs[c].managed
                {
                    self.rscs[c].failed = true;
                    self.rscs[c].stop_if_failed = true;
                }
            }
            _ => {}
        }
        let container_stop = policy == OnFail::RestartContainer && op.operation == "stop";
        if policy == OnFail::Ignore || container_stop {
            let expected = h.expected();
            self.succeeded(&h, expected, *last_failure, on_fail);
            self.rscs[r].ignore_failure = true;
            self.record_failed(&h);
            if container_stop && *on_fail <= OnFail::RestartContainer {
                *on_fail = policy;
            }
        } else {
            self.failed(&h, policy, role, last_failure, on_fail);
            match h.exec {
                Exec::Hard => self.ban_on(banned, n, "hard-error"),
                Exec::Fatal => self.ban_everywhere(banned, "fatal-error"),
                _ => {}
            }
        }
    }

    fn record_failed(&mut self, h: &Result_<'_>) {
        let node = self.nodes[h.n].name.clone();
        self.failed_ops.push(crate::world::FailedOp {
            node,
            key: h.history_key().to_owned(),
        });
    }

    /// Whether a result is older than failures are remembered; schedules forgetting where it is due.
    fn expired(&mut self, h: &Result_<'c>) -> bool {
        let last_failure = h.op.id.ends_with("_last_failure_0");
        let timeout = self.rscs[h.r].failure_timeout_ms / 1000;
        let mut expired = false;
        let mut left = 0;
        if timeout > 0
            && let Some(run) = h.op.last_rc_change
        {
            if self.now >= run + timeout && !self.timeout_ignored(h) {
                expired = true;
            }
            let count = self.fail_count(h.n, h.r, Expiry::Honoured, Some(h.op));
            left = count.count;
            if left > 0 {
                self.recheck_by(count.last + timeout + 1);
            }
        }
        let mut clear = None;
        if expired {
            let any = self.fail_count(h.n, h.r, Expiry::Ignored, Some(h.op)).count;
            if any > 0 {
                if left == 0 {
                    clear = Some("it expired");
                } else {
                    expired = false;
                }
            } else if last_failure && self.rscs[h.r].remote_reconnect_ms != 0 {
                clear = Some("reconnect interval is set");
            }
        }
        if !expired && last_failure && self.changed_since_failure(h) {
            clear = Some("resource parameters have changed");
        }
        if clear.is_some() {
            let a = self.clear_failcount(h.r, h.n);
            if self.opts.fencing && self.rscs[h.r].remote_reconnect_ms != 0 {
                self.order_after_remote_fencing(a, h.r);
            }
        }
        if expired && h.probe() {
            let harmless = [
                rc::OK,
                rc::NOT_RUNNING,
                rc::PROMOTED,
                rc::DEGRADED,
                rc::DEGRADED_PROMOTED,
            ]
            .contains(&h.op.rc);
            if harmless {
                expired = false;
            }
        }
        expired
    }

    fn changed_since_failure(&mut self, h: &Result_<'c>) -> bool {
        if !matches!(h.op.operation.as_str(), "start" | "monitor") || !self.is_primitive(h.r) {
            return false;
        }
        if self.rscs[h.r].removed {
            return false;
        }
        if self.rscs[h.r].remote_connection && self.bundled(h.r) {
            // A bundle's connection gets its address only when the container's node is known.
            return false;
        }
        matches!(
            self.full_digest_check(h.r, h.op, h.n),
            crate::digest::Verdict::Restart
                | crate::digest::Verdict::Reload
                | crate::digest::Verdict::Changed
        )
    }

    fn timeout_ignored(&self, h: &Result_<'_>) -> bool {
        if self.rscs[h.r].remote_reconnect_ms == 0
            || !self.opts.fencing
            || h.interval_ms == 0
            || h.op.operation != "monitor"
        {
            return false;
        }
        self.find_node(&self.rscs[h.r].id)
            .is_some_and(|n| !self.nodes[n].remote_was_fenced)
    }

    /// Schedules forgetting a resource's failures on a node.
    pub(crate) fn clear_failcount(&mut self, r: RscIx, n: NodeIx) -> usize {
        let a = self.action(r, Task::ClearFailcount, 0, Some(n), false);
        self.actions[a]
            .meta
            .insert("op_no_wait".to_owned(), "true".to_owned());
        self.actions[a].flags |= crate::action::flag::RUNNABLE;
        a
    }

    /// Results that must not be read word by word.
    fn remap(&mut self, h: &mut Result_<'c>, on_fail: &mut OnFail, expired: bool) {
        let original = h.rc;
        h.rc = match original {
            rc::DEGRADED => rc::OK,
            rc::DEGRADED_PROMOTED => rc::PROMOTED,
            other => other,
        };
        if h.rc != original && !expired {
            self.record_failed(h);
        }
        if !self.bundled(h.r) && h.maskable() && h.rc != h.expected() {
            h.exec = Exec::Done;
            h.rc = rc::NOT_RUNNING;
        }
        if !matches!(h.exec, Exec::Done | Exec::Error) {
            return;
        }
        if h.rc == rc::NOT_RUNNING && h.probe() {
            // By far the most frequent: nothing was found, whatever was expected.
            h.exec = Exec::Done;
            self.rscs[h.r].role = Role::Stopped;
            *on_fail = OnFail::Ignore;
            self.set_next_role(h.r, Role::Unknown, "not running");
            return;
        }
        if h.expected() < 0 {
            h.exec = Exec::Error;
        } else {
            h.exec = if h.rc == h.expected() {
                Exec::Done
            } else {
                Exec::Error
            };
        }
        let probe = h.probe();
        match h.rc {
            rc::OK => {
                if probe && h.expected() == rc::NOT_RUNNING {
                    h.exec = Exec::Done;
                }
            }
            rc::NOT_RUNNING => {
                if h.expected() == h.rc || !self.rscs[h.r].managed {
                    h.exec = Exec::Done;
                    self.rscs[h.r].role = Role::Stopped;
                    *on_fail = OnFail::Ignore;
                    self.set_next_role(h.r, Role::Unknown, "not running");
                }
            }
            rc::PROMOTED => {
                if probe && h.rc != h.expected() {
                    h.exec = Exec::Done;
                }
                if !expired || h.rc == h.expected() {
                    self.rscs[h.r].role = Role::Promoted;
                }
            }
            rc::FAILED_PROMOTED => {
                if !expired {
                    self.rscs[h.r].role = Role::Promoted;
                }
                h.exec = Exec::Error;
            }
            rc::NOT_CONFIGURED => h.exec = Exec::Fatal,
            rc::UNIMPLEMENTED if h.interval_ms > 0 => h.exec = Exec::Other,
            rc::UNIMPLEMENTED | rc::NOT_INSTALLED | rc::INVALID | rc::PRIVILEGES => {
                if !expired && h.op.operation == "stop" && !self.can_fence(h.n) {
                    // It cannot be stopped, nor can its node be fenced.
                    self.rscs[h.r].managed = false;
                    self.rscs[h.r].blocked = true;
                }
                h.exec = Exec::Hard;
            }
            _ => {
                if h.exec == Exec::Done && h.rc != h.expected() {
                    h.exec = Exec::Error;
                }
            }
        }
    }

    fn pending(&mut self, h: &Result_<'c>) {
        match h.op.operation.as_str() {
            "start" => {
                self.rscs[h.r].start_pending = true;
                self.set_active(h.r);
            }
            "promote" => self.rscs[h.r].role = Role::Promoted,
            "migrate_to" if self.nodes[h.n].unclean => {
                let target =
                    h.op.extra
                        .iter()
                        .find(|(k, _)| k == "migrate_target")
                        .map(|(_, v)| v.clone());
                if let Some(t) = target.and_then(|t| self.find_node(&t)) {
                    self.stop_action(h.r, t, false);
                }
            }
            _ => {}
        }
        if self.rscs[h.r].pending_action.is_none() && !h.probe() {
            self.rscs[h.r].pending_action = Some(h.op.operation.to_string());
            self.rscs[h.r].pending_node = Some(h.n);
        }
    }

    pub(super) fn set_active(&mut self, r: RscIx) {
        let promotable = self.rscs[self.uber(r)].promotable;
        self.rscs[r].role = if promotable {
            Role::Unpromoted
        } else {
            Role::Started
        };
    }

    fn succeeded(
        &mut self,
        h: &Result_<'c>,
        code: i32,
        last_failure: Option<&'c OperationHistory>,
        on_fail: &mut OnFail,
    ) {
        let r = h.r;
        let mut clear = false;
        if code == rc::NOT_INSTALLED || (!self.bundled(r) && h.maskable()) {
            self.rscs[r].role = Role::Stopped;
        } else if code == rc::NOT_RUNNING {
            clear = true;
        } else {
            match h.op.operation.as_str() {
                "monitor" => {
                    clear = last_failure.is_some_and(|f| history_key(f) == h.history_key());
                    if self.rscs[r].role < Role::Started {
                        self.set_active(r);
                    }
                }
                "start" => {
                    self.rscs[r].role = Role::Started;
                    clear = true;
                }
                "stop" => {
                    self.rscs[r].role = Role::Stopped;
                    clear = true;
                    // A monitor that was under way before the stop is a leftover.
                    if self.rscs[r].pending_action.as_deref() == Some("monitor")
                        && self.rscs[r].pending_node == Some(h.n)
                    {
                        self.rscs[r].pending_action = None;
                        self.rscs[r].pending_node = None;
                    }
                }
                "promote" => {
                    self.rscs[r].role = Role::Promoted;
                    clear = true;
                }
                "demote" => {
                    clear = *on_fail == OnFail::Demote;
                    self.rscs[r].role = Role::Unpromoted;
                }
                "migrate_from" => {
                    self.rscs[r].role = Role::Started;
                    clear = true;
                }
                "migrate_to" => self.migrated_to(r, h.n, h.op),
                _ => {
                    if self.rscs[r].role < Role::Started {
                        self.set_active(r);
                    }
                }
            }
        }
        if !clear {
            return;
        }
        match *on_fail {
            OnFail::Stop | OnFail::Ban | OnFail::Standby | OnFail::Fence => {}
            OnFail::ResetRemote if self.rscs[r].remote_reconnect_ms != 0 => {}
            _ => {
                *on_fail = OnFail::Ignore;
                self.set_next_role(r, Role::Unknown, "clear past failures");
            }
        }
    }

    fn failed(
        &mut self,
        h: &Result_<'c>,
        policy: OnFail,
        fail_role: Role,
        last_failure: &mut Option<&'c OperationHistory>,
        on_fail: &mut OnFail,
    ) {
        let r = h.r;
        *last_failure = Some(h.op);
        self.record_failed(h);
        *on_fail = Self::heavier(*on_fail, policy);
        match h.op.operation.as_str() {
            "stop" => self.ban_on(r, h.n, "__stop_fail__"),
            "migrate_to" => self.migrate_to_failed(r, h.n, h.op),
            "migrate_from" => self.migrate_from_failed(r, h.op),
            "promote" => self.rscs[r].role = Role::Promoted,
            "demote" => {
                if policy == OnFail::Block {
                    self.rscs[r].role = Role::Promoted;
                    self.set_next_role(r, Role::Stopped, "demote with on-fail=block");
                } else if h.rc == rc::NOT_RUNNING {
                    self.rscs[r].role = Role::Stopped;
                } else {
                    self.rscs[r].role = Role::Unpromoted;
                }
            }
            _ => {}
        }
        if h.probe() && h.rc == rc::NOT_INSTALLED {
            self.rscs[r].role = Role::Stopped;
        } else if self.rscs[r].role < Role::Started {
            self.set_active(r);
        }
        if fail_role > Role::Started && fail_role < self.rscs[r].next_role {
            self.set_next_role(r, fail_role, "failure");
        }
        if fail_role == Role::Stopped {
            let top = self.uber(r);
            let who = if self.rscs[r].parent.is_some() && self.is_anon_clone(top) {
                top
            } else {
                r
            };
            let before = self.ledger_before(who);
            for cell in &mut self.rscs[who].allowed {
                cell.allowed = true;
                cell.score = -INF;
            }
            self.ledger_after(who, before, &Cause::Rule("failed-role".to_owned()));
        }
    }
}
