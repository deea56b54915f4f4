//! What this node sees by itself, beside the log: contact with its peers.

use std::collections::BTreeMap;

use crate::ids::{Incarnation, Millis, NodeName, Now, Term};
use crate::state::ClusterState;

/// Contact with a peer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contact {
    /// The life that answered last; `None`: never met in this session.
    pub incarnation: Option<Incarnation>,
    /// It answers.
    pub is_up: bool,
    /// Since when it answers without a loss.
    pub up_since: Millis,
    /// When it was lost: the send time of the last answered probe.
    pub lost_since: Millis,
    /// When the loss was noticed.
    pub noticed: Millis,
    /// Which links answer.
    pub links: BTreeMap<u8, bool>,
}

/// What the parts of the manager may look at.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// This node.
    pub name: &'a NodeName,
    /// Its life.
    pub incarnation: Incarnation,
    /// The replicated state.
    pub state: &'a ClusterState,
    /// Contacts with peers.
    pub contacts: &'a BTreeMap<NodeName, Contact>,
    /// Now.
    pub now: Now,
    /// Proposals of this node that would change the state and are not applied yet.
    pub outstanding: usize,
    /// This leader may dispatch before this time.
    pub lease_until: Option<Millis>,
    /// No answer for so long: lost.
    pub detection_ms: u64,
    /// The term that this node leads in.
    pub leads: Option<Term>,
}

impl World<'_> {
    /// The life of a node that answers now (this one included).
    #[must_use]
    pub fn answers(&self, node: &NodeName) -> Option<Incarnation> {
        if node == self.name {
            return Some(self.incarnation);
        }
        self.contacts
            .get(node)
            .filter(|contact| contact.is_up)
            .and_then(|contact| contact.incarnation)
    }

    /// This node has had a majority around it for the detection time. One that was cut off itself and is back
    /// first hears from some, then from others: the silence of those was its own.
    #[must_use]
    pub fn may_judge(&self) -> bool {
        let voters = self.state.members.len();
        if voters < 3 {
            // One of two has its peer fenced by the rules of the pair.
            return true;
        }
        let mut since: Vec<Millis> = self
            .contacts
            .values()
            .filter(|contact| contact.is_up)
            .map(|contact| contact.up_since)
            .collect();
        since.sort_unstable();
        // This node is one of the majority.
        let last = since.get(voters / 2 - 1);
        last.is_some_and(|last| self.now.mono.since(*last) >= self.detection_ms)
    }

    /// This leader's lease holds.
    #[must_use]
    pub fn may_dispatch(&self) -> bool {
        self.lease_until.is_some_and(|until| self.now.mono < until)
    }
}
