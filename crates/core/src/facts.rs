//! The facts for the policy: the replicated state as an information base.

use quorate_model::cib::{
    AttributeSet, Cib, Constraint, Extra, Location, Node, Pair, Resource, Rule, RulePart, SetKind,
};
use quorate_model::status::{
    HistoryExtra, NodeState, OperationHistory, ResourceHistory, Status, TicketState,
};
use quorate_model::text::Text;

use crate::document;
use crate::ids::NodeName;
use crate::state::{ClusterState, NodeStatus, OpRecord, Presence, ResourceRecord};

/// The transient attribute in which a node tells what `check` wants to know of its host. No rule of a configuration
/// speaks of it, and nobody decides by it.
pub const HOST_FACTS: &str = "#host-facts";

/// What the deciding node knows beyond the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// A majority (or what stands in for it) is there.
    Has,
    /// It is not.
    Lost,
}

/// Builds the information base at this wall time (Unix milliseconds).
#[must_use]
pub fn cib(state: &ClusterState, quorum: Quorum, wall_ms: i64) -> Cib {
    let mut configuration = state.configuration.clone();
    configuration.nodes = nodes(state);
    configuration
        .constraints
        .extend(state.moves.iter().filter_map(|(id, record)| {
            let is_over = record.expires_wall_ms.is_some_and(|end| end <= wall_ms);
            (!is_over).then(|| move_constraint(id, record))
        }));
    configuration.constraints.extend(witness_bans(state));
    if has_watchdogs(state) {
        let id = "have-watchdog".to_owned();
        let mut set = empty_set(SetKind::Cluster, id.clone());
        set.pairs.push(pair_of(&id, "have-watchdog", "true"));
        configuration.options.push(set);
    }
    let have_quorum = if quorum == Quorum::Has { "1" } else { "0" };
    Cib {
        attributes: vec![
            ("validate-with".to_owned(), "pacemaker-3.9".to_owned()),
            ("epoch".to_owned(), state.document.revision.to_string()),
            ("num_updates".to_owned(), state.applied.to_string()),
            ("have-quorum".to_owned(), have_quorum.to_owned()),
        ],
        configuration,
        status: Status {
            nodes: state
                .nodes
                .iter()
                .filter(|(name, _)| takes_part(state, name))
                .filter_map(|(name, node)| node_state(state, name, node))
                .collect(),
            tickets: state
                .tickets
                .iter()
                .map(|(id, ticket)| TicketState {
                    id: id.clone(),
                    granted: Some(ticket.granted.to_string()),
                    last_granted: ticket.last_granted.map(|at| at.to_string()),
                    standby: None,
                    extra: Extra::new(),
                })
                .collect(),
        },
    }
}

/// The same for a new plan, made while no action of an earlier one runs: an intent that is open still was not
/// begun, or its result is lost. What is known of its resource there does not count, so that it is probed.
#[must_use]
pub fn cib_for_plan(state: &ClusterState, wall_ms: i64) -> Cib {
    let is_open = |node: &NodeName, resource: &str| {
        let holder = state
            .holders
            .get(resource)
            .and_then(|nodes| nodes.get(node));
        holder.is_some_and(|holder| holder.is_open)
    };
    let mut settled = std::borrow::Cow::Borrowed(state);
    for (name, node) in &state.nodes {
        if node.presence != Presence::Online {
            continue;
        }
        for resource in node.resources.keys().filter(|id| is_open(name, id)) {
            if let Some(status) = settled.to_mut().nodes.get_mut(name) {
                status.resources.remove(resource);
            }
        }
    }
    cib(&settled, Quorum::Has, wall_ms)
}

/// Every node that may run resources has armed a watchdog: each makes an end of itself when its lease has ended. Who is
/// known to be gone runs nothing, and says anew whether it has one when it is back.
fn has_watchdogs(state: &ClusterState) -> bool {
    let may_run = |node: &NodeStatus| matches!(node.presence, Presence::Online | Presence::Lost);
    let mut seen = state
        .nodes
        .iter()
        .filter(|(name, node)| takes_part(state, name) && may_run(node))
        .peekable();
    seen.peek().is_some() && seen.all(|(_, node)| node.watchdog_ms.is_some())
}

/// A witness takes part in decisions only where a constraint names it.
#[must_use]
pub fn takes_part(state: &ClusterState, name: &NodeName) -> bool {
    let is_witness = state
        .members
        .get(name)
        .is_some_and(|member| member.is_witness);
    !is_witness || is_named(state, name)
}

fn is_named(state: &ClusterState, name: &NodeName) -> bool {
    state
        .configuration
        .constraints
        .iter()
        .any(|constraint| names_node(constraint, name))
}

