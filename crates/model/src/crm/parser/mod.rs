//! Words to statements.

mod acl;
mod constraint;
mod resource;
mod resource_set;
mod rule;
mod set;
mod xml;

pub(super) use acl::SHORTCUTS;

use super::ids::Ids;
use super::lexer::{Line, Word};
use super::spans::Spans;
use super::statement::{Body, Reference, Statement, Verb};
use crate::cib::{Extra, Operation, Tag};
use crate::diag::{Code, Diagnostic, Span, nearest};

/// What the statements of one document share.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub ids: Ids,
    pub spans: Spans,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reserves the ids that the text names, so that none that is made collides with them.
pub(super) fn claim_ids(lines: &[Line], ids: &mut Ids) {
    for line in lines {
        let verb = line.words[0]
            .keyword()
            .and_then(|word| Verb::from_word(&word));
        if verb == Some(Verb::Xml) {
            line.words
                .iter()
                .skip(1)
                .flat_map(|word| xml::ids(&word.text))
                .for_each(|id| ids.claim(id));
            continue;
        }
        for (place, word) in line.words.iter().enumerate().skip(1) {
            match word.pair() {
                Some(("$id" | "id", id, _)) => ids.claim(id),
                Some((name, _, _)) if name.starts_with('$') => {
                    if let Some((id, _)) = name[1..].split_once(':') {
                        ids.claim(id);
                    }
                }
                None if place == 1
                    && !matches!(
                        verb,
                        Some(Verb::Node | Verb::Monitor | Verb::FencingTopology)
                    ) =>
                {
                    ids.claim(word.text.trim_end_matches(':'));
                }
                _ => {}
            }
        }
    }
}

/// Reads one statement; `None` when even its verb is unknown.
pub(super) fn statement(line: &Line, context: &mut Context) -> Option<Statement> {
    let first = &line.words[0];
    let word = first.text.to_ascii_lowercase();
    let Some(verb) = Verb::from_word(&word) else {
        let mut diagnostic = Diagnostic::new(
            Code::UnknownStatement,
            format!("`{}` is not a configuration statement", first.text),
        )
        .at(first.span, "unknown statement");
        diagnostic = match nearest(&word, Verb::WORDS.iter().map(|(word, _)| *word)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(first.span, near),
            None => diagnostic.help(
                "statements begin with node, primitive, group, clone, ms, bundle, location, colocation, order, property ...",
            ),
        };
        context.diagnostics.push(diagnostic);
        return None;
    };
    if matches!(word.as_str(), "collocation" | "master") {
        context.diagnostics.push(
            Diagnostic::new(
                Code::DeprecatedWord,
                format!("`{word}` is an old word for `{}`", verb.word()),
            )
            .at(first.span, "old word")
            .fix(first.span, verb.word()),
        );
    }
    let end = Span::new(line.span.end, line.span.end);
    let mut parser = Parser {
        words: &line.words,
        at: 1,
        end,
        context,
        id: String::new(),
        id_span: first.span,
    };
    let errors_before = parser.errors();
    let body = parser.body(verb);
    let body = match body {
        Some(body) => body,
        None => {
            debug_assert!(
                parser.errors() > errors_before,
                "an unread statement has an error"
            );
            Body::Invalid
        }
    };
    let (id, id_span) = (std::mem::take(&mut parser.id), parser.id_span);
    Some(Statement {
        span: line.span,
        comment: line.comment,
        verb,
        id,
        id_span,
        body,
    })
}

/// Reads the words of one statement.
struct Parser<'w, 'c> {
    words: &'w [Word],
    at: usize,
    end: Span,
    context: &'c mut Context,
    id: String,
    id_span: Span,
}

