//! What the consensus says is carried out here: entries applied, messages sent, snapshots taken and installed.

use raft::eraftpb::{Message, MessageType};

use super::begin::decode_content;
use super::{Engine, EngineOutput, SnapshotInWork};
use crate::consensus::Out;
use crate::consensus::saved::{self, DiskRecord, SnapshotContent, SnapshotRecord};
use crate::event::{Effect, LogLevel};
use crate::ids::{LogIndex, Tag, Term};
use crate::transfer::{Progress, SNAPSHOT_BYTES_MAX};
use crate::wire::entry::{Change, ChangeKind, Origin, Record};
use crate::wire::raft_message::{Kind, RaftMessage};
use crate::wire::{Body, Chunk, ChunkReceived};

/// Entries in memory before a snapshot is wanted.
const LOG_ENTRIES_MAX: usize = 2_000;
/// Bytes in memory before a snapshot is wanted.
const LOG_BYTES_MAX: usize = 8 << 20;
/// Entries that are kept behind a snapshot for followers that lag a little.
const LOG_ENTRIES_KEPT: u64 = 200;
/// Detection times without progress after which a snapshot's transfer is given up.
const TRANSFER_PATIENCE: u64 = 10;

impl Engine {
    pub(super) fn carry_out(&mut self, out: Out) {
        match out {
            Out::Persist(batch) => self
                .outputs
                .push(EngineOutput::Effect(Effect::Persist(batch))),
            Out::Send(message) => self.send_message(&message),
            Out::Entry { index, term, data } => self.apply(index, term, &data),
            Out::Changed { index, change } => self.apply_change(index, &change),
            Out::Installed(snapshot) => self.installed(&snapshot),
            Out::Noted(batch) => {
                if self.start_batch == Some(batch) {
                    self.start_batch = None;
                }
                if self.removal_batch == Some(batch) {
                    self.removal_batch = None;
                    self.acknowledge_removal();
                }
            }
        }
    }

    fn apply(&mut self, index: u64, term: u64, data: &[u8]) {
        if data.is_empty() {
            self.want_snapshot(index, term);
            return;
        }
        let record = match Record::decode(data) {
            Ok(record) => record,
            Err(error) => {
                // A newer version wrote it. Going on without it would make this node's state differ.
                self.outputs.push(EngineOutput::Effect(Effect::Halt {
                    reason: format!(
                        "log entry {index} is not understood by this version ({error}); upgrade this node"
                    ),
                    clean: false,
                }));
                return;
            }
        };
        match record {
            Record::Payload(payload) => {
                let tag = self.answer(payload.origin);
                self.outputs.push(EngineOutput::Committed {
                    index: LogIndex(index),
                    term: Term(term),
                    payload: payload.bytes,
                    tag,
                });
            }
            Record::Started(started) => {
                self.roster.started(&started);
                self.membership(index, None);
                self.announce_peers();
            }
            Record::Pair(pair) => self.roster.pair = Some(pair),
            Record::Departed(id) => {
                self.roster.departing.remove(&id);
                self.announce_peers();
            }
            Record::Addresses(change) => {
                self.roster.addresses(&change);
                let tag = self.answer(change.origin);
                self.membership(index, tag);
                self.announce_peers();
            }
            Record::Forget(forget) => {
                self.roster.members.remove(&forget.raft_id);
                let tag = self.answer(forget.origin);
                self.membership(index, tag);
                self.announce_peers();
            }
        }
        self.want_snapshot(index, term);
    }

    fn apply_change(&mut self, index: u64, change: &Change) {
        self.roster.change(change);
        let tag = self.answer(change.origin);
        self.membership(index, tag);
        self.announce_peers();
        let is_own_removal = change.kind == ChangeKind::Remove
            && change.raft_id == self.id
            && !self.roster.members.contains_key(&self.id);
        if is_own_removal {
            self.remove_self();
        }
        if let Some(entry) = self.consensus.log().entry(index) {
            let term = entry.term;
            self.want_snapshot(index, term);
        }
    }

    fn membership(&mut self, index: u64, tag: Option<Tag>) {
        self.outputs.push(EngineOutput::Membership {
            index: LogIndex(index),
            members: self.roster.members(),
            tag,
        });
    }

    /// The tag of a proposal of this session that awaits its answer.
    fn answer(&mut self, origin: Origin) -> Option<Tag> {
        let is_ours = origin.raft_id == self.id && origin.session == self.life.incarnation.session;
        (is_ours && self.proposals.remove(&origin.tag).is_some()).then_some(origin.tag)
    }

    fn installed(&mut self, snapshot: &SnapshotRecord) {
        match decode_content(&snapshot.content) {
            Ok(content) => {
                self.snapshot = None;
                self.restore(LogIndex(snapshot.index), Some(content));
                self.announce_peers();
            }
            Err(error) => self.outputs.push(EngineOutput::Effect(Effect::Halt {
                reason: format!("the leader's snapshot: {error}; upgrade this node"),
                clean: false,
            })),
        }
    }

