//! Invariant 4: one leader a term; no executor obeys an older term.

use std::collections::BTreeMap;

use super::Checker;
use crate::truth::{Fact, Host, Truth};

/// Follows terms.
#[derive(Debug, Default)]
pub struct Terms {
    leaders: BTreeMap<u64, Host>,
    /// The youngest term that each machine obeyed in this boot.
    obeyed: BTreeMap<Host, u64>,
}

/// The term in a run's name (`term.transition.action`).
fn term_of(name: &str) -> Option<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty())?
        .parse()
        .ok()
}

impl Checker for Terms {
    fn name(&self) -> &'static str {
        "terms"
    }

    fn observe(&mut self, _truth: &Truth, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Leads { host, term } => {
                let leader = *self.leaders.entry(*term).or_insert(*host);
                if leader != *host {
                    return Err(format!("both {leader} and {host} lead in term {term}"));
                }
            }
            Fact::Booted { host, .. } => {
                self.obeyed.remove(host);
            }
            Fact::RunBegins {
                host,
                resource,
                action,
                name,
                ..
            } if !name.is_empty() => {
                // What a node without quorum stops by itself is no order of any leader.
                let Some(term) = term_of(name).filter(|_| !name.starts_with("local.")) else {
                    return Ok(());
                };
                let obeyed = self.obeyed.entry(*host).or_insert(term);
                if term < *obeyed {
                    return Err(format!(
                        "{host} began {action} of {resource} in term {term} after it had obeyed term {obeyed}"
                    ));
                }
                *obeyed = term;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{begins, world};
    use super::*;
    use quorate_core::ids::Boot;

    #[test]
    fn bites_on_two_leaders() {
        let truth = world();
        let mut terms = Terms::default();
        let leads = |host, term| Fact::Leads {
            host: Host(host),
            term,
        };
        assert_eq!(terms.observe(&truth, &leads(0, 3)), Ok(()));
        assert_eq!(terms.observe(&truth, &leads(1, 4)), Ok(()));
        assert!(terms.observe(&truth, &leads(1, 3)).is_err());
    }

    #[test]
    fn bites_on_an_older_term() {
        let truth = world();
        let mut terms = Terms::default();
        assert_eq!(
            terms.observe(&truth, &begins(0, "db", "start", "5.1.1")),
            Ok(())
        );
        assert!(
            terms
                .observe(&truth, &begins(0, "db", "start", "4.9.9"))
                .is_err()
        );
        let boot = Fact::Booted {
            host: Host(0),
            boot: Boot(9),
        };
        terms.observe(&truth, &boot).expect("boots");
        assert_eq!(
            terms.observe(&truth, &begins(0, "db", "start", "4.9.9")),
            Ok(())
        );
    }
}
