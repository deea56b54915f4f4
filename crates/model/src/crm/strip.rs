//! Comparing objects with and without the ids that no one refers to.

use super::references::each_primitive;
use crate::cib::{
    Acls, Alert, AttributeSet, CloneChild, Configuration, Constraint, FencingLevel, Node, Resource,
    Rule, RulePart, Tag,
};
use std::collections::{BTreeMap, BTreeSet};

/// Which ids do not count in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// All count, but those that no statement can express.
    None,
    /// Those that no statement can express do not.
    Inexpressible,
    /// None of those that are made when they are not written.
    Generated,
}

/// How two configurations differ; names are `KIND NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Only in the first.
    pub removed: Vec<String>,
    /// Only in the second.
    pub added: Vec<String>,
    /// In both, with different content.
    pub changed: Vec<String>,
}

impl Differences {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && self.changed.is_empty()
    }
}

pub(super) fn differences(first: &Configuration, second: &Configuration) -> Differences {
    let (before, after) = (objects(first), objects(second));
    let mut found = Differences::default();
    for (key, object) in &before {
        match after.get(key) {
            None => found.removed.push(key.clone()),
            Some(other) if !object.equals(other, Strength::Generated) => {
                found.changed.push(key.clone());
            }
            Some(_) => {}
        }
    }
    found.added = after
        .keys()
        .filter(|key| !before.contains_key(*key))
        .cloned()
        .collect();
    found
}

/// One object of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    Node(Node),
    Resource(Resource),
    Constraint(Constraint),
    Fencing(Vec<FencingLevel>),
    Set(AttributeSet),
    Alert(Alert),
    Tag(Tag),
    Acls(Acls),
}

pub(super) fn key(kind: &str, id: &str) -> String {
    format!("{kind} {id}")
}

pub(super) fn resource_id(resource: &Resource) -> &str {
    match resource {
        Resource::Primitive(primitive) | Resource::Template(primitive) => &primitive.id,
        Resource::Group(group) => &group.id,
        Resource::Clone(clone) => &clone.id,
        Resource::Bundle(bundle) => &bundle.id,
    }
}

/// A constraint's name.
pub fn constraint_id(constraint: &Constraint) -> &str {
    match constraint {
        Constraint::Location(c) => &c.id,
        Constraint::Colocation(c) => &c.id,
        Constraint::Order(c) => &c.id,
        Constraint::Ticket(c) => &c.id,
    }
}

pub(super) fn set_id(set: &AttributeSet) -> &str {
    set.id_ref.as_deref().unwrap_or(&set.id)
}

/// Every object by its key.
pub(super) fn objects(configuration: &Configuration) -> BTreeMap<String, Object> {
    let mut objects = BTreeMap::new();
    for node in &configuration.nodes {
        objects.insert(key("node", &node.uname), Object::Node(node.clone()));
    }
    for resource in &configuration.resources {
        objects.insert(
            key("resource", resource_id(resource)),
            Object::Resource(resource.clone()),
        );
    }
    for constraint in &configuration.constraints {
        objects.insert(
            key("constraint", constraint_id(constraint)),
            Object::Constraint(constraint.clone()),
        );
    }
    if !configuration.fencing_levels.is_empty() {
        objects.insert(
            key("fencing", ""),
            Object::Fencing(configuration.fencing_levels.clone()),
        );
    }
    let sections = [
        ("crm_config", &configuration.options),
        ("rsc_defaults", &configuration.resource_defaults),
        ("op_defaults", &configuration.operation_defaults),
    ];
    for (section, sets) in sections {
        for set in sets {
            objects.insert(key(section, set_id(set)), Object::Set(set.clone()));
        }
    }
    for alert in &configuration.alerts {
        objects.insert(key("alert", &alert.id), Object::Alert(alert.clone()));
    }
    for tag in &configuration.tags {
        objects.insert(key("tag", &tag.id), Object::Tag(tag.clone()));
    }
    objects.insert(key("acls", ""), Object::Acls(configuration.acls.clone()));
    objects
}

/// Ids that something refers to: they are printed always.
pub(super) fn referred_ids(configuration: &Configuration) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut configuration = configuration.clone();
    each_primitive(&mut configuration, &mut |primitive| {
        ids.extend(primitive.operations.id_ref.clone());
    });
    each_set(&mut configuration, &mut |set| {
        ids.extend(set.id_ref.clone());
        ids.extend(set.rule.iter().filter_map(|rule| rule.id_ref.clone()));
        ids.extend(set.pairs.iter().filter_map(|pair| pair.id_ref.clone()));
    });
    for constraint in &configuration.constraints {
        if let Constraint::Location(location) = constraint {
            ids.extend(location.rules.iter().filter_map(|rule| rule.id_ref.clone()));
        }
    }
    ids
}

