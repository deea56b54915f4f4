//! `cargo xtask bench policy`: our engine and the peer's `crm_simulate` on the same inputs, in one run.
//!
//! Both decide only; neither carries out what it decided. Ours runs in a process of its own that reads all inputs
//! one after the other; the peer does the small cases in one process, too (`--profile`), and one process a
//! generated cluster. Times are those on a processor (user and system), so that a busy machine does not matter.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Where the public cases and the generator are, if they are there.
const DATA: &str = "../shared/conformance";
/// The peer; sizes beyond these seconds are left out unless `--full`.
const PEER: &str = "crm_simulate";
/// Longest that the peer may take for one input, seconds.
const PEER_SECONDS_MAX: u64 = 120;

/// A generated cluster.
struct Size {
    nodes: u32,
    primitives: u32,
    mode: &'static str,
    /// Startup probes off, no history: keeps the largest files small.
    bare: bool,
    /// The peer takes longer than [`PEER_SECONDS_MAX`].
    slow_peer: bool,
}

const fn size(nodes: u32, primitives: u32, mode: &'static str) -> Size {
    Size {
        nodes,
        primitives,
        mode,
        bare: false,
        slow_peer: false,
    }
}

/// In the order of the table.
const SIZES: [Size; 14] = [
    size(16, 100, "start"),
    size(16, 100, "probe"),
    size(16, 100, "fail"),
    size(16, 1_000, "start"),
    size(16, 1_000, "probe"),
    size(16, 1_000, "fail"),
    size(64, 100, "probe"),
    size(64, 1_000, "start"),
    Size {
        slow_peer: true,
        ..size(64, 1_000, "probe")
    },
    size(64, 1_000, "fail"),
    Size {
        bare: true,
        ..size(64, 5_000, "start")
    },
    Size {
        slow_peer: true,
        ..size(16, 5_000, "probe")
    },
    Size {
        bare: true,
        ..size(256, 5_000, "start")
    },
    Size {
        bare: true,
        slow_peer: true,
        ..size(256, 10_000, "start")
    },
];

/// Engine against engine.
#[derive(Debug, clap::Args)]
pub struct Policy {
    /// Print JSON; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// Also the sizes for which the peer takes minutes.
    #[arg(long)]
    full: bool,
}

/// Seconds on a processor, and peak memory.
#[derive(Debug, Clone, Copy)]
struct Cost {
    seconds: f64,
    peak_mib: f64,
}

/// One line of the table.
struct Row {
    name: String,
    /// Reading the input, seconds.
    reading: f64,
    /// Deciding, seconds.
    planning: f64,
    peak_mib: f64,
    peer: Result<Cost, &'static str>,
}

impl Policy {
    /// Measures and prints.
    ///
    /// # Errors
    /// What is missing or failed, for the user.
    pub fn measure(&self) -> Result<(), String> {
        let data = Path::new(DATA);
        if !data.join("gen_big.py").exists() {
            println!("SKIPPED: the recorded cases and the generator are not there ({DATA})");
            return Ok(());
        }
        let program = build()?;
        let scratch = std::env::temp_dir().join(format!("quorate-bench-{}", std::process::id()));
        let made =
            std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()));
        let rows = made.and_then(|()| self.rows(data, &program, &scratch));
        let _ = std::fs::remove_dir_all(&scratch);
        let rows = rows?;
        match self.json {
            true => println!(
                "{}",
                json!(rows.iter().map(Row::json).collect::<Vec<Value>>())
            ),
            false => print(&rows),
        }
        Ok(())
    }

    fn rows(&self, data: &Path, program: &Path, scratch: &Path) -> Result<Vec<Row>, String> {
        let peer = Command::new(PEER).arg("--version").output().is_ok();
        if !peer {
            eprintln!("SKIPPED: the peer is not installed ({PEER}); only our own figures follow");
        }
        let mut rows = vec![small_cases(data, program, scratch, peer)?];
        for size in &SIZES {
            let file = generate(data, size, scratch)?;
            eprintln!("{}", size.name());
            let theirs = match (peer, size.slow_peer && !self.full) {
                (false, _) => Err("not installed"),
                (true, true) => Err("minutes: --full"),
                (true, false) => measure(
                    &[PEER, "-R", "-x", &text(&respelled(&file)?)],
                    PEER_SECONDS_MAX,
                ),
            };
            rows.push(ours(program, &size.name(), &[text(&file)], &[], theirs)?);
            let _ = std::fs::remove_file(&file);
        }
        rows.push(replanning(data, program, scratch)?);
        Ok(rows)
    }
}

impl Size {
    fn name(&self) -> String {
        let what = match self.mode {
            "start" => "all stopped",
            "probe" => "all to be probed",
            _ => "one node lost",
        };
        let bare = if self.bare { ", nothing to probe" } else { "" };
        format!("{} x {} {what}{bare}", self.nodes, self.primitives)
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.ok().map(|peer| peer.seconds / self.planning)
    }

    fn json(&self) -> Value {
        json!({
            "input": self.name,
            "reading_s": self.reading,
            "planning_s": self.planning,
            "peak_mib": self.peak_mib,
            "peer_s": self.peer.ok().map(|p| p.seconds),
            "peer_peak_mib": self.peer.ok().map(|p| p.peak_mib),
            "peer_missing": self.peer.err(),
            "ratio_planning": self.ratio(),
            "ratio_with_reading": self.peer.ok().map(|p| p.seconds / (self.planning + self.reading)),
        })
    }
}

