//! What must hold of whole nodes.

use super::*;
use quorate_core::admin::{Lifetime, Switch};
use quorate_core::state::Presence;

const WIKI: &str = "\
primitive fs ocf:heartbeat:Filesystem op monitor interval=10s
primitive ip ocf:heartbeat:IPaddr2 op monitor interval=10s
primitive db ocf:heartbeat:mysql op monitor interval=10s
primitive st1 stonith:external/ipmi params hostname=n1
primitive st2 stonith:external/ipmi params hostname=n2
group all fs ip db
";

const ALL: [&str; 3] = ["db", "fs", "ip"];

fn home(cluster: &Cluster) -> String {
    ["n1", "n2"]
        .into_iter()
        .find(|name| cluster.active_on(name) == ALL)
        .unwrap_or_else(|| panic!("it runs nowhere\n{}", cluster.text()))
        .to_owned()
}

fn other(name: &str) -> &'static str {
    if name == "n1" { "n2" } else { "n1" }
}

fn three() -> Cluster {
    let mut cluster = Cluster::new(&["n1", "n2", "w"], WIKI);
    cluster.run(5_000);
    cluster
}

#[test]
fn three_nodes_start_the_group() {
    let cluster = three();
    let home = home(&cluster);
    let (first, last) = (format!("fs start {home}"), format!("db start {home}"));
    assert!(
        cluster.at(&last) - cluster.at(&first) <= 60,
        "{}",
        cluster.text()
    );
}

#[test]
fn power_loss_of_the_active_server() {
    let mut cluster = three();
    let home = home(&cluster);
    let next = other(&home);
    cluster.cut(&home);
    let cut = cluster.at(&format!("power of {home} is gone"));
    cluster.run(4_000);
    assert_eq!(cluster.active_on(next), ALL, "{}", cluster.text());
    let serving = cluster.at(&format!("db start {next}"));
    assert!(
        serving - cut < 1_500,
        "{} ms\n{}",
        serving - cut,
        cluster.text()
    );
}

#[test]
fn a_server_that_comes_back_stays_second() {
    let mut cluster = three();
    let home = home(&cluster);
    cluster.cut(&home);
    cluster.run(10_000);
    assert_eq!(cluster.active_on(other(&home)), ALL);
    let name = NodeName(home);
    let presence = cluster.state("w").nodes[&name].presence;
    assert_eq!(presence, Presence::Online, "{}", cluster.text());
}

#[test]
fn a_killed_daemon_that_comes_back_moves_nothing() {
    let mut cluster = three();
    let home = home(&cluster);
    let starts = cluster.count(" start ");
    cluster.kill_daemon(&home);
    cluster.run(200);
    cluster.start_daemon(&home);
    cluster.run(10_000);
    assert_eq!(cluster.active_on(&home), ALL);
    assert_eq!(cluster.count(" start "), starts, "{}", cluster.text());
}

#[test]
fn a_cut_off_server_is_fenced() {
    let mut cluster = three();
    let home = home(&cluster);
    cluster.cut_off(&home);
    cluster.run(5_000);
    assert_eq!(cluster.active_on(other(&home)), ALL, "{}", cluster.text());
}

#[test]
fn a_pair_goes_on_after_a_confirmed_power_off() {
    let mut cluster = Cluster::new(&["n1", "n2"], WIKI);
    cluster.run(5_000);
    let home = home(&cluster);
    let next = other(&home);
    cluster.cut(&home);
    cluster.run(8_000);
    assert_eq!(cluster.active_on(next), ALL, "{}", cluster.text());
    cluster.run(20_000);
    let presence = cluster.state(next).nodes[&NodeName(home)].presence;
    assert_eq!(presence, Presence::Online, "{}", cluster.text());
    assert_eq!(cluster.active_on(next), ALL);
}

#[test]
fn losing_the_standby_of_a_pair_moves_nothing() {
    let mut cluster = Cluster::new(&["n1", "n2"], WIKI);
    cluster.run(5_000);
    let home = home(&cluster);
    let starts = cluster.count(" start ");
    cluster.cut(other(&home));
    cluster.run(20_000);
    assert_eq!(cluster.active_on(&home), ALL, "{}", cluster.text());
    assert_eq!(cluster.count(" start "), starts, "{}", cluster.text());
}

#[test]
fn an_orderly_shutdown_fences_nobody() {
    let mut cluster = three();
    let home = home(&cluster);
    cluster.step(&home, Event::Shutdown);
    cluster.run(10_000);
    assert_eq!(cluster.active_on(other(&home)), ALL, "{}", cluster.text());
    assert_eq!(cluster.count(" off "), 0, "{}", cluster.text());
    assert_eq!(
        cluster.count(&format!("{home} halts (true)")),
        1,
        "{}",
        cluster.text()
    );
}

#[test]
fn everything_off_and_on_again() {
    let mut cluster = three();
    for name in ["n1", "n2", "w"] {
        cluster.cut(name);
    }
    cluster.run(1_000);
    for name in ["n1", "n2", "w"] {
        cluster.power_on(name);
    }
    cluster.run(8_000);
    home(&cluster);
}

#[test]
fn standby_is_asked_of_a_follower() {
    let mut cluster = three();
    let home = home(&cluster);
    let reply = cluster.ask(
        "w",
        Request::Standby {
            node: NodeName::from(home.as_str()),
            switch: Switch::On,
            lifetime: Lifetime::Forever,
            who: "root".to_owned(),
        },
    );
    assert!(matches!(reply, Some(Response::Done { .. })), "{reply:?}");
    cluster.run(2_000);
    assert_eq!(cluster.active_on(other(&home)), ALL, "{}", cluster.text());
}

#[test]
fn failed_fencing_blocks() {
    let mut cluster = three();
    let home = home(&cluster);
    cluster
        .dead_bmcs
        .extend(["st1".to_owned(), "st2".to_owned()]);
    cluster.cut(&home);
    cluster.run(30_000);
    assert!(
        cluster.active_on(other(&home)).is_empty(),
        "{}",
        cluster.text()
    );
}

#[test]
fn an_orderly_shutdown_of_a_pair() {
    let mut cluster = Cluster::new(&["n1", "n2"], WIKI);
    cluster.run(5_000);
    let home = home(&cluster);
    cluster.step(&home, Event::Shutdown);
    cluster.run(20_000);
    assert_eq!(cluster.active_on(other(&home)), ALL, "{}", cluster.text());
    // It gave its vote back before it ended: the other need not fence it to go on.
    assert_eq!(cluster.count(" off "), 0, "{}", cluster.text());
}
