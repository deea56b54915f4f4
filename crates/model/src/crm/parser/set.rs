//! Attribute sets, operations and option sets.

use super::super::lexer::Word;
use super::super::statement::{Body, Verb};
use super::{Parser, is_id};
use crate::cib::{AttributeSet, Operation, Operations, Pair, SetKind};
use crate::diag::{Code, Diagnostic, nearest};

/// Attributes of an operation itself; any other name is a parameter of it.
pub(crate) const OPERATION_ATTRIBUTES: &[&str] = &[
    "id",
    "name",
    "description",
    "interval",
    "interval-origin",
    "start-delay",
    "timeout",
    "enabled",
    "record-pending",
    "role",
    "requires",
    "on-fail",
];

/// Words that begin a part of a resource statement.
pub(super) const SECTIONS: &[&str] = &[
    "params",
    "meta",
    "utilization",
    "op",
    "operations",
    "op_params",
    "op_meta",
];

/// What a set's id ends with.
pub(crate) fn set_suffix(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Instance => "instance_attributes",
        SetKind::Meta => "meta_attributes",
        SetKind::Utilization => "utilization",
        SetKind::Cluster => "cluster_property_set",
    }
}

impl Parser<'_, '_> {
    /// `[$id=ID | $id-ref=ID] [SCORE:] [rule ...] NAME=VALUE ...` after the section's word.
    pub(super) fn attribute_set(
        &mut self,
        kind: SetKind,
        owner: &str,
        stops: &[&str],
    ) -> AttributeSet {
        let mut set = empty_set(kind);
        self.set_head(&mut set);
        if set.id.is_empty() && set.id_ref.is_none() {
            set.id = self
                .context
                .ids
                .make(&format!("{owner}-{}", set_suffix(kind)));
        }
        self.set_content(&mut set, stops);
        set
    }

    /// `$id=` or `$id-ref=`.
    fn set_head(&mut self, set: &mut AttributeSet) {
        while let Some((name, value, span)) = self.peek().and_then(Word::pair) {
            match name {
                "$id" => {
                    value.clone_into(&mut set.id);
                    self.context.spans.put(value, "", span);
                }
                "$id-ref" => {
                    set.id_ref = Some(value.to_owned());
                    self.context.spans.put(&format!("idref:{value}"), "", span);
                }
                _ => break,
            }
            self.at += 1;
        }
    }

    /// Score, rule and pairs of a set whose id is known.
    fn set_content(&mut self, set: &mut AttributeSet, stops: &[&str]) {
        let id = set.id.clone();
        self.context.spans.put(&id, "", self.here());
        if let Some(score) = self
            .peek()
            .and_then(|word| word.text.strip_suffix(':'))
            .and_then(plain_score)
        {
            set.score = Some(score);
            self.at += 1;
        }
        if self.eat("rule") {
            set.rule = Some(self.rule(&id));
        }
        while let Some(word) = self.peek() {
            if word
                .keyword()
                .is_some_and(|keyword| stops.contains(&keyword.as_str()))
            {
                break;
            }
            self.at += 1;
            if let Some(pair) = self.pair(word, &id, stops) {
                match set.pairs.iter_mut().find(|known| {
                    known.id_ref.is_none() && known.name == pair.name && pair.id_ref.is_none()
                }) {
                    Some(known) => {
                        let known_span = known
                            .id
                            .as_deref()
                            .and_then(|id| self.context.spans.get(id, ""));
                        self.push(
                            Diagnostic::new(
                                Code::DuplicateId,
                                format!("`{}` is given twice", pair.name),
                            )
                            .at(word.span, "given again here")
                            .also(known_span, "first given here")
                            .weighing(crate::diag::Severity::Warning)
                            .help("the last one counts; remove the other"),
                        );
                        known.value = pair.value;
                    }
                    None => set.pairs.push(pair),
                }
            }
        }
    }

