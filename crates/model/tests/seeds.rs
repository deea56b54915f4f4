//! The two documents that the project began with, read as they were published.
//!
//! They are not part of the source tree: the tests look for them beside the workspace and say so when absent.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads files that are not part of the source tree"
)]

use quorate_model::cib::{Constraint, Resource};
use quorate_model::crm::parse;
use quorate_model::diag::{
    Code, Diagnostic, Severity, Source, apply_fixes, render_all, unified_diff,
};
use quorate_model::lint::{AgentFact, Facts, check};

/// The text of the document whose first lines contain `mark`.
fn seed(mark: &str) -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/seeds");
    let nearer = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/seeds");
    for folder in [folder, nearer] {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if let Ok(text) = std::fs::read_to_string(entry.path())
                && text.contains(mark)
            {
                return Some(text);
            }
        }
    }
    println!("SKIPPED: the seed documents are not beside the workspace");
    None
}

/// The appendix of the 2011 document.
fn appendix() -> Option<String> {
    let text = seed("Appendix - Sample Pacemaker Configuration File")?;
    let start = text.find("\nnode SERVER1\n")? + 1;
    Some(text[start..].to_owned())
}

/// The crm statements of the 2021 document.
fn galera_statements() -> Option<String> {
    let text = seed("primitive galera galera")?;
    let mut result = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("primitive ") || line.starts_with("ms ") {
            inside = true;
        }
        if inside {
            result.push_str(line);
            result.push('\n');
            inside = line.ends_with('\\');
        }
    }
    Some(result)
}

fn codes(diagnostics: &[Diagnostic], severity: Severity) -> Vec<Code> {
    diagnostics
        .iter()
        .filter(|d| d.severity == severity)
        .map(|d| d.code)
        .collect()
}

#[test]
fn the_appendix_is_read_whole() {
    let Some(text) = appendix() else { return };
    let (document, diagnostics) = parse(&text);
    assert_eq!(document.print(), text);
    assert_eq!(document.statements().len(), 11);
    assert_eq!(
        codes(&diagnostics, Severity::Error),
        [Code::UndefinedMember],
        "{diagnostics:#?}"
    );
    let configuration = document.configuration();
    assert_eq!(configuration.nodes.len(), 2);
    assert_eq!(configuration.constraints.len(), 2);
    let Some(Resource::Group(group)) = configuration
        .resources
        .iter()
        .find(|r| matches!(r, Resource::Group(_)))
    else {
        panic!("no group");
    };
    let members: Vec<&str> = group
        .members
        .iter()
        .map(|member| member.id.as_str())
        .collect();
    assert_eq!(members, ["db-lvm-p", "db-fs-p", "nova-ip-p", "db-mysql-p"]);
    let filesystem = &group.members[1];
    assert_eq!(filesystem.sets[0].id, "db-fs-p-instance_attributes");
    assert_eq!(filesystem.operations.list[0].id, "db-fs-p-start-0");
    let monitor = &filesystem.operations.list[1];
    assert_eq!(monitor.interval.as_deref(), Some("60"));
    assert_eq!(monitor.sets[0].pairs[0].name, "OCF_CHECK_LEVEL");
    assert_eq!(monitor.sets[0].pairs[0].value.as_deref(), Some("20"));
    let mysql = &group.members[3];
    let extra = mysql.sets[0]
        .pairs
        .iter()
        .find(|pair| pair.name == "additional_parameters");
    assert_eq!(
        extra.and_then(|pair| pair.value.as_deref()),
        Some("--bind-address=MYSQL_VIP ")
    );
    let Constraint::Location(location) = &configuration.constraints[0] else {
        panic!("no location")
    };
    assert_eq!(location.score.as_deref(), Some("-INFINITY"));
    assert_eq!(location.node.as_deref(), Some("server1"));
}

#[test]
fn the_galera_statements_are_read_whole() {
    let Some(text) = galera_statements() else {
        return;
    };
    let (document, diagnostics) = parse(&text);
    assert_eq!(codes(&diagnostics, Severity::Error), [], "{diagnostics:#?}");
    let names: Vec<&str> = document
        .statements()
        .iter()
        .map(|statement| statement.id.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "galera",
            "ms-galera",
            "galera-python-clustercheck",
            "rabbitmq",
            "rabbitmq-port-blocker",
            "ms-rabbitmq"
        ]
    );
    let Some(Resource::Clone(clone)) = document.configuration().resources.first() else {
        panic!("no clone")
    };
    assert!(clone.is_master_element);
    let quorate_model::cib::CloneChild::Primitive(galera) = &clone.child else {
        panic!("no primitive")
    };
    assert_eq!(galera.provider.as_deref(), Some("heartbeat"));
    assert_eq!(galera.operations.list[2].id, "galera-monitor-20s");
    assert!(
        galera.operations.list[2]
            .extra
            .contains(&("role".to_owned(), "Master".to_owned()))
    );
}

