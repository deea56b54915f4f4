//! Rules: scores and comparisons of attributes, dates and versions.

use super::super::lexer::Word;
use super::set::named_score;
use super::{Parser, canonical_role};
use crate::cib::{Extra, Rule, RulePart};
use crate::diag::{Code, Diagnostic, Span};

const COMPARISONS: &[&str] = &["lt", "gt", "lte", "gte", "eq", "ne"];
const TYPES: &[&str] = &["string", "integer", "number", "version"];
/// Fields of `duration` and `date_spec`.
const DATE_FIELDS: &[&str] = &[
    "id",
    "seconds",
    "minutes",
    "hours",
    "monthdays",
    "weekdays",
    "yeardays",
    "yearsdays",
    "months",
    "weeks",
    "years",
    "weekyears",
    "days",
    "moon",
];

impl Parser<'_, '_> {
    /// What follows the word `rule`.
    pub(super) fn rule(&mut self, owner: &str) -> Rule {
        let start = self.here();
        let mut rule = Rule {
            id: String::new(),
            id_ref: None,
            boolean: None,
            score: None,
            score_attribute: None,
            role: None,
            parts: Vec::new(),
            extra: Extra::new(),
        };
        while let Some((name, value, span)) = self.peek().and_then(Word::pair) {
            match name {
                "$id" | "id" => value.clone_into(&mut rule.id),
                "$id-ref" => {
                    rule.id_ref = Some(value.to_owned());
                    self.context.spans.put(&format!("idref:{value}"), "", span);
                }
                "$role" | "role" => rule.role = self.role_name(value, span),
                _ => break,
            }
            self.at += 1;
        }
        if rule.id_ref.is_some() {
            return rule;
        }
        if rule.id.is_empty() {
            rule.id = self.context.ids.make(&format!("{owner}-rule"));
        }
        self.context.spans.put(&rule.id, "", start);
        self.rule_score(&mut rule);
        self.rule_parts(&mut rule);
        rule
    }

    /// `SCORE:`; anything that is no number names the attribute that holds it.
    fn rule_score(&mut self, rule: &mut Rule) {
        let Some(word) = self.peek().filter(|word| !word.quoted) else {
            return;
        };
        match word.text.strip_suffix(':') {
            Some(score) if !score.is_empty() => {
                self.at += 1;
                match named_score(score) {
                    Some(score) => rule.score = Some(score),
                    None => rule.score_attribute = Some(score.to_owned()),
                }
            }
            _ => rule.score = Some("INFINITY".to_owned()),
        }
    }

    fn rule_parts(&mut self, rule: &mut Rule) {
        loop {
            let before = self.at;
            if let Some(part) = self.rule_part(&rule.id) {
                rule.parts.push(part);
            }
            let joiner = self.peek().and_then(Word::keyword);
            match joiner.as_deref() {
                Some(joiner @ ("and" | "or")) => {
                    let span = self.here();
                    self.at += 1;
                    match rule.boolean.as_deref() {
                        None if joiner == "or" => rule.boolean = Some("or".to_owned()),
                        None if rule.parts.len() <= 1 => {}
                        None if joiner == "and" => {}
                        Some(known) if known == joiner => {}
                        _ => self.push(
                            Diagnostic::new(Code::BadRule, "`and` and `or` in one rule")
                                .at(span, "the other word stands before this")
                                .help("write two rules, or use one word only"),
                        ),
                    }
                    // `and` first and `or` later must be noticed as well.
                    if joiner == "and" && rule.boolean.is_none() && rule.parts.len() == 1 {
                        rule.extra.push(("and".to_owned(), String::new()));
                    } else if joiner == "or" && !rule.extra.is_empty() {
                        rule.extra.clear();
                        self.push(
                            Diagnostic::new(Code::BadRule, "`and` and `or` in one rule")
                                .at(span, "`and` stands before this")
                                .help("write two rules, or use one word only"),
                        );
                    }
                }
                _ => break,
            }
            if self.at == before {
                break;
            }
        }
        rule.extra.clear();
    }

