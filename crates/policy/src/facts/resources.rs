//! Resources: from configuration to instances.

use super::nodes::guest_name;
use crate::nvset;
use crate::rule::Facts;
use crate::score::{INF, is_true, parse, parse_bool, parse_ms};
use crate::world::{
    Cell, ChildConfig, CloneInfo, Discover, GroupInfo, Kind, MultipleActive, PrimConfig, Role, Rsc,
    RscIx, World,
};
use quorate_model::cib::{
    AttributeSet, CloneChild, CloneResource, Group, Operation, Primitive, Resource, SetKind,
};
use std::collections::BTreeMap;

/// How long connecting to a guest node may take unless told otherwise.
const CONNECT_TIMEOUT: &str = "60s";
/// Bound on the instances of one clone.
const INSTANCES_MAX: i32 = 10_000;

impl<'c> World<'c> {
    /// Makes all resources; priority decides their order, then the order in which they were written.
    pub(super) fn unpack_resources(&mut self) {
        let cib = self.cib;
        let mut guests: Vec<(&'c Primitive, String)> = Vec::new();
        for resource in &cib.configuration.resources {
            let mut found = false;
            super::config::each_primitive(resource, &mut |p| {
                let says = |pair: &quorate_model::cib::Pair| {
                    pair.name == "provides" && pair.value.as_deref() == Some("unfencing")
                };
                found |= p.class.as_deref() == Some("stonith")
                    && p.sets
                        .iter()
                        .filter(|s| s.kind == SetKind::Meta)
                        .flat_map(|s| &s.pairs)
                        .any(says);
            });
            self.have_unfencing |= found;
        }
        for resource in &cib.configuration.resources {
            super::config::each_primitive(resource, &mut |p| {
                if let (Some(name), false) = (
                    guest_name(p),
                    matches!(resource, Resource::Template(_) | Resource::Bundle(_)),
                ) {
                    guests.push((p, name.to_owned()));
                }
            });
            let made = match resource {
                Resource::Template(_) => continue,
                Resource::Primitive(p) => {
                    let cfg = self.merge(p);
                    self.new_primitive(p.id.clone(), cfg, None, None)
                }
                Resource::Group(g) => self.new_group(g, None, None),
                Resource::Clone(c) => self.new_clone(c),
                Resource::Bundle(b) => match self.new_bundle(b) {
                    Some(made) => made,
                    None => continue,
                },
            };
            self.top.push(made);
        }
        for (carrier, name) in guests {
            if self.rsc_by_id.contains_key(&name) {
                continue;
            }
            let made = self.new_guest_connection(carrier, &name);
            self.top.push(made);
        }
        for ix in 0..self.rscs.len() {
            self.link_remote(ix);
        }
        self.close_bundle_nodes();
        // Nothing that is configured may go where only forgotten connections lead.
        let nodes = &self.nodes;
        for rsc in &mut self.rscs {
            for (cell, node) in rsc.allowed.iter_mut().zip(nodes) {
                cell.allowed &= !node.forgotten;
            }
        }
        let rscs = &self.rscs;
        self.top
            .sort_by_key(|&r| std::cmp::Reverse(rscs[r].priority));
    }

    fn link_remote(&mut self, r: RscIx) {
        if self.rscs[r].remote_connection
            && let Some(n) = self.find_node(&self.rscs[r].id.clone())
        {
            self.nodes[n].remote_rsc = Some(r);
            self.have_remote = true;
        }
        if let Some(container) = self.meta(r, "container").map(str::to_owned)
            && let Some(&c) = self.rsc_by_id.get(&container)
            && self.rscs[r].container.is_none()
        {
            self.rscs[r].container = Some(c);
            self.rscs[c].fillers.push(r);
        }
        if let Some(n) = self.rscs[r]
            .remote_connection
            .then(|| self.find_node(&self.rscs[r].id))
            .flatten()
        {
            if self.rscs[r].container.is_some() {
                self.nodes[n]
                    .attrs
                    .insert("#kind".to_owned(), "container".to_owned());
            } else {
                self.nodes[n].unclean = self.opts.startup_fencing && self.opts.fencing;
                self.nodes[n].unseen = true;
            }
        }
    }

    /// The implicit connection to a guest node.
    fn new_guest_connection(&mut self, carrier: &'c Primitive, name: &str) -> RscIx {
        let index = &self.set_by_id;
        let mut meta = BTreeMap::new();
        let sets: Vec<&AttributeSet> = carrier.sets.iter().collect();
        let facts = Facts {
            now: self.now,
            ..Facts::default()
        };
        nvset::collect(&sets, SetKind::Meta, None, &facts, index, &mut meta);
        let get = |n: &str| meta.get(n).cloned();
        let mut params = Vec::new();
        if let Some(addr) = get("remote-addr") {
            params.push(("addr".to_owned(), addr));
        }
        if let Some(port) = get("remote-port") {
            params.push(("port".to_owned(), port));
        }
        let mut extra_meta = vec![
            ("internal-rsc".to_owned(), "true".to_owned()),
            ("container".to_owned(), carrier.id.clone()),
        ];
        if let Some(v) = get("remote-allow-migrate") {
            extra_meta.push(("allow-migrate".to_owned(), v));
        }
        if let Some(v) = get("is-managed") {
            extra_meta.push(("is-managed".to_owned(), v));
        }
        let timeout = get("remote-connect-timeout").unwrap_or_else(|| CONNECT_TIMEOUT.to_owned());
        let cfg = self.remote_config(name, params, extra_meta, Some(timeout));
        self.new_primitive(name.to_owned(), cfg, None, None)
    }

    /// A configuration for a connection that nobody wrote.
    pub(super) fn remote_config(
        &mut self,
        name: &str,
        extra_params: Vec<(String, String)>,
        extra_meta: Vec<(String, String)>,
        start_timeout: Option<String>,
    ) -> usize {
        let op = |n: &str, interval: &str, timeout: &str| Operation {
            id: format!("{name}-{n}-interval-{interval}"),
            name: n.to_owned(),
            interval: Some(interval.to_owned()),
            extra: vec![("timeout".to_owned(), timeout.to_owned())],
            sets: Vec::new(),
        };
        let mut made_ops = vec![op("monitor", "30s", "30s")];
        if let Some(t) = start_timeout {
            made_ops.push(op("start", "0", &t));
        }
        self.cfgs.push(PrimConfig {
            class: "ocf",
            provider: Some("pacemaker"),
            agent: "remote",
            sets: Vec::new(),
            ops: Vec::new(),
            template: None,
            extra_params,
            made_ops,
            extra_meta,
        });
        self.cfgs.len() - 1
    }

    /// A primitive or an instance of one.
    pub(super) fn new_primitive(
        &mut self,
        id: String,
        cfg: usize,
        parent: Option<RscIx>,
        instance: Option<u32>,
    ) -> RscIx {
        let config = self.cfgs[cfg].clone();
        let agent = (config.class, config.provider, config.agent);
        let meta = self.meta_of(&config.sets, &config.extra_meta, parent, Some(agent));
        let guest = meta.contains_key("container") && agent == ("ocf", Some("pacemaker"), "remote");
        let r = self.common(
            id,
            Kind::Primitive,
            parent,
            meta,
            cfg,
            config.sets.clone(),
            instance,
        );
        if guest {
            // It goes wherever its container goes, in an opt-in cluster, too.
            for cell in &mut self.rscs[r].allowed {
                cell.allowed = true;
            }
        }
        self.primitive_facts(r);
        r
    }

    fn primitive_facts(&mut self, r: RscIx) {
        let cfg = self.cfg(r);
        let (class, provider, agent) = (cfg.class, cfg.provider, cfg.agent);
        let fence_device = class == "stonith";
        let remote = class == "ocf" && provider == Some("pacemaker") && agent == "remote";
        self.have_fence_device |= fence_device;
        let mut reconnect = 0;
        if remote {
            let params = self.params(r, None);
            reconnect = params
                .get("reconnect_interval")
                .and_then(|v| parse_ms(v))
                .unwrap_or(0);
        }
        let mut utilization = BTreeMap::new();
        let facts = Facts {
            now: self.now,
            ..Facts::default()
        };
        let cfg = self.cfg(r);
        nvset::collect(
            &cfg.sets,
            SetKind::Utilization,
            None,
            &facts,
            &self.set_by_id,
            &mut utilization,
        );
        let rsc = &mut self.rscs[r];
        rsc.utilization = utilization
            .into_iter()
            .map(|(k, v)| (k, i64::from(parse(&v))))
            .collect();
        rsc.fence_device = fence_device;
        rsc.remote_connection = remote;
        rsc.remote_reconnect_ms = reconnect;
        if reconnect > 0 {
            // A connection that is tried again is forgiven as often as it is tried.
            rsc.failure_timeout_ms = reconnect;
        }
        self.requires(r);
    }

    fn requires(&mut self, r: RscIx) {
        let fencing = self.opts.fencing;
        let ignore_quorum = self.opts.no_quorum == crate::options::NoQuorum::Ignore;
        let rsc = &self.rscs[r];
        let default = if rsc.fence_device || rsc.remote_connection {
            "quorum"
        } else if fencing && self.have_unfencing {
            "unfencing"
        } else if fencing {
            "fencing"
        } else if ignore_quorum {
            "nothing"
        } else {
            "quorum"
        };
        let mut value = match rsc.meta.get("requires").map(String::as_str) {
            Some(v @ ("nothing" | "quorum" | "fencing" | "unfencing")) => v.to_owned(),
            _ => default.to_owned(),
        };
        if value == "unfencing" && (rsc.fence_device || !fencing) {
            value = "quorum".to_owned();
        }
        let rsc = &mut self.rscs[r];
        rsc.needs_quorum = value == "quorum";
        rsc.needs_fencing = matches!(value.as_str(), "fencing" | "unfencing");
        rsc.needs_unfencing = value == "unfencing";
        self.have_unfencing |= rsc.needs_unfencing;
    }

    pub(super) fn new_group(
        &mut self,
        g: &'c Group,
        parent: Option<RscIx>,
        instance: Option<u32>,
    ) -> RscIx {
        let sets: Vec<&'c AttributeSet> = g.sets.iter().collect();
        let meta = self.meta_of(&sets, &[], parent, None);
        let flag = |n: &str| meta.get(n).and_then(|v| parse_bool(v)).unwrap_or(true);
        let info = GroupInfo {
            ordered: flag("ordered"),
            colocated: flag("collocated"),
        };
        let id = suffixed(&g.id, instance);
        let r = self.common(id, Kind::Group(info), parent, meta, 0, sets, instance);
        for member in &g.members {
            let cfg = self.merge(member);
            let child = self.new_primitive(suffixed(&member.id, instance), cfg, Some(r), instance);
            self.rscs[r].children.push(child);
        }
        r
    }

    fn new_clone(&mut self, c: &'c CloneResource) -> RscIx {
        let sets: Vec<&'c AttributeSet> = c.sets.iter().collect();
        let mut extra = Vec::new();
        if c.is_master_element {
            extra.push(("promotable".to_owned(), "true".to_owned()));
        }
        let mut meta = self.meta_of(&sets, &extra, None, None);
        let per_node = meta.get("clone-node-max").map_or(1, |v| parse(v));
        if per_node > 1 && !meta.contains_key("globally-unique") {
            // More than one instance a node makes sense only where they can be told apart.
            meta.insert("globally-unique".to_owned(), "true".to_owned());
        }
        if self.has_lsb(c) {
            // Init scripts cannot tell instances apart.
            meta.insert("globally-unique".to_owned(), "false".to_owned());
        }
        let forgotten = self.nodes.iter().filter(|n| n.forgotten).count();
        let known = self.nodes.len() - self.later_bundle_nodes() - forgotten;
        let nodes = i32::try_from(known.max(1)).unwrap_or(i32::MAX);
        let number = |names: &[&str], default: i32| {
            names
                .iter()
                .find_map(|n| meta.get(*n))
                .map_or(default, |v| parse(v))
        };
        let promotable = is_true(meta.get("promotable").map(String::as_str));
        let unique = is_true(meta.get("globally-unique").map(String::as_str));
        let child = match &c.child {
            CloneChild::Primitive(p) => ChildConfig::Primitive {
                id: p.id.clone(),
                cfg: self.merge(p),
            },
            CloneChild::Group(g) => {
                self.groups_cfg.push(g);
                ChildConfig::Group {
                    id: g.id.clone(),
                    group: self.groups_cfg.len() - 1,
                }
            }
        };
        let unique_per_node = if unique {
            number(&["clone-node-max"], 1).max(1)
        } else {
            1
        };
        let max =
            number(&["clone-max"], nodes.saturating_mul(unique_per_node)).clamp(0, INSTANCES_MAX);
        let node_max = number(&["clone-node-max"], 1);
        let info = clone_info(
            &meta,
            max,
            if unique { node_max } else { 1 },
            promotable,
            child,
        );
        let r = self.common(c.id.clone(), Kind::Clone(info), None, meta, 0, sets, None);
        for _ in 0..max.max(1) {
            self.new_instance(r);
        }
        if max == 0 {
            // Kept only so that what still runs is known as an instance of the clone.
            let mut family = Vec::new();
            self.family(self.rscs[r].children[0], &mut family);
            for x in family {
                self.rscs[x].removed = true;
            }
        }
        r
    }

    fn has_lsb(&self, c: &CloneResource) -> bool {
        match &c.child {
            CloneChild::Primitive(p) => p.class.as_deref() == Some("lsb"),
            CloneChild::Group(g) => g.members.iter().any(|m| m.class.as_deref() == Some("lsb")),
        }
    }

    /// One more instance of a clone.
    pub(super) fn new_instance(&mut self, clone: RscIx) -> RscIx {
        let number = u32::try_from(self.rscs[clone].children.len()).unwrap_or(u32::MAX);
        let made = match self.clone_info(clone).child.clone() {
            ChildConfig::Primitive { id, cfg } => {
                self.new_primitive(suffixed(&id, Some(number)), cfg, Some(clone), Some(number))
            }
            ChildConfig::Group { group, .. } => {
                let g = self.groups_cfg[group];
                self.new_group(g, Some(clone), Some(number))
            }
        };
        self.rscs[clone].children.push(made);
        made
    }

    /// What all kinds of resources share.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn common(
        &mut self,
        id: String,
        kind: Kind,
        parent: Option<RscIx>,
        mut meta: BTreeMap<String, String>,
        cfg: usize,
        sets: Vec<&'c AttributeSet>,
        instance: Option<u32>,
    ) -> RscIx {
        let get = |n: &str| meta.get(n).map(String::as_str);
        let in_clone = matches!(kind, Kind::Clone(_))
            || parent.is_some_and(|p| matches!(self.rscs[self.uber(p)].kind, Kind::Clone(_)));
        // Whether instances differ is the clone's to say, for all below it.
        let unique = match parent {
            Some(p) if in_clone => self.rscs[p].unique,
            _ if in_clone => is_true(get("globally-unique")),
            _ => true,
        };
        let maintenance = is_true(get("maintenance")) || self.opts.maintenance;
        let managed = get("is-managed").and_then(parse_bool).unwrap_or(true) && !maintenance;
        let multiple_active = match get("multiple-active") {
            Some("stop_only") => MultipleActive::StopOnly,
            Some("block") => MultipleActive::Block,
            Some("stop_unexpected") => MultipleActive::StopUnexpected,
            _ => MultipleActive::StopStart,
        };
        let stickiness = match get("resource-stickiness") {
            Some(v) => parse(v),
            None => i32::from(in_clone),
        };
        let threshold = get("migration-threshold").map_or(INF, parse);
        let promotable = in_clone && is_true(get("promotable"));
        let allow_migrate = get("allow-migrate").and_then(parse_bool);
        let is_primitive = matches!(kind, Kind::Primitive);
        let allow_migrate = is_primitive
            && allow_migrate.unwrap_or_else(|| {
                let c = &self.cfgs[cfg];
                c.class == "ocf" && c.provider == Some("pacemaker") && c.agent == "remote"
            });
        let nodes = self.nodes.len();
        let cell = Cell {
            allowed: self.opts.symmetric,
            ..Cell::NONE
        };
        let mut rsc = Rsc {
            managed,
            maintenance,
            unique,
            notify: is_true(get("notify")),
            promotable,
            critical: get("critical").and_then(parse_bool).unwrap_or(true),
            allow_migrate,
            multiple_active,
            stickiness,
            migration_threshold: if threshold < 0 { INF } else { threshold },
            failure_timeout_ms: get("failure-timeout").and_then(parse_ms).unwrap_or(0),
            priority: get("priority").map_or(0, parse),
            restart_type_restart: get("restart-type") == Some("restart"),
            allowed: vec![cell; nodes],
            known: vec![false; nodes],
            ..blank(id.clone(), kind)
        };
        rsc.parent = parent;
        rsc.cfg = cfg;
        rsc.instance = instance;
        meta.entry("id".to_owned()).or_default();
        meta.remove("id");
        rsc.has_target = meta.contains_key("target-role");
        rsc.meta = meta;
        let ix = self.rscs.len();
        if in_clone
            && !unique
            && let Some(p) = parent
        {
            let outer = self.uber(p);
            self.anon_by_base.insert(base_name(&id).to_owned(), outer);
        }
        self.rscs.push(rsc);
        self.rsc_sets.push(sets);
        self.rsc_by_id.entry(id).or_insert(ix);
        if let Some(role) = self.target_role(ix) {
            self.set_next_role(ix, role, "target-role");
        }
        ix
    }

