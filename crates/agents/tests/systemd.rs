//! Units under a real systemd: this machine's, or that of a container whose process 1 the variable
//! `QUORATE_TEST_SYSTEMD` names.

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use common::Bench;
use quorate_core::event::{AgentCall, AgentResult, Outcome};

/// Root directory of the machine whose systemd is used, and its bus.
fn machine() -> Option<(PathBuf, Option<String>)> {
    if let Ok(leader) = std::env::var("QUORATE_TEST_SYSTEMD") {
        let root = PathBuf::from(format!("/proc/{leader}/root"));
        let bus = format!("unix:path={}/run/dbus/system_bus_socket", root.display());
        return Some((root, Some(bus)));
    }
    let is_there = |path: &str| std::path::Path::new(path).exists();
    if is_there("/run/systemd/system") && is_there("/run/dbus/system_bus_socket") {
        return Some(("/".into(), None));
    }
    eprintln!(
        "SKIPPED: no systemd here (QUORATE_TEST_SYSTEMD=PID names process 1 of a container that has one)"
    );
    None
}

fn call(unit: &str, action: &str, timeout_ms: u64) -> AgentCall {
    AgentCall {
        resource: "unit".into(),
        instance: "unit".into(),
        class: "systemd".into(),
        agent: unit.into(),
        action: action.into(),
        timeout_ms,
        ..AgentCall::default()
    }
}

async fn run(bench: &Bench, unit: &str, action: &str) -> AgentResult {
    bench.run_call(call(unit, action, 20_000)).await
}

#[tokio::test]
async fn units() {
    let Some((root, bus)) = machine() else { return };
    let units = root.join("run/systemd/system");
    let path = |name: &str| units.join(format!("quorate-test-{name}.service"));
    let unit = |name: &str, text: &str| fs::write(path(name), text).expect("a unit");
    unit(
        "sleeper",
        "[Service]\nExecStart=/bin/sleep 100000\nRestart=always\nRestartSec=0\n",
    );
    unit("broken", "[Service]\nExecStart=/bin/false\nType=oneshot\n");
    unit(
        "slow",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 1\nExecStop=/bin/sleep 0.5\n",
    );
    let bench = Bench::with("systemd", |surroundings, _| {
        surroundings.system_bus = bus;
        surroundings.unit_drop_ins = units.clone();
    });
    let drop_in = units.join("quorate-test-sleeper.service.d/50-quorate.conf");

    // A unit that does not exist.
    let missing = run(&bench, "quorate-test-nosuch", "start").await;
    assert_eq!(missing.outcome, Outcome::NotRun, "{missing:?}");
    assert!(
        missing.exit_reason.contains("does not exist"),
        "{}",
        missing.exit_reason
    );
    assert_eq!(
        run(&bench, "quorate-test-nosuch", "stop").await.outcome,
        Outcome::Exited(0)
    );

    // One that lives.
    let name = "quorate-test-sleeper";
    assert_eq!(
        run(&bench, name, "monitor").await.outcome,
        Outcome::Exited(7)
    );
    let start = run(&bench, name, "start").await;
    assert_eq!(start.outcome, Outcome::Exited(0), "{start:?}");
    assert!(
        fs::read_to_string(&drop_in)
            .expect("the drop-in")
            .contains("Restart=no")
    );
    assert_eq!(
        run(&bench, name, "monitor").await.outcome,
        Outcome::Exited(0)
    );
    assert_eq!(run(&bench, name, "start").await.outcome, Outcome::Exited(0));
    assert_eq!(run(&bench, name, "stop").await.outcome, Outcome::Exited(0));
    assert!(!drop_in.exists());
    assert_eq!(
        run(&bench, name, "monitor").await.outcome,
        Outcome::Exited(7)
    );
    assert_eq!(run(&bench, name, "stop").await.outcome, Outcome::Exited(0));

    // One that fails.
    let broken = run(&bench, "quorate-test-broken", "start").await;
    assert_eq!(broken.outcome, Outcome::Exited(1), "{broken:?}");
    assert!(
        broken
            .exit_reason
            .contains("journalctl -u quorate-test-broken.service"),
        "{}",
        broken.exit_reason
    );
    assert_eq!(
        run(&bench, "quorate-test-broken", "stop").await.outcome,
        Outcome::Exited(0)
    );

    // The job's end is awaited, and a timeout is kept.
    let began = Instant::now();
    assert_eq!(
        run(&bench, "quorate-test-slow.service", "start")
            .await
            .outcome,
        Outcome::Exited(0)
    );
    assert!(began.elapsed().as_millis() >= 1000);
    let late = bench.run_call(call("quorate-test-slow", "stop", 100)).await;
    assert_eq!(late.outcome, Outcome::TimedOut, "{late:?}");
    assert_eq!(
        run(&bench, "quorate-test-slow", "stop").await.outcome,
        Outcome::Exited(0)
    );

    for name in ["sleeper", "broken", "slow"] {
        let _ = fs::remove_file(path(name));
        let _ = fs::remove_dir_all(units.join(format!("quorate-test-{name}.service.d")));
    }
}

#[tokio::test]
async fn no_systemd_is_said_so() {
    let bench = Bench::with("nosystemd", |surroundings, directory| {
        surroundings.system_bus = Some(format!("unix:path={}/nosuch", directory.display()));
    });
    let result = run(&bench, "cron", "start").await;
    assert_eq!(result.outcome, Outcome::NotRun);
    assert!(
        result.exit_reason.contains("cannot be reached over D-Bus"),
        "{}",
        result.exit_reason
    );
}
