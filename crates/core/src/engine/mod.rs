//! The engine: an ordered replicated log with members, quorum, a leader, contact and leases.
//!
//! It is what the manager stands on, and small on purpose, so that another membership layer could take its
//! place: `start`, `step`, `deadline`, `lease_until` and the types in [`api`].
//!
//! How the manager uses it:
//! - `Engine::start` gives the first outputs: a `Restore`, then `Committed` for what the log holds after it.
//! - The replicated state is `fold(Restore, Committed ...)`, the same on every node; `Membership` is part of it.
//! - `Effect`s go to the shell in order. The shell makes `Persist` durable on its own thread and reports
//!   `Durable`; the engine releases what depended on it then (R1).
//! - A leader dispatches after `DispatchReady` of its term and before `leader_lease_until`; an executor begins
//!   an action only before `lease_until`.
//!
//! Architecture invariant: the engine knows nothing of resources, agents or policies, and the manager nothing
//! of the consensus library.

pub mod api;

pub use api::{
    Blocked, ContactState, EngineInput, EngineOutput, EngineStart, Member, MemberChange,
    MemberRole, Restored, Settings,
};

use crate::ids::{Millis, NodeName, Term};
use crate::store::StoreError;

/// The longest payload of one entry.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// The longest message of one manager to another.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The longest frame on the wire.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// One node's engine.
#[derive(Debug)]
pub struct Engine {
    now: Millis,
}

impl Engine {
    /// Starts from what the disk holds. The outputs come first, before any step.
    ///
    /// # Errors
    /// The disk does not fit: it was made for another name, or its records contradict each other.
    pub fn start(start: EngineStart, now: Millis) -> Result<(Self, Vec<EngineOutput>), StoreError> {
        let _ = start;
        Ok((Self { now }, Vec::new()))
    }

    /// Something happened.
    pub fn step(&mut self, now: Millis, input: EngineInput) -> Vec<EngineOutput> {
        self.now = now;
        let _ = input;
        Vec::new()
    }

    /// When the next `Tick` is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        self.now.plus(10)
    }

    /// An executor here may begin an action before this time; `None`: not at all.
    #[must_use]
    pub fn lease_until(&self) -> Option<Millis> {
        None
    }

    /// This leader's own lease: it may dispatch before this time; `None`: it does not lead.
    #[must_use]
    pub fn leader_lease_until(&self) -> Option<Millis> {
        None
    }

    /// The term this node leads in (after `Leading`).
    #[must_use]
    pub fn leads(&self) -> Option<Term> {
        None
    }

    /// The leader as far as this node knows, itself included.
    #[must_use]
    pub fn leader(&self) -> Option<&NodeName> {
        None
    }
}
