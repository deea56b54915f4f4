//! What the configuration says of an operation: its meta attributes, failure policy, requirements.

use crate::action::{Meta, Needs, Task};
use crate::nvset;
use crate::rule::Facts;
use crate::score::{is_true, parse_bool, parse_ms};
use crate::world::{ActIx, NodeIx, OnFail, Role, RscIx, World};
use quorate_model::cib::{AttributeSet, Operation, SetKind};
use std::collections::BTreeMap;

/// Attributes of an `op` that only the engine reads.
const NOT_META: [&str; 4] = ["id", "name", "interval-origin", "start-delay"];

/// Interval of a configured operation, milliseconds.
pub fn interval_of(op: &Operation) -> i64 {
    op.interval.as_deref().and_then(parse_ms).unwrap_or(0)
}

/// An attribute of the element, or of its meta sets.
pub fn attribute<'o>(op: &'o Operation, name: &str) -> Option<&'o str> {
    op.extra
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
        .or_else(|| {
            op.sets
                .iter()
                .filter(|s| s.kind == SetKind::Meta)
                .flat_map(|s| &s.pairs)
                .find(|p| p.name == name)
                .and_then(|p| p.value.as_deref())
        })
}

/// Whether a configured operation is enabled.
pub fn enabled(op: &Operation) -> bool {
    attribute(op, "enabled")
        .and_then(parse_bool)
        .unwrap_or(true)
}

impl<'c> World<'c> {
    /// The configured operation of a name and interval.
    pub fn find_op(
        &self,
        r: RscIx,
        name: &str,
        interval_ms: i64,
        disabled_too: bool,
    ) -> Option<&Operation> {
        if !self.is_primitive(r) {
            return None;
        }
        let cfg = self.cfg(r);
        cfg.ops
            .iter()
            .copied()
            .chain(cfg.made_ops.iter())
            .find(|o| {
                o.name == name && interval_of(o) == interval_ms && (disabled_too || enabled(o))
            })
    }

    /// Meta attributes that an action of that name, interval and node has.
    pub fn op_meta(&self, r: RscIx, name: &str, interval_ms: i64) -> BTreeMap<String, String> {
        let mut meta = BTreeMap::new();
        let mut agent = None;
        let op = if self.is_primitive(r) {
            let cfg = self.cfg(r);
            agent = Some((cfg.class, cfg.provider, cfg.agent));
            self.op_for(r, name, interval_ms)
        } else {
            None
        };
        let facts = Facts {
            now: self.now,
            agent,
            op: Some((name, interval_ms)),
            ..Facts::default()
        };
        let probe = name == "monitor" && interval_ms == 0;
        if probe && self.is_primitive(r) {
            // A probe borrows the timeout of the most frequent monitor.
            if let Some(timeout) = self.frequent_monitor_timeout(r) {
                meta.insert("timeout".to_owned(), timeout);
            }
        }
        if let Some(op) = op {
            let mut own = BTreeMap::new();
            let sets: Vec<&AttributeSet> = op.sets.iter().collect();
            let mut borrowed: Vec<(String, String)> = Vec::new();
            for (n, v) in &op.extra {
                if !NOT_META.contains(&n.as_str()) {
                    own.insert(n.clone(), v.clone());
                }
            }
            collect_owned(&sets, SetKind::Meta, &facts, &mut own);
            borrowed.extend(own);
            for (n, v) in borrowed {
                meta.insert(n, v);
            }
            meta.insert("name".to_owned(), name.to_owned());
        }
        let defaults: Vec<&AttributeSet> =
            self.cib.configuration.operation_defaults.iter().collect();
        let mut fallback = BTreeMap::new();
        nvset::collect(
            &defaults,
            SetKind::Meta,
            None,
            &facts,
            &self.set_by_id,
            &mut fallback,
        );
        for (n, v) in fallback {
            meta.entry(n).or_insert(v);
        }
        meta.remove("id");
        meta.remove("interval");
        if interval_ms > 0 {
            meta.insert("interval".to_owned(), interval_ms.to_string());
        }
        if let Some(delay) = op.and_then(|o| attribute(o, "start-delay")) {
            meta.insert(
                "start-delay".to_owned(),
                parse_ms(delay).unwrap_or(0).to_string(),
            );
        }
        if let Some(origin) = op.and_then(|o| attribute(o, "interval-origin"))
            && let Some(at) = crate::time::parse(origin)
            && interval_ms >= 1000
        {
            // It runs at whole intervals from then on.
            let wait_s = (at - self.now).rem_euclid(interval_ms / 1000);
            meta.insert("start-delay".to_owned(), (wait_s * 1000).to_string());
            meta.insert("interval-origin".to_owned(), origin.to_owned());
        }
        let timeout = meta
            .get("timeout")
            .and_then(|t| parse_ms(t))
            .unwrap_or(20_000);
        meta.insert("timeout".to_owned(), timeout.max(0).to_string());
        meta
    }

