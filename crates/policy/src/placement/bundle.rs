//! Placing bundles: containers like instances of a clone, all else with its container.

use super::IfNone;
use crate::score::INF;
use crate::scores::colocation::NewColocation;
use crate::world::{Kind, NodeIx, Replica, Role, RscIx, World};

impl World<'_> {
    pub(super) fn assign_bundle(&mut self, r: RscIx, prefer: Option<NodeIx>, if_none: IfNone) {
        if !self.rscs[r].unassigned || self.rscs[r].assigning {
            return;
        }
        self.rscs[r].assigning = true;
        self.log_scores("pcmk__bundle_assign", r);
        let info = self.bundle(r);
        let (child, replicas) = (info.child, info.replicas.clone());
        let (count, per_host) = (info.replicas_count, info.per_host);
        let containers: Vec<RscIx> = replicas.iter().map(|p| p.container).collect();
        let containers = self.in_order_of_choice(&containers);
        self.assign_instances(r, &containers, count, per_host);
        for p in &replicas {
            self.assign_replica(p, prefer, if_none);
        }
        if let Some(clone) = child {
            for n in 0..self.nodes.len() {
                let own = replicas.iter().any(|p| p.node == Some(n));
                self.rscs[clone].allowed[n].score = if own { 0 } else { -INF };
            }
            self.assign(clone, prefer, if_none);
        }
        self.rscs[r].assigning = false;
        self.rscs[r].unassigned = false;
    }

    fn assign_replica(&mut self, p: &Replica, prefer: Option<NodeIx>, if_none: IfNone) {
        if let Some(ip) = p.ip {
            self.assign(ip, prefer, if_none);
        }
        if let Some(remote) = p.remote {
            let host = self.rscs[p.container].assigned;
            if let Some(through) = host.and_then(|h| self.nodes[h].remote_rsc) {
                // On a remote host the connection runs where the host's connection does.
                self.new_colocation(NewColocation {
                    id: "#replica-remote-with-host-remote".to_owned(),
                    dependent: remote,
                    primary: through,
                    roles: (Role::Unknown, Role::Unknown),
                    score: INF,
                    attribute: None,
                    influence: Some(true),
                });
            }
            self.assign(remote, prefer, if_none);
        }
        let (Some(child), Some(own)) = (p.child, p.node) else {
            return;
        };
        for n in 0..self.nodes.len() {
            if n != own {
                self.rscs[child].allowed[n].score = -INF;
            } else if self.threshold_reached(child, n).is_none() {
                self.rscs[child].allowed[n].score = INF;
            }
        }
        // The clone waits until all replicas have their places.
        let clone = self.rscs[child].parent;
        if let Some(c) = clone {
            self.rscs[c].assigning = true;
        }
        self.assign(child, Some(own), if_none);
        if let Some(c) = clone {
            self.rscs[c].assigning = false;
        }
    }

    /// Places something with (or away from) a bundle's containers.
    pub(super) fn apply_to_bundle(&mut self, dependent: RscIx, primary: RscIx, c: usize) {
        if self.rscs[primary].unassigned {
            return;
        }
        let con = self.colocations[c].clone();
        if self.is_cloned(con.dependent) && self.interleaves(con.dependent, primary) {
            match self.compatible_instance(dependent, primary, Role::Unknown, false) {
                Some(i) => self.apply_coloc(dependent, i, c, false),
                None if con.score >= INF => {
                    self.give(dependent, None, true, IfNone::Stop);
                }
                None => {}
            }
            return;
        }
        let mut nodes = Vec::new();
        for p in self.bundle(primary).replicas.clone() {
            if con.score < INF {
                self.apply_coloc(dependent, p.container, c, false);
                continue;
            }
            let Some(n) = self.rscs[p.container].assigned else {
                continue;
            };
            let promoted = p
                .child
                .is_some_and(|x| self.rscs[x].next_role >= Role::Promoted);
            if self.any_blocked(p.container) || (con.primary_role >= Role::Promoted && !promoted) {
                continue;
            }
            nodes.push(n);
        }
        if con.score >= INF {
            self.keep_only(dependent, primary, &con, &nodes, &[]);
        }
    }

    /// The replica that a container belongs to.
    fn replica_of(&self, container: RscIx) -> Option<&Replica> {
        let p = self.rscs[container].parent?;
        match &self.rscs[p].kind {
            Kind::Bundle(b) => b.replicas.iter().find(|x| x.container == container),
            _ => None,
        }
    }

    /// What runs inside a bundle's container.
    pub(crate) fn inside(&self, container: RscIx) -> Option<RscIx> {
        self.replica_of(container).and_then(|p| p.child)
    }

    /// Whether a bundle's colocations hold for a part of it: they decide where containers go, and of what
    /// is inside only which role it gets, once it has its place.
    pub(super) fn replica_part(&self, bundle: RscIx, r: RscIx) -> bool {
        if self.rscs[r].replica_container {
            return self.rscs[r].parent == Some(bundle);
        }
        let Some(child) = self.bundle(bundle).child else {
            return false;
        };
        if !self.rscs[child].promotable || self.uber(r) != child {
            return false;
        }
        if r == child {
            return self.clone_info(child).merged_promotion;
        }
        !self.rscs[r].unassigned
    }
}
