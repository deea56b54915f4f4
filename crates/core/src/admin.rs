//! What clients may ask of a node over its local socket.
//!
//! Reading is one request, `State`: the client gets the encoded replicated state and this node's own view, and
//! derives status, explanations, plans and history with the same pure code that the daemon runs.
//! Writing is a proposal that becomes a log entry; a node that does not lead passes it on to the leader.

use crate::ids::{Incarnation, LogIndex, NodeName, RaftId, Term};
use crate::start::{Founder, Identity};

/// Who asks: for the ledger.
pub type Who = String;

/// A request.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub enum Request {
    /// The replicated state and this node's view of the cluster.
    #[n(0)]
    State,
    /// `State` now and after each change, until the client goes away. Changes in quick succession give one
    /// reply.
    #[n(1)]
    Watch,
    /// A whole configuration in crm syntax.
    #[n(2)]
    Apply {
        /// The text.
        #[n(0)]
        text: String,
        /// The revision it was made from; `None` takes the risk to overwrite another's change.
        #[n(1)]
        based_on: Option<u64>,
        /// What to do with statements that are in error.
        #[n(2)]
        errors: OnErrors,
        /// Who asks.
        #[n(3)]
        who: Who,
    },
    /// Read or change a node attribute (also fail counts: `fail-count-RSC#op_interval`).
    #[n(3)]
    Attribute {
        /// Of which node.
        #[n(0)]
        node: NodeName,
        /// Its name.
        #[n(1)]
        name: String,
        /// What to do.
        #[n(2)]
        access: Access,
        /// How long it lives.
        #[n(3)]
        lifetime: Lifetime,
        /// Who asks.
        #[n(4)]
        who: Who,
    },
    /// Move resources off a node (`on`) or let it take some again (`off`).
    #[n(4)]
    Standby {
        /// Which node.
        #[n(0)]
        node: NodeName,
        /// To or from standby.
        #[n(1)]
        switch: Switch,
        /// How long it lasts.
        #[n(2)]
        lifetime: Lifetime,
        /// Who asks.
        #[n(3)]
        who: Who,
    },
    /// Leave the resources of a node (or of all) alone.
    #[n(5)]
    Maintenance {
        /// Which node; `None`: the cluster.
        #[n(0)]
        node: Option<NodeName>,
        /// On or off.
        #[n(1)]
        switch: Switch,
        /// Who asks.
        #[n(2)]
        who: Who,
    },
    /// Move a resource to a node (a preference), or away from where it runs (a ban).
    #[n(6)]
    Move {
        /// The resource.
        #[n(0)]
        resource: String,
        /// Where to; `None`: away from where it is.
        #[n(1)]
        node: Option<NodeName>,
        /// Milliseconds after which the preference goes; `None`: it stays until `clear`.
        #[n(2)]
        expires_ms: Option<u64>,
        /// Who asks.
        #[n(3)]
        who: Who,
    },
    /// Forbid a resource on a node.
    #[n(7)]
    Ban {
        /// The resource.
        #[n(0)]
        resource: String,
        /// Where; `None`: where it is now.
        #[n(1)]
        node: Option<NodeName>,
        /// Milliseconds after which the ban goes; `None`: it stays until `clear`.
        #[n(2)]
        expires_ms: Option<u64>,
        /// Who asks.
        #[n(3)]
        who: Who,
    },
    /// Take back moves and bans of a resource.
    #[n(8)]
    Clear {
        /// The resource.
        #[n(0)]
        resource: String,
        /// Only for this node.
        #[n(1)]
        node: Option<NodeName>,
        /// Who asks.
        #[n(2)]
        who: Who,
    },
    /// Forget failures and probe again.
    #[n(9)]
    Cleanup {
        /// The resource; `None`: all.
        #[n(0)]
        resource: Option<String>,
        /// The node; `None`: all.
        #[n(1)]
        node: Option<NodeName>,
        /// Who asks.
        #[n(2)]
        who: Who,
    },
    /// Find out anew what runs where: forget the history and probe.
    #[n(10)]
    Reprobe {
        /// The node; `None`: all.
        #[n(0)]
        node: Option<NodeName>,
        /// Who asks.
        #[n(1)]
        who: Who,
    },
    /// Power a node off and on again.
    #[n(11)]
    Fence {
        /// Which node.
        #[n(0)]
        node: NodeName,
        /// `off` stays off; `reboot` is off, confirmed, then on.
        #[n(1)]
        action: FenceAction,
        /// Who asks.
        #[n(2)]
        who: Who,
    },
    /// The operator vouches that a node is off.
    #[n(12)]
    ConfirmFenced {
        /// Which node.
        #[n(0)]
        node: NodeName,
        /// Who vouches.
        #[n(1)]
        who: Who,
    },
    /// Allow one join: the token's hash and its end.
    #[n(13)]
    Token {
        /// SHA-256 of the token, hex.
        #[n(0)]
        hash: String,
        /// Unix milliseconds after which it is void.
        #[n(1)]
        expires_wall_ms: i64,
        /// Who asks.
        #[n(2)]
        who: Who,
    },
    /// Take in a node (the shell has checked its certificate request; the token is consumed here).
    #[n(14)]
    Admit {
        /// Name, addresses, fingerprint, role; its `raft_id` is ignored, a new one is given.
        #[n(0)]
        node: Founder,
        /// SHA-256 of the token it showed, hex.
        #[n(1)]
        token_hash: String,
    },
    /// Take a member out.
    #[n(15)]
    Remove {
        /// Which node.
        #[n(0)]
        node: NodeName,
        /// Who asks.
        #[n(1)]
        who: Who,
    },
    /// Hand the lead to another voter.
    #[n(16)]
    Transfer {
        /// To which.
        #[n(0)]
        node: NodeName,
    },
    /// Drain this node and stop its daemon, as `Event::Shutdown`.
    #[n(17)]
    Shutdown,
    /// Grant or revoke a ticket.
    #[n(18)]
    Ticket {
        /// Which.
        #[n(0)]
        ticket: String,
        /// Granted or revoked.
        #[n(1)]
        switch: Switch,
        /// Who asks.
        #[n(2)]
        who: Who,
    },
    /// Run a fence device's `monitor` or `power-status` of a node now, from this node (`fence check`).
    #[n(19)]
    FenceCheck {
        /// The node whose power state is read.
        #[n(0)]
        node: NodeName,
    },
    /// Without quorum, and for good: the operator vouches that all these are off and stay off; this node goes on
    /// alone under a new lineage (design rule R7).
    #[n(20)]
    Recover {
        /// Every other voter.
        #[n(0)]
        lost: Vec<NodeName>,
        /// Who vouches.
        #[n(1)]
        who: Who,
    },
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Switch {
    /// On.
    #[n(0)]
    On,
    /// Off.
    #[n(1)]
    Off,
}

