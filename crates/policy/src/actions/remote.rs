//! Actions on remote and guest nodes against the connections they go over.

use crate::action::{Task, flag};
use crate::relation::{Side, rel};
use crate::world::{ActIx, NodeIx, Role, RscIx, World};

/// How a connection to a remote node fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Unknown,
    Alive,
    Resting,
    Failed,
    Stopped,
}

impl World<'_> {
    pub fn order_remote_connections(&mut self) {
        if !self.have_remote {
            return;
        }
        for a in (0..self.actions.len()).rev() {
            let action = &self.actions[a];
            let Some(r) = action.rsc else { continue };
            if action.task == Task::ClearFailcount && self.rscs[r].remote_connection {
                self.order_sides(
                    Side::Action(a, Some(r)),
                    Side::Rsc(r, Task::Start, 0),
                    rel::ORDERED,
                );
                continue;
            }
            if action.task == Task::Cancel {
                // What runs there now needs no new connection to be ended.
                continue;
            }
            let Some(n) = action.node else { continue };
            if !self.is_remote(n) || action.is(flag::PSEUDO) {
                continue;
            }
            let Some(link) = self.nodes[n].remote_rsc else {
                continue;
            };
            if action.task == Task::Start {
                // Before a resource leaves another node the connection to its new one has to be up.
                for s in self.rscs[r].actions.clone() {
                    let other = &self.actions[s];
                    if other.task == Task::Stop && other.node.is_some_and(|m| m != n) {
                        self.order_sides(
                            Side::Rsc(link, Task::Start, 0),
                            Side::Action(s, Some(r)),
                            rel::ORDERED,
                        );
                    }
                }
            }
            match self.rscs[link].container {
                Some(container) => self.order_in_guest(a, n, link, container),
                None => self.order_over_link(a, n, link),
            }
        }
    }

    fn after_start(&mut self, first: RscIx, a: ActIx, extra: u32) {
        let r = self.actions[a].rsc;
        self.order_sides(
            Side::Rsc(first, Task::Start, 0),
            Side::Action(a, r),
            rel::ORDERED | rel::UNRUNNABLE_BLOCKS | extra,
        );
    }

    fn before_stop(&mut self, a: ActIx, then: RscIx, extra: u32) {
        let r = self.actions[a].rsc;
        self.order_sides(
            Side::Action(a, r),
            Side::Rsc(then, Task::Stop, 0),
            rel::ORDERED | extra,
        );
    }

    fn order_in_guest(&mut self, a: ActIx, n: NodeIx, link: RscIx, container: RscIx) {
        let failed = self.rscs[container].failed;
        if failed {
            self.fence_node(n, "container failed", false);
        }
        let action = &self.actions[a];
        let recurring = action.interval_ms > 0;
        match action.task {
            Task::Start | Task::Promote => {
                self.after_start(container, a, rel::FIRST_IMPLIES_THEN);
                self.after_start(link, a, rel::NONE);
            }
            Task::Stop | Task::Demote => {
                if !failed {
                    self.before_stop(a, link, rel::NONE);
                }
            }
            _ => self.after_start(
                link,
                a,
                if recurring {
                    rel::FIRST_IMPLIES_THEN
                } else {
                    rel::NONE
                },
            ),
        }
    }

    fn order_over_link(&mut self, a: ActIx, n: NodeIx, link: RscIx) {
        let state = self.link_state(n, link);
        let action = &self.actions[a];
        let recurring = action.interval_ms > 0;
        match action.task {
            Task::Start | Task::Promote => {
                self.after_start(
                    link,
                    a,
                    if state == Link::Failed {
                        rel::FIRST_IMPLIES_THEN
                    } else {
                        rel::NONE
                    },
                );
            }
            Task::Stop => match state {
                Link::Alive => self.before_stop(a, link, rel::THEN_IMPLIES_FIRST),
                Link::Failed => {
                    self.fence_node(
                        n,
                        "resources are active but connection is unrecoverable",
                        false,
                    );
                }
                _ if self.rscs[link].next_role == Role::Stopped => {
                    self.before_stop(a, link, rel::THEN_IMPLIES_FIRST);
                }
                _ => self.after_start(link, a, rel::NONE),
            },
            // What leaves while the connection itself moves does so over the present one.
            Task::MigrateTo if state == Link::Alive => self.before_stop(a, link, rel::NONE),
            Task::Demote => {
                if matches!(state, Link::Resting | Link::Unknown) {
                    self.after_start(link, a, rel::NONE);
                }
            }
            _ if recurring => self.after_start(link, a, rel::FIRST_IMPLIES_THEN),
            task => {
                let up = self.current_node(link).is_some();
                if task == Task::Monitor && state == Link::Failed {
                    self.fence_node(
                        n,
                        "resources are in unknown state and connection is unrecoverable",
                        false,
                    );
                }
                if up && state == Link::Stopped {
                    self.before_stop(a, link, rel::UNRUNNABLE_BLOCKS);
                } else {
                    self.after_start(link, a, rel::NONE);
                }
            }
        }
    }

    fn link_state(&self, n: NodeIx, link: RscIx) -> Link {
        let rsc = &self.rscs[link];
        let host = self.current_node(link);
        if rsc.next_role == Role::Stopped || rsc.assigned.is_none() {
            if host.is_some_and(|h| self.nodes[h].unclean) {
                return Link::Failed;
            }
            if !rsc.failed {
                return Link::Stopped;
            }
            let node = &self.nodes[n];
            let asked = node.attrs.get("shutdown").is_some_and(|v| v != "0");
            if rsc.next_role == Role::Stopped
                && rsc.remote_reconnect_ms != 0
                && node.remote_was_fenced
                && !asked
            {
                return Link::Unknown;
            }
            return Link::Failed;
        }
        match host {
            None => Link::Unknown,
            Some(h) if self.nodes[h].unclean || !self.nodes[h].online => Link::Resting,
            Some(_)
                if rsc.running.len() > 1
                    && rsc.partial_source.is_some()
                    && rsc.partial_target.is_some() =>
            {
                Link::Resting
            }
            Some(_) => Link::Alive,
        }
    }
}
