//! Operation history of one node: which resources run there, in which role, and what failed.

use super::failcount::Expiry;
use super::migration::in_order;
use super::resources::base_name;
use crate::action::Task;
use crate::ledger::Cause;
use crate::score::INF;
use crate::world::{
    HistoryRef, Kind, MultipleActive, NodeIx, OnFail, PrimConfig, Role, RscIx, World,
};
use quorate_model::status::{NodeState, OperationHistory, ResourceHistory};

/// Results that agents give.
mod rc {
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

    fn history_key(&self) -> String {
        history_key(self.op)
    }
}

fn history_key(op: &OperationHistory) -> String {
    op.key.clone().unwrap_or_else(|| op.id.clone())
}

pub(super) fn expected_rc(op: &OperationHistory) -> i32 {
    op.transition_key
        .as_deref()
        .and_then(|k| k.split(':').nth(2))
        .and_then(|p| p.parse().ok())
        .unwrap_or(-1)
}

impl<'c> World<'c> {
    pub(super) fn unpack_history(&mut self, n: NodeIx, state_ix: usize, state: &'c NodeState) {
        let mut fillers = Vec::new();
        for (ix, history) in state.resources.iter().enumerate() {
            if let Some(r) = self.unpack_resource(n, state_ix, ix, history)
                && self.rscs[r].removed
                && let Some(container) = &history.container
            {
                fillers.push((r, container.clone()));
            }
        }
        for (r, container) in fillers {
            if let Some(&c) = self.rsc_by_id.get(&container)
                && self.rscs[c].removed
                && self.rscs[r].container.is_none()
                && c != r
            {
                self.rscs[r].container = Some(c);
                self.rscs[c].fillers.push(r);
            }
        }
    }

    fn unpack_resource(
        &mut self,
        n: NodeIx,
        state_ix: usize,
        ix: usize,
        history: &'c ResourceHistory,
    ) -> Option<RscIx> {
        let lock =
            self.opts.shutdown_lock && history.extra.iter().any(|(k, _)| k == "shutdown-lock");
        if history.operations.is_empty() && !lock {
            return None;
        }
        let r = match self.find_in_config(n, ix, history) {
            Found::Rsc(r) => r,
            Found::Unknown => self.new_removed(history),
        };
        if lock {
            self.unpack_lock(r, n, history);
        }
        let at = HistoryRef {
            node_state: state_ix,
            resource: ix,
        };
        // Nodes come one after the other: an earlier entry of this one is near the end.
        let nodes = self.nodes.len();
        let known = &mut self.rscs[r].history;
        if let Some(earlier) = known.iter_mut().rev().take(2).find(|(m, _)| *m == n) {
            earlier.1 = at;
        } else {
            if known.capacity() == 0 {
                known.reserve_exact(nodes);
            }
            known.push((n, at));
        }
        let (single, several);
        let ops: &[&'c OperationHistory] = match history.operations.as_slice() {
            [one] => {
                single = [one];
                &single
            }
            more => {
                several = in_order(more);
                &several
            }
        };
        let saved = self.rscs[r].role;
        self.rscs[r].role = Role::Unknown;
        let mut on_fail = OnFail::Ignore;
        let mut last_failure: Option<&'c OperationHistory> = None;
        for op in ops {
            self.unpack_result(r, n, op, &mut last_failure, &mut on_fail);
        }
        self.recurring_in_history(r, n, ops);
        self.judge_state(r, n, on_fail);
        if self.rscs[r].has_target
            && let Some(role) = self.target_role(r)
        {
            let next = self.rscs[r].next_role;
            if next == Role::Unknown || role < next {
                self.set_next_role(r, role, "target-role");
            }
        }
        if saved > self.rscs[r].role {
            self.rscs[r].role = saved;
        }
        Some(r)
    }

    fn unpack_lock(&mut self, r: RscIx, n: NodeIx, history: &ResourceHistory) {
        let at = history
            .extra
            .iter()
            .find(|(k, _)| k == "shutdown-lock")
            .and_then(|(_, v)| v.parse().ok());
        let Some(at) = at else { return };
        let limit = self.opts.shutdown_lock_limit_s;
        if limit > 0 && self.now > at + limit {
            self.action(r, Task::Delete, 0, Some(n), false);
            return;
        }
        self.rscs[r].lock_node = Some(n);
        self.rscs[r].lock_time = at;
        if limit > 0 {
            self.recheck_by(at + limit);
        }
    }

    fn find_in_config(&mut self, n: NodeIx, ix: usize, history: &ResourceHistory) -> Found {
        let id = &history.id;
        // Nodes mostly list resources in the same order.
        let exact = match self.history_guesses.get(ix) {
            Some(&r) if self.rscs[r].id == *id => Some(r),
            _ => self.rsc_by_id.get(id).copied(),
        };
        if let Some(r) = exact {
            if self.history_guesses.len() <= ix {
                self.history_guesses.resize(ix + 1, r);
            }
            self.history_guesses[ix] = r;
        }
        if let Some(r) = exact {
            if !self.is_primitive(r) {
                // The name was a primitive's once: what is left of that is to be cleaned up.
                return Found::Unknown;
            }
            let top = self.uber(r);
            if !self.is_anon_clone(top) {
                return Found::Rsc(r);
            }
        }
        let base = base_name(id);
        let Some(&clone) = self
            .anon_by_base
            .get(base)
            .or_else(|| self.anon_by_base.get(id.as_str()))
        else {
            return Found::Unknown;
        };
        let r = if let Some(bundle) = self.rscs[clone].parent {
            self.bundle_child_on(bundle, n)
        } else {
            Some(self.anonymous_instance(n, clone, base))
        };
        let Some(r) = r else { return Found::Unknown };
        if *id != self.rscs[r].id {
            self.rscs[r].history_id = Some(id.clone());
        }
        Found::Rsc(r)
    }

