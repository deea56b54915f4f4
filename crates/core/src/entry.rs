//! Entries of the replicated log.
//!
//! The encoding is numbered: new variants and new optional fields may be added, numbers are never used
//! again. An entry that a node cannot decode makes its state `broken`: it stops deciding.

use minicbor::{Decode, Encode};

use crate::event::AgentResult;
use crate::ids::{Boot, Incarnation, NodeName, Session, Term};
use crate::start::Founder;
use crate::state::{FenceRecord, Incident, MoveRecord, OwedNotice, TransitionRecord};

/// An entry.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Entry {
    /// A new configuration.
    #[n(1)]
    Configure {
        /// crm text.
        #[n(0)]
        text: String,
        /// It replaces this revision; void if another came first.
        #[n(1)]
        based_on: u64,
        /// Who.
        #[n(2)]
        who: String,
        /// When.
        #[n(3)]
        wall_ms: i64,
    },
    /// A node is there and has told what it runs.
    #[n(2)]
    NodeUp {
        /// Which.
        #[n(0)]
        node: NodeName,
        /// Its life.
        #[n(1)]
        incarnation: Incarnation,
        /// Its watchdog's time, if it armed one.
        #[n(2)]
        watchdog_ms: Option<u64>,
        /// When.
        #[n(3)]
        wall_ms: i64,
    },
    /// A node was lost without a word.
    #[n(3)]
    NodeLost {
        /// Which.
        #[n(0)]
        node: NodeName,
        /// Which life.
        #[n(1)]
        incarnation: Incarnation,
        /// Why, one clause.
        #[n(2)]
        reason: String,
        /// When.
        #[n(3)]
        wall_ms: i64,
    },
    /// A node left in good order: nothing runs there.
    #[n(4)]
    NodeLeft {
        /// Which.
        #[n(0)]
        node: NodeName,
        /// Which life.
        #[n(1)]
        incarnation: Incarnation,
        /// When.
        #[n(2)]
        wall_ms: i64,
    },
    /// With fencing disabled: lease and stop time of a lost node ran out.
    #[n(5)]
    NodeExpired {
        /// Which.
        #[n(0)]
        node: NodeName,
        /// Which boot.
        #[n(1)]
        boot: Boot,
        /// When.
        #[n(2)]
        wall_ms: i64,
    },
    /// A fencing ended.
    #[n(6)]
    Fencing(#[n(0)] FenceRecord),
    /// Actions that are about to be dispatched.
    #[n(7)]
    Intents {
        /// The leader's term; void in any other.
        #[n(0)]
        term: Term,
        /// The actions.
        #[n(1)]
        intents: Vec<Intent>,
    },
    /// Results of operations on one node, in the order in which they came about.
    #[n(8)]
    Results {
        /// Where.
        #[n(0)]
        node: NodeName,
        /// In which life.
        #[n(1)]
        incarnation: Incarnation,
        /// The results.
        #[n(2)]
        reports: Vec<Report>,
    },
    /// Node attributes changed.
    #[n(9)]
    Attributes {
        /// The changes.
        #[n(0)]
        changes: Vec<AttributeChange>,
        /// Who.
        #[n(1)]
        who: String,
        /// What, for the record of changes; empty where it is no operator's change.
        #[n(2)]
        what: String,
        /// When.
        #[n(3)]
        wall_ms: i64,
    },
    /// Forget the history (and with it, failures) of resources on nodes.
    #[n(10)]
    Forget {
        /// Node and resource; `None`: all of the node, so that it is probed anew.
        #[n(0)]
        what: Vec<(NodeName, Option<String>)>,
        /// Who.
        #[n(1)]
        who: String,
        /// When.
        #[n(2)]
        wall_ms: i64,
    },
    /// Moves and bans: by constraint id, `None` takes it back.
    #[n(11)]
    Moves {
        /// The changes.
        #[n(0)]
        changes: Vec<(String, Option<MoveRecord>)>,
        /// Who.
        #[n(1)]
        who: String,
        /// When.
        #[n(2)]
        wall_ms: i64,
    },
    /// A ticket was granted or revoked.
    #[n(12)]
    Ticket {
        /// Which.
        #[n(0)]
        ticket: String,
        /// Granted.
        #[n(1)]
        is_granted: bool,
        /// Who.
        #[n(2)]
        who: String,
        /// When.
        #[n(3)]
        wall_ms: i64,
    },
    /// A token for one join.
    #[n(13)]
    Token {
        /// Its hash.
        #[n(0)]
        hash: String,
        /// Its end.
        #[n(1)]
        expires_wall_ms: i64,
        /// Now, so that old ones go.
        #[n(2)]
        wall_ms: i64,
    },
    /// A node is taken in.
    #[n(14)]
    Admit {
        /// The node; its number is given when the consensus takes it in.
        #[n(0)]
        node: Founder,
        /// The token it used up.
        #[n(1)]
        token_hash: String,
        /// When.
        #[n(2)]
        wall_ms: i64,
    },
    /// A transition began or ended.
    /// Others were told of what happened to these instances, or nobody is left to be told.
    #[n(18)]
    Notified(#[n(0)] Vec<OwedNotice>),
    /// A transition began or ended.
    #[n(16)]
    Transition(#[n(0)] TransitionRecord),
    /// An incident began or reached a milestone.
    #[n(17)]
    Incident(#[n(0)] Incident),
}

/// An action that is about to be dispatched: from now on the node counts as a holder.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Intent {
    /// Name of the action.
    #[n(0)]
    pub action: String,
    /// The resource instance.
    #[n(1)]
    pub resource: String,
    /// The node.
    #[n(2)]
    pub node: NodeName,
    /// Its boot.
    #[n(3)]
    pub boot: Boot,
    /// Nobody else may hold it, except the source of a migration.
    #[n(4)]
    pub is_exclusive: bool,
    /// The source of a migration.
    #[n(5)]
    pub source: Option<NodeName>,
}

/// One result on its way from an executor into the log.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Report {
    /// Counts the reports of this session.
    #[n(0)]
    pub number: u64,
    /// Name of the ordered action, empty for what the executor found by itself.
    #[n(1)]
    pub action: String,
    /// The resource instance.
    #[n(2)]
    pub resource: String,
    /// Class.
    #[n(3)]
    pub class: String,
    /// Provider.
    #[n(4)]
    pub provider: Option<String>,
    /// Agent.
    #[n(5)]
    pub agent: String,
    /// Operation key (`db_start_0`).
    #[n(6)]
    pub key: String,
    /// The task.
    #[n(7)]
    pub operation: String,
    /// Milliseconds between runs.
    #[n(8)]
    pub interval_ms: u64,
    /// `transition-key` of the order that began it.
    #[n(9)]
    pub transition_key: String,
    /// Exit code that was expected.
    #[n(10)]
    pub expected_rc: i32,
    /// The result.
    #[n(11)]
    pub result: AgentResult,
    /// When it came about.
    #[n(12)]
    pub wall_ms: i64,
    /// What it does to the fail count.
    #[n(13)]
    pub failure: FailureWeight,
    /// Further attributes of the history entry (`migrate_source` ...).
    #[n(14)]
    pub migration: Vec<(String, String)>,
    /// The session that ran it.
    #[n(15)]
    pub session: Session,
}

/// What a failure does to the fail count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum FailureWeight {
    /// Nothing: it did not fail, or its failure is to be ignored.
    #[n(0)]
    #[default]
    None,
    /// Adds one.
    #[n(1)]
    One,
    /// It may not be tried here again (a failed start or stop).
    #[n(2)]
    Infinite,
}

/// A change of a node attribute.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct AttributeChange {
    /// Whose.
    #[n(0)]
    pub node: NodeName,
    /// Its name.
    #[n(1)]
    pub name: String,
    /// The new value; `None`: delete it.
    #[n(2)]
    pub value: Option<String>,
    /// It outlives the node's stay.
    #[n(3)]
    pub is_permanent: bool,
    /// Agents' own note: no part of the status.
    #[n(4)]
    #[cbor(default)]
    pub is_private: bool,
}

impl Entry {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Decodes one.
    ///
    /// # Errors
    /// The bytes are no entry of a version that is known here.
    pub fn decode(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}
