//! Probes: finding out where resources run that have no history on a node.

use crate::action::{Task, flag};
use crate::relation::{Side, rel};
use crate::world::{Discover, Kind, NodeIx, Role, RscIx, World};

impl World<'_> {
    pub(super) fn schedule_probes(&mut self) {
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            if !node.online {
                if self.is_bare_remote(n) && node.remote_rsc.is_some_and(|r| self.rscs[r].failed) {
                    self.fence_node(n, "the connection is unrecoverable", false);
                }
                continue;
            }
            if node.unclean || !node.probes_allowed {
                continue;
            }
            for r in self.top.clone() {
                self.probe(r, n);
            }
        }
    }

    pub(crate) fn probe(&mut self, r: RscIx, n: NodeIx) -> bool {
        match self.rscs[r].kind {
            Kind::Primitive => self.probe_primitive(r, n),
            Kind::Group(_) => self.probe_all(&self.rscs[r].children.clone(), n),
            Kind::Clone(_) => self.probe_clone(r, n),
            Kind::Bundle(_) => self.probe_bundle(r, n),
        }
    }

    fn probe_all(&mut self, list: &[RscIx], n: NodeIx) -> bool {
        let mut any = false;
        for &r in list {
            any |= self.probe(r, n);
        }
        any
    }

    fn probe_clone(&mut self, r: RscIx, n: NodeIx) -> bool {
        if self.rscs[r].exclusive_discovery {
            let cell = self.rscs[r].allowed[n];
            if !cell.allowed || cell.discover != Discover::Exclusive {
                self.rscs[r].allowed[n].allowed = false;
                return false;
            }
        }
        let mut instances = self.rscs[r].children.clone();
        instances.sort_by_key(|&i| self.rscs[i].instance);
        self.rscs[r].children.clone_from(&instances);
        if self.rscs[r].unique {
            return self.probe_all(&instances, n);
        }
        let here = instances
            .iter()
            .copied()
            .find(|&i| self.assigned_node(i) == Some(n));
        match here.or(instances.first().copied()) {
            Some(i) => self.probe(i, n),
            None => false,
        }
    }

    /// Whether a resource is to go from the node where it is.
    fn leaves_its_node(&self, r: RscIx) -> bool {
        let (current, assigned) = (self.current_node(r), self.rscs[r].assigned);
        current.is_some() && assigned.is_some() && current != assigned
    }

    /// A guest that a resource carries, if it carries one.
    fn carries_guest(&self, r: RscIx) -> bool {
        self.rscs[r]
            .fillers
            .iter()
            .any(|&f| self.rscs[f].remote_connection)
    }

    fn probe_wanted(&mut self, r: RscIx, n: NodeIx) -> bool {
        let rsc = &self.rscs[r];
        if self.is_remote(n)
            && (rsc.fence_device
                || rsc.remote_connection
                || (self.carries_guest(r) && (self.is_guest(n) || !self.bundled(r))))
        {
            return false;
        }
        if rsc.container.is_some() && !rsc.remote_connection && !self.inside_bundle_child(r) {
            return false;
        }
        if rsc.removed || rsc.known[n] || self.known_by_peer(r, n) {
            return false;
        }
        let cell = rsc.allowed[n];
        let exclusive = rsc.exclusive_discovery || self.rscs[self.uber(r)].exclusive_discovery;
        if exclusive && (!cell.allowed || cell.discover != Discover::Exclusive) {
            return false;
        }
        if cell.discover == Discover::Never {
            return false;
        }
        if self.is_guest(n) {
            let guest = self.nodes[n]
                .remote_rsc
                .and_then(|c| self.rscs[c].container);
            if let Some(guest) = guest {
                if self.rscs[guest].role == Role::Stopped {
                    return false;
                }
                if self.rscs[guest].next_role == Role::Stopped {
                    let top = self.ordering_top(r);
                    self.order_tasks((guest, Task::Stop), (top, Task::Start), rel::ORDERED);
                    return false;
                }
                // A container that fails or goes elsewhere starts empty: nothing to find in it.
                if self.rscs[guest].failed || self.leaves_its_node(guest) {
                    let (host, _, _) = self.active_node(guest);
                    if self.rscs[guest].failed || !self.can_migrate(guest, host) {
                        let top = self.ordering_top(r);
                        self.order_tasks((guest, Task::Stop), (top, Task::Start), rel::ORDERED);
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Of interchangeable instances, what is known of one is known of all.
    fn known_by_peer(&self, r: RscIx, n: NodeIx) -> bool {
        let top = self.uber(r);
        if self.rscs[r].unique || !self.rscs[top].known[n] {
            return false;
        }
        let base = crate::facts::failcount_base(&self.rscs[r].id);
        let mut leaves = Vec::new();
        self.leaves(top, &mut leaves);
        leaves.into_iter().any(|p| {
            self.rscs[p].known[n] && crate::facts::failcount_base(&self.rscs[p].id) == base
        })
    }

    fn inside_bundle_child(&self, r: RscIx) -> bool {
        let _ = r;
        false
    }

    fn ordering_top(&self, r: RscIx) -> RscIx {
        let top = self.uber(r);
        if self.is_clone(top) { top } else { r }
    }

    fn probe_primitive(&mut self, r: RscIx, n: NodeIx) -> bool {
        if !self.probe_wanted(r, n) {
            return false;
        }
        let probe = self.action(r, Task::Monitor, 0, Some(n), false);
        self.actions[probe].flags &= !flag::OPTIONAL;
        self.order_vs_unfence(r, n, probe, rel::ORDERED);
        let here = self.rscs[r].running.contains(&n);
        let expected = if !here {
            Some(7)
        } else if self.rscs[r].role == Role::Promoted {
            Some(8)
        } else {
            None
        };
        if expected.is_some() {
            self.actions[probe].target_rc = expected;
        }
        let top = self.ordering_top(r);
        let mut flags = rel::ORDERED;
        if !self.actions[probe].is(flag::RUNNABLE) && self.rscs[top].running.is_empty() {
            flags |= rel::UNRUNNABLE_BLOCKS;
        }
        self.order_sides(
            Side::Action(probe, Some(r)),
            Side::Rsc(top, Task::Start, 0),
            flags,
        );
        self.order_sides(
            Side::Action(probe, Some(r)),
            Side::Rsc(top, Task::Reload, 0),
            rel::ORDERED,
        );
        true
    }
}
