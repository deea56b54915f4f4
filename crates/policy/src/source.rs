//! What a reason rests on: a line of the configuration, or a fact.
//!
//! A source names what an operator can change; [`without`] gives the configuration that lacks it, so that a
//! reason can be put to the test.

use quorate_model::cib::{
    AttributeSet, CloneChild, Configuration, Constraint, Group, Operation, Primitive, Resource,
    SetKind,
};
use std::fmt;

/// Who has an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The cluster (`property`).
    Cluster,
    /// `rsc_defaults`.
    ResourceDefaults,
    /// `op_defaults`.
    OperationDefaults,
    /// A resource or template, by id.
    Resource(String),
    /// A node, by name.
    Node(String),
}

/// Something that a reason rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A resource, group, clone, template or node as such, by id.
    Object(String),
    /// A constraint, by id.
    Constraint(String),
    /// An attribute of somebody, by name.
    Attribute(Owner, String),
    /// An operation of a resource as configured: its resource and its id.
    Operation(String, String),
    /// Something that happened, in words; no line of a configuration says it.
    Fact(String),
}

impl Source {
    /// Whether it is a line that an operator wrote (objects are named, not blamed).
    #[must_use]
    pub fn is_line(&self) -> bool {
        matches!(
            self,
            Source::Constraint(_) | Source::Attribute(..) | Source::Operation(..)
        )
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Object(id) => write!(f, "{id}"),
            Source::Constraint(id) => write!(f, "constraint {id}"),
            Source::Attribute(Owner::Cluster, name) => write!(f, "property {name}"),
            Source::Attribute(Owner::ResourceDefaults, name) => write!(f, "rsc_defaults {name}"),
            Source::Attribute(Owner::OperationDefaults, name) => write!(f, "op_defaults {name}"),
            Source::Attribute(Owner::Resource(id), name) => write!(f, "{name} of {id}"),
            Source::Attribute(Owner::Node(id), name) => write!(f, "{name} of node {id}"),
            Source::Operation(resource, id) => write!(f, "operation {id} of {resource}"),
            Source::Fact(text) => write!(f, "{text}"),
        }
    }
}

/// Calls `f` with every primitive, templates included.
pub fn each_primitive<'c>(configuration: &'c Configuration, f: &mut impl FnMut(&'c Primitive)) {
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(p) | Resource::Template(p) => f(p),
            Resource::Group(g) => g.members.iter().for_each(&mut *f),
            Resource::Clone(c) => match &c.child {
                CloneChild::Primitive(p) => f(p),
                CloneChild::Group(g) => g.members.iter().for_each(&mut *f),
            },
            Resource::Bundle(b) => b.primitive.iter().for_each(&mut *f),
        }
    }
}

/// The primitive or template of an id.
#[must_use]
pub fn primitive<'c>(configuration: &'c Configuration, id: &str) -> Option<&'c Primitive> {
    let mut found = None;
    each_primitive(configuration, &mut |p| {
        if p.id == id {
            found = Some(p);
        }
    });
    found
}

/// The attribute sets of an owner.
#[must_use]
pub fn sets<'c>(configuration: &'c Configuration, owner: &Owner) -> Vec<&'c AttributeSet> {
    match owner {
        Owner::Cluster => configuration.options.iter().collect(),
        Owner::ResourceDefaults => configuration.resource_defaults.iter().collect(),
        Owner::OperationDefaults => configuration.operation_defaults.iter().collect(),
        Owner::Node(name) => configuration
            .nodes
            .iter()
            .filter(|n| n.uname == *name)
            .flat_map(|n| &n.sets)
            .collect(),
        Owner::Resource(id) => resource_sets(configuration, id),
    }
}

