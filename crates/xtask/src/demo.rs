//! `cargo xtask demo`: a database that survives its machine, broken in ten ways.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use quorate_lab::demo::{
    self, BrokerFault, Cluster, Fault, FaultResult, Fencing, GaleraFault, Peer, Quorate, SERVERS,
    Scenario, WITNESS,
};
use quorate_lab::galera::{Entry, Setup, Sst, Timers};
use quorate_lab::{Host, Lab, LabError, LabOptions, database, down_on_interrupt, state_dir};

use crate::demo_galera::GaleraDemo;
use crate::demo_rabbitmq::RabbitmqDemo;
use crate::install;

/// A database that survives its machine: ten faults, one after the other.
#[derive(Debug, Args)]
pub struct Demo {
    /// Two servers without a witness.
    #[arg(long)]
    two_node: bool,
    /// Print the results as JSON; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// Where to write the page with the timelines.
    #[arg(long, value_name = "FILE", default_value = "target/demo.html")]
    report: PathBuf,
    /// Galera on two controllers with a tiebreaker, behind HAProxy.
    #[arg(long, conflicts_with = "two_node")]
    galera: bool,
    /// RabbitMQ on three controllers under a publisher with confirms.
    #[arg(long, conflicts_with_all = ["two_node", "galera"])]
    rabbitmq: bool,
    /// State transfer by mariabackup in place of rsync.
    #[arg(long, requires = "galera")]
    mariabackup: bool,
    /// Clients reach the database on the address's host without a load balancer.
    #[arg(long, requires = "galera")]
    direct: bool,
    /// Galera's own timers lowered alike everywhere: a member counts as lost after 1 s instead of 5.
    #[arg(long, requires = "galera")]
    short_timers: bool,
    /// Only these faults.
    #[arg(long = "fault", value_name = "NAME", value_parser = fault_names())]
    faults: Vec<String>,
    /// Milliseconds without an answer after which a node counts as lost.
    #[arg(long, default_value_t = 1000)]
    detection_ms: u64,
    /// Run the peer (Pacemaker) instead, with its own idea of the same faults.
    #[arg(long, hide = true)]
    peer: bool,
    /// Leave the lab up afterwards, to look at it.
    #[arg(long)]
    keep: bool,
    /// The lab's name: two at a time need two.
    #[arg(long, default_value = "demo")]
    name: String,
    /// Put this program onto the hosts instead of building it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl Demo {
    /// Runs it.
    pub fn run(&self) -> ExitCode {
        let played = if self.rabbitmq {
            self.play_rabbitmq()
        } else {
            self.play()
        };
        match played {
            Ok(results) if results.iter().all(|result| result.problems.is_empty()) => {
                ExitCode::SUCCESS
            }
            Ok(_) => ExitCode::FAILURE,
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

    fn play(&self) -> Result<Vec<FaultResult>, String> {
        install::ensure_root()?;
        let mut packages = install::PACKAGES.to_vec();
        if self.galera {
            packages.extend(install::GALERA_PACKAGES);
        }
        if self.peer {
            packages.extend(install::PEER_PACKAGES);
        }
        install::ensure(&packages)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => build(Profile::Dev)?,
        };
        self.say("booting the hosts");
        down_on_interrupt(state_dir(), self.name.clone());
        let lab = self.lab(&program).map_err(describe)?;
        let result = match self.galera {
            true => self.galera().on_lab(&lab),
            false => self.on_lab(&lab),
        };
        let result = result.map_err(describe);
        if self.keep {
            self.say(&format!(
                "the lab stays up: `quorate lab --name {0} status` shows it, `quorate lab --name {0} down` ends it",
                lab.name()
            ));
            lab.keep().map_err(describe)?;
        } else {
            drop(lab);
        }
        let (results, rows) = result?;
        let title = if self.peer { "Pacemaker" } else { "Quorate" };
        let hosts = match (self.galera, self.two_node || self.peer) {
            (true, _) => "Galera on two controllers with a tiebreaker",
            (_, true) => "two servers",
            (_, false) => "two servers and a witness",
        };
        let count = results.len();
        let page = demo::html(&format!("{title}: {hosts}, {count} faults"), &results, rows);
        if let Some(directory) = self.report.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        }
        std::fs::write(&self.report, page)
            .map_err(|error| format!("cannot write {}: {error}", self.report.display()))?;
        if self.json {
            println!("{}", demo::json(&results));
        } else {
            summary(&results, rows);
        }
        self.say(&format!("report: {}", self.report.display()));
        Ok(results)
    }

