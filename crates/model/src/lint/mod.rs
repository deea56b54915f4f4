//! What is known to hurt: findings about a configuration that the language alone accepts.
//!
//! Architecture invariant: facts about agents and hosts come in as data; nothing here looks at a machine.

mod agents;
mod brokers;
mod dependencies;
mod facts;
mod forecast;
mod habits;
mod host;
mod nodes;
mod operations;
mod protection;
mod structure;
mod values;
mod view;

pub use facts::{
    Account, AgentFact, AppArmorProfile, Facts, HostFacts, PROGRAMS, Questions, questions,
};
pub use view::agent_name;

use crate::cib::{Cib, Configuration};
use crate::crm::{Document, Spans};
use crate::diag::{Code, Diagnostic, Severity, Span};
use crate::xml::import;
use crate::xml::places;
use crate::xml::read::ReadResult;
use std::collections::BTreeMap;
use view::View;

/// All findings about a configuration; with its document they have places.
pub fn lint(
    configuration: &Configuration,
    document: Option<&Document>,
    facts: &Facts,
) -> Vec<Diagnostic> {
    let empty = Spans::default();
    lint_at(
        configuration,
        document,
        document.map_or(&empty, Document::spans),
        facts,
    )
}

/// Reading XML and all findings in one; places are those of the XML.
///
/// # Errors
/// When the text is no information base.
pub fn check_xml(text: &str, facts: &Facts) -> ReadResult<(Cib, Vec<Diagnostic>)> {
    let (cib, mut found) = import(text)?;
    let spans = places(text);
    // References are resolved where statements are read: what it says of ours it says of the XML.
    let printed = crate::crm::print(&cib.configuration);
    let (document, diagnostics) = crate::crm::parse(&printed);
    for mut diagnostic in diagnostics {
        if diagnostic.severity < Severity::Warning {
            continue;
        }
        diagnostic.span = diagnostic.span.and_then(|span| {
            let statement = document.statements().iter().find(|statement| {
                statement.span.start <= span.start && span.end <= statement.span.end
            })?;
            let word = printed.get(span.start..span.end).unwrap_or("");
            spans
                .get(&statement.id, &format!("ref:{word}"))
                .or_else(|| spans.get(&statement.id, ""))
        });
        diagnostic.related.clear();
        found.push(diagnostic);
    }
    found.extend(lint_at(&cib.configuration, None, &spans, facts));
    for diagnostic in &mut found {
        // They are replacements in the words of the language.
        diagnostic.fixes.clear();
    }
    found.sort_by_key(|d| {
        (
            d.span.map_or(usize::MAX, |span| span.start),
            std::cmp::Reverse(d.severity),
        )
    });
    Ok((cib, found))
}

fn lint_at(
    configuration: &Configuration,
    document: Option<&Document>,
    spans: &Spans,
    facts: &Facts,
) -> Vec<Diagnostic> {
    let mut linter = Linter {
        configuration,
        document,
        spans,
        text: document.map_or("", Document::print),
        facts,
        views: view::views(configuration),
        statements: document
            .into_iter()
            .flat_map(Document::statements)
            .map(|s| (s.id.as_str(), s.span))
            .rev()
            .collect(),
        found: Vec::new(),
    };
    linter.nodes();
    linter.values();
    linter.options();
    linter.protection();
    linter.operations();
    linter.agents();
    linter.structure();
    linter.dependencies();
    linter.habits();
    linter.brokers();
    linter.forecast();
    linter.hosts();
    let is_elsewhere = linter.is_elsewhere();
    let mut found = linter.found;
    if is_elsewhere {
        // On a host that will not run any of it, what is missing there is worth knowing, no more.
        for diagnostic in &mut found {
            let is_local = matches!(
                diagnostic.code,
                Code::MissingAgent | Code::MissingProgram | Code::StartedByInit | Code::AppArmor
            );
            if is_local && diagnostic.severity == Severity::Error {
                diagnostic.severity = Severity::Warning;
            }
        }
    }
    found.sort_by_key(|d| {
        (
            d.span.map_or(usize::MAX, |span| span.start),
            std::cmp::Reverse(d.severity),
        )
    });
    found
}

