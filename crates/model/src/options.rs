//! The names that configurations may use: cluster options, meta attributes, attributes of operations.

use crate::metadata::is_true;
use crate::times;

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// Yes or no.
    Boolean,
    /// A whole number.
    Integer,
    /// A whole number, inf or -inf.
    Score,
    /// A time.
    Time,
    /// A time, or -1.
    TimeOrMinusOne,
    /// A part of a hundred.
    Percent,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Anything.
    Text,
}

/// A known option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOption {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionKind,
    /// The value when it is not set.
    pub default: &'static str,
    /// One line about it.
    pub about: &'static str,
}

const fn option(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    about: &'static str,
) -> KnownOption {
    KnownOption {
        name,
        kind,
        default,
        about,
    }
}

use OptionKind::{Boolean, Choice, Integer, Percent, Score, Text, Time, TimeOrMinusOne};

/// Cluster options: Pacemaker's and this project's own.
pub const CLUSTER: &[KnownOption] = &[
    option(
        "revoked-clients",
        Text,
        "",
        "names of remote operators whose credentials count no more",
    ),
    option(
        "detection-time",
        Time,
        "1s",
        "silence after which a node counts as lost",
    ),
    option(
        "fence-delay",
        Time,
        "0s",
        "wait of the weaker side of a pair before it fences",
    ),
    option("stonith-enabled", Boolean, "true", "fence failed nodes"),
    option("fencing-enabled", Boolean, "true", "fence failed nodes"),
    option(
        "stonith-action",
        Choice(&["reboot", "off", "poweroff"]),
        "reboot",
        "what fencing does",
    ),
    option(
        "fencing-action",
        Choice(&["reboot", "off", "poweroff"]),
        "reboot",
        "what fencing does",
    ),
    option("stonith-timeout", Time, "60s", "how long fencing may take"),
    option("fencing-timeout", Time, "60s", "how long fencing may take"),
    option(
        "stonith-max-attempts",
        Score,
        "10",
        "failures after which a target is not fenced again by itself",
    ),
    option(
        "fencing-max-attempts",
        Score,
        "10",
        "failures after which a target is not fenced again by itself",
    ),
    option(
        "stonith-watchdog-timeout",
        TimeOrMinusOne,
        "0",
        "time after which a watchdog has reset a lost node",
    ),
    option(
        "fencing-watchdog-timeout",
        TimeOrMinusOne,
        "0",
        "time after which a watchdog has reset a lost node",
    ),
    option(
        "concurrent-fencing",
        Boolean,
        "true",
        "fence several nodes at once",
    ),
    option(
        "startup-fencing",
        Boolean,
        "true",
        "fence nodes that were never seen",
    ),
    option(
        "priority-fencing-delay",
        Time,
        "0",
        "head start of the side with the more important resources",
    ),
    option(
        "fence-reaction",
        Choice(&["stop", "panic"]),
        "stop",
        "what a node does that learns it was fenced",
    ),
    option(
        "fencing-reaction",
        Choice(&["stop", "panic"]),
        "stop",
        "what a node does that learns it was fenced",
    ),
    option(
        "no-quorum-policy",
        Choice(&["stop", "freeze", "ignore", "demote", "fence", "suicide"]),
        "stop",
        "what a part without quorum does",
    ),
    option(
        "symmetric-cluster",
        Boolean,
        "true",
        "resources may run anywhere unless a constraint forbids it",
    ),
    option(
        "maintenance-mode",
        Boolean,
        "false",
        "leave all resources alone",
    ),
    option(
        "start-failure-is-fatal",
        Boolean,
        "true",
        "a failed start bans the node",
    ),
    option(
        "enable-startup-probes",
        Boolean,
        "true",
        "look for running resources when a node joins",
    ),
    option(
        "shutdown-lock",
        Boolean,
        "false",
        "a node shut down cleanly keeps its resources",
    ),
    option(
        "shutdown-lock-limit",
        Time,
        "0",
        "for how long it keeps them",
    ),
    option(
        "batch-limit",
        Integer,
        "0",
        "actions at once in the cluster",
    ),
    option(
        "migration-limit",
        Integer,
        "-1",
        "migrations at once on a node",
    ),
    option(
        "node-action-limit",
        Integer,
        "0",
        "actions at once on a node",
    ),
    option(
        "load-threshold",
        Percent,
        "80%",
        "load above which fewer actions run",
    ),
    option(
        "cluster-delay",
        Time,
        "60s",
        "longest round trip of an action's messages",
    ),
    option("dc-deadtime", Time, "20s", "wait for other nodes at start"),
    option(
        "cluster-ipc-limit",
        Integer,
        "500",
        "messages that may wait for a client",
    ),
    option(
        "cluster-recheck-interval",
        Time,
        "15min",
        "how often time-dependent rules are looked at",
    ),
    option("election-timeout", Time, "2min", "advanced"),
    option("shutdown-escalation", Time, "20min", "advanced"),
    option("join-integration-timeout", Time, "3min", "advanced"),
    option("join-finalization-timeout", Time, "30min", "advanced"),
    option("transition-delay", Time, "0s", "advanced"),
    option(
        "node-pending-timeout",
        Time,
        "0",
        "how long a node may stay pending before it is fenced",
    ),
    option("stop-all-resources", Boolean, "false", "stop everything"),
    option(
        "stop-orphan-resources",
        Boolean,
        "true",
        "stop resources that were removed",
    ),
    option(
        "stop-removed-resources",
        Boolean,
        "true",
        "stop resources that were removed",
    ),
    option(
        "stop-orphan-actions",
        Boolean,
        "true",
        "cancel operations that were removed",
    ),
    option(
        "cancel-removed-actions",
        Boolean,
        "true",
        "cancel operations that were removed",
    ),
    option("remove-after-stop", Boolean, "false", "advanced"),
    option(
        "pe-error-series-max",
        Integer,
        "-1",
        "inputs with errors to keep",
    ),
    option(
        "pe-warn-series-max",
        Integer,
        "5000",
        "inputs with warnings to keep",
    ),
    option("pe-input-series-max", Integer, "4000", "inputs to keep"),
    option(
        "placement-strategy",
        Choice(&["default", "utilization", "minimal", "balanced"]),
        "default",
        "how load decides placement",
    ),
    option(
        "node-health-strategy",
        Choice(&[
            "none",
            "migrate-on-red",
            "only-green",
            "progressive",
            "custom",
        ]),
        "none",
        "how health attributes decide placement",
    ),
    option("node-health-base", Score, "0", "health score to begin with"),
    option("node-health-green", Score, "0", "what green adds"),
    option("node-health-yellow", Score, "0", "what yellow adds"),
    option("node-health-red", Score, "-INFINITY", "what red adds"),
    option("enable-acl", Boolean, "false", "enforce access roles"),
    option("cluster-name", Text, "", "the cluster's name"),
    option(
        "cluster-infrastructure",
        Text,
        "",
        "written by the cluster itself",
    ),
    option("dc-version", Text, "", "written by the cluster itself"),
    option(
        "have-watchdog",
        Boolean,
        "false",
        "written by the cluster itself",
    ),
    option(
        "last-lrm-refresh",
        Text,
        "",
        "written by the cluster itself",
    ),
    option("expected-quorum-votes", Integer, "", "obsolete"),
    option(
        "default-resource-stickiness",
        Score,
        "0",
        "obsolete: rsc_defaults resource-stickiness",
    ),
    option(
        "is-managed-default",
        Boolean,
        "true",
        "obsolete: rsc_defaults is-managed",
    ),
    option(
        "default-action-timeout",
        Time,
        "20s",
        "obsolete: op_defaults timeout",
    ),
    option("notification-agent", Text, "", "obsolete: alert"),
    option("notification-recipient", Text, "", "obsolete: alert"),
];

