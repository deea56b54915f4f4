//! What a peer may make the consensus library do: everything that could make it panic is turned away before.
//!
//! The library trusts its peers: a leader that remembers more of this log than there is, or entries that
//! contradict committed ones, end in a panic. A correct peer never sends such a message to a disk that kept
//! its promises; one that comes means a wiped, copied or damaged disk, and the text says so.

use raft::eraftpb::{Message, MessageType};
use raft::{RawNode, StateRole};

use super::memory_log::MemoryLog;

/// Why a message is not given to the library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is malformed or of a kind that no peer sends.
    #[error("a malformed message: {0}")]
    Malformed(&'static str),
    /// This log is shorter than what this node acknowledged.
    #[error(
        "the leader remembers entry {remembered} of this node's log, which ends at {last}: its disk has lost acknowledged writes; wipe its state directory and join it again"
    )]
    LogTooShort {
        /// What the leader remembers.
        remembered: u64,
        /// What there is.
        last: u64,
    },
    /// Entries contradict what is committed here.
    #[error(
        "the leader's entry {index} contradicts one that is committed here: one of the two disks is a copy or damaged"
    )]
    Contradiction {
        /// Which entry.
        index: u64,
    },
}

/// Whether the library may see this message of a peer.
///
/// # Errors
/// It may not.
pub fn admit(node: &RawNode<MemoryLog>, message: &Message) -> Result<(), Unfit> {
    let raft = &node.raft;
    if message.to != raft.id || message.from == raft.id || message.from == 0 {
        return Err(Unfit::Malformed("wrong address"));
    }
    if message.term == 0 {
        // The library takes term 0 for its own.
        return Err(Unfit::Malformed("no term"));
    }
    let last = raft.raft_log.last_index();
    match message.get_msg_type() {
        MessageType::MsgAppend => entries(node, message),
        MessageType::MsgHeartbeat => {
            if message.commit > last {
                return Err(Unfit::LogTooShort {
                    remembered: message.commit,
                    last,
                });
            }
            Ok(())
        }
        MessageType::MsgAppendResponse => {
            let is_ours = raft.state == StateRole::Leader && message.term == raft.term;
            if is_ours && message.index > last {
                return Err(Unfit::Malformed("acknowledges entries that do not exist"));
            }
            Ok(())
        }
        MessageType::MsgSnapshot => snapshot(message),
        MessageType::MsgTimeoutNow => {
            // Campaigning while entries are not durable would break an assumption of the library.
            if raft.raft_log.persisted != last {
                return Err(Unfit::Malformed("not ready to take over"));
            }
            Ok(())
        }
        MessageType::MsgRequestVote
        | MessageType::MsgRequestVoteResponse
        | MessageType::MsgRequestPreVote
        | MessageType::MsgRequestPreVoteResponse
        | MessageType::MsgHeartbeatResponse => Ok(()),
        _ => Err(Unfit::Malformed("a kind that no peer sends")),
    }
}

fn entries(node: &RawNode<MemoryLog>, message: &Message) -> Result<(), Unfit> {
    let log = &node.raft.raft_log;
    // The library takes term 0 for "no such entry", and would find it at any index beyond the log's end.
    if (message.index == 0) != (message.log_term == 0)
        || message.entries.iter().any(|e| e.term == 0)
    {
        return Err(Unfit::Malformed("an entry without a term"));
    }
    if message.log_term > message.term {
        return Err(Unfit::Malformed("terms run backwards"));
    }
    let mut term = message.log_term;
    let mut expected = message.index;
    for entry in &message.entries {
        expected = expected
            .checked_add(1)
            .ok_or(Unfit::Malformed("indexes overflow"))?;
        if entry.index != expected {
            return Err(Unfit::Malformed("entries with gaps"));
        }
        if entry.term < term || entry.term > message.term {
            return Err(Unfit::Malformed("terms run backwards"));
        }
        term = entry.term;
        if entry.index <= log.committed
            && let Ok(known) = log.term(entry.index)
            && known != 0
            && known != entry.term
        {
            return Err(Unfit::Contradiction { index: entry.index });
        }
    }
    Ok(())
}

fn snapshot(message: &Message) -> Result<(), Unfit> {
    let metadata = message.get_snapshot().get_metadata();
    let state = metadata.get_conf_state();
    let voters = &state.voters;
    let is_unique = |ids: &[u64]| {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1]) && !ids.contains(&0)
    };
    if metadata.index == 0 || metadata.term == 0 || metadata.term > message.term {
        return Err(Unfit::Malformed("a snapshot of no place"));
    }
    if voters.is_empty() || !is_unique(voters) || !is_unique(&state.learners) {
        return Err(Unfit::Malformed(
            "a snapshot with an impossible configuration",
        ));
    }
    if !state.voters_outgoing.is_empty()
        || !state.learners_next.is_empty()
        || state.learners.iter().any(|id| voters.contains(id))
    {
        return Err(Unfit::Malformed(
            "a snapshot with an impossible configuration",
        ));
    }
    Ok(())
}
