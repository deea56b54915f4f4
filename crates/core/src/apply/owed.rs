//! Notifications that are owed: what happened to an instance of a clone with `notify`, until the others were told.
//!
//! A transition that ends early, a fencing ahead of one, a new leader: none of them may swallow a notification, since
//! agents act on it (RabbitMQ's drops the broker of a fenced node, without which its mirrored queues stay blocked).

use crate::document;
use crate::entry::Report;
use crate::ids::NodeName;
use crate::state::{ClusterState, OwedNotice};
use crate::view::meta_sets;

use super::rc_and_status;

/// More than a cluster can have instances: a bound.
const OWED_MAX: usize = 1_000;

/// An operation ended well.
pub(super) fn happened(state: &mut ClusterState, node: &NodeName, report: &Report) {
    let is_told_of = ["demote", "stop", "start", "promote"].contains(&report.operation.as_str());
    let ended = rc_and_status(report.result.outcome);
    if is_told_of && ended == (report.expected_rc, 0) && notifies(state, &report.resource) {
        owe(state, &report.operation, &report.resource, node);
    }
}

/// A node's life ended with whatever it ran.
pub(super) fn ended(state: &mut ClusterState, node: &NodeName) {
    let held: Vec<String> = state
        .held_by(node)
        .map(ToString::to_string)
        .filter(|resource| notifies(state, resource))
        .collect();
    for resource in held {
        owe(state, "stop", &resource, node);
    }
}

fn owe(state: &mut ClusterState, operation: &str, resource: &str, node: &NodeName) {
    // What an instance does now makes news of its opposite old.
    let opposite = match operation {
        "start" => "stop",
        "stop" => "start",
        "promote" => "demote",
        _ => "promote",
    };
    state.owed.retain(|owed| {
        let is_same = owed.resource == resource && owed.node == *node;
        !is_same || owed.operation != opposite && (operation != "stop" || owed.operation == "stop")
    });
    if state.owed.len() < OWED_MAX {
        state.owed.insert(OwedNotice {
            operation: operation.to_owned(),
            resource: resource.to_owned(),
            node: node.clone(),
        });
    }
}

/// Whether the instance belongs to a clone whose instances are told of each other.
fn notifies(state: &ClusterState, instance: &str) -> bool {
    let base = instance.split(':').next().unwrap_or(instance);
    let said = meta_sets(&state.configuration, base)
        .into_iter()
        .chain(&state.configuration.resource_defaults)
        .find_map(|set| document::value(set, "notify"));
    said.is_some_and(document::is_true)
}