    /// The role that `target-role` limits a resource to.
    pub fn target_role(&self, r: RscIx) -> Option<Role> {
        let text = self.meta(r, "target-role")?;
        let role = Role::parse(text)?;
        if role == Role::Started {
            return None;
        }
        if role > Role::Started {
            let promotable = self.rscs[self.uber(r)].promotable;
            if !promotable || role > Role::Unpromoted {
                return None;
            }
        }
        Some(role)
    }

    pub fn set_next_role(&mut self, r: RscIx, role: Role, why: &'static str) {
        let rsc = &mut self.rscs[r];
        rsc.next_role = role;
        rsc.next_role_why = why;
    }
}

pub(super) fn clone_info(
    meta: &BTreeMap<String, String>,
    max: i32,
    node_max: i32,
    promotable: bool,
    child: ChildConfig,
) -> CloneInfo {
    let number = |names: &[&str], default: i32| {
        names
            .iter()
            .find_map(|n| meta.get(*n))
            .map_or(default, |v| parse(v))
    };
    CloneInfo {
        max,
        node_max,
        promoted_max: if promotable {
            number(&["promoted-max", "master-max"], 1)
        } else {
            0
        },
        promoted_node_max: if promotable {
            number(&["promoted-node-max", "master-node-max"], 1)
        } else {
            0
        },
        interleave: is_true(meta.get("interleave").map(String::as_str)),
        ordered: is_true(meta.get("ordered").map(String::as_str)),
        promoted_allocated: 0,
        added_promoted_constraints: false,
        child_is_group: matches!(child, ChildConfig::Group { .. }),
        child,
        stop_notify: None,
        start_notify: None,
        demote_notify: None,
        promote_notify: None,
        merged_promotion: false,
    }
}

