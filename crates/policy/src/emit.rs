//! The plan as callers get it.

use crate::action::{Action, Task, flag, op_key};
use crate::plan::{self, ActionId, ActionKind, Blocked, Plan, Reason, ResourceRef};
use crate::reasons::{Wants, blocked, placement, why};
use crate::world::{ActIx, NodeIx, RscIx, World};
use std::collections::BTreeMap;

impl World<'_> {
    /// Names by which an instance goes: what executors use, and what it is also known by.
    pub(crate) fn names(&self, r: RscIx) -> (String, Option<String>) {
        let rsc = &self.rscs[r];
        if rsc.unique {
            return (rsc.id.clone(), None);
        }
        let base = crate::facts::failcount_base(&rsc.id).to_owned();
        let long = match rsc.history_id.as_deref() {
            Some(h) if h != base => h.to_owned(),
            _ => rsc.id.clone(),
        };
        (base, Some(long))
    }

    /// The key as executors know it, and the engine's own where it differs.
    pub(crate) fn keys(&self, a: &Action) -> (String, Option<String>) {
        let Some(r) = a.rsc else {
            return (a.key.clone(), None);
        };
        let rsc = &self.rscs[r];
        match rsc.history_id.as_deref() {
            Some(h) if h != rsc.id => {
                let of = |name: &str| a.meta.get(name).map_or("", String::as_str);
                let shown = match a.task {
                    Task::Notify => format!(
                        "{h}_{}_notify_{}_0",
                        of("notify_type"),
                        of("notify_operation")
                    ),
                    Task::Notified => format!("{h}_notified_0"),
                    _ => format!("{h}{}", a.key.strip_prefix(&rsc.id).unwrap_or("")),
                };
                (shown, Some(a.key.clone()))
            }
            _ => (a.key.clone(), None),
        }
    }

    /// The node that executes on behalf of a remote or guest.
    pub(crate) fn router(&self, a: &Action) -> Option<NodeIx> {
        let n = a.node?;
        if !self.is_remote(n) || a.task == Task::Stonith && self.is_guest(n) {
            return None;
        }
        let remote = self.nodes[n].remote_rsc?;
        let rsc = &self.rscs[remote];
        let before = rsc.running.first().copied();
        let after = rsc.assigned;
        let stopping = self
            .actions_of(remote, Task::Stop, None)
            .iter()
            .any(|&s| !self.actions[s].is(flag::OPTIONAL));
        let moves = before.is_some() && after.is_some() && before != after;
        let down = matches!(
            a.task,
            Task::Stop | Task::Demote | Task::MigrateTo | Task::Cancel
        ) || (a.task == Task::Notify
            && a.meta
                .get("notify_key_operation")
                .is_some_and(|k| matches!(k.as_str(), "stop" | "demote" | "stopped" | "demoted")));
        if before.is_none() {
            return after;
        }
        if after.is_none() {
            return before;
        }
        if moves && stopping && down {
            return before;
        }
        if moves && !stopping {
            return if down { before } else { after };
        }
        after.or(before)
    }

    /// `CRM_meta_` variables of an action.
    pub(crate) fn meta_of_action(&self, a: ActIx) -> BTreeMap<String, String> {
        let action = &self.actions[a];
        let mut out = BTreeMap::new();
        for (k, v) in action.meta.iter() {
            out.insert(k.replace('-', "_"), v.clone());
        }
        if let Some(rc) = action.target_rc {
            out.insert("op_target_rc".to_owned(), rc.to_string());
        }
        if let Some(n) = action.node
            && !action.is(flag::PSEUDO)
        {
            out.insert("on_node".to_owned(), self.nodes[n].name.clone());
            out.insert("on_node_uuid".to_owned(), self.nodes[n].id.clone());
        }
        out
    }

    /// Parameters of an action, resolved for its node.
    pub(crate) fn params_of_action(&self, a: ActIx) -> BTreeMap<String, String> {
        let action = &self.actions[a];
        let Some(r) = action.rsc else {
            return BTreeMap::new();
        };
        if !self.is_primitive(r) {
            return BTreeMap::new();
        }
        let mut params = self.params(r, action.node);
        let task = action.cancel.map_or(action.task, |c| c.0);
        for (k, v) in self.op_params(r, task.text(), action.interval_ms, action.node) {
            params.insert(k, v);
        }
        self.host_address(r, action.node, &mut params);
        params
    }
}

/// The plan from a finished world.
pub(crate) fn plan(world: &World<'_>) -> Plan {
    let mut number: BTreeMap<ActIx, u32> = BTreeMap::new();
    for (ix, &a) in world.graph.iter().enumerate() {
        number.insert(a, u32::try_from(ix).unwrap_or(u32::MAX));
    }
    let mut out = Plan {
        recheck_at: world.recheck,
        batch_limit: world.opts.batch_limit,
        warnings: world.warnings.clone(),
        ..Plan::default()
    };
    for (ix, &a) in world.graph.iter().enumerate() {
        let inputs = world.graph_inputs[ix]
            .iter()
            .filter_map(|f| number.get(f))
            .map(|&n| ActionId(n))
            .collect();
        out.actions.push(plan_action(world, a, inputs));
    }
    let mut leaves = Vec::new();
    for &r in &world.top {
        world.leaves(r, &mut leaves);
    }
    for r in leaves {
        out.placements.push(placement(world, r));
        blocked(world, r, &mut out.blocked);
    }
    for (n, node) in world.nodes.iter().enumerate() {
        if node.unclean && !world.can_fence(n) {
            out.blocked.push(Blocked {
                what: node.name.clone(),
                reason: Reason {
                    text: format!("{} is unclean and cannot be fenced", node.name),
                    because_of: Vec::new(),
                },
                way_out: format!(
                    "make sure that it is off, then: quorate fence confirm {}",
                    node.name
                ),
            });
        }
    }
    out
}

