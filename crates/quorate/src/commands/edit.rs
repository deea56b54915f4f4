//! `quorate edit`: the configuration in an editor, then check, plan, question.

use std::process::Command;

use crate::configure::{Change, Current, apply, write_new_private};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Load what can be loaded in spite of errors.
    #[arg(long)]
    force: bool,
}

/// Edits it.
pub fn run(args: Args, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let name = format!("quorate-{}-{}.crm", current.state.document.revision, std::process::id());
    let path = std::env::temp_dir().join(name);
    let told = |e: std::io::Error| Error::new(format!("{}: {e}", path.display()), "set TMPDIR to a folder that you may write");
    write_new_private(&path, &current.text).map_err(told)?;
    let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or_else(|_| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi").to_owned();
    let ended = Command::new(&program).args(words).arg(&path).status();
    let ended = ended.map_err(|e| Error::new(format!("the editor {program} cannot be run: {e}"), "set EDITOR"))?;
    if !ended.success() {
        return Err(Error::new(format!("the editor ended with {ended}; nothing was changed"), format!("your text is in {}", path.display())));
    }
    let text = std::fs::read_to_string(&path).map_err(told)?;
    let change = Change { force: args.force, ..Change::new(text, &path.display().to_string()) };
    let result = apply(context, &current, &change);
    match &result {
        // It is in the cluster, or it is what the cluster had.
        Ok(_) => {
            let _ = std::fs::remove_file(&path);
        }
        Err(error) if error.exit != Exit::Usage => eprintln!("your text is kept in {}", path.display()),
        Err(_) => {}
    }
    result
}
