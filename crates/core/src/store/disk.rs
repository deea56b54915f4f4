//! The store on a disk: redb, one transaction (and one `fsync`) a batch.

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::{Batch, Saved, StoreError, StoreOp};
use crate::ids::NodeName;
use crate::start::Identity;

/// The log: index to encoded entry.
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Small records by name.
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
/// Present once the store was initialised; its content is the format's number.
const FORMAT_KEY: &str = "format";
/// The format that this code writes and reads.
const FORMAT: u8 = 1;
/// redb's page cache; its own default of a gibibyte is not for a daemon.
const CACHE_BYTES: usize = 4 << 20;
/// Bytes of the checksum that ends each record.
const CHECKSUM_BYTES: usize = 4;

/// The open store. It belongs to the one thread that commits.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

/// Makes the store of a new node (`init`, `join`): its identity and the founding state.
///
/// # Errors
/// The disk holds a node already, or cannot be written.
pub fn initialise(
    backend: impl StorageBackend,
    name: &NodeName,
    identity: &Identity,
) -> Result<(), StoreError> {
    let mut store = Store {
        database: database(backend)?,
    };
    if store.is_initialised()? {
        let found = crate::consensus::saved::name_of(&store.read()?);
        return Err(StoreError::NotEmpty {
            name: found.unwrap_or_else(|| name.clone()),
        });
    }
    let mut batch = crate::consensus::saved::founding_batch(name, identity);
    batch.operations.push(StoreOp::Put {
        key: FORMAT_KEY.to_owned(),
        value: vec![FORMAT],
    });
    store.commit(&batch)
}

/// Opens the store and reads everything back.
///
/// # Errors
/// It was never initialised, is damaged, or cannot be read.
pub fn open(backend: impl StorageBackend) -> Result<(Store, Saved), StoreError> {
    let store = Store {
        database: database(backend)?,
    };
    if !store.is_initialised()? {
        return Err(StoreError::Empty);
    }
    let mut saved = store.read()?;
    match saved.records.remove(FORMAT_KEY).as_deref() {
        Some([FORMAT]) => Ok((store, saved)),
        other => Err(StoreError::Damaged {
            what: format!("its format is {other:?}, this version reads format {FORMAT}"),
        }),
    }
}

fn database(backend: impl StorageBackend) -> Result<Database, StoreError> {
    redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        // The file is small; reading it whole at a start turns silent damage into a refusal.
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(|error| match error {
            redb::DatabaseError::Storage(redb::StorageError::Corrupted(what)) => {
                StoreError::Damaged { what }
            }
            other => failed("opening the replicated log's file")(&other),
        })
}

fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(&E) -> StoreError {
    move |error| StoreError::Failed {
        doing,
        reason: error.to_string(),
    }
}

