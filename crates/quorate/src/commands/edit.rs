//! `quorate edit`: the configuration in an editor, then check, plan, question.

use std::io::IsTerminal;
use std::path::Path;
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
    loop {
        run_editor(&path)?;
        let text = std::fs::read_to_string(&path).map_err(told)?;
        let change = Change { force: args.force, ..Change::new(text, &path.display().to_string()) };
        // Somebody else may have changed it while the editor was open: what was seen is what the change is based on.
        let error = match apply(context, &current, &change) {
            // It is in the cluster, or it is what the cluster had.
            Ok(exit) => {
                let _ = std::fs::remove_file(&path);
                return Ok(exit);
            }
            Err(error) => error,
        };
        let is_curable = matches!(error.exit, Exit::Configuration | Exit::NotConfirmed);
        if !is_curable || !std::io::stdin().is_terminal() {
            eprintln!("your text is kept in {0}: `quorate apply {0}` tries it again", path.display());
            return Err(error);
        }
        let _ = error.report(context);
        eprint!("Edit it again? (yes/no) ");
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        if !matches!(answer.trim(), "yes" | "y" | "") {
            return Err(Error::new(
                "nothing was changed",
                format!("your text is kept in {0}: `quorate apply {0}` tries it again", path.display()),
            )
            .exit(Exit::NotConfirmed));
        }
    }
}

/// Runs the operator's editor on a file, to its end.
fn run_editor(path: &Path) -> Result<()> {
    let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or_else(|_| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi").to_owned();
    let ended = Command::new(&program).args(words).arg(path).status();
    let kept = || format!("your text is in {}", path.display());
    let ended = ended.map_err(|e| Error::new(format!("the editor {program} cannot be run: {e}"), format!("set EDITOR; {}", kept())))?;
    if ended.success() {
        return Ok(());
    }
    Err(Error::new(format!("the editor ended with {ended}; nothing was changed"), kept()))
}
