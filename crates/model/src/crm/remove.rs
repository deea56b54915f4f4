//! Removing objects: what named them names what is left, or goes too.

use super::Document;
use super::edit::{EditError, Edited, names};
use super::print::constraint_statement;
use super::statement::{Body, Statement, Verb};
use crate::cib::{Constraint, ResourceSet};
use crate::diag::{Fix, Span, nearest};

impl Document {
    /// The text without objects, and without what makes no sense without them.
    pub fn remove(&self, names: &[&str]) -> Result<Edited, EditError> {
        let mut edited = Edited {
            text: self.print().to_owned(),
            notes: Vec::new(),
        };
        for name in names {
            let (document, _) = super::parse(&edited.text);
            if document.find(name).is_none()
                && edited.notes.iter().any(|note| {
                    note.trim_end_matches(" is removed too")
                        .split_whitespace()
                        .next_back()
                        == Some(name)
                })
            {
                continue;
            }
            edited.text = document.remove_one(name, &mut edited.notes)?;
        }
        Ok(edited)
    }

    fn remove_one(&self, name: &str, notes: &mut Vec<String>) -> Result<String, EditError> {
        let Some(statement) = self.find(name) else {
            let near = nearest(
                name,
                self.statements()
                    .iter()
                    .map(|statement| statement.id.as_str()),
            );
            return Err(EditError::Unknown {
                name: name.to_owned(),
                near: near.map(str::to_owned),
            });
        };
        let mut fixes = vec![self.removal(statement)];
        if statement.verb == Verb::Node {
            return Ok(self.with_fixes(fixes));
        }
        if let Some(user) = self.statements().iter().find(|other| {
            matches!(&other.body, Body::Primitive(primitive) if primitive.template.as_deref() == Some(name))
        }) {
            return Err(EditError::Needed { name: name.to_owned(), why: format!("`{}` inherits from it", user.id) });
        }
        // What takes its place in constraints: the first member of a group, the child of a clone.
        let heir = match &statement.body {
            Body::Group(_, members) => members.first().map(|member| member.name.clone()),
            Body::Clone(_, child) => Some(child.name.clone()),
            _ => None,
        };
        let mut again = None;
        for other in self.statements() {
            match &other.body {
                Body::Group(_, members) if members.iter().any(|member| member.name == name) => {
                    if members.len() == 1 {
                        again = Some(other.id.clone());
                    } else if let Some(span) = self.spans().get(&other.id, &format!("ref:{name}")) {
                        fixes.push(self.word_removal(span));
                    }
                }
                Body::Clone(_, child) if child.name == name => again = Some(other.id.clone()),
                Body::Bundle(_, Some(child)) if child.name == name => {
                    let start = self.print()[..child.span.start]
                        .rfind("primitive")
                        .unwrap_or(child.span.start);
                    fixes.push(self.word_removal(Span::new(start, child.span.end)));
                }
                Body::Tag(tag) if tag.references.iter().any(|reference| reference == name) => {
                    if tag.references.len() == 1 {
                        notes.push(format!("tag {} is removed too", other.id));
                        fixes.push(self.removal(other));
                    } else if let Some(span) = self.spans().get(&other.id, &format!("ref:{name}")) {
                        fixes.push(self.word_removal(span));
                    }
                }
                Body::Constraint(constraint) => {
                    self.unlink(other, constraint, name, heir.as_deref(), &mut fixes, notes);
                }
                Body::Fencing(levels) => {
                    let users: Vec<_> = levels
                        .iter()
                        .filter(|spec| spec.level.devices.iter().any(|device| device == name))
                        .collect();
                    if users.len() == levels.len()
                        && levels.iter().all(|spec| spec.level.devices.len() == 1)
                    {
                        notes.push("fencing_topology is removed too".to_owned());
                        fixes.push(self.removal(other));
                    } else {
                        for spec in users {
                            let rest: Vec<&str> = spec
                                .level
                                .devices
                                .iter()
                                .map(String::as_str)
                                .filter(|device| *device != name)
                                .collect();
                            fixes.push(Fix {
                                span: spec.span,
                                replacement: rest.join(","),
                            });
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(owner) = again {
            // The owner goes first: its constraints move to what is left, and are judged then.
            let text = self.remove_one(&owner, notes)?;
            notes.push(format!("{owner} is removed too"));
            return super::parse(&text).0.remove_one(name, notes);
        }
        Ok(self.with_fixes(fixes))
    }

    /// Takes a resource out of a constraint.
    fn unlink(
        &self,
        owner: &Statement,
        constraint: &Constraint,
        name: &str,
        heir: Option<&str>,
        fixes: &mut Vec<Fix>,
        notes: &mut Vec<String>,
    ) {
        if !names(constraint).contains(&name) {
            return;
        }
        let title = format!("{} {}", owner.verb.word(), owner.id);
        if let (Some(heir), Some(span)) =
            (heir, self.spans().get(&owner.id, &format!("ref:{name}")))
        {
            notes.push(format!("{title} names {heir} instead of {name}"));
            fixes.push(Fix {
                span,
                replacement: heir.to_owned(),
            });
            return;
        }
        match without_member(constraint, name) {
            Some(smaller) => {
                notes.push(format!("{title} no longer names {name}"));
                fixes.push(Fix {
                    span: owner.span,
                    replacement: constraint_statement(&smaller),
                });
            }
            None => {
                notes.push(format!("{title} is removed too"));
                fixes.push(self.removal(owner));
            }
        }
    }
}

/// A constraint of sets with one resource less; `None` when nothing is left to constrain.
fn without_member(constraint: &Constraint, name: &str) -> Option<Constraint> {
    let mut constraint = constraint.clone();
    let sets = match &mut constraint {
        Constraint::Location(c) => &mut c.sets,
        Constraint::Colocation(c) => &mut c.sets,
        Constraint::Order(c) => &mut c.sets,
        Constraint::Ticket(c) => &mut c.sets,
    };
    if sets.is_empty() {
        return None;
    }
    for set in sets.iter_mut() {
        set.members.retain(|member| member != name);
    }
    sets.retain(|set| !set.members.is_empty());
    let left: usize = sets.iter().map(|set| set.members.len()).sum();
    let least = if matches!(constraint, Constraint::Location(_) | Constraint::Ticket(_)) {
        1
    } else {
        2
    };
    if left < least {
        return None;
    }
    simplify(&mut constraint);
    Some(constraint)
}

/// Two resources need no sets: `a b` in one set of a colocation means that b goes with a.
fn simplify(constraint: &mut Constraint) {
    /// Name, role, action.
    type Item = (String, Option<String>, Option<String>);
    let two = |sets: &[ResourceSet]| -> Option<[Item; 2]> {
        let item = |set: &ResourceSet, at: usize| {
            (
                set.members[at].clone(),
                set.role.clone(),
                set.action.clone(),
            )
        };
        match sets {
            [one] if one.members.len() == 2 && one.sequential.is_none() => {
                Some([item(one, 0), item(one, 1)])
            }
            [one, other] if one.members.len() == 1 && other.members.len() == 1 => {
                Some([item(one, 0), item(other, 0)])
            }
            _ => None,
        }
    };
    match constraint {
        Constraint::Colocation(c) => {
            let is_one_set = c.sets.len() == 1;
            if let Some([first, second]) = two(&c.sets) {
                let (dependent, with) = if is_one_set {
                    (second, first)
                } else {
                    (first, second)
                };
                (c.resource, c.role) = (Some(dependent.0), dependent.1);
                (c.with, c.with_role) = (Some(with.0), with.1);
                c.sets.clear();
            }
        }
        Constraint::Order(c) => {
            if let Some([first, then]) = two(&c.sets) {
                (c.first, c.first_action) = (Some(first.0), first.2);
                (c.then, c.then_action) = (Some(then.0), then.2);
                c.sets.clear();
            }
        }
        Constraint::Location(_) | Constraint::Ticket(_) => {}
    }
}
