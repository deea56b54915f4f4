//! Invariant 6: no healthy, connected node is fenced for loss of contact; fencing ends.

use std::collections::BTreeMap;

use super::Checker;
use crate::time::{SECOND, Time};
use crate::truth::{Fact, Host, PowerCause, Truth};

/// A fault may be answered by fencing for so long after it healed.
const ANSWER_TIME: Time = 20 * SECOND;

/// So many fencings of one machine are an answer to the last faults; more are a loop.
const QUIET_FENCINGS_MAX: u32 = 3;

/// Follows who was fenced although nothing was wrong with it.
#[derive(Debug, Default)]
pub struct Fencing {
    /// When there was last a reason beside loss of contact: a failed stop, an operator's wish.
    reasons: BTreeMap<Host, Time>,
    /// When each machine's power-off was first asked for, since it was last on.
    asked: BTreeMap<Host, (Time, Host, bool)>,
    quiet: BTreeMap<Host, u32>,
}

impl Checker for Fencing {
    fn name(&self) -> &'static str {
        "fencing"
    }

    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::OperatorFences { target } => {
                self.reasons.insert(*target, truth.now);
            }
            Fact::RunEnds {
                host,
                action,
                outcome,
                ..
            } if action == "stop" && *outcome != quorate_core::event::Outcome::Exited(0) => {
                self.reasons.insert(*host, truth.now);
            }
            Fact::FenceAsked { by, target, action } if action == "off" || action == "reboot" => {
                let innocent = self.is_innocent(truth, *target);
                self.asked
                    .entry(*target)
                    .or_insert((truth.now, *by, innocent));
            }
            Fact::WatchdogBites { host } if self.is_innocent(truth, *host) => {
                return Err(format!(
                    "its watchdog resets {host} although it is healthy and connected"
                ));
            }
            Fact::Booted { host, .. } => {
                self.asked.remove(host);
            }
            Fact::PowerOff {
                host,
                cause: PowerCause::Fenced,
            } => {
                if let Some((at, by, true)) = self.asked.remove(host) {
                    return Err(format!(
                        "{by} had {host} fenced (asked for at {}) although it was healthy and connected",
                        crate::time::show(at).trim()
                    ));
                }
                if truth.quiet {
                    let count = self.quiet.entry(*host).or_default();
                    *count += 1;
                    if *count > QUIET_FENCINGS_MAX {
                        return Err(format!(
                            "{host} was fenced {count} times after the last fault"
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Fencing {
    fn is_innocent(&self, truth: &Truth, target: Host) -> bool {
        let machine = &truth.machines[target.0];
        let since = |then: Time| truth.now.saturating_sub(then);
        machine.powered
            && machine.daemon
            && !machine.paused
            && !machine.belied
            && since(machine.disturbed) > ANSWER_TIME
            && self
                .reasons
                .get(&target)
                .is_none_or(|then| since(*then) > 10 * ANSWER_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{ends, world};
    use super::*;

    const ASKED: Fact = Fact::FenceAsked {
        by: Host(0),
        target: Host(1),
        action: String::new(),
    };

    fn ask() -> Fact {
        let Fact::FenceAsked { by, target, .. } = ASKED else {
            unreachable!()
        };
        Fact::FenceAsked {
            by,
            target,
            action: "off".into(),
        }
    }

    const OFF: Fact = Fact::PowerOff {
        host: Host(1),
        cause: PowerCause::Fenced,
    };

    #[test]
    fn bites_on_fencing_a_healthy_node() {
        let mut truth = world();
        truth.now = 100 * SECOND;
        let mut fencing = Fencing::default();
        fencing
            .observe(&truth, &ask())
            .expect("asking harms nobody");
        assert!(fencing.observe(&truth, &OFF).is_err());
    }

    #[test]
    fn a_fault_or_a_failed_stop_excuses_it() {
        let mut truth = world();
        truth.now = 100 * SECOND;
        truth.machines[1].disturbed = 95 * SECOND;
        let mut fencing = Fencing::default();
        fencing
            .observe(&truth, &ask())
            .expect("asking harms nobody");
        assert_eq!(fencing.observe(&truth, &OFF), Ok(()));
        truth.machines[1].disturbed = 0;
        fencing
            .observe(&truth, &ends(1, "db", "stop", 1))
            .expect("noted");
        fencing
            .observe(&truth, &ask())
            .expect("asking harms nobody");
        assert_eq!(fencing.observe(&truth, &OFF), Ok(()));
    }

    #[test]
    fn bites_on_a_loop() {
        let mut truth = world();
        truth.quiet = true;
        truth.now = SECOND;
        let mut fencing = Fencing::default();
        let ends_at = (0..10).find(|_| fencing.observe(&truth, &OFF).is_err());
        assert_eq!(ends_at, Some(QUIET_FENCINGS_MAX));
    }
}
