//! `cargo xtask bench failover`: how long the database is away, in numbers that can be compared.

mod footprint;
mod galera;
mod latency;
mod policy;
mod quiet;
mod rabbitmq;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use quorate_lab::demo::{
    self, Cluster, Fault, FaultResult, Fencing, Peer, Quorate, SERVERS, Scenario, WITNESS,
};
use quorate_lab::{Host, Lab, LabError, LabOptions, database, down_on_interrupt, state_dir};
use serde_json::{Value, json};

use crate::demo::{Profile, build, describe};
use crate::install;

use self::footprint::{Footprint, footprint};
use self::latency::Latency;

/// Measurements; no tests.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Outages of the demo's database under five faults.
    Failover(Failover),
    /// Outages of Galera's clients under four faults.
    Galera(galera::Galera),
    /// Outages of a message publisher, and how long until the brokers are whole again.
    Rabbitmq(rabbitmq::Rabbitmq),
    /// The engine's speed and memory, beside the peer's.
    Policy(policy::Policy),
}

/// Outages of the demo's database.
#[derive(Debug, Args)]
struct Failover {
    /// In turns with Pacemaker and Corosync on the same hosts, with the same agents and detection time.
    #[arg(long)]
    peer: bool,
    /// Print JSON; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// How often each fault is measured.
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// Milliseconds without an answer after which a node counts as lost, for both.
    #[arg(long, default_value_t = 1000)]
    detection_ms: u64,
    /// Two servers without a third voter, for both.
    #[arg(long)]
    two_node: bool,
    /// Only these scenarios.
    #[arg(long = "scenario", value_name = "NAME", value_parser = SCENARIOS)]
    scenarios: Vec<String>,
    /// Instead: whether a healthy node is ever taken for lost, at 300 ms and with two busy loops per core.
    #[arg(long, conflicts_with_all = ["peer", "runs", "scenarios"])]
    false_detection: bool,
    /// For how long.
    #[arg(long, default_value_t = 10.0, requires = "false_detection")]
    minutes: f64,
    /// Where to keep the result, renewed after each round.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/bench-failover.json"
    )]
    output: PathBuf,
    /// The lab's name: two at a time need two.
    #[arg(long, default_value = "bench")]
    name: String,
    /// Put this program onto the hosts instead of building a release.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What is measured, in order.
const SCENARIOS: [&str; 5] = [
    "power-loss",
    "frozen-host",
    "process-death",
    "standby",
    "cold-start",
];

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Quorate,
    Peer,
}

/// One measured outage with its parts, seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    outage: f64,
    detection: Option<f64>,
    fencing: Option<f64>,
    agents: Option<f64>,
    own: Option<f64>,
}

impl Sample {
    fn of(result: &FaultResult) -> Self {
        let phases = result.phases;
        Self {
            outage: result.outage_s,
            detection: phases.detected_s,
            fencing: phases
                .fenced_s
                .zip(phases.detected_s)
                .map(|(fenced, detected)| fenced - detected),
            agents: result.agents_s,
            own: result.own_s,
        }
    }

    fn line(self) -> String {
        let show = |name: &str, part: Option<f64>| {
            part.map(|part| format!(", {name} {part:.3}"))
                .unwrap_or_default()
        };
        format!(
            "{:.2} s{}{}{}{}",
            self.outage,
            show("detection", self.detection),
            show("fencing", self.fencing),
            show("agents", self.agents),
            show("own", self.own),
        )
    }

    /// What is neither detection, nor fencing, nor an agent's own time: the manager, and the client's attempts.
    fn rest(self) -> Option<f64> {
        let known = self.detection? + self.fencing.unwrap_or(0.0) + self.agents?;
        Some((self.outage - known).max(0.0))
    }
}

/// What one round gives beside its samples.
struct Round {
    footprint: Footprint,
    latency: Option<Latency>,
}

/// All samples of one cluster manager, by scenario.
#[derive(Debug, Default)]
struct Samples([Vec<Sample>; SCENARIOS.len()]);

