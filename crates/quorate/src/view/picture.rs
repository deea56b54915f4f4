//! The picture of a cluster at one moment: what is blocked, nodes, resources, failures.

use quorate_core::admin::LocalView;
use quorate_core::ids::NodeName;
use quorate_core::state::{ClusterState, FenceOutcome, MemberRole, NodeStatus, Presence};
use serde::Serialize;

use super::activity::{self, Role};
use super::resources::{self, Kind};

/// Everything that `status` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// The cluster's name.
    pub cluster: String,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Whose view it is.
    pub seen_from: String,
    /// Who leads.
    pub leader: Option<String>,
    /// A quorum answers.
    pub has_quorum: bool,
    /// Number of the last log entry that is applied here.
    pub applied: u64,
    /// What cannot go on by itself, with the way out. First of all.
    pub blocked: Vec<Blocked>,
    /// The nodes.
    pub nodes: Vec<NodeLine>,
    /// The resources, in the order of the configuration.
    pub resources: Vec<ResourceLine>,
    /// Actions that failed and were not cleaned up.
    pub failures: Vec<Failure>,
    /// Moves and bans that hold.
    pub moves: Vec<MoveLine>,
    /// What runs now.
    pub running: Vec<String>,
    /// Resources are left alone.
    pub is_maintenance: bool,
    /// Fencing is disabled by the operator.
    pub is_unprotected: bool,
}

/// Something that waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Blocked {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do; usually a command.
    pub way_out: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeLine {
    /// Its name.
    pub name: String,
    /// `online`, `standby`, `maintenance`, `pending`, `OFFLINE`, `UNCLEAN (offline)`.
    pub state: String,
    /// It is there.
    pub is_online: bool,
    /// It may still run what it held.
    pub is_unclean: bool,
    /// Votes only.
    pub is_witness: bool,
    /// It follows, and does not vote yet.
    pub is_learner: bool,
    /// Why it stands there.
    pub reason: String,
    /// Since when, Unix milliseconds; 0 if unknown.
    pub since_ms: i64,
    /// Links over which it does not answer, of all.
    pub links_down: Vec<u8>,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceLine {
    /// Its id.
    pub id: String,
    /// `primitive`, `group`, `clone`, `bundle`.
    pub kind: &'static str,
    /// How deep in groups and clones.
    pub depth: usize,
    /// `ocf:heartbeat:IPaddr2`.
    pub spec: String,
    /// Where it is active.
    pub active: Vec<Active>,
    /// The configuration wants it stopped (`target-role=Stopped`).
    pub is_disabled: bool,
    /// Copies of it may be promoted.
    #[serde(skip)]
    pub is_promotable: bool,
    /// Its copies are told apart by their numbers.
    #[serde(skip)]
    pub is_unique: bool,
}

/// An active instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Active {
    /// The instance.
    pub id: String,
    /// Where.
    pub node: String,
    /// Role.
    pub role: String,
    /// Its last action failed.
    pub is_failed: bool,
    /// The node is unclean: it may or may not run there.
    pub is_uncertain: bool,
    /// What it is being made.
    pub pending: Option<String>,
}

/// A failed action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// `db_monitor_20000`.
    pub key: String,
    /// The resource.
    pub resource: String,
    /// Where.
    pub node: String,
    /// Exit code.
    pub rc: i32,
    /// The code in words.
    pub result: String,
    /// `complete`, `timed out` ...
    pub status: String,
    /// Number of the call.
    pub call_id: i64,
    /// The agent's reason.
    pub exit_reason: String,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Milliseconds it took.
    pub took_ms: u64,
    /// Tail of its output.
    pub output: String,
}

/// A move or ban.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MoveLine {
    /// The resource.
    pub resource: String,
    /// The node.
    pub node: String,
    /// It may not run there (otherwise: it should).
    pub is_ban: bool,
    /// Unix milliseconds of its end; none: it stays.
    pub expires_ms: Option<i64>,
    /// Who asked.
    pub who: String,
}

