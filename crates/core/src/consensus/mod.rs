//! The consensus library behind our rules of durability.
//!
//! - R1: what a `Ready` of the library says leaves this module only after its batch is durable. Batches become
//!   durable in order; heartbeats alone may overtake them, once their term is on disk.
//! - A configuration entry takes effect only after the configuration it makes is durable together with the
//!   index it is applied at.
//! - R5 (`seize`): one transaction while the library is stopped.
//!
//! Architecture invariant: only this module and `wire` know the library.

// The library's messages have private fields: they cannot be written as literals.
#![allow(clippy::field_reassign_with_default)]

pub mod guard;
pub mod memory_log;
pub mod saved;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, HardState, Message, MessageType};
use raft::{Config, RawNode, StateRole};

use crate::ids::BatchId;
use crate::rng::Rng;
use crate::store::{Batch, StoreOp};
use crate::wire::entry::{Change, ChangeKind, Content, LogEntry};
use guard::Unfit;
use memory_log::MemoryLog;
use saved::SnapshotRecord;

/// Ticks without a leader before a follower campaigns, at least.
pub const ELECTION_TICKS: usize = 28;
/// Ticks of jitter on top, at most.
pub const JITTER_TICKS: usize = 8;
/// Ticks between heartbeats: as long as between two probes, with which they travel. An election needs three of them
/// to be lost.
pub const HEARTBEAT_TICKS: usize = 8;
/// Bytes of entries in one message, unless a single one is longer.
const MESSAGE_ENTRIES_BYTES_MAX: u64 = 1 << 20;
/// Bytes that may be proposed and not yet committed.
const UNCOMMITTED_BYTES_MAX: u64 = 16 << 20;
/// Messages under way to one follower.
const INFLIGHT_MAX: usize = 64;

/// What comes out of the consensus, in order.
#[derive(Debug)]
pub enum Out {
    /// Make durable.
    Persist(Batch),
    /// Send (a snapshot goes in parts).
    Send(Message),
    /// A plain entry is committed.
    Entry {
        /// Its place.
        index: u64,
        /// Its term.
        term: u64,
        /// Its data.
        data: Vec<u8>,
    },
    /// A configuration entry has taken effect.
    Changed {
        /// Its place.
        index: u64,
        /// What it did.
        change: Change,
    },
    /// A snapshot was installed.
    Installed(SnapshotRecord),
    /// A batch that `persist` was called for is durable.
    Noted(BatchId),
}

/// What is done once a batch is durable.
#[derive(Debug)]
enum After {
    /// Tell the library, and let its messages go.
    Ready {
        number: u64,
        messages: Vec<Message>,
        term: u64,
    },
    /// The snapshot is in place.
    Installed(SnapshotRecord),
    /// The configuration entry at the head of the queue takes effect.
    Configuration,
    /// R5: reopen the library.
    Seized,
    /// The caller wants to know.
    Note,
}

#[derive(Debug)]
struct Pending {
    id: BatchId,
    work: Vec<After>,
}

/// Who leads, in which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// This node does, by the library's word.
    pub leads: bool,
    /// Number of the leader; 0: none known.
    pub leader: u64,
    /// The term.
    pub term: u64,
}

/// The consensus of one node.
pub struct Consensus {
    id: u64,
    node: Option<RawNode<MemoryLog>>,
    /// The log while the library is stopped (R5).
    stopped: Option<MemoryLog>,
    applied: u64,
    batches: VecDeque<Pending>,
    next_batch: u64,
    to_apply: VecDeque<LogEntry>,
    /// The batch that the configuration entry at the head of `to_apply` waits for.
    configuration_batch: Option<BatchId>,
    /// The term on disk.
    durable_term: u64,
    /// The commit index in memory is newer than the one on disk.
    is_commit_unsaved: bool,
    rng: Rng,
    jitter: usize,
}

impl std::fmt::Debug for Consensus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consensus")
            .field("id", &self.id)
            .field("role", &self.role())
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

