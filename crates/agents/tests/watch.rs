//! What a start leaves running is watched; its death is noticed at once.

mod common;

use std::time::{Duration, Instant};

use common::Bench;
use quorate_core::event::Outcome;

/// Leaves a process in a session of its own without the agent's environment, as `su -` does.
const SERVICE: &str = "#!/bin/sh\ncase $1 in\n\
    start) setsid env -i /bin/sh -c 'echo $$ > \"$0\"/pid; exec sleep 1000' $OCF_RESKEY_here \
           </dev/null >/dev/null 2>&1 &\n\
           while ! test -s $OCF_RESKEY_here/pid; do sleep 0.01; done;;\n\
    stop) kill $(cat $OCF_RESKEY_here/pid); rm $OCF_RESKEY_here/pid;;\n\
    monitor) grep -q '^State:.[RSD]' /proc/$(cat $OCF_RESKEY_here/pid)/status 2>/dev/null || exit 7;;\n\
    esac\n";

fn service_pid(bench: &Bench) -> i32 {
    let text = std::fs::read_to_string(bench.path("pid")).expect("the service's pid");
    text.trim().parse().expect("a number")
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
}

#[tokio::test]
async fn kill_9_is_noticed_within_milliseconds() {
    let bench = Bench::new("watch");
    bench.agent("service", SERVICE);
    let mut exits = bench.runner.exits().expect("the first to ask");
    assert_eq!(
        bench.run("service", "start", 60_000).await.outcome,
        Outcome::Exited(0)
    );
    let began = Instant::now();
    kill(service_pid(&bench));
    let resource = tokio::time::timeout(Duration::from_secs(30), exits.recv())
        .await
        .expect("noticed");
    let took = began.elapsed();
    assert_eq!(resource.as_deref(), Some("thing"));
    // Milliseconds; the bound leaves room for a busy machine.
    eprintln!("noticed after {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(
        bench.run("service", "monitor", 60_000).await.outcome,
        Outcome::Exited(7)
    );
}

#[tokio::test]
async fn a_stop_is_no_surprise() {
    let bench = Bench::new("watchstop");
    bench.agent("service", SERVICE);
    let mut exits = bench.runner.exits().expect("the first to ask");
    bench.run("service", "start", 60_000).await;
    bench.run("service", "stop", 60_000).await;
    let nothing = tokio::time::timeout(Duration::from_millis(200), exits.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn watched_on_by_the_next_session() {
    let bench = Bench::new("watchagain");
    bench.agent("service", SERVICE);
    bench.run("service", "start", 60_000).await;
    let again = bench.second_session();
    let mut exits = again.exits().expect("the first to ask");
    kill(service_pid(&bench));
    let resource = tokio::time::timeout(Duration::from_secs(30), exits.recv())
        .await
        .expect("noticed");
    assert_eq!(resource.as_deref(), Some("thing"));
}

#[tokio::test]
async fn a_supervisor_that_is_killed_is_said_to_be_lost() {
    let bench = Bench::new("lost");
    bench.agent("slow", "#!/bin/sh\necho $PPID > $OCF_RESKEY_here/new; mv $OCF_RESKEY_here/new $OCF_RESKEY_here/pid\nsleep 3\n");
    let call = bench.call("slow", "start", 60_000);
    let runner = bench.runner.clone();
    let run = tokio::spawn(async move { runner.run(quorate_core::ids::RunId(7), call).await });
    bench.wait_for_file("pid").await;
    kill(service_pid(&bench));
    let result = run.await.expect("no panic");
    assert_eq!(result.outcome, Outcome::Lost);
}
