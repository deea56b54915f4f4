//! The records on disk: what the engine reads back at a start, and the founding state.

use raft::eraftpb::{ConfState, HardState};

use super::memory_log::MemoryLog;
use crate::ids::{BatchId, Lineage, NodeName};
use crate::roster::Roster;
use crate::start::{Genesis, Identity};
use crate::store::{Batch, Saved, StoreError, StoreOp};
use crate::wire::entry::LogEntry;

const DISK_KEY: &str = "disk";
const STARTS_KEY: &str = "starts";
const HARD_KEY: &str = "hard";
const CONFIGURATION_KEY: &str = "configuration";
const SNAPSHOT_KEY: &str = "snapshot";

/// Whose disk this is.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct DiskRecord {
    /// The node's name.
    #[n(0)]
    pub name: NodeName,
    /// Its number.
    #[n(1)]
    pub raft_id: u64,
    /// The lineage it belongs to now.
    #[n(2)]
    pub lineage: Lineage,
    /// Set once this node knows that it was removed: it takes part in nothing any more.
    #[n(3)]
    pub removed: bool,
}

/// Term, vote and commit index.
#[derive(Debug, Clone, Copy, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct HardRecord {
    /// Term.
    #[n(0)]
    pub term: u64,
    /// Who got this node's vote in it; 0: nobody.
    #[n(1)]
    pub vote: u64,
    /// Known to be committed.
    #[n(2)]
    pub commit: u64,
}

/// The configuration, and the index up to which it is applied.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct ConfigurationRecord {
    /// Index of the entry that made it.
    #[n(0)]
    pub index: u64,
    /// Voters.
    #[n(1)]
    pub voters: Vec<u64>,
    /// Learners.
    #[n(2)]
    pub learners: Vec<u64>,
}

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct SnapshotRecord {
    /// The state is that after this index.
    #[n(0)]
    pub index: u64,
    /// Term of the entry there.
    #[n(1)]
    pub term: u64,
    /// Voters then.
    #[n(2)]
    pub voters: Vec<u64>,
    /// Learners then.
    #[n(3)]
    pub learners: Vec<u64>,
    /// Encoded `SnapshotContent`.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub content: Vec<u8>,
}

/// The replicated state in a snapshot.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct SnapshotContent {
    /// The engine's part.
    #[n(0)]
    pub roster: Roster,
    /// The manager's part.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub manager: Option<Vec<u8>>,
    /// The founding state, in the very first snapshot only.
    #[n(2)]
    pub genesis: Option<Genesis>,
}

/// Everything decoded.
#[derive(Debug)]
pub struct Disk {
    /// Whose.
    pub record: DiskRecord,
    /// How often it was started before.
    pub starts: u64,
    /// The log with its states.
    pub log: MemoryLog,
    /// Index up to which the configuration in `log` is applied.
    pub applied: u64,
}

fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("encoding into memory cannot fail")
}

fn put<T: minicbor::Encode<()>>(key: &str, value: &T) -> StoreOp {
    StoreOp::Put {
        key: key.to_owned(),
        value: encode(value),
    }
}

/// Writes whose disk it is.
#[must_use]
pub fn put_disk(record: &DiskRecord) -> StoreOp {
    put(DISK_KEY, record)
}

/// Writes the number of starts.
#[must_use]
pub fn put_starts(starts: u64) -> StoreOp {
    put(STARTS_KEY, &starts)
}

/// Writes term, vote and commit index.
#[must_use]
pub fn put_hard(hard: &HardState) -> StoreOp {
    let record = HardRecord {
        term: hard.term,
        vote: if crate::seeded::has(crate::seeded::Bug::VoteForgotten) {
            0
        } else {
            hard.vote
        },
        commit: hard.commit,
    };
    put(HARD_KEY, &record)
}

/// Writes a configuration.
#[must_use]
pub fn put_configuration(index: u64, state: &ConfState) -> StoreOp {
    let record = ConfigurationRecord {
        index,
        voters: state.voters.clone(),
        learners: state.learners.clone(),
    };
    put(CONFIGURATION_KEY, &record)
}

