//! What users read, kept as snapshots.

use std::collections::BTreeMap;

use quorate_core::admin::{LocalView, PeerView};
use quorate_core::ids::{NodeName, RaftId};
use quorate_core::state::{
    ClusterState, FenceOutcome, FenceRecord, Incident, Member, MemberRole, MoveRecord, NodeStatus,
    OpRecord, Presence, ResourceRecord, TransitionRecord,
};

use super::crm_mon::Shape;
use super::picture::Picture;
use super::{crm_mon, crm_mon_xml, history, text};

const NOW: i64 = 1_800_000_000_000;

const TEXT: &str = "\
node n1
node n2
primitive db-fs-p ocf:heartbeat:Filesystem params device=/dev/sdb1 directory=/db fstype=ext4
primitive db-ip-p ocf:heartbeat:IPaddr2 params ip=10.0.0.10
primitive db-mysql-p ocf:heartbeat:mysql op monitor interval=20s
group db-g db-fs-p db-ip-p db-mysql-p
primitive ping-p ocf:pacemaker:ping
clone ping-c ping-p
primitive old-p ocf:heartbeat:Dummy meta target-role=Stopped
";

fn op(name: &str, call: i64, rc: i32, interval_ms: u64) -> OpRecord {
    OpRecord {
        key: format!("x_{name}_{interval_ms}"),
        operation: name.into(),
        call_id: call,
        rc,
        interval_ms,
        changed_wall_ms: NOW - 60_000,
        took_ms: 40,
        ..OpRecord::default()
    }
}

fn started(class: &str) -> ResourceRecord {
    ResourceRecord {
        class: class.into(),
        operations: BTreeMap::from([
            ("last".into(), op("start", 2, 0, 0)),
            ("monitor".into(), op("monitor", 3, 0, 20_000)),
        ]),
        ..ResourceRecord::default()
    }
}

fn node(presence: Presence) -> NodeStatus {
    NodeStatus {
        presence,
        has_history: true,
        since_wall_ms: NOW - 12_000,
        ..NodeStatus::default()
    }
}

fn cluster() -> (ClusterState, LocalView) {
    let mut state = ClusterState {
        cluster: "wiki".into(),
        ..ClusterState::default()
    };
    state.document.text = TEXT.into();
    for (name, id, is_witness) in [("n1", 1, false), ("n2", 2, false), ("w", 3, true)] {
        let member = Member {
            raft_id: RaftId(id),
            role: MemberRole::Voter,
            is_witness,
            ..Member::default()
        };
        state.members.insert(name.into(), member);
        state.nodes.insert(name.into(), node(Presence::Online));
    }
    let n1 = state.nodes.get_mut(&NodeName::from("n1")).unwrap();
    for id in ["db-fs-p", "db-ip-p", "db-mysql-p", "ping-p"] {
        n1.resources.insert(id.into(), started("ocf"));
    }
    let n2 = state.nodes.get_mut(&NodeName::from("n2")).unwrap();
    n2.resources.insert("ping-p".into(), started("ocf"));
    let peer = |name: &str, raft_id| PeerView {
        name: name.into(),
        raft_id: RaftId(raft_id),
        has_contact: true,
        links: vec![Some(20), Some(30)],
    };
    let local = LocalView {
        name: "n1".into(),
        leader: Some("n1".into()),
        has_quorum: true,
        peers: vec![peer("n2", 2), peer("w", 3)],
        wall_ms: NOW,
        ..LocalView::default()
    };
    // Through the encoding, which derives the configuration.
    (ClusterState::decode(&state.encode()).unwrap(), local)
}

