//! The working state of one decision: what the stages read and write.
//!
//! Everything lives in arenas and is named by index; text is compared only while the input is read.

use crate::options::ClusterOptions;
use crate::score::Score;
use quorate_model::cib::{AttributeSet, Bundle as BundleConfig, Cib, Operation};
use std::collections::BTreeMap;

/// Index of a node in [`World::nodes`], which is sorted by name.
pub type NodeIx = usize;
/// Index of a resource in [`World::rscs`].
pub type RscIx = usize;
/// Index of an action in [`World::actions`].
pub type ActIx = usize;
/// Index of a colocation in [`World::colocations`].
pub type ColIx = usize;

/// Roles, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    #[default]
    Unknown,
    Stopped,
    Started,
    Unpromoted,
    Promoted,
}

impl Role {
    /// As users read it.
    pub fn text(self) -> &'static str {
        match self {
            Role::Unknown => "Unknown",
            Role::Stopped => "Stopped",
            Role::Started => "Started",
            Role::Unpromoted => "Unpromoted",
            Role::Promoted => "Promoted",
        }
    }

    /// Reads old and new names.
    pub fn parse(text: &str) -> Option<Role> {
        Some(match text.to_ascii_lowercase().as_str() {
            "stopped" => Role::Stopped,
            "started" => Role::Started,
            "slave" | "unpromoted" => Role::Unpromoted,
            "master" | "promoted" => Role::Promoted,
            _ => return None,
        })
    }
}

/// What a failure leads to, in order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnFail {
    Ignore,
    Demote,
    Restart,
    ResetRemote,
    RestartContainer,
    Ban,
    Block,
    Stop,
    Standby,
    Fence,
}

/// What kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    Member,
    Remote,
}

/// A node and what is known of it.
#[derive(Debug, Clone)]
pub struct Node {
    pub id: String,
    pub name: String,
    pub kind: NodeKind,
    pub online: bool,
    pub unclean: bool,
    pub unseen: bool,
    pub pending: bool,
    pub standby: bool,
    pub standby_onfail: bool,
    pub maintenance: bool,
    pub shutdown: bool,
    pub expected_up: bool,
    pub is_dc: bool,
    pub unpacked: bool,
    pub probes_allowed: bool,
    /// Weight of the node itself: minus infinity when it is down or leaving, else its health.
    pub weight: Score,
    pub remote_rsc: Option<RscIx>,
    /// Known from the history of a connection that is no longer configured.
    pub forgotten: bool,
    pub remote_requires_reset: bool,
    pub remote_was_fenced: bool,
    pub remote_maintenance: bool,
    pub attrs: BTreeMap<String, String>,
    pub utilization: BTreeMap<String, i64>,
    pub running: Vec<RscIx>,
    /// How many instances have been given to it (counted while placing).
    pub count: u32,
    /// Importance for fencing delays.
    pub priority: i32,
    pub state_ix: Option<usize>,
    pub fenced_on_action: Option<ActIx>,
    /// Unfencing devices whose parameters are judged on this node.
    pub digests_all: String,
}

/// A node as one resource sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub score: Score,
    pub allowed: bool,
    pub discover: Discover,
    /// Scratch for clones: instances given to the node.
    pub count: u32,
}

impl Cell {
    pub const NONE: Cell = Cell {
        score: 0,
        allowed: false,
        discover: Discover::Always,
        count: 0,
    };
}

/// Whether a node is probed for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discover {
    Always,
    Never,
    Exclusive,
}

/// Configuration of a primitive, merged with its template.
#[derive(Debug, Clone)]
pub struct PrimConfig<'c> {
    pub class: &'c str,
    pub provider: Option<&'c str>,
    pub agent: &'c str,
    /// Sets, the template's first.
    pub sets: Vec<&'c AttributeSet>,
    pub ops: Vec<&'c Operation>,
    pub template: Option<&'c str>,
    /// Parameters that are not configured anywhere (containers, implicit remotes).
    pub extra_params: Vec<(String, String)>,
    /// Operations made up for the same.
    pub made_ops: Vec<Operation>,
    /// Meta attributes made up for the same.
    pub extra_meta: Vec<(String, String)>,
}

