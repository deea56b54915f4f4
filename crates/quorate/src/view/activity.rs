//! What a node's operation history says of a resource: active or not, in which role, failed or not.

use quorate_core::state::{OpRecord, ResourceRecord};

/// Role of an instance on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Not active.
    Stopped,
    /// Active.
    Started,
    /// Active, the lesser role.
    Unpromoted,
    /// Active, the greater role.
    Promoted,
}

impl Role {
    /// As Pacemaker names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "Stopped",
            Self::Started => "Started",
            Self::Unpromoted => "Unpromoted",
            Self::Promoted => "Promoted",
        }
    }
}

/// An instance on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// What it is.
    pub role: Role,
    /// Its last action failed.
    pub is_failed: bool,
    /// What it is being made (`Starting`, `Stopping` ...).
    pub pending: Option<&'static str>,
}

/// Reads the history.
pub fn of(record: &ResourceRecord, is_promotable: bool) -> Activity {
    let mut operations: Vec<(&String, &OpRecord)> = record.operations.iter().collect();
    // A failure is kept beside the latest result of its operation; among equals the latest result counts.
    operations.sort_by_key(|(id, op)| (op.call_id, !id.contains("_last_failure_")));
    let mut activity = Activity {
        role: Role::Stopped,
        is_failed: false,
        pending: None,
    };
    for (_, op) in operations {
        advance(&mut activity, op, is_promotable);
    }
    activity
}

fn advance(activity: &mut Activity, op: &OpRecord, is_promotable: bool) {
    let active = if is_promotable {
        Role::Unpromoted
    } else {
        Role::Started
    };
    if op.status == -1 {
        activity.pending = match op.operation.as_str() {
            "start" => Some("Starting"),
            "stop" => Some("Stopping"),
            "promote" => Some("Promoting"),
            "demote" => Some("Demoting"),
            "migrate_to" | "migrate_from" => Some("Migrating"),
            _ => None,
        };
        return;
    }
    activity.pending = None;
    let is_success = op.status == 0 && op.rc == 0;
    match (op.operation.as_str(), is_success) {
        ("start" | "demote" | "migrate_from", true) => set(activity, active),
        ("promote", true) => set(activity, Role::Promoted),
        ("stop" | "migrate_to", true) => set(activity, Role::Stopped),
        ("monitor", _) => monitored(activity, op, active),
        ("start" | "promote" | "demote" | "stop" | "migrate_to" | "migrate_from", false) => {
            activity.is_failed = true;
            if activity.role == Role::Stopped {
                activity.role = active;
            }
        }
        _ => {}
    }
}

fn set(activity: &mut Activity, role: Role) {
    activity.role = role;
    activity.is_failed = false;
}

fn monitored(activity: &mut Activity, op: &OpRecord, active: Role) {
    match (op.status, op.rc) {
        (0, 0) if activity.role != Role::Promoted || op.interval_ms == 0 => set(activity, active),
        (0, 0) => activity.is_failed = false,
        (0, 8) => set(activity, Role::Promoted),
        // A probe that finds nothing is what one expects; a recurring monitor that does is a failure.
        (0, 7) if op.interval_ms == 0 => set(activity, Role::Stopped),
        // "Not installed" and "not configured" of a probe: it cannot be active there.
        (_, 5 | 6) if op.interval_ms == 0 => set(activity, Role::Stopped),
        _ => {
            activity.is_failed = true;
            if activity.role == Role::Stopped && op.interval_ms == 0 {
                activity.role = active;
            }
        }
    }
}

/// An OCF exit code in words.
pub fn exit_word(rc: i32) -> &'static str {
    match rc {
        0 => "ok",
        1 => "error",
        2 => "invalid parameter",
        3 => "unimplemented feature",
        4 => "insufficient privileges",
        5 => "not installed",
        6 => "not configured",
        7 => "not running",
        8 => "promoted",
        9 => "promoted (failed)",
        124 => "timed out",
        189 => "no fence device",
        190 => "promoted (degraded)",
        191 => "degraded",
        193 => "pending",
        _ => "unknown",
    }
}

/// An operation's status in words.
pub fn status_word(status: i32) -> &'static str {
    match status {
        -1 => "pending",
        0 => "complete",
        1 => "cancelled",
        2 => "timed out",
        3 => "not supported",
        4 => "error",
        5 => "hard error",
        6 => "fatal error",
        7 => "not installed",
        8 => "not connected",
        _ => "unknown",
    }
}
