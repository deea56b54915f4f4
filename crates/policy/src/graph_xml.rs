//! The graph in Pacemaker's XML form, and for Graphviz.

use crate::action::{Action, Task, flag};
use crate::digest::escape_into;
use crate::score::parse;
use crate::world::{ActIx, Kind, NodeIx, RscIx, World};
use std::collections::BTreeMap;
use std::fmt::Write;

impl World<'_> {
    fn on_dc_event(task: Task) -> bool {
        matches!(task, Task::Stonith | Task::Shutdown | Task::ClearFailcount)
    }

    /// The graph as Pacemaker's controller would read it.
    pub(crate) fn graph_xml(&self) -> String {
        let mut out = String::from("<transition_graph");
        let option = |names: &[&str], default: &str| {
            names
                .iter()
                .find_map(|n| self.opts.text(n))
                .unwrap_or(default)
                .to_owned()
        };
        let _ = write!(
            out,
            " cluster-delay=\"{}\"",
            option(&["cluster-delay"], "60s")
        );
        let fencing = option(&["fencing-timeout", "stonith-timeout"], "60s");
        let _ = write!(out, " fencing-timeout=\"{fencing}\"");
        out.push_str(" failed-stop-offset=\"INFINITY\"");
        let start = if self.opts.start_failure_fatal {
            "INFINITY"
        } else {
            "1"
        };
        let _ = write!(out, " failed-start-offset=\"{start}\" transition_id=\"1\"");
        if let Some(limit) = self.opts.text("migration-limit")
            && parse(limit) > 0
        {
            let _ = write!(out, " migration-limit=\"{}\"", parse(limit));
        }
        if let Some(at) = self.recheck {
            let _ = write!(out, " recheck-by=\"{at}\"");
        }
        out.push_str(">\n");
        for (ix, &a) in self.graph.iter().enumerate() {
            let action = &self.actions[a];
            let priority = action
                .priority
                .max(action.rsc.map_or(0, |r| self.rscs[r].priority));
            let _ = write!(out, "  <synapse id=\"{ix}\"");
            if priority > 0 {
                let _ = write!(out, " priority=\"{priority}\"");
            }
            out.push_str(">\n    <action_set>\n");
            self.action_xml(a, true, &mut out);
            out.push_str("    </action_set>\n    <inputs>\n");
            for &f in &self.graph_inputs[ix] {
                out.push_str("      <trigger>\n  ");
                self.action_xml(f, false, &mut out);
                out.push_str("      </trigger>\n");
            }
            out.push_str("    </inputs>\n  </synapse>\n");
        }
        out.push_str("</transition_graph>\n");
        out
    }

    fn action_xml(&self, a: ActIx, full: bool, out: &mut String) {
        let action = &self.actions[a];
        let pseudo = action.is(flag::PSEUDO);
        let tag = if pseudo {
            "pseudo_event"
        } else if Self::on_dc_event(action.task) || action.task == Task::Maintenance {
            "crm_event"
        } else {
            "rsc_op"
        };
        let operation = match action.task {
            Task::Delete => "delete",
            _ => action.task_text(),
        };
        let (key, internal) = self.keys(action);
        let _ = write!(out, "      <{tag} id=\"{}\"", a + 1);
        attribute(out, "operation", operation);
        attribute(
            out,
            "operation_key",
            &key.replace("_lrm_delete_", "_delete_"),
        );
        if let Some(i) = internal {
            attribute(
                out,
                "internal_operation_key",
                &i.replace("_lrm_delete_", "_delete_"),
            );
        }
        let show_node = !pseudo || action.task == Task::Stonith;
        if let (true, Some(n)) = (show_node, action.node) {
            attribute(out, "on_node", &self.nodes[n].name);
            attribute(out, "on_node_uuid", &self.nodes[n].id);
            if !Self::on_dc_event(action.task)
                && let Some(r) = self.router(action)
            {
                attribute(out, "router_node", &self.nodes[r].name);
            }
        }
        if !full {
            out.push_str("/>\n");
            return;
        }
        out.push_str(">\n");
        if let Some(r) = action.rsc
            && !pseudo
        {
            let cfg = self.cfg(r);
            let rsc = &self.rscs[r];
            let (id, long) = match &rsc.history_id {
                // The name without a number might belong to an instance that stays.
                Some(known) if rsc.removed => (known.clone(), Some(rsc.id.clone())),
                _ => self.names(r),
            };
            out.push_str("        <primitive");
            attribute(out, "id", &id);
            if let Some(l) = long {
                attribute(out, "long-id", &l);
            }
            attribute(out, "class", cfg.class);
            if let Some(p) = cfg.provider {
                attribute(out, "provider", p);
            }
            attribute(out, "type", cfg.agent);
            out.push_str("/>\n");
        }
        out.push_str("        <attributes");
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (k, v) in self.meta_of_action(a) {
            all.insert(format!("CRM_meta_{k}"), v);
        }
        if let Some(r) = action.rsc {
            self.outer_meta(r, &mut all);
            self.guest_meta(action, r, &mut all);
        }
        let mut odd = Vec::new();
        for (k, v) in self.params_of_action(a) {
            if k.starts_with(|c: char| c.is_ascii_digit()) {
                odd.push((k, v));
            } else {
                all.insert(k, v);
            }
        }
        for (k, v) in &all {
            attribute(out, k, v);
        }
        if odd.is_empty() {
            out.push_str("/>\n");
        } else {
            out.push_str(">\n");
            for (k, v) in odd {
                out.push_str("          <param");
                attribute(out, "name", &k);
                attribute(out, "value", &v);
                out.push_str("/>\n");
            }
            out.push_str("        </attributes>\n");
        }
        if let Some(n) = self.downed(action) {
            out.push_str("        <downed>\n");
            let _ = writeln!(out, "          <node id=\"{}\"/>", self.nodes[n].id);
            if action.task == Task::Stonith {
                for guest in self.guests_on(n) {
                    let _ = writeln!(out, "          <node id=\"{}\"/>", self.nodes[guest].id);
                }
            }
            out.push_str("        </downed>\n");
        }
        let _ = writeln!(out, "      </{tag}>");
    }

    /// What the resource of an action and those around it say about it.
    pub(crate) fn outer_meta(&self, r: RscIx, out: &mut BTreeMap<String, String>) {
        let mut add = |name: &str, value: String| {
            out.insert(format!("CRM_meta_{name}"), value);
        };
        if self.is_primitive(r) {
            if let Some(number) = self.instance_number(r) {
                add("clone", number.to_string());
            }
            if let Some(node) = self.meta(r, "remote-node") {
                add("remote_node", node.to_owned());
            }
            let mut at = Some(r);
            while let Some(x) = at {
                if let Some(container) = self.rscs[x].container.filter(|&c| c != r) {
                    add("container", self.rscs[container].id.clone());
                }
                at = self.rscs[x].parent;
            }
        }
        let mut at = Some(r);
        while let Some(x) = at {
            if let Kind::Clone(clone) = &self.rscs[x].kind {
                add("globally_unique", self.rscs[x].unique.to_string());
                add("notify", self.rscs[x].notify.to_string());
                add("clone_max", clone.max.to_string());
                add("clone_node_max", clone.node_max.to_string());
                if self.rscs[x].promotable {
                    for name in ["promoted", "master"] {
                        add(&format!("{name}_max"), clone.promoted_max.to_string());
                        add(
                            &format!("{name}_node_max"),
                            clone.promoted_node_max.to_string(),
                        );
                    }
                }
            }
            at = self.rscs[x].parent;
        }
        if let Some(address) = self.replica_address_of(r) {
            out.insert("pcmk_external_ip".to_owned(), address);
        }
    }

    /// The number of the instance that a primitive is, or that its group is.
    fn instance_number(&self, r: RscIx) -> Option<u32> {
        let mut at = Some(r);
        while let Some(x) = at {
            let parent = self.rscs[x].parent;
            if parent.is_some_and(|p| self.is_clone(p)) {
                return self.rscs[x].instance;
            }
            at = parent;
        }
        None
    }

    /// The address of the replica in which a resource lives.
    fn replica_address_of(&self, r: RscIx) -> Option<String> {
        let top = self.top_of(r);
        let Kind::Bundle(bundle) = &self.rscs[top].kind else {
            return None;
        };
        let replica = bundle.replicas.iter().find(|p| p.child == Some(r))?;
        replica.ipaddr.clone()
    }

    /// Where the container of a guest node is, for attributes that agents keep on the host.
    pub(crate) fn guest_meta(&self, action: &Action, r: RscIx, out: &mut BTreeMap<String, String>) {
        let Some(n) = action.node.filter(|&n| self.is_guest(n)) else {
            return;
        };
        let remote = self.nodes[n].remote_rsc;
        let Some(container) = remote.and_then(|x| self.rscs[x].container) else {
            return;
        };
        let task = match action.task {
            Task::Notify | Task::Notified => {
                let of = action.meta.get("notify_operation");
                of.map_or(action.task, |t| Task::parse(t))
            }
            task => task,
        };
        let host = match task {
            Task::Cancel | Task::Delete | Task::ClearFailcount => None,
            Task::Stop | Task::Stopped | Task::Demote | Task::Demoted => {
                self.rscs[container].running.first().copied()
            }
            _ => self.rscs[container].assigned,
        };
        let Some(host) = host else { return };
        if let Some(target) = self.meta(r, "container-attribute-target") {
            out.insert(
                "CRM_meta_container_attribute_target".to_owned(),
                target.to_owned(),
            );
        }
        out.insert(
            "CRM_meta_physical_host".to_owned(),
            self.nodes[host].name.clone(),
        );
    }

    /// Guest nodes whose containers run on a node.
    fn guests_on(&self, n: NodeIx) -> Vec<NodeIx> {
        let mut out = Vec::new();
        for &r in &self.nodes[n].running {
            for &filler in &self.rscs[r].fillers {
                if self.rscs[filler].remote_connection
                    && let Some(guest) = self.find_node(&self.rscs[filler].id)
                {
                    out.push(guest);
                }
            }
        }
        out
    }

    /// The node that goes down by an action.
    fn downed(&self, action: &Action) -> Option<NodeIx> {
        if action.is(flag::PSEUDO) && action.task != Task::Stonith {
            return None;
        }
        match action.task {
            Task::Shutdown => action.node,
            Task::Stonith => {
                let kind = action.meta.get("stonith_action").map(String::as_str);
                if matches!(kind, Some("off" | "reboot")) {
                    action.node
                } else {
                    None
                }
            }
            Task::Stop => {
                let r = action.rsc?;
                if !self.rscs[r].remote_connection {
                    return None;
                }
                let migrates = self
                    .find_action(r, Task::MigrateFrom, None)
                    .is_some_and(|m| {
                        !self.actions[m].is(flag::OPTIONAL) && self.actions[m].is(flag::RUNNABLE)
                    });
                if migrates {
                    None
                } else {
                    self.find_node(&self.rscs[r].id)
                }
            }
            _ => None,
        }
    }

    /// The graph for Graphviz.
    pub(crate) fn dot(&self) -> String {
        let mut out = String::from(" digraph \"g\" {\n");
        let name = |a: ActIx| {
            let action = &self.actions[a];
            let node = action
                .node
                .map_or("<none>", |n| self.nodes[n].name.as_str());
            format!("{} {node}", action.key)
        };
        for (ix, &a) in self.graph.iter().enumerate() {
            let action = &self.actions[a];
            let color = if action.is(flag::PSEUDO) {
                "orange"
            } else {
                "black"
            };
            let _ = writeln!(
                out,
                "\"{}\" [ style=bold color=\"green\" fontcolor=\"{color}\"]",
                name(a)
            );
            for &f in &self.graph_inputs[ix] {
                let _ = writeln!(out, "\"{}\" -> \"{}\" [ style = bold]", name(f), name(a));
            }
        }
        out.push_str("}\n");
        out
    }
}

fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape_into(value, out);
    out.push('"');
}