/// Structure of a resource.
#[derive(Debug, Clone)]
pub enum Kind {
    Primitive,
    Group(GroupInfo),
    Clone(CloneInfo),
    Bundle(Box<BundleInfo>),
}

/// A group.
#[derive(Debug, Clone)]
pub struct GroupInfo {
    pub ordered: bool,
    pub colocated: bool,
}

/// A clone.
#[derive(Debug, Clone)]
pub struct CloneInfo {
    pub max: i32,
    pub node_max: i32,
    pub promoted_max: i32,
    pub promoted_node_max: i32,
    pub interleave: bool,
    pub ordered: bool,
    /// Number of instances given to the promoted role.
    pub promoted_allocated: i32,
    pub added_promoted_constraints: bool,
    pub child_is_group: bool,
    /// What is cloned.
    pub child: ChildConfig,
    pub stop_notify: Option<usize>,
    pub start_notify: Option<usize>,
    pub demote_notify: Option<usize>,
    pub promote_notify: Option<usize>,
    pub merged_promotion: bool,
}

/// Where the configuration of a clone's child is found.
#[derive(Debug, Clone)]
pub enum ChildConfig {
    Primitive { id: String, cfg: usize },
    Group { id: String, group: usize },
}

/// A bundle.
#[derive(Debug, Clone)]
pub struct BundleInfo {
    pub promoted_max: i32,
    pub replicas_count: i32,
    pub per_host: i32,
    pub image: String,
    pub child: Option<RscIx>,
    pub replicas: Vec<Replica>,
    pub config: usize,
    pub add_host: bool,
}

/// One replica of a bundle.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    pub offset: i32,
    pub ipaddr: Option<String>,
    pub ip: Option<RscIx>,
    pub container: RscIx,
    pub remote: Option<RscIx>,
    pub child: Option<RscIx>,
    pub node: Option<NodeIx>,
}

/// How a resource that is found active on several nodes is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipleActive {
    StopStart,
    StopOnly,
    Block,
    StopUnexpected,
}

/// A resource: primitive, group, clone, bundle, or an instance of one.
#[derive(Debug, Clone)]
pub struct Rsc {
    pub id: String,
    /// Name used in the history and by agents, where it differs from the id (anonymous instances).
    pub history_id: Option<String>,
    pub kind: Kind,
    pub parent: Option<RscIx>,
    pub children: Vec<RscIx>,
    /// Configuration of a primitive.
    pub cfg: usize,
    pub meta: BTreeMap<String, String>,

    pub managed: bool,
    pub blocked: bool,
    pub failed: bool,
    pub stop_if_failed: bool,
    pub ignore_failure: bool,
    pub removed: bool,
    pub removed_filler: bool,
    pub unique: bool,
    pub notify: bool,
    pub promotable: bool,
    pub maintenance: bool,
    pub critical: bool,
    pub fence_device: bool,
    pub needs_fencing: bool,
    pub needs_quorum: bool,
    pub needs_unfencing: bool,
    pub allow_migrate: bool,
    pub migratable: bool,
    pub start_pending: bool,
    pub stop_unexpected: bool,
    pub exclusive_discovery: bool,
    pub remote_connection: bool,
    pub restarting: bool,
    pub reload: bool,
    pub detect_loop: bool,
    pub assigning: bool,
    pub unassigned: bool,
    pub replica_container: bool,
    pub add_utilization: bool,

    pub role: Role,
    pub next_role: Role,
    pub next_role_why: &'static str,
    pub priority: i32,
    pub stickiness: Score,
    pub migration_threshold: Score,
    pub failure_timeout_ms: i64,
    pub multiple_active: MultipleActive,
    pub restart_type_restart: bool,
    pub is_container_of: Option<NodeIx>,
    pub remote_reconnect_ms: i64,
    pub lock_node: Option<NodeIx>,
    pub lock_time: i64,

