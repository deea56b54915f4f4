//! Fault after fault on Galera under a client's load, each measured and judged.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::demo::cluster::{Cluster, wait_settled};
use crate::demo::galera::fault::GaleraFault;
use crate::demo::scenario::{FaultResult, Phases, is_fencing};
use crate::error::LabError;
use crate::galera;
use crate::host::Host;
use crate::lab::Lab;
use crate::layout::VIRTUAL_ADDRESS;

/// How long the database may be away before a fault counts as not survived.
const OUTAGE_MAX: Duration = Duration::from_secs(180);
/// How long a cluster may take until every host is a member again and every server has the data.
const SETTLE_MAX: Duration = Duration::from_secs(240);
/// A fault without an effect of its own is watched for so long.
const QUIET: Duration = Duration::from_secs(8);
/// Gaps up to this length are the client's and the disks' own rhythm.
const GAP_MAX: Duration = Duration::from_millis(900);

/// Galera under a client's load.
pub struct GaleraScenario<'a> {
    lab: &'a Lab,
    cluster: &'a dyn Cluster,
    client: Client,
}

impl<'a> GaleraScenario<'a> {
    /// Waits until the database is served for the first time, and starts the client.
    pub fn start(lab: &'a Lab, cluster: &'a dyn Cluster) -> Result<Self, LabError> {
        let scenario = Self {
            lab,
            cluster,
            client: Client::start(&lab.namespace_file(), galera::target()),
        };
        if !scenario.client.wait_success(Instant::now(), OUTAGE_MAX) {
            return Err(scenario.unserved());
        }
        Ok(scenario)
    }

