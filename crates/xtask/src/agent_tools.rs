//! `cargo xtask agent-tools`: which agent calls which of the cluster's tools with which options, read from the agents
//! that are installed; writes docs/agent-tools.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The packages whose agents are read.
const PACKAGES: [&str; 3] = [
    "resource-agents",
    "pacemaker-resource-agents",
    "rabbitmq-server",
];

/// The tools that an agent may call. `ocf_promotion_score` is the library's own word for one of two.
const TOOLS: [&str; 13] = [
    "attrd_updater",
    "cibadmin",
    "crm_attribute",
    "crm_failcount",
    "crm_master",
    "crm_mon",
    "crm_mon_no_validation",
    "crm_node",
    "crm_resource",
    "crm_simulate",
    "crm_standby",
    "crm_verify",
    "ocf_promotion_score",
];

/// The page.
pub const PAGE: &str = "docs/agent-tools.md";

/// Tools and their options by agent.
type Calls = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Writes the page.
pub fn run() -> ExitCode {
    let (versions, files) = installed();
    if files.is_empty() {
        eprintln!("error: none of these is installed: {}", PACKAGES.join(", "));
        return ExitCode::FAILURE;
    }
    let page = page(&versions, &read(&files));
    match std::fs::write(PAGE, page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write {PAGE}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Versions of the installed packages, and the agents and libraries in them.
fn installed() -> (Vec<String>, Vec<PathBuf>) {
    let (mut versions, mut files) = (Vec::new(), Vec::new());
    for package in PACKAGES {
        let version = said(&["dpkg-query", "-W", "-f", "${Package} ${Version}", package]);
        let listed = said(&["dpkg-query", "-L", package]);
        if version.is_empty() {
            continue;
        }
        versions.push(version);
        let is_agent = |path: &&str| {
            path.starts_with("/usr/lib/ocf/resource.d/") || path.starts_with("/usr/lib/ocf/lib/")
        };
        files.extend(listed.lines().filter(is_agent).map(PathBuf::from));
    }
    // Old names of the libraries are links to them.
    files.retain(|path| path.is_file() && !path.is_symlink());
    files.sort();
    (versions, files)
}

fn said(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn read(files: &[PathBuf]) -> Calls {
    let mut calls = Calls::new();
    for file in files {
        let Ok(bytes) = std::fs::read(file) else {
            continue;
        };
        let found = calls_in(&String::from_utf8_lossy(&bytes));
        if !found.is_empty() {
            calls.insert(name(file), found);
        }
    }
    calls
}

/// `heartbeat/galera`, `lib/heartbeat/mysql-common.sh`.
fn name(file: &Path) -> String {
    let text = file.to_string_lossy();
    let text = text.trim_start_matches("/usr/lib/ocf/");
    text.trim_start_matches("resource.d/").to_owned()
}

/// The calls in a script: what stands behind a tool's name, up to where the shell ends a command.
fn calls_in(script: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let joined = script.replace("\\\n", " ");
    let mut is_description = false;
    for line in joined.lines() {
        let line = line.trim();
        is_description |= line.starts_with("<longdesc");
        let skip = is_description
            || line.starts_with('#')
            || line.starts_with("<shortdesc")
            || is_speech(line);
        is_description &= !line.contains("</longdesc>");
        if skip {
            continue;
        }
        for (at, tool) in names_in(line) {
            let options = found.entry(tool.to_owned()).or_default();
            options.extend(options_of(&line[at + tool.len()..]));
        }
    }
    found
}

/// What is said to people names tools without calling them.
fn is_speech(line: &str) -> bool {
    [
        "ocf_log ",
        "ocf_exit_reason ",
        "echo \"",
        "ha_log ",
        "ocf_is_probe",
    ]
    .iter()
    .any(|word| line.starts_with(word) && !line.contains("$("))
}

/// Where a tool's name stands as a command.
fn names_in(line: &str) -> Vec<(usize, &'static str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '=');
    let mut found = Vec::new();
    for tool in TOOLS {
        for (at, _) in line.match_indices(tool) {
            let before = line[..at].chars().next_back();
            let after = line[at + tool.len()..].chars().next();
            let begins = before.is_none_or(|c| !is_word(c));
            let ends = after.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | ')' | '`'));
            // `have_binary crm_mon`, `"crm_master")`: looked for, not called.
            let is_sought = ["have_binary", "check_binary", "which ", "command -v"]
                .iter()
                .any(|word| {
                    line[..at]
                        .trim_end_matches(['"', ' '])
                        .ends_with(word.trim_end())
                });
            if begins && ends && !is_sought {
                found.push((at, tool));
            }
        }
    }
    found
}

/// The options among a command's words.
fn options_of(rest: &str) -> BTreeSet<String> {
    let end = rest
        .find(['|', ';', ')', '`', '>', '&'])
        .unwrap_or(rest.len());
    // Blanks in a shell, commas in a list of Python's.
    let words = rest[..end].split(|c: char| c.is_whitespace() || c == ',');
    let is_option = |word: &&str| {
        let body = word.trim_start_matches('-');
        word.starts_with('-') && body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '1')
    };
    words
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(is_option)
        .map(|word| match word.strip_prefix("--") {
            // The value of an option with `=` is the call's own, but the output's form matters.
            Some(long) if !long.starts_with("output-as") => {
                format!("--{}", long.split('=').next().unwrap_or(long))
            }
            _ => word.to_owned(),
        })
        .filter(|word| !word.contains('$'))
        .collect()
}