    pub allowed: Vec<Cell>,
    pub known: Vec<bool>,
    pub running: Vec<NodeIx>,
    pub dangling: Vec<NodeIx>,
    pub partial_source: Option<NodeIx>,
    pub partial_target: Option<NodeIx>,
    pub pending_action: Option<String>,
    pub pending_node: Option<NodeIx>,
    /// Resources inside the container that this one is.
    pub fillers: Vec<RscIx>,
    pub container: Option<RscIx>,

    pub assigned: Option<NodeIx>,
    pub promotion_priority: Score,
    pub utilization: BTreeMap<String, i64>,

    pub actions: Vec<ActIx>,
    /// The same as searches see them.
    pub index: Vec<crate::action_index::Entry>,
    /// Whether its configuration limits its role.
    pub has_target: bool,
    /// What the configuration says of its operations, as far as it was asked (name, interval).
    pub op_metas: Vec<(crate::action::Task, i64, crate::action::Meta)>,
    /// Where its operation history is, by node.
    pub history: Vec<(NodeIx, HistoryRef)>,
    /// Colocations in which it is the dependent, strongest first.
    pub this_with: Vec<ColIx>,
    /// Colocations in which it is what others go with, strongest first.
    pub with_this: Vec<ColIx>,
    /// Location constraints that apply.
    pub locations: Vec<usize>,
    pub tickets: Vec<usize>,
    /// Scores as printed: (function, node, score) when asked for.
    pub printed: bool,
    /// Instance number inside its clone.
    pub instance: Option<u32>,
    /// Why it is where it is (or nowhere).
    pub why: String,
}

/// A location constraint, unpacked.
#[derive(Debug, Clone)]
pub struct LocationCon {
    pub id: String,
    pub rsc: RscIx,
    pub role: Role,
    pub nodes: Vec<(NodeIx, Score)>,
    pub discover: Discover,
}

/// A colocation, unpacked.
#[derive(Debug, Clone)]
pub struct Colocation {
    pub id: String,
    pub dependent: RscIx,
    pub primary: RscIx,
    pub dependent_role: Role,
    pub primary_role: Role,
    pub score: Score,
    /// Node attribute that must be equal; `None` stands for the node itself.
    pub attribute: Option<String>,
    pub influence: bool,
    pub explicit_influence: bool,
}

/// A ticket.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub id: String,
    pub granted: bool,
    pub standby: bool,
}

/// A ticket constraint, unpacked.
#[derive(Debug, Clone)]
pub struct TicketCon {
    pub id: String,
    pub rsc: RscIx,
    pub ticket: usize,
    pub role: Role,
    pub loss: Loss,
}

/// What the loss of a ticket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    Stop,
    Demote,
    Fence,
    Freeze,
}

/// Index of history: node and resource number in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryRef {
    pub node_state: usize,
    pub resource: usize,
}

/// A failed operation, for whoever lists them.
#[derive(Debug, Clone)]
pub struct FailedOp {
    pub node: String,
    pub key: String,
}

