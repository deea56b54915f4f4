//! `cargo xtask bench galera`: how long writes stand still, under Quorate and under the peer in turns.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use quorate_lab::demo::{Cluster, GaleraFault, GaleraScenario, Peer, Quorate};
use quorate_lab::galera::{self, CONTROLLERS, Entry, Setup, Sst, Timers};
use quorate_lab::{Lab, LabError, down_on_interrupt, state_dir};
use serde_json::{Value, json};

use super::{Who, median, name};
use crate::demo::{Profile, build, describe};
use crate::demo_galera::GaleraDemo;
use crate::install;

/// Outages of Galera's clients.
#[derive(Debug, Args)]
pub struct Galera {
    /// In turns with Pacemaker and Corosync on the same hosts, with the same agents and detection time.
    #[arg(long)]
    peer: bool,
    /// Print JSON; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// How often each fault is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Milliseconds without an answer after which a node counts as lost, for both.
    #[arg(long, default_value_t = 1000)]
    detection_ms: u64,
    /// What clients of the address reach.
    #[arg(long, value_enum, default_value_t = EntryChoice::Proxy)]
    entry: EntryChoice,
    /// Galera's own timers, alike on the servers and the arbitrator.
    #[arg(long, value_enum, default_value_t = TimersChoice::Default)]
    timers: TimersChoice,
    /// Only these scenarios.
    #[arg(long = "scenario", value_name = "NAME", value_parser = SCENARIOS.map(GaleraFault::name))]
    scenarios: Vec<String>,
    /// Where to keep the result, renewed after each round.
    #[arg(long, value_name = "FILE", default_value = "target/bench-galera.json")]
    output: PathBuf,
    /// The lab's name: two at a time need two.
    #[arg(long, default_value = "bench-galera")]
    name: String,
    /// Put this program onto the hosts instead of building a release.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What clients of the address reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EntryChoice {
    /// HAProxy, as the document has it.
    Proxy,
    /// The database itself.
    Direct,
}

/// Galera's own timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimersChoice {
    /// As installed: 5 s until a member counts as lost.
    Default,
    /// 1 s.
    Short,
}

const SCENARIOS: [GaleraFault; 4] = [
    GaleraFault::HostKilled,
    GaleraFault::ServerKilled,
    GaleraFault::Standby,
    GaleraFault::BothKilled,
];

/// Outages and losses of one scenario.
#[derive(Debug, Clone, Default)]
struct Sample {
    outages: Vec<f64>,
    lost_rows: usize,
}

type Samples = [[Sample; SCENARIOS.len()]; 2];

