//! Real daemons on loopback: they form a cluster, elect, survive kill -9 of one and of all, refuse what is broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Wide: what is awaited is awaited by its event, and machines that test are busy.
const LIMIT: Duration = Duration::from_secs(90);
/// Detection time of the daemons under test, for the same reason.
const DETECTION_MS: &str = "3000";

/// One test at a time: each has up to three daemons, and none is about how many a host carries.
fn alone() -> fs::File {
    let path = std::env::temp_dir().join("quorate-cluster-tests.lock");
    let file = fs::File::create(path).unwrap();
    file.lock().unwrap();
    file
}

static PORTS: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(21_001);

struct Node {
    name: String,
    root: PathBuf,
    addresses: Vec<String>,
    daemon: Option<Child>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Node {
    fn new(cluster: &Path, name: &str) -> Self {
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

    fn quorate(&self, arguments: &[&str]) -> Output {
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
    fn good(&self, arguments: &[&str]) -> String {
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
    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.quorate(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success(),
            "{} {arguments:?} worked",
            self.name
        );
        error
    }

    fn init(&self) {
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

    fn join(&self, token: &str) -> Output {
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

    fn start(&mut self) {
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

    fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
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
    fn end(&mut self) -> ExitStatus {
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

    fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    fn status(&self) -> Option<Value> {
        serde_json::from_slice(&self.quorate(&["status", "--json"]).stdout).ok()
    }

    /// Waits until its status is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
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

    fn sees_online(&self, count: usize) -> Value {
        self.until(&format!("{count} nodes online"), |s| {
            s["has_quorum"] == true && online(s).len() == count
        })
    }
}

/// A refusal that says to try again.
fn is_passing(error: &str) -> bool {
    ["try again", "ask again", "no leader", "quorum", "in time"]
        .iter()
        .any(|words| error.contains(words))
}

/// Joins with a new token each time until the cluster lets it in.
fn join_by(member: &Node, newcomer: &Node) {
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
        }
        std::thread::sleep(Duration::from_secs(2));
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

fn online(status: &Value) -> Vec<&str> {
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

fn state_of<'a>(status: &'a Value, name: &str) -> &'a str {
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

/// A running cluster of three.
fn three(root: &Path) -> Vec<Node> {
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

#[test]
fn three_daemons_survive_kill_9_of_one_and_of_all() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    let leader = nodes[1].sees_online(3)["leader"]
        .as_str()
        .unwrap()
        .to_owned();
    let victim = nodes.iter().position(|n| n.name == leader).unwrap();
    nodes[victim].kill();
    let other = (victim + 1) % 3;
    nodes[other].until("the leader lost", |s| {
        state_of(s, &leader) == "UNCLEAN (offline)"
            && s["leader"].is_string()
            && s["leader"] != *leader
    });
    nodes[victim].start();
    for node in &nodes {
        node.sees_online(3);
    }
    for node in &mut nodes {
        node.kill();
    }
    for node in &mut nodes {
        node.start();
    }
    for node in &nodes {
        node.sees_online(3);
    }
}

#[test]
fn tokens_names_and_verbs_without_a_daemon_are_refused_in_words() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let stranger = Node::new(root.path(), "n9");
    let error = stranger.bad(&["status"]);
    assert!(
        error.contains("does not answer") && error.contains("systemctl start quorate"),
        "{error}"
    );
    let error = stranger.bad(&["run"]);
    assert!(
        error.contains("quorate init") && error.contains("quorate join"),
        "{error}"
    );

    let mut first = Node::new(root.path(), "n1");
    first.init();
    let error = first.bad(&["init", "--address", "127.0.0.1"]);
    assert!(error.contains("in a cluster already"), "{error}");
    first.start();
    first.until("itself leading", |s| s["leader"] == "n1");
    let error = first.bad(&["run"]);
    assert!(error.contains("already"), "{error}");

    let token = first.good(&["token", "create"]);
    let mut twin = Node::new(root.path(), "twin");
    twin.name = "n1".into();
    let refused = twin.join(token.trim());
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("a member already"), "{error}");

    let token = first.good(&["token", "create"]);
    let second = Node::new(root.path(), "n2");
    assert!(second.join(token.trim()).status.success());
    let third = Node::new(root.path(), "n3");
    let again = third.join(token.trim());
    assert!(!again.status.success(), "a token worked twice");
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(error.contains("token"), "{error}");
    assert!(third.bad(&["join", "quorate1-AAAA"]).contains("token"));
}

#[test]
fn a_damaged_store_is_refused_and_the_node_can_be_wiped_and_rejoined() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    nodes[2].kill();
    let store = nodes[2].root.join("var/store.redb");
    let mut bytes = fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[64..middle] {
        *byte ^= 0x5a;
    }
    fs::write(&store, &bytes).unwrap();
    nodes[2].start();
    assert!(!nodes[2].end().success());
    let log = nodes[2].log();
    assert!(log.contains("wipe") || log.contains("damaged"), "{log}");

    nodes[0].until("n3 lost", |s| state_of(s, "n3") == "UNCLEAN (offline)");
    nodes[0].good(&["remove", "n3", "--yes"]);
    nodes[0].until("n3 removed", |s| state_of(s, "n3") != "online");
    nodes[2].good(&["leave", "--wipe", "--yes"]);
    join_by(&nodes[0], &nodes[2]);
    nodes[2].start();
    for node in &nodes {
        node.sees_online(3);
    }
}

#[test]
fn hup_restarts_and_term_drains() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    nodes[1].signal("-HUP");
    assert_eq!(nodes[1].end().code(), Some(75));
    nodes[1].start();
    nodes[1].sees_online(3);
    nodes[1].signal("-TERM");
    let status = nodes[1].end();
    assert_eq!(status.code(), Some(0), "{}", nodes[1].log());
    // It left in good order: nobody fences it.
    nodes[0].until("n2 gone in good order", |s| state_of(s, "n2") == "OFFLINE");
}

/// A daemon in a mount namespace of its own, where `script` changes what its state directory is.
fn start_after(node: &mut Node, script: &str) -> bool {
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

#[test]
fn a_read_only_state_directory_is_refused_with_the_way_out() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::new(root.path(), "n1");
    node.init();
    if start_after(
        &mut node,
        "mount --bind var var; mount -o remount,bind,ro var",
    ) {
        assert!(!node.end().success());
        let log = node.log();
        assert!(
            log.contains("went read-only") && log.contains("remount it"),
            "{log}"
        );
    }
}

#[test]
fn a_full_state_directory_stops_the_daemon_in_words_and_room_brings_it_back() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::new(root.path(), "n1");
    node.init();
    let fill = "mkdir -p small; mount -t tmpfs -o size=4m tmpfs small; cp -a var/. small/; mount --bind small var; \
                dd if=/dev/zero of=var/filler bs=4k 2>/dev/null || true";
    if start_after(&mut node, fill) {
        // It may begin while the file has free pages; sooner or later a change does not fit.
        for _ in 0..400 {
            let ended = node
                .daemon
                .as_mut()
                .expect("it was started")
                .try_wait()
                .unwrap();
            if ended.is_some() {
                break;
            }
            node.quorate(&["token", "create"]);
        }
        assert!(!node.end().success());
        let log = node.log();
        assert!(
            log.contains("No space left") || log.contains("full"),
            "{log}"
        );
        node.start();
        node.until("itself leading", |s| s["leader"] == "n1");
    }
}

/// A configuration of one resource that every host can run, or nothing where the agent is not installed.
fn one_resource(root: &Path) -> Option<PathBuf> {
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

fn where_is(status: &Value, resource: &str) -> Option<String> {
    let resources = status["resources"].as_array()?;
    let active = resources.iter().find(|r| r["id"] == resource)?["active"].as_array()?;
    match active.as_slice() {
        [one] if one["role"] == "Started" && one["pending"].is_null() => {
            one["node"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}

#[test]
fn a_killed_daemon_finds_its_resource_again_and_a_stopped_one_hands_it_over() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some(file) = one_resource(root.path()) else {
        return;
    };
    let mut nodes = three(root.path());
    nodes[0].good(&["apply", file.to_str().unwrap(), "--yes"]);
    let status = nodes[0].until("d1 started", |s| where_is(s, "d1").is_some());
    let home = where_is(&status, "d1").unwrap();
    let holder = nodes.iter().position(|n| n.name == home).unwrap();
    let state = root.path().join("d1.state");
    let begun = fs::metadata(&state).unwrap().modified().unwrap();

    nodes[holder].kill();
    nodes[holder].start();
    let other = (holder + 1) % 3;
    nodes[holder].sees_online(3);
    nodes[other].sees_online(3);
    let status = nodes[other].until("d1 started", |s| where_is(s, "d1").is_some());
    assert_eq!(where_is(&status, "d1").unwrap(), home);
    assert_eq!(
        fs::metadata(&state).unwrap().modified().unwrap(),
        begun,
        "it was restarted"
    );

    nodes[holder].signal("-TERM");
    assert_eq!(
        nodes[holder].end().code(),
        Some(0),
        "{}",
        nodes[holder].log()
    );
    nodes[other].until("d1 moved", |s| {
        where_is(s, "d1").is_some_and(|node| node != home)
    });
    assert!(fs::metadata(&state).unwrap().modified().unwrap() > begun);

    // The verbs, over the socket.
    nodes[holder].start();
    nodes[other].sees_online(3);
    nodes[other].good(&["standby", &nodes[other].name]);
    nodes[other].until("d1 away", |s| {
        where_is(s, "d1").is_some_and(|n| n != nodes[other].name)
    });
    nodes[other].good(&["online", &nodes[other].name]);
    let said = nodes[other].good(&["move", "d1", &nodes[other].name]);
    assert!(said.contains("quorate clear d1"), "{said}");
    nodes[other].until("d1 here", |s| {
        where_is(s, "d1").is_some_and(|n| n == nodes[other].name)
    });
    nodes[other].good(&["clear", "d1"]);
    assert!(
        nodes[other]
            .good(&["explain", "d1"])
            .contains("d1 (ocf:heartbeat:Dummy): Started on")
    );
    assert!(nodes[other].good(&["history", "d1"]).contains("d1_start_0"));
    assert!(
        nodes[other]
            .bad(&["explain", "nothing"])
            .contains("there are: d1")
    );
}

#[test]
fn clocks_an_hour_apart_do_no_harm() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !Path::new(library).exists() {
        eprintln!("SKIPPED: this test needs the package libfaketime");
        return;
    }
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut first = Node::new(root.path(), "n1");
    first.init();
    first.start();
    first.until("itself leading", |s| s["leader"] == "n1");
    let mut kept = Vec::new();
    for (name, offset) in [("n2", "+3601s"), ("n3", "-3601s")] {
        let mut node = Node::new(root.path(), name);
        node.environment = vec![("LD_PRELOAD", library), ("FAKETIME", offset)];
        join_by(&first, &node);
        node.start();
        kept.push(node);
    }
    first.sees_online(3);
    drop(kept);
}