/// Everything about one decision.
pub struct World<'c> {
    pub cib: &'c Cib,
    pub now: i64,
    pub opts: ClusterOptions,
    pub nodes: Vec<Node>,
    pub node_by_name: BTreeMap<String, NodeIx>,
    pub node_by_id: BTreeMap<String, NodeIx>,
    pub rscs: Vec<Rsc>,
    pub cfgs: Vec<PrimConfig<'c>>,
    pub groups_cfg: Vec<&'c quorate_model::cib::Group>,
    pub bundles_cfg: Vec<&'c BundleConfig>,
    /// Meta sets by resource config (groups, clones, bundles have no `PrimConfig`).
    pub rsc_sets: Vec<Vec<&'c AttributeSet>>,
    pub top: Vec<RscIx>,
    pub rsc_by_id: BTreeMap<String, RscIx>,
    /// Base name of anonymous instances -> outermost clone.
    pub anon_by_base: BTreeMap<String, RscIx>,
    pub set_by_id: BTreeMap<&'c str, &'c AttributeSet>,
    pub tickets: Vec<Ticket>,
    pub actions: Vec<crate::action::Action>,
    pub locations: Vec<LocationCon>,
    pub colocations: Vec<Colocation>,
    pub ticket_cons: Vec<TicketCon>,
    pub orders: Vec<crate::relation::OrderCon>,
    /// What the history entry of that number belonged to on the node before.
    pub history_guesses: Vec<RscIx>,
    pub history_override: BTreeMap<(usize, usize, usize), ()>,
    pub stop_needed: Vec<RscIx>,
    pub warnings: Vec<String>,
    pub recheck: Option<i64>,
    pub have_remote: bool,
    pub failed_ops: Vec<FailedOp>,
    /// Names in the history of which a probe said that they cannot run; gathered when first asked for.
    pub probed_absent: std::cell::OnceCell<std::collections::BTreeSet<&'c str>>,
    pub blocked_count: u32,
    pub disabled_count: u32,
    pub score_log: Option<Vec<String>>,
    /// Open only for explanations.
    pub(crate) ledger: Option<Box<crate::ledger::Ledger>>,
    pub promotion_log: Vec<String>,
    pub have_unfencing: bool,
    pub have_fence_device: bool,
    pub pseudo_by_key: BTreeMap<String, ActIx>,
    pub have_colocations: bool,
    pub levels: Vec<&'c quorate_model::cib::FencingLevel>,
    pub priority_delay: bool,
    pub notifies: Vec<crate::notify::Notify>,
    /// Notifications that are still owed.
    pub owed: Vec<crate::Owed>,
    /// See [`crate::Options`].
    pub promoted_stick: bool,
    /// Actions that are carried out, in graph order.
    pub graph: Vec<ActIx>,
    /// What each of them waits for, in the order of its making.
    pub graph_inputs: Vec<Vec<ActIx>>,
}

impl<'c> World<'c> {
    /// Where the history of a resource on a node is.
    pub fn history_at(&self, r: RscIx, n: NodeIx) -> Option<HistoryRef> {
        let found = self.rscs[r].history.iter().rev().find(|(m, _)| *m == n);
        found.map(|&(_, at)| at)
    }

    /// Outermost resource, bundles not included.
    pub fn uber(&self, mut r: RscIx) -> RscIx {
        while let Some(p) = self.rscs[r].parent {
            if matches!(self.rscs[p].kind, Kind::Bundle(_)) {
                break;
            }
            r = p;
        }
        r
    }

    /// Outermost resource, bundles included.
    pub fn top_of(&self, mut r: RscIx) -> RscIx {
        while let Some(p) = self.rscs[r].parent {
            r = p;
        }
        r
    }

    pub fn is_primitive(&self, r: RscIx) -> bool {
        matches!(self.rscs[r].kind, Kind::Primitive)
    }

    pub fn is_group(&self, r: RscIx) -> bool {
        matches!(self.rscs[r].kind, Kind::Group(_))
    }

    pub fn is_clone(&self, r: RscIx) -> bool {
        matches!(self.rscs[r].kind, Kind::Clone(_))
    }

    pub fn is_bundle(&self, r: RscIx) -> bool {
        matches!(self.rscs[r].kind, Kind::Bundle(_))
    }

    /// Clone or bundle.
    pub fn is_cloned(&self, r: RscIx) -> bool {
        self.is_clone(r) || self.is_bundle(r)
    }

    pub fn is_anon_clone(&self, r: RscIx) -> bool {
        self.is_clone(r) && !self.rscs[r].unique
    }

    pub fn is_instance(&self, r: RscIx) -> bool {
        self.rscs[r].parent.is_some_and(|p| self.is_cloned(p))
    }

    /// Inside a bundle (container, address, connection or what it contains).
    pub fn bundled(&self, r: RscIx) -> bool {
        self.is_bundle(self.top_of(r))
    }

    pub fn clone_info(&self, r: RscIx) -> &CloneInfo {
        match &self.rscs[r].kind {
            Kind::Clone(c) => c,
            _ => unreachable!("asked of clones only"),
        }
    }

