//! What happened, newest last: incidents with their timelines, transitions with reasons, fencing, operators' changes.

use quorate_core::state::{ClusterState, FenceOutcome, FenceRecord, Incident, TransitionRecord};
use serde::Serialize;

use super::when;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happening {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// `change`, `incident`, `fencing`, `transition`, `operation`.
    pub kind: &'static str,
    /// One sentence.
    pub text: String,
    /// More about it, one line each.
    pub details: Vec<String>,
    /// Node or resource names that it concerns.
    pub about: Vec<String>,
    /// How long it took, where one call of an agent or device stands behind it; it ended at `at_ms` then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// All that the replicated state remembers.
pub fn all(state: &ClusterState) -> Vec<Happening> {
    let mut list: Vec<Happening> = Vec::new();
    list.extend(state.changes.iter().map(|c| Happening {
        at_ms: c.wall_ms,
        kind: "change",
        text: format!("{} ({})", c.what, c.who),
        details: Vec::new(),
        about: Vec::new(),
        took_ms: None,
    }));
    list.extend(state.incidents.iter().map(incident));
    list.extend(state.fencing.iter().map(fencing));
    list.extend(state.ledger.iter().map(transition));
    list.sort_by_key(|h| h.at_ms);
    list
}

fn incident(incident: &Incident) -> Happening {
    Happening {
        at_ms: incident.began_wall_ms,
        kind: "incident",
        text: incident.what.clone(),
        details: incident
            .milestones
            .iter()
            .map(|(name, ms)| format!("{name} after {}.{:03} s", ms / 1000, ms % 1000))
            .collect(),
        about: vec![incident.node.0.clone()],
        took_ms: None,
    }
}

fn fencing(record: &FenceRecord) -> Happening {
    let how = match &record.outcome {
        FenceOutcome::Confirmed(evidence) => format!("confirmed ({evidence:?})"),
        FenceOutcome::Failed(words) => format!("FAILED: {words}"),
        FenceOutcome::Refuted => "REFUTED: the node spoke after it was declared off".to_owned(),
    };
    let devices = match record.devices.as_slice() {
        [] => String::new(),
        devices => format!(" with {}", devices.join(", ")),
    };
    Happening {
        at_ms: record.wall_ms,
        kind: "fencing",
        text: format!(
            "{} {} by {}{devices}: {how}",
            record.action, record.target, record.by
        ),
        details: vec![format!(
            "because {}; it took {} ms",
            record.reason, record.took_ms
        )],
        about: vec![record.target.0.clone()],
        took_ms: Some(record.took_ms),
    }
}

fn transition(record: &TransitionRecord) -> Happening {
    let end = match record.end.as_str() {
        "" => "runs".to_owned(),
        end => format!("{end} after {} ms", record.end_wall_ms - record.wall_ms),
    };
    let actions = record.actions.iter().map(|(key, node, reason)| {
        let place = if node.is_empty() {
            String::new()
        } else {
            format!(" on {node}")
        };
        format!("{key}{place}: {reason}")
    });
    let blocked = record
        .blocked
        .iter()
        .map(|(what, why, way_out)| format!("BLOCKED {what}: {why} -> {way_out}"));
    Happening {
        at_ms: record.wall_ms,
        kind: "transition",
        text: format!(
            "transition {} by {} ({}): {end}",
            record.number, record.leader, record.trigger
        ),
        details: actions.chain(blocked).collect(),
        about: record
            .actions
            .iter()
            .flat_map(|(key, node, _)| [key.clone(), node.clone()])
            .collect(),
        took_ms: None,
    }
}

/// The last call of each kind that each node's agents made for each resource: when it ended, how long it took.
pub fn operations(state: &ClusterState) -> Vec<Happening> {
    let mut list: Vec<Happening> = Vec::new();
    for (node, status) in &state.nodes {
        for (resource, record) in &status.resources {
            list.extend(record.operations.values().map(|one| Happening {
                at_ms: one.changed_wall_ms,
                kind: "operation",
                text: format!(
                    "{} of {resource} on {node} ended with {} after {} ms",
                    one.key, one.rc, one.took_ms
                ),
                details: Vec::new(),
                about: vec![resource.clone(), node.0.clone(), one.operation.clone()],
                took_ms: Some(one.took_ms),
            }));
        }
    }
    list.sort_by_key(|h| h.at_ms);
    list
}

/// As text.
pub fn text(list: &[Happening]) -> String {
    let mut out = String::new();
    for h in list {
        out.push_str(&format!("{}  {}\n", when::date(h.at_ms), h.text));
        for detail in &h.details {
            out.push_str(&format!("                       {detail}\n"));
        }
    }
    out
}
