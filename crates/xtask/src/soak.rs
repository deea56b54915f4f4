//! `cargo xtask soak`: random faults from the demo's list on real hosts, one after the other, for as long as it is told.
//! After each: the client's acknowledged rows are all there, the service is back, exactly one host had the shared disk,
//! nobody was fenced who need not be, every host is a member again. All of it is seen from outside the manager.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use quorate_lab::demo::{self, Fault, FaultResult, Fencing, Quorate, SERVERS, Scenario, WITNESS};
use quorate_lab::{Host, Lab, LabError, LabOptions, database, down_on_interrupt, state_dir};
use serde_json::json;

use crate::demo::{Profile, build, describe};
use crate::install;

/// Random faults on real hosts, until the time is over.
#[derive(Debug, Args)]
pub struct Soak {
    /// How long new faults are begun.
    #[arg(long, default_value_t = 10, value_name = "N")]
    minutes: u64,
    /// And how many at most.
    #[arg(long, value_name = "N")]
    faults: Option<usize>,
    /// Draws the same faults in the same order again; a new one each time where it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Go on after a fault that was not survived as it must be.
    #[arg(long)]
    keep_going: bool,
    /// Two servers without a witness.
    #[arg(long)]
    two_node: bool,
    /// Milliseconds without an answer after which a node counts as lost.
    #[arg(long, default_value_t = 1000)]
    detection_ms: u64,
    /// Print the results as JSON; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// The lab's name: two at a time need two.
    #[arg(long, default_value = "soak")]
    name: String,
    /// Put this program onto the hosts instead of building it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What came of all faults.
#[derive(Debug, Default)]
struct Outcome {
    results: Vec<FaultResult>,
    rows: usize,
    /// Why it ended before its time.
    stuck: Option<String>,
}

impl Outcome {
    fn is_good(&self) -> bool {
        self.stuck.is_none() && self.results.iter().all(is_survived)
    }

    fn lost_rows(&self) -> usize {
        self.results
            .iter()
            .map(|result| result.lost_rows)
            .max()
            .unwrap_or(0)
    }

    fn failed(&self) -> usize {
        self.results
            .iter()
            .filter(|result| !is_survived(result))
            .count()
    }
}

fn is_survived(result: &FaultResult) -> bool {
    result.problems.is_empty() && result.lost_rows == 0
}

impl Soak {
    /// Runs it.
    pub fn run(&self) -> ExitCode {
        let clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seed = self.seed.unwrap_or(clock.as_secs() % 1_000_000);
        match self.soak(seed) {
            Ok(outcome) => {
                self.conclude(seed, &outcome);
                if outcome.is_good() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn say(&self, text: &str) {
        if self.json {
            eprintln!("{text}");
        } else {
            println!("{text}");
        }
    }

    fn soak(&self, seed: u64) -> Result<Outcome, String> {
        install::ensure_root()?;
        install::ensure(&install::PACKAGES)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => build(Profile::Dev)?,
        };
        self.say(&format!(
            "seed {seed}: `--seed {seed}` draws the same faults again"
        ));
        down_on_interrupt(state_dir(), self.name.clone());
        let mut hosts = SERVERS.to_vec();
        if !self.two_node {
            hosts.push(WITNESS);
        }
        let mut options = LabOptions::new(&self.name, &hosts);
        options.install = vec![("/usr/sbin/quorate".into(), program)];
        let lab = Lab::up(&options).map_err(describe)?;
        self.on_lab(&lab, seed).map_err(describe)
    }

    fn on_lab(&self, lab: &Lab, seed: u64) -> Result<Outcome, LabError> {
        let servers: Vec<&Host> = SERVERS
            .iter()
            .map(|name| lab.host(name))
            .collect::<Result<_, _>>()?;
        database::prepare(&servers)?;
        let configuration = demo::configuration(&servers, Fencing::ExternalIpmi);
        let cluster = Quorate::form(lab, &SERVERS, self.detection_ms, &configuration)?;
        let scenario = Scenario::start(lab, &cluster)?;
        let mut draw = Draw(seed);
        let mut outcome = Outcome::default();
        let end = Instant::now() + Duration::from_secs(self.minutes * 60);
        while Instant::now() < end && self.faults.is_none_or(|most| outcome.results.len() < most) {
            let fault = draw.fault();
            let number = outcome.results.len() + 1;
            let result = match scenario.run(fault, &mut |_| {}) {
                Ok(result) => result,
                Err(error) => {
                    outcome.stuck = Some(format!(
                        "before or in fault {number} ({}): {}",
                        fault.name(),
                        describe(error)
                    ));
                    break;
                }
            };
            self.say(&line(number, &result));
            let is_bad = !is_survived(&result);
            outcome.results.push(result);
            if is_bad && !self.keep_going {
                break;
            }
        }
        outcome.rows = scenario.acknowledged();
        Ok(outcome)
    }

    fn conclude(&self, seed: u64, outcome: &Outcome) {
        if let Some(stuck) = &outcome.stuck {
            self.say(&format!("STUCK {stuck}"));
        }
        if self.json {
            let faults: Vec<_> = outcome
                .results
                .iter()
                .map(|r| json!({"name": r.name, "outage_s": r.outage_s, "lost_rows": r.lost_rows, "problems": r.problems}))
                .collect();
            let whole = json!({
                "seed": seed, "faults": faults, "not_survived": outcome.failed(), "lost_rows": outcome.lost_rows(),
                "rows": outcome.rows, "stuck": outcome.stuck,
            });
            println!("{whole}");
            return;
        }
        let worst = outcome
            .results
            .iter()
            .map(|result| result.outage_s)
            .fold(0.0, f64::max);
        println!(
            "seed {seed}: {} faults, {} not survived as they must be, {} of {} acknowledged rows lost, longest outage {worst:.2} s",
            outcome.results.len(),
            outcome.failed() + usize::from(outcome.stuck.is_some()),
            outcome.lost_rows(),
            outcome.rows,
        );
    }
}

fn line(number: usize, result: &FaultResult) -> String {
    let mut text = format!(
        "{number:>4} {:<15} outage {:>6.2} s, {} rows lost, {} -> {}",
        result.name, result.outage_s, result.lost_rows, result.active_before, result.active_after
    );
    for problem in &result.problems {
        text += &format!("\n     PROBLEM: {problem}");
    }
    text
}

/// Draws faults: splitmix64, so that a seed means the same on every machine.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fault(&mut self) -> Fault {
        let all = Fault::ALL;
        let most = u64::try_from(all.len()).expect("a list's length fits");
        all[usize::try_from(self.next() % most).expect("less than the list's length")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_faults_and_all_of_them_come() {
        let faults = |seed| {
            let mut draw = Draw(seed);
            (0..100).map(|_| draw.fault()).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
        for fault in Fault::ALL {
            assert!(faults(7).contains(&fault), "{} never comes", fault.name());
        }
    }
}
