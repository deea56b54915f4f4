//! The status section: what is known of nodes, operation results, transient attributes and tickets.
//!
//! In a running cluster this is built from the replicated state; in `simulate` it is read from XML.
//! Field names follow the attributes of `node_state`, `lrm_resource` and `lrm_rsc_op`.

use crate::cib::{AttributeSet, Extra};
use crate::text::Text;

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

/// Attributes of the history that have no field of their own, in document order.
pub type HistoryExtra = Vec<(Text, Text)>;

/// `lrm_resource`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceHistory {
    /// Resource id (of an instance: `name:0` where unique).
    pub id: Text,
    /// Class.
    pub class: Text,
    /// Provider.
    pub provider: Option<Text>,
    /// Agent.
    pub agent: Text,
    /// The guest's container.
    pub container: Option<Text>,
    /// Attributes without a field (`shutdown-lock` time under `shutdown-lock` ...).
    pub extra: HistoryExtra,
    /// Results, in document order.
    pub operations: Vec<OperationHistory>,
}

/// `lrm_rsc_op`: the latest result of one operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperationHistory {
    /// `rsc_start_0`, `rsc_last_failure_0` ...
    pub id: Text,
    /// `operation_key`.
    pub key: Option<Text>,
    /// `operation`: the task.
    pub operation: Text,
    /// `call-id`.
    pub call_id: i64,
    /// `rc-code`.
    pub rc: i32,
    /// `op-status` (0 done, 1 cancelled, 2 timeout, 4 error, -1 pending ...).
    pub status: i32,
    /// `interval`, milliseconds.
    pub interval_ms: u64,
    /// `transition-key`.
    pub transition_key: Option<Text>,
    /// `transition-magic`.
    pub transition_magic: Option<Text>,
    /// `exit-reason`.
    pub exit_reason: Option<Text>,
    /// `last-rc-change`, epoch seconds.
    pub last_rc_change: Option<i64>,
    /// `on_node`.
    pub on_node: Option<Text>,
    /// `op-digest`.
    pub digest: Option<Text>,
    /// `op-restart-digest`.
    pub restart_digest: Option<Text>,
    /// `op-secure-digest`.
    pub secure_digest: Option<Text>,
    /// `op-force-restart`: names of parameters (` a  b `).
    pub force_restart: Option<Text>,
    /// `op-secure-params`.
    pub secure_params: Option<Text>,
    /// Attributes without a field (`exec-time`, `migrate_source`, `migrate_target` ...).
    pub extra: HistoryExtra,
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
