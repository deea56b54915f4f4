//! Attribute sets: which pairs count, given rules, scores and references.

use crate::rule::{Facts, holds};
use crate::score::parse;
use quorate_model::cib::{AttributeSet, Cib, CloneChild, Pair, Primitive, Resource, SetKind};
use std::collections::BTreeMap;

/// Sets that others refer to, by id.
pub type SetIndex<'c> = BTreeMap<&'c str, &'c AttributeSet>;

/// Adds the pairs of all sets of a kind that hold to `out`, strongest first; what is there stays.
pub fn collect<'c>(
    sets: &[&'c AttributeSet],
    kind: SetKind,
    first: Option<&str>,
    facts: &Facts<'_>,
    index: &SetIndex<'c>,
    out: &mut BTreeMap<String, String>,
) {
    if !sets.iter().any(|s| s.kind == kind) {
        return;
    }
    let mut list: Vec<&AttributeSet> = Vec::new();
    // Among equals the later one wins, so that what a primitive says beats its template.
    for set in sets.iter().rev().filter(|s| s.kind == kind) {
        let set = match &set.id_ref {
            Some(id) => match index.get(id.as_str()) {
                Some(found) => found,
                None => continue,
            },
            None => set,
        };
        list.push(set);
    }
    let rank = |s: &AttributeSet| {
        let special = first.is_some_and(|f| s.id == f);
        (!special, -s.score.as_deref().map_or(0, parse))
    };
    list.sort_by_key(|s| rank(s));
    for set in list {
        if let Some(rule) = &set.rule
            && !holds(rule, facts)
        {
            continue;
        }
        for pair in &set.pairs {
            let (name, value) = resolve(pair, index);
            let Some(value) = value else { continue };
            if name.is_empty() || value == "#default" {
                continue;
            }
            if !out.contains_key(name) {
                out.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn resolve<'a>(pair: &'a Pair, index: &SetIndex<'a>) -> (&'a str, Option<&'a str>) {
    if let Some(id) = &pair.id_ref {
        for set in index.values() {
            if let Some(found) = set.pairs.iter().find(|p| p.id.as_deref() == Some(id)) {
                let name = if pair.name.is_empty() {
                    &found.name
                } else {
                    &pair.name
                };
                return (name, found.value.as_deref());
            }
        }
    }
    (&pair.name, pair.value.as_deref())
}

/// All sets by id; empty unless some set or pair refers to another.
pub fn index(cib: &Cib) -> SetIndex<'_> {
    let mut all: Vec<&AttributeSet> = Vec::new();
    let c = &cib.configuration;
    all.extend(&c.options);
    all.extend(&c.resource_defaults);
    all.extend(&c.operation_defaults);
    for node in &c.nodes {
        all.extend(&node.sets);
    }
    for resource in &c.resources {
        resource_sets(resource, &mut all);
    }
    let refers = all
        .iter()
        .any(|s| s.id_ref.is_some() || s.pairs.iter().any(|p| p.id_ref.is_some()));
    if !refers {
        return SetIndex::new();
    }
    all.into_iter()
        .filter(|s| s.id_ref.is_none())
        .map(|s| (s.id.as_str(), s))
        .collect()
}

fn primitive_sets<'c>(p: &'c Primitive, all: &mut Vec<&'c AttributeSet>) {
    all.extend(&p.sets);
    for op in &p.operations.list {
        all.extend(&op.sets);
    }
}

fn resource_sets<'c>(resource: &'c Resource, all: &mut Vec<&'c AttributeSet>) {
    match resource {
        Resource::Primitive(p) | Resource::Template(p) => primitive_sets(p, all),
        Resource::Group(g) => {
            all.extend(&g.sets);
            for m in &g.members {
                primitive_sets(m, all);
            }
        }
        Resource::Clone(c) => {
            all.extend(&c.sets);
            match &c.child {
                CloneChild::Primitive(p) => primitive_sets(p, all),
                CloneChild::Group(g) => {
                    all.extend(&g.sets);
                    for m in &g.members {
                        primitive_sets(m, all);
                    }
                }
            }
        }
        Resource::Bundle(b) => {
            all.extend(&b.sets);
            if let Some(p) = &b.primitive {
                primitive_sets(p, all);
            }
        }
    }
}
