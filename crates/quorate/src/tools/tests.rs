//! The calls that agents were seen to make, and what they must get for them.

use quorate_core::admin::{Access, Lifetime, LocalView, Request, Response};
use quorate_core::ids::{LogIndex, NodeName, RaftId};
use quorate_core::state::{
    ClusterState, Member, MemberRole, NodeStatus, OpRecord, Presence, ResourceRecord,
};

use super::cluster::{Body, Cluster, Said};
use super::{attrd_updater, attribute, cibadmin, crm_failcount, crm_node, crm_resource};
use crate::error::Error;

/// A cluster that answers from its state and remembers what it was asked to change.
struct Played {
    state: ClusterState,
    changes: Vec<Request>,
}

impl Cluster for Played {
    fn state(&mut self) -> Result<(ClusterState, LocalView), Error> {
        let local = LocalView {
            name: "n1".into(),
            leader: Some("n1".into()),
            has_quorum: true,
            wall_ms: 1_800_000_000_000,
            ..LocalView::default()
        };
        Ok((self.state.clone(), local))
    }

    fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        if let Request::Attribute {
            node,
            name,
            access: Access::Get,
            lifetime,
            ..
        } = request
        {
            let status = &self.state.nodes.get(node);
            let value = status.and_then(|status| match lifetime {
                Lifetime::Reboot => status.transient.get(name),
                Lifetime::Private => status.private.get(name),
                Lifetime::Forever => status.permanent.get(name),
            });
            return Ok(Response::Value(value.cloned()));
        }
        self.changes.push(request.clone());
        Ok(Response::Done {
            text: String::new(),
            index: LogIndex(1),
        })
    }
}

fn played() -> Played {
    let mut state = ClusterState::default();
    state.document.text = "property stonith-enabled=false\nprimitive db ocf:heartbeat:Dummy params state=/tmp/x \
                           meta target-role=Started\nprimitive ip ocf:heartbeat:IPaddr2 params ip=10.0.0.1\n\
                           group g db ip\n"
        .into();
    for (name, id) in [("n1", 1), ("n2", 2), ("n3", 3)] {
        let member = Member {
            raft_id: RaftId(id),
            role: MemberRole::Voter,
            ..Member::default()
        };
        state.members.insert(name.into(), member);
        let presence = if name == "n3" {
            Presence::Lost
        } else {
            Presence::Online
        };
        state.nodes.insert(
            name.into(),
            NodeStatus {
                presence,
                has_history: true,
                ..NodeStatus::default()
            },
        );
    }
    let n1 = state.nodes.get_mut(&NodeName::from("n1")).unwrap();
    n1.transient.insert("rabbit-master".into(), "true".into());
    n1.transient
        .insert("fail-count-db#monitor_10000".into(), "3".into());
    n1.transient
        .insert("fail-count-db#start_0".into(), "INFINITY".into());
    n1.permanent.insert("cookie".into(), "secret".into());
    let start = OpRecord {
        key: "db_start_0".into(),
        operation: "start".into(),
        call_id: 4,
        ..OpRecord::default()
    };
    let record = ResourceRecord {
        class: "ocf".into(),
        provider: Some("heartbeat".into()),
        agent: "Dummy".into(),
        operations: [("db_last_0".to_owned(), start)].into(),
    };
    n1.resources.insert("db".into(), record);
    // Through the encoding, which derives the configuration.
    Played {
        state: ClusterState::decode(&state.encode()).unwrap(),
        changes: Vec::new(),
    }
}

fn call(cluster: &mut Played, body: Body, line: &str) -> Said {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    body(&arguments, cluster).unwrap_or_else(|said| said)
}

#[track_caller]
fn check(body: Body, line: &str, out: &str, code: u8) {
    let said = call(&mut played(), body, line);
    assert_eq!(
        (said.out.as_str(), said.code),
        (out, code),
        "{line}: {}",
        said.err
    );
}