    fn play_rabbitmq(&self) -> Result<Vec<FaultResult>, String> {
        let mut packages = install::PACKAGES.to_vec();
        if self.peer {
            packages.extend(install::PEER_PACKAGES);
        }
        install::ensure(&packages)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => build(Profile::Dev)?,
        };
        self.say("booting the hosts");
        down_on_interrupt(state_dir(), self.name.clone());
        let lab = RabbitmqDemo::lab(&self.name, &program).map_err(describe)?;
        let say = |text: &str| self.say(text);
        let demo = RabbitmqDemo {
            faults: &self.faults,
            detection_ms: self.detection_ms,
            is_peer: self.peer,
            say: &say,
        };
        let outcome = demo.on_lab(&lab).map_err(describe);
        if self.keep {
            self.say("the lab stays up");
            lab.keep().map_err(describe)?;
        } else {
            drop(lab);
        }
        let outcome = outcome?;
        let results: Vec<FaultResult> = outcome.results.iter().map(|r| r.base.clone()).collect();
        let who = if self.peer { "Pacemaker" } else { "Quorate" };
        let title = format!(
            "{who}: RabbitMQ on three controllers, {} faults",
            results.len()
        );
        let page = demo::html_of(&title, &results, outcome.confirmed, "messages");
        if let Some(directory) = self.report.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        }
        std::fs::write(&self.report, page)
            .map_err(|error| format!("cannot write {}: {error}", self.report.display()))?;
        if self.json {
            let faults = serde_json::json!({
                "faults": outcome.results,
                "assembled_s": outcome.assembled_s,
                "confirmed": outcome.confirmed,
            });
            println!("{faults}");
        } else {
            println!(
                "\n{:<52} {:>9} {:>9} {:>9} {:>6}",
                "fault", "outage s", "promoted", "whole", "lost"
            );
            for result in &outcome.results {
                let seconds = |at: Option<f64>| at.map_or("-".to_owned(), |at| format!("{at:.1}"));
                let verdict = if result.base.problems.is_empty() {
                    ""
                } else {
                    "  PROBLEM"
                };
                println!(
                    "{:<52} {:>9.2} {:>9} {:>9} {:>6}{verdict}",
                    result.base.title,
                    result.base.outage_s,
                    seconds(result.promoted_s),
                    seconds(result.whole_s),
                    result.base.lost_rows
                );
            }
            println!("{} messages confirmed", outcome.confirmed);
        }
        self.say(&format!("report: {}", self.report.display()));
        Ok(results)
    }

    fn galera(&self) -> GaleraDemo<'_> {
        GaleraDemo {
            faults: &self.faults,
            detection_ms: self.detection_ms,
            is_peer: self.peer,
            setup: Setup {
                sst: if self.mariabackup {
                    Sst::Mariabackup
                } else {
                    Sst::Rsync
                },
                entry: if self.direct {
                    Entry::Direct
                } else {
                    Entry::Proxy
                },
                timers: if self.short_timers {
                    Timers::Short
                } else {
                    Timers::Default
                },
            },
            say: if self.json {
                &|text| eprintln!("{text}")
            } else {
                &|text| println!("{text}")
            },
        }
    }

    fn lab(&self, program: &Path) -> Result<Lab, LabError> {
        if self.galera {
            return GaleraDemo::lab(&self.name, program);
        }
        let mut hosts = SERVERS.to_vec();
        if !self.two_node && !self.peer {
            hosts.push(WITNESS);
        }
        let mut options = LabOptions::new(&self.name, &hosts);
        options.install = vec![("/usr/sbin/quorate".into(), program.to_owned())];
        Lab::up(&options)
    }

    fn on_lab(&self, lab: &Lab) -> Result<(Vec<FaultResult>, usize), LabError> {
        let servers: Vec<&Host> = SERVERS
            .iter()
            .map(|name| lab.host(name))
            .collect::<Result<_, _>>()?;
        self.say("making the database on the shared disk");
        database::prepare(&servers)?;
        let configuration = demo::configuration(&servers, Fencing::ExternalIpmi);
        self.say("forming the cluster");
        if self.peer {
            let peer = Peer::form(lab, &SERVERS, self.detection_ms, &configuration)?;
            self.faults(lab, &peer)
        } else {
            let quorate = Quorate::form(lab, &SERVERS, self.detection_ms, &configuration)?;
            self.faults(lab, &quorate)
        }
    }

    fn faults(
        &self,
        lab: &Lab,
        cluster: &dyn Cluster,
    ) -> Result<(Vec<FaultResult>, usize), LabError> {
        let scenario = Scenario::start(lab, cluster)?;
        self.say("the client writes a row every 20 ms through the virtual address");
        let mut results = Vec::new();
        for fault in Fault::ALL {
            if !self.faults.is_empty() && !self.faults.iter().any(|name| name == fault.name()) {
                continue;
            }
            self.say(&format!("\n[{}] {}", results.len() + 1, fault.title()));
            let result = scenario.run(fault, &mut |text| self.say(&format!("    {text}")))?;
            self.say(&format!("    {}", line(&result)));
            for problem in &result.problems {
                self.say(&format!("    PROBLEM: {problem}"));
            }
            results.push(result);
        }
        Ok((results, scenario.acknowledged()))
    }
}

