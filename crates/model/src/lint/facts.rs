//! What a check may know beyond the text: agents' metadata and the state of hosts.

use super::view::{View, views};
use crate::cib::Configuration;
use crate::metadata::AgentMetadata;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFact {
    /// It is not installed.
    Missing,
    /// It is there; its description could not be read.
    Unreadable(String),
    /// Its description.
    Known(Box<AgentMetadata>),
}

/// A user account's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A confinement of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppArmorProfile {
    /// The profile's file.
    pub file: String,
    /// The program it confines.
    pub program: String,
    /// Its text, local additions included.
    pub text: String,
}

/// What is known of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub node: String,
    /// Units that init starts at boot.
    pub enabled_units: BTreeSet<String>,
    /// Accounts by name.
    pub accounts: BTreeMap<String, Account>,
    /// Profiles that are enforced.
    pub apparmor: Vec<AppArmorProfile>,
    /// Programs that were looked for and are not there.
    pub missing_programs: BTreeSet<String>,
    /// Paths that were looked for and are not there.
    pub missing_paths: BTreeSet<String>,
    /// OCF agents that are installed (`heartbeat:mysql`), where it told all of them.
    pub ocf_agents: Option<BTreeSet<String>>,
}

/// Everything that a check was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Agents by `CLASS[:PROVIDER]:TYPE`.
    pub agents: BTreeMap<String, AgentFact>,
    /// Hosts.
    pub hosts: Vec<HostFacts>,
    /// How many voters the running cluster has, tiebreakers included.
    pub voters: Option<usize>,
}

/// What a host must be asked so that a configuration can be checked against it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Agents to describe.
    pub agents: BTreeSet<String>,
    /// Units that may be enabled.
    pub units: BTreeSet<String>,
    /// Accounts to look up.
    pub accounts: BTreeSet<String>,
    /// Programs to find.
    pub programs: BTreeSet<String>,
    /// Paths that should exist.
    pub paths: BTreeSet<String>,
}

/// What to find out about a host for this configuration.
pub fn questions(configuration: &Configuration) -> Questions {
    let mut questions = Questions::default();
    for view in views(configuration) {
        questions.agents.extend(view.agent());
        questions.units.extend(units(&view));
        questions.accounts.extend(account(&view).map(str::to_owned));
        questions
            .programs
            .extend(programs(&view).iter().map(|program| (*program).to_owned()));
        questions
            .paths
            .extend(paths(&view).into_iter().map(|(_, path)| path.to_owned()));
    }
    questions
}

/// Units that run what the resource runs.
pub(super) fn units(view: &View<'_>) -> Vec<String> {
    let agent = view.agent_type();
    let names: &[&str] = match (view.class(), agent) {
        ("systemd", unit) => {
            let unit = if unit.contains('.') {
                unit.to_owned()
            } else {
                format!("{unit}.service")
            };
            return vec![unit];
        }
        ("ocf", "mysql" | "mariadb" | "galera") => {
            &["mariadb.service", "mysql.service", "mysqld.service"]
        }
        ("ocf", "apache") => &["apache2.service", "httpd.service"],
        ("ocf", "nginx") => &["nginx.service"],
        ("ocf", "pgsql") => &["postgresql.service"],
        ("ocf", "rabbitmq-server-ha" | "rabbitmq-cluster") => &["rabbitmq-server.service"],
        ("ocf", "redis") => &["redis-server.service", "redis.service"],
        ("ocf", "nfsserver") => &["nfs-server.service", "nfs-kernel-server.service"],
        ("ocf", "named") => &["named.service", "bind9.service"],
        ("ocf", "postfix") => &["postfix.service"],
        ("ocf", "slapd") => &["slapd.service"],
        ("ocf", "tomcat") => &["tomcat9.service", "tomcat10.service"],
        ("ocf", "garbd") => &["garb.service", "garbd.service"],
        ("ocf", "dhcpd") => &["isc-dhcp-server.service", "dhcpd.service"],
        ("ocf", "varnish") => &["varnish.service"],
        ("ocf", "docker") => &[],
        ("lsb" | "service", script) => return vec![format!("{script}.service")],
        _ => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// It is one of the database agents of the mysql family.
pub(super) fn is_mysql(view: &View<'_>) -> bool {
    view.class() == "ocf" && matches!(view.agent_type(), "mysql" | "mariadb" | "galera")
}

/// The account whose numbers must agree between hosts.
pub(super) fn account<'a>(view: &View<'a>) -> Option<&'a str> {
    let given = || {
        view.parameter("user")
            .and_then(|pair| pair.value.as_deref())
    };
    match view.agent_type() {
        _ if is_mysql(view) => Some(given().unwrap_or("mysql")),
        "pgsql" => Some(
            view.parameter("pgdba")
                .and_then(|pair| pair.value.as_deref())
                .unwrap_or("postgres"),
        ),
        "rabbitmq-server-ha" | "rabbitmq-cluster" => Some("rabbitmq"),
        _ => None,
    }
}

/// Every program that some agent is known to call: what a host can tell before it knows the configuration.
pub const PROGRAMS: &[&str] = &[
    "modprobe",
    "mount",
    "umount",
    "fuser",
    "ip",
    "vgchange",
    "lvs",
    "ipmitool",
    "mysql",
    "rabbitmqctl",
];

/// Programs that the agent calls.
pub(super) fn programs(view: &View<'_>) -> &'static [&'static str] {
    match (view.class(), view.agent_type()) {
        ("ocf", "Filesystem") => &["modprobe", "mount", "umount", "fuser"],
        ("ocf", "IPaddr2") => &["ip"],
        ("ocf", "LVM" | "LVM-activate") => &["vgchange", "lvs"],
        ("stonith", "external/ipmi" | "fence_ipmilan") => &["ipmitool"],
        ("ocf", "mysql" | "mariadb" | "galera") => &["mysql"],
        ("ocf", "rabbitmq-server-ha" | "rabbitmq-cluster") => &["rabbitmqctl"],
        _ => &[],
    }
}

/// Parameters that hold a path which must exist on every host.
pub(super) fn paths<'a>(view: &View<'a>) -> Vec<(&'a crate::cib::Pair, &'a str)> {
    let names: &[&str] = match (view.class(), view.agent_type()) {
        _ if is_mysql(view) => &["binary", "config", "client_binary"],
        ("ocf", "apache") => &["configfile", "httpd"],
        ("ocf", "rabbitmq-server-ha") => &["policy_file"],
        ("ocf", "Filesystem") => &["device"],
        _ => &[],
    };
    let mut found = Vec::new();
    for name in names {
        if let Some(pair) = view.parameter(name)
            && let Some(path) = pair.value.as_deref().filter(|path| path.starts_with('/'))
        {
            found.push((pair, path));
        }
    }
    found
}
