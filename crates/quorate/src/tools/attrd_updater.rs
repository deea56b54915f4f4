//! `attrd_updater`: attributes of nodes that live until the node leaves.

use quorate_core::admin::{Access, Lifetime, Request};
use quorate_core::ids::NodeName;
use quorate_core::state::ClusterState;

use super::attribute::access;
use super::cluster::{Cluster, Said, change, usage};
use super::options::{self, Opt, flag, value};
use crate::client::who;

/// `CRM_EX_CONFIG`: what the tool ends with where there is no such attribute.
const NOT_SET: u8 = 78;

pub(super) const OPTIONS: &[Opt] = &[
    value('n', &["name"]),
    value('U', &["update"]),
    value('v', &["update-too"]),
    value('B', &["update-both"]),
    flag('Y', &["update-delay"]),
    flag('Q', &["query"]),
    flag('D', &["delete"]),
    flag('R', &["refresh"]),
    value('d', &["delay"]),
    value('s', &["set"]),
    value('S', &["section"]),
    value('N', &["node"]),
    flag('A', &["all"]),
    value('l', &["lifetime"]),
    flag('p', &["private"]),
    flag('q', &["quiet"]),
    flag('V', &["verbose"]),
    value(' ', &["output-as"]),
];

/// The attribute on one node or on all that have it.
fn query(state: &ClusterState, name: &str, node: Option<&str>) -> String {
    state
        .nodes
        .iter()
        .filter(|(known, _)| node.is_none_or(|node| known.0.eq_ignore_ascii_case(node)))
        .filter_map(|(host, status)| {
            let value = status
                .private
                .get(name)
                .or_else(|| status.transient.get(name));
            Some((host, value?))
        })
        .map(|(host, value)| format!("name=\"{name}\" host=\"{host}\" value=\"{value}\"\n"))
        .collect()
}

/// The tool.
pub fn run(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let given = options::parse(arguments, OPTIONS).map_err(usage)?;
    let command = given.last_of(&[
        "query",
        "delete",
        "refresh",
        "update",
        "update-too",
        "update-both",
        "update-delay",
    ]);
    if matches!(command, Some("refresh" | "update-delay")) {
        // Nothing is held back here, so nothing is sent late.
        return Ok(Said::nothing());
    }
    let name = given
        .get("name")
        .ok_or_else(|| usage("-n NAME is missing"))?
        .to_owned();
    let Some(command) = command else {
        return Err(usage("one of -U VALUE, -B VALUE, -Q, -D is missing"));
    };
    let (node, state) = match given.get("node") {
        Some(node) if command != "query" => (node.to_owned(), None),
        named => {
            let (state, local) = cluster.state()?;
            (named.map_or(local.name, str::to_owned), Some(state))
        }
    };
    if let (true, Some(state)) = (command == "query", state) {
        let node = (!given.has("all")).then_some(node.as_str());
        let lines = query(&state, &name, node);
        return match lines.is_empty() {
            true => Err(Said::failed(NOT_SET, format!("{name} is not set"))),
            false => Ok(Said::out(lines)),
        };
    }
    let access = match command {
        "delete" => Access::Delete,
        _ => access(&name, given.get(command).unwrap_or_default()),
    };
    let request = Request::Attribute {
        node: NodeName(node),
        name,
        access,
        lifetime: match given.has("private") {
            true => Lifetime::Private,
            false => Lifetime::Reboot,
        },
        who: who(),
    };
    change(cluster, &request)
}