fn names_node(constraint: &Constraint, name: &NodeName) -> bool {
    let Constraint::Location(location) = constraint else {
        return false;
    };
    let is_it = |text: &str| text.eq_ignore_ascii_case(&name.0);
    location.node.as_deref().is_some_and(is_it)
        || location
            .rules
            .iter()
            .flat_map(|rule| &rule.parts)
            .any(|part| {
                matches!(part, RulePart::Expression { attribute, value: Some(value), .. }
                if attribute == "#uname" && is_it(value))
            })
}

/// Resources that no constraint ties to a witness must not run there.
fn witness_bans(state: &ClusterState) -> Vec<Constraint> {
    let mut bans = Vec::new();
    let witnesses = state
        .members
        .iter()
        .filter(|(name, member)| member.is_witness && is_named(state, name));
    for (witness, _) in witnesses {
        for resource in &state.configuration.resources {
            let Some(id) = top_id(resource) else { continue };
            let is_tied = state.configuration.constraints.iter().any(|constraint| {
                matches!(constraint, Constraint::Location(location)
                    if location.resource.as_deref() == Some(id))
                    && names_node(constraint, witness)
            });
            if !is_tied {
                bans.push(Constraint::Location(Location {
                    id: format!("witness-{witness}-not-{id}"),
                    resource: Some(id.to_owned()),
                    node: Some(witness.0.clone()),
                    score: Some("-INFINITY".to_owned()),
                    ..Location::default()
                }));
            }
        }
    }
    bans
}

fn top_id(resource: &Resource) -> Option<&str> {
    match resource {
        Resource::Primitive(primitive) => Some(&primitive.id),
        Resource::Template(_) => None,
        Resource::Group(group) => Some(&group.id),
        Resource::Clone(clone) => Some(&clone.id),
        Resource::Bundle(bundle) => Some(&bundle.id),
    }
}

fn move_constraint(id: &str, record: &crate::state::MoveRecord) -> Constraint {
    Constraint::Location(Location {
        id: id.to_owned(),
        resource: Some(record.resource.clone()),
        node: Some(record.node.0.clone()),
        score: Some(record.score.clone()),
        ..Location::default()
    })
}

/// The configured nodes with the attributes that were set at run time, and the members that the
/// configuration does not name.
fn nodes(state: &ClusterState) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for configured in &state.configuration.nodes {
        let member = member_named(state, &configured.uname);
        let mut node = configured.clone();
        if let Some(name) = member {
            if !takes_part(state, name) {
                continue;
            }
            node.uname.clone_from(&name.0);
            if node.id.is_empty() {
                node.id.clone_from(&name.0);
            }
            overlay(&mut node, state.nodes.get(name));
            nodes.push(node);
        } else if configured
            .kind
            .as_deref()
            .is_some_and(|kind| kind != "member")
        {
            nodes.push(node);
        }
    }
    for (name, status) in &state.nodes {
        let is_there = nodes.iter().any(|node| node.uname == name.0);
        if is_there || !state.members.contains_key(name) || !takes_part(state, name) {
            continue;
        }
        let mut node = Node {
            id: name.0.clone(),
            uname: name.0.clone(),
            ..Node::default()
        };
        overlay(&mut node, Some(status));
        nodes.push(node);
    }
    nodes
}

/// The member that a configuration means; names differ in case at most.
#[must_use]
pub fn member_named<'a>(state: &'a ClusterState, name: &str) -> Option<&'a NodeName> {
    state
        .members
        .keys()
        .find(|member| member.0 == name)
        .or_else(|| {
            state
                .members
                .keys()
                .find(|member| member.0.eq_ignore_ascii_case(name))
        })
}

fn overlay(node: &mut Node, status: Option<&NodeStatus>) {
    let Some(status) = status else { return };
    let wants_to_leave = status
        .transient
        .get("shutdown")
        .is_some_and(|value| value != "0");
    // Whoever leaves takes nothing any more and gives up what it has: what standby says, too.
    let leaving = wants_to_leave.then(|| ("standby".to_owned(), "on".to_owned()));
    let permanent = status
        .permanent
        .iter()
        .filter(|(name, _)| !(wants_to_leave && *name == "standby"))
        .map(|(name, value)| (name.clone(), value.clone()));
    for (name, value) in permanent.chain(leaving) {
        let (name, value) = (&name, &value);
        let pair = node
            .sets
            .iter_mut()
            .filter(|set| set.kind == SetKind::Instance && set.rule.is_none())
            .flat_map(|set| set.pairs.iter_mut())
            .find(|pair| pair.name == *name);
        if let Some(pair) = pair {
            pair.value = Some(value.clone());
            continue;
        }
        let id = format!("nodes-{}", node.id);
        let set = match node.sets.iter().position(|set| set.id == id) {
            Some(position) => &mut node.sets[position],
            None => {
                node.sets.push(empty_set(SetKind::Instance, id.clone()));
                node.sets.last_mut().expect("a set was just added")
            }
        };
        set.pairs.push(pair_of(&id, name, value));
    }
}

