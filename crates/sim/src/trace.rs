//! What happened, as lines that one can read, and their digest.

use crate::rng::mix;
use crate::time::{Time, show};

/// Lines kept at most; of a longer run the latest remain.
const LINES_MAX: usize = 400_000;

/// Collects lines, or nothing at all.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Option<std::collections::VecDeque<String>>,
    digest: u64,
}

impl Trace {
    /// A trace that keeps its lines.
    #[must_use]
    pub fn kept() -> Self {
        Self {
            lines: Some(std::collections::VecDeque::new()),
            digest: 0,
        }
    }

    /// A line: when, where, what. Costs nothing where nothing is kept.
    pub fn say(&mut self, at: Time, whom: &str, what: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else {
            return;
        };
        let line = format!("{} {whom:<4} {}", show(at), what());
        self.digest = mix(self.digest ^ crate::rng::digest(line.as_bytes()));
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Lines are kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.lines.is_some()
    }

    /// Digest of all lines so far.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default().into()
    }
}
