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

    /// This leader's lease holds.
    #[must_use]
    pub fn may_dispatch(&self) -> bool {
        self.lease_until.is_some_and(|until| self.now.mono < until)
    }
}
