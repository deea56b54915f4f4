//! A real database under its unmodified agent, in a directory of its own.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::Bench;
use quorate_core::event::{AgentCall, Outcome};

#[tokio::test]
async fn starts_is_watched_dies_and_is_found_dead() {
    for (path, package) in [
        ("/usr/lib/ocf/resource.d/heartbeat/mysql", "resource-agents"),
        ("/usr/sbin/mariadbd", "mariadb-server"),
    ] {
        if !Path::new(path).exists() {
            eprintln!("SKIPPED: {path} is not there (package {package})");
            return;
        }
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: agents are run as root");
        return;
    }
    let bench = Bench::real("mysql");
    let path = |name: &str| bench.path(name).to_string_lossy().into_owned();
    std::fs::write(
        bench.path("my.cnf"),
        "[mariadbd]\nskip-networking\ninnodb_buffer_pool_size=16M\n",
    )
    .expect("cnf");
    let data = path("data");
    let prepared = Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            "--user=mysql",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ])
        .arg(format!("--datadir={data}"))
        .output()
        .expect("mariadb-install-db");
    assert!(prepared.status.success(), "{prepared:?}");
    let owned = Command::new("chown")
        .args(["-R", "mysql:mysql"])
        .arg(bench.path(""))
        .status()
        .expect("chown");
    assert!(owned.success());

    let call = |action: &str| AgentCall {
        resource: "db-mysql".into(),
        instance: "db-mysql".into(),
        class: "ocf".into(),
        provider: Some("heartbeat".into()),
        agent: "mysql".into(),
        action: action.into(),
        parameters: [
            ("binary", "/usr/bin/mariadbd-safe".to_owned()),
            ("client_binary", "/usr/bin/mariadb".to_owned()),
            ("config", path("my.cnf")),
            ("datadir", data.clone()),
            ("pid", path("mysqld.pid")),
            ("socket", path("mysqld.sock")),
            ("log", path("mysqld.log")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect(),
        timeout_ms: 180_000,
        ..AgentCall::default()
    };
    let mut exits = bench.runner.exits().expect("the first to ask");
    let probe = bench.run_call(call("monitor")).await;
    assert_eq!(probe.outcome, Outcome::Exited(7), "{probe:?}");
    let start = bench.run_call(call("start")).await;
    assert_eq!(start.outcome, Outcome::Exited(0), "{start:?}");
    let monitor = bench.run_call(call("monitor")).await;
    assert_eq!(monitor.outcome, Outcome::Exited(0), "{monitor:?}");

    let pid = std::fs::read_to_string(bench.path("mysqld.pid")).expect("pid file");
    let killed = Command::new("kill")
        .args(["-9", pid.trim()])
        .status()
        .expect("kill");
    assert!(killed.success());
    let began = Instant::now();
    let resource = tokio::time::timeout(Duration::from_secs(30), exits.recv())
        .await
        .expect("noticed");
    eprintln!("death of the database noticed after {:?}", began.elapsed());
    assert_eq!(resource.as_deref(), Some("db-mysql"));

    let stop = bench.run_call(call("stop")).await;
    assert_eq!(stop.outcome, Outcome::Exited(0), "{stop:?}");
    // Its `safe` script has not started it again behind our back, nor will it.
    assert!(
        stop.output.contains("would have started the service again"),
        "{stop:?}"
    );
    // Nobody is left who could: its last process has ended.
    let argument = format!("--datadir={data}");
    let began = Instant::now();
    while common::processes_with_argument(&argument) > 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = bench.run_call(call("monitor")).await;
    assert_eq!(after.outcome, Outcome::Exited(7), "{after:?}");
}
