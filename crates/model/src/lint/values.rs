//! Values of parameters and options: placeholders, passwords, wrong kinds, unknown names.

use super::Linter;
use super::view::{View, pairs};
use crate::cib::{AttributeSet, CloneChild, Operation, Pair, Resource, SetKind};
use crate::crm::is_secret;
use crate::diag::{Code, Diagnostic, Severity, Span, nearest};
use crate::options::{self, KnownOption};

impl Linter<'_> {
    pub(super) fn values(&mut self) {
        for at in 0..self.views.len() {
            let view = &self.views[at];
            let id = view.primitive.id.clone();
            let parameters: Vec<Pair> = pairs(&view.primitive.sets, SetKind::Instance)
                .cloned()
                .collect();
            for pair in &parameters {
                self.placeholder(&id, pair);
                self.password(at, &id, pair);
                self.stray_space(&id, pair);
            }
        }
        for node in &self.configuration.nodes {
            for pair in node.sets.iter().flat_map(|set| &set.pairs) {
                self.placeholder(&node.uname, pair);
            }
        }
    }

    /// Where a part of a pair's value stands.
    fn part_span(&self, pair: &Pair, part: &str) -> Option<Span> {
        let id = pair.id.as_deref()?;
        let whole = self.spans.near(id, "value")?;
        let text = self.text.get(whole.start..whole.end)?;
        match text.find(part) {
            Some(at) => Some(Span::new(whole.start + at, whole.start + at + part.len())),
            None => Some(whole),
        }
    }

    fn placeholder(&mut self, owner: &str, pair: &Pair) {
        let Some(value) = pair.value.as_deref() else {
            return;
        };
        if let Some(word) = masked(value) {
            let diagnostic = Diagnostic::new(
                Code::MaskedValue,
                format!(
                    "`{}` of `{owner}` was masked when the text was published",
                    pair.name
                ),
            )
            .at(self.part_span(pair, word), "not the real value")
            .because("the agent would take the mask for the value")
            .help(format!("write the real value of `{}`", pair.name))
            .about(owner);
            return self.push(diagnostic);
        }
        let Some(word) = placeholder_in(value) else {
            return;
        };
        let diagnostic = Diagnostic::new(
            Code::Placeholder,
            format!("`{word}` is a placeholder, not a value"),
        )
        .at(
            self.part_span(pair, word),
            format!("`{}` of `{owner}`", pair.name),
        )
        .because("the agent would take it literally and fail, on every node")
        .help(format!("write the {} of this site", meaning(word)))
        .about(owner);
        self.push(diagnostic);
    }

    fn password(&mut self, at: usize, owner: &str, pair: &Pair) {
        let name = pair.name.to_ascii_lowercase();
        let is_secret = is_secret(&name);
        let value = pair.value.as_deref().unwrap_or("");
        if !is_secret || value.is_empty() || value.starts_with('/') {
            return;
        }
        let view = &self.views[at];
        let by_file = view
            .parameter("passwd_method")
            .is_some_and(|pair| pair.value.as_deref() == Some("file"));
        if by_file {
            return;
        }
        let alternative = self.password_alternative(view, &name);
        let mut diagnostic = Diagnostic::new(
            Code::PasswordInClear,
            format!("`{}` of `{owner}` is a password in clear text", pair.name),
        )
        .at(
            pair.id.as_deref().and_then(|id| self.spans.get(id, "")),
            "readable by everyone who can read the configuration",
        )
        .because("backups and support bundles carry it along")
        .about(owner);
        diagnostic = match alternative {
            Some(help) => diagnostic.help(help),
            None => diagnostic.help(
                "the agent takes it no other way; give the account no more rights than it needs",
            ),
        };
        self.push(diagnostic);
    }

    /// How the agent takes a password otherwise.
    fn password_alternative(&self, view: &View<'_>, name: &str) -> Option<String> {
        if view.class() == "stonith" && view.agent_type().starts_with("external/ipmi") {
            return Some("put it into a file that only root reads, and write passwd_method=file passwd=/path/to/file".to_owned());
        }
        let super::AgentFact::Known(metadata) = self.facts.agents.get(&view.agent()?)? else {
            return view
                .agent_type()
                .starts_with("fence_")
                .then(|| fence_agent_help(name));
        };
        let found = metadata.parameters.iter().find(|parameter| {
            let candidate = &parameter.name;
            !parameter.is_deprecated
                && candidate.starts_with("passw")
                && (candidate.ends_with("_script") || candidate.ends_with("_file"))
        })?;
        Some(format!(
            "the agent also has `{}`: {}",
            found.name, found.short
        ))
    }

    fn stray_space(&mut self, owner: &str, pair: &Pair) {
        let Some(value) = pair.value.as_deref() else {
            return;
        };
        if value.trim().len() == value.len() || value.trim().is_empty() {
            return;
        }
        let span = pair
            .id
            .as_deref()
            .and_then(|id| self.spans.near(id, "value"));
        let diagnostic = Diagnostic::new(
            Code::StraySpace,
            format!("`{}` of `{owner}` begins or ends with a blank", pair.name),
        )
        .at(span, "agents get it as it is")
        .about(owner);
        let source = span.and_then(|span| self.text.get(span.start..span.end));
        let diagnostic = match (span, source.and_then(|source| source.strip_suffix('"'))) {
            (Some(span), Some(inner)) if inner.ends_with(' ') => {
                let end = span.end - 1;
                let start = span.start + inner.trim_end().len();
                diagnostic.fix(Span::new(start, end), "")
            }
            _ => diagnostic,
        };
        self.push(diagnostic.help("remove it unless the agent needs it"));
    }

    /// Names and values of cluster options, meta attributes and attributes of operations.
    pub(super) fn options(&mut self) {
        for set in &self.configuration.options {
            // Sets of other names hold what agents keep for themselves.
            let is_ours = set.id == "cib-bootstrap-options"
                || self
                    .document
                    .is_none_or(|_| !set.id.is_empty() && set.rule.is_some());
            self.known_pairs(
                set,
                options::CLUSTER,
                Code::UnknownOption,
                "cluster option",
                is_ours,
            );
        }
        for set in &self.configuration.resource_defaults {
            self.known_pairs(
                set,
                options::META,
                Code::UnknownMeta,
                "meta attribute",
                true,
            );
        }
        for set in &self.configuration.operation_defaults {
            self.known_pairs(
                set,
                options::OPERATION,
                Code::UnknownOpAttribute,
                "attribute of operations",
                true,
            );
        }
        for resource in &self.configuration.resources {
            match resource {
                Resource::Group(group) => self.meta_sets(&group.sets),
                Resource::Clone(clone) => {
                    self.meta_sets(&clone.sets);
                    if let CloneChild::Group(group) = &clone.child {
                        self.meta_sets(&group.sets);
                    }
                }
                Resource::Bundle(bundle) => self.meta_sets(&bundle.sets),
                Resource::Primitive(_) | Resource::Template(_) => {}
            }
        }
        let primitives: Vec<_> = self.views.iter().map(|view| view.primitive).collect();
        for primitive in primitives {
            self.meta_sets(&primitive.sets);
            for operation in &primitive.operations.list {
                self.operation_attributes(&primitive.id, operation);
            }
        }
    }

    fn meta_sets(&mut self, sets: &[AttributeSet]) {
        for set in sets.iter().filter(|set| set.kind == SetKind::Meta) {
            self.known_pairs(
                set,
                options::META,
                Code::UnknownMeta,
                "meta attribute",
                true,
            );
        }
    }

    fn known_pairs(
        &mut self,
        set: &AttributeSet,
        known: &[KnownOption],
        code: Code,
        what: &str,
        complain: bool,
    ) {
        for pair in set.pairs.iter().filter(|pair| !pair.name.is_empty()) {
            let id = pair.id.as_deref().unwrap_or("");
            match options::find(known, &pair.name) {
                Some(option) => {
                    let Some(objection) = pair
                        .value
                        .as_deref()
                        .and_then(|value| option.kind.objection(value))
                    else {
                        continue;
                    };
                    self.bad_value(&pair.name, &objection, option, self.spans.near(id, "value"));
                }
                None if complain => {
                    let span = self.spans.get(id, "");
                    let names = known.iter().map(|option| option.name);
                    self.unknown_name(code, what, &pair.name, names, span, &set.id);
                }
                None => {}
            }
        }
    }

    fn bad_value(&mut self, name: &str, objection: &str, option: &KnownOption, span: Option<Span>) {
        let diagnostic = Diagnostic::new(Code::BadValue, format!("{name}: {objection}"))
            .at(span, "wrong kind of value")
            .help(format!(
                "{name}: {} (default: {})",
                option.about,
                if option.default.is_empty() {
                    "none"
                } else {
                    option.default
                }
            ));
        self.push(diagnostic);
    }

    pub(super) fn unknown_name<'n>(
        &mut self,
        code: Code,
        what: &str,
        name: &str,
        names: impl Iterator<Item = &'n str>,
        span: Option<Span>,
        owner: &str,
    ) {
        let mut diagnostic = Diagnostic::new(code, format!("`{name}` is not a known {what}"))
            .at(span, "unknown")
            .about(owner);
        diagnostic = match nearest(name, names) {
            Some(near) => {
                let diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                match span
                    .filter(|span| self.text.get(span.start..span.start + name.len()) == Some(name))
                {
                    Some(span) => {
                        diagnostic.fix(Span::new(span.start, span.start + name.len()), near)
                    }
                    None => diagnostic,
                }
            }
            None => diagnostic.help(code.explanation()),
        };
        self.push(diagnostic);
    }

    fn operation_attributes(&mut self, owner: &str, operation: &Operation) {
        let interval = operation
            .interval
            .as_deref()
            .map(|interval| ("interval", interval));
        let others = operation
            .extra
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in interval.into_iter().chain(others) {
            let Some(option) = options::find(options::OPERATION, name) else {
                continue;
            };
            if let Some(objection) = option.kind.objection(value) {
                self.bad_value(
                    &format!("{name} of {} of {owner}", operation.name),
                    &objection,
                    option,
                    self.spans.near(&operation.id, name),
                );
            }
        }
        for set in operation
            .sets
            .iter()
            .filter(|set| set.kind == SetKind::Instance)
        {
            for pair in set
                .pairs
                .iter()
                .filter(|pair| pair.name != "OCF_CHECK_LEVEL")
            {
                let names: Vec<&str> = options::OPERATION
                    .iter()
                    .map(|option| option.name)
                    .collect();
                if let Some(near) = nearest(&pair.name, names.iter().copied()) {
                    let span = pair.id.as_deref().and_then(|id| self.spans.get(id, ""));
                    self.unknown_name(
                        Code::UnknownOpAttribute,
                        "attribute of operations",
                        &pair.name,
                        std::iter::once(near),
                        span,
                        owner,
                    );
                }
            }
        }
    }
}

