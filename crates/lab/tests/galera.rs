//! Galera under its own agent: brought up as documented, interrupted on the way, and through a host's power loss.

use std::path::PathBuf;

use quorate_lab::demo::{Cluster, GaleraFault, GaleraScenario, Quorate};
use quorate_lab::galera::{self, BRING_UP_FILE, CONTROLLERS, Setup, TIEBREAKER};
use quorate_lab::{Host, Lab, LabOptions};

/// The program as the workspace's own build left it.
fn program() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    let program = target.join("debug/quorate");
    program.exists().then_some(program)
}

/// What of the second document's software is missing on this machine.
fn missing() -> Option<&'static str> {
    [
        "/usr/lib/galera/libgalera_smm.so",
        "/usr/bin/garbd",
        "/usr/sbin/haproxy",
        "/usr/bin/rsync",
        "/usr/bin/xmllint",
    ]
    .into_iter()
    .find(|path| !std::path::Path::new(path).exists())
}

#[test]
fn galera_survives_a_host() {
    let name = "galera_survives_a_host";
    if let Some(path) = missing() {
        eprintln!("SKIPPED: {name}: {path} is not installed (cargo xtask install)");
        return;
    }
    let Some(program) = program() else {
        eprintln!("SKIPPED: {name}: build the program first (cargo build -p quorate)");
        return;
    };
    let mut options = LabOptions::new("test-galera", &[CONTROLLERS[0], CONTROLLERS[1], TIEBREAKER]);
    options.install = vec![("/usr/sbin/quorate".into(), program)];
    let lab = match Lab::up(&options) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: {name}: {error}");
            return;
        }
        other => other.expect("the lab comes up"),
    };
    let setup = Setup::default();
    galera::prepare(lab.hosts(), setup).unwrap();
    bring_up_can_be_interrupted(lab.host(CONTROLLERS[0]).unwrap());
    let text = galera::configuration(lab.hosts(), setup);
    let cluster = Quorate::form(&lab, &CONTROLLERS, 2000, &text).unwrap();
    let scenario = GaleraScenario::start(&lab, &cluster).unwrap();
    let result = scenario
        .run(GaleraFault::HostKilled, &mut |text| eprintln!("{text}"))
        .unwrap();
    eprintln!("{result:?}");
    assert_eq!(result.lost_rows, 0);
    assert_eq!(result.problems, Vec::<String>::new());
    assert!(cluster.settled().is_ok());
}

/// The procedure was run to its end before; it is begun again, its server dies in the middle, it is run again.
fn bring_up_can_be_interrupted(host: &Host) {
    let step = |name: &str| {
        host.run([
            "env",
            "BRING_UP_SECRETS=/root/galera",
            "BRING_UP_DATABASES=demo",
            BRING_UP_FILE,
            name,
        ])
    };
    step("start").unwrap();
    step("secure").unwrap();
    host.run(["pkill", "-KILL", "-x", "mariadbd"]).unwrap();
    while host.process("mariadbd").is_some() {
        std::thread::yield_now();
    }
    assert!(
        step("secure").is_err(),
        "nothing runs that could be secured"
    );
    step("all").unwrap();
    step("all").unwrap();
    let status = step("status").unwrap();
    assert!(status.contains("stop: done"), "{status}");
    let names = "SELECT COUNT(*) FROM mysql.global_priv WHERE User = ''";
    step("start").unwrap();
    let left = host
        .run([
            "mariadb",
            "--user=root",
            "--password=root",
            "-BN",
            "-e",
            names,
        ])
        .unwrap();
    assert_eq!(left.trim(), "0", "no anonymous user is left");
    let denied = host.output([
        "mariadb",
        "--user=root",
        "--password=wrong",
        "-e",
        "SELECT 1",
    ]);
    assert!(!denied.unwrap().status.success(), "root has a password");
    step("stop").unwrap();
}
