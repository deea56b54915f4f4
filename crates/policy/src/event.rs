//! What if: events in an operator's words, applied to configuration and status on paper.

use crate::facts;
use crate::simulate::execute::state_of;
use crate::source::{Source, constraint_id, without};
use crate::world::{Role, World};
use quorate_model::cib::{AttributeSet, Cib, Pair, SetKind};
use quorate_model::diag::nearest;
use quorate_model::status::{OperationHistory, ResourceHistory};

/// Something that may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A node changes.
    Node(String, NodeChange),
    /// An operation of a resource fails, on a node or wherever it runs.
    Fails {
        /// The resource (primitive).
        resource: String,
        /// `monitor`, `start`, `stop`, `promote`, `demote`.
        operation: String,
        /// Where; else wherever it is active.
        node: Option<String>,
    },
    /// Quorum is there or not.
    Quorum(bool),
    /// A ticket is granted or revoked.
    Ticket(String, bool),
    /// A node attribute is set.
    Attribute {
        /// The node.
        node: String,
        /// The attribute.
        name: String,
        /// Its value.
        value: String,
    },
    /// A constraint is removed.
    Without(String),
    /// A cluster option is set.
    Property(String, String),
}

/// How a node changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChange {
    /// It is lost without a word.
    Down,
    /// It is back, freshly booted.
    Up,
    /// It is put in standby, or not.
    Standby(bool),
    /// It is put in maintenance, or not.
    Maintenance(bool),
}

/// Why an event makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct EventError {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub help: String,
}

/// Forms of events, for help texts.
pub const FORMS: &str = "`node N down|up|standby|online|maintenance|ready`, `[monitor|start|stop|promote|demote of] R fails [on N]`, \
     `quorum lost|back`, `ticket T granted|revoked`, `attribute A=V on N`, `without CONSTRAINT`, `property A=V`";

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// When it has none of the known forms.
    pub fn parse(text: &str) -> Result<Event, EventError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let owned = |s: &str| s.to_owned();
        let failing = |operation: &str, resource: &str, node: Option<&str>| Event::Fails {
            resource: owned(resource),
            operation: owned(operation),
            node: node.map(owned),
        };
        Ok(match words.as_slice() {
            ["node", node, change] | ["node", node, "is" | "goes" | "in" | "comes", change] => {
                let change = match *change {
                    "down" | "lost" | "dead" | "fails" | "dies" => NodeChange::Down,
                    "up" | "back" | "joins" => NodeChange::Up,
                    "standby" => NodeChange::Standby(true),
                    "online" => NodeChange::Standby(false),
                    "maintenance" => NodeChange::Maintenance(true),
                    "ready" => NodeChange::Maintenance(false),
                    _ => return Err(unknown(text)),
                };
                Event::Node(owned(node), change)
            }
            [
                operation @ ("monitor" | "start" | "stop" | "promote" | "demote"),
                "of",
                r,
                "fails",
            ] => failing(operation, r, None),
            [
                operation @ ("monitor" | "start" | "stop" | "promote" | "demote"),
                "of",
                r,
                "fails",
                "on",
                n,
            ] => failing(operation, r, Some(n)),
            [r, "fails"] => failing("monitor", r, None),
            [r, "fails", "on", n] => failing("monitor", r, Some(n)),
            ["quorum", "lost"] | ["no", "quorum"] => Event::Quorum(false),
            ["quorum", "back"] | ["quorum"] => Event::Quorum(true),
            ["ticket", t, "granted"] => Event::Ticket(owned(t), true),
            ["ticket", t, "revoked" | "lost"] => Event::Ticket(owned(t), false),
            ["attribute", pair, "on", node] => {
                let (name, value) = pair.split_once('=').ok_or_else(|| unknown(text))?;
                Event::Attribute {
                    node: owned(node),
                    name: owned(name),
                    value: owned(value),
                }
            }
            ["without", id] => Event::Without(owned(id)),
            ["property", pair] => {
                let (name, value) = pair.split_once('=').ok_or_else(|| unknown(text))?;
                Event::Property(owned(name), owned(value))
            }
            _ => return Err(unknown(text)),
        })
    }
}

fn unknown(text: &str) -> EventError {
    EventError {
        what: format!("`{text}` is no event"),
        help: format!("known are {FORMS}"),
    }
}

