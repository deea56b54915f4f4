//! `cargo xtask demo --galera`: a replicated database behind a load balancer, broken in twelve ways.

use std::path::Path;

use quorate_lab::demo::{Cluster, FaultResult, GaleraFault, GaleraScenario, Peer, Quorate};
use quorate_lab::galera::{self, CONTROLLERS, Setup, TIEBREAKER};
use quorate_lab::{Lab, LabError, LabOptions};

/// What the demo was asked for.
pub struct GaleraDemo<'a> {
    /// Only these faults; all when empty.
    pub faults: &'a [String],
    /// Milliseconds without an answer after which a node counts as lost.
    pub detection_ms: u64,
    /// Whether the peer (Pacemaker) manages.
    pub is_peer: bool,
    /// State transfer, entry, timers.
    pub setup: Setup,
    /// Where each line of progress goes.
    pub say: &'a dyn Fn(&str),
}

impl GaleraDemo<'_> {
    /// The lab: two controllers and the tiebreaker.
    pub fn lab(name: &str, program: &Path) -> Result<Lab, LabError> {
        let mut options = LabOptions::new(name, &[CONTROLLERS[0], CONTROLLERS[1], TIEBREAKER]);
        options.install = vec![("/usr/sbin/quorate".into(), program.to_owned())];
        Lab::up(&options)
    }

    /// Forms the cluster on a lab and breaks it.
    pub fn on_lab(&self, lab: &Lab) -> Result<(Vec<FaultResult>, usize), LabError> {
        (self.say)("bringing up the first database as documented");
        galera::prepare(lab.hosts(), self.setup)?;
        let configuration = galera::configuration(lab.hosts(), self.setup);
        (self.say)("forming the cluster");
        if self.is_peer {
            let peer = Peer::form(lab, &CONTROLLERS, self.detection_ms, &configuration)?;
            self.play(lab, &peer)
        } else {
            let quorate = Quorate::form(lab, &CONTROLLERS, self.detection_ms, &configuration)?;
            self.play(lab, &quorate)
        }
    }

    fn play(
        &self,
        lab: &Lab,
        cluster: &dyn Cluster,
    ) -> Result<(Vec<FaultResult>, usize), LabError> {
        let scenario = GaleraScenario::start(lab, cluster)?;
        (self.say)("the client writes a row every 20 ms through the virtual address");
        let mut results = Vec::new();
        for fault in GaleraFault::ALL {
            if !self.faults.is_empty() && !self.faults.iter().any(|name| name == fault.name()) {
                continue;
            }
            (self.say)(&format!("\n[{}] {}", results.len() + 1, fault.title()));
            let result = scenario.run(fault, &mut |text| (self.say)(&format!("    {text}")))?;
            (self.say)(&format!("    {}", crate::demo::line(&result)));
            for problem in &result.problems {
                (self.say)(&format!("    PROBLEM: {problem}"));
            }
            results.push(result);
        }
        Ok((results, scenario.acknowledged()))
    }
}
