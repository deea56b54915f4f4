//! The replicated state: what the log says, the same on every node at the same index.
//!
//! It changes in `apply` only. Everything a new leader must know is here; nothing else may be remembered
//! elsewhere and relied upon.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use minicbor::{Decode, Encode};
use quorate_model::cib::Configuration;

use crate::event::Digests;
use crate::ids::{Boot, Incarnation, Lineage, LogIndex, NodeName, RaftId, Session, Term};

/// Version of the snapshot's encoding.
const VERSION: u8 = 1;
/// Entries of the fencing history that are kept.
pub const FENCING_HISTORY_MAX: usize = 200;
/// Transitions that are kept in the ledger.
pub const LEDGER_MAX: usize = 200;
/// Incidents whose timeline is kept.
pub const INCIDENTS_MAX: usize = 100;
/// Operator's changes that are kept.
pub const CHANGES_MAX: usize = 200;
/// Names of results already in the history, for each node.
pub const RECENT_MAX: usize = 128;
/// Tokens at a time.
pub const TOKENS_MAX: usize = 64;

/// The replicated state.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct ClusterState {
    /// Index of the last entry applied.
    #[n(0)]
    pub applied: LogIndex,
    /// Name of the cluster.
    #[n(1)]
    pub cluster: String,
    /// Lineage of the cluster.
    #[n(2)]
    pub lineage: Lineage,
    /// The configuration as the operator wrote it.
    #[n(3)]
    pub document: Document,
    /// The members.
    #[n(4)]
    pub members: BTreeMap<NodeName, Member>,
    /// What is known of each node.
    #[n(5)]
    pub nodes: BTreeMap<NodeName, NodeStatus>,
    /// Who may be running what: by resource instance, then by node.
    #[n(6)]
    pub holders: BTreeMap<String, BTreeMap<NodeName, Holder>>,
    /// Fencing, newest last.
    #[n(7)]
    pub fencing: VecDeque<FenceRecord>,
    /// Transitions, newest last.
    #[n(8)]
    pub ledger: VecDeque<TransitionRecord>,
    /// Incidents, newest last.
    #[n(9)]
    pub incidents: VecDeque<Incident>,
    /// Moves and bans, by constraint id.
    #[n(10)]
    pub moves: BTreeMap<String, MoveRecord>,
    /// Tickets.
    #[n(11)]
    pub tickets: BTreeMap<String, TicketRecord>,
    /// Join tokens by hash: Unix milliseconds after which each is void.
    #[n(12)]
    pub tokens: BTreeMap<String, i64>,
    /// The next transition's number.
    #[n(14)]
    pub next_transition: u64,
    /// What operators changed, newest last.
    #[n(15)]
    pub changes: VecDeque<ChangeRecord>,
    /// What happened to instances of clones with notifications and was not told to the others yet.
    #[n(17)]
    #[cbor(default)]
    pub owed: BTreeSet<OwedNotice>,
    /// What could not be decoded or applied: the state is not to be acted upon any more.
    #[n(16)]
    pub broken: Option<String>,
    /// The configuration, derived from the document.
    #[cbor(skip)]
    pub configuration: Configuration,
}

/// A notification that is owed to the other instances of a clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct OwedNotice {
    /// `demote`, `stop`, `start` or `promote`.
    #[n(0)]
    pub operation: String,
    /// The instance.
    #[n(1)]
    pub resource: String,
    /// Where it happened.
    #[n(2)]
    pub node: NodeName,
}

/// The configuration as the operator wrote it.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct Document {
    /// crm text with its comments.
    #[n(0)]
    pub text: String,
    /// Counts the changes.
    #[n(1)]
    pub revision: u64,
    /// Who changed it last.
    #[n(2)]
    pub who: String,
    /// When, Unix milliseconds.
    #[n(3)]
    pub wall_ms: i64,
}

