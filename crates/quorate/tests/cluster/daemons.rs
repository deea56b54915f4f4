//! Daemons under test: each with directories and addresses of its own, on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Wide: what is awaited is awaited by its event, and machines that test are busy.
pub const LIMIT: Duration = Duration::from_secs(90);
/// Detection time of the daemons under test, for the same reason.
const DETECTION_MS: &str = "3000";

/// One test at a time: each has up to three daemons, and none is about how many a host carries.
pub fn alone() -> fs::File {
    let path = std::env::temp_dir().join("quorate-cluster-tests.lock");
    let file = fs::File::create(path).unwrap();
    file.lock().unwrap();
    file
}

static PORTS: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(21_001);

pub struct Node {
    pub name: String,
    pub root: PathBuf,
    pub addresses: Vec<String>,
    pub daemon: Option<Child>,
    pub environment: Vec<(&'static str, &'static str)>,
}

impl Node {
    pub fn new(cluster: &Path, name: &str) -> Self {
        let root = cluster.join(name);
        fs::create_dir_all(&root).unwrap();
        // A loopback address of this process alone, and ports below those that the kernel hands out.
        let pid = std::process::id();
        let host = format!(
            "127.{}.{}.{}",
            64 + (pid >> 16 & 63),
            pid >> 8 & 255,
            pid & 255
        );
        let first = PORTS.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
        let addresses = (first..first + 2)
            .map(|port| format!("{host}:{port}"))
            .collect();
        Self {
            name: name.into(),
            root,
            addresses,
            daemon: None,
            environment: Vec::new(),
        }
    }