/// The page of a table.
fn page(versions: &[String], calls: &Calls) -> String {
    let mut page = format!(
        "# What agents call\n\n\
         Made by `cargo xtask agent-tools` from the agents of {}; not edited by hand. Each row is an agent (or a library \
         that agents share) with the options that it gives a tool. `ocf_promotion_score` becomes `crm_attribute -p` or \
         `crm_master -l reboot`, `crm_mon_no_validation` becomes `cibadmin -Q` and `crm_mon`, each with the options given.\n\n\
         Quorate answers all of these names. An option that a tool does not know ends the call with a usage error: an \
         agent must not get an answer to another question. That every option below is known is tested by \
         `tools::agent_options` in `crates/quorate`; the answers themselves by `tools::tests` beside it, and by the agents \
         under load in `crates/lab/tests/galera.rs`.\n\n\
         | agent | tool | options |\n|---|---|---|\n",
        versions.join(", ")
    );
    for (agent, tools) in calls {
        for (tool, options) in tools {
            let options: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
            page += &format!("| {agent} | {tool} | {} |\n", options.join(" "));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_a_script() {
        let script = "# crm_mon -x\n<longdesc lang=\"en\">\ncrm_node -z\n</longdesc>\n\
                      ${HA_SBIN_DIR}/crm_attribute -N $node -l reboot --name \"a-b\" \\\n  -v \"true\" | grep -q\n\
                      x=$(crm_mon_no_validation -1X)\nif have_binary crm_master; then\n";
        let found = calls_in(script);
        let options = |tool: &str| found[tool].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(options("crm_attribute"), ["--name", "-N", "-l", "-v"]);
        assert_eq!(options("crm_mon_no_validation"), ["-1X"]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    /// Where the packages of the page are installed, it must be what would be made of them now.
    #[test]
    fn the_page_is_of_the_installed_agents() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let kept = std::fs::read_to_string(root.join(PAGE)).expect("the page is there");
        let (versions, files) = installed();
        if !kept.contains(&versions.join(", ")) || versions.len() < PACKAGES.len() {
            eprintln!(
                "SKIPPED: the_page_is_of_the_installed_agents: other packages than the page's: {versions:?}"
            );
            return;
        }
        assert!(
            kept == page(&versions, &read(&files)),
            "run `cargo xtask agent-tools`"
        );
    }
}
