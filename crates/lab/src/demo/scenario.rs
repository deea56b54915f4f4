//! One fault after the other on a running cluster, each measured and judged.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::database;
use crate::demo::cluster::{Cluster, wait_settled};
use crate::demo::fault::{Expectation, Fault};
use crate::demo::timeline;
use crate::demo::watch::Watch;
use crate::error::LabError;
use crate::host::Host;
use crate::lab::Lab;

/// How long the database may be away before a fault counts as not survived.
const OUTAGE_MAX: Duration = Duration::from_secs(90);
/// How long a cluster may take until all hosts are members again.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// After this long without an effect, a fault that must have none is over.
const QUIET: Duration = Duration::from_secs(5);
/// Names of the database's process.
const DATABASE: &str = "mariadbd mysqld";
/// Gaps up to this length are the client's and the disk's own rhythm.
const GAP_MAX: Duration = Duration::from_millis(700);

/// When what happened, seconds after the fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Phases {
    /// The cluster noticed.
    pub detected_s: Option<f64>,
    /// The lost host was confirmed dead.
    pub fenced_s: Option<f64>,
    /// The database's process was started, as seen from outside the cluster manager.
    pub started_s: Option<f64>,
    /// The client's first success.
    pub serving_s: Option<f64>,
}

/// What came of one fault.
#[derive(Debug, Clone, serde::Serialize)]
pub struct FaultResult {
    /// The fault's name.
    pub name: String,
    /// What happened, for people.
    pub title: String,
    /// Seconds between the last success before and the first success after.
    pub outage_s: f64,
    /// Acknowledged rows that are not there any more.
    pub lost_rows: usize,
    /// The timeline.
    pub phases: Phases,
    /// Who served before.
    pub active_before: String,
    /// Who serves now.
    pub active_after: String,
    /// Seconds of the outage after the detection that agents' own calls took.
    pub agents_s: Option<f64>,
    /// Seconds between the detection and the last start that were neither a fence device's nor an agent's: the
    /// manager's own. Known where the manager records its calls to the millisecond.
    pub own_s: Option<f64>,
    /// Hosts whose BMC was told to switch off or reset by the cluster.
    pub fenced: Vec<String>,
    /// What is not as it must be; empty when the fault was survived.
    pub problems: Vec<String>,
}

/// A start of both servers; times are seconds since they were switched on.
#[derive(Debug, Clone, Copy)]
pub struct ColdStart {
    /// The client's first success.
    pub outage_s: f64,
    /// The timeline; detected: the manager's first decision.
    pub phases: Phases,
    /// See [`FaultResult`].
    pub agents_s: Option<f64>,
    /// See [`FaultResult`].
    pub own_s: Option<f64>,
}

/// A cluster under a client's load.
pub struct Scenario<'a> {
    lab: &'a Lab,
    cluster: &'a dyn Cluster,
    client: Client,
    watch: Watch,
}

/// One instant, on the monotonic and on the wall clock.
#[derive(Clone, Copy)]
struct Mark {
    mono: Instant,
    wall_s: f64,
}

impl Mark {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            mono: Instant::now(),
            wall_s: wall.unwrap_or_default().as_secs_f64(),
        }
    }
}

impl<'a> Scenario<'a> {
    /// Waits until the database is served for the first time, and starts the client.
    pub fn start(lab: &'a Lab, cluster: &'a dyn Cluster) -> Result<Self, LabError> {
        let scenario = Self {
            lab,
            cluster,
            client: Client::start(&lab.namespace_file(), database::target()),
            watch: Watch::start(&cluster.servers()),
        };
        if !scenario.client.wait_success(Instant::now(), OUTAGE_MAX) {
            return Err(LabError::Client {
                what: format!(
                    "was not served within {} s: {}",
                    OUTAGE_MAX.as_secs(),
                    scenario.client.last_error()
                ),
            });
        }
        // What was installed minutes ago is on a real machine's disk; here it may be younger than the disk's
        // own interval, and a power cut would take it away.
        for host in cluster.hosts() {
            host.run(["sync"])?;
        }
        Ok(scenario)
    }

