//! The status section, node by node.

use crate::nvset;
use crate::rule::Facts;
use crate::score::is_true;
use crate::world::{Node, Role, Ticket, World};
use quorate_model::cib::{AttributeSet, SetKind};
use quorate_model::status::NodeState;
use std::collections::BTreeMap;

impl<'c> World<'c> {
    /// Node states first, then histories, in the order in which they can be understood.
    pub(super) fn unpack_status(&mut self) {
        let cib = self.cib;
        for t in &cib.status.tickets {
            self.tickets.push(Ticket {
                id: t.id.clone(),
                granted: is_true(t.granted.as_deref()),
                standby: is_true(t.standby.as_deref()),
            });
        }
        for (ix, state) in cib.status.nodes.iter().enumerate() {
            self.unpack_node_state(ix, state);
        }
        // A remote node's history counts only once its connection is known to be up.
        let mut done = vec![false; cib.status.nodes.len()];
        while self.unpack_histories(&mut done, false) {}
        if self.opts.fencing {
            self.unpack_histories(&mut done, true);
        }
        self.stop_containers();
        for n in 0..self.nodes.len() {
            if !self.is_remote(n) {
                continue;
            }
            if self.nodes[n].shutdown
                && let Some(r) = self.nodes[n].remote_rsc
            {
                self.set_next_role(r, Role::Stopped, "remote shutdown");
            }
            if !self.nodes[n].unpacked {
                self.remote_online(n);
            }
        }
    }

    pub(super) fn state_node(&self, state: &NodeState) -> Option<usize> {
        self.node_by_id
            .get(&state.id)
            .copied()
            .or_else(|| self.find_node(&state.uname))
    }

    fn unpack_node_state(&mut self, ix: usize, state: &'c NodeState) {
        let Some(n) = self.state_node(state) else {
            return;
        };
        let extra = |name: &str| {
            state
                .extra
                .iter()
                .find(|(k, _)| k == name)
                .map(|(_, v)| v.as_str())
        };
        let set = |v: Option<&str>| {
            v.is_some_and(|v| is_true(Some(v)) || v.parse::<i64>().is_ok_and(|t| t > 0))
        };
        self.nodes[n].state_ix = Some(ix);
        if self.is_remote(n) {
            self.nodes[n].remote_was_fenced = set(extra("node_fenced"));
            self.nodes[n].remote_maintenance = set(extra("node_in_maintenance"));
            self.nodes[n].unclean = false;
            self.nodes[n].unseen = false;
            return;
        }
        self.transient(n, state);
        let node = &mut self.nodes[n];
        node.unclean = false;
        node.unseen = false;
        node.standby = is_true(node.attrs.get("standby").map(String::as_str));
        node.maintenance = is_true(node.attrs.get("maintenance").map(String::as_str));
        self.member_status(n, state);
        if !self.opts.quorate
            && self.nodes[n].online
            && self.nodes[n].expected_up
            && self.opts.no_quorum == crate::options::NoQuorum::Fence
        {
            self.fence_node(n, "cluster does not have quorum", false);
        }
    }

    /// Transient attributes; they win over permanent ones.
    pub(super) fn transient(&mut self, n: usize, state: &'c NodeState) {
        let sets: Vec<&AttributeSet> = state.transient.iter().collect();
        let mut found = BTreeMap::new();
        let attrs = self.nodes[n].attrs.clone();
        let facts = Facts {
            now: self.now,
            node: Some(&attrs),
            ..Facts::default()
        };
        nvset::collect(
            &sets,
            SetKind::Instance,
            None,
            &facts,
            &self.set_by_id,
            &mut found,
        );
        // Of capacities the permanent ones win.
        let mut capacity = BTreeMap::new();
        nvset::collect(
            &sets,
            SetKind::Utilization,
            None,
            &facts,
            &self.set_by_id,
            &mut capacity,
        );
        let node = &mut self.nodes[n];
        node.attrs.extend(found);
        for (name, value) in capacity {
            node.utilization
                .entry(name)
                .or_insert(i64::from(crate::score::parse(&value)));
        }
    }

    /// Unpacks what can be; true when something was, because others may wait for it.
    fn unpack_histories(&mut self, done: &mut [bool], rest: bool) -> bool {
        let cib = self.cib;
        let mut progress = false;
        for (ix, state) in cib.status.nodes.iter().enumerate() {
            if done[ix] {
                continue;
            }
            let Some(n) = self.state_node(state) else {
                continue;
            };
            if self.nodes[n].unpacked {
                continue;
            }
            if !rest && !self.history_readable(n) {
                continue;
            }
            done[ix] = true;
            if self.is_remote(n) {
                self.remote_online(n);
                self.remote_attributes(n, state);
            }
            self.nodes[n].unpacked = true;
            self.unpack_history(n, ix, state);
            progress = true;
        }
        progress
    }

    fn history_readable(&self, n: usize) -> bool {
        let lock = self.opts.shutdown_lock;
        if self.is_guest(n) {
            let Some(r) = self.nodes[n].remote_rsc else {
                return false;
            };
            let container = self.rscs[r].container;
            return self.rscs[r].role == Role::Started
                && container.is_some_and(|c| self.rscs[c].role == Role::Started);
        }
        if self.is_remote(n) {
            return self.nodes[n]
                .remote_rsc
                .is_some_and(|r| lock || self.rscs[r].role == Role::Started);
        }
        self.opts.fencing || self.nodes[n].online || lock
    }

    /// Containers of failed bundle connections stop wherever they are.
    fn stop_containers(&mut self) {
        for c in std::mem::take(&mut self.stop_needed) {
            if let Some(&n) = self.rscs[c].running.first() {
                self.stop_action(c, n, false);
            }
        }
    }

    /// Whether a node asked to be shut down.
    pub(super) fn shutdown_requested(node: &Node) -> bool {
        node.attrs
            .get("shutdown")
            .is_some_and(|v| v.parse::<i64>().is_ok_and(|t| t > 0))
    }
}
