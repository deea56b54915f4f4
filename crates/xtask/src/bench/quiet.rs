//! No false alarm: three healthy hosts at a short detection time on a machine that has too much to do.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_lab::demo::{self, Cluster, Fencing, Quorate, SERVERS, Scenario, WITNESS};
use quorate_lab::{Host, Lab, LabError, LabOptions, database};
use serde_json::{Value, json};

/// The detection time.
const DETECTION_MS: u64 = 300;
/// Busy loops per core.
const LOOPS: usize = 2;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    minutes: f64,
    loops: usize,
    losses: Vec<String>,
    fencings: Vec<String>,
    stalls_ms: Vec<u64>,
    rows: usize,
    longest_gap_s: f64,
}

impl Quiet {
    pub fn json(&self) -> Value {
        json!({ "false_detection": {
            "minutes": self.minutes, "detection_ms": DETECTION_MS, "busy_loops": self.loops, "losses": self.losses,
            "fencings": self.fencings, "stalls": self.stalls_ms.len(), "longest_stall_ms": self.stalls_ms.iter().max(),
            "rows": self.rows, "longest_gap_s": self.longest_gap_s,
        }})
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "{:.1} minutes at a detection time of {DETECTION_MS} ms with {} busy loops: {} false detections, {} fencings; \
             {} rows written, longest gap {:.2} s\n{} stalls that a daemon noticed of itself, the longest {} ms",
            self.minutes,
            self.loops,
            self.losses.len(),
            self.fencings.len(),
            self.rows,
            self.longest_gap_s,
            self.stalls_ms.len(),
            self.stalls_ms.iter().max().unwrap_or(&0),
        );
        for line in self.losses.iter().chain(&self.fencings) {
            text += &format!("\n  {line}");
        }
        text
    }
}

/// Loops that use all of the machine, as long as this lives.
struct Busy(Vec<Child>);

impl Busy {
    fn begin(loops: usize) -> Result<Self, LabError> {
        let mut busy = Self(Vec::new());
        for _ in 0..loops {
            let child = Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn();
            let failed = |error| LabError::Client {
                what: format!("cannot run sh: {error}"),
            };
            busy.0.push(child.map_err(failed)?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // A loop that is gone needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(super) fn measure(name: &str, program: &Path, minutes: f64) -> Result<Quiet, LabError> {
    let mut options = LabOptions::new(name, &[SERVERS[0], SERVERS[1], WITNESS]);
    options.install = vec![("/usr/sbin/quorate".into(), program.to_owned())];
    let lab = Lab::up(&options)?;
    let servers: Vec<&Host> = SERVERS
        .iter()
        .map(|name| lab.host(name))
        .collect::<Result<_, _>>()?;
    database::prepare(&servers)?;
    let configuration = demo::configuration(&servers, Fencing::FenceIpmilan);
    let cluster = Quorate::form(&lab, &SERVERS, DETECTION_MS, &configuration)?;
    let scenario = Scenario::start(&lab, &cluster)?;
    scenario.settle()?;
    let loops = LOOPS * std::thread::available_parallelism().map_or(1, usize::from);
    let busy = Busy::begin(loops)?;
    let begun = Instant::now();
    let since_s = now_s();
    let rows = scenario.acknowledged();
    eprintln!("{loops} busy loops for {minutes} minutes");
    while begun.elapsed().as_secs_f64() < minutes * 60.0 {
        std::thread::sleep(Duration::from_secs(1));
    }
    drop(busy);
    let mut quiet = Quiet {
        minutes,
        loops,
        rows: scenario.acknowledged() - rows,
        longest_gap_s: scenario.longest_gap_s(begun),
        ..Quiet::default()
    };
    for host in lab.hosts() {
        let log = host.run([
            "journalctl",
            "--unit=quorate",
            "--output=short-unix",
            "--no-pager",
        ])?;
        for line in log.lines() {
            let (time, said) = line.split_once(' ').unwrap_or_default();
            if time.parse::<f64>().is_ok_and(|at| at < since_s) {
                continue;
            }
            if said.contains("is lost: no answer") || said.contains("was lost: no answer") {
                quiet.losses.push(said.to_owned());
            }
            let stall = said
                .split_once("This daemon did not run for ")
                .and_then(|(_, rest)| rest.split(' ').next());
            quiet
                .stalls_ms
                .extend(stall.and_then(|ms| ms.parse::<u64>().ok()));
        }
        let bmc = host
            .power_log()
            .into_iter()
            .filter(|(at, what)| *at >= since_s && what.starts_with("set "));
        quiet
            .fencings
            .extend(bmc.map(|(_, what)| format!("{}: {what}", host.name())));
    }
    if let Err(problem) = cluster.settled() {
        quiet.losses.push(problem);
    }
    Ok(quiet)
}

fn now_s() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
