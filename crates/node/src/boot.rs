//! What lives in tmpfs: the number of this boot, and the core's small records.

use std::collections::BTreeMap;
use std::path::PathBuf;

use quorate_core::ids::{Boot, Incarnation, Session};

use crate::files::{self, FileError, Paths};
use crate::pki::random;

/// Most bytes of all records that are read back.
const RECORDS_MAX: usize = 65_536;

/// This life: the boot's number (drawn once a boot) and a new session.
pub fn incarnation(paths: &Paths) -> Result<Incarnation, FileError> {
    let path = paths.boot();
    let known = files::read(&path)?.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    let boot = match known {
        Some(boot) => boot,
        None => {
            let boot = u64::from_be_bytes(random());
            files::write(&path, format!("{boot:016x}\n").as_bytes(), 0o600)?;
            boot
        }
    };
    Ok(Incarnation {
        boot: Boot(boot),
        session: Session(u64::from_be_bytes(random())),
    })
}

/// The records of `Effect::Remember`, one file each.
#[derive(Debug)]
pub struct Memory {
    directory: PathBuf,
}

impl Memory {
    /// Opens them and reads all back.
    pub fn open(paths: &Paths) -> Result<(Self, BTreeMap<String, Vec<u8>>), FileError> {
        let directory = paths.runtime.join("memory");
        files::make_private_dir(&directory)?;
        let mut records = BTreeMap::new();
        let listing = std::fs::read_dir(&directory)
            .map_err(|e| FileError::new("cannot read", &directory, e))?;
        for entry in listing.flatten().take(RECORDS_MAX) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // A half-written record was never acted upon.
            if name.ends_with(".new") {
                let _ = std::fs::remove_file(entry.path());
            } else if let Ok(value) = std::fs::read(entry.path()) {
                records.insert(name.replace('+', "/"), value);
            }
        }
        Ok((Self { directory }, records))
    }

    /// Keeps or forgets a record.
    pub fn remember(&self, key: &str, value: Option<&[u8]>) -> Result<(), FileError> {
        let path = self.directory.join(key.replace('/', "+"));
        match value {
            Some(value) => {
                // No fsync: a tmpfs ends with the boot, and so does what the record is about.
                let mut temporary = path.clone().into_os_string();
                temporary.push(".new");
                std::fs::write(&temporary, value)
                    .and_then(|()| std::fs::rename(&temporary, &path))
                    .map_err(|e| FileError::new("cannot write", &path, e))
            }
            None => match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(FileError::new("cannot remove", &path, e))
                }
                _ => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_keeps_its_number_and_each_start_has_a_session_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            runtime: dir.path().into(),
            ..Paths::default()
        };
        let first = incarnation(&paths).unwrap();
        let second = incarnation(&paths).unwrap();
        assert_eq!(first.boot, second.boot);
        assert_ne!(first.session, second.session);
    }

    #[test]
    fn records_come_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            runtime: dir.path().into(),
            ..Paths::default()
        };
        let (memory, found) = Memory::open(&paths).unwrap();
        assert!(found.is_empty());
        memory.remember("run/1.2:db", Some(b"x")).unwrap();
        memory.remember("run/2", Some(b"y")).unwrap();
        memory.remember("run/2", None).unwrap();
        memory.remember("never", None).unwrap();
        let (_, found) = Memory::open(&paths).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([("run/1.2:db".to_owned(), b"x".to_vec())])
        );
    }
}
