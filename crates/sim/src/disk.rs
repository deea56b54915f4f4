//! A disk that does what disks do: the cache forgets, the tail tears, space runs out, fsync fails.
//!
//! The image is a page cache over stable storage, kept as the cached bytes and a journal of what was
//! written since the last write known to be stable. A crash replays a part of the journal. What of an
//! unsynced set of writes survives is drawn by each write's offset, never by the order in which the
//! database happened to issue them, so that a run depends on its seed alone.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use crate::rng::mix;

/// Sector of the simulated disk: what is written whole or not at all.
const SECTOR: usize = 512;

/// Limit of an image; a database that grows beyond it meets a full disk.
const IMAGE_BYTES_MAX: u64 = 256 << 20;

/// A change since the last stable point.
#[derive(Debug)]
enum Change {
    Write {
        offset: u64,
        old: Vec<u8>,
        new: Vec<u8>,
    },
    SetLen {
        old: u64,
        new: u64,
        cut: Vec<u8>,
    },
    Sync,
}

/// What a crash does to writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process died: what it issued stays in the cache.
    Process,
    /// The power went: unsynced writes are lost, kept or torn, each on its own.
    Power,
}

#[derive(Debug, Default)]
struct Image {
    /// What reads see.
    cache: Vec<u8>,
    /// Changes since the last stable point.
    journal: Vec<Change>,
    /// Handles of another life fail.
    life: u64,
    /// No byte beyond this can be written.
    size_max: Option<u64>,
    /// Syncs that will fail.
    sync_failures: u32,
    /// Chance for crashes and failed syncs.
    salt: u64,
}

/// The disk of one machine. Clones share it.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<Image>>);

/// The database's handle on the disk, valid for one life of the daemon.
#[derive(Debug)]
pub struct Handle {
    disk: Disk,
    life: u64,
}

impl Disk {
    /// An empty disk whose faults are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Image {
            salt: seed,
            ..Image::default()
        })))
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        self.0
            .lock()
            .expect("one thread uses the disk, and it does not panic while it holds it")
    }

    /// A handle for a new life of the daemon; earlier handles fail from now on.
    #[must_use]
    pub fn open(&self) -> Handle {
        let mut image = self.image();
        image.life += 1;
        Handle {
            disk: self.clone(),
            life: image.life,
        }
    }

    /// What was synced so far is stable; a crash cannot take it back. Called when the daemon is told so.
    pub fn settle(&self) {
        let mut image = self.image();
        if let Some(last) = image
            .journal
            .iter()
            .rposition(|change| matches!(change, Change::Sync))
        {
            image.journal.drain(..=last);
        }
    }

    /// The daemon (and with `Crash::Power` the machine) died at some point after the last stable one.
    pub fn crash(&self, crash: Crash) {
        let mut image = self.image();
        image.life += 1;
        image.salt = mix(image.salt);
        image.crash(crash);
    }

    /// From now on the disk cannot grow (or can again).
    pub fn set_full(&self, full: bool) {
        let mut image = self.image();
        let length = image.cache.len() as u64;
        image.size_max = full.then_some(length);
    }

    /// The next syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        self.image().sync_failures = count;
    }

    /// The disk was replaced by an empty one.
    pub fn wipe(&self) {
        let mut image = self.image();
        image.life += 1;
        image.cache.clear();
        image.journal.clear();
    }

    /// Flips one bit, as a worn disk does.
    pub fn corrupt(&self, position: u64) {
        let mut image = self.image();
        let length = image.cache.len() as u64;
        if length > 0 {
            image.cache[(position % length) as usize] ^= 1 << (position % 8);
        }
    }

    /// Bytes on the disk.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.image().cache.len() as u64
    }

    /// Nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Digest of the bytes, for tests of determinism.
    #[must_use]
    pub fn digest(&self) -> u64 {
        crate::rng::digest(&self.image().cache)
    }
}