/// A member.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct Member {
    /// Its number in the consensus; zero until the consensus has taken it in.
    #[n(0)]
    pub raft_id: RaftId,
    /// Its part in the consensus.
    #[n(1)]
    pub role: MemberRole,
    /// `host:port` for each link.
    #[n(2)]
    pub addresses: Vec<String>,
    /// Fingerprint of its certificate.
    #[n(3)]
    pub fingerprint: String,
    /// It runs no resource unless a constraint names it.
    #[n(4)]
    pub is_witness: bool,
    /// When it was taken in, Unix milliseconds.
    #[n(5)]
    pub joined_wall_ms: i64,
}

/// A member's part in the consensus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum MemberRole {
    /// Votes.
    #[n(0)]
    Voter,
    /// Follows, and votes once it has caught up.
    #[n(1)]
    #[default]
    Learner,
    /// Was taken out of a pair by its fencing; comes back by itself as a learner.
    #[n(2)]
    Returning,
}

/// What is known of a node.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct NodeStatus {
    /// Its present life; zero if it was never seen.
    #[n(0)]
    pub incarnation: Incarnation,
    /// Where it stands.
    #[n(1)]
    pub presence: Presence,
    /// Since when, Unix milliseconds.
    #[n(2)]
    pub since_wall_ms: i64,
    /// Why it stands there, one clause.
    #[n(3)]
    pub reason: String,
    /// The last certificate of its fencing.
    #[n(4)]
    pub certificate: Option<Certificate>,
    /// Attributes that live until the node leaves, fail counts among them.
    #[n(5)]
    pub transient: BTreeMap<String, String>,
    /// Attributes that live until they are deleted.
    #[n(6)]
    pub permanent: BTreeMap<String, String>,
    /// Operation history by resource.
    #[n(7)]
    pub resources: BTreeMap<String, ResourceRecord>,
    /// Its history is complete: since this boot it was asked what runs there.
    #[n(8)]
    pub has_history: bool,
    /// The next call's number.
    #[n(9)]
    pub next_call: i64,
    /// The last report taken in from this session.
    #[n(10)]
    pub last_report: u64,
    /// Session of `last_report`.
    #[n(11)]
    pub report_session: Session,
    /// Names of actions whose results are in, newest last.
    #[n(12)]
    pub recent: VecDeque<String>,
    /// It armed a hardware watchdog before its first start.
    #[n(13)]
    pub watchdog_ms: Option<u64>,
    /// Attempts to fence it that failed since it was lost.
    #[n(14)]
    pub fence_failures: u32,
    /// Devices that said that this boot was dead, and it spoke again.
    #[n(15)]
    #[cbor(default)]
    pub distrusted: Vec<String>,
    /// Attributes that are agents' own notes (`attrd_updater -p`).
    #[n(16)]
    #[cbor(default)]
    pub private: BTreeMap<String, String>,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Presence {
    /// It was never seen in this cluster.
    #[n(0)]
    #[default]
    Unseen,
    /// It is there and takes orders.
    #[n(1)]
    Online,
    /// It was lost without a word: it may still be running what it held.
    #[n(2)]
    Lost,
    /// It was fenced; what it held is gone.
    #[n(3)]
    Fenced,
    /// It left in good order.
    #[n(4)]
    Left,
    /// It was lost and, with fencing disabled by the operator, its lease and its time to stop have run out.
    #[n(5)]
    Expired,
}

/// Proof that a boot is dead.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Certificate {
    /// Which boot.
    #[n(0)]
    pub boot: Boot,
    /// How sure it is.
    #[n(1)]
    pub evidence: Evidence,
    /// When, Unix milliseconds.
    #[n(2)]
    pub wall_ms: i64,
    /// The device or the operator.
    #[n(3)]
    pub by: String,
}

/// What a fencing rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Evidence {
    /// The power state was read back as off.
    #[n(0)]
    PowerOff,
    /// The device said so; it cannot read the power state back.
    #[n(1)]
    Device,
    /// An operator vouches.
    #[n(2)]
    Operator,
    /// It ran out of lease and watchdog time.
    #[n(3)]
    Watchdog,
}

