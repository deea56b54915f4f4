//! A transition on its way: dispatch, results, repeats, its end.

use std::collections::BTreeMap;

use quorate_policy::plan::{ActionId, ActionKind};

use crate::apply::{is_failure_attribute, rc_and_status};
use crate::entry::{AttributeChange, Entry, Report};
use crate::event::LogLevel;
use crate::facts;
use crate::fencing::Waiter;
use crate::ids::{Incarnation, Millis, NodeName};
use crate::message::{Message, Order};
use crate::orders;
use crate::outbox::{Outbox, Purpose, To};
use crate::runner::{Runner, Step, is_free};
use crate::state::{Presence, TransitionRecord};
use crate::world::World;

use super::fences::fence_request;
use super::{ANSWER_GRACE_MS, Controller, ENDED_MAX, OpenIncident, RETRY_MS};

impl Controller {
    pub(super) fn intents_stand(&mut self, names: &[String], world: &World<'_>, out: &mut Outbox) {
        let Some(runner) = &mut self.runner else {
            return;
        };
        let mut batches: BTreeMap<NodeName, Vec<Order>> = BTreeMap::new();
        for name in names {
            let Some(id) = runner.find(name) else {
                continue;
            };
            if runner.step(id) != Step::Intended {
                continue;
            }
            if runner.aborted().is_some() || !world.may_dispatch() {
                // Not begun: the intent stays open until the next plan's stop or probe closes it.
                runner.set(id, Step::Failed);
                self.dirty
                    .get_or_insert_with(|| "an action was not begun".to_owned());
                runner.abort("an action was not begun");
                continue;
            }
            dispatch(runner, id, world, &mut batches);
        }
        send(batches, out);
    }

    pub(super) fn intents_void(&mut self, names: &[String], world: &World<'_>, out: &mut Outbox) {
        let Some(runner) = &mut self.runner else {
            return;
        };
        let mut is_ours = false;
        for name in names {
            if let Some(id) = runner.find(name) {
                runner.set(id, Step::Failed);
                is_ours = true;
                let action = runner.action(id);
                let resource = action.resource.as_ref().map_or("", |r| r.id.as_str());
                let holders: Vec<String> = world
                    .state
                    .holders_of(resource)
                    .map(|(node, _)| node.to_string())
                    .collect();
                if !holders.is_empty() && !resource.is_empty() {
                    // Shown by the status until the next plan; that one comes within a second.
                    self.blocked.push((
                        resource.to_owned(),
                        format!("it may be running on {} still", holders.join(", ")),
                        "find out with: quorate reprobe; if that node is gone: quorate fence NODE"
                            .to_owned(),
                    ));
                }
                out.log(
                    LogLevel::Warn,
                    format!(
                        "Did not begin {}: it may be running on {} still.",
                        action.key,
                        holders.join(", ")
                    ),
                );
            }
        }
        if is_ours {
            self.not_before = world.now.mono.plus(1_000);
            self.replan("an intent did not stand");
        }
    }

    /// Intents were not accepted: what waited for them is not begun.
    pub fn intents_dropped(&mut self) {
        let Some(runner) = &mut self.runner else {
            return;
        };
        let intended: Vec<ActionId> = runner
            .running()
            .filter(|id| runner.step(*id) == Step::Intended)
            .collect();
        for id in intended {
            runner.set(id, Step::Failed);
        }
        self.replan("an intent was not accepted");
    }