fn bad_day() -> (ClusterState, LocalView) {
    let (mut state, mut local) = cluster();
    let n1 = state.nodes.get_mut(&NodeName::from("n1")).unwrap();
    *n1 = NodeStatus {
        presence: Presence::Lost,
        reason: "no answer on any link".into(),
        fence_failures: 3,
        ..n1.clone()
    };
    let failed = OpRecord {
        key: "db-mysql-p_monitor_20000".into(),
        exit_reason: "mysqld is not running".into(),
        ..op("monitor", 9, 7, 20_000)
    };
    let record = n1.resources.get_mut("db-mysql-p").unwrap();
    record
        .operations
        .insert("db-mysql-p_last_failure_0".into(), failed);
    state.fencing.push_back(FenceRecord {
        target: "n1".into(),
        boot: quorate_core::ids::Boot(7),
        action: "reboot".into(),
        devices: vec!["ipmi-n1".into()],
        by: "n2".into(),
        reason: "node n1 was lost".into(),
        outcome: FenceOutcome::Failed("Connection timed out".into()),
        wall_ms: NOW - 3000,
        took_ms: 8000,
    });
    state.ledger.push_back(TransitionRecord {
        number: 4,
        leader: "n2".into(),
        trigger: "n1 was lost".into(),
        wall_ms: NOW - 11_000,
        actions: vec![(
            "stonith-n1-reboot".into(),
            "n1".into(),
            "node n1 was lost".into(),
        )],
        blocked: vec![(
            "db-g".into(),
            "n1 may still run it".into(),
            "quorate fence confirm n1".into(),
        )],
        end: "failed".into(),
        end_wall_ms: NOW - 3000,
    });
    state.incidents.push_back(Incident {
        what: "n1 was lost".into(),
        node: "n1".into(),
        began_wall_ms: NOW - 12_000,
        milestones: vec![("detected".into(), 1010)],
    });
    state.moves.insert(
        "cli-ban-db-g-on-n2".into(),
        MoveRecord {
            resource: "db-g".into(),
            node: "n2".into(),
            score: "-INFINITY".into(),
            expires_wall_ms: Some(NOW + 600_000),
            who: "eve@n1".into(),
        },
    );
    local.name = "n2".into();
    local.leader = Some("n2".into());
    local.peers[0].name = "n1".into();
    local.peers[0].has_contact = false;
    local.peers[1].links = vec![Some(20), None];
    (state, local)
}

fn picture((state, local): (ClusterState, LocalView)) -> Picture {
    Picture::new(&state, &local)
}

/// Times are printed in the host's time zone; snapshots are not.
fn zoneless(text: &str) -> String {
    let date = super::when::date(NOW);
    text.replace(&date, "DATE")
}

#[test]
fn status_of_a_good_day() {
    let picture = picture(cluster());
    assert!(!picture.needs_attention());
    insta::assert_snapshot!(zoneless(&text::status(&picture)));
}

#[test]
fn status_of_a_bad_day() {
    let picture = picture(bad_day());
    assert!(picture.needs_attention());
    insta::assert_snapshot!(zoneless(&text::status(&picture)));
}

/// A fence device that failed wherever it may run is nothing that waits in a list of failures: the next fencing fails.
#[test]
fn what_was_given_up_everywhere_is_said_first_with_the_way_out() {
    let (mut state, local) = cluster();
    let device = "primitive fence-n1 stonith:external/ipmi params hostname=n1\n";
    state.document.text = format!("{TEXT}{device}");
    let failed = OpRecord {
        key: "fence-n1_start_0".into(),
        exit_reason: "the password is wrong".into(),
        ..op("start", 9, 1, 0)
    };
    let mut record = ResourceRecord {
        class: "stonith".into(),
        ..ResourceRecord::default()
    };
    // After a start that failed the manager stops what may be left of it.
    record
        .operations
        .insert("fence-n1_last_0".into(), op("stop", 10, 0, 0));
    record
        .operations
        .insert("fence-n1_last_failure_0".into(), failed);
    let n2 = state.nodes.get_mut(&NodeName::from("n2")).unwrap();
    n2.resources.insert("fence-n1".into(), record);
    let state = ClusterState::decode(&state.encode()).unwrap();
    let picture = Picture::new(&state, &local);
    assert!(picture.needs_attention());
    let said = text::status(&picture);
    assert!(
        said.contains(
            "\nBLOCKED\n  fence-n1: it runs nowhere, it failed on n2 (the password is wrong); a fencing that needs it may \
             fail\n    -> `quorate fence check`"
        ),
        "{said}"
    );
    // What is stopped on purpose is not blocked.
    let mut stopped = state;
    stopped.document.text = stopped
        .document
        .text
        .replace("hostname=n1", "hostname=n1 meta target-role=Stopped");
    let stopped = ClusterState::decode(&stopped.encode()).unwrap();
    assert!(!Picture::new(&stopped, &local).needs_attention());
}

