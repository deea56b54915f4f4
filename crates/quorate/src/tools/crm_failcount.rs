//! `crm_failcount`: how often a resource failed on a node.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use super::cluster::{Cluster, Said, change, usage};
use super::options::{self, Opt, flag, value};
use crate::client::who;

pub(super) const OPTIONS: &[Opt] = &[
    flag('G', &["query", "get-value"]),
    flag('D', &["delete", "delete-attr"]),
    value('r', &["resource", "resource-id"]),
    value('n', &["operation"]),
    value('I', &["interval"]),
    value('N', &["node"]),
    value('U', &["uname"]),
    value('v', &["update", "attr-value"]),
    value('l', &["lifetime"]),
    value('i', &["id", "attr-id"]),
    flag('q', &["quiet"]),
    flag('Q', &["quiet-too"]),
    flag('V', &["verbose"]),
];

/// Fail counts are numbers up to a million, which is `INFINITY`.
fn sum<'a>(counts: impl Iterator<Item = &'a String>) -> String {
    let mut sum = 0_u64;
    for count in counts {
        sum += match count.as_str() {
            "INFINITY" | "+INFINITY" => 1_000_000,
            number => number.parse().unwrap_or(0),
        };
    }
    if sum >= 1_000_000 {
        "INFINITY".to_owned()
    } else {
        sum.to_string()
    }
}

/// The tool.
pub fn run(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let given = options::parse(arguments, OPTIONS).map_err(usage)?;
    let resource = given
        .get("resource")
        .ok_or_else(|| usage("-r RESOURCE is missing"))?
        .to_owned();
    let (state, local) = cluster.state()?;
    let node = given
        .get("node")
        .or(given.get("uname"))
        .map_or(local.name, str::to_owned);
    match given.last_of(&["query", "delete", "update"]) {
        Some("delete") => {
            let request = Request::Cleanup {
                resource: Some(resource),
                node: Some(NodeName(node)),
                who: who(),
            };
            return change(cluster, &request);
        }
        Some("update") if given.get("update") != Some("0") => {
            return Err(usage("a fail count can only be deleted (-D)"));
        }
        Some("update") => {
            let request = Request::Cleanup {
                resource: Some(resource),
                node: Some(NodeName(node)),
                who: who(),
            };
            return change(cluster, &request);
        }
        _ => {}
    }
    let base = format!("fail-count-{resource}");
    let name = match given.get("operation") {
        Some(operation) => {
            let interval = given
                .get("interval")
                .and_then(quorate_core::document::milliseconds);
            format!("{base}#{operation}_{}", interval.unwrap_or(0))
        }
        None => base.clone(),
    };
    let status = state
        .nodes
        .iter()
        .find(|(known, _)| known.0.eq_ignore_ascii_case(&node));
    let counts = status.into_iter().flat_map(|(_, status)| &status.transient);
    let is_meant =
        |known: &str| known == name || (name == base && known.starts_with(&format!("{base}#")));
    let count = sum(counts
        .filter(|(known, _)| is_meant(known))
        .map(|(_, count)| count));
    Ok(Said::out(
        match given.has("quiet") || given.has("quiet-too") {
            true => format!("{count}\n"),
            false => format!("scope=status  name={name} value={count}\n"),
        },
    ))
}
