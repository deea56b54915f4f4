//! The consensus library's messages in our own form.

use raft::eraftpb::{Message, MessageType};

use super::WireError;
use super::entry::LogEntry;

/// The context by which the library marks the campaign of a transfer of leadership.
const CAMPAIGN_TRANSFER: &[u8] = b"CampaignTransfer";

/// The kinds that travel. Proposals, read requests and transfers do not: they are refused by not existing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Entries for a follower.
    #[n(0)]
    Append,
    /// Its answer.
    #[n(1)]
    AppendResponse,
    /// A candidate asks for a vote.
    #[n(2)]
    RequestVote,
    /// The answer.
    #[n(3)]
    RequestVoteResponse,
    /// A follower asks whether a vote would be given.
    #[n(4)]
    RequestPreVote,
    /// The answer.
    #[n(5)]
    RequestPreVoteResponse,
    /// The leader is there.
    #[n(6)]
    Heartbeat,
    /// The answer.
    #[n(7)]
    HeartbeatResponse,
    /// The leader hands over.
    #[n(8)]
    TimeoutNow,
}

/// One message.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct RaftMessage {
    /// Its kind.
    #[n(0)]
    pub kind: Kind,
    /// To whom.
    #[n(1)]
    pub to: u64,
    /// Term of the sender (or of the vote it asks for).
    #[n(2)]
    pub term: u64,
    /// Term of the entry at `index`.
    #[n(3)]
    pub log_term: u64,
    /// An index: before the entries, of the last entry, acknowledged.
    #[n(4)]
    pub index: u64,
    /// Entries.
    #[n(5)]
    pub entries: Vec<LogEntry>,
    /// Commit index.
    #[n(6)]
    pub commit: u64,
    /// Term of the entry there.
    #[n(7)]
    pub commit_term: u64,
    /// Refused.
    #[n(8)]
    pub reject: bool,
    /// Where to go on.
    #[n(9)]
    pub reject_hint: u64,
    /// A vote in a transfer of leadership.
    #[n(10)]
    pub transfer: bool,
    /// With a granted vote: milliseconds since the voter last answered a probe under an older term; absent:
    /// not known.
    #[n(11)]
    pub quiet_ms: Option<u64>,
}

impl RaftMessage {
    /// From the library; `None` for kinds that do not travel in this form.
    ///
    /// # Errors
    /// A configuration entry lacks our form of it.
    pub fn from_library(message: &Message) -> Result<Option<Self>, WireError> {
        let kind = match message.get_msg_type() {
            MessageType::MsgAppend => Kind::Append,
            MessageType::MsgAppendResponse => Kind::AppendResponse,
            MessageType::MsgRequestVote => Kind::RequestVote,
            MessageType::MsgRequestVoteResponse => Kind::RequestVoteResponse,
            MessageType::MsgRequestPreVote => Kind::RequestPreVote,
            MessageType::MsgRequestPreVoteResponse => Kind::RequestPreVoteResponse,
            MessageType::MsgHeartbeat => Kind::Heartbeat,
            MessageType::MsgHeartbeatResponse => Kind::HeartbeatResponse,
            MessageType::MsgTimeoutNow => Kind::TimeoutNow,
            _ => return Ok(None),
        };
        let entries = message
            .entries
            .iter()
            .map(LogEntry::from_library)
            .collect::<Result<_, _>>()?;
        Ok(Some(Self {
            kind,
            to: message.to,
            term: message.term,
            log_term: message.log_term,
            index: message.index,
            entries,
            commit: message.commit,
            commit_term: message.commit_term,
            reject: message.reject,
            reject_hint: message.reject_hint,
            transfer: message.context.as_ref() == CAMPAIGN_TRANSFER,
            quiet_ms: None,
        }))
    }

    /// To the library, as coming from `from`.
    #[must_use]
    pub fn to_library(&self, from: u64) -> Message {
        let mut message = Message::default();
        message.set_msg_type(match self.kind {
            Kind::Append => MessageType::MsgAppend,
            Kind::AppendResponse => MessageType::MsgAppendResponse,
            Kind::RequestVote => MessageType::MsgRequestVote,
            Kind::RequestVoteResponse => MessageType::MsgRequestVoteResponse,
            Kind::RequestPreVote => MessageType::MsgRequestPreVote,
            Kind::RequestPreVoteResponse => MessageType::MsgRequestPreVoteResponse,
            Kind::Heartbeat => MessageType::MsgHeartbeat,
            Kind::HeartbeatResponse => MessageType::MsgHeartbeatResponse,
            Kind::TimeoutNow => MessageType::MsgTimeoutNow,
        });
        message.from = from;
        message.to = self.to;
        message.term = self.term;
        message.log_term = self.log_term;
        message.index = self.index;
        message.commit = self.commit;
        message.commit_term = self.commit_term;
        message.reject = self.reject;
        message.reject_hint = self.reject_hint;
        let entries: Vec<_> = self.entries.iter().map(LogEntry::to_library).collect();
        message.set_entries(entries.into());
        if self.transfer {
            message.context = CAMPAIGN_TRANSFER.to_vec().into();
        }
        message
    }
}