/// A node that may be running a resource instance.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Holder {
    /// Its boot.
    #[n(0)]
    pub boot: Boot,
    /// The action that made it a holder, or `probe`.
    #[n(1)]
    pub action: String,
    /// The leader's term.
    #[n(2)]
    pub term: Term,
    /// Where the intent stands in the log.
    #[n(3)]
    pub index: LogIndex,
    /// The intent's action has not reported its result.
    #[n(4)]
    pub is_open: bool,
}

/// History of one resource on one node.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct ResourceRecord {
    /// Class.
    #[n(0)]
    pub class: String,
    /// Provider.
    #[n(1)]
    pub provider: Option<String>,
    /// Agent.
    #[n(2)]
    pub agent: String,
    /// Latest results by operation id (`db_last_0`, `db_monitor_20000`, `db_last_failure_0`).
    #[n(3)]
    pub operations: BTreeMap<String, OpRecord>,
}

/// The latest result of one operation; field names as in `quorate_model::status::OperationHistory`.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct OpRecord {
    /// `operation_key`.
    #[n(0)]
    pub key: String,
    /// The task.
    #[n(1)]
    pub operation: String,
    /// Its number on the node.
    #[n(2)]
    pub call_id: i64,
    /// Exit code.
    #[n(3)]
    pub rc: i32,
    /// 0 done, 2 timeout, 4 error ...
    #[n(4)]
    pub status: i32,
    /// Milliseconds between runs.
    #[n(5)]
    pub interval_ms: u64,
    /// `transition-key`.
    #[n(6)]
    pub transition_key: String,
    /// The last words of the agent.
    #[n(7)]
    pub exit_reason: String,
    /// Unix milliseconds of the last change of the result.
    #[n(8)]
    pub changed_wall_ms: i64,
    /// Milliseconds it took.
    #[n(9)]
    pub took_ms: u64,
    /// Digests of its parameters.
    #[n(10)]
    pub digests: Option<Digests>,
    /// Bounded tail of its output, kept of failures only.
    #[n(11)]
    pub output: String,
    /// `migrate_source`, `migrate_target` where it migrated.
    #[n(12)]
    pub migration: Vec<(String, String)>,
}

/// One fencing.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct FenceRecord {
    /// Whom.
    #[n(0)]
    pub target: NodeName,
    /// Which boot; zero if unknown.
    #[n(1)]
    pub boot: Boot,
    /// `off`, `reboot`, `on`.
    #[n(2)]
    pub action: String,
    /// The devices used, or what was tried.
    #[n(3)]
    pub devices: Vec<String>,
    /// Who ran them.
    #[n(4)]
    pub by: NodeName,
    /// Why.
    #[n(5)]
    pub reason: String,
    /// How it ended.
    #[n(6)]
    pub outcome: FenceOutcome,
    /// When it ended, Unix milliseconds.
    #[n(7)]
    pub wall_ms: i64,
    /// Milliseconds it took.
    #[n(8)]
    pub took_ms: u64,
}

/// How a fencing ended.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum FenceOutcome {
    /// Confirmed.
    #[n(0)]
    Confirmed(#[n(0)] Evidence),
    /// It failed, with the last device's words.
    #[n(1)]
    Failed(#[n(0)] String),
    /// A boot spoke after its certificate: it had not been dead.
    #[n(2)]
    Refuted,
}

/// One transition in the ledger: what was done and why.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct TransitionRecord {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// The leader.
    #[n(1)]
    pub leader: NodeName,
    /// What made it necessary.
    #[n(2)]
    pub trigger: String,
    /// When it began, Unix milliseconds.
    #[n(3)]
    pub wall_ms: i64,
    /// Its actions: key, node, reason.
    #[n(4)]
    pub actions: Vec<(String, String, String)>,
    /// What it could not do: what, why, the way out.
    #[n(5)]
    pub blocked: Vec<(String, String, String)>,
    /// How it ended: empty while it runs.
    #[n(6)]
    pub end: String,
    /// When it ended.
    #[n(7)]
    pub end_wall_ms: i64,
}

