//! Carries out a graph on a copy of the status.

use super::inject::{Outcome, count_failure, write_result};
use crate::action::{Task, flag};
use crate::world::{ActIx, World};
use quorate_model::cib::Cib;
use quorate_model::status::{NodeState, OperationHistory, ResourceHistory};
use std::fmt::Write;

/// Runs all actions, in the order in which they become possible; returns what was said.
pub(crate) fn execute(world: &World<'_>, cib: &mut Cib, failing: &[Outcome]) -> String {
    let mut out = String::new();
    let mut place = vec![usize::MAX; world.actions.len()];
    for (ix, &a) in world.graph.iter().enumerate() {
        place[a] = ix;
    }
    let mut done = vec![false; world.graph.len()];
    let mut progress = true;
    while progress {
        progress = false;
        for ix in 0..world.graph.len() {
            let ready = !done[ix]
                && world.graph_inputs[ix]
                    .iter()
                    .all(|&f| place[f] != usize::MAX && done[place[f]]);
            if ready {
                one(world, world.graph[ix], cib, &mut out);
                if let Some(outcome) = failure(world, world.graph[ix], failing) {
                    // Nothing after a failure is carried out: the cluster would decide anew.
                    fail(world, world.graph[ix], outcome, cib, &mut out);
                    return out;
                }
                done[ix] = true;
                progress = true;
            }
        }
    }
    out
}

/// Whether an action is to fail.
fn failure<'f>(world: &World<'_>, a: ActIx, failing: &'f [Outcome]) -> Option<&'f Outcome> {
    let action = &world.actions[a];
    let (r, n) = (action.rsc?, action.node?);
    if action.is(flag::PSEUDO) {
        return None;
    }
    let name = world.shown_rsc(r, Some(n));
    failing.iter().find(|outcome| {
        (outcome.resource == name || outcome.resource == world.rscs[r].id)
            && outcome.task == action.task_text()
            && i64::try_from(outcome.interval_ms) == Ok(action.interval_ms)
            && outcome.node == world.nodes[n].name
    })
}

/// The result that was asked for instead of success.
fn fail(world: &World<'_>, a: ActIx, outcome: &Outcome, cib: &mut Cib, out: &mut String) {
    let action = &world.actions[a];
    let (Some(r), Some(n)) = (action.rsc, action.node) else {
        return;
    };
    let node = &world.nodes[n];
    let _ = writeln!(
        out,
        "Pretending action {} failed with rc={}",
        a + 1,
        outcome.rc
    );
    let name = world.shown_rsc(r, Some(n));
    count_failure(cib, outcome, (&node.id, &node.name), world.now, out);
    let state = state_of(cib, &node.id, &node.name);
    if let Some(history) = state.resources.iter_mut().find(|h| h.id == name) {
        write_result(history, outcome, action.target_rc.unwrap_or(0), world.now);
    }
}

fn one(world: &World<'_>, a: ActIx, cib: &mut Cib, out: &mut String) {
    let action = &world.actions[a];
    let node = action.node.map(|n| world.nodes[n].name.as_str());
    if action.is(flag::PSEUDO) {
        let key = world.shown_key(a);
        let on = match (action.task, node) {
            (Task::Stonith, Some(n)) => format!(" on {n}"),
            _ => String::new(),
        };
        let _ = writeln!(out, "  * Pseudo action:   {key}{on}");
        return;
    }
    match action.task {
        Task::Stonith => fence(world, a, cib, out),
        Task::Shutdown | Task::ClearFailcount | Task::Maintenance => {
            let task = action.task.text();
            let on = node.map_or_else(String::new, |n| format!(" on {n}"));
            let what = action
                .rsc
                .map_or_else(String::new, |r| format!(" for {}", world.names(r).0));
            let _ = writeln!(out, "  * Cluster action:  {task}{what}{on}");
        }
        _ => resource(world, a, cib, out),
    }
}

fn fence(world: &World<'_>, a: ActIx, cib: &mut Cib, out: &mut String) {
    let action = &world.actions[a];
    let Some(n) = action.node else { return };
    let node = &world.nodes[n];
    let op = action
        .meta
        .get("stonith_action")
        .map_or("reboot", String::as_str);
    let _ = writeln!(out, "  * Fencing {} ({op})", node.name);
    if op == "on" {
        return;
    }
    let state = state_of(cib, &node.id, &node.name);
    state.in_cluster = Some("false".to_owned());
    state.crmd = Some("offline".to_owned());
    state.join = Some("down".to_owned());
    state.expected = Some("down".to_owned());
    state.transient.clear();
    state.resources.clear();
    state.has_history = false;
}

