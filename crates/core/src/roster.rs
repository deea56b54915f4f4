//! The members as the log tells them: the engine's own part of the replicated state.
//!
//! `Roster = fold(snapshot, committed entries)`, the same on every node. It knows names, addresses, lives and
//! the pair record; who votes is decided by the consensus library's configuration, which it mirrors.

use std::collections::BTreeMap;

use crate::engine::{Member, MemberRole};
use crate::event::Peer;
use crate::ids::{Boot, Incarnation, NodeName, RaftId};
use crate::start::Founder;
use crate::wire::entry::{Addresses, Change, ChangeKind, Pair, Started};

/// All members.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Roster {
    /// By number.
    #[n(0)]
    pub members: BTreeMap<u64, Record>,
    /// The next number to give; numbers are never used again.
    #[n(1)]
    pub next_raft_id: u64,
    /// R2: the lives that the last `pair` entry names; cleared by every configuration change.
    #[n(2)]
    pub pair: Option<Pair>,
    /// Removed voters that have not acknowledged their removal.
    #[n(3)]
    pub departing: BTreeMap<u64, Departing>,
}

/// A removed voter that has not acknowledged its removal.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Departing {
    /// Its name.
    #[n(0)]
    pub name: NodeName,
    /// Where it is told.
    #[n(1)]
    pub addresses: Vec<String>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Record {
    /// Its name.
    #[n(0)]
    pub name: NodeName,
    /// `host:port` for each link.
    #[n(1)]
    pub addresses: Vec<String>,
    /// Its role.
    #[n(2)]
    pub role: Role,
    /// The last life that was committed.
    #[n(3)]
    pub incarnation: Option<Incarnation>,
    /// The number of that start of its disk.
    #[n(4)]
    pub start: u64,
    /// A learner that becomes a voter as soon as it has caught up.
    #[n(5)]
    pub promote: bool,
    /// The boot that a pair's certificate ended: it must never be heard of again.
    #[n(6)]
    pub fenced_boot: Option<Boot>,
    /// The start of its disk in which it gave its vote back as it left; a later one gets it again.
    #[n(7)]
    pub left_start: Option<u64>,
}

impl Record {
    /// A learner that is waiting for its vote, and not about to end.
    #[must_use]
    pub fn wants_vote(&self) -> bool {
        self.promote && self.left_start.is_none_or(|left| self.start > left)
    }
}

/// Whether a member votes (as encoded).
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Role {
    /// It votes.
    #[n(0)]
    Voter,
    /// It does not.
    #[n(1)]
    Learner,
    /// It was removed under a certificate and comes back when it is met.
    #[n(2)]
    Returning,
}

impl Roster {
    /// The roster of a new cluster.
    #[must_use]
    pub fn founding(founders: &[Founder]) -> Self {
        let members: BTreeMap<u64, Record> = founders
            .iter()
            .map(|founder| {
                let record = Record {
                    name: founder.name.clone(),
                    addresses: founder.addresses.clone(),
                    role: Role::Voter,
                    incarnation: None,
                    start: 0,
                    promote: false,
                    fenced_boot: None,
                    left_start: None,
                };
                (founder.raft_id.0, record)
            })
            .collect();
        let next_raft_id = members.keys().last().map_or(1, |last| last + 1);
        Self {
            members,
            next_raft_id,
            ..Self::default()
        }
    }

    /// The member of this name, with its number.
    #[must_use]
    pub fn by_name(&self, name: &NodeName) -> Option<(u64, &Record)> {
        self.members
            .iter()
            .find(|(_, record)| record.name == *name)
            .map(|(&id, record)| (id, record))
    }

    /// Numbers of all voters.
    #[must_use]
    pub fn voters(&self) -> Vec<u64> {
        self.members
            .iter()
            .filter(|(_, record)| record.role == Role::Voter)
            .map(|(&id, _)| id)
            .collect()
    }

    /// For two voters of which `own` is one: the other.
    #[must_use]
    pub fn pair_peer(&self, own: u64) -> Option<u64> {
        match self.voters().as_slice() {
            [first, second] if *first == own => Some(*second),
            [first, second] if *second == own => Some(*first),
            _ => None,
        }
    }

