//! What goes into the engine and what comes out of it: the boundary that `core` needs of any ordered log
//! with members, quorum and a leader.

use crate::event::{Effect, Link};
use crate::ids::{
    BatchId, Boot, Incarnation, Lineage, LogIndex, Millis, NodeName, PairRequest, RaftId, Tag, Term,
};
use crate::start::{Genesis, Identity};
use crate::store::Saved;

/// Everything an engine needs to start.
#[derive(Debug, Clone)]
pub struct EngineStart {
    /// The name that the configuration gives this node; it must be the one the disk was made for.
    pub name: NodeName,
    /// Who it is in the cluster, as `init` or `join` wrote it down.
    pub identity: Identity,
    /// This life: the machine's boot and a fresh session.
    pub incarnation: Incarnation,
    /// Seed of jitter and nonces.
    pub seed: u64,
    /// What the disk holds.
    pub saved: Saved,
    /// Initial timers; `Settings` changes them later.
    pub settings: Settings,
}

/// Timers and weights that may change while the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A peer that answered no probe on any link for so long is lost.
    pub detection_ms: u64,
    /// The watchdog time that a new leader waits in addition before anything is dispatched; 0 where fencing
    /// does not count on watchdogs.
    pub watchdog_ms: u64,
    /// Wait of the less important node of a pair before it has its peer fenced.
    pub fence_delay_ms: u64,
    /// Importance of what runs here (pair only).
    pub own_weight: u64,
    /// Importance of what runs on the peer (pair only). Equal weights: the greater name waits.
    pub peer_weight: u64,
    /// Whether a fence device with confirmed power-off exists for the peer. Without one a pair never asks.
    pub pair_fencing: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            detection_ms: 1000,
            watchdog_ms: 0,
            fence_delay_ms: 1000,
            own_weight: 0,
            peer_weight: 0,
            pair_fencing: true,
        }
    }
}

/// What happened, as far as the engine is concerned.
#[derive(Debug, Clone)]
pub enum EngineInput {
    /// Time passed.
    Tick,
    /// A frame of the peer `from` (authenticated by the shell; its content is not trusted).
    Frame {
        /// The peer.
        from: NodeName,
        /// The link it came over.
        link: Link,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A batch is durable. Batches become durable in the order of their numbers.
    Durable(BatchId),
    /// Add this to the log. Forwarded to the leader where this node is not it. Exactly one of
    /// `Committed{tag: Some}` and `ProposalDropped` follows.
    Propose {
        /// Names the proposal in the answer.
        tag: Tag,
        /// The entry; at most `PAYLOAD_BYTES_MAX`.
        payload: Vec<u8>,
    },
    /// Change the members; only the leader accepts it, others answer `ProposalDropped`.
    ChangeMembers {
        /// Names the proposal in the answer (`Membership` with this tag, or `ProposalDropped`).
        tag: Tag,
        /// What to change.
        change: MemberChange,
    },
    /// Send a message of the manager to the same node's manager. May be lost.
    Send {
        /// To whom.
        to: NodeName,
        /// Content.
        bytes: Vec<u8>,
    },
    /// Answer to `WantSnapshot`: the manager's state after the entry `index`.
    SnapshotState {
        /// Index named by `WantSnapshot`.
        index: LogIndex,
        /// Encoded state.
        bytes: Vec<u8>,
    },
    /// Answer to `PairFence`.
    PairFenceVerdict {
        /// Which request.
        request: PairRequest,
        /// `true` only where the power was read back as off (design rule R4).
        confirmed: bool,
    },
    /// A node was confirmed to be off by fencing of the manager's: if it was removed before, it need not
    /// acknowledge that any more (R2).
    NodeFenced {
        /// Which.
        name: NodeName,
    },
    /// Timers or weights changed.
    Settings(Settings),
    /// Hand leadership to this voter, if this node leads.
    TransferLeadership {
        /// The next leader.
        to: NodeName,
    },
    /// An administrator confirmed that every other voter is off and stays off: go on alone under a new
    /// lineage (design rule R7). Refused unless `off` names all of them and none of them answers.
    Force {
        /// The new lineage.
        lineage: Lineage,
        /// Who is confirmed to be off.
        off: Vec<NodeName>,
    },
}

/// A change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// A new node (or one with a wiped disk) joins: it gets a fresh raft id and receives the log, without a vote.
    /// An older member of the same name is removed first.
    AddLearner {
        /// Its name.
        name: NodeName,
        /// `host:port` for each link.
        addresses: Vec<String>,
        /// Whether it becomes a voter as soon as it has caught up.
        promote: bool,
    },
    /// A caught-up learner gets its vote.
    Promote {
        /// Its name.
        name: NodeName,
    },
    /// One of two voters ends in good order: it keeps its place and its log without a vote, so that the other may go
    /// on alone without a fencing. It gets its vote back after its next start, when it has caught up.
    Demote {
        /// Its name.
        name: NodeName,
    },
    /// The node leaves; its raft id is never used again.
    Remove {
        /// Its name.
        name: NodeName,
    },
    /// Its addresses changed.
    Update {
        /// Its name.
        name: NodeName,
        /// `host:port` for each link.
        addresses: Vec<String>,
    },
}