impl Bench {
    /// Runs it.
    pub fn run(&self) -> ExitCode {
        let done = match &self.what {
            What::Failover(failover) => failover.measure(),
            What::Galera(galera) => galera.measure(),
            What::Rabbitmq(rabbitmq) => rabbitmq.measure(),
            What::Policy(policy) => policy.measure(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Failover {
    fn measure(&self) -> Result<(), String> {
        let mut packages = install::PACKAGES.to_vec();
        if self.peer {
            packages.extend(install::PEER_PACKAGES);
        }
        install::ensure(&packages)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => build(Profile::Release)?,
        };
        down_on_interrupt(state_dir(), self.name.clone());
        if self.false_detection {
            let result = quiet::measure(&self.name, &program, self.minutes).map_err(describe)?;
            return self.tell(&result.json(), &result.text());
        }
        let who: &[Who] = if self.peer {
            &[Who::Quorate, Who::Peer]
        } else {
            &[Who::Quorate]
        };
        let mut samples = [Samples::default(), Samples::default()];
        let mut footprints = [Footprint::default(); 2];
        let mut latency = None;
        for round in 1..=self.runs {
            for &who in who {
                eprintln!("round {round} of {}: {}", self.runs, name(who));
                // One lab that does not come up must not cost the rounds before it.
                match self.round(who, &program, &mut samples[who as usize]) {
                    Ok(round) => {
                        footprints[who as usize] = round.footprint;
                        latency = round.latency.or(latency);
                    }
                    Err(error) => eprintln!("  the round is lost: {}", describe(error)),
                }
            }
            self.save(&self.to_json(&samples, &footprints, latency))?;
        }
        if self.json {
            println!("{}", self.to_json(&samples, &footprints, latency));
        } else {
            self.print(&samples, &footprints, latency);
        }
        Ok(())
    }

    /// What is known so far, so that a long run that is ended early was not for nothing.
    fn save(&self, json: &Value) -> Result<(), String> {
        let file = &self.output;
        let text = format!("{json:#}\n");
        std::fs::write(file, text)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    fn tell(&self, json: &Value, text: &str) -> Result<(), String> {
        if self.json {
            println!("{json}");
        } else {
            println!("{text}");
        }
        Ok(())
    }

    fn is_wanted(&self, scenario: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|name| name == scenario)
    }

    /// A fresh lab, a cluster, every fault once.
    fn round(&self, who: Who, program: &Path, samples: &mut Samples) -> Result<Round, LabError> {
        let mut hosts = SERVERS.to_vec();
        if !self.two_node {
            hosts.push(WITNESS);
        }
        let mut options = LabOptions::new(&self.name, &hosts);
        options.install = vec![("/usr/sbin/quorate".into(), program.to_owned())];
        let lab = Lab::up(&options)?;
        let servers: Vec<&Host> = SERVERS
            .iter()
            .map(|name| lab.host(name))
            .collect::<Result<_, _>>()?;
        database::prepare(&servers)?;
        let configuration = demo::configuration(&servers, Fencing::FenceIpmilan);
        match who {
            Who::Quorate => {
                let cluster = Quorate::form(&lab, &SERVERS, self.detection_ms, &configuration)?;
                let footprint = self.run_scenarios(&lab, &cluster, samples)?;
                let latency = latency::measure(&cluster)?;
                Ok(Round { footprint, latency })
            }
            Who::Peer => {
                let cluster = Peer::form(&lab, &SERVERS, self.detection_ms, &configuration)?;
                let footprint = self.run_scenarios(&lab, &cluster, samples)?;
                Ok(Round {
                    footprint,
                    latency: None,
                })
            }
        }
    }

    fn run_scenarios(
        &self,
        lab: &Lab,
        cluster: &dyn Cluster,
        samples: &mut Samples,
    ) -> Result<Footprint, LabError> {
        let scenario = Scenario::start(lab, cluster)?;
        scenario.settle()?;
        let footprint = footprint(cluster);
        for (n, name) in SCENARIOS.iter().enumerate() {
            if !self.is_wanted(name) {
                continue;
            }
            let sample = match Fault::parse(name) {
                Some(fault) => {
                    let result = scenario.run(fault, &mut |_| ())?;
                    for problem in &result.problems {
                        eprintln!("  {name}: PROBLEM: {problem}");
                    }
                    Sample::of(&result)
                }
                None => {
                    let start = scenario.cold_start()?;
                    Sample {
                        outage: start.outage_s,
                        detection: start.phases.detected_s,
                        fencing: None,
                        agents: start.agents_s,
                        own: start.own_s,
                    }
                }
            };
            eprintln!("  {name}: {}", sample.line());
            samples.0[n].push(sample);
        }
        Ok(footprint)
    }

    fn to_json(
        &self,
        samples: &[Samples; 2],
        footprints: &[Footprint; 2],
        latency: Option<Latency>,
    ) -> Value {
        let scenarios: Vec<Value> = SCENARIOS
            .iter()
            .enumerate()
            .map(|(n, scenario)| {
                let ours = &samples[0].0[n];
                let mut value = json!({ "name": scenario, "quorate": statistics(ours) });
                if self.peer {
                    let peers = &samples[1].0[n];
                    value["peer"] = statistics(peers);
                    value["ratio"] = json!(ratio(ours, peers));
                }
                value
            })
            .collect();
        let mut footprint = json!({ "quorate": footprints[0].json() });
        if self.peer {
            footprint["peer"] = footprints[1].json();
        }
        if let Some(latency) = latency {
            footprint["quorate"]["log_commit"] = latency.json();
        }
        json!({ "scenarios": scenarios, "footprint": footprint })
    }

    fn print(&self, samples: &[Samples; 2], footprints: &[Footprint; 2], latency: Option<Latency>) {
        println!(
            "{:<14} {:<8} {:>7} {:>7} {:>7}   {:>9} {:>8} {:>7} {:>7} {:>7}",
            "scenario",
            "",
            "min s",
            "median",
            "max",
            "detection",
            "fencing",
            "agents",
            "rest",
            "own"
        );
        for (n, scenario) in SCENARIOS.iter().enumerate() {
            for who in [Who::Quorate, Who::Peer] {
                let list = &samples[who as usize].0[n];
                if !list.is_empty() {
                    println!("{scenario:<14} {:<8} {}", name(who), columns(list));
                }
            }
            if self.peer {
                match ratio(&samples[0].0[n], &samples[1].0[n]) {
                    Some(ratio) => println!("{:<14} {:<8} {ratio:>15.2}", "", "ratio"),
                    None => println!("{:<14} {:<8} {:>15}", "", "ratio", "-"),
                }
            }
        }
        for who in [Who::Quorate, Who::Peer] {
            let footprint = footprints[who as usize];
            if footprint.processes > 0 {
                println!(
                    "{}: {} processes, {:.1} MiB resident, {:.1} MiB proportional, {:.2} % of a core at rest",
                    name(who),
                    footprint.processes,
                    footprint.resident_mib,
                    footprint.proportional_mib,
                    footprint.cpu_percent
                );
            }
        }
        if let Some(latency) = latency {
            println!("{}", latency.text());
        }
    }
}

fn name(who: Who) -> &'static str {
    match who {
        Who::Quorate => "quorate",
        Who::Peer => "peer",
    }
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        n if n % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

fn outages(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.outage).collect()
}

fn part(samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    median(samples.iter().filter_map(of).collect())
}

fn ratio(ours: &[Sample], peers: &[Sample]) -> Option<f64> {
    Some(median(outages(ours))? / median(outages(peers))?)
}

fn statistics(samples: &[Sample]) -> Value {
    let numbers = outages(samples);
    let least = numbers.iter().copied().reduce(f64::min);
    let most = numbers.iter().copied().reduce(f64::max);
    json!({
        "min_s": least,
        "median_s": median(numbers),
        "max_s": most,
        "detection_s": part(samples, |s| s.detection),
        "fencing_s": part(samples, |s| s.fencing),
        "agents_s": part(samples, |s| s.agents),
        "rest_s": part(samples, |s| s.rest()),
        "own_s": part(samples, |s| s.own),
        "runs": samples.len(),
    })
}

fn columns(samples: &[Sample]) -> String {
    let numbers = outages(samples);
    let least = numbers.iter().copied().reduce(f64::min).unwrap_or(0.0);
    let most = numbers.iter().copied().reduce(f64::max).unwrap_or(0.0);
    let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    format!(
        "{least:>7.2} {:>7.2} {most:>7.2}   {:>9} {:>8} {:>7} {:>7} {:>7}",
        median(numbers).unwrap_or(0.0),
        show(part(samples, |s| s.detection)),
        show(part(samples, |s| s.fencing)),
        show(part(samples, |s| s.agents)),
        show(part(samples, |s| s.rest())),
        part(samples, |s| s.own).map_or_else(|| "-".to_owned(), |v| format!("{v:.3}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_rest_is_what_nobody_else_used() {
        let sample = Sample {
            outage: 4.0,
            detection: Some(1.0),
            fencing: Some(0.5),
            agents: Some(2.4),
            own: None,
        };
        assert!((sample.rest().unwrap() - 0.1).abs() < 1e-9);
    }
}
