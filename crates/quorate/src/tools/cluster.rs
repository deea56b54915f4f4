//! What every tool has: the daemon it asks, what it says, and with which code it ends.

use std::process::ExitCode;

use quorate_core::admin::{LocalView, Request, Response};
use quorate_core::state::ClusterState;

use crate::client::Client;
use crate::context::Context;
use crate::error::{Error, Exit};
use crate::view;

/// `CRM_EX_ERROR`.
pub const FAILED: u8 = 1;
/// `CRM_EX_USAGE`.
pub const USAGE: u8 = 64;
/// `CRM_EX_DISCONNECTED`: no cluster to ask.
pub const DISCONNECTED: u8 = 102;
/// `CRM_EX_NOSUCH`.
pub const NO_SUCH: u8 = 105;

/// Whom the tools ask.
pub trait Cluster {
    /// The state and this node's view.
    fn state(&mut self) -> Result<(ClusterState, LocalView), Error>;
    /// One request.
    fn ask(&mut self, request: &Request) -> Result<Response, Error>;
}

/// The daemon of this host.
pub struct Daemon(Context);

impl Daemon {
    /// As the environment names it.
    pub fn new() -> Self {
        Self(Context::of_tool())
    }
}

impl Cluster for Daemon {
    fn state(&mut self) -> Result<(ClusterState, LocalView), Error> {
        view::fetch(&self.0)
    }

    fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        Client::connect(&self.0)?.ask(request)
    }
}

/// What a tool says, and its exit code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code.
    pub code: u8,
}

impl Said {
    /// Success with this output.
    pub fn out(text: impl Into<String>) -> Self {
        Self {
            out: text.into(),
            ..Self::default()
        }
    }

    /// Success without a word.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Failure with this sentence.
    pub fn failed(code: u8, sentence: impl Into<String>) -> Self {
        Self {
            err: sentence.into(),
            code,
            out: String::new(),
        }
    }

    /// Prints it; every line of standard error names the tool.
    pub fn print(self, tool: &str) -> ExitCode {
        use std::io::Write;
        // Whoever does not want to read it to the end need not.
        let _ = std::io::stdout().write_all(self.out.as_bytes());
        for line in self.err.lines() {
            eprintln!("{tool}: {line}");
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Said {
    fn from(error: Error) -> Self {
        let code = match error.exit {
            Exit::NoDaemon => DISCONNECTED,
            _ => FAILED,
        };
        let help = if error.help.is_empty() {
            String::new()
        } else {
            format!("\n{}", error.help)
        };
        Self::failed(code, format!("{}{help}", error.reason))
    }
}

/// What a tool does: arguments in, words and exit code out.
pub type Body = fn(&[String], &mut dyn Cluster) -> Result<Said, Said>;

/// Runs a tool for real.
pub fn run(tool: &str, body: Body, arguments: &[String]) -> ExitCode {
    if arguments
        .iter()
        .any(|argument| argument == "--version" || argument == "-$")
    {
        println!(
            "Quorate {} (answers as Pacemaker 2.1.5 does)",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::SUCCESS;
    }
    let said = body(arguments, &mut Daemon::new()).unwrap_or_else(|said| said);
    said.print(tool)
}

/// A mistake in the arguments.
pub fn usage(sentence: impl Into<String>) -> Said {
    Said::failed(USAGE, sentence)
}

/// Asks for a change; its sentence is of no interest to a tool's caller.
pub fn change(cluster: &mut dyn Cluster, request: &Request) -> Result<Said, Said> {
    match cluster.ask(request)? {
        Response::Done { .. } => Ok(Said::nothing()),
        Response::Conflict { who, .. } => Err(Said::failed(
            FAILED,
            format!("{who} has changed the configuration meanwhile; try again"),
        )),
        other => Err(crate::client::unexpected(&other).into()),
    }
}
