//! `crm_resource`: where resources run, their parameters, cleaning up, moving.

use quorate_core::admin::Request;
use quorate_core::document;
use quorate_core::ids::NodeName;
use quorate_core::state::ClusterState;
use quorate_model::cib::{CloneChild, Configuration, Primitive, Resource, SetKind};

use super::cluster::{Cluster, FAILED, NO_SUCH, Said, change, usage};
use super::options::{self, Opt, flag, value};
use crate::client::who;
use crate::view::picture::{Picture, ResourceLine};

pub(super) const OPTIONS: &[Opt] = &[
    flag('L', &["list"]),
    flag('l', &["list-raw"]),
    flag('c', &["list-cts"]),
    flag('O', &["list-operations"]),
    flag('o', &["list-all-operations"]),
    flag('W', &["locate"]),
    flag('q', &["query-xml"]),
    flag('Q', &["quiet"]),
    flag('V', &["verbose"]),
    value('r', &["resource"]),
    value('N', &["node"]),
    value('H', &["host-uname"]),
    flag('m', &["meta"]),
    flag('z', &["utilization"]),
    value('g', &["get-parameter"]),
    value('p', &["set-parameter"]),
    value('d', &["delete-parameter"]),
    value('v', &["parameter-value"]),
    flag('C', &["cleanup"]),
    flag('R', &["refresh"]),
    flag('P', &["reprobe"]),
    value('n', &["operation"]),
    value('I', &["interval"]),
    flag('M', &["move"]),
    flag('B', &["ban"]),
    flag('U', &["clear", "un-move"]),
    value('u', &["lifetime"]),
    flag(' ', &["wait"]),
    value('T', &["timeout"]),
    flag('f', &["force"]),
    value(' ', &["output-as"]),
];

const COMMANDS: &[&str] = &[
    "list",
    "list-raw",
    "list-operations",
    "list-all-operations",
    "locate",
    "get-parameter",
    "set-parameter",
    "delete-parameter",
    "cleanup",
    "refresh",
    "reprobe",
    "move",
    "ban",
    "clear",
    "wait",
];

/// The tool.
pub fn run(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let given = options::parse(arguments, OPTIONS).map_err(usage)?;
    let command = given
        .last_of(COMMANDS)
        .ok_or_else(|| usage("no command that is known here"))?;
    let resource = given.get("resource").map(str::to_owned);
    let node = given
        .get("node")
        .or(given.get("host-uname"))
        .map(|name| NodeName(name.to_owned()));
    let needed = || {
        resource
            .clone()
            .ok_or_else(|| usage("-r RESOURCE is missing"))
    };
    let expires_ms = given.get("lifetime").and_then(lifetime_ms);
    match command {
        "cleanup" | "refresh" => change(
            cluster,
            &Request::Cleanup {
                resource,
                node,
                who: who(),
            },
        ),
        "reprobe" => change(cluster, &Request::Reprobe { node, who: who() }),
        "move" => change(
            cluster,
            &Request::Move {
                resource: needed()?,
                node,
                expires_ms,
                who: who(),
            },
        ),
        "ban" => change(
            cluster,
            &Request::Ban {
                resource: needed()?,
                node,
                expires_ms,
                who: who(),
            },
        ),
        "clear" => change(
            cluster,
            &Request::Clear {
                resource: needed()?,
                node,
                who: who(),
            },
        ),
        "wait" => wait(
            cluster,
            given.get("timeout").and_then(document::milliseconds),
        ),
        _ => {
            let (state, local) = cluster.state()?;
            match command {
                "list" => Ok(Said::out(list(&Picture::new(&state, &local)))),
                "list-raw" => Ok(Said::out(raw(&state.configuration))),
                "list-operations" | "list-all-operations" => Ok(Said::out(operations(
                    &state,
                    resource.as_deref(),
                    node.as_ref(),
                ))),
                "locate" => locate(
                    &state,
                    &Picture::new(&state, &local),
                    &needed()?,
                    given.has("quiet"),
                ),
                "get-parameter" => {
                    let kind = match (given.has("meta"), given.has("utilization")) {
                        (true, _) => SetKind::Meta,
                        (_, true) => SetKind::Utilization,
                        _ => SetKind::Instance,
                    };
                    parameter(
                        &state,
                        &needed()?,
                        given.get("get-parameter").unwrap_or_default(),
                        kind,
                    )
                }
                _ => Err(Said::failed(
                    FAILED,
                    "parameters stand in the configuration: quorate edit",
                )),
            }
        }
    }
}

/// `P1D`-like lifetimes are minutes and hours in practice.
fn lifetime_ms(text: &str) -> Option<u64> {
    let Some(rest) = text.strip_prefix("PT") else {
        return document::milliseconds(text);
    };
    document::milliseconds(&rest.replace('M', "min").to_lowercase())
}

