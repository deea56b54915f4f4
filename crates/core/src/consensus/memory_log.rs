//! The log in memory, as the consensus library reads it. Its durable twin is the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};

use super::saved::SnapshotRecord;

/// The log from its snapshot on.
#[derive(Debug)]
pub struct MemoryLog {
    snapshot: SnapshotRecord,
    /// The last entry that was dropped; entries begin after it.
    base: (u64, u64),
    entries: VecDeque<Entry>,
    /// Bytes of the entries' contents.
    bytes: usize,
    hard_state: HardState,
    /// The configuration at the applied index.
    configuration: ConfState,
    /// The library needs a newer snapshot than there is.
    is_snapshot_wanted: AtomicBool,
}

impl MemoryLog {
    /// A log that holds a snapshot only.
    #[must_use]
    pub fn new(snapshot: SnapshotRecord) -> Self {
        let mut log = Self {
            base: (snapshot.index, snapshot.term),
            snapshot: SnapshotRecord::default(),
            entries: VecDeque::new(),
            bytes: 0,
            hard_state: HardState::default(),
            configuration: ConfState::default(),
            is_snapshot_wanted: AtomicBool::new(false),
        };
        log.set_configuration(&snapshot.voters, &snapshot.learners);
        log.snapshot = snapshot;
        log
    }

    /// Takes the entries of the disk: they may begin before the snapshot's index.
    pub(super) fn load(&mut self, entries: Vec<Entry>) -> Result<(), String> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        if first.index > self.snapshot.index + 1 {
            return Err(format!(
                "entries begin at {}, the snapshot ends at {}",
                first.index, self.snapshot.index
            ));
        }
        // Entries at or before the snapshot's index were kept for slow followers; without them the log is
        // whole as well, and the term before the first of them is not known any more.
        for entry in entries {
            if entry.index > self.snapshot.index {
                self.bytes += entry.data.len() + entry.context.len();
                self.entries.push_back(entry);
            }
        }
        Ok(())
    }

    /// Index of the last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    /// Bytes of the entries' contents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries.
    #[must_use]
    pub fn length(&self) -> usize {
        self.entries.len()
    }

    /// Index of the snapshot.
    #[must_use]
    pub fn snapshot_index(&self) -> u64 {
        self.snapshot.index
    }

    /// Term of the snapshot.
    #[must_use]
    pub fn snapshot_term(&self) -> u64 {
        self.snapshot.term
    }

    /// Content of the snapshot.
    #[must_use]
    pub fn snapshot_record(&self) -> &SnapshotRecord {
        &self.snapshot
    }

    /// The configuration at the applied index.
    #[must_use]
    pub fn configuration(&self) -> &ConfState {
        &self.configuration
    }

    /// Term, vote, commit.
    #[must_use]
    pub fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    /// Sets the configuration.
    pub fn set_configuration(&mut self, voters: &[u64], learners: &[u64]) {
        let mut state = ConfState::default();
        state.voters = voters.to_vec();
        state.learners = learners.to_vec();
        self.configuration = state;
    }

    /// Sets term, vote and commit.
    pub fn set_hard_state(&mut self, state: HardState) {
        self.hard_state = state;
    }

    /// The entry at an index.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.base.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Entries after an index.
    pub fn after(&self, index: u64) -> impl Iterator<Item = &Entry> {
        let skip = index.saturating_sub(self.base.0);
        self.entries
            .iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// Appends; what stood at or after the first of them is dropped.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else {
            return;
        };
        assert!(
            first.index > self.base.0 && first.index <= self.last() + 1,
            "entries from {} do not continue a log of {}..={}",
            first.index,
            self.base.0 + 1,
            self.last()
        );
        while self.last() >= first.index {
            if let Some(dropped) = self.entries.pop_back() {
                self.bytes -= dropped.data.len() + dropped.context.len();
            }
        }
        for entry in entries {
            self.bytes += entry.data.len() + entry.context.len();
            self.entries.push_back(entry.clone());
        }
    }

    /// A snapshot replaces everything.
    pub fn install(&mut self, snapshot: SnapshotRecord) {
        self.entries.clear();
        self.bytes = 0;
        self.base = (snapshot.index, snapshot.term);
        self.set_configuration(&snapshot.voters, &snapshot.learners);
        self.snapshot = snapshot;
    }

    /// A newer snapshot of this node's own state; entries up to `keep_after` are dropped.
    pub fn compact(&mut self, snapshot: SnapshotRecord, keep_after: u64) {
        self.snapshot = snapshot;
        self.is_snapshot_wanted.store(false, Ordering::Relaxed);
        while self.base.0 < keep_after.min(self.snapshot.index) {
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= entry.data.len() + entry.context.len();
            self.base = (entry.index, entry.term);
        }
    }

    /// Whether the library asked for a newer snapshot; asking clears it.
    pub fn take_snapshot_wanted(&self) -> bool {
        self.is_snapshot_wanted.swap(false, Ordering::Relaxed)
    }
}

impl Storage for MemoryLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(
            self.hard_state.clone(),
            self.configuration.clone(),
        ))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.base.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let skip = usize::try_from(low - self.base.0 - 1).expect("the log is in memory");
        let take = usize::try_from(high.saturating_sub(low)).expect("the log is in memory");
        let mut entries: Vec<_> = self.entries.iter().skip(skip).take(take).cloned().collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.base.0 {
            return Ok(self.base.1);
        }
        if index == self.snapshot.index {
            return Ok(self.snapshot.term);
        }
        if index < self.base.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.entry(index)
            .map(|entry| entry.term)
            .ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let record = &self.snapshot;
        let knows_receiver = record.voters.contains(&to) || record.learners.contains(&to);
        if record.index < request_index || record.index < self.base.0 || !knows_receiver {
            self.is_snapshot_wanted.store(true, Ordering::Relaxed);
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        snapshot.data = record.content.clone().into();
        let metadata = snapshot.mut_metadata();
        metadata.index = record.index;
        metadata.term = record.term;
        let state = metadata.mut_conf_state();
        state.voters.clone_from(&record.voters);
        state.learners.clone_from(&record.learners);
        Ok(snapshot)
    }
}
