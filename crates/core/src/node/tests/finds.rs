//! What the simulator found, each shown again in a few steps.

use super::*;
use crate::message::NodeInventory;
use crate::state::Presence;

const CLONE: &str = "\
primitive web ocf:sim:Process op monitor interval=10s
primitive st1 stonith:external/ipmi params hostname=n1
primitive st2 stonith:external/ipmi params hostname=n2
primitive st3 stonith:external/ipmi params hostname=n3
clone web-clone web
location st2-not-on-n3 st2 -inf: n3
";

fn with_clone() -> Cluster {
    let mut cluster = Cluster::new(&["n1", "n2", "n3"], CLONE);
    cluster.run(3_000);
    cluster
}

/// The same, led by a node that must ask another one for the device against the second.
fn with_far_device() -> Cluster {
    let mut cluster = with_clone();
    cluster.elect_node("n3");
    cluster.run(1_000);
    cluster
}

fn silent(cluster: &mut Cluster, node: &str) {
    let since = Millis(cluster.now);
    for other in cluster.alive().into_iter().filter(|other| other != node) {
        cluster.inject(&other, contact(node, ContactState::Lost { since }));
    }
}

fn answers(cluster: &mut Cluster, node: &str) {
    let incarnation = cluster.incarnation(node);
    for other in cluster.alive().into_iter().filter(|other| other != node) {
        cluster.inject(&other, contact(node, ContactState::Back { incarnation }));
    }
}

/// Seeds 1001282, 1001387: a cleanup made the policy give an instance another number, and it was probed under that name
/// while its recurring monitor of the old name ran, which nobody ever cancelled.
#[test]
fn an_anonymous_instance_has_one_name_whatever_its_number() {
    let mut cluster = with_clone();
    for node in ["n1", "n2", "n3"] {
        assert_eq!(cluster.active_on(node), ["web"]);
        let names: Vec<&String> = cluster.state().nodes[&NodeName::from(node)]
            .resources
            .keys()
            .filter(|name| name.starts_with("web"))
            .collect();
        assert_eq!(names, ["web"]);
    }
    assert_eq!(cluster.state().holders_of("web").count(), 3);
    let who = String::new();
    let resource = Some("web-clone".to_owned());
    let node = Some(NodeName::from("n2"));
    cluster.ask(
        "n1",
        Request::Cleanup {
            resource,
            node,
            who,
        },
    );
    cluster.run(1_000);
    for line in &cluster.trace {
        assert!(!line.contains("web:"), "{line}");
    }
    let watched = cluster.hosts["n2"].node.as_ref().expect("it lives");
    assert_eq!(watched.executor.monitored_resources().count(), 1);
}

/// Seed 1010756, and 3364 before it: the message that asks for a device's run was lost, and 32 s later the next attempt
/// ended a node that had been back for all that time.
#[test]
fn a_lost_asking_for_a_device_is_repeated() {
    let mut cluster = with_far_device();
    cluster.lost_askings = 1;
    cluster.cut("n2");
    cluster.run(3_500);
    assert_eq!(cluster.lost_askings, 0, "it was asked for elsewhere");
    let status = &cluster.state().nodes[&NodeName::from("n2")];
    assert_eq!(
        status.presence,
        Presence::Fenced,
        "{}",
        cluster.trace.join("\n")
    );
}

/// The same find: who answers again before a device has done anything is not fenced any more.
#[test]
fn who_answers_again_is_not_fenced_for_its_silence() {
    let mut cluster = with_far_device();
    cluster.lost_askings = 1_000;
    silent(&mut cluster, "n2");
    cluster.run(100);
    answers(&mut cluster, "n2");
    assert!(cluster.lost_askings < 1_000, "it was asked for elsewhere");
    cluster.lost_askings = 0;
    cluster.run(120_000);
    let offs = cluster.trace.iter().filter(|line| line.contains(" off "));
    assert_eq!(offs.count(), 0, "{}", cluster.trace.join("\n"));
    let status = &cluster.state().nodes[&NodeName::from("n2")];
    assert_eq!(status.presence, Presence::Online);
    assert!(cluster.hosts["n2"].is_powered);
}

/// Seed 1021155: an inventory that straggled named an action whose end had been reported already; the leader waited for
/// that end for ever.
#[test]
fn a_late_inventory_names_what_has_ended() {
    let mut cluster = with_clone();
    cluster.elect_node("n2");
    cluster.run(1_000);
    let ended = cluster.state().nodes[&NodeName::from("n3")].recent.clone();
    let inventory = NodeInventory {
        term: Term(cluster.term),
        incarnation: cluster.incarnation("n3"),
        watchdog_ms: None,
        running: ended.into_iter().collect(),
        reports: Vec::new(),
        is_draining: false,
    };
    assert!(!inventory.running.is_empty());
    let from = NodeName::from("n3");
    let bytes = Message::Inventory(inventory).encode();
    cluster.inject("n2", EngineOutput::Message { from, bytes });
    cluster.hosts.get_mut("n1").expect("n1").active.clear();
    let resource = "web".to_owned();
    cluster.step("n1", Event::ProcessExited { resource });
    cluster.run(1_000);
    assert_eq!(cluster.active_on("n1"), ["web"]);
}