    /// One pair: `name=value`, `name`, `$name=value`, `$id:name=value`, `@id`, `@id:name`.
    fn pair(&mut self, word: &Word, set_id: &str, stops: &[&str]) -> Option<Pair> {
        if !word.quoted
            && word.equals.is_none()
            && let Some(reference) = word.text.strip_prefix('@')
        {
            let (id, name) = reference.split_once(':').unwrap_or((reference, ""));
            self.context
                .spans
                .put(&format!("idref:{id}"), "", word.span);
            return Some(Pair {
                id: None,
                id_ref: Some(id.to_owned()),
                name: name.to_owned(),
                value: None,
            });
        }
        let (name, value, value_span) = match word.pair() {
            Some((name, value, span)) => (name, Some(value), span),
            None => (word.text.as_str(), None, word.span),
        };
        let (id, name) = match name.strip_prefix('$') {
            // `$name=value` gives the pair its own name as its id.
            Some(named) if value.is_some() && !named.contains(':') && is_id(named) => {
                (named.to_owned(), named)
            }
            Some(named) if named.contains(':') => {
                let (id, name) = named.split_once(':').unwrap_or((named, named));
                (id.to_owned(), name)
            }
            _ if name.is_empty() || name.starts_with('$') || name.contains(char::is_whitespace) => {
                let message = format!("`{}` is not a name=value pair", word.text);
                self.syntax(
                    word.span,
                    message,
                    "write NAME=VALUE; quote a value that has spaces",
                );
                return None;
            }
            _ => (String::new(), name),
        };
        if value.is_none() && self.misspelt_section(word, stops) {
            return None;
        }
        let id = if id.is_empty() {
            self.context.ids.make(&format!("{set_id}-{name}"))
        } else {
            id
        };
        let spans = &mut self.context.spans;
        spans.put(&id, "", word.span);
        spans.put(&id, "value", value_span);
        Some(Pair {
            id: Some(id),
            id_ref: None,
            name: name.to_owned(),
            value: value.map(str::to_owned),
        })
    }

    /// Whether a lone word is most likely a section's word with a slip of the finger.
    fn misspelt_section(&mut self, word: &Word, stops: &[&str]) -> bool {
        let lower = word.text.to_ascii_lowercase();
        // Shell commands that stray into a file, and brackets, are no parameters either.
        if !is_id(&word.text) {
            let message = format!("`{}` is not expected here", word.text);
            self.syntax(word.span, message, "write NAME=VALUE");
            return true;
        }
        let near = match lower.as_str() {
            "param" | "parameters" | "options" => Some("params"),
            "operation" | "ops" => Some("op"),
            "attrs" | "attribute" => Some("attributes"),
            _ => nearest(&lower, stops.iter().copied().filter(|stop| stop.len() > 3)),
        };
        let Some(near) = near.filter(|near| stops.contains(near)) else {
            return false;
        };
        let message = format!("`{}` would be a parameter without a value", word.text);
        self.push(
            Diagnostic::new(Code::UnknownSection, message)
                .at(word.span, "unknown section")
                .help(format!("did you mean `{near}`?"))
                .fix(word.span, near),
        );
        true
    }

