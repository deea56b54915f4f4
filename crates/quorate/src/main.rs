//! The one binary: `quorate VERB`, and, under a compatibility name (`crm`, `crm_mon`, `crm_attribute` ...),
//! the tool of that name.
#![forbid(unsafe_code)]

mod client;
mod commands;
mod configure;
mod context;
mod error;
mod facts;
mod host_facts;
mod inputs;
mod lines;
mod mask;
mod progress;
mod tools;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::context::Context;

/// Keeps services running when the machine under them dies.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, max_term_width = 110, after_help = error::EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: context::Global,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let name = arguments
        .first()
        .map_or("quorate", |path| path.rsplit('/').next().unwrap_or(path));
    if let Some(tool) = tools::by_name(name) {
        return tool(&arguments[1..]);
    }
    // Between the daemon and an agent: started by the daemon only.
    if arguments.get(1).is_some_and(|a| a == "agent-supervise") {
        let directory = arguments.get(2).cloned().unwrap_or_default();
        let code = quorate_agents::supervise(directory.into());
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    // `quorate tool crm_mon -1` is the same as `crm_mon -1`, for hosts where the names are not installed.
    if arguments.get(1).is_some_and(|a| a == "tool") {
        if arguments.get(2).is_some_and(|a| a == "--list") {
            tools::list().for_each(|name| println!("{name}"));
            return ExitCode::SUCCESS;
        }
        if let Some(tool) = arguments.get(2).and_then(|name| tools::by_name(name)) {
            return tool(&arguments[3..]);
        }
        eprintln!("quorate: no such tool; the names are: {}", tools::names());
        return ExitCode::from(error::Exit::Usage as u8);
    }
    let cli = Cli::parse_from(arguments);
    let context = Context::new(cli.global);
    match cli.command.run(&context) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => error.report(&context),
    }
}
