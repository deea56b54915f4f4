//! One node of a cluster: composes the engine and the manager.
//!
//! A step takes an event to whom it concerns, carries what the parts want to each other until nothing is
//! left, and gives the shell the effects in order.

mod drain;
mod inflow;
mod local;
mod requests_in;
#[cfg(test)]
mod tests;
mod watchdog;

use std::collections::{BTreeMap, VecDeque};

use crate::controller::{Controller, Scheduler};
#[cfg(not(test))]
use crate::engine::Engine;
use crate::engine::{EngineInput, EngineOutput, EngineStart, MemberChange, Settings};
use crate::entry::Entry;
use crate::event::{Effect, Event, LogLevel};
use crate::executor::{Coordinator, Executor, Lease};
use crate::fencing::{Context, FencingCoordinator, Finished, Waiter};
use crate::ids::{Incarnation, Lineage, LogIndex, Millis, NodeName, Now, Tag, Term};
use crate::message::Message;
use crate::outbox::{Outbox, Purpose, To};
use crate::requests::{Origin, Requests};
use crate::start::{Start, Timing};
use crate::state::{ClusterState, FenceRecord};
use crate::world::{Contact, World};
#[cfg(test)]
use tests::fake::Engine;

/// Rounds of carrying in one step; more means that two parts answer each other for ever.
const ROUNDS_MAX: usize = 10_000;

/// One node as a state machine. The shell carries out the effects of each step in order.
pub struct Node {
    name: NodeName,
    incarnation: Incarnation,
    cluster: String,
    lineage: Lineage,
    timing: Timing,
    /// `None` once it could not start or must not go on.
    engine: Option<Engine>,
    /// What the engine has said and nobody has heard yet.
    inbox: VecDeque<EngineOutput>,
    state: ClusterState,
    contacts: BTreeMap<NodeName, Contact>,
    executor: Executor,
    fencing: FencingCoordinator,
    controller: Option<Controller>,
    scheduler: Scheduler,
    requests: Requests,
    tags: BTreeMap<Tag, Purpose>,
    next_tag: u64,
    member_tags: BTreeMap<Tag, Option<u64>>,
    leader: Option<NodeName>,
    term: Term,
    drain: Option<drain::Drain>,
    blocked: Vec<crate::engine::Blocked>,
    /// Confirmed fencings that no log has yet (of a pair without quorum).
    unlogged: Vec<FenceRecord>,
    settings: Settings,
    /// The state last shown to watchers.
    shown: LogIndex,
    show_at: Option<Millis>,
    /// Readings of power states for requests.
    checks: BTreeMap<u64, requests_in::Check>,
    local: local::LocalStop,
    /// Requests for an admission that wait for the consensus.
    admissions: BTreeMap<u64, NodeName>,
    /// Until when the watchdog was fed last.
    watchdog_until: Option<Millis>,
    /// The wall clock when this daemon started.
    began_wall_ms: i64,
    now: Now,
}

impl Node {
    /// Starts from what is durable and from what runs on this boot already.
    #[must_use]
    pub fn start(start: Start, now: Now) -> (Self, Vec<Effect>) {
        Self::start_with(start, now, quorate_policy::schedule)
    }

