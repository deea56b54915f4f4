//! `cargo xtask test` and `cargo xtask verify`: what a change must pass.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::install;

/// Runs all tests, installing what they need first. The last line is the test runner's own.
pub fn test() -> ExitCode {
    if let Err(problem) =
        install::ensure(&[&install::PACKAGES[..], &install::GALERA_PACKAGES].concat())
    {
        // Those tests say themselves that they were skipped, and why.
        eprintln!("SKIPPED: the tests that need these: {problem}");
    }
    if !step(
        "documentation tests",
        cargo(&["test", "--workspace", "--doc", "--quiet"]),
    ) {
        return ExitCode::FAILURE;
    }
    // The lab's tests put the real binary onto hosts.
    if !step(
        "binary",
        cargo(&["build", "--package", "quorate", "--quiet"]),
    ) {
        return ExitCode::FAILURE;
    }
    // Built for speed; prints the seeds, so that what is found can be replayed. Fresh seeds may find what nobody
    // knew: they are reported, they do not fail a change that has nothing to do with it.
    let simulated = step(
        "simulator",
        cargo(&["xtask", "sim", "--fresh", "1000", "--minutes", "2"]),
    );
    if !simulated {
        eprintln!("WARNING: the simulator found violations in fresh seeds, see above");
    }
    let passed = if has_subcommand("nextest") {
        step("tests", cargo(&["nextest", "run", "--workspace"]))
    } else {
        eprintln!(
            "cargo-nextest is not installed: cargo's own test runner runs the tests, one at a time"
        );
        step(
            "tests",
            cargo(&["test", "--workspace", "--", "--test-threads=1"]),
        )
    };
    exit(passed)
}

/// Everything that a change must pass; reads the working tree only.
pub fn verify() -> ExitCode {
    let steps: [(&str, Command); 3] = [
        ("format", cargo(&["fmt", "--all", "--check"])),
        (
            "clippy",
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ]),
        ),
        ("documentation", {
            let mut command = cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
            command.env("RUSTDOCFLAGS", "-D warnings");
            command
        }),
    ];
    let mut failed = Vec::new();
    for (name, command) in steps {
        if !step(name, command) {
            failed.push(name);
        }
    }
    if !dependencies() {
        failed.push("dependencies");
    }
    if test() != ExitCode::SUCCESS {
        failed.push("tests");
    }
    if failed.is_empty() {
        println!("verified");
        return ExitCode::SUCCESS;
    }
    eprintln!("not verified: {} failed", failed.join(", "));
    ExitCode::FAILURE
}

/// Licences, sources and bans of all dependencies; advisories where their database can be reached.
fn dependencies() -> bool {
    let program = cargo_deny();
    let Some(program) = program else {
        eprintln!("SKIPPED: dependencies: cargo-deny is not there and could not be installed");
        return true;
    };
    let deny = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.args([
            "--workspace",
            "--log-level",
            "error",
            "check",
            "--hide-inclusion-graph",
        ]);
        command.args(what);
        command
    };
    let sound = step("dependencies", deny(&["bans", "licenses", "sources"]));
    let mut advisories = deny(&["advisories"]);
    let output = advisories.stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => println!("advisories: none"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            if text.contains("failed to fetch advisory database") || text.contains("failed to load")
            {
                println!("SKIPPED: advisories: their database cannot be reached");
            } else {
                eprintln!("advisories:\n{text}");
                return false;
            }
        }
        Err(error) => println!("SKIPPED: advisories: {error}"),
    }
    sound
}

/// `cargo-deny`, installed into `target/` when the machine has none.
fn cargo_deny() -> Option<PathBuf> {
    if has_subcommand("deny") {
        return Some("cargo-deny".into());
    }
    let root = PathBuf::from("target/tools");
    let program = root.join("bin/cargo-deny");
    if program.exists() {
        return Some(program);
    }
    println!("installing cargo-deny into {}", root.display());
    let mut install = cargo(&["install", "--quiet", "--locked", "cargo-deny", "--root"]);
    install.arg(&root);
    step("cargo-deny", install).then_some(program)
}

fn has_subcommand(name: &str) -> bool {
    Command::new(format!("cargo-{name}"))
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words);
    command
}

fn step(name: &str, mut command: Command) -> bool {
    println!("== {name}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => true,
        Ok(status) => {
            eprintln!("{name}: failed ({status})");
            false
        }
        Err(error) => {
            eprintln!("{name}: cannot be run: {error}");
            false
        }
    }
}

fn exit(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Every test that `docs/bad-days.md` names is there, in the file that it names.
    #[test]
    fn the_page_of_bad_days_names_real_tests() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join("docs/bad-days.md")).unwrap();
        let mut named = 0;
        for line in page.lines().filter(|line| line.starts_with("| ")) {
            let shown = line.trim_end_matches([' ', '|']).rsplit(" | ").next();
            let mut source = String::new();
            for word in shown.unwrap_or_default().split('`').skip(1).step_by(2) {
                if word.ends_with(".rs") {
                    source = fs::read_to_string(root.join(word)).unwrap();
                } else {
                    assert!(source.contains(&format!("fn {word}(")), "{word}: {line}");
                    named += 1;
                }
            }
        }
        assert!(named > 25, "only {named} tests are named");
    }
}