fn wait(cluster: &mut dyn Cluster, timeout_ms: Option<u64>) -> Result<Said, Said> {
    /// `CRM_EX_TIMEOUT`.
    const TIMED_OUT: u8 = 124;
    let began = std::time::Instant::now();
    let limit = std::time::Duration::from_millis(timeout_ms.unwrap_or(3_600_000));
    loop {
        let (_, local) = cluster.state()?;
        if local.leader.is_some() && local.transition.is_none() {
            return Ok(Said::nothing());
        }
        if began.elapsed() > limit {
            return Err(Said::failed(TIMED_OUT, "the cluster is still at work"));
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
}

fn list(picture: &Picture) -> String {
    let mut text = String::from("Full List of Resources:\n");
    for line in &picture.resources {
        let indent = "  ".repeat(line.depth + 1);
        if line.kind != "primitive" {
            text.push_str(&format!("{indent}* {}: {}:\n", heading(line), line.id));
            continue;
        }
        let place = match line.active.first() {
            Some(active) => format!("{} {}", active.role, active.node),
            None if line.is_disabled => "Stopped (disabled)".to_owned(),
            None => "Stopped".to_owned(),
        };
        text.push_str(&format!(
            "{indent}* {}\t({}):\t {place}\n",
            line.id, line.spec
        ));
    }
    text
}

fn heading(line: &ResourceLine) -> &'static str {
    match line.kind {
        "group" => "Resource Group",
        "clone" => "Clone Set",
        _ => "Container bundle",
    }
}

/// All primitives and whether a group or clone is around them.
fn primitives(configuration: &Configuration) -> Vec<&Primitive> {
    configuration
        .resources
        .iter()
        .flat_map(|resource| match resource {
            Resource::Primitive(primitive) => vec![primitive],
            Resource::Group(group) => group.members.iter().collect(),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => vec![primitive],
                CloneChild::Group(group) => group.members.iter().collect(),
            },
            Resource::Bundle(bundle) => bundle.primitive.iter().collect(),
            Resource::Template(_) => Vec::new(),
        })
        .collect()
}

fn raw(configuration: &Configuration) -> String {
    primitives(configuration)
        .iter()
        .map(|primitive| format!("{}\n", primitive.id))
        .collect()
}

fn is_of(instance: &str, resource: &str) -> bool {
    let plain = instance.split_once(':').map_or(instance, |(name, _)| name);
    instance == resource || plain == resource
}

fn locate(
    state: &ClusterState,
    picture: &Picture,
    resource: &str,
    quiet: bool,
) -> Result<Said, Said> {
    let lines: Vec<&ResourceLine> = picture.resources.iter().collect();
    let at = lines.iter().position(|line| {
        is_of(resource, &line.id) || line.active.iter().any(|active| active.id == resource)
    });
    let Some(at) = at else {
        return Err(Said::failed(
            NO_SUCH,
            format!("there is no resource `{resource}`"),
        ));
    };
    // What stands inside a group or clone speaks for it.
    let inside = lines[at + 1..]
        .iter()
        .take_while(|line| line.depth > lines[at].depth);
    let mut text = String::new();
    let mut known = Vec::new();
    for active in std::iter::once(&lines[at])
        .chain(inside)
        .flat_map(|line| &line.active)
    {
        if known.contains(&&active.node) {
            continue;
        }
        known.push(&active.node);
        let promoted = if active.role == "Promoted" {
            " Promoted"
        } else {
            ""
        };
        text.push_str(&match quiet {
            true => format!("{}\n", active.node),
            false => format!(
                "resource {resource} is running on: {}{promoted}\n",
                active.node
            ),
        });
    }
    if text.is_empty() && !quiet {
        let _ = state;
        return Ok(Said {
            err: format!("resource {resource} is NOT running"),
            ..Said::default()
        });
    }
    Ok(Said::out(text))
}

fn parameter(
    state: &ClusterState,
    resource: &str,
    name: &str,
    kind: SetKind,
) -> Result<Said, Said> {
    let all = primitives(&state.configuration);
    let Some(primitive) = all.iter().find(|primitive| is_of(resource, &primitive.id)) else {
        return Err(Said::failed(
            NO_SUCH,
            format!("there is no primitive `{resource}`"),
        ));
    };
    let template = primitive.template.as_deref().and_then(|id| {
        state
            .configuration
            .resources
            .iter()
            .find_map(|resource| match resource {
                Resource::Template(template) if template.id == id => Some(template),
                _ => None,
            })
    });
    let sets = primitive
        .sets
        .iter()
        .chain(template.into_iter().flat_map(|template| &template.sets));
    let found = sets
        .filter(|set| set.kind == kind && set.rule.is_none())
        .find_map(|set| document::value(set, name));
    Ok(match found {
        Some(value) => Said::out(format!("{value}\n")),
        // The tool that it stands for ends with 0 here, and agents look at the output.
        None => Said {
            err: format!("`{name}` is not set for {resource}"),
            ..Said::default()
        },
    })
}

fn operations(state: &ClusterState, resource: Option<&str>, node: Option<&NodeName>) -> String {
    let mut text = String::new();
    for (name, status) in &state.nodes {
        if node.is_some_and(|node| !node.0.eq_ignore_ascii_case(&name.0)) {
            continue;
        }
        for (id, record) in &status.resources {
            if resource.is_some_and(|resource| !is_of(id, resource)) {
                continue;
            }
            let provider = record
                .provider
                .as_ref()
                .map(|provider| format!(":{provider}"))
                .unwrap_or_default();
            for op in record.operations.values() {
                let word = match op.status {
                    0 => "complete",
                    1 => "cancelled",
                    2 => "Timed Out",
                    -1 => "pending",
                    _ => "Error",
                };
                text.push_str(&format!(
                    "{id}\t({}{provider}:{}):\t {} (node={name}, call={}, rc={}, exec={}ms): {word}\n",
                    record.class, record.agent, op.key, op.call_id, op.rc, op.took_ms
                ));
            }
        }
    }
    text
}