    /// The same with another scheduler, for tests of everything but the policy.
    #[must_use]
    pub fn start_with(start: Start, now: Now, scheduler: Scheduler) -> (Self, Vec<Effect>) {
        let settings = Settings {
            detection_ms: start.timing.detection_ms,
            watchdog_ms: start.timing.watchdog_ms.unwrap_or(0),
            ..Settings::default()
        };
        let executor = Executor::start(
            start.incarnation,
            start.timing.watchdog_ms,
            &start.inventory,
            now,
        );
        let mut effects = Vec::new();
        let (cluster, lineage) = (start.identity.cluster.clone(), start.identity.lineage);
        let engine_start = EngineStart {
            name: start.name.clone(),
            identity: start.identity,
            incarnation: start.incarnation,
            seed: start.seed,
            saved: start.saved,
            settings,
        };
        let (engine, outputs) = match Engine::start(engine_start, now.mono) {
            Ok((engine, outputs)) => (Some(engine), outputs),
            Err(error) => {
                effects.push(Effect::Halt {
                    reason: format!("this node's stored state cannot be used: {error}"),
                    clean: false,
                });
                (None, Vec::new())
            }
        };
        let mut node = Self {
            name: start.name,
            incarnation: start.incarnation,
            cluster,
            lineage,
            timing: start.timing,
            engine,
            inbox: VecDeque::new(),
            state: ClusterState::default(),
            contacts: BTreeMap::new(),
            executor,
            fencing: FencingCoordinator::new(start.seed),
            controller: None,
            scheduler,
            requests: Requests::default(),
            tags: BTreeMap::new(),
            next_tag: 1,
            member_tags: BTreeMap::new(),
            leader: None,
            term: Term(0),
            drain: None,
            blocked: Vec::new(),
            unlogged: Vec::new(),
            settings,
            shown: LogIndex(0),
            show_at: None,
            checks: BTreeMap::new(),
            local: local::LocalStop::default(),
            admissions: BTreeMap::new(),
            watchdog_until: None,
            began_wall_ms: now.wall_ms,
            now,
        };
        let mut out = Outbox::default();
        node.inbox.extend(outputs);
        node.settle(&mut out);
        effects.append(&mut out.effects);
        (node, effects)
    }