fn empty_set(kind: SetKind, id: String) -> AttributeSet {
    AttributeSet {
        kind,
        id,
        id_ref: None,
        score: None,
        rule: None::<Rule>,
        pairs: Vec::new(),
        extra: Extra::new(),
    }
}

fn pair_of(set: &str, name: &str, value: &str) -> Pair {
    Pair {
        id: Some(format!("{set}-{name}")),
        id_ref: None,
        name: name.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn node_state(state: &ClusterState, name: &NodeName, node: &NodeStatus) -> Option<NodeState> {
    let id = state
        .configuration
        .nodes
        .iter()
        .find(|configured| configured.uname.eq_ignore_ascii_case(&name.0))
        .filter(|configured| !configured.id.is_empty())
        .map_or_else(|| name.0.clone(), |configured| configured.id.clone());
    let (in_cluster, crmd, join, expected) = match node.presence {
        Presence::Unseen => return None,
        Presence::Online => ("true", "online", "member", "member"),
        Presence::Lost if crate::seeded::has(crate::seeded::Bug::LostIsGone) => {
            ("false", "offline", "down", "down")
        }
        Presence::Lost => ("false", "offline", "down", "member"),
        Presence::Fenced | Presence::Left | Presence::Expired => {
            ("false", "offline", "down", "down")
        }
    };
    let mut transient = Vec::new();
    if !node.transient.is_empty() {
        let set_id = format!("status-{id}");
        let mut set = empty_set(SetKind::Instance, set_id.clone());
        for (name, value) in node
            .transient
            .iter()
            .filter(|(name, _)| *name != HOST_FACTS)
        {
            set.pairs.push(pair_of(&set_id, name, value));
        }
        transient.push(set);
    }
    Some(NodeState {
        id,
        uname: name.0.clone(),
        in_cluster: Some(in_cluster.to_owned()),
        crmd: Some(crmd.to_owned()),
        join: Some(join.to_owned()),
        expected: Some(expected.to_owned()),
        extra: Extra::new(),
        transient,
        resources: node
            .resources
            .iter()
            .map(|(id, record)| history(name, id, record))
            .collect(),
        has_history: node.has_history,
    })
}

fn history(node: &NodeName, id: &str, record: &ResourceRecord) -> ResourceHistory {
    let mut operations: Vec<OperationHistory> = record
        .operations
        .iter()
        .map(|(op_id, operation)| operation_history(node, op_id, operation))
        .collect();
    operations.sort_by_key(|operation| operation.call_id);
    ResourceHistory {
        id: id.into(),
        class: record.class.as_str().into(),
        provider: record.provider.as_deref().map(Into::into),
        agent: record.agent.as_str().into(),
        container: None,
        extra: Vec::new(),
        operations,
    }
}

fn operation_history(node: &NodeName, id: &str, record: &OpRecord) -> OperationHistory {
    let digests = record.digests.clone().unwrap_or_default();
    let mut extra: HistoryExtra = vec![("exec-time".into(), record.took_ms.to_string().into())];
    let migration = record.migration.iter();
    extra.extend(migration.map(|(name, value)| (name.into(), value.into())));
    OperationHistory {
        id: id.into(),
        key: Some(record.key.as_str().into()),
        operation: record.operation.as_str().into(),
        call_id: record.call_id,
        rc: record.rc,
        status: record.status,
        interval_ms: record.interval_ms,
        transition_key: Some(record.transition_key.as_str().into()),
        transition_magic: Some(
            format!("{}:{};{}", record.status, record.rc, record.transition_key).into(),
        ),
        exit_reason: given(&record.exit_reason),
        last_rc_change: Some(record.changed_wall_ms / 1_000),
        on_node: Some(node.0.as_str().into()),
        digest: given(&digests.all),
        restart_digest: digests.restart.map(Into::into),
        secure_digest: digests.secure.map(Into::into),
        force_restart: digests.force_restart.map(Into::into),
        secure_params: digests.secure_params.map(Into::into),
        extra,
    }
}

/// A text where there is one.
fn given(text: &str) -> Option<Text> {
    (!text.is_empty()).then(|| text.into())
}

/// Whether the operator has fencing enabled (Pacemaker's default: yes).
#[must_use]
pub fn is_fencing_enabled(state: &ClusterState) -> bool {
    state
        .option("stonith-enabled")
        .or_else(|| state.option("fencing-enabled"))
        .is_none_or(document::is_true)
}
