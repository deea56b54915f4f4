//! The crm configure language: text to typed configuration and back, losing neither comments nor order.
//!
//! `parse` keeps the operator's text; `Document::configuration` is what it means. Edits replace single
//! statements. The grammar is the one that crmsh 4 documents.

mod assemble;
mod document;
mod ids;
mod lexer;
mod parser;
mod references;
mod spans;
mod statement;

pub use document::Document;
pub use lexer::{STATEMENTS_MAX, TEXT_BYTES_MAX, WORDS_MAX};
pub use spans::Spans;
pub use statement::{Body, LevelSpec, Reference, Statement, Verb};

use crate::diag::Diagnostic;

/// Reads a text; what could not be read is reported and left out.
pub fn parse(text: &str) -> (Document, Vec<Diagnostic>) {
    Document::read(text)
}
