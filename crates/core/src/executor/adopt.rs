//! What an earlier session of the daemon left behind: runs that go on, results that nobody took, runs of which
//! nothing is known.

use super::{Executor, Purpose, Recurring, Run};
use crate::entry::FailureWeight;
use crate::event::{AgentCall, AgentResult, FoundRun, Outcome};
use crate::ids::{Now, RunId, Term};
use crate::message::{Order, OrderKind};
use crate::outbox::Outbox;
use crate::start::Inventory;

impl Executor {
    pub(super) fn adopt(&mut self, inventory: &Inventory, now: Now) {
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
                let is_awaited = !crate::seeded::has(crate::seeded::Bug::AdoptedNotAwaited);
                if inventory.running.contains(&run) && is_awaited {
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
    pub(super) fn adopt_run(&mut self, found: &FoundRun, now: Now) {
        if crate::seeded::has(crate::seeded::Bug::InventoryForgotten) {
            return;
        }
        let remembered = self.left_orders.remove(&found.call.name);
        // What is remembered no longer is in the log: it is kept for a repeated order, and no news.
        let is_news = remembered.is_some();
        let order = remembered.unwrap_or_else(|| order_of(&found.call));
        self.term = self.term.max(order.term);
        match &found.result {
            Some(_) if found.call.name.is_empty() => {}
            // That its supervisor died says nothing of what the agent did: it is looked at, not believed to have failed.
            Some(result) if result.outcome == Outcome::Lost && is_news => {
                self.left_orders.insert(order.name.clone(), order);
            }
            Some(result) if is_news => self.report(&order, result.clone(), now),
            Some(result) => self.keep(&order, result.clone(), now),
            None if found.call.name.is_empty() => {
                let resource = found.call.resource.clone();
                self.busy.insert(resource.clone(), found.run);
                let purpose = Purpose::Discarded;
                self.runs.insert(found.run, Run { purpose, resource });
            }
            None if crate::seeded::has(crate::seeded::Bug::AdoptedNotAwaited) => {
                self.left_orders.insert(order.name.clone(), order);
            }
            None => self.await_run(found.run, order),
        }
    }

    pub(super) fn await_run(&mut self, run: RunId, order: Order) {
        let resource = order.call.resource.clone();
        let purpose = Purpose::Order(Box::new(order));
        self.busy.insert(resource.clone(), run);
        self.runs.insert(run, Run { purpose, resource });
    }

    /// Orders of an earlier session of whose run nothing is known any more: what they led to is looked at, as soon as
    /// nothing else runs for their resource.
    pub fn resolve_left(&mut self, now: Now, out: &mut Outbox) {
        for (name, order) in std::mem::take(&mut self.left_orders) {
            if self.busy.contains_key(&order.call.resource) {
                self.left_orders.insert(name, order);
            } else {
                self.verify(Box::new(order), now, out);
            }
        }
    }

    /// What the shell's journal knows of runs of an earlier session.
    pub fn found(&mut self, runs: &[FoundRun], now: Now) {
        for (place, found) in runs.iter().enumerate() {
            let name = &found.call.name;
            let is_known = self.runs.contains_key(&found.run) || self.kept.contains_key(name);
            // A stop that was done again is in the journal twice: what it led to last counts.
            let is_older = !name.is_empty()
                && runs[place + 1..]
                    .iter()
                    .any(|later| later.call.name == *name);
            if !is_known && !is_older {
                self.adopt_run(found, now);
            }
        }
    }

    /// The end of a run of an earlier session is known, its exit code is not.
    pub(super) fn verify(&mut self, order: Box<Order>, now: Now, out: &mut Outbox) {
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
}

/// What a look says about an action whose exit code was lost.
pub(super) fn verdict(order: &Order, look: AgentResult) -> AgentResult {
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
    Order {
        name: call.name.clone(),
        term: Term(0),
        boot: crate::ids::Boot(0),
        kind: match call.action.as_str() {
            "monitor" => OrderKind::Look,
            "stop" | "demote" | "notify" => OrderKind::End,
            _ => OrderKind::Begin,
        },
        key: format!("{}_{}_{}", call.resource, call.action, call.interval_ms),
        transition_key: String::new(),
        expected_rc: 0,
        failure: FailureWeight::None,
        migration: Vec::new(),
        call: call.clone(),
    }
}