/// What to do with a configuration in error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum OnErrors {
    /// Refuse it.
    #[n(0)]
    Refuse,
    /// Load what can be loaded (`--force`).
    #[n(1)]
    Drop,
}

/// What is done with an attribute.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Access {
    /// Read it: answered by `Value`.
    #[n(0)]
    Get,
    /// Set it.
    #[n(1)]
    Set(#[n(0)] String),
    /// Add to its number (`value++`, `value+=n` of the helper tools).
    #[n(2)]
    Add(#[n(0)] i64),
    /// Delete it.
    #[n(3)]
    Delete,
}

/// How long an attribute lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Lifetime {
    /// Until it is deleted.
    #[n(0)]
    Forever,
    /// Until the node leaves the cluster (`-l reboot`).
    #[n(1)]
    Reboot,
    /// The same, seen by nobody but those who ask for it by name (`attrd_updater -p`): no decision rests on it.
    #[n(2)]
    Private,
}

/// What fencing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum FenceAction {
    /// Off, and it stays off.
    #[n(0)]
    Off,
    /// Off, confirmed, then on.
    #[n(1)]
    Reboot,
    /// On.
    #[n(2)]
    On,
}

/// A response.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub enum Response {
    /// It was refused: what, why, and what to do.
    #[n(0)]
    Refused {
        /// Why.
        #[n(0)]
        reason: String,
        /// The next step.
        #[n(1)]
        help: String,
    },
    /// The replicated state (`state::ClusterState::decode`) and this node's view.
    #[n(1)]
    State {
        /// Encoded.
        #[cbor(n(0), with = "minicbor::bytes")]
        state: Vec<u8>,
        /// This node's own view.
        #[n(1)]
        local: LocalView,
    },
    /// Done; it is in the log at this index.
    #[n(2)]
    Done {
        /// What was done, one sentence.
        #[n(0)]
        text: String,
        /// Where in the log.
        #[n(1)]
        index: LogIndex,
    },
    /// An attribute's value.
    #[n(3)]
    Value(#[n(0)] Option<String>),
    /// The configuration has changed since `based_on`.
    #[n(4)]
    Conflict {
        /// The revision there is.
        #[n(0)]
        revision: u64,
        /// Its text.
        #[n(1)]
        text: String,
        /// Who changed it last.
        #[n(2)]
        who: String,
    },
    /// Taken in: what the new node writes down.
    #[n(5)]
    Admitted(#[n(0)] Identity),
    /// Power states read back, one line a device: device, `on`, `off` or the error.
    #[n(6)]
    Power(#[n(0)] Vec<(String, String)>),
}

/// What one node sees of the cluster by itself.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct LocalView {
    /// Which node.
    #[n(0)]
    pub name: String,
    /// Its life.
    #[n(1)]
    pub incarnation: Incarnation,
    /// Who leads, as far as it knows.
    #[n(2)]
    pub leader: Option<NodeName>,
    /// The term.
    #[n(3)]
    pub term: Term,
    /// A quorum answers.
    #[n(4)]
    pub has_quorum: bool,
    /// It may begin actions.
    #[n(5)]
    pub has_lease: bool,
    /// The peers.
    #[n(6)]
    pub peers: Vec<PeerView>,
    /// The transition that runs (the leader knows it).
    #[n(7)]
    pub transition: Option<TransitionView>,
    /// Why it waits, if it does (design rule R7, a failed fencing, no quorum ...), with the way out.
    #[n(8)]
    pub waits: Vec<(String, String)>,
    /// Wall clock, Unix milliseconds.
    #[n(9)]
    pub wall_ms: i64,
    /// Version of the software.
    #[n(10)]
    pub version: String,
}

/// A peer as one node sees it.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct PeerView {
    /// Its name.
    #[n(0)]
    pub name: NodeName,
    /// Its number.
    #[n(1)]
    pub raft_id: RaftId,
    /// It answers on some link.
    #[n(2)]
    pub has_contact: bool,
    /// For each link: milliseconds since the last answer, `None` if there never was one.
    #[n(3)]
    pub links: Vec<Option<u64>>,
}

/// A transition that runs.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct TransitionView {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// Actions that are done.
    #[n(1)]
    pub done: u64,
    /// All actions.
    #[n(2)]
    pub total: u64,
    /// What runs now (`db_start_0 on n1`).
    #[n(3)]
    pub running: Vec<String>,
}

impl Request {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Decodes one.
    ///
    /// # Errors
    /// The bytes are no request of a version that is known here.
    pub fn decode(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}

impl Response {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Decodes one.
    ///
    /// # Errors
    /// The bytes are no response of a version that is known here.
    pub fn decode(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}
