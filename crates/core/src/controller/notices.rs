//! Which owed notifications have been delivered.

use std::collections::BTreeSet;

use quorate_policy::plan::{Action, ActionKind, Plan};

use crate::entry::Entry;
use crate::orders::meta_of;
use crate::outbox::{Outbox, Purpose};
use crate::runner::{Runner, Step};
use crate::state::OwedNotice;
use crate::world::World;

/// Whether the action tells an instance of it.
fn tells(action: &Action, notice: &OwedNotice) -> bool {
    if action.kind != ActionKind::Notify
        || meta_of(action, "notify_type") != Some("post")
        || meta_of(action, "notify_operation") != Some(notice.operation.as_str())
    {
        return false;
    }
    let list = |what: &str| {
        let name = format!("notify_{}_{what}", notice.operation);
        meta_of(action, &name).unwrap_or("").to_owned()
    };
    let (resources, nodes) = (list("resource"), list("uname"));
    resources
        .split_whitespace()
        .zip(nodes.split_whitespace())
        .any(|(resource, node)| base(resource) == base(&notice.resource) && node == notice.node.0)
}

/// Without the number: instances of an anonymous clone get other numbers from plan to plan.
fn base(instance: &str) -> &str {
    instance.split(':').next().unwrap_or(instance)
}

/// Notices that this plan tells nobody of: there is nobody. Called with a plan that was made knowing of them.
pub(super) fn forget_unheard(plan: &Plan, world: &World<'_>, out: &mut Outbox) {
    let unheard: Vec<OwedNotice> = world
        .state
        .owed
        .iter()
        .filter(|notice| !plan.actions.iter().any(|action| tells(action, notice)))
        .cloned()
        .collect();
    if !unheard.is_empty() {
        out.propose(Purpose::Own, Entry::Notified(unheard));
    }
}

/// Notices of which everybody has heard; each once.
pub(super) fn delivered(
    runner: &Runner,
    proposed: &mut BTreeSet<OwedNotice>,
    world: &World<'_>,
    out: &mut Outbox,
) {
    proposed.retain(|notice| world.state.owed.contains(notice));
    let told: Vec<OwedNotice> = world
        .state
        .owed
        .iter()
        .filter(|notice| !proposed.contains(*notice))
        .filter(|notice| {
            let mut telling = runner
                .ids()
                .filter(|id| tells(runner.action(*id), notice))
                .peekable();
            telling.peek().is_some()
                && telling.all(|id| matches!(runner.step(id), Step::Done | Step::Failed))
        })
        .cloned()
        .collect();
    if !told.is_empty() {
        proposed.extend(told.iter().cloned());
        out.propose(Purpose::Own, Entry::Notified(told));
    }
}
