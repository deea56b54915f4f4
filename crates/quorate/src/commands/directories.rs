//! Options of the verbs that work on this host's files.

use std::path::PathBuf;

use quorate_node::config;
use quorate_node::files::Paths;

use crate::error::Error;

/// The three directories.
#[derive(Debug, Clone, clap::Args)]
pub struct Directories {
    /// Directory of `node.toml`.
    #[arg(
        long,
        default_value = "/etc/quorate",
        value_name = "DIR",
        env = "QUORATE_CONFIG"
    )]
    pub config: PathBuf,
    /// Directory of the replicated log and the keys.
    #[arg(
        long,
        default_value = "/var/lib/quorate",
        value_name = "DIR",
        env = "QUORATE_STATE"
    )]
    pub state: PathBuf,
    /// Directory of socket, boot number and running agents; on a tmpfs.
    #[arg(
        long,
        default_value = "/run/quorate",
        value_name = "DIR",
        env = "QUORATE_RUN"
    )]
    pub runtime: PathBuf,
}

impl Directories {
    /// As the daemon wants them.
    pub fn paths(&self) -> Paths {
        Paths {
            config: self.config.clone(),
            state: self.state.clone(),
            runtime: self.runtime.clone(),
        }
    }
}

/// The host's name.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "node".to_owned(), |name| name.trim().to_owned())
}

/// Addresses with their ports.
pub fn complete(addresses: &[String]) -> Result<Vec<String>, Error> {
    addresses
        .iter()
        .map(|a| config::complete_address(a).map_err(|e| Error::new(e.to_string(), "")))
        .collect()
}