/// Writes a snapshot.
#[must_use]
pub fn put_snapshot(record: &SnapshotRecord) -> StoreOp {
    put(SNAPSHOT_KEY, record)
}

/// The first batch of a new node's store: a founder's holds the founding snapshot at index 1, which all founders
/// share; that of a node that joins holds no log at all.
#[must_use]
pub fn founding_batch(name: &NodeName, identity: &Identity) -> Batch {
    let record = DiskRecord {
        name: name.clone(),
        raft_id: identity.raft_id.0,
        lineage: identity.lineage,
        removed: false,
    };
    let mut operations = vec![put_disk(&record), put_starts(0)];
    if let Some(genesis) = &identity.genesis {
        let roster = Roster::founding(&genesis.founders);
        let snapshot = SnapshotRecord {
            index: 1,
            term: 1,
            voters: roster.voters(),
            learners: Vec::new(),
            content: encode(&SnapshotContent {
                roster,
                manager: None,
                genesis: Some(genesis.clone()),
            }),
        };
        let mut hard = HardState::default();
        hard.term = 1;
        hard.commit = 1;
        operations.push(put_snapshot(&snapshot));
        operations.push(put_hard(&hard));
    }
    Batch {
        id: BatchId(0),
        operations,
    }
}

/// The name that a store was made for, if it says.
#[must_use]
pub fn name_of(saved: &Saved) -> Option<NodeName> {
    let bytes = saved.records.get(DISK_KEY)?;
    minicbor::decode::<DiskRecord>(bytes)
        .ok()
        .map(|record| record.name)
}

fn read<T: for<'b> minicbor::Decode<'b, ()>>(
    saved: &Saved,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = saved.records.get(key) else {
        return Ok(None);
    };
    minicbor::decode(bytes)
        .map(Some)
        .map_err(|error| StoreError::Damaged {
            what: format!("record {key}: {error}"),
        })
}

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged { what: what.into() }
}

/// Decodes what a store gave back, and checks that its parts fit together.
///
/// # Errors
/// They do not.
pub fn decode(saved: &Saved) -> Result<Disk, StoreError> {
    let record: DiskRecord = read(saved, DISK_KEY)?.ok_or(StoreError::Empty)?;
    let starts: u64 = read(saved, STARTS_KEY)?.ok_or_else(|| damaged("no record of starts"))?;
    let hard: HardRecord = read(saved, HARD_KEY)?.unwrap_or_default();
    let snapshot: SnapshotRecord = read(saved, SNAPSHOT_KEY)?.unwrap_or_default();
    let configuration: ConfigurationRecord = read(saved, CONFIGURATION_KEY)?.unwrap_or_default();

    let mut entries = Vec::with_capacity(saved.entries.len());
    for (number, bytes) in (saved.first..).zip(&saved.entries) {
        let entry = LogEntry::decode(bytes)
            .map_err(|error| damaged(format!("log entry {number}: {error}")))?;
        if entry.index != number {
            return Err(damaged(format!(
                "log entry {number} says it is {}",
                entry.index
            )));
        }
        entries.push(entry.to_library());
    }
    let mut log = MemoryLog::new(snapshot);
    log.load(entries)
        .map_err(|what| damaged(format!("the log does not fit its snapshot: {what}")))?;

    let mut applied = log.snapshot_index();
    if configuration.index > applied {
        applied = configuration.index;
        log.set_configuration(&configuration.voters, &configuration.learners);
    }
    let mut state = HardState::default();
    state.term = hard.term.max(log.snapshot_term());
    state.vote = hard.vote;
    // The commit index is written lazily; what was applied or is in a snapshot was committed.
    state.commit = hard.commit.max(applied);
    if state.commit > log.last() {
        return Err(damaged(format!(
            "entry {} was committed, but the log ends at {}",
            state.commit,
            log.last()
        )));
    }
    log.set_hard_state(state);
    Ok(Disk {
        record,
        starts,
        log,
        applied,
    })
}
