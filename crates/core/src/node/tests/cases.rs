//! What must hold, case by case.

use super::*;
use crate::admin::{Access, Lifetime, OnErrors, Switch};
use crate::state::{Evidence, FenceOutcome, Presence};

const WIKI: &str = "\
primitive fs ocf:heartbeat:Filesystem op monitor interval=10s
primitive ip ocf:heartbeat:IPaddr2 op monitor interval=10s
primitive db ocf:heartbeat:mysql op monitor interval=10s
primitive st1 stonith:external/ipmi params hostname=n1
primitive st2 stonith:external/ipmi params hostname=n2
group all fs ip db
";

fn three() -> Cluster {
    let mut cluster = Cluster::new(&["n1", "n2", "w"], WIKI);
    cluster.run(500);
    cluster
}

fn all_on(cluster: &Cluster, node: &str) {
    let active = cluster.active_on(node);
    assert_eq!(active, ["db", "fs", "ip"], "{}", cluster.trace.join("\n"));
}

#[test]
fn a_group_starts_in_order_within_milliseconds() {
    let cluster = three();
    all_on(&cluster, "n1");
    assert!(cluster.position("fs start n1") < cluster.position("ip start n1"));
    assert!(cluster.position("ip start n1") < cluster.position("db start n1"));
    cluster.check_equal();
    assert_eq!(cluster.state().holders_of("db").count(), 1);
    assert_eq!(
        cluster.state().ledger.back().expect("a transition").end,
        "complete"
    );
    // Nothing but agents' own time (10 ms each) lies between two steps.
    let at = |what: &str| -> u64 {
        let line = &cluster.trace[cluster.position(what)];
        line.trim()
            .split(' ')
            .next()
            .and_then(|t| t.parse().ok())
            .expect("a time")
    };
    assert!(
        at("db start n1") - at("fs start n1") <= 40,
        "{}",
        cluster.trace.join("\n")
    );
}

#[test]
fn power_loss_is_fenced_first_and_recovered() {
    let mut cluster = three();
    cluster.elect_node("w");
    cluster.run(100);
    cluster.cut("n1");
    cluster.run(900);
    assert!(cluster.active_on("n2").is_empty());
    cluster.run(1_000);
    all_on(&cluster, "n2");
    assert!(cluster.position("st1 off n2") < cluster.position("fs start n2"));
    assert!(cluster.position("st1 power-status n2") < cluster.position("fs start n2"));
    let record = cluster.state().fencing.back().expect("a record");
    assert_eq!(record.outcome, FenceOutcome::Confirmed(Evidence::PowerOff));
    let incident = cluster.state().incidents.back().expect("a timeline");
    let names: Vec<&str> = incident.milestones.iter().map(|m| m.0.as_str()).collect();
    assert_eq!(names, ["detected", "fenced", "started"]);
    cluster.check_equal();
}

#[test]
fn a_lost_leader_is_fenced_by_the_next() {
    let mut cluster = three();
    cluster.comes_back = true;
    cluster.cut("n1");
    cluster.run(3_000);
    all_on(&cluster, "n2");
    assert!(cluster.position("st1 off n2") < cluster.position("fs start n2"));
    cluster.run(3_000);
    assert_eq!(
        cluster.state().nodes[&NodeName::from("n1")].presence,
        Presence::Online
    );
    assert_eq!(cluster.count("st1 off n2"), 1);
    all_on(&cluster, "n2");
}

#[test]
fn failed_fencing_blocks_until_an_operator_vouches() {
    let mut cluster = three();
    cluster.elect_node("n2");
    cluster.dead_bmcs.insert("st1".to_owned());
    cluster.cut("n1");
    cluster.run(60_000);
    assert!(
        cluster.active_on("n2").is_empty(),
        "{}",
        cluster.trace.join("\n")
    );
    let failures = cluster.state().nodes[&NodeName::from("n1")].fence_failures;
    assert!((2..10).contains(&failures), "{failures} attempts");
    let who = "root".to_owned();
    let node = NodeName::from("n1");
    let reply = cluster.ask("n2", Request::ConfirmFenced { node, who });
    assert!(matches!(reply, Some(Response::Done { .. })), "{reply:?}");
    cluster.run(1_000);
    all_on(&cluster, "n2");
}

#[test]
fn a_failed_monitor_is_recovered_in_place() {
    let mut cluster = three();
    cluster.hosts.get_mut("n1").expect("n1").active.remove("db");
    cluster.step(
        "n1",
        Event::ProcessExited {
            resource: "db".to_owned(),
        },
    );
    cluster.run(200);
    all_on(&cluster, "n1");
    assert_eq!(cluster.count("db start n1"), 2);
    assert_eq!(cluster.count("fs start n1"), 1);
    let node = &cluster.state().nodes[&NodeName::from("n1")];
    assert_eq!(node.transient["fail-count-db#monitor_10000"], "1");
}

