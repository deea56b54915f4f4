//! Bundles: replicas with container, address, connection and what runs inside.

use super::resources::clone_info;
use crate::score::{INF, is_true, parse};
use crate::world::{
    BundleInfo, Cell, ChildConfig, Discover, Kind, NodeIx, PrimConfig, Replica, RscIx, World,
};
use quorate_model::cib::{AttributeSet, Bundle, Operation};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Bound on the replicas of one bundle.
const REPLICAS_MAX: i32 = 1_000;
/// Port on which a container's executor listens unless told otherwise.
const CONTROL_PORT: &str = "3121";
/// What a replica's own node starts with.
const OWN_NODE_SCORE: i32 = 500;

fn get<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    list.iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
        .filter(|v| !v.is_empty())
}

fn network<'a>(b: &'a Bundle, name: &str) -> Option<&'a str> {
    b.network.as_deref().and_then(|n| get(n, name))
}

fn promoted_max(b: &Bundle) -> i32 {
    let c = &b.container.1;
    get(c, "promoted-max")
        .or_else(|| get(c, "masters"))
        .map_or(0, parse)
        .max(0)
}

fn replica_count(b: &Bundle) -> i32 {
    let default = promoted_max(b).max(1);
    get(&b.container.1, "replicas")
        .map_or(default, parse)
        .clamp(1, REPLICAS_MAX)
}

fn per_host(b: &Bundle) -> i32 {
    get(&b.container.1, "replicas-per-host")
        .map_or(1, parse)
        .max(1)
}

/// Whether something can run inside: it needs a connection, and that an address or a port.
fn has_connection(b: &Bundle) -> bool {
    b.primitive.is_some()
        && (network(b, "ip-range-start").is_some() || network(b, "control-port").is_some())
}

/// The address that many after the first.
fn address(start: &str, offset: i32) -> String {
    let by = u32::try_from(offset).unwrap_or(0);
    match start.parse::<IpAddr>() {
        Ok(IpAddr::V4(a)) => std::net::Ipv4Addr::from(u32::from(a).saturating_add(by)).to_string(),
        Ok(IpAddr::V6(a)) => {
            std::net::Ipv6Addr::from(u128::from(a).saturating_add(u128::from(by))).to_string()
        }
        Err(_) => start.to_owned(),
    }
}

/// An address as a part of an id.
fn id_part(address: &str) -> String {
    address.replace(':', ".")
}

fn monitor(id: &str) -> Operation {
    Operation {
        id: format!("{id}-monitor-60s"),
        name: "monitor".to_owned(),
        interval: Some("60s".to_owned()),
        extra: Vec::new(),
        sets: Vec::new(),
    }
}

impl<'c> World<'c> {
    /// The guest nodes that a bundle will have.
    pub(super) fn bundle_nodes(&mut self, bundle: &Bundle) {
        if !has_connection(bundle) {
            return;
        }
        for offset in 0..replica_count(bundle) {
            self.add_remote_node(&format!("{}-{offset}", bundle.id));
        }
    }

    /// How many nodes there are only because of bundles that have not been read yet: a clone that was
    /// written before a bundle has no instances for the bundle's nodes.
    pub(super) fn later_bundle_nodes(&self) -> usize {
        let configured = |name: &str| {
            let nodes = &self.cib.configuration.nodes;
            nodes.iter().any(|n| n.uname == name || n.id == name)
        };
        let bundles = self.cib.configuration.resources.iter().filter_map(|r| {
            let quorate_model::cib::Resource::Bundle(b) = r else {
                return None;
            };
            (has_connection(b) && !self.rsc_by_id.contains_key(&b.id)).then_some(b)
        });
        bundles
            .map(|b| {
                (0..replica_count(b))
                    .filter(|offset| !configured(&format!("{}-{offset}", b.id)))
                    .count()
            })
            .sum()
    }

