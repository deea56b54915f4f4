//! Bundles: orders between their parts, actions and probes.

use crate::action::{Task, flag};
use crate::relation::{Side, rel};
use crate::score::INF;
use crate::scores::colocation::NewColocation;
use crate::world::{NodeIx, Replica, Role, RscIx, World};

impl World<'_> {
    /// Orders and colocations inside a bundle.
    pub(crate) fn bundle_internal(&mut self, r: RscIx) {
        let info = self.bundle(r);
        let (child, replicas) = (info.child, info.replicas.clone());
        if let Some(c) = child {
            self.order_starts(r, c, rel::FIRST_GRAPHED);
            self.order_stops(r, c, rel::FIRST_GRAPHED);
            self.order_tasks((c, Task::Started), (r, Task::Started), rel::THEN_GRAPHED);
            self.order_tasks((c, Task::Stopped), (r, Task::Stopped), rel::THEN_GRAPHED);
        }
        for p in &replicas {
            self.replica_internal(r, p);
        }
        let Some(c) = child else { return };
        self.internal(c);
        if self.rscs[c].promotable {
            self.order_tasks((r, Task::Demote), (c, Task::Demote), rel::FIRST_GRAPHED);
            self.order_tasks((c, Task::Demoted), (r, Task::Demoted), rel::THEN_GRAPHED);
            self.order_tasks((r, Task::Promote), (c, Task::Promote), rel::FIRST_GRAPHED);
            self.order_tasks((c, Task::Promoted), (r, Task::Promoted), rel::THEN_GRAPHED);
            self.promotion_phases(r);
        }
    }

    fn replica_internal(&mut self, r: RscIx, p: &Replica) {
        let container = p.container;
        self.internal(container);
        self.order_starts(r, container, rel::UNRUNNABLE_BLOCKS | rel::FIRST_GRAPHED);
        if let Some(child) = p.child {
            self.order_stops(r, child, rel::FIRST_GRAPHED);
        }
        self.order_stops(r, container, rel::FIRST_GRAPHED);
        self.order_tasks(
            (container, Task::Start),
            (r, Task::Started),
            rel::THEN_GRAPHED,
        );
        self.order_tasks(
            (container, Task::Stop),
            (r, Task::Stopped),
            rel::THEN_GRAPHED,
        );
        if let Some(ip) = p.ip {
            self.internal(ip);
            // The address is there before the container, and goes after it.
            self.order_starts(
                ip,
                container,
                rel::UNRUNNABLE_BLOCKS | rel::FIRST_IMPLIES_THEN | rel::GUEST_ALLOWED,
            );
            self.order_stops(container, ip, rel::THEN_IMPLIES_FIRST | rel::GUEST_ALLOWED);
            self.new_colocation(NewColocation {
                id: "#ip-with-container".to_owned(),
                dependent: ip,
                primary: container,
                roles: (Role::Unknown, Role::Unknown),
                score: INF,
                attribute: None,
                influence: Some(true),
            });
        }
        if let Some(remote) = p.remote {
            self.internal(remote);
        }
    }

    pub(crate) fn bundle_actions(&mut self, r: RscIx) {
        let info = self.bundle(r);
        let (child, replicas) = (info.child, info.replicas.clone());
        for p in &replicas {
            for x in p.ip.into_iter().chain(p.remote) {
                self.actions_for(x);
            }
        }
        let containers: Vec<RscIx> = replicas.iter().map(|p| p.container).collect();
        self.collective_actions(r, &containers);
        let Some(c) = child else { return };
        self.actions_for(c);
        if !self.rscs[c].promotable {
            return;
        }
        for task in [Task::Promote, Task::Demote] {
            self.rsc_pseudo(r, task, true, true);
            let done = self.rsc_pseudo(r, task.done(), true, true);
            self.actions[done].priority = INF;
        }
    }

    /// Probes everything in a bundle; a connection only after its container is where it should be.
    pub(crate) fn probe_bundle(&mut self, r: RscIx, n: NodeIx) -> bool {
        let info = self.bundle(r);
        let (replicas, single) = (info.replicas.clone(), info.per_host == 1);
        let child = info.child;
        let mut any = false;
        for p in &replicas {
            if let Some(ip) = p.ip {
                any |= self.probe(ip, n);
            }
            if let Some(child) = p.child
                && p.node == Some(n)
            {
                any |= self.probe(child, n);
            }
            if self.probe(p.container, n) {
                any = true;
                if single {
                    self.probe_before_peers(p.container, &replicas, n);
                }
                if let Some(clone) = child {
                    self.probe_before_inside(p.container, clone, n);
                }
            }
            if let Some(remote) = p.remote
                && self.probe(remote, n)
            {
                any = true;
                self.probe_after_container(remote, p.container, n);
            }
        }
        any
    }

    /// With one replica a host, none may start there before it is known that no other runs there.
    fn probe_before_peers(&mut self, container: RscIx, replicas: &[Replica], n: NodeIx) {
        let Some(probe) = self.probe_of(container, n) else {
            return;
        };
        for other in replicas.iter().filter(|o| o.container != container) {
            self.order_sides(
                Side::Action(probe, Some(container)),
                Side::Rsc(other.container, Task::Start, 0),
                rel::ORDERED | rel::SAME_NODE,
            );
        }
    }

    /// What runs inside starts only once it is known where containers run.
    fn probe_before_inside(&mut self, container: RscIx, clone: RscIx, n: NodeIx) {
        let Some(probe) = self.probe_of(container, n) else {
            return;
        };
        self.order_sides(
            Side::Action(probe, Some(container)),
            Side::Rsc(clone, Task::Start, 0),
            rel::ORDERED,
        );
    }

    fn probe_after_container(&mut self, remote: RscIx, container: RscIx, n: NodeIx) {
        let Some(probe) = self.probe_of(remote, n) else {
            return;
        };
        self.order_sides(
            Side::Rsc(container, Task::Start, 0),
            Side::Action(probe, Some(remote)),
            rel::NESTED_PROBE,
        );
    }

    fn probe_of(&self, r: RscIx, n: NodeIx) -> Option<usize> {
        self.actions_of(r, Task::Monitor, Some(n))
            .into_iter()
            .find(|&a| self.actions[a].interval_ms == 0 && !self.actions[a].is(flag::OPTIONAL))
    }
}
