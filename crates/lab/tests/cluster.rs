//! The whole product: a database under a client's load survives its machine's power loss and its own death.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use quorate_lab::demo::{
    Cluster, Fault, Fencing, Quorate, SERVERS, Scenario, WITNESS, configuration,
};
use quorate_lab::{BmcMode, Host, Lab, LabOptions, Link, database};

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
fn the_database_survives_its_machine() {
    let Some(program) = program() else {
        eprintln!(
            "SKIPPED: the_database_survives_its_machine: build the program first (cargo build -p quorate)"
        );
        return;
    };
    let mut options = LabOptions::new("test-cluster", &[SERVERS[0], SERVERS[1], WITNESS]);
    options.install = vec![("/usr/sbin/quorate".into(), program)];
    let lab = match Lab::up(&options) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: the_database_survives_its_machine: {error}");
            return;
        }
        other => other.expect("the lab comes up"),
    };
    let servers: Vec<&Host> = SERVERS.iter().map(|name| lab.host(name).unwrap()).collect();
    database::prepare(&servers).unwrap();
    let text = configuration(&servers, Fencing::ExternalIpmi);
    // Twice the usual detection time: the machine may be busy with other things.
    let cluster = Quorate::form(&lab, &SERVERS, 2000, &text).unwrap();
    let scenario = Scenario::start(&lab, &cluster).unwrap();
    for fault in [Fault::PowerLoss, Fault::ProcessDeath] {
        let result = scenario
            .run(fault, &mut |text| eprintln!("{text}"))
            .unwrap();
        eprintln!("{result:?}");
        assert_eq!(result.lost_rows, 0);
        assert_eq!(result.problems, Vec::<String>::new());
    }
    assert!(cluster.settled().is_ok());
    a_device_that_lies_makes_no_second_owner(&lab, &scenario, &servers);
}

/// The BMC says "done" and leaves the host alone: nothing may start elsewhere until it is honest again.
fn a_device_that_lies_makes_no_second_owner(lab: &Lab, scenario: &Scenario<'_>, servers: &[&Host]) {
    let is_active = |host: &&&Host| host.has_shared_mounted();
    let active = servers.iter().find(is_active).unwrap();
    let other = servers.iter().find(|host| !is_active(host)).unwrap();
    active.set_bmc_mode(BmcMode::Stuck).unwrap();
    let begun = Instant::now();
    active.cut(Link::Link1).unwrap();
    active.cut(Link::Link2).unwrap();
    while begun.elapsed() < Duration::from_secs(12) {
        assert!(
            !other.has_shared_mounted(),
            "started beside a host that lives"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = active.power_log();
    assert!(
        asked.iter().any(|(_, what)| what.contains("(bmc, stuck)")),
        "it was asked: {asked:?}"
    );
    active.set_bmc_mode(BmcMode::Honest).unwrap();
    // The cluster tries again by itself.
    let deadline = Instant::now() + Duration::from_secs(90);
    while !other.has_shared_mounted() {
        assert!(Instant::now() < deadline, "an honest device ends the wait");
        std::thread::sleep(Duration::from_millis(100));
    }
    lab.heal().unwrap();
    scenario.settle().unwrap();
}