/// Reading and all findings in one: what `check` shows.
pub fn check(text: &str, facts: &Facts) -> (Document, Vec<Diagnostic>) {
    let (document, mut diagnostics) = crate::crm::parse(text);
    diagnostics.extend(lint(document.configuration(), Some(&document), facts));
    diagnostics.sort_by_key(|d| {
        let start = d.span.map_or(usize::MAX, |span| span.start);
        (
            d.severity < Severity::Warning && d.span.is_none(),
            start,
            std::cmp::Reverse(d.severity),
        )
    });
    (document, diagnostics)
}

struct Linter<'a> {
    configuration: &'a Configuration,
    document: Option<&'a Document>,
    spans: &'a Spans,
    text: &'a str,
    facts: &'a Facts,
    views: Vec<View<'a>>,
    /// Statements by name, the first of each.
    statements: BTreeMap<&'a str, Span>,
    found: Vec<Diagnostic>,
}

impl<'a> Linter<'a> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// The asked host, whose agents and programs are judged, is no node of this configuration.
    fn is_elsewhere(&self) -> bool {
        let own = self.facts.hosts.first();
        own.is_some_and(|host| !self.is_node(&host.node))
    }

    /// The configuration names it, or names no nodes at all.
    fn is_node(&self, name: &str) -> bool {
        let nodes = &self.configuration.nodes;
        nodes.is_empty()
            || nodes
                .iter()
                .any(|node| node.uname.eq_ignore_ascii_case(name))
    }

    /// The end of the text, to add statements at.
    fn end_of_text(&self) -> Span {
        Span::new(self.text.len(), self.text.len())
    }

    /// A statement to add, on a line of its own.
    fn addition(&self, statement: &str) -> String {
        if self.text.is_empty() || self.text.ends_with('\n') {
            format!("{statement}\n")
        } else {
            format!("\n{statement}")
        }
    }

    /// The statement of that name.
    fn statement_span(&self, id: &str) -> Option<Span> {
        self.statements.get(id).copied()
    }

    /// A line to add to a statement, as a fix.
    fn with_line(&self, diagnostic: Diagnostic, id: &str, line: &str) -> Diagnostic {
        match self.statement_span(id) {
            Some(span) => {
                let indent = self.indent(span);
                diagnostic.fix(
                    Span::new(span.end, span.end),
                    format!(" \\\n{indent}{line}"),
                )
            }
            None => diagnostic,
        }
    }

    /// The white space that a statement's further lines begin with.
    fn indent(&self, statement: Span) -> String {
        let text = self.text.get(statement.start..statement.end).unwrap_or("");
        let second = text.split_once('\n').map_or("\t", |(_, rest)| rest);
        let blanks: String = second
            .chars()
            .take_while(|c| matches!(c, ' ' | '\t'))
            .collect();
        if blanks.is_empty() {
            "\t".to_owned()
        } else {
            blanks
        }
    }

    /// Nodes that may run resources.
    fn members(&self) -> Vec<&str> {
        let nodes = self.configuration.nodes.iter();
        nodes
            .filter(|node| matches!(node.kind.as_deref(), None | Some("member" | "normal")))
            .map(|node| node.uname.as_str())
            .collect()
    }

    /// The value of a cluster option under any of its names, with the pair's id.
    fn cluster_option(&self, names: &[&str]) -> Option<(String, Option<&'a str>)> {
        let configuration = self.configuration;
        let sets = configuration
            .options
            .iter()
            .filter(|set| set.rule.is_none());
        let pair = sets
            .flat_map(|set| &set.pairs)
            .find(|pair| names.contains(&pair.name.as_str()))?;
        Some((pair.value.clone().unwrap_or_default(), pair.id.as_deref()))
    }
}
