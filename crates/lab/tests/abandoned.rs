//! What a killed process leaves of its lab is removed when the next one is made.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_lab::{Lab, LabOptions};

const CHILD: &str = "QUORATE_LAB_TEST_CHILD";
const LEFT: &str = "test-left";
const NEXT: &str = "test-next";

/// A place of its own: other tests sweep the usual one.
fn state() -> PathBuf {
    "/var/tmp/quorate-lab-abandoned".into()
}

fn options(name: &str, hosts: &[&str]) -> LabOptions {
    let mut options = LabOptions::new(name, hosts);
    options.state = state();
    options
}

/// This test's own program, as the process that is to be killed.
fn child(test: &str, manner: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, manner)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// As the child: makes a lab and says so; does not end by itself.
fn be_child(manner: &str) {
    let mut options = options(LEFT, &["n1"]);
    options.ephemeral = manner != "lasting";
    match Lab::up(&options) {
        Ok(lab) => {
            println!("\nthe lab is up");
            // Until it is killed, or its parent is gone.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(lab);
        }
        Err(error) => println!("\nno lab: {error}"),
    }
}

fn loops_of(dir: &Path) -> usize {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    let files =
        devices.map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")));
    files
        .flatten()
        .filter(|file| Path::new(file.trim_end()).starts_with(dir))
        .count()
}

fn assert_gone() {
    assert!(!state().join(LEFT).exists(), "its directory");
    assert!(
        !Path::new("/run/netns")
            .join(format!("quorate-{LEFT}"))
            .exists(),
        "its network"
    );
    for base in [
        "/sys/fs/cgroup/quorate-lab",
        "/sys/fs/cgroup/unified/quorate-lab",
    ] {
        assert!(!Path::new(base).join(LEFT).exists(), "its cgroup {base}");
    }
    assert_eq!(loops_of(&state().join(LEFT)), 0, "its loop devices");
}

#[test]
fn a_lab_whose_owner_was_killed_is_removed_by_the_next() {
    if let Ok(manner) = std::env::var(CHILD) {
        be_child(&manner);
        return;
    }
    let test = "a_lab_whose_owner_was_killed_is_removed_by_the_next";
    let mut owner = child(test, "ephemeral");
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let word = lines.find_map(|line| {
        line.ok()
            .filter(|line| line.starts_with("the lab") || line.starts_with("no lab"))
    });
    let word = word.unwrap_or_default();
    if word.starts_with("no lab") {
        owner.wait().unwrap();
        // The same reason holds for the next one.
        assert!(
            Lab::up(&options(NEXT, &["n1"])).is_err_and(|error| error.is_about_the_machine()),
            "{word}"
        );
        eprintln!("SKIPPED: {test}: {word}");
        return;
    }
    assert!(loops_of(&state().join(LEFT)) > 0, "it was really there");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let lab = Lab::up(&options(NEXT, &["n1"])).expect("the next lab comes up");
    assert_gone();
    drop(lab);

    // Killed while it makes a lab that would have lasted.
    let mut owner = child(test, "lasting");
    let begun = Instant::now();
    while !state().join(LEFT).join("owner").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it begins");
        std::thread::sleep(Duration::from_millis(5));
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    let lab = Lab::up(&options(NEXT, &["n1"])).expect("the next lab comes up");
    assert_gone();
    drop(lab);
    assert_eq!(Lab::list(&state()), Vec::<String>::new());
}