fn library(id: u64, log: MemoryLog, applied: u64) -> RawNode<MemoryLog> {
    let config = Config {
        id,
        election_tick: ELECTION_TICKS,
        heartbeat_tick: HEARTBEAT_TICKS,
        applied,
        max_size_per_msg: MESSAGE_ENTRIES_BYTES_MAX,
        max_inflight_msgs: INFLIGHT_MAX,
        check_quorum: true,
        pre_vote: true,
        min_election_tick: ELECTION_TICKS,
        // One more than the longest timeout that `tick` sets; the library's own draw is overwritten.
        max_election_tick: ELECTION_TICKS + JITTER_TICKS + 1,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: MESSAGE_ENTRIES_BYTES_MAX,
        ..Config::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, log, &logger)
        .expect("the configuration is constant and the log was checked")
}

/// The configuration after a change.
fn changed(state: &ConfState, change: &Change) -> ConfState {
    let mut next = ConfState::default();
    next.voters = state.voters.clone();
    next.learners = state.learners.clone();
    next.voters.retain(|id| *id != change.raft_id);
    next.learners.retain(|id| *id != change.raft_id);
    match change.kind {
        ChangeKind::AddLearner => next.learners.push(change.raft_id),
        ChangeKind::AddVoter => next.voters.push(change.raft_id),
        ChangeKind::Remove => {}
    }
    next.voters.sort_unstable();
    next.learners.sort_unstable();
    next
}