/// The faults of all demos; those that a demo does not have are left out.
fn fault_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Fault::ALL.map(Fault::name).to_vec();
    let more = GaleraFault::ALL.map(GaleraFault::name);
    names.extend(more.into_iter().filter(|name| Fault::parse(name).is_none()));
    names.extend(BrokerFault::ALL.map(BrokerFault::name));
    names
}

/// How the binary is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Dev,
    /// Fast to run.
    Release,
}

/// Builds the program that goes onto the hosts.
pub fn build(profile: Profile) -> Result<PathBuf, String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--package", "quorate"]);
    let directory = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            command.arg("--release");
            "release"
        }
    };
    let status = command.stdin(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("the program does not build".to_owned());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(target.join(directory).join("quorate"))
}

/// An error with everything that caused it.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub fn describe(error: LabError) -> String {
    let error: &dyn std::error::Error = &error;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// One fault's result in one line.
pub fn line(result: &FaultResult) -> String {
    let phase =
        |name: &str, at: Option<f64>| at.map(|at| format!(", {name} {at:.2}")).unwrap_or_default();
    format!(
        "outage {:.2} s, {} rows lost{}{}{}{} ({} -> {})",
        result.outage_s,
        result.lost_rows,
        phase("detected", result.phases.detected_s),
        phase("fenced", result.phases.fenced_s),
        phase("started", result.phases.started_s),
        phase("serving", result.phases.serving_s),
        result.active_before,
        result.active_after,
    )
}

fn summary(results: &[FaultResult], rows: usize) {
    println!("\n{:<50} {:>9} {:>10}", "fault", "outage s", "rows lost");
    for result in results {
        let verdict = if result.problems.is_empty() {
            ""
        } else {
            "  PROBLEM"
        };
        println!(
            "{:<50} {:>9.2} {:>10}{verdict}",
            result.title, result.outage_s, result.lost_rows
        );
    }
    println!("{rows} rows acknowledged");
}
