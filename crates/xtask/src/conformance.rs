//! `cargo xtask conformance`: the scheduler against recorded decisions; the table goes to `docs/conformance.md`.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Conformance {
    /// Print what is wrong in each failing case.
    #[arg(short, long)]
    verbose: bool,
}

impl Conformance {
    /// Runs the scorer.
    pub fn run(self) -> ExitCode {
        let data = Path::new("../shared/conformance");
        if !data.join("score.py").exists() {
            println!("SKIPPED: the recorded cases are not there (../shared/conformance)");
            return ExitCode::SUCCESS;
        }
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "-q",
                "-p",
                "quorate-policy",
                "--example",
                "simulate",
            ])
            .status();
        if !built.is_ok_and(|s| s.success()) {
            eprintln!("error: the example `simulate` does not build");
            return ExitCode::FAILURE;
        }
        let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
        let command =
            format!("{target}/debug/examples/simulate --cib {{xml}} {{args}} --graph {{graph}}");
        let scores = format!("{target}/debug/examples/simulate --cib {{xml}} {{args}} --scores");
        let mut scorer = Command::new("python3");
        scorer.arg(data.join("score.py")).args([
            "--cmd",
            &command,
            "--scores-cmd",
            &scores,
            "--by-family",
        ]);
        if self.verbose {
            scorer.args(["-v", "--diff", "10"]);
        }
        let Ok(output) = scorer.output() else {
            eprintln!("error: python3 is missing: apt-get install python3");
            return ExitCode::FAILURE;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        print!("{text}");
        if self.verbose {
            return ExitCode::SUCCESS;
        }
        let before = std::fs::read_to_string("docs/conformance.md").unwrap_or_default();
        match std::fs::write("docs/conformance.md", page(&text, &before)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: cannot write docs/conformance.md: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// The page with a new table; what is written below it (which case differs, and why) stays.
fn page(table: &str, before: &str) -> String {
    let lines: Vec<&str> = table
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with("conformance:"))
        .collect();
    let below = before
        .split_once("```\n")
        .and_then(|(_, rest)| rest.split_once("\n```\n"))
        .map_or("", |(_, below)| below);
    format!(
        "# Conformance of the scheduler\n\n\
         511 recorded decisions of Pacemaker's scheduler (its public regression suite, not part of this\n\
         repository), compared by `cargo xtask conformance`. A case passes when the text is equal byte for byte,\n\
         the graph has the same actions, and each action waits for the same others.\n\n\
         ```\n{}\n```\n{below}",
        lines.join("\n"),
    )
}
