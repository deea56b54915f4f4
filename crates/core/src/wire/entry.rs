//! What stands in the log, on disk and on the wire.

use raft::eraftpb::{ConfChange, ConfChangeType, Entry, EntryType};

use super::WireError;
use crate::ids::{Boot, Incarnation, NodeName, Session, Tag};

/// An entry of the log with its place.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct LogEntry {
    /// Its place.
    #[n(0)]
    pub index: u64,
    /// The term it was proposed in.
    #[n(1)]
    pub term: u64,
    /// Content.
    #[n(2)]
    pub content: Content,
}

/// Content of an entry, as far as the log must know it.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub enum Content {
    /// An encoded `Record`, or nothing (the first entry of a term). It is decoded when it is applied, so that a
    /// node can keep and pass on what only a newer version understands.
    #[n(0)]
    Plain(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// A change of the configuration. Typed, so that each receiver encodes the library's form by itself.
    #[n(1)]
    Change(#[n(0)] Change),
}

/// A plain entry.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub enum Record {
    /// The manager's.
    #[n(0)]
    Payload(#[n(0)] Payload),
    /// A member has started.
    #[n(1)]
    Started(#[n(0)] Started),
    /// R2: both members of a pair are in these lives.
    #[n(2)]
    Pair(#[n(0)] Pair),
    /// A removed voter has acknowledged its removal.
    #[n(3)]
    Departed(#[n(0)] u64),
    /// A member's addresses.
    #[n(4)]
    Addresses(#[n(0)] Addresses),
    /// A returning member is given up.
    #[n(5)]
    Forget(#[n(0)] Forget),
}

/// Who proposed an entry, so that it is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Origin {
    /// Its number in the consensus library.
    #[n(0)]
    pub raft_id: u64,
    /// Its session.
    #[n(1)]
    pub session: Session,
    /// Its name for the proposal.
    #[n(2)]
    pub tag: Tag,
}

/// The manager's entry.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Payload {
    /// Who proposed it.
    #[n(0)]
    pub origin: Origin,
    /// As it was proposed.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// A member has started.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Started {
    /// Which.
    #[n(0)]
    pub raft_id: u64,
    /// Its life.
    #[n(1)]
    pub incarnation: Incarnation,
    /// How often its disk has been started.
    #[n(2)]
    pub start: u64,
}

/// Both members of a pair are in these lives.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Pair {
    /// Each voter and its life, by number.
    #[n(0)]
    pub lives: Vec<(u64, Incarnation)>,
}

/// A member's addresses.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Addresses {
    /// Which.
    #[n(0)]
    pub raft_id: u64,
    /// `host:port` for each link.
    #[n(1)]
    pub addresses: Vec<String>,
    /// Who proposed it.
    #[n(2)]
    pub origin: Origin,
}

/// A returning member is given up.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Forget {
    /// Which.
    #[n(0)]
    pub raft_id: u64,
    /// Who proposed it.
    #[n(1)]
    pub origin: Origin,
}

/// What a configuration entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum ChangeKind {
    /// Adds a member without a vote.
    #[n(0)]
    AddLearner,
    /// Gives a member its vote.
    #[n(1)]
    AddVoter,
    /// Removes a member.
    #[n(2)]
    Remove,
}

/// A configuration entry.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Change {
    /// What it does.
    #[n(0)]
    pub kind: ChangeKind,
    /// To whom.
    #[n(1)]
    pub raft_id: u64,
    /// Its name.
    #[n(2)]
    pub name: NodeName,
    /// `host:port` for each link (learners).
    #[n(3)]
    pub addresses: Vec<String>,
    /// A learner that becomes a voter as soon as it has caught up.
    #[n(4)]
    pub promote: bool,
    /// The proof under which a pair's survivor removed its peer (R5).
    #[n(5)]
    pub certificate: Option<Certificate>,
    /// Who proposed it.
    #[n(6)]
    pub origin: Origin,
}

/// A confirmed power-off that stands in for a vote.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Certificate {
    /// The life that it ended; `None` where an administrator forced it.
    #[n(0)]
    pub boot: Option<Boot>,
    /// The survivor's request.
    #[n(1)]
    pub request: u64,
    /// The survivor's loss episode.
    #[n(2)]
    pub episode: u64,
}

impl Record {
    /// Encodes it as an entry's data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Decodes an entry's data.
    ///
    /// # Errors
    /// A newer version wrote it.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Ok(minicbor::decode(bytes)?)
    }
}

impl Change {
    /// In the library's form.
    #[must_use]
    pub fn to_library(&self) -> ConfChange {
        let mut change = ConfChange::default();
        change.set_node_id(self.raft_id);
        change.set_change_type(match self.kind {
            ChangeKind::AddLearner => ConfChangeType::AddLearnerNode,
            ChangeKind::AddVoter => ConfChangeType::AddNode,
            ChangeKind::Remove => ConfChangeType::RemoveNode,
        });
        change
    }

    /// Our form, to go into an entry's context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }
}

impl LogEntry {
    /// For the disk.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// From the disk.
    ///
    /// # Errors
    /// The bytes are no entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Ok(minicbor::decode(bytes)?)
    }

    /// From the library.
    ///
    /// # Errors
    /// A configuration entry lacks our form of it.
    pub fn from_library(entry: &Entry) -> Result<Self, WireError> {
        let content = match entry.get_entry_type() {
            EntryType::EntryNormal => Content::Plain(entry.data.to_vec()),
            EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                Content::Change(minicbor::decode(&entry.context)?)
            }
        };
        Ok(Self {
            index: entry.index,
            term: entry.term,
            content,
        })
    }

    /// To the library.
    #[must_use]
    pub fn to_library(&self) -> Entry {
        use protobuf::Message as _;
        let mut entry = Entry::default();
        entry.index = self.index;
        entry.term = self.term;
        match &self.content {
            Content::Plain(bytes) => entry.data = bytes.clone().into(),
            Content::Change(change) => {
                entry.set_entry_type(EntryType::EntryConfChange);
                let library = change.to_library();
                entry.data = library
                    .write_to_bytes()
                    .expect("encoding into memory cannot fail")
                    .into();
                entry.context = change.encode().into();
            }
        }
        entry
    }
}
