//! Applying an entry to the replicated state: deterministic, total, without side effects.
//!
//! An entry that does not fit the state (another revision, an older term, another boot) changes nothing but
//! the index; that is decided here, by the log's order, and nowhere else.

mod owed;
mod results;

pub use results::{add_score, rc_and_status};
pub(crate) use results::{record_history, results};

use crate::engine;
use crate::entry::{AttributeChange, Entry, Intent};
use crate::ids::{Incarnation, Lineage, LogIndex, NodeName, RaftId, Term};
use crate::start::{Founder, Genesis};
use crate::state::{
    CHANGES_MAX, Certificate, ChangeRecord, ClusterState, FENCING_HISTORY_MAX, FenceOutcome,
    FenceRecord, Holder, INCIDENTS_MAX, Incident, LEDGER_MAX, Member, MemberRole, NodeStatus,
    Presence, TOKENS_MAX, TransitionRecord,
};

/// What an entry changed, for those who wait for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The configuration or the moves.
    Configuration,
    /// Members came, went or changed their part.
    Members,
    /// A node's presence.
    Node(NodeName),
    /// These intents stand.
    Intents(Vec<String>),
    /// Intents of an older term: they do not stand.
    IntentsVoid(Vec<String>),
    /// Results of a node's session are in, up to this report.
    Results(NodeName, Incarnation, u64),
    /// An attribute, a ticket, the history.
    Status,
    /// A fencing ended.
    Fencing(NodeName),
    /// Bookkeeping: nothing to be decided anew.
    Record,
    /// The entry did not fit and changed nothing: why.
    Void(String),
}

/// Applies one entry's bytes. `term` is the entry's own.
pub fn apply(state: &mut ClusterState, index: LogIndex, term: Term, bytes: &[u8]) -> Vec<Change> {
    if index <= state.applied {
        return Vec::new();
    }
    state.applied = index;
    match Entry::decode(bytes) {
        Ok(entry) => apply_entry(state, index, term, entry),
        Err(error) => {
            state.broken = Some(format!("log entry {index} cannot be decoded: {error}"));
            vec![Change::Record]
        }
    }
}

fn apply_entry(state: &mut ClusterState, index: LogIndex, term: Term, entry: Entry) -> Vec<Change> {
    match entry {
        Entry::Configure {
            text,
            based_on,
            who,
            wall_ms,
        } => configure(state, index, text, based_on, who, wall_ms),
        Entry::NodeUp {
            node,
            incarnation,
            watchdog_ms,
            wall_ms,
        } => node_up(state, node, incarnation, watchdog_ms, wall_ms),
        Entry::NodeLost {
            node,
            incarnation,
            reason,
            wall_ms,
        } => node_lost(state, node, incarnation, reason, wall_ms),
        Entry::NodeLeft {
            node,
            incarnation,
            wall_ms,
        } => node_left(state, node, incarnation, wall_ms),
        Entry::NodeExpired {
            node,
            boot,
            wall_ms,
        } => {
            let status = state.nodes.entry(node.clone()).or_default();
            if status.incarnation.boot != boot || status.presence != Presence::Lost {
                return void("the node is no longer lost");
            }
            status.presence = Presence::Expired;
            status.since_wall_ms = wall_ms;
            forget_life(state, &node);
            vec![Change::Node(node)]
        }
        Entry::Fencing(record) => fencing(state, record),
        Entry::Intents { term: of, intents } => intents_stand(state, index, term, of, intents),
        Entry::Results {
            node,
            incarnation,
            reports,
        } => results(state, node, incarnation, reports),
        Entry::Attributes {
            changes,
            who,
            what,
            wall_ms,
        } => {
            let mut matters = !what.is_empty();
            for change in changes {
                matters |= attribute(state, change);
            }
            note(state, index, who, what, wall_ms);
            vec![if matters {
                Change::Status
            } else {
                Change::Record
            }]
        }
        Entry::Forget { what, who, wall_ms } => forget(state, index, &what, who, wall_ms),
        Entry::Moves {
            changes,
            who,
            wall_ms,
        } => {
            for (id, change) in changes {
                let what = match change {
                    Some(record) => {
                        let what = format!("{id}: {} for {}", record.score, record.node);
                        state.moves.insert(id, record);
                        what
                    }
                    None => {
                        state.moves.remove(&id);
                        format!("{id} taken back")
                    }
                };
                note(state, index, who.clone(), what, wall_ms);
            }
            vec![Change::Configuration]
        }
        Entry::Ticket {
            ticket,
            is_granted,
            who,
            wall_ms,
        } => {
            let record = state.tickets.entry(ticket.clone()).or_default();
            record.granted = is_granted;
            if is_granted {
                record.last_granted = Some(wall_ms / 1_000);
            }
            let verb = if is_granted { "granted" } else { "revoked" };
            note(
                state,
                index,
                who,
                format!("ticket {ticket} {verb}"),
                wall_ms,
            );
            vec![Change::Status]
        }
        Entry::Token {
            hash,
            expires_wall_ms,
            wall_ms,
        } => {
            state.tokens.retain(|_, end| *end > wall_ms);
            if state.tokens.len() >= TOKENS_MAX {
                return void("too many open join tokens");
            }
            state.tokens.insert(hash, expires_wall_ms);
            vec![Change::Record]
        }
        Entry::Admit {
            node,
            token_hash,
            wall_ms,
        } => admit(state, &node, &token_hash, wall_ms),
        Entry::Notified(told) => {
            for notice in &told {
                state.owed.remove(notice);
            }
            vec![Change::Record]
        }
        Entry::Transition(record) => transition(state, record),
        Entry::Incident(incident) => note_incident(state, incident),
    }
}