/// Meta attributes of resources of any kind.
pub const META: &[KnownOption] = &[
    option(
        "target-role",
        Choice(&[
            "Started",
            "Stopped",
            "Master",
            "Slave",
            "Promoted",
            "Unpromoted",
        ]),
        "Started",
        "the state to keep",
    ),
    option(
        "is-managed",
        Boolean,
        "true",
        "the cluster may start and stop it",
    ),
    option(
        "maintenance",
        Boolean,
        "false",
        "leave it alone, monitors included",
    ),
    option(
        "resource-stickiness",
        Score,
        "0",
        "how much it prefers to stay",
    ),
    option("priority", Score, "0", "who runs when not all can"),
    option(
        "critical",
        Boolean,
        "true",
        "its failure moves what it is tied to",
    ),
    option(
        "requires",
        Choice(&["nothing", "quorum", "fencing", "unfencing"]),
        "fencing",
        "what must be true before it starts",
    ),
    option(
        "migration-threshold",
        Score,
        "INFINITY",
        "failures after which it leaves the node",
    ),
    option(
        "failure-timeout",
        Time,
        "0",
        "time after which failures are forgotten",
    ),
    option(
        "multiple-active",
        Choice(&["block", "stop_only", "stop_start", "stop_unexpected"]),
        "stop_start",
        "what to do when it runs twice",
    ),
    option(
        "allow-migrate",
        Boolean,
        "false",
        "it can move without stopping",
    ),
    option(
        "allow-unhealthy-nodes",
        Boolean,
        "false",
        "node health does not matter",
    ),
    option(
        "container-attribute-target",
        Text,
        "",
        "where attributes of a bundle go",
    ),
    option("remote-node", Text, "", "the guest node it is"),
    option("remote-port", Integer, "3121", "the guest's port"),
    option("remote-addr", Text, "", "the guest's address"),
    option(
        "remote-connect-timeout",
        Time,
        "60s",
        "how long to wait for the guest",
    ),
    option(
        "remote-allow-migrate",
        Boolean,
        "true",
        "the guest may migrate",
    ),
    option("container", Text, "", "the container it runs in"),
    option("clone-max", Integer, "", "instances in all"),
    option("clone-node-max", Integer, "1", "instances on a node"),
    option(
        "clone-min",
        Integer,
        "0",
        "instances before anything that depends on it starts",
    ),
    option(
        "notify",
        Boolean,
        "false",
        "tell the instances about each other",
    ),
    option("globally-unique", Boolean, "false", "the instances differ"),
    option(
        "ordered",
        Boolean,
        "false",
        "start instances one after the other",
    ),
    option(
        "interleave",
        Boolean,
        "false",
        "depend on the instance of the same node only",
    ),
    option("promotable", Boolean, "false", "instances can be promoted"),
    option("promoted-max", Integer, "1", "promoted instances in all"),
    option(
        "promoted-node-max",
        Integer,
        "1",
        "promoted instances on a node",
    ),
    option("master-max", Integer, "1", "old name of promoted-max"),
    option(
        "master-node-max",
        Integer,
        "1",
        "old name of promoted-node-max",
    ),
    option(
        "provides",
        Choice(&["unfencing"]),
        "",
        "what a fence device gives",
    ),
    option("description", Text, "", "free text"),
    option(
        "resource-discovery-enabled",
        Boolean,
        "true",
        "look for it on the node",
    ),
    option("isolation", Text, "", "obsolete"),
    option("collocated", Boolean, "true", "obsolete, of groups"),
];

