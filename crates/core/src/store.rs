//! What is made durable, and reading it back at a start.
//!
//! A `Batch` is one transaction. The store is redb over a `StorageBackend` that the shell gives: a file in
//! the daemon, a faulty disk in the simulator.

use crate::ids::BatchId;

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
    pub records: std::collections::BTreeMap<String, Vec<u8>>,
    /// Index of the first log entry below.
    pub first: u64,
    /// The log's entries, as they were appended.
    pub entries: Vec<Vec<u8>>,
}