fn void(why: &str) -> Vec<Change> {
    vec![Change::Void(why.to_owned())]
}

/// The state a cluster begins with; every founder derives the same.
#[must_use]
pub fn genesis(cluster: &str, lineage: Lineage, genesis: &Genesis) -> ClusterState {
    let mut state = ClusterState {
        cluster: cluster.to_owned(),
        lineage,
        ..ClusterState::default()
    };
    state.document.text.clone_from(&genesis.configuration);
    state.document.revision = 1;
    state.document.who = "init".to_owned();
    state.configuration = crate::document::derive(&state.document.text);
    state.next_transition = 1;
    for founder in &genesis.founders {
        state.members.insert(
            founder.name.clone(),
            Member {
                raft_id: founder.raft_id,
                role: MemberRole::Voter,
                addresses: founder.addresses.clone(),
                fingerprint: founder.fingerprint.clone(),
                is_witness: founder.is_witness,
                joined_wall_ms: 0,
            },
        );
        state.nodes.entry(founder.name.clone()).or_default();
    }
    state
}

fn note(state: &mut ClusterState, index: LogIndex, who: String, what: String, wall_ms: i64) {
    if what.is_empty() {
        return;
    }
    if state.changes.len() >= CHANGES_MAX {
        state.changes.pop_front();
    }
    state.changes.push_back(ChangeRecord {
        who,
        what,
        wall_ms,
        index,
    });
}

fn configure(
    state: &mut ClusterState,
    index: LogIndex,
    text: String,
    based_on: u64,
    who: String,
    wall_ms: i64,
) -> Vec<Change> {
    if based_on != state.document.revision {
        return void("the configuration has changed since");
    }
    state.configuration = crate::document::derive(&text);
    state.document.text = text;
    state.document.revision += 1;
    state.document.who.clone_from(&who);
    state.document.wall_ms = wall_ms;
    let what = format!("configuration, revision {}", state.document.revision);
    note(state, index, who, what, wall_ms);
    vec![Change::Configuration]
}

/// What a node's life leaves behind goes with it: history, transient attributes, holders.
fn forget_life(state: &mut ClusterState, node: &NodeName) {
    owed::ended(state, node);
    if let Some(status) = state.nodes.get_mut(node) {
        status.resources.clear();
        status.transient.clear();
        status.private.clear();
        status.has_history = false;
        status.recent.clear();
        status.watchdog_ms = None;
    }
    release(state, node);
}