/// Attributes of operations.
pub const OPERATION: &[KnownOption] = &[
    option("name", Text, "", "the action"),
    option("interval", Time, "0", "how often; 0 is once"),
    option("timeout", Time, "20s", "how long it may take"),
    option(
        "on-fail",
        Choice(&[
            "ignore",
            "block",
            "stop",
            "restart",
            "standby",
            "fence",
            "restart-container",
            "demote",
        ]),
        "restart",
        "what a failure leads to",
    ),
    option("enabled", Boolean, "true", "it runs"),
    option("record-pending", Boolean, "true", "its begin is recorded"),
    option(
        "role",
        Choice(&[
            "Started",
            "Stopped",
            "Master",
            "Slave",
            "Promoted",
            "Unpromoted",
        ]),
        "",
        "in which role it runs",
    ),
    option("start-delay", Time, "0", "wait before the first run"),
    option("interval-origin", Text, "", "when the interval begins"),
    option(
        "requires",
        Choice(&["nothing", "quorum", "fencing", "unfencing"]),
        "",
        "obsolete here",
    ),
    option("description", Text, "", "free text"),
];

/// Parameters that every fence device takes beside its own.
pub const FENCING_PARAMETERS: &[KnownOption] = &[
    option("pcmk_host_list", Text, "", "nodes it fences"),
    option("pcmk_host_map", Text, "", "nodes and their ports"),
    option(
        "pcmk_host_check",
        Choice(&["static-list", "dynamic-list", "status", "none"]),
        "",
        "how its nodes are found",
    ),
    option(
        "pcmk_host_argument",
        Text,
        "port",
        "the parameter that carries the node",
    ),
    option("pcmk_delay_max", Time, "0s", "longest random delay"),
    option("pcmk_delay_base", Text, "0s", "delay before it begins"),
    option("pcmk_action_limit", Integer, "1", "actions at once"),
    option("pcmk_on_action_limit", Integer, "1", "actions at once"),
    option("priority", Integer, "0", "which device is tried first"),
    option("provides", Text, "", "what it gives"),
    option("stonith-timeout", Time, "60s", "how long it may take"),
    option("fencing-timeout", Time, "60s", "how long it may take"),
];

