//! Events under `crm_simulate`'s names, on a cluster of two nodes, one database and one service under a ticket.

use quorate_model::cib::Cib;
use quorate_policy::Options;
use quorate_policy::simulate::{Injection, Outcome, Request, inject, simulate};

const NOW: i64 = 1_700_000_000;

fn ran(id: &str, task: &str, interval: u32, rc: i32, call: u32) -> String {
    let kept = if interval > 0 {
        format!("{id}_{task}_{interval}")
    } else {
        format!("{id}_last_0")
    };
    format!(
        r#"<lrm_rsc_op id="{kept}" operation_key="{id}_{task}_{interval}" operation="{task}" call-id="{call}"
           rc-code="{rc}" op-status="0" interval="{interval}" transition-key="1:1:{rc}:x"
           op-digest="f2317cad3d54cec5d7d7aa7d0bf35cf8"/>"#
    )
}

fn history(id: &str, class: &str, operations: &str) -> String {
    format!(r#"<lrm_resource id="{id}" {class}>{operations}</lrm_resource>"#)
}

fn cib() -> Cib {
    let dummy = r#"class="ocf" provider="pacemaker" type="Dummy""#;
    let fence = r#"class="stonith" type="fence_x""#;
    let here = ran("db", "start", 0, 0, 5) + &ran("db", "monitor", 10_000, 0, 6);
    let n1 = history("db", dummy, &here)
        + &history("fencer", fence, &ran("fencer", "monitor", 0, 7, 1))
        + &history("web", dummy, &ran("web", "monitor", 0, 7, 2));
    let n2 = history("db", dummy, &ran("db", "monitor", 0, 7, 3))
        + &history("fencer", fence, &ran("fencer", "start", 0, 0, 4))
        + &history("web", dummy, &ran("web", "monitor", 0, 7, 2));
    let state = |id: u32, resources: &str| {
        format!(
            r#"<node_state id="{id}" uname="n{id}" in_ccm="true" crmd="online" join="member" expected="member">
               <lrm id="{id}"><lrm_resources>{resources}</lrm_resources></lrm></node_state>"#
        )
    };
    let text = format!(
        r#"<cib validate-with="pacemaker-3.9" have-quorum="1"><configuration><crm_config/>
           <nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes><resources>
           <primitive id="fencer" {fence}/>
           <primitive id="db" {dummy}><operations><op id="m" name="monitor" interval="10s"/></operations></primitive>
           <primitive id="web" {dummy}/></resources><constraints>
           <rsc_ticket id="t" rsc="web" ticket="T" loss-policy="stop"/>
           <rsc_location id="l" rsc="db" node="n1" score="100"/></constraints></configuration>
           <status>{}{}</status></cib>"#,
        state(1, &n1),
        state(2, &n2)
    );
    quorate_model::xml::read::read(&text).expect("well formed")
}

/// What is said from the modifications on.
fn after(events: &[Injection], failing: &[&str]) -> String {
    let cib = cib();
    let changed = inject(&cib, events, NOW).expect("everything named is there");
    let request = Request {
        options: Options {
            now: NOW,
            ..Options::default()
        },
        changed: Some(changed),
        failing: failing
            .iter()
            .map(|text| Outcome::parse(text).expect("a result"))
            .collect(),
        ..Request::default()
    };
    let text = simulate(&cib, &request).text;
    let at = text
        .find("Performing Requested Modifications")
        .expect("it is said");
    text[at..].to_owned()
}

fn name(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_node_that_leaves_takes_its_resource_nowhere() {
    let text = after(&[Injection::NodeDown(name("n1"))], &[]);
    assert!(text.contains("  * Taking node n1 offline"), "{text}");
    assert!(!text.contains("Fencing n1"), "{text}");
    assert!(
        text.contains("Resource action: db              start on n2"),
        "{text}"
    );
}

#[test]
fn a_node_that_is_lost_is_fenced_first() {
    let text = after(&[Injection::NodeFail(name("n1"))], &[]);
    assert!(text.contains("  * Failing node n1"), "{text}");
    let fenced = text.find("Fencing n1 (reboot)").expect("fenced");
    let started = text.find("db              start on n2").expect("started");
    assert!(fenced < started, "{text}");
}

#[test]
fn a_ticket_lets_its_service_run_unless_it_is_in_standby() {
    let granted = [Injection::TicketGrant(name("T"))];
    assert!(
        after(&granted, &[]).contains("web             start on"),
        "granted"
    );
    let resting = [Injection::TicketStandby(name("T")), granted[0].clone()];
    assert!(
        !after(&resting, &[]).contains("web             start on"),
        "standby"
    );
}

#[test]
fn without_quorum_everything_stops() {
    let text = after(&[Injection::Quorum(name("0"))], &[]);
    assert!(text.contains("  * Setting quorum: 0"), "{text}");
    assert!(text.contains("db              stop on n1"), "{text}");
}

#[test]
fn a_failed_monitor_is_counted_and_recovered() {
    let failed = Outcome::parse("db_monitor_10000@n1=7").expect("a result");
    let text = after(&[Injection::Operation(failed)], &[]);
    assert!(
        text.contains(
            "Injecting attribute fail-count-db#monitor_10000=value++ into /node_state '1'"
        ),
        "{text}"
    );
    assert!(text.contains("Recover    db"), "{text}");
}

#[test]
fn nothing_follows_an_operation_that_fails() {
    let text = after(&[Injection::NodeDown(name("n1"))], &["db_start_0@n2=1"]);
    assert!(text.contains("failed with rc=1"), "{text}");
    assert!(!text.contains("db              monitor=10000"), "{text}");
    assert!(text.contains("FAILED n2"), "{text}");
}

#[test]
fn what_is_not_there_is_an_error() {
    let cib = cib();
    for event in [
        Injection::NodeUp(name("n3")),
        Injection::Operation(Outcome::parse("nothing_monitor_0@n1=1").expect("a result")),
    ] {
        assert!(
            inject(&cib, std::slice::from_ref(&event), NOW).is_err(),
            "{event:?}"
        );
    }
}
