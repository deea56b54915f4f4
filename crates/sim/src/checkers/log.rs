//! Invariant 3: an acknowledged log entry is never lost; equal index means equal state on every node.

use std::collections::BTreeMap;

use super::Checker;
use crate::truth::{Fact, Truth};

/// Compares what nodes show at equal places of the log.
#[derive(Debug, Default)]
pub struct Log {
    entries: BTreeMap<u64, u64>,
    states: BTreeMap<u64, u64>,
    acknowledged: BTreeMap<String, Vec<(u64, u64)>>,
}

fn same(seen: &mut BTreeMap<u64, u64>, index: u64, digest: u64) -> bool {
    *seen.entry(index).or_insert(digest) == digest
}

impl Checker for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn observe(&mut self, _truth: &Truth, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Committed {
                host,
                index,
                digest,
            } if !same(&mut self.entries, *index, *digest) => Err(format!(
                "{host} committed another entry {index} than others did"
            )),
            Fact::StateShown {
                host,
                index,
                digest,
            } if !same(&mut self.states, *index, *digest) => Err(format!(
                "{host} has another state after entry {index} than others have"
            )),
            Fact::Acknowledged { index, name, value } => {
                self.acknowledged
                    .entry(name.clone())
                    .or_default()
                    .push((*index, *value));
                Ok(())
            }
            // The attribute is only ever counted up, so a later value proves the earlier ones.
            Fact::ValueShown {
                host,
                index,
                name,
                value,
            } => {
                let lost = self
                    .acknowledged
                    .get(name)
                    .into_iter()
                    .flatten()
                    .find(|(at, acknowledged)| at <= index && acknowledged > value);
                match lost {
                    Some((at, acknowledged)) => Err(format!(
                        "{host} shows {name}={value} at entry {index}, but {acknowledged} was acknowledged at entry {at}"
                    )),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::world;
    use super::*;
    use crate::truth::Host;

    #[test]
    fn bites_on_a_lost_acknowledged_change() {
        let truth = world();
        let mut log = Log::default();
        let ack = Fact::Acknowledged {
            index: 10,
            name: "beat".into(),
            value: 4,
        };
        log.observe(&truth, &ack).expect("acknowledged");
        let mut show = |index, value| {
            let fact = Fact::ValueShown {
                host: Host(1),
                index,
                name: "beat".into(),
                value,
            };
            log.observe(&truth, &fact)
        };
        assert_eq!(show(9, 3), Ok(()), "not applied there yet");
        assert_eq!(show(10, 4), Ok(()));
        assert!(show(11, 3).is_err());
    }

    #[test]
    fn bites_on_states_and_entries_that_differ() {
        let truth = world();
        let mut log = Log::default();
        for (host, digest, fine) in [(0, 7, true), (1, 7, true), (2, 8, false)] {
            let state = Fact::StateShown {
                host: Host(host),
                index: 5,
                digest,
            };
            assert_eq!(log.observe(&truth, &state).is_ok(), fine);
            let entry = Fact::Committed {
                host: Host(host),
                index: 5,
                digest,
            };
            assert_eq!(log.observe(&truth, &entry).is_ok(), fine);
        }
    }
}