/// Seed 1020126: as soon as one node of a cluster with watchdogs was given up, a node without quorum planned nothing,
/// and its watchdog reset it instead of its services being stopped.
#[test]
fn watchdogs_of_those_that_are_gone_do_not_matter() {
    let mut state = with_clone().state().clone();
    for status in state.nodes.values_mut() {
        status.watchdog_ms = Some(5_000);
    }
    let has = |state: &ClusterState| {
        let cib = crate::facts::cib(state, crate::facts::Quorum::Lost, 0);
        let mut pairs = cib.configuration.options.iter().flat_map(|set| &set.pairs);
        pairs.any(|pair| pair.name == "have-watchdog")
    };
    assert!(has(&state));
    let gone = state
        .nodes
        .get_mut(&NodeName::from("n1"))
        .expect("it is known");
    gone.watchdog_ms = None;
    gone.presence = Presence::Expired;
    assert!(has(&state));
    let there = state
        .nodes
        .get_mut(&NodeName::from("n1"))
        .expect("it is known");
    there.presence = Presence::Online;
    assert!(!has(&state));
}

/// Seed 1032448: a node whose lease was gone said "fed until now" in every step, which fed its watchdog for ever while a
/// stop had failed there; its disk was mounted on the other node beside it.
#[test]
fn a_watchdog_is_not_fed_without_a_lease() {
    let text = format!("{NO_DEVICES}\nprimitive db ocf:sim:Database op monitor interval=10s\n");
    let mut cluster = Cluster::new(&["n1", "n2", "n3"], &text);
    cluster.run(3_000);
    assert_eq!(
        cluster.active_on("n1"),
        ["db"],
        "{}",
        cluster.trace.join("\n")
    );
    assert!(cluster.fed_until["n1"] > cluster.now);
    cluster
        .scripted
        .insert("db stop n1".to_owned(), [1; 9].into());
    let node = cluster
        .hosts
        .get_mut("n1")
        .and_then(|host| host.node.as_mut());
    let engine = node.and_then(|node| node.engine.as_mut());
    engine.expect("it runs").has_lease = false;
    let lost = cluster.now;
    for _ in 0..200 {
        cluster.run(20);
        cluster.step("n1", Event::Tick);
    }
    assert!(
        cluster.fed_until["n1"] <= lost + 20,
        "{}",
        cluster.fed_until["n1"] - lost
    );
}

/// A hole that a careless version has: what a leader began before it lost its quorum may still begin to run, so that its
/// successor waits for the fencing, and the one that lost it begins nothing more.
#[test]
fn a_leader_that_loses_quorum_with_a_start_under_way() {
    let text = "\
primitive fs ocf:sim:Mount op monitor interval=10s
primitive db ocf:sim:Database op monitor interval=10s
primitive st1 stonith:external/ipmi params hostname=n1
primitive st2 stonith:external/ipmi params hostname=n2
group all fs db
";
    let mut cluster = Cluster::new(&["n1", "n2", "w"], text);
    cluster.slow.insert("fs start".to_owned(), 2_000);
    cluster.dead_bmcs.insert("st1".to_owned());
    cluster.run(500);
    assert!(cluster.active_on("n1").is_empty(), "its start is under way");
    cluster.term += 1;
    let (term, leader) = (Term(cluster.term), NodeName::from("n2"));
    cluster.leader = Some("n2".to_owned());
    let old = cluster
        .hosts
        .get_mut("n1")
        .and_then(|host| host.node.as_mut());
    let engine = old.and_then(|node| node.engine.as_mut());
    engine.expect("it runs").has_lease = false;
    cluster.inject("n1", EngineOutput::NoLeader { term });
    silent(&mut cluster, "n1");
    cluster.inject("n2", EngineOutput::Leading { term });
    cluster.inject("n2", EngineOutput::DispatchReady { term });
    cluster.inject("w", EngineOutput::Following { leader, term });
    cluster.run(6_000);
    let told = cluster.trace.join("\n");
    assert_eq!(
        cluster.count("fs start n1"),
        1,
        "what was begun ends\n{told}"
    );
    assert_eq!(
        cluster.count("db start n1"),
        0,
        "nothing more is begun\n{told}"
    );
    assert_eq!(
        cluster.count("fs start n2"),
        0,
        "it is not fenced yet\n{told}"
    );
    cluster.dead_bmcs.clear();
    cluster.slow.clear();
    cluster.run(60_000);
    assert_eq!(
        cluster.active_on("n2"),
        ["db", "fs"],
        "{}",
        cluster.trace.join("\n")
    );
    assert!(cluster.position("power of n1 is gone") < cluster.position("fs start n2"));
}