    /// The primitive of that base name within an instance.
    fn member_named(&self, instance: RscIx, base: &str) -> Option<RscIx> {
        if self.is_primitive(instance) {
            return (base_name(&self.rscs[instance].id) == base).then_some(instance);
        }
        self.rscs[instance]
            .children
            .iter()
            .copied()
            .find(|&c| base_name(&self.rscs[c].id) == base)
    }

    /// Nodes on which an instance (or any part of it) is active now.
    pub fn locations_now(&self, r: RscIx) -> Vec<NodeIx> {
        let mut out = Vec::new();
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        for leaf in leaves {
            for &n in &self.rscs[leaf].running {
                if !out.contains(&n) {
                    out.push(n);
                }
            }
        }
        out
    }

    fn anonymous_instance(&mut self, n: NodeIx, clone: RscIx, base: &str) -> RscIx {
        let mut found = None;
        let mut inactive = None;
        let mut skip = false;
        for &child in &self.rscs[clone].children {
            let on = self.locations_now(child);
            if let Some(&first) = on.first() {
                if first == n && found.is_none() {
                    found = self.member_named(child, base);
                    if found.is_some_and(|r| !self.rscs[r].running.is_empty()) {
                        skip = true;
                        found = None;
                    }
                }
            } else if !skip && inactive.is_none() && !self.rscs[child].blocked {
                inactive = self.member_named(child, base);
                if inactive.is_some_and(|r| self.rscs[r].pending_node.is_some_and(|p| p != n)) {
                    inactive = None;
                }
            }
        }
        if found.is_none() && !skip {
            found = inactive;
        }
        if let Some(r) = found {
            let node = &self.nodes[n];
            let doubtful = !self.rscs[r].needs_fencing
                && (!node.online || node.unclean)
                && !self.is_guest(n)
                && self.clone_info(clone).max < i32::try_from(self.nodes.len()).unwrap_or(i32::MAX);
            if !doubtful {
                return r;
            }
        }
        // More histories than instances: an extra instance, to be stopped.
        let made = self.new_instance(clone);
        let mut family = Vec::new();
        self.family(made, &mut family);
        for r in family {
            self.rscs[r].removed = true;
        }
        self.member_named(made, base).unwrap_or(made)
    }

    /// A resource that is in the history only.
    fn new_removed(&mut self, history: &'c ResourceHistory) -> RscIx {
        self.cfgs.push(PrimConfig {
            class: &history.class,
            provider: history.provider.as_deref(),
            agent: &history.agent,
            sets: Vec::new(),
            ops: Vec::new(),
            template: None,
            extra_params: Vec::new(),
            made_ops: Vec::new(),
            extra_meta: Vec::new(),
        });
        let cfg = self.cfgs.len() - 1;
        let r = self.new_primitive(history.id.clone(), cfg, None, None);
        self.rscs[r].removed = true;
        self.top.push(r);
        if self.rscs[r].remote_connection
            && let Some(n) = self.find_node(&history.id)
            && self.nodes[n].remote_rsc.is_none()
        {
            self.nodes[n].remote_rsc = Some(r);
            self.have_remote = true;
        }
        if history.container.is_some() {
            self.rscs[r].removed_filler = true;
        }
        if self.opts.stop_removed {
            self.ban_everywhere(r, "__orphan_do_not_run__");
        } else {
            self.rscs[r].managed = false;
        }
        r
    }

    /// Adds minus infinity on all nodes.
    pub(crate) fn ban_everywhere(&mut self, r: RscIx, id: &str) {
        let nodes: Vec<(NodeIx, i32)> = (0..self.nodes.len()).map(|n| (n, -INF)).collect();
        self.add_location(r, &nodes, id);
    }

    pub(crate) fn ban_on(&mut self, r: RscIx, n: NodeIx, id: &str) {
        self.add_location(r, &[(n, -INF)], id);
    }

    /// Adds scores to a resource and all below it, at once.
    pub(crate) fn add_location(&mut self, r: RscIx, nodes: &[(NodeIx, i32)], id: &str) {
        let mut family = Vec::new();
        self.family(r, &mut family);
        for x in family {
            for &(n, score) in nodes {
                let before = self.rscs[x].allowed[n];
                let cell = &mut self.rscs[x].allowed[n];
                cell.allowed = true;
                cell.score = crate::score::add(cell.score, score);
                self.ledger_note(x, n, before, || Cause::Rule(id.to_owned()));
            }
        }
    }

    /// Whose placement a failure on a node spoils: all instances where they are interchangeable.
    fn banned_one(&self, r: RscIx) -> RscIx {
        if self.rscs[r].unique { r } else { self.uber(r) }
    }

    fn unpack_result(
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
            key: h.history_key(),
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
            self.rscs[h.r].pending_action = Some(h.op.operation.clone());
            self.rscs[h.r].pending_node = Some(h.n);
        }
    }

    fn set_active(&mut self, r: RscIx) {
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

    /// Monitors that still run, as the history shows them.
    fn recurring_in_history(&mut self, r: RscIx, n: NodeIx, ops: &[&'c OperationHistory]) {
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
    fn judge_state(&mut self, r: RscIx, n: NodeIx, on_fail: OnFail) {
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

/// What a history entry stands for.
enum Found {
    Rsc(RscIx),
    Unknown,
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
