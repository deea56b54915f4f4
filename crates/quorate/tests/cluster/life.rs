//! Starts, deaths, drains, and what the verbs do meanwhile.

use std::fs;

use crate::daemons::{Node, alone, state_of, three, three_with_resource, where_is};

#[test]
fn three_daemons_survive_kill_9_of_one_and_of_all() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    let leader = nodes[1].sees_online(3)["leader"]
        .as_str()
        .unwrap()
        .to_owned();
    let victim = nodes.iter().position(|n| n.name == leader).unwrap();
    nodes[victim].kill();
    let other = (victim + 1) % 3;
    nodes[other].until("the leader lost", |s| {
        state_of(s, &leader) == "UNCLEAN (offline)"
            && s["leader"].is_string()
            && s["leader"] != *leader
    });
    nodes[victim].start();
    for node in &nodes {
        node.sees_online(3);
    }
    for node in &mut nodes {
        node.kill();
    }
    for node in &mut nodes {
        node.start();
    }
    for node in &nodes {
        node.sees_online(3);
    }
}

#[test]
fn hup_restarts_and_term_drains() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    nodes[1].signal("-HUP");
    assert_eq!(nodes[1].end().code(), Some(75));
    nodes[1].start();
    nodes[1].sees_online(3);
    nodes[1].signal("-TERM");
    let status = nodes[1].end();
    assert_eq!(status.code(), Some(0), "{}", nodes[1].log());
    // It left in good order: nobody fences it.
    nodes[0].until("n2 gone in good order", |s| state_of(s, "n2") == "OFFLINE");
}

#[test]
fn a_killed_daemon_finds_its_resource_again_and_a_stopped_one_hands_it_over() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some((mut nodes, home)) = three_with_resource(root.path()) else {
        return;
    };
    let holder = nodes.iter().position(|n| n.name == home).unwrap();
    let state = root.path().join("d1.state");
    let begun = fs::metadata(&state).unwrap().modified().unwrap();

    nodes[holder].kill();
    nodes[holder].start();
    let other = (holder + 1) % 3;
    nodes[holder].sees_online(3);
    nodes[other].sees_online(3);
    let status = nodes[other].until("d1 started", |s| where_is(s, "d1").is_some());
    assert_eq!(where_is(&status, "d1").unwrap(), home);
    assert_eq!(
        fs::metadata(&state).unwrap().modified().unwrap(),
        begun,
        "it was restarted"
    );

    nodes[holder].signal("-TERM");
    assert_eq!(
        nodes[holder].end().code(),
        Some(0),
        "{}",
        nodes[holder].log()
    );
    nodes[other].until("d1 moved", |s| {
        where_is(s, "d1").is_some_and(|node| node != home)
    });
    assert!(fs::metadata(&state).unwrap().modified().unwrap() > begun);

    // The verbs, over the socket.
    nodes[holder].start();
    nodes[other].sees_online(3);
    nodes[other].good(&["standby", &nodes[other].name]);
    nodes[other].until("d1 away", |s| {
        where_is(s, "d1").is_some_and(|n| n != nodes[other].name)
    });
    nodes[other].good(&["online", &nodes[other].name]);
    let said = nodes[other].good(&["move", "d1", &nodes[other].name]);
    assert!(said.contains("quorate clear d1"), "{said}");
    nodes[other].until("d1 here", |s| {
        where_is(s, "d1").is_some_and(|n| n == nodes[other].name)
    });
    nodes[other].good(&["clear", "d1"]);
    assert!(
        nodes[other]
            .good(&["explain", "d1"])
            .contains("d1 (ocf:heartbeat:Dummy): Started on")
    );
    assert!(nodes[other].good(&["history", "d1"]).contains("d1_start_0"));
    every_single_fault_on_paper(&nodes[other]);
    assert!(
        nodes[other]
            .bad(&["explain", "nothing"])
            .contains("there are: d1")
    );
}

/// `check --faults live`: what the running cluster would survive, each fault with the place and the time.
fn every_single_fault_on_paper(node: &Node) {
    let output = node.quorate(&["check", "--faults", "live"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in ["n1", "n2", "n3", "d1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let output = node.quorate(&["check", "--faults", "live", "--json"]);
    let matrix: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = matrix["single"]
        .as_array()
        .unwrap_or_else(|| panic!("{matrix:#}"));
    let home = where_is(&node.status().unwrap(), "d1").unwrap();
    for (name, outcome) in ["n1", "n2", "n3"].map(|name| (name, name == home)) {
        let fault = format!("node {name} lost");
        let row = rows
            .iter()
            .find(|row| row["faults"][0] == *fault)
            .unwrap_or_else(|| panic!("{fault}: {matrix:#}"));
        let told = &row["services"][0]["outcome"];
        assert_eq!(told != "untouched", outcome, "{row:#}");
        assert_ne!(row["services"][0]["nodes"][0], *name, "{row:#}");
    }
}
