//! What a plan tells an agent of its surroundings.

use quorate_model::xml::read::read;
use quorate_policy::plan::ActionKind;
use quorate_policy::{Options, schedule};

const CIB: &str = r#"<cib have-quorum="1" dc-uuid="1" validate-with="pacemaker-3.9"><configuration><crm_config>
<cluster_property_set id="o"><nvpair id="f" name="stonith-enabled" value="false"/><nvpair id="q" name="no-quorum-policy" value="ignore"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="a"/></nodes><resources>
<clone id="ms"><meta_attributes id="m"><nvpair id="m1" name="promotable" value="true"/>
<nvpair id="m2" name="promoted-max" value="2"/><nvpair id="m3" name="notify" value="true"/><nvpair id="m4" name="clone-max" value="2"/></meta_attributes>
<primitive id="db" class="ocf" provider="heartbeat" type="galera"/></clone></resources><constraints/></configuration>
<status><node_state id="1" uname="a" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="1"><lrm_resources>
<lrm_resource id="db" class="ocf" provider="heartbeat" type="galera"><lrm_rsc_op id="db_last_0" operation_key="db_monitor_0"
operation="monitor" call-id="1" rc-code="7" op-status="0" interval="0" transition-key="1:1:7:x"/></lrm_resource>
</lrm_resources></lrm></node_state></status></cib>"#;

/// Galera's agent refuses to start where it is not told that it may be promoted.
#[test]
fn a_copy_learns_how_many_may_be_promoted() {
    let cib = read(CIB).expect("a CIB");
    let plan = schedule(
        &cib,
        &Options {
            now: 1_700_000_000,
            ..Options::default()
        },
    );
    let start = plan
        .actions
        .iter()
        .find(|action| action.kind == ActionKind::Start)
        .unwrap_or_else(|| panic!("it starts: {plan:?}"));
    let meta = |name: &str| {
        let found = start.meta.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    for (name, value) in [
        ("promoted_max", "2"),
        ("master_max", "2"),
        ("promoted_node_max", "1"),
        ("clone_max", "2"),
        ("notify", "true"),
        ("clone", "0"),
    ] {
        assert_eq!(meta(name), Some(value), "{name}");
    }
}
