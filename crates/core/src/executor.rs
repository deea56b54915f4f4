//! The executor of every node: runs what the leader orders, at most once, and the recurring monitors.
//!
//! It obeys the newest term it has heard of and orders for its own boot only. Results are kept and sent until
//! the log has them; a repeated order is answered with the kept result.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::apply::rc_and_status;
use crate::entry::{FailureWeight, Report};
use crate::event::{AgentCall, AgentResult, Effect, FoundRun, LogLevel, Outcome};
use crate::ids::{Incarnation, Millis, Now, RunId, Session, Term};
use crate::message::{Message, NodeInventory, Order, OrderKind};
use crate::outbox::{Outbox, To};
use crate::start::Inventory;

/// Results that are sent again until the log has them: every so often.
const RESEND_MS: u64 = 500;
/// Results kept for repeated orders.
const KEPT_MAX: usize = 512;
/// How long an order waits for the lease.
const LEASE_WAIT_MS: u64 = 250;
/// Orders that wait for one resource.
const QUEUE_MAX: usize = 64;

/// Whether this node may begin something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It may.
    Valid,
    /// It may not.
    Expired,
}

/// What a run is for.
#[derive(Debug, Clone, PartialEq)]
enum Purpose {
    /// An order.
    Order(Box<Order>),
    /// A recurring monitor.
    Recurring(String),
    /// A fence device, for a coordinator.
    Device {
        id: u64,
        term: Term,
        by: Coordinator,
    },
    /// A look at what an earlier session's run led to.
    Verify(Box<Order>),
    /// Killed and of no interest any more.
    Discarded,
}

/// For whom a fence device runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coordinator {
    /// This node's own coordinator.
    Own,
    /// Another node's.
    Node(crate::ids::NodeName),
}

/// A run of this session.
#[derive(Debug, Clone)]
struct Run {
    purpose: Purpose,
    /// The resource that it keeps busy.
    resource: String,
}

/// A recurring monitor.
#[derive(Debug, Clone)]
struct Recurring {
    order: Order,
    /// When it runs next.
    next: Millis,
    /// What it said last: exit code and status.
    last: Option<(i32, i32)>,
    /// It runs now.
    run: Option<RunId>,
    /// It is due as soon as the present run has ended.
    again: bool,
}

/// A fence device's run has ended.
#[derive(Debug, Clone)]
pub struct DeviceResult {
    /// Names the run for its coordinator.
    pub id: u64,
    /// The coordinator's term.
    pub term: Term,
    /// How.
    pub result: AgentResult,
}

/// The executor.
#[derive(Debug)]
pub struct Executor {
    incarnation: Incarnation,
    watchdog_ms: Option<u64>,
    /// The newest term heard of.
    term: Term,
    next_run: u64,
    next_report: u64,
    runs: BTreeMap<RunId, Run>,
    busy: BTreeMap<String, RunId>,
    queues: BTreeMap<String, VecDeque<Order>>,
    recurring: BTreeMap<String, Recurring>,
    /// Not in the log yet, in order.
    pending: VecDeque<Report>,
    /// Results by action, for repeated orders.
    kept: BTreeMap<String, Report>,
    kept_order: VecDeque<String>,
    resend_at: Millis,
    is_draining: bool,
    /// Orders that wait for the lease, each until a time.
    without_lease: Vec<(Millis, Order)>,
    /// Orders of an earlier session whose runs the shell has not told of.
    left_orders: BTreeMap<String, Order>,
    /// Where orders are remembered, by action.
    order_keys: BTreeMap<String, String>,
    /// Fence devices that were started here.
    registered: BTreeSet<String>,
    /// Results of fence devices for this node's own coordinator.
    pub device_results: Vec<DeviceResult>,
    /// The leader said that this node may leave.
    pub may_leave: bool,
}

