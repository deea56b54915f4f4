//! What newcomer and cluster say to each other.

use minicbor::{Decode, Encode};
use quorate_core::start::Identity;

/// Version of this conversation.
pub const VERSION: u32 = 1;
/// Longest message.
pub const BYTES_MAX: usize = 256 << 10;

/// What the newcomer asks.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct JoinRequest {
    /// Of the conversation.
    #[n(0)]
    pub version: u32,
    /// The token's secret.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    /// The name it wants.
    #[n(2)]
    pub name: String,
    /// Its address on each link.
    #[n(3)]
    pub addresses: Vec<String>,
    /// A certificate signing request, DER.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub request: Vec<u8>,
    /// It is to vote and to run no resource.
    #[n(5)]
    pub is_witness: bool,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum JoinReply {
    /// Not in.
    #[n(0)]
    Refused {
        /// Why.
        #[n(0)]
        reason: String,
        /// What to do.
        #[n(1)]
        help: String,
    },
    /// In.
    #[n(1)]
    Accepted {
        /// Its certificate, PEM.
        #[n(0)]
        certificate: String,
        /// The authority's, PEM.
        #[n(1)]
        authority: String,
        /// The authority's key, PEM; not for a witness.
        #[n(2)]
        authority_key: Option<String>,
        /// Who it is now.
        #[n(3)]
        identity: Identity,
        /// The cluster's detection time.
        #[n(4)]
        detection_ms: u64,
    },
}