#[track_caller]
fn changes(body: Body, line: &str) -> Request {
    let mut cluster = played();
    let said = call(&mut cluster, body, line);
    assert_eq!(
        (said.out.as_str(), said.code),
        ("", 0),
        "{line}: {}",
        said.err
    );
    cluster.changes.pop().expect("a change")
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "literals")]
fn sets(body: Body, line: &str, expected: (&str, &str, Access, Lifetime)) {
    match changes(body, line) {
        Request::Attribute {
            node,
            name,
            access,
            lifetime,
            ..
        } => {
            assert_eq!(
                (node.0.as_str(), name.as_str(), access, lifetime),
                expected,
                "{line}"
            );
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn rabbitmq_reads_and_sets_its_attributes() {
    let tool = attribute::crm_attribute;
    check(
        tool,
        "-N n1 -l reboot --name rabbit-master --query",
        "scope=status  name=rabbit-master value=true\n",
        0,
    );
    check(tool, "-N n1 -l reboot --name nosuch --query", "", 105);
    check(
        tool,
        "-N n9 -l reboot --name rabbit-master --query",
        "",
        105,
    );
    let set = |text: &str| Access::Set(text.into());
    sets(
        tool,
        "-N n2 -l reboot --name rabbit-start-time --update 1700000000",
        (
            "n2",
            "rabbit-start-time",
            set("1700000000"),
            Lifetime::Reboot,
        ),
    );
    sets(
        tool,
        "-N n2 -l reboot --name rabbit-master --delete",
        ("n2", "rabbit-master", Access::Delete, Lifetime::Reboot),
    );
    sets(
        tool,
        "-n master-p_rabbitmq-server --lifetime forever -N n1 -l reboot -v 100",
        (
            "n1",
            "master-p_rabbitmq-server",
            set("100"),
            Lifetime::Reboot,
        ),
    );
}

#[test]
fn galera_reads_bare_values_and_sets_its_score() {
    let tool = attribute::crm_attribute;
    check(
        tool,
        "-N n1 -l reboot --name rabbit-master --quiet",
        "true\n",
        0,
    );
    check(
        tool,
        "-N n1 -l reboot --name galera-last-committed --quiet",
        "",
        105,
    );
    sets(
        tool,
        "-N n1 -l reboot --name galera-bootstrap -v true",
        (
            "n1",
            "galera-bootstrap",
            Access::Set("true".into()),
            Lifetime::Reboot,
        ),
    );
    sets(
        tool,
        "-N n1 -l reboot --name galera-bootstrap -D",
        ("n1", "galera-bootstrap", Access::Delete, Lifetime::Reboot),
    );
    let ask = |line: &str| {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        attribute::parse(&arguments, Some("galera:1")).unwrap()
    };
    let promoted = ask("-p -N n1 -v 100");
    assert_eq!(
        (promoted.name.as_str(), promoted.scope),
        ("master-galera", attribute::Scope::Status)
    );
    assert_eq!(ask("-p -D -N n1").command, attribute::Command::Delete);
    assert_eq!(ask("--promotion=db -N n1").name, "master-db");
}

#[test]
fn crm_master_scores_the_resource_that_it_is_called_for() {
    let ask = |line: &str| {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        attribute::parse_master(&arguments, Some("p_rabbit:2"))
    };
    let given = ask("-N n2 -l reboot -v 1000").unwrap();
    assert_eq!(
        (given.name.as_str(), given.scope),
        ("master-p_rabbit", attribute::Scope::Status)
    );
    assert_eq!(ask("-v 10").unwrap().scope, attribute::Scope::Nodes);
    assert_eq!(ask("-r other -Q -G").unwrap().name, "master-other");
    assert!(attribute::parse_master(&["-D".to_owned()], None).is_err());
}

#[test]
fn options_of_the_cluster() {
    let tool = attribute::crm_attribute;
    check(
        tool,
        "--type=crm_config --name=stonith-enabled --query --quiet --default=true",
        "false\n",
        0,
    );
    check(
        tool,
        "--type=crm_config --name=no-quorum-policy --query",
        "",
        105,
    );
    check(
        tool,
        "-n nosuch -d 7",
        "scope=crm_config  name=nosuch value=7\n",
        0,
    );
    match changes(
        tool,
        "--type crm_config --name db_REPL_INFO -s mysql_replication -v n1|mysql-bin.1|107",
    ) {
        Request::Apply { text, based_on, .. } => {
            assert!(
                text.ends_with("property db_REPL_INFO=\"n1|mysql-bin.1|107\"\n"),
                "{text}"
            );
            assert_eq!(based_on, Some(0));
        }
        other => panic!("{other:?}"),
    }
    check(tool, "--bogus", "", 64);
    check(tool, "-N n1 -l sometimes -n x", "", 64);
}

#[test]
fn attrd_updater_reads_any_node() {
    let tool = attrd_updater::run;
    check(
        tool,
        "-p --name rabbit-master --node n1 --query",
        "name=\"rabbit-master\" host=\"n1\" value=\"true\"\n",
        0,
    );
    check(
        tool,
        "-n rabbit-master -Q",
        "name=\"rabbit-master\" host=\"n1\" value=\"true\"\n",
        0,
    );
    check(tool, "-p --name rabbit-master --node n2 --query", "", 78);
    check(
        tool,
        "-n rabbit-master -Q -A",
        "name=\"rabbit-master\" host=\"n1\" value=\"true\"\n",
        0,
    );
    sets(
        tool,
        "-p --name x --node n2 --update 5",
        ("n2", "x", Access::Set("5".into()), Lifetime::Private),
    );
    sets(
        tool,
        "-D -n pingd -d 5",
        ("n1", "pingd", Access::Delete, Lifetime::Reboot),
    );
    sets(
        tool,
        "-n pingd -v 1000 -d 5s",
        ("n1", "pingd", Access::Set("1000".into()), Lifetime::Reboot),
    );
    sets(
        tool,
        "-n count -U count++",
        ("n1", "count", Access::Add(1), Lifetime::Reboot),
    );
    check(tool, "-Q", "", 64);
}

#[test]
fn crm_node_tells_who_is_there() {
    let tool = crm_node::run;
    check(tool, "-l -p", "n1 n2 \n", 0);
    check(tool, "-p -l", "1 n1 member\n2 n2 member\n3 n3 lost\n", 0);
    check(tool, "-n", "n1\n", 0);
    check(tool, "-q", "1\n", 0);
    check(tool, "-i", "1\n", 0);
    check(tool, "-N 2", "n2\n", 0);
    check(tool, "-N 9", "", 105);
    check(tool, "", "", 64);
}

#[test]
fn fail_counts() {
    check(
        crm_failcount::run,
        "-G -r db -N n1",
        "scope=status  name=fail-count-db value=INFINITY\n",
        0,
    );
    check(
        crm_failcount::run,
        "-G -r db -n monitor -I 10s -q",
        "3\n",
        0,
    );
    check(crm_failcount::run, "-G -r ip -q", "0\n", 0);
    assert!(matches!(
        changes(crm_failcount::run, "-D -r db -N n2"),
        Request::Cleanup { .. }
    ));
}

#[test]
fn standby() {
    let tool = attribute::crm_standby;
    check(
        tool,
        "-G -N n1",
        "scope=status  name=standby value=off\n",
        0,
    );
    assert!(matches!(
        changes(tool, "-v on -N n2"),
        Request::Standby { .. }
    ));
    assert!(matches!(changes(tool, "-D -N n2"), Request::Standby { .. }));
}

#[test]
fn crm_resource_locates_and_reads() {
    let tool = crm_resource::run;
    check(tool, "-W -r db", "resource db is running on: n1\n", 0);
    check(tool, "-r g --locate", "resource g is running on: n1\n", 0);
    check(tool, "-W -r ip", "", 0);
    check(tool, "-W -r nosuch", "", 105);
    check(tool, "-r db -g state", "/tmp/x\n", 0);
    check(tool, "-r db -m -g target-role", "Started\n", 0);
    check(tool, "-Q -r db -z -g cpu", "", 0);
    check(tool, "-l", "db\nip\n", 0);
    assert!(matches!(
        changes(tool, "-C -r db -N n1"),
        Request::Cleanup { .. }
    ));
    assert!(matches!(
        changes(tool, "--move -r g -N n2"),
        Request::Move { .. }
    ));
    insta::assert_snapshot!(call(&mut played(), tool, "-L").out, @r"
    Full List of Resources:
      * Resource Group: g:
        * db	(ocf:heartbeat:Dummy):	 Started n1
        * ip	(ocf:heartbeat:IPaddr2):	 Stopped
    ");
}

#[test]
fn cibadmin_shows_what_agents_look_for() {
    let tool = cibadmin::run;
    check(
        tool,
        "-Q --xpath //node_state[@crmd='online']//nvpair[@name='rabbit-master']",
        "<nvpair id=\"status-n1-rabbit-master\" name=\"rabbit-master\" value=\"true\"/>\n",
        0,
    );
    check(tool, "-Q --xpath //nosuch", "", 105);
    check(tool, "-D -X x", "", 1);
    let whole = call(&mut played(), tool, "-Q").out;
    let parsed = quorate_model::xml::read::read(&whole);
    assert!(whole.contains("<primitive id=\"db\""), "{whole}");
    assert!(parsed.is_ok(), "{whole}");
}
