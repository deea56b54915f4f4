//! Invariant 5: order constraints hold in the world, and one thing at a time is done to a resource.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::event::Outcome;

use super::Checker;
use crate::time::{SECOND, Time};
use crate::truth::{Fact, Host, Truth};

/// What was decided before a monitor failed may begin for so long after it: the news is on its way.
const NEWS_TIME: Time = 5 * SECOND;

/// Follows what each machine's agents reported.
#[derive(Debug, Default)]
pub struct Order {
    /// What started and was not stopped since, by what the agents said.
    up: BTreeSet<(Host, String)>,
    /// When a monitor found that what was up had gone.
    gone: BTreeMap<(Host, String), Time>,
    /// Starts, stops, promotions and demotions under way.
    busy: BTreeMap<(Host, String), String>,
}

fn changes(action: &str) -> bool {
    matches!(action, "start" | "stop" | "promote" | "demote")
}

impl Checker for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::RunBegins {
                host,
                resource,
                action,
                ..
            } if changes(action) => {
                let key = (*host, resource.clone());
                if let Some(other) = self.busy.insert(key, action.clone()) {
                    return Err(format!(
                        "{action} of {resource} begins on {host} during its {other}"
                    ));
                }
                if action == "start" {
                    self.started_after(truth, *host, resource)
                } else if action == "stop" {
                    self.stopped_before(truth, *host, resource)
                } else {
                    Ok(())
                }
            }
            Fact::RunEnds {
                host,
                resource,
                action,
                outcome,
                ..
            } => {
                self.ended(truth, *host, resource, action, *outcome);
                Ok(())
            }
            Fact::PowerOff { host, .. } => {
                self.up.retain(|(on, _)| on != host);
                self.gone.retain(|(on, _), _| on != host);
                self.busy.retain(|(on, _), _| on != host);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Order {
    fn ended(&mut self, truth: &Truth, host: Host, resource: &str, action: &str, outcome: Outcome) {
        let key = (host, resource.to_owned());
        if changes(action) {
            self.busy.remove(&key);
        }
        match (action, outcome) {
            ("start", Outcome::Exited(0)) => {
                self.up.insert(key);
            }
            ("stop", Outcome::Exited(0)) => {
                self.up.remove(&key);
                self.gone.remove(&key);
            }
            ("monitor", Outcome::Exited(7)) if self.up.remove(&key) => {
                self.gone.insert(key, truth.now);
            }
            // A monitor that finds it running (a probe, after a restart of everything) is as good as a start.
            ("monitor", Outcome::Exited(0)) => {
                self.up.insert(key);
            }
            _ => {}
        }
    }

    fn started_after(&self, truth: &Truth, host: Host, resource: &str) -> Result<(), String> {
        let Some(first) = truth
            .resources
            .get(resource)
            .and_then(|known| known.after.clone())
        else {
            return Ok(());
        };
        let key = (host, first.clone());
        let has_just_gone = self
            .gone
            .get(&key)
            .is_some_and(|at| truth.now - at <= NEWS_TIME);
        if self.up.contains(&key) || has_just_gone {
            Ok(())
        } else {
            Err(format!(
                "{resource} starts on {host} before {first} has started there"
            ))
        }
    }

    fn stopped_before(&self, truth: &Truth, host: Host, resource: &str) -> Result<(), String> {
        for (name, later) in &truth.resources {
            if later.after.as_deref() == Some(resource) && self.up.contains(&(host, name.clone())) {
                return Err(format!(
                    "{resource} stops on {host} before {name} has stopped there"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{begins, ends, world};
    use super::*;

    #[test]
    fn bites_on_a_start_before_what_it_needs() {
        let truth = world();
        let mut order = Order::default();
        assert!(
            order
                .observe(&truth, &begins(0, "address", "start", "1.1.1"))
                .is_err()
        );
    }

    #[test]
    fn bites_on_a_stop_before_what_needs_it() {
        let truth = world();
        let mut order = Order::default();
        for resource in ["disk", "address"] {
            order
                .observe(&truth, &begins(0, resource, "start", "1.1.1"))
                .expect("in order");
            order
                .observe(&truth, &ends(0, resource, "start", 0))
                .expect("in order");
        }
        assert!(
            order
                .observe(&truth, &begins(0, "disk", "stop", "1.2.1"))
                .is_err()
        );
    }

    #[test]
    fn what_was_decided_before_a_failure_may_still_begin() {
        let mut truth = world();
        truth.now = 100 * SECOND;
        let mut order = Order::default();
        for fact in [
            begins(0, "disk", "start", "1.1.1"),
            ends(0, "disk", "start", 0),
            ends(0, "disk", "monitor", 7),
            begins(0, "address", "start", "1.1.2"),
            ends(0, "address", "start", 1),
        ] {
            order
                .observe(&truth, &fact)
                .expect("the news is on its way");
        }
        truth.now += NEWS_TIME + 1;
        let again = begins(0, "address", "start", "1.2.2");
        assert!(order.observe(&truth, &again).is_err());
    }

    #[test]
    fn bites_on_two_actions_at_once() {
        let truth = world();
        let mut order = Order::default();
        order
            .observe(&truth, &begins(0, "disk", "start", "1.1.1"))
            .expect("starts");
        assert!(
            order
                .observe(&truth, &begins(0, "disk", "stop", "1.2.1"))
                .is_err()
        );
    }
}