impl Picture {
    /// Draws it.
    pub fn new(state: &ClusterState, local: &LocalView) -> Self {
        let nodes: Vec<NodeLine> = names(state)
            .map(|name| node_line(state, local, name))
            .collect();
        let resources = resource_lines(state, &nodes);
        let failures = failures(state);
        let mut blocked = blocked(state, local);
        let is_known = |line: &ResourceLine| blocked.iter().any(|b| b.what == line.id);
        let down = resources.iter().filter(|line| !is_known(line));
        let down: Vec<Blocked> = down
            .filter_map(|line| runs_nowhere(line, &failures))
            .collect();
        blocked.extend(down);
        Self {
            cluster: state.cluster.clone(),
            at_ms: local.wall_ms,
            seen_from: local.name.clone(),
            leader: local.leader.as_ref().map(|n| n.0.clone()),
            has_quorum: local.has_quorum,
            applied: state.applied.0,
            blocked,
            resources,
            failures,
            moves: moves(state, local.wall_ms),
            running: local
                .transition
                .as_ref()
                .map(|t| t.running.clone())
                .unwrap_or_default(),
            is_maintenance: is_true(state.option("maintenance-mode")),
            is_unprotected: state
                .option("stonith-enabled")
                .or_else(|| state.option("fencing-enabled"))
                .is_some_and(|v| !quorate_core::document::is_true(v)),
            nodes,
        }
    }

    /// Something needs an operator.
    pub fn needs_attention(&self) -> bool {
        !self.has_quorum || !self.blocked.is_empty() || self.nodes.iter().any(|n| n.is_unclean)
    }
}

fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(quorate_core::document::is_true)
}

/// Members, and nodes that left something behind.
fn names(state: &ClusterState) -> impl Iterator<Item = &NodeName> {
    let others = state
        .nodes
        .iter()
        .filter(|(name, node)| {
            !state.members.contains_key(*name) && node.presence == Presence::Lost
        })
        .map(|(name, _)| name);
    state.members.keys().chain(others)
}

fn attribute<'a>(node: &'a NodeStatus, name: &str) -> Option<&'a str> {
    node.transient
        .get(name)
        .or_else(|| node.permanent.get(name))
        .map(String::as_str)
}

fn node_line(state: &ClusterState, local: &LocalView, name: &NodeName) -> NodeLine {
    let default = NodeStatus::default();
    let node = state.nodes.get(name).unwrap_or(&default);
    let member = state.members.get(name);
    let view = local.peers.iter().find(|p| p.name == *name);
    let is_silent = view.is_some_and(|p| !p.has_contact) && name.0 != local.name;
    let (word, is_online, is_unclean) = match node.presence {
        Presence::Online if is_silent => ("UNCLEAN (offline)", false, true),
        Presence::Online if is_true(attribute(node, "maintenance")) => ("maintenance", true, false),
        Presence::Online if is_true(attribute(node, "standby")) => ("standby", true, false),
        Presence::Online if !node.has_history && !member.is_some_and(|m| m.is_witness) => {
            ("pending", true, false)
        }
        Presence::Online => ("online", true, false),
        Presence::Lost => ("UNCLEAN (offline)", false, true),
        Presence::Unseen => ("OFFLINE", false, false),
        Presence::Fenced | Presence::Left | Presence::Expired => ("OFFLINE", false, false),
    };
    let reason = match node.presence {
        Presence::Online if is_silent => "no answer on any link".to_owned(),
        Presence::Unseen => "it was never seen by this cluster".to_owned(),
        _ => node.reason.clone(),
    };
    let links_down = view
        .filter(|p| p.has_contact)
        .map(|p| {
            (0u8..)
                .zip(&p.links)
                .filter(|(_, l)| l.is_none_or(|ms| ms > 5000))
                .map(|(n, _)| n)
                .collect()
        })
        .unwrap_or_default();
    NodeLine {
        name: name.0.clone(),
        state: word.to_owned(),
        is_online,
        is_unclean,
        is_witness: member.is_some_and(|m| m.is_witness),
        is_learner: member.is_some_and(|m| m.role != MemberRole::Voter),
        reason,
        since_ms: node.since_wall_ms,
        links_down,
    }
}

