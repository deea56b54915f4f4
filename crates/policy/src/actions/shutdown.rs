//! Fencing and shutdown of nodes, and what is ordered around them.

use crate::action::{Needs, Task, flag};
use crate::relation::{Side, rel};
use crate::world::{ActIx, NodeIx, NodeKind, RscIx, World};

impl World<'_> {
    pub fn schedule_fencing_and_shutdowns(&mut self) {
        let managed = {
            let mut leaves = Vec::new();
            for &r in &self.top {
                self.leaves(r, &mut leaves);
            }
            leaves.iter().any(|&r| self.rscs[r].managed)
        };
        let mut dc_down: Option<ActIx> = None;
        let (mut fencing_ops, mut shutdown_ops) = (Vec::new(), Vec::new());
        for n in 0..self.nodes.len() {
            if self.is_guest(n) {
                if self.nodes[n].remote_requires_reset && managed && self.can_fence(n) {
                    self.fence_guest(n);
                }
                continue;
            }
            if managed && self.nodes[n].unclean && self.can_fence(n) {
                let fence = self.fence_op(n, None, false, Some("node is unclean"), false);
                self.order_vs_fence(fence, n);
                if self.nodes[n].is_dc {
                    dc_down = Some(fence);
                } else {
                    if !self.opts.concurrent_fencing
                        && let Some(&last) = fencing_ops.last()
                    {
                        self.order(last, fence, rel::ORDERED);
                    }
                    fencing_ops.push(fence);
                }
            } else if self.nodes[n].kind == NodeKind::Member
                && self.nodes[n].online
                && self.nodes[n].shutdown
            {
                let down = self.shutdown_action(n);
                if self.nodes[n].is_dc {
                    dc_down = Some(down);
                } else {
                    shutdown_ops.push(down);
                }
            }
        }
        let Some(dc) = dc_down else { return };
        if self.actions[dc].task == Task::Shutdown {
            for s in shutdown_ops {
                self.order(s, dc, rel::ORDERED);
            }
        }
        if self.opts.concurrent_fencing {
            for f in fencing_ops {
                self.order(f, dc, rel::ORDERED);
            }
        } else if let Some(&f) = fencing_ops.last() {
            self.order(f, dc, rel::ORDERED);
        }
    }

    fn shutdown_action(&mut self, n: NodeIx) -> ActIx {
        let key = format!("do_shutdown-{}", self.nodes[n].name);
        let down = self.node_action(key, Task::Shutdown, Some(n), false);
        self.actions[down]
            .meta
            .insert("op_no_wait".to_owned(), "true".to_owned());
        for a in (0..self.actions.len()).rev() {
            let action = &self.actions[a];
            let Some(r) = action.rsc else { continue };
            if action.node != Some(n) || action.task != Task::Stop {
                continue;
            }
            let rsc = &self.rscs[r];
            if rsc.maintenance || self.nodes[n].maintenance || (!rsc.managed && !rsc.blocked) {
                continue;
            }
            self.actions[a].flags &= !flag::OPTIONAL;
            self.order_sides(
                Side::Action(a, Some(r)),
                Side::Action(down, None),
                rel::ORDERED | rel::UNRUNNABLE_BLOCKS,
            );
        }
        down
    }

    /// A guest is fenced by what happens to its container.
    fn fence_guest(&mut self, n: NodeIx) {
        let remote = self.nodes[n].remote_rsc.expect("a guest has a connection");
        let container = self.rscs[remote].container;
        let stop = container.and_then(|c| self.find_action(c, Task::Stop, None));
        let reboots = container.is_some_and(|c| self.find_action(c, Task::Start, None).is_some());
        let kind = if reboots { "reboot" } else { "off" };
        let fence = self.fence_op(n, Some(kind), false, Some("guest is unclean"), false);
        self.actions[fence].flags |= flag::PSEUDO | flag::RUNNABLE;
        self.actions[fence].flags &= !flag::OPTIONAL;
        let strict = rel::UNRUNNABLE_BLOCKS | rel::FIRST_IMPLIES_THEN;
        match stop {
            Some(s) if self.actions[s].is(flag::PSEUDO) => {
                if let Some(host) = self.actions[s].node {
                    let parent = self.fence_op(host, None, false, None, false);
                    self.order(parent, fence, strict);
                }
            }
            Some(s) => {
                self.order(s, fence, strict);
            }
            None => {
                if let Some(s) = self.find_action(remote, Task::Stop, None) {
                    self.order(s, fence, rel::ORDERED);
                }
            }
        }
        self.order_vs_fence(fence, n);
    }

    fn order_vs_fence(&mut self, fence: ActIx, n: NodeIx) {
        let mut leaves = Vec::new();
        for &r in &self.top {
            self.leaves(r, &mut leaves);
        }
        for r in leaves {
            if self.rscs[r].managed {
                self.starts_vs_fence(r, fence, n);
                self.stops_vs_fence(r, fence, n);
            }
        }
    }

    fn starts_vs_fence(&mut self, r: RscIx, fence: ActIx, n: NodeIx) {
        for a in self.rscs[r].actions.clone() {
            match self.actions[a].needs {
                Needs::Nothing => {}
                Needs::Fencing => {
                    self.order(fence, a, rel::ORDERED);
                }
                Needs::Quorum => {
                    let rsc = &self.rscs[r];
                    if self.actions[a].task == Task::Start
                        && rsc.allowed[n].allowed
                        && !rsc.known[n]
                    {
                        self.order(fence, a, rel::ORDERED | rel::UNRUNNABLE_BLOCKS);
                    }
                }
            }
        }
    }

    fn stops_vs_fence(&mut self, r: RscIx, fence: ActIx, n: NodeIx) {
        let implicit = self.rscs[r].needs_fencing || self.is_guest(n);
        let top = self.uber(r);
        // What runs inside a bundle goes with its container, and that one's stop waits.
        let bundled = self.bundled(r) && self.is_guest(n);
        let stops = self.actions_of(r, Task::Stop, Some(n));
        let parent = if implicit && !stops.is_empty() && top != r {
            self.find_action(top, Task::Stop, None)
        } else {
            None
        };
        for a in stops {
            // It would never complete, and fencing does it.
            self.actions[a].flags |= flag::PSEUDO | flag::RUNNABLE;
            if implicit {
                if !bundled {
                    self.order(fence, a, rel::GUEST_ALLOWED);
                }
                if let Some(p) = parent {
                    self.order(fence, p, rel::GUEST_ALLOWED);
                }
            }
            if self.rscs[r].notify {
                self.secondary_notification(a, r, fence, n);
            }
        }
        for a in self.actions_of(r, Task::Demote, Some(n)) {
            let node = &self.nodes[n];
            if !node.online || node.unclean || self.rscs[r].failed {
                self.actions[a].flags |= flag::PSEUDO | flag::RUNNABLE;
                if implicit && !bundled {
                    self.order(fence, a, rel::GUEST_ALLOWED | rel::ORDERED);
                }
            }
        }
    }
}
