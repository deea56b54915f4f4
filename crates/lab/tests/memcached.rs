//! Memcached on every controller, its clients told of localhost: tokens survive the loss of another controller.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_lab::demo::{Cluster, Quorate};
use quorate_lab::rabbitmq::{CONTROLLERS, fencing};
use quorate_lab::{Host, Lab, LabOptions};

/// A service that validates tokens: 200 of them, through dogpile.cache; a token that the cache does not have is asked
/// for anew ("miss"), which users notice as being unauthorized.
const CLIENT: &str = r#"
import random, sys, threading, time, os
from dogpile.cache import make_region
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
region = make_region().configure(
    "dogpile.cache.pymemcache", expiration_time=3600,
    arguments={"url": sys.argv[1:], "socket_timeout": 0.5},
)
asked = []
def ask_anew():
    asked.append(1)
    return "valid"
tokens = ["token-%d" % n for n in range(200)]
for token in tokens:
    region.get_or_create(token, ask_anew)
print("ready", flush=True)
while True:
    asked.clear()
    try:
        region.get_or_create(random.choice(tokens), ask_anew)
        print("miss" if asked else "hit", flush=True)
    except Exception as error:
        print("error", error, flush=True)
    time.sleep(0.02)
"#;

struct Client {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Client {
    fn start(host: &Host, servers: &[&str]) -> Self {
        let mut words = vec!["/usr/bin/python3", "-u", "-c", CLIENT];
        words.extend(servers);
        let mut child = host
            .command(words)
            .unwrap()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, kept) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let client = Self { child, lines };
        client.wait(|lines| lines.len() > 20);
        client
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn wait(&self, is_there: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_there(&self.lines()) {
            assert!(Instant::now() < deadline, "{:?}", self.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program as the workspace's own build left it.
fn program() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    let program = target.join("debug/quorate");
    program.exists().then_some(program)
}

#[test]
fn tokens_survive_a_controller() {
    let name = "tokens_survive_a_controller";
    let needed = [
        "/usr/bin/memcached",
        "/usr/lib/python3/dist-packages/dogpile",
        "/usr/lib/python3/dist-packages/pymemcache",
    ];
    if let Some(path) = needed.into_iter().find(|path| !Path::new(path).exists()) {
        eprintln!("SKIPPED: {name}: {path} is not installed (cargo xtask install)");
        return;
    }
    let Some(program) = program() else {
        eprintln!("SKIPPED: {name}: build the program first (cargo build -p quorate)");
        return;
    };
    let mut options = LabOptions::new("test-memcached", &CONTROLLERS);
    options.install = vec![("/usr/sbin/quorate".into(), program)];
    let lab = match Lab::up(&options) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: {name}: {error}");
            return;
        }
        other => other.expect("the lab comes up"),
    };
    let mut text = String::new();
    for host in lab.hosts() {
        text += &format!("node {}\n", host.name());
        // As the document ended up: localhost and the primary address.
        let address = host.address(quorate_lab::Link::Service);
        let file =
            format!("-d\n-U 0\n-m 64\n-l 127.0.0.1,{address}\n-p 11211\n-c 4096\n-u memcache\n");
        host.write("/etc/memcached.conf", &file).unwrap();
    }
    text += "primitive memcached systemd:memcached op monitor interval=10s timeout=30s op start interval=0 timeout=60s \
             op stop interval=0 timeout=60s\nclone cl-memcached memcached meta interleave=true\n";
    text += &fencing(lab.hosts());
    let cluster = Quorate::form(&lab, &CONTROLLERS, 2000, &text).unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    while let Err(problem) = cluster.settled() {
        assert!(Instant::now() < deadline, "{problem}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let (lost, stays) = (&lab.hosts()[0], &lab.hosts()[1]);
    let own = Client::start(stays, &["127.0.0.1:11211"]);
    // The variant that the document rejected: all caches in a list.
    let list = Client::start(stays, &["controller01:11211", "controller02:11211"]);
    let (own_before, list_before) = (own.lines().len(), list.lines().len());
    lost.power_off().unwrap();
    own.wait(|lines| lines.len() > own_before + 400);
    let bad: Vec<String> = own.lines()[1..]
        .iter()
        .filter(|line| *line != "hit")
        .cloned()
        .collect();
    assert_eq!(
        bad,
        Vec::<String>::new(),
        "a client of its own host's cache noticed"
    );
    list.wait(|lines| lines[list_before..].iter().any(|line| line != "hit"));
    // The cache of the lost controller is there again, empty, when its host is.
    let deadline = Instant::now() + Duration::from_secs(120);
    while cluster.settled().is_err() {
        assert!(Instant::now() < deadline, "{:?}", cluster.settled());
        std::thread::sleep(Duration::from_millis(500));
    }
    let state = lost.run(["systemctl", "is-active", "memcached"]).unwrap();
    assert_eq!(state.trim(), "active");
}