fn kind(action: &Action, world: &World<'_>) -> ActionKind {
    if action.is(flag::PSEUDO) {
        return ActionKind::Pseudo;
    }
    match action.task {
        Task::Monitor if action.interval_ms == 0 => ActionKind::Probe,
        Task::Monitor => ActionKind::Monitor,
        Task::Start => ActionKind::Start,
        Task::Stop => ActionKind::Stop,
        Task::Promote => ActionKind::Promote,
        Task::Demote => ActionKind::Demote,
        Task::Notify => ActionKind::Notify,
        Task::MigrateTo => ActionKind::MigrateTo,
        Task::MigrateFrom => ActionKind::MigrateFrom,
        Task::Reload => ActionKind::Reload,
        Task::Cancel => ActionKind::Cancel,
        Task::Delete => ActionKind::Delete,
        Task::Shutdown => ActionKind::Shutdown,
        Task::ClearFailcount => ActionKind::ClearFailcount,
        Task::Stonith => {
            if action.meta.get("stonith_action").map(String::as_str) == Some("on") {
                ActionKind::Unfence
            } else {
                ActionKind::Fence
            }
        }
        Task::Maintenance => ActionKind::Bookkeeping,
        _ => {
            let _ = world;
            if action.interval_ms > 0 {
                ActionKind::Monitor
            } else {
                ActionKind::Pseudo
            }
        }
    }
}

fn plan_action(world: &World<'_>, a: ActIx, inputs: Vec<ActionId>) -> plan::Action {
    let action = &world.actions[a];
    let mut meta = world.meta_of_action(a);
    let mut parameters = world.params_of_action(a);
    around(world, action, &mut meta, &mut parameters);
    let number = |name: &str| {
        meta.get(name)
            .and_then(|v| v.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let node = action.node.map(|n| world.nodes[n].name.clone());
    let router = world
        .router(action)
        .map(|n| world.nodes[n].name.clone())
        .or_else(|| node.clone());
    let pseudo = action.is(flag::PSEUDO);
    let resource = action.rsc.filter(|&r| world.is_primitive(r)).map(|r| {
        let cfg = world.cfg(r);
        let (id, long) = world.names(r);
        let known = world.rscs[r].history_id.clone();
        ResourceRef {
            id: known.or(long).unwrap_or_else(|| id.clone()),
            instance: id,
            class: cfg.class.to_owned(),
            provider: cfg.provider.map(str::to_owned),
            agent: cfg.agent.to_owned(),
        }
    });
    let (key, _) = world.keys(action);
    let interval = action.cancel.map_or(action.interval_ms, |c| c.1);
    let key = match action.cancel {
        Some((task, ms)) => op_key(
            resource.as_ref().map_or("", |r| r.id.as_str()),
            task.text(),
            ms,
        ),
        None => key,
    };
    plan::Action {
        kind: kind(action, world),
        key,
        resource,
        node: if pseudo && action.task != Task::Stonith {
            None
        } else {
            node
        },
        router: if pseudo { None } else { router },
        inputs,
        parameters: parameters.into_iter().collect(),
        timeout_ms: timeout(world, action, number("timeout")),
        interval_ms: u64::try_from(interval).unwrap_or(0),
        expected_rc: action.target_rc.unwrap_or(0),
        failure_is_harmless: action.on_fail == crate::world::OnFail::Ignore
            || matches!(
                action.task,
                Task::Notify | Task::ClearFailcount | Task::Cancel
            ),
        priority: action
            .priority
            .max(action.rsc.map_or(0, |r| world.rscs[r].priority)),
        reason: why(world, action, wants(world)),
        meta: meta.into_iter().collect(),
    }
}

/// What the clone, the bundle and the guest node around a resource say about it: an agent learns from these that it
/// is one of several copies, and how many may be promoted.
fn around(
    world: &World<'_>,
    action: &Action,
    meta: &mut BTreeMap<String, String>,
    parameters: &mut BTreeMap<String, String>,
) {
    let Some(r) = action.rsc else { return };
    let mut all = BTreeMap::new();
    world.outer_meta(r, &mut all);
    world.guest_meta(action, r, &mut all);
    for (name, value) in all {
        match name.strip_prefix("CRM_meta_") {
            Some(short) => meta.insert(short.to_owned(), value),
            None => parameters.insert(name, value),
        };
    }
}

fn timeout(world: &World<'_>, action: &Action, configured: i64) -> u64 {
    let ms = if action.task == Task::Stonith {
        world.opts.fencing_timeout_ms
    } else {
        configured
    };
    u64::try_from(ms).unwrap_or(20_000)
}

/// Lines of the configuration are searched for only where an explanation was asked for.
fn wants(world: &World<'_>) -> Wants {
    if world.ledger.is_some() {
        Wants::Lines
    } else {
        Wants::Words
    }
}
