//! Agents that are missing, broken, hanging or talkative; and a daemon that dies in the middle.

mod common;

use std::time::{Duration, Instant};

use common::Bench;
use quorate_core::event::Outcome;
use quorate_core::ids::RunId;

#[tokio::test]
async fn missing_agent() {
    let bench = Bench::new("missing");
    let result = bench.run("nosuch", "start", 60_000).await;
    assert_eq!(result.outcome, Outcome::NotRun);
    assert!(
        result.exit_reason.contains("does not exist"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn not_executable() {
    let bench = Bench::new("noexec");
    bench.agent("plain", "#!/bin/sh\nexit 0\n");
    bench.set_mode("plain", 0o644);
    let result = bench.run("plain", "start", 60_000).await;
    assert_eq!(result.outcome, Outcome::NotRun);
    assert!(
        result.exit_reason.contains("not executable"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn missing_interpreter() {
    let bench = Bench::new("nointerp");
    bench.agent("odd", "#!/nonexistent/interpreter\n");
    let result = bench.run("odd", "start", 60_000).await;
    assert_eq!(result.outcome, Outcome::NotRun);
    assert!(
        result.exit_reason.contains("interpreter"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn a_name_with_a_path_in_it() {
    let bench = Bench::new("path");
    let result = bench.run("../../../bin/true", "start", 60_000).await;
    assert_eq!(result.outcome, Outcome::NotRun);
}

#[tokio::test]
async fn a_hanging_agent_is_killed_with_all_it_started() {
    let bench = Bench::new("hang");
    let marker = format!("86{}", std::process::id());
    // One in the group, one in a session of its own, one that ignores TERM.
    bench.agent(
        "hang",
        &format!(
            "#!/bin/sh\ntrap '' TERM\nsetsid sleep {marker} &\nsleep {marker} &\nsleep {marker}\n"
        ),
    );
    let began = Instant::now();
    let result = bench.run("hang", "start", 300).await;
    assert_eq!(result.outcome, Outcome::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(60));
    assert!(
        result.exit_reason.contains("did not end within"),
        "{}",
        result.exit_reason
    );
    assert_eq!(common::processes_with_argument(&marker), 0);
}

#[tokio::test]
async fn a_megabyte_on_stderr_and_a_reason() {
    let bench = Bench::new("talk");
    bench.agent(
        "talk",
        "#!/bin/sh\necho begin\nyes 'noise, noise, noise' | head -c 2000000 >&2\n\
         echo 'ocf-exit-reason:the table is full' >&2\nyes more | head -c 2000000 >&2\nexit 1\n",
    );
    let result = bench.run("talk", "start", 60_000).await;
    assert_eq!(result.outcome, Outcome::Exited(1));
    assert_eq!(result.exit_reason, "the table is full");
    assert!(result.output.len() < 70_000, "{}", result.output.len());
    assert!(result.output.starts_with("begin"));
    assert!(result.output.ends_with("more\n"));
}

#[tokio::test]
async fn undocumented_exit_code() {
    let bench = Bench::new("code");
    bench.agent("odd", "#!/bin/sh\necho strange things happen\nexit 42\n");
    let result = bench.run("odd", "monitor", 60_000).await;
    assert_eq!(result.outcome, Outcome::Exited(42));
    insta::assert_snapshot!(result.exit_reason, @"the agent exited with 42, which the OCF API does not define: taken as a failure; its last words: strange things happen");
}

#[tokio::test]
async fn killed_by_somebody() {
    let bench = Bench::new("sig");
    bench.agent("suicide", "#!/bin/sh\nkill -9 $$\n");
    let result = bench.run("suicide", "monitor", 60_000).await;
    assert_eq!(result.outcome, Outcome::Exited(1));
    assert!(
        result.exit_reason.contains("signal 9, not by us"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn killed_on_request() {
    let bench = Bench::new("kill");
    bench.agent(
        "slow",
        "#!/bin/sh\ntouch $OCF_RESKEY_here/begun\nsleep 100\n",
    );
    let call = bench.call("slow", "start", 60_000);
    let runner = bench.runner.clone();
    let run = tokio::spawn(async move { runner.run(RunId(7), call).await });
    bench.wait_for_file("begun").await;
    bench.runner.kill(RunId(7));
    let result = run.await.expect("no panic");
    assert_eq!(result.outcome, Outcome::TimedOut);
    assert!(
        result.exit_reason.contains("on request"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn the_daemon_dies_and_the_exit_code_is_not_lost() {
    let bench = Bench::new("restart");
    bench.agent(
        "slow",
        "#!/bin/sh\ntouch $OCF_RESKEY_here/begun\n\
         while ! test -e $OCF_RESKEY_here/go; do sleep 0.02; done\necho ocf-exit-reason:as planned >&2; exit 6\n",
    );
    let mut call = bench.call("slow", "start", 60_000);
    call.name = "5.17.3".into();
    let runner = bench.runner.clone();
    let other = call.clone();
    let run = tokio::spawn(async move { runner.run(RunId(7), other).await });
    bench.wait_for_file("begun").await;
    run.abort();

    // A new session of the daemon.
    let again = bench.second_session();
    let found = again.inventory().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].call, call);
    assert_eq!(found[0].result, None);
    bench.touch("go");
    let result = again.finish_found(found[0].run).await;
    assert_eq!(result.outcome, Outcome::Exited(6));
    assert_eq!(result.exit_reason, "as planned");

    // And a third finds the kept result.
    let third = bench.second_session();
    let found = third.inventory().await;
    assert_eq!(found[0].result.as_ref(), Some(&result));
}

#[tokio::test]
async fn a_monitor_of_the_dead_daemon_is_ended_and_forgotten() {
    let bench = Bench::new("forget");
    bench.agent(
        "slow",
        "#!/bin/sh\ntouch $OCF_RESKEY_here/begun\nsleep 100\n",
    );
    let call = bench.call("slow", "monitor", 60_000);
    let runner = bench.runner.clone();
    let run = tokio::spawn(async move { runner.run(RunId(7), call).await });
    bench.wait_for_file("begun").await;
    run.abort();
    let again = bench.second_session();
    assert_eq!(again.inventory().await, []);
    let listing = std::fs::read_dir(bench.path("runs")).expect("journal");
    // The first session's question about the agent's metadata may still be on its way out.
    let names = listing
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let left: Vec<String> = names.filter(|name| !name.contains("metadata")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn journal_on_a_full_or_read_only_disk() {
    let bench = Bench::new("readonly");
    bench.agent("fine", "#!/bin/sh\ntouch $OCF_RESKEY_here/ran\n");
    std::fs::remove_dir_all(bench.path("runs")).expect("remove the journal");
    let result = bench.run("fine", "start", 60_000).await;
    assert_eq!(result.outcome, Outcome::NotRun);
    assert!(
        result.exit_reason.contains("nothing was started"),
        "{}",
        result.exit_reason
    );
    assert!(!bench.path("ran").exists());
}
