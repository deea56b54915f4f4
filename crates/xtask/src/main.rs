//! What the README's commands call: `cargo xtask demo`, `cargo xtask test`, ...

mod agent_tools;
mod bench;
mod compare;
mod conformance;
mod demo;
mod demo_galera;
mod demo_rabbitmq;
mod install;
mod package;
mod sim;
mod soak;
mod verify;

use std::process::ExitCode;

use clap::Parser;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Task {
    /// A database that survives its machine: ten faults, one after the other.
    Demo(demo::Demo),
    /// Random faults from the demo's list, for as long as it is told.
    Soak(soak::Soak),
    /// Measurements; no tests.
    Bench(bench::Bench),
    /// The scheduler against recorded decisions; writes docs/conformance.md.
    Conformance(conformance::Conformance),
    /// The scheduler against the installed peer, on random clusters.
    Compare(compare::Compare),
    /// Which agent calls which tool with which options; writes docs/agent-tools.md.
    AgentTools,
    /// All tests; installs what they need first (as root).
    Test,
    /// Everything that a change must pass: format, lints, documentation, dependencies, tests.
    Verify,
    /// Installs the Debian packages that the demo and the tests need.
    Install {
        /// Also those of the comparison with the peer.
        #[arg(long)]
        peer: bool,
    },
    /// Builds Debian packages.
    Package {
        /// Package this program instead of building one.
        #[arg(long, value_name = "FILE")]
        program: Option<std::path::PathBuf>,
        /// Version of the packages [default: the workspace's].
        #[arg(long)]
        version: Option<String>,
    },
    /// Whole clusters under deterministic simulation.
    Sim(sim::Sim),
}

fn main() -> ExitCode {
    // Wherever in the workspace it was called from.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    if let Err(error) = std::env::set_current_dir(root) {
        eprintln!("error: cannot enter {root}: {error}");
        return ExitCode::FAILURE;
    }
    match Task::parse() {
        Task::Conformance(c) => c.run(),
        Task::Compare(compare) => compare.run(),
        Task::Demo(demo) => demo.run(),
        Task::Soak(soak) => soak.run(),
        Task::Bench(bench) => bench.run(),
        Task::AgentTools => agent_tools::run(),
        Task::Test => verify::test(),
        Task::Verify => verify::verify(),
        Task::Install { peer } => install(peer),
        Task::Package { program, version } => package::package(program, version),
        Task::Sim(sim) => sim.run(),
    }
}

fn install(peer: bool) -> ExitCode {
    let mut packages = install::PACKAGES.to_vec();
    packages.extend(install::GALERA_PACKAGES);
    if peer {
        packages.extend(install::PEER_PACKAGES);
    }
    match install::ensure(&packages) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
