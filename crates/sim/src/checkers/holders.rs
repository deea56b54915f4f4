//! Invariant 2: nothing starts before its last holder said that it is stopped, or lost its power.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::event::Outcome;

use super::Checker;
use crate::truth::{Fact, Host, Truth};

/// Follows who holds what, from the beginning of each start on.
#[derive(Debug, Default)]
pub struct Holders {
    holders: BTreeMap<String, BTreeSet<Host>>,
}

impl Checker for Holders {
    fn name(&self) -> &'static str {
        "holders"
    }

    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::RunBegins {
                host,
                resource,
                action,
                ..
            } if action == "start" || action == "promote" => {
                let Some(known) = truth.resources.get(resource) else {
                    return Ok(());
                };
                let holders = self.holders.entry(resource.clone()).or_default();
                let others: Vec<String> = holders
                    .iter()
                    .filter(|holder| *holder != host && !truth.machines[holder.0].belied)
                    .map(ToString::to_string)
                    .collect();
                holders.insert(*host);
                if others.len() >= known.copies_max {
                    return Err(format!(
                        "{action} of {resource} begins on {host}, but {} neither stopped it nor was fenced",
                        others.join(" and ")
                    ));
                }
            }
            Fact::RunEnds {
                host,
                resource,
                action,
                outcome,
                recurring,
            } => {
                let released = match action.as_str() {
                    "stop" => *outcome == Outcome::Exited(0),
                    "monitor" => !recurring && *outcome == Outcome::Exited(7),
                    "start" => *outcome == Outcome::NotRun,
                    _ => false,
                };
                if released && let Some(holders) = self.holders.get_mut(resource) {
                    holders.remove(host);
                }
            }
            Fact::PowerOff { host, .. } => {
                for holders in self.holders.values_mut() {
                    holders.remove(host);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{begins, ends, world};
    use super::*;
    use crate::truth::PowerCause;

    fn started_on_first() -> (Truth, Holders) {
        let truth = world();
        let mut holders = Holders::default();
        for fact in [begins(0, "db", "start", "1.1.1"), ends(0, "db", "start", 0)] {
            holders.observe(&truth, &fact).expect("fine so far");
        }
        (truth, holders)
    }

    #[test]
    fn bites_when_the_last_holder_did_not_stop() {
        let (truth, mut holders) = started_on_first();
        holders
            .observe(&truth, &ends(0, "db", "stop", 1))
            .expect("a failed stop is no start");
        assert!(
            holders
                .observe(&truth, &begins(1, "db", "start", "1.2.1"))
                .is_err()
        );
    }

    #[test]
    fn a_stop_or_a_power_off_releases() {
        let (truth, mut holders) = started_on_first();
        holders
            .observe(&truth, &ends(0, "db", "stop", 0))
            .expect("stops");
        assert_eq!(
            holders.observe(&truth, &begins(1, "db", "start", "1.2.1")),
            Ok(())
        );
        let off = Fact::PowerOff {
            host: Host(1),
            cause: PowerCause::Fenced,
        };
        holders.observe(&truth, &off).expect("goes off");
        assert_eq!(
            holders.observe(&truth, &begins(2, "db", "start", "1.3.1")),
            Ok(())
        );
    }

    #[test]
    fn a_failed_start_still_holds() {
        let (truth, mut holders) = started_on_first();
        holders
            .observe(&truth, &ends(0, "db", "stop", 0))
            .expect("stops");
        holders
            .observe(&truth, &begins(1, "db", "start", "1.2.1"))
            .expect("starts");
        holders
            .observe(&truth, &ends(1, "db", "start", 1))
            .expect("fails");
        assert!(
            holders
                .observe(&truth, &begins(2, "db", "start", "1.3.1"))
                .is_err()
        );
    }
}
