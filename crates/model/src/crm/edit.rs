//! Edits of a document: single statements change, everything else stays as the operator wrote it.

use super::Document;
use super::document::read_statements;
use super::print::pair_text;
use super::statement::{Body, Statement, Verb};
use crate::cib::{Constraint, ResourceSet, SetKind};
use crate::diag::{Fix, Severity, Span, nearest};
use std::collections::BTreeSet;

/// A changed text, and what changed along with what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edited {
    /// The new text.
    pub text: String,
    /// Sentences about consequences.
    pub notes: Vec<String>,
}

/// What to do with a statement whose name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// Refuse it.
    Refuse,
    /// Put the new one in its place.
    Replace,
}

/// A change of a group's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupChange<'a> {
    /// Put the resource at the end.
    Append(&'a str),
    /// Put the first behind the second.
    After(&'a str, &'a str),
    /// Put the first before the second.
    Before(&'a str, &'a str),
    /// Take the resource out.
    Remove(&'a str),
}

/// Why an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The statement cannot be read.
    #[error("{0}")]
    Statement(String),
    /// Nothing has that name.
    #[error("nothing is called `{name}`{}", .near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        name: String,
        /// What is there.
        near: Option<String>,
    },
    /// The name is taken.
    #[error("`{0}` is defined already; delete it first, or use `edit`")]
    Exists(String),
    /// Something else depends on it.
    #[error("`{name}` cannot be removed: {why}")]
    Needed {
        /// What was asked for.
        name: String,
        /// Who needs it.
        why: String,
    },
}

impl Document {
    /// The text with statements added; option sets are merged, others go to the end or replace their namesake.
    pub fn define(&self, statements: &str, existing: OnExisting) -> Result<Edited, EditError> {
        let (added, diagnostics) = read_statements(statements);
        if let Some(error) = diagnostics.iter().find(|d| d.severity == Severity::Error) {
            return Err(EditError::Statement(error.message.clone()));
        }
        let mut edited = Edited {
            text: self.print().to_owned(),
            notes: Vec::new(),
        };
        for statement in &added {
            let text = &statements[statement.span.start..statement.span.end];
            let (document, _) = super::parse(&edited.text);
            edited.text = document.define_one(statement, text, existing, &mut edited.notes)?;
        }
        Ok(edited)
    }

    fn define_one(
        &self,
        new: &Statement,
        text: &str,
        existing: OnExisting,
        notes: &mut Vec<String>,
    ) -> Result<String, EditError> {
        if let Body::Options(set) | Body::ResourceDefaults(set) | Body::OperationDefaults(set) =
            &new.body
        {
            let same = self.statements().iter().find(|statement| {
                statement.verb == new.verb && statement.id == new.id && !has_rule(statement)
            });
            if let Some(same) = same.filter(|_| set.rule.is_none() && set.id_ref.is_none()) {
                return Ok(self.merged(same, set));
            }
        }
        let named = |statement: &&Statement| {
            !new.id.is_empty()
                && statement.id == new.id
                && (statement.verb == Verb::Node) == (new.verb == Verb::Node)
        };
        let replaced = match new.verb {
            Verb::FencingTopology => self
                .statements()
                .iter()
                .find(|statement| statement.verb == Verb::FencingTopology),
            Verb::Property | Verb::ResourceDefaults | Verb::OperationDefaults | Verb::Monitor => {
                None
            }
            _ => self.statements().iter().find(named),
        };
        if let Some(old) = replaced {
            if old.body == new.body {
                return Ok(self.print().to_owned());
            }
            if existing == OnExisting::Refuse && new.verb != Verb::FencingTopology {
                return Err(EditError::Exists(new.id.clone()));
            }
            return Ok(self.with_fixes(vec![Fix {
                span: old.span,
                replacement: text.to_owned(),
            }]));
        }
        let mut fixes = Vec::new();
        if existing == OnExisting::Refuse {
            self.lift_constraints(new, &mut fixes, notes);
        }
        let end = self.print().len();
        let newline = if self.print().is_empty() || self.print().ends_with('\n') {
            ""
        } else {
            "\n"
        };
        fixes.push(Fix {
            span: Span::new(end, end),
            replacement: format!("{newline}{text}\n"),
        });
        Ok(self.with_fixes(fixes))
    }