impl Image {
    fn undo_all(&mut self) -> Vec<Change> {
        let journal = std::mem::take(&mut self.journal);
        for change in journal.iter().rev() {
            match change {
                Change::Write { offset, old, .. } => self.put(*offset, old),
                Change::SetLen { old, cut, .. } => {
                    self.cache.resize(*old as usize, 0);
                    let from = self.cache.len() - cut.len();
                    self.cache[from..].copy_from_slice(cut);
                }
                Change::Sync => {}
            }
        }
        journal
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset as usize + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[offset as usize..end].copy_from_slice(bytes);
    }

    fn crash(&mut self, crash: Crash) {
        let journal = self.undo_all();
        let syncs = journal
            .iter()
            .filter(|change| matches!(change, Change::Sync))
            .count() as u64;
        // The crash hit after this many syncs. A dead process cannot have come further than it had.
        let survived = mix(self.salt ^ 0x5eed) % (syncs + 1);
        let mut seen = 0;
        let mut last: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut length = None;
        for change in journal {
            match change {
                Change::Sync => seen += 1,
                _ if seen > survived => break,
                Change::Write { offset, new, .. } if seen < survived => self.put(offset, &new),
                Change::SetLen { new, .. } if seen < survived => {
                    self.cache.resize(new as usize, 0);
                }
                Change::Write { offset, new, .. } => {
                    last.insert(offset, new);
                }
                Change::SetLen { new, .. } => length = Some(new),
            }
        }
        if let Some(new) = length
            && mix(self.salt ^ 0x1e46) & 1 == 0
        {
            self.cache.resize(new as usize, 0);
        }
        for (offset, new) in last {
            let kept = surviving(self.salt, offset, new.len(), crash);
            if kept > 0 {
                self.put(offset, &new[..kept]);
            }
        }
    }

    /// A failed sync drops dirty pages: some of them reached the disk, some did not, and the cache agrees.
    fn fail_sync(&mut self) {
        self.salt = mix(self.salt);
        let tail = self
            .journal
            .iter()
            .rposition(|change| matches!(change, Change::Sync))
            .map_or(0, |last| last + 1);
        let dropped = self.journal.split_off(tail);
        for change in dropped.into_iter().rev() {
            if let Change::Write { offset, old, new } = change
                && surviving(self.salt, offset, new.len(), Crash::Process) == 0
                && (offset as usize + old.len()) <= self.cache.len()
            {
                self.put(offset, &old);
            }
        }
    }
}

/// How many bytes of an unsynced write survive.
fn surviving(salt: u64, offset: u64, length: usize, crash: Crash) -> usize {
    let draw = mix(salt ^ mix(offset));
    match draw % 4 {
        0 => 0,
        1 | 2 => length,
        _ if crash == Crash::Process => 0,
        _ => (draw >> 8) as usize % (length / SECTOR + 1) * SECTOR,
    }
}