    /// Results from an executor: the transition goes on at once, the log follows.
    pub fn reports(
        &mut self,
        node: &NodeName,
        incarnation: Incarnation,
        reports: Vec<Report>,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let mut fresh = Vec::new();
        for report in reports {
            self.has_ended(&report.action);
            if let Some(foreign) = self.foreign.get_mut(node) {
                foreign.remove(&report.action);
                if foreign.is_empty() {
                    self.foreign.remove(node);
                    self.replan("an older leader's action ended");
                }
            }
            let is_taken = self.taken.get(node).is_some_and(|(session, last)| {
                *session == report.session && report.number <= *last
            });
            self.result(node, &report, is_taken);
            if !is_taken {
                self.taken
                    .insert(node.clone(), (report.session, report.number));
                self.open_failure(node, &report, world, out);
                fresh.push(report);
            }
        }
        if !fresh.is_empty() {
            out.propose(
                Purpose::Reports,
                Entry::Results {
                    node: node.clone(),
                    incarnation,
                    reports: fresh,
                },
            );
        }
    }

    /// An action of an older leader is over, whatever else is said about it later.
    fn has_ended(&mut self, action: &str) {
        let own_prefix = format!("{}.", self.term);
        if action.is_empty() || action.starts_with(&own_prefix) {
            return;
        }
        if self.ended.len() >= ENDED_MAX {
            self.ended.clear();
        }
        self.ended.insert(action.to_owned());
    }

    /// Reports that were not accepted come again.
    pub fn reports_dropped(&mut self) {
        self.taken.clear();
    }

    pub(super) fn result(&mut self, node: &NodeName, report: &Report, is_taken: bool) {
        let (rc, status) = rc_and_status(report.result.outcome);
        let is_expected = status == 0 && rc == report.expected_rc;
        if let Some(runner) = &mut self.runner
            && let Some(id) = runner.find(&report.action)
        {
            if !matches!(runner.step(id), Step::Dispatched { .. }) {
                return;
            }
            // A probe that finds something else than was believed makes the rest of the plan wrong.
            let action = runner.action(id);
            let is_harmless = action.failure_is_harmless && action.kind != ActionKind::Probe;
            if is_expected {
                runner.set(id, Step::Done);
                return;
            }
            runner.set(id, Step::Failed);
            if !is_harmless {
                let why = format!("{} on {node} gave {}", report.key, describe(report));
                self.disturb(&why);
            }
            return;
        }
        // A monitor that a replaced transition began has found all well: no news.
        let is_quiet = is_expected && !report.action.is_empty() && report.interval_ms > 0;
        if is_taken || is_quiet || (report.operation == "cancel" && is_expected) {
            return;
        }
        let why = if is_expected {
            format!("{} on {node} is well again", report.key)
        } else {
            format!("{} on {node} gave {}", report.key, describe(report))
        };
        self.disturb(&why);
    }

    /// A recurring monitor failed: a timeline begins.
    pub(super) fn open_failure(
        &mut self,
        node: &NodeName,
        report: &Report,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let (rc, status) = rc_and_status(report.result.outcome);
        let is_failure = status != 0 || rc != report.expected_rc;
        let is_monitor = report.interval_ms > 0 && report.operation == "monitor";
        if !is_failure || !is_monitor || self.open_incidents.contains_key(node) {
            return;
        }
        let took = report.result.took_ms;
        let open = OpenIncident {
            what: format!("{} failed on {node}", report.resource),
            began: Millis(world.now.mono.0.saturating_sub(took)),
            began_wall_ms: world.now.wall_ms - i64::try_from(took).unwrap_or(0),
        };
        self.open_incidents.insert(node.clone(), open);
        self.milestone(node, "detected", world, out);
    }

    /// The running transition goes on.
    pub(super) fn drive(&mut self, world: &World<'_>, out: &mut Outbox) {
        if !self.may_dispatch {
            return;
        }
        self.check_running(world, out);
        // Pseudo actions open the way for others at once.
        for _ in 0..10_000 {
            let Some(runner) = &mut self.runner else {
                return;
            };
            let ready = runner.ready(world.now.mono);
            if ready.is_empty() {
                break;
            }
            self.begin(&ready, world, out);
        }
        let Some(runner) = &self.runner else { return };
        super::notices::delivered(runner, &mut self.told, world, out);
        let is_void = self.dirty.is_some() && runner.is_idle();
        if runner.is_over(world.now.mono) || is_void {
            self.end_transition(world, out);
        }
    }