fn release(state: &mut ClusterState, node: &NodeName) {
    state.holders.retain(|_, nodes| {
        nodes.remove(node);
        !nodes.is_empty()
    });
}

fn node_up(
    state: &mut ClusterState,
    node: NodeName,
    incarnation: Incarnation,
    watchdog_ms: Option<u64>,
    wall_ms: i64,
) -> Vec<Change> {
    if !state.members.contains_key(&node) {
        return void("the node is no member");
    }
    let status = state.nodes.entry(node.clone()).or_default();
    let is_dead = |certificate: &Certificate| certificate.boot == incarnation.boot;
    let is_same_boot = status.incarnation.boot == incarnation.boot;
    if status.certificate.as_ref().is_some_and(is_dead)
        || (is_same_boot && !status.distrusted.is_empty())
    {
        return void("this boot of the node was fenced");
    }
    status.distrusted.clear();
    let is_kept = crate::seeded::has(crate::seeded::Bug::RebootKeepsHistory);
    if status.incarnation.boot != incarnation.boot && !is_kept {
        forget_life(state, &node);
    }
    let status = state.nodes.entry(node.clone()).or_default();
    status.incarnation = incarnation;
    status.presence = Presence::Online;
    status.since_wall_ms = wall_ms;
    status.reason = "joined".to_owned();
    status.has_history = true;
    status.fence_failures = 0;
    status.watchdog_ms = watchdog_ms;
    status.transient.remove("shutdown");
    vec![Change::Node(node)]
}

fn node_lost(
    state: &mut ClusterState,
    node: NodeName,
    incarnation: Incarnation,
    reason: String,
    wall_ms: i64,
) -> Vec<Change> {
    let Some(status) = state.nodes.get_mut(&node) else {
        return void("the node is not known");
    };
    if status.incarnation != incarnation {
        return void("the node lives another life");
    }
    // Whoever left, was fenced or ran out of its lease in this life cannot be lost once more.
    if !matches!(status.presence, Presence::Online | Presence::Unseen)
        && !crate::seeded::has(crate::seeded::Bug::LostAfterFenced)
    {
        return void("the node is not there already");
    }
    status.presence = Presence::Lost;
    status.since_wall_ms = wall_ms;
    status.reason = reason;
    status.fence_failures = 0;
    vec![Change::Node(node)]
}

fn node_left(
    state: &mut ClusterState,
    node: NodeName,
    incarnation: Incarnation,
    wall_ms: i64,
) -> Vec<Change> {
    let Some(status) = state.nodes.get_mut(&node) else {
        return void("the node is not known");
    };
    if status.incarnation != incarnation || status.presence != Presence::Online {
        return void("the node is not there");
    }
    status.presence = Presence::Left;
    status.since_wall_ms = wall_ms;
    status.reason = "was shut down".to_owned();
    status.transient.clear();
    status.private.clear();
    vec![Change::Node(node)]
}

fn fencing(state: &mut ClusterState, record: FenceRecord) -> Vec<Change> {
    let target = record.target.clone();
    if let Some(status) = state.nodes.get_mut(&target) {
        match &record.outcome {
            FenceOutcome::Confirmed(evidence) if record.action != "on" => {
                let is_this_life = status.incarnation.boot == record.boot;
                let certificate = Certificate {
                    boot: record.boot,
                    evidence: *evidence,
                    wall_ms: record.wall_ms,
                    by: record.devices.join(", "),
                };
                if is_this_life {
                    status.certificate = Some(certificate);
                    status.presence = Presence::Fenced;
                    status.since_wall_ms = record.wall_ms;
                    status.reason.clone_from(&record.reason);
                    status.fence_failures = 0;
                    status.distrusted.clear();
                    forget_life(state, &target);
                }
            }
            FenceOutcome::Confirmed(_) => {}
            FenceOutcome::Failed(_) => status.fence_failures += 1,
            FenceOutcome::Refuted => {
                // The certificate was wrong: whatever ran there may run still.
                if let Some(certificate) = status.certificate.take() {
                    status
                        .distrusted
                        .extend(certificate.by.split(", ").map(str::to_owned));
                }
                status.presence = Presence::Lost;
                status.since_wall_ms = record.wall_ms;
                status.reason = "spoke after its fencing was confirmed".to_owned();
            }
        }
    }
    if state.fencing.len() >= FENCING_HISTORY_MAX {
        state.fencing.pop_front();
    }
    state.fencing.push_back(record);
    vec![Change::Fencing(target.clone()), Change::Node(target)]
}

