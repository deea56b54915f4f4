//! Probes come before whatever might be decided differently after them.

use crate::action::{Task, flag};
use crate::relation::{Side, rel};
use crate::score::is_true;
use crate::world::{ActIx, Kind, Role, RscIx, World};

impl World<'_> {
    pub(super) fn order_probes(&mut self) {
        self.probes_before_stops();
        for r in self.top.clone() {
            self.probes_of(r);
        }
    }

    /// What waits for a stop waits for the probes of the same resource, too.
    fn probes_before_stops(&mut self) {
        for at in 0..self.orders.len() {
            let con = self.orders[at].clone();
            let r = match &con.first {
                Side::Rsc(r, Task::Stop, 0) => *r,
                Side::Action(a, Some(r)) if self.actions[*a].task == Task::Stop => *r,
                _ => continue,
            };
            let then_rsc = match &con.then {
                Side::Rsc(t, ..) => Some(*t),
                Side::Action(_, t) => *t,
            };
            if then_rsc == Some(r) || con.first_key.is_some() {
                continue;
            }
            let then_stop = match &con.then {
                Side::Rsc(_, task, _) => *task == Task::Stop,
                Side::Action(a, _) => self.actions[*a].task == Task::Stop,
            };
            // A node may be unfenced (or leave) without knowing what its probes would have found.
            if matches!(&con.then, Side::Action(a, _)
                if matches!(self.actions[*a].task, Task::Shutdown | Task::Stonith))
            {
                continue;
            }
            if then_rsc.is_some() && self.rscs[r].container == then_rsc && then_stop {
                continue;
            }
            let probes = self.actions_of(r, Task::Monitor, None);
            if probes.is_empty() {
                continue;
            }
            let flags = match con.flags {
                rel::IF_REQUIRED_SAME_NODE | rel::IF_ON_TARGET => con.flags,
                flags => rel::ORDERED | flags & (rel::SAME_NODE | rel::GUEST_ALLOWED),
            };
            let thens = match &con.then {
                Side::Action(a, _) => vec![*a],
                Side::Rsc(t, task, _) => self.actions_of(*t, *task, None),
            };
            for &p in &probes {
                for &t in &thens {
                    self.order(p, t, flags);
                }
            }
        }
    }

    fn probes_of(&mut self, r: RscIx) {
        for c in self.rscs[r].children.clone() {
            self.probes_of(c);
        }
        if !self.is_primitive(r) {
            return;
        }
        for p in self.actions_of(r, Task::Monitor, None) {
            let mut seen = Vec::new();
            for after in self.actions[p].after.clone() {
                let only_there = self.actions[after]
                    .before
                    .iter()
                    .any(|&(a, f)| a == p && f == rel::IF_REQUIRED_SAME_NODE);
                if only_there {
                    // A matter of two resources that keep apart; it says nothing about a restart.
                    continue;
                }
                self.blocked_probe_before(p, after);
                self.probe_before(p, after, 0, &mut seen);
            }
            for a in seen {
                self.actions[a].flags &= !flag::DETECT_LOOP;
            }
        }
    }

    /// A probe of a clone that cannot be run does not stop the instances that are active, but no further one
    /// may start before it is known how many there are.
    fn blocked_probe_before(&mut self, probe: ActIx, after: ActIx) {
        let (Some(r), Some(clone)) = (self.actions[probe].rsc, self.actions[after].rsc) else {
            return;
        };
        if !self.is_cloned(clone)
            || self.actions[after].task != Task::Start
            || self.actions[probe].is(flag::RUNNABLE)
            || self.top_of(r) != clone
            || self.actions[after]
                .before
                .iter()
                .any(|&(a, f)| a == probe && f & rel::UNRUNNABLE_BLOCKS != 0)
        {
            return;
        }
        for start in self.actions[after].after.clone() {
            let Some(i) = self.actions[start].rsc else {
                continue;
            };
            if self.actions[start].task == Task::Start
                && self.rscs[i].running.is_empty()
                && self.top_of(i) == clone
            {
                self.order(probe, start, rel::ORDERED | rel::UNRUNNABLE_BLOCKS);
            }
        }
    }

    /// Follows what a start makes happen: restarts and new promotions wait for the probe.
    fn probe_before(&mut self, probe: ActIx, after: ActIx, depth: u32, seen: &mut Vec<ActIx>) {
        if self.actions[after].is(flag::DETECT_LOOP) || depth > 80 {
            return;
        }
        self.actions[after].flags |= flag::DETECT_LOOP;
        seen.push(after);
        let Some(probe_rsc) = self.actions[probe].rsc else {
            return;
        };
        let after_rsc = self.actions[after].rsc;
        let mut compatible = None;
        let mut interleave = false;
        if let Some(r) = after_rsc {
            if self.is_primitive(r) && r != probe_rsc {
                self.order_restart(probe, after, r);
            }
            if self.is_cloned(r) {
                interleave = is_true(self.meta(r, "interleave"));
                if interleave {
                    compatible = self.compatible_instance(probe_rsc, r, Role::Unknown, false);
                }
            }
        }
        for next in self.actions[after].after.clone() {
            let implied = self.actions[next]
                .before
                .iter()
                .any(|&(a, f)| a == after && f & rel::FIRST_IMPLIES_THEN != 0);
            if !implied {
                let next_rsc = self.actions[next].rsc;
                let (Some(r), Some(n)) = (after_rsc, next_rsc) else {
                    continue;
                };
                if self.is_primitive(r)
                    || self.rscs[probe_rsc].parent == Some(r)
                    || self.is_cloned(n)
                    || self.rscs[n].parent != Some(r)
                {
                    continue;
                }
                if !matches!(self.rscs[r].kind, Kind::Group(_))
                    && interleave
                    && compatible != Some(n)
                {
                    continue;
                }
            }
            self.probe_before(probe, next, depth + 1, seen);
        }
    }

    /// The stop (or demotion) that goes with a start (or promotion) waits for the probe.
    fn order_restart(&mut self, probe: ActIx, up: ActIx, r: RscIx) {
        let down = match self.actions[up].task {
            Task::Start => Task::Stop,
            Task::Promote => Task::Demote,
            _ => return,
        };
        for d in self.actions_of(r, down, None) {
            if !self.actions[d].is(flag::PSEUDO) {
                self.order(probe, d, rel::ORDERED);
            }
        }
    }
}