impl Store {
    /// Commits one batch; it is durable when this returns.
    ///
    /// # Errors
    /// The disk failed: the daemon must stop, for it cannot know what is durable.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.commit_all(std::slice::from_ref(batch))
    }

    /// Commits all batches that wait, in order, in one transaction. Reporting the last of them as durable is enough.
    ///
    /// # Errors
    /// The disk failed: the daemon must stop, for it cannot know what is durable.
    pub fn commit_all(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        const DOING: &str = "writing the replicated log";
        let mut transaction = self.database.begin_write().map_err(|e| failed(DOING)(&e))?;
        // One phase would take a damaged newest page for a commit that a crash interrupted, and silently go
        // back to the one before: an acknowledged entry or a vote would be forgotten.
        transaction.set_two_phase_commit(true);
        if crate::seeded::has(crate::seeded::Bug::NoSync) {
            // Without durability a two-phase commit is refused.
            transaction.set_two_phase_commit(false);
            transaction
                .set_durability(redb::Durability::None)
                .map_err(|e| failed(DOING)(&e))?;
        }
        {
            let mut log = transaction.open_table(LOG).map_err(|e| failed(DOING)(&e))?;
            let mut records = transaction
                .open_table(RECORDS)
                .map_err(|e| failed(DOING)(&e))?;
            for operation in batches.iter().flat_map(|batch| &batch.operations) {
                match operation {
                    StoreOp::Append { first, entries } => {
                        log.retain_in::<u64, _>(first.., |_, _| false)
                            .map_err(|e| failed(DOING)(&e))?;
                        for (index, entry) in (*first..).zip(entries) {
                            let sealed = seal(&index.to_le_bytes(), entry);
                            log.insert(index, sealed.as_slice())
                                .map_err(|e| failed(DOING)(&e))?;
                        }
                    }
                    StoreOp::Compact { upto } => log
                        .retain_in::<u64, _>(..=*upto, |_, _| false)
                        .map_err(|e| failed(DOING)(&e))?,
                    StoreOp::ClearLog => log.retain(|_, _| false).map_err(|e| failed(DOING)(&e))?,
                    StoreOp::Put { key, value } => {
                        let sealed = seal(key.as_bytes(), value);
                        records
                            .insert(key.as_str(), sealed.as_slice())
                            .map_err(|e| failed(DOING)(&e))?;
                    }
                }
            }
        }
        transaction.commit().map_err(|e| failed(DOING)(&e))
    }

    fn is_initialised(&self) -> Result<bool, StoreError> {
        const DOING: &str = "reading the replicated log";
        let transaction = self.database.begin_read().map_err(|e| failed(DOING)(&e))?;
        match transaction.open_table(RECORDS) {
            Ok(table) => Ok(table
                .get(FORMAT_KEY)
                .map_err(|e| failed(DOING)(&e))?
                .is_some()),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(failed(DOING)(&error)),
        }
    }

    fn read(&self) -> Result<Saved, StoreError> {
        const DOING: &str = "reading the replicated log";
        let transaction = self.database.begin_read().map_err(|e| failed(DOING)(&e))?;
        let mut saved = Saved::default();
        let records = transaction
            .open_table(RECORDS)
            .map_err(|e| failed(DOING)(&e))?;
        for item in records.iter().map_err(|e| failed(DOING)(&e))? {
            let (key, value) = item.map_err(|e| failed(DOING)(&e))?;
            let key = key.value().to_owned();
            let content = unseal(key.as_bytes(), value.value(), || format!("record {key}"))?;
            saved.records.insert(key, content);
        }
        let log = transaction.open_table(LOG).map_err(|e| failed(DOING)(&e))?;
        for item in log.iter().map_err(|e| failed(DOING)(&e))? {
            let (index, value) = item.map_err(|e| failed(DOING)(&e))?;
            let index = index.value();
            if saved.entries.is_empty() {
                saved.first = index;
            }
            let expected = saved.first + saved.entries.len() as u64;
            if index != expected {
                return Err(StoreError::Damaged {
                    what: format!("log entry {expected} is missing"),
                });
            }
            let content = unseal(&index.to_le_bytes(), value.value(), || {
                format!("log entry {index}")
            })?;
            saved.entries.push(content);
        }
        Ok(saved)
    }
}

/// Appends a checksum over the key and the content, so that a record in another's place shows as well.
fn seal(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(content.len() + CHECKSUM_BYTES);
    sealed.extend_from_slice(content);
    sealed.extend_from_slice(&checksum(key, content).to_le_bytes());
    sealed
}

fn unseal(key: &[u8], sealed: &[u8], what: impl Fn() -> String) -> Result<Vec<u8>, StoreError> {
    let damaged = || StoreError::Damaged {
        what: format!("the checksum of {} does not match", what()),
    };
    let (content, sum) = sealed
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(damaged)?;
    if u32::from_le_bytes(*sum) == checksum(key, content) {
        Ok(content.to_vec())
    } else {
        Err(damaged())
    }
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(content);
    hasher.finalize()
}
