//! What the README's commands call: `cargo xtask sim`, ...

mod sim;

use std::process::ExitCode;

use clap::Parser;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Task {
    /// Whole clusters under deterministic simulation.
    Sim(sim::Sim),
}

fn main() -> ExitCode {
    match Task::parse() {
        Task::Sim(sim) => sim.run(),
    }
}
