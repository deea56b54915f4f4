//! Where the daemon's files are, and writing them so that a power loss leaves the old or the new content.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The three directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// What the administrator may edit: `node.toml`.
    pub config: PathBuf,
    /// What must survive: store, keys, tokens.
    pub state: PathBuf,
    /// What must not survive a boot: boot number, runs of agents, socket. A tmpfs.
    pub runtime: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            config: "/etc/quorate".into(),
            state: "/var/lib/quorate".into(),
            runtime: "/run/quorate".into(),
        }
    }
}

impl Paths {
    /// `node.toml`.
    #[must_use]
    pub fn node_config(&self) -> PathBuf {
        self.config.join("node.toml")
    }
    /// The cluster's certificate authority.
    #[must_use]
    pub fn ca_certificate(&self) -> PathBuf {
        self.state.join("ca.pem")
    }
    /// The authority's key; absent on a witness.
    #[must_use]
    pub fn ca_key(&self) -> PathBuf {
        self.state.join("ca.key")
    }
    /// The authority to come, while a rotation is under way.
    #[must_use]
    pub fn next_ca_certificate(&self) -> PathBuf {
        self.state.join("ca.next.pem")
    }
    /// Its key.
    #[must_use]
    pub fn next_ca_key(&self) -> PathBuf {
        self.state.join("ca.next.key")
    }
    /// This node's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.state.join("node.pem")
    }
    /// This node's key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.state.join("node.key")
    }
    /// The replicated log and state.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.state.join("store.redb")
    }
    /// The store while `init` or `join` makes it; its renaming to `store` is what makes this host a member.
    #[must_use]
    pub fn unfinished_store(&self) -> PathBuf {
        self.state.join("store.unfinished")
    }
    /// Who this node is in the cluster.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.state.join("identity")
    }
    /// Everything that makes this host a member, the settings first.
    #[must_use]
    pub fn of_member(&self) -> Vec<PathBuf> {
        vec![
            self.node_config(),
            self.store(),
            self.unfinished_store(),
            self.identity(),
            self.certificate(),
            self.key(),
            self.ca_certificate(),
            self.ca_key(),
            self.next_ca_certificate(),
            self.next_ca_key(),
        ]
    }
    /// Boot number.
    #[must_use]
    pub fn boot(&self) -> PathBuf {
        self.runtime.join("boot")
    }
    /// Journal of agents' runs.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.runtime.join("runs")
    }
    /// Links under the compatibility names, for agents.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.runtime.join("tools")
    }
    /// The local socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("socket")
    }
}

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {source}{}", hint(source))]
pub struct FileError {
    /// What was tried (`cannot read`).
    pub what: &'static str,
    /// Where.
    pub path: String,
    /// Why not.
    pub source: io::Error,
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system went read-only: look at `dmesg`, remount it read-write, start again"
        }
        io::ErrorKind::StorageFull => "; the file system is full: make room, start again",
        io::ErrorKind::PermissionDenied => "; run it as root",
        _ => "",
    }
}

impl FileError {
    /// For a path.
    pub fn new(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            what,
            path: path.display().to_string(),
            source,
        }
    }
}

/// Makes a directory (and its parents) that only root may enter.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| FileError::new("cannot make the directory", path, e))
}

/// Makes a directory (and its parents) that anybody may read.
pub fn make_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|e| FileError::new("cannot make the directory", path, e))
}

/// Reads a text of bounded length; `None` where there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::metadata(path) {
        Ok(m) if m.len() > 1 << 20 => Err(FileError::new(
            "cannot read",
            path,
            io::Error::new(
                io::ErrorKind::InvalidData,
                "longer than 1 MiB, which no file of ours is",
            ),
        )),
        Ok(_) => fs::read_to_string(path)
            .map(Some)
            .map_err(|e| FileError::new("cannot read", path, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FileError::new("cannot read", path, e)),
    }
}

/// Gives a file its name, durably.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    let attempt = || -> io::Result<()> {
        fs::rename(from, to)?;
        sync_directory_of(to)
    };
    attempt().map_err(|e| FileError::new("cannot make", to, e))
}

/// Removes a file that may not be there.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("cannot remove", path, e))
        }
        _ => Ok(()),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Replaces a file's content atomically and durably.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let temporary = path.with_extension("new");
    let attempt = || -> io::Result<()> {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_directory_of(path)
    };
    attempt().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        FileError::new("cannot write", path, e)
    })
}
