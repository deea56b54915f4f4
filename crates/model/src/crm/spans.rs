//! Where in the text each part of a configuration stands.

use crate::diag::Span;
use std::collections::BTreeMap;

/// Places by id and detail.
///
/// The id is the one in the information base (objects, sets, pairs, operations); nodes are `node:NAME`.
/// Details: empty for the thing itself, `name` and `value` of a pair, an attribute's name of an operation or
/// constraint, `class` of a primitive, `ref:NAME` where an object names another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(BTreeMap<String, BTreeMap<String, Span>>);

impl Spans {
    /// Remembers a place; the first one stays.
    pub fn put(&mut self, id: &str, detail: &str, span: Span) {
        self.0
            .entry(id.to_owned())
            .or_default()
            .entry(detail.to_owned())
            .or_insert(span);
    }

    /// The place of a detail.
    pub fn get(&self, id: &str, detail: &str) -> Option<Span> {
        self.0.get(id)?.get(detail).copied()
    }

    /// The place of a detail, or of the thing itself.
    pub fn near(&self, id: &str, detail: &str) -> Option<Span> {
        self.get(id, detail).or_else(|| self.get(id, ""))
    }
}
