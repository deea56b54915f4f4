//! What is made durable, and reading it back at a start.
//!
//! A `Batch` is one transaction. The store is redb over a `StorageBackend` that the shell gives: a file in
//! the daemon, a faulty disk in the simulator.

use crate::ids::{BatchId, ClusterUid, Lineage, NodeName, RaftId};

/// Who the disk was made for.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Identity {
    /// The node's name.
    #[n(0)]
    pub name: NodeName,
    /// Its number in the consensus library; a wiped disk gets a new one.
    #[n(1)]
    pub raft_id: RaftId,
    /// The cluster.
    #[n(2)]
    pub cluster: ClusterUid,
    /// The lineage; a forced recovery mints a new one.
    #[n(3)]
    pub lineage: Lineage,
}

/// Everything read back from the disk (opaque to all but the engine, save for the identity).
#[derive(Debug, Clone)]
pub struct Saved {
    /// Whose disk it is.
    pub identity: Identity,
}

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
    pub records: std::collections::BTreeMap<String, Vec<u8>>,
    /// Index of the first log entry below.
    pub first: u64,
    /// The log's entries, as they were appended.
    pub entries: Vec<Vec<u8>>,
}
