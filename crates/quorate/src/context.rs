//! Options that every verb has.

use std::io::IsTerminal;
use std::path::PathBuf;

use crate::error::{Error, Exit};

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
    /// Ask a node of a cluster over the network: ADDRESS:PORT.
    #[arg(
        long,
        global = true,
        env = "QUORATE_REMOTE",
        value_name = "ADDRESS",
        requires = "credentials"
    )]
    pub remote: Option<String>,
    /// Who asks it: the file that `quorate client add` wrote.
    #[arg(long, global = true, env = "QUORATE_CREDENTIALS", value_name = "FILE")]
    pub credentials: Option<PathBuf>,
}

/// How a verb runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Print JSON.
    pub json: bool,
    /// Socket of the local daemon.
    pub socket: PathBuf,
    /// Do not ask.
    pub yes: bool,
    /// A node elsewhere, and the file that says who asks it.
    pub remote: Option<(String, PathBuf)>,
}

impl Context {
    /// Asks the operator; `--yes` answers for him, and without a terminal there is nobody to ask.
    pub fn confirm(&self, what: &str) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        let refused = |why: &str| {
            Error::new(
                format!("not confirmed: {why}"),
                "answer `yes`, or say `--yes` beforehand",
            )
            .exit(Exit::NotConfirmed)
        };
        if !std::io::stdin().is_terminal() {
            return Err(refused("there is no terminal to ask at"));
        }
        eprint!("{what}\nGo on? (yes/no) ");
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .map_err(|e| refused(&e.to_string()))?;
        match answer.trim() {
            "yes" | "y" => Ok(()),
            _ => Err(refused("nothing was done")),
        }
    }

    /// Tells what was done.
    pub fn say(&self, what: &str) {
        if self.json {
            println!("{}", serde_json::json!({ "done": what }));
        } else {
            println!("{what}");
        }
    }

    /// From the global options.
    pub fn new(global: Global) -> Self {
        Self {
            json: global.json,
            socket: global.socket,
            yes: global.yes,
            remote: global.remote.zip(global.credentials),
        }
    }

    /// A remark beside the result.
    pub fn note(&self, what: &str) {
        if !self.json {
            println!("{what}");
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
            remote: None,
        }
    }
}
