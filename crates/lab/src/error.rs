//! What can go wrong with a lab.

use std::path::PathBuf;

/// Why a lab operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The caller may not make namespaces and mounts.
    #[error("a lab needs root: it makes namespaces, mounts and loop devices; run it with sudo")]
    NotRoot,
    /// The machine does not let even root make what a lab needs.
    #[error("this machine cannot hold a lab: {what}")]
    NotPossible {
        /// What is refused.
        what: String,
    },
    /// A program is not installed.
    #[error("{program} is not installed; `apt-get install {package}` brings it")]
    ProgramMissing {
        /// The program.
        program: &'static str,
        /// Its Debian package.
        package: &'static str,
    },
    /// A name that cannot be a lab's or a host's.
    #[error(
        "{name:?} cannot be used as a name: 1 to 24 letters, digits and hyphens, beginning with a letter"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Two hosts would have one name.
    #[error("two hosts cannot both be called {name:?}")]
    SameName {
        /// The name.
        name: String,
    },
    /// The number of hosts is outside what a lab can hold.
    #[error("a lab has 1 to {max} hosts, not {count}")]
    BadHostCount {
        /// Asked for.
        count: usize,
        /// Allowed.
        max: usize,
    },
    /// There is no such lab.
    #[error("there is no lab {name:?} under {} ({known}); `quorate lab --name {name} up` makes one", state.display())]
    NoLab {
        /// Those that are.
        known: String,
        /// Its name.
        name: String,
        /// Where it was looked for.
        state: PathBuf,
    },
    /// There is no such host.
    #[error("the lab has no host {host:?}; it has {known}")]
    NoHost {
        /// Its name.
        host: String,
        /// Those that exist.
        known: String,
    },
    /// The host is powered off, so nothing can run on it.
    #[error("host {host} is powered off; `quorate lab power on {host}` boots it")]
    PoweredOff {
        /// Its name.
        host: String,
    },
    /// A host did not get ready in time.
    #[error("host {host} was not ready within {seconds} s (it said {state:?}); see {}", console.display())]
    BootTimeout {
        /// Its name.
        host: String,
        /// How long was waited.
        seconds: u64,
        /// What systemd answered last.
        state: String,
        /// Its console log.
        console: PathBuf,
    },
    /// The kernel has no cgroup v2 hierarchy.
    #[error(
        "no cgroup v2 hierarchy is mounted below /sys/fs/cgroup: hosts could be neither frozen nor killed"
    )]
    NoCgroup2,
    /// A command failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// A command inside a host failed.
    #[error("on {host} `{command}` failed ({status}): {output}")]
    OnHost {
        /// The host.
        host: String,
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// A file or directory could not be used.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The database client failed in a way that ends the measurement.
    #[error("the client {what}")]
    Client {
        /// What it could not do.
        what: String,
    },
}

impl LabError {
    /// Whether no lab can be made here at all, for tests that then have nothing to say.
    #[must_use]
    pub fn is_about_the_machine(&self) -> bool {
        matches!(
            self,
            Self::NotRoot
                | Self::NotPossible { .. }
                | Self::ProgramMissing { .. }
                | Self::NoCgroup2
        )
    }
}

/// Names the file in an I/O error.
pub(crate) trait IoContext<T> {
    /// Adds what was tried and with which path.
    fn io(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, LabError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn io(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, LabError> {
        self.map_err(|source| LabError::Io {
            what,
            path: path.into(),
            source,
        })
    }
}