    fn rule_part(&mut self, owner: &str) -> Option<RulePart> {
        let usage = "ATTRIBUTE eq VALUE, defined ATTRIBUTE, date in start=... end=...";
        let Some(first) = self.next() else {
            self.bad_rule(self.end, "an expression is missing", usage);
            return None;
        };
        let keyword = first.keyword().unwrap_or_default();
        if keyword == "date"
            && !self
                .peek()
                .is_some_and(|word| COMPARISONS[2..].contains(&word.text.as_str()))
        {
            return self.date_expression(owner);
        }
        let id = self.context.ids.make(&format!("{owner}-expression"));
        if matches!(keyword.as_str(), "defined" | "not_defined") {
            let Some(attribute) = self.next() else {
                self.bad_rule(self.end, format!("`{keyword}` needs an attribute"), usage);
                return None;
            };
            return Some(RulePart::Expression {
                id,
                attribute: attribute.text.clone(),
                operation: keyword,
                value: None,
                value_type: None,
                value_source: None,
            });
        }
        let Some(operator) = self.peek() else {
            self.bad_rule(
                first.span,
                format!("`{}` is compared with nothing", first.text),
                usage,
            );
            return None;
        };
        let lower = operator.text.to_ascii_lowercase();
        let (value_type, operation) = match lower.split_once(':') {
            Some((kind, operation)) => (Some(kind.to_owned()), operation.to_owned()),
            None => (None, lower),
        };
        let type_known = value_type
            .as_deref()
            .is_none_or(|kind| TYPES.contains(&kind));
        if !COMPARISONS.contains(&operation.as_str()) || !type_known {
            let message = format!(
                "`{}` does not compare `{}` with anything",
                operator.text, first.text
            );
            self.bad_rule(
                operator.span,
                message,
                "comparisons are lt, gt, lte, gte, eq, ne; with a type: number:gt, version:gt",
            );
            return None;
        }
        self.at += 1;
        let Some(value) = self.next() else {
            self.bad_rule(operator.span, "a value to compare with is missing", usage);
            return None;
        };
        self.context.spans.put(&id, "", first.span.to(value.span));
        self.context.spans.put(&id, "value", value.span);
        Some(RulePart::Expression {
            id,
            attribute: first.text.clone(),
            operation,
            value: Some(value.text.clone()),
            value_type,
            value_source: None,
        })
    }

    /// `date lt|gt DATE`, `date in start= [end= | DURATION]`, `date spec FIELDS`.
    fn date_expression(&mut self, owner: &str) -> Option<RulePart> {
        let usage = "date lt DATE, date gt DATE, date in start=DATE end=DATE, date spec hours=9-16";
        let id = self.context.ids.make(&format!("{owner}-expression"));
        let Some(word) = self.next() else {
            self.bad_rule(self.end, "`date` needs an operation", usage);
            return None;
        };
        let operation = match word.text.to_ascii_lowercase().as_str() {
            "lt" => "lt",
            "gt" => "gt",
            "in" | "in_range" => "in_range",
            "spec" | "date_spec" => "date_spec",
            _ => {
                self.bad_rule(
                    word.span,
                    format!("`{}` is not an operation on dates", word.text),
                    usage,
                );
                return None;
            }
        };
        let (mut start, mut end, mut fields) = (None, None, Extra::new());
        if matches!(operation, "lt" | "gt") {
            let Some(date) = self.next() else {
                self.bad_rule(word.span, "a date is missing", usage);
                return None;
            };
            let value = Some(
                date.pair()
                    .map_or(date.text.clone(), |(_, value, _)| value.to_owned()),
            );
            if operation == "lt" {
                end = value;
            } else {
                start = value;
            }
        } else {
            while let Some((name, value, _)) = self.peek().and_then(Word::pair) {
                match name {
                    "start" => start = Some(value.to_owned()),
                    "end" => end = Some(value.to_owned()),
                    name if DATE_FIELDS.contains(&name) => {
                        fields.push((name.to_owned(), value.to_owned()));
                    }
                    _ => break,
                }
                self.at += 1;
            }
        }
        let fields = (!fields.is_empty()).then_some(fields);
        let (duration, spec) = match operation {
            "date_spec" => (
                None,
                Some(self.with_id(fields.unwrap_or_default(), &format!("{id}-date_spec"))),
            ),
            _ => (
                fields.map(|fields| self.with_id(fields, &format!("{id}-duration"))),
                None,
            ),
        };
        Some(RulePart::Date {
            id,
            operation: Some(operation.to_owned()),
            start,
            end,
            duration,
            spec,
        })
    }

    /// The attributes with an id in front when none was written.
    pub(super) fn with_id(&mut self, mut attributes: Extra, base: &str) -> Extra {
        if !attributes.iter().any(|(name, _)| name == "id") {
            attributes.push(("id".to_owned(), self.context.ids.make(base)));
        }
        attributes
    }

    fn bad_rule(&mut self, span: Span, message: impl Into<String>, help: &str) {
        // What follows cannot be told apart any more.
        self.at = self.words.len();
        self.push(
            Diagnostic::new(Code::BadRule, message)
                .at(span, "here")
                .help(help),
        );
    }
}

/// Whether a word is a role in any spelling.
pub(super) fn is_role(word: &str) -> bool {
    canonical_role(word).is_some()
}