    /// The timeout among [`World::op_meta`], which most often has been asked before.
    pub fn op_timeout(&self, r: RscIx, name: &str, interval_ms: i64) -> Option<String> {
        let task = Task::parse(name);
        let asked = self.rscs[r].op_metas.iter();
        match asked
            .filter(|m| m.0 == task && task.text() == name)
            .find(|m| m.1 == interval_ms)
        {
            Some((_, _, meta)) => meta.get("timeout").cloned(),
            None => self.op_meta(r, name, interval_ms).remove("timeout"),
        }
    }

    /// The configured operation that speaks for an action; a promote or start is looked up as itself.
    fn op_for(&self, r: RscIx, name: &str, interval_ms: i64) -> Option<&Operation> {
        self.find_op(r, name, interval_ms, true)
    }

    fn frequent_monitor_timeout(&self, r: RscIx) -> Option<String> {
        let cfg = self.cfg(r);
        let op = cfg
            .ops
            .iter()
            .copied()
            .chain(cfg.made_ops.iter())
            .filter(|o| o.name == "monitor" && interval_of(o) > 0 && enabled(o))
            .min_by_key(|o| interval_of(o))?;
        attribute(op, "timeout").map(str::to_owned)
    }

    /// Fills in what the configuration says of an action.
    pub fn configure(&mut self, a: ActIx) {
        let action = &self.actions[a];
        let Some(r) = action.rsc else { return };
        let (task, interval_ms) = (action.task, action.interval_ms);
        let meta = match self.rscs[r]
            .op_metas
            .iter()
            .find(|m| m.0 == task && m.1 == interval_ms)
        {
            Some((_, _, meta)) => meta.clone(),
            None => {
                let meta = Meta::from(self.op_meta(r, task.text(), interval_ms));
                self.rscs[r]
                    .op_metas
                    .push((task, interval_ms, meta.clone()));
                meta
            }
        };
        let needs = if !matches!(task, Task::Start | Task::Promote) {
            Needs::Nothing
        } else if self.rscs[r].needs_fencing {
            Needs::Fencing
        } else if self.rscs[r].needs_quorum {
            Needs::Quorum
        } else {
            Needs::Nothing
        };
        let on_fail = self.on_fail(r, task.text(), interval_ms, &meta);
        let mut meta = meta;
        if task == Task::Stop && meta.get("on-fail").is_some_and(|v| v == "stop") {
            // To stop what failed to stop says nothing; whoever executes it is not told.
            meta.remove("on-fail");
        }
        let fail_role = self.fail_role(r, task.text(), on_fail);
        let entry = self.find_op(r, task.text(), interval_ms, true).is_some();
        let action = &mut self.actions[a];
        action.meta = meta;
        action.needs = needs;
        action.on_fail = on_fail;
        action.fail_role = fail_role;
        action.op_entry = entry;
    }

