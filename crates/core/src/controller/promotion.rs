//! A promotion of what runs already does not wait for other instances to start.
//!
//! Pacemaker orders promotions after all starts of a clone. A host that comes back after its fencing, and whose
//! instance takes long to start, then holds up the service on the hosts that never failed. Here such starts wait for
//! the next transition.

use std::collections::BTreeSet;

use quorate_policy::plan::{Action, ActionId, ActionKind, Plan};

use crate::orders::meta_of;

/// The resource without its instance's number.
fn base(action: &Action) -> Option<&str> {
    let id = &action.resource.as_ref()?.id;
    id.split(':').next()
}

/// Takes the starts out that a possible promotion would wait for, with all that waits for them.
pub(super) fn promote_first(mut plan: Plan) -> Plan {
    let of_kind = |kind: ActionKind| -> BTreeSet<(&str, &str)> {
        let all = plan.actions.iter().filter(|action| action.kind == kind);
        all.filter_map(|action| Some((base(action)?, action.node.as_deref()?)))
            .collect()
    };
    let starts = of_kind(ActionKind::Start);
    let promotes = of_kind(ActionKind::Promote);
    let first: BTreeSet<&str> = promotes.difference(&starts).map(|(id, _)| *id).collect();
    let is_first = |action: &Action| base(action).is_some_and(|id| first.contains(id));
    let late: Vec<bool> = plan
        .actions
        .iter()
        .map(|action| {
            let tells_of_starts = action.kind == ActionKind::Notify
                && meta_of(action, "notify_operation") == Some("start")
                && meta_of(action, "notify_owed").is_none();
            is_first(action) && (action.kind == ActionKind::Start || tells_of_starts)
        })
        .collect();
    if !late.contains(&true) {
        return plan;
    }
    let promoting: Vec<bool> = plan
        .actions
        .iter()
        .map(|action| is_first(action) && action.kind == ActionKind::Promote)
        .collect();
    let needed = ancestors(&plan, &promoting, &late);
    let after = descendants(&plan, &promoting);
    let behind = descendants(&plan, &late);
    let gone: Vec<bool> = (0..plan.actions.len())
        .map(|n| late[n] || behind[n] && !needed[n] && !after[n])
        .collect();
    // A start goes only with all its instance gets: what cannot be cut out cleanly stays as it was.
    without(&mut plan, &gone);
    plan
}

/// All that `from` waits for, not looking beyond `barrier`.
fn ancestors(plan: &Plan, from: &[bool], barrier: &[bool]) -> Vec<bool> {
    let mut found = from.to_vec();
    let mut work: Vec<usize> = (0..found.len()).filter(|n| found[*n]).collect();
    while let Some(n) = work.pop() {
        for input in &plan.actions[n].inputs {
            let input = input.0 as usize;
            if !found[input] && !barrier[input] {
                found[input] = true;
                work.push(input);
            }
        }
    }
    found
}

/// All that waits for `from`.
fn descendants(plan: &Plan, from: &[bool]) -> Vec<bool> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); plan.actions.len()];
    for (n, action) in plan.actions.iter().enumerate() {
        for input in &action.inputs {
            next[input.0 as usize].push(n);
        }
    }
    let mut found = from.to_vec();
    let mut work: Vec<usize> = (0..found.len()).filter(|n| found[*n]).collect();
    while let Some(n) = work.pop() {
        for then in &next[n] {
            if !found[*then] {
                found[*then] = true;
                work.push(*then);
            }
        }
    }
    found
}

fn without(plan: &mut Plan, gone: &[bool]) {
    let mut position = vec![None; gone.len()];
    let mut next = 0_u32;
    for (n, is_gone) in gone.iter().enumerate() {
        if !is_gone {
            position[n] = Some(ActionId(next));
            next += 1;
        }
    }
    let mut n = 0;
    plan.actions.retain(|_| {
        n += 1;
        !gone[n - 1]
    });
    for action in &mut plan.actions {
        action.inputs = action
            .inputs
            .iter()
            .filter_map(|input| position[input.0 as usize])
            .collect();
    }
}
