//! Constraints and fencing levels.

use super::super::lexer::Word;
use super::super::statement::{Body, LevelSpec};
use super::resource_set::{Item, Suffix, rest, take};
use super::rule::is_role;
use super::set::{named_score, plain_score};
use super::{Parser, is_id};
use crate::cib::{Colocation, Constraint, FencingLevel, Location, Order, TicketConstraint};
use crate::diag::{Code, Diagnostic, Span, nearest};

impl Parser<'_, '_> {
    /// `location ID TARGET [ATTRIBUTES] {SCORE: NODE | rule ...}`.
    pub(super) fn location(&mut self) -> Option<Body> {
        let usage = "location NAME RESOURCE 100: NODE, or location NAME RESOURCE rule -inf: not_defined pingd";
        self.take_id(usage)?;
        let id = self.id.clone();
        let mut location = Location {
            id: id.clone(),
            ..Location::default()
        };
        self.location_target(&mut location, usage)?;
        while let Some((name, value, span)) = self.peek().and_then(Word::pair) {
            self.at += 1;
            match name {
                "role" | "$role" => location.role = self.role_name(value, span),
                "resource-discovery" | "rsc-discovery" => {
                    location.discovery = Some(value.to_owned());
                }
                _ => location.extra.push((name.to_owned(), value.to_owned())),
            }
        }
        let Some(word) = self.peek() else {
            self.syntax(self.end, "neither a node nor a rule", usage);
            return None;
        };
        if word.keyword().as_deref() == Some("rule") {
            while self.eat("rule") {
                let rule = self.rule(&id);
                location.rules.push(rule);
            }
            self.finish();
            return Some(Body::Constraint(Constraint::Location(location)));
        }
        location.score = Some(self.score(usage)?);
        let Some(node) = self.next() else {
            self.syntax(self.end, "a node is missing", usage);
            return None;
        };
        self.context.spans.put(&id, "node", node.span);
        location.node = Some(node.text.clone());
        self.finish();
        Some(Body::Constraint(Constraint::Location(location)))
    }

    /// A resource, a pattern between slashes or sets between braces.
    fn location_target(&mut self, location: &mut Location, usage: &str) -> Option<()> {
        let Some(word) = self.next() else {
            self.syntax(self.end, "a resource is missing", usage);
            return None;
        };
        if word.text == "{" || (!word.quoted && word.text.starts_with('{')) {
            if word.text != "{" {
                self.syntax(word.span, "a blank is missing behind `{`", usage);
                return None;
            }
            let members = self.members(Suffix::Role, true)?;
            if members.sets.is_empty() {
                self.syntax(word.span, "the braces are empty", usage);
                return None;
            }
            location.sets = members.sets;
            location.extra = rest(members.attributes);
            return Some(());
        }
        if let Some(pattern) = word.text.strip_prefix('/') {
            let Some(pattern) = pattern
                .strip_suffix('/')
                .filter(|pattern| !pattern.is_empty())
            else {
                self.syntax(
                    word.span,
                    "a pattern stands between two slashes",
                    "location NAME /db-.*/ 100: NODE",
                );
                return None;
            };
            location.pattern = Some(pattern.to_owned());
            return Some(());
        }
        let (name, role) = match word.text.split_once(':') {
            Some((name, role)) if is_role(role) => (name, self.role_name(role, word.span)),
            _ => (word.text.as_str(), None),
        };
        if !is_id(name) {
            self.syntax(
                word.span,
                format!("`{}` cannot be the name of a resource", word.text),
                usage,
            );
            return None;
        }
        let id = self.id.clone();
        let span = Span::new(word.span.start, word.span.start + name.len());
        self.context.spans.put(&id, &format!("ref:{name}"), span);
        location.resource = Some(name.to_owned());
        location.role = role;
        Some(())
    }

