//! What the demo and the benchmark ask of a cluster manager, and Quorate's answers.

use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::host::Host;
use crate::lab::Lab;
use crate::layout::Link;

/// A point of an incident's timeline as the manager recorded it.
#[derive(Debug, Clone, PartialEq)]
pub struct Milestone {
    /// `detected`, `fenced`, `started` ...
    pub name: String,
    /// Unix seconds.
    pub at_s: f64,
}

/// One agent's call as the manager recorded it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The resource.
    pub resource: String,
    /// `start`, `stop`, `monitor` ...
    pub action: String,
    /// Seconds it took.
    pub took_s: f64,
    /// When it ended, Unix seconds, where that is known to the millisecond.
    pub ended_s: Option<f64>,
}

/// The last call of each kind in a status (`cibadmin --query`), of those that ended after the time given.
pub(crate) fn calls(xml: &str, since_s: f64) -> Vec<Call> {
    let mut found = Vec::new();
    let mut resource = String::new();
    for line in xml.replace("><", ">\n<").lines() {
        let field = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}=\""))?;
            Some(rest.split('"').next()?.to_owned())
        };
        let line = line.trim_start();
        if line.starts_with("<lrm_resource ") {
            resource = field("id").unwrap_or_default();
        } else if line.starts_with("<lrm_rsc_op ") {
            let number = |name: &str| field(name).and_then(|value| value.parse::<f64>().ok());
            // The record has whole seconds.
            if number("last-rc-change").is_some_and(|at| at >= since_s.floor()) {
                found.push(Call {
                    resource: resource.clone(),
                    action: field("operation").unwrap_or_default(),
                    took_s: number("exec-time").unwrap_or(0.0) / 1000.0,
                    ended_s: None,
                });
            }
        }
    }
    found
}

/// A cluster manager on the hosts of a lab.
pub trait Cluster: Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;
    /// The hosts that can run the database.
    fn servers(&self) -> Vec<&Host>;
    /// All hosts.
    fn hosts(&self) -> &[Host];
    /// Whether every host is a member in good standing and nothing is in transition; else what is missing.
    fn settled(&self) -> Result<(), String>;
    /// Moves everything off a server.
    fn standby(&self, server: &Host) -> Result<(), LabError>;
    /// Lets a server take resources again.
    fn online(&self, server: &Host) -> Result<(), LabError>;
    /// Stops every resource in order.
    fn stop_all(&self) -> Result<(), LabError>;
    /// Starts every resource again.
    fn start_all(&self) -> Result<(), LabError>;
    /// The host whose daemon decides.
    fn leader(&self) -> Option<String>;
    /// Kills the deciding daemon of a host, which its service manager starts again.
    fn kill_daemon(&self, host: &Host) -> Result<(), LabError>;
    /// What the manager recorded since then (Unix seconds).
    fn milestones(&self, since_s: f64) -> Vec<Milestone>;
    /// Agents' calls that ended after the time given (Unix seconds): the last of each kind.
    fn calls_since(&self, since_s: f64) -> Vec<Call>;
    /// Names of the processes that the manager itself consists of.
    fn daemons(&self) -> Vec<&'static str>;
    /// Whether a survivor shows the host as lost and not yet fenced.
    fn shows_unclean(&self, host: &Host) -> bool;
}

/// Active with nothing under way, in one place; a copy of a clone wherever it is.
fn is_started(resource: &serde_json::Value, is_copy: bool) -> bool {
    let active = resource["active"].as_array().map_or(&[][..], Vec::as_slice);
    let is_well = |one: &serde_json::Value| {
        one["role"] != "Stopped"
            && one["pending"].is_null()
            && one["is_failed"] == false
            && one["is_uncertain"] == false
    };
    match active.len() {
        0 => false,
        1 => is_well(&active[0]),
        _ => is_copy && active.iter().all(is_well),
    }
}

