//! Why a node can run nothing at present.

use crate::source::Source;
use crate::world::{NodeIx, World};

/// What is wrong with a node.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// A clause (`the node is in standby`).
    pub text: String,
    pub sources: Vec<Source>,
    /// A command, where one helps.
    pub way_out: Option<String>,
}

impl World<'_> {
    /// Why a node takes nothing, if it does not.
    pub(crate) fn node_trouble(&self, n: NodeIx) -> Option<Trouble> {
        let node = &self.nodes[n];
        let name = &node.name;
        let fact = |text: &str| vec![Source::Fact(format!("{name} {text}"))];
        let (text, sources, way_out) = if node.unclean {
            let way = if self.can_fence(n) {
                None
            } else {
                Some(format!(
                    "make sure that it is off, then: quorate fence confirm {name}"
                ))
            };
            (
                "the node is unclean: nobody knows what still runs on it",
                fact("is unclean"),
                way,
            )
        } else if node.pending {
            ("the node is joining", fact("is joining"), None)
        } else if !node.online {
            ("the node is offline", fact("is offline"), None)
        } else if node.shutdown {
            ("the node is shutting down", fact("is shutting down"), None)
        } else if node.standby_onfail {
            (
                "the node is in standby because something failed there (on-fail=standby)",
                fact("had a failure with on-fail=standby"),
                Some("quorate cleanup".to_owned()),
            )
        } else if node.standby {
            (
                "the node is in standby",
                vec![self.node_source(n, "standby")],
                Some(format!("quorate online {name}")),
            )
        } else if node.maintenance {
            (
                "the node is in maintenance",
                vec![self.node_source(n, "maintenance")],
                Some(format!("quorate maintenance off {name}")),
            )
        } else {
            return None;
        };
        Some(Trouble {
            text: text.to_owned(),
            sources,
            way_out,
        })
    }
}