/// Findings of `check` on the appendix, each with the text its caret marks.
#[test]
fn the_defects_of_the_appendix_are_found() {
    let Some(text) = appendix() else { return };
    let (_, diagnostics) = check(&text, &Facts::default());
    let marked = |code: Code| -> Vec<&str> {
        let of_code = diagnostics.iter().filter(|d| d.code == code);
        of_code
            .map(|d| {
                d.span
                    .and_then(|span| text.get(span.start..span.end))
                    .unwrap_or("")
            })
            .collect()
    };
    if std::env::var_os("SHOW").is_some() {
        println!(
            "{}",
            render_all(
                &diagnostics,
                Source {
                    name: "wiki.crm",
                    text: &text
                },
                false
            )
        );
        println!(
            "{}",
            unified_diff(&text, &apply_fixes(&text, &diagnostics), "wiki.crm")
        );
    }
    assert_eq!(marked(Code::UndefinedMember), ["glance-ip-p"]);
    // The devices' hostname and the locations' node, each of both.
    assert_eq!(
        marked(Code::NodeCase),
        ["\"server1\"", "\"server2\"", "server1", "server2"]
    );
    assert_eq!(marked(Code::IpmiInClear).len(), 2);
    assert_eq!(marked(Code::LongStop), ["lvm-fs-ip-mysql-g"]);
    assert_eq!(marked(Code::StopFencesNode).len(), 1);
    assert_eq!(marked(Code::AddressWithoutLink), ["nova-ip-p"]);
    assert_eq!(
        marked(Code::Placeholder),
        [
            "SERVER1",
            "SERVER2",
            "MYSQL_VIP",
            "SERVER1_IPMI_IP",
            "ADD_PASSWORD_HERE",
            "SERVER2_IPMI_IP",
            "ADD_PASSWORD_HERE",
            "MYSQL_VIP",
            "MYSQL_INTERFACE"
        ]
    );
    assert_eq!(marked(Code::PasswordInClear).len(), 2);
    assert_eq!(marked(Code::NoMonitor), ["db-lvm-p"]);
    assert_eq!(marked(Code::FencingUndecided).len(), 1);
    assert_eq!(marked(Code::QuorumUndecided).len(), 1);
    assert_eq!(marked(Code::NoStickiness).len(), 1);
    assert_eq!(marked(Code::SingleFencePath).len(), 1);
    assert_eq!(marked(Code::ObsoleteAgent), ["ocf:heartbeat:LVM"]);
}

/// What `--fix` proposes for the appendix removes every finding that needs no knowledge of the site.
#[test]
fn the_corrected_appendix_has_site_values_left_to_fill_in() {
    let Some(text) = appendix() else { return };
    let (_, diagnostics) = check(&text, &Facts::default());
    let fixed = apply_fixes(&text, &diagnostics);
    let (_, rest) = check(&fixed, &Facts::default());
    let errors: Vec<Code> = codes(&rest, Severity::Error);
    assert!(
        errors.iter().all(|code| *code == Code::Placeholder),
        "{errors:?}"
    );
    let left: Vec<Code> = codes(&rest, Severity::Warning);
    assert!(
        !left.contains(&Code::NodeCase) && !left.contains(&Code::NoMonitor),
        "{left:?}"
    );
}

#[test]
fn the_defects_of_the_galera_statements_are_found() {
    let Some(text) = galera_statements() else {
        return;
    };
    let mut facts = Facts::default();
    facts.agents.insert(
        "ocf:rabbitmq:rabbitmq-server-ha".to_owned(),
        AgentFact::Missing,
    );
    let (_, diagnostics) = check(&text, &facts);
    if std::env::var_os("SHOW").is_some() {
        println!(
            "{}",
            render_all(
                &diagnostics,
                Source {
                    name: "galera.crm",
                    text: &text
                },
                false
            )
        );
    }
    let has = |code: Code| diagnostics.iter().any(|d| d.code == code);
    assert!(
        has(Code::MaskedValue)
            && has(Code::CloneBeyondNodes)
            && has(Code::MissingFile)
            && has(Code::MissingAgent)
    );
    let about = |code: Code| -> Vec<&str> {
        let of_code = diagnostics.iter().filter(|d| d.code == code);
        of_code.filter_map(|d| d.subject.as_deref()).collect()
    };
    // The health check answers on one node only, and a load balancer asks it on both.
    assert_eq!(about(Code::ShouldBeClone), ["galera-python-clustercheck"]);
    // Ten failures in thirty seconds, with a look every thirty seconds.
    assert_eq!(about(Code::ThresholdOutOfReach), ["rabbitmq"]);
    // The address list has short names, the map has long ones.
    assert_eq!(about(Code::BadParameter), ["galera"]);
    assert_eq!(about(Code::EmptyDatabase), ["galera"]);
    assert_eq!(about(Code::PasswordInClear), ["galera", "rabbitmq"]);
    assert_eq!(about(Code::CloneBeyondNodes), ["ms-galera", "ms-rabbitmq"]);
    assert_eq!(about(Code::ObsoleteAgent), ["rabbitmq-port-blocker"]);
    assert_eq!(about(Code::Fragment).len(), 0);
    assert!(has(Code::Fragment) && has(Code::QuorumUndecided));
}
