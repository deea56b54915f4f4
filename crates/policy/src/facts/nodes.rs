//! Nodes: configured ones, remote nodes behind connections, guests of containers and bundles.

use crate::nvset;
use crate::rule::Facts;
use crate::world::{Node, NodeKind, World};
use quorate_model::cib::{AttributeSet, CloneChild, Primitive, Resource, SetKind};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Compares names so that `node10` comes after `node9`; case does not matter.
pub fn compare_names(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i].is_ascii_digit() && b[j].is_ascii_digit() {
            let (si, sj) = (i, j);
            while i < a.len() && a[i].is_ascii_digit() {
                i += 1;
            }
            while j < b.len() && b[j].is_ascii_digit() {
                j += 1;
            }
            let trim = |s: &'_ [u8]| s.iter().position(|c| *c != b'0').map_or(s.len(), |p| p);
            let (x, y) = (&a[si..i], &b[sj..j]);
            let (x, y) = (&x[trim(x)..], &y[trim(y)..]);
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            if order != Ordering::Equal {
                return order;
            }
            continue;
        }
        let order = a[i].to_ascii_lowercase().cmp(&b[j].to_ascii_lowercase());
        if order != Ordering::Equal {
            return order;
        }
        i += 1;
        j += 1;
    }
    (a.len() - i).cmp(&(b.len() - j))
}

pub(super) fn new_node(id: &str, name: &str, kind: NodeKind) -> Node {
    let mut attrs = BTreeMap::new();
    attrs.insert(
        "#kind".to_owned(),
        if kind == NodeKind::Remote {
            "remote"
        } else {
            "cluster"
        }
        .to_owned(),
    );
    Node {
        id: id.to_owned(),
        name: name.to_owned(),
        kind,
        online: false,
        unclean: false,
        unseen: false,
        pending: false,
        standby: false,
        standby_onfail: false,
        maintenance: false,
        shutdown: false,
        expected_up: false,
        is_dc: false,
        unpacked: false,
        probes_allowed: true,
        weight: 0,
        remote_rsc: None,
        forgotten: false,
        remote_requires_reset: false,
        remote_was_fenced: false,
        remote_maintenance: false,
        attrs,
        utilization: BTreeMap::new(),
        running: Vec::new(),
        count: 0,
        priority: 0,
        state_ix: None,
        fenced_on_action: None,
        digests_all: String::new(),
    }
}