    /// What a failure of an operation leads to.
    pub fn on_fail(
        &self,
        r: RscIx,
        name: &str,
        interval_ms: i64,
        meta: &BTreeMap<String, String>,
    ) -> OnFail {
        let mut value = meta.get("on-fail").map(|v| v.to_ascii_lowercase());
        if value.as_deref() == Some("demote")
            && !self.may_demote_on_fail(r, name, interval_ms, meta)
        {
            value = None;
        }
        if name == "demote" && value.is_none() {
            value = self.demote_on_fail_of_monitor(r);
        }
        if name == "stop"
            && matches!(
                value.as_deref(),
                Some("standby" | "stop" | "restart" | "demote" | "migrate")
            )
        {
            // Only what keeps a resource that may still run from being started elsewhere makes sense.
            if value.as_deref() != Some("standby") {
                value = None;
            }
        }
        let rsc = &self.rscs[r];
        let explicit = match value.as_deref() {
            Some("block") => Some(OnFail::Block),
            Some("fence") if self.opts.fencing => Some(OnFail::Fence),
            Some("standby") => Some(OnFail::Standby),
            Some("ignore" | "nothing") => Some(OnFail::Ignore),
            Some("migrate") => Some(OnFail::Ban),
            Some("stop") => Some(OnFail::Stop),
            Some("restart") => Some(OnFail::Restart),
            Some("restart-container") if rsc.container.is_some() => Some(OnFail::RestartContainer),
            Some("demote") => Some(OnFail::Demote),
            _ => None,
        };
        let probe = name == "monitor" && interval_ms == 0;
        let bare = rsc.remote_connection && rsc.container.is_none();
        if bare && !probe && name != "start" {
            if !rsc.managed {
                return OnFail::Stop;
            }
            if explicit != Some(OnFail::Fence) || self.opts.fencing {
                return OnFail::ResetRemote;
            }
        }
        if let Some(explicit) = explicit {
            return explicit;
        }
        if rsc.container.is_some() {
            // What lives in a container is recovered by restarting that.
            return OnFail::RestartContainer;
        }
        if name == "stop" {
            return if self.opts.fencing {
                OnFail::Fence
            } else {
                OnFail::Block
            };
        }
        OnFail::Restart
    }

    fn may_demote_on_fail(
        &self,
        r: RscIx,
        name: &str,
        interval_ms: i64,
        meta: &BTreeMap<String, String>,
    ) -> bool {
        let _ = r;
        let promoted = meta.get("role").and_then(|v| Role::parse(v)) == Some(Role::Promoted);
        match name {
            "promote" => true,
            "monitor" => interval_ms > 0 && promoted,
            _ => false,
        }
    }

    /// A demote without a policy of its own takes `demote` from a monitor of the promoted role.
    fn demote_on_fail_of_monitor(&self, r: RscIx) -> Option<String> {
        if !self.is_primitive(r) {
            return None;
        }
        let cfg = self.cfg(r);
        cfg.ops
            .iter()
            .filter(|o| o.name == "monitor" && interval_of(o) > 0 && enabled(o))
            .filter(|o| attribute(o, "role").and_then(Role::parse) == Some(Role::Promoted))
            .filter_map(|o| attribute(o, "on-fail"))
            .find(|v| !v.eq_ignore_ascii_case("demote"))
            .map(str::to_owned)
    }

    /// Role after a failure.
    pub fn fail_role(&self, r: RscIx, name: &str, on_fail: OnFail) -> Role {
        match on_fail {
            OnFail::Stop => Role::Stopped,
            OnFail::ResetRemote if self.rscs[r].remote_reconnect_ms != 0 => Role::Stopped,
            _ if name == "promote" => Role::Unpromoted,
            _ => Role::Started,
        }
    }

    /// Whether a start failure counts at once as often as the threshold asks.
    pub fn is_op_true(&self, r: RscIx, name: &str, key: &str) -> bool {
        is_true(
            self.find_op(r, name, 0, true)
                .and_then(|o| attribute(o, key)),
        )
    }

    /// Parameters that an operation itself carries.
    pub fn op_params(
        &self,
        r: RscIx,
        name: &str,
        interval_ms: i64,
        node: Option<NodeIx>,
    ) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        if let Some(op) = self.find_op(r, name, interval_ms, true)
            && !op.sets.is_empty()
        {
            let cfg = self.cfg(r);
            let facts = Facts {
                now: self.now,
                node: node.map(|n| &self.nodes[n].attrs),
                agent: Some((cfg.class, cfg.provider, cfg.agent)),
                op: Some((name, interval_ms)),
                ..Facts::default()
            };
            let sets: Vec<&AttributeSet> = op.sets.iter().collect();
            collect_owned(&sets, SetKind::Instance, &facts, &mut out);
        }
        out
    }
}

/// [`nvset::collect`] for sets that do not refer to others.
fn collect_owned(
    sets: &[&AttributeSet],
    kind: SetKind,
    facts: &Facts<'_>,
    out: &mut BTreeMap<String, String>,
) {
    nvset::collect(sets, kind, None, facts, &nvset::SetIndex::new(), out);
}
