//! `cargo xtask bench rabbitmq`: how long a publisher stands still and what is lost, in turns with the peer.

use std::path::PathBuf;

use clap::Args;
use quorate_lab::demo::BrokerFault;
use quorate_lab::{down_on_interrupt, state_dir};
use serde_json::{Value, json};

use super::{Who, median, name};
use crate::demo::{Profile, build, describe};
use crate::demo_rabbitmq::{RabbitmqDemo, line};
use crate::install;

/// Outages of a message publisher.
#[derive(Debug, Args)]
pub struct Rabbitmq {
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
    /// Only these faults [default: those of the demo in which a broker or its host dies, and the loss of all].
    #[arg(long = "fault", value_name = "NAME", value_parser = BrokerFault::ALL.map(BrokerFault::name))]
    faults: Vec<String>,
    /// Where to keep the result, renewed after each round.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/bench-rabbitmq.json"
    )]
    output: PathBuf,
    /// The lab's name: two at a time need two.
    #[arg(long, default_value = "bench-rabbitmq")]
    name: String,
    /// Put this program onto the hosts instead of building a release.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// All runs of one fault.
#[derive(Debug, Clone, Default)]
struct Sample {
    outage: Vec<f64>,
    promoted: Vec<f64>,
    whole: Vec<f64>,
    lost: usize,
    problems: usize,
}

/// All of one cluster manager.
#[derive(Debug, Clone, Default)]
struct Samples {
    assembled: Vec<f64>,
    faults: [Sample; BrokerFault::ALL.len()],
    confirmed: usize,
}

impl Rabbitmq {
    /// Measures.
    pub fn measure(&self) -> Result<(), String> {
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
        let who: &[Who] = if self.peer {
            &[Who::Quorate, Who::Peer]
        } else {
            &[Who::Quorate]
        };
        let mut samples = [Samples::default(), Samples::default()];
        for round in 1..=self.runs {
            for &who in who {
                eprintln!("round {round} of {}: {}", self.runs, name(who));
                if let Err(error) = self.round(who, &program, &mut samples[who as usize]) {
                    eprintln!("  the round is lost: {error}");
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

    fn round(
        &self,
        who: Who,
        program: &std::path::Path,
        samples: &mut Samples,
    ) -> Result<(), String> {
        let lab = RabbitmqDemo::lab(&self.name, program).map_err(describe)?;
        let demo = RabbitmqDemo {
            faults: &self.faults,
            detection_ms: self.detection_ms,
            is_peer: who == Who::Peer,
            say: &|text| eprintln!("  {text}"),
        };
        let outcome = demo.on_lab(&lab).map_err(describe)?;
        samples.assembled.push(outcome.assembled_s);
        samples.confirmed += outcome.confirmed;
        for result in &outcome.results {
            let position = BrokerFault::ALL
                .iter()
                .position(|fault| fault.name() == result.base.name);
            let Some(sample) = position.map(|n| &mut samples.faults[n]) else {
                continue;
            };
            eprintln!("  {}: {}", result.base.name, line(result));
            sample.outage.push(result.base.outage_s);
            sample.promoted.extend(result.promoted_s);
            sample.whole.extend(result.whole_s);
            sample.lost += result.base.lost_rows;
            sample.problems += result.base.problems.len();
        }
        Ok(())
    }

    fn to_json(&self, samples: &[Samples; 2]) -> Value {
        let spread = |values: &[f64]| {
            json!({
                "min_s": values.iter().copied().reduce(f64::min),
                "median_s": median(values.to_vec()),
                "max_s": values.iter().copied().reduce(f64::max),
            })
        };
        let one = |sample: &Sample| {
            json!({
                "outage": spread(&sample.outage),
                "promoted": spread(&sample.promoted),
                "whole": spread(&sample.whole),
                "lost": sample.lost,
                "problems": sample.problems,
                "runs": sample.outage.len(),
            })
        };
        let faults = BrokerFault::ALL.iter().enumerate().map(|(n, fault)| {
            let mut value = json!({ "name": fault.name(), "quorate": one(&samples[0].faults[n]) });
            if self.peer {
                value["peer"] = one(&samples[1].faults[n]);
                value["ratio"] = json!(ratio(
                    &samples[0].faults[n].outage,
                    &samples[1].faults[n].outage
                ));
            }
            value
        });
        json!({
            "assembled": { "quorate": spread(&samples[0].assembled), "peer": spread(&samples[1].assembled) },
            "confirmed": { "quorate": samples[0].confirmed, "peer": samples[1].confirmed },
            "scenarios": faults.collect::<Vec<_>>(),
        })
    }

    fn print(&self, samples: &[Samples; 2]) {
        let show =
            |values: &[f64]| median(values.to_vec()).map_or("-".to_owned(), |m| format!("{m:.2}"));
        println!(
            "{:<24} {:<8} {:>9} {:>9} {:>9} {:>6}   (medians, seconds)",
            "fault", "", "outage", "promoted", "whole", "lost"
        );
        for (n, fault) in BrokerFault::ALL.iter().enumerate() {
            for who in [Who::Quorate, Who::Peer] {
                let sample = &samples[who as usize].faults[n];
                if sample.outage.is_empty() {
                    continue;
                }
                println!(
                    "{:<24} {:<8} {:>9} {:>9} {:>9} {:>6}",
                    fault.name(),
                    name(who),
                    show(&sample.outage),
                    show(&sample.promoted),
                    show(&sample.whole),
                    sample.lost
                );
            }
            if let Some(ratio) = ratio(&samples[0].faults[n].outage, &samples[1].faults[n].outage) {
                println!("{:<24} {:<8} {ratio:>9.2}", "", "ratio");
            }
        }
        for who in [Who::Quorate, Who::Peer] {
            let samples = &samples[who as usize];
            println!(
                "{}: one cluster after {} s; {} messages confirmed",
                name(who),
                show(&samples.assembled),
                samples.confirmed
            );
        }
    }
}

fn ratio(ours: &[f64], peers: &[f64]) -> Option<f64> {
    Some(median(ours.to_vec())? / median(peers.to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_make_the_ratio() {
        assert_eq!(ratio(&[], &[2.0]), None);
        let known = ratio(&[3.0, 1.0, 2.0], &[4.0]).expect("both sides");
        assert!((known - 0.5).abs() < 1e-9);
    }
}
