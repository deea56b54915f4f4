//! Fault after fault on the brokers under a publisher's load, each measured and judged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::demo::cluster::{Cluster, wait_settled};
use crate::demo::rabbitmq::fault::BrokerFault;
use crate::demo::scenario::{FaultResult, Phases, is_fencing};
use crate::error::LabError;
use crate::host::Host;
use crate::lab::Lab;
use crate::publisher::Publisher;
use crate::rabbitmq;

/// How long until all brokers may be one cluster again; after the loss of all, agents wait for each other.
const WHOLE_MAX: Duration = Duration::from_secs(420);
/// How long a network stays cut: longer than brokers take to notice.
const CUT: Duration = Duration::from_secs(80);
/// Gaps up to this length are the publisher's and the disks' own rhythm.
const GAP_MAX: Duration = Duration::from_millis(900);
/// Between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(400);

/// What came of one fault.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BrokerResult {
    /// As for every demo; rows are messages.
    #[serde(flatten)]
    pub base: FaultResult,
    /// Seconds until another (or the same) broker was promoted, where one was.
    pub promoted_s: Option<f64>,
    /// Seconds until all brokers were one cluster again.
    pub whole_s: Option<f64>,
    /// Messages confirmed until then, since the demo began.
    pub confirmed: usize,
}

/// Brokers under a publisher's load.
pub struct BrokerScenario<'a> {
    lab: &'a Lab,
    cluster: &'a dyn Cluster,
    publisher: Publisher,
    /// Messages that were consumed, or found lost, by earlier faults.
    accounted: BTreeSet<u64>,
    /// Seconds from the first look until the brokers were one cluster.
    pub assembled_s: f64,
}

impl<'a> BrokerScenario<'a> {
    /// Waits until the brokers are one cluster, sets it up as documented and starts the publisher.
    pub fn start(lab: &'a Lab, cluster: &'a dyn Cluster) -> Result<Self, LabError> {
        let began = Instant::now();
        wait_whole(lab, cluster, None, Instant::now() + WHOLE_MAX)?;
        let assembled_s = began.elapsed().as_secs_f64();
        rabbitmq::provision(&lab.hosts()[0])?;
        let hosts: Vec<String> = lab
            .hosts()
            .iter()
            .map(|host| host.address(crate::layout::Link::Service))
            .collect();
        let publisher = Publisher::start(
            &lab.namespace_file(),
            rabbitmq::QUEUE,
            &hosts,
            rabbitmq::PASSWORD,
        )?;
        let scenario = Self {
            lab,
            cluster,
            publisher,
            accounted: BTreeSet::new(),
            assembled_s,
        };
        for host in cluster.hosts() {
            host.run(["sync"])?;
        }
        scenario.wait_steady(Duration::from_secs(60))?;
        Ok(scenario)
    }