    /// The operations of a resource: `op NAME attributes` with `op_params` and `op_meta` after it.
    pub(super) fn operation(&mut self, operations: &mut Operations, owner: &str) {
        let keyword = self.words[self.at - 1].span;
        let Some(word) = self.next().filter(|word| word.equals.is_none()) else {
            let span = self
                .words
                .get(self.at.saturating_sub(1))
                .map_or(self.end, |word| word.span);
            self.syntax(
                span,
                "an operation's name is missing",
                "op monitor interval=20s timeout=30s",
            );
            return;
        };
        let mut operation = Operation {
            name: word.text.clone(),
            ..Operation::default()
        };
        let mut places = Vec::new();
        let mut others = Vec::new();
        while let Some(word) = self.peek() {
            if word
                .keyword()
                .is_some_and(|keyword| SECTIONS.contains(&keyword.as_str()))
            {
                break;
            }
            self.at += 1;
            match word.pair() {
                Some(("id" | "$id", id, _)) => id.clone_into(&mut operation.id),
                Some(("interval", value, span)) => {
                    operation.interval = Some(value.to_owned());
                    places.push(("interval".to_owned(), span));
                }
                Some((name, value, span)) if OPERATION_ATTRIBUTES.contains(&name) => {
                    operation.extra.push((name.to_owned(), value.to_owned()));
                    places.push((name.to_owned(), span));
                }
                _ => others.push(word),
            }
        }
        let interval = operation
            .interval
            .get_or_insert_with(|| "0".to_owned())
            .clone();
        if operation.id.is_empty() {
            let base = operations.id.clone().unwrap_or_else(|| owner.to_owned());
            operation.id = self
                .context
                .ids
                .make(&format!("{base}-{}-{interval}", operation.name));
        }
        self.context
            .spans
            .put(&operation.id, "", keyword.to(word.span));
        for (name, span) in places {
            self.context.spans.put(&operation.id, &name, span);
        }
        if !others.is_empty() {
            let mut set = empty_set(SetKind::Instance);
            set.id = self
                .context
                .ids
                .make(&format!("{}-instance_attributes", operation.id));
            for word in others {
                let id = set.id.clone();
                if let Some(pair) = self.pair(word, &id, SECTIONS) {
                    set.pairs.push(pair);
                }
            }
            operation.sets.push(set);
        }
        operations.list.push(operation);
    }

    /// `op_params` and `op_meta` of the last operation.
    pub(super) fn operation_set(&mut self, operations: &mut Operations, kind: SetKind) {
        let keyword = self.words[self.at - 1].span;
        let Some(owner) = operations.list.last().map(|operation| operation.id.clone()) else {
            self.syntax(
                keyword,
                "no operation stands before this",
                "put it behind `op NAME ...`",
            );
            return;
        };
        let set = self.attribute_set(kind, &owner, SECTIONS);
        if let Some(operation) = operations.list.last_mut() {
            operation.sets.push(set);
        }
    }

    /// `property`, `rsc_defaults`, `op_defaults`.
    pub(super) fn options(&mut self, verb: Verb) -> Option<Body> {
        let (kind, default) = match verb {
            Verb::ResourceDefaults => (SetKind::Meta, "rsc-options"),
            Verb::OperationDefaults => (SetKind::Meta, "op-options"),
            _ => (SetKind::Cluster, "cib-bootstrap-options"),
        };
        let mut set = empty_set(kind);
        self.set_head(&mut set);
        if set.id.is_empty() && set.id_ref.is_none() {
            let named = self
                .peek()
                .and_then(|word| word.text.strip_suffix(':'))
                .filter(|name| is_id(name) && plain_score(name).is_none());
            if let Some(name) = named {
                name.clone_into(&mut set.id);
                self.context.spans.put(name, "", self.here());
                self.at += 1;
            } else {
                default.clone_into(&mut set.id);
            }
        }
        self.id = if set.id.is_empty() {
            set.id_ref.clone().unwrap_or_default()
        } else {
            set.id.clone()
        };
        self.set_content(&mut set, &[]);
        Some(match verb {
            Verb::ResourceDefaults => Body::ResourceDefaults(set),
            Verb::OperationDefaults => Body::OperationDefaults(set),
            _ => Body::Options(set),
        })
    }
}

/// A set without content.
pub(super) fn empty_set(kind: SetKind) -> AttributeSet {
    AttributeSet {
        kind,
        id: String::new(),
        id_ref: None,
        score: None,
        rule: None,
        pairs: Vec::new(),
        extra: Vec::new(),
    }
}

/// A score, or one of the two old names of scores.
pub(super) fn named_score(word: &str) -> Option<String> {
    match word.to_ascii_lowercase().as_str() {
        "mandatory" => Some("INFINITY".to_owned()),
        "advisory" => Some("0".to_owned()),
        _ => plain_score(word),
    }
}

/// A score in the spelling that is stored, if the word is one.
pub(super) fn plain_score(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => Some("INFINITY".to_owned()),
        "+inf" | "+infinity" => Some("+INFINITY".to_owned()),
        "-inf" | "-infinity" => Some("-INFINITY".to_owned()),
        _ => {
            let digits = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
            (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
                .then(|| word.to_owned())
        }
    }
}
