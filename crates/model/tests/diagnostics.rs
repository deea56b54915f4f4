//! What users read when something is wrong.

use quorate_model::diag::{
    Code, Diagnostic, Example, Source, apply_fixes, render_all, unified_diff,
};
use quorate_model::lint::{
    Account, AgentFact, AppArmorProfile, Facts, HostFacts, check, check_xml,
};
use quorate_model::{metadata, services};

fn shown(text: &str, facts: &Facts) -> String {
    let (_, diagnostics) = check(text, facts);
    let source = Source {
        name: "test.crm",
        text,
    };
    let mut shown = render_all(&diagnostics, source, false);
    let fixed = apply_fixes(text, &diagnostics);
    if fixed != text {
        shown.push_str(&unified_diff(text, &fixed, "test.crm"));
    }
    shown
}

#[test]
fn errors_of_the_language() {
    let text = "\
primtive a Dummy
primitive 1a Dummy
primitive b
primitive c Dummy parms ip=1
primitive d ocf:: params x=1
primitive e Dummy params text=\"open
primitive e2 Dummy op
group g
group h b b
location l1 b inf node
location l2 b 12x: node
location l3 // inf: n
location l4 b rule #uname is n1
location l5 b rule a eq 1 and b eq 2 or c eq 3
colocation c1 inf: ( b ( c ) )
colocation c2 inf: ( b c ]
colocation c3 inf: b:Chief c
order o1 Mandatroy: b c
order o2 Mandatory: b
rsc_ticket t1 ticket b
role r write
role r2 read nonsense
alert al
tag t:
bundle bu docker image=x primitive b
xml <nonsense/>
xml <primitive id=\"x\"
monitor b
user u write x
property a=b c
";
    insta::assert_snapshot!(shown(text, &Facts::default()));
}

#[test]
fn references_to_nothing() {
    let text = "\
node n1
node n2
primitive db-a Dummy op monitor interval=10s
primitive db-b Dummy op monitor interval=10s operations $id-ref=nothing
primitive db-b Dummy
primitive db-c @nowhere op monitor interval=10s
group g db-a db-x
group g2 db-a
clone c g3
group g4 g
location l1 db-y 100: n1
location l2 db-a 100: n3
location l3 db-b rule $id-ref=l9
location l4 db-b rule #uname eq N2
colocation c1 inf: db-a gg
fencing_topology n9: st
tag t db-a zz
acl_target joe nobody
property stonith-enabled=false
rsc_defaults resource-stickiness=1
";
    insta::assert_snapshot!(shown(text, &Facts::default()));
}

#[test]
fn options_and_operations() {
    let text = "\
node n1
node n2
primitive a Dummy meta target-roll=Started is-managed=perhaps op monitor interval=0 op start timout=30 op stop timeout=long
primitive b Dummy op monitor interval=10s op monitor interval=10 role=Started
primitive f stonith:fence_x params pcmk_host_list=n1 password=secret op monitor interval=60s
clone c a meta clone-max=5 master-max=2
property stonith-enabeld=true no-quorum-policy=ignore stonith-enabled=no batch-limit=many
property detection-time=500ms fence-delay=3s
";
    insta::assert_snapshot!(shown(text, &Facts::default()));
}

/// An agent as its metadata describe it.
fn agent(text: &str) -> AgentFact {
    AgentFact::Known(Box::new(metadata::parse(text).expect("well formed")))
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.agents.insert(
        "ocf:heartbeat:mysql".to_owned(),
        agent(
            "<resource-agent name='mysql'><parameters>\
             <parameter name='binary'><content type='string'/></parameter>\
             <parameter name='config'><content type='string'/></parameter>\
             <parameter name='datadir' required='1'><shortdesc>Where the data are</shortdesc><content type='string'/></parameter>\
             <parameter name='max_slave_lag'><content type='integer'/></parameter>\
             <parameter name='socket' unique='1'><content type='string'/></parameter></parameters>\
             <actions><action name='start' timeout='120s'/><action name='stop' timeout='120s'/>\
             <action name='monitor' timeout='30s' interval='20s'/></actions></resource-agent>",
        ),
    );
    facts
        .agents
        .insert("ocf:heartbeat:Mising".to_owned(), AgentFact::Missing);
    facts.agents.insert(
        "systemd:odd".to_owned(),
        AgentFact::Unreadable("it printed nothing".to_owned()),
    );
    let account = |uid| {
        [("mysql".to_owned(), Account { uid, gid: uid })]
            .into_iter()
            .collect()
    };
    facts.hosts.push(HostFacts {
        node: "n1".to_owned(),
        enabled_units: ["mariadb.service".to_owned()].into_iter().collect(),
        accounts: account(107),
        apparmor: vec![AppArmorProfile {
            file: "/etc/apparmor.d/usr.sbin.mysqld".to_owned(),
            program: "/usr/sbin/mysqld".to_owned(),
            text: "/var/lib/mysql/** rwk,\n".to_owned(),
        }],
        missing_programs: ["modprobe".to_owned()].into_iter().collect(),
        missing_paths: ["/usr/sbin/mysqld".to_owned()].into_iter().collect(),
        ocf_agents: None,
    });
    facts.hosts.push(HostFacts {
        node: "n2".to_owned(),
        accounts: account(112),
        ..HostFacts::default()
    });
    facts
}