    /// An option set's statement with further pairs.
    fn merged(&self, statement: &Statement, set: &crate::cib::AttributeSet) -> String {
        let mut fixes = Vec::new();
        let mut appended = String::new();
        let (Body::Options(known) | Body::ResourceDefaults(known) | Body::OperationDefaults(known)) =
            &statement.body
        else {
            return self.print().to_owned();
        };
        let source = &self.print()[statement.span.start..statement.span.end];
        let separator = match source.split_once('\n') {
            Some((_, rest)) => {
                let blanks: String = rest
                    .chars()
                    .take_while(|c| matches!(c, ' ' | '\t'))
                    .collect();
                format!(" \\\n{blanks}")
            }
            None => " ".to_owned(),
        };
        for pair in &set.pairs {
            let text = pair_text(&pair.name, pair.value.as_deref());
            let place = known
                .pairs
                .iter()
                .find(|other| other.name == pair.name)
                .and_then(|other| other.id.as_deref());
            match place.and_then(|id| self.spans().get(id, "")) {
                Some(span) => fixes.push(Fix {
                    span,
                    replacement: text,
                }),
                None => appended.push_str(&format!("{separator}{text}")),
            }
        }
        let end = statement.span.end;
        fixes.push(Fix {
            span: Span::new(end, end),
            replacement: appended,
        });
        self.with_fixes(fixes)
    }

    /// Constraints of a resource that goes into a group or clone name the whole from now on.
    fn lift_constraints(&self, new: &Statement, fixes: &mut Vec<Fix>, notes: &mut Vec<String>) {
        let members: Vec<&str> = match &new.body {
            Body::Group(_, members) => members.iter().map(|member| member.name.as_str()).collect(),
            Body::Clone(_, child) => vec![child.name.as_str()],
            _ => return,
        };
        for statement in self.statements() {
            let Body::Constraint(constraint) = &statement.body else {
                continue;
            };
            let named: Vec<&str> = names(constraint)
                .into_iter()
                .filter(|name| members.contains(name))
                .collect();
            // Two members in one constraint mean the members themselves.
            if let [name] = named.as_slice()
                && let Some(span) = self.spans().get(&statement.id, &format!("ref:{name}"))
            {
                notes.push(format!(
                    "{} {} names {} instead of {name}",
                    statement.verb.word(),
                    statement.id,
                    new.id
                ));
                fixes.push(Fix {
                    span,
                    replacement: new.id.clone(),
                });
            }
        }
    }

    /// The statement of that name.
    pub fn find(&self, name: &str) -> Option<&Statement> {
        let mut found = self
            .statements()
            .iter()
            .filter(|statement| statement.id == name);
        let first = found.next();
        // A resource and a node may share a name: the resource is meant.
        if first.is_some_and(|statement| statement.verb == Verb::Node) {
            found.next().or(first)
        } else {
            first
        }
    }