impl Executor {
    /// Starts with what an earlier session of this boot left behind.
    #[must_use]
    pub fn start(
        incarnation: Incarnation,
        watchdog_ms: Option<u64>,
        inventory: &Inventory,
        now: Now,
    ) -> Self {
        let mut executor = Self {
            incarnation,
            watchdog_ms,
            term: Term(0),
            next_run: 1,
            next_report: 1,
            runs: BTreeMap::new(),
            busy: BTreeMap::new(),
            queues: BTreeMap::new(),
            recurring: BTreeMap::new(),
            pending: VecDeque::new(),
            kept: BTreeMap::new(),
            kept_order: VecDeque::new(),
            resend_at: Millis(0),
            is_draining: false,
            without_lease: Vec::new(),
            left_orders: BTreeMap::new(),
            order_keys: BTreeMap::new(),
            registered: BTreeSet::new(),
            device_results: Vec::new(),
            may_leave: false,
        };
        executor.adopt(inventory, now);
        executor
    }

    fn adopt(&mut self, inventory: &Inventory, now: Now) {
        if crate::seeded::has(crate::seeded::Bug::InventoryForgotten) {
            return;
        }
        for (key, value) in &inventory.remembered {
            if let Some(id) = key.strip_prefix("device/") {
                self.registered.insert(id.to_owned());
            }
            let Ok(order) = minicbor::decode::<Order>(value) else {
                continue;
            };
            if let Some((_, run)) = key.strip_prefix("order/").and_then(|k| k.rsplit_once('/')) {
                let run = RunId(run.parse().unwrap_or(0));
                self.next_run = self.next_run.max(run.0 + 1);
                self.order_keys.insert(order.name.clone(), key.clone());
                if inventory.running.contains(&run) {
                    self.term = self.term.max(order.term);
                    self.await_run(run, order);
                } else {
                    self.left_orders.insert(order.name.clone(), order);
                }
                continue;
            }
            let Some(id) = key.strip_prefix("monitor/") else {
                continue;
            };
            let last = Some((order.expected_rc, 0));
            let monitor = Recurring {
                order,
                next: now.mono,
                last,
                run: None,
                again: false,
            };
            self.recurring.insert(id.to_owned(), monitor);
        }
    }

    /// A run of an earlier session: its result is reported, or its end awaited.
    fn adopt_run(&mut self, found: &FoundRun, now: Now) {
        if crate::seeded::has(crate::seeded::Bug::InventoryForgotten) {
            return;
        }
        let remembered = self.left_orders.remove(&found.call.name);
        let order = remembered.unwrap_or_else(|| order_of(&found.call));
        self.term = self.term.max(order.term);
        match &found.result {
            Some(result) if !found.call.name.is_empty() => {
                self.report(&order, result.clone(), now);
            }
            Some(_) => {}
            None if found.call.name.is_empty() => {
                let resource = found.call.resource.clone();
                self.busy.insert(resource.clone(), found.run);
                let purpose = Purpose::Discarded;
                self.runs.insert(found.run, Run { purpose, resource });
            }
            None => self.await_run(found.run, order),
        }
    }

    fn await_run(&mut self, run: RunId, order: Order) {
        let resource = order.call.resource.clone();
        let purpose = Purpose::Order(Box::new(order));
        self.busy.insert(resource.clone(), run);
        self.runs.insert(run, Run { purpose, resource });
    }

    /// Orders of an earlier session of whose run nothing is known any more: what they led to is looked at.
    pub fn resolve_left(&mut self, now: Now, out: &mut Outbox) {
        for (_, order) in std::mem::take(&mut self.left_orders) {
            self.verify(Box::new(order), now, out);
        }
    }

    /// What the shell's journal knows of runs of an earlier session.
    pub fn found(&mut self, runs: &[FoundRun], now: Now) {
        for found in runs {
            let is_known =
                self.runs.contains_key(&found.run) || self.kept.contains_key(&found.call.name);
            if !is_known {
                self.adopt_run(found, now);
            }
        }
    }

    /// The newest term it has heard of.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// A newer leader is there.
    pub fn heard_of(&mut self, term: Term) {
        self.term = self.term.max(term);
    }

    /// This node wants to leave: the next inventory says so.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// What it tells a leader.
    #[must_use]
    pub fn inventory(&self, term: Term) -> NodeInventory {
        let running = self.runs.values().filter_map(|run| match &run.purpose {
            Purpose::Order(order) | Purpose::Verify(order) => Some(order.name.clone()),
            _ => None,
        });
        let queued = self
            .queues
            .values()
            .flatten()
            .map(|order| order.name.clone());
        NodeInventory {
            term,
            incarnation: self.incarnation,
            watchdog_ms: self.watchdog_ms,
            running: running.chain(queued).collect(),
            reports: self.pending.iter().cloned().collect(),
            is_draining: self.is_draining,
        }
    }

