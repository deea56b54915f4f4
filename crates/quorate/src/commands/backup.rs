//! `quorate backup`: the configuration into a file.

use std::path::PathBuf;

use crate::configure::{Current, backups, write_private};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to [default: standard output].
    file: Option<PathBuf>,
    /// List the backups that were made before each change.
    #[arg(long)]
    list: bool,
}

/// Makes it.
pub fn run(args: Args, context: &Context) -> Result {
    if args.list {
        let paths: Vec<String> = backups().iter().map(|path| path.display().to_string()).collect();
        if context.json {
            println!("{}", serde_json::json!({ "backups": paths }));
        } else {
            paths.iter().for_each(|path| println!("{path}"));
        }
        return Ok(Exit::Done);
    }
    let current = Current::fetch(context)?;
    let text = &current.state.document.text;
    match args.file {
        None => print!("{text}"),
        Some(path) => {
            write_private(&path, text).map_err(|e| Error::new(format!("{} cannot be written: {e}", path.display()), ""))?;
            context.say(&format!("revision {} is in {}", current.state.document.revision, path.display()));
        }
    }
    Ok(Exit::Done)
}
