//! The engine: an ordered replicated log with members, quorum, a leader, contact and leases.
//!
//! It is what the manager stands on, and small on purpose, so that another membership layer could take its
//! place: `start`, `step`, `deadline`, the leases and the types in [`api`].
//!
//! How the manager uses it:
//! - `Engine::start` gives the first outputs: a `Restore`, then `Committed` for what the log holds after it.
//! - The replicated state is `fold(Restore, Committed ...)`, the same on every node; `Membership` is part of it.
//! - `Effect`s go to the shell in order. The shell makes `Persist` durable on its own thread and reports
//!   `Durable`; the engine releases what depended on it then (R1).
//! - A leader dispatches after `DispatchReady` of its term and before `leader_lease_until`; an executor begins
//!   an action only before `lease_until`.
//!
//! Architecture invariant: the engine knows nothing of resources, agents or policies, and the manager nothing
//! of the consensus library.

pub mod api;
mod apply;
mod begin;
mod lead;
mod propose;
mod receive;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use api::{
    Blocked, ContactState, EngineInput, EngineOutput, EngineStart, Member, MemberChange,
    MemberRole, Restored, Settings,
};

use crate::consensus::saved::SnapshotContent;
use crate::consensus::{Consensus, Out};
use crate::contact::{Contacts, Life};
use crate::event::{Effect, Link, LogLevel};
use crate::ids::{BatchId, Lineage, LogIndex, Millis, NodeName, Tag, Term};
use crate::lease::{ExecutorLease, Succession, leader_lease_until, lease_ms};
use crate::pair::Pair;
use crate::rng::Rng;
use crate::roster::Roster;
use crate::start::Founder;
use crate::transfer::Transfers;
use crate::wire::entry::Pair as PairRecord;
use crate::wire::{Body, Frame, Refusal};

/// The longest payload of one entry.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// The longest message of one manager to another.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The longest frame on the wire.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Ticks of the consensus that are counted without waking for each, at most.
const QUIET_TICKS_MAX: u64 = 40;

/// One node's engine.
#[derive(Debug)]
pub struct Engine {
    name: NodeName,
    id: u64,
    lineage: Lineage,
    life: Life,
    /// Whom a node that joins talks to before it has the log.
    first_contacts: Vec<Founder>,
    /// Members that spoke before the log told of them: one of them may lead, and must be answered.
    strangers: BTreeMap<u64, NodeName>,
    settings: Settings,
    now: Millis,
    next_tick: Millis,
    /// The deadline that the last step gave: waking later than that is a stall of this process.
    due: Millis,
    rng: Rng,

    consensus: Consensus,
    roster: Roster,
    contacts: Contacts,
    lease: ExecutorLease,
    succession: Succession,
    pair: Pair,
    transfers: Transfers,

    /// R1: nothing is sent before this start is on disk.
    start_batch: Option<BatchId>,
    /// This node knows, durably, that it was removed.
    is_removed: bool,
    /// The batch that makes it so.
    removal_batch: Option<BatchId>,
    /// The index that the manager was asked to give its state for, and what the engine knew then.
    snapshot: Option<SnapshotInWork>,

    proposals: BTreeMap<Tag, Millis>,
    changes: VecDeque<(Tag, MemberChange)>,
    /// What a leader has proposed in this term already.
    proposed: Proposed,

    reported: Reported,
    refusals: BTreeMap<NodeName, (Refusal, Millis)>,
    outputs: Vec<EngineOutput>,
    out: Vec<Out>,
}

#[derive(Debug)]
struct SnapshotInWork {
    index: u64,
    term: u64,
    voters: Vec<u64>,
    learners: Vec<u64>,
    content: SnapshotContent,
}

/// What this leader has proposed and not yet seen applied.
#[derive(Debug, Default)]
struct Proposed {
    term: u64,
    starts: BTreeMap<u64, u64>,
    pair: Option<PairRecord>,
    departed: Option<u64>,
    forgotten: Option<u64>,
}

/// What the manager was told last.
#[derive(Debug, Default, PartialEq)]
struct Reported {
    standing: Standing,
    dispatch: Option<u64>,
    blocked: Vec<Blocked>,
}

#[derive(Debug, Default, Clone, PartialEq)]
enum Standing {
    #[default]
    Nothing,
    Leads(u64),
    Follows(NodeName, u64),
    NoLeader(u64),
}