impl Galera {
    /// Measures.
    pub fn measure(&self) -> Result<(), String> {
        let mut packages = install::PACKAGES.to_vec();
        packages.extend(install::GALERA_PACKAGES);
        if self.peer {
            packages.extend(install::PEER_PACKAGES);
        }
        install::ensure(&packages)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => build(Profile::Release)?,
        };
        down_on_interrupt(state_dir(), self.name.clone());
        let who: &[Who] = if self.peer {
            &[Who::Quorate, Who::Peer]
        } else {
            &[Who::Quorate]
        };
        let mut samples = Samples::default();
        for round in 1..=self.runs {
            for &who in who {
                eprintln!("round {round} of {}: {}", self.runs, name(who));
                if let Err(error) = self.round(who, &program, &mut samples[who as usize]) {
                    eprintln!("  the rest of the round is lost: {}", describe(error));
                }
            }
            let text = format!("{:#}\n", self.to_json(&samples));
            std::fs::write(&self.output, text)
                .map_err(|error| format!("cannot write {}: {error}", self.output.display()))?;
        }
        if self.json {
            println!("{}", self.to_json(&samples));
        } else {
            self.print(&samples);
        }
        Ok(())
    }

    fn setup(&self) -> Setup {
        Setup {
            sst: Sst::Rsync,
            entry: match self.entry {
                EntryChoice::Proxy => Entry::Proxy,
                EntryChoice::Direct => Entry::Direct,
            },
            timers: match self.timers {
                TimersChoice::Default => Timers::Default,
                TimersChoice::Short => Timers::Short,
            },
        }
    }

    /// A fresh lab, a cluster, every fault once.
    fn round(
        &self,
        who: Who,
        program: &Path,
        samples: &mut [Sample; SCENARIOS.len()],
    ) -> Result<(), LabError> {
        let lab = GaleraDemo::lab(&self.name, program)?;
        galera::prepare(lab.hosts(), self.setup())?;
        let configuration = galera::configuration(lab.hosts(), self.setup());
        match who {
            Who::Quorate => {
                let cluster = Quorate::form(&lab, &CONTROLLERS, self.detection_ms, &configuration)?;
                self.faults(&lab, &cluster, samples)
            }
            Who::Peer => {
                let cluster = Peer::form(&lab, &CONTROLLERS, self.detection_ms, &configuration)?;
                self.faults(&lab, &cluster, samples)
            }
        }
    }

    fn faults(
        &self,
        lab: &Lab,
        cluster: &dyn Cluster,
        samples: &mut [Sample; SCENARIOS.len()],
    ) -> Result<(), LabError> {
        let scenario = GaleraScenario::start(lab, cluster)?;
        for (fault, sample) in SCENARIOS.into_iter().zip(samples) {
            if !self.scenarios.is_empty() && !self.scenarios.iter().any(|name| name == fault.name())
            {
                continue;
            }
            let result = scenario.run(fault, &mut |_| ())?;
            for problem in &result.problems {
                eprintln!("  {}: PROBLEM: {problem}", fault.name());
            }
            eprintln!(
                "  {}: {:.2} s, {} rows lost",
                fault.name(),
                result.outage_s,
                result.lost_rows
            );
            sample.outages.push(result.outage_s);
            sample.lost_rows += result.lost_rows;
        }
        Ok(())
    }

    fn to_json(&self, samples: &Samples) -> Value {
        let one = |sample: &Sample| {
            json!({
                "min_s": sample.outages.iter().copied().reduce(f64::min),
                "median_s": median(sample.outages.clone()),
                "max_s": sample.outages.iter().copied().reduce(f64::max),
                "lost_rows": sample.lost_rows,
                "runs": sample.outages.len(),
            })
        };
        let scenarios = SCENARIOS.iter().enumerate().map(|(n, fault)| {
            let mut value = json!({ "name": fault.name(), "quorate": one(&samples[0][n]) });
            if self.peer {
                value["peer"] = one(&samples[1][n]);
                value["ratio"] = json!(ratio(&samples[0][n], &samples[1][n]));
            }
            value
        });
        json!({
            "entry": format!("{:?}", self.entry).to_lowercase(),
            "timers": format!("{:?}", self.timers).to_lowercase(),
            "scenarios": scenarios.collect::<Vec<_>>(),
        })
    }

    fn print(&self, samples: &Samples) {
        println!(
            "{:<16} {:<8} {:>7} {:>7} {:>7} {:>10}",
            "scenario", "", "min s", "median", "max", "rows lost"
        );
        for (n, fault) in SCENARIOS.iter().enumerate() {
            for who in [Who::Quorate, Who::Peer] {
                let sample = &samples[who as usize][n];
                let Some(middle) = median(sample.outages.clone()) else {
                    continue;
                };
                let least = sample.outages.iter().copied().fold(f64::MAX, f64::min);
                let most = sample.outages.iter().copied().fold(0.0, f64::max);
                println!(
                    "{:<16} {:<8} {least:>7.2} {middle:>7.2} {most:>7.2} {:>10}",
                    fault.name(),
                    name(who),
                    sample.lost_rows
                );
            }
            if let Some(ratio) = ratio(&samples[0][n], &samples[1][n]) {
                println!("{:<16} {:<8} {ratio:>15.2}", "", "ratio");
            }
        }
    }
}

fn ratio(ours: &Sample, peers: &Sample) -> Option<f64> {
    Some(median(ours.outages.clone())? / median(peers.outages.clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_needs_both_sides() {
        let sample = |outages: &[f64]| Sample {
            outages: outages.to_vec(),
            lost_rows: 0,
        };
        assert_eq!(ratio(&sample(&[1.0]), &sample(&[])), None);
        let known = ratio(&sample(&[1.0, 3.0, 2.0]), &sample(&[4.0]));
        assert!((known.unwrap() - 0.5).abs() < 1e-9);
    }
}
