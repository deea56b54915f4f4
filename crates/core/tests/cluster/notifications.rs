//! Clones whose instances are told of each other, as agents of message brokers need it.

use super::*;
use quorate_core::admin::{Access, Lifetime};

const BROKERS: &str = "\
primitive mq ocf:test:mq op monitor interval=10s op monitor interval=11s role=Master
ms ms-mq mq meta clone-max=3 notify=true interleave=false
primitive st1 stonith:external/ipmi params hostname=n1
primitive st2 stonith:external/ipmi params hostname=n2
primitive st3 stonith:external/ipmi params hostname=n3
";

/// What the broker's agent does beside starting and stopping: it writes down what it heard, and wants to be promoted.
pub fn perform(cluster: &mut Cluster, name: &str, call: &AgentCall) {
    let meta = |what: &str| {
        let found = call.meta.iter().find(|(key, _)| key == what);
        found.map_or("", |(_, value)| value.trim()).to_owned()
    };
    if call.action == "notify" {
        let (when, what) = (meta("notify_type"), meta("notify_operation"));
        let whom = meta(&format!("notify_{what}_uname"));
        cluster.say(&format!("{name} heard {when}-{what} of {whom}"));
    }
    if call.action == "start" && call.agent == "mq" {
        set(cluster, name, "master-mq", "10");
    }
}

fn set(cluster: &mut Cluster, name: &str, attribute: &str, value: &str) {
    let request = Request::Attribute {
        node: NodeName::from(name),
        name: attribute.to_owned(),
        access: Access::Set(value.to_owned()),
        lifetime: Lifetime::Reboot,
        who: String::new(),
    };
    let id = ClientId(cluster.next_client);
    cluster.next_client += 1;
    cluster.step(name, Event::Client { id, request });
}

fn brokers() -> (Cluster, String) {
    let mut cluster = Cluster::new(&["n1", "n2", "n3"], BROKERS);
    cluster
        .slow
        .extend([("start", 800), ("notify", 150), ("promote", 150)]);
    cluster.run(20_000);
    let promoted: Vec<String> = promoted(&cluster);
    assert_eq!(promoted.len(), 1, "{}", cluster.text());
    let home = promoted[0].clone();
    (cluster, home)
}

fn promoted(cluster: &Cluster) -> Vec<String> {
    let hosts = cluster.hosts.iter();
    hosts
        .filter(|(_, host)| !host.promoted.is_empty())
        .map(|(name, _)| name.clone())
        .collect()
}

/// The time of the first such line after another.
fn after(cluster: &Cluster, since: u64, what: impl Fn(&str) -> bool) -> Option<u64> {
    cluster
        .trace
        .iter()
        .filter_map(|line| {
            let (at, text) = line.trim().split_once(' ')?;
            Some((at.parse::<u64>().ok()?, text))
        })
        .find(|(at, text)| *at >= since && what(text))
        .map(|(at, _)| at)
}

#[test]
fn everybody_hears_of_every_start_and_promotion() {
    let (cluster, home) = brokers();
    for name in ["n1", "n2", "n3"] {
        for node in ["n1", "n2", "n3"] {
            let heard = cluster.trace.iter().any(|line| {
                line.contains(&format!("{name} heard post-start of ")) && line.contains(node)
            });
            assert!(heard, "{name} of {node}\n{}", cluster.text());
        }
        let text = format!("{name} heard post-promote of {home}");
        assert!(cluster.count(&text) >= 1, "{text}\n{}", cluster.text());
    }
    assert!(cluster.state("n1").owed.is_empty());
}

/// A host that returns while the others are still being told must not take the news away.
#[test]
fn a_fenced_instance_is_announced_to_all_survivors() {
    let (mut cluster, home) = brokers();
    let cut = cluster.now - 1_000_000;
    cluster.cut(&home);
    cluster.run(15_000);
    for name in ["n1", "n2", "n3"].iter().filter(|name| **name != home) {
        let text = format!("{name} heard post-stop of {home}");
        let heard = after(&cluster, cut, |line| line == text);
        assert!(heard.is_some(), "{text}\n{}", cluster.text());
    }
    assert_eq!(promoted(&cluster).len(), 1, "{}", cluster.text());
    assert!(cluster.state("n2").owed.is_empty());
}