fn intents_stand(
    state: &mut ClusterState,
    index: LogIndex,
    term: Term,
    of: Term,
    intents: Vec<Intent>,
) -> Vec<Change> {
    let mut stand = Vec::new();
    let mut void = Vec::new();
    for intent in intents {
        // Never two owners: decided here, by the log's order, whatever the leader believed.
        let is_online = state.node(&intent.node).is_some_and(|node| {
            node.presence == Presence::Online && node.incarnation.boot == intent.boot
        });
        let is_held = intent.is_exclusive
            && !crate::seeded::has(crate::seeded::Bug::StartBeforeStop)
            && !crate::seeded::has(crate::seeded::Bug::LostIsGone)
            && state
                .holders_of(&intent.resource)
                .any(|(node, _)| *node != intent.node && Some(node) != intent.source.as_ref());
        if of != term || !is_online || is_held {
            void.push(intent.action);
            continue;
        }
        let nodes = state.holders.entry(intent.resource).or_default();
        nodes.insert(
            intent.node,
            Holder {
                boot: intent.boot,
                action: intent.action.clone(),
                term,
                index,
                is_open: true,
            },
        );
        stand.push(intent.action);
    }
    let mut changes = Vec::new();
    if !stand.is_empty() {
        changes.push(Change::Intents(stand));
    }
    if !void.is_empty() {
        changes.push(Change::IntentsVoid(void));
    }
    changes
}

/// Applies a change; whether a decision can depend on it.
fn attribute(state: &mut ClusterState, change: AttributeChange) -> bool {
    let matters = !change.is_private && may_matter(state, &change.name);
    let Some(status) = state.nodes.get_mut(&change.node) else {
        return false;
    };
    let map = match (change.is_permanent, change.is_private) {
        (true, _) => &mut status.permanent,
        (_, true) => &mut status.private,
        _ => &mut status.transient,
    };
    let before = match change.value.clone() {
        Some(value) => map.insert(change.name, value),
        None => map.remove(&change.name),
    };
    matters && before != change.value
}

/// Names that the scheduler or the controller reads, and any that the configuration speaks of (in a rule, say).
/// Agents keep notes in attributes; a note that nobody reads must not void a transition.
fn may_matter(state: &ClusterState, name: &str) -> bool {
    const READ: [&str; 8] = [
        "#",
        "fail-count-",
        "last-failure-",
        "maintenance",
        "master-",
        "shutdown",
        "standby",
        "terminate",
    ];
    READ.iter().any(|begin| name.starts_with(begin))
        || name.ends_with("-score")
        || state.document.text.contains(name)
}

fn forget(
    state: &mut ClusterState,
    index: LogIndex,
    what: &[(NodeName, Option<String>)],
    who: String,
    wall_ms: i64,
) -> Vec<Change> {
    for (node, resource) in what {
        let Some(status) = state.nodes.get_mut(node) else {
            continue;
        };
        match resource {
            None => {
                status.resources.clear();
                status
                    .transient
                    .retain(|name, _| !is_failure_attribute(name));
            }
            Some(resource) => {
                status.resources.remove(resource);
                let belongs = |name: &str| {
                    name.strip_prefix("fail-count-")
                        .or_else(|| name.strip_prefix("last-failure-"))
                        .and_then(|rest| rest.split('#').next())
                        == Some(resource)
                };
                status.transient.retain(|name, _| !belongs(name));
            }
        }
    }
    let names: Vec<String> = what
        .iter()
        .map(|(node, resource)| match resource {
            Some(resource) => format!("{resource} on {node}"),
            None => format!("all on {node}"),
        })
        .collect();
    if !who.is_empty() {
        note(
            state,
            index,
            who,
            format!("clean up {}", names.join(", ")),
            wall_ms,
        );
    }
    vec![Change::Status]
}

