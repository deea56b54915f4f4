//! Proposals of the manager: entries and changes of the members.

use super::{Engine, EngineOutput, MemberChange, PAYLOAD_BYTES_MAX};
use crate::ids::{NodeName, Tag};
use crate::roster::Role;
use crate::wire::entry::{Addresses, Change, ChangeKind, Forget, Origin, Payload, Record};
use crate::wire::{Body, Forward};

/// Proposals that await their answer.
const PROPOSALS_MAX: usize = 4_096;
/// Changes of the members that wait for their turn.
const CHANGES_MAX: usize = 64;
/// Detection times after which nothing is known of a proposal any more.
const PATIENCE: u64 = 10;

/// What became of a change at the head of the queue.
enum Turn {
    /// It is in the log, or answered.
    Taken,
    /// Something else must happen first.
    Later,
}

impl Engine {
    pub(super) fn propose(&mut self, tag: Tag, payload: Vec<u8>) {
        if payload.len() > PAYLOAD_BYTES_MAX {
            self.drop_proposal(tag, "it is longer than an entry may be", false);
            return;
        }
        if self.proposals.len() >= PROPOSALS_MAX {
            self.drop_proposal(tag, "too many proposals are under way", false);
            return;
        }
        let role = self.consensus.role();
        if role.leads {
            let origin = self.origin(tag);
            if self.propose_payload(origin, payload) {
                self.proposals.insert(tag, self.now);
            } else {
                self.drop_proposal(tag, "the log does not take more at the moment", false);
            }
            return;
        }
        match self.name_of(role.leader) {
            Some(leader) if self.start_batch.is_none() && !self.is_removed => {
                self.proposals.insert(tag, self.now);
                self.send(&leader, None, Body::Forward(Forward { tag, payload }));
            }
            _ => self.drop_proposal(
                tag,
                "no leader is known: there is no quorum at the moment",
                false,
            ),
        }
    }

    pub(super) fn origin(&self, tag: Tag) -> Origin {
        Origin {
            raft_id: self.id,
            session: self.life.incarnation.session,
            tag,
        }
    }

    pub(super) fn propose_payload(&mut self, origin: Origin, bytes: Vec<u8>) -> bool {
        let record = Record::Payload(Payload { origin, bytes });
        self.consensus.propose(record.encode())
    }

    pub(super) fn drop_proposal(&mut self, tag: Tag, reason: &str, maybe_committed: bool) {
        self.outputs.push(EngineOutput::ProposalDropped {
            tag,
            reason: reason.to_owned(),
            maybe_committed,
        });
    }

    /// The leader or the term changed: what is under way may or may not be committed.
    pub(super) fn forget_proposals(&mut self) {
        for tag in std::mem::take(&mut self.proposals).into_keys() {
            self.drop_proposal(tag, "the leader changed meanwhile", true);
        }
        for (tag, _) in std::mem::take(&mut self.changes) {
            self.drop_proposal(tag, "the leader changed meanwhile", false);
        }
    }

    pub(super) fn expire_proposals(&mut self) {
        let patience = self.settings.detection_ms * PATIENCE;
        let late: Vec<Tag> = self
            .proposals
            .iter()
            .filter(|(_, since)| self.now.since(**since) >= patience)
            .map(|(&tag, _)| tag)
            .collect();
        for tag in late {
            self.proposals.remove(&tag);
            self.drop_proposal(tag, "no answer came in time", true);
        }
    }

    pub(super) fn request_change(&mut self, tag: Tag, change: MemberChange) {
        if self.leads().is_none() {
            self.drop_proposal(tag, "this node does not lead", false);
        } else if self.changes.len() >= CHANGES_MAX {
            self.drop_proposal(tag, "too many changes of the members are under way", false);
        } else {
            self.changes.push_back((tag, change));
        }
    }

    /// Takes the next change of the members in hand, if the configuration is at rest.
    pub(super) fn next_change(&mut self) {
        while self.consensus.can_change() {
            let Some((tag, change)) = self.changes.pop_front() else {
                return;
            };
            if matches!(self.take_turn(tag, &change), Turn::Later) {
                self.changes.push_front((tag, change));
                return;
            }
        }
    }

    fn take_turn(&mut self, tag: Tag, change: &MemberChange) -> Turn {
        // A change that cannot be committed would also make a pair's survivor ineligible (R2).
        if self
            .leader_lease_until()
            .is_none_or(|until| until <= self.now)
        {
            self.drop_proposal(tag, "the quorum does not answer at the moment", false);
            return Turn::Taken;
        }
        match change {
            MemberChange::AddLearner {
                name,
                addresses,
                promote,
            } => self.add(tag, name, addresses, *promote),
            MemberChange::Promote { name } => self.promote(tag, name),
            MemberChange::Demote { name } => self.demote(tag, name),
            MemberChange::Remove { name } => self.remove(tag, name),
            MemberChange::Update { name, addresses } => self.update(tag, name, addresses),
        }
    }