impl<'w> Parser<'w, '_> {
    fn errors(&self) -> usize {
        self.context.diagnostics.len()
    }

    fn body(&mut self, verb: Verb) -> Option<Body> {
        match verb {
            Verb::Node => self.node(),
            Verb::Primitive => self.primitive().map(Body::Primitive),
            Verb::Template => self.primitive().map(Body::Template),
            Verb::Group => self.group(),
            Verb::Clone | Verb::Ms => self.clone_resource(verb == Verb::Ms),
            Verb::Bundle => self.bundle(),
            Verb::Location => self.location(),
            Verb::Colocation => self.colocation(),
            Verb::Order => self.order(),
            Verb::Ticket => self.ticket(),
            Verb::FencingTopology => Some(self.fencing_topology()),
            Verb::Property | Verb::ResourceDefaults | Verb::OperationDefaults => self.options(verb),
            Verb::Tag => self.tag(),
            Verb::Alert => self.alert(),
            Verb::Role => self.role(),
            Verb::User | Verb::AclTarget | Verb::AclGroup => self.acl_target(verb),
            Verb::Monitor => self.monitor(),
            Verb::Xml => self.xml(),
        }
    }

    fn peek(&self) -> Option<&'w Word> {
        self.words.get(self.at)
    }

    fn next(&mut self) -> Option<&'w Word> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    /// The next word's place, or the end of the statement.
    fn here(&self) -> Span {
        self.peek().map_or(self.end, |word| word.span)
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        let diagnostic = if self.id.is_empty() {
            diagnostic
        } else {
            diagnostic.about(self.id.clone())
        };
        self.context.diagnostics.push(diagnostic);
    }

    fn syntax(&mut self, span: Span, message: impl Into<String>, help: &str) {
        let mut diagnostic = Diagnostic::new(Code::Syntax, message).at(span, "here");
        if !help.is_empty() {
            diagnostic = diagnostic.help(help);
        }
        self.push(diagnostic);
    }

    /// The next word if it is that keyword.
    fn eat(&mut self, keyword: &str) -> bool {
        let found = self
            .peek()
            .and_then(Word::keyword)
            .is_some_and(|word| word == keyword);
        self.at += usize::from(found);
        found
    }

    /// The name of the object, as `NAME`, `id=NAME` or `$id=NAME`.
    fn take_id(&mut self, usage: &str) -> Option<()> {
        let Some(word) = self.next() else {
            self.syntax(self.end, "a name is missing", usage);
            return None;
        };
        let (id, span) = match word.pair() {
            Some(("id" | "$id", id, span)) => (id.to_owned(), span),
            Some(_) => {
                self.syntax(word.span, "a name is expected before this", usage);
                return None;
            }
            None => (word.text.clone(), word.span),
        };
        self.id_span = span;
        if !is_id(&id) {
            self.push(
                Diagnostic::new(Code::BadId, format!("`{id}` cannot be a name"))
                    .at(span, "not an XML id")
                    .help(
                        "begin with a letter or '_' and go on with letters, digits, '-', '_', '.'",
                    ),
            );
            return None;
        }
        self.context.spans.put(&id, "", span);
        self.id = id;
        Some(())
    }

    /// `description="..."`, when it is next.
    fn description(&mut self) -> Option<String> {
        let (name, value, _) = self.peek()?.pair()?;
        if name != "description" {
            return None;
        }
        self.at += 1;
        Some(value.to_owned())
    }

    /// All `name=value` words that come next.
    fn pairs(&mut self) -> Extra {
        let mut pairs = Extra::new();
        while let Some((name, value, _)) = self.peek().and_then(Word::pair) {
            pairs.push((name.to_owned(), value.to_owned()));
            self.at += 1;
        }
        pairs
    }

    /// Complains of every word that is left.
    fn finish(&mut self) {
        if let Some(word) = self.next() {
            let message = format!("`{}` is not expected here", word.text);
            let rest = word.span.to(Span::new(self.end.start, self.end.start));
            let span = if self.at == self.words.len() {
                word.span
            } else {
                rest
            };
            self.syntax(span, message, "");
            self.at = self.words.len();
        }
    }

    fn tag(&mut self) -> Option<Body> {
        let usage = "tag NAME: RESOURCE ...";
        let word = self.next();
        let Some(word) = word else {
            self.syntax(self.end, "a tag needs a name", usage);
            return None;
        };
        let name = word.text.strip_suffix(':').unwrap_or(&word.text).to_owned();
        if !is_id(&name) {
            self.syntax(word.span, format!("`{name}` cannot be a tag's name"), usage);
            return None;
        }
        self.id.clone_from(&name);
        self.id_span = Span::new(word.span.start, word.span.start + name.len());
        self.context.spans.put(&name, "", self.id_span);
        let mut references = Vec::new();
        while let Some(word) = self.next() {
            self.context
                .spans
                .put(&name, &format!("ref:{}", word.text), word.span);
            references.push(word.text.clone());
        }
        if references.is_empty() {
            self.syntax(
                self.end,
                format!("the tag `{name}` stands for nothing"),
                usage,
            );
            return None;
        }
        Some(Body::Tag(Tag {
            id: name,
            references,
        }))
    }

    fn monitor(&mut self) -> Option<Body> {
        let usage = "monitor RESOURCE[:ROLE] INTERVAL[:TIMEOUT]";
        let (Some(target), Some(times)) = (self.next(), self.next()) else {
            self.syntax(self.end, "a resource and an interval are needed", usage);
            return None;
        };
        let (name, role) = match target.text.split_once(':') {
            Some((name, role)) => (name, Some(role)),
            None => (target.text.as_str(), None),
        };
        let (interval, timeout) = match times.text.split_once(':') {
            Some((interval, timeout)) => (interval, Some(timeout)),
            None => (times.text.as_str(), None),
        };
        let mut operation = Operation {
            name: "monitor".to_owned(),
            interval: Some(interval.to_owned()),
            id: self.context.ids.make(&format!("{name}-monitor-{interval}")),
            ..Operation::default()
        };
        if let Some(role) = role {
            operation
                .extra
                .push(("role".to_owned(), self.role_name(role, target.span)?));
        }
        if let Some(timeout) = timeout {
            operation
                .extra
                .push(("timeout".to_owned(), timeout.to_owned()));
        }
        self.context
            .spans
            .put(&operation.id, "", target.span.to(times.span));
        self.finish();
        let span = Span::new(target.span.start, target.span.start + name.len());
        Some(Body::Monitor(
            Reference {
                name: name.to_owned(),
                span,
            },
            operation,
        ))
    }

    /// A role in its own spelling.
    fn role_name(&mut self, role: &str, span: Span) -> Option<String> {
        if let Some(known) = canonical_role(role) {
            return Some(known.to_owned());
        }
        self.push(
            Diagnostic::new(Code::BadRole, format!("`{role}` is not a role"))
                .at(span, "unknown role")
                .help("roles are Started, Stopped, Promoted (Master), Unpromoted (Slave)"),
        );
        None
    }
}

/// The spelling of a role that is stored.
pub(super) fn canonical_role(role: &str) -> Option<&'static str> {
    [
        "Started",
        "Stopped",
        "Master",
        "Slave",
        "Promoted",
        "Unpromoted",
    ]
    .into_iter()
    .find(|known| known.eq_ignore_ascii_case(role))
}

/// Whether a name can be an id in the information base.
pub(in crate::crm) fn is_id(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
