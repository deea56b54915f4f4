//! What is made durable, and reading it back at a start.
//!
//! A `Batch` is one transaction. The store is redb over a `StorageBackend` that the shell gives: a file in
//! the daemon, a faulty disk in the simulator.

mod disk;
pub mod faulty;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::ids::{BatchId, NodeName};

pub use disk::{Store, initialise, open};

/// Why a disk could not be opened, made or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A record is damaged or contradicts another.
    #[error(
        "the replicated log's file is damaged: {what}; wipe this node's state directory and join it to the cluster again"
    )]
    Damaged {
        /// Which record, and what is wrong.
        what: String,
    },
    /// The store was never initialised.
    #[error("this node belongs to no cluster yet; run `quorate init` or `quorate join`")]
    Empty,
    /// It holds a cluster already.
    #[error(
        "this node's disk already belongs to a cluster (node {name}); wipe its state directory first"
    )]
    NotEmpty {
        /// The name it was made for.
        name: NodeName,
    },
    /// The disk was made for another node.
    #[error("this disk belongs to node {found}, not to {expected}")]
    WrongNode {
        /// On the disk.
        found: NodeName,
        /// In the configuration.
        expected: NodeName,
    },
    /// Reading or writing failed.
    #[error("{doing} failed: {reason}")]
    Failed {
        /// What was done.
        doing: &'static str,
        /// The system's reason.
        reason: String,
    },
}

/// One transaction. Operations are applied in order; all or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Its name in `Event::Durable`.
    pub id: BatchId,
    /// The operations.
    pub operations: Vec<StoreOp>,
}

/// A durable change.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreOp {
    /// Put log entries (encoded, checksummed) from this index on; what stood at or after it is dropped.
    Append {
        /// Index of the first.
        first: u64,
        /// Encoded entries.
        entries: Vec<Vec<u8>>,
    },
    /// Drop entries up to and including this index (they are in the snapshot).
    Compact {
        /// The last index dropped.
        upto: u64,
    },
    /// Drop the whole log (a snapshot was installed).
    ClearLog,
    /// Small records by name: hard state, configuration state, snapshot, identity ...
    Put {
        /// Name.
        key: String,
        /// Content (versioned encoding, checksummed by the store).
        value: Vec<u8>,
    },
}

/// What the store gives back at a start: the sum of all durable batches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// The small records.
    pub records: BTreeMap<String, Vec<u8>>,
    /// Index of the first log entry below.
    pub first: u64,
    /// The log's entries, as they were appended.
    pub entries: Vec<Vec<u8>>,
}

impl Saved {
    /// What a store would give back after this batch: the reference for the store's tests, and enough of a
    /// disk for tests that need none.
    pub fn apply(&mut self, batch: &Batch) {
        for operation in &batch.operations {
            match operation {
                StoreOp::Append { first, entries } => {
                    if self.entries.is_empty() {
                        self.first = *first;
                    }
                    let keep =
                        usize::try_from(first.saturating_sub(self.first)).unwrap_or(usize::MAX);
                    self.entries.truncate(keep);
                    self.entries.extend(entries.iter().cloned());
                }
                StoreOp::Compact { upto } => {
                    let gone = upto.saturating_add(1).saturating_sub(self.first);
                    let gone = usize::try_from(gone)
                        .unwrap_or(usize::MAX)
                        .min(self.entries.len());
                    self.entries.drain(..gone);
                    self.first += gone as u64;
                }
                StoreOp::ClearLog => self.entries.clear(),
                StoreOp::Put { key, value } => {
                    self.records.insert(key.clone(), value.clone());
                }
            }
            if self.entries.is_empty() {
                self.first = 0;
            }
        }
    }
}
