//! From what a reason rests on to the line that an operator wrote.

use quorate_model::cib::{Cib, Configuration};
use quorate_model::crm::{self, Document};
use quorate_policy::source::{Owner, Source, sets};
use serde::Serialize;

/// Characters of a line that are shown.
const SHOWN_MAX: usize = 100;

/// A place in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// File, or what the text is called.
    pub file: String,
    /// Number of the line, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A text in which lines are looked up.
pub struct Lines<'a> {
    name: &'a str,
    text: &'a str,
    document: Option<Document>,
    configuration: &'a Configuration,
}

impl<'a> Lines<'a> {
    /// Of a text in either form, and what it means.
    pub fn new(name: &'a str, text: &'a str, cib: &'a Cib) -> Self {
        let document = (!text.trim_start().starts_with('<')).then(|| crm::parse(text).0);
        Self {
            name,
            text,
            document,
            configuration: &cib.configuration,
        }
    }

    /// Where a source stands, if the text says it.
    pub fn find(&self, source: &Source) -> Option<Line> {
        match &self.document {
            Some(document) => self.in_crm(document, source),
            None => self.in_xml(source),
        }
    }

    fn in_crm(&self, document: &Document, source: &Source) -> Option<Line> {
        let spans = document.spans();
        let statement = |id: &str| {
            document
                .statements()
                .iter()
                .find(|s| s.id == id || s.id.eq_ignore_ascii_case(id))
                .map(|s| s.span)
        };
        let span = match source {
            Source::Fact(_) => return None,
            Source::Object(id) | Source::Constraint(id) => {
                statement(id).or_else(|| spans.get(id, ""))?
            }
            Source::Operation(_, id) => spans.get(id, "")?,
            Source::Attribute(owner, name) => {
                let mine = document.configuration();
                let owner = match owner {
                    // The running cluster spells nodes as they call themselves.
                    Owner::Node(node) => {
                        let known = mine
                            .nodes
                            .iter()
                            .find(|n| n.uname.eq_ignore_ascii_case(node));
                        Owner::Node(known.map_or_else(|| node.clone(), |n| n.uname.clone()))
                    }
                    other => other.clone(),
                };
                let pairs = sets(mine, &owner).into_iter().flat_map(|set| &set.pairs);
                let id = pairs
                    .filter(|p| p.name == *name)
                    .find_map(|p| p.id.clone())?;
                spans.get(&id, "")?
            }
        };
        Some(self.at(span.start, Some(span.end)))
    }

    fn in_xml(&self, source: &Source) -> Option<Line> {
        let id = match source {
            Source::Fact(_) => return None,
            Source::Object(id) | Source::Constraint(id) | Source::Operation(_, id) => id.clone(),
            Source::Attribute(owner, name) => {
                let all = sets(self.configuration, owner);
                all.into_iter()
                    .flat_map(|set| &set.pairs)
                    .filter(|p| p.name == *name)
                    .find_map(|p| p.id.clone())?
            }
        };
        let at = [format!(" id=\"{id}\""), format!(" id='{id}'")]
            .iter()
            .find_map(|needle| self.text.find(needle))?;
        Some(self.at(at, None))
    }

    /// The line at an offset; of a longer statement the part that counts.
    fn at(&self, start: usize, end: Option<usize>) -> Line {
        let number = self.text[..start].matches('\n').count() + 1;
        let begin = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let stop = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |n| start + n);
        let whole = self.text[begin..stop].trim().trim_end_matches('\\').trim();
        let part = end.map(|end| {
            self.text[start..end.max(start)]
                .lines()
                .next()
                .unwrap_or("")
        });
        // A pair in a long line is shown by itself.
        let shown = match part {
            Some(part) if whole.chars().count() > SHOWN_MAX => part.trim_end_matches('\\').trim(),
            _ => whole,
        };
        let mut text: String = shown.chars().take(SHOWN_MAX).collect();
        if text.len() < shown.len() {
            text.push('…');
        }
        Line {
            file: self.name.to_owned(),
            line: number,
            text,
        }
    }
}