    pub(super) fn new_bundle(&mut self, bundle: &'c Bundle) -> Option<RscIx> {
        if bundle.primitive.is_some() && !has_connection(bundle) {
            self.warnings.push(format!(
                "bundle {}: what runs inside needs ip-range-start or control-port",
                bundle.id
            ));
            return None;
        }
        let sets: Vec<&'c AttributeSet> = bundle.sets.iter().collect();
        let meta = self.meta_of(&sets, &[], None, None);
        self.bundles_cfg.push(bundle);
        let info = BundleInfo {
            promoted_max: promoted_max(bundle),
            replicas_count: replica_count(bundle),
            per_host: per_host(bundle),
            image: get(&bundle.container.1, "image").unwrap_or("").to_owned(),
            child: None,
            replicas: Vec::new(),
            config: self.bundles_cfg.len() - 1,
            add_host: network(bundle, "add-host").is_none_or(|v| is_true(Some(v))),
        };
        let kind = Kind::Bundle(Box::new(info));
        let r = self.common(bundle.id.clone(), kind, None, meta, 0, sets, None);
        let child = bundle
            .primitive
            .as_ref()
            .map(|_| self.bundle_clone(r, bundle));
        let mut replicas = Vec::new();
        let mut children = Vec::new();
        for offset in 0..replica_count(bundle) {
            let mut replica = self.replica(r, bundle, offset);
            replica.child = child.and_then(|c| {
                let at = usize::try_from(offset).ok()?;
                self.rscs[c].children.get(at).copied()
            });
            children.extend(replica.ip);
            children.push(replica.container);
            children.extend(replica.remote);
            replicas.push(replica);
        }
        children.extend(child);
        self.rscs[r].children = children;
        if let Kind::Bundle(info) = &mut self.rscs[r].kind {
            info.child = child;
            info.replicas = replicas;
        }
        Some(r)
    }

    /// The clone of what runs inside the containers.
    fn bundle_clone(&mut self, r: RscIx, bundle: &'c Bundle) -> RscIx {
        let primitive = bundle
            .primitive
            .as_ref()
            .expect("called where there is one");
        let (count, per_host, promoted) = (
            replica_count(bundle),
            per_host(bundle),
            promoted_max(bundle),
        );
        let mut extra = vec![
            ("ordered".to_owned(), "true".to_owned()),
            ("clone-max".to_owned(), count.to_string()),
            ("clone-node-max".to_owned(), per_host.to_string()),
            ("globally-unique".to_owned(), (per_host > 1).to_string()),
        ];
        if promoted > 0 {
            extra.push(("promotable".to_owned(), "true".to_owned()));
            extra.push(("promoted-max".to_owned(), promoted.to_string()));
        }
        let meta = self.meta_of(&[], &extra, Some(r), None);
        let promotable = is_true(meta.get("promotable").map(String::as_str));
        let child = ChildConfig::Primitive {
            id: primitive.id.clone(),
            cfg: self.merge(primitive),
        };
        let info = clone_info(&meta, count, per_host, promotable, child);
        let suffix = if promoted > 0 { "master" } else { "clone" };
        let id = format!("{}-{suffix}", bundle.id);
        let clone = self.common(id, Kind::Clone(info), Some(r), meta, 0, Vec::new(), None);
        // Instances ask their clone whether they differ; the bundle itself is no clone.
        self.rscs[clone].unique = per_host > 1;
        for _ in 0..count {
            let i = self.new_instance(clone);
            let rsc = &mut self.rscs[i];
            // What the bundle says of its clone holds for each instance, too.
            rsc.unique = per_host > 1;
            rsc.promotable = promotable;
            for (name, value) in &extra {
                rsc.meta
                    .entry(name.clone())
                    .or_insert_with(|| value.clone());
            }
            if per_host <= 1 {
                let base = super::resources::base_name(&self.rscs[i].id).to_owned();
                self.anon_by_base.insert(base, clone);
            }
        }
        clone
    }

    fn replica(&mut self, r: RscIx, bundle: &'c Bundle, offset: i32) -> Replica {
        let ipaddr = network(bundle, "ip-range-start").map(|s| address(s, offset));
        let ip = ipaddr
            .as_deref()
            .map(|addr| self.replica_address(r, bundle, addr));
        let container = self.replica_container(r, bundle, offset, ipaddr.as_deref());
        let mut replica = Replica {
            offset,
            ipaddr: ipaddr.clone(),
            ip,
            container,
            ..Replica::default()
        };
        if has_connection(bundle) {
            let name = format!("{}-{offset}", bundle.id);
            let id = if self.rsc_by_id.contains_key(&name) {
                format!("{}-remote-{offset}", bundle.id)
            } else {
                name.clone()
            };
            let params = vec![
                (
                    "addr".to_owned(),
                    ipaddr.unwrap_or_else(|| "#uname".to_owned()),
                ),
                (
                    "port".to_owned(),
                    network(bundle, "control-port")
                        .unwrap_or(CONTROL_PORT)
                        .to_owned(),
                ),
            ];
            let meta = vec![
                ("internal-rsc".to_owned(), "true".to_owned()),
                ("container".to_owned(), self.rscs[container].id.clone()),
            ];
            let cfg = self.remote_config(&id, params, meta, None);
            let remote = self.new_primitive(id, cfg, Some(r), None);
            replica.remote = Some(remote);
            replica.node = self.find_node(&name);
            self.rscs[remote].container = Some(container);
            self.rscs[container].fillers.push(remote);
            if let Some(n) = replica.node {
                self.nodes[n].remote_rsc = Some(remote);
                self.rscs[container].is_container_of = Some(n);
            }
        }
        replica
    }

