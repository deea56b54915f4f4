//! Decisions of the whole pipeline on small clusters.

use quorate_model::xml::read::read;
use quorate_policy::plan::{ActionKind, Plan};
use quorate_policy::{Options, schedule};

fn plan(configuration: &str, status: &str) -> Plan {
    let text = format!(
        r#"<cib have-quorum="1" validate-with="pacemaker-3.7"><configuration>
        <nodes><node id="1" uname="a"/><node id="2" uname="b"/></nodes>
        {configuration}</configuration><status>{status}</status></cib>"#
    );
    let cib = read(&text).expect("a CIB");
    schedule(
        &cib,
        &Options {
            now: 1_000_000,
            ..Options::default()
        },
    )
}

fn member(id: u32, name: &str, history: &str) -> String {
    format!(
        r#"<node_state id="{id}" uname="{name}" in_ccm="true" crmd="online" join="member" expected="member">
        <lrm id="{id}"><lrm_resources>{history}</lrm_resources></lrm></node_state>"#
    )
}

const GROUP: &str = r#"<crm_config><cluster_property_set id="o"><nvpair id="s" name="fencing-enabled" value="false"/>
    </cluster_property_set></crm_config><resources><group id="g">
    <primitive id="p" class="ocf" provider="x" type="D"><operations><op id="pm" name="monitor" interval="10s"/></operations></primitive>
    <primitive id="q" class="ocf" provider="x" type="D"/></group></resources>"#;

fn position(plan: &Plan, key: &str) -> usize {
    plan.actions
        .iter()
        .position(|a| a.key == key)
        .unwrap_or_else(|| panic!("no {key}"))
}

/// Whether `first` comes before `then`, directly or not.
fn before(plan: &Plan, first: usize, then: usize) -> bool {
    let direct = &plan.actions[then].inputs;
    direct
        .iter()
        .any(|i| i.0 as usize == first || before(plan, first, i.0 as usize))
}

#[test]
fn a_group_is_probed_then_started_in_order() {
    let plan = plan(GROUP, &(member(1, "a", "") + &member(2, "b", "")));
    let probes = plan
        .actions
        .iter()
        .filter(|a| a.kind == ActionKind::Probe)
        .count();
    assert_eq!(probes, 4);
    let (p, q) = (position(&plan, "p_start_0"), position(&plan, "q_start_0"));
    assert!(before(&plan, p, q));
    assert!(before(&plan, p, position(&plan, "p_monitor_10000")));
    for (ix, action) in plan.actions.iter().enumerate() {
        if action.kind == ActionKind::Probe {
            let start = if action.key.starts_with('p') { p } else { q };
            assert!(
                before(&plan, ix, start),
                "{} comes before the start",
                action.key
            );
        }
        assert!(
            !before(&plan, ix, ix),
            "{} does not wait for itself",
            action.key
        );
    }
}

#[test]
fn a_lost_node_is_fenced_before_its_resource_starts_elsewhere() {
    let configuration = r#"<resources><primitive id="f" class="stonith" type="fence_x"/>
        <primitive id="p" class="ocf" provider="x" type="D"/></resources>"#;
    let run = |id: &str, class: &str, node: u32, rc: u32, op: &str| {
        format!(
            r#"<lrm_resource id="{id}" class="{class}" {} type="{}"><lrm_rsc_op id="{id}_last_0" operation="{op}" call-id="2"
            rc-code="{rc}" op-status="0" interval="0" transition-key="1:1:{rc}:x" on_node="{node}"/></lrm_resource>"#,
            if class == "ocf" {
                r#"provider="x""#
            } else {
                ""
            },
            if class == "ocf" { "D" } else { "fence_x" },
        )
    };
    let lost = format!(
        r#"<node_state id="1" uname="a" in_ccm="false" crmd="offline" join="down" expected="member">
        <lrm id="1"><lrm_resources>{}{}</lrm_resources></lrm></node_state>"#,
        run("p", "ocf", 1, 0, "start"),
        run("f", "stonith", 1, 7, "monitor"),
    );
    let well = member(
        2,
        "b",
        &(run("p", "ocf", 2, 7, "monitor") + &run("f", "stonith", 2, 0, "start")),
    );
    let plan = plan(configuration, &(lost + &well));
    let fence = plan
        .actions
        .iter()
        .position(|a| a.kind == ActionKind::Fence)
        .expect("a is fenced");
    assert_eq!(plan.actions[fence].node.as_deref(), Some("a"));
    assert_eq!(
        plan.actions[fence].reason.text,
        "peer is no longer part of the cluster"
    );
    let start = position(&plan, "p_start_0");
    assert_eq!(plan.actions[start].node.as_deref(), Some("b"));
    assert!(before(&plan, fence, start));
}

#[test]
fn without_a_device_nothing_starts_and_the_plan_says_why() {
    let configuration =
        r#"<resources><primitive id="p" class="ocf" provider="x" type="D"/></resources>"#;
    let lost = r#"<node_state id="1" uname="a" in_ccm="false" crmd="offline" join="down" expected="member"/>"#;
    let plan = plan(configuration, &(lost.to_owned() + &member(2, "b", "")));
    assert!(
        plan.actions
            .iter()
            .all(|a| a.kind != ActionKind::Start && a.kind != ActionKind::Fence)
    );
    assert!(
        plan.blocked
            .iter()
            .any(|b| b.what == "a" && !b.way_out.is_empty())
    );
}

#[test]
fn equal_input_gives_an_equal_plan() {
    let status = member(1, "a", "") + &member(2, "b", "");
    assert_eq!(plan(GROUP, &status), plan(GROUP, &status));
}
