//! The controller of the leader: facts -> policy -> transition.
//!
//! It plans only on settled facts: every node that answers has told what runs there, every node that does not
//! is known as lost, all its own proposals are applied. Fencing alone does not wait for a transition to end.

mod fences;
mod nodes;
mod notices;
mod progress;
mod promotion;

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::cib::Cib;
use quorate_policy::plan::{ActionKind, Plan};
use quorate_policy::{Options, Owed};

use crate::admin::TransitionView;
use crate::apply::Change;
use crate::document;
use crate::entry::Entry;
use crate::event::LogLevel;
use crate::facts;
use crate::ids::{Incarnation, Millis, NodeName, Session, Term};
use crate::message::{Message, Order};
use crate::orders;
use crate::outbox::{Outbox, Purpose, To};
use crate::runner::Runner;
use crate::state::{ClusterState, OwedNotice, Presence, TransitionRecord};
use crate::world::World;

/// Decides what has to happen: `quorate_policy::schedule`, or a stand-in of a test.
pub type Scheduler = fn(&Cib, &Options) -> Plan;

/// Between two sendings of an order, an inventory's request, a proposal about a node.
const RETRY_MS: u64 = 300;
/// Grace for an answer beyond the agent's own timeout.
const ANSWER_GRACE_MS: u64 = 5_000;
/// How long a node that was never met by anybody is waited for (`dc-deadtime`).
const STARTUP_MS: u64 = 20_000;
/// Transitions in a row without any news from outside before the controller slows down.
const STREAK_MAX: u32 = 20;
/// The pause then.
const STREAK_PAUSE_MS: u64 = 5_000;
/// Ended actions of older terms that are remembered.
const ENDED_MAX: usize = 1_024;
/// Actions listed in the ledger for one transition.
const LEDGER_ACTIONS_MAX: usize = 100;

/// The controller of a leader; a follower has none.
pub struct Controller {
    term: Term,
    scheduler: Scheduler,
    began: Millis,
    /// Every older lease has run out.
    pub may_dispatch: bool,
    runner: Option<Runner>,
    /// Why a new plan is wanted.
    dirty: Option<String>,
    /// Not before this time.
    not_before: Millis,
    streak: u32,
    /// Nodes whose inventory of this term is in.
    joined: BTreeMap<NodeName, Incarnation>,
    asked: BTreeMap<NodeName, Millis>,
    proposed: BTreeMap<NodeName, Millis>,
    /// Actions of older terms that still run, by node.
    foreign: BTreeMap<NodeName, BTreeSet<String>>,
    /// Actions of older terms whose end was reported in this one.
    ended: BTreeSet<String>,
    /// Reports that were proposed in this term, by node.
    taken: BTreeMap<NodeName, (Session, u64)>,
    anonymous: BTreeSet<String>,
    /// Targets whose fencing was begun ahead of a transition.
    fencing: BTreeSet<NodeName>,
    fence_after: BTreeMap<NodeName, Millis>,
    lost_at: BTreeMap<NodeName, Millis>,
    recheck_wall_s: Option<i64>,
    /// The last plan's blocked things: what, why, the way out.
    pub blocked: Vec<(String, String, String)>,
    /// Timelines that are not complete: node, begin (monotonic), begin (wall).
    open_incidents: BTreeMap<NodeName, OpenIncident>,
    /// The last wait that was said.
    pub waits: Option<String>,
    /// Notifications whose delivery is on its way into the log.
    told: BTreeSet<OwedNotice>,
}

#[derive(Debug, Clone)]
struct OpenIncident {
    what: String,
    began: Millis,
    began_wall_ms: i64,
}

impl Controller {
    /// A leader begins.
    #[must_use]
    pub fn new(term: Term, scheduler: Scheduler, now: Millis) -> Self {
        Self {
            term,
            scheduler,
            began: now,
            may_dispatch: false,
            runner: None,
            dirty: Some("a leader was elected".to_owned()),
            not_before: Millis(0),
            streak: 0,
            joined: BTreeMap::new(),
            asked: BTreeMap::new(),
            proposed: BTreeMap::new(),
            foreign: BTreeMap::new(),
            ended: BTreeSet::new(),
            taken: BTreeMap::new(),
            anonymous: BTreeSet::new(),
            fencing: BTreeSet::new(),
            fence_after: BTreeMap::new(),
            lost_at: BTreeMap::new(),
            recheck_wall_s: None,
            blocked: Vec::new(),
            open_incidents: BTreeMap::new(),
            waits: None,
            told: BTreeSet::new(),
        }
    }

    /// The term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// News from outside: what runs is void, decide anew.
    pub fn disturb(&mut self, why: &str) {
        self.streak = 0;
        self.replan(why);
    }

    fn replan(&mut self, why: &str) {
        if let Some(runner) = &mut self.runner {
            runner.abort(why);
        }
        if self.dirty.is_none() {
            self.dirty = Some(why.to_owned());
        }
    }

