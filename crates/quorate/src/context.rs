//! Options that every verb has.

use std::path::PathBuf;

/// Global options.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Socket of the local daemon.
    #[arg(
        long,
        global = true,
        env = "QUORATE_SOCKET",
        default_value = "/run/quorate/socket",
        value_name = "FILE"
    )]
    pub socket: PathBuf,
    /// Do not ask, do it.
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
}

/// How a verb runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Print JSON.
    pub json: bool,
    /// Socket of the local daemon.
    pub socket: PathBuf,
    /// Do not ask.
    #[allow(dead_code, reason = "for the verbs that ask")]
    pub yes: bool,
}

impl Context {
    /// From the global options.
    pub fn new(global: Global) -> Self {
        Self {
            json: global.json,
            socket: global.socket,
            yes: global.yes,
        }
    }

    /// For the compatibility tools, which have no global options: everything from the environment.
    #[allow(dead_code, reason = "for the tools")]
    pub fn of_tool() -> Self {
        let socket = std::env::var_os("QUORATE_SOCKET")
            .map_or_else(|| PathBuf::from("/run/quorate/socket"), PathBuf::from);
        Self {
            json: false,
            socket,
            yes: false,
        }
    }
}