fn fence_agent_help(name: &str) -> String {
    let script = if name == "passwd" {
        "passwd_script"
    } else {
        "password_script"
    };
    format!("fence agents also take `{script}=/path/to/program`, a program that prints it")
}

/// The part of a value that was masked for publication.
fn masked(value: &str) -> Option<&str> {
    value
        .split(|c: char| c.is_whitespace() || c == ',')
        .find(|word| {
            let all = |c: char| !word.is_empty() && word.chars().all(|other| other == c);
            (word.len() >= 3 && (all('*') || all('x') || all('X')))
                || (word.starts_with("XX") && word.ends_with("..."))
        })
}

/// The part of a value that documentation put there to be replaced.
fn placeholder_in(value: &str) -> Option<&str> {
    let words = value.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '<' | '>' | '-')));
    words.map(|word| word.trim_start_matches('-')).find(|word| {
        let upper = word.to_ascii_uppercase();
        let is_shouting = word.contains('_')
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_bracketed = word.len() > 2 && word.starts_with('<') && word.ends_with('>');
        let is_asking = matches!(
            upper.as_str(),
            "CHANGEME" | "CHANGE-ME" | "REPLACEME" | "TODO" | "FIXME" | "TBD"
        );
        is_shouting || is_bracketed || is_asking
    })
}

/// What a placeholder stands for, from its own words.
fn meaning(word: &str) -> &'static str {
    let upper = word.to_ascii_uppercase();
    if upper.contains("PASSW") {
        "password"
    } else if upper.ends_with("IP") || upper.contains("ADDR") || upper.contains("VIP") {
        "address"
    } else if upper.contains("INTERFACE") || upper.contains("NIC") {
        "network interface"
    } else {
        "value"
    }
}

impl Linter<'_> {
    /// Old names of options that have newer ones.
    pub(super) fn renamed(&mut self, pair: &Pair, owner: &str) {
        if let Some((old, new)) = options::RENAMED.iter().find(|(old, _)| *old == pair.name) {
            let span = pair.id.as_deref().and_then(|id| self.spans.get(id, ""));
            let diagnostic = Diagnostic::new(
                Code::RenamedOption,
                format!("`{old}` is called `{new}` now"),
            )
            .weighing(Severity::Note)
            .at(span, "old name, same meaning")
            .about(owner);
            self.push(diagnostic);
        }
    }
}