/// Connections to a host that is confirmed dead end at once on each survivor, and never again for that fencing.
#[test]
fn survivors_hang_up_on_a_fenced_host() {
    let (mut cluster, home) = brokers();
    let cut = cluster.now - 1_000_000;
    cluster.cut(&home);
    cluster.run(10_000);
    for name in ["n1", "n2", "n3"].iter().filter(|name| **name != home) {
        let text = format!("{name} hangs up on {home}");
        let at = after(&cluster, cut, |line| line == text).expect("it hangs up");
        assert!(at - cut < 3_000, "{}", cluster.text());
        cluster.kill_daemon(name);
        cluster.start_daemon(name);
        cluster.run(10_000);
        let times = cluster
            .trace
            .iter()
            .filter(|line| line.ends_with(&text))
            .count();
        assert_eq!(times, 1, "{}", cluster.text());
    }
}

/// The same when the leader is the one that died, and again for each host in turn.
#[test]
fn each_host_in_turn() {
    let (mut cluster, _) = brokers();
    for victim in ["n1", "n2", "n3"] {
        let cut = cluster.now - 1_000_000;
        cluster.cut(victim);
        cluster.run(20_000);
        for name in ["n1", "n2", "n3"].iter().filter(|name| **name != victim) {
            let text = format!("{name} heard post-stop of {victim}");
            let heard = after(&cluster, cut, |line| line == text);
            assert!(heard.is_some(), "{text}\n{}", cluster.text());
        }
        assert_eq!(promoted(&cluster).len(), 1, "{}", cluster.text());
    }
}

/// The start of a returning host takes seconds; the survivors have a promoted instance long before.
#[test]
fn a_returning_host_does_not_hold_up_the_promotion() {
    let (mut cluster, home) = brokers();
    cluster.slow.insert("start", 8_000);
    let cut = cluster.now - 1_000_000;
    cluster.cut(&home);
    cluster.run(25_000);
    let promoted = after(&cluster, cut, |line| line.contains(" promote "));
    let started = after(&cluster, cut, |line| {
        line.contains("mq") && line.ends_with(&format!(" start {home}"))
    });
    let (promoted, started) = (promoted.expect("promoted"), started.expect("started"));
    assert!(promoted < started, "{}", cluster.text());
    assert!(
        promoted - cut < 4_000,
        "{}\n{}",
        promoted - cut,
        cluster.text()
    );
}

/// An agent's own note is no reason to decide anew, and no part of what the scheduler sees.
#[test]
fn notes_of_agents_void_no_transition() {
    let (mut cluster, _) = brokers();
    let before = cluster.state("n1").next_transition;
    set(&mut cluster, "n2", "rabbit-start-time", "1234");
    cluster.run(2_000);
    let request = Request::Attribute {
        node: NodeName::from("n3"),
        name: "rabbit-ordered-to-restart".to_owned(),
        access: Access::Set("99".to_owned()),
        lifetime: Lifetime::Private,
        who: String::new(),
    };
    cluster.ask("n1", request);
    cluster.run(2_000);
    let state = cluster.state("n1");
    assert_eq!(state.next_transition, before, "{}", cluster.text());
    let n3 = &state.nodes[&NodeName::from("n3")];
    assert_eq!(n3.private["rabbit-ordered-to-restart"], "99");
    assert!(!n3.transient.contains_key("rabbit-ordered-to-restart"));
    set(&mut cluster, "n2", "master-mq", "5");
    cluster.run(2_000);
    assert_eq!(
        cluster.state("n1").nodes[&NodeName::from("n2")].transient["master-mq"],
        "5"
    );
}

/// Another instance's higher score alone takes the role from nobody who is well.
#[test]
fn a_healthy_promoted_instance_is_not_demoted_for_a_few_points() {
    let configuration = BROKERS.replace(
        "primitive mq ocf:test:mq ",
        "primitive mq ocf:test:mq meta resource-stickiness=100 ",
    );
    let mut cluster = Cluster::new(&["n1", "n2", "n3"], &configuration);
    cluster.run(10_000);
    let home = promoted(&cluster).concat();
    let other = if home == "n1" { "n2" } else { "n1" };
    set(&mut cluster, other, "master-mq", "20");
    cluster.run(3_000);
    assert_eq!(promoted(&cluster).concat(), home, "{}", cluster.text());
    assert_eq!(
        cluster.count(&format!("demote {home}")),
        0,
        "{}",
        cluster.text()
    );
    // A score that is higher by more than the stickiness is meant.
    set(&mut cluster, other, "master-mq", "200");
    cluster.run(3_000);
    assert_eq!(promoted(&cluster).concat(), other, "{}", cluster.text());
}
