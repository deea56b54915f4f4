//! `cargo xtask sim`: runs seeds of the simulator, replays one, shrinks what fails.
//!
//! The shell around the simulator: it alone reads a clock and prints.
#![allow(
    clippy::disallowed_methods,
    reason = "the time that runs take is told here, outside the simulated world"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::{Parser, Subcommand};
use quorate_sim::brain::Production;
use quorate_sim::checkers::Violation;
use quorate_sim::scenario::{KINDS, Scenario, Shapes};
use quorate_sim::shrink::shrink;
use quorate_sim::time::{SECOND, Time, show};
use quorate_sim::trace::Trace;
use quorate_sim::world::{Outcome, run};

/// Runs that shrinking one seed may take.
const SHRINK_RUNS_MAX: u32 = 150;

/// Violations after which a run of seeds ends.
const VIOLATIONS_MAX: usize = 20;

/// Whole clusters under deterministic simulation.
#[derive(Debug, Parser)]
#[command(name = "sim", bin_name = "cargo xtask sim")]
struct Sim {
    #[command(subcommand)]
    replay: Option<Replay>,
    /// Seeds to run: `A..B`, `B` not included.
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: (u64, u64),
    /// Run so many seeds that nobody ran before; the first is printed, so that each can be replayed.
    #[arg(long, conflicts_with = "seeds")]
    fresh: Option<u64>,
    /// Stop after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// Only clusters of so many machines.
    #[arg(long, global = true)]
    nodes: Option<usize>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Also prove that it bites: after how many seeds each bug that can be put into the core is found.
    #[arg(long)]
    bugs: bool,
    /// Seeds for each of these bugs at most.
    #[arg(long, default_value_t = 20_000)]
    bug_seeds: u64,
    /// Only these bugs.
    #[arg(long)]
    bug: Vec<String>,
    /// Threads; each runs seeds of its own.
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Replay {
    /// Runs one seed again.
    Replay {
        /// The seed.
        seed: u64,
        /// Print who knew what and who decided what.
        #[arg(long)]
        trace: bool,
        /// Shrink it to fewer nodes, faults and steps first.
        #[arg(long)]
        shrink: bool,
    },
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("write two numbers: 0..1000")?;
    let number = |part: &str| {
        part.parse::<u64>()
            .map_err(|error| format!("{part}: {error}"))
    };
    let (from, to) = (number(from)?, number(to)?);
    if from < to {
        Ok((from, to))
    } else {
        Err("the range is empty".to_owned())
    }
}

fn main() -> ExitCode {
    Sim::parse().run()
}

/// A seeded bug, and the first seed that finds it with the checker that did.
type Bitten = (&'static str, Option<(u64, &'static str)>);

/// What all threads found.
#[derive(Default)]
struct Found {
    violations: Vec<(u64, Violation, Time)>,
    situations: BTreeMap<&'static str, u64>,
    simulated: Time,
    seeds: u64,
}

impl Sim {
    /// Runs it.
    fn run(&self) -> ExitCode {
        // A panic of a node is a violation, printed as such; the hook's own words would be noise.
        std::panic::set_hook(Box::new(|_| {}));
        let shapes = self.nodes.map_or(Shapes::Any, Shapes::Machines);
        match &self.replay {
            Some(Replay::Replay {
                seed,
                trace,
                shrink,
            }) => replay(*seed, shapes, *trace, *shrink),
            None => self.run_seeds(shapes),
        }
    }

