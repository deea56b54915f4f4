//! What the rotating server and a member say to each other.

use minicbor::{Decode, Encode};

/// Longest message.
pub const BYTES_MAX: usize = 64 << 10;

/// A round of the rotation.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Round {
    /// Trust this authority, too.
    #[n(0)]
    Trust {
        /// Its certificate, PEM.
        #[n(0)]
        authority: String,
    },
    /// Show this certificate; sign with this key.
    #[n(1)]
    Switch {
        /// The new authority's certificate, PEM.
        #[n(0)]
        authority: String,
        /// Its key, PEM; not for a witness.
        #[n(1)]
        authority_key: Option<String>,
        /// This node's new certificate, PEM.
        #[n(2)]
        certificate: String,
    },
    /// Trust this authority only.
    #[n(2)]
    Retire {
        /// Its certificate, PEM.
        #[n(0)]
        authority: String,
    },
}

impl std::fmt::Debug for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Trust { .. } => "Trust",
            Self::Switch { .. } => "Switch",
            Self::Retire { .. } => "Retire",
        })
    }
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Done and durable.
    #[n(0)]
    Done {
        /// After `Trust`: a request to sign this node's key, DER.
        #[cbor(n(0), with = "minicbor::bytes")]
        request: Vec<u8>,
    },
    /// Not done.
    #[n(1)]
    Refused {
        /// Why.
        #[n(0)]
        reason: String,
    },
}
