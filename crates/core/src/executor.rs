//! The executor of every node: runs what the leader orders, at most once, and the recurring monitors.
//!
//! It obeys the newest term it has heard of and orders for its own boot only. Results are kept and sent until
//! the log has them; a repeated order is answered with the kept result.

mod adopt;
mod monitors;
mod results;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::entry::Report;
use crate::event::{AgentCall, AgentResult, Effect, LogLevel, Outcome};
use crate::ids::{Incarnation, Millis, Now, RunId, Term};
use crate::message::{Message, NodeInventory, Order, OrderKind};
use crate::outbox::{Outbox, To};
use crate::start::Inventory;

/// Results that are sent again until the log has them: every so often.
const RESEND_MS: u64 = 500;
/// Results kept for repeated orders.
const KEPT_MAX: usize = 512;
/// Results of fence devices kept for repeated askings.
const DEVICES_DONE_MAX: usize = 64;
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
    /// As of this step.
    lease: Lease,
    /// Orders that wait for the lease, each until a time.
    without_lease: Vec<(Millis, Order)>,
    /// Orders of an earlier session whose runs the shell has not told of.
    left_orders: BTreeMap<String, Order>,
    /// Where orders are remembered, by action.
    order_keys: BTreeMap<String, String>,
    /// Fence devices that were started here.
    registered: BTreeSet<String>,
    /// What fence devices said that ran for other nodes' coordinators, for repeated askings: the oldest first.
    devices_done: VecDeque<(Coordinator, Term, u64, AgentResult)>,
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
            lease: Lease::Expired,
            without_lease: Vec::new(),
            left_orders: BTreeMap::new(),
            order_keys: BTreeMap::new(),
            registered: BTreeSet::new(),
            devices_done: VecDeque::new(),
            device_results: Vec::new(),
            may_leave: false,
        };
        executor.adopt(inventory, now);
        executor
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
        self.lease = lease;
        if self.waits_for_lease(&order, now) {
            return;
        }
        match order.kind {
            OrderKind::Leave => {
                self.may_leave = true;
            }
            OrderKind::Cancel => {
                let id = monitors::monitor_id(&order.call.resource, &order.key);
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

    /// An order that needs the lease waits where there is none: it comes within a probe's time, if at all; later the
    /// leader asks again.
    fn waits_for_lease(&mut self, order: &Order, now: Now) -> bool {
        let needs_lease = matches!(order.kind, OrderKind::Begin | OrderKind::Recurring);
        if !needs_lease
            || self.lease == Lease::Valid
            || crate::seeded::has(crate::seeded::Bug::LeaseIgnored)
        {
            return false;
        }
        let until = now.mono.plus(LEASE_WAIT_MS);
        self.without_lease
            .retain(|(_, waiting)| waiting.name != order.name);
        if self.without_lease.len() < QUEUE_MAX {
            self.without_lease.push((until, order.clone()));
        }
        true
    }

    /// Whether this node may begin something in this step.
    pub fn set_lease(&mut self, lease: Lease) {
        self.lease = lease;
    }

    /// Orders that came before the lease begin as soon as it is there.
    pub fn with_lease(&mut self, lease: Lease, now: Now, out: &mut Outbox) {
        self.lease = lease;
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
        // It may have waited longer for another run than the lease lasted.
        if self.waits_for_lease(&order, now) {
            self.next_of(resource, now, out);
            return;
        }
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
        let done = self
            .devices_done
            .iter()
            .find(|(whom, of, known, _)| *whom == by && *of == term && *known == id);
        if let Some((Coordinator::Node(node), _, _, result)) = done {
            let result = result.clone();
            out.send(
                To::Node(node.clone()),
                Message::DeviceDone { id, term, result },
            );
            return;
        }
        // What an earlier session of this daemon left running ends first: who asks will ask again.
        let is_left = self
            .runs
            .values()
            .any(|run| run.purpose == Purpose::Discarded && run.resource == call.resource);
        if is_left && by != Coordinator::Own {
            return;
        }
        call.name = String::new();
        self.run(call, Purpose::Device { id, term, by }, out);
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
                let verdict = adopt::verdict(&order, result);
                self.report(&order, verdict, now);
                self.send_pending(now, out);
            }
            Purpose::Recurring(id) => self.monitored(&id, result, now, out),
            Purpose::Device { id, term, by } => match by {
                Coordinator::Own => self.device_results.push(DeviceResult { id, term, result }),
                Coordinator::Node(node) => {
                    if self.devices_done.len() >= DEVICES_DONE_MAX {
                        self.devices_done.pop_front();
                    }
                    let whom = Coordinator::Node(node.clone());
                    self.devices_done
                        .push_back((whom, term, id, result.clone()));
                    out.send(To::Node(node), Message::DeviceDone { id, term, result });
                }
            },
            Purpose::Discarded => {}
        }
        self.next_of(&known.resource, now, out);
        self.run_due(now, out);
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

    /// Calls that run, wait to run or were left by an earlier session, and make a resource run.
    pub fn begun(&self) -> impl Iterator<Item = &AgentCall> {
        let running = self.runs.values().filter_map(|run| match &run.purpose {
            Purpose::Order(order) | Purpose::Verify(order) => Some(&**order),
            _ => None,
        });
        running
            .chain(self.queues.values().flatten())
            .chain(self.left_orders.values())
            .map(|order| &order.call)
            .filter(|call| {
                let begins = matches!(call.action.as_str(), "start" | "promote" | "migrate_from");
                begins && call.class != "stonith"
            })
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