#[test]
fn agents_and_hosts() {
    let text = "\
node n1
node n2
primitive fs ocf:heartbeat:Filesystem \\
    params device=/dev/sdb1 directory=/data fstype=ext4 \\
    op monitor interval=20s
primitive db ocf:heartbeat:mysql \\
    params binary=/usr/sbin/mysqld datadir=/data/mysql sokcet=/run/s max_slave_lag=long \\
    op monitor interval=20s timeout=5s \\
    op start timeout=30
primitive db2 ocf:heartbeat:mysql params socket=/run/x op monitor interval=20s timeout=30s \\
    op stop timeout=120 op start timeout=120
primitive db3 ocf:heartbeat:mysql params datadir=/d socket=/run/x op monitor interval=20s timeout=30s op reload timeout=5
primitive gone ocf:heartbeat:Mising op monitor interval=10s
primitive odd systemd:odd op monitor interval=10s
property stonith-enabled=false
rsc_defaults resource-stickiness=100
";
    insta::assert_snapshot!(shown(text, &facts()));
}

#[test]
fn what_is_known_to_hurt() {
    let text = "\
node n1
node n2
primitive ping ocf:pacemaker:ping params host_list=10.0.0.1 op monitor interval=10s timeout=60s
primitive a Dummy op monitor interval=10s timeout=20s
primitive b Dummy op monitor interval=10s timeout=20s on-fail=ignore
primitive c Dummy op monitor interval=10s timeout=20s meta is-managed=false
primitive d Dummy op monitor interval=30s timeout=20s meta migration-threshold=10 failure-timeout=30s
primitive e Dummy op monitor interval=10s timeout=20s op stop interval=0 timeout=400s params fake state=x
primitive vip IPaddr2 params ip=10.0.0.7 nic=bond1:200 op monitor interval=10s timeout=20s
primitive web Dummy params fake=\"--bind-address=10.0.0.7\" op monitor interval=10s timeout=20s
group g web vip
primitive k1 Dummy op monitor interval=10s timeout=20s
primitive k2 Dummy op monitor interval=10s timeout=20s
clone ck1 k1
clone ck2 k2
primitive f1 stonith:external/ipmi params hostname=N1 ipaddr=10.0.0.1 userid=x passwd=/etc/p op monitor interval=60s
primitive f2 stonith:fence_ipmilan params ip=10.0.0.2 pcmk_host_list=\"n2 n3\" method=cycle op monitor interval=60s
location cli-ban-a-on-n1 a -inf: n1
location nowhere1 c -inf: n1
location nowhere2 c -inf: n2
order o1 a b
order o2 b d
order o3 d a
order o4 ck1 ck2
colocation j1 inf: a b
colocation j2 -inf: b a
colocation j3 -inf: web vip
colocation j4 inf: e g
property stonith-enabled=true maintenance-mode=true no-quorum-policy=stop
rsc_defaults resource-stickiness=1
";
    insta::assert_snapshot!(shown(text, &Facts::default()));
}

/// What a rule's own example leads to.
fn found_in(example: Example) -> Vec<Diagnostic> {
    match example {
        Example::Statements(text) => check(text, &Facts::default()).1,
        Example::Xml(text) => {
            check_xml(text, &Facts::default())
                .expect("an information base")
                .1
        }
        Example::OnHost(_, text) => check(text, &facts()).1,
        Example::File(name, text) => {
            let kind = services::Kind::of(name).expect("a known kind of file");
            let file = services::File { name, text, kind };
            services::check(file, &services::Surroundings::default())
        }
    }
}

#[test]
fn every_rule_finds_something_in_its_example() {
    let mut silent = Vec::new();
    for code in Code::ALL {
        let Some(example) = code.example() else {
            continue;
        };
        let found = found_in(example);
        let codes: Vec<&str> = found.iter().map(|d| d.code.as_str()).collect();
        if !codes.contains(&code.as_str()) {
            silent.push(format!("{}: its example has {codes:?}", code.as_str()));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    // Rules of the language and of the configuration all have one; a text that is too large would be.
    let of_configuration = Code::ALL
        .iter()
        .take_while(|code| **code != Code::HaproxyAddress);
    let without: Vec<&str> = of_configuration
        .filter(|code| code.example().is_none() && **code != Code::TooLarge)
        .map(|code| code.as_str())
        .collect();
    assert!(without.is_empty(), "no example: {without:?}");
}

#[test]
fn a_text_that_is_too_large_is_one_finding() {
    let text = format!("primitive a Dummy params x={}\n", "y".repeat(33 << 20));
    let (_, found) = check(&text, &Facts::default());
    assert_eq!(found[0].code, Code::TooLarge);
}

#[test]
fn every_code_explains_itself() {
    for code in Code::ALL {
        assert!(
            code.explanation().len() > 20,
            "{} has no explanation",
            code.as_str()
        );
        assert_eq!(Code::from_name(code.as_str()), Some(*code));
    }
}