/// Fail counts and the times of the last failures.
#[must_use]
pub fn is_failure_attribute(name: &str) -> bool {
    name.starts_with("fail-count-") || name.starts_with("last-failure-")
}

fn admit(state: &mut ClusterState, node: &Founder, token_hash: &str, wall_ms: i64) -> Vec<Change> {
    match state.tokens.get(token_hash) {
        Some(end) if *end > wall_ms => {}
        Some(_) => return void("the join token has expired"),
        None => return void("the join token is not known or was used already"),
    }
    // One that the consensus never took in (the leader changed meanwhile) may try again.
    let known = state.members.get(&node.name);
    if known.is_some_and(|member| member.raft_id != RaftId(0)) {
        return void("a node of that name is a member already: remove it first");
    }
    state.tokens.remove(token_hash);
    state.members.insert(
        node.name.clone(),
        Member {
            raft_id: RaftId(0),
            role: MemberRole::Learner,
            addresses: node.addresses.clone(),
            fingerprint: node.fingerprint.clone(),
            is_witness: node.is_witness,
            joined_wall_ms: wall_ms,
        },
    );
    state.nodes.insert(
        node.name.clone(),
        NodeStatus {
            since_wall_ms: wall_ms,
            presence: Presence::Left,
            reason: "has not started yet".to_owned(),
            ..NodeStatus::default()
        },
    );
    vec![Change::Members]
}

/// Takes over the members as the consensus has them: numbers, parts, addresses.
pub fn apply_members(
    state: &mut ClusterState,
    index: LogIndex,
    members: &[engine::Member],
) -> Vec<Change> {
    state.applied = state.applied.max(index);
    let is_there = |name: &NodeName| members.iter().any(|member| member.name == *name);
    let gone: Vec<NodeName> = state
        .members
        .iter()
        .filter(|(name, member)| member.raft_id != RaftId(0) && !is_there(name))
        .map(|(name, _)| name.clone())
        .collect();
    for name in gone {
        state.members.remove(&name);
        state.nodes.remove(&name);
        release(state, &name);
    }
    for theirs in members {
        let member = state.members.entry(theirs.name.clone()).or_default();
        member.raft_id = theirs.raft_id;
        member.addresses.clone_from(&theirs.addresses);
        member.role = match theirs.role {
            engine::MemberRole::Voter => MemberRole::Voter,
            engine::MemberRole::Learner => MemberRole::Learner,
            engine::MemberRole::Returning => MemberRole::Returning,
        };
        state.nodes.entry(theirs.name.clone()).or_default();
    }
    vec![Change::Members]
}

fn transition(state: &mut ClusterState, record: TransitionRecord) -> Vec<Change> {
    state.next_transition = state.next_transition.max(record.number + 1);
    if let Some(known) = state
        .ledger
        .iter_mut()
        .rev()
        .find(|known| known.number == record.number)
    {
        known.end = record.end;
        known.end_wall_ms = record.end_wall_ms;
        return vec![Change::Record];
    }
    if state.ledger.len() >= LEDGER_MAX {
        state.ledger.pop_front();
    }
    state.ledger.push_back(record);
    vec![Change::Record]
}

fn note_incident(state: &mut ClusterState, incident: Incident) -> Vec<Change> {
    let is_same = |known: &&mut Incident| {
        known.what == incident.what && known.began_wall_ms == incident.began_wall_ms
    };
    if let Some(known) = state.incidents.iter_mut().rev().find(is_same) {
        known.milestones.extend(incident.milestones);
        return vec![Change::Record];
    }
    if state.incidents.len() >= INCIDENTS_MAX {
        state.incidents.pop_front();
    }
    state.incidents.push_back(incident);
    vec![Change::Record]
}
