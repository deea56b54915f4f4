//! `cargo xtask compare`: random clusters, decided by our engine and by the peer's `crm_simulate`.
//!
//! A seed makes a configuration and then, several times, lets something happen to the cluster as it would be after
//! the decision. Each state is decided by both. A state on which they differ is cut down to what the difference
//! needs. Where the installed version of the peer differs from its current one, so may we.

mod dice;
mod element;
mod happen;
mod make;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use dice::Dice;
use element::Element;
use quorate_policy::Options;
use quorate_policy::simulate::{Request, simulate};

/// The peer.
const PEER: &str = "crm_simulate";
/// Decisions a seed.
const STEPS: usize = 4;
/// Most attempts to make a differing case smaller.
const TRIES_MAX: usize = 600;
/// Time of all decisions, seconds since 1970.
const NOW: i64 = 1_700_000_000;

/// What is said of a case that the peer does not read.
const REFUSED: &str = "refused by the peer";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// First and last seed, `1..200`.
    #[arg(long, default_value = "1..200", value_parser = range)]
    seeds: (u64, u64),
    /// Cut differing cases down to what the difference needs.
    #[arg(long)]
    shrink: bool,
    /// Write differing cases there (SEED-STEP.xml).
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// Decide these files instead of random clusters.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("'{text}' is no range such as 1..200");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |t: &str| t.parse().map_err(|_| wrong());
    Ok((number(from)?, number(to)?))
}

/// A difference.
struct Difference {
    name: String,
    section: &'static str,
    /// First lines that only one of both has.
    lines: Vec<String>,
    case: Option<Element>,
}

impl Compare {
    /// Runs it.
    pub fn run(self) -> ExitCode {
        if Command::new(PEER).arg("--version").output().is_err() {
            println!("SKIPPED: the peer is not installed ({PEER}, package pacemaker-cli-utils)");
            return ExitCode::SUCCESS;
        }
        let scratch = std::env::temp_dir().join(format!("quorate-compare-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir_all(&scratch) {
            eprintln!("error: {}: {error}", scratch.display());
            return ExitCode::FAILURE;
        }
        let (decisions, found) = if self.files.is_empty() {
            self.seeds(&scratch)
        } else {
            self.files(&scratch)
        };
        let _ = std::fs::remove_dir_all(&scratch);
        let mut sections: BTreeMap<&str, usize> = BTreeMap::new();
        for difference in &found {
            *sections.entry(difference.section).or_default() += 1;
        }
        println!("{decisions} decisions, {} differ {sections:?}", found.len());
        ExitCode::SUCCESS
    }

    /// Prints a difference at once: a run of hours may be ended before its end.
    fn tell(&self, difference: &Difference) {
        let mut text = format!("== {} differs in: {}", difference.name, difference.section);
        for line in &difference.lines {
            text.push_str(&format!("\n   {line}"));
        }
        println!("{text}");
        if let (Some(directory), Some(case)) = (&self.keep, &difference.case) {
            let path = directory.join(format!("{}.xml", difference.name));
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| std::fs::write(&path, case.text()));
            if let Err(error) = written {
                eprintln!("error: {}: {error}", path.display());
            }
        }
    }

    fn files(&self, scratch: &Path) -> (usize, Vec<Difference>) {
        let mut found = Vec::new();
        let mut decisions = 0;
        for file in &self.files {
            let Ok(text) = std::fs::read_to_string(file) else {
                eprintln!("error: {} cannot be read", file.display());
                continue;
            };
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let Some(both) = decide(&text, scratch, 0) else {
                println!("== {name}: the peer refuses it");
                continue;
            };
            decisions += 1;
            if let Some((section, lines)) = both.difference() {
                let difference = Difference {
                    name: name.to_string(),
                    section,
                    lines,
                    case: None,
                };
                self.tell(&difference);
                found.push(difference);
            }
        }
        (decisions, found)
    }

    fn seeds(&self, scratch: &Path) -> (usize, Vec<Difference>) {
        let (from, to) = self.seeds;
        let next = std::sync::atomic::AtomicU64::new(from);
        let all = std::sync::Mutex::new((0, Vec::new()));
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (next, all) = (&next, &all);
                scope.spawn(move || {
                    loop {
                        let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if seed > to {
                            break;
                        }
                        let (decisions, found) = self.seed(seed, scratch, worker);
                        found.iter().for_each(|f| self.tell(f));
                        let mut all = all.lock().expect("no worker panics while it holds this");
                        all.0 += decisions;
                        all.1.extend(found);
                    }
                });
            }
        });
        all.into_inner().expect("all workers are done")
    }

    fn seed(&self, seed: u64, scratch: &Path, worker: usize) -> (usize, Option<Difference>) {
        let mut dice = Dice::new(seed);
        let mut cib = make::Maker::new(&mut dice).cib();
        cib.set("execution-date", NOW);
        happen::attributes(&mut cib, &mut dice);
        let mut decisions = 0;
        for step in 0..STEPS {
            let Some(both) = decide(&cib.text(), scratch, worker) else {
                let found = Difference {
                    name: format!("{seed:05}-{step}"),
                    section: REFUSED,
                    lines: Vec::new(),
                    case: Some(cib),
                };
                return (decisions, Some(found));
            };
            decisions += 1;
            if let Some((section, lines)) = both.difference() {
                let mut found = Difference {
                    name: format!("{seed:05}-{step}"),
                    section,
                    lines,
                    case: Some(cib.clone()),
                };
                if self.shrink {
                    shrink(&mut found, cib, scratch, worker);
                }
                return (decisions, Some(found));
            }
            let Some(after) = both.after.filter(|_| !both.circle) else {
                break;
            };
            let Some(mut next) = element(&after) else {
                break;
            };
            happen::happen(&mut next, &mut dice);
            cib = next;
        }
        (decisions, None)
    }
}

