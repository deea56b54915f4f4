//! Agents as Debian installs them, unmodified.

mod common;

use std::path::Path;

use common::Bench;
use quorate_agents::metadata;
use quorate_core::event::{AgentCall, Outcome};
use quorate_core::ids::RunId;

/// Says so loudly when the package is not there.
fn installed(path: &str, package: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: agents are run as root");
        return false;
    }
    let is_there = Path::new(path).exists();
    if !is_there {
        eprintln!("SKIPPED: {path} is not there (package {package})");
    }
    is_there
}

fn ocf(provider: &str, agent: &str, action: &str, parameters: &[(&str, &str)]) -> AgentCall {
    AgentCall {
        resource: format!("test-{agent}"),
        instance: format!("test-{agent}"),
        class: "ocf".into(),
        provider: Some(provider.into()),
        agent: agent.into(),
        action: action.into(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        timeout_ms: 60_000,
        ..AgentCall::default()
    }
}

#[tokio::test]
async fn dummy_lives_and_dies() {
    if !installed("/usr/lib/ocf/resource.d/heartbeat/Dummy", "resource-agents") {
        return;
    }
    let bench = Bench::real("dummy");
    let state = bench.path("state").to_string_lossy().into_owned();
    let parameters = [("state", state.as_str())];
    for (action, code) in [
        ("monitor", 7),
        ("start", 0),
        ("monitor", 0),
        ("stop", 0),
        ("monitor", 7),
    ] {
        let result = bench
            .run_call(ocf("heartbeat", "Dummy", action, &parameters))
            .await;
        assert_eq!(
            result.outcome,
            Outcome::Exited(code),
            "{action}: {result:?}"
        );
        assert!(
            result
                .digests
                .is_some_and(|digests| digests.all.len() == 32)
        );
    }
}

#[tokio::test]
async fn an_agent_that_lacks_its_program_says_so() {
    if !installed("/usr/lib/ocf/resource.d/heartbeat/mysql", "resource-agents") {
        return;
    }
    let bench = Bench::real("nobinary");
    let call = ocf(
        "heartbeat",
        "mysql",
        "start",
        &[("binary", "/nonexistent/mysqld")],
    );
    let result = bench.run_call(call).await;
    assert_eq!(result.outcome, Outcome::Exited(5), "{result:?}");
    assert!(
        result.exit_reason.contains("/nonexistent/mysqld"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn delay_runs_into_its_timeout() {
    if !installed("/usr/lib/ocf/resource.d/heartbeat/Delay", "resource-agents") {
        return;
    }
    let bench = Bench::real("delay");
    let mut call = ocf(
        "heartbeat",
        "Delay",
        "start",
        &[("startdelay", "30"), ("stopdelay", "0"), ("mondelay", "0")],
    );
    // It keeps its state in a file of this name, written before it waits.
    call.instance = format!("quorate-delay-{}", std::process::id());
    call.timeout_ms = 400;
    let stop = AgentCall {
        action: "stop".into(),
        timeout_ms: 60_000,
        ..call.clone()
    };
    let result = bench.run_call(call).await;
    assert_eq!(result.outcome, Outcome::TimedOut);
    let result = bench.run_call(stop).await;
    assert_eq!(result.outcome, Outcome::Exited(0));
}

#[test]
fn metadata_of_every_installed_agent_is_understood() {
    let surroundings = quorate_agents::Surroundings::default();
    for (class, provider, agent, parameter) in [
        ("ocf", Some("heartbeat"), "mysql", "datadir"),
        ("ocf", Some("heartbeat"), "Filesystem", "device"),
        ("ocf", Some("heartbeat"), "IPaddr2", "ip"),
        ("ocf", Some("heartbeat"), "galera", "wsrep_cluster_address"),
        ("ocf", Some("pacemaker"), "ClusterMon", "extra_options"),
        ("stonith", None, "fence_ipmilan", "ip"),
        ("stonith", None, "external/ipmi", "ipaddr"),
        ("stonith", None, "external/ssh", "hostlist"),
    ] {
        match metadata::describe(&surroundings, class, provider, agent) {
            Ok(description) => {
                assert!(
                    description.parameter(parameter).is_some(),
                    "{agent}: {description:?}"
                );
                assert!(!description.summary.is_empty(), "{agent}");
            }
            Err(metadata::MetadataError::Missing { agent, path }) => {
                eprintln!("SKIPPED: {agent} is not installed ({path})");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_metadata_say_of_actions_and_parameters() {
    if !installed("/usr/lib/ocf/resource.d/heartbeat/mysql", "resource-agents") {
        return;
    }
    let surroundings = quorate_agents::Surroundings::default();
    let mysql =
        metadata::describe(&surroundings, "ocf", Some("heartbeat"), "mysql").expect("metadata");
    let start = mysql
        .actions
        .iter()
        .find(|action| action.name == "start")
        .expect("an action");
    assert_eq!(start.timeout.as_deref(), Some("120s"));
    assert!(
        mysql
            .parameter("reader_attribute")
            .expect("a parameter")
            .is_unique
    );
    let missing = metadata::metadata("ocf", Some("heartbeat"), "nosuch").expect_err("missing");
    assert_eq!(
        missing.to_string(),
        "ocf:heartbeat:nosuch is not installed here (/usr/lib/ocf/resource.d/heartbeat/nosuch does not exist)"
    );
}

fn fence(
    agent: &str,
    action: &str,
    target: Option<&str>,
    parameters: &[(&str, &str)],
) -> AgentCall {
    AgentCall {
        class: "stonith".into(),
        provider: None,
        target: target.map(str::to_owned),
        timeout_ms: 20_000,
        ..ocf("", agent, action, parameters)
    }
}

#[tokio::test]
async fn fence_dummy_off_and_read_back() {
    if !installed("/usr/sbin/fence_dummy", "fence-agents") {
        return;
    }
    let bench = Bench::real("fencedummy");
    let file = bench.path("power").to_string_lossy().into_owned();
    std::fs::write(&file, "on").expect("write");
    let parameters = [
        ("status_file", file.as_str()),
        ("pcmk_host_map", "n1:1;n2:2"),
    ];
    for (action, code) in [
        ("start", 0),
        ("monitor", 0),
        ("power-status", 0),
        ("off", 0),
        ("power-status", 2),
        ("on", 0),
        ("power-status", 0),
        ("reboot", 0),
        ("stop", 0),
    ] {
        let target = (!matches!(action, "start" | "monitor" | "stop")).then_some("n1");
        let result = bench
            .run_call(fence("fence_dummy", action, target, &parameters))
            .await;
        assert_eq!(
            result.outcome,
            Outcome::Exited(code),
            "{action}: {result:?}"
        );
    }
}

#[tokio::test]
async fn an_unreachable_device_fails_with_its_words() {
    if !installed("/usr/sbin/fence_ipmilan", "fence-agents") {
        return;
    }
    let bench = Bench::real("unreachable");
    let parameters = [
        ("ip", "127.0.0.1"),
        ("ipport", "6229"),
        ("username", "admin"),
        ("password", "x"),
        ("lanplus", "1"),
        ("pcmk_off_retries", "1"),
        ("login_timeout", "1"),
    ];
    let mut call = fence("fence_ipmilan", "off", Some("n1"), &parameters);
    call.timeout_ms = 3000;
    let result = bench.run_call(call).await;
    assert!(
        matches!(result.outcome, Outcome::Exited(1) | Outcome::TimedOut),
        "{result:?}"
    );
    assert!(!result.exit_reason.is_empty());
}

#[tokio::test]
async fn a_plugin_that_cannot_tell_the_power_state_says_so() {
    let bench = Bench::real("cannottell");
    let result = bench
        .run_call(fence("external/ssh", "power-status", Some("n1"), &[]))
        .await;
    assert_eq!(result.outcome, Outcome::NotRun);
    assert!(
        result.exit_reason.contains("speaks of the device only"),
        "{}",
        result.exit_reason
    );
}

#[tokio::test]
async fn a_delay_can_be_cancelled_and_nothing_is_done() {
    let bench = Bench::real("delaycancel");
    let call = fence(
        "fence_dummy",
        "off",
        Some("n1"),
        &[("pcmk_delay_base", "60")],
    );
    let runner = bench.runner.clone();
    let run = tokio::spawn(async move { runner.run(RunId(9), call).await });
    // Killed before or after it began to wait: the same.
    tokio::task::yield_now().await;
    bench.runner.kill(RunId(9));
    let result = run.await.expect("no panic");
    assert_eq!(result.outcome, Outcome::NotRun);
}

/// An agent that begins with a `PATH` of its own, as `rabbitmq-server-ha` does, and one that names a tool's full path.
#[tokio::test]
async fn agents_that_reset_their_path_find_our_tools() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: agents_that_reset_their_path_find_our_tools: not root");
        return;
    }
    let bench = Bench::with("path", |surroundings, directory| {
        surroundings.ocf_root = directory.join("ocf");
        let tools = directory.join("tools");
        std::fs::create_dir_all(&tools).expect("tools");
        let program = directory.join("program");
        std::fs::write(&program, "#!/bin/sh\necho \"ours: ${0##*/} $*\"\n").expect("program");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("chmod");
        for name in ["crm_attribute", "crm_master", "attrd_updater", "crm_node"] {
            std::os::unix::fs::symlink(&program, tools.join(name)).expect("link");
        }
        surroundings.tools = Some(tools);
    });
    bench.agent(
        "resets",
        "#!/bin/sh\nPATH=/sbin:/usr/sbin:/bin:/usr/bin\ncrm_attribute -N n1\ncrm_master -v 5\n\
         su root -c 'attrd_updater -p'\nexit 0\n",
    );
    bench.agent("names", "#!/bin/sh\n/usr/sbin/crm_node -l\nexit 0\n");
    let said = bench.run("resets", "start", 60_000).await;
    assert_eq!(said.outcome, Outcome::Exited(0), "{said:?}");
    assert!(
        said.output.contains("ours: crm_attribute -N n1")
            && said.output.contains("ours: crm_master -v 5")
            && said.output.contains("ours: attrd_updater -p"),
        "{said:?}"
    );
    let said = bench.run("names", "start", 60_000).await;
    assert!(said.output.contains("ours: crm_node -l"), "{said:?}");
}

#[tokio::test]
async fn both_providers_of_the_rabbitmq_agent_resolve() {
    let agent = "/usr/lib/ocf/resource.d/heartbeat/rabbitmq-server-ha";
    if !installed(agent, "resource-agents") {
        return;
    }
    let bench = Bench::real("rabbit");
    for provider in ["rabbitmq", "heartbeat"] {
        let text = metadata::metadata_in(
            &bench.surroundings,
            "ocf",
            Some(provider),
            "rabbitmq-server-ha",
        );
        assert!(text.expect("metadata").contains("erlang_cookie"));
    }
}
