//! What clients may ask of a node over its local socket.
//!
//! Reading is one request, `State`: the client gets the encoded replicated state and this node's own view, and
//! derives status, explanations, plans and history with the same pure code that the daemon runs.
//! Writing is a proposal that becomes a log entry.

/// A request (placeholder until the manager defines them all).
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub enum Request {
    /// The replicated state and this node's view of the cluster.
    #[n(0)]
    State,
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
}
