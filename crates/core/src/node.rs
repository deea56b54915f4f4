//! One node of a cluster: composes the engine and the manager.

use crate::event::{Effect, Event};
use crate::ids::{Millis, NodeName, Now};
use crate::start::Start;

/// One node as a state machine. The shell carries out the effects of each step in order.
pub struct Node {
    name: NodeName,
}

impl Node {
    /// Starts from what is durable and from what runs on this boot already.
    #[must_use]
    pub fn start(start: Start, _now: Now) -> (Self, Vec<Effect>) {
        (Self { name: start.name }, Vec::new())
    }

    /// One step.
    pub fn step(&mut self, _now: Now, _event: Event) -> Vec<Effect> {
        Vec::new()
    }

    /// When the next `Event::Tick` is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        Millis(u64::MAX)
    }

    /// This node's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }
}