fn resource_lines(state: &ClusterState, nodes: &[NodeLine]) -> Vec<ResourceLine> {
    resources::lines(&state.configuration)
        .into_iter()
        .map(|line| ResourceLine {
            active: match line.kind {
                Kind::Primitive => active(state, nodes, &line),
                _ => Vec::new(),
            },
            kind: match line.kind {
                Kind::Primitive => "primitive",
                Kind::Group => "group",
                Kind::Clone => "clone",
                Kind::Bundle => "bundle",
            },
            is_disabled: is_disabled(state, &line.id),
            is_promotable: line.is_promotable,
            is_unique: line.is_unique,
            id: line.id,
            depth: line.depth,
            spec: line.spec,
        })
        .collect()
}

fn is_disabled(state: &ClusterState, id: &str) -> bool {
    use quorate_model::cib::{AttributeSet, Resource, SetKind};
    let stopped = |sets: &[AttributeSet]| {
        sets.iter()
            .filter(|s| s.kind == SetKind::Meta)
            .flat_map(|s| &s.pairs)
            .any(|p| {
                p.name == "target-role"
                    && p.value
                        .as_deref()
                        .is_some_and(|v| v.eq_ignore_ascii_case("stopped"))
            })
    };
    state
        .configuration
        .resources
        .iter()
        .any(|resource| match resource {
            Resource::Primitive(p) => p.id == id && stopped(&p.sets),
            Resource::Group(g) => {
                let named = g.id == id || g.members.iter().any(|m| m.id == id);
                named && stopped(&g.sets)
                    || g.members.iter().any(|m| m.id == id && stopped(&m.sets))
            }
            Resource::Clone(c) => c.id == id && stopped(&c.sets),
            Resource::Template(_) | Resource::Bundle(_) => false,
        })
}

fn active(state: &ClusterState, nodes: &[NodeLine], line: &resources::Line) -> Vec<Active> {
    let mut found = Vec::new();
    for (name, status) in &state.nodes {
        let Some(node) = nodes.iter().find(|n| n.name == name.0) else {
            continue;
        };
        if !node.is_online && !node.is_unclean {
            continue;
        }
        for (id, record) in &status.resources {
            if !resources::is_instance(id, &line.id) {
                continue;
            }
            let activity = activity::of(record, line.is_promotable);
            if activity.role == Role::Stopped && activity.pending.is_none() {
                continue;
            }
            found.push(Active {
                id: id.clone(),
                node: name.0.clone(),
                role: activity.role.word().to_owned(),
                is_failed: activity.is_failed,
                is_uncertain: node.is_unclean,
                pending: activity.pending.map(str::to_owned),
            });
        }
    }
    found
}

fn failures(state: &ClusterState) -> Vec<Failure> {
    let mut found: Vec<Failure> = state
        .nodes
        .iter()
        .flat_map(|(name, node)| {
            node.resources
                .iter()
                .map(move |(id, record)| (name, id, record))
        })
        .flat_map(|(name, id, record)| {
            record
                .operations
                .iter()
                .filter(|(key, _)| key.contains("_last_failure_"))
                .map(move |(_, op)| Failure {
                    key: op.key.clone(),
                    resource: id.clone(),
                    node: name.0.clone(),
                    rc: op.rc,
                    result: activity::exit_word(op.rc).to_owned(),
                    status: activity::status_word(op.status).to_owned(),
                    call_id: op.call_id,
                    exit_reason: op.exit_reason.clone(),
                    at_ms: op.changed_wall_ms,
                    took_ms: op.took_ms,
                    output: op.output.clone(),
                })
        })
        .collect();
    found.sort_by_key(|f| f.at_ms);
    found
}