#[test]
fn a_failed_stop_is_fenced() {
    let mut cluster = three();
    cluster.elect_node("n2");
    cluster.run(100);
    cluster.scripted.insert("ip stop n1".to_owned(), [1].into());
    let node = NodeName::from("n1");
    let (switch, lifetime, who) = (Switch::On, Lifetime::Forever, String::new());
    cluster.ask(
        "n2",
        Request::Standby {
            node,
            switch,
            lifetime,
            who,
        },
    );
    cluster.run(3_000);
    assert!(cluster.position("ip stop n1") < cluster.position("st1 off n2"));
    all_on(&cluster, "n2");
}

#[test]
fn standby_moves_and_online_lets_it_come_back() {
    let mut cluster = three();
    let node = NodeName::from("n1");
    let (lifetime, who) = (Lifetime::Forever, "root".to_owned());
    let switch = Switch::On;
    let reply = cluster.ask(
        "n2",
        Request::Standby {
            node,
            switch,
            lifetime,
            who,
        },
    );
    assert!(matches!(reply, Some(Response::Done { .. })), "{reply:?}");
    cluster.run(500);
    all_on(&cluster, "n2");
    assert!(cluster.active_on("n1").is_empty());
    assert!(cluster.position("fs stop n1") < cluster.position("fs start n2"));
}

#[test]
fn a_restarted_daemon_restarts_nothing() {
    let mut cluster = three();
    let starts = |cluster: &Cluster| {
        cluster
            .trace
            .iter()
            .filter(|line| line.contains(" start "))
            .count()
    };
    let before = starts(&cluster);
    cluster.restart_daemon("n1");
    cluster.run(30_000);
    all_on(&cluster, "n1");
    assert_eq!(starts(&cluster), before, "{}", cluster.trace.join("\n"));
    assert_eq!(
        cluster
            .trace
            .iter()
            .filter(|line| line.contains(" stop "))
            .count(),
        0
    );
    // Its monitors go on.
    cluster.hosts.get_mut("n1").expect("n1").active.remove("db");
    cluster.run(11_000);
    all_on(&cluster, "n1");
}

#[test]
fn a_start_that_outlives_its_daemon_is_awaited() {
    let mut cluster = Cluster::new(&["n1", "n2", "w"], WIKI);
    cluster.slow.insert("db start".to_owned(), 2_000);
    cluster.run(500);
    cluster.restart_daemon("n1");
    cluster.run(5_000);
    all_on(&cluster, "n1");
    assert_eq!(
        cluster.count("db start n1"),
        1,
        "{}",
        cluster.trace.join("\n")
    );
    assert_eq!(cluster.count("db start n2"), 0);
}

#[test]
fn a_new_leader_goes_on_in_the_middle() {
    let mut cluster = Cluster::new(&["n1", "n2", "w"], WIKI);
    cluster.slow.insert("ip start".to_owned(), 300);
    cluster.run(200);
    cluster.elect_node("n2");
    cluster.run(1_500);
    all_on(&cluster, "n1");
    for resource in ["fs", "ip", "db"] {
        let starts = cluster.count(&format!("{resource} start n1"));
        assert_eq!(starts, 1, "{resource}\n{}", cluster.trace.join("\n"));
    }
}

#[test]
fn repeated_orders_run_once() {
    let mut cluster = Cluster::new(&["n1", "n2", "w"], WIKI);
    // The leader sends an order again every 300 ms until it is answered.
    cluster.slow.insert("fs start".to_owned(), 2_000);
    cluster.run(4_000);
    all_on(&cluster, "n1");
    assert_eq!(cluster.count("fs start n1"), 1);
}

#[test]
fn a_drained_node_leaves_without_being_fenced() {
    let mut cluster = three();
    cluster.step("n1", Event::Shutdown);
    cluster.run(5_000);
    all_on(&cluster, "n2");
    assert!(
        cluster.hosts["n1"].node.is_none(),
        "{}",
        cluster.trace.join("\n")
    );
    assert_eq!(
        cluster.state().nodes[&NodeName::from("n1")].presence,
        Presence::Left
    );
    assert!(cluster.state().fencing.is_empty());
    // And comes back.
    cluster.hosts.get_mut("n1").expect("n1").session += 1;
    cluster.start_daemon("n1");
    cluster.run(1_000);
    assert_eq!(
        cluster.state().nodes[&NodeName::from("n1")].presence,
        Presence::Online
    );
    all_on(&cluster, "n2");
}