/// Applies an event; what follows from it for quorum is [`judge_quorum`]'s to say.
///
/// # Errors
/// When the event names something that is not there, or something that is impossible now.
pub fn apply(cib: &mut Cib, event: &Event, now: i64) -> Result<(), EventError> {
    match event {
        Event::Node(node, change) => change_node(cib, node, *change),
        Event::Fails {
            resource,
            operation,
            node,
        } => fail(cib, resource, operation, node.as_deref(), now),
        Event::Quorum(has) => {
            set_root(cib, "have-quorum", if *has { "1" } else { "0" });
            Ok(())
        }
        Event::Ticket(id, granted) => {
            cib.status.tickets.retain(|t| t.id != *id);
            cib.status.tickets.push(quorate_model::status::TicketState {
                id: id.clone(),
                granted: Some(granted.to_string()),
                last_granted: granted.then(|| now.to_string()),
                ..Default::default()
            });
            Ok(())
        }
        Event::Attribute { node, name, value } => {
            let (id, name_of_node) = known_node(cib, node)?;
            set_transient(cib, &id, &name_of_node, name, value);
            Ok(())
        }
        Event::Without(id) => {
            let changed =
                without(&cib.configuration, &Source::Constraint(id.clone())).ok_or_else(|| {
                    let ids: Vec<&str> = cib
                        .configuration
                        .constraints
                        .iter()
                        .map(constraint_id)
                        .collect();
                    missing("constraint", id, ids.into_iter())
                })?;
            cib.configuration = changed;
            Ok(())
        }
        Event::Property(name, value) => {
            set_property(cib, name, value);
            Ok(())
        }
    }
}

pub(crate) fn missing<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> EventError {
    let list: Vec<&str> = known.clone().take(20).collect();
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", list.join(", ")),
    };
    EventError {
        what: format!("there is no {what} `{name}`"),
        help,
    }
}

/// Id and name of a node as the configuration has them.
pub(crate) fn known_node(cib: &Cib, name: &str) -> Result<(String, String), EventError> {
    cib.configuration
        .nodes
        .iter()
        .find(|n| n.uname.eq_ignore_ascii_case(name))
        .map(|n| (n.id.clone(), n.uname.clone()))
        .ok_or_else(|| {
            missing(
                "node",
                name,
                cib.configuration.nodes.iter().map(|n| n.uname.as_str()),
            )
        })
}

fn change_node(cib: &mut Cib, node: &str, change: NodeChange) -> Result<(), EventError> {
    let (id, name) = known_node(cib, node)?;
    match change {
        NodeChange::Down => {
            let state = state_of(cib, &id, &name);
            state.in_cluster = Some("false".to_owned());
            state.crmd = Some("offline".to_owned());
            state.join = Some("down".to_owned());
            state.expected = Some("member".to_owned());
        }
        NodeChange::Up => {
            let state = state_of(cib, &id, &name);
            state.in_cluster = Some("true".to_owned());
            state.crmd = Some("online".to_owned());
            state.join = Some("member".to_owned());
            state.expected = Some("member".to_owned());
            state.transient.clear();
            state.resources.clear();
            state.has_history = true;
        }
        NodeChange::Standby(on) => set_node_attribute(cib, &name, "standby", on),
        NodeChange::Maintenance(on) => set_node_attribute(cib, &name, "maintenance", on),
    }
    Ok(())
}

fn set_node_attribute(cib: &mut Cib, name: &str, attribute: &str, on: bool) {
    for node in cib
        .configuration
        .nodes
        .iter_mut()
        .filter(|n| n.uname == name)
    {
        for set in &mut node.sets {
            set.pairs.retain(|pair| pair.name != attribute);
        }
        let set_id = format!("what-if-{name}");
        node.sets.push(one_pair(
            SetKind::Instance,
            &set_id,
            attribute,
            if on { "true" } else { "false" },
        ));
    }
    for state in cib.status.nodes.iter_mut().filter(|s| s.uname == name) {
        for set in &mut state.transient {
            set.pairs.retain(|pair| pair.name != attribute);
        }
    }
}