pub(crate) fn state_of<'a>(cib: &'a mut Cib, id: &str, name: &str) -> &'a mut NodeState {
    let at = cib
        .status
        .nodes
        .iter()
        .position(|s| s.id == id || s.uname == name);
    let at = match at {
        Some(at) => at,
        None => {
            cib.status.nodes.push(NodeState {
                id: id.to_owned(),
                uname: name.to_owned(),
                in_cluster: Some("true".to_owned()),
                crmd: Some("online".to_owned()),
                join: Some("member".to_owned()),
                expected: Some("member".to_owned()),
                ..NodeState::default()
            });
            cib.status.nodes.len() - 1
        }
    };
    &mut cib.status.nodes[at]
}

fn resource(world: &World<'_>, a: ActIx, cib: &mut Cib, out: &mut String) {
    let action = &world.actions[a];
    let (Some(r), Some(n)) = (action.rsc, action.node) else {
        return;
    };
    let node = &world.nodes[n];
    let name = world.shown_rsc(r, Some(n));
    let task = if action.task == Task::Delete {
        "delete"
    } else {
        action.task_text()
    };
    let interval = action.cancel.map_or(action.interval_ms, |c| c.1);
    let shown = if interval > 0 {
        format!("{task}={interval}")
    } else {
        task.to_owned()
    };
    let _ = writeln!(
        out,
        "  * Resource action: {name:<15} {shown} on {}",
        node.name
    );
    let remote = world.is_remote(n);
    let state = state_of(cib, &node.id, &node.name);
    if remote {
        state.in_cluster = Some("true".to_owned());
    }
    match action.task {
        Task::Notify => return,
        Task::Delete => {
            state.resources.retain(|h| h.id != name);
            return;
        }
        _ => {}
    }
    let cfg = world.cfg(r);
    state.has_history = true;
    let at = match state.resources.iter().position(|h| h.id == name) {
        Some(at) => at,
        None => {
            state.resources.push(ResourceHistory {
                id: name.as_str().into(),
                class: cfg.class.into(),
                provider: cfg.provider.map(Into::into),
                agent: cfg.agent.into(),
                ..ResourceHistory::default()
            });
            state.resources.len() - 1
        }
    };
    let history = &mut state.resources[at];
    if let Some((task, interval)) = action.cancel {
        history.operations.retain(|o| {
            !(o.operation == task.text() && i64::try_from(o.interval_ms).unwrap_or(0) == interval)
        });
        return;
    }
    record(world, a, &name, history);
}

/// Notes the result that was asked for.
fn record(world: &World<'_>, a: ActIx, name: &str, history: &mut ResourceHistory) {
    let action = &world.actions[a];
    // A reload is remembered as the start that it stands for, so that it ends failures as one does.
    let task = match action.task {
        Task::Reload => Task::Start.text(),
        _ => action.task_text(),
    };
    let rc: i32 = action.target_rc.unwrap_or(0);
    let call_id = history
        .operations
        .iter()
        .map(|o| o.call_id)
        .max()
        .unwrap_or(0)
        .max(0)
        + 1;
    let key = format!("{name}_{task}_{}", action.interval_ms);
    let id = if action.interval_ms > 0 || matches!(action.task, Task::MigrateTo | Task::MigrateFrom)
    {
        key.clone()
    } else {
        format!("{name}_last_0")
    };
    let mut extra = Vec::new();
    for field in ["migrate_source", "migrate_target"] {
        if let Some(v) = action.meta.get(field) {
            extra.push((field.into(), v.into()));
        }
    }
    let r = action.rsc.expect("a resource's action");
    let n = action.node.expect("an executed action has a node");
    let digest = crate::digest::of(&world.digest_params(r, task, action.interval_ms, n));
    let transition = format!("{}:-1:{rc}:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", a + 1);
    let result = OperationHistory {
        id: id.into(),
        key: Some(key.into()),
        operation: task.into(),
        call_id,
        rc,
        status: 0,
        interval_ms: u64::try_from(action.interval_ms).unwrap_or(0),
        transition_magic: Some(format!("0:{rc};{transition}").into()),
        transition_key: Some(transition.into()),
        last_rc_change: Some(world.now),
        digest: Some(digest.into()),
        extra,
        ..OperationHistory::default()
    };
    match history.operations.iter_mut().find(|o| o.id == result.id) {
        Some(old) => *old = result,
        None => history.operations.push(result),
    }
}