    fn add(&mut self, tag: Tag, name: &NodeName, addresses: &[String], promote: bool) -> Turn {
        if *name == self.name {
            self.drop_proposal(tag, "a node of this name leads this cluster", false);
            return Turn::Taken;
        }
        if let Some((id, record)) = self.roster.by_name(name) {
            if record.role == Role::Returning {
                self.forget(id, Origin::default());
            } else if !self.propose_removal(id, name, Origin::default()) {
                self.drop_proposal(
                    tag,
                    "the older member of this name cannot be removed",
                    false,
                );
                return Turn::Taken;
            }
            return Turn::Later;
        }
        let change = Change {
            kind: ChangeKind::AddLearner,
            raft_id: self.roster.next_raft_id.max(1),
            name: name.clone(),
            addresses: addresses.to_vec(),
            promote,
            certificate: None,
            origin: self.origin(tag),
        };
        self.change(tag, &change)
    }

    fn promote(&mut self, tag: Tag, name: &NodeName) -> Turn {
        match self.roster.by_name(name) {
            Some((id, record)) if record.role == Role::Learner => {
                let change = Change {
                    kind: ChangeKind::AddVoter,
                    raft_id: id,
                    name: name.clone(),
                    addresses: record.addresses.clone(),
                    promote: false,
                    certificate: None,
                    origin: self.origin(tag),
                };
                self.change(tag, &change)
            }
            _ => {
                self.drop_proposal(tag, "no learner has this name", false);
                Turn::Taken
            }
        }
    }

    /// An ordinary change: committed by both of the pair, in force when it is applied (R6).
    fn demote(&mut self, tag: Tag, name: &NodeName) -> Turn {
        let peer = self.roster.pair_peer(self.id);
        match self.roster.by_name(name) {
            Some((id, record)) if peer == Some(id) && self.contacts.is_met(name) => {
                let change = Change {
                    kind: ChangeKind::AddLearner,
                    raft_id: id,
                    name: name.clone(),
                    addresses: record.addresses.clone(),
                    promote: true,
                    certificate: None,
                    origin: self.origin(tag),
                };
                self.change(tag, &change)
            }
            _ => {
                self.drop_proposal(tag, "it is not the other one of two voters", false);
                Turn::Taken
            }
        }
    }

    fn remove(&mut self, tag: Tag, name: &NodeName) -> Turn {
        let Some((id, record)) = self.roster.by_name(name) else {
            self.drop_proposal(tag, "no member has this name", false);
            return Turn::Taken;
        };
        if record.role == Role::Returning {
            self.proposals.insert(tag, self.now);
            let origin = self.origin(tag);
            self.forget(id, origin);
            return Turn::Taken;
        }
        if id == self.id {
            let next = self.roster.voters().into_iter().find(|voter| {
                *voter != id
                    && self
                        .name_of(*voter)
                        .is_some_and(|n| self.contacts.is_met(&n))
            });
            match next {
                Some(voter) => {
                    self.consensus.transfer(voter);
                    self.drop_proposal(tag, "leadership was handed over first; ask again", false);
                }
                None => self.drop_proposal(tag, "it is the last voter", false),
            }
            return Turn::Taken;
        }
        let origin = self.origin(tag);
        if self.propose_removal(id, name, origin) {
            self.proposals.insert(tag, self.now);
        } else {
            self.drop_proposal(tag, "it is the last voter", false);
        }
        Turn::Taken
    }

    fn propose_removal(&mut self, id: u64, name: &NodeName, origin: Origin) -> bool {
        self.consensus.propose_change(&Change {
            kind: ChangeKind::Remove,
            raft_id: id,
            name: name.clone(),
            addresses: Vec::new(),
            promote: false,
            certificate: None,
            origin,
        })
    }

    fn forget(&mut self, id: u64, origin: Origin) {
        if self.proposed.forgotten == Some(id) {
            return;
        }
        let record = Record::Forget(Forget {
            raft_id: id,
            origin,
        });
        if self.consensus.propose(record.encode()) {
            self.proposed.forgotten = Some(id);
        }
    }

    fn update(&mut self, tag: Tag, name: &NodeName, addresses: &[String]) -> Turn {
        let Some((raft_id, _)) = self.roster.by_name(name) else {
            self.drop_proposal(tag, "no member has this name", false);
            return Turn::Taken;
        };
        let record = Record::Addresses(Addresses {
            raft_id,
            addresses: addresses.to_vec(),
            origin: self.origin(tag),
        });
        if self.consensus.propose(record.encode()) {
            self.proposals.insert(tag, self.now);
        } else {
            self.drop_proposal(tag, "the log does not take more at the moment", false);
        }
        Turn::Taken
    }

    fn change(&mut self, tag: Tag, change: &Change) -> Turn {
        if self.consensus.propose_change(change) {
            self.proposals.insert(tag, self.now);
            Turn::Taken
        } else {
            Turn::Later
        }
    }
}