fn one_pair(kind: SetKind, id: &str, name: &str, value: &str) -> AttributeSet {
    AttributeSet {
        kind,
        id: id.to_owned(),
        id_ref: None,
        score: None,
        rule: None,
        pairs: vec![Pair {
            id: Some(format!("{id}-{name}")),
            id_ref: None,
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }],
        extra: Vec::new(),
    }
}

pub(crate) fn set_transient(cib: &mut Cib, id: &str, node: &str, name: &str, value: &str) {
    let state = state_of(cib, id, node);
    for set in &mut state.transient {
        set.pairs.retain(|pair| pair.name != name);
    }
    state.transient.push(one_pair(
        SetKind::Instance,
        &format!("what-if-{id}"),
        name,
        value,
    ));
}

pub(crate) fn set_property(cib: &mut Cib, name: &str, value: &str) {
    for set in &mut cib.configuration.options {
        set.pairs.retain(|pair| pair.name != name);
    }
    cib.configuration
        .options
        .push(one_pair(SetKind::Cluster, "what-if", name, value));
}

pub(crate) fn set_root(cib: &mut Cib, name: &str, value: &str) {
    cib.attributes.retain(|(n, _)| n != name);
    cib.attributes.push((name.to_owned(), value.to_owned()));
}

/// Where a failure is written.
struct Site {
    node_id: String,
    node: String,
    history: String,
    base: String,
    count: i32,
    interval_ms: u64,
    failed_role_rc: i32,
    class: (String, Option<String>, String),
}

fn fail(
    cib: &mut Cib,
    resource: &str,
    operation: &str,
    node: Option<&str>,
    now: i64,
) -> Result<(), EventError> {
    let node = node
        .map(|n| known_node(cib, n))
        .transpose()?
        .map(|(_, name)| name);
    let world = facts::gather(cib, now);
    let fatal = operation == "stop" || (operation == "start" && world.opts.start_failure_fatal);
    let sites = sites(&world, resource, operation, node.as_deref())?;
    drop(world);
    for site in sites {
        write_failure(cib, &site, operation, fatal, now);
    }
    Ok(())
}

fn sites(
    world: &World<'_>,
    resource: &str,
    operation: &str,
    node: Option<&str>,
) -> Result<Vec<Site>, EventError> {
    let mut leaves = Vec::new();
    for &r in &world.top {
        world.leaves(r, &mut leaves);
    }
    let known = |r: &usize| world.config_id(*r) == resource || world.rscs[*r].id == resource;
    let mine: Vec<usize> = leaves.iter().copied().filter(known).collect();
    if mine.is_empty() {
        let ids: Vec<String> = leaves.iter().map(|&r| world.config_id(r)).collect();
        return Err(missing(
            "primitive",
            resource,
            ids.iter().map(String::as_str),
        ));
    }
    let mut out = Vec::new();
    for &r in &mine {
        let mut places = world.rscs[r].running.clone();
        if let Some(name) = node {
            places.retain(|&n| world.nodes[n].name == name);
        }
        out.extend(places.into_iter().map(|n| site(world, r, n, operation)));
    }
    if out.is_empty() && operation == "start" {
        // It does not run there yet: the start that would come fails.
        let n = node
            .and_then(|name| world.find_node(name))
            .or_else(|| world.nodes.iter().position(|n| n.online));
        out.extend(n.map(|n| site(world, mine[0], n, operation)));
    }
    if out.is_empty() {
        let place = node.map_or_else(|| "anywhere".to_owned(), |n| format!("on {n}"));
        return Err(EventError {
            what: format!("{resource} does not run {place}: its {operation} cannot fail there"),
            help: format!("name a node where it runs, or say `start of {resource} fails on N`"),
        });
    }
    Ok(out)
}

fn site(world: &World<'_>, r: usize, n: usize, operation: &str) -> Site {
    let cfg = world.cfg(r);
    let history = world.shown_rsc(r, Some(n));
    let promoted = world.rscs[r].role == Role::Promoted;
    let interval_ms = if operation == "monitor" {
        interval(world, r, n, promoted)
    } else {
        0
    };
    Site {
        node_id: world.nodes[n].id.clone(),
        node: world.nodes[n].name.clone(),
        base: if world.rscs[r].unique {
            history.clone()
        } else {
            world.config_id(r)
        },
        count: world
            .fail_count(n, r, facts::failcount::Expiry::Ignored, None)
            .count,
        interval_ms,
        failed_role_rc: if promoted && operation == "monitor" {
            8
        } else {
            0
        },
        class: (
            cfg.class.to_owned(),
            cfg.provider.map(str::to_owned),
            cfg.agent.to_owned(),
        ),
        history,
    }
}

