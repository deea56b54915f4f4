//! Single rules of placement, history and ordering, each on a cluster as small as shows it.

use quorate_model::xml::read::read;
use quorate_policy::Options;
use quorate_policy::simulate::{Request, simulate};

const NOW: i64 = 1_700_000_000;

/// A cluster under construction.
#[derive(Default)]
struct Cluster {
    options: String,
    nodes: String,
    configuration: String,
    status: String,
}

fn pair(name: &str, value: &str) -> String {
    format!(r#"<nvpair id="n-{name}-{value}" name="{name}" value="{value}"/>"#)
}

/// A result: `task`, its number, what came of it.
fn op(rsc: &str, task: &str, interval: u32, call: i32, rc: i32) -> String {
    let expected = if task == "monitor" && interval == 0 {
        7
    } else {
        0
    };
    let id = if interval == 0 {
        format!("{rsc}_last_0")
    } else {
        format!("{rsc}_{task}_{interval}")
    };
    format!(
        r#"<lrm_rsc_op id="{id}" operation_key="{rsc}_{task}_{interval}" operation="{task}" call-id="{call}"
        rc-code="{rc}" op-status="{}" interval="{interval}" transition-key="1:{call}:{expected}:x"/>"#,
        if rc == 193 { -1 } else { 0 }
    )
}

fn history(rsc: &str, ops: &str) -> String {
    format!(r#"<lrm_resource id="{rsc}" class="ocf" provider="x" type="D">{ops}</lrm_resource>"#)
}

fn runs(rsc: &str) -> String {
    history(rsc, &op(rsc, "start", 0, 2, 0))
}

fn absent(rsc: &str) -> String {
    history(rsc, &op(rsc, "monitor", 0, 1, 7))
}

fn dummy(id: &str, inner: &str) -> String {
    format!(r#"<primitive id="{id}" class="ocf" provider="x" type="D">{inner}</primitive>"#)
}

fn meta(of: &str, pairs: &str) -> String {
    format!(r#"<meta_attributes id="{of}-meta">{pairs}</meta_attributes>"#)
}

impl Cluster {
    fn new() -> Self {
        Self {
            options: pair("fencing-enabled", "false"),
            ..Self::default()
        }
    }

    fn node(mut self, name: &str, extra: &str, transient: &str, histories: &[String]) -> Self {
        self.nodes += &format!(r#"<node id="id-{name}" uname="{name}">{extra}</node>"#);
        self.status += &format!(
            r#"<node_state id="id-{name}" uname="{name}" in_ccm="true" crmd="online" join="member" expected="member">
            <transient_attributes id="t-{name}">{transient}</transient_attributes>
            <lrm id="id-{name}"><lrm_resources>{}</lrm_resources></lrm></node_state>"#,
            histories.concat()
        );
        self
    }

    fn resources(mut self, text: &str) -> Self {
        self.configuration = format!("<resources>{text}</resources>") + &self.configuration;
        self
    }

    fn constraints(mut self, text: &str) -> Self {
        self.configuration += &format!("<constraints>{text}</constraints>");
        self
    }

    /// What is said of it, without blanks that only align.
    fn text(&self) -> String {
        let xml = format!(
            r#"<cib have-quorum="1" validate-with="pacemaker-3.9"><configuration><crm_config>
            <cluster_property_set id="o">{}</cluster_property_set></crm_config><nodes>{}</nodes>{}</configuration>
            <status>{}</status></cib>"#,
            self.options, self.nodes, self.configuration, self.status
        );
        let cib = read(&xml).expect("a CIB");
        let request = Request {
            options: Options {
                now: NOW,
                ..Options::default()
            },
            ..Request::default()
        };
        let text = simulate(&cib, &request).text;
        let lines = text
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn says(&self, line: &str) {
        let text = self.text();
        assert!(
            text.lines().any(|l| l.trim() == line),
            "no '{line}' in\n{text}"
        );
    }

    #[track_caller]
    fn never_says(&self, part: &str) {
        let text = self.text();
        assert!(!text.contains(part), "'{part}' in\n{text}");
    }
}

fn utilization(of: &str, cpu: u32) -> String {
    format!(
        r#"<utilization id="{of}-u"><nvpair id="{of}-cpu" name="cpu" value="{cpu}"/></utilization>"#
    )
}

fn prefer(rsc: &str, node: &str) -> String {
    format!(r#"<rsc_location id="l-{rsc}-{node}" rsc="{rsc}" node="{node}" score="100"/>"#)
}

#[test]
fn machines_that_change_places_do_not_wait_for_each_other() {
    let vm = |id: &str| {
        dummy(
            id,
            &(meta(id, &pair("allow-migrate", "true")) + &utilization(id, 1)),
        )
    };
    let mut cluster = Cluster::new()
        .node("a", &utilization("a", 1), "", &[runs("v"), absent("w")])
        .node("b", &utilization("b", 1), "", &[runs("w"), absent("v")])
        .resources(&(vm("v") + &vm("w")))
        .constraints(&(prefer("v", "b") + &prefer("w", "a")));
    cluster.options += &pair("placement-strategy", "balanced");
    cluster.says("* Migrate v ( a -> b )");
    cluster.says("* Resource action: v migrate_from on b");
    cluster.says("* Resource action: w migrate_from on a");
}

#[test]
fn a_capacity_may_be_known_for_the_moment_only() {
    let mut cluster = Cluster::new()
        .node("a", "", "", &[absent("p")])
        .node("b", "", &utilization("b", 2), &[absent("p")])
        .resources(&dummy("p", &utilization("p", 2)));
    cluster.options += &pair("placement-strategy", "utilization");
    cluster.says("* Start p ( b )");
}

#[test]
fn two_templates_are_not_colocated() {
    let template = |id: &str| format!(r#"<template id="{id}" class="ocf" provider="x" type="D"/>"#);
    let made = |id: &str, of: &str| format!(r#"<primitive id="{id}" template="{of}"/>"#);
    let cluster = Cluster::new()
        .node("a", "", "", &[absent("p"), absent("q")])
        .node("b", "", "", &[absent("p"), absent("q")])
        .resources(&(template("s") + &template("t") + &made("p", "s") + &made("q", "t")))
        .constraints(r#"<rsc_colocation id="c" rsc="s" with-rsc="t" score="INFINITY"/>"#);
    cluster.says("* Start p ( a )");
    cluster.says("* Start q ( b )");
}

#[test]
fn a_listed_set_goes_with_what_is_listed_after_it() {
    let set = |ordering: &str| {
        format!(
            r#"<rsc_colocation id="c" score="INFINITY"><resource_set id="s"{ordering}>
            <resource_ref id="p"/><resource_ref id="q"/></resource_set></rsc_colocation>"#
        )
    };
    let cluster = |ordering: &str| {
        Cluster::new()
            .node("a", "", "", &[absent("p"), absent("q")])
            .resources(&(dummy("p", &meta("p", &pair("target-role", "Stopped"))) + &dummy("q", "")))
            .constraints(&set(ordering))
    };
    cluster("").never_says("Start");
    cluster(r#" ordering="listed""#).says("* Start q ( a )");
}

#[test]
fn what_a_clone_was_called_before_is_forgotten() {
    let clone = format!(r#"<clone id="p">{}</clone>"#, dummy("child", ""));
    let cluster = Cluster::new()
        .node(
            "a",
            "",
            "",
            &[history("p", &op("p", "stop", 0, 3, 0)), absent("child")],
        )
        .resources(&clone);
    cluster.says("* Resource action: p delete on a");
    cluster.says("* Started: [ a ]");
}

#[test]
fn a_monitor_from_before_the_stop_is_a_leftover() {
    let ops = op("p", "monitor", 10_000, 4, 193).replace("call-id=\"4\"", "call-id=\"-1\"")
        + &op("p", "stop", 0, 9, 0);
    let cluster = Cluster::new()
        .node("a", "", "", &[history("p", &ops)])
        .resources(&dummy("p", ""));
    cluster.never_says("Monitoring");
    cluster.says("* Start p ( a )");
}

#[test]
fn no_further_instance_starts_while_a_node_cannot_be_probed() {
    let clone = format!(r#"<clone id="c">{}</clone>"#, dummy("p", ""));
    let mut cluster = Cluster::new()
        .node("a", "", "", &[runs("p")])
        .node("b", "", "", &[absent("p")])
        .resources(&clone);
    cluster.says("* Start p:1 ( b )");
    cluster.nodes += r#"<node id="id-c" uname="c"/>"#;
    cluster.status += r#"<node_state id="id-c" uname="c" in_ccm="true" crmd="offline" join="down" expected="down"/>"#;
    cluster.options = pair("no-quorum-policy", "ignore");
    cluster.configuration = cluster.configuration.replace(
        "<resources>",
        r#"<resources><primitive id="f" class="stonith" type="external/x"/>"#,
    );
    cluster.says("* Start p:1 ( b ) due to unrunnable p:0 monitor (blocked)");
    cluster.never_says("Stop p");
}

#[test]
fn the_threshold_of_what_is_cloned_counts() {
    let inner = dummy("p", &meta("p", &pair("migration-threshold", "1")));
    let failures = |count: &str| {
        format!(
            r#"<instance_attributes id="f">{}</instance_attributes>"#,
            pair("fail-count-p#monitor_10000", count)
        )
    };
    let clone = format!(r#"<clone id="c">{inner}</clone>"#);
    Cluster::new()
        .node("a", "", &failures("1"), &[runs("p")])
        .resources(&clone)
        .says("* Stop p:0 ( a ) due to node availability");
}

#[test]
fn where_a_probe_says_it_cannot_run_it_does_not_start() {
    let missing = history("p", &op("p", "monitor", 0, 1, 5));
    Cluster::new()
        .node("a", "", "", &[missing])
        .node("b", "", "", &[absent("p")])
        .resources(&dummy("p", ""))
        .constraints(&prefer("p", "a"))
        .says("* Start p ( b )");
}

#[test]
fn nothing_is_promoted_with_what_is_nowhere() {
    let clone = format!(
        r#"<clone id="c">{}{}</clone>"#,
        meta("c", &pair("promotable", "true")),
        dummy("p", "")
    );
    let score = format!(
        r#"<instance_attributes id="m">{}</instance_attributes>"#,
        pair("master-p", "10")
    );
    let cluster = |role: &str| {
        Cluster::new()
            .node("a", "", &score, &[runs("p"), absent("q")])
            .resources(&(clone.clone() + &dummy("q", &meta("q", &pair("target-role", role)))))
            .constraints(
                r#"<rsc_colocation id="k" rsc="c" rsc-role="Promoted" with-rsc="q" score="INFINITY"/>"#,
            )
    };
    cluster("Started").says("* Promoted: [ a ]");
    cluster("Stopped").never_says("Promote p");
}

#[test]
fn among_equal_nodes_the_first_by_letters_is_taken() {
    Cluster::new()
        .node("node9", "", "", &[absent("p")])
        .node("node10", "", "", &[absent("p")])
        .resources(&dummy("p", ""))
        .says("* Start p ( node10 )");
}

#[test]
fn a_rule_may_ask_for_a_parameter_that_differs_by_node() {
    let params = r##"<instance_attributes id="i1"><nvpair id="i1k" name="rack" value="none"/></instance_attributes>
        <instance_attributes id="i2" score="5"><rule id="i2r" score="0"><expression id="i2e" attribute="#uname"
        operation="eq" value="b"/></rule><nvpair id="i2k" name="rack" value="two"/></instance_attributes>"##;
    let rack = r##"<instance_attributes id="r"><nvpair id="rk" name="rack" value="two"/></instance_attributes>"##;
    Cluster::new()
        .node("a", rack, "", &[absent("p")])
        .node("b", &rack.replace("id=\"r", "id=\"s"), "", &[absent("p")])
        .resources(&dummy("p", params))
        .constraints(
            r#"<rsc_location id="l" rsc="p"><rule id="lr" score="50"><expression id="le" attribute="rack"
            operation="eq" value="rack" value-source="param"/></rule></rsc_location>"#,
        )
        .says("* Start p ( b )");
}

#[test]
fn who_keeps_away_does_not_move_the_other() {
    // g prefers b and must not be where p is; that b is closed to it must not draw p there.
    let cluster = Cluster::new()
        .node("a", "", "", &[runs("p"), absent("g")])
        .node("b", "", "", &[absent("p"), absent("g")])
        .node("c", "", "", &[absent("p"), absent("g")])
        .resources(&(dummy("p", "") + &dummy("g", "")))
        .constraints(
            r#"<rsc_colocation id="k" rsc="g" with-rsc="p" score="-5000"/>
            <rsc_location id="l" rsc="g" node="b" score="-INFINITY"/>"#,
        );
    cluster.says("* Start g ( c )");
    cluster.never_says("Move p");
}

#[test]
fn the_order_of_a_stop_gives_the_reason_of_the_next() {
    let group = format!(
        r#"<group id="g">{}{}</group>"#,
        dummy("p", &meta("p", &pair("target-role", "Stopped"))),
        dummy("q", "")
    );
    let cluster = Cluster::new()
        .node("a", "", "", &[runs("p"), runs("q")])
        .resources(&group);
    cluster.says("* Stop p ( a ) due to node availability");
    cluster.says("* Stop q ( a ) due to node availability");
}

#[test]
fn a_stickiness_below_one_drives_nothing_away() {
    let cluster = Cluster::new()
        .node("a", "", "", &[runs("p")])
        .node("b", "", "", &[absent("p")])
        .resources(&dummy("p", &meta("p", &pair("resource-stickiness", "-1"))));
    cluster.never_says("Move p");
}

#[test]
fn what_failed_and_is_not_configured_any_more_is_forgotten_where_it_cannot_run_either() {
    let standby = format!(
        r#"<instance_attributes id="sa">{}</instance_attributes>"#,
        pair("standby", "on")
    );
    let failures = format!(
        r#"<instance_attributes id="fa">{}</instance_attributes>"#,
        pair("fail-count-gone#start_0", "INFINITY")
    );
    let failed = history(
        "gone",
        &(op("gone", "start", 0, 2, 1) + &op("gone", "monitor", 10_000, 3, 1)),
    );
    let cluster = Cluster::new()
        .node("a", &standby, &failures, &[failed])
        .node("b", "", "", &[]);
    cluster.says("* Stop gone ( a ) due to node availability");
    cluster.says("* Cluster action: clear_failcount for gone on a");
    // Its history goes when it has been stopped without a failure.
    cluster.never_says("gone delete");
}

#[test]
fn instances_that_can_be_told_apart_have_promotion_scores_of_their_own() {
    let clone = |unique: &str| {
        format!(
            r#"<clone id="c">{}{}</clone>"#,
            meta(
                "c",
                &(pair("promotable", "true") + &pair("globally-unique", unique))
            ),
            dummy("p", "")
        )
    };
    let score = format!(
        r#"<instance_attributes id="sc">{}</instance_attributes>"#,
        pair("master-p", "10")
    );
    let cluster = |unique: &str| {
        Cluster::new()
            .node("a", "", &score, &[])
            .resources(&clone(unique))
    };
    cluster("false").says("* Promote p:0 ( Stopped -> Promoted a )");
    cluster("true").says("* Start p:0 ( a )");
}

#[test]
fn of_nodes_that_are_large_enough_the_emptiest_is_taken() {
    let capacity = |id: &str, cpu: &str| {
        format!(
            r#"<utilization id="u{id}"><nvpair id="u{id}c" name="cpu" value="{cpu}"/></utilization>"#
        )
    };
    let group = format!(
        r#"<group id="g">{}{}</group>"#,
        dummy("q", &capacity("q", "1")),
        dummy("r", &capacity("r", "1"))
    );
    let mut cluster = Cluster::new();
    cluster.options += &pair("placement-strategy", "utilization");
    let cluster = cluster
        .node("a", &capacity("a", "5"), "", &[])
        .node("b", &capacity("b", "5"), "", &[])
        .node("c", &capacity("c", "7"), "", &[])
        .resources(&(dummy("p", "") + &group));
    cluster.says("* Start p ( a )");
    cluster.says("* Start q ( b )");
}