    /// An order of the leader.
    pub fn order(&mut self, order: Order, lease: Lease, now: Now, out: &mut Outbox) {
        let is_older =
            order.term < self.term && !crate::seeded::has(crate::seeded::Bug::OlderTermObeyed);
        let is_for_another = order.boot != self.incarnation.boot
            && !crate::seeded::has(crate::seeded::Bug::OtherBootObeyed);
        if is_older || is_for_another {
            out.log(
                LogLevel::Debug,
                format!(
                    "Refused order {} of an older term or another boot.",
                    order.name
                ),
            );
            return;
        }
        self.term = order.term;
        if self.is_known(&order.name) && !crate::seeded::has(crate::seeded::Bug::RunsTwice) {
            self.answer_again(&order.name, now, out);
            return;
        }
        let needs_lease = matches!(order.kind, OrderKind::Begin | OrderKind::Recurring);
        let is_checked = !crate::seeded::has(crate::seeded::Bug::LeaseIgnored);
        if needs_lease && lease == Lease::Expired && is_checked {
            // It comes within a probe's time, if at all; later the leader asks again.
            let until = now.mono.plus(LEASE_WAIT_MS);
            self.without_lease
                .retain(|(_, waiting)| waiting.name != order.name);
            if self.without_lease.len() < QUEUE_MAX {
                self.without_lease.push((until, order));
            }
            return;
        }
        match order.kind {
            OrderKind::Leave => {
                self.may_leave = true;
            }
            OrderKind::Cancel => {
                let id = monitor_id(&order.call.resource, &order.key);
                self.cancel(&id, out);
                self.report(&order, exited(0), now);
                self.send_pending(now, out);
            }
            OrderKind::Recurring => self.begin_recurring(order, now, out),
            OrderKind::Begin | OrderKind::End | OrderKind::Look => {
                self.enqueue(order, now, out);
            }
        }
    }

    /// Orders that came before the lease begin as soon as it is there.
    pub fn with_lease(&mut self, lease: Lease, now: Now, out: &mut Outbox) {
        if self.without_lease.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.without_lease);
        for (until, order) in waiting {
            if lease == Lease::Valid && now.mono <= until {
                self.order(order, lease, now, out);
            } else if now.mono <= until {
                self.without_lease.push((until, order));
            }
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.kept.contains_key(name)
            || self.queues.values().flatten().any(|order| order.name == name)
            || self.runs.values().any(|run| {
                matches!(&run.purpose, Purpose::Order(order) | Purpose::Verify(order) if order.name == name)
            })
            || self.recurring.values().any(|monitor| monitor.order.name == name)
    }

    fn answer_again(&mut self, name: &str, now: Now, out: &mut Outbox) {
        if let Some(report) = self.kept.get(name) {
            out.send(
                To::Leader,
                Message::Reports {
                    incarnation: self.incarnation,
                    reports: vec![report.clone()],
                },
            );
            return;
        }
        // A monitor that was taken over from an earlier session has not spoken in this one: it speaks now.
        let monitor = self
            .recurring
            .values_mut()
            .find(|monitor| monitor.order.name == name && monitor.run.is_none());
        if let Some(monitor) = monitor
            && monitor.last.is_some()
        {
            monitor.last = None;
            monitor.next = now.mono;
            self.run_due(now, out);
        }
    }

    fn enqueue(&mut self, order: Order, now: Now, out: &mut Outbox) {
        let resource = order.call.resource.clone();
        let is_stop = matches!(order.call.action.as_str(), "stop" | "migrate_to");
        if is_stop {
            self.cancel_all(&resource, out);
        }
        let queue = self.queues.entry(resource.clone()).or_default();
        if queue.len() >= QUEUE_MAX {
            out.log(
                LogLevel::Warn,
                format!(
                    "Refused order {}: too many wait for {resource}.",
                    order.name
                ),
            );
            return;
        }
        queue.push_back(order);
        self.next_of(&resource, now, out);
    }