    /// `SCORE:`.
    fn score(&mut self, usage: &str) -> Option<String> {
        let word = self.next()?;
        if let Some(score) = word.text.strip_suffix(':').and_then(named_score) {
            let id = self.id.clone();
            self.context.spans.put(&id, "score", word.span);
            return Some(score);
        }
        let diagnostic = if let Some(score) = plain_score(&word.text) {
            Diagnostic::new(Code::BadScore, "a score ends with a colon")
                .at(word.span, "the colon is missing")
                .fix(word.span, format!("{}:", word.text))
                .help(format!(
                    "write `{}:`",
                    if score.ends_with("INFINITY") {
                        word.text.as_str()
                    } else {
                        &score
                    }
                ))
        } else {
            Diagnostic::new(Code::BadScore, format!("`{}` is not a score", word.text))
                .at(word.span, "a number, inf: or -inf: is expected")
                .help(usage)
        };
        self.push(diagnostic);
        None
    }

    /// `colocation ID [SCORE:] RESOURCES [ATTRIBUTES]`.
    pub(super) fn colocation(&mut self) -> Option<Body> {
        let usage = "colocation NAME inf: RESOURCE WITH-RESOURCE";
        self.take_id(usage)?;
        let mut colocation = Colocation {
            id: self.id.clone(),
            ..Colocation::default()
        };
        if self.peek().is_some_and(|word| word.text.ends_with(':')) {
            colocation.score = Some(self.score(usage)?);
        }
        let members = self.members(Suffix::Role, false)?;
        let mut attributes = members.attributes;
        colocation.node_attribute = take(&mut attributes, "node-attribute");
        colocation.influence = take(&mut attributes, "influence");
        colocation.extra = rest(attributes);
        match members.plain.as_deref() {
            Some([dependent, with]) => {
                put_instance(&mut colocation.extra, "rsc-instance", dependent);
                put_instance(&mut colocation.extra, "with-rsc-instance", with);
                colocation.resource = Some(dependent.name.clone());
                colocation.role.clone_from(&dependent.suffix);
                colocation.with = Some(with.name.clone());
                colocation.with_role.clone_from(&with.suffix);
            }
            Some([] | [_]) => {
                self.syntax(self.end, "a colocation needs two resources", usage);
                return None;
            }
            _ => colocation.sets = members.sets,
        }
        Some(Body::Constraint(Constraint::Colocation(colocation)))
    }

    /// `order ID [KIND: | SCORE:] RESOURCES [ATTRIBUTES]`.
    pub(super) fn order(&mut self) -> Option<Body> {
        let usage = "order NAME Mandatory: FIRST THEN";
        self.take_id(usage)?;
        let mut order = Order {
            id: self.id.clone(),
            ..Order::default()
        };
        if let Some(word) = self.peek().filter(|word| word.text.ends_with(':')) {
            order.kind = Some(self.order_kind(word)?);
            self.at += 1;
        }
        let members = self.members(Suffix::Action, false)?;
        let mut attributes = members.attributes;
        order.symmetrical = take(&mut attributes, "symmetrical");
        order.require_all = take(&mut attributes, "require-all");
        if let Some(kind) = take(&mut attributes, "kind") {
            order.kind = Some(kind);
        }
        order.score = take(&mut attributes, "score");
        order.extra = rest(attributes);
        match members.plain.as_deref() {
            Some([first, then]) => {
                put_instance(&mut order.extra, "first-instance", first);
                put_instance(&mut order.extra, "then-instance", then);
                order.first = Some(first.name.clone());
                order.first_action.clone_from(&first.suffix);
                order.then = Some(then.name.clone());
                order.then_action.clone_from(&then.suffix);
            }
            Some([] | [_]) => {
                self.syntax(self.end, "an order needs two resources", usage);
                return None;
            }
            _ => order.sets = members.sets,
        }
        Some(Body::Constraint(Constraint::Order(order)))
    }