/// Calls `visit` with every attribute set.
pub(crate) fn each_set(
    configuration: &mut Configuration,
    visit: &mut dyn FnMut(&mut AttributeSet),
) {
    each_primitive(configuration, &mut |primitive| {
        primitive.sets.iter_mut().for_each(&mut *visit);
        for operation in &mut primitive.operations.list {
            operation.sets.iter_mut().for_each(&mut *visit);
        }
    });
    for node in &mut configuration.nodes {
        node.sets.iter_mut().for_each(&mut *visit);
    }
    for resource in &mut configuration.resources {
        match resource {
            Resource::Group(group) => group.sets.iter_mut().for_each(&mut *visit),
            Resource::Clone(clone) => {
                clone.sets.iter_mut().for_each(&mut *visit);
                if let CloneChild::Group(group) = &mut clone.child {
                    group.sets.iter_mut().for_each(&mut *visit);
                }
            }
            Resource::Bundle(bundle) => bundle.sets.iter_mut().for_each(&mut *visit),
            Resource::Primitive(_) | Resource::Template(_) => {}
        }
    }
    for alert in &mut configuration.alerts {
        alert.sets.iter_mut().for_each(&mut *visit);
        for recipient in &mut alert.recipients {
            recipient.sets.iter_mut().for_each(&mut *visit);
        }
    }
    for sets in [
        &mut configuration.options,
        &mut configuration.resource_defaults,
        &mut configuration.operation_defaults,
    ] {
        sets.iter_mut().for_each(&mut *visit);
    }
}

impl Object {
    /// Whether two objects are the same, ids of the given strength aside.
    pub(super) fn equals(&self, other: &Object, strength: Strength) -> bool {
        self == other || self.without(strength) == other.without(strength)
    }

    fn without(&self, strength: Strength) -> Object {
        let all = strength == Strength::Generated;
        let mut configuration = Configuration::default();
        match self.clone() {
            Object::Node(node) => configuration.nodes.push(node),
            Object::Resource(resource) => configuration.resources.push(resource),
            Object::Constraint(constraint) => configuration.constraints.push(constraint),
            Object::Fencing(mut levels) => {
                levels.iter_mut().for_each(|level| level.id.clear());
                return Object::Fencing(levels);
            }
            Object::Set(set) => configuration.options.push(set),
            Object::Alert(mut alert) => {
                for (_, attributes) in &mut alert.select {
                    attributes.iter_mut().for_each(|(id, _)| id.clear());
                }
                if all {
                    alert
                        .recipients
                        .iter_mut()
                        .for_each(|recipient| recipient.id.clear());
                }
                configuration.alerts.push(alert);
            }
            Object::Tag(tag) => return Object::Tag(tag),
            Object::Acls(mut acls) => {
                let permissions = acls.roles.iter_mut().flat_map(|role| &mut role.permissions);
                for permission in permissions {
                    permission.retain(|(name, _)| name != "id");
                    permission.sort();
                }
                acls.roles.sort_by(|a, b| a.id.cmp(&b.id));
                acls.targets.sort_by(|a, b| a.id.cmp(&b.id));
                acls.groups.sort_by(|a, b| a.id.cmp(&b.id));
                return Object::Acls(acls);
            }
        }
        strip(&mut configuration, all);
        let Configuration {
            nodes,
            resources,
            constraints,
            options,
            alerts,
            ..
        } = configuration;
        let mut objects = nodes.into_iter().map(Object::Node);
        let mut rest = resources
            .into_iter()
            .map(Object::Resource)
            .chain(constraints.into_iter().map(Object::Constraint))
            .chain(options.into_iter().map(Object::Set))
            .chain(alerts.into_iter().map(Object::Alert));
        objects
            .next()
            .or_else(|| rest.next())
            .unwrap_or_else(|| self.clone())
    }
}

fn strip(configuration: &mut Configuration, all: bool) {
    each_set(configuration, &mut |set| {
        if all {
            set.id.clear();
            // The order of pairs has no meaning.
            set.pairs
                .sort_by(|a, b| (&a.name, &a.id_ref).cmp(&(&b.name, &b.id_ref)));
            set.pairs.iter_mut().for_each(|pair| pair.id = None);
        }
        set.rule.iter_mut().for_each(|rule| strip_rule(rule, all));
    });
    each_primitive(configuration, &mut |primitive| {
        if all {
            primitive.operations.id = None;
        }
        for operation in &mut primitive.operations.list {
            if all {
                operation.id.clear();
            }
            operation.extra.sort();
        }
    });
    for constraint in &mut configuration.constraints {
        let (rules, sets): (Vec<&mut Rule>, _) = match constraint {
            Constraint::Location(c) => (c.rules.iter_mut().collect(), &mut c.sets),
            Constraint::Colocation(c) => (Vec::new(), &mut c.sets),
            Constraint::Order(c) => (Vec::new(), &mut c.sets),
            Constraint::Ticket(c) => (Vec::new(), &mut c.sets),
        };
        rules.into_iter().for_each(|rule| strip_rule(rule, all));
        // No statement names the id of a resource set.
        sets.iter_mut().for_each(|set| set.id.clear());
    }
}

fn strip_rule(rule: &mut Rule, all: bool) {
    if all {
        rule.id.clear();
        // `and` is what a rule means that says nothing.
        rule.boolean = rule.boolean.take().filter(|boolean| boolean != "and");
    }
    for part in &mut rule.parts {
        match part {
            RulePart::Rule(rule) => strip_rule(rule, all),
            RulePart::Expression { id, .. }
            | RulePart::ResourceType { id, .. }
            | RulePart::Operation { id, .. } => id.clear(),
            RulePart::Date {
                id, duration, spec, ..
            } => {
                id.clear();
                for fields in [duration, spec].into_iter().flatten() {
                    fields.retain(|(name, _)| name != "id");
                }
            }
        }
    }
}
