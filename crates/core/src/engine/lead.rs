//! What a leader does by itself, and what a pair does without one.

use super::{Engine, Proposed};
use crate::consensus::saved::{self, DiskRecord};
use crate::event::LogLevel;
use crate::ids::{Lineage, Millis, NodeName, PairRequest};
use crate::lease::lease_ms;
use crate::pair::View;
use crate::roster::Role;
use crate::wire::entry::{
    Certificate, Change, ChangeKind, Origin, Pair as PairRecord, Record, Started,
};

/// A learner that lacks fewer entries than this gets its vote.
const CAUGHT_UP_WITHIN: u64 = 16;

impl Engine {
    /// Follows what the consensus says of leadership: leases depend on it.
    pub(super) fn observe_lead(&mut self) {
        let role = self.consensus.role();
        self.lease.enter(role.term);
        let leads = role.leads.then_some(role.term);
        self.succession
            .observe(self.now, leads, lease_ms(self.settings.detection_ms));
    }

    /// When this leader may dispatch: every lease of an earlier leader is over, or its holder follows this one.
    pub(super) fn dispatch_from(&self) -> Option<Millis> {
        let term = self.leads()?.0;
        let all_follow = self
            .roster
            .members
            .iter()
            .filter(|&(&id, record)| id != self.id && record.role != Role::Returning)
            .all(|(_, record)| self.contacts.support(&record.name, term).is_some());
        // A removed voter may still hold a lease of the leader before.
        let nobody_else = all_follow && self.roster.departing.is_empty();
        if nobody_else || crate::seeded::has(crate::seeded::Bug::NoSuccession) {
            return Some(self.now);
        }
        self.succession.dispatch_from(self.settings.watchdog_ms)
    }

    pub(super) fn is_dispatch_awaited(&self) -> bool {
        self.reported.dispatch != self.leads().map(|term| term.0)
    }

    /// What a leader does by itself.
    pub(super) fn lead(&mut self) {
        self.serve_snapshot();
        let Some(term) = self.leads() else { return };
        if !self.consensus.role().leads {
            return;
        }
        if self.proposed.term != term.0 {
            self.proposed = Proposed {
                term: term.0,
                ..Proposed::default()
            };
        }
        self.commit_starts();
        self.commit_pair();
        self.next_change();
        self.raise_members();
    }

    /// Every start commits its incarnation.
    fn commit_starts(&mut self) {
        let mut due = Vec::new();
        for (&id, record) in &self.roster.members {
            let life = if id == self.id {
                Some(self.life)
            } else {
                self.contacts.life(&record.name)
            };
            let Some(life) = life else { continue };
            let is_new = record.incarnation != Some(life.incarnation) && life.start > record.start;
            if is_new && self.proposed.starts.get(&id) != Some(&life.start) {
                due.push((id, life));
            }
        }
        for (id, life) in due {
            let record = Record::Started(Started {
                raft_id: id,
                incarnation: life.incarnation,
                start: life.start,
            });
            if self.consensus.propose(record.encode()) {
                self.proposed.starts.insert(id, life.start);
            }
        }
    }

    /// R2: after {A, B} is applied the leader proposes both lives, again whenever either changes, and only once
    /// every removed voter has acknowledged its removal or was fenced.
    fn commit_pair(&mut self) {
        let Some(expected) = self.current_pair() else {
            return;
        };
        let is_known = self.roster.pair.as_ref() == Some(&expected)
            || self.proposed.pair.as_ref() == Some(&expected) && self.roster.pair.is_some();
        if is_known || !self.roster.departing.is_empty() || self.consensus.has_configuration_above()
        {
            return;
        }
        if self.proposed.pair.as_ref() == Some(&expected) {
            return;
        }
        if self
            .consensus
            .propose(Record::Pair(expected.clone()).encode())
        {
            self.proposed.pair = Some(expected);
        }
    }

    /// Both lives of the pair as this node knows them now, if the log has them as well.
    fn current_pair(&self) -> Option<PairRecord> {
        let peer = self.roster.pair_peer(self.id)?;
        let own_record = self.roster.members.get(&self.id)?;
        let peer_record = self.roster.members.get(&peer)?;
        let peer_life = self.contacts.life(&peer_record.name)?;
        if own_record.incarnation != Some(self.life.incarnation)
            || peer_record.incarnation != Some(peer_life.incarnation)
        {
            return None;
        }
        let mut lives = vec![
            (self.id, self.life.incarnation),
            (peer, peer_life.incarnation),
        ];
        lives.sort_unstable_by_key(|(id, _)| *id);
        Some(PairRecord { lives })
    }