    /// An entry was applied. `is_own`: the running transition asked for it.
    pub fn changed(&mut self, change: &Change, is_own: bool, world: &World<'_>, out: &mut Outbox) {
        match change {
            Change::Configuration if !is_own => self.disturb("the configuration changed"),
            Change::Members => self.disturb("the members changed"),
            Change::Node(node) => {
                self.proposed.remove(node);
                if !is_own {
                    let reason = world.state.node(node).map_or("", |status| &status.reason);
                    self.disturb(&format!("{node} {reason}"));
                }
            }
            Change::Intents(names) => self.intents_stand(names, world, out),
            Change::IntentsVoid(names) => self.intents_void(names, world, out),
            Change::Status if !is_own => self.disturb("the status changed"),
            Change::Status
            | Change::Configuration
            | Change::Results(..)
            | Change::Fencing(_)
            | Change::Record
            | Change::Void(_) => {}
        }
    }

    /// The transition that runs, for the status.
    #[must_use]
    pub fn transition(&self) -> Option<TransitionView> {
        let runner = self.runner.as_ref()?;
        Some(TransitionView {
            number: runner.number,
            done: runner.done() as u64,
            total: runner.plan.actions.len() as u64,
            running: runner
                .running()
                .map(|id| {
                    let action = runner.action(id);
                    format!(
                        "{} on {}",
                        action.key,
                        action.node.as_deref().unwrap_or("-")
                    )
                })
                .collect(),
        })
    }

    /// Goes as far as it can.
    pub fn advance(&mut self, world: &World<'_>, out: &mut Outbox) {
        if world.state.broken.is_some() {
            return;
        }
        self.care_for_nodes(world, out);
        self.drive(world, out);
        if let (Some(at), None) = (self.recheck_wall_s, &self.dirty)
            && at * 1_000 <= world.now.wall_ms
        {
            self.recheck_wall_s = None;
            self.disturb("a time in the configuration was reached");
        }
        if self.dirty.is_none() {
            return;
        }
        if self.runner.is_some() || !self.may_dispatch {
            self.fence_ahead(world, out);
            return;
        }
        self.waits = self.unsettled(world);
        if self.waits.is_none() && self.not_before <= world.now.mono {
            self.plan(world, out);
            self.drive(world, out);
        }
    }

    fn options(world: &World<'_>) -> Options {
        let owed = world.state.owed.iter().map(|notice| Owed {
            operation: notice.operation.clone(),
            resource: notice.resource.clone(),
            node: notice.node.to_string(),
        });
        Options {
            now: world.now.wall_ms / 1_000,
            owed: owed.collect(),
            promoted_stick: true,
        }
    }

    fn plan(&mut self, world: &World<'_>, out: &mut Outbox) {
        let trigger = self.dirty.take().unwrap_or_default();
        let cib = facts::cib_for_plan(world.state, world.now.wall_ms);
        let plan = orders::without_numbers((self.scheduler)(&cib, &Self::options(world)));
        let plan = promotion::promote_first(look_first(plan, world.state));
        notices::forget_unheard(&plan, world, out);
        self.anonymous = orders::anonymous(&world.state.configuration);
        let moves_end = world
            .state
            .moves
            .values()
            .filter_map(|record| record.expires_wall_ms)
            .filter(|end| *end > world.now.wall_ms)
            .map(|end| (end + 999) / 1_000)
            .min();
        self.recheck_wall_s = plan.recheck_at.into_iter().chain(moves_end).min();
        let blocked: Vec<(String, String, String)> = plan
            .blocked
            .iter()
            .map(|b| (b.what.clone(), b.reason.text.clone(), b.way_out.clone()))
            .collect();
        forget_moves(world, out);
        let is_news = blocked != self.blocked;
        self.blocked.clone_from(&blocked);
        if !plan
            .actions
            .iter()
            .any(|action| !matches!(action.kind, ActionKind::Pseudo))
        {
            self.settled(world, out);
            if !is_news {
                return;
            }
        }
        self.streak += 1;
        if self.streak > STREAK_MAX {
            out.log(
                LogLevel::Warn,
                format!("{STREAK_MAX} transitions in a row led nowhere new; the next ones wait."),
            );
            self.not_before = world.now.mono.plus(STREAK_PAUSE_MS);
            self.streak = STREAK_MAX - 2;
        }
        let number = world.state.next_transition;
        let actions = plan
            .actions
            .iter()
            .filter(|action| action.kind != ActionKind::Pseudo)
            .take(LEDGER_ACTIONS_MAX)
            .map(|action| {
                let node = action.node.clone().unwrap_or_default();
                (action.key.clone(), node, action.reason.text.clone())
            })
            .collect();
        let record = TransitionRecord {
            number,
            leader: world.name.clone(),
            trigger: trigger.clone(),
            wall_ms: world.now.wall_ms,
            actions,
            blocked,
            end: String::new(),
            end_wall_ms: 0,
        };
        out.propose(Purpose::Ledger, Entry::Transition(record));
        let mut runner = Runner::new(number, self.term, plan, trigger);
        for id in runner.ids() {
            let action = runner.action(id);
            if action.kind != ActionKind::Fence {
                continue;
            }
            let target = action
                .node
                .as_deref()
                .and_then(|n| facts::member_named(world.state, n));
            if let Some(until) = target.and_then(|target| self.fence_after.get(target)) {
                runner.hold(id, *until);
            }
        }
        self.runner = Some(runner);
    }

