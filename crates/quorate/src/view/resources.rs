//! The configured resources as a tree of lines: groups and clones with their primitives.

use quorate_model::cib::{CloneChild, Configuration, Primitive, Resource};

/// What a line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A primitive.
    Primitive,
    /// A group: its members follow.
    Group,
    /// A clone: what it multiplies follows.
    Clone,
    /// A bundle.
    Bundle,
}

/// One line of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// How deep.
    pub depth: usize,
    /// `ocf:heartbeat:IPaddr2`, for primitives.
    pub spec: String,
    /// It may be promoted.
    pub is_promotable: bool,
    /// It has instances on several nodes.
    pub is_cloned: bool,
    /// Its instances differ from each other, and are told apart by their numbers.
    pub is_unique: bool,
}

/// All of them, in the order they were written.
pub fn lines(configuration: &Configuration) -> Vec<Line> {
    let mut lines = Vec::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(p) => lines.push(primitive(configuration, p, 0, false, false)),
            Resource::Template(_) => {}
            Resource::Group(g) => {
                lines.push(header(&g.id, Kind::Group, 0));
                lines.extend(
                    g.members
                        .iter()
                        .map(|p| primitive(configuration, p, 1, false, false)),
                );
            }
            Resource::Clone(c) => {
                let is_set = |name: &str| {
                    c.sets.iter().flat_map(|s| &s.pairs).any(|pair| {
                        pair.name == name
                            && pair
                                .value
                                .as_deref()
                                .is_some_and(quorate_core::document::is_true)
                    })
                };
                let promotable = c.is_master_element || is_set("promotable");
                let first = lines.len();
                lines.push(header(&c.id, Kind::Clone, 0));
                lines[first].is_promotable = promotable;
                match &c.child {
                    CloneChild::Primitive(p) => {
                        lines.push(primitive(configuration, p, 1, promotable, true));
                    }
                    CloneChild::Group(g) => {
                        lines.push(header(&g.id, Kind::Group, 1));
                        lines.extend(
                            g.members
                                .iter()
                                .map(|p| primitive(configuration, p, 2, promotable, true)),
                        );
                    }
                }
                let is_unique = is_set("globally-unique");
                lines[first..]
                    .iter_mut()
                    .for_each(|line| line.is_unique = is_unique);
            }
            Resource::Bundle(b) => lines.push(header(&b.id, Kind::Bundle, 0)),
        }
    }
    lines
}

fn header(id: &str, kind: Kind, depth: usize) -> Line {
    Line {
        id: id.to_owned(),
        kind,
        depth,
        spec: String::new(),
        is_promotable: false,
        is_cloned: false,
        is_unique: false,
    }
}

fn primitive(
    configuration: &Configuration,
    primitive: &Primitive,
    depth: usize,
    is_promotable: bool,
    is_cloned: bool,
) -> Line {
    let template = primitive.template.as_ref().and_then(|wanted| {
        configuration.resources.iter().find_map(|r| match r {
            Resource::Template(t) if t.id == *wanted => Some(t),
            _ => None,
        })
    });
    let source = template.unwrap_or(primitive);
    let parts = [&source.class, &source.provider, &source.agent];
    let spec = parts
        .into_iter()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .join(":");
    Line {
        id: primitive.id.clone(),
        kind: Kind::Primitive,
        depth,
        spec,
        is_promotable,
        is_cloned,
        is_unique: false,
    }
}

/// Whether a history id (`db`, `rabbit:1`) is an instance of that primitive.
pub fn is_instance(history_id: &str, primitive: &str) -> bool {
    history_id == primitive
        || history_id
            .strip_prefix(primitive)
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
