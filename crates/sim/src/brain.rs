//! What drives a machine: the production node, or in tests of the world something simpler.

use quorate_core::event::{Effect, Event};
use quorate_core::ids::{Millis, Now};
use quorate_core::node::Node;
use quorate_core::start::Start;

/// The code under test on one machine.
pub trait Brain {
    /// Something happened.
    fn step(&mut self, now: Now, event: Event) -> Vec<Effect>;

    /// When the next tick is due at the latest.
    fn deadline(&self) -> Millis;
}

/// Makes brains.
pub trait Maker {
    /// The daemon starts.
    fn start(&self, start: Start, now: Now) -> (Box<dyn Brain>, Vec<Effect>);
}

/// Makes production nodes.
#[derive(Debug, Default)]
pub struct Production;

impl Brain for Node {
    fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        Node::step(self, now, event)
    }

    fn deadline(&self) -> Millis {
        Node::deadline(self)
    }
}

impl Maker for Production {
    fn start(&self, start: Start, now: Now) -> (Box<dyn Brain>, Vec<Effect>) {
        let (node, effects) = Node::start(start, now);
        (Box::new(node), effects)
    }
}
