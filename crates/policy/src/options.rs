//! Cluster options with their defaults, old and new spellings.

use crate::score::{Score, is_true, parse, parse_bool, parse_ms};
use std::collections::BTreeMap;

/// What to do without quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoQuorum {
    Freeze,
    Stop,
    Ignore,
    Fence,
    Demote,
}

/// How nodes are chosen among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Default,
    Utilization,
    Balanced,
    Minimal,
}

/// Cluster options that the engine knows.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    pub all: BTreeMap<String, String>,
    pub quorate: bool,
    pub no_quorum: NoQuorum,
    pub symmetric: bool,
    pub maintenance: bool,
    pub start_failure_fatal: bool,
    pub startup_probes: bool,
    pub fencing: bool,
    pub fencing_action: String,
    pub fencing_timeout_ms: i64,
    pub have_watchdog: bool,
    pub concurrent_fencing: bool,
    pub startup_fencing: bool,
    pub priority_delay_ms: i64,
    pub pending_timeout_s: i64,
    pub cluster_delay_ms: i64,
    pub batch_limit: u32,
    pub migration_limit: i64,
    pub stop_all: bool,
    pub stop_removed: bool,
    pub cancel_removed: bool,
    pub remove_after_stop: bool,
    pub shutdown_lock: bool,
    pub shutdown_lock_limit_s: i64,
    pub strategy: Strategy,
    pub fence_remote_without_quorum: bool,
}

impl ClusterOptions {
    /// Interprets the pairs; `quorate` and `panic` come from the root element.
    pub fn new(all: BTreeMap<String, String>, quorate: bool, panic: bool) -> Self {
        let get = |names: &[&str]| names.iter().find_map(|n| all.get(*n)).map(String::as_str);
        let flag =
            |names: &[&str], default: bool| get(names).and_then(parse_bool).unwrap_or(default);
        let ms = |names: &[&str], default: i64| get(names).and_then(parse_ms).unwrap_or(default);
        let fencing = flag(&["fencing-enabled", "stonith-enabled"], true);
        let no_quorum = match get(&["no-quorum-policy"]).unwrap_or("stop") {
            "freeze" => NoQuorum::Freeze,
            "ignore" => NoQuorum::Ignore,
            "demote" => NoQuorum::Demote,
            "suicide" | "fence" if fencing && (quorate || panic) => NoQuorum::Fence,
            _ => NoQuorum::Stop,
        };
        let fencing_action = match get(&["fencing-action", "stonith-action"]).unwrap_or("reboot") {
            "poweroff" | "off" => "off",
            _ => "reboot",
        };
        let strategy = match get(&["placement-strategy"]).unwrap_or("default") {
            "utilization" => Strategy::Utilization,
            "balanced" => Strategy::Balanced,
            "minimal" => Strategy::Minimal,
            _ => Strategy::Default,
        };
        ClusterOptions {
            quorate,
            no_quorum,
            symmetric: flag(&["symmetric-cluster", "symmetric_cluster"], true),
            maintenance: flag(&["maintenance-mode"], false),
            start_failure_fatal: flag(&["start-failure-is-fatal"], true),
            startup_probes: flag(&["enable-startup-probes"], true),
            fencing,
            fencing_action: fencing_action.to_owned(),
            fencing_timeout_ms: ms(&["fencing-timeout", "stonith-timeout"], 60_000),
            have_watchdog: is_true(get(&["have-watchdog"])),
            concurrent_fencing: flag(&["concurrent-fencing"], true),
            startup_fencing: flag(&["startup-fencing"], true),
            priority_delay_ms: ms(&["priority-fencing-delay"], 0),
            pending_timeout_s: ms(&["node-pending-timeout"], 0) / 1000,
            cluster_delay_ms: ms(&["cluster-delay"], 60_000),
            batch_limit: get(&["batch-limit"]).map_or(0, |v| u32::try_from(parse(v)).unwrap_or(0)),
            migration_limit: get(&["migration-limit"]).map_or(-1, |v| i64::from(parse(v))),
            stop_all: flag(&["stop-all-resources"], false),
            stop_removed: flag(&["stop-removed-resources", "stop-orphan-resources"], true),
            cancel_removed: flag(&["cancel-removed-actions", "stop-orphan-actions"], true),
            remove_after_stop: flag(&["remove-after-stop"], false),
            shutdown_lock: flag(&["shutdown-lock"], false),
            shutdown_lock_limit_s: ms(&["shutdown-lock-limit"], 0) / 1000,
            strategy,
            fence_remote_without_quorum: flag(&["fence-remote-without-quorum"], false),
            all,
        }
    }

    /// An option as written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str)
    }

    /// A health colour's or any other score option.
    pub fn score(&self, name: &str, default: Score) -> Score {
        self.text(name).map_or(default, parse)
    }
}