    /// The text with another name for an object, everywhere.
    pub fn rename(&self, old: &str, new: &str) -> Result<Edited, EditError> {
        let Some(statement) = self.find(old) else {
            let near = nearest(
                old,
                self.statements()
                    .iter()
                    .map(|statement| statement.id.as_str()),
            );
            return Err(EditError::Unknown {
                name: old.to_owned(),
                near: near.map(str::to_owned),
            });
        };
        if self.find(new).is_some() {
            return Err(EditError::Exists(new.to_owned()));
        }
        if statement.verb == Verb::Xml {
            return Err(EditError::Needed {
                name: old.to_owned(),
                why: "it is written as XML; rename it with `edit`".to_owned(),
            });
        }
        if !super::parser::is_id(new) && statement.verb != Verb::Node {
            return Err(EditError::Statement(format!("`{new}` cannot be a name")));
        }
        let mut fixes = vec![Fix {
            span: statement.id_span,
            replacement: new.to_owned(),
        }];
        let mut notes = Vec::new();
        let owners: BTreeSet<&str> = self
            .statements()
            .iter()
            .map(|statement| statement.id.as_str())
            .chain(["fencing_topology"])
            .collect();
        for owner in owners {
            let detail = if statement.verb == Verb::Node {
                "node".to_owned()
            } else {
                format!("ref:{old}")
            };
            let Some(span) = self.spans().get(owner, &detail) else {
                continue;
            };
            let source = &self.print()[span.start..span.end];
            if !source.contains(old) || (statement.verb == Verb::Node && source != old) {
                continue;
            }
            notes.push(format!("{owner} names {new} instead of {old}"));
            fixes.push(Fix {
                span,
                replacement: source.replacen(old, new, 1),
            });
        }
        Ok(Edited {
            text: self.with_fixes(fixes),
            notes,
        })
    }

    /// The text with other members in a group.
    pub fn change_group(&self, group: &str, change: GroupChange<'_>) -> Result<String, EditError> {
        let unknown = |name: &str| EditError::Unknown {
            name: name.to_owned(),
            near: None,
        };
        let statement = self.find(group).ok_or_else(|| unknown(group))?;
        let Body::Group(_, members) = &statement.body else {
            return Err(EditError::Statement(format!("`{group}` is no group")));
        };
        let place = |name: &str| {
            members
                .iter()
                .find(|member| member.name == name)
                .map(|member| member.span)
        };
        let member = |name: &str| {
            place(name)
                .ok_or_else(|| EditError::Statement(format!("{name} is not member of {group}")))
        };
        let fix = match change {
            GroupChange::Remove(name) if members.len() == 1 => {
                return Err(EditError::Needed {
                    name: name.to_owned(),
                    why: format!("`{group}` would be empty; delete the group"),
                });
            }
            GroupChange::Remove(name) => self.word_removal(member(name)?),
            GroupChange::Append(name)
            | GroupChange::After(name, _)
            | GroupChange::Before(name, _) => {
                if place(name).is_some() {
                    return Err(EditError::Statement(format!(
                        "{name} is member of {group} already"
                    )));
                }
                match self.find(name).map(|statement| &statement.body) {
                    Some(Body::Primitive(_)) => {}
                    Some(_) => {
                        return Err(EditError::Statement(format!(
                            "a group may contain only primitives; {name} is none"
                        )));
                    }
                    None => return Err(unknown(name)),
                }
                match change {
                    GroupChange::Before(_, other) => {
                        let at = member(other)?.start;
                        Fix {
                            span: Span::new(at, at),
                            replacement: format!("{name} "),
                        }
                    }
                    _ => {
                        let last = members
                            .last()
                            .map(|member| member.name.as_str())
                            .unwrap_or_default();
                        let other = if let GroupChange::After(_, other) = change {
                            other
                        } else {
                            last
                        };
                        let at = member(other)?.end;
                        Fix {
                            span: Span::new(at, at),
                            replacement: format!(" {name}"),
                        }
                    }
                }
            }
        };
        Ok(self.with_fixes(vec![fix]))
    }

