//! `quorate plan FILE`: what a configuration would change, without changing it.

use std::path::PathBuf;

use quorate_model::diag::{Severity, unified_diff};
use serde_json::json;

use super::apply::update;
use super::check::diagnostic_json;
use crate::configure::{Change, Current, Impact, new_findings, read_file};
use crate::context::Context;
use crate::error::{Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration in crm syntax or as CIB XML (`-`: standard input).
    file: PathBuf,
    /// Keep what the file does not name.
    #[arg(long)]
    update: bool,
    /// Judge the text alone: ask neither agents nor this host.
    #[arg(long)]
    no_host: bool,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let text = crate::mask::unmask(&read_file(&args.file)?, &current.text)?;
    let name = args.file.display().to_string();
    let mut change = if args.update { update(&current, &text, &name, false)? } else { Change::new(text, &name) };
    change.no_host = args.no_host;
    let found = new_findings(&current, &change);
    let impact = Impact::of(&current, &change.text);
    let diff = unified_diff(&current.text, &change.text, "configuration");
    let diff = crate::mask::mask_lines(&diff);
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    if context.json {
        let diagnostics: Vec<_> = found.iter().map(|d| diagnostic_json(d, &change.text)).collect();
        println!("{:#}", json!({"diff": diff, "impact": impact.json(), "diagnostics": diagnostics, "notes": change.notes}));
    } else {
        print!("{diff}");
        change.notes.iter().for_each(|note| println!("{note}"));
        print!("{}", impact.text());
        for finding in &found {
            println!("{}: {}", finding.severity.as_str(), finding.message);
        }
    }
    Ok(if errors > 0 { Exit::Configuration } else { Exit::Done })
}