#[test]
fn crm_mon_by_node() {
    let shape = Shape {
        by_node: true,
        inactive: true,
    };
    insta::assert_snapshot!(zoneless(&crm_mon::draw(&picture(cluster()), shape)));
}

#[test]
fn crm_mon_names_a_lost_node_unclean() {
    let text = crm_mon::draw(
        &picture(bad_day()),
        Shape {
            by_node: true,
            inactive: false,
        },
    );
    assert!(text.contains("Node n1: UNCLEAN (offline)"), "{text}");
    assert!(
        text.contains("db-mysql-p_monitor_20000 on n1 'not running' (7): call=9"),
        "{text}"
    );
}

#[test]
fn crm_mon_as_xml_is_well_formed_and_one_resource_a_line() {
    let xml = crm_mon_xml::draw(&picture(cluster()));
    let line = xml.lines().find(|l| l.contains("id=\"db-ip-p\"")).unwrap();
    let places: Vec<usize> = [" id=", " role=", " active=", " orphaned=", " failed="]
        .iter()
        .map(|a| line.find(a).unwrap())
        .collect();
    assert!(places.is_sorted(), "{line}");
    insta::assert_snapshot!(zoneless(&xml));
}

#[test]
fn history_tells_reasons() {
    let (state, _) = bad_day();
    let text = history::text(&history::all(&state));
    assert!(text.contains("detected after 1.010 s"), "{text}");
    assert!(
        text.contains("stonith-n1-reboot on n1: node n1 was lost"),
        "{text}"
    );
    assert!(text.contains("FAILED: Connection timed out"), "{text}");
}

/// Galera's agent greps for the name without a number, in a line that says Promoted, active and not failed.
#[test]
fn copies_that_are_alike_go_by_one_name_in_xml() {
    let mut picture = picture(cluster());
    let copy = picture
        .resources
        .iter_mut()
        .find(|r| r.id == "ping-p")
        .unwrap();
    copy.active[0].id = "ping-p:0".to_owned();
    copy.active[0].role = "Promoted".to_owned();
    let xml = crm_mon_xml::draw(&picture);
    let line = xml.lines().find(|l| l.contains("Promoted")).unwrap();
    assert!(line.contains("resource id=\"ping-p\""), "{line}");
    let copy = picture.resources.iter_mut().find(|r| r.id == "ping-p");
    copy.unwrap().is_unique = true;
    let xml = crm_mon_xml::draw(&picture);
    assert!(xml.contains("resource id=\"ping-p:0\""), "{xml}");
}

/// Against Pacemaker's own schema, where that is installed.
#[test]
fn crm_mon_as_xml_keeps_to_the_schema() {
    let schema = std::path::Path::new("/usr/share/pacemaker/api/api-result.rng");
    if !schema.exists()
        || std::process::Command::new("xmllint")
            .arg("--version")
            .output()
            .is_err()
    {
        eprintln!(
            "SKIPPED: crm_mon_as_xml_keeps_to_the_schema: needs pacemaker-common and libxml2-utils"
        );
        return;
    }
    for (name, view) in [("cluster", cluster()), ("bad-day", bad_day())] {
        let file = std::env::temp_dir().join(format!("quorate-{name}-{}.xml", std::process::id()));
        std::fs::write(&file, crm_mon_xml::draw(&picture(view))).unwrap();
        let checked = std::process::Command::new("xmllint")
            .args(["--noout", "--relaxng"])
            .args([schema, &file])
            .output()
            .unwrap();
        std::fs::remove_file(&file).unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{said}");
    }
}
