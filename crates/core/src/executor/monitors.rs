//! The recurring monitors: they run by themselves and report changes only.

use super::{Executor, Purpose, Recurring, encode};
use crate::apply::rc_and_status;
use crate::event::{AgentResult, Effect, Outcome};
use crate::ids::Now;
use crate::message::Order;
use crate::outbox::Outbox;

impl Executor {
    pub(super) fn begin_recurring(&mut self, order: Order, now: Now, out: &mut Outbox) {
        let id = monitor_id(&order.call.resource, &order.key);
        // The same monitor, asked for by a newer transition while its first run is under way: that run answers.
        if let Some(known) = self.recurring.get_mut(&id)
            && known.run.is_some()
            && known.last.is_none()
            && is_same(&known.order, &order)
        {
            out.effect(Effect::Remember {
                key: format!("monitor/{id}"),
                value: Some(encode(&order)),
            });
            known.order = order;
            return;
        }
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

    pub(super) fn cancel(&mut self, id: &str, out: &mut Outbox) {
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

    pub(super) fn cancel_all(&mut self, resource: &str, out: &mut Outbox) {
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
    pub(super) fn run_due(&mut self, now: Now, out: &mut Outbox) {
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

    /// Resources that are monitored: they were started here and not stopped.
    pub fn monitored_resources(&self) -> impl Iterator<Item = String> {
        self.recurring
            .values()
            .map(|monitor| &monitor.order)
            // One that expects "not running" watches that nobody starts it behind the cluster's back.
            .filter(|order| order.call.class != "stonith" && order.expected_rc != 7)
            .map(|order| order.call.resource.clone())
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

    pub(super) fn monitored(&mut self, id: &str, result: AgentResult, now: Now, out: &mut Outbox) {
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
        let is_kept_back =
            monitor.last.is_some() && crate::seeded::has(crate::seeded::Bug::MonitorSilent);
        if monitor.last == Some(said) || is_kept_back {
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
}

/// Whether two orders ask for the same, whatever they are called.
fn is_same(one: &Order, other: &Order) -> bool {
    one.call == other.call
        && one.expected_rc == other.expected_rc
        && one.boot == other.boot
        && one.term == other.term
}

pub(super) fn monitor_id(resource: &str, key: &str) -> String {
    format!("{resource}/{key}")
}
