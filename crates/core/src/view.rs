//! What status and explain need, derived from the replicated state: the same on every node and in clients.

use quorate_model::cib::{AttributeSet, CloneChild, Configuration, Resource, SetKind};

/// Ids of all resources: primitives, groups, clones, bundles.
#[must_use]
pub fn resource_ids(configuration: &Configuration) -> Vec<String> {
    let mut ids = Vec::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(primitive) => ids.push(primitive.id.clone()),
            Resource::Group(group) => {
                ids.push(group.id.clone());
                ids.extend(group.members.iter().map(|member| member.id.clone()));
            }
            Resource::Clone(clone) => {
                ids.push(clone.id.clone());
                match &clone.child {
                    CloneChild::Primitive(primitive) => ids.push(primitive.id.clone()),
                    CloneChild::Group(group) => {
                        ids.push(group.id.clone());
                        ids.extend(group.members.iter().map(|member| member.id.clone()));
                    }
                }
            }
            Resource::Bundle(bundle) => {
                ids.push(bundle.id.clone());
                ids.extend(
                    bundle
                        .primitive
                        .iter()
                        .map(|primitive| primitive.id.clone()),
                );
            }
            Resource::Template(_) => {}
        }
    }
    ids
}

/// The primitives of a resource (itself, the members of a group, what a clone multiplies).
#[must_use]
pub fn leaves(configuration: &Configuration, id: &str) -> Vec<String> {
    for resource in &configuration.resources {
        let (own, members): (Vec<&str>, Vec<String>) = match resource {
            Resource::Primitive(primitive) => (vec![&primitive.id], vec![primitive.id.clone()]),
            Resource::Group(group) => (
                vec![&group.id],
                group
                    .members
                    .iter()
                    .map(|member| member.id.clone())
                    .collect(),
            ),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => {
                    (vec![&clone.id, &primitive.id], vec![primitive.id.clone()])
                }
                CloneChild::Group(group) => (
                    vec![&clone.id, &group.id],
                    group
                        .members
                        .iter()
                        .map(|member| member.id.clone())
                        .collect(),
                ),
            },
            Resource::Bundle(bundle) => (
                vec![&bundle.id],
                bundle
                    .primitive
                    .iter()
                    .map(|primitive| primitive.id.clone())
                    .collect(),
            ),
            Resource::Template(_) => continue,
        };
        if own.contains(&id) {
            return members;
        }
        if members.iter().any(|member| member == id) {
            return vec![id.to_owned()];
        }
    }
    Vec::new()
}

/// The meta attribute sets that count for a primitive: its own, then those of what contains it.
#[must_use]
pub fn meta_sets<'a>(configuration: &'a Configuration, id: &str) -> Vec<&'a AttributeSet> {
    let mut sets: Vec<&AttributeSet> = Vec::new();
    for resource in &configuration.resources {
        let (members, outer): (Vec<_>, Vec<&Vec<AttributeSet>>) = match resource {
            Resource::Primitive(primitive) => (vec![primitive], Vec::new()),
            Resource::Group(group) => (group.members.iter().collect(), vec![&group.sets]),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => (vec![primitive], vec![&clone.sets]),
                CloneChild::Group(group) => (
                    group.members.iter().collect(),
                    vec![&group.sets, &clone.sets],
                ),
            },
            Resource::Bundle(bundle) => (bundle.primitive.iter().collect(), vec![&bundle.sets]),
            Resource::Template(_) => continue,
        };
        let Some(member) = members.into_iter().find(|member| member.id == id) else {
            continue;
        };
        sets.extend(&member.sets);
        sets.extend(outer.into_iter().flatten());
        break;
    }
    sets.retain(|set| set.kind == SetKind::Meta && set.rule.is_none());
    sets
}