/// The timeline of one incident. Times are milliseconds after `began_wall_ms`, measured on one node.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Incident {
    /// What happened (`n1 was lost`, `db failed on n1`).
    #[n(0)]
    pub what: String,
    /// The node concerned.
    #[n(1)]
    pub node: NodeName,
    /// Unix milliseconds of its begin: the last sign of life, as far as it is known.
    #[n(2)]
    pub began_wall_ms: i64,
    /// Milestones: `detected`, `fenced`, `started`, with milliseconds since the begin.
    #[n(3)]
    pub milestones: Vec<(String, u64)>,
}

/// A move or ban.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct MoveRecord {
    /// The resource.
    #[n(0)]
    pub resource: String,
    /// The node.
    #[n(1)]
    pub node: NodeName,
    /// `INFINITY` for a move, `-INFINITY` for a ban.
    #[n(2)]
    pub score: String,
    /// Unix milliseconds of its end; `None`: it stays.
    #[n(3)]
    pub expires_wall_ms: Option<i64>,
    /// Who asked.
    #[n(4)]
    pub who: String,
}

/// A ticket.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct TicketRecord {
    /// It is granted.
    #[n(0)]
    pub granted: bool,
    /// Unix seconds of the last grant.
    #[n(1)]
    pub last_granted: Option<i64>,
}

/// What an operator changed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ChangeRecord {
    /// Who.
    #[n(0)]
    pub who: String,
    /// What, one sentence.
    #[n(1)]
    pub what: String,
    /// When, Unix milliseconds.
    #[n(2)]
    pub wall_ms: i64,
    /// Where in the log.
    #[n(3)]
    pub index: LogIndex,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a version that this one does not know.
    #[error("the state has format {0}, this version reads format {VERSION}: upgrade this node")]
    Version(u8),
    /// Cut short or damaged.
    #[error("the state cannot be decoded: wipe this node and let it join again")]
    Damaged(#[source] minicbor::decode::Error),
    /// Nothing there.
    #[error("the state is empty: wipe this node and let it join again")]
    Empty,
}

impl ClusterState {
    /// Encodes it for a snapshot or a client.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        minicbor::encode(self, &mut bytes).expect("encoding into memory cannot fail");
        bytes
    }

    /// Decodes it and derives the configuration.
    ///
    /// # Errors
    /// Another version wrote it, or it is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        match bytes.split_first() {
            None => Err(SnapshotError::Empty),
            Some((&VERSION, rest)) => {
                let mut state: Self = minicbor::decode(rest).map_err(SnapshotError::Damaged)?;
                state.configuration = crate::document::derive(&state.document.text);
                Ok(state)
            }
            Some((&version, _)) => Err(SnapshotError::Version(version)),
        }
    }

    /// A digest of all of it: equal index means equal digest on every node.
    #[must_use]
    pub fn digest(&self) -> String {
        use md5::Digest as _;
        let mut digest = String::with_capacity(32);
        for byte in md5::Md5::digest(self.encode()) {
            digest.push_str(&format!("{byte:02x}"));
        }
        digest
    }

    /// The nodes that may be running this resource instance.
    pub fn holders_of(&self, resource: &str) -> impl Iterator<Item = (&NodeName, &Holder)> {
        self.holders.get(resource).into_iter().flatten()
    }

    /// What this node may be running.
    pub fn held_by<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = &'a str> {
        self.holders
            .iter()
            .filter(move |(_, nodes)| nodes.contains_key(node))
            .map(|(resource, _)| resource.as_str())
    }

    /// The node's status, if there is one.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&NodeStatus> {
        self.nodes.get(name)
    }

    /// A node's present boot; zero if it was never seen.
    #[must_use]
    pub fn boot(&self, name: &NodeName) -> Boot {
        self.nodes
            .get(name)
            .map_or(Boot(0), |node| node.incarnation.boot)
    }

    /// A cluster option as configured (the first set that has it).
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        crate::document::option(&self.configuration, name)
    }
}
