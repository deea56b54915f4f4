//! Sets, rules, operations, options, alerts and roles as text.

use super::super::parser::SHORTCUTS;
use super::{Printer, pair_text, quote, score_text};
use crate::cib::{
    Acls, Alert, AttributeSet, Extra, Operation, Operations, Pair, Rule, RulePart, SetKind,
};

impl Printer {
    /// A set behind its section's word.
    pub(super) fn set(&self, word: &str, set: &AttributeSet) -> String {
        let mut words = vec![word.to_owned()];
        if let Some(reference) = &set.id_ref {
            words.push(format!("$id-ref={}", quote(reference)));
        } else if self.shows(&set.id) {
            words.push(format!("$id={}", quote(&set.id)));
        }
        self.set_content(set, &mut words);
        words.join(" ")
    }

    fn set_content(&self, set: &AttributeSet, words: &mut Vec<String>) {
        if let Some(score) = &set.score {
            words.push(format!("{}:", score_text(score)));
        }
        if let Some(rule) = &set.rule {
            words.push(self.rule(rule));
        }
        words.extend(set.pairs.iter().map(|pair| self.pair(pair)));
    }

    fn pair(&self, pair: &Pair) -> String {
        if let Some(reference) = &pair.id_ref {
            return if pair.name.is_empty() {
                format!("@{reference}")
            } else {
                format!("@{reference}:{}", pair.name)
            };
        }
        let text = pair_text(&pair.name, pair.value.as_deref());
        match pair.id.as_deref().filter(|id| self.shows(id)) {
            Some(id) => format!("${id}:{text}"),
            None => text,
        }
    }

    /// A rule with its word.
    pub(super) fn rule(&self, rule: &Rule) -> String {
        if let Some(reference) = &rule.id_ref {
            return format!("rule $id-ref={}", quote(reference));
        }
        let mut words = vec!["rule".to_owned()];
        if self.shows(&rule.id) {
            words.push(format!("$id={}", quote(&rule.id)));
        }
        if let Some(role) = &rule.role {
            words.push(format!("$role={}", quote(role)));
        }
        match (&rule.score, &rule.score_attribute) {
            (_, Some(attribute)) => words.push(format!("{attribute}:")),
            (Some(score), None) if score == "INFINITY" => {}
            (Some(score), None) => words.push(format!("{}:", score_text(score))),
            (None, None) => {}
        }
        let joiner = format!(" {} ", rule.boolean.as_deref().unwrap_or("and"));
        let parts: Vec<String> = rule.parts.iter().map(rule_part).collect();
        words.push(parts.join(&joiner));
        words.join(" ")
    }

    /// The operations of a resource, one line each.
    pub(super) fn operations(&self, operations: &Operations, parts: &mut Vec<String>) {
        if let Some(reference) = &operations.id_ref {
            parts.push(format!("operations $id-ref={}", quote(reference)));
        } else if let Some(id) = &operations.id {
            parts.push(format!("operations $id={}", quote(id)));
        }
        for operation in &operations.list {
            self.operation(operation, parts);
        }
    }

    fn operation(&self, operation: &Operation, parts: &mut Vec<String>) {
        let mut words = vec![format!("op {}", operation.name)];
        if self.shows(&operation.id) {
            words.push(format!("id={}", quote(&operation.id)));
        }
        words.extend(
            operation
                .interval
                .as_deref()
                .map(|interval| pair_text("interval", Some(interval))),
        );
        words.extend(
            operation
                .extra
                .iter()
                .map(|(name, value)| pair_text(name, Some(value))),
        );
        parts.push(words.join(" "));
        for set in &operation.sets {
            let word = if set.kind == SetKind::Meta {
                "op_meta"
            } else {
                "op_params"
            };
            parts.push(self.set(word, set));
        }
    }

    /// `property`, `rsc_defaults`, `op_defaults`.
    pub(super) fn options(&mut self, word: &str, set: &AttributeSet) {
        let head = match &set.id_ref {
            Some(reference) => format!("{word} $id-ref={}", quote(reference)),
            None => format!("{word} {}:", set.id),
        };
        let mut parts = Vec::new();
        let content = AttributeSet {
            pairs: Vec::new(),
            ..set.clone()
        };
        let mut words = Vec::new();
        self.set_content(&content, &mut words);
        if !words.is_empty() {
            parts.push(words.join(" "));
        }
        parts.extend(set.pairs.iter().map(|pair| self.pair(pair)));
        self.statement(&head, &parts);
    }

