//! Messages between managers: orders, results, inventory, fencing runs, forwarded requests.
//!
//! Each may be lost or come twice; whoever needs an answer asks again.

use minicbor::{Decode, Encode};

use crate::admin::{Request, Response};
use crate::entry::{FailureWeight, Report};
use crate::event::{AgentCall, AgentResult};
use crate::ids::{Boot, Incarnation, Term};

/// A message.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Message {
    /// The leader to an executor: do this.
    #[n(0)]
    Orders(#[n(0)] Vec<Order>),
    /// An executor to the leader: results that the log does not have yet, in order.
    #[n(1)]
    Reports {
        /// The executor's life.
        #[n(0)]
        incarnation: Incarnation,
        /// The results.
        #[n(1)]
        reports: Vec<Report>,
    },
    /// A new leader to each executor: what runs, what ended?
    #[n(2)]
    AskInventory {
        /// The leader's term.
        #[n(0)]
        term: Term,
    },
    /// The answer.
    #[n(3)]
    Inventory(#[n(0)] NodeInventory),
    /// The coordinator to a node that is to run a fence device.
    #[n(4)]
    RunDevice {
        /// Names the run for its coordinator.
        #[n(0)]
        id: u64,
        /// The coordinator's term, so that numbers of two leaders cannot be mixed up.
        #[n(1)]
        term: Term,
        /// What to run.
        #[n(2)]
        call: AgentCall,
    },
    /// The answer.
    #[n(5)]
    DeviceDone {
        /// The run.
        #[n(0)]
        id: u64,
        /// The coordinator's term.
        #[n(1)]
        term: Term,
        /// How it ended.
        #[n(2)]
        result: AgentResult,
    },
    /// A request for the leader.
    #[n(6)]
    Request {
        /// Names it for the answer.
        #[n(0)]
        id: u64,
        /// The request.
        #[n(1)]
        request: Request,
    },
    /// The leader's answer.
    #[n(7)]
    Answer {
        /// The request.
        #[n(0)]
        id: u64,
        /// The answer.
        #[n(1)]
        response: Response,
    },
}

/// What an executor tells a new leader.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct NodeInventory {
    /// The leader's term, as it asked.
    #[n(0)]
    pub term: Term,
    /// The executor's life.
    #[n(1)]
    pub incarnation: Incarnation,
    /// Its watchdog's time, if it armed one before its first start.
    #[n(2)]
    pub watchdog_ms: Option<u64>,
    /// Names of ordered actions that run or wait to run.
    #[n(3)]
    pub running: Vec<String>,
    /// Results that the log does not have.
    #[n(4)]
    pub reports: Vec<Report>,
    /// It drains: it wants to leave.
    #[n(5)]
    pub is_draining: bool,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Order {
    /// Names the action: term, transition, number.
    #[n(0)]
    pub name: String,
    /// The leader's term.
    #[n(1)]
    pub term: Term,
    /// The boot that it is meant for.
    #[n(2)]
    pub boot: Boot,
    /// What kind of order.
    #[n(3)]
    pub kind: OrderKind,
    /// What to run.
    #[n(4)]
    pub call: AgentCall,
    /// Operation key.
    #[n(5)]
    pub key: String,
    /// `transition-key`.
    #[n(6)]
    pub transition_key: String,
    /// Exit code that means "as expected".
    #[n(7)]
    pub expected_rc: i32,
    /// What a failure does to the fail count.
    #[n(8)]
    pub failure: FailureWeight,
    /// Further attributes of the history entry.
    #[n(9)]
    pub migration: Vec<(String, String)>,
}

/// Kinds of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum OrderKind {
    /// Run once; needs a valid lease (start, promote, migrate ...).
    #[n(0)]
    Begin,
    /// Run once; needs none (stop, demote, notify).
    #[n(1)]
    End,
    /// Run once and look (probe).
    #[n(2)]
    Look,
    /// Begin a recurring monitor.
    #[n(3)]
    Recurring,
    /// End a recurring monitor.
    #[n(4)]
    Cancel,
    /// Nothing is left to be done here: leave.
    #[n(5)]
    Leave,
}

impl Message {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Decodes one.
    ///
    /// # Errors
    /// The bytes are no message of a version that is known here.
    pub fn decode(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}