#[test]
fn two_administrators_at_once_give_a_conflict() {
    let mut cluster = three();
    let apply = |text: &str| Request::Apply {
        text: text.to_owned(),
        based_on: Some(1),
        errors: OnErrors::Refuse,
        who: "root".to_owned(),
    };
    let first = cluster.ask("n1", apply(&format!("{WIKI}# one\n")));
    assert!(matches!(first, Some(Response::Done { .. })), "{first:?}");
    let second = cluster.ask("n2", apply(&format!("{WIKI}# two\n")));
    let Some(Response::Conflict { revision, text, .. }) = second else {
        panic!("{second:?}");
    };
    assert_eq!(revision, 2);
    assert!(text.ends_with("# one\n"));
    let wrong = cluster.ask(
        "n2",
        Request::Apply {
            text: "primitive".to_owned(),
            based_on: None,
            errors: OnErrors::Refuse,
            who: String::new(),
        },
    );
    assert!(matches!(wrong, Some(Response::Refused { .. })), "{wrong:?}");
    cluster.check_equal();
}

#[test]
fn attributes_are_read_back_everywhere() {
    let mut cluster = three();
    let access = |access| Request::Attribute {
        node: NodeName::from("n2"),
        name: "master-db".to_owned(),
        access,
        lifetime: Lifetime::Reboot,
        who: String::new(),
    };
    cluster.ask("n1", access(Access::Set("10".to_owned())));
    cluster.ask("w", access(Access::Add(5)));
    let value = cluster.ask("n2", access(Access::Get));
    assert_eq!(value, Some(Response::Value(Some("15".to_owned()))));
    cluster.ask("n2", access(Access::Delete));
    assert_eq!(
        cluster.ask("n1", access(Access::Get)),
        Some(Response::Value(None))
    );
}

#[test]
fn the_state_survives_its_encoding() {
    let cluster = three();
    let state = cluster.state();
    let again = ClusterState::decode(&state.encode()).expect("decodes");
    assert_eq!(*state, again);
    assert!(ClusterState::decode(&[9, 1]).is_err());
    assert!(ClusterState::decode(&state.encode()[..40]).is_err());
}

#[test]
fn a_device_that_lied_is_not_asked_again() {
    let text = format!("{WIKI}primitive st1b stonith:fence_ipmilan params pcmk_host_list=n1\n");
    let mut cluster = Cluster::new(&["n1", "n2", "w"], &text);
    cluster.run(1_500);
    cluster.elect_node("n2");
    cluster.run(100);
    cluster.lying_bmcs.insert("st1".to_owned());
    // It hangs: nobody hears of it, and its device says that it is off. (Its services are gone by luck.)
    cluster.hosts.get_mut("n1").expect("n1").active.clear();
    let since = Millis(cluster.now);
    for other in ["n2", "w"] {
        cluster.inject(other, contact("n1", ContactState::Lost { since }));
    }
    cluster.run(100);
    assert_eq!(
        cluster.count("st1 off n2"),
        1,
        "{}",
        cluster.trace.join("\n")
    );
    assert_eq!(
        cluster.state().nodes[&NodeName::from("n1")].presence,
        Presence::Fenced
    );
    // It speaks again.
    let incarnation = cluster.incarnation("n1");
    let (target, boot) = (NodeName::from("n1"), incarnation.boot);
    cluster.inject("n2", contact("n1", ContactState::Back { incarnation }));
    cluster.inject("n2", EngineOutput::FencingDisproved { target, boot });
    cluster.run(1_000);
    assert_eq!(
        cluster.count("st1 off n2"),
        1,
        "{}",
        cluster.trace.join("\n")
    );
    assert_eq!(
        cluster.count("st1b off n2"),
        1,
        "{}",
        cluster.trace.join("\n")
    );
}

#[test]
fn powering_on_again_is_tried_more_than_once() {
    let mut cluster = three();
    cluster.elect_node("w");
    cluster.comes_back = true;
    cluster
        .scripted
        .insert("st1 on n2".to_owned(), [1, 1].into());
    cluster.cut("n1");
    cluster.run(10_000);
    assert_eq!(
        cluster.count("st1 on n2"),
        3,
        "{}",
        cluster.trace.join("\n")
    );
    assert_eq!(
        cluster.state().nodes[&NodeName::from("n1")].presence,
        Presence::Online
    );
    all_on(&cluster, "n2");
}