    pub fn clone_info_mut(&mut self, r: RscIx) -> &mut CloneInfo {
        match &mut self.rscs[r].kind {
            Kind::Clone(c) => c,
            _ => unreachable!("asked of clones only"),
        }
    }

    pub fn bundle(&self, r: RscIx) -> &BundleInfo {
        match &self.rscs[r].kind {
            Kind::Bundle(b) => b,
            _ => unreachable!("asked of bundles only"),
        }
    }

    pub fn group_info(&self, r: RscIx) -> &GroupInfo {
        match &self.rscs[r].kind {
            Kind::Group(g) => g,
            _ => unreachable!("asked of groups only"),
        }
    }

    pub fn cfg(&self, r: RscIx) -> &PrimConfig<'c> {
        &self.cfgs[self.rscs[r].cfg]
    }

    /// A node that is a resource's guest.
    pub fn is_guest(&self, n: NodeIx) -> bool {
        self.nodes[n]
            .remote_rsc
            .is_some_and(|r| self.rscs[r].container.is_some())
    }

    /// A remote node with a connection of its own (no guest).
    pub fn is_bare_remote(&self, n: NodeIx) -> bool {
        self.nodes[n].kind == NodeKind::Remote
            && self.nodes[n]
                .remote_rsc
                .is_none_or(|r| self.rscs[r].container.is_none())
    }

    pub fn is_remote(&self, n: NodeIx) -> bool {
        self.nodes[n].kind == NodeKind::Remote
    }

    /// A guest node made by a bundle.
    pub fn is_bundle_node(&self, n: NodeIx) -> bool {
        self.nodes[n].remote_rsc.is_some_and(|r| self.bundled(r))
    }

    /// Where something on a node really is: of a bundle's node, the host of the container (the present
    /// one, or the one that is decided).
    pub fn hosting_node(&self, n: NodeIx, current: bool) -> NodeIx {
        if !self.is_bundle_node(n) {
            return n;
        }
        let container = self.nodes[n]
            .remote_rsc
            .and_then(|r| self.rscs[r].container);
        let host = container.and_then(|c| {
            let running = self.rscs[c].running.first().copied();
            let assigned = self.rscs[c].assigned;
            if current {
                running
            } else {
                assigned.or(running)
            }
        });
        host.unwrap_or(n)
    }

    /// Same name as its history and agents know it.
    pub fn history_name(&self, r: RscIx) -> &str {
        let rsc = &self.rscs[r];
        rsc.history_id.as_deref().unwrap_or(&rsc.id)
    }

    pub fn meta(&self, r: RscIx, name: &str) -> Option<&str> {
        self.rscs[r].meta.get(name).map(String::as_str)
    }

    /// Notes a time at which the decision may change by itself.
    pub fn recheck_by(&mut self, at: i64) {
        if at > self.now && self.recheck.is_none_or(|r| at < r) {
            self.recheck = Some(at);
        }
    }

    /// The primitives below (or the resource itself).
    pub fn leaves(&self, r: RscIx, out: &mut Vec<RscIx>) {
        if self.is_primitive(r) {
            out.push(r);
        }
        for &c in &self.rscs[r].children {
            self.leaves(c, out);
        }
    }

    /// The resource and everything below it.
    pub fn family(&self, r: RscIx, out: &mut Vec<RscIx>) {
        out.push(r);
        for &c in &self.rscs[r].children {
            self.family(c, out);
        }
    }

    /// Whether a node may run anything.
    pub fn node_available(&self, n: NodeIx, score: Score, guests: GuestCheck) -> bool {
        let node = &self.nodes[n];
        if !node.online || node.shutdown || node.unclean || node.standby || node.maintenance {
            return false;
        }
        if score < 0 {
            return false;
        }
        // A guest is available only where its container will be.
        if guests == GuestCheck::Containers
            && let Some(remote) = node.remote_rsc
            && let Some(container) = self.rscs[remote].container
        {
            return self.assigned_node(container).is_some();
        }
        true
    }
}

/// Whether a guest's container is looked at too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestCheck {
    Nodes,
    Containers,
}