    /// The kind as stored; a score of zero meant `Optional`, any other `Mandatory`.
    fn order_kind(&mut self, word: &Word) -> Option<String> {
        let text = word.text.trim_end_matches(':');
        if let Some(kind) = ["Mandatory", "Optional", "Serialize"]
            .into_iter()
            .find(|kind| kind.eq_ignore_ascii_case(text))
        {
            return Some(kind.to_owned());
        }
        if let Some(score) = plain_score(text) {
            return Some(
                if score == "0" {
                    "Optional"
                } else {
                    "Mandatory"
                }
                .to_owned(),
            );
        }
        let mut diagnostic =
            Diagnostic::new(Code::Syntax, format!("`{text}` is not a kind of order"))
                .at(word.span, "unknown kind")
                .help("kinds are Mandatory, Optional and Serialize");
        if let Some(near) = nearest(text, ["Mandatory", "Optional", "Serialize"]) {
            diagnostic = diagnostic.fix(word.span, format!("{near}:"));
        }
        self.push(diagnostic);
        None
    }

    /// `rsc_ticket ID TICKET: RESOURCES [loss-policy=...]`.
    pub(super) fn ticket(&mut self) -> Option<Body> {
        let usage = "rsc_ticket NAME TICKET: RESOURCE [loss-policy=fence]";
        self.take_id(usage)?;
        let mut ticket = TicketConstraint {
            id: self.id.clone(),
            ..TicketConstraint::default()
        };
        let Some(name) = self
            .next()
            .and_then(|word| word.text.strip_suffix(':'))
            .filter(|name| !name.is_empty())
        else {
            self.syntax(
                self.here(),
                "a ticket's name with a colon is expected",
                usage,
            );
            return None;
        };
        name.clone_into(&mut ticket.ticket);
        let mut members = self.members(Suffix::Role, false)?;
        ticket.loss_policy = take(&mut members.attributes, "loss-policy");
        ticket.extra = rest(members.attributes);
        match members.plain.as_deref() {
            Some([one]) => {
                ticket.resource = Some(one.name.clone());
                ticket.role.clone_from(&one.suffix);
            }
            Some([]) => {
                self.syntax(self.end, "a resource is missing", usage);
                return None;
            }
            _ => {
                for (number, set) in members
                    .sets
                    .iter_mut()
                    .enumerate()
                    .filter(|(_, set)| set.id.is_empty())
                {
                    set.id = self.context.ids.make(&format!("{}-{number}", ticket.id));
                }
                ticket.sets = members.sets;
            }
        }
        Some(Body::Constraint(Constraint::Ticket(ticket)))
    }

    /// `fencing_topology [TARGET:] DEVICES ...`; a target is a node, `pattern:RE` or `attr:NAME=VALUE`.
    pub(super) fn fencing_topology(&mut self) -> Body {
        let mut levels: Vec<LevelSpec> = Vec::new();
        let mut target = FencingLevel::default();
        let mut index = 0;
        while let Some(word) = self.next() {
            let text = word.text.as_str();
            if let Some(pattern) = text.strip_prefix("pattern:") {
                target = FencingLevel {
                    target_pattern: Some(pattern.to_owned()),
                    ..FencingLevel::default()
                };
                index = 0;
            } else if let Some(attribute) = text.strip_prefix("attr:") {
                let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                target = FencingLevel {
                    target_attribute: Some(name.to_owned()),
                    target_value: Some(value.to_owned()),
                    ..FencingLevel::default()
                };
                index = 0;
            } else if let Some(node) = text.strip_suffix(':').filter(|node| !node.is_empty()) {
                target = FencingLevel {
                    target: Some(node.to_owned()),
                    ..FencingLevel::default()
                };
                self.context
                    .spans
                    .put("fencing_topology", &format!("node:{node}"), word.span);
                index = 0;
            } else {
                index += 1;
                let devices: Vec<String> = text
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect();
                for device in &devices {
                    self.context
                        .spans
                        .put("fencing_topology", &format!("ref:{device}"), word.span);
                }
                let level = FencingLevel {
                    index: index.to_string(),
                    devices,
                    ..target.clone()
                };
                levels.push(LevelSpec {
                    level,
                    span: word.span,
                });
            }
        }
        Body::Fencing(levels)
    }
}

fn put_instance(extra: &mut crate::cib::Extra, name: &str, item: &Item) {
    if let Some(instance) = &item.instance {
        extra.push((name.to_owned(), instance.clone()));
    }
}