fn moves(state: &ClusterState, now_ms: i64) -> Vec<MoveLine> {
    state
        .moves
        .values()
        .filter(|m| m.expires_wall_ms.is_none_or(|end| end > now_ms))
        .map(|m| MoveLine {
            resource: m.resource.clone(),
            node: m.node.0.clone(),
            is_ban: m.score.starts_with('-'),
            expires_ms: m.expires_wall_ms,
            who: m.who.clone(),
        })
        .collect()
}

fn blocked(state: &ClusterState, local: &LocalView) -> Vec<Blocked> {
    let mut all = Vec::new();
    if let Some(broken) = &state.broken {
        all.push(Blocked {
            what: "the whole cluster".into(),
            why: format!(
                "an entry of the log cannot be applied, so nothing is decided any more: {broken}"
            ),
            way_out: "upgrade the nodes of the older version; resources go on meanwhile".into(),
        });
    }
    for (why, way_out) in &local.waits {
        all.push(Blocked {
            what: format!("node {}", local.name),
            why: why.clone(),
            way_out: way_out.clone(),
        });
    }
    for (name, node) in &state.nodes {
        if node.presence == Presence::Lost && node.fence_failures > 0 {
            all.push(unfenced(state, name, node.fence_failures));
        }
    }
    let last = state
        .ledger
        .back()
        .map(|t| t.blocked.as_slice())
        .unwrap_or_default();
    for (what, why, way_out) in last {
        let is_known = all.iter().any(|b| b.what == *what);
        if !is_known {
            all.push(Blocked {
                what: what.clone(),
                why: why.clone(),
                way_out: way_out.clone(),
            });
        }
    }
    all
}

/// A resource that should run and is given up everywhere after it failed: nothing starts it again by itself.
fn runs_nowhere(line: &ResourceLine, failures: &[Failure]) -> Option<Blocked> {
    if line.kind != "primitive" || line.is_disabled || !line.active.is_empty() {
        return None;
    }
    let own: Vec<&Failure> = failures
        .iter()
        .filter(|failure| resources::is_instance(&failure.resource, &line.id))
        .collect();
    let last = own.last()?;
    let mut places: Vec<&str> = own.iter().map(|failure| failure.node.as_str()).collect();
    places.sort_unstable();
    places.dedup();
    let id = &line.id;
    let is_device = line.spec.starts_with("stonith:");
    let meaning = if is_device {
        "; a fencing that needs it may fail"
    } else {
        ""
    };
    let reason = if last.exit_reason.is_empty() {
        &last.result
    } else {
        &last.exit_reason
    };
    Some(Blocked {
        what: id.clone(),
        why: format!(
            "it runs nowhere, it failed on {} ({reason}){meaning}",
            places.join(", ")
        ),
        way_out: if is_device {
            format!(
                "`quorate fence check` shows what the device says; correct it, then `quorate cleanup {id}`"
            )
        } else {
            format!(
                "`quorate explain {id}` says what keeps it down; correct it, then `quorate cleanup {id}`"
            )
        },
    })
}

fn unfenced(state: &ClusterState, name: &NodeName, attempts: u32) -> Blocked {
    let words = state
        .fencing
        .iter()
        .rev()
        .find_map(|record| match &record.outcome {
            FenceOutcome::Failed(words) if record.target == *name => Some(words.clone()),
            _ => None,
        });
    let held: Vec<&str> = state.held_by(name).collect();
    let holds = match held.as_slice() {
        [] => String::new(),
        held => format!(
            "; {} may still run there and cannot be recovered",
            held.join(", ")
        ),
    };
    Blocked {
        what: format!("node {name}"),
        why: format!(
            "it is lost, and fencing it failed {attempts} times{}{holds}",
            words.map(|w| format!(" (last: {w})")).unwrap_or_default()
        ),
        way_out: format!(
            "repair the fence device and `quorate fence {name}`; or switch the machine off by hand, make sure that it is \
             off, and `quorate fence confirm {name}`"
        ),
    }
}