    /// Begins the next order for a resource that is not busy.
    fn next_of(&mut self, resource: &str, now: Now, out: &mut Outbox) {
        if self.busy.contains_key(resource) {
            return;
        }
        let Some(queue) = self.queues.get_mut(resource) else {
            return;
        };
        let Some(order) = queue.pop_front() else {
            self.queues.remove(resource);
            return;
        };
        if let Some(rc) = self.registration(&order, out) {
            self.report(&order, exited(rc), now);
            self.send_pending(now, out);
            self.next_of(resource, now, out);
            return;
        }
        let mut call = order.call.clone();
        call.name.clone_from(&order.name);
        if call.class == "stonith" && call.action == "start" {
            call.action = "monitor".to_owned();
        }
        // What this run will be called is remembered before it begins.
        let key = format!("order/{}/{}", order.name, self.next_run);
        self.order_keys.insert(order.name.clone(), key.clone());
        out.effect(Effect::Remember {
            key,
            value: Some(encode(&order)),
        });
        self.run(call, Purpose::Order(Box::new(order)), out);
    }

    /// A fence device has no process: it is registered here (after a successful `monitor`) or it is not.
    fn registration(&mut self, order: &Order, out: &mut Outbox) -> Option<i32> {
        if order.call.class != "stonith" {
            return None;
        }
        match order.call.action.as_str() {
            "stop" => {
                self.registered.remove(&order.call.resource);
                out.effect(Effect::Remember {
                    key: format!("device/{}", order.call.resource),
                    value: None,
                });
                Some(0)
            }
            "monitor" if self.registered.contains(&order.call.resource) => Some(0),
            "monitor" => Some(7),
            _ => None,
        }
    }

    fn run(&mut self, call: AgentCall, purpose: Purpose, out: &mut Outbox) -> RunId {
        let run = RunId(self.next_run);
        self.next_run += 1;
        let resource = call.resource.clone();
        if !matches!(purpose, Purpose::Device { .. }) {
            self.busy.insert(resource.clone(), run);
        }
        self.runs.insert(run, Run { purpose, resource });
        out.effect(Effect::RunAgent { run, call });
        run
    }

    /// Runs a fence device for a coordinator.
    pub fn run_device(
        &mut self,
        id: u64,
        term: Term,
        by: Coordinator,
        mut call: AgentCall,
        out: &mut Outbox,
    ) {
        let is_known = self.runs.values().any(|run| {
            matches!(&run.purpose, Purpose::Device { id: known, term: of, by: whom }
                if *known == id && *of == term && *whom == by)
        });
        if is_known {
            return;
        }
        call.name = String::new();
        self.run(call, Purpose::Device { id, term, by }, out);
    }

    fn begin_recurring(&mut self, order: Order, now: Now, out: &mut Outbox) {
        let id = monitor_id(&order.call.resource, &order.key);
        self.cancel(&id, out);
        out.effect(Effect::Remember {
            key: format!("monitor/{id}"),
            value: Some(encode(&order)),
        });
        let monitor = Recurring {
            order,
            next: now.mono,
            last: None,
            run: None,
            again: false,
        };
        self.recurring.insert(id, monitor);
        self.run_due(now, out);
    }

    fn cancel(&mut self, id: &str, out: &mut Outbox) {
        let Some(monitor) = self.recurring.remove(id) else {
            return;
        };
        out.effect(Effect::Remember {
            key: format!("monitor/{id}"),
            value: None,
        });
        if let Some(run) = monitor.run
            && let Some(known) = self.runs.get_mut(&run)
        {
            known.purpose = Purpose::Discarded;
            out.effect(Effect::KillAgent(run));
        }
    }