    /// Nothing is left to be done: open timelines are complete, who wants to leave may.
    fn settled(&mut self, world: &World<'_>, out: &mut Outbox) {
        self.streak = 0;
        let open: Vec<NodeName> = self
            .open_incidents
            .iter()
            .filter(|(node, _)| {
                let presence = world.state.node(node).map(|status| status.presence);
                presence != Some(Presence::Lost)
            })
            .map(|(node, _)| node.clone())
            .collect();
        for node in open {
            self.milestone(&node, "started", world, out);
            self.open_incidents.remove(&node);
        }
        for (node, status) in &world.state.nodes {
            let wants = status
                .transient
                .get("shutdown")
                .is_some_and(|value| value != "0");
            let is_empty = world
                .state
                .held_by(node)
                .all(|id| is_unmanaged(world.state, node, id));
            if wants && is_empty && status.presence == Presence::Online {
                let order = leave_order(self.term, world.state, node);
                out.send(To::Node(node.clone()), Message::Orders(vec![order]));
            }
        }
    }

    /// When it needs the next tick.
    #[must_use]
    pub fn deadline(&self, world: &World<'_>) -> Millis {
        let now = world.now.mono;
        let mut next = Millis(u64::MAX);
        let mut at = |time: Millis| next = next.min(time);
        if let Some(runner) = &self.runner {
            if !runner.is_idle() {
                at(now.plus(RETRY_MS));
            }
            runner.held_until().into_iter().for_each(&mut at);
        }
        if self.dirty.is_some() {
            at(now
                .plus(RETRY_MS)
                .max(self.not_before.min(now.plus(RETRY_MS))));
        }
        let has_absent = world.state.members.keys().any(|name| {
            world.answers(name) != self.joined.get(name).copied()
                || world
                    .state
                    .node(name)
                    .is_some_and(|node| matches!(node.presence, Presence::Lost | Presence::Unseen))
        });
        if has_absent {
            at(now.plus(RETRY_MS));
        }
        if let Some(second) = self.recheck_wall_s {
            let wait = (second * 1_000 - world.now.wall_ms).max(0);
            at(now.plus(u64::try_from(wait).unwrap_or(0) + 1));
        }
        next
    }
}

/// Where the history of something that may be running was forgotten, nothing is decided before it was
/// looked at: a stop or start beside it would ignore what depends on it.
fn look_first(mut plan: Plan, state: &ClusterState) -> Plan {
    let is_blind = plan.actions.iter().any(|action| {
        let node = action
            .node
            .as_deref()
            .and_then(|n| facts::member_named(state, n));
        let (Some(node), Some(resource)) = (node, &action.resource) else {
            return false;
        };
        action.kind == ActionKind::Probe
            && state.holders_of(&resource.id).any(|(name, _)| name == node)
    });
    if is_blind {
        plan.actions
            .retain(|action| action.kind == ActionKind::Probe);
        for action in &mut plan.actions {
            action.inputs.clear();
        }
    }
    plan
}

fn leave_order(term: Term, state: &ClusterState, node: &NodeName) -> Order {
    Order {
        name: format!("{term}.leave"),
        term,
        boot: state.boot(node),
        kind: crate::message::OrderKind::Leave,
        call: crate::event::AgentCall::default(),
        key: "leave".to_owned(),
        transition_key: String::new(),
        expected_rc: 0,
        failure: crate::entry::FailureWeight::None,
        migration: Vec::new(),
    }
}

/// Moves and bans whose time is over go.
fn forget_moves(world: &World<'_>, out: &mut Outbox) {
    let changes: Vec<_> = world
        .state
        .moves
        .iter()
        .filter(|(_, record)| {
            record
                .expires_wall_ms
                .is_some_and(|end| end <= world.now.wall_ms)
        })
        .map(|(id, _)| (id.clone(), None))
        .collect();
    if !changes.is_empty() {
        let (who, wall_ms) = ("its expiry".to_owned(), world.now.wall_ms);
        out.propose(
            Purpose::Own,
            Entry::Moves {
                changes,
                who,
                wall_ms,
            },
        );
    }
}

/// The operator wants a resource left alone: it stays when its node leaves.
fn is_unmanaged(state: &ClusterState, node: &NodeName, id: &str) -> bool {
    let is_on = |value: Option<&str>| value.is_some_and(document::is_true);
    let node_attribute = state
        .node(node)
        .and_then(|status| status.permanent.get("maintenance"));
    if is_on(state.option("maintenance-mode")) || is_on(node_attribute.map(String::as_str)) {
        return true;
    }
    let base = id.split(':').next().unwrap_or(id);
    let defaults = state.configuration.resource_defaults.iter();
    let own = crate::view::meta_sets(&state.configuration, base);
    let said = own
        .into_iter()
        .chain(defaults)
        .find_map(|set| document::value(set, "is-managed"));
    said.is_some_and(|value| !document::is_true(value))
}