    /// Rows acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.client.acknowledged()
    }

    /// The longest time without an acknowledged row since then.
    #[must_use]
    pub fn longest_gap_s(&self, since: Instant) -> f64 {
        let gap = self.client.longest_outage(since);
        gap.map_or(0.0, |gap| gap.length().as_secs_f64())
    }

    /// Waits until nothing is left of the last fault.
    pub fn settle(&self) -> Result<(), LabError> {
        self.lab.heal()?;
        self.lab.boot()?;
        wait_settled(self.cluster, SETTLE_MAX)?;
        let steady = Duration::from_secs(1);
        if self.client.wait_steady(steady, GAP_MAX, SETTLE_MAX) {
            return Ok(());
        }
        Err(LabError::Client {
            what: format!("was not served steadily: {}", self.client.last_error()),
        })
    }

    /// Runs one fault from a settled cluster to a settled cluster. `progress` is told each step.
    pub fn run(
        &self,
        fault: Fault,
        progress: &mut dyn FnMut(&str),
    ) -> Result<FaultResult, LabError> {
        self.settle()?;
        let servers = self.cluster.servers();
        let active = self.active(&servers)?;
        let passive = servers
            .iter()
            .copied()
            .find(|host| host.name() != active.name())
            .unwrap_or(active);
        let process = active.process(DATABASE);
        progress(&format!("{} serves; now: {}", active.name(), fault.title()));
        let mark = Mark::now();
        let unclean = self.inject_and_watch(fault, active, passive)?;
        let served = self.await_effect(fault, mark, active, process.as_deref());
        let outage = self.client.longest_outage(mark.mono);
        let seconds = |at: Instant| at.saturating_duration_since(mark.mono).as_secs_f64();
        let mut result = FaultResult {
            name: fault.name().to_owned(),
            title: fault.title().to_owned(),
            outage_s: outage.map_or(0.0, |outage| outage.length().as_secs_f64()),
            lost_rows: 0,
            phases: Phases::default(),
            active_before: active.name().to_owned(),
            active_after: String::new(),
            agents_s: None,
            own_s: None,
            fenced: self.fenced(mark),
            problems: Vec::new(),
        };
        if !served {
            result.problems.push(format!(
                "the database was not served again within {} s: {}",
                OUTAGE_MAX.as_secs(),
                self.client.last_error()
            ));
            result.outage_s = seconds(Instant::now());
        }
        progress(&format!(
            "served again after {:.2} s without an answer",
            result.outage_s
        ));
        if fault == Fault::Standby {
            self.cluster.online(active)?;
        }
        if let Err(error) = self.settle() {
            result.problems.push(error.to_string());
        }
        result.fenced = self.fenced(mark);
        result.active_after = self
            .active(&servers)
            .map(|host| host.name().to_owned())
            .unwrap_or_default();
        result.lost_rows = self.client.lost_rows()?.len();
        // A restart in place may take less than what a busy machine makes any client wait: the process tells.
        let is_restarted = self.database_started_s(mark).is_some();
        let gap = outage.filter(|outage| is_restarted || outage.length() > GAP_MAX);
        result.phases = self.phases(mark, gap.map(|gap| seconds(gap.first_success)));
        let calls = self.cluster.calls_since(mark.wall_s);
        let share = timeline::share(&calls, mark.wall_s, &result.phases);
        (result.agents_s, result.own_s) = (share.agents_s, share.own_s);
        self.judge(fault, mark, &mut result);
        if fault.expectation() == Expectation::Stays && active.process(DATABASE) != process {
            result
                .problems
                .push("the database was restarted".to_owned());
        }
        if fault == Fault::AllLinksLost && !unclean {
            result
                .problems
                .push("no survivor showed the lost host as UNCLEAN (offline)".to_owned());
        }
        Ok(result)
    }

    /// Switches both servers on after both were off, until the client's first success.
    pub fn cold_start(&self) -> Result<ColdStart, LabError> {
        self.settle()?;
        let servers = self.cluster.servers();
        for server in &servers {
            server.power_off()?;
        }
        std::thread::sleep(Duration::from_secs(3));
        let mark = Mark::now();
        for server in &servers {
            server.power_on()?;
        }
        if !self.client.wait_success(mark.mono, OUTAGE_MAX) {
            return Err(LabError::Client {
                what: format!(
                    "was not served within {} s of a cold start: {}",
                    OUTAGE_MAX.as_secs(),
                    self.client.last_error()
                ),
            });
        }
        let first = self
            .client
            .longest_outage(mark.mono)
            .map_or_else(Instant::now, |outage| outage.first_success);
        let outage_s = first.saturating_duration_since(mark.mono).as_secs_f64();
        // The agents' last calls are known when they have ended.
        self.settle()?;
        let phases = self.phases(mark, Some(outage_s));
        let calls = self.cluster.calls_since(mark.wall_s);
        let share = timeline::share(&calls, mark.wall_s, &phases);
        Ok(ColdStart {
            outage_s,
            phases,
            agents_s: share.agents_s,
            own_s: share.own_s,
        })
    }

    /// Does it; for a partition also looks how the survivors show it before the fencing is through.
    fn inject_and_watch(
        &self,
        fault: Fault,
        active: &Host,
        passive: &Host,
    ) -> Result<bool, LabError> {
        fault.inject(self.cluster, active, passive)?;
        if fault != Fault::AllLinksLost {
            return Ok(false);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.cluster.shows_unclean(active) || self.cluster.shows_unclean(passive) {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }

    /// Waits until the fault's effect is over: the database has come back as it had to, or a quiet time.
    fn await_effect(&self, fault: Fault, mark: Mark, active: &Host, process: Option<&str>) -> bool {
        if fault.expectation() == Expectation::Stays {
            std::thread::sleep(QUIET);
            return self.client.wait_success(Instant::now(), OUTAGE_MAX);
        }
        let deadline = mark.mono + OUTAGE_MAX;
        while Instant::now() < deadline {
            if self.effect_is_there(fault, mark, active, process) {
                let left = deadline.saturating_duration_since(Instant::now());
                return self.client.wait_success(Instant::now(), left)
                    && self
                        .client
                        .wait_steady(Duration::from_secs(1), GAP_MAX, QUIET * 2);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// What shows from outside that the cluster has reacted.
    fn effect_is_there(
        &self,
        fault: Fault,
        mark: Mark,
        active: &Host,
        process: Option<&str>,
    ) -> bool {
        let elsewhere = || {
            let servers = self.cluster.servers();
            servers
                .iter()
                .any(|host| host.name() != active.name() && host.has_shared_mounted())
        };
        match fault {
            Fault::ProcessDeath => {
                elsewhere()
                    || active
                        .process(DATABASE)
                        .is_some_and(|now| Some(now.as_str()) != process)
            }
            Fault::BothReset => self
                .watch
                .seen()
                .mounted
                .iter()
                .any(|(at, _)| *at > mark.mono),
            Fault::AllLinksLost => !self.fenced(mark).is_empty(),
            _ => elsewhere(),
        }
    }

    fn active<'h>(&self, servers: &[&'h Host]) -> Result<&'h Host, LabError> {
        servers
            .iter()
            .copied()
            .find(|host| host.has_shared_mounted())
            .ok_or_else(|| LabError::Client {
                what: "found no server with the shared disk mounted".to_owned(),
            })
    }

    /// Who was switched off or reset through its BMC since then, in order.
    fn fenced(&self, mark: Mark) -> Vec<String> {
        let mut fenced: Vec<(f64, String)> = Vec::new();
        for host in self.cluster.hosts() {
            let log = host.power_log();
            let first = log
                .iter()
                .find(|(at, what)| *at >= mark.wall_s && is_fencing(what));
            fenced.extend(first.map(|(at, _)| (*at, host.name().to_owned())));
        }
        fenced.sort_by(|a, b| a.0.total_cmp(&b.0));
        fenced.into_iter().map(|(_, name)| name).collect()
    }

    /// The timeline: the manager's own record, and what the lab saw from outside.
    fn phases(&self, mark: Mark, serving_s: Option<f64>) -> Phases {
        let milestones = self.cluster.milestones(mark.wall_s);
        let recorded = |name: &str| {
            milestones
                .iter()
                .filter(|milestone| milestone.name == name)
                .map(|milestone| milestone.at_s - mark.wall_s)
                .reduce(f64::min)
        };
        let (mut asked, mut fenced) = (None, None);
        for host in self.cluster.hosts() {
            let mut by_bmc = false;
            for (at, what) in host.power_log() {
                if at < mark.wall_s {
                    continue;
                }
                if is_fencing(&what) {
                    by_bmc = true;
                    asked = asked.or(Some(at - mark.wall_s));
                } else if what.starts_with("done") && by_bmc {
                    fenced = fenced.or(Some(at - mark.wall_s));
                }
            }
        }
        Phases {
            // Where nobody was lost, what the manager did first shows that it knew.
            detected_s: recorded("detected")
                .or(asked)
                .or_else(|| serving_s.and(recorded("decided"))),
            fenced_s: recorded("fenced").or(fenced),
            started_s: serving_s.and(self.database_started_s(mark)),
            serving_s,
        }
    }

    /// When the database's process that runs now was started, if that was after `mark`; seconds after it.
    fn database_started_s(&self, mark: Mark) -> Option<f64> {
        let servers = self.cluster.servers();
        let started = servers.into_iter().filter_map(|host| {
            let at = host.process_started_s(DATABASE)? - mark.wall_s;
            (at > 0.0).then_some(at)
        });
        started.reduce(f64::min)
    }

    fn judge(&self, fault: Fault, mark: Mark, result: &mut FaultResult) {
        let mut problem = |text: String| result.problems.push(text);
        if result.lost_rows > 0 {
            problem(format!("{} acknowledged rows are lost", result.lost_rows));
        }
        let doubles = self.watch.seen().double;
        if let Some((_, both)) = doubles.iter().find(|(at, _)| *at >= mark.mono) {
            problem(format!(
                "the shared disk was mounted on {} at once",
                both.join(" and ")
            ));
        }
        let stayed = result.active_before == result.active_after;
        match fault.expectation() {
            Expectation::Moves if stayed => problem("the database did not move".to_owned()),
            Expectation::Stays if !stayed => problem("the database moved".to_owned()),
            Expectation::Stays if result.outage_s > 1.0 => {
                problem(format!(
                    "an outage of {:.2} s where none is allowed",
                    result.outage_s
                ));
            }
            _ => {}
        }
        let fenced = result.fenced.len();
        let wanted = usize::from(fault.is_fenced());
        if fenced != wanted && fault != Fault::BothReset {
            let names = result.fenced.join(" and ");
            problem(format!(
                "{fenced} hosts were fenced ({names}), {wanted} had to be"
            ));
        }
    }
}

/// A line of a power log that tells of the host's power being switched through its BMC.
pub(crate) fn is_fencing(line: &str) -> bool {
    line.starts_with("set ") && line.contains("(bmc")
}