    fn cancel_all(&mut self, resource: &str, out: &mut Outbox) {
        let ids: Vec<String> = self
            .recurring
            .iter()
            .filter(|(_, monitor)| monitor.order.call.resource == resource)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.cancel(&id, out);
        }
    }

    /// Runs the monitors that are due and whose resource is not busy.
    fn run_due(&mut self, now: Now, out: &mut Outbox) {
        let due: Vec<String> = self
            .recurring
            .iter()
            .filter(|(_, monitor)| monitor.run.is_none() && monitor.next <= now.mono)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(monitor) = self.recurring.get(&id) else {
                continue;
            };
            if self.busy.contains_key(&monitor.order.call.resource) {
                continue;
            }
            let call = monitor.order.call.clone();
            let run = self.run(call, Purpose::Recurring(id.clone()), out);
            if let Some(monitor) = self.recurring.get_mut(&id) {
                monitor.run = Some(run);
                monitor.again = false;
            }
        }
    }

    /// A process that a resource left behind has exited: its monitors are due.
    pub fn process_exited(&mut self, resource: &str, now: Now, out: &mut Outbox) {
        for monitor in self.recurring.values_mut() {
            if monitor.order.call.resource == resource {
                monitor.next = now.mono;
                monitor.again = monitor.run.is_some();
            }
        }
        self.run_due(now, out);
    }

    /// A run has ended.
    pub fn done(&mut self, run: RunId, result: AgentResult, now: Now, out: &mut Outbox) {
        let Some(known) = self.runs.remove(&run) else {
            return;
        };
        if self.busy.get(&known.resource) == Some(&run) {
            self.busy.remove(&known.resource);
        }
        match known.purpose {
            Purpose::Order(order) if result.outcome == Outcome::Lost => {
                self.verify(order, now, out);
            }
            Purpose::Order(order) => {
                if order.call.class == "stonith"
                    && order.call.action == "start"
                    && result.outcome == Outcome::Exited(0)
                {
                    self.registered.insert(order.call.resource.clone());
                    out.effect(Effect::Remember {
                        key: format!("device/{}", order.call.resource),
                        value: Some(Vec::new()),
                    });
                }
                self.report(&order, result, now);
                self.send_pending(now, out);
            }
            Purpose::Verify(order) => {
                let verdict = verdict(&order, result);
                self.report(&order, verdict, now);
                self.send_pending(now, out);
            }
            Purpose::Recurring(id) => self.monitored(&id, result, now, out),
            Purpose::Device { id, term, by } => match by {
                Coordinator::Own => self.device_results.push(DeviceResult { id, term, result }),
                Coordinator::Node(node) => {
                    out.send(To::Node(node), Message::DeviceDone { id, term, result });
                }
            },
            Purpose::Discarded => {}
        }
        self.next_of(&known.resource, now, out);
        self.run_due(now, out);
    }

    /// The end of a run of an earlier session is known, its exit code is not.
    fn verify(&mut self, order: Box<Order>, now: Now, out: &mut Outbox) {
        if order.call.action == "stop" {
            // Stopping what is stopped succeeds: the order is carried out once more.
            let resource = order.call.resource.clone();
            self.queues
                .entry(resource.clone())
                .or_default()
                .push_front(*order);
            self.next_of(&resource, now, out);
            return;
        }
        let mut call = order.call.clone();
        call.action = "monitor".to_owned();
        call.name = String::new();
        self.run(call, Purpose::Verify(order), out);
    }

    fn monitored(&mut self, id: &str, result: AgentResult, now: Now, out: &mut Outbox) {
        let Some(monitor) = self.recurring.get_mut(id) else {
            return;
        };
        monitor.run = None;
        let interval = monitor.order.call.interval_ms.max(100);
        monitor.next = if monitor.again {
            now.mono
        } else {
            now.mono.plus(interval)
        };
        if result.outcome == Outcome::Lost {
            return;
        }
        let said = rc_and_status(result.outcome);
        if monitor.last == Some(said) {
            return;
        }
        let is_first = monitor.last.is_none();
        monitor.last = Some(said);
        let mut order = monitor.order.clone();
        if !is_first {
            order.name = String::new();
        }
        self.report(&order, result, now);
        self.send_pending(now, out);
    }

    fn report(&mut self, order: &Order, result: AgentResult, now: Now) {
        let number = self.next_report;
        self.next_report += 1;
        let (rc, status) = rc_and_status(result.outcome);
        let has_failed = status != 0 || rc != order.expected_rc;
        let report = Report {
            number,
            action: order.name.clone(),
            resource: order.call.resource.clone(),
            class: order.call.class.clone(),
            provider: order.call.provider.clone(),
            agent: order.call.agent.clone(),
            key: order.key.clone(),
            operation: order.call.action.clone(),
            interval_ms: order.call.interval_ms,
            transition_key: order.transition_key.clone(),
            expected_rc: order.expected_rc,
            result,
            wall_ms: now.wall_ms,
            failure: if has_failed {
                order.failure
            } else {
                FailureWeight::None
            },
            migration: order.migration.clone(),
            session: self.incarnation.session,
        };
        if !order.name.is_empty() {
            if self.kept_order.len() >= KEPT_MAX
                && let Some(oldest) = self.kept_order.pop_front()
            {
                self.kept.remove(&oldest);
            }
            self.kept.insert(order.name.clone(), report.clone());
            self.kept_order.push_back(order.name.clone());
        }
        self.pending.push_back(report);
    }

    /// Sends what the log does not have.
    pub fn send_pending(&mut self, now: Now, out: &mut Outbox) {
        if self.pending.is_empty() {
            return;
        }
        self.resend_at = now.mono.plus(RESEND_MS);
        out.send(
            To::Leader,
            Message::Reports {
                incarnation: self.incarnation,
                reports: self.pending.iter().cloned().collect(),
            },
        );
    }

    /// The log has the reports of this session up to this one.
    pub fn recorded(&mut self, session: Session, upto: u64, out: &mut Outbox) {
        if session != self.incarnation.session {
            return;
        }
        while let Some(report) = self.pending.front() {
            if report.number > upto {
                break;
            }
            if let Some(key) = self.order_keys.remove(&report.action) {
                out.effect(Effect::Remember { key, value: None });
            }
            self.pending.pop_front();
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Now, out: &mut Outbox) {
        self.run_due(now, out);
        if !self.pending.is_empty() && self.resend_at <= now.mono {
            self.send_pending(now, out);
        }
    }

    /// When it needs the next tick.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let monitors = self
            .recurring
            .values()
            .filter(|monitor| {
                monitor.run.is_none() && !self.busy.contains_key(&monitor.order.call.resource)
            })
            .map(|monitor| monitor.next);
        let resend = (!self.pending.is_empty()).then_some(self.resend_at);
        monitors.chain(resend).min().unwrap_or(Millis(u64::MAX))
    }

    /// Whether an ordered action has ended, and as expected.
    #[must_use]
    pub fn kept_result(&self, name: &str) -> Option<bool> {
        let report = self.kept.get(name)?;
        let (rc, status) = rc_and_status(report.result.outcome);
        Some(status == 0 && rc == report.expected_rc)
    }

    /// Nothing that was ordered runs or waits here.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queues.is_empty()
            && self
                .runs
                .values()
                .all(|run| !matches!(run.purpose, Purpose::Order(_) | Purpose::Verify(_)))
    }

    /// All results are in the log.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        self.pending.is_empty()
    }
}

