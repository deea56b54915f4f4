//! Ids that the operator did not write, made as crmsh makes them.

use std::collections::{BTreeMap, BTreeSet};

/// The ids of a document.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    taken: BTreeSet<String>,
    next: BTreeMap<String, usize>,
}

impl Ids {
    /// Reserves an id that was written.
    pub fn claim(&mut self, id: &str) {
        self.taken.insert(id.to_owned());
    }

    /// A free id: the base itself, then `-0`, `-1` and so on.
    pub fn make(&mut self, base: &str) -> String {
        let base: String = base
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        if self.taken.insert(base.clone()) {
            return base;
        }
        loop {
            let next = self.next.entry(base.clone()).or_default();
            let id = format!("{base}-{next}");
            *next += 1;
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}
