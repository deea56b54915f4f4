//! Fencing as the controller asks for it: inside a transition, and ahead of one.

use quorate_policy::plan::ActionKind;

use crate::admin::FenceAction;
use crate::entry::Entry;
use crate::facts::{self, Quorum};
use crate::fencing::{FenceRequest, Finished, Waiter};
use crate::ids::NodeName;
use crate::orders;
use crate::outbox::{Outbox, Purpose};
use crate::runner::Step;
use crate::state::{FenceOutcome, Presence};
use crate::world::World;

use super::Controller;

impl Controller {
    /// A fencing ended: the record goes into the log, and what waited goes on.
    pub fn fenced(&mut self, finished: &Finished, world: &World<'_>, out: &mut Outbox) {
        let record = &finished.record;
        let target = &record.target;
        self.fencing.remove(target);
        let is_confirmed = matches!(record.outcome, FenceOutcome::Confirmed(_));
        let mut is_awaited = false;
        if let Some(runner) = &mut self.runner {
            for waiter in &finished.waiters {
                let Waiter::Action(name) = waiter else {
                    continue;
                };
                let Some(id) = runner.find(name) else {
                    continue;
                };
                is_awaited = true;
                runner.set(
                    id,
                    if is_confirmed {
                        Step::Done
                    } else {
                        Step::Failed
                    },
                );
            }
        }
        let purpose = if is_awaited && is_confirmed {
            Purpose::Own
        } else {
            Purpose::Record
        };
        out.propose(purpose, Entry::Fencing(record.clone()));
        if is_confirmed {
            self.fence_after.remove(target);
            self.milestone(target, "fenced", world, out);
        } else {
            let failures = world
                .state
                .node(target)
                .map_or(0, |node| node.fence_failures)
                + 1;
            let wait = (5_000_u64 << failures.min(4)).min(60_000);
            self.fence_after
                .insert(target.clone(), world.now.mono.plus(wait));
        }
        if !is_awaited || !is_confirmed {
            self.replan(&format!("the fencing of {target} ended"));
        }
    }

    /// Fencing does not wait for a transition to end, nor for older leases.
    pub(super) fn fence_ahead(&mut self, world: &World<'_>, out: &mut Outbox) {
        let is_fencing_due = world.state.nodes.iter().any(|(name, node)| {
            node.presence == Presence::Lost
                && (world.answers(name).is_none() || !node.distrusted.is_empty())
                && !self.fencing.contains(name)
                && self
                    .fence_after
                    .get(name)
                    .is_none_or(|at| *at <= world.now.mono)
        });
        if !is_fencing_due || world.outstanding > 0 || !facts::is_fencing_enabled(world.state) {
            return;
        }
        let cib = facts::cib(world.state, Quorum::Has, world.now.wall_ms);
        let plan = (self.scheduler)(&cib, &Self::options(world));
        for action in plan.actions.iter().filter(|a| a.kind == ActionKind::Fence) {
            let Some(target) = action
                .node
                .as_deref()
                .and_then(|n| facts::member_named(world.state, n))
            else {
                continue;
            };
            let is_lost = world
                .state
                .node(target)
                .is_some_and(|node| node.presence == Presence::Lost);
            let is_held = self
                .fence_after
                .get(target)
                .is_some_and(|at| *at > world.now.mono);
            if is_lost && !is_held && self.fencing.insert(target.clone()) {
                let waiter = Waiter::Action(String::new());
                out.fences
                    .push(fence_request(action, target, waiter, world));
            }
        }
    }
}

pub(super) fn fence_request(
    action: &quorate_policy::plan::Action,
    target: &NodeName,
    waiter: Waiter,
    world: &World<'_>,
) -> FenceRequest {
    let wanted = orders::meta_of(action, "stonith_action").unwrap_or("reboot");
    let how = match (action.kind, wanted) {
        (ActionKind::Unfence, _) | (_, "on") => FenceAction::On,
        (_, "off" | "poweroff") => FenceAction::Off,
        _ => FenceAction::Reboot,
    };
    FenceRequest {
        target: target.clone(),
        boot: world.state.boot(target),
        action: how,
        reason: action.reason.text.clone(),
        waiter,
    }
}