/// Interval of the monitor that watches it now: as the history shows it, else as configured.
fn interval(world: &World<'_>, r: usize, n: usize, promoted: bool) -> u64 {
    let in_history = world.history_at(r, n).and_then(|h| {
        world.cib.status.nodes[h.node_state].resources[h.resource]
            .operations
            .iter()
            .filter(|o| o.operation == "monitor" && o.interval_ms > 0)
            .filter(|o| !promoted || o.rc == 8)
            .map(|o| o.interval_ms)
            .min()
    });
    in_history.unwrap_or_else(|| {
        world
            .cfg(r)
            .ops
            .iter()
            .filter(|op| op.name == "monitor")
            .map(|op| u64::try_from(crate::opconfig::interval_of(op)).unwrap_or(0))
            .filter(|ms| *ms > 0)
            .min()
            .unwrap_or(10_000)
    })
}

fn write_failure(cib: &mut Cib, site: &Site, operation: &str, fatal: bool, now: i64) {
    let key = format!("{}#{operation}_{}", site.base, site.interval_ms);
    let count = if fatal {
        "INFINITY".to_owned()
    } else {
        site.count.saturating_add(1).to_string()
    };
    set_transient(
        cib,
        &site.node_id,
        &site.node,
        &format!("fail-count-{key}"),
        &count,
    );
    set_transient(
        cib,
        &site.node_id,
        &site.node,
        &format!("last-failure-{key}"),
        &now.to_string(),
    );
    let state = state_of(cib, &site.node_id, &site.node);
    state.has_history = true;
    let at = state
        .resources
        .iter()
        .position(|h| h.id == site.history)
        .unwrap_or_else(|| {
            let (class, provider, agent) = site.class.clone();
            state.resources.push(ResourceHistory {
                id: site.history.as_str().into(),
                class: class.into(),
                provider: provider.map(Into::into),
                agent: agent.into(),
                ..Default::default()
            });
            state.resources.len() - 1
        });
    let operations = &mut state.resources[at].operations;
    let call_id = operations
        .iter()
        .map(|o| o.call_id)
        .max()
        .unwrap_or(0)
        .max(0)
        + 1;
    let target = site.failed_role_rc;
    let digest = operations.iter().rev().find_map(|o| o.digest.clone());
    operations.retain(|o| !o.id.ends_with("_last_failure_0"));
    let failure = OperationHistory {
        id: format!("{}_last_failure_0", site.history).into(),
        key: Some(format!("{}_{operation}_{}", site.history, site.interval_ms).into()),
        operation: operation.into(),
        call_id,
        rc: 1,
        status: 0,
        interval_ms: site.interval_ms,
        transition_key: Some(format!("1:0:{target}:what-if").into()),
        last_rc_change: Some(now),
        digest,
        ..Default::default()
    };
    if operation != "monitor" {
        let last = format!("{}_last_0", site.history);
        operations.retain(|o| o.id != last);
        operations.push(OperationHistory {
            id: last.into(),
            ..failure.clone()
        });
    }
    operations.push(failure);
}

/// Sets `have-quorum` by how many voters are up: the member nodes, and `others_up` of `others` voters that
/// run nothing (witnesses). Of two voters the survivor goes on once the other is confirmed off.
pub fn judge_quorum(cib: &mut Cib, now: i64, others: usize, others_up: usize) {
    let world = facts::gather(cib, now);
    let members: Vec<bool> = world
        .nodes
        .iter()
        .filter(|n| n.kind == crate::world::NodeKind::Member)
        .map(|n| n.online && !n.unclean)
        .collect();
    let can_fence = world.opts.fencing && world.have_fence_device;
    drop(world);
    let voters = members.len() + others;
    let up = members.iter().filter(|up| **up).count() + others_up;
    let has = up * 2 > voters || (voters == 2 && up == 1 && can_fence);
    set_root(cib, "have-quorum", if has { "1" } else { "0" });
}
