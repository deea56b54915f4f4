//! The status section: what is known of nodes, operation results, transient attributes and tickets.
//!
//! In a running cluster this is built from the replicated state; in `simulate` it is read from XML.
//! Field names follow the attributes of `node_state`, `lrm_resource` and `lrm_rsc_op`.

use crate::cib::{AttributeSet, Extra};

/// The `status` element.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// One entry a node that the cluster has state of.
    pub nodes: Vec<NodeState>,
    /// Tickets.
    pub tickets: Vec<TicketState>,
}

/// `node_state`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeState {
    /// Node id.
    pub id: String,
    /// Node name.
    pub uname: String,
    /// `in_ccm`: member of the cluster layer (`true`/`false`, or since when: epoch seconds, 0 = not).
    pub in_cluster: Option<String>,
    /// `crmd`: `online`/`offline`, or since when.
    pub crmd: Option<String>,
    /// `join`: `member`, `pending`, `down`, `banned`.
    pub join: Option<String>,
    /// `expected`: `member` or `down`.
    pub expected: Option<String>,
    /// `crm-debug-origin`, `node_fenced`, `remote_node`, `node_in_maintenance` ... as written.
    pub extra: Extra,
    /// `transient_attributes`: its sets.
    pub transient: Vec<AttributeSet>,
    /// `lrm`: whether the element is there, with its resources.
    pub resources: Vec<ResourceHistory>,
    /// There is an `lrm` element (it may be empty).
    pub has_history: bool,
}

/// `lrm_resource`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceHistory {
    /// Resource id (of an instance: `name:0` where unique).
    pub id: String,
    /// Class.
    pub class: String,
    /// Provider.
    pub provider: Option<String>,
    /// Agent.
    pub agent: String,
    /// The guest's container.
    pub container: Option<String>,
    /// Attributes without a field (`shutdown-lock` time under `shutdown-lock` ...).
    pub extra: Extra,
    /// Results, in document order.
    pub operations: Vec<OperationHistory>,
}

/// `lrm_rsc_op`: the latest result of one operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperationHistory {
    /// `rsc_start_0`, `rsc_last_failure_0` ...
    pub id: String,
    /// `operation_key`.
    pub key: Option<String>,
    /// `operation`: the task.
    pub operation: String,
    /// `call-id`.
    pub call_id: i64,
    /// `rc-code`.
    pub rc: i32,
    /// `op-status` (0 done, 1 cancelled, 2 timeout, 4 error, -1 pending ...).
    pub status: i32,
    /// `interval`, milliseconds.
    pub interval_ms: u64,
    /// `transition-key`.
    pub transition_key: Option<String>,
    /// `transition-magic`.
    pub transition_magic: Option<String>,
    /// `exit-reason`.
    pub exit_reason: Option<String>,
    /// `last-rc-change`, epoch seconds.
    pub last_rc_change: Option<i64>,
    /// `on_node`.
    pub on_node: Option<String>,
    /// `op-digest`.
    pub digest: Option<String>,
    /// `op-restart-digest`.
    pub restart_digest: Option<String>,
    /// `op-secure-digest`.
    pub secure_digest: Option<String>,
    /// `op-force-restart`: names of parameters (` a  b `).
    pub force_restart: Option<String>,
    /// `op-secure-params`.
    pub secure_params: Option<String>,
    /// Attributes without a field (`exec-time`, `migrate_source`, `migrate_target` ...).
    pub extra: Extra,
}

/// `ticket_state`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TicketState {
    /// Its id.
    pub id: String,
    /// `granted`.
    pub granted: Option<String>,
    /// `last-granted`, epoch seconds.
    pub last_granted: Option<String>,
    /// `standby`.
    pub standby: Option<String>,
    /// Attributes without a field.
    pub extra: Extra,
}