    fn made_config(
        &mut self,
        id: &str,
        provider: &'static str,
        agent: &'c str,
        params: Vec<(String, String)>,
    ) -> usize {
        self.cfgs.push(PrimConfig {
            class: "ocf",
            provider: Some(provider),
            agent,
            sets: Vec::new(),
            ops: Vec::new(),
            template: None,
            extra_params: params,
            made_ops: vec![monitor(id)],
            extra_meta: Vec::new(),
        });
        self.cfgs.len() - 1
    }

    fn replica_address(&mut self, r: RscIx, bundle: &'c Bundle, addr: &str) -> RscIx {
        let id = format!("{}-ip-{}", bundle.id, id_part(addr));
        let mut params = vec![("ip".to_owned(), addr.to_owned())];
        if let Some(nic) = network(bundle, "host-interface") {
            params.push(("nic".to_owned(), nic.to_owned()));
        }
        let mask = network(bundle, "host-netmask").unwrap_or("32");
        params.push(("cidr_netmask".to_owned(), mask.to_owned()));
        let cfg = self.made_config(&id, "heartbeat", "IPaddr2", params);
        self.new_primitive(id, cfg, Some(r), None)
    }

    fn replica_container(
        &mut self,
        r: RscIx,
        bundle: &'c Bundle,
        offset: i32,
        addr: Option<&str>,
    ) -> RscIx {
        let technology = bundle.container.0.as_str();
        let id = format!("{}-{technology}-{offset}", bundle.id);
        let params = container_params(bundle, offset, addr);
        let cfg = self.made_config(&id, "heartbeat", technology, params);
        let made = self.new_primitive(id, cfg, Some(r), None);
        self.rscs[made].replica_container = true;
        made
    }

    /// A bundle's guest nodes are for what runs inside it only.
    pub(super) fn close_bundle_nodes(&mut self) {
        let mut own: Vec<(NodeIx, RscIx, RscIx, RscIx)> = Vec::new();
        for r in 0..self.rscs.len() {
            let Kind::Bundle(b) = &self.rscs[r].kind else {
                continue;
            };
            for p in &b.replicas {
                if let (Some(n), Some(child), Some(clone)) = (p.node, p.child, b.child) {
                    own.push((n, child, clone, p.remote.unwrap_or(p.container)));
                }
            }
        }
        let configured = &self.cib.configuration.nodes;
        for &(n, _, _, remote) in &own {
            let name = &self.nodes[n].name;
            let listed = configured.iter().any(|c| c.uname == *name || c.id == *name);
            for (ix, rsc) in self.rscs.iter_mut().enumerate() {
                let cell = &mut rsc.allowed[n];
                // Other resources know the node only if the list of nodes has it, and if they were
                // written before it turned out to be a bundle's.
                cell.allowed &= listed && ix < remote;
                cell.score = -INF;
                cell.discover = Discover::Never;
            }
        }
        for &(_, child, ..) in &own {
            self.rscs[child].allowed = vec![Cell::NONE; self.nodes.len()];
        }
        for &(n, child, clone, _) in &own {
            self.rscs[child].allowed[n] = Cell {
                score: OWN_NODE_SCORE,
                allowed: true,
                discover: Discover::Exclusive,
                count: 0,
            };
            self.rscs[clone].allowed[n] = Cell {
                score: -INF,
                allowed: true,
                discover: Discover::Exclusive,
                count: 0,
            };
        }
    }

    /// What a bundle runs on a guest node.
    pub(super) fn bundle_child_on(&self, bundle: RscIx, n: NodeIx) -> Option<RscIx> {
        self.bundle(bundle)
            .replicas
            .iter()
            .find(|p| p.node == Some(n))
            .and_then(|p| p.child)
    }

    /// Replaces the placeholder for a container's host by its name.
    pub fn host_address(
        &self,
        r: RscIx,
        _n: Option<NodeIx>,
        params: &mut BTreeMap<String, String>,
    ) {
        if !self.rscs[r].remote_connection
            || params.get("addr").map(String::as_str) != Some("#uname")
        {
            return;
        }
        let Some(container) = self.rscs[r].container else {
            return;
        };
        let rsc = &self.rscs[container];
        if let Some(n) = rsc.assigned.or(rsc.running.first().copied()) {
            params.insert("addr".to_owned(), self.nodes[n].name.clone());
        }
    }
}