impl Consensus {
    /// Starts with a log whose configuration is applied up to `applied`.
    #[must_use]
    pub fn new(id: u64, log: MemoryLog, applied: u64, seed: u64) -> Self {
        let durable_term = log.hard_state().term;
        let mut rng = Rng::new(seed);
        let jitter = usize::try_from(rng.below(JITTER_TICKS as u64 + 1)).unwrap_or(0);
        Self {
            id,
            node: Some(library(id, log, applied)),
            stopped: None,
            applied,
            batches: VecDeque::new(),
            next_batch: 1,
            to_apply: VecDeque::new(),
            configuration_batch: None,
            durable_term,
            is_commit_unsaved: false,
            rng,
            jitter,
        }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &MemoryLog {
        match (&self.node, &self.stopped) {
            (Some(node), _) => node.store(),
            (None, Some(log)) => log,
            (None, None) => unreachable!("the log is in the library or beside it"),
        }
    }

    /// Who leads.
    #[must_use]
    pub fn role(&self) -> Role {
        self.node.as_ref().map_or(
            Role {
                leads: false,
                leader: 0,
                term: self.durable_term,
            },
            |node| Role {
                leads: node.raft.state == StateRole::Leader,
                leader: node.raft.leader_id,
                term: node.raft.term,
            },
        )
    }

    /// The term on disk: no vote of an older one will ever be given.
    #[must_use]
    pub fn durable_term(&self) -> u64 {
        self.durable_term
    }

    /// Whether this node leads in a term that is on disk, and has applied an entry of it.
    #[must_use]
    pub fn leads_and_knows(&self) -> bool {
        self.node.as_ref().is_some_and(|node| {
            node.raft.state == StateRole::Leader
                && node.raft.term <= self.durable_term
                && raft::Storage::term(node.store(), self.applied) == Ok(node.raft.term)
        })
    }

    /// Index of the last applied entry.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Whether a configuration entry lies above the applied index (R2).
    #[must_use]
    pub fn has_configuration_above(&self) -> bool {
        self.log()
            .after(self.applied)
            .any(|entry| entry.get_entry_type() != raft::eraftpb::EntryType::EntryNormal)
    }

    /// What a follower is known to hold, seen from the leader.
    #[must_use]
    pub fn matched(&self, id: u64) -> u64 {
        self.node
            .as_ref()
            .and_then(|node| node.raft.prs().get(id))
            .map_or(0, |progress| progress.matched)
    }

    /// One tick.
    pub fn tick(&mut self) {
        let Some(node) = &mut self.node else { return };
        let raft = &mut node.raft;
        let was_following =
            raft.state == StateRole::Follower || raft.state == StateRole::PreCandidate;
        if raft.state != StateRole::Leader
            && (raft.raft_log.persisted != raft.raft_log.last_index() || !self.batches.is_empty())
        {
            // A slow disk must not campaign: the library assumes that a candidate's log is durable.
            return;
        }
        raft.set_randomized_election_timeout(ELECTION_TICKS + self.jitter);
        let before = raft.election_elapsed;
        node.tick();
        if was_following && node.raft.election_elapsed < before {
            self.jitter = usize::try_from(self.rng.below(JITTER_TICKS as u64 + 1)).unwrap_or(0);
        }
    }

    /// So many ticks will do nothing but count, as long as nothing else happens.
    #[must_use]
    pub fn quiet_ticks(&self) -> u64 {
        let Some(node) = &self.node else {
            return u64::MAX;
        };
        let raft = &node.raft;
        let left = if raft.state == StateRole::Leader {
            let heartbeat = raft
                .heartbeat_timeout()
                .saturating_sub(raft.heartbeat_elapsed());
            heartbeat.min(
                raft.election_timeout()
                    .saturating_sub(raft.election_elapsed),
            )
        } else if raft.promotable() {
            (ELECTION_TICKS + self.jitter).saturating_sub(raft.election_elapsed)
        } else {
            return u64::MAX;
        };
        u64::try_from(left).unwrap_or(u64::MAX).saturating_sub(1)
    }

    /// A node that is the only voter need not wait for anybody (R6).
    pub fn campaign_alone(&mut self) {
        let Some(node) = &mut self.node else { return };
        let raft = &node.raft;
        let voters = &node.store().configuration().voters;
        let is_alone = *voters == [self.id];
        if is_alone
            && raft.state != StateRole::Leader
            && raft.promotable()
            && self.batches.is_empty()
            && self.to_apply.is_empty()
            && raft.raft_log.applied >= raft.raft_log.committed
            && raft.raft_log.persisted == raft.raft_log.last_index()
        {
            // It cannot fail: this node is promotable and every entry is applied.
            let _ = node.campaign();
        }
    }

    /// A message of a peer.
    ///
    /// # Errors
    /// The library may not see it.
    pub fn step(&mut self, message: Message) -> Result<(), Unfit> {
        let Some(node) = &mut self.node else {
            return Ok(());
        };
        guard::admit(node, &message)?;
        // Messages of removed peers and late answers are no errors worth a word.
        let _ = node.step(message);
        Ok(())
    }

    /// Proposes an entry. `false`: this node does not lead, or too much is under way.
    #[must_use]
    pub fn propose(&mut self, data: Vec<u8>) -> bool {
        self.node.as_mut().is_some_and(|node| {
            node.raft.state == StateRole::Leader && node.propose(Vec::new(), data).is_ok()
        })
    }

    /// Whether a configuration change can be proposed now.
    #[must_use]
    pub fn can_change(&self) -> bool {
        self.node.as_ref().is_some_and(|node| {
            node.raft.state == StateRole::Leader
                && !node.raft.has_pending_conf()
                && self.to_apply.is_empty()
                && self.leads_and_knows()
        })
    }

    /// Proposes a configuration change. `false`: not now (see `can_change`).
    #[must_use]
    pub fn propose_change(&mut self, change: &Change) -> bool {
        let next = changed(self.log().configuration(), change);
        if !self.can_change() || next.voters.is_empty() {
            return false;
        }
        self.node.as_mut().is_some_and(|node| {
            node.propose_conf_change(change.encode(), change.to_library())
                .is_ok()
        })
    }

    /// Hands leadership over.
    pub fn transfer(&mut self, to: u64) {
        if let Some(node) = &mut self.node
            && node.raft.state == StateRole::Leader
        {
            node.transfer_leader(to);
        }
    }

    /// How a snapshot's transfer ended.
    pub fn snapshot_sent(&mut self, to: u64, status: raft::SnapshotStatus) {
        if let Some(node) = &mut self.node {
            node.report_snapshot(to, status);
        }
    }

    /// Puts records of the caller into the next batch, and reports `Out::Noted` when they are durable.
    pub fn persist(&mut self, operations: Vec<StoreOp>, out: &mut Vec<Out>) -> BatchId {
        self.batch(operations, vec![After::Note], out)
    }

    /// Replaces the log's beginning by this node's own snapshot.
    pub fn compact(&mut self, snapshot: SnapshotRecord, keep_after: u64, out: &mut Vec<Out>) {
        let Some(node) = &mut self.node else { return };
        let operations = vec![
            saved::put_snapshot(&snapshot),
            StoreOp::Compact {
                upto: keep_after.min(snapshot.index),
            },
        ];
        node.mut_store().compact(snapshot, keep_after);
        self.batch(operations, Vec::new(), out);
    }

    /// R5: makes these changes committed by this node's word alone. The library is stopped until they are durable.
    pub fn seize(
        &mut self,
        changes: Vec<Change>,
        mut operations: Vec<StoreOp>,
        out: &mut Vec<Out>,
    ) {
        let Some(node) = self.node.take() else { return };
        let same = crate::seeded::has(crate::seeded::Bug::SameTermAfterSeizure);
        let term = node.raft.term + u64::from(!same);
        let mut log = node.raft.r.raft_log.store;
        let first = log.last() + 1;
        let entries: Vec<LogEntry> = (first..)
            .zip(changes)
            .map(|(index, change)| LogEntry {
                index,
                term,
                content: Content::Change(change),
            })
            .collect();
        let library_entries: Vec<Entry> = entries.iter().map(LogEntry::to_library).collect();
        log.append(&library_entries);
        let mut hard = HardState::default();
        hard.term = term;
        hard.vote = self.id;
        hard.commit = log.last();
        operations.push(StoreOp::Append {
            first,
            entries: entries.iter().map(LogEntry::encode).collect(),
        });
        operations.push(saved::put_hard(&hard));
        log.set_hard_state(hard);
        self.stopped = Some(log);
        self.to_apply.clear();
        self.configuration_batch = None;
        self.batch(operations, vec![After::Seized], out);
    }

    /// Whether the library is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.node.is_none()
    }

