//! `cargo xtask sim`: builds the simulator for speed and passes the arguments on.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use clap::Args;

/// Arguments of the simulator.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Sim {
    /// `--seeds A..B`, `--fresh N`, `--minutes N`, `--nodes N`, `--json`, `replay SEED [--trace] [--shrink]`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Sim {
    /// Runs it.
    pub fn run(&self) -> ExitCode {
        // The simulator is a small program of its own, so that building it fast needs few crates.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args([
                "run",
                "--quiet",
                "--profile",
                "sim",
                "--package",
                "quorate-sim",
                "--features",
                "seeded-bugs",
                "--",
            ])
            .args(&self.arguments)
            .status();
        match status {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cargo cannot be run: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
