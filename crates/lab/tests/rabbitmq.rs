//! Three real brokers under their unmodified agent, through the loss of the promoted one's host.

use std::path::{Path, PathBuf};

use quorate_lab::demo::{BrokerFault, BrokerScenario, Quorate};
use quorate_lab::rabbitmq::{self, CONTROLLERS};
use quorate_lab::{Lab, LabOptions};

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
fn brokers_survive_a_host() {
    let name = "brokers_survive_a_host";
    let needed = [
        "/usr/sbin/rabbitmq-server",
        "/usr/lib/ocf/resource.d/heartbeat/rabbitmq-server-ha",
        "/usr/lib/ocf/resource.d/pacemaker/ClusterMon",
        "/usr/sbin/iptables",
        "/usr/lib/python3/dist-packages/pika",
    ];
    if let Some(path) = needed.into_iter().find(|path| !Path::new(path).exists()) {
        eprintln!("SKIPPED: {name}: {path} is not installed (cargo xtask install)");
        return;
    }
    let Some(program) = program() else {
        eprintln!("SKIPPED: {name}: build the program first (cargo build -p quorate)");
        return;
    };
    let mut options = LabOptions::new("test-rabbitmq", &CONTROLLERS);
    options.install = vec![("/usr/sbin/quorate".into(), program)];
    let lab = match Lab::up(&options) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: {name}: {error}");
            return;
        }
        other => other.expect("the lab comes up"),
    };
    rabbitmq::prepare(lab.hosts()).unwrap();
    let text = rabbitmq::configuration(lab.hosts());
    let cluster = Quorate::form(&lab, &CONTROLLERS, 2000, &text).unwrap();
    let mut scenario = BrokerScenario::start(&lab, &cluster).unwrap();
    let result = scenario
        .run(BrokerFault::PromotedHostLost, &mut |text| {
            eprintln!("{text}");
        })
        .unwrap();
    eprintln!("{result:?}");
    assert_eq!(result.base.problems, Vec::<String>::new());
    assert_eq!(result.base.lost_rows, 0);
    assert_ne!(result.base.active_before, result.base.active_after);
    // The script of ClusterMon heard of the fencing, wherever it ran at that time.
    let told = lab.hosts().iter().any(|host| {
        let log = host.run(["cat", "/var/log/cluster-event.log"]);
        log.is_ok_and(|text| text.contains("CRM_notify_task=start"))
    });
    assert!(told, "no event reached the script");
    // The cookie is in the broker's file, and where the cluster is shown it is not.
    let host = &lab.hosts()[0];
    let cookie = host
        .run(["cat", "/var/lib/rabbitmq/.erlang.cookie"])
        .unwrap();
    for words in [
        &["quorate", "show"][..],
        &["quorate", "tool", "crm", "configure", "show"],
        &["quorate", "status"],
        &["quorate", "history", "--operations", "-n", "1000"],
        &["ps", "-eo", "args"],
        &["journalctl", "--no-pager"],
    ] {
        let output = host.output(words).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !said.contains(cookie.trim()),
            "the cookie is shown by {words:?}"
        );
    }
}