impl World<'_> {
    /// Makes all nodes, sorted by name.
    pub(super) fn unpack_nodes(&mut self) {
        let cib = self.cib;
        for node in &cib.configuration.nodes {
            let name = if node.uname.is_empty() {
                &node.id
            } else {
                &node.uname
            };
            let kind = match node.kind.as_deref() {
                Some("remote") => NodeKind::Remote,
                _ => NodeKind::Member,
            };
            let mut new = new_node(&node.id, name, kind);
            if kind == NodeKind::Member {
                new.unclean = self.opts.startup_fencing && self.opts.fencing;
                new.unseen = true;
            }
            new.is_dc = root(self, "dc-uuid") == Some(node.id.as_str());
            self.base_attributes(&mut new);
            let sets: Vec<&AttributeSet> = node.sets.iter().collect();
            self.node_sets(&mut new, &sets, SetKind::Instance);
            let mut utilization = BTreeMap::new();
            let facts = Facts {
                now: self.now,
                ..Facts::default()
            };
            nvset::collect(
                &sets,
                SetKind::Utilization,
                None,
                &facts,
                &self.set_by_id,
                &mut utilization,
            );
            new.utilization = utilization
                .into_iter()
                .map(|(k, v)| (k, i64::from(crate::score::parse(&v))))
                .collect();
            self.nodes.push(new);
        }
        for resource in &cib.configuration.resources {
            let mut members: Vec<&Primitive> = Vec::new();
            match resource {
                Resource::Primitive(p) => members.push(p),
                Resource::Group(g) => members.extend(&g.members),
                Resource::Clone(c) => match &c.child {
                    CloneChild::Primitive(p) => members.push(p),
                    CloneChild::Group(g) => members.extend(&g.members),
                },
                Resource::Bundle(b) => self.bundle_nodes(b),
                Resource::Template(_) => {}
            }
            for p in members {
                self.remote_node_of(p);
            }
        }
        self.orphaned_remote_nodes();
        self.nodes.sort_by(|a, b| compare_names(&a.name, &b.name));
        for (ix, node) in self.nodes.iter().enumerate() {
            self.node_by_name
                .entry(node.name.to_ascii_lowercase())
                .or_insert(ix);
            self.node_by_id.entry(node.id.clone()).or_insert(ix);
        }
    }

    fn base_attributes(&self, node: &mut Node) {
        node.attrs.insert("#uname".to_owned(), node.name.clone());
        node.attrs.insert("#id".to_owned(), node.id.clone());
        node.attrs
            .insert("#is_dc".to_owned(), node.is_dc.to_string());
        if let Some(name) = self.opts.text("cluster-name") {
            node.attrs
                .insert("#cluster-name".to_owned(), name.to_owned());
        }
    }

    fn node_sets(&mut self, node: &mut Node, sets: &[&AttributeSet], kind: SetKind) {
        let mut found = BTreeMap::new();
        let attrs = node.attrs.clone();
        let facts = Facts {
            now: self.now,
            node: Some(&attrs),
            ..Facts::default()
        };
        nvset::collect(sets, kind, None, &facts, &self.set_by_id, &mut found);
        if let Some(at) = facts.next.get() {
            self.recheck_by(at);
        }
        for (name, value) in found {
            node.attrs.insert(name, value);
        }
        if !node.attrs.contains_key("#site-name") {
            let site = node
                .attrs
                .get("site-name")
                .or_else(|| node.attrs.get("#cluster-name"))
                .cloned();
            if let Some(site) = site {
                node.attrs.insert("#site-name".to_owned(), site);
            }
        }
    }

    /// A node for a remote connection resource, or for a guest that a resource carries.
    fn remote_node_of(&mut self, p: &Primitive) {
        let template = self
            .cib
            .configuration
            .resources
            .iter()
            .find_map(|r| match r {
                Resource::Template(t) if p.template.as_deref() == Some(t.id.as_str()) => Some(t),
                _ => None,
            });
        let class = p
            .class
            .as_deref()
            .or(template.and_then(|t| t.class.as_deref()));
        let agent = p
            .agent
            .as_deref()
            .or(template.and_then(|t| t.agent.as_deref()));
        let provider = p
            .provider
            .as_deref()
            .or(template.and_then(|t| t.provider.as_deref()));
        if class == Some("ocf") && provider == Some("pacemaker") && agent == Some("remote") {
            self.add_remote_node(&p.id);
        }
        if let Some(name) = guest_name(p) {
            self.add_remote_node(name);
        }
    }

    pub(super) fn add_remote_node(&mut self, name: &str) {
        if self.nodes.iter().any(|n| n.name == name) {
            return;
        }
        let mut node = new_node(name, name, NodeKind::Remote);
        self.base_attributes(&mut node);
        self.nodes.push(node);
    }

    /// Connections that are in the history only leave remote nodes, too.
    fn orphaned_remote_nodes(&mut self) {
        let mut names: Vec<String> = Vec::new();
        let mut configured: Vec<&str> = Vec::new();
        for r in &self.cib.configuration.resources {
            super::config::each_primitive(r, &mut |p| configured.push(&p.id));
        }
        for state in &self.cib.status.nodes {
            for r in &state.resources {
                if r.class == "ocf"
                    && r.provider.as_deref() == Some("pacemaker")
                    && r.agent == "remote"
                    && !configured.contains(&r.id.as_str())
                {
                    names.push(r.id.to_string());
                }
            }
        }
        for name in names {
            let before = self.nodes.len();
            self.add_remote_node(&name);
            if let Some(node) = self.nodes.get_mut(before) {
                node.forgotten = true;
            }
        }
    }

    /// A node by name, as constraints and history refer to it.
    pub fn find_node(&self, name: &str) -> Option<usize> {
        self.node_by_name.get(&name.to_ascii_lowercase()).copied()
    }
}

/// The guest node that a primitive's meta attributes name.
pub(super) fn guest_name(p: &Primitive) -> Option<&str> {
    p.sets
        .iter()
        .filter(|s| s.kind == SetKind::Meta)
        .flat_map(|s| &s.pairs)
        .find(|pair| pair.name == "remote-node")
        .and_then(|pair| pair.value.as_deref())
}

fn root<'a>(world: &World<'a>, name: &str) -> Option<&'a str> {
    world
        .cib
        .attributes
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
}