    /// One step.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.now = now;
        let mut out = Outbox::default();
        let is_inventory = matches!(event, Event::Inventory(_));
        self.executor.set_lease(self.lease());
        match event {
            Event::Tick => {
                self.engine_step(EngineInput::Tick);
                self.executor.tick(now, &mut out);
                self.fencing_tick(&mut out);
            }
            Event::Frame { from, link, bytes } => {
                self.engine_step(EngineInput::Frame { from, link, bytes });
            }
            Event::Durable(batch) => self.engine_step(EngineInput::Durable(batch)),
            Event::StoreFailed(why) => {
                self.engine = None;
                out.effect(Effect::Halt {
                    reason: format!("the state cannot be made durable: {why}"),
                    clean: false,
                });
            }
            Event::AgentDone { run, result } => {
                self.executor.done(run, result, now, &mut out);
            }
            Event::Inventory(found) => {
                self.executor.found(&found, now);
                self.executor.send_pending(now, &mut out);
            }
            Event::ProcessExited { resource } => {
                self.executor.process_exited(&resource, now, &mut out);
            }
            Event::Client { id, request } => {
                self.request(Origin::Client(id), request, &mut out);
            }
            Event::ClientGone(client) => self.requests.client_gone(client),
            Event::Shutdown => self.begin_drain(None, &mut out),
        }
        if !is_inventory {
            // The shell's inventory comes first of all, if it comes.
            self.executor.resolve_left(now, &mut out);
        }
        self.settle(&mut out);
        let lease = self.lease();
        let mut late = Outbox::default();
        self.executor.with_lease(lease, now, &mut late);
        if !is_empty(&late) {
            self.settle(&mut late);
            out.effects.append(&mut late.effects);
        }
        out.effects
    }

    /// When the next `Event::Tick` is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let Some(engine) = &self.engine else {
            return Millis(u64::MAX);
        };
        let mut next = engine
            .deadline()
            .min(self.executor.deadline())
            .min(self.fencing.deadline())
            .min(self.local.deadline());
        if let Some(controller) = &self.controller {
            next = next.min(controller.deadline(&self.world()));
        }
        if self.drain.is_some() {
            next = next.min(self.now.mono.plus(200));
        }
        if let Some(at) = self.show_at {
            next = next.min(at);
        }
        if let Some(at) = self.watchdog_deadline() {
            next = next.min(at);
        }
        next
    }

    /// This node's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The replicated state as applied here.
    #[must_use]
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    fn world(&self) -> World<'_> {
        let outstanding = self
            .tags
            .values()
            .filter(|purpose| !matches!(purpose, Purpose::Ledger | Purpose::Intents))
            .count();
        World {
            name: &self.name,
            incarnation: self.incarnation,
            state: &self.state,
            contacts: &self.contacts,
            now: self.now,
            outstanding,
            lease_until: self.engine.as_ref().and_then(Engine::leader_lease_until),
            detection_ms: self.settings.detection_ms,
            leads: self.controller.as_ref().map(Controller::term),
        }
    }

    fn lease(&self) -> Lease {
        let until = self.engine.as_ref().and_then(Engine::lease_until);
        match until {
            Some(until) if self.now.mono < until => Lease::Valid,
            _ => Lease::Expired,
        }
    }

    /// Gives the engine an input; what comes out is taken in later, in order.
    fn engine_step(&mut self, input: EngineInput) {
        if let Some(engine) = &mut self.engine {
            self.inbox.extend(engine.step(self.now.mono, input));
        }
    }

    /// Carries what the parts want to each other until nothing is left.
    fn settle(&mut self, out: &mut Outbox) {
        let mut effects = std::mem::take(&mut out.effects);
        for _ in 0..ROUNDS_MAX {
            effects.append(&mut out.effects);
            if self.carry(out) {
                continue;
            }
            self.advance(out);
            if is_empty(out) && self.inbox.is_empty() {
                break;
            }
        }
        self.show(out);
        self.feed_watchdog(out);
        effects.append(&mut out.effects);
        out.effects = effects;
    }

    /// Carries one round; whether there was anything.
    fn carry(&mut self, out: &mut Outbox) -> bool {
        let mut next = Outbox::default();
        let mut had_any = !self.inbox.is_empty();
        while let Some(output) = self.inbox.pop_front() {
            self.inflow(output, &mut next);
        }
        for (purpose, entry) in std::mem::take(&mut out.proposals) {
            had_any = true;
            if let Purpose::Answer { request, text } = &purpose
                && crate::seeded::has(crate::seeded::Bug::AcknowledgedEarly)
            {
                let index = LogIndex(self.state.applied.0 + 1);
                let text = text.clone();
                let done = crate::admin::Response::Done { text, index };
                next.answers.push((*request, done));
            }
            self.propose(purpose, &entry);
        }
        for (to, message) in std::mem::take(&mut out.messages) {
            had_any = true;
            self.deliver(to, message, &mut next);
        }
        for (request, change) in std::mem::take(&mut out.members) {
            had_any = true;
            let tag = self.tag();
            self.member_tags.insert(tag, request);
            self.engine_step(EngineInput::ChangeMembers { tag, change });
        }
        for request in std::mem::take(&mut out.fences) {
            had_any = true;
            let finished = self.with_fencing(|fencing, context, executor| {
                fencing.request(request, context, executor, &mut next)
            });
            if let Some(finished) = finished {
                self.fenced(&finished, &mut next);
            }
        }
        for (request, confirmed) in std::mem::take(&mut out.verdicts) {
            had_any = true;
            self.engine_step(EngineInput::PairFenceVerdict { request, confirmed });
        }
        if let Some(to) = out.transfer.take() {
            had_any = true;
            self.engine_step(EngineInput::TransferLeadership { to });
        }
        for (id, response) in std::mem::take(&mut out.answers) {
            had_any = true;
            match self.requests.close(id) {
                Some(Origin::Client(client)) => next.effect(Effect::Reply { client, response }),
                Some(Origin::Node(node, id)) => {
                    next.send(To::Node(node), Message::Answer { id, response });
                }
                None => {}
            }
        }
        for device in std::mem::take(&mut self.executor.device_results) {
            had_any = true;
            self.device_done(device.id, device.term, &device.result, &mut next);
        }
        *out = next;
        had_any
    }

    fn tag(&mut self) -> Tag {
        let tag = Tag(self.next_tag);
        self.next_tag += 1;
        tag
    }

    fn propose(&mut self, purpose: Purpose, entry: &Entry) {
        let tag = self.tag();
        self.tags.insert(tag, purpose);
        let payload = entry.encode();
        self.engine_step(EngineInput::Propose { tag, payload });
    }

    fn deliver(&mut self, to: To, message: Message, out: &mut Outbox) {
        let to = match to {
            To::Node(node) => Some(node),
            To::Leader => self.leader.clone(),
        };
        match to {
            Some(node) if node == self.name => {
                let from = self.name.clone();
                self.message(from, message, out);
            }
            Some(node) => {
                let bytes = message.encode();
                self.engine_step(EngineInput::Send { to: node, bytes });
            }
            None => {}
        }
    }

    /// A message of a manager, this node's own included.
    fn message(&mut self, from: NodeName, message: Message, out: &mut Outbox) {
        let now = self.now;
        match message {
            Message::Orders(orders) => {
                if !self.state.members.contains_key(&from) {
                    return;
                }
                let lease = self.lease();
                for order in orders {
                    if order.term < self.term {
                        continue;
                    }
                    self.executor.order(order, lease, now, out);
                }
            }
            Message::Reports {
                incarnation,
                reports,
            } => {
                self.with_controller(|controller, world| {
                    controller.reports(&from, incarnation, reports, world, out);
                });
            }
            Message::AskInventory { term } => {
                if term < self.executor.term().max(self.term) {
                    return;
                }
                self.executor.heard_of(term);
                let inventory = self.executor.inventory(term);
                out.send(To::Node(from), Message::Inventory(inventory));
            }
            Message::Inventory(inventory) => {
                self.with_controller(|controller, world| {
                    controller.inventory(&from, inventory, world, out);
                });
            }
            Message::RunDevice { id, term, call } => {
                let by = Coordinator::Node(from);
                self.executor.run_device(id, term, by, call, out);
            }
            Message::DeviceDone { id, term, result } => self.device_done(id, term, &result, out),
            Message::Request { id, request } => {
                self.request(Origin::Node(from, id), request, out);
            }
            Message::Answer { id, response } => out.answers.push((id, response)),
        }
    }

    /// Lets the controller work with what this node sees.
    fn with_controller(&mut self, work: impl FnOnce(&mut Controller, &World<'_>)) {
        let Some(mut controller) = self.controller.take() else {
            return;
        };
        let mut world = self.world();
        world.leads = Some(controller.term());
        work(&mut controller, &world);
        self.controller = Some(controller);
    }

    /// Lets the fencing coordinator work with what this node sees.
    fn with_fencing<R>(
        &mut self,
        work: impl FnOnce(&mut FencingCoordinator, &Context<'_>, &mut Executor) -> R,
    ) -> R {
        let contacts = &self.contacts;
        let is_reachable =
            |node: &NodeName| contacts.get(node).is_some_and(|contact| contact.is_up);
        let context = Context {
            state: &self.state,
            own: &self.name,
            is_reachable: &is_reachable,
            now: self.now,
        };
        work(&mut self.fencing, &context, &mut self.executor)
    }

    fn device_done(
        &mut self,
        id: u64,
        term: Term,
        result: &crate::event::AgentResult,
        out: &mut Outbox,
    ) {
        if self.check_done(id, term, result, out) {
            return;
        }
        let finished = self.with_fencing(|fencing, context, executor| {
            fencing.device_done(id, term, result, context, executor, out)
        });
        if let Some(finished) = finished {
            self.fenced(&finished, out);
        }
    }

    fn fencing_tick(&mut self, out: &mut Outbox) {
        let finished =
            self.with_fencing(|fencing, context, executor| fencing.tick(context, executor, out));
        for finished in finished {
            self.fenced(&finished, out);
        }
    }

    /// A fencing ended: tells all who waited, and the log.
    fn fenced(&mut self, finished: &Finished, out: &mut Outbox) {
        use crate::state::{Evidence, FenceOutcome};
        let outcome = &finished.record.outcome;
        for waiter in &finished.waiters {
            match waiter {
                Waiter::Pair(request) => {
                    let is_off = *outcome == FenceOutcome::Confirmed(Evidence::PowerOff);
                    out.verdicts.push((*request, is_off));
                }
                Waiter::Request(id) => out.answers.push((*id, answer(&finished.record))),
                Waiter::Action(_) => {}
            }
        }
        if self.controller.is_some() {
            self.with_controller(|controller, world| controller.fenced(finished, world, out));
        } else if self.unlogged.len() < 64 {
            self.unlogged.push(finished.record.clone());
        }
    }

    fn advance(&mut self, out: &mut Outbox) {
        self.drain_on(out);
        self.with_controller(|controller, world| controller.advance(world, out));
        self.stop_locally(out);
    }

    /// The members and the timers as the configuration wants them.
    fn refresh_settings(&mut self) {
        let option = |name: &str| {
            self.state
                .option(name)
                .and_then(crate::document::milliseconds)
        };
        let weight = |node: &NodeName| self.state.held_by(node).count() as u64;
        let peer = self.state.members.keys().find(|name| **name != self.name);
        let settings = Settings {
            detection_ms: option("detection-time")
                .unwrap_or(self.timing.detection_ms)
                .clamp(50, 600_000),
            fence_delay_ms: option("fence-delay")
                .or_else(|| option("priority-fencing-delay"))
                .unwrap_or(Settings::default().fence_delay_ms),
            own_weight: weight(&self.name),
            peer_weight: peer.map_or(0, weight),
            pair_fencing: peer
                .is_some_and(|peer| !crate::devices::levels(&self.state, peer).is_empty()),
            watchdog_ms: self.counted_watchdog_ms(),
        };
        if settings != self.settings {
            self.settings = settings;
            self.engine_step(EngineInput::Settings(settings));
        }
    }

    /// Logs a sentence and raises an alert where an operator must act.
    fn alarm(&self, text: String, node: &NodeName, out: &mut Outbox) {
        out.effect(Effect::Alert(vec![
            ("CRM_alert_kind".to_owned(), "fencing".to_owned()),
            ("CRM_alert_node".to_owned(), node.0.clone()),
            ("CRM_alert_desc".to_owned(), text.clone()),
        ]));
        out.log(LogLevel::Error, text);
    }

    /// Takes in a member that the log admitted.
    fn admit(&mut self, request: Option<u64>, name: NodeName, out: &mut Outbox) {
        let Some(member) = self.state.members.get(&name) else {
            return;
        };
        if let Some(request) = request {
            self.admissions.insert(request, name.clone());
        }
        let change = MemberChange::AddLearner {
            name,
            addresses: member.addresses.clone(),
            promote: true,
        };
        out.members.push((request, change));
    }
}

fn is_empty(out: &Outbox) -> bool {
    out.effects.is_empty()
        && out.messages.is_empty()
        && out.proposals.is_empty()
        && out.members.is_empty()
        && out.answers.is_empty()
        && out.verdicts.is_empty()
        && out.fences.is_empty()
        && out.transfer.is_none()
}

/// What whoever asked for a fencing is told.
fn answer(record: &FenceRecord) -> crate::admin::Response {
    use crate::state::FenceOutcome;
    match &record.outcome {
        FenceOutcome::Confirmed(_) => crate::admin::Response::Done {
            text: format!("{} is fenced", record.target),
            index: LogIndex(0),
        },
        FenceOutcome::Failed(why) => crate::requests::refused(
            &format!("fencing {} failed: {why}", record.target),
            &if record.devices.is_empty() {
                format!(
                    "add a stonith resource that can fence {0}; if it is off: quorate fence confirm {0}",
                    record.target
                )
            } else {
                format!(
                    "try the device by hand: quorate fence check {}",
                    record.target
                )
            },
        ),
        FenceOutcome::Refuted => crate::requests::refused(
            &format!("{} answers after it was fenced", record.target),
            "its fence device lies: check it, or add another",
        ),
    }
}
