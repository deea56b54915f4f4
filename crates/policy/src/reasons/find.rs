//! Finding the line of the configuration that says something.

use crate::action::Task;
use crate::facts::failcount_base;
use crate::source::{Owner, Source, primitive, sets};
use crate::world::{Kind, NodeIx, RscIx, World};
use quorate_model::cib::{Constraint, Order, ResourceSet, SetKind};

impl World<'_> {
    /// Name of a resource in the configuration (instances have their primitive's).
    pub(crate) fn config_id(&self, r: RscIx) -> String {
        let id = &self.rscs[r].id;
        let is_instance = self.rscs[r].instance.is_some()
            || self.rscs[r]
                .parent
                .is_some_and(|p| self.rscs[p].instance.is_some());
        let base = if is_instance { failcount_base(id) } else { id };
        base.to_owned()
    }

    /// The line that gives a resource a meta attribute: its own, its template's, an ancestor's or a default.
    pub(crate) fn meta_source(&self, r: RscIx, name: &str) -> Option<Source> {
        let configuration = &self.cib.configuration;
        let says = |owner: &Owner| {
            sets(configuration, owner)
                .iter()
                .filter(|set| set.kind == SetKind::Meta)
                .flat_map(|set| &set.pairs)
                .any(|pair| pair.name == name && pair.value.is_some())
        };
        let mut owners = Vec::new();
        let mut at = Some(r);
        while let Some(x) = at {
            let id = self.config_id(x);
            let template = primitive(configuration, &id).and_then(|p| p.template.clone());
            owners.push(Owner::Resource(id));
            owners.extend(template.map(Owner::Resource));
            at = self.rscs[x].parent;
        }
        owners.push(Owner::ResourceDefaults);
        owners
            .into_iter()
            .find(says)
            .map(|owner| Source::Attribute(owner, name.to_owned()))
    }

    /// The line that sets a cluster option under one of its names.
    pub(crate) fn option_source(&self, names: &[&str]) -> Option<Source> {
        names
            .iter()
            .find(|name| self.opts.text(name).is_some())
            .map(|name| Source::Attribute(Owner::Cluster, (*name).to_owned()))
    }

    /// The line that gives a node an attribute; what agents and operators set at run time is a fact.
    pub(crate) fn node_source(&self, n: NodeIx, name: &str) -> Source {
        let node = &self.nodes[n];
        let owner = Owner::Node(node.name.clone());
        let written = sets(&self.cib.configuration, &owner)
            .iter()
            .filter(|set| set.kind == SetKind::Instance)
            .flat_map(|set| &set.pairs)
            .any(|pair| pair.name == name);
        if written {
            return Source::Attribute(owner, name.to_owned());
        }
        let value = node.attrs.get(name).map_or("", String::as_str);
        Source::Fact(format!("node attribute {name}={value} of {}", node.name))
    }

    /// A resource and all that it is part of, by their names in the configuration.
    fn line_of_ancestors(&self, r: RscIx) -> Vec<String> {
        let mut out = Vec::new();
        let mut at = Some(r);
        while let Some(x) = at {
            out.push(self.config_id(x));
            if let Kind::Primitive = self.rscs[x].kind
                && let Some(template) = primitive(&self.cib.configuration, &out[out.len() - 1])
                    .and_then(|p| p.template.clone())
            {
                out.push(template);
            }
            at = self.rscs[x].parent;
        }
        for tag in &self.cib.configuration.tags {
            if tag.references.iter().any(|id| out.contains(id)) {
                out.push(tag.id.clone());
            }
        }
        out
    }

    /// What orders one resource's actions before another's action of a kind.
    pub(crate) fn order_source(&self, first: RscIx, then: RscIx, task: Task) -> Option<Source> {
        if first == then {
            return None;
        }
        let (a, b) = (self.line_of_ancestors(first), self.line_of_ancestors(then));
        if let (Some(p), Some(q)) = (self.rscs[first].parent, self.rscs[then].parent)
            && p == q
            && self.is_group(p)
        {
            return Some(Source::Object(self.config_id(p)));
        }
        // Stops are in reverse; in contradictory configurations both directions are written.
        let ways = match task {
            Task::Stop | Task::Stopped | Task::Demote | Task::Demoted => [(&b, &a), (&a, &b)],
            _ => [(&a, &b), (&b, &a)],
        };
        let by_order = ways.into_iter().find_map(|(x, y)| {
            self.cib
                .configuration
                .constraints
                .iter()
                .find_map(|c| match c {
                    Constraint::Order(order) if orders(order, x, y) => {
                        Some(Source::Constraint(order.id.clone()))
                    }
                    _ => None,
                })
        });
        by_order
            .or_else(|| self.together_source(first, then))
            .or_else(|| {
                let within = self.rscs[first].container.or(self.rscs[then].container)?;
                Some(Source::Object(self.config_id(within)))
            })
    }

    /// What puts two resources together or keeps them apart.
    pub(crate) fn together_source(&self, first: RscIx, then: RscIx) -> Option<Source> {
        let (a, b) = (self.line_of_ancestors(first), self.line_of_ancestors(then));
        let is_of = |id: &Option<String>, names: &[String]| {
            id.as_ref().is_some_and(|id| names.contains(id))
        };
        self.cib
            .configuration
            .constraints
            .iter()
            .find_map(|c| match c {
                Constraint::Colocation(con) => {
                    let pair = (is_of(&con.resource, &a) && is_of(&con.with, &b))
                        || (is_of(&con.resource, &b) && is_of(&con.with, &a));
                    let in_sets = |names: &[String]| {
                        con.sets
                            .iter()
                            .flat_map(|set| &set.members)
                            .any(|m| names.contains(m))
                    };
                    (pair || (in_sets(&a) && in_sets(&b)))
                        .then(|| Source::Constraint(con.id.clone()))
                }
                _ => None,
            })
    }

    /// What a colocation is in the configuration.
    pub(crate) fn colocation_source(&self, c: usize) -> Source {
        let con = &self.colocations[c];
        if !con.id.starts_with('#') {
            return Source::Constraint(con.id.clone());
        }
        let owner = match self.rscs[con.dependent].parent {
            Some(p) if self.is_group(p) => p,
            _ => con.primary,
        };
        Source::Object(self.config_id(owner))
    }
}

fn orders(order: &Order, first: &[String], then: &[String]) -> bool {
    let is_of =
        |id: &Option<String>, names: &[String]| id.as_ref().is_some_and(|id| names.contains(id));
    if is_of(&order.first, first) && is_of(&order.then, then) {
        return true;
    }
    let place =
        |set: &ResourceSet, names: &[String]| set.members.iter().position(|m| names.contains(m));
    let at = |names: &[String]| {
        order
            .sets
            .iter()
            .enumerate()
            .find_map(|(s, set)| place(set, names).map(|m| (s, m)))
    };
    matches!((at(first), at(then)), (Some(x), Some(y)) if x < y)
}
