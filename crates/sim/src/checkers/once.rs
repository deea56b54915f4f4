//! At most once: a resource's agents run one at a time on a machine, and no action is begun twice.
//!
//! One thing may be done again under its name: a stop that an earlier life of the daemon began, whose run is over and
//! whose exit code nobody knows. Agents must stop what is stopped without complaint, so a second stop says
//! what the first cannot say any more; a second start, promotion or migration would say nothing of the kind.

use std::collections::BTreeMap;

use super::Checker;
use crate::truth::{Fact, Host, Truth};

/// Follows the runs of agents on each machine.
#[derive(Debug, Default)]
pub struct Once {
    /// What each machine began in this boot, by name, and in which life of its daemon.
    begun: BTreeMap<Host, BTreeMap<String, u64>>,
    /// Runs that have not ended: by machine and resource.
    running: BTreeMap<(Host, String), String>,
    /// Counts the starts of each machine's daemon.
    lives: BTreeMap<Host, u64>,
}

impl Checker for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    fn observe(&mut self, _truth: &Truth, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::DaemonUp { host, .. } => *self.lives.entry(*host).or_default() += 1,
            Fact::PowerOff { host, .. } => {
                self.running.retain(|(at, _), _| at != host);
            }
            Fact::Booted { host, .. } => {
                self.begun.remove(host);
            }
            Fact::RunBegins {
                host,
                resource,
                action,
                name,
                ..
            } => {
                let place = (*host, resource.clone());
                if let Some(other) = self.running.insert(place, action.clone()) {
                    return Err(format!(
                        "{host} began {action} of {resource} while its {other} was running there"
                    ));
                }
                return self.begins(*host, resource, action, name);
            }
            Fact::RunEnds { host, resource, .. } => {
                self.running.remove(&(*host, resource.clone()));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Once {
    fn begins(
        &mut self,
        host: Host,
        resource: &str,
        action: &str,
        name: &str,
    ) -> Result<(), String> {
        if name.is_empty() {
            return Ok(());
        }
        let life = self.lives.get(&host).copied().unwrap_or(0);
        let earlier = self
            .begun
            .entry(host)
            .or_default()
            .insert(name.to_owned(), life);
        match earlier {
            None => Ok(()),
            // That its run is over is what `running` has just said.
            Some(then) if action == "stop" && then < life => Ok(()),
            Some(_) => Err(format!(
                "{host} began {action} of {resource} twice ({name})"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{begins, ends, world};
    use super::*;
    use quorate_core::ids::{Boot, Session};

    fn restarts(once: &mut Once) {
        let up = Fact::DaemonUp {
            host: Host(0),
            session: Session(1),
        };
        once.observe(&world(), &up).expect("a daemon may start");
    }

    #[test]
    fn bites_on_two_runs_at_a_time() {
        let truth = world();
        let mut once = Once::default();
        let start = begins(0, "db", "start", "5.1.1");
        let stop = begins(0, "db", "stop", "5.1.2");
        assert_eq!(once.observe(&truth, &start), Ok(()));
        assert!(once.observe(&truth, &stop).is_err());
        assert_eq!(once.observe(&truth, &ends(0, "db", "start", 0)), Ok(()));
        once.observe(&truth, &ends(0, "db", "stop", 0))
            .expect("ends");
        assert_eq!(
            once.observe(&truth, &begins(0, "db", "stop", "5.1.3")),
            Ok(())
        );
    }

    #[test]
    fn bites_on_a_repeat_and_forgets_it_with_the_boot() {
        let truth = world();
        let mut once = Once::default();
        let start = begins(0, "db", "start", "5.1.1");
        once.observe(&truth, &start).expect("first");
        once.observe(&truth, &ends(0, "db", "start", 0))
            .expect("ends");
        restarts(&mut once);
        assert!(once.observe(&truth, &start).is_err());
        once.observe(&truth, &ends(0, "db", "start", 0))
            .expect("ends");
        let boot = Fact::Booted {
            host: Host(0),
            boot: Boot(9),
        };
        once.observe(&truth, &boot).expect("boots");
        assert_eq!(once.observe(&truth, &start), Ok(()));
    }

    #[test]
    fn a_stop_may_be_done_again_by_a_later_life_of_the_daemon_only() {
        let truth = world();
        let mut once = Once::default();
        let stop = begins(0, "db", "stop", "5.1.1");
        once.observe(&truth, &stop).expect("first");
        restarts(&mut once);
        assert!(
            once.observe(&truth, &stop).is_err(),
            "the first still hangs"
        );
        once.observe(&truth, &ends(0, "db", "stop", 1))
            .expect("ends");
        restarts(&mut once);
        assert_eq!(once.observe(&truth, &stop), Ok(()));
        once.observe(&truth, &ends(0, "db", "stop", 0))
            .expect("ends");
        assert!(once.observe(&truth, &stop).is_err(), "the same life");
    }
}
