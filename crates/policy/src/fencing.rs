//! Fencing requests and whether they can be carried out.

use crate::action::{Task, flag};
use crate::options::NoQuorum;
use crate::world::{ActIx, NodeIx, NodeKind, World};

impl World<'_> {
    /// Marks a node as to be fenced, by whatever means fits its kind.
    pub fn fence_node(&mut self, n: NodeIx, reason: &str, priority_delay: bool) {
        if self.is_guest(n) {
            let remote = self.nodes[n].remote_rsc.expect("a guest has a connection");
            let container = self.rscs[remote]
                .container
                .expect("a guest has a container");
            if !self.rscs[container].failed && self.rscs[container].managed {
                self.nodes[n].remote_requires_reset = true;
                self.rscs[container].failed = true;
                self.rscs[container].stop_if_failed = true;
            }
        } else if self.is_dangling_guest(n) {
            let remote = self.nodes[n].remote_rsc.expect("checked");
            self.rscs[remote].failed = true;
            self.rscs[remote].stop_if_failed = true;
        } else if self.is_bare_remote(n) {
            if let Some(r) = self.nodes[n].remote_rsc
                && !self.rscs[r].managed
            {
            } else {
                self.nodes[n].remote_requires_reset = true;
            }
            self.nodes[n].unclean = true;
            self.fence_op(n, None, true, Some(reason), false);
        } else if !self.nodes[n].unclean {
            self.nodes[n].unclean = true;
            self.fence_op(n, None, true, Some(reason), priority_delay);
        }
    }

    /// A guest whose container is gone from the configuration.
    fn is_dangling_guest(&self, n: NodeIx) -> bool {
        self.nodes[n].remote_rsc.is_some_and(|r| {
            let rsc = &self.rscs[r];
            rsc.container.is_none() && rsc.removed_filler
        })
    }

    /// Whether fencing that node is possible at present.
    pub fn can_fence(&self, n: NodeIx) -> bool {
        if self.is_guest(n) {
            let container = self.nodes[n]
                .remote_rsc
                .and_then(|r| self.rscs[r].container);
            return container.is_none_or(|c| {
                self.rscs[c]
                    .running
                    .iter()
                    .all(|&h| self.nodes[h].online || self.can_fence(h))
            });
        }
        if !self.opts.fencing || !self.have_fence_device {
            return false;
        }
        self.opts.quorate || self.opts.no_quorum == NoQuorum::Ignore || self.nodes[n].online
    }

    /// The fencing action for a node.
    pub fn fence_op(
        &mut self,
        n: NodeIx,
        op: Option<&str>,
        optional: bool,
        reason: Option<&str>,
        priority_delay: bool,
    ) -> ActIx {
        let op = op.map_or_else(|| self.opts.fencing_action.clone(), str::to_owned);
        let key = format!("stonith-{}-{op}", self.nodes[n].name);
        let a = self.node_action(key, Task::Stonith, Some(n), true);
        let (name, id) = (self.nodes[n].name.clone(), self.nodes[n].id.clone());
        let meta = &mut self.actions[a].meta;
        meta.insert("on_node".to_owned(), name);
        meta.insert("on_node_uuid".to_owned(), id);
        meta.insert("stonith_action".to_owned(), op);
        if self.opts.priority_delay_ms > 0
            && (priority_delay || self.actions[a].meta.contains_key("priority-fencing-delay"))
        {
            let delay = self.priority_delay_s(n);
            self.actions[a]
                .meta
                .insert("priority-fencing-delay".to_owned(), delay.to_string());
        }
        if !optional && self.can_fence(n) {
            self.actions[a].flags &= !flag::OPTIONAL;
        }
        self.note_devices(a, n);
        if reason.is_some() {
            self.set_reason(a, reason, false);
        }
        a
    }

    /// Seconds by which fencing of the more important half is delayed.
    fn priority_delay_s(&self, n: NodeIx) -> i64 {
        let node = &self.nodes[n];
        if node.kind != NodeKind::Member || node.online {
            return 0;
        }
        let members: Vec<_> = self
            .nodes
            .iter()
            .filter(|m| m.kind == NodeKind::Member)
            .collect();
        let online = members.iter().filter(|m| m.online).count();
        if online > members.len() / 2 {
            return 0;
        }
        let top = members.iter().map(|m| m.priority).max().unwrap_or(0);
        let low = members.iter().map(|m| m.priority).min().unwrap_or(0);
        if top == low || node.priority < top {
            return 0;
        }
        self.opts.priority_delay_ms / 1000
    }
}
