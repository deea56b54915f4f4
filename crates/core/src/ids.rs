//! Identities and units. Each is a type of its own, so that no two numbers can be swapped.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Number of a voter or learner in the consensus library; never used again after a removal or a wipe.
    RaftId
);
number!(
    /// Random number of one boot of a machine, kept in a tmpfs file: a new one proves that every process
    /// of the old one is gone.
    Boot
);
number!(
    /// Random number of one start of the daemon.
    Session
);
number!(
    /// Term of a leader.
    Term
);
number!(
    /// Position in the replicated log.
    LogIndex
);
number!(
    /// Milliseconds of the node's own monotonic clock that also counts suspended time (`CLOCK_BOOTTIME`).
    Millis
);
number!(
    /// Names a request of a local client until its reply.
    ClientId
);
number!(
    /// Names one run of an agent on this node, for the daemon's session.
    RunId
);
number!(
    /// Names a batch handed to the durable store; batches are made durable in this order.
    BatchId
);
number!(
    /// Names a proposal until it is committed or dropped; unique in one session.
    Tag
);
number!(
    /// Names a request to fence the peer of a pair for quorum; unique in one session.
    PairRequest
);
number!(
    /// Names a lineage of the cluster: a forced recovery mints a new one (design rule R7).
    Lineage
);

impl Millis {
    /// This time and `ms` milliseconds.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if that is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A node's name: 1 to 64 characters; what operators, agents and constraints use.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode,
)]
#[cbor(transparent)]
pub struct NodeName(#[n(0)] pub String);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for NodeName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// Which life of a node: its boot and its daemon's session.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    minicbor::Encode,
    minicbor::Decode,
)]
pub struct Incarnation {
    /// The machine's boot.
    #[n(0)]
    pub boot: Boot,
    /// The daemon's start.
    #[n(1)]
    pub session: Session,
}

/// The two clocks, read once by the shell for each step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic; all timers and leases count on it.
    pub mono: Millis,
    /// Unix milliseconds; only for what people read and for rules over dates.
    pub wall_ms: i64,
}