    pub(super) fn alert(&mut self, alert: &Alert) {
        let path = format!(
            "\"{}\"",
            alert.path.replace('\\', "\\\\").replace('"', "\\\"")
        );
        let mut parts = Vec::new();
        if let Some(description) = &alert.description {
            parts.push(pair_text("description", Some(description)));
        }
        parts.extend(alert.sets.iter().map(|set| self.alert_set(set)));
        if !alert.select.is_empty() {
            let mut words = vec!["select".to_owned()];
            for (name, attributes) in &alert.select {
                words.push(name.trim_start_matches("select_").to_owned());
                if !attributes.is_empty() {
                    let names: Vec<&str> =
                        attributes.iter().map(|(_, name)| name.as_str()).collect();
                    words.push(format!("{{ {} }}", names.join(" ")));
                }
            }
            parts.push(words.join(" "));
        }
        for recipient in &alert.recipients {
            let mut words = vec!["to {".to_owned()];
            if self.shows(&recipient.id) {
                words.push(format!("$id={}", quote(&recipient.id)));
            }
            words.push(format!(
                "\"{}\"",
                recipient.value.replace('\\', "\\\\").replace('"', "\\\"")
            ));
            if let Some(description) = &recipient.description {
                words.push(pair_text("description", Some(description)));
            }
            words.extend(recipient.sets.iter().map(|set| self.alert_set(set)));
            words.push("}".to_owned());
            if words.len() == 3 {
                words = vec!["to".to_owned(), words.remove(1)];
            }
            parts.push(words.join(" "));
        }
        self.statement(&format!("alert {} {path}", alert.id), &parts);
    }

    fn alert_set(&self, set: &AttributeSet) -> String {
        self.set(
            if set.kind == SetKind::Meta {
                "meta"
            } else {
                "attributes"
            },
            set,
        )
    }

    pub(super) fn acls(&mut self, acls: &Acls) {
        for role in &acls.roles {
            let mut head = format!("role {}", role.id);
            if let Some(description) = &role.description {
                head = format!("{head} {}", pair_text("description", Some(description)));
            }
            let parts: Vec<String> = role.permissions.iter().map(permission).collect();
            self.statement(&head, &parts);
        }
        for (word, targets) in [("acl_target", &acls.targets), ("acl_group", &acls.groups)] {
            for target in targets {
                let mut head = format!("{word} {}", target.id);
                if let Some(name) = &target.name {
                    head = format!("{head} {}", pair_text("$name", Some(name)));
                }
                let roles: Vec<String> = target.roles.clone();
                self.statement(&head, &roles);
            }
        }
    }
}

fn rule_part(part: &RulePart) -> String {
    match part {
        RulePart::Expression {
            attribute,
            operation,
            value,
            value_type,
            ..
        } => match value {
            None => format!("{operation} {attribute}"),
            Some(value) => {
                let kind = value_type
                    .as_ref()
                    .map(|kind| format!("{kind}:"))
                    .unwrap_or_default();
                format!("{attribute} {kind}{operation} {}", quote(value))
            }
        },
        RulePart::Date {
            operation,
            start,
            end,
            duration,
            spec,
            ..
        } => {
            let fields = |fields: &Extra| {
                let fields = fields.iter().filter(|(name, _)| name != "id");
                fields
                    .map(|(name, value)| pair_text(name, Some(value)))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            match operation.as_deref() {
                Some("lt") => format!("date lt {}", quote(end.as_deref().unwrap_or(""))),
                Some("gt") => format!("date gt {}", quote(start.as_deref().unwrap_or(""))),
                Some("date_spec") => format!(
                    "date spec {}",
                    spec.as_ref().map(fields).unwrap_or_default()
                ),
                _ => {
                    let mut words = vec!["date in".to_owned()];
                    words.extend(
                        start
                            .as_deref()
                            .map(|start| pair_text("start", Some(start))),
                    );
                    words.extend(end.as_deref().map(|end| pair_text("end", Some(end))));
                    words.extend(duration.as_ref().map(fields));
                    words.join(" ")
                }
            }
        }
        // No words exist for these; the comparison of what was printed with what was meant notices.
        RulePart::Rule(_) | RulePart::ResourceType { .. } | RulePart::Operation { .. } => {
            "defined inexpressible".to_owned()
        }
    }
}

fn permission(permission: &Extra) -> String {
    let value = |name: &str| {
        permission
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let mut words = vec![value("kind").unwrap_or("deny").to_owned()];
    if let Some(description) = value("description") {
        words.push(pair_text("description", Some(description)));
    }
    if let Some(xpath) = value("xpath") {
        words.push(short_form(xpath).unwrap_or_else(|| {
            format!(
                "xpath:\"{}\"",
                xpath.replace('\\', "\\\\").replace('"', "\\\"")
            )
        }));
    }
    words.extend(value("reference").map(|name| format!("ref:{name}")));
    words.extend(value("object-type").map(|name| format!("type:{name}")));
    words.extend(value("attribute").map(|name| format!("attr:{name}")));
    words.join(" ")
}

/// The short form that an XPath came from.
fn short_form(xpath: &str) -> Option<String> {
    SHORTCUTS.iter().find_map(|(word, pattern)| {
        let mut rest = xpath;
        let mut result = (*word).to_owned();
        let mut pieces = pattern.split("@@");
        rest = rest.strip_prefix(pieces.next()?)?;
        for piece in pieces {
            let end = rest.find('\'')?;
            let argument = &rest[..end];
            // The place of `location` that names the resource again.
            if *word == "location" && result.strip_prefix("location:") == Some(argument) {
                rest = rest[end..].strip_prefix(piece)?;
                continue;
            }
            if *word == "location" && result != *word {
                return None;
            }
            if argument.is_empty() || argument.contains([':', ' ', '"', '\\']) {
                return None;
            }
            result.push(':');
            result.push_str(argument);
            rest = rest[end..].strip_prefix(piece)?;
        }
        rest.is_empty().then_some(result)
    })
}
