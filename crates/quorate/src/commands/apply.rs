//! `quorate apply FILE`.

use std::path::PathBuf;

use quorate_model::crm::OnExisting;

use crate::configure::{Change, Current, apply, read_file};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration in crm syntax or as CIB XML (`-`: standard input).
    file: PathBuf,
    /// Keep what the file does not name (`crm configure load update`).
    #[arg(long)]
    update: bool,
    /// Load what can be loaded in spite of errors.
    #[arg(long)]
    force: bool,
    /// Watch until the cluster has settled [default at a terminal].
    #[arg(long)]
    wait: bool,
    /// Do not watch.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// Judge the text alone: ask neither agents nor this host.
    #[arg(long)]
    no_host: bool,
}

/// Applies it.
pub fn run(args: Args, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let text = read_file(&args.file)?;
    let mut change = Change::new(text, &args.file.display().to_string());
    if args.update {
        change = update(&current, &change.text, &change.name, args.force)?;
    }
    change.force = args.force;
    change.no_host = args.no_host;
    change.wait = args.wait || (change.wait && !args.no_wait);
    apply(context, &current, &change)
}

/// The present text with a file's statements in it.
pub fn update(current: &Current, text: &str, name: &str, force: bool) -> Result<Change> {
    let whole = |text: String| Change { force, ..Change::new(text, name) };
    let document = current.document();
    if document.statements().is_empty() {
        return Ok(whole(text.to_owned()));
    }
    match document.define(text, OnExisting::Replace) {
        Ok(edited) => Ok(Change { notes: edited.notes, ..whole(edited.text) }),
        Err(e) => Err(Error::new(format!("{name}: {e}"), "`quorate check` shows where").exit(Exit::Configuration)),
    }
}