    fn run_seeds(&self, shapes: Shapes) -> ExitCode {
        let begun = Instant::now();
        let range = self.range();
        if self.fresh.is_some() {
            eprintln!("fresh seeds: --seeds {}..{}", range.0, range.1);
        }
        let next = AtomicU64::new(range.0);
        let stop = AtomicBool::new(false);
        let found = Mutex::new(Found::default());
        let jobs = self.jobs();
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work(shapes, (&next, range.1), &stop, &found, begun));
            }
        });
        let found = found
            .into_inner()
            .expect("no thread panics while it holds it");
        let seconds = begun.elapsed().as_secs_f64().max(0.001);
        let bugs = if self.bugs {
            self.find_bugs(shapes)
        } else {
            Vec::new()
        };
        self.report(&found, seconds, shapes, &bugs);
        if found.violations.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// The seeds to run. Fresh ones begin at the second of the clock, a thousand times.
    fn range(&self) -> (u64, u64) {
        let Some(count) = self.fresh else {
            return self.seeds;
        };
        let base = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() * 1_000);
        (base, base + count.max(1))
    }

    fn work(
        &self,
        shapes: Shapes,
        (next, end): (&AtomicU64, u64),
        stop: &AtomicBool,
        found: &Mutex<Found>,
        begun: Instant,
    ) {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let late = self
                .minutes
                .is_some_and(|minutes| begun.elapsed() > Duration::from_secs(60 * minutes));
            if seed >= end || late {
                return;
            }
            let outcome = run(&Scenario::draw(seed, shapes), &Production, Trace::default());
            let mut found = found.lock().expect("no thread panics while it holds it");
            found.add(seed, outcome);
            if found.violations.len() >= VIOLATIONS_MAX {
                stop.store(true, Ordering::Relaxed);
            }
            if !self.json {
                found.progress(begun);
            }
        }
    }

    fn jobs(&self) -> usize {
        self.jobs
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    #[cfg(not(feature = "seeded-bugs"))]
    fn find_bugs(&self, _shapes: Shapes) -> Vec<Bitten> {
        eprintln!("this simulator was built without the feature seeded-bugs");
        Vec::new()
    }

    /// Puts each bug into the core and looks after how many seeds a checker finds it.
    #[cfg(feature = "seeded-bugs")]
    fn find_bugs(&self, shapes: Shapes) -> Vec<Bitten> {
        use quorate_core::seeded;
        let mut all = Vec::new();
        for (name, bug) in seeded::ALL {
            if !self.bug.is_empty() && !self.bug.iter().any(|wanted| wanted == name) {
                continue;
            }
            seeded::choose(Some(bug));
            let next = AtomicU64::new(0);
            let first: Mutex<Option<(u64, &'static str)>> = Mutex::new(None);
            std::thread::scope(|scope| {
                for _ in 0..self.jobs() {
                    scope.spawn(|| {
                        loop {
                            let seed = next.fetch_add(1, Ordering::Relaxed);
                            let known = *first.lock().expect("no thread panics while it holds it");
                            if seed >= self.bug_seeds || known.is_some_and(|(at, _)| at < seed) {
                                return;
                            }
                            let outcome =
                                run(&Scenario::draw(seed, shapes), &Production, Trace::default());
                            let Some((violation, _)) = outcome.violation else {
                                continue;
                            };
                            let mut first =
                                first.lock().expect("no thread panics while it holds it");
                            if first.is_none_or(|(at, _)| seed < at) {
                                *first = Some((seed, violation.checker));
                            }
                        }
                    });
                }
            });
            seeded::choose(None);
            let found = first
                .into_inner()
                .expect("no thread panics while it holds it");
            if !self.json {
                match found {
                    Some((seed, checker)) => {
                        println!("bug {name}: found after {} seeds by {checker}", seed + 1)
                    }
                    None => println!("bug {name}: NOT FOUND in {} seeds", self.bug_seeds),
                }
            }
            all.push((name, found));
        }
        all
    }

    fn report(&self, found: &Found, seconds: f64, shapes: Shapes, bugs: &[Bitten]) {
        let hours = found.simulated as f64 / (3_600.0 * SECOND as f64);
        if self.json {
            let violations: Vec<_> = found
                .violations
                .iter()
                .map(|(seed, violation, at)| {
                    serde_json::json!({
                        "seed": seed,
                        "checker": violation.checker,
                        "what": violation.what,
                        "at_s": *at as f64 / SECOND as f64,
                    })
                })
                .collect();
            let report = serde_json::json!({
                "seeds": found.seeds,
                "violations": violations.len(),
                "violation_list": violations,
                "simulated_hours": hours,
                "simulated_hours_per_s": hours / seconds,
                "situations": found.situations,
                "seeded_bugs": bugs.iter().map(|(name, found)| serde_json::json!({
                    "name": name,
                    "found_after": found.map(|(seed, _)| seed + 1),
                    "by": found.map(|(_, checker)| checker),
                })).collect::<Vec<_>>(),
            });
            println!("{report:#}");
            return;
        }
        println!(
            "\r{} seeds, {} violations, {hours:.1} simulated hours in {seconds:.1} s ({:.1} seeds/s, {:.2} simulated hours/s)",
            found.seeds,
            found.violations.len(),
            found.seeds as f64 / seconds,
            hours / seconds
        );
        for (name, count) in &found.situations {
            println!("  {count:>7} times {name}");
        }
        for (seed, violation, at) in &found.violations {
            println!(
                "seed {seed}: {} at {} s: {}",
                violation.checker,
                show(*at).trim(),
                violation.what
            );
        }
        if let Some((seed, ..)) = found.violations.first() {
            let nodes = match shapes {
                Shapes::Any => String::new(),
                Shapes::Machines(count) => format!(" --nodes {count}"),
            };
            println!("replay: cargo xtask sim replay {seed} --shrink --trace{nodes}");
        }
    }
}

impl Found {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        for (name, count) in outcome.situations {
            *self.situations.entry(name).or_default() += count;
        }
        if let Some((violation, at)) = outcome.violation {
            println!("\rseed {seed}: {}: {}", violation.checker, violation.what);
            self.violations.push((seed, violation, at));
        }
    }

    fn progress(&self, begun: Instant) {
        if !self.seeds.is_multiple_of(20) {
            return;
        }
        let seconds = begun.elapsed().as_secs_f64().max(0.001);
        let hours = self.simulated as f64 / (3_600.0 * SECOND as f64);
        eprint!(
            "\r{} seeds, {:.1} seeds/s, {:.2} simulated hours/s, {} violations ",
            self.seeds,
            self.seeds as f64 / seconds,
            hours / seconds,
            self.violations.len()
        );
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
    }
}

