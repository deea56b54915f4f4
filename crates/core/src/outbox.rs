//! What the parts of the manager want done; the node carries it to the shell, the engine and itself.

use crate::engine::MemberChange;
use crate::entry::Entry;
use crate::event::{Effect, LogLevel};
use crate::ids::NodeName;
use crate::message::Message;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To this node's manager (may be this one).
    Node(NodeName),
    /// To whoever leads; dropped while nobody is known to.
    Leader,
}

/// Why something is proposed: what happens when it is committed or dropped.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// A note that changes no decision.
    Ledger,
    /// It changes the state: nothing is decided before it is applied.
    Record,
    /// The same, and the running transition knows of it.
    Own,
    /// A request waits for it: answered with this sentence.
    Answer {
        /// Which request.
        request: u64,
        /// What was done.
        text: String,
    },
    /// These results are on their way; if dropped they are sent again.
    Reports,
    /// The leader's intents: dropped means that the transition is void.
    Intents,
}

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// For the shell, in order.
    pub effects: Vec<Effect>,
    /// For managers.
    pub messages: Vec<(To, Message)>,
    /// For the log, in order.
    pub proposals: Vec<(Purpose, Entry)>,
    /// For the engine: a change of the members; answered to the request, if any.
    pub members: Vec<(Option<u64>, MemberChange)>,
    /// Answers to local or forwarded requests.
    pub answers: Vec<(u64, crate::admin::Response)>,
    /// Verdicts on the engine's own fencing requests.
    pub verdicts: Vec<(crate::ids::PairRequest, bool)>,
    /// Hand the lead over.
    pub transfer: Option<NodeName>,
    /// Fencings wanted.
    pub fences: Vec<crate::fencing::FenceRequest>,
}

impl Outbox {
    /// An effect for the shell.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// A sentence for the log of this node.
    pub fn log(&mut self, level: LogLevel, text: impl Into<String>) {
        self.effects.push(Effect::Log {
            level,
            text: text.into(),
        });
    }

    /// A message.
    pub fn send(&mut self, to: To, message: Message) {
        self.messages.push((to, message));
    }

    /// A proposal.
    pub fn propose(&mut self, purpose: Purpose, entry: Entry) {
        self.proposals.push((purpose, entry));
    }
}