/// Parameters of a container's agent.
fn container_params(b: &Bundle, offset: i32, addr: Option<&str>) -> Vec<(String, String)> {
    let c = &b.container.1;
    let (options, mounts) = run_options(b, offset, addr);
    let mut params = vec![
        ("image", get(c, "image").unwrap_or("").to_owned()),
        ("allow_pull", "true".to_owned()),
        ("force_kill", "false".to_owned()),
        ("reuse", "false".to_owned()),
        ("run_opts", options),
        ("mount_points", mounts),
    ];
    let command = get(c, "run-command");
    if b.primitive.is_some() {
        let inside = command.unwrap_or("/usr/sbin/pacemaker-remoted");
        params.push(("run_cmd", inside.to_owned()));
    } else if let Some(command) = command {
        params.push(("run_cmd", command.to_owned()));
    }
    // A command in the container tells less than the agent's own look at it.
    params.push(("monitor_cmd", "/bin/true".to_owned()));
    params.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
}

/// The container's command line, and the directories on the host that it needs.
fn run_options(b: &Bundle, offset: i32, addr: Option<&str>) -> (String, String) {
    let c = &b.container.1;
    let name = format!("{}-{offset}", b.id);
    let mut out = String::new();
    let options = get(c, "options").or_else(|| get(c, "run-options"));
    let docker = b.container.0 == "docker";
    if docker && !options.is_some_and(|o| o.contains("--restart")) {
        out.push_str(" --restart=no");
    }
    if network(b, "ip-range-start").is_some() {
        out.push_str(&format!(" -h {name}"));
    }
    out.push_str(" -e PCMK_stderr=1");
    let net = get(c, "network");
    if let Some(net) = net {
        out.push_str(&format!(" --net={net}"));
    }
    let port = network(b, "control-port").unwrap_or(CONTROL_PORT);
    // Set even where nothing inside would listen: it is part of what makes a container "changed".
    out.push_str(&format!(" -e PCMK_remote_port={port}"));
    let mut points = Vec::new();
    let mut mount = |source: String, target: &str, flags: Option<&str>| {
        out.push_str(&format!(" -v {source}:{target}"));
        if let Some(flags) = flags {
            out.push_str(&format!(":{flags}"));
        }
    };
    for m in &b.mounts {
        let target = get(m, "target-dir").unwrap_or("");
        if let Some(source) = get(m, "source-dir") {
            mount(source.to_owned(), target, get(m, "options"));
        } else if let Some(root) = get(m, "source-dir-root") {
            let source = format!("{root}/{name}");
            points.push(source.clone());
            mount(source, target, get(m, "options"));
        }
    }
    if b.primitive.is_some() {
        let mounted = |target: &str| {
            b.mounts
                .iter()
                .any(|m| get(m, "target-dir") == Some(target))
        };
        if !mounted("/etc/pacemaker/authkey") {
            let key = "/etc/pacemaker/authkey";
            mount(key.to_owned(), key, None);
        }
        if !mounted("/var/log") {
            let source = format!("/var/log/pacemaker/bundles/{name}");
            points.push(source.clone());
            mount(source, "/var/log", None);
        }
    }
    if net != Some("host") {
        for p in &b.ports {
            let Some(port) = get(p, "port").or_else(|| get(p, "range")) else {
                continue;
            };
            let inner = get(p, "internal-port").unwrap_or(port);
            publish(&mut out, addr, port, inner);
        }
        if b.primitive.is_some() {
            publish(&mut out, addr, port, port);
        }
    }
    if let Some(options) = options {
        out.push_str(&format!(" {options}"));
    }
    out.push(' ');
    if network(b, "add-host").is_none_or(|v| is_true(Some(v)))
        && let Some(start) = network(b, "ip-range-start")
    {
        for at in 0..replica_count(b) {
            out.push_str(&format!(" --add-host={}-{at}:{}", b.id, address(start, at)));
        }
    }
    (out, points.join(","))
}

fn publish(out: &mut String, addr: Option<&str>, port: &str, inner: &str) {
    match addr {
        Some(addr) => out.push_str(&format!(" -p {addr}:{port}:{inner}")),
        None => out.push_str(&format!(" -p {port}:{inner}")),
    }
}