/// What the engine reports or wants. Outputs of one step are in order.
#[derive(Debug, Clone)]
// They live for one step only; boxing the largest would cost more than it saves.
#[allow(clippy::large_enum_variant)]
pub enum EngineOutput {
    /// For the shell: only `Send`, `Persist`, `Peers`, `Log` and `Halt` are used.
    Effect(Effect),
    /// Replace the whole replicated state: at a start, and when a snapshot was installed.
    Restore {
        /// The state is that after this index.
        index: LogIndex,
        /// The manager's state.
        state: Restored,
    },
    /// An entry is committed: apply it.
    Committed {
        /// Its place.
        index: LogIndex,
        /// Term it was proposed in.
        term: Term,
        /// As it was proposed.
        payload: Vec<u8>,
        /// Set where this session proposed it.
        tag: Option<Tag>,
    },
    /// The members or what is known of them changed (after a restore, a configuration change, an incarnation).
    Membership {
        /// Index of the entry that did it.
        index: LogIndex,
        /// All members, by name.
        members: Vec<Member>,
        /// Set where it answers `ChangeMembers` of this session.
        tag: Option<Tag>,
    },
    /// The log is long: answer with `SnapshotState` for exactly this index, now.
    WantSnapshot {
        /// The index of the last `Committed` or `Membership`.
        index: LogIndex,
    },
    /// This node leads, and has applied all that earlier leaders committed. Dispatch nothing yet.
    Leading {
        /// In this term.
        term: Term,
    },
    /// Every lease that an earlier leader gave has run out, or its holder follows this term: dispatch.
    DispatchReady {
        /// In this term.
        term: Term,
    },
    /// This node follows.
    Following {
        /// The leader.
        leader: NodeName,
        /// Its term.
        term: Term,
    },
    /// No leader is known, and this node is none.
    NoLeader {
        /// The last term.
        term: Term,
    },
    /// Contact with a peer changed.
    Contact {
        /// The peer.
        peer: NodeName,
        /// How.
        state: ContactState,
    },
    /// A link to a peer went up or down.
    LinkState {
        /// The peer.
        peer: NodeName,
        /// The link.
        link: Link,
        /// Whether probes are answered over it.
        up: bool,
    },
    /// A message of the peer's manager.
    Message {
        /// The peer.
        from: NodeName,
        /// Content, bounded.
        bytes: Vec<u8>,
    },
    /// Design rule R3: power the peer off and read the power state back; answer with `PairFenceVerdict`.
    PairFence {
        /// Names the request.
        request: PairRequest,
        /// The peer.
        target: NodeName,
        /// The life that is to be ended.
        boot: Boot,
        /// Number of the loss episode.
        episode: u64,
    },
    /// Contact came back before the verdict (R4): its result will not count for quorum (but stays evidence for R8).
    PairFenceCancelled {
        /// Which request.
        request: PairRequest,
    },
    /// A boot that a confirmed power-off should have ended answers: the fence device lies. Alarm.
    FencingDisproved {
        /// Which node.
        target: NodeName,
        /// Its boot.
        boot: Boot,
    },
    /// What keeps this node from taking part, for the status; empty when nothing does.
    Blocked(Vec<Blocked>),
    /// The proposal was not accepted, or nothing is known of it any more.
    ProposalDropped {
        /// Which.
        tag: Tag,
        /// Why, as a sentence.
        reason: String,
        /// `true`: it may be committed nevertheless (the leader changed meanwhile).
        maybe_committed: bool,
    },
}

/// Where a replicated state begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Restored {
    /// Nothing is known yet: this node has joined and waits for the leader's snapshot.
    Nothing,
    /// The founding state of the cluster.
    Genesis(Genesis),
    /// A state that `SnapshotState` gave, here or on another node.
    State(Vec<u8>),
}

/// Whether a peer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactState {
    /// It answered for the first time in this session of ours, or in a new life of its own.
    Met {
        /// Its life.
        incarnation: Incarnation,
    },
    /// No answer to a nonce on any link within the detection time.
    Lost {
        /// When the last answered probe was sent or, for a peer never met, when this engine started.
        since: Millis,
    },
    /// The same life answers again.
    Back {
        /// Its life.
        incarnation: Incarnation,
    },
}

/// A member as all nodes know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// Its number in the consensus library.
    pub raft_id: RaftId,
    /// Vote or none.
    pub role: MemberRole,
    /// `host:port` for each link.
    pub addresses: Vec<String>,
    /// The last life that is in the log.
    pub incarnation: Option<Incarnation>,
}

/// Whether a member votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// It votes.
    Voter,
    /// It receives the log only.
    Learner,
    /// Removed by a confirmed power-off of a pair (R5); it comes back as a learner by itself once it is met again.
    Returning,
}

/// Why a node does not take part (for the status; each has a way out in its text).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// R7: a member of a pair has started and has not met its peer.
    WaitingForPeer {
        /// The peer.
        peer: NodeName,
    },
    /// The peer is lost and this node may not fence for quorum.
    NotEligible {
        /// The peer.
        peer: NodeName,
        /// Why not, as a sentence.
        why: String,
    },
    /// The peer's fencing for quorum is awaited.
    FencingPeer {
        /// The peer.
        peer: NodeName,
    },
    /// The peer's fencing for quorum failed; it is tried again.
    FencingFailed {
        /// The peer.
        peer: NodeName,
    },
    /// The peer belongs to another lineage: one of the two disks must be wiped.
    OtherLineage {
        /// The peer.
        peer: NodeName,
        /// Which disk to wipe and how.
        help: String,
    },
    /// The cluster does not accept this disk (removed, restored from a copy, or of another cluster).
    Refused {
        /// Who said so.
        by: NodeName,
        /// Why and what to do.
        help: String,
    },
}