    pub(super) fn begin(&mut self, ready: &[ActionId], world: &World<'_>, out: &mut Outbox) {
        let Some(runner) = &mut self.runner else {
            return;
        };
        let mut batches: BTreeMap<NodeName, Vec<Order>> = BTreeMap::new();
        let mut intents = Vec::new();
        for id in ready.iter().copied() {
            let action = runner.action(id).clone();
            if is_free(action.kind) {
                bookkeeping(&action, world, out);
                runner.set(id, Step::Done);
                continue;
            }
            runner.has_acted = true;
            if matches!(action.kind, ActionKind::Fence | ActionKind::Unfence) {
                let target = action
                    .node
                    .as_deref()
                    .and_then(|n| facts::member_named(world.state, n));
                let Some(target) = target else {
                    runner.set(id, Step::Failed);
                    runner.abort("a node that is no member cannot be fenced");
                    continue;
                };
                self.fencing.insert(target.clone());
                let waiter = Waiter::Action(runner.name(id));
                out.fences
                    .push(fence_request(&action, target, waiter, world));
                runner.set(
                    id,
                    Step::Dispatched {
                        sent: world.now.mono,
                        overdue: Millis(u64::MAX),
                    },
                );
                continue;
            }
            let name = runner.name(id);
            if let Some(intent) = orders::intent(world.state, &self.anonymous, &action, &name) {
                intents.push(intent);
                if crate::seeded::has(crate::seeded::Bug::IntentNotAwaited) {
                    dispatch(runner, id, world, &mut batches);
                    continue;
                }
                runner.set(id, Step::Intended);
                continue;
            }
            dispatch(runner, id, world, &mut batches);
        }
        if !intents.is_empty() {
            let term = self.term;
            out.propose(Purpose::Intents, Entry::Intents { term, intents });
        }
        send(batches, out);
    }

    /// Sends again what was not answered; gives up on what cannot be answered any more.
    pub(super) fn check_running(&mut self, world: &World<'_>, out: &mut Outbox) {
        let Some(runner) = &mut self.runner else {
            return;
        };
        let now = world.now.mono;
        let mut batches: BTreeMap<NodeName, Vec<Order>> = BTreeMap::new();
        let running: Vec<ActionId> = runner.running().collect();
        let mut why = None;
        for id in running {
            let action = runner.action(id);
            if matches!(action.kind, ActionKind::Fence | ActionKind::Unfence) {
                continue;
            }
            let node = crate::runner::runs_on(action)
                .and_then(|name| facts::member_named(world.state, name));
            let is_there = node.is_some_and(|node| {
                world.state.node(node).is_some_and(|status| {
                    status.presence == Presence::Online
                        && world
                            .answers(node)
                            .is_none_or(|life| life.boot == status.incarnation.boot)
                })
            });
            if !is_there {
                let key = action.key.clone();
                runner.set(id, Step::Failed);
                why = Some(format!("{key} was under way on a node that is gone"));
                continue;
            }
            if let Step::Dispatched { sent, overdue } = runner.step(id) {
                if overdue <= now {
                    let key = action.key.clone();
                    runner.set(id, Step::Failed);
                    why = Some(format!("{key} was not answered in time"));
                } else if now.since(sent) >= RETRY_MS {
                    dispatch(runner, id, world, &mut batches);
                    if let Step::Dispatched { sent, .. } = runner.step(id) {
                        runner.set(id, Step::Dispatched { sent, overdue });
                    }
                }
            }
        }
        send(batches, out);
        if let Some(why) = why {
            out.log(LogLevel::Warn, format!("The transition is void: {why}."));
            self.replan(&why);
        }
    }

