//! The crm configure language: text to typed configuration and back, losing neither comments nor order.
//!
//! `parse` keeps the operator's text; `Document::configuration` is what it means. Edits replace single
//! statements. The grammar is the one that crmsh 4 documents.

mod assemble;
mod document;
mod edit;
#[cfg(test)]
mod edit_tests;
mod ids;
mod lexer;
mod parser;
mod print;
mod references;
mod remove;
mod secrets;
mod set_path;
mod spans;
mod statement;
mod strip;

pub use document::Document;
pub use edit::{EditError, Edited, GroupChange, OnExisting};
pub use lexer::{STATEMENTS_MAX, TEXT_BYTES_MAX, WORDS_MAX};
pub use print::{Detail, print, print_with};
pub use secrets::{MASK, is_secret, mask, mask_configuration, mask_in_place};
pub use spans::Spans;
pub use statement::{Body, LevelSpec, Reference, Statement, Verb};

use crate::cib::Configuration;
use crate::diag::Diagnostic;

/// Reads a text; what could not be read is reported and left out.
pub fn parse(text: &str) -> (Document, Vec<Diagnostic>) {
    Document::read(text)
}

/// A document that means the configuration, where no text of an operator exists.
pub fn from_cib(configuration: &Configuration) -> Document {
    Document::read(&print(configuration)).0
}

/// The configuration that a document means.
pub fn to_cib(document: &Document) -> Configuration {
    document.configuration().clone()
}

/// What differs between two configurations by kind and name, ids that nothing refers to aside: (only in the
/// first, only in the second, changed).
pub fn differences(first: &Configuration, second: &Configuration) -> Differences {
    strip::differences(first, second)
}

pub(crate) use strip::each_set;
pub use strip::{Differences, constraint_id};

/// `KIND NAME` of every object of a configuration.
pub fn object_keys(configuration: &Configuration) -> Vec<String> {
    strip::objects(configuration).into_keys().collect()
}
