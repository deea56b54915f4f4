//! Whether a node is up, and whether it must be fenced.

use crate::score::{INF, parse_bool};
use crate::world::{Role, World};
use quorate_model::status::NodeState;

/// Since when, in epoch seconds: -1 unknown, 0 not at all.
fn since(value: Option<&str>, now: i64) -> i64 {
    match value {
        None => -1,
        Some(v) => match v.parse::<i64>() {
            Ok(0) => 0,
            Ok(1) => now,
            Ok(t) => t,
            Err(_) => {
                if parse_bool(v) == Some(true) {
                    now
                } else {
                    0
                }
            }
        },
    }
}

fn online_since(value: Option<&str>) -> i64 {
    match value {
        None | Some("offline") => 0,
        Some("online") => 1,
        Some(v) => v.parse().unwrap_or(0),
    }
}

impl World<'_> {
    pub(super) fn member_status(&mut self, n: usize, state: &NodeState) {
        let shutdown = Self::shutdown_requested(&self.nodes[n]);
        let node = &mut self.nodes[n];
        node.shutdown |= shutdown;
        node.expected_up = state.expected.as_deref() == Some("member");
        let member = since(state.in_cluster.as_deref(), self.now);
        let peer = online_since(state.crmd.as_deref());
        let online = if self.opts.fencing {
            self.online_with_fencing(n, state, member, peer)
        } else {
            self.online_without_fencing(n, state, member, peer)
        };
        let node = &mut self.nodes[n];
        node.online = online;
        if !online || node.shutdown {
            node.weight = -INF;
        }
    }

    fn online_without_fencing(
        &mut self,
        n: usize,
        state: &NodeState,
        member: i64,
        peer: i64,
    ) -> bool {
        if member <= 0 {
            return false;
        }
        if peer > 0 {
            return state.join.as_deref() == Some("member");
        }
        if self.nodes[n].expected_up {
            self.fence_node(n, "peer is unexpectedly down", false);
        }
        false
    }

    fn online_with_fencing(&mut self, n: usize, state: &NodeState, member: i64, peer: i64) -> bool {
        if self.nodes[n].shutdown {
            return peer > 0;
        }
        if member < 0 {
            self.fence_node(n, "peer has not been seen by the cluster", false);
            return false;
        }
        let join = state.join.as_deref();
        let terminate = self.nodes[n]
            .attrs
            .get("terminate")
            .is_some_and(|v| parse_bool(v) == Some(true) || v.parse::<i64>().is_ok_and(|t| t > 0));
        if matches!(join, Some("nack" | "banned")) {
            self.fence_node(n, "peer failed Pacemaker membership criteria", false);
        } else if terminate {
            if member <= 0 && peer <= 0 && join == Some("down") {
                return false;
            }
            self.fence_node(n, "fencing was requested", false);
        } else if matches!(state.expected.as_deref(), Some("down") | None) {
            if self.pending_too_long(member, peer) {
                self.fence_node(
                    n,
                    "peer pending timed out on joining the process group",
                    false,
                );
            } else if member > 0 || peer > 0 {
                self.nodes[n].standby = true;
                self.nodes[n].pending = true;
            }
        } else if member <= 0 {
            self.fence_node(n, "peer is no longer part of the cluster", true);
        } else if peer <= 0 {
            self.fence_node(n, "peer process is no longer available", false);
        } else if join == Some("member") {
        } else if matches!(join, Some("pending" | "down")) {
            self.nodes[n].standby = true;
            self.nodes[n].pending = true;
        } else {
            self.fence_node(n, "peer was in an unknown state", false);
        }
        member > 0
    }

    fn pending_too_long(&mut self, member: i64, peer: i64) -> bool {
        let timeout = self.opts.pending_timeout_s;
        if timeout <= 0 || member <= 0 || peer > 0 {
            return false;
        }
        if self.now >= member + timeout {
            return true;
        }
        self.recheck_by(member + timeout);
        false
    }

    /// Whether a remote or guest node is up, from what is known of its connection and container.
    pub(super) fn remote_online(&mut self, n: usize) {
        let Some(r) = self.nodes[n].remote_rsc else {
            self.nodes[n].online = false;
            return;
        };
        let rsc = &self.rscs[r];
        let container = rsc.container.map(|c| &self.rscs[c]);
        // Of a guest it matters who holds the connection: a bundle's container may be on another node.
        let host = match rsc.running.as_slice() {
            [one] if container.is_some() => Some(one),
            _ => None,
        };
        let mut online = self.nodes[n].online;
        let mut shutdown = self.nodes[n].shutdown;
        let mut reset = self.nodes[n].remote_requires_reset;
        if rsc.role == Role::Started {
            online = true;
            shutdown |= rsc.next_role == Role::Stopped;
        }
        if container.is_some_and(|c| c.failed) {
            online = false;
            reset = true;
        } else if rsc.failed {
            online = false;
        } else if rsc.role <= Role::Stopped || container.is_some_and(|c| c.role <= Role::Stopped) {
            online = false;
            reset = false;
        } else if host.is_some_and(|&h| !self.nodes[h].online && self.nodes[h].unclean) {
            online = false;
            reset = true;
        }
        let node = &mut self.nodes[n];
        node.online = online;
        node.shutdown = shutdown;
        node.remote_requires_reset = reset;
    }

    pub(super) fn remote_attributes<'s>(&mut self, n: usize, state: &'s NodeState)
    where
        Self: 's,
    {
        self.transient_of(n, state);
        let shutdown = Self::shutdown_requested(&self.nodes[n]);
        let yes = |world: &Self, name: &str| {
            crate::score::is_true(world.nodes[n].attrs.get(name).map(String::as_str))
        };
        let unmanaged = self.nodes[n]
            .remote_rsc
            .is_some_and(|r| !self.rscs[r].managed);
        let standby = yes(self, "standby");
        let maintenance = yes(self, "maintenance") || unmanaged;
        let no_probes = self.nodes[n]
            .attrs
            .get("resource-discovery-enabled")
            .and_then(|v| parse_bool(v))
            == Some(false);
        let may_skip = !self.is_bare_remote(n) || self.opts.fencing;
        let node = &mut self.nodes[n];
        node.shutdown |= shutdown;
        node.standby |= standby;
        node.maintenance |= maintenance;
        if no_probes && may_skip {
            node.probes_allowed = false;
        }
    }

    fn transient_of(&mut self, n: usize, _state: &NodeState) {
        if let Some(ix) = self.nodes[n].state_ix {
            let cib = self.cib;
            self.transient(n, &cib.status.nodes[ix]);
        }
    }
}