    /// Rows acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.client.acknowledged()
    }

    fn unserved(&self) -> LabError {
        LabError::Client {
            what: format!("was not served: {}", self.client.last_error()),
        }
    }

    /// Waits until nothing is left of the last fault: all hosts are members, and every server is synced.
    pub fn settle(&self) -> Result<(), LabError> {
        self.lab.heal()?;
        self.lab.boot()?;
        wait_settled(self.cluster, SETTLE_MAX)?;
        let deadline = Instant::now() + SETTLE_MAX;
        for host in self.cluster.servers() {
            while let Err(problem) = synced(host) {
                if Instant::now() > deadline {
                    return Err(LabError::Client {
                        what: format!(
                            "waited {} s for {}: {problem}",
                            SETTLE_MAX.as_secs(),
                            host.name()
                        ),
                    });
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        wait_settled(self.cluster, SETTLE_MAX)?;
        // A state transfer writes files that nobody syncs. On a real machine the disk's own interval is over long
        // before the next power cut; here it may not be, and Aria does not start on half a log.
        for host in self.cluster.hosts() {
            host.run(["sync"])?;
        }
        if self
            .client
            .wait_steady(Duration::from_secs(2), GAP_MAX, SETTLE_MAX)
        {
            return Ok(());
        }
        Err(self.unserved())
    }

    /// Runs one fault from a settled cluster to a settled cluster. `progress` is told each step.
    pub fn run(
        &self,
        fault: GaleraFault,
        progress: &mut dyn FnMut(&str),
    ) -> Result<FaultResult, LabError> {
        self.settle()?;
        let servers = self.cluster.servers();
        let active = self.active().ok_or_else(|| LabError::Client {
            what: "found no server with the address".to_owned(),
        })?;
        let other = servers
            .iter()
            .copied()
            .find(|host| host.name() != active.name())
            .unwrap_or(active);
        progress(&format!(
            "{} has the address; now: {}",
            active.name(),
            fault.title()
        ));
        let (mono, wall_s) = (Instant::now(), wall_s());
        fault.inject(self.cluster, active, other)?;
        let served = self.await_effect(fault, mono)?;
        let mut result = FaultResult {
            name: fault.name().to_owned(),
            title: fault.title().to_owned(),
            outage_s: self.outage_s(mono),
            lost_rows: 0,
            phases: Phases::default(),
            active_before: active.name().to_owned(),
            active_after: String::new(),
            agents_s: None,
            own_s: None,
            fenced: Vec::new(),
            problems: Vec::new(),
        };
        if !served {
            result.problems.push(self.unserved().to_string());
            result.outage_s = mono.elapsed().as_secs_f64();
        }
        progress(&format!(
            "served again after {:.2} s without an answer",
            result.outage_s
        ));
        if fault == GaleraFault::Standby {
            self.cluster.online(active)?;
        }
        if let Err(error) = self.settle() {
            result.problems.push(error.to_string());
        }
        // What happened while the lost server came back counts, too.
        result.outage_s = result.outage_s.max(self.outage_s(mono));
        progress(&format!(
            "all is well again after {:.1} s",
            mono.elapsed().as_secs_f64()
        ));
        result.active_after = self
            .active()
            .map(|host| host.name().to_owned())
            .unwrap_or_default();
        result.lost_rows = self.client.lost_rows()?.len();
        result.fenced = self.fenced(wall_s);
        result.phases = self.phases(mono, wall_s);
        self.judge(fault, &mut result);
        Ok(result)
    }

    fn outage_s(&self, since: Instant) -> f64 {
        let gap = self.client.longest_outage(since);
        gap.map_or(0.0, |gap| gap.length().as_secs_f64())
    }

    /// Waits until the fault's effect is over.
    fn await_effect(&self, fault: GaleraFault, since: Instant) -> Result<bool, LabError> {
        if fault == GaleraFault::StopStart {
            self.wait_stopped()?;
            self.cluster.start_all()?;
        } else {
            // Whatever the fault does to the clients, it does it within this time.
            std::thread::sleep(QUIET);
        }
        Ok(self
            .client
            .wait_success(Instant::now(), OUTAGE_MAX.saturating_sub(since.elapsed()))
            && self
                .client
                .wait_steady(Duration::from_secs(2), GAP_MAX, OUTAGE_MAX))
    }

    fn wait_stopped(&self) -> Result<(), LabError> {
        let deadline = Instant::now() + OUTAGE_MAX;
        let runs = |host: &&Host| {
            host.process("mariadbd mysqld").is_some() || host.has_address(VIRTUAL_ADDRESS)
        };
        while self.cluster.servers().iter().any(runs) {
            if Instant::now() > deadline {
                return Err(LabError::Client {
                    what: "waited 180 s for a clean stop".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn active(&self) -> Option<&Host> {
        self.cluster
            .servers()
            .into_iter()
            .find(|host| host.has_address(VIRTUAL_ADDRESS))
    }

    /// Who was switched off or reset through its BMC since then.
    fn fenced(&self, since_s: f64) -> Vec<String> {
        let fenced = |host: &&Host| {
            let log = host.power_log();
            log.iter()
                .any(|(at, what)| *at >= since_s && is_fencing(what))
        };
        self.cluster
            .hosts()
            .iter()
            .filter(fenced)
            .map(|host| host.name().to_owned())
            .collect()
    }

    fn phases(&self, mono: Instant, wall_s: f64) -> Phases {
        let milestones = self.cluster.milestones(wall_s);
        let recorded = |name: &str| {
            let found = milestones.iter().filter(|milestone| milestone.name == name);
            found
                .map(|milestone| milestone.at_s - wall_s)
                .reduce(f64::min)
        };
        let outage = self
            .client
            .longest_outage(mono)
            .filter(|outage| outage.length() > GAP_MAX);
        Phases {
            detected_s: recorded("detected").or_else(|| outage.and(recorded("decided"))),
            fenced_s: recorded("fenced"),
            started_s: None,
            serving_s: outage.map(|outage| {
                outage
                    .first_success
                    .saturating_duration_since(mono)
                    .as_secs_f64()
            }),
        }
    }

    fn judge(&self, fault: GaleraFault, result: &mut FaultResult) {
        let mut problem = |text: String| result.problems.push(text);
        if result.lost_rows > 0 {
            problem(format!("{} acknowledged rows are lost", result.lost_rows));
        }
        let stayed = result.active_before == result.active_after;
        match fault.moves() {
            Some(true) if stayed => problem("the address did not move".to_owned()),
            Some(false) if !stayed => problem("the address moved".to_owned()),
            _ => {}
        }
        let fenced = result.fenced.len();
        if let Some(wanted) = fault.fences().filter(|wanted| *wanted != fenced) {
            problem(format!(
                "{fenced} hosts were fenced ({}), {wanted} had to be",
                result.fenced.join(" and ")
            ));
        }
        let servers = self.cluster.servers();
        let uuids: Vec<String> = servers
            .iter()
            .map(|host| status_value(host, "wsrep_cluster_state_uuid"))
            .collect();
        if uuids.windows(2).any(|pair| pair[0] != pair[1]) {
            problem(format!(
                "the servers are of different clusters: {}",
                uuids.join(", ")
            ));
        }
    }
}

fn wall_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn query(host: &Host, statement: &str) -> Result<String, LabError> {
    host.run([
        "mariadb",
        "--user=root",
        "--password=root",
        "--batch",
        "--skip-column-names",
        "-e",
        statement,
    ])
}

fn status_value(host: &Host, name: &str) -> String {
    let text = query(host, &format!("SHOW STATUS LIKE '{name}'")).unwrap_or_default();
    text.split_whitespace().nth(1).unwrap_or("").to_owned()
}

/// Whether the server is a synced member of the primary component together with all others.
fn synced(host: &Host) -> Result<(), String> {
    let state = status_value(host, "wsrep_local_state_comment");
    let size = status_value(host, "wsrep_cluster_size");
    let status = status_value(host, "wsrep_cluster_status");
    if (state.as_str(), size.as_str(), status.as_str()) == ("Synced", "3", "Primary") {
        return Ok(());
    }
    Err(format!(
        "it is {state:?} in a {status:?} component of {size:?} members"
    ))
}