/// Cuts the case down as long as both still differ in the same lines.
fn shrink(found: &mut Difference, cib: Element, scratch: &Path, worker: usize) {
    let wanted = Some((found.section, found.lines.clone()));
    let still = |less: &Element| {
        decide(&less.text(), scratch, worker).and_then(|both| both.difference()) == wanted
    };
    found.case = Some(cib.shrunk(still, TRIES_MAX));
}

/// Both answers to one state.
struct Both {
    /// The peer could not carry out its own plan.
    circle: bool,
    ours: String,
    theirs: String,
    /// Our state afterwards.
    after: Option<String>,
}

const SECTIONS: [(&str, &str); 4] = [
    ("Current cluster status:", "status"),
    ("Transition Summary:", "plan"),
    ("Executing Cluster Transition:", "steps"),
    ("Revised Cluster Status:", "revised"),
];

impl Both {
    /// The first section that differs, and its lines.
    fn difference(&self) -> Option<(&'static str, Vec<String>)> {
        let (ours, theirs) = (sections(&self.ours), sections(&self.theirs));
        let count = if self.circle { 2 } else { SECTIONS.len() };
        for (_, name) in &SECTIONS[..count] {
            let name = *name;
            let empty = Vec::new();
            let a = ours.get(name).unwrap_or(&empty);
            let b = theirs.get(name).unwrap_or(&empty);
            let (mut x, mut y) = (a.clone(), b.clone());
            x.sort();
            y.sort();
            if x != y {
                return Some((name, apart(&x, &y)));
            }
        }
        if self.circle {
            return None;
        }
        let steps = |all: &BTreeMap<&str, Vec<String>>| all.get("steps").cloned();
        if steps(&ours) != steps(&theirs) {
            let lines = steps(&ours).unwrap_or_default();
            let other = steps(&theirs).unwrap_or_default();
            let at = lines.iter().zip(&other).position(|(a, b)| a != b);
            let at = at.unwrap_or(0);
            let show = |mark: &str, list: &[String]| -> Vec<String> {
                list.iter()
                    .skip(at)
                    .take(3)
                    .map(|l| format!("{mark}{l}"))
                    .collect()
            };
            let both = [show("-", &other), show("+", &lines)].concat();
            return Some(("sequence", both));
        }
        None
    }
}

/// Lines that only one side has; theirs with `-`.
fn apart(ours: &[String], theirs: &[String]) -> Vec<String> {
    let only = |mark: &str, these: &[String], those: &[String]| -> Vec<String> {
        let mut left: Vec<&String> = those.iter().collect();
        let mut out = Vec::new();
        for line in these {
            match left.iter().position(|l| *l == line) {
                Some(at) => {
                    left.swap_remove(at);
                }
                None => out.push(format!("{mark}{line}")),
            }
        }
        out.truncate(4);
        out
    };
    [only("-", theirs, ours), only("+", ours, theirs)].concat()
}

/// Lines by section. What newer versions only say in other words is no difference.
fn sections(text: &str) -> BTreeMap<&'static str, Vec<String>> {
    let mut out: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut at = None;
    for line in text.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.replace("maintenance)", "unmanaged)");
        let line = line.replace("(unmanaged, disabled)", "(disabled, unmanaged)");
        let line = line.replace("target-role:Slave", "target-role:Unpromoted");
        let line = line.replace("Unpromoted (target-role):", "Unpromoted:");
        if let Some((_, name)) = SECTIONS.iter().find(|(head, _)| line == *head) {
            at = Some(*name);
        } else if line.is_empty() || line.starts_with("Using the original execution date") {
        } else if let Some(name) = at {
            out.entry(name).or_default().push(line);
        }
    }
    out
}

/// Decides on both sides; nothing where the peer refuses the input.
fn decide(text: &str, scratch: &Path, worker: usize) -> Option<Both> {
    let path = scratch.join(format!("{worker}.xml"));
    // The installed version may know options by their older names only.
    std::fs::write(&path, text.replace("name=\"fencing-", "name=\"stonith-")).ok()?;
    let output = Command::new(PEER)
        .arg("-S")
        .arg("-x")
        .arg(&path)
        .env("TZ", "UTC")
        .output()
        .ok()?;
    let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
    // What it plans may go round in a circle: then it stops half-way.
    let circle = output.status.code() == Some(1) && theirs.contains("Transition Summary");
    if !output.status.success() && !circle {
        return None;
    }
    let cib = quorate_model::xml::read::read(text).ok()?;
    let now = quorate_policy::simulate::decision_time(&cib, None, NOW)?;
    let request = Request {
        options: Options {
            now,
            ..Options::default()
        },
        ..Request::default()
    };
    let decided = std::panic::catch_unwind(|| simulate(&cib, &request));
    let Ok(simulation) = decided else {
        return Some(Both {
            circle,
            ours: "Current cluster status:\nPANIC".to_owned(),
            theirs,
            after: None,
        });
    };
    Some(Both {
        circle,
        ours: simulation.text,
        theirs,
        after: simulation
            .after
            .map(|cib| quorate_model::xml::write::cib(&cib)),
    })
}

fn element(text: &str) -> Option<Element> {
    fn of(node: roxmltree::Node<'_, '_>) -> Element {
        Element {
            name: node.tag_name().name().to_owned(),
            attributes: node
                .attributes()
                .map(|a| (a.name().to_owned(), a.value().to_owned()))
                .collect(),
            children: node
                .children()
                .filter(roxmltree::Node::is_element)
                .map(of)
                .collect(),
        }
    }
    let document = roxmltree::Document::parse(text).ok()?;
    Some(of(document.root_element()))
}