    fn batch(&mut self, operations: Vec<StoreOp>, work: Vec<After>, out: &mut Vec<Out>) -> BatchId {
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        out.push(Out::Persist(Batch { id, operations }));
        self.batches.push_back(Pending { id, work });
        id
    }

    /// A batch is durable (and all before it).
    pub fn durable(&mut self, id: BatchId, out: &mut Vec<Out>) {
        while self.batches.front().is_some_and(|pending| pending.id <= id) {
            let Some(pending) = self.batches.pop_front() else {
                break;
            };
            for work in pending.work {
                self.after(pending.id, work, out);
            }
        }
    }

    fn after(&mut self, id: BatchId, work: After, out: &mut Vec<Out>) {
        match work {
            After::Ready {
                number,
                messages,
                term,
            } => {
                self.durable_term = self.durable_term.max(term);
                if let Some(node) = &mut self.node {
                    node.on_persist_ready(number);
                    out.extend(messages.into_iter().map(Out::Send));
                }
            }
            After::Installed(snapshot) => {
                if let Some(node) = &mut self.node
                    && snapshot.index > self.applied
                {
                    self.applied = snapshot.index;
                    node.advance_apply_to(snapshot.index);
                    out.push(Out::Installed(snapshot));
                }
            }
            After::Configuration => self.change_is_durable(id, out),
            After::Seized => {
                if let Some(log) = self.stopped.take() {
                    self.durable_term = log.hard_state().term;
                    self.node = Some(library(self.id, log, self.applied));
                }
            }
            After::Note => out.push(Out::Noted(id)),
        }
    }

    fn change_is_durable(&mut self, id: BatchId, out: &mut Vec<Out>) {
        if self.configuration_batch != Some(id) {
            // A snapshot or a takeover came in between.
            return;
        }
        self.configuration_batch = None;
        let Some(node) = &mut self.node else { return };
        let Some(LogEntry {
            index,
            content: Content::Change(change),
            ..
        }) = self.to_apply.pop_front()
        else {
            return;
        };
        let expected = changed(node.store().configuration(), &change);
        match node.apply_conf_change(&change.to_library()) {
            Ok(_) => node
                .mut_store()
                .set_configuration(&expected.voters, &expected.learners),
            // The library refuses only to remove the last voter, on every node alike.
            Err(_) => debug_assert!(expected.voters.is_empty()),
        }
        self.applied = index;
        node.advance_apply_to(index);
        out.push(Out::Changed { index, change });
    }

    /// Lets the library go on until it has nothing more to say.
    pub fn pump(&mut self, out: &mut Vec<Out>) {
        loop {
            self.apply(out);
            match &mut self.node {
                Some(node) if node.has_ready() => self.ready(out),
                _ => return,
            }
        }
    }