    pub fn quorate(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(arguments)
            .env("QUORATE_CONFIG", self.root.join("etc"))
            .env("QUORATE_STATE", self.root.join("var"))
            .env("QUORATE_RUN", self.root.join("run"))
            .env("QUORATE_SOCKET", self.root.join("run/socket"))
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a verb that must succeed; gives what it printed. A cluster on a busy machine may be without a quorum
    /// for a moment: it then says to try again, and this does.
    pub fn good(&self, arguments: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let output = self.quorate(arguments);
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                is_passing(&error) && begun.elapsed() < LIMIT,
                "{} {arguments:?}: {error}\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs a verb that must fail; gives what it said.
    pub fn bad(&self, arguments: &[&str]) -> String {
        let output = self.quorate(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success(),
            "{} {arguments:?} worked",
            self.name
        );
        error
    }

    pub fn init(&self) {
        let [first, second] = [&self.addresses[0], &self.addresses[1]];
        self.good(&[
            "init",
            "--name",
            &self.name,
            "--address",
            first,
            "--address",
            second,
            "--detection-ms",
            DETECTION_MS,
        ]);
    }

    pub fn join(&self, token: &str) -> Output {
        let [first, second] = [&self.addresses[0], &self.addresses[1]];
        self.quorate(&[
            "join",
            token,
            "--name",
            &self.name,
            "--address",
            first,
            "--address",
            second,
        ])
    }

    pub fn start(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.root.join("log"))
            .unwrap();
        let daemon = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .arg("run")
            .env("QUORATE_CONFIG", self.root.join("etc"))
            .env("QUORATE_STATE", self.root.join("var"))
            .env("QUORATE_RUN", self.root.join("run"))
            .env("QUORATE_SOCKET", self.root.join("run/socket"))
            .envs(self.environment.iter().copied())
            .env("QUORATE_LOG_STDERR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
    }

    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.daemon.as_ref().expect("it runs").id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the daemon's own end.
    pub fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        let daemon = self.daemon.as_mut().expect("it runs");
        loop {
            if let Some(status) = daemon.try_wait().unwrap() {
                self.daemon = None;
                return status;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{} does not end: {}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&self.quorate(&["status", "--json"]).stdout).ok()
    }

    /// Waits until its status is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if let Some(status) = status.clone().filter(&wanted) {
                return status;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{} never saw {what}: {status:?}\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn sees_online(&self, count: usize) -> Value {
        self.until(&format!("{count} nodes online"), |s| {
            s["has_quorum"] == true && online(s).len() == count
        })
    }
}

/// A refusal that says to try again.
pub fn is_passing(error: &str) -> bool {
    ["try again", "ask again", "no leader", "quorum", "in time"]
        .iter()
        .any(|words| error.contains(words))
}

/// Joins with a new token each time until the cluster lets it in.
pub fn join_by(member: &Node, newcomer: &Node) {
    let begun = Instant::now();
    loop {
        let token = member.good(&["token", "create"]);
        let joined = newcomer.join(token.trim());
        if joined.status.success() {
            return;
        }
        let error = String::from_utf8_lossy(&joined.stderr).into_owned();
        assert!(
            is_passing(&error) && begun.elapsed() < LIMIT,
            "{}: {error}\n{}",
            newcomer.name,
            member.log()
        );
        if error.contains("a member already") {
            // It was let in after all, too late for its answer; or its removal is not over yet.
            member.quorate(&["remove", &newcomer.name, "--yes"]);
            member.until("the name free again", |s| {
                state_of(s, &newcomer.name) == "absent"
            });
        }
        member.until("a quorum", |s| s["has_quorum"] == true);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

pub fn online(status: &Value) -> Vec<&str> {
    let nodes = status["nodes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    nodes
        .iter()
        .filter(|n| n["state"] == "online")
        .filter_map(|n| n["name"].as_str())
        .collect()
}

pub fn state_of<'a>(status: &'a Value, name: &str) -> &'a str {
    let nodes = status["nodes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    nodes
        .iter()
        .find(|n| n["name"] == name)
        .and_then(|n| n["state"].as_str())
        .unwrap_or("absent")
}

/// A running cluster of one.
pub fn single(root: &Path) -> Node {
    let mut node = Node::new(root, "n1");
    node.init();
    node.start();
    node.until("itself leading", |s| s["leader"] == "n1");
    node
}

/// The same where `d1` runs, with its configuration's file; nothing where the agent is not installed.
pub fn single_with_resource(root: &Path) -> Option<(Node, PathBuf)> {
    let file = one_resource(root)?;
    let node = single(root);
    node.good(&["apply", file.to_str().unwrap(), "--yes"]);
    node.until("d1 started", |s| where_is(s, "d1").is_some());
    Some((node, file))
}

/// Three where `d1` runs, and its node's name.
pub fn three_with_resource(root: &Path) -> Option<(Vec<Node>, String)> {
    let file = one_resource(root)?;
    let nodes = three(root);
    nodes[0].good(&["apply", file.to_str().unwrap(), "--yes"]);
    let status = nodes[0].until("d1 started", |s| where_is(s, "d1").is_some());
    let home = where_is(&status, "d1").unwrap();
    Some((nodes, home))
}

/// A running cluster of three.
pub fn three(root: &Path) -> Vec<Node> {
    let mut nodes: Vec<Node> = ["n1", "n2", "n3"]
        .iter()
        .map(|n| Node::new(root, n))
        .collect();
    nodes[0].init();
    nodes[0].start();
    nodes[0].until("itself leading", |s| s["leader"] == "n1");
    for n in 1..3 {
        join_by(&nodes[0], &nodes[n]);
        nodes[n].start();
        nodes[0].sees_online(n + 1);
    }
    for node in &nodes {
        node.sees_online(3);
    }
    nodes
}

/// A daemon in a mount namespace of its own, where `script` changes what its state directory is.
pub fn start_after(node: &mut Node, script: &str) -> bool {
    if !Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        eprintln!("SKIPPED: this test needs root and mount namespaces");
        return false;
    }
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(node.root.join("log"))
        .unwrap();
    let script = format!(
        "set -e; cd '{}'; {script}; exec \"$0\" run",
        node.root.display()
    );
    let daemon = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            &script,
            env!("CARGO_BIN_EXE_quorate"),
        ])
        .env("QUORATE_CONFIG", node.root.join("etc"))
        .env("QUORATE_STATE", node.root.join("var"))
        .env("QUORATE_RUN", node.root.join("run"))
        .env("QUORATE_SOCKET", node.root.join("run/socket"))
        .env("QUORATE_LOG_STDERR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    node.daemon = Some(daemon);
    true
}

/// A configuration of one resource that every host can run, or nothing where the agent is not installed.
pub fn one_resource(root: &Path) -> Option<PathBuf> {
    if !Path::new("/usr/lib/ocf/resource.d/heartbeat/Dummy").exists() {
        eprintln!("SKIPPED: this test needs the package resource-agents");
        return None;
    }
    let state = root.join("d1.state");
    let text = format!(
        "primitive d1 ocf:heartbeat:Dummy params state=\"{}\" op monitor interval=5s timeout=20s\n\
         property stonith-enabled=false\n",
        state.display()
    );
    let file = root.join("one.crm");
    fs::write(&file, text).unwrap();
    Some(file)
}

pub fn where_is(status: &Value, resource: &str) -> Option<String> {
    let resources = status["resources"].as_array()?;
    let active = resources.iter().find(|r| r["id"] == resource)?["active"].as_array()?;
    match active.as_slice() {
        [one] if one["role"] == "Started" && one["pending"].is_null() => {
            one["node"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}