/// `rsc` of `rsc:3`.
pub fn base_name(id: &str) -> &str {
    match id.rfind(':') {
        Some(at) if at + 1 < id.len() && id[at + 1..].bytes().all(|b| b.is_ascii_digit()) => {
            &id[..at]
        }
        _ => id,
    }
}

fn suffixed(id: &str, instance: Option<u32>) -> String {
    match instance {
        Some(n) => format!("{id}:{n}"),
        None => id.to_owned(),
    }
}

pub(super) fn blank(id: String, kind: Kind) -> Rsc {
    Rsc {
        id,
        history_id: None,
        kind,
        parent: None,
        children: Vec::new(),
        cfg: 0,
        meta: BTreeMap::new(),
        managed: true,
        blocked: false,
        failed: false,
        stop_if_failed: false,
        ignore_failure: false,
        removed: false,
        removed_filler: false,
        unique: true,
        notify: false,
        promotable: false,
        maintenance: false,
        critical: true,
        fence_device: false,
        needs_fencing: false,
        needs_quorum: false,
        needs_unfencing: false,
        allow_migrate: false,
        migratable: false,
        start_pending: false,
        stop_unexpected: false,
        exclusive_discovery: false,
        remote_connection: false,
        restarting: false,
        reload: false,
        detect_loop: false,
        assigning: false,
        unassigned: true,
        replica_container: false,
        add_utilization: false,
        role: Role::Stopped,
        next_role: Role::Unknown,
        next_role_why: "",
        priority: 0,
        stickiness: 0,
        migration_threshold: INF,
        failure_timeout_ms: 0,
        multiple_active: MultipleActive::StopStart,
        restart_type_restart: false,
        is_container_of: None,
        remote_reconnect_ms: 0,
        lock_node: None,
        lock_time: 0,
        allowed: Vec::new(),
        known: Vec::new(),
        running: Vec::new(),
        dangling: Vec::new(),
        partial_source: None,
        partial_target: None,
        pending_action: None,
        pending_node: None,
        fillers: Vec::new(),
        container: None,
        assigned: None,
        promotion_priority: 0,
        utilization: BTreeMap::new(),
        actions: Vec::new(),
        index: Vec::new(),
        has_target: false,
        op_metas: Vec::new(),
        history: Vec::new(),
        this_with: Vec::new(),
        with_this: Vec::new(),
        locations: Vec::new(),
        tickets: Vec::new(),
        printed: false,
        instance: None,
        why: String::new(),
    }
}

/// A resource sees a node as the symmetric default says; used where instances are made late.
pub(super) fn default_cell(symmetric: bool) -> Cell {
    Cell {
        allowed: symmetric,
        discover: Discover::Always,
        ..Cell::NONE
    }
}