impl Handle {
    fn live(&self) -> Result<MutexGuard<'_, Image>, Error> {
        let image = self.disk.image();
        if image.life == self.life {
            Ok(image)
        } else {
            Err(Error::other("the daemon that opened this file is gone"))
        }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.live()?.cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let image = self.live()?;
        let from = offset as usize;
        let bytes = image
            .cache
            .get(from..from + out.len())
            .ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let mut image = self.live()?;
        let old = image.cache.len() as u64;
        if len > image.size_max.unwrap_or(IMAGE_BYTES_MAX).max(old) {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        let cut = image.cache.get(len as usize..).unwrap_or(&[]).to_vec();
        image.cache.resize(len as usize, 0);
        image.journal.push(Change::SetLen { old, new: len, cut });
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut image = self.live()?;
        if image.sync_failures > 0 {
            image.sync_failures -= 1;
            image.fail_sync();
            return Err(Error::other("input/output error while syncing"));
        }
        image.journal.push(Change::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut image = self.live()?;
        let from = offset as usize;
        let end = from + data.len();
        if end as u64
            > image
                .size_max
                .unwrap_or(IMAGE_BYTES_MAX)
                .max(image.cache.len() as u64)
        {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        if image.cache.len() < end {
            let old = image.cache.len() as u64;
            image.cache.resize(end, 0);
            image.journal.push(Change::SetLen {
                old,
                new: end as u64,
                cut: Vec::new(),
            });
        }
        let old = image.cache[from..end].to_vec();
        image.cache[from..end].copy_from_slice(data);
        image.journal.push(Change::Write {
            offset,
            old,
            new: data.to_vec(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Builder, Database, ReadableDatabase, TableDefinition};

    const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

    fn open(disk: &Disk) -> Result<Database, redb::DatabaseError> {
        Builder::new()
            .set_cache_size(1 << 20)
            .create_with_backend(disk.open())
    }

    fn put(db: &Database, key: u64) -> Result<(), redb::Error> {
        let txn = db.begin_write()?;
        txn.open_table(TABLE)?
            .insert(key, vec![key as u8; 300].as_slice())?;
        txn.commit()?;
        Ok(())
    }

    fn keys(db: &Database) -> Vec<u64> {
        let txn = db.begin_read().expect("reads");
        match txn.open_table(TABLE) {
            Ok(table) => redb::ReadableTable::iter(&table)
                .expect("iterates")
                .map(|row| row.expect("row").0.value())
                .collect(),
            Err(_) => Vec::new(),
        }
    }

    #[test]
    fn every_crash_opens_to_the_last_commit_or_the_one_under_way() {
        for seed in 0..200 {
            let disk = Disk::new(seed);
            let db = open(&disk).expect("opens");
            let stable = seed % 7;
            for key in 0..stable {
                put(&db, key).expect("commits");
                disk.settle();
            }
            disk.settle();
            put(&db, stable).expect("commits, but the daemon is not told");
            disk.crash(if seed % 2 == 0 {
                Crash::Power
            } else {
                Crash::Process
            });
            drop(db);
            let db = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let found = keys(&db);
            let expected: Vec<u64> = (0..stable).collect();
            let more: Vec<u64> = (0..=stable).collect();
            assert!(found == expected || found == more, "seed {seed}: {found:?}");
        }
    }

    #[test]
    fn crashes_do_not_depend_on_the_order_of_writes() {
        let run = || {
            let disk = Disk::new(5);
            let handle = disk.open();
            handle.set_len(8192).expect("grows");
            handle.sync_data().expect("syncs");
            (disk, handle)
        };
        let (one, forward) = run();
        let (two, backward) = run();
        for page in 0..8_u64 {
            forward
                .write(page * 1024, &[page as u8; 1024])
                .expect("writes");
            backward
                .write((7 - page) * 1024, &[7 - page as u8; 1024])
                .expect("writes");
        }
        one.crash(Crash::Power);
        two.crash(Crash::Power);
        assert_eq!(one.digest(), two.digest());
    }

    #[test]
    fn the_same_commits_give_the_same_image() {
        let run = || {
            let disk = Disk::new(5);
            let db = open(&disk).expect("opens");
            for key in 0..50 {
                put(&db, key).expect("commits");
            }
            drop(db);
            disk.digest()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn a_full_disk_and_a_failed_sync_are_reported() {
        let disk = Disk::new(3);
        let db = open(&disk).expect("opens");
        put(&db, 1).expect("commits");
        disk.settle();
        disk.fail_syncs(1);
        assert!(put(&db, 2).is_err());
        disk.crash(Crash::Process);
        drop(db);
        if let Ok(db) = open(&disk) {
            assert!(keys(&db).contains(&1));
            disk.set_full(true);
            let filled = (0..5000).find(|key| put(&db, 10 + key).is_err());
            assert!(filled.is_some(), "the disk never filled up");
        }
    }

    #[test]
    fn an_old_handle_writes_nothing() {
        let disk = Disk::new(3);
        let old = disk.open();
        let _new = disk.open();
        assert!(old.write(0, b"late").is_err());
        assert!(disk.is_empty());
    }
}
