//! What waits to be sent over one (peer, link): bounded, the oldest is dropped first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::frame::{CHUNK_BYTES_MAX, Lane, MESSAGE_BYTES_MAX, put_chunk};

/// Most messages waiting in a lane.
const MESSAGES_MAX: usize = 1024;
/// Most bytes waiting in a lane.
const BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

#[derive(Debug, Default)]
struct Queues {
    urgent: VecDeque<Vec<u8>>,
    bulk: VecDeque<Vec<u8>>,
    bulk_bytes: usize,
    /// The message being cut into chunks, and how far.
    begun: Option<(Vec<u8>, usize)>,
    /// The writer has not been told of the newest.
    is_fresh: bool,
    dropped: u64,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Outbox {
    queues: Mutex<Queues>,
    filled: Notify,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in, for the next `flush`; too long ones are dropped, as are the oldest when it is full.
    pub fn push(&self, lane: Lane, message: Vec<u8>) {
        let mut queues = self.lock();
        if message.len() > MESSAGE_BYTES_MAX {
            queues.dropped += 1;
            return;
        }
        match lane {
            Lane::Urgent => {
                queues.urgent.push_back(message);
                if queues.urgent.len() > MESSAGES_MAX {
                    queues.urgent.pop_front();
                    queues.dropped += 1;
                }
            }
            Lane::Bulk => {
                queues.bulk_bytes += message.len();
                queues.bulk.push_back(message);
                while queues.bulk.len() > MESSAGES_MAX || queues.bulk_bytes > BYTES_MAX {
                    let Some(oldest) = queues.bulk.pop_front() else {
                        break;
                    };
                    queues.bulk_bytes -= oldest.len();
                    queues.dropped += 1;
                }
            }
        }
        queues.is_fresh = true;
    }

    /// Wakes the writer if something was put in since the last time: several messages of one moment go out together.
    pub fn flush(&self) {
        if std::mem::take(&mut self.lock().is_fresh) {
            self.filled.notify_one();
        }
    }

    /// Forgets everything: a new connection begins with fresh messages.
    pub fn clear(&self) {
        let mut queues = self.lock();
        let dropped = queues.dropped;
        *queues = Queues {
            dropped,
            ..Queues::default()
        };
    }

    /// How many messages were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Writes into `out` what goes next: all urgent messages, then one chunk of the log. Waits while there is
    /// nothing.
    pub async fn next(&self, out: &mut Vec<u8>) {
        loop {
            if self.try_next(out) {
                return;
            }
            self.filled.notified().await;
        }
    }

    fn try_next(&self, out: &mut Vec<u8>) -> bool {
        let mut queues = self.lock();
        let before = out.len();
        while out.len() - before < CHUNK_BYTES_MAX {
            let Some(message) = queues.urgent.pop_front() else {
                break;
            };
            let mut chunks = message.chunks(CHUNK_BYTES_MAX).peekable();
            while let Some(chunk) = chunks.next() {
                put_chunk(out, Lane::Urgent, chunk, chunks.peek().is_none());
            }
        }
        let (message, from) = match queues.begun.take() {
            Some(begun) => begun,
            None => match queues.bulk.pop_front() {
                Some(message) => {
                    queues.bulk_bytes -= message.len();
                    (message, 0)
                }
                None => return out.len() > before,
            },
        };
        let to = message.len().min(from + CHUNK_BYTES_MAX);
        put_chunk(out, Lane::Bulk, &message[from..to], to == message.len());
        if to < message.len() {
            queues.begun = Some((message, to));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_its_oldest() {
        let outbox = Outbox::default();
        for n in 0..=MESSAGES_MAX {
            outbox.push(Lane::Bulk, vec![n as u8; 3]);
        }
        outbox.push(Lane::Bulk, vec![0; MESSAGE_BYTES_MAX + 1]);
        assert_eq!(outbox.dropped(), 2);
        let mut out = Vec::new();
        assert!(outbox.try_next(&mut out));
        assert_eq!(out[out.len() - 3..], [1, 1, 1]);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let outbox = Outbox::default();
        for _ in 0..6 {
            outbox.push(Lane::Bulk, vec![0; MESSAGE_BYTES_MAX]);
        }
        assert_eq!(outbox.dropped(), 2);
    }

    #[test]
    fn a_probe_waits_for_one_chunk_at_most() {
        let outbox = Outbox::default();
        outbox.push(Lane::Bulk, vec![7; MESSAGE_BYTES_MAX]);
        let mut out = Vec::new();
        assert!(outbox.try_next(&mut out));
        outbox.push(Lane::Urgent, b"probe".to_vec());
        out.clear();
        assert!(outbox.try_next(&mut out));
        assert_eq!(&out[9..14], b"probe");
    }
}