    /// Messages confirmed so far.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.publisher.confirmed()
    }

    fn wait_steady(&self, patience: Duration) -> Result<(), LabError> {
        let deadline = Instant::now() + patience;
        while !self.publisher.is_steady(Duration::from_secs(3), GAP_MAX) {
            if Instant::now() > deadline {
                let what = format!(
                    "could not publish steadily: {}",
                    self.publisher.last_error()
                );
                return Err(LabError::Client { what });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Runs one fault from a whole cluster to a whole cluster. `progress` is told each step.
    pub fn run(
        &mut self,
        fault: BrokerFault,
        progress: &mut dyn FnMut(&str),
    ) -> Result<BrokerResult, LabError> {
        self.lab.heal()?;
        self.lab.boot()?;
        wait_whole(self.lab, self.cluster, None, Instant::now() + WHOLE_MAX)?;
        self.wait_steady(WHOLE_MAX)?;
        let (promoted, other) = self.parts()?;
        progress(&format!(
            "{} is promoted; now: {}",
            promoted.name(),
            fault.title()
        ));
        let (mono, wall_s) = (Instant::now(), wall_s());
        fault.inject(promoted, other, self.lab.hosts())?;
        let seconds = |at: Instant| at.saturating_duration_since(mono).as_secs_f64();
        let victim = if fault.spares_the_promoted() {
            other
        } else {
            promoted
        };
        let watched = self.watch(fault, promoted.name(), victim, mono, wall_s);
        let mut problems = watched.problems;
        self.lab.heal()?;
        self.lab.boot()?;
        if let Err(error) = self.wait_steady(Duration::from_secs(120)) {
            problems.push(error.to_string());
        }
        let outage = self.publisher.longest_outage(mono);
        let gap = outage.filter(|outage| outage.length() > GAP_MAX);
        let milestones = self.cluster.milestones(wall_s);
        let recorded = |name: &str| {
            let found = milestones.iter().filter(|milestone| milestone.name == name);
            let at = found.map(|milestone| milestone.at_s - wall_s);
            at.reduce(f64::min)
        };
        let mut result = BrokerResult {
            base: FaultResult {
                name: fault.name().to_owned(),
                title: fault.title().to_owned(),
                outage_s: outage.map_or(0.0, |outage| outage.length().as_secs_f64()),
                lost_rows: self.lost()?,
                phases: Phases {
                    detected_s: recorded("detected"),
                    fenced_s: recorded("fenced"),
                    started_s: None,
                    serving_s: gap.map(|gap| seconds(gap.first_success)),
                },
                active_before: promoted.name().to_owned(),
                active_after: self.promoted().concat(),
                agents_s: None,
                own_s: None,
                fenced: self.fenced(wall_s),
                problems,
            },
            promoted_s: watched.promoted.map(seconds),
            whole_s: watched.whole.map(seconds),
            confirmed: self.publisher.confirmed(),
        };
        self.judge(fault, victim, wall_s, watched.has_left, &mut result.base);
        Ok(result)
    }

    /// The promoted broker's host and another.
    fn parts(&self) -> Result<(&'a Host, &'a Host), LabError> {
        let promoted = self.promoted();
        let hosts = self.lab.hosts();
        let first = hosts.iter().find(|host| promoted == [host.name()]);
        let other = hosts.iter().find(|host| promoted != [host.name()]);
        first.zip(other).ok_or_else(|| LabError::Client {
            what: format!("found these brokers promoted: {promoted:?}"),
        })
    }

    /// Who is promoted, as a living host's manager says.
    fn promoted(&self) -> Vec<String> {
        promoted(self.cluster)
    }

    fn watch(
        &self,
        fault: BrokerFault,
        before: &str,
        victim: &Host,
        mono: Instant,
        wall_s: f64,
    ) -> Watched {
        let mut watched = Watched::default();
        let deadline = mono + WHOLE_MAX;
        if fault == BrokerFault::NetworkBetween {
            self.look_until(mono + CUT, before, &mut watched);
            if let Err(error) = self.lab.heal() {
                watched.problems.push(error.to_string());
            }
        }
        // Cables stay pulled over the boot of a fenced host: somebody has to plug them in.
        if fault == BrokerFault::CutOff {
            let fenced = || !self.fenced(wall_s).is_empty();
            while !fenced() && Instant::now() < deadline {
                self.look(before, &mut watched);
                std::thread::sleep(LOOK);
            }
            if let Err(error) = self.lab.heal() {
                watched.problems.push(error.to_string());
            }
        }
        let is_new = |host: &Host| {
            let started = host.process_started_s("beam.smp");
            started.is_some_and(|at| at > wall_s)
        };
        let mut next_look = Instant::now();
        while Instant::now() < deadline {
            self.look(before, &mut watched);
            let has_acted = fault == BrokerFault::NetworkBetween || is_new(victim);
            if has_acted && Instant::now() >= next_look {
                if is_whole(self.lab, self.cluster).is_ok() {
                    watched.whole = Some(Instant::now());
                    return watched;
                }
                next_look = Instant::now() + Duration::from_secs(3);
            }
            std::thread::sleep(LOOK);
        }
        let state = is_whole(self.lab, self.cluster).err().unwrap_or_default();
        watched.problems.push(format!(
            "the brokers were not one cluster within {} s: {state}",
            WHOLE_MAX.as_secs()
        ));
        watched
    }

    fn look_until(&self, end: Instant, before: &str, watched: &mut Watched) {
        while Instant::now() < end {
            self.look(before, watched);
            std::thread::sleep(LOOK);
        }
    }

    fn look(&self, before: &str, watched: &mut Watched) {
        let now = self.promoted();
        watched.has_left |= now != [before];
        // A host that boots alone shows what it remembers: only a broker that runs is promoted.
        let runs = |name: &String| {
            let host = self.lab.host(name);
            host.is_ok_and(|host| host.process("beam.smp").is_some())
        };
        if watched.has_left && now.len() == 1 && watched.promoted.is_none() && runs(&now[0]) {
            watched.promoted = Some(Instant::now());
        }
    }

    /// Confirmed messages that are not there any more. Consumes what is.
    fn lost(&mut self) -> Result<usize, LabError> {
        let confirmed = self.publisher.numbers();
        let Some(last) = confirmed.last() else {
            return Ok(0);
        };
        let consumed = self.publisher.drain(*last)?;
        self.accounted.extend(consumed);
        let lost: Vec<u64> = confirmed
            .into_iter()
            .filter(|number| !self.accounted.contains(number))
            .collect();
        // Each is counted once.
        self.accounted.extend(&lost);
        Ok(lost.len())
    }

    /// Who was switched off or reset through its BMC since then.
    fn fenced(&self, wall_s: f64) -> Vec<String> {
        let was_fenced = |host: &&Host| {
            let log = host.power_log();
            log.iter()
                .any(|(at, what)| *at >= wall_s && is_fencing(what))
        };
        let hosts = self.lab.hosts().iter().filter(was_fenced);
        hosts.map(|host| host.name().to_owned()).collect()
    }

    fn judge(
        &self,
        fault: BrokerFault,
        victim: &Host,
        wall_s: f64,
        has_left: bool,
        result: &mut FaultResult,
    ) {
        let mut problem = |text: String| result.problems.push(text);
        if fault.is_single_loss() && result.lost_rows > 0 {
            problem(format!("{} confirmed messages are lost", result.lost_rows));
        }
        if fault.spares_the_promoted() && (has_left || result.active_before != result.active_after)
        {
            problem("a healthy broker was demoted because another one died".to_owned());
        }
        let fenced = result.fenced.len();
        if let Some(wanted) = fault.fences().filter(|wanted| *wanted != fenced) {
            problem(format!(
                "{fenced} hosts were fenced ({}), {wanted} had to be",
                result.fenced.join(" and ")
            ));
        }
        if fault.fences() == Some(1) {
            for host in self.lab.hosts() {
                if host.name() != victim.name() && !heard_post_stop(host, wall_s) {
                    problem(format!("{} did not hear of the fenced broker", host.name()));
                }
            }
        }
        if fault.is_single_loss() {
            for what in rabbitmq::forgotten(&self.lab.hosts()[0]) {
                problem(format!("the brokers have forgotten {what}"));
            }
        }
    }
}

#[derive(Default)]
struct Watched {
    /// The promoted broker was not promoted for a moment.
    has_left: bool,
    promoted: Option<Instant>,
    whole: Option<Instant>,
    problems: Vec<String>,
}

/// The agent's own log says whether it was called.
fn heard_post_stop(host: &Host, since_s: f64) -> bool {
    let since = format!("@{}", since_s.floor());
    host.run(["journalctl", "--no-pager", "-o", "cat", "--since", &since])
        .is_ok_and(|text| text.contains("notify: post-stop begin"))
}

fn promoted(cluster: &dyn Cluster) -> Vec<String> {
    let words: &[&str] = match cluster.name() {
        "quorate" => &["quorate", "tool", "crm_mon", "-1", "--output-as=xml"],
        _ => &["crm_mon", "-1", "--output-as=xml"],
    };
    let living = cluster.hosts().iter().filter(|host| host.init().is_some());
    let answer = living
        .filter_map(|host| host.output(words.iter().copied()).ok())
        .find(|output| output.status.success());
    let text = answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    promoted_in(&text.unwrap_or_default())
}

/// Hosts with a promoted broker in `crm_mon`'s XML.
fn promoted_in(xml: &str) -> Vec<String> {
    let mut hosts: Vec<String> = xml
        .split("<resource ")
        .skip(1)
        .filter(|part| part.starts_with("id=\"rabbitmq"))
        .filter(|part| {
            let own = part.split('>').next().unwrap_or("");
            own.contains("role=\"Promoted\"") || own.contains("role=\"Master\"")
        })
        .filter_map(|part| {
            let (_, rest) = part.split_once("<node name=\"")?;
            Some(rest.split('"').next()?.to_owned())
        })
        .collect();
    hosts.sort();
    hosts
}

/// Every host's broker sees all others, one is promoted, and the manager has nothing left to do.
fn is_whole(lab: &Lab, cluster: &dyn Cluster) -> Result<(), String> {
    let now = promoted(cluster);
    if now.len() != 1 {
        return Err(format!("{now:?} are promoted"));
    }
    let mut all: Vec<String> = lab
        .hosts()
        .iter()
        .map(|host| host.name().to_owned())
        .collect();
    all.sort();
    for host in lab.hosts() {
        let seen = rabbitmq::brokers(host);
        if seen != all {
            return Err(format!("{} sees the brokers {seen:?}", host.name()));
        }
    }
    Ok(())
}

fn wait_whole(
    lab: &Lab,
    cluster: &dyn Cluster,
    why: Option<&str>,
    deadline: Instant,
) -> Result<(), LabError> {
    loop {
        match is_whole(lab, cluster) {
            Ok(()) => break,
            Err(problem) if Instant::now() > deadline => {
                let what = format!(
                    "waited for one broker cluster{}, but {problem}",
                    why.unwrap_or("")
                );
                return Err(LabError::Client { what });
            }
            Err(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
    wait_settled(cluster, Duration::from_secs(180))
}

fn wall_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promoted_brokers_are_read_from_a_status() {
        let xml = r#"<clone id="ms-rabbitmq"><resource id="rabbitmq" role="Unpromoted" active="true"><node name="c1" id="1"/></resource>
            <resource id="rabbitmq:1" role="Promoted" active="true"><node name="c2" id="2"/></resource></clone>
            <resource id="other" role="Promoted"><node name="c3" id="3"/></resource>"#;
        assert_eq!(promoted_in(xml), ["c2"]);
    }
}