    /// Learners that have caught up get their vote; a peer that was fenced for quorum comes back.
    fn raise_members(&mut self) {
        if !self.consensus.can_change()
            || self
                .leader_lease_until()
                .is_none_or(|until| until <= self.now)
        {
            return;
        }
        let last = self.consensus.log().last();
        let mut due = None;
        for (&id, record) in &self.roster.members {
            if !self.contacts.is_met(&record.name) {
                continue;
            }
            let matched = self.consensus.matched(id);
            let is_ready = matched > 0 && matched + CAUGHT_UP_WITHIN >= last;
            let kind = match record.role {
                Role::Returning => ChangeKind::AddLearner,
                Role::Learner if record.wants_vote() && is_ready => ChangeKind::AddVoter,
                _ => continue,
            };
            due = Some(Change {
                kind,
                raft_id: id,
                name: record.name.clone(),
                addresses: record.addresses.clone(),
                promote: kind == ChangeKind::AddLearner,
                certificate: None,
                origin: Origin::default(),
            });
            break;
        }
        if let Some(change) = due {
            // Refused only while another change is under way; it is tried again in the next step.
            let _ = self.consensus.propose_change(&change);
        }
    }

    /// R2: why this node may not fence its peer for quorum; `None`: it may.
    pub(super) fn ineligibility(&self) -> Option<String> {
        if self
            .refusals
            .values()
            .any(|(refusal, _)| *refusal == crate::wire::Refusal::Ghost)
        {
            // Fencing back would kill the one that serves.
            return Some(
                "the peer had this node powered off and goes on alone, but this node lives; reboot it".to_owned(),
            );
        }
        if crate::seeded::has(crate::seeded::Bug::AlwaysEligible) {
            return None;
        }
        if !self.settings.pair_fencing {
            return Some(
                "no fence device can power the peer off and read back that it is off; configure one, or use `quorate \
                 force` when the peer is confirmed off"
                    .to_owned(),
            );
        }
        if self.consensus.has_configuration_above() {
            return Some("a change of the members is under way".to_owned());
        }
        if !self.roster.departing.is_empty() {
            let names: Vec<_> = self
                .roster
                .departing
                .values()
                .map(|departing| departing.name.0.as_str())
                .collect();
            return Some(format!(
                "{} was removed and has not acknowledged it; fence it or confirm that it is off",
                names.join(", ")
            ));
        }
        let is_unmet = self
            .pair_peer_name()
            .is_some_and(|peer| self.contacts.life(&peer).is_none());
        if is_unmet && crate::seeded::has(crate::seeded::Bug::StartsAlone) {
            return None;
        }
        let current = self.current_pair();
        if current.is_some() && self.roster.pair == current {
            return None;
        }
        Some(
            "since the last start of either node they have not agreed on each other; it takes part again as soon \
             as the peer is back, or after `quorate force` when the peer is confirmed off"
                .to_owned(),
        )
    }

    fn is_peer_lost(&self, peer: &NodeName) -> bool {
        self.contacts.is_lost(peer)
            || crate::seeded::has(crate::seeded::Bug::FencesTooEarly)
                && self.contacts.is_late(peer, self.now)
    }

    fn view<'a>(&'a self, peer: &'a NodeName) -> View<'a> {
        let life = self.contacts.life(peer);
        View {
            own: &self.name,
            peer,
            boot: life.map(|life| life.incarnation.boot).unwrap_or_default(),
            is_lost: self.is_peer_lost(peer),
            ineligible: self.ineligibility(),
        }
    }

    /// R3: the course of a loss episode.
    pub(super) fn watch_pair(&mut self) {
        let mut pair = std::mem::take(&mut self.pair);
        let mut outputs = std::mem::take(&mut self.outputs);
        match self.pair_peer_name() {
            Some(peer) if !self.is_removed && !self.consensus.is_stopped() => {
                let view = self.view(&peer);
                pair.step(self.now, &view, &self.settings, &mut outputs);
            }
            _ => pair.reset(&mut outputs),
        }
        self.outputs = outputs;
        self.pair = pair;
    }

    pub(super) fn pair_peer_name(&self) -> Option<NodeName> {
        let peer = self.roster.pair_peer(self.id)?;
        self.name_of(peer)
    }

