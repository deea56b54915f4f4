//! Leases: until when a leader may dispatch, and until when an executor may begin.
//!
//! All times are of the node's own clock. A leader's lease ends `lease_ms` after the *send* time of the probe
//! that completes a majority of answers "I follow you in this term"; an executor's extends from the send time of its own probe and
//! never outlasts the leader's. See `docs/invariants.md#leases` for why no two leaders' leases overlap.

use std::collections::BTreeMap;

use crate::ids::Millis;

/// How much two clocks may differ in speed, in thousandths.
pub const DRIFT_PERMILLE: u64 = 20;

/// How long a lease lasts for a detection time.
#[must_use]
pub fn lease_ms(detection_ms: u64) -> u64 {
    detection_ms
}

/// The end of a leader's lease: `supports` has the send time for each *other* voter that follows it, `voters` is
/// their number with itself.
#[must_use]
pub fn leader_lease_until(
    now: Millis,
    lease_ms: u64,
    voters: usize,
    supports: &mut Vec<Millis>,
) -> Option<Millis> {
    supports.push(now);
    supports.sort_unstable_by(|a, b| b.cmp(a));
    let majority = voters / 2 + 1;
    supports.get(majority - 1).map(|sent| sent.plus(lease_ms))
}

/// What an executor knows of its lease.
#[derive(Debug, Default)]
pub struct ExecutorLease {
    term: u64,
    until: Option<Millis>,
}

impl ExecutorLease {
    /// The leader of this term answered the probe sent then, while its own lease still lasted `remaining_ms`.
    pub fn extend(&mut self, term: u64, sent: Millis, remaining_ms: u64, lease_ms: u64) {
        let until = sent.plus(remaining_ms.min(lease_ms));
        if term > self.term {
            self.term = term;
            self.until = Some(until);
        } else if term == self.term {
            self.until = self.until.max(Some(until));
        }
    }

    /// A newer term is known: leases of older ones are void.
    pub fn enter(&mut self, term: u64) {
        if term > self.term {
            self.term = term;
            self.until = None;
        }
    }

    /// Its end.
    #[must_use]
    pub fn until(&self) -> Option<Millis> {
        self.until
    }
}

/// How long a new leader waits for the leases of earlier ones.
#[derive(Debug)]
pub struct Succession {
    /// When this node last supported an earlier leader, or led itself; at first the start of the engine, for
    /// what it did before was earlier.
    supported_at: Millis,
    /// The same of the voters that voted for this node, by number, for one term.
    votes: BTreeMap<u64, Millis>,
    votes_term: u64,
    /// Set while leading.
    reign: Option<Reign>,
}

#[derive(Debug, Clone, Copy)]
struct Reign {
    term: u64,
    /// The last support of an earlier leader by one of the voters that elected this one.
    earlier_support: Millis,
    /// The longest lease that was in force since the election.
    lease_ms_max: u64,
}

impl Succession {
    /// At the start of an engine.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            supported_at: now,
            votes: BTreeMap::new(),
            votes_term: 0,
            reign: None,
        }
    }

    /// This node says to a leader that it follows it, or leads itself.
    pub fn supporting(&mut self, now: Millis) {
        self.supported_at = self.supported_at.max(now);
    }

    /// Milliseconds since then, for a granted vote.
    #[must_use]
    pub fn quiet_ms(&self, now: Millis) -> u64 {
        now.since(self.supported_at)
    }

    /// A vote for this node came in.
    pub fn voted(&mut self, now: Millis, term: u64, voter: u64, quiet_ms: Option<u64>) {
        if term != self.votes_term {
            self.votes.clear();
            self.votes_term = term;
        }
        let at = Millis(now.0.saturating_sub(quiet_ms.unwrap_or(0)));
        self.votes.insert(voter, at);
    }

    /// Follows what the consensus says: `Some(term)` while this node leads.
    pub fn observe(&mut self, now: Millis, leads: Option<u64>, lease_ms: u64) {
        match (leads, &mut self.reign) {
            (Some(term), Some(reign)) if reign.term == term => {
                reign.lease_ms_max = reign.lease_ms_max.max(lease_ms);
            }
            (Some(term), _) => {
                let votes = if self.votes_term == term {
                    self.votes.values().copied().max()
                } else {
                    None
                };
                self.reign = Some(Reign {
                    term,
                    earlier_support: votes
                        .map_or(self.supported_at, |at| at.max(self.supported_at)),
                    lease_ms_max: lease_ms,
                });
            }
            (None, _) => self.reign = None,
        }
        if leads.is_some() {
            self.supported_at = now;
        }
    }

    /// When every lease of an earlier leader has run out.
    #[must_use]
    pub fn dispatch_from(&self, watchdog_ms: u64) -> Option<Millis> {
        let reign = self.reign?;
        let wait = reign.lease_ms_max + reign.lease_ms_max * DRIFT_PERMILLE / 1000 + 1;
        Some(reign.earlier_support.plus(wait).plus(watchdog_ms))
    }
}
