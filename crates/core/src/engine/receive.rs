//! Frames of peers: who may say what.

use super::{Engine, EngineInput, EngineOutput};
use crate::contact::Life;
use crate::event::{Link, LogLevel};
use crate::ids::{Boot, NodeName};
use crate::lease::lease_ms;
use crate::wire::raft_message::{Kind, RaftMessage};
use crate::wire::{Answer, Body, Chunk, Forward, Frame, Probe, Refusal};

/// Whether a sender takes part.
enum Standing {
    /// It does.
    Peer,
    /// It is turned away.
    Refused(Refusal),
    /// It must not exist any more.
    Ghost,
    /// Not a word to it.
    Unknown,
}

/// Members remembered before the log tells of them.
const STRANGERS_MAX: usize = 64;

impl Engine {
    pub(super) fn receive(&mut self, from: &NodeName, link: Link, bytes: &[u8]) {
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.log(
                    LogLevel::Debug,
                    format!("A frame of {from} is ignored: {error}."),
                );
                return;
            }
        };
        if let Body::Refusal(refusal) = frame.body {
            self.refused(from, &frame, refusal);
            return;
        }
        match self.judge(from, &frame) {
            Standing::Peer => {
                let is_strange = !self.roster.members.is_empty()
                    && !self.roster.members.contains_key(&frame.raft_id);
                if is_strange && self.strangers.len() < STRANGERS_MAX {
                    self.strangers.insert(frame.raft_id, from.clone());
                }
                // What it refused this node for is over, or it would refuse again.
                if !matches!(frame.body, Body::Probe(_)) {
                    self.refusals.remove(from);
                }
                self.take(from, link, frame);
            }
            Standing::Refused(refusal) => {
                if matches!(frame.body, Body::Probe(_)) {
                    self.send(from, Some(link), Body::Refusal(refusal));
                } else if matches!(frame.body, Body::RemovalAcknowledged) {
                    self.removal_acknowledged(frame.raft_id);
                }
                if refusal == Refusal::OtherLineage {
                    self.refusals
                        .insert(from.clone(), (Refusal::OtherLineage, self.now));
                }
            }
            Standing::Ghost => self.ghost(from, &frame),
            Standing::Unknown => {}
        }
    }

    /// A frame of a boot that a certificate says is dead. Only an answer to a fresh nonce proves that it lives:
    /// other frames may have been on their way since before.
    fn ghost(&mut self, from: &NodeName, frame: &Frame) {
        let Body::Answer(answer) = &frame.body else {
            return;
        };
        let detection_ms = self.settings.detection_ms;
        let proof = self
            .contacts
            .take_nonce(self.now, detection_ms, from, answer.nonce);
        if proof.is_none() {
            return;
        }
        self.send(from, None, Body::Refusal(Refusal::Ghost));
        self.outputs.push(EngineOutput::FencingDisproved {
            target: from.clone(),
            boot: frame.incarnation.boot,
        });
    }

    fn judge(&self, from: &NodeName, frame: &Frame) -> Standing {
        if *from == self.name || frame.raft_id == 0 || frame.raft_id == self.id {
            return Standing::Unknown;
        }
        if frame.lineage != self.lineage {
            return Standing::Refused(Refusal::OtherLineage);
        }
        if self.roster.members.is_empty() {
            // A node that joins knows only whom it was told of.
            let is_contact = self
                .first_contacts
                .iter()
                .any(|contact| contact.name == *from && contact.raft_id.0 == frame.raft_id);
            return if is_contact {
                Standing::Peer
            } else {
                Standing::Unknown
            };
        }
        let Some(record) = self.roster.members.get(&frame.raft_id) else {
            if frame.raft_id < self.roster.next_raft_id {
                return Standing::Refused(Refusal::Removed);
            }
            // A member that this node does not know yet: the log will tell.
            return Standing::Peer;
        };
        if record.name != *from {
            return Standing::Refused(Refusal::OtherName);
        }
        if record.fenced_boot == Some(frame.incarnation.boot) {
            return Standing::Ghost;
        }
        let known = [
            record.incarnation.map(|incarnation| Life {
                incarnation,
                start: record.start,
            }),
            self.contacts.life(from),
        ];
        for life in known.into_iter().flatten() {
            let is_older = frame.start < life.start;
            let is_copy =
                frame.start == life.start && frame.incarnation.session != life.incarnation.session;
            if is_older || is_copy {
                return Standing::Refused(Refusal::Stale);
            }
        }
        Standing::Peer
    }

    fn take(&mut self, from: &NodeName, link: Link, frame: Frame) {
        let id = frame.raft_id;
        match frame.body {
            Body::Probe(probe) => self.answer_probe(from, link, id, &probe),
            Body::Answer(answer) => {
                let life = Life {
                    incarnation: frame.incarnation,
                    start: frame.start,
                };
                self.take_answer(from, id, life, &answer);
            }
            Body::Raft(message) => {
                self.peer_speaks(from, frame.incarnation.boot);
                self.take_raft(from, id, &message);
            }
            Body::Chunk(part) => self.take_part(from, id, &part),
            Body::ChunkReceived(progress) => self.chunk_received(id, &progress),
            Body::Forward(forward) => {
                self.take_forward(from, id, frame.incarnation.session, forward);
            }
            Body::ForwardRefused(tag) => {
                if self.proposals.remove(&tag).is_some() {
                    self.drop_proposal(tag, "the leader has changed", false);
                }
            }
            Body::Manager(bytes) => self.outputs.push(EngineOutput::Message {
                from: from.clone(),
                bytes,
            }),
            Body::RemovalAcknowledged | Body::Refusal(_) => {}
        }
    }

    /// R4: a later life of the peer takes part in the log before a nonce was answered: what was asked against the
    /// earlier life is void, or this node would go on alone with what it has just promised to its peer.
    fn peer_speaks(&mut self, from: &NodeName, boot: Boot) {
        if self.pair_peer_name().as_ref() != Some(from)
            || crate::seeded::has(crate::seeded::Bug::CancelledVerdictCounts)
        {
            return;
        }
        let until = self.now.plus(self.settings.detection_ms);
        let mut outputs = std::mem::take(&mut self.outputs);
        self.pair.void_for(boot, until, &mut outputs);
        self.outputs = outputs;
    }

    fn answer_probe(&mut self, from: &NodeName, link: Link, id: u64, probe: &Probe) {
        if self.is_removed {
            return;
        }
        let role = self.consensus.role();
        // Only a term that is on disk counts: this node will never vote in an older one.
        let follows =
            !role.leads && role.leader == id && role.term == self.consensus.durable_term();
        if follows {
            self.succession.supporting(self.now);
        }
        let remaining = self
            .leader_lease_until()
            .map(|until| until.since(self.now))
            .filter(|remaining| *remaining > 0);
        let answer = Answer {
            nonce: probe.nonce,
            follows_term: if follows { role.term } else { 0 },
            lease_ms: remaining,
        };
        self.send(from, Some(link), Body::Answer(answer));
    }

    fn take_answer(&mut self, from: &NodeName, id: u64, life: Life, answer: &Answer) {
        let detection_ms = self.settings.detection_ms;
        let mut outputs = std::mem::take(&mut self.outputs);
        let sent = self.contacts.answered(
            self.now,
            detection_ms,
            from,
            answer.nonce,
            life,
            &mut outputs,
        );
        self.outputs = outputs;
        let Some(sent) = sent else { return };
        if answer.follows_term > 0 {
            self.contacts.supports(from, answer.follows_term, sent);
        }
        let role = self.consensus.role();
        if let Some(remaining) = answer.lease_ms
            && !role.leads
            && role.leader == id
        {
            let from_when = if crate::seeded::has(crate::seeded::Bug::LeaseFromArrival) {
                self.now
            } else {
                sent
            };
            self.lease
                .extend(role.term, from_when, remaining, lease_ms(detection_ms));
        }
    }

    fn take_raft(&mut self, from: &NodeName, id: u64, message: &RaftMessage) {
        if self.is_removed || self.start_batch.is_some() {
            return;
        }
        if let Some(peer) = self.pair_mode_peer()
            && peer != id
            && !matches!(
                message.kind,
                Kind::AppendResponse
                    | Kind::HeartbeatResponse
                    | Kind::RequestVoteResponse
                    | Kind::RequestPreVoteResponse
            )
        {
            // R2: in pair mode votes and appends of any third are dropped.
            return;
        }
        if message.kind == Kind::RequestVoteResponse && !message.reject {
            self.succession
                .voted(self.now, message.term, id, message.quiet_ms);
        }
        if let Err(unfit) = self.consensus.step(message.to_library(id)) {
            self.log(
                LogLevel::Error,
                format!("A message of {from} is refused: {unfit}."),
            );
        }
    }

    /// R2: the peer, while this node is one of two voters, the pair's record names its present life, and no
    /// configuration entry is pending: then it may replace the peer's vote, and listens to no third.
    ///
    /// After a start it may not, and must listen: the peer may have gone on alone, taken another voter in and handed the
    /// lead to it.
    pub(super) fn pair_mode_peer(&self) -> Option<u64> {
        let peer = self.roster.pair_peer(self.id)?;
        let own = (self.id, self.life.incarnation);
        let is_named = self
            .roster
            .pair
            .as_ref()
            .is_some_and(|pair| pair.lives.contains(&own));
        (is_named && !self.consensus.has_configuration_above()).then_some(peer)
    }

    fn take_part(&mut self, from: &NodeName, id: u64, part: &Chunk) {
        let role = self.consensus.role();
        let is_third = self.pair_mode_peer().is_some_and(|peer| peer != id);
        if self.is_removed || self.start_batch.is_some() || is_third || part.term < role.term {
            return;
        }
        let Some((progress, message)) = self.transfers.part(id, self.id, part) else {
            return;
        };
        self.send(from, None, Body::ChunkReceived(progress));
        if let Some(message) = message {
            if super::begin::decode_content(&message.get_snapshot().data).is_err() {
                self.log(
                    LogLevel::Error,
                    format!("The snapshot of {from} is not understood by this version; upgrade this node."),
                );
                return;
            }
            if let Err(unfit) = self.consensus.step(message) {
                self.log(
                    LogLevel::Error,
                    format!("A snapshot of {from} is refused: {unfit}."),
                );
            }
        }
    }

    fn take_forward(
        &mut self,
        from: &NodeName,
        id: u64,
        session: crate::ids::Session,
        forward: Forward,
    ) {
        let origin = crate::wire::entry::Origin {
            raft_id: id,
            session,
            tag: forward.tag,
        };
        if !self.propose_payload(origin, forward.payload) {
            self.send(from, None, Body::ForwardRefused(forward.tag));
        }
    }

    fn refused(&mut self, from: &NodeName, frame: &Frame, refusal: Refusal) {
        let is_known = self.roster.by_name(from).is_some()
            || self
                .first_contacts
                .iter()
                .any(|contact| contact.name == *from);
        if !is_known {
            return;
        }
        self.refusals.insert(from.clone(), (refusal, self.now));
        // A member of this lineage knows better than this node's log that it was removed.
        if refusal == Refusal::Removed && frame.lineage == self.lineage {
            self.remove_self();
            if self.is_removed {
                self.send(from, None, Body::RemovalAcknowledged);
            }
        }
    }

    /// For tests and the simulator's readers of frames: what an input would be.
    #[must_use]
    pub fn frame(from: NodeName, link: Link, bytes: Vec<u8>) -> EngineInput {
        EngineInput::Frame { from, link, bytes }
    }
}