    /// A configuration entry takes effect.
    pub fn change(&mut self, change: &Change) {
        self.pair = None;
        self.next_raft_id = self.next_raft_id.max(change.raft_id + 1);
        match change.kind {
            ChangeKind::AddLearner => {
                let earlier = self.members.get(&change.raft_id);
                let record = Record {
                    name: change.name.clone(),
                    addresses: change.addresses.clone(),
                    role: Role::Learner,
                    incarnation: earlier.and_then(|record| record.incarnation),
                    start: earlier.map_or(0, |record| record.start),
                    promote: change.promote,
                    fenced_boot: earlier.and_then(|record| record.fenced_boot),
                    left_start: earlier
                        .filter(|record| record.role == Role::Voter)
                        .map(|record| record.start),
                };
                self.members.insert(change.raft_id, record);
            }
            ChangeKind::AddVoter => {
                if let Some(record) = self.members.get_mut(&change.raft_id) {
                    record.role = Role::Voter;
                    record.promote = false;
                    record.left_start = None;
                }
            }
            ChangeKind::Remove => self.remove(change),
        }
    }

    fn remove(&mut self, change: &Change) {
        let fenced = change.certificate.as_ref().and_then(|proof| proof.boot);
        if let Some(boot) = fenced {
            if let Some(record) = self.members.get_mut(&change.raft_id) {
                record.role = Role::Returning;
                record.fenced_boot = Some(boot);
            }
            return;
        }
        let Some(record) = self.members.remove(&change.raft_id) else {
            return;
        };
        // Under an administrator's force the others are known to be off, and their lineage is turned away.
        if record.role == Role::Voter && change.certificate.is_none() {
            let departing = Departing {
                name: record.name,
                addresses: record.addresses,
            };
            self.departing.insert(change.raft_id, departing);
        }
    }

    /// A member has started.
    pub fn started(&mut self, started: &Started) {
        let Some(record) = self.members.get_mut(&started.raft_id) else {
            return;
        };
        if started.start < record.start {
            return;
        }
        record.start = started.start;
        record.incarnation = Some(started.incarnation);
        // A node that took its name over under a new number shows that the old disk is gone.
        let name = record.name.clone();
        self.departing.retain(|_, departed| departed.name != name);
    }

    /// A member's addresses changed.
    pub fn addresses(&mut self, change: &Addresses) {
        if let Some(record) = self.members.get_mut(&change.raft_id) {
            record.addresses.clone_from(&change.addresses);
        }
    }

    /// For the manager.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let mut members: Vec<_> = self
            .members
            .iter()
            .map(|(&id, record)| Member {
                name: record.name.clone(),
                raft_id: RaftId(id),
                role: match record.role {
                    Role::Voter => MemberRole::Voter,
                    Role::Learner => MemberRole::Learner,
                    Role::Returning => MemberRole::Returning,
                },
                addresses: record.addresses.clone(),
                incarnation: record.incarnation,
            })
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// For the links: removed voters that must still be told.
    #[must_use]
    pub fn departing_peers(&self) -> Vec<Peer> {
        self.departing
            .values()
            .filter(|departing| self.by_name(&departing.name).is_none())
            .map(|departing| Peer {
                name: departing.name.clone(),
                addresses: departing.addresses.clone(),
                fingerprint: String::new(),
                admitted_wall_ms: 0,
            })
            .collect()
    }

    /// For the links: everybody but `own`.
    #[must_use]
    pub fn peers(&self, own: &NodeName) -> Vec<Peer> {
        let mut peers: Vec<_> = self
            .members
            .values()
            .filter(|record| record.name != *own)
            .map(|record| Peer {
                name: record.name.clone(),
                addresses: record.addresses.clone(),
                fingerprint: String::new(),
                admitted_wall_ms: 0,
            })
            .collect();
        peers.sort_by(|a, b| a.name.cmp(&b.name));
        peers.dedup_by(|a, b| a.name == b.name);
        peers
    }
}
