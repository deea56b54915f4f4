//! How long services are away while plans are carried out, from the timers alone.
//!
//! An upper bound: every action takes as long as it may. Actions that may run at the same time do.

use crate::plan::{Action, ActionKind, Plan};

/// When each action has ended at the latest, in milliseconds from the plan's beginning.
#[must_use]
pub fn ends(plan: &Plan, fencing_ms: u64) -> Vec<u64> {
    let mut end: Vec<Option<u64>> = vec![None; plan.actions.len()];
    for root in 0..plan.actions.len() {
        let mut stack = vec![(root, false)];
        while let Some((ix, inputs_done)) = stack.pop() {
            if end[ix].is_some() {
                continue;
            }
            let inputs = plan.actions[ix]
                .inputs
                .iter()
                .map(|i| i.0 as usize)
                .filter(|i| *i < end.len());
            if inputs_done {
                let begin = inputs.filter_map(|i| end[i]).max().unwrap_or(0);
                end[ix] = Some(begin.saturating_add(duration_ms(&plan.actions[ix], fencing_ms)));
            } else {
                stack.push((ix, true));
                stack.extend(inputs.filter(|i| end[*i].is_none()).map(|i| (i, false)));
                if stack.len() > 4 * plan.actions.len().pow(2).max(64) {
                    break;
                }
            }
        }
    }
    end.into_iter().map(|e| e.unwrap_or(0)).collect()
}

/// The longest that an action may take.
#[must_use]
pub fn duration_ms(action: &Action, fencing_ms: u64) -> u64 {
    match action.kind {
        ActionKind::Fence => fencing_ms,
        ActionKind::Pseudo
        | ActionKind::Cancel
        | ActionKind::Delete
        | ActionKind::Bookkeeping
        | ActionKind::ClearFailcount
        // A monitor begins when the service is there; nobody waits for it.
        | ActionKind::Monitor
        | ActionKind::Shutdown => 0,
        _ => action.timeout_ms,
    }
}

/// When a series of plans has given a primitive back: the end of its last start or promotion, in milliseconds
/// from the first plan's beginning; `None` where none of them starts it.
#[must_use]
pub fn back_ms(steps: &[Plan], fencing_ms: u64, primitive: &str) -> Option<u64> {
    let mut offset = 0u64;
    let mut back = None;
    for plan in steps {
        let ends = ends(plan, fencing_ms);
        for (action, end) in plan.actions.iter().zip(&ends) {
            let brings = matches!(
                action.kind,
                ActionKind::Start | ActionKind::Promote | ActionKind::MigrateFrom
            );
            if brings && concerns(action, primitive) {
                back = back.max(Some(offset.saturating_add(*end)));
            }
        }
        offset = offset.saturating_add(ends.into_iter().max().unwrap_or(0));
    }
    back
}

/// How long a primitive is away while a plan is carried out that nobody was forced to: from the beginning of
/// its first stop (or demotion) to the end of its last start (or promotion). `None`: it does not come back,
/// or was not stopped.
#[must_use]
pub fn away_ms(plan: &Plan, fencing_ms: u64, primitive: &str) -> Option<u64> {
    let ends = ends(plan, fencing_ms);
    let of = |kinds: &[ActionKind]| -> Vec<usize> {
        (0..plan.actions.len())
            .filter(|&ix| {
                kinds.contains(&plan.actions[ix].kind) && concerns(&plan.actions[ix], primitive)
            })
            .collect()
    };
    let gone = of(&[ActionKind::Stop, ActionKind::Demote])
        .into_iter()
        .map(|ix| ends[ix].saturating_sub(duration_ms(&plan.actions[ix], fencing_ms)))
        .min()?;
    let back = of(&[ActionKind::Start, ActionKind::Promote])
        .into_iter()
        .map(|ix| ends[ix])
        .max()?;
    Some(back.saturating_sub(gone))
}

/// Whether an action concerns a primitive (or one of its instances).
#[must_use]
pub fn concerns(action: &Action, primitive: &str) -> bool {
    action.resource.as_ref().is_some_and(|r| {
        r.id == primitive
            || r.id.strip_prefix(primitive).is_some_and(|rest| {
                rest.strip_prefix(':')
                    .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            })
    })
}