    /// The text with one meta attribute or parameter of a resource set (`None`: taken out).
    pub fn set_pair(
        &self,
        id: &str,
        kind: SetKind,
        name: &str,
        value: Option<&str>,
    ) -> Result<String, EditError> {
        let Some(statement) = self.find(id) else {
            let near = nearest(
                id,
                self.statements()
                    .iter()
                    .map(|statement| statement.id.as_str()),
            );
            return Err(EditError::Unknown {
                name: id.to_owned(),
                near: near.map(str::to_owned),
            });
        };
        let sets = match &statement.body {
            Body::Primitive(primitive) | Body::Template(primitive) => &primitive.sets,
            Body::Group(group, _) => &group.sets,
            Body::Clone(clone, _) => &clone.sets,
            Body::Bundle(bundle, _) => &bundle.sets,
            Body::Node(node) => &node.sets,
            _ => return Err(EditError::Statement(format!("`{id}` has no attributes"))),
        };
        let of_kind = || {
            sets.iter()
                .filter(|set| set.kind == kind && set.rule.is_none())
        };
        let place = of_kind()
            .flat_map(|set| &set.pairs)
            .find(|pair| pair.name == name)
            .and_then(|pair| pair.id.as_deref());
        let place = place.and_then(|id| self.spans().get(id, ""));
        let fix = match (place, value) {
            (Some(span), Some(_)) => Fix {
                span,
                replacement: pair_text(name, value),
            },
            (Some(span), None) => self.word_removal(span),
            (None, None) => return Ok(self.print().to_owned()),
            (None, Some(_)) => {
                let last = of_kind()
                    .flat_map(|set| &set.pairs)
                    .filter_map(|pair| self.spans().get(pair.id.as_deref()?, ""))
                    .map(|span| span.end)
                    .max();
                match last {
                    Some(end) => Fix {
                        span: Span::new(end, end),
                        replacement: format!(" {}", pair_text(name, value)),
                    },
                    None => {
                        let word = match (kind, statement.verb) {
                            (SetKind::Meta, _) => "meta",
                            (SetKind::Utilization, _) => "utilization",
                            (_, Verb::Node) => "attributes",
                            _ => "params",
                        };
                        let end = statement.span.end;
                        Fix {
                            span: Span::new(end, end),
                            replacement: format!(" \\\n\t{word} {}", pair_text(name, value)),
                        }
                    }
                }
            }
        };
        Ok(self.with_fixes(vec![fix]))
    }

    /// A statement and its line end.
    pub(super) fn removal(&self, statement: &Statement) -> Fix {
        let text = self.print();
        let start = text[..statement.span.start]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let end = text[statement.span.end..]
            .find('\n')
            .map_or(text.len(), |at| statement.span.end + at + 1);
        Fix {
            span: Span::new(start, end),
            replacement: String::new(),
        }
    }

    /// A word and one blank before it.
    pub(super) fn word_removal(&self, span: Span) -> Fix {
        let has_blank = self.print()[..span.start].ends_with(' ');
        Fix {
            span: Span::new(span.start - usize::from(has_blank), span.end),
            replacement: String::new(),
        }
    }

    pub(super) fn with_fixes(&self, mut fixes: Vec<Fix>) -> String {
        fixes.sort_by_key(|fix| (fix.span.start, fix.span.end));
        let mut text = String::with_capacity(self.print().len());
        let mut at = 0;
        for fix in fixes {
            if fix.span.start < at {
                continue;
            }
            text.push_str(&self.print()[at..fix.span.start]);
            text.push_str(&fix.replacement);
            at = fix.span.end;
        }
        text.push_str(&self.print()[at..]);
        text
    }
}

fn has_rule(statement: &Statement) -> bool {
    match &statement.body {
        Body::Options(set) | Body::ResourceDefaults(set) | Body::OperationDefaults(set) => {
            set.rule.is_some()
        }
        _ => false,
    }
}

/// Every resource that a constraint names.
pub(super) fn names(constraint: &Constraint) -> Vec<&str> {
    let (simple, sets): ([Option<&String>; 2], &[ResourceSet]) = match constraint {
        Constraint::Location(c) => ([c.resource.as_ref(), None], &c.sets),
        Constraint::Colocation(c) => ([c.resource.as_ref(), c.with.as_ref()], &c.sets),
        Constraint::Order(c) => ([c.first.as_ref(), c.then.as_ref()], &c.sets),
        Constraint::Ticket(c) => ([c.resource.as_ref(), None], &c.sets),
    };
    let mut names: Vec<&str> = simple.into_iter().flatten().map(String::as_str).collect();
    names.extend(sets.iter().flat_map(|set| &set.members).map(String::as_str));
    names
}
