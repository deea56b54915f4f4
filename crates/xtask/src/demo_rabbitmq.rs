//! `cargo xtask demo --rabbitmq`: three brokers under a publisher with confirms, broken in seven ways.

use std::path::Path;

use quorate_lab::demo::{BrokerFault, BrokerResult, BrokerScenario, Cluster, Peer, Quorate};
use quorate_lab::rabbitmq::{self, CONTROLLERS};
use quorate_lab::{Lab, LabError, LabOptions};

/// What the demo was asked for.
pub struct RabbitmqDemo<'a> {
    /// Only these faults; all when empty.
    pub faults: &'a [String],
    /// Milliseconds without an answer after which a node counts as lost.
    pub detection_ms: u64,
    /// Whether the peer (Pacemaker) manages.
    pub is_peer: bool,
    /// Where each line of progress goes.
    pub say: &'a dyn Fn(&str),
}

/// All that a run gives.
pub struct Outcome {
    /// By fault.
    pub results: Vec<BrokerResult>,
    /// Messages confirmed in all.
    pub confirmed: usize,
    /// Seconds from the load of the configuration to one cluster of all brokers.
    pub assembled_s: f64,
}

impl RabbitmqDemo<'_> {
    /// The lab: three controllers.
    pub fn lab(name: &str, program: &Path) -> Result<Lab, LabError> {
        let mut options = LabOptions::new(name, &CONTROLLERS);
        options.install = vec![("/usr/sbin/quorate".into(), program.to_owned())];
        Lab::up(&options)
    }

    /// Forms the cluster on a lab and breaks it.
    pub fn on_lab(&self, lab: &Lab) -> Result<Outcome, LabError> {
        rabbitmq::prepare(lab.hosts())?;
        let configuration = rabbitmq::configuration(lab.hosts());
        (self.say)("forming the cluster; the brokers take a minute to become one");
        if self.is_peer {
            // The peer knows the agent only where Debian has it.
            let configuration = configuration.replace("ocf:rabbitmq:", "ocf:heartbeat:");
            let peer = Peer::form(lab, &CONTROLLERS, self.detection_ms, &configuration)?;
            self.play(lab, &peer)
        } else {
            let quorate = Quorate::form(lab, &CONTROLLERS, self.detection_ms, &configuration)?;
            self.play(lab, &quorate)
        }
    }

    fn play(&self, lab: &Lab, cluster: &dyn Cluster) -> Result<Outcome, LabError> {
        let mut scenario = BrokerScenario::start(lab, cluster)?;
        let assembled_s = scenario.assembled_s;
        (self.say)(&format!(
            "one broker cluster after {assembled_s:.0} s; a message is published every 20 ms, persistent, with confirms"
        ));
        let mut results = Vec::new();
        for fault in BrokerFault::ALL {
            if !self.faults.is_empty() && !self.faults.iter().any(|name| name == fault.name()) {
                continue;
            }
            (self.say)(&format!("\n[{}] {}", results.len() + 1, fault.title()));
            let result = scenario.run(fault, &mut |text| (self.say)(&format!("    {text}")))?;
            (self.say)(&format!("    {}", line(&result)));
            for problem in &result.base.problems {
                (self.say)(&format!("    PROBLEM: {problem}"));
            }
            results.push(result);
        }
        let confirmed = scenario.confirmed();
        Ok(Outcome {
            results,
            confirmed,
            assembled_s,
        })
    }
}

/// A result in one line.
pub fn line(result: &BrokerResult) -> String {
    let part =
        |name: &str, at: Option<f64>| at.map(|at| format!(", {name} {at:.2}")).unwrap_or_default();
    let base = &result.base;
    format!(
        "outage {:.2} s, {} messages lost{}{}{}{} ({} -> {})",
        base.outage_s,
        base.lost_rows,
        part("detected", base.phases.detected_s),
        part("fenced", base.phases.fenced_s),
        part("promoted", result.promoted_s),
        part("one cluster", result.whole_s),
        base.active_before,
        base.active_after,
    )
}
