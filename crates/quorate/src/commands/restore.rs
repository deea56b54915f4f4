//! `quorate restore`: a former configuration again.

use std::path::PathBuf;

use crate::configure::{Change, Current, apply, backup_folder, backups, read_file};
use crate::context::Context;
use crate::error::{Error, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A backup's file, or the number of a revision [default: the last one before the present].
    backup: Option<String>,
    /// Load what can be loaded in spite of errors.
    #[arg(long)]
    force: bool,
}

/// Restores it.
pub fn run(args: Args, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let path = match args.backup.as_deref() {
        Some(number) if number.parse::<u64>().is_ok() => backup_folder().join(format!("{number:0>8}.crm")),
        Some(file) => PathBuf::from(file),
        None => backups().pop().ok_or_else(|| {
            Error::new("there is no backup on this host", "backups are on the host where the change was made; name a file")
        })?,
    };
    let text = read_file(&path)?;
    // What ran before may run again, whatever this host thinks of it today.
    let change = Change { force: args.force, no_host: true, ..Change::new(text, &path.display().to_string()) };
    apply(context, &current, &change)
}
