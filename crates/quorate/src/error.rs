//! What a verb may end with: exit codes and errors that name the reason and the next step.

use std::process::ExitCode;

use crate::context::Context;

/// The exit codes, for the help text.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 the configuration has errors, 4 somebody else changed \
the configuration meanwhile, 5 the daemon does not answer, 6 something is blocked or needs attention \
(status, check, drill), 7 not confirmed by the operator.";

/// Exit codes of every verb (compatibility names have those of the tools that they stand for).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(dead_code, reason = "one list for all verbs")]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed or refused.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The configuration has errors.
    Configuration = 3,
    /// Somebody else changed the configuration meanwhile.
    Conflict = 4,
    /// The daemon does not answer.
    NoDaemon = 5,
    /// Something is blocked or needs attention.
    Attention = 6,
    /// The operator did not confirm.
    NotConfirmed = 7,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Error {
    /// What failed and why, one sentence without the final point.
    pub reason: String,
    /// What to do next; empty where there is nothing to say.
    pub help: String,
    /// With which code the process ends.
    pub exit: Exit,
}

impl Error {
    /// A failure with a reason and a next step.
    pub fn new(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            help: help.into(),
            exit: Exit::Failed,
        }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Prints it (as JSON where that was asked for) and gives the exit code.
    pub fn report(&self, context: &Context) -> ExitCode {
        if context.json {
            println!(
                "{}",
                serde_json::json!({"error": {"reason": self.reason, "help": self.help, "exit": self.exit as u8}})
            );
        } else {
            eprintln!("error: {}", self.reason);
            if !self.help.is_empty() {
                eprintln!("  help: {}", self.help.replace('\n', "\n        "));
            }
        }
        ExitCode::from(self.exit as u8)
    }
}

/// What a verb returns.
pub type Result<T = Exit> = std::result::Result<T, Error>;
