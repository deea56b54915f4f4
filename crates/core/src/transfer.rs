//! Snapshots travel in parts, a few at a time, so that they fit any frame and do not stand in the way of others.

use std::collections::BTreeMap;

use raft::eraftpb::{Message, MessageType};

use crate::ids::Millis;
use crate::wire::{CHUNK_BYTES_MAX, Chunk, ChunkReceived};

/// The longest snapshot.
pub const SNAPSHOT_BYTES_MAX: usize = 64 << 20;
/// Parts under way at a time.
const WINDOW: usize = 4;

/// Transfers under way from and to this node.
#[derive(Debug, Default)]
pub struct Transfers {
    outgoing: BTreeMap<u64, Outgoing>,
    incoming: Option<Incoming>,
    last: u64,
}

#[derive(Debug)]
struct Outgoing {
    header: Chunk,
    data: Vec<u8>,
    sent: usize,
    received: usize,
    progress_at: Millis,
    tried_at: Millis,
}

#[derive(Debug)]
struct Incoming {
    from: u64,
    header: Chunk,
    data: Vec<u8>,
}

/// How a transfer goes on.
#[derive(Debug)]
pub enum Progress {
    /// Send these parts.
    Send(Vec<Chunk>),
    /// Everything has arrived.
    Finished,
    /// It is not known (any more).
    Unknown,
}

impl Transfers {
    /// Begins a transfer; one to the same node under way is replaced.
    pub fn begin(&mut self, now: Millis, to: u64, message: &Message) -> Vec<Chunk> {
        self.last += 1;
        let snapshot = message.get_snapshot();
        let metadata = snapshot.get_metadata();
        let header = Chunk {
            transfer: self.last,
            term: message.term,
            index: metadata.index,
            index_term: metadata.term,
            voters: metadata.get_conf_state().voters.clone(),
            learners: metadata.get_conf_state().learners.clone(),
            total: snapshot.data.len() as u64,
            offset: 0,
            bytes: Vec::new(),
        };
        let outgoing = Outgoing {
            header,
            data: snapshot.data.to_vec(),
            sent: 0,
            received: 0,
            progress_at: now,
            tried_at: now,
        };
        self.outgoing.insert(to, outgoing);
        self.outgoing
            .get_mut(&to)
            .map(Outgoing::more)
            .unwrap_or_default()
    }

    /// Whether a transfer from this node is under way.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The receiver has so much.
    pub fn received(&mut self, now: Millis, from: u64, progress: &ChunkReceived) -> Progress {
        let Some(outgoing) = self.outgoing.get_mut(&from) else {
            return Progress::Unknown;
        };
        let received = usize::try_from(progress.received).unwrap_or(usize::MAX);
        if outgoing.header.transfer != progress.transfer || received > outgoing.data.len() {
            return Progress::Unknown;
        }
        if received > outgoing.received {
            outgoing.received = received;
            outgoing.progress_at = now;
            outgoing.tried_at = now;
        }
        if outgoing.received == outgoing.data.len() {
            self.outgoing.remove(&from);
            return Progress::Finished;
        }
        Progress::Send(outgoing.more())
    }

    /// Transfers without progress for so long are given up; names their receivers.
    pub fn give_up(&mut self, now: Millis, patience_ms: u64) -> Vec<u64> {
        let late: Vec<u64> = self
            .outgoing
            .iter()
            .filter(|(_, outgoing)| now.since(outgoing.progress_at) >= patience_ms)
            .map(|(&to, _)| to)
            .collect();
        for to in &late {
            self.outgoing.remove(to);
        }
        late
    }

    /// Parts that seem to be lost, by receiver.
    pub fn again(&mut self, now: Millis, patience_ms: u64) -> Vec<(u64, Vec<Chunk>)> {
        let mut parts = Vec::new();
        for (&to, outgoing) in &mut self.outgoing {
            if now.since(outgoing.tried_at) >= patience_ms {
                outgoing.tried_at = now;
                outgoing.sent = outgoing.received;
                parts.push((to, outgoing.more()));
            }
        }
        parts
    }

    /// This node does not lead any more.
    pub fn stop_sending(&mut self) {
        self.outgoing.clear();
    }

    /// A part came in. Gives the answer, and the library's message once the snapshot is whole.
    pub fn part(
        &mut self,
        from: u64,
        own: u64,
        part: &Chunk,
    ) -> Option<(ChunkReceived, Option<Message>)> {
        let total = usize::try_from(part.total).ok()?;
        let offset = usize::try_from(part.offset).ok()?;
        if total > SNAPSHOT_BYTES_MAX || part.bytes.len() > CHUNK_BYTES_MAX {
            return None;
        }
        let is_known = self.incoming.as_ref().is_some_and(|incoming| {
            incoming.from == from && incoming.header.transfer == part.transfer
        });
        if !is_known {
            if offset != 0 {
                return None;
            }
            self.incoming = Some(Incoming {
                from,
                header: Chunk {
                    bytes: Vec::new(),
                    ..part.clone()
                },
                data: Vec::new(),
            });
        }
        let incoming = self.incoming.as_mut()?;
        // Parts may arrive twice or after a gap; only the next one counts.
        if offset == incoming.data.len() && offset + part.bytes.len() <= total {
            incoming.data.extend_from_slice(&part.bytes);
        }
        let answer = ChunkReceived {
            transfer: part.transfer,
            received: incoming.data.len() as u64,
        };
        if incoming.data.len() < total {
            return Some((answer, None));
        }
        let whole = self.incoming.take()?;
        Some((answer, Some(message(from, own, whole))))
    }
}

impl Outgoing {
    fn more(&mut self) -> Vec<Chunk> {
        let limit = self.received + WINDOW * CHUNK_BYTES_MAX;
        let mut parts = Vec::new();
        while (self.sent < self.data.len() && self.sent < limit)
            || (self.data.is_empty() && parts.is_empty())
        {
            let end = (self.sent + CHUNK_BYTES_MAX).min(self.data.len());
            parts.push(Chunk {
                offset: self.sent as u64,
                bytes: self.data[self.sent..end].to_vec(),
                ..self.header.clone()
            });
            self.sent = end;
        }
        parts
    }
}

fn message(from: u64, own: u64, whole: Incoming) -> Message {
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgSnapshot);
    message.from = from;
    message.to = own;
    message.term = whole.header.term;
    let snapshot = message.mut_snapshot();
    snapshot.data = whole.data.into();
    let metadata = snapshot.mut_metadata();
    metadata.index = whole.header.index;
    metadata.term = whole.header.index_term;
    let state = metadata.mut_conf_state();
    state.voters = whole.header.voters;
    state.learners = whole.header.learners;
    message
}
