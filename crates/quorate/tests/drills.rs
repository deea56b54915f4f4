//! Drills against a cluster of real hosts: they break what they say, see what happens and judge it.

use std::process::Command;
use std::time::{Duration, Instant};

use quorate_lab::demo::{Cluster, Fencing, Quorate, SERVERS, Scenario, WITNESS, configuration};
use quorate_lab::{Host, Lab, LabOptions, VIRTUAL_ADDRESS, database};
use serde_json::Value;

const NAME: &str = "test-drills";

/// Runs a command of the machine in the lab's network, with the witness's daemon behind it.
fn quorate(lab: &Lab, words: &[&str]) -> (Value, String) {
    let init = lab
        .host(WITNESS)
        .unwrap()
        .init()
        .expect("the witness is on");
    let program = env!("CARGO_BIN_EXE_quorate");
    let output = Command::new("nsenter")
        .arg(format!("--net={}", lab.namespace_file().display()))
        .args([program, "--yes", "--json", "--socket"])
        .arg(format!("/proc/{init}/root/run/quorate/socket"))
        .args(words)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_str(&text).unwrap_or_default(), said)
}

fn drill(lab: &Lab, name: &str) -> (Value, String) {
    let via = format!(
        "{} lab --name {NAME} exec {{node}} --",
        env!("CARGO_BIN_EXE_quorate")
    );
    let probe = format!("{VIRTUAL_ADDRESS}:3306");
    quorate(lab, &["drill", name, "--probe", &probe, "--via", &via])
}

#[test]
fn drills_are_judged_on_real_hosts() {
    let mut options = LabOptions::new(NAME, &[SERVERS[0], SERVERS[1], WITNESS]);
    options.install = vec![(
        "/usr/sbin/quorate".into(),
        env!("CARGO_BIN_EXE_quorate").into(),
    )];
    let lab = match Lab::up(&options) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: drills_are_judged_on_real_hosts: {error}");
            return;
        }
        other => other.expect("the lab comes up"),
    };
    let servers: Vec<&Host> = SERVERS.iter().map(|name| lab.host(name).unwrap()).collect();
    database::prepare(&servers).unwrap();
    let text = configuration(&servers, Fencing::ExternalIpmi);
    let cluster = Quorate::form(&lab, &SERVERS, 2000, &text).unwrap();
    Scenario::start(&lab, &cluster).unwrap().settle().unwrap();

    // Every server's power is read by its peer; the witness needs no device.
    let (checked, said) = quorate(&lab, &["fence", "check"]);
    assert_eq!(checked["good"], true, "{said}");
    assert_eq!(checked["nodes"].as_array().map(Vec::len), Some(2), "{said}");

    // Only said: nothing is touched.
    let (shown, said) = quorate(&lab, &["drill", "reboot", "--show"]);
    assert!(
        shown["done"]
            .as_str()
            .is_some_and(|text| text.contains("systemctl --no-block reboot")),
        "{said}"
    );
    // Nobody would be left to watch.
    let active = servers
        .iter()
        .find(|host| host.has_shared_mounted())
        .unwrap();
    let output = active
        .output(["quorate", "--yes", "drill", "power-loss"])
        .unwrap();
    let refusal = String::from_utf8_lossy(&output.stderr);
    assert!(refusal.contains("this very node"), "{refusal}");
    assert!(active.has_shared_mounted());

    for name in ["one-link-lost", "process-death", "reboot", "power-loss"] {
        let (result, said) = drill(&lab, name);
        assert_eq!(result["good"], true, "{name}: {said}");
        let fenced: Vec<&str> = result["fenced"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(
            fenced.len(),
            usize::from(name == "power-loss"),
            "{name}: {said}"
        );
        assert!(
            result["outage_s"].as_f64() < result["budget_s"].as_f64(),
            "{name}: {said}"
        );
        settle(&cluster);
    }
}

/// The drill waits until all is well; an action may begin again in the moment after.
fn settle(cluster: &Quorate<'_>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(problem) = cluster.settled() {
        assert!(Instant::now() < deadline, "{problem}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