/// Options with two names: old and new.
pub const RENAMED: &[(&str, &str)] = &[
    ("master-max", "promoted-max"),
    ("master-node-max", "promoted-node-max"),
];

/// The option of that name.
pub fn find<'a>(known: &'a [KnownOption], name: &str) -> Option<&'a KnownOption> {
    known.iter().find(|option| option.name == name)
}

/// Whether a device takes the parameter beside its own.
pub fn is_fencing_parameter(name: &str) -> bool {
    // `pcmk_ACTION_action`, `pcmk_ACTION_timeout`, `pcmk_ACTION_retries` for every action.
    let of_action = name.strip_prefix("pcmk_").is_some_and(|rest| {
        ["_action", "_timeout", "_retries"]
            .iter()
            .any(|end| rest.ends_with(end))
    });
    of_action || find(FENCING_PARAMETERS, name).is_some()
}

impl OptionKind {
    /// What is wrong with a value, in words; `None` when it is good.
    pub fn objection(self, value: &str) -> Option<String> {
        let good = match self {
            Boolean => is_true(value).is_some(),
            Integer => value.trim().parse::<i64>().is_ok() || is_score(value),
            Score => is_score(value),
            Time => times::milliseconds(value).is_some() || value.eq_ignore_ascii_case("infinity"),
            TimeOrMinusOne => value.trim().starts_with('-') || times::milliseconds(value).is_some(),
            Percent => value.trim_end_matches('%').trim().parse::<f64>().is_ok(),
            Choice(choices) => choices
                .iter()
                .any(|choice| choice.eq_ignore_ascii_case(value)),
            Text => true,
        };
        (!good).then(|| format!("`{value}` is not {}", self.describe()))
    }

    /// What it takes, in words.
    pub fn describe(self) -> String {
        match self {
            Boolean => "true or false".to_owned(),
            Integer => "a whole number".to_owned(),
            Score => "a whole number, INFINITY or -INFINITY".to_owned(),
            Time => "a time such as 30s or 2min".to_owned(),
            TimeOrMinusOne => "a time such as 10s, or -1".to_owned(),
            Percent => "a percentage".to_owned(),
            Choice(choices) => format!("one of {}", choices.join(", ")),
            Text => "a text".to_owned(),
        }
    }
}

fn is_score(value: &str) -> bool {
    let value = value.trim().trim_start_matches(['+', '-']);
    value.eq_ignore_ascii_case("infinity")
        || value.eq_ignore_ascii_case("inf")
        || (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()))
}
