//! A text with the statements in it and the configuration they mean.

use super::parser::{Context, claim_ids, statement};
use super::spans::Spans;
use super::statement::Statement;
use super::{assemble, lexer};
use crate::cib::Configuration;
use crate::diag::{Diagnostic, Severity};

/// The operator's text, its statements, and their meaning.
#[derive(Debug, Clone, Default)]
pub struct Document {
    text: String,
    statements: Vec<Statement>,
    spans: Spans,
    configuration: Configuration,
}

impl Document {
    /// Reads a text.
    pub(super) fn read(text: &str) -> (Document, Vec<Diagnostic>) {
        let mut context = Context::default();
        let lines = lexer::lex(text, &mut context.diagnostics);
        claim_ids(&lines, &mut context.ids);
        let mut statements: Vec<Statement> = lines
            .iter()
            .filter_map(|line| statement(line, &mut context))
            .collect();
        let configuration = assemble::assemble(text, &mut statements, &mut context);
        let mut diagnostics = context.diagnostics;
        // In the order of the text; what has no place comes last.
        diagnostics.sort_by_key(|d| {
            (
                d.span.map_or(usize::MAX, |span| span.start),
                std::cmp::Reverse(d.severity),
            )
        });
        debug_assert!(
            diagnostics.iter().all(|d| d.severity <= Severity::Error),
            "severities end with error"
        );
        let document = Document {
            text: text.to_owned(),
            statements,
            spans: context.spans,
            configuration,
        };
        (document, diagnostics)
    }

    /// The text as it was written (and edited).
    pub fn print(&self) -> &str {
        &self.text
    }

    /// What the text means.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// What the text means, without the text.
    pub fn into_configuration(self) -> Configuration {
        self.configuration
    }

    /// The statements in order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Where each part of the configuration stands.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }
}

/// The statements of a text, each by itself: references are not judged.
pub(super) fn read_statements(text: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
    let mut context = Context::default();
    let lines = lexer::lex(text, &mut context.diagnostics);
    claim_ids(&lines, &mut context.ids);
    let statements = lines
        .iter()
        .filter_map(|line| statement(line, &mut context))
        .collect();
    (statements, context.diagnostics)
}