    pub(super) fn pair_blocked(&self) -> Option<super::Blocked> {
        let peer = self.pair_peer_name()?;
        if self.contacts.life(&peer).is_none() {
            // R7: a started node whose log says {A, B} and that has not met its peer waits.
            return Some(super::Blocked::WaitingForPeer { peer });
        }
        self.pair.blocked(&self.view(&peer))
    }

    /// R4, R5: the verdict of this node's own request.
    pub(super) fn pair_verdict(&mut self, request: PairRequest, confirmed: bool) {
        let Some(peer) = self.roster.pair_peer(self.id) else {
            return;
        };
        let Some(name) = self.name_of(peer) else {
            return;
        };
        let is_lost = self.is_peer_lost(&name)
            || crate::seeded::has(crate::seeded::Bug::CancelledVerdictCounts);
        let Some(proof) = self.pair.verdict(self.now, request, confirmed) else {
            return;
        };
        // Everything that made the request right must still hold.
        if !is_lost || self.ineligibility().is_some() || self.consensus.is_stopped() {
            return;
        }
        self.log(
            LogLevel::Warn,
            format!("{name} is confirmed to be off: this node goes on alone."),
        );
        let change = removal(
            peer,
            &name,
            Certificate {
                boot: Some(proof.boot),
                request: proof.request.0,
                episode: proof.episode,
            },
        );
        let mut out = std::mem::take(&mut self.out);
        self.consensus.seize(vec![change], Vec::new(), &mut out);
        self.out = out;
    }

    /// R7: an administrator's word. Everybody else leaves; a new lineage begins.
    pub(super) fn force(&mut self, lineage: Lineage, off: &[NodeName]) {
        if let Some(reason) = self.force_refused(off) {
            self.log(
                LogLevel::Error,
                format!("This node cannot go on alone: {reason}."),
            );
            return;
        }
        self.log(
            LogLevel::Warn,
            format!("An administrator forces this node to go on alone under lineage {lineage}."),
        );
        self.lineage = lineage;
        let proof = Certificate {
            boot: None,
            request: 0,
            episode: 0,
        };
        let mut changes = Vec::new();
        if let Some(own) = self.roster.members.get(&self.id) {
            changes.push(Change {
                kind: ChangeKind::AddVoter,
                raft_id: self.id,
                name: own.name.clone(),
                addresses: own.addresses.clone(),
                promote: false,
                certificate: Some(proof.clone()),
                origin: Origin::default(),
            });
        }
        for (&id, record) in &self.roster.members {
            if id != self.id {
                changes.push(removal(id, &record.name, proof.clone()));
            }
        }
        let disk = DiskRecord {
            name: self.name.clone(),
            raft_id: self.id,
            lineage,
            removed: false,
        };
        let mut out = std::mem::take(&mut self.out);
        self.consensus
            .seize(changes, vec![saved::put_disk(&disk)], &mut out);
        self.out = out;
    }

    /// Why an administrator's word is not enough: somebody else may be alive.
    fn force_refused(&self, off: &[NodeName]) -> Option<String> {
        if self.is_removed || self.consensus.is_stopped() || self.roster.members.is_empty() {
            return Some("it is no member, or does so already".to_owned());
        }
        for (&id, record) in &self.roster.members {
            if id == self.id {
                continue;
            }
            if self.contacts.is_met(&record.name) {
                return Some(format!("{} answers", record.name));
            }
            if record.role == Role::Voter && !off.contains(&record.name) {
                return Some(format!(
                    "{} votes and is not confirmed to be off",
                    record.name
                ));
            }
        }
        None
    }

    /// A removed voter says that it has stopped.
    pub(super) fn removal_acknowledged(&mut self, id: u64) {
        let is_due = self.roster.departing.contains_key(&id) && self.proposed.departed != Some(id);
        if is_due && self.leads().is_some() && self.consensus.propose(Record::Departed(id).encode())
        {
            self.proposed.departed = Some(id);
        }
    }

    /// A removed voter is confirmed to be off.
    pub(super) fn departed_node_is_off(&mut self, name: &NodeName) {
        let ids: Vec<u64> = self
            .roster
            .departing
            .iter()
            .filter(|(_, departed)| departed.name == *name)
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            self.removal_acknowledged(id);
        }
    }
}

fn removal(id: u64, name: &NodeName, certificate: Certificate) -> Change {
    Change {
        kind: ChangeKind::Remove,
        raft_id: id,
        name: name.clone(),
        addresses: Vec::new(),
        promote: false,
        certificate: Some(certificate),
        origin: Origin::default(),
    }
}
