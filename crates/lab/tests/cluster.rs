//! The whole product: a database under a client's load survives its machine's power loss and its own death.

use std::path::PathBuf;

use quorate_lab::demo::{
    Cluster, Fault, Fencing, Quorate, SERVERS, Scenario, WITNESS, configuration,
};
use quorate_lab::{Host, Lab, LabOptions, database};

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
}
