//! Output of a program, kept within a bound: its beginning and its end.

use std::collections::VecDeque;

/// Keeps the head and the tail of a stream; what lies between is counted, not kept.
#[derive(Debug, Clone)]
pub struct Bounded {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_bytes_max: usize,
    tail_bytes_max: usize,
    dropped: u64,
}

impl Bounded {
    /// A buffer that keeps at most `bytes_max`: a quarter from the beginning, the rest from the end.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_bytes_max: bytes_max / 4,
            tail_bytes_max: bytes_max - bytes_max / 4,
            dropped: 0,
        }
    }

    /// Takes more of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.head_bytes_max - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        // What cannot stay in the tail anyway need not pass through it.
        let skip = rest.len().saturating_sub(self.tail_bytes_max);
        self.dropped += skip as u64;
        self.tail.extend(&rest[skip..]);
        let over = self.tail.len().saturating_sub(self.tail_bytes_max);
        self.dropped += over as u64;
        self.tail.drain(..over);
    }

    /// The text, with a line that says how much is missing where something is.
    #[must_use]
    pub fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            bytes.extend_from_slice(
                format!("\n[... {} bytes not kept ...]\n", self.dropped).as_bytes(),
            );
        }
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_kept_whole() {
        let mut output = Bounded::new(64);
        output.push(b"one\n");
        output.push(b"two\n");
        assert_eq!(output.text(), "one\ntwo\n");
    }

    #[test]
    fn long_output_keeps_both_ends() {
        let mut output = Bounded::new(16);
        for byte in b'a'..=b'z' {
            output.push(&[byte]);
        }
        assert_eq!(
            output.text(),
            "abcd\n[... 10 bytes not kept ...]\nopqrstuvwxyz"
        );
    }

    #[test]
    fn one_large_piece_is_bounded_too() {
        let mut output = Bounded::new(16);
        output.push(&vec![b'x'; 1_000_000]);
        assert!(output.text().len() < 64);
    }
}