    /// Asks the manager for its state when the log is long or the library needs a newer snapshot.
    fn want_snapshot(&mut self, index: u64, term: u64) {
        let log = self.consensus.log();
        let is_long = index > log.snapshot_index()
            && (log.length() >= LOG_ENTRIES_MAX || log.bytes() >= LOG_BYTES_MAX)
            && index - log.snapshot_index() >= LOG_ENTRIES_KEPT.min(LOG_ENTRIES_MAX as u64 / 2);
        if is_long {
            self.ask_snapshot(index, term);
        }
    }

    fn ask_snapshot(&mut self, index: u64, term: u64) {
        let configuration = self.consensus.log().configuration();
        self.snapshot = Some(SnapshotInWork {
            index,
            term,
            voters: configuration.voters.clone(),
            learners: configuration.learners.clone(),
            content: SnapshotContent {
                roster: self.roster.clone(),
                manager: None,
                genesis: None,
            },
        });
        self.outputs.push(EngineOutput::WantSnapshot {
            index: LogIndex(index),
        });
    }

    /// The library needs a snapshot for a follower; everything applied so far can be in it.
    pub(super) fn serve_snapshot(&mut self) {
        if !self.consensus.log().take_snapshot_wanted() {
            return;
        }
        let applied = self.consensus.applied();
        let log = self.consensus.log();
        if let Some(term) = log.entry(applied).map(|entry| entry.term) {
            self.ask_snapshot(applied, term);
        }
    }

    /// The manager's state for the index it was asked for.
    pub(super) fn take_snapshot(&mut self, index: LogIndex, bytes: Vec<u8>) {
        let Some(work) = self.snapshot.take_if(|work| work.index == index.0) else {
            return;
        };
        if bytes.len() > SNAPSHOT_BYTES_MAX - (1 << 20) {
            self.log(
                LogLevel::Error,
                format!(
                    "The state has {} bytes, too many for a snapshot.",
                    bytes.len()
                ),
            );
            return;
        }
        let mut content = work.content;
        content.manager = Some(bytes);
        let record = SnapshotRecord {
            index: work.index,
            term: work.term,
            voters: work.voters,
            learners: work.learners,
            content: minicbor::to_vec(&content).expect("encoding into memory cannot fail"),
        };
        let keep_after = work.index.saturating_sub(LOG_ENTRIES_KEPT);
        let mut out = std::mem::take(&mut self.out);
        self.consensus.compact(record, keep_after, &mut out);
        self.out = out;
    }

    fn send_message(&mut self, message: &Message) {
        let Some(to) = self.name_of(message.to) else {
            return;
        };
        if message.get_msg_type() == MessageType::MsgSnapshot {
            let parts = self.transfers.begin(self.now, message.to, message);
            self.send_parts(message.to, parts);
            return;
        }
        match RaftMessage::from_library(message) {
            Ok(Some(mut body)) => {
                if body.kind == Kind::RequestVoteResponse && !body.reject {
                    body.quiet_ms = Some(self.succession.quiet_ms(self.now));
                }
                self.send(&to, None, Body::Raft(body));
            }
            Ok(None) => {}
            Err(error) => self.log(
                LogLevel::Error,
                format!("A message cannot be sent: {error}."),
            ),
        }
    }

    fn send_parts(&mut self, to: u64, parts: Vec<Chunk>) {
        let Some(name) = self.name_of(to) else { return };
        for part in parts {
            self.send(&name, None, Body::Chunk(part));
        }
    }

    /// A receiver of a snapshot says how far it is.
    pub(super) fn chunk_received(&mut self, from: u64, progress: &ChunkReceived) {
        match self.transfers.received(self.now, from, progress) {
            Progress::Send(parts) => self.send_parts(from, parts),
            Progress::Finished => self
                .consensus
                .snapshot_sent(from, raft::SnapshotStatus::Finish),
            Progress::Unknown => {}
        }
    }

    pub(super) fn nudge_transfers(&mut self) {
        let patience = self.settings.detection_ms;
        if !self.consensus.role().leads {
            self.transfers.stop_sending();
            return;
        }
        for to in self
            .transfers
            .give_up(self.now, patience * TRANSFER_PATIENCE)
        {
            self.consensus
                .snapshot_sent(to, raft::SnapshotStatus::Failure);
        }
        for (to, parts) in self.transfers.again(self.now, patience) {
            self.send_parts(to, parts);
        }
    }

    /// This node is a member no more: it says so durably, then takes part in nothing.
    pub(super) fn remove_self(&mut self) {
        if self.is_removed || self.removal_batch.is_some() {
            return;
        }
        let record = DiskRecord {
            name: self.name.clone(),
            raft_id: self.id,
            lineage: self.lineage,
            removed: true,
        };
        let mut out = std::mem::take(&mut self.out);
        let batch = self
            .consensus
            .persist(vec![saved::put_disk(&record)], &mut out);
        self.out = out;
        self.removal_batch = Some(batch);
    }

    fn acknowledge_removal(&mut self) {
        self.is_removed = true;
        self.log(
            LogLevel::Error,
            "This node was removed from the cluster; wipe its state directory before it joins again."
                .to_owned(),
        );
        let mut names: Vec<_> = self
            .roster
            .members
            .values()
            .map(|record| record.name.clone())
            .collect();
        names.retain(|name| *name != self.name);
        for name in names {
            self.send(&name, None, Body::RemovalAcknowledged);
        }
    }
}