fn resource_sets<'c>(configuration: &'c Configuration, id: &str) -> Vec<&'c AttributeSet> {
    for resource in &configuration.resources {
        let group = |g: &'c Group| (g.id == id).then_some(&g.sets);
        let found = match resource {
            Resource::Group(g) => group(g),
            Resource::Clone(c) if c.id == id => Some(&c.sets),
            Resource::Clone(c) => match &c.child {
                CloneChild::Group(g) => group(g),
                CloneChild::Primitive(_) => None,
            },
            Resource::Bundle(b) if b.id == id => Some(&b.sets),
            _ => None,
        };
        if let Some(sets) = found {
            return sets.iter().collect();
        }
    }
    primitive(configuration, id).map_or_else(Vec::new, |p| p.sets.iter().collect())
}

/// The configuration without a line; `None` where the source is no line of it.
#[must_use]
pub fn without(configuration: &Configuration, source: &Source) -> Option<Configuration> {
    let mut changed = configuration.clone();
    match source {
        Source::Object(_) | Source::Fact(_) => return None,
        Source::Constraint(id) => changed.constraints.retain(|c| constraint_id(c) != id),
        Source::Attribute(owner, name) => {
            each_set_mut(&mut changed, owner, &mut |set| {
                if set.kind != SetKind::Utilization || matches!(owner, Owner::Node(_)) {
                    set.pairs.retain(|pair| pair.name != *name);
                }
            });
        }
        Source::Operation(resource, id) => {
            each_primitive_mut(&mut changed, &mut |p| {
                if p.id == *resource {
                    p.operations.list.retain(|op: &Operation| op.id != *id);
                }
            });
        }
    }
    (changed != *configuration).then_some(changed)
}

/// The id of a constraint of any kind.
#[must_use]
pub fn constraint_id(constraint: &Constraint) -> &str {
    match constraint {
        Constraint::Location(c) => &c.id,
        Constraint::Colocation(c) => &c.id,
        Constraint::Order(c) => &c.id,
        Constraint::Ticket(c) => &c.id,
    }
}

fn each_primitive_mut(configuration: &mut Configuration, f: &mut impl FnMut(&mut Primitive)) {
    for resource in &mut configuration.resources {
        match resource {
            Resource::Primitive(p) | Resource::Template(p) => f(p),
            Resource::Group(g) => g.members.iter_mut().for_each(&mut *f),
            Resource::Clone(c) => match &mut c.child {
                CloneChild::Primitive(p) => f(p),
                CloneChild::Group(g) => g.members.iter_mut().for_each(&mut *f),
            },
            Resource::Bundle(b) => b.primitive.iter_mut().for_each(&mut *f),
        }
    }
}

fn each_set_mut(
    configuration: &mut Configuration,
    owner: &Owner,
    f: &mut impl FnMut(&mut AttributeSet),
) {
    match owner {
        Owner::Cluster => configuration.options.iter_mut().for_each(f),
        Owner::ResourceDefaults => configuration.resource_defaults.iter_mut().for_each(f),
        Owner::OperationDefaults => configuration.operation_defaults.iter_mut().for_each(f),
        Owner::Node(name) => configuration
            .nodes
            .iter_mut()
            .filter(|n| n.uname == *name)
            .flat_map(|n| &mut n.sets)
            .for_each(f),
        Owner::Resource(id) => {
            for resource in &mut configuration.resources {
                match resource {
                    Resource::Group(g) if g.id == *id => g.sets.iter_mut().for_each(&mut *f),
                    Resource::Clone(c) => {
                        if c.id == *id {
                            c.sets.iter_mut().for_each(&mut *f);
                        }
                        if let CloneChild::Group(g) = &mut c.child
                            && g.id == *id
                        {
                            g.sets.iter_mut().for_each(&mut *f);
                        }
                    }
                    Resource::Bundle(b) if b.id == *id => b.sets.iter_mut().for_each(&mut *f),
                    _ => {}
                }
            }
            each_primitive_mut(configuration, &mut |p| {
                if p.id == *id {
                    p.sets.iter_mut().for_each(&mut *f);
                }
            });
        }
    }
}
