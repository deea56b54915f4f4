//! Configuration of primitives merged with templates, and meta attributes with their inheritance.

use crate::nvset;
use crate::rule::Facts;
use crate::world::{PrimConfig, RscIx, World};
use quorate_model::cib::{AttributeSet, Operation, Primitive, Resource, SetKind};
use std::collections::BTreeMap;

impl<'c> World<'c> {
    fn template(&self, id: &str) -> Option<&'c Primitive> {
        self.cib
            .configuration
            .resources
            .iter()
            .find_map(|r| match r {
                Resource::Template(t) if t.id == id => Some(t),
                _ => None,
            })
    }

    /// The operations of a primitive, those that it borrows by reference included.
    fn own_ops(&self, p: &'c Primitive) -> Vec<&'c Operation> {
        if let Some(id) = &p.operations.id_ref {
            for r in &self.cib.configuration.resources {
                let mut found: Option<&'c Primitive> = None;
                each_primitive(r, &mut |q| {
                    if q.operations.id.as_deref() == Some(id) {
                        found = Some(q);
                    }
                });
                if let Some(q) = found {
                    return q.operations.list.iter().collect();
                }
            }
        }
        p.operations.list.iter().collect()
    }

    /// Adds a merged configuration and returns its index.
    pub(super) fn merge(&mut self, p: &'c Primitive) -> usize {
        let template = p.template.as_deref().and_then(|t| self.template(t));
        let mut sets: Vec<&'c AttributeSet> = Vec::new();
        let mut ops = self.own_ops(p);
        if let Some(t) = template {
            sets.extend(&t.sets);
            // Of a name and role the primitive's own operation counts.
            let key = |o: &Operation| {
                let role = crate::opconfig::attribute(o, "role")
                    .unwrap_or("Started")
                    .to_ascii_lowercase();
                (o.name.clone(), role)
            };
            let have: Vec<_> = ops.iter().map(|o| key(o)).collect();
            ops.extend(
                self.own_ops(t)
                    .into_iter()
                    .filter(|o| !have.contains(&key(o))),
            );
        }
        sets.extend(&p.sets);
        let from = |own: &'c Option<String>, base: Option<&'c str>| own.as_deref().or(base);
        self.cfgs.push(PrimConfig {
            class: from(&p.class, template.and_then(|t| t.class.as_deref())).unwrap_or(""),
            provider: from(&p.provider, template.and_then(|t| t.provider.as_deref())),
            agent: from(&p.agent, template.and_then(|t| t.agent.as_deref())).unwrap_or(""),
            sets,
            ops,
            template: p.template.as_deref(),
            extra_params: Vec::new(),
            made_ops: Vec::new(),
            extra_meta: Vec::new(),
        });
        self.cfgs.len() - 1
    }

    /// Meta attributes of a resource: its own, then its ancestors', then the defaults.
    pub(super) fn meta_of(
        &mut self,
        sets: &[&'c AttributeSet],
        extra: &[(String, String)],
        parent: Option<RscIx>,
        agent: Option<(&str, Option<&str>, &str)>,
    ) -> BTreeMap<String, String> {
        let facts = Facts {
            now: self.now,
            agent,
            ..Facts::default()
        };
        let mut meta: BTreeMap<String, String> = extra.iter().cloned().collect();
        nvset::collect(
            sets,
            SetKind::Meta,
            None,
            &facts,
            &self.set_by_id,
            &mut meta,
        );
        let mut at = parent;
        while let Some(p) = at {
            let sets = &self.rsc_sets[p];
            let mut inherited = BTreeMap::new();
            nvset::collect(
                sets,
                SetKind::Meta,
                None,
                &facts,
                &self.set_by_id,
                &mut inherited,
            );
            for (name, value) in inherited {
                meta.entry(name).or_insert(value);
            }
            at = self.rscs[p].parent;
        }
        let defaults: Vec<&AttributeSet> =
            self.cib.configuration.resource_defaults.iter().collect();
        nvset::collect(
            &defaults,
            SetKind::Meta,
            None,
            &facts,
            &self.set_by_id,
            &mut meta,
        );
        if let Some(at) = facts.next.get() {
            self.recheck_by(at);
        }
        meta
    }

    /// Parameters of a primitive as they are on a node (rules may depend on it).
    pub fn params(&self, r: RscIx, node: Option<usize>) -> BTreeMap<String, String> {
        let cfg = self.cfg(r);
        let facts = Facts {
            now: self.now,
            node: node.map(|n| &self.nodes[n].attrs),
            agent: Some((cfg.class, cfg.provider, cfg.agent)),
            ..Facts::default()
        };
        let mut out: BTreeMap<String, String> = cfg.extra_params.iter().cloned().collect();
        nvset::collect(
            &cfg.sets,
            SetKind::Instance,
            None,
            &facts,
            &self.set_by_id,
            &mut out,
        );
        let mut at = self.rscs[r].parent;
        while let Some(p) = at {
            if !self.is_bundle(p) {
                let mut inherited = BTreeMap::new();
                nvset::collect(
                    &self.rsc_sets[p],
                    SetKind::Instance,
                    None,
                    &facts,
                    &self.set_by_id,
                    &mut inherited,
                );
                for (name, value) in inherited {
                    out.entry(name).or_insert(value);
                }
            }
            at = self.rscs[p].parent;
        }
        out
    }
}

/// Calls `f` with every primitive in a resource.
pub(super) fn each_primitive<'c>(r: &'c Resource, f: &mut impl FnMut(&'c Primitive)) {
    use quorate_model::cib::CloneChild;
    match r {
        Resource::Primitive(p) | Resource::Template(p) => f(p),
        Resource::Group(g) => g.members.iter().for_each(f),
        Resource::Clone(c) => match &c.child {
            CloneChild::Primitive(p) => f(p),
            CloneChild::Group(g) => g.members.iter().for_each(f),
        },
        Resource::Bundle(b) => {
            if let Some(p) = &b.primitive {
                f(p);
            }
        }
    }
}