fn print(rows: &[Row]) {
    println!(
        "CPU seconds; the peer's include its reading of the input, the ratio in brackets ours, too"
    );
    println!(
        "{:<40} {:>8} {:>9} {:>6}   {:>8} {:>6}   ratio",
        "input", "reading", "planning", "MiB", "peer", "MiB"
    );
    for row in rows {
        let (peer, ratio) = match row.peer {
            Ok(peer) => {
                let whole = peer.seconds / (row.planning + row.reading);
                // Below the clock's resolution there is nothing to divide by.
                let ratio = row.ratio().filter(|ratio| ratio.is_finite());
                let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.0}x"));
                (
                    format!("{:>8.3} {:>6.0}", peer.seconds, peer.peak_mib),
                    format!("{ratio} ({whole:.0}x)"),
                )
            }
            Err(why) => (format!("{why:>15}"), String::new()),
        };
        println!(
            "{:<40} {:>8.3} {:>9.4} {:>6.0}   {peer}   {ratio}",
            row.name, row.reading, row.planning, row.peak_mib
        );
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn build() -> Result<PathBuf, String> {
    eprintln!("building the engine with optimisation");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "-q",
            "--release",
            "-p",
            "quorate-policy",
            "--example",
            "plan",
        ])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("the example `plan` does not build".to_owned());
    }
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    Ok(Path::new(&target).join("release/examples/plan"))
}

/// Runs our program over files; its last line has the sums.
fn ours(
    program: &Path,
    name: &str,
    files: &[String],
    options: &[&str],
    peer: Result<Cost, &'static str>,
) -> Result<Row, String> {
    let output = Command::new(program)
        .args(options)
        .args(files)
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said
        .lines()
        .last()
        .unwrap_or_default()
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let [reading, planning, peak_kib] = numbers[..] else {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: the engine failed: {why}"));
    };
    Ok(Row {
        name: name.to_owned(),
        reading,
        planning,
        peak_mib: peak_kib / 1024.0,
        peer,
    })
}

/// Cost of a command; its children's resource usage as the system counts it.
fn measure(command: &[&str], seconds_max: u64) -> Result<Cost, &'static str> {
    let script = "import resource, subprocess, sys\n\
        null = subprocess.DEVNULL\n\
        try: p = subprocess.run(sys.argv[2:], stdin=null, stdout=null, stderr=null, timeout=int(sys.argv[1]))\n\
        except subprocess.TimeoutExpired: sys.exit(3)\n\
        u = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
        print(u.ru_utime + u.ru_stime, u.ru_maxrss); sys.exit(0 if p.returncode == 0 else 4)";
    let output = Command::new("python3")
        .args(["-c", script, &seconds_max.to_string()])
        .args(command)
        .output()
        .map_err(|_| "no python3")?;
    match output.status.code() {
        Some(0) => {}
        Some(3) => return Err("too slow"),
        _ => return Err("failed"),
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let mut words = said
        .split_whitespace()
        .map_while(|word| word.parse::<f64>().ok());
    match (words.next(), words.next()) {
        (Some(seconds), Some(kib)) => Ok(Cost {
            seconds,
            peak_mib: kib / 1024.0,
        }),
        _ => Err("no answer"),
    }
}

/// All public cases, in one process each.
fn small_cases(data: &Path, program: &Path, scratch: &Path, peer: bool) -> Result<Row, String> {
    let from = data.join("cases/xml");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&from)
        .map_err(|e| format!("{}: {e}", from.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let old = scratch.join("cases");
    std::fs::create_dir_all(&old).map_err(|e| format!("{}: {e}", old.display()))?;
    for file in &files {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let to = old.join(file.file_name().unwrap_or_default());
        std::fs::write(&to, older_names(&text)).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    let theirs = match peer {
        true => measure(&[PEER, "--profile", &text(&old)], PEER_SECONDS_MAX),
        false => Err("not installed"),
    };
    let names: Vec<String> = files.iter().map(|f| text(f)).collect();
    ours(
        program,
        &format!("{} small cases", names.len()),
        &names,
        &[],
        theirs,
    )
}

/// The peer's installed version may know the options by their older names only.
fn older_names(text: &str) -> String {
    text.replace("name=\"fencing-", "name=\"stonith-")
}

fn respelled(file: &Path) -> Result<PathBuf, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let to = file.with_extension("old.xml");
    std::fs::write(&to, older_names(&text)).map_err(|e| format!("{}: {e}", to.display()))?;
    Ok(to)
}

fn generate(data: &Path, size: &Size, scratch: &Path) -> Result<PathBuf, String> {
    let file = scratch.join("cluster.xml");
    let mut command = Command::new("python3");
    command
        .arg(data.join("gen_big.py"))
        .args([size.nodes.to_string(), size.primitives.to_string()])
        .arg(size.mode)
        .arg("-o")
        .arg(&file);
    if size.bare {
        command.arg("--no-probes");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(file),
        _ => Err(format!("{}: gen_big.py failed", size.name())),
    }
}

/// A running cluster, of which one monitor fails: only the decision counts, since a leader has the state at hand.
fn replanning(data: &Path, program: &Path, scratch: &Path) -> Result<Row, String> {
    let file = generate(data, &size(32, 1_000, "fail"), scratch)?;
    let text_of = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    // Nobody is lost in it.
    let running = text_of.replace(
        "in_ccm=\"false\" crmd=\"offline\" join=\"down\"",
        "in_ccm=\"true\" crmd=\"online\" join=\"member\"",
    );
    std::fs::write(&file, running).map_err(|e| format!("{}: {e}", file.display()))?;
    ours(
        program,
        "32 x 1000 running, one event",
        &[text(&file)],
        &["--replan", "--repeat", "10"],
        Err("decides anew"),
    )
}
