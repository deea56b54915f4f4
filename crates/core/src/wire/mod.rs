//! What travels between engines, and what stands in the log: our own versioned encoding.
//!
//! Every structure is a map of numbered optional fields: a newer version adds numbers, an older one skips
//! those it does not know. The consensus library's own encoding never leaves the process.
//!
//! Decoders take bytes of a peer that was authenticated but is not trusted: they never panic, and every length
//! is bounded.

// The library's messages have private fields: they cannot be written as literals.
#![allow(clippy::field_reassign_with_default)]

pub mod entry;
pub mod raft_message;
#[cfg(test)]
mod tests;

use crate::engine::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::ids::{Incarnation, Lineage, Tag};
use raft_message::RaftMessage;

/// Bytes of a snapshot in one frame.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;

/// One frame: who sends it in which life, and what.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Frame {
    /// The sender's lineage.
    #[n(0)]
    pub lineage: Lineage,
    /// The sender's number in the consensus library.
    #[n(1)]
    pub raft_id: u64,
    /// The sender's life.
    #[n(2)]
    pub incarnation: Incarnation,
    /// How often the sender's disk has been started.
    #[n(3)]
    pub start: u64,
    /// Content.
    #[n(4)]
    pub body: Body,
}

/// Content of a frame.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub enum Body {
    /// Are you there? Answered over the same link.
    #[n(0)]
    Probe(#[n(0)] Probe),
    /// I am.
    #[n(1)]
    Answer(#[n(0)] Answer),
    /// A message of the consensus library.
    #[n(2)]
    Raft(#[n(0)] RaftMessage),
    /// A part of a snapshot.
    #[n(3)]
    Chunk(#[n(0)] Chunk),
    /// So much of a snapshot has arrived.
    #[n(4)]
    ChunkReceived(#[n(0)] ChunkReceived),
    /// A proposal for the leader.
    #[n(5)]
    Forward(#[n(0)] Forward),
    /// The receiver of a `Forward` did not propose it.
    #[n(6)]
    ForwardRefused(#[n(0)] Tag),
    /// A message of the manager.
    #[n(7)]
    Manager(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The sender does not take part with the receiver.
    #[n(8)]
    Refusal(#[n(0)] Refusal),
    /// The removed node has stopped taking part, durably.
    #[n(9)]
    RemovalAcknowledged,
}

/// A probe.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Probe {
    /// Drawn anew for each probe.
    #[n(0)]
    pub nonce: u64,
}

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Answer {
    /// The probe's.
    #[n(0)]
    pub nonce: u64,
    /// The term (on the answering node's disk) in which it follows the probing node; 0: it does not.
    #[n(1)]
    pub follows_term: u64,
    /// Set by a leader: milliseconds that its own lease still lasts.
    #[n(2)]
    pub lease_ms: Option<u64>,
}

/// A part of a snapshot.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Chunk {
    /// Names the transfer.
    #[n(0)]
    pub transfer: u64,
    /// The leader's term.
    #[n(1)]
    pub term: u64,
    /// Index of the snapshot.
    #[n(2)]
    pub index: u64,
    /// Term of the entry at that index.
    #[n(3)]
    pub index_term: u64,
    /// Voters at that index.
    #[n(4)]
    pub voters: Vec<u64>,
    /// Learners at that index.
    #[n(5)]
    pub learners: Vec<u64>,
    /// Bytes of the whole snapshot.
    #[n(6)]
    pub total: u64,
    /// Where this part begins.
    #[n(7)]
    pub offset: u64,
    /// The part.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// Progress of a snapshot's transfer.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct ChunkReceived {
    /// Names the transfer.
    #[n(0)]
    pub transfer: u64,
    /// Bytes received without a gap.
    #[n(1)]
    pub received: u64,
}

/// A proposal for the leader.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Forward {
    /// Names it in the sender's session.
    #[n(0)]
    pub tag: Tag,
    /// The entry.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// Why a node turns another away.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode,
)]
pub enum Refusal {
    /// Its raft id is no member's (any more).
    #[n(0)]
    Removed,
    /// A later start of the same disk is known: a copy or an old state of it.
    #[n(1)]
    Stale,
    /// It belongs to another lineage.
    #[n(2)]
    OtherLineage,
    /// Its raft id belongs to a member of another name.
    #[n(3)]
    OtherName,
    /// A confirmed power-off should have ended its boot: the fence device lied.
    #[n(4)]
    Ghost,
}

/// Bytes that are no frame.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Longer than any frame.
    #[error("a frame of {length} bytes exceeds {FRAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// Not decodable by this version.
    #[error("undecodable: {0}")]
    Undecodable(#[from] minicbor::decode::Error),
    /// A field exceeds its bound.
    #[error("{field} exceeds its bound")]
    OutOfBounds {
        /// Which field.
        field: &'static str,
    },
}

impl Frame {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Decodes one.
    ///
    /// # Errors
    /// The bytes are no frame, or one of its fields exceeds its bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(WireError::TooLong {
                length: bytes.len(),
            });
        }
        let frame: Self = minicbor::decode(bytes)?;
        frame.body.check()?;
        Ok(frame)
    }
}

impl Body {
    fn check(&self) -> Result<(), WireError> {
        let (length, bound, field) = match self {
            Self::Chunk(chunk) => (chunk.bytes.len(), CHUNK_BYTES_MAX, "snapshot part"),
            Self::Forward(forward) => (forward.payload.len(), PAYLOAD_BYTES_MAX, "proposal"),
            Self::Manager(bytes) => (bytes.len(), MESSAGE_BYTES_MAX, "message"),
            _ => return Ok(()),
        };
        if length > bound {
            return Err(WireError::OutOfBounds { field });
        }
        Ok(())
    }
}