fn monitor_id(resource: &str, key: &str) -> String {
    format!("{resource}/{key}")
}

fn encode(order: &Order) -> Vec<u8> {
    minicbor::to_vec(order).expect("encoding into memory cannot fail")
}

fn exited(rc: i32) -> AgentResult {
    AgentResult {
        outcome: Outcome::Exited(rc),
        exit_reason: String::new(),
        output: String::new(),
        took_ms: 0,
        digests: None,
    }
}

/// What a look says about an action whose exit code was lost.
fn verdict(order: &Order, look: AgentResult) -> AgentResult {
    let expected = match order.call.action.as_str() {
        "promote" => 8,
        "monitor" => return look,
        _ => 0,
    };
    let is_active = match look.outcome {
        Outcome::Exited(rc) => rc == expected,
        _ => false,
    };
    if is_active {
        return AgentResult {
            outcome: Outcome::Exited(0),
            ..look
        };
    }
    AgentResult {
        outcome: Outcome::Exited(1),
        exit_reason: "the daemon was restarted meanwhile and found it not done".to_owned(),
        ..look
    }
}

/// The little that the call alone says about an order.
fn order_of(call: &AgentCall) -> Order {
    let is_look = call.action == "monitor";
    Order {
        name: call.name.clone(),
        term: Term(0),
        boot: crate::ids::Boot(0),
        kind: if is_look {
            OrderKind::Look
        } else {
            OrderKind::Begin
        },
        key: format!("{}_{}_{}", call.resource, call.action, call.interval_ms),
        transition_key: String::new(),
        expected_rc: 0,
        failure: FailureWeight::None,
        migration: Vec::new(),
        call: call.clone(),
    }
}