impl Engine {
    /// Something happened.
    pub fn step(&mut self, now: Millis, input: EngineInput) -> Vec<EngineOutput> {
        self.advance_clock(now);
        self.catch_up();
        match input {
            EngineInput::Tick => {}
            EngineInput::Frame { from, link, bytes } => self.receive(&from, link, &bytes),
            EngineInput::Durable(batch) => {
                let mut out = std::mem::take(&mut self.out);
                self.consensus.durable(batch, &mut out);
                self.out = out;
            }
            EngineInput::Propose { tag, payload } => self.propose(tag, payload),
            EngineInput::ChangeMembers { tag, change } => self.request_change(tag, change),
            EngineInput::Send { to, bytes } => {
                if bytes.len() <= MESSAGE_BYTES_MAX {
                    self.send(&to, None, Body::Manager(bytes));
                }
            }
            EngineInput::SnapshotState { index, bytes } => self.take_snapshot(index, bytes),
            EngineInput::PairFenceVerdict { request, confirmed } => {
                self.pair_verdict(request, confirmed);
            }
            EngineInput::NodeFenced { name } => self.departed_node_is_off(&name),
            EngineInput::Settings(settings) => self.settings = settings,
            EngineInput::TransferLeadership { to } => {
                if let Some((id, _)) = self.roster.by_name(&to) {
                    self.consensus.transfer(id);
                }
            }
            EngineInput::Force { lineage, off } => self.force(lineage, &off),
        }
        self.go_on();
        self.due = self.deadline();
        std::mem::take(&mut self.outputs)
    }