fn replay(seed: u64, shapes: Shapes, trace: bool, shrinks: bool) -> ExitCode {
    let mut scenario = Scenario::draw(seed, shapes);
    let mut outcome = run(&scenario, &Production, Trace::kept());
    if shrinks && let Some((violation, _)) = &outcome.violation {
        let (smaller, runs) = shrink(&scenario, &Production, violation.checker, SHRINK_RUNS_MAX);
        eprintln!(
            "shrunk in {runs} runs from {} to {} faults, from {} to {} machines",
            scenario.steps.len(),
            smaller.steps.len(),
            scenario.shape.machines(),
            smaller.shape.machines()
        );
        scenario = smaller;
        outcome = run(&scenario, &Production, Trace::kept());
    }
    println!(
        "seed {seed}: {:?}, network {:?}",
        scenario.shape, scenario.network
    );
    for (kind, rate) in &scenario.rates.0 {
        let name = KINDS.iter().find(|(known, _)| known == kind);
        println!(
            "  rate of {}: {} in a million",
            name.map_or("", |(_, name)| name),
            rate.0
        );
    }
    for step in &scenario.steps {
        println!(
            "  {} s, {} ms: {:?}",
            show(step.at).trim(),
            step.during / 1_000,
            step.fault
        );
    }
    let digest = outcome.trace.digest();
    if trace {
        for line in outcome.trace.into_lines() {
            println!("{line}");
        }
    }
    println!(
        "{} happenings in {} simulated seconds, trace {digest:016x}",
        outcome.happenings,
        show(outcome.simulated).trim()
    );
    match outcome.violation {
        Some((violation, at)) => {
            println!(
                "{} at {} s: {}",
                violation.checker,
                show(at).trim(),
                violation.what
            );
            ExitCode::FAILURE
        }
        None => {
            println!("no violation");
            ExitCode::SUCCESS
        }
    }
}