    pub(super) fn end_transition(&mut self, world: &World<'_>, out: &mut Outbox) {
        let Some(runner) = self.runner.take() else {
            return;
        };
        let end = match runner.aborted() {
            Some(why) => format!("replaced: {why}"),
            None if runner.done() == runner.plan.actions.len() => "complete".to_owned(),
            None => "incomplete".to_owned(),
        };
        out.propose(
            Purpose::Ledger,
            Entry::Transition(TransitionRecord {
                number: runner.number,
                leader: world.name.clone(),
                trigger: runner.trigger.clone(),
                wall_ms: world.now.wall_ms,
                actions: Vec::new(),
                blocked: Vec::new(),
                end,
                end_wall_ms: world.now.wall_ms,
            }),
        );
        if runner.has_acted && self.dirty.is_none() {
            self.dirty = Some("a transition ended".to_owned());
        }
    }
}

/// What the log says of a result, in a few words.
pub(super) fn describe(report: &Report) -> String {
    let (rc, status) = rc_and_status(report.result.outcome);
    let what = match status {
        2 => "a timeout".to_owned(),
        4 => "an error: it cannot be run".to_owned(),
        _ => format!("{rc}"),
    };
    if report.result.exit_reason.is_empty() {
        what
    } else {
        format!("{what} ({})", report.result.exit_reason)
    }
}

pub(super) fn dispatch(
    runner: &mut Runner,
    id: ActionId,
    world: &World<'_>,
    batches: &mut BTreeMap<NodeName, Vec<Order>>,
) {
    let action = runner.action(id);
    let transition = (runner.term, runner.number, id.0);
    match orders::order(world.state, action, runner.name(id), transition) {
        Some((node, order)) => {
            let overdue = world.now.mono.plus(order.call.timeout_ms + ANSWER_GRACE_MS);
            let sent = world.now.mono;
            let is_leave = order.kind == crate::message::OrderKind::Leave;
            batches.entry(node).or_default().push(order);
            // Whoever may leave does not answer: its going is seen in the log.
            let step = if is_leave {
                Step::Done
            } else {
                Step::Dispatched { sent, overdue }
            };
            runner.set(id, step);
        }
        None => {
            runner.set(id, Step::Failed);
            runner.abort("an action names a node that is no member");
        }
    }
}

pub(super) fn send(batches: BTreeMap<NodeName, Vec<Order>>, out: &mut Outbox) {
    for (node, orders) in batches {
        out.send(To::Node(node), Message::Orders(orders));
    }
}

/// Actions without an executor: the log is their effect.
pub(super) fn bookkeeping(
    action: &quorate_policy::plan::Action,
    world: &World<'_>,
    out: &mut Outbox,
) {
    let node = action
        .node
        .as_deref()
        .and_then(|n| facts::member_named(world.state, n));
    let (Some(node), Some(resource)) = (node, &action.resource) else {
        return;
    };
    match action.kind {
        ActionKind::Delete => out.propose(
            Purpose::Own,
            Entry::Forget {
                what: vec![(node.clone(), Some(resource.id.clone()))],
                who: String::new(),
                wall_ms: world.now.wall_ms,
            },
        ),
        ActionKind::ClearFailcount => {
            let Some(status) = world.state.node(node) else {
                return;
            };
            let base = resource.id.split(':').next().unwrap_or(&resource.id);
            let changes = status
                .transient
                .keys()
                .filter(|name| is_failure_attribute(name))
                .filter(|name| {
                    let owner = name
                        .trim_start_matches("fail-count-")
                        .trim_start_matches("last-failure-")
                        .split('#')
                        .next();
                    owner == Some(base) || owner == Some(resource.id.as_str())
                })
                .map(|name| AttributeChange {
                    node: node.clone(),
                    name: name.clone(),
                    value: None,
                    is_permanent: false,
                    is_private: false,
                })
                .collect();
            out.propose(
                Purpose::Own,
                Entry::Attributes {
                    changes,
                    who: "policy".to_owned(),
                    what: String::new(),
                    wall_ms: world.now.wall_ms,
                },
            );
        }
        _ => {}
    }
}
