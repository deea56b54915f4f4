//! The thread that makes batches durable, in order. Batches that wait are committed together.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use quorate_core::event::Event;
use quorate_core::ids::NodeName;
use quorate_core::start::Identity;
use quorate_core::store::{self, Batch, Saved, Store, StoreError};
use redb::backends::FileBackend;

use crate::clock;
use crate::files::FileError;

/// A commit that takes longer is told.
const SLOW_MS: u64 = 1000;

/// The store could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Its file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content.
    #[error("{path}: {source}")]
    Store {
        /// Where.
        path: String,
        /// What is wrong.
        source: StoreError,
    },
    /// There is none.
    #[error(
        "{0} is missing: if `init` or `join` was interrupted, repeat it; otherwise this node's state is lost: \
         `quorate leave --wipe`, `quorate remove` it on another node, and let it join again"
    )]
    Missing(String),
    /// Somebody else has it open.
    #[error(
        "{0} is in use by another process: a daemon runs already on this host (`systemctl status quorate`)"
    )]
    InUse(String),
}

fn backend(path: &Path, make: bool) -> Result<FileBackend, StorageError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if make {
        options.create_new(true);
    }
    let file = options.open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => StorageError::Missing(path.display().to_string()),
        _ => FileError::new("cannot open", path, e).into(),
    })?;
    FileBackend::new(file).map_err(|e| match e {
        redb::DatabaseError::DatabaseAlreadyOpen => StorageError::InUse(path.display().to_string()),
        other => StorageError::Store {
            path: path.display().to_string(),
            source: StoreError::Failed {
                doing: "opening the replicated log's file",
                reason: other.to_string(),
            },
        },
    })
}

/// Makes the store of a new node.
pub fn initialise(path: &Path, name: &NodeName, identity: &Identity) -> Result<(), StorageError> {
    store::initialise(backend(path, true)?, name, identity).map_err(|source| StorageError::Store {
        path: path.display().to_string(),
        source,
    })
}

/// Opens the store of this node.
pub fn open(path: &Path) -> Result<(Store, Saved), StorageError> {
    store::open(backend(path, false)?).map_err(|source| StorageError::Store {
        path: path.display().to_string(),
        source,
    })
}

/// The thread. It ends when its queue's sender is dropped.
pub fn spawn(
    mut store: Store,
    events: Sender<Event>,
) -> std::io::Result<(Sender<Batch>, JoinHandle<()>)> {
    let (queue, batches): (Sender<Batch>, Receiver<Batch>) = channel();
    let thread = std::thread::Builder::new()
        .name("storage".into())
        .spawn(move || {
            crate::priority::raise();
            while let Ok(first) = batches.recv() {
                let mut ids = vec![first.id];
                let mut whole = first;
                for next in batches.try_iter() {
                    ids.push(next.id);
                    whole.id = next.id;
                    whole.operations.extend(next.operations);
                }
                let begun = clock::mono();
                let outcome = store.commit(&whole);
                let took = clock::mono().since(begun);
                if took > SLOW_MS {
                    tracing::warn!("The disk took {took} ms to write the replicated log.");
                }
                let reports: Vec<Event> = match outcome {
                    Ok(()) => ids.into_iter().map(Event::Durable).collect(),
                    Err(e) => vec![Event::StoreFailed(e.to_string())],
                };
                let failed = matches!(reports.first(), Some(Event::StoreFailed(_)));
                for report in reports {
                    if events.send(report).is_err() {
                        return;
                    }
                }
                if failed {
                    return;
                }
            }
        })?;
    Ok((queue, thread))
}
