//! The controller of the leader: facts -> policy -> transition.
//!
//! It plans only on settled facts: every node that answers has told what runs there, every node that does not
//! is known as lost, all its own proposals are applied. Fencing alone does not wait for a transition to end.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::cib::Cib;
use quorate_policy::Options;
use quorate_policy::plan::{ActionId, ActionKind, Plan};

use crate::admin::{FenceAction, TransitionView};
use crate::apply::{Change, is_failure_attribute, rc_and_status};
use crate::document;
use crate::entry::{AttributeChange, Entry, Report};
use crate::event::LogLevel;
use crate::facts::{self, Quorum};
use crate::fencing::{FenceRequest, Finished, Waiter};
use crate::ids::{Incarnation, Millis, NodeName, Session, Term};
use crate::message::{Message, NodeInventory, Order};
use crate::orders;
use crate::outbox::{Outbox, Purpose, To};
use crate::runner::{Runner, Step, is_free};
use crate::state::{ClusterState, FenceOutcome, Incident, Presence, TransitionRecord};
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
            taken: BTreeMap::new(),
            anonymous: BTreeSet::new(),
            fencing: BTreeSet::new(),
            fence_after: BTreeMap::new(),
            lost_at: BTreeMap::new(),
            recheck_wall_s: None,
            blocked: Vec::new(),
            open_incidents: BTreeMap::new(),
            waits: None,
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

    fn intents_stand(&mut self, names: &[String], world: &World<'_>, out: &mut Outbox) {
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

    fn intents_void(&mut self, names: &[String], world: &World<'_>, out: &mut Outbox) {
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

    /// A node told what runs there.
    pub fn inventory(
        &mut self,
        node: &NodeName,
        inventory: NodeInventory,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        if inventory.term != self.term || world.answers(node) != Some(inventory.incarnation) {
            return;
        }
        let own_prefix = format!("{}.", self.term);
        let foreign: BTreeSet<String> = inventory
            .running
            .iter()
            .filter(|name| !name.starts_with(&own_prefix))
            .cloned()
            .collect();
        if foreign.is_empty() {
            self.foreign.remove(node);
        } else {
            self.foreign.insert(node.clone(), foreign);
        }
        let status = world.state.node(node);
        let is_known = status.is_some_and(|status| {
            status.presence == Presence::Online && status.incarnation == inventory.incarnation
        });
        if !is_known && self.may_propose(node, world) {
            out.propose(
                Purpose::Record,
                Entry::NodeUp {
                    node: node.clone(),
                    incarnation: inventory.incarnation,
                    watchdog_ms: inventory.watchdog_ms,
                    wall_ms: world.now.wall_ms,
                },
            );
        }
        self.reports(node, inventory.incarnation, inventory.reports, world, out);
        if self.joined.insert(node.clone(), inventory.incarnation) != Some(inventory.incarnation) {
            self.disturb(&format!("{node} joined"));
        }
    }

    fn may_propose(&mut self, node: &NodeName, world: &World<'_>) -> bool {
        let now = world.now.mono;
        let is_recent = self
            .proposed
            .get(node)
            .is_some_and(|at| now.since(*at) < 2_000);
        if !is_recent {
            self.proposed.insert(node.clone(), now);
        }
        !is_recent
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

    /// Reports that were not accepted come again.
    pub fn reports_dropped(&mut self) {
        self.taken.clear();
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

    fn result(&mut self, node: &NodeName, report: &Report, is_taken: bool) {
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
    fn open_failure(
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

    /// Asks those that answer for their inventory, writes down who is lost.
    fn care_for_nodes(&mut self, world: &World<'_>, out: &mut Outbox) {
        let now = world.now.mono;
        for (name, member) in &world.state.members {
            if member.raft_id.0 == 0 {
                continue;
            }
            let presence = world
                .state
                .node(name)
                .map_or(Presence::Unseen, |node| node.presence);
            if let Some(incarnation) = world.answers(name) {
                if is_undead(world.state, name, incarnation) {
                    self.joined.remove(name);
                    continue;
                }
                self.lost_at.remove(name);
                let is_in = self.joined.get(name) == Some(&incarnation);
                let is_known = world.state.node(name).is_some_and(|node| {
                    node.presence == Presence::Online && node.incarnation == incarnation
                });
                let has_left = presence == Presence::Left
                    && world
                        .state
                        .node(name)
                        .is_some_and(|node| node.incarnation == incarnation);
                let is_due = self
                    .asked
                    .get(name)
                    .is_none_or(|at| now.since(*at) >= RETRY_MS);
                if (!is_in || !is_known) && !has_left && is_due {
                    self.asked.insert(name.clone(), now);
                    let ask = Message::AskInventory { term: self.term };
                    out.send(To::Node(name.clone()), ask);
                }
                continue;
            }
            self.joined.remove(name);
            self.asked.remove(name);
            self.foreign.remove(name);
            if !facts::takes_part(world.state, name) && presence != Presence::Online {
                continue;
            }
            self.care_for_absent(name, presence, world, out);
        }
    }

    fn care_for_absent(
        &mut self,
        name: &NodeName,
        presence: Presence,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let now = world.now.mono;
        let contact = world.contacts.get(name);
        let was_met = contact.is_some_and(|contact| contact.incarnation.is_some());
        let incarnation = world
            .state
            .node(name)
            .map(|node| node.incarnation)
            .unwrap_or_default();
        let presence = if is_doubtful(world, name) {
            Presence::Online
        } else {
            presence
        };
        match presence {
            Presence::Online | Presence::Unseen => {
                let grace = world
                    .state
                    .option("dc-deadtime")
                    .and_then(document::milliseconds)
                    .unwrap_or(STARTUP_MS);
                let is_late = now.since(self.began) >= grace;
                let starts_unfenced = presence == Presence::Unseen
                    && world
                        .state
                        .option("startup-fencing")
                        .is_some_and(|text| !document::is_true(text));
                if (was_met || is_late) && !starts_unfenced && self.may_propose(name, world) {
                    self.lost(name, incarnation, was_met, world, out);
                }
            }
            Presence::Lost if !facts::is_fencing_enabled(world.state) => {
                let since = *self.lost_at.entry(name.clone()).or_insert(now);
                let wait = 2 * world.detection_ms + stop_time(world.state, name);
                if now.since(since) >= wait && self.may_propose(name, world) {
                    out.propose(
                        Purpose::Record,
                        Entry::NodeExpired {
                            node: name.clone(),
                            boot: incarnation.boot,
                            wall_ms: world.now.wall_ms,
                        },
                    );
                }
            }
            _ => {}
        }
    }

    fn lost(
        &mut self,
        name: &NodeName,
        incarnation: Incarnation,
        was_met: bool,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let since = world
            .contacts
            .get(name)
            .filter(|_| was_met)
            .map_or(world.now.mono, |contact| contact.lost_since);
        let reason = if was_met {
            format!("was lost: no answer for {} ms", world.now.mono.since(since))
        } else {
            "was not seen since this leader began".to_owned()
        };
        out.log(LogLevel::Warn, format!("{name} {reason}."));
        out.propose(
            Purpose::Record,
            Entry::NodeLost {
                node: name.clone(),
                incarnation,
                reason,
                wall_ms: world.now.wall_ms,
            },
        );
        let ago = i64::try_from(world.now.mono.since(since)).unwrap_or(0);
        let open = OpenIncident {
            what: format!("{name} was lost"),
            began: since,
            began_wall_ms: world.now.wall_ms - ago,
        };
        self.open_incidents.insert(name.clone(), open);
        self.milestone(name, "detected", world, out);
    }

    fn milestone(&mut self, node: &NodeName, name: &str, world: &World<'_>, out: &mut Outbox) {
        let Some(open) = self.open_incidents.get(node) else {
            return;
        };
        out.propose(
            Purpose::Ledger,
            Entry::Incident(Incident {
                what: open.what.clone(),
                node: node.clone(),
                began_wall_ms: open.began_wall_ms,
                milestones: vec![(name.to_owned(), world.now.mono.since(open.began))],
            }),
        );
    }

    /// Why it is too early to plan, if it is.
    fn unsettled(&self, world: &World<'_>) -> Option<String> {
        if world.outstanding > 0 {
            return Some("its own entries are on their way into the log".to_owned());
        }
        for (name, member) in &world.state.members {
            if member.raft_id.0 == 0 {
                continue;
            }
            let Some(node) = world.state.node(name) else {
                continue;
            };
            match (world.answers(name), node.presence) {
                (Some(incarnation), _) if is_undead(world.state, name, incarnation) => {}
                (Some(incarnation), Presence::Online | Presence::Lost) => {
                    if self.joined.get(name) != Some(&incarnation) {
                        return Some(format!("{name} has not told what runs there"));
                    }
                    if node.presence == Presence::Lost && node.certificate.is_none() {
                        return Some(format!("{name} is coming back"));
                    }
                    if node.incarnation != incarnation && node.presence == Presence::Online {
                        return Some(format!("{name} is joining in a new life"));
                    }
                }
                // It speaks, so it is about to join; to fence it now (a first leader: itself) would be wrong.
                (Some(_), Presence::Unseen) => return Some(format!("{name} is joining")),
                (Some(_), _) => {}
                (None, _) if is_doubtful(world, name) => {
                    return Some(format!("{name} was not seen since this node started alone"));
                }
                (None, Presence::Online | Presence::Unseen)
                    if facts::takes_part(world.state, name) =>
                {
                    let is_excused = node.presence == Presence::Unseen
                        && world
                            .state
                            .option("startup-fencing")
                            .is_some_and(|text| !document::is_true(text));
                    if !is_excused {
                        return Some(format!("{name} has not been seen yet"));
                    }
                }
                (None, Presence::Lost)
                    if !facts::is_fencing_enabled(world.state)
                        && world.state.held_by(name).next().is_some() =>
                {
                    return Some(format!(
                        "{name} is lost and may be stopping; fencing is disabled, its lease and stop time must pass"
                    ));
                }
                (None, _) => {}
            }
        }
        let node = self.foreign.keys().next()?;
        Some(format!("actions of an older leader still run on {node}"))
    }

    fn options(world: &World<'_>) -> Options {
        Options {
            now: world.now.wall_ms / 1_000,
            ..Options::default()
        }
    }

    fn plan(&mut self, world: &World<'_>, out: &mut Outbox) {
        let trigger = self.dirty.take().unwrap_or_default();
        let cib = facts::cib(world.state, Quorum::Has, world.now.wall_ms);
        let plan = (self.scheduler)(&cib, &Self::options(world));
        let plan = look_first(plan, world.state);
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

    /// Fencing does not wait for a transition to end, nor for older leases.
    fn fence_ahead(&mut self, world: &World<'_>, out: &mut Outbox) {
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

    /// The running transition goes on.
    fn drive(&mut self, world: &World<'_>, out: &mut Outbox) {
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
        let is_void = self.dirty.is_some() && runner.is_idle();
        if runner.is_over(world.now.mono) || is_void {
            self.end_transition(world, out);
        }
    }

    fn begin(&mut self, ready: &[ActionId], world: &World<'_>, out: &mut Outbox) {
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
    fn check_running(&mut self, world: &World<'_>, out: &mut Outbox) {
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

    fn end_transition(&mut self, world: &World<'_>, out: &mut Outbox) {
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

/// Design rule R6: a certificate proves that one boot is dead, not that the machine is off now. A lone voter
/// that has started and has not met a node takes it for unclean, whatever the log says.
fn is_doubtful(world: &World<'_>, name: &NodeName) -> bool {
    let was_met = world
        .contacts
        .get(name)
        .is_some_and(|contact| contact.incarnation.is_some());
    let is_alone = world.state.members.iter().all(|(member, record)| {
        member == world.name || record.role != crate::state::MemberRole::Voter
    });
    !was_met
        && is_alone
        && name != world.name
        && world.state.node(name).is_some_and(|node| {
            let was_there = node.incarnation != Incarnation::default();
            was_there
                && matches!(
                    node.presence,
                    Presence::Fenced | Presence::Left | Presence::Expired
                )
        })
}

/// It answers although its power-off was confirmed: it is not taken in again in this life.
fn is_undead(state: &ClusterState, name: &NodeName, incarnation: Incarnation) -> bool {
    state.node(name).is_some_and(|node| {
        let is_certified = node
            .certificate
            .as_ref()
            .is_some_and(|certificate| certificate.boot == incarnation.boot);
        is_certified || (node.incarnation.boot == incarnation.boot && !node.distrusted.is_empty())
    })
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

/// What the log says of a result, in a few words.
fn describe(report: &Report) -> String {
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

fn dispatch(
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

fn send(batches: BTreeMap<NodeName, Vec<Order>>, out: &mut Outbox) {
    for (node, orders) in batches {
        out.send(To::Node(node), Message::Orders(orders));
    }
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

fn fence_request(
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

/// Actions without an executor: the log is their effect.
fn bookkeeping(action: &quorate_policy::plan::Action, world: &World<'_>, out: &mut Outbox) {
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

/// The longest that a node may take to stop one of the things it may be running.
fn stop_time(state: &ClusterState, node: &NodeName) -> u64 {
    let mut longest = 0;
    for id in state.held_by(node) {
        let base = id.split(':').next().unwrap_or(id);
        longest = longest.max(stop_timeout(state, base).unwrap_or(20_000));
    }
    longest
}

fn stop_timeout(state: &ClusterState, id: &str) -> Option<u64> {
    use quorate_model::cib::{CloneChild, Resource};
    let primitives = state
        .configuration
        .resources
        .iter()
        .flat_map(|resource| match resource {
            Resource::Primitive(primitive) => vec![primitive],
            Resource::Group(group) => group.members.iter().collect(),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => vec![primitive],
                CloneChild::Group(group) => group.members.iter().collect(),
            },
            Resource::Bundle(bundle) => bundle.primitive.iter().collect(),
            Resource::Template(_) => Vec::new(),
        });
    primitives
        .into_iter()
        .find(|primitive| primitive.id == id)?
        .operations
        .list
        .iter()
        .find(|operation| operation.name == "stop")?
        .extra
        .iter()
        .find(|(name, _)| name == "timeout")
        .and_then(|(_, value)| document::milliseconds(value))
}
