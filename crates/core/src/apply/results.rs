//! Results of agents: the history of a node's operations, its fail counts, and who holds what.

use super::{Change, owed, void};
use crate::entry::{FailureWeight, Report};
use crate::event::Outcome;
use crate::ids::{Incarnation, NodeName, Term};
use crate::state::{ClusterState, Holder, NodeStatus, OpRecord, RECENT_MAX};

pub(crate) fn results(
    state: &mut ClusterState,
    node: NodeName,
    incarnation: Incarnation,
    reports: Vec<Report>,
) -> Vec<Change> {
    let Some(status) = state.nodes.get_mut(&node) else {
        return void("the node is not known");
    };
    if status.incarnation.boot != incarnation.boot {
        return void("results of another boot");
    }
    let mut last = 0;
    for report in reports {
        last = last.max(report.number);
        let Some(status) = state.nodes.get_mut(&node) else {
            break;
        };
        if status.report_session == report.session && report.number <= status.last_report {
            continue;
        }
        status.report_session = report.session;
        status.last_report = report.number;
        if !report.action.is_empty() {
            if status.recent.contains(&report.action) {
                continue;
            }
            if status.recent.len() >= RECENT_MAX {
                status.recent.pop_front();
            }
            status.recent.push_back(report.action.clone());
        }
        record_history(status, &report);
        owed::happened(state, &node, &report);
        record_holder(state, &node, incarnation, &report);
    }
    vec![Change::Results(node, incarnation, last)]
}

/// Exit code and status as the history has them.
#[must_use]
pub fn rc_and_status(outcome: Outcome) -> (i32, i32) {
    match outcome {
        Outcome::Exited(rc) => (rc, 0),
        Outcome::TimedOut => (1, 2),
        Outcome::NotRun => (5, 4),
        Outcome::Lost => (193, -1),
    }
}

pub(crate) fn record_history(status: &mut NodeStatus, report: &Report) {
    if matches!(
        report.operation.as_str(),
        "notify" | "meta-data" | "validate-all"
    ) {
        return;
    }
    if report.operation == "cancel" {
        if let Some(resource) = status.resources.get_mut(&report.resource) {
            resource.operations.remove(&report.key);
        }
        return;
    }
    let (rc, op_status) = rc_and_status(report.result.outcome);
    let has_failed = op_status != 0 || rc != report.expected_rc;
    status.next_call += 1;
    let call_id = status.next_call;
    if let Some(name) = failure_name(report) {
        let key = format!("fail-count-{name}");
        let count = match report.failure {
            FailureWeight::Infinite => "INFINITY".to_owned(),
            _ => add_score(status.transient.get(&key).map(String::as_str), 1),
        };
        status.transient.insert(key, count);
        let when = (report.wall_ms / 1_000).to_string();
        status
            .transient
            .insert(format!("last-failure-{name}"), when);
    }
    let resource = status.resources.entry(report.resource.clone()).or_default();
    resource.class.clone_from(&report.class);
    resource.provider.clone_from(&report.provider);
    resource.agent.clone_from(&report.agent);
    let record = OpRecord {
        key: report.key.clone(),
        operation: report.operation.clone(),
        call_id,
        rc,
        status: op_status,
        interval_ms: report.interval_ms,
        transition_key: report.transition_key.clone(),
        exit_reason: report.result.exit_reason.clone(),
        changed_wall_ms: report.wall_ms,
        took_ms: report.result.took_ms,
        digests: report.result.digests.clone(),
        output: if has_failed {
            report.result.output.clone()
        } else {
            String::new()
        },
        migration: report.migration.clone(),
    };
    let id = &report.resource;
    if report.operation == "stop" && !has_failed {
        resource
            .operations
            .retain(|_, operation| operation.interval_ms == 0 || operation.rc != 0);
    }
    if has_failed {
        let key = format!("{id}_last_failure_0");
        resource.operations.insert(key, record.clone());
        if report.interval_ms == 0 {
            resource.operations.insert(format!("{id}_last_0"), record);
        }
    } else if report.interval_ms > 0 || report.operation.starts_with("migrate_") {
        resource.operations.insert(report.key.clone(), record);
    } else {
        resource.operations.insert(format!("{id}_last_0"), record);
    }
}

fn failure_name(report: &Report) -> Option<String> {
    if report.failure == FailureWeight::None {
        return None;
    }
    let (resource, operation, interval) = (&report.resource, &report.operation, report.interval_ms);
    Some(format!("{resource}#{operation}_{interval}"))
}

/// Adds to a number as node attributes hold it; infinity stays.
#[must_use]
pub fn add_score(value: Option<&str>, add: i64) -> String {
    const INFINITE: i64 = 1_000_000;
    let now = match value {
        Some("INFINITY" | "+INFINITY") => INFINITE,
        Some("-INFINITY") => -INFINITE,
        Some(text) => text.parse().unwrap_or(0),
        None => 0,
    };
    match now.saturating_add(add) {
        sum if sum >= INFINITE => "INFINITY".to_owned(),
        sum if sum <= -INFINITE => "-INFINITY".to_owned(),
        sum => sum.to_string(),
    }
}

/// A stop or a probe that finds nothing ends the holding; whatever else was found running begins it.
fn record_holder(
    state: &mut ClusterState,
    node: &NodeName,
    incarnation: Incarnation,
    report: &Report,
) {
    if report.class == "stonith" || matches!(report.operation.as_str(), "cancel" | "notify") {
        return;
    }
    let (rc, op_status) = rc_and_status(report.result.outcome);
    let is_probe = report.operation == "monitor" && report.interval_ms == 0;
    let is_stopped =
        op_status == 0 && ((report.operation == "stop" && rc == 0) || (is_probe && rc == 7));
    let is_failed_stop = report.operation == "stop" && !is_stopped;
    let is_failed_start = report.operation == "start" && (op_status != 0 || rc != 0);
    let is_believed = is_failed_stop && crate::seeded::has(crate::seeded::Bug::FailedStopReleases)
        || is_failed_start && crate::seeded::has(crate::seeded::Bug::FailedStartReleases);
    let nodes = state.holders.entry(report.resource.clone()).or_default();
    if is_stopped || is_believed {
        nodes.remove(node);
    } else if let Some(holder) = nodes.get_mut(node) {
        // A probe that found it answers what an intent that was never begun left open.
        if holder.action == report.action || is_probe {
            holder.is_open = false;
        }
    } else if is_probe && !(op_status == 4 || rc == 5) {
        let holder = Holder {
            boot: incarnation.boot,
            action: "probe".to_owned(),
            term: Term(0),
            index: state.applied,
            is_open: false,
        };
        nodes.insert(node.clone(), holder);
    }
    if nodes.is_empty() {
        state.holders.remove(&report.resource);
    }
}
