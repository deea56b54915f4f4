//! From constraints to relations between actions.

use crate::action::{Task, flag};
use crate::relation::{OrderCon, Side, rel};
use crate::score::INF;
use crate::world::{ActIx, Role, RscIx, World};

impl World<'_> {
    pub fn apply_orderings(&mut self) {
        for con in std::mem::take(&mut self.orders) {
            self.apply_order(&con);
            self.orders.push(con);
        }
        for a in (0..self.actions.len()).rev() {
            self.block_dependents(a);
        }
        self.order_probes();
        for a in (0..self.actions.len()).rev() {
            self.update_action(a);
        }
        self.disable_invalid();
    }

    /// Actions of a resource that one side of a constraint means.
    fn side_actions(
        &self,
        r: RscIx,
        task: Task,
        interval_ms: i64,
        key: Option<&str>,
    ) -> Vec<ActIx> {
        let index = self.rscs[r].index.iter().rev();
        let Some(key) = key else {
            let told = matches!(task, Task::Notify | Task::Notified);
            return index
                .filter(|e| {
                    e.task == task
                        && e.interval_ms == interval_ms
                        && !(told && self.actions[e.a].key.contains("_notify_"))
                })
                .map(|e| e.a)
                .collect();
        };
        index
            .map(|e| e.a)
            .filter(|&a| self.actions[a].key == key)
            .collect()
    }

    fn apply_order(&mut self, con: &OrderCon) {
        match (&con.first, &con.then) {
            (Side::Action(a, _), Side::Action(b, _)) => {
                self.order(*a, *b, con.flags);
            }
            (Side::Action(a, _), Side::Rsc(r, task, interval)) => {
                self.order_before_tasks(*a, *r, *task, *interval, con);
            }
            (Side::Rsc(r, task, interval), then) => {
                let mut firsts = self.side_actions(*r, *task, *interval, con.first_key.as_deref());
                if firsts.is_empty() {
                    let same = matches!(then, Side::Rsc(t, ..) if t == r)
                        || matches!(then, Side::Action(_, Some(t)) if t == r);
                    if same || con.first_key.is_some() {
                        return;
                    }
                    let role = self.state(*r, true);
                    if (*task == Task::Stop && role == Role::Stopped)
                        || (*task == Task::Demote && role == Role::Unpromoted)
                    {
                        return;
                    }
                    firsts.push(self.action(*r, *task, *interval, None, true));
                }
                for first in firsts {
                    match then {
                        Side::Action(b, _) => {
                            self.order(first, *b, con.flags);
                        }
                        Side::Rsc(t, task, interval) => {
                            self.order_before_tasks(first, *t, *task, *interval, con);
                        }
                    }
                }
            }
        }
    }

    fn order_before_tasks(
        &mut self,
        first: ActIx,
        r: RscIx,
        task: Task,
        interval_ms: i64,
        con: &OrderCon,
    ) {
        let mut flags = con.flags;
        let action = &self.actions[first];
        if flags & rel::IF_UNMIGRATABLE != 0 && action.is(flag::MIGRATABLE) {
            return;
        }
        if action.rsc == Some(r) && action.is(flag::MIGRATION_ABORT) {
            flags &= !rel::FIRST_IMPLIES_THEN;
        }
        for then in self.side_actions(r, task, interval_ms, con.then_key.as_deref()) {
            self.order(first, then, flags);
        }
    }

    /// What must be where something is that cannot get there cannot get there either.
    pub(super) fn block_dependents(&mut self, a: ActIx) {
        if !self.have_colocations {
            return;
        }
        let action = &self.actions[a];
        if action.is(flag::RUNNABLE) {
            return;
        }
        let start = action.task == Task::Start;
        if !start && action.task != Task::Promote {
            return;
        }
        let Some(own) = action.rsc else { return };
        let task = action.task;
        let mut r = self.uber(own);
        if let Some(p) = self.rscs[r].parent {
            r = p;
        }
        for &c in &self.rscs[r].children {
            match self.find_action(c, task, None) {
                Some(b) if !self.actions[b].is(flag::RUNNABLE) => {}
                _ => return,
            }
        }
        for c in self.colocations_with(r) {
            let con = &self.colocations[c];
            if con.score < INF || (!start && con.primary_role != Role::Promoted) {
                continue;
            }
            let task = if con.dependent_role == Role::Promoted {
                Task::Promote
            } else {
                Task::Start
            };
            let dependent = con.dependent;
            self.mark_blocked(dependent, task, own);
        }
    }

    fn mark_blocked(&mut self, r: RscIx, task: Task, why: RscIx) {
        let reason = format!("colocation with {}", self.rscs[why].id);
        for a in self.rscs[r].actions.clone().into_iter().rev() {
            if self.actions[a].task == task && self.actions[a].is(flag::RUNNABLE) {
                self.actions[a].flags &= !flag::RUNNABLE;
                self.set_reason(a, Some(&reason), false);
                self.block_dependents(a);
                self.update_action(a);
            }
        }
        for c in self.rscs[r].children.clone() {
            self.mark_blocked(c, task, why);
        }
    }

    /// Orders that cannot be meant: something inside a guest against the guest's own container.
    fn disable_invalid(&mut self) {
        for a in 0..self.actions.len() {
            let Some(then_rsc) = self.actions[a].rsc else {
                continue;
            };
            for at in 0..self.actions[a].before.len() {
                let (first, flags) = self.actions[a].before[at];
                if flags & rel::GUEST_ALLOWED != 0 {
                    continue;
                }
                let f = &self.actions[first];
                let (Some(first_rsc), Some(n)) = (f.rsc, f.node) else {
                    continue;
                };
                if !self.is_guest(n) || !matches!(f.task, Task::Stop | Task::Demote | Task::Start) {
                    continue;
                }
                let container = self.nodes[n]
                    .remote_rsc
                    .and_then(|c| self.rscs[c].container);
                let bundled = self.bundled(then_rsc) && self.bundled(first_rsc);
                if container == Some(then_rsc)
                    && self.actions[a].task == Task::Stop
                    && !bundled
                    && f.is(flag::PSEUDO)
                {
                    self.actions[a].before[at].1 = rel::NONE;
                }
            }
        }
    }
}
