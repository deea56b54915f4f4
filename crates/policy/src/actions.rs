//! Fourth stage: what has to be done to get from where things are to where they should be.

mod bundle;
mod cancel;
mod changes;
mod internal;
mod pending;
mod primitive;
mod probes;
mod recurring;
mod remote;
mod shutdown;

use crate::action::Task;
use crate::relation::rel;
use crate::world::{Kind, RscIx, World};

impl World<'_> {
    /// Makes all actions.
    pub fn create_actions(&mut self) {
        self.forget_removed();
        if self.opts.startup_probes {
            self.schedule_probes();
        }
        for r in self.top.clone() {
            self.actions_for(r);
        }
    }

    pub(crate) fn actions_for(&mut self, r: RscIx) {
        match self.rscs[r].kind {
            Kind::Primitive => self.primitive_actions(r),
            Kind::Group(_) => self.group_actions(r),
            Kind::Clone(_) => self.clone_actions(r),
            Kind::Bundle(_) => self.bundle_actions(r),
        }
    }

    fn group_actions(&mut self, r: RscIx) {
        for c in self.rscs[r].children.clone() {
            self.actions_for(c);
        }
        // The group's own actions are points that members are ordered around.
        self.group_pseudo(r, Task::Start);
        self.group_pseudo(r, Task::Started);
        self.group_pseudo(r, Task::Stop);
        self.group_pseudo(r, Task::Stopped);
        if self.rscs[self.top_of(r)].promotable || self.rscs[self.uber(r)].promotable {
            self.group_pseudo(r, Task::Demote);
            self.group_pseudo(r, Task::Demoted);
            self.group_pseudo(r, Task::Promote);
            self.group_pseudo(r, Task::Promoted);
        }
    }

    fn group_pseudo(&mut self, r: RscIx, task: Task) {
        let a = self.action(r, task, 0, None, true);
        self.actions[a].flags |= crate::action::flag::PSEUDO | crate::action::flag::RUNNABLE;
    }

    fn clone_actions(&mut self, r: RscIx) {
        self.collective_actions(r, &self.rscs[r].children.clone());
        if self.rscs[r].promotable {
            self.promotable_actions(r);
        }
    }

    /// Pseudo actions of a clone from what its instances do.
    pub(crate) fn collective_actions(&mut self, r: RscIx, instances: &[RscIx]) {
        let (mut starting, mut stopping, mut active) = (false, false, false);
        for &i in instances {
            self.actions_for(i);
            self.instance_activity(i, &mut starting, &mut stopping, &mut active);
        }
        let start = self.rsc_pseudo(r, Task::Start, !starting, true);
        let started = self.rsc_pseudo(r, Task::Started, !starting, active || starting);
        self.actions[started].priority = crate::score::INF;
        let stop = self.rsc_pseudo(r, Task::Stop, !stopping, true);
        let stopped = self.rsc_pseudo(r, Task::Stopped, !stopping, true);
        self.actions[stopped].priority = crate::score::INF;
        if !(starting && stopping) {
            self.actions[stop].flags |= crate::action::flag::MIGRATABLE;
        }
        if self.is_clone(r) {
            self.clone_notify(r, (start, started), (stop, stopped));
        }
    }

    fn collective_pair(
        &mut self,
        r: RscIx,
        task: Task,
        optional: bool,
        runnable: bool,
    ) -> (usize, usize) {
        let first = self.rsc_pseudo(r, task, optional, runnable);
        let done = self.rsc_pseudo(r, task.done(), optional, runnable);
        self.actions[done].priority = crate::score::INF;
        (first, done)
    }

    /// Whether an instance (or any of its members) starts or stops.
    fn instance_activity(
        &self,
        i: RscIx,
        starting: &mut bool,
        stopping: &mut bool,
        active: &mut bool,
    ) {
        use crate::action::flag;
        for &c in &self.rscs[i].children {
            self.instance_activity(c, starting, stopping, active);
        }
        if !self.is_primitive(i) {
            return;
        }
        *active |= !self.rscs[i].running.is_empty();
        let mut started = false;
        for &a in &self.rscs[i].actions {
            let action = &self.actions[a];
            let optional = action.is(flag::OPTIONAL);
            match action.task {
                Task::Start if !optional && action.is(flag::RUNNABLE) => {
                    started = true;
                    *starting = true;
                }
                Task::Stop
                    if !optional && (action.is(flag::RUNNABLE) || action.is(flag::PSEUDO)) =>
                {
                    *stopping = true;
                }
                _ => {}
            }
        }
        let _ = started;
    }

    fn promotable_actions(&mut self, r: RscIx) {
        use crate::action::flag;
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        let (mut promoting, mut demoting) = (false, false);
        for l in leaves {
            for &a in &self.rscs[l].actions {
                let action = &self.actions[a];
                if action.is(flag::OPTIONAL) {
                    continue;
                }
                promoting |= action.task == Task::Promote;
                demoting |= action.task == Task::Demote;
            }
        }
        let promote = self.collective_pair(r, Task::Promote, !promoting, true);
        let demote = self.collective_pair(r, Task::Demote, !demoting, true);
        self.promotable_notify(r, promote, demote);
        // A promoted instance that is promoted elsewhere is demoted first.
        let _ = rel::ORDERED;
    }
}
