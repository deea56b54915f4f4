//! Bundles, guests and remote nodes: the rules that are theirs alone, each on a small cluster.

use quorate_model::xml::read::read;
use quorate_policy::Options;
use quorate_policy::simulate::{Request, Simulation, simulate};

const NOW: i64 = 1_700_000_000;

/// A decision for a cluster of `nodes`, with its text and graph.
fn decide(nodes: &[&str], options: &str, configuration: &str, status: &str) -> Simulation {
    let members: String = nodes
        .iter()
        .enumerate()
        .map(|(id, name)| format!(r#"<node id="{id}" uname="{name}"/>"#))
        .collect();
    let text = format!(
        r#"<cib have-quorum="1" validate-with="pacemaker-3.9"><configuration>
        <crm_config><cluster_property_set id="o">{options}</cluster_property_set></crm_config>
        <nodes>{members}</nodes>{configuration}</configuration><status>{status}</status></cib>"#
    );
    let cib = read(&text).expect("a CIB");
    let request = Request {
        options: Options {
            now: NOW,
            ..Options::default()
        },
        graph: true,
        ..Request::default()
    };
    simulate(&cib, &request)
}

fn option(name: &str, value: &str) -> String {
    format!(r#"<nvpair id="o-{name}" name="{name}" value="{value}"/>"#)
}

fn no_fencing() -> String {
    option("fencing-enabled", "false")
}

/// One result of an operation, as the history keeps it.
fn result(rsc: &str, agent: &str, task: &str, interval: u32, call: u32, rc: u32) -> String {
    let provider = if agent == "remote" {
        "pacemaker"
    } else {
        "heartbeat"
    };
    format!(
        r#"<lrm_resource id="{rsc}" class="ocf" provider="{provider}" type="{agent}">
        <lrm_rsc_op id="{rsc}_last_0" operation="{task}" operation_key="{rsc}_{task}_{interval}"
        call-id="{call}" rc-code="{rc}" op-status="0" interval="{interval}" last-rc-change="{NOW}"
        transition-key="1:1:0:t" transition-magic="0:{rc};1:1:0:t"/></lrm_resource>"#
    )
}

fn started(rsc: &str, agent: &str, call: u32) -> String {
    result(rsc, agent, "start", 0, call, 0)
}

fn member(id: usize, name: &str, attributes: &str, history: &str) -> String {
    format!(
        r#"<node_state id="{id}" uname="{name}" in_ccm="true" crmd="online" join="member" expected="member">
        <transient_attributes id="{id}"><instance_attributes id="t-{id}">{attributes}</instance_attributes>
        </transient_attributes><lrm id="{id}"><lrm_resources>{history}</lrm_resources></lrm></node_state>"#
    )
}

fn guest(name: &str, history: &str) -> String {
    format!(
        r#"<node_state id="{name}" uname="{name}" remote_node="true"><lrm id="{name}"><lrm_resources>{history}
        </lrm_resources></lrm></node_state>"#
    )
}

/// Attributes that ask for a promotion.
fn wish(rsc: &str, score: u32) -> String {
    format!(r#"<nvpair id="w-{rsc}-{score}" name="master-{rsc}" value="{score}"/>"#)
}

fn bundle(id: &str, meta: &str, container: &str, inside: &str) -> String {
    format!(
        r#"<bundle id="{id}"><meta_attributes id="{id}-m">{meta}</meta_attributes>
        <podman image="img" {container}/><network control-port="3121"/>
        <primitive id="{inside}" class="ocf" provider="heartbeat" type="Dummy"/></bundle>"#
    )
}

/// The text of one synapse of the graph: the action with that key and what it waits for.
fn synapse<'a>(graph: &'a str, key: &str) -> &'a str {
    let wanted = format!("operation_key=\"{key}\"");
    graph
        .split("<synapse ")
        .find(|s| {
            s.split("<inputs")
                .next()
                .is_some_and(|a| a.contains(&wanted))
        })
        .unwrap_or_else(|| panic!("no {key} in {graph}"))
}

fn waits_for(graph: &str, key: &str, first: &str) -> bool {
    let one = synapse(graph, key);
    let inputs = one.split("<inputs").nth(1).unwrap_or_default();
    inputs.contains(&format!("operation_key=\"{first}\""))
}

#[test]
fn a_container_without_anything_inside_is_told_of_port_and_monitor_all_the_same() {
    let resources = r#"<resources><bundle id="web"><podman image="img" network="host" replicas="1"
        run-command="/bin/run"/></bundle></resources>"#;
    let out = decide(&["a"], &no_fencing(), resources, &member(0, "a", "", ""));
    let start = synapse(&out.graph, "web-podman-0_start_0");
    assert!(start.contains("-e PCMK_remote_port=3121"), "{start}");
    assert!(start.contains("monitor_cmd=\"/bin/true\""), "{start}");
    assert!(start.contains("run_cmd=\"/bin/run\""), "{start}");
}

#[test]
fn what_runs_inside_starts_only_when_it_is_known_where_containers_run() {
    let resources = format!(
        "<resources>{}</resources>",
        bundle("web", "", "replicas=\"2\"", "site")
    );
    let status = member(0, "a", "", "") + &member(1, "b", "", "");
    let out = decide(&["a", "b"], &no_fencing(), &resources, &status);
    for container in ["web-podman-0", "web-podman-1"] {
        let probe = format!("{container}_monitor_0");
        assert!(
            waits_for(&out.graph, "web-clone_start_0", &probe),
            "{probe}"
        );
    }
}

#[test]
fn nodes_of_bundles_are_no_places_of_clones() {
    let resources = format!(
        r#"<resources>{}<clone id="all"><primitive id="each" class="ocf" provider="heartbeat" type="Dummy"/>
        </clone></resources>"#,
        bundle("web", "", "replicas=\"1\"", "site")
    );
    let out = decide(&["a"], &no_fencing(), &resources, &member(0, "a", "", ""));
    assert!(out.text.contains("* Stopped: [ a ]"), "{}", out.text);
    assert!(out.text.contains("* Started: [ a ]"), "{}", out.text);
}

/// A promotable bundle with a replica on each of two nodes, promoted on the first, and an address.
fn promotable(constraints: &str, address_on: usize) -> Simulation {
    let resources = format!(
        r#"<resources>{}<primitive id="addr" class="ocf" provider="heartbeat" type="Dummy"/></resources>
        <constraints><rsc_location id="l" rsc="addr" node="{}" score="INFINITY"/>{constraints}</constraints>"#,
        bundle("db", "", "promoted-max=\"1\" replicas=\"2\"", "sql"),
        ["a", "b"][address_on],
    );
    let host = |n: usize, name: &str| {
        let container = format!("db-podman-{n}");
        let connection = format!("db-{n}");
        let mut history = started(&container, "podman", 3) + &started(&connection, "remote", 4);
        for other in [format!("db-podman-{}", 1 - n), format!("db-{}", 1 - n)] {
            let agent = if other.contains("podman") {
                "podman"
            } else {
                "remote"
            };
            history += &result(&other, agent, "monitor", 0, 2, 7);
        }
        history += &if n == address_on {
            started("addr", "Dummy", 5)
        } else {
            result("addr", "Dummy", "monitor", 0, 2, 7)
        };
        member(n, name, "", &history)
    };
    let inside = |n: usize, score: u32, task: &str| {
        let history = result("sql", "Dummy", task, 0, 6, 0);
        format!(
            r#"<node_state id="db-{n}" uname="db-{n}" remote_node="true"><transient_attributes id="db-{n}">
            <instance_attributes id="t-db-{n}">{}</instance_attributes></transient_attributes>
            <lrm id="db-{n}"><lrm_resources>{history}</lrm_resources></lrm></node_state>"#,
            wish("sql", score)
        )
    };
    let status = host(0, "a") + &host(1, "b") + &inside(0, 20, "promote") + &inside(1, 10, "start");
    decide(&["a", "b"], &no_fencing(), &resources, &status)
}

#[test]
fn a_promoted_replica_belongs_with_what_is_on_its_containers_host() {
    let stays = promotable("", 1);
    assert!(!stays.text.contains("* Promote "), "{}", stays.text);
    let together =
        r#"<rsc_colocation id="c" rsc="db" rsc-role="Promoted" with-rsc="addr" score="INFINITY"/>"#;
    let moved = promotable(together, 1);
    assert!(moved.text.contains("* Promote    sql:1"), "{}", moved.text);
    assert!(moved.text.contains("* Demote     sql:0"), "{}", moved.text);
    let apart = r#"<rsc_colocation id="c" rsc="db" rsc-role="Promoted" with-rsc="addr" score="-INFINITY"/>"#;
    let moved = promotable(apart, 0);
    assert!(moved.text.contains("* Promote    sql:1"), "{}", moved.text);
}

#[test]
fn a_promotable_bundle_demotes_before_it_promotes() {
    let together =
        r#"<rsc_colocation id="c" rsc="db" rsc-role="Promoted" with-rsc="addr" score="INFINITY"/>"#;
    let out = promotable(together, 1);
    assert!(waits_for(&out.graph, "db_promote_0", "db_demoted_0"));
}

#[test]
fn a_notifying_bundle_is_waited_for_by_its_request() {
    let order = r#"<constraints><rsc_order id="x" first="db" first-action="start" then="addr" then-action="start"/>
        </constraints>"#;
    let graph = |notify: &str| {
        let resources = format!(
            r#"<resources>{}<primitive id="addr" class="ocf" provider="heartbeat" type="Dummy"/></resources>{order}"#,
            bundle("db", notify, "replicas=\"1\"", "sql")
        );
        let status = member(0, "a", "", "");
        decide(&["a"], &no_fencing(), &resources, &status).graph
    };
    let plain = graph("");
    assert!(waits_for(&plain, "addr_start_0", "db_running_0"));
    let notify = graph(r#"<nvpair id="n" name="notify" value="true"/>"#);
    assert!(waits_for(&notify, "addr_start_0", "db_start_0"));
    assert!(!waits_for(&notify, "addr_start_0", "db_running_0"));
}

const CARRIER: &str = r#"<primitive id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">
    <meta_attributes id="vm-m"><nvpair id="vm-r" name="remote-node" value="inside"/></meta_attributes></primitive>"#;
const PLAIN: &str = r#"<primitive id="svc" class="ocf" provider="heartbeat" type="Dummy"/>"#;

#[test]
fn a_guests_connection_goes_with_its_container_in_an_opt_in_cluster_too() {
    let options = no_fencing() + &option("symmetric-cluster", "false");
    let resources = format!(
        r#"<resources>{CARRIER}</resources><constraints><rsc_location id="l" rsc="vm" node="a" score="10"/>
        </constraints>"#
    );
    let out = decide(&["a"], &options, &resources, &member(0, "a", "", ""));
    assert!(
        out.text.contains("inside          start on a"),
        "{}",
        out.text
    );
}

/// A guest on the first of two nodes, its container failed there.
fn failed_container(service_on: &str) -> Simulation {
    let resources = format!("<resources>{CARRIER}{PLAIN}</resources>{service_on}");
    let failed = format!(
        r#"<lrm_resource id="vm" class="ocf" provider="heartbeat" type="VirtualDomain">
        <lrm_rsc_op id="vm_last_0" operation="start" operation_key="vm_start_0" call-id="3" rc-code="0"
        op-status="0" interval="0" transition-key="1:1:0:t" transition-magic="0:0;1:1:0:t"/>
        <lrm_rsc_op id="vm_last_failure_0" operation="monitor" operation_key="vm_monitor_10000" call-id="5"
        rc-code="7" op-status="0" interval="10000" last-rc-change="{NOW}" transition-key="1:1:0:t"
        transition-magic="0:7;1:1:0:t"/></lrm_resource>"#
    );
    let idle = result("svc", "Dummy", "monitor", 0, 2, 7);
    let status = member(
        0,
        "a",
        "",
        &(failed + &started("inside", "remote", 4) + &idle),
    ) + &guest("inside", "");
    decide(&["a"], &no_fencing(), &resources, &status)
}

#[test]
fn a_container_that_fails_is_not_searched_and_its_end_is_waited_for() {
    let out = failed_container("");
    assert!(
        out.text.contains("vm              stop on a"),
        "{}",
        out.text
    );
    assert!(
        !out.text.contains("svc             monitor on inside"),
        "{}",
        out.text
    );
    assert!(
        waits_for(&out.graph, "svc_start_0", "vm_stop_0"),
        "{}",
        out.graph
    );
}

#[test]
fn what_is_no_longer_configured_leaves_no_failures_behind() {
    let counts = r#"<nvpair id="f1" name="fail-count-gone#monitor_10000" value="2"/>"#;
    let status = member(0, "a", counts, &started("gone", "Dummy", 3));
    let resources = format!("<resources>{PLAIN}</resources>");
    let out = decide(&["a"], &no_fencing(), &resources, &status);
    assert!(
        waits_for(&out.graph, "gone_stop_0", "gone_clear_failcount_0"),
        "{}",
        out.graph
    );
}

#[test]
fn a_connections_failures_are_forgiven_at_its_reconnect_interval() {
    let resources = |interval: u32| {
        format!(
            r#"<resources><primitive id="far" class="ocf" provider="pacemaker" type="remote">
            <instance_attributes id="i"><nvpair id="i1" name="reconnect_interval" value="{interval}"/>
            </instance_attributes></primitive></resources>"#
        )
    };
    let old = NOW - 100;
    let counts = format!(
        r#"<nvpair id="f1" name="fail-count-far#start_0" value="1"/>
        <nvpair id="f2" name="last-failure-far#start_0" value="{old}"/>"#
    );
    let history = started("far", "remote", 3).replace(
        &format!("last-rc-change=\"{NOW}\""),
        &format!("last-rc-change=\"{old}\""),
    );
    let status = member(0, "a", &counts, &history);
    let text = |interval| decide(&["a"], &no_fencing(), &resources(interval), &status).text;
    let (soon, late) = (text(60), text(600));
    assert!(soon.contains("clear_failcount for far"), "{soon}");
    assert!(!late.contains("clear_failcount for far"), "{late}");
}