    /// When the next `Tick` is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let mut deadline = self.next_tick.plus(self.quiet_ticks() * self.tick_ms());
        if self.start_batch.is_none() {
            deadline = deadline.min(self.contacts.next_probe());
        }
        let dispatch = self.dispatch_from().filter(|_| self.is_dispatch_awaited());
        let loss = self.contacts.next_loss(self.settings.detection_ms);
        let others = [dispatch, loss, self.pair.deadline(), self.lease_until()];
        for other in others.into_iter().flatten() {
            if other > self.now {
                deadline = deadline.min(other);
            }
        }
        deadline.max(self.now.plus(1))
    }

    /// An executor here may begin an action before this time; `None`: not at all.
    #[must_use]
    pub fn lease_until(&self) -> Option<Millis> {
        if self.leads().is_some() {
            return self.leader_lease_until();
        }
        self.lease.until()
    }

    /// This leader's own lease: it may dispatch before this time; `None`: it does not lead.
    #[must_use]
    pub fn leader_lease_until(&self) -> Option<Millis> {
        let term = self.leads()?.0;
        let voters = self.roster.voters();
        let mut supports: Vec<Millis> = voters
            .iter()
            .filter(|&&id| id != self.id)
            .filter_map(|id| self.roster.members.get(id))
            .filter_map(|record| self.contacts.support(&record.name, term))
            .collect();
        leader_lease_until(
            self.now,
            lease_ms(self.settings.detection_ms),
            voters.len(),
            &mut supports,
        )
    }

    /// The term this node leads in (after `Leading`).
    #[must_use]
    pub fn leads(&self) -> Option<Term> {
        match self.reported.standing {
            Standing::Leads(term) => Some(Term(term)),
            _ => None,
        }
    }

    /// The leader as far as this node knows, itself included.
    #[must_use]
    pub fn leader(&self) -> Option<&NodeName> {
        match &self.reported.standing {
            Standing::Leads(_) => Some(&self.name),
            Standing::Follows(leader, _) => Some(leader),
            _ => None,
        }
    }

    /// The last term this node knows.
    #[must_use]
    pub fn term(&self) -> Term {
        Term(self.consensus.role().term)
    }

    /// Index of the last applied entry.
    #[must_use]
    pub fn applied(&self) -> LogIndex {
        LogIndex(self.consensus.applied())
    }

    /// All members, as the applied log has them.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.roster.members()
    }

    /// The members' lineage.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    fn advance_clock(&mut self, now: Millis) {
        let now = now.max(self.now);
        let late = now.since(self.now.max(self.due));
        let interval = self.probe_interval_ms();
        // A process that did not run knows nothing of its peers' silence meanwhile.
        if late > interval / 4 {
            self.contacts.forgive(late, now);
        }
        if late > interval {
            self.log(
                LogLevel::Warn,
                format!("This daemon did not run for {late} ms."),
            );
        }
        self.now = now;
    }

    /// Ticks that passed without anything to do are made up for before an input is taken in: it may begin their
    /// count anew. Those of a stall are not: it would look like a lost leader.
    fn catch_up(&mut self) {
        let end = self.now.min(self.due);
        while self.next_tick < end && self.quiet_ticks() > 0 {
            if self.start_batch.is_none() && !self.is_removed {
                self.consensus.tick();
            }
            self.next_tick = self.next_tick.plus(self.tick_ms());
        }
    }

    /// So many ticks from now on have no effect but to be counted: nobody need wake for them.
    fn quiet_ticks(&self) -> u64 {
        if !self.proposals.is_empty() || self.transfers.is_sending() {
            return 0;
        }
        if self.start_batch.is_some() || self.is_removed {
            return QUIET_TICKS_MAX;
        }
        self.consensus.quiet_ticks().min(QUIET_TICKS_MAX)
    }

    /// Everything that follows from an input or from time.
    fn go_on(&mut self) {
        self.settle();
        self.tick();
        self.probe();
        let mut outputs = std::mem::take(&mut self.outputs);
        self.contacts
            .check(self.now, self.settings.detection_ms, &mut outputs);
        self.outputs = outputs;
        self.settle();
        self.observe_lead();
        self.lead();
        self.watch_pair();
        self.settle();
        self.consensus.campaign_alone();
        self.settle();
        self.observe_lead();
        self.report();
    }

    fn tick(&mut self) {
        let tick_ms = self.tick_ms();
        if self.now < self.next_tick {
            return;
        }
        if self.start_batch.is_none() && !self.is_removed {
            self.consensus.tick();
            // After a stall one more; not the whole time, or a pause would look like a lost leader.
            if self.now.since(self.next_tick) >= tick_ms {
                self.settle();
                self.consensus.tick();
            }
        }
        self.next_tick = self.next_tick.plus(tick_ms).max(self.now.plus(1));
        if self.now.since(self.next_tick) > tick_ms {
            self.next_tick = self.now.plus(tick_ms);
        }
        self.nudge_transfers();
        self.expire_proposals();
    }

    fn tick_ms(&self) -> u64 {
        (self.settings.detection_ms / 40).max(5)
    }

    fn probe_interval_ms(&self) -> u64 {
        (self.settings.detection_ms / 5).max(5)
    }

    fn probe(&mut self) {
        if self.start_batch.is_some() {
            return;
        }
        let interval = self.probe_interval_ms();
        // Who is awake anyway, since a peer's probe or a heartbeat is due, sends its own along: the nodes fall into
        // step, and each wakes a few times an interval instead of once for every frame.
        let slack = interval / 4;
        for due in self
            .contacts
            .probes(self.now, interval, slack, &mut self.rng)
        {
            let body = Body::Probe(crate::wire::Probe { nonce: due.nonce });
            self.send(&due.peer, Some(due.link), body);
        }
    }

    /// Lets the consensus say all it has to say, and does it.
    fn settle(&mut self) {
        loop {
            let mut out = std::mem::take(&mut self.out);
            if !self.is_removed {
                self.consensus.pump(&mut out);
            }
            if out.is_empty() {
                return;
            }
            for item in out {
                self.carry_out(item);
            }
        }
    }

    fn send(&mut self, to: &NodeName, link: Option<Link>, body: Body) {
        if self.start_batch.is_some() {
            return;
        }
        let frame = Frame {
            lineage: self.lineage,
            raft_id: self.id,
            incarnation: self.life.incarnation,
            start: self.life.start,
            body,
        };
        self.outputs.push(EngineOutput::Effect(Effect::Send {
            to: to.clone(),
            link,
            bytes: frame.encode(),
        }));
    }

    fn log(&mut self, level: LogLevel, text: String) {
        self.outputs
            .push(EngineOutput::Effect(Effect::Log { level, text }));
    }

    fn name_of(&self, id: u64) -> Option<NodeName> {
        if let Some(record) = self.roster.members.get(&id) {
            return Some(record.name.clone());
        }
        self.first_contacts
            .iter()
            .find(|contact| contact.raft_id.0 == id)
            .map(|contact| contact.name.clone())
            .or_else(|| self.strangers.get(&id).cloned())
    }
}
