//! The result of a decision: an action graph, each action with its reason.
//!
//! A plan is immutable and leaves no choice to whoever executes it.

use crate::source::Source;

/// Index of an action inside its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u32);

/// What has to happen, and after what.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// All actions to be executed; `ActionId(n)` is `actions[n]`. Acyclic.
    pub actions: Vec<Action>,
    /// What cannot be done although it should be: blocked resources, each with the way out.
    pub blocked: Vec<Blocked>,
    /// Warnings about the configuration or the status that the decision stumbled upon.
    pub warnings: Vec<String>,
    /// Unix seconds at which time alone may change the decision (failure-timeout, date rules), if any.
    pub recheck_at: Option<i64>,
    /// How many actions may run at once in the cluster (`batch-limit`; 0 = no limit).
    pub batch_limit: u32,
    /// Where each primitive instance is now and will be, for status, `plan` and `explain`.
    pub placements: Vec<Placement>,
}

/// A node of the action graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What it does.
    pub kind: ActionKind,
    /// Operation key as agents and the history know it (`db_start_0`, `stonith-n1-off`).
    pub key: String,
    /// The resource instance (history id), where it concerns one.
    pub resource: Option<ResourceRef>,
    /// Node on which it runs, or (for fencing) the target. `None` for pseudo actions.
    pub node: Option<String>,
    /// The node that executes on behalf of a remote or guest `node`; equal to `node` otherwise.
    pub router: Option<String>,
    /// Actions that must have succeeded before (or be optional) ...
    pub inputs: Vec<ActionId>,
    /// Parameters of the agent, resolved (rules, templates, node-specific values), by name, without the
    /// `CRM_meta_` variables.
    pub parameters: Vec<(String, String)>,
    /// `CRM_meta_*` variables without that prefix (`timeout`, `interval`, `notify_*`, `on_node` ...).
    pub meta: Vec<(String, String)>,
    /// Milliseconds the agent may take.
    pub timeout_ms: u64,
    /// Milliseconds between runs for recurring monitors, else 0.
    pub interval_ms: u64,
    /// Exit code that means "as expected" (probes: 7, or 0/8 where it is believed active).
    pub expected_rc: i32,
    /// Failure does not stop what waits for it.
    pub failure_is_harmless: bool,
    /// Higher runs first when not all can.
    pub priority: i32,
    /// Why.
    pub reason: Reason,
}

/// Kinds of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionKind {
    /// One-time monitor that finds out whether a resource runs.
    Probe,
    /// Start.
    Start,
    /// Stop.
    Stop,
    /// Promote.
    Promote,
    /// Demote.
    Demote,
    /// Begin (or adjust) a recurring monitor.
    Monitor,
    /// End a recurring monitor.
    Cancel,
    /// Notification before or after another action.
    Notify,
    /// Migration, at the source.
    MigrateTo,
    /// Migration, at the target.
    MigrateFrom,
    /// Reload of changed parameters.
    Reload,
    /// Power a node off or reset it.
    Fence,
    /// Power it on / unfence.
    Unfence,
    /// Forget the history of a resource on a node.
    Delete,
    /// Tell a node's manager to shut down (its resources are stopped by then).
    Shutdown,
    /// Forget failures.
    ClearFailcount,
    /// A maintenance or lock bookkeeping action without effect on services.
    Bookkeeping,
    /// Ordering point: nothing to execute.
    Pseudo,
}

/// The resource of an action, with what an executor needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceRef {
    /// History id of the instance (`db`, `rabbit:1`).
    pub id: String,
    /// Name handed to the agent (`OCF_RESOURCE_INSTANCE`).
    pub instance: String,
    /// `ocf`, `systemd`, `service`, `lsb`, `stonith`.
    pub class: String,
    /// Provider, for `ocf`.
    pub provider: Option<String>,
    /// Agent.
    pub agent: String,
}

/// Why an action is there, in words an operator understands, and what in the configuration made it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reason {
    /// One sentence or clause (`node n1 was lost`, `db-ip failed on n1: not running`).
    pub text: String,
    /// What it rests on: lines of the configuration, objects, facts.
    pub because_of: Vec<Source>,
}

/// Something that should run and may not.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    /// The resource (or node).
    pub what: String,
    /// Why.
    pub reason: Reason,
    /// What the operator can do (a command).
    pub way_out: String,
}

/// Where an instance is and will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Resource instance.
    pub resource: String,
    /// Nodes on which it is active now.
    pub now: Vec<String>,
    /// Role now (`Stopped`, `Started`, `Unpromoted`, `Promoted`).
    pub role_now: String,
    /// Node chosen.
    pub next: Option<String>,
    /// Role chosen.
    pub role_next: String,
    /// Final score of each allowed node, best first.
    pub scores: Vec<(String, i32)>,
    /// Why this node, or why none.
    pub reason: Reason,
}
