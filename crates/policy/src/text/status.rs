//! Nodes and resources as they are.

use crate::world::{Kind, NodeIx, NodeKind, Role, RscIx, World};
use std::fmt::Write;

impl World<'_> {
    /// What stands above the status: what is not touched.
    pub(crate) fn status_head(&self) -> String {
        let mut out = String::new();
        if self.opts.maintenance {
            out.push_str("\n              *** Resource management is DISABLED ***\n");
            out.push_str("  The cluster will not attempt to start, stop or recover services\n\n");
        }
        let (mut all, mut disabled, mut blocked) = (0, 0, 0);
        let mut leaves = Vec::new();
        for &r in &self.top {
            self.leaves(r, &mut leaves);
        }
        for r in leaves {
            let rsc = &self.rscs[r];
            if rsc.removed && rsc.role <= Role::Stopped {
                continue;
            }
            all += 1;
            disabled += u32::from(self.disabled(r));
            blocked += u32::from(rsc.blocked);
        }
        if disabled > 0 || blocked > 0 {
            let _ = writeln!(
                out,
                "{disabled} of {all} resource instances DISABLED and {blocked} BLOCKED from further action due to failure\n"
            );
        }
        out
    }

    /// Whether `target-role` keeps a resource from what it could be.
    pub(crate) fn disabled(&self, r: RscIx) -> bool {
        match self.meta(r, "target-role").and_then(Role::parse) {
            Some(Role::Stopped) => true,
            Some(Role::Unpromoted) => self.rscs[self.uber(r)].promotable,
            _ => false,
        }
    }

    /// Both lists.
    pub(crate) fn status_text(&self) -> String {
        let mut out = String::from("  * Node List:\n");
        self.node_lines(&mut out);
        out.push_str("\n  * Full List of Resources:\n");
        for &r in &self.top {
            self.rsc_lines(r, 4, &mut out);
        }
        out
    }

    fn node_lines(&self, out: &mut String) {
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        let (mut remote_online, mut remote_offline) = (Vec::new(), Vec::new());
        let mut guests = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let state = self.node_state(n);
            let name = node.name.clone();
            let guest = self.is_guest(n);
            match state.as_str() {
                "online" if guest => guests.push(name),
                "online" if node.kind == NodeKind::Remote => remote_online.push(name),
                "online" => online.push(name),
                "OFFLINE" if guest => {}
                "OFFLINE" if node.kind == NodeKind::Remote => remote_offline.push(name),
                "OFFLINE" => offline.push(name),
                state => {
                    let kind = if guest {
                        "GuestNode"
                    } else if node.kind == NodeKind::Remote {
                        "RemoteNode"
                    } else {
                        "Node"
                    };
                    let _ = writeln!(out, "    * {kind} {}: {state}", self.shown_node(n));
                }
            }
        }
        for (label, list) in [
            ("Online", online),
            ("OFFLINE", offline),
            ("RemoteOnline", remote_online),
            ("RemoteOFFLINE", remote_offline),
            ("GuestOnline", guests),
        ] {
            if !list.is_empty() {
                let _ = writeln!(out, "    * {label}: [ {} ]", list.join(" "));
            }
        }
    }

    fn shown_node(&self, n: NodeIx) -> String {
        self.nodes[n].name.clone()
    }

    fn node_state(&self, n: NodeIx) -> String {
        let node = &self.nodes[n];
        let text = if node.unclean {
            if node.online {
                "UNCLEAN (online)"
            } else if node.pending {
                "UNCLEAN (pending)"
            } else {
                "UNCLEAN (offline)"
            }
        } else if node.pending {
            "pending"
        } else if node.standby_onfail && node.online {
            "standby (on-fail)"
        } else if node.standby {
            if node.online {
                if node.running.is_empty() {
                    "standby"
                } else {
                    "standby (with active resources)"
                }
            } else {
                "OFFLINE (standby)"
            }
        } else if node.maintenance {
            if node.online {
                "maintenance"
            } else {
                "OFFLINE (maintenance)"
            }
        } else if node.online {
            "online"
        } else {
            "OFFLINE"
        };
        match self.health_word(n) {
            Some(word) => format!("{text} (health is {word})"),
            None => text.to_owned(),
        }
    }

    /// A node's health where it is worse than green.
    fn health_word(&self, n: NodeIx) -> Option<&'static str> {
        let strategy = self.opts.text("node-health-strategy").unwrap_or("none");
        if strategy == "none" {
            return None;
        }
        let option = |name: &str, default: i32| self.opts.score(name, default);
        let score = |v: &str| match v {
            "red" => option(
                "node-health-red",
                if strategy == "progressive" || strategy == "custom" {
                    0
                } else {
                    -crate::score::INF
                },
            ),
            "yellow" => option(
                "node-health-yellow",
                if strategy == "only-green" {
                    -crate::score::INF
                } else {
                    0
                },
            ),
            "green" => option("node-health-green", 0),
            number => crate::score::parse(number),
        };
        let values: Vec<&str> = self.nodes[n]
            .attrs
            .iter()
            .filter(|(k, _)| k.starts_with("#health"))
            .map(|(_, v)| v.as_str())
            .collect();
        if values
            .iter()
            .any(|v| *v == "red" || (*v != "yellow" && *v != "green" && score(v) < 0))
        {
            return Some("RED");
        }
        values.contains(&"yellow").then_some("YELLOW")
    }

    pub(super) fn rsc_lines(&self, r: RscIx, indent: usize, out: &mut String) {
        match self.rscs[r].kind {
            Kind::Primitive => {
                let internal = crate::score::is_true(self.meta(r, "internal-rsc"));
                if internal || self.rscs[r].removed && !self.active(r, true) {
                    return;
                }
                self.primitive_line(r, indent, out);
            }
            Kind::Group(_) => self.group_lines(r, indent, out),
            Kind::Clone(_) => self.clone_lines(r, indent, out),
            Kind::Bundle(_) => self.bundle_lines(r, indent, out),
        }
    }

    pub(super) fn agent_text(&self, r: RscIx) -> String {
        let cfg = self.cfg(r);
        match cfg.provider {
            Some(p) => format!("{}:{p}:{}", cfg.class, cfg.agent),
            None => format!("{}:{}", cfg.class, cfg.agent),
        }
    }

    pub(super) fn primitive_line(&self, r: RscIx, indent: usize, out: &mut String) {
        let rsc = &self.rscs[r];
        let name = if rsc.unique || rsc.removed && rsc.parent.is_none() {
            rsc.id.clone()
        } else {
            crate::facts::failcount_base(&rsc.id).to_owned()
        };
        let text = self.primitive_state(r);
        let _ = writeln!(
            out,
            "{:indent$}* {name}\t({}):\t{text}",
            "",
            self.agent_text(r)
        );
    }

    /// State, node and flags of a primitive.
    pub(super) fn primitive_state(&self, r: RscIx) -> String {
        self.primitive_state_at(r, self.shown_place(r))
    }

    /// The same of a resource that is shown at a place other than its own.
    pub(super) fn primitive_state_at(&self, r: RscIx, node: Option<NodeIx>) -> String {
        let rsc = &self.rscs[r];
        let mut text = String::new();
        if rsc.removed {
            text.push_str(" ORPHANED");
        }
        if rsc.failed {
            text.push_str(" FAILED");
            if rsc.role > Role::Unpromoted {
                text.push(' ');
                text.push_str(rsc.role.text());
            }
        } else {
            text.push(' ');
            text.push_str(&self.shown_state(r));
        }
        if !rsc.failed && rsc.role == Role::Stopped && rsc.parent.is_none() && self.probed_absent(r)
        {
            text.push_str(" (Not installed)");
        }
        let several = rsc.running.len() > 1;
        if let (Some(n), false) = (node, several) {
            text.push(' ');
            text.push_str(&self.nodes[n].name);
        }
        let mut flags = Vec::new();
        if let (Some(n), false) = (node, several)
            && !self.nodes[n].online
            && self.nodes[n].unclean
        {
            flags.push("UNCLEAN".to_owned());
        }
        if let Some(n) = node
            && rsc.lock_node == Some(n)
        {
            flags.push("LOCKED".to_owned());
        }
        if rsc.pending_action.as_deref() == Some("monitor") && node.is_some() {
            flags.push("Monitoring".to_owned());
        }
        match self.meta(r, "target-role").and_then(Role::parse) {
            Some(Role::Stopped) => flags.push("disabled".to_owned()),
            Some(Role::Unpromoted) if self.rscs[self.uber(r)].promotable => {
                flags.push("target-role:Unpromoted".to_owned());
            }
            _ => {}
        }
        if rsc.blocked {
            flags.push("blocked".to_owned());
        } else if rsc.maintenance {
            flags.push("maintenance".to_owned());
        } else if !rsc.managed {
            flags.push("unmanaged".to_owned());
        }
        if rsc.ignore_failure {
            flags.push("failure ignored".to_owned());
        }
        if !flags.is_empty() {
            let _ = write!(text, " ({})", flags.join(", "));
        }
        if several {
            let names: Vec<&str> = rsc
                .running
                .iter()
                .map(|&n| self.nodes[n].name.as_str())
                .collect();
            let _ = write!(text, " [ {} ]", names.join(" "));
        }
        text
    }

    /// A probe said that it cannot run.
    fn probed_absent(&self, r: RscIx) -> bool {
        let list = self.probed_absent.get_or_init(|| {
            let nodes = self.cib.status.nodes.iter();
            nodes
                .flat_map(|s| &s.resources)
                .filter(|h| {
                    h.operations
                        .iter()
                        .any(|o| o.rc == 5 && o.interval_ms == 0 && o.operation == "monitor")
                })
                .map(|h| h.id.as_str())
                .collect()
        });
        list.contains(self.rscs[r].id.as_str())
    }

    fn shown_place(&self, r: RscIx) -> Option<NodeIx> {
        let rsc = &self.rscs[r];
        rsc.running.first().copied().or(rsc.pending_node)
    }

    fn shown_state(&self, r: RscIx) -> String {
        let rsc = &self.rscs[r];
        if let Some(p) = rsc.pending_action.as_deref() {
            let word = match p {
                "start" => "Starting",
                "stop" => "Stopping",
                "migrate_to" | "migrate_from" => "Migrating",
                "promote" => "Promoting",
                "demote" => "Demoting",
                _ => "",
            };
            if !word.is_empty() {
                return word.to_owned();
            }
        }
        let role = if rsc.role == Role::Started && self.rscs[self.uber(r)].promotable {
            Role::Unpromoted
        } else {
            rsc.role
        };
        role.text().to_owned()
    }

    pub(super) fn common_flags(&self, r: RscIx) -> Vec<&'static str> {
        let rsc = &self.rscs[r];
        let mut flags = Vec::new();
        if self.disabled(r) {
            flags.push("disabled");
        }
        if rsc.maintenance {
            flags.push("maintenance");
        } else if !rsc.managed {
            flags.push("unmanaged");
        }
        flags
    }

    fn group_lines(&self, r: RscIx, indent: usize, out: &mut String) {
        let rsc = &self.rscs[r];
        let mut head = format!("Resource Group: {}", rsc.id);
        let flags = self.common_flags(r);
        if !flags.is_empty() {
            let _ = write!(head, " ({})", flags.join(", "));
        }
        let _ = writeln!(out, "{:indent$}* {head}:", "");
        for &c in &rsc.children {
            self.rsc_lines(c, indent + 2, out);
        }
    }
}
