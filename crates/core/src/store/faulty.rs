//! A disk in memory that loses, tears and damages what was not yet synchronised: for tests and the simulator.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

/// Bytes that a disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What survives a power loss for sure.
    durable: Vec<u8>,
    /// What reads see.
    current: Vec<u8>,
    /// Changes since the last synchronisation, in order.
    unsynced: Vec<Change>,
    /// No operation succeeds any more.
    is_off: bool,
    /// Operations (writes, length changes, synchronisations) so far.
    operations: u64,
    /// The operation of this number and all later ones fail.
    fail_from: Option<u64>,
}

#[derive(Debug, Clone)]
enum Change {
    Length(usize),
    Write { offset: usize, data: Vec<u8> },
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl FaultyDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk with this content.
    #[must_use]
    pub fn with_image(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.with(|inner| {
            inner.durable.clone_from(&image);
            inner.current = image;
        });
        disk
    }

    /// The power goes: this disk answers nothing more, and what it holds afterwards is returned. Of the
    /// changes that were not synchronised each sector is kept or lost as `keep` says (called once for each
    /// sector or length change, in order).
    pub fn power_loss(&self, mut keep: impl FnMut() -> bool) -> Self {
        let image = self.with(|inner| {
            inner.is_off = true;
            let mut image = inner.durable.clone();
            for change in &inner.unsynced {
                for piece in pieces(change) {
                    if keep() {
                        piece.apply(&mut image);
                    }
                }
            }
            image
        });
        Self::with_image(image)
    }

    /// The process dies but the machine goes on: nothing is lost, this handle answers nothing more.
    #[must_use]
    pub fn process_death(&self) -> Self {
        let image = self.with(|inner| {
            inner.is_off = true;
            inner.current.clone()
        });
        Self::with_image(image)
    }

    /// Another disk with what reads of this one see; this one goes on.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::with_image(self.with(|inner| inner.current.clone()))
    }

    /// Lets the operation of this number and all later ones fail.
    pub fn fail_from(&self, operation: u64) {
        self.with(|inner| inner.fail_from = Some(operation));
    }

    /// Number of changing operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.with(|inner| inner.operations)
    }

    /// Inverts one bit.
    pub fn flip(&self, offset: usize, bit: u8) {
        self.with(|inner| {
            for image in [&mut inner.durable, &mut inner.current] {
                if let Some(byte) = image.get_mut(offset) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        });
    }

    /// Cuts the disk's content off at this length.
    pub fn truncate(&self, length: usize) {
        self.with(|inner| {
            inner.durable.truncate(length);
            inner.current.truncate(length);
        });
    }

    /// Bytes on the disk.
    #[must_use]
    pub fn length(&self) -> usize {
        self.with(|inner| inner.current.len())
    }

    fn with<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.with(|inner| {
            inner.count()?;
            change.apply(&mut inner.current);
            inner.unsynced.push(change);
            Ok(())
        })
    }
}

impl Inner {
    fn alive(&self) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::other("the disk is off"));
        }
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.alive()?;
        if self.fail_from.is_some_and(|from| self.operations >= from) {
            return Err(io::Error::other("injected disk failure"));
        }
        self.operations += 1;
        Ok(())
    }
}

/// A change in the pieces in which a disk keeps or loses it.
fn pieces(change: &Change) -> Vec<Change> {
    match change {
        Change::Length(_) => vec![change.clone()],
        Change::Write { offset, data } => {
            let mut pieces = Vec::new();
            let mut start = 0;
            while start < data.len() {
                let room = SECTOR_BYTES - (offset + start) % SECTOR_BYTES;
                let end = (start + room).min(data.len());
                pieces.push(Change::Write {
                    offset: offset + start,
                    data: data[start..end].to_vec(),
                });
                start = end;
            }
            pieces
        }
    }
}

fn position(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::Error::other("offset out of range"))
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        self.with(|inner| {
            inner.alive()?;
            Ok(inner.current.len() as u64)
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|inner| {
            inner.alive()?;
            let start = position(offset)?;
            let source = start
                .checked_add(out.len())
                .and_then(|end| inner.current.get(start..end))
                .ok_or_else(|| io::Error::other("read beyond the end of the disk"))?;
            out.copy_from_slice(source);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(position(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|inner| {
            inner.count()?;
            let changes = std::mem::take(&mut inner.unsynced);
            for change in &changes {
                change.apply(&mut inner.durable);
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write {
            offset: position(offset)?,
            data: data.to_vec(),
        })
    }
}