/// The first resource of a status that is not started as it should be.
fn unfinished(status: &serde_json::Value) -> Option<String> {
    // Depth of the clone that the resources are in.
    let mut clone: Option<u64> = None;
    for resource in status["resources"].as_array().into_iter().flatten() {
        let depth = resource["depth"].as_u64().unwrap_or(0);
        if clone.is_some_and(|clone| depth <= clone) {
            clone = None;
        }
        if resource["kind"] == "clone" {
            clone = Some(depth);
        }
        let is_wanted = resource["kind"] == "primitive" && resource["is_disabled"] == false;
        if is_wanted && !is_started(resource, clone.is_some()) {
            return resource["id"].as_str().map(str::to_owned);
        }
    }
    None
}

/// Waits until a cluster is settled.
pub(crate) fn wait_settled(cluster: &dyn Cluster, patience: Duration) -> Result<(), LabError> {
    let deadline = Instant::now() + patience;
    loop {
        match cluster.settled() {
            Ok(()) => return Ok(()),
            Err(problem) if Instant::now() > deadline => {
                return Err(LabError::Client {
                    what: format!(
                        "waited {} s for {} to settle, but {problem}",
                        patience.as_secs(),
                        cluster.name()
                    ),
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// Quorate on a lab.
#[derive(Debug)]
pub struct Quorate<'a> {
    lab: &'a Lab,
    servers: Vec<&'a Host>,
}

impl<'a> Quorate<'a> {
    /// Makes a cluster of all hosts of the lab; those named are servers, the others witnesses.
    pub fn form(
        lab: &'a Lab,
        servers: &[&str],
        detection_ms: u64,
        configuration: &str,
    ) -> Result<Self, LabError> {
        let cluster = Self {
            lab,
            servers: servers
                .iter()
                .map(|name| lab.host(name))
                .collect::<Result<_, _>>()?,
        };
        let first = cluster.servers[0];
        let mut init: Vec<String> = ["quorate", "init", "--cluster", "wiki", "--detection-ms"]
            .map(str::to_owned)
            .to_vec();
        init.push(detection_ms.to_string());
        init.extend(addresses(first));
        first.run(init)?;
        first.run(["systemctl", "enable", "--now", "quorate"])?;
        for host in lab
            .hosts()
            .iter()
            .filter(|host| host.name() != first.name())
        {
            let token = cluster.patiently(first, &["quorate", "--json", "token", "create"])?;
            let token = string_field(&token, "token").ok_or_else(|| LabError::Client {
                what: format!("found no token in {token:?}"),
            })?;
            let mut join = vec!["quorate".to_owned(), "join".to_owned(), token];
            join.extend(addresses(host));
            if !servers.contains(&host.name()) {
                join.push("--witness".to_owned());
            }
            host.run(join)?;
            host.run(["systemctl", "enable", "--now", "quorate"])?;
        }
        cluster.apply(configuration)?;
        Ok(cluster)
    }

    /// Loads a configuration.
    fn apply(&self, configuration: &str) -> Result<(), LabError> {
        let first = self.servers[0];
        first.write("/root/cluster.crm", configuration)?;
        self.patiently(first, &["quorate", "--yes", "apply", "/root/cluster.crm"])
            .map(drop)
    }

    /// A young cluster may have no leader for a moment.
    fn patiently(&self, host: &Host, words: &[&str]) -> Result<String, LabError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match host.run(words) {
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                other => return other,
            }
        }
    }

    /// All that the cluster remembers.
    fn history(&self) -> Vec<serde_json::Value> {
        let words = ["quorate", "--json", "history", "--operations", "-n", "1000"];
        let answer = self.ask(&words).unwrap_or_default();
        answer["history"].as_array().cloned().unwrap_or_default()
    }

    /// The first answer of a live host.
    fn ask(&self, words: &[&str]) -> Result<serde_json::Value, LabError> {
        let mut last = LabError::Client {
            what: "found no host with power".to_owned(),
        };
        for host in self.lab.hosts() {
            if host.init().is_none() || host.frozen().unwrap_or(true) {
                continue;
            }
            // The exit code says that something needs attention; the answer is there all the same.
            match host.output(words) {
                Ok(output) => {
                    if let Ok(value) = serde_json::from_slice(&output.stdout) {
                        return Ok(value);
                    }
                    let said = String::from_utf8_lossy(&output.stderr);
                    last = LabError::Client {
                        what: format!("got no status from {}: {}", host.name(), said.trim()),
                    };
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The points in time that one happening of the history stands for.
fn milestones(happening: &serde_json::Value) -> Vec<Milestone> {
    let at_s = happening["at_ms"].as_f64().unwrap_or(0.0) / 1000.0;
    if happening["kind"] == "transition" {
        let name = "decided".to_owned();
        return vec![Milestone { name, at_s }];
    }
    if happening["kind"] != "incident" {
        return Vec::new();
    }
    let details = happening["details"].as_array().cloned().unwrap_or_default();
    details
        .iter()
        .filter_map(|detail| milestone(detail.as_str()?, at_s))
        .collect()
}

/// The call of an agent or a fence device that a happening of the history records.
fn recorded_call(happening: &serde_json::Value) -> Option<Call> {
    let about = |n: usize| happening["about"][n].as_str().unwrap_or("").to_owned();
    let text = happening["text"].as_str()?;
    let action = match happening["kind"].as_str()? {
        "operation" if text.contains("_monitor_0 of ") => "probe".to_owned(),
        "operation" => about(2),
        "fencing" => "fence".to_owned(),
        _ => return None,
    };
    Some(Call {
        resource: about(0),
        action,
        took_s: happening["took_ms"].as_f64()? / 1000.0,
        ended_s: Some(happening["at_ms"].as_f64()? / 1000.0),
    })
}

fn addresses(host: &Host) -> Vec<String> {
    [Link::Link1, Link::Link2]
        .iter()
        .flat_map(|link| ["--address".to_owned(), host.address(*link)])
        .collect()
}

/// `fenced after 1.234 s`.
fn milestone(text: &str, began_s: f64) -> Option<Milestone> {
    let (name, after) = text.split_once(" after ")?;
    let after_s: f64 = after.trim_end_matches(" s").parse().ok()?;
    Some(Milestone {
        name: name.to_owned(),
        at_s: began_s + after_s,
    })
}

fn string_field(text: &str, field: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(value.get(field)?.as_str()?.to_owned())
}

impl Cluster for Quorate<'_> {
    fn name(&self) -> &'static str {
        "quorate"
    }

    fn servers(&self) -> Vec<&Host> {
        self.servers.clone()
    }

    fn hosts(&self) -> &[Host] {
        self.lab.hosts()
    }

    fn settled(&self) -> Result<(), String> {
        let status = self
            .ask(&["quorate", "--json", "status"])
            .map_err(|error| error.to_string())?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        for host in self.lab.hosts() {
            let node = nodes
                .iter()
                .find(|node| node["name"] == host.name())
                .ok_or_else(|| format!("{} is no member", host.name()))?;
            if node["state"] != "online" || node["is_learner"] == true {
                return Err(format!("{} is {}", host.name(), node["state"]));
            }
        }
        match status["running"].as_array().map(Vec::as_slice) {
            None | Some([]) => {}
            Some(running) => return Err(format!("{} actions run", running.len())),
        }
        // Only the leader knows of running actions; that a start is over shows everywhere. A fault in the middle of
        // a start is a failed start, which bans the resource from its node.
        match unfinished(&status) {
            None => Ok(()),
            Some(resource) => Err(format!("{resource} is not started")),
        }
    }

    fn standby(&self, server: &Host) -> Result<(), LabError> {
        self.servers[0]
            .run(["quorate", "standby", server.name()])
            .map(drop)
    }

    fn online(&self, server: &Host) -> Result<(), LabError> {
        self.servers[0]
            .run(["quorate", "online", server.name()])
            .map(drop)
    }

    fn stop_all(&self) -> Result<(), LabError> {
        self.servers[0]
            .run(["quorate", "--yes", "property", "stop-all-resources=true"])
            .map(drop)
    }

    fn start_all(&self) -> Result<(), LabError> {
        self.servers[0]
            .run(["quorate", "--yes", "property", "stop-all-resources=false"])
            .map(drop)
    }

    fn leader(&self) -> Option<String> {
        let status = self.ask(&["quorate", "--json", "status"]).ok()?;
        status["leader"].as_str().map(str::to_owned)
    }

    fn kill_daemon(&self, host: &Host) -> Result<(), LabError> {
        host.run([
            "systemctl",
            "kill",
            "--kill-whom=main",
            "--signal=KILL",
            "quorate",
        ])
        .map(drop)
    }

    fn milestones(&self, since_s: f64) -> Vec<Milestone> {
        self.history()
            .iter()
            .flat_map(milestones)
            .filter(|milestone| milestone.at_s >= since_s)
            .collect()
    }

    fn calls_since(&self, since_s: f64) -> Vec<Call> {
        let history = self.history();
        let calls = history.iter().filter_map(recorded_call);
        calls
            .filter(|call| call.ended_s.is_some_and(|at| at >= since_s))
            .collect()
    }

    fn daemons(&self) -> Vec<&'static str> {
        vec!["quorate"]
    }

    fn shows_unclean(&self, host: &Host) -> bool {
        self.lab
            .hosts()
            .iter()
            .filter(|other| other.name() != host.name() && other.init().is_some())
            .filter_map(|other| other.run(["quorate", "tool", "crm_mon", "-n", "-1"]).ok())
            .any(|text| {
                text.lines()
                    .any(|line| line.contains(host.name()) && line.contains("UNCLEAN (offline)"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_a_status() {
        let xml = r#"<lrm_resource id="db" type="mysql"><lrm_rsc_op id="db_last_0" operation="start" last-rc-change="1000" exec-time="2500"/>
            <lrm_rsc_op id="db_monitor_20000" operation="monitor" last-rc-change="900" exec-time="30"/></lrm_resource>"#;
        let found = calls(xml, 999.5);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].resource.as_str(), found[0].action.as_str()),
            ("db", "start")
        );
        assert!((found[0].took_s - 2.5).abs() < 1e-9);
    }

    #[test]
    fn copies_may_be_in_several_places() {
        let on = |node: &str, role: &str| serde_json::json!({"node": node, "role": role, "pending": null, "is_failed": false, "is_uncertain": false});
        let status = |kind: &str, active: &[serde_json::Value]| {
            serde_json::json!({"resources": [
                {"id": "c", "kind": kind, "depth": 0, "active": [], "is_disabled": false},
                {"id": "p", "kind": "primitive", "depth": 1, "active": active, "is_disabled": false}]})
        };
        let two = [on("a", "Promoted"), on("b", "Promoted")];
        assert_eq!(unfinished(&status("clone", &two)), None);
        assert_eq!(unfinished(&status("group", &two)), Some("p".to_owned()));
        assert_eq!(unfinished(&status("clone", &[])), Some("p".to_owned()));
        let failed = serde_json::json!({"node": "b", "role": "Promoted", "pending": null, "is_failed": true, "is_uncertain": false});
        let one = [on("a", "Promoted"), failed];
        assert_eq!(unfinished(&status("clone", &one)), Some("p".to_owned()));
    }

    #[test]
    fn milestones_are_read_from_the_history() {
        let found = milestone("fenced after 1.250 s", 10.0).unwrap();
        assert_eq!(found.name, "fenced");
        assert!((found.at_s - 11.25).abs() < 1e-9);
        assert_eq!(milestone("nothing of the kind", 0.0), None);
    }
}