    fn ready(&mut self, out: &mut Vec<Out>) {
        let Some(node) = &mut self.node else { return };
        let mut ready = node.ready();
        let mut operations = Vec::new();
        let mut work = Vec::new();

        if !ready.snapshot().is_empty() {
            let metadata = ready.snapshot().get_metadata();
            let snapshot = SnapshotRecord {
                index: metadata.index,
                term: metadata.term,
                voters: metadata.get_conf_state().voters.clone(),
                learners: metadata.get_conf_state().learners.clone(),
                content: ready.snapshot().data.to_vec(),
            };
            operations.push(saved::put_snapshot(&snapshot));
            operations.push(saved::put_configuration(
                snapshot.index,
                metadata.get_conf_state(),
            ));
            operations.push(StoreOp::ClearLog);
            node.mut_store().install(snapshot.clone());
            self.to_apply.clear();
            self.configuration_batch = None;
            work.push(After::Installed(snapshot));
        }
        let entries = ready.take_entries();
        if let Some(first) = entries.first() {
            node.mut_store().append(&entries);
            let encoded = entries
                .iter()
                .map(|entry| {
                    LogEntry::from_library(entry)
                        .expect("every configuration entry was made by this module or by `wire`")
                        .encode()
                })
                .collect();
            operations.push(StoreOp::Append {
                first: first.index,
                entries: encoded,
            });
        }
        if let Some(hard) = ready.hs() {
            node.mut_store().set_hard_state(hard.clone());
            self.is_commit_unsaved = true;
        }
        if self.is_commit_unsaved && (ready.must_sync() || !operations.is_empty()) {
            operations.push(saved::put_hard(node.store().hard_state()));
            self.is_commit_unsaved = false;
        }
        for entry in ready.take_committed_entries() {
            let entry = LogEntry::from_library(&entry)
                .expect("every configuration entry was made by this module or by `wire`");
            self.to_apply.push_back(entry);
        }
        let mut messages = ready.take_messages();
        messages.extend(ready.take_persisted_messages());
        let number = ready.number();
        let term = node.raft.term;
        node.advance_append_async(ready);

        let (early, held): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| {
            may_overtake(message, self.durable_term)
                || crate::seeded::has(crate::seeded::Bug::SendsBeforeDurable)
        });
        out.extend(early.into_iter().map(Out::Send));
        if operations.is_empty() && self.batches.is_empty() {
            node.on_persist_ready(number);
            out.extend(held.into_iter().map(Out::Send));
            return;
        }
        let after = After::Ready {
            number,
            messages: held,
            term,
        };
        if operations.is_empty() {
            if let Some(last) = self.batches.back_mut() {
                last.work.push(after);
            }
        } else {
            work.insert(0, after);
            self.batch(operations, work, out);
        }
    }

    fn apply(&mut self, out: &mut Vec<Out>) {
        while self.configuration_batch.is_none() {
            let (Some(node), Some(entry)) = (&mut self.node, self.to_apply.front()) else {
                return;
            };
            match &entry.content {
                Content::Plain(_) => {
                    let Some(entry) = self.to_apply.pop_front() else {
                        return;
                    };
                    self.applied = entry.index;
                    node.advance_apply_to(entry.index);
                    if let Content::Plain(data) = entry.content {
                        out.push(Out::Entry {
                            index: entry.index,
                            term: entry.term,
                            data,
                        });
                    }
                }
                Content::Change(change) => {
                    let next = changed(node.store().configuration(), change);
                    let mut hard = node.raft.hard_state();
                    hard.commit = hard.commit.max(entry.index);
                    let operations = vec![
                        saved::put_configuration(entry.index, &next),
                        saved::put_hard(&hard),
                    ];
                    let id = self.batch(operations, vec![After::Configuration], out);
                    self.configuration_batch = Some(id);
                }
            }
        }
    }
}

/// Heartbeats and their answers say nothing but the term, and what is on disk on both sides already: a slow
/// disk must not look like a lost node.
fn may_overtake(message: &Message, durable_term: u64) -> bool {
    let kind = message.get_msg_type();
    (kind == MessageType::MsgHeartbeat || kind == MessageType::MsgHeartbeatResponse)
        && message.term <= durable_term
}
