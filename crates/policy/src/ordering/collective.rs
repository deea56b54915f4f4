//! Relations of groups, clones and bundles: what their parts do decides.

use super::update::Changed;
use crate::action::{Task, flag};
use crate::relation::rel;
use crate::score::is_true;
use crate::world::{ActIx, Kind, NodeIx, Role, RscIx, World};

impl World<'_> {
    /// Flags of an action as its resource's kind sees them.
    pub(crate) fn action_flags(&mut self, a: ActIx, node: Option<NodeIx>) -> u32 {
        let Some(r) = self.actions[a].rsc else {
            return self.actions[a].flags;
        };
        match self.rscs[r].kind {
            Kind::Primitive => self.actions[a].flags,
            Kind::Group(_) => self.group_flags(r, a, node),
            Kind::Clone(_) => {
                let instances = self.rscs[r].children.clone();
                self.instance_flags(a, &instances, node)
            }
            Kind::Bundle(_) => self.bundle_flags(r, a, node),
        }
    }

    fn group_flags(&mut self, r: RscIx, a: ActIx, node: Option<NodeIx>) -> u32 {
        let mut flags = flag::OPTIONAL | flag::RUNNABLE | flag::PSEUDO;
        let own = self.actions[a].task;
        let task = own.begun();
        for m in self.rscs[r].children.clone() {
            match self.find_action(m, task, node) {
                Some(ma) => {
                    let mf = self.action_flags(ma, node);
                    if flags & flag::OPTIONAL != 0 && mf & flag::OPTIONAL == 0 {
                        flags &= !flag::OPTIONAL;
                        self.actions[a].flags &= !flag::OPTIONAL;
                    }
                    if task != own && flags & flag::RUNNABLE != 0 && mf & flag::RUNNABLE == 0 {
                        flags &= !flag::RUNNABLE;
                        self.actions[a].flags &= !flag::RUNNABLE;
                    }
                }
                None => {
                    if !matches!(task, Task::Stop | Task::Demote) {
                        flags &= !flag::RUNNABLE;
                    }
                }
            }
        }
        flags
    }

    /// What an action of a collective resource is about; of a notification, what it tells. A point at which
    /// all is done stands for what primitives did; instances that are groups have such a point themselves.
    fn told_task(&self, a: ActIx, instances: &[RscIx]) -> Task {
        let action = &self.actions[a];
        let mut task = action.task;
        if matches!(task, Task::Notify | Task::Notified)
            && let Some((_, rest)) = action.key.rsplit_once("_notify_")
        {
            task = Task::parse(rest.split('_').next().unwrap_or_default());
        }
        if instances.first().is_some_and(|&i| self.is_primitive(i)) {
            task.begun()
        } else {
            task
        }
    }

    pub(crate) fn instance_flags(
        &mut self,
        a: ActIx,
        instances: &[RscIx],
        node: Option<NodeIx>,
    ) -> u32 {
        let mut flags = flag::OPTIONAL | flag::RUNNABLE | flag::PSEUDO;
        let mut any_runnable = false;
        let task = self.told_task(a, instances);
        for &i in instances {
            let where_ = if self.is_primitive(i) { node } else { None };
            let Some(ia) = self.find_action(i, task, where_) else {
                continue;
            };
            let f = self.action_flags(ia, node);
            if flags & flag::OPTIONAL != 0 && f & flag::OPTIONAL == 0 {
                flags &= !flag::OPTIONAL;
                self.actions[a].flags &= !flag::OPTIONAL;
            }
            any_runnable |= f & flag::RUNNABLE != 0;
        }
        if !any_runnable {
            flags &= !flag::RUNNABLE;
            if node.is_none() {
                self.actions[a].flags &= !flag::RUNNABLE;
            }
        }
        flags
    }

    fn bundle_flags(&mut self, r: RscIx, a: ActIx, node: Option<NodeIx>) -> u32 {
        let task = self.actions[a].task.begun();
        let by_child = matches!(task, Task::Promote | Task::Demote | Task::Notify);
        if by_child && let Some(child) = self.bundle(r).child {
            let instances = self.rscs[child].children.clone();
            let flags = self.instance_flags(a, &instances, node);
            return flags;
        }
        let containers = self.instances(r);
        self.instance_flags(a, &containers, node)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn update_collective(
        &mut self,
        first: ActIx,
        then: ActIx,
        node: Option<NodeIx>,
        given: u32,
        filter: u32,
        kind: u32,
        depth: u32,
        waiting: &mut Vec<ActIx>,
    ) -> Changed {
        let Some(r) = self.actions[then].rsc else {
            return Changed::default();
        };
        let instances = self.instances(r);
        if self.can_interleave(first, then) {
            self.pairs_only(first, then, kind);
            return self
                .update_interleaved(first, then, &instances, node, filter, kind, depth, waiting);
        }
        let mut changed = self.update_single(first, then, given, filter, kind, depth, waiting);
        let task = self.actions[then].task;
        for i in instances {
            let Some(a) = self.find_action(i, task, node) else {
                continue;
            };
            if self.action_flags(a, node) & flag::RUNNABLE == 0 {
                continue;
            }
            let one = self.update_ordered(first, a, node, given, filter, kind, depth, waiting);
            changed.merge(one);
            if one.then {
                for after in self.actions[a].after.clone().into_iter().rev() {
                    self.update_deep(after, depth + 1, waiting);
                }
            }
        }
        changed
    }

    /// Where replicas pair up, an optional order after the request of a bundle that notifies (it has no
    /// confirmation of its own) is about the pairs: the bundles as a whole do not wait.
    fn pairs_only(&mut self, first: ActIx, then: ActIx, kind: u32) {
        let notifying = self.actions[first]
            .rsc
            .is_some_and(|f| self.is_bundle(f) && self.rscs[f].notify);
        if notifying && kind == rel::ORDERED {
            let before = &mut self.actions[then].before;
            for input in before.iter_mut().filter(|i| **i == (first, rel::ORDERED)) {
                input.1 = rel::NONE;
            }
        }
    }

    fn can_interleave(&self, first: ActIx, then: ActIx) -> bool {
        let (Some(f), Some(t)) = (self.actions[first].rsc, self.actions[then].rsc) else {
            return false;
        };
        if f == t || !self.is_cloned(f) || !self.is_cloned(t) {
            return false;
        }
        let down = matches!(self.actions[then].task, Task::Stop | Task::Demote);
        let who = if down { f } else { t };
        is_true(self.meta(who, "interleave"))
    }

    #[allow(clippy::too_many_arguments)]
    fn update_interleaved(
        &mut self,
        first: ActIx,
        then: ActIx,
        instances: &[RscIx],
        node: Option<NodeIx>,
        filter: u32,
        kind: u32,
        depth: u32,
        waiting: &mut Vec<ActIx>,
    ) -> Changed {
        let mut changed = Changed::default();
        let Some(first_clone) = self.actions[first].rsc else {
            return changed;
        };
        // What comes down goes with the instance where it is now; a notification stands for what it tells of.
        let key = &self.actions[first].key;
        let current = key.ends_with("_stopped_0") || key.ends_with("_demoted_0");
        let first_task = self.told_task(first, &self.instances(first_clone));
        let then_task = self.actions[then].task;
        for &i in instances {
            let Some(other) = self.compatible_instance(i, first_clone, Role::Unknown, current)
            else {
                if !current
                    && kind & (rel::UNRUNNABLE_BLOCKS | rel::FIRST_IMPLIES_THEN) != 0
                    && self.assigned_node(i).is_some()
                {
                    self.give(i, None, true, crate::placement::IfNone::Stop);
                    changed.then = true;
                }
                continue;
            };
            let Some(fa) = self.instance_action(other, first_task, node, true) else {
                continue;
            };
            let Some(ta) = self.instance_action(i, then_task, node, false) else {
                continue;
            };
            if self.order(fa, ta, kind) {
                changed.merge(Changed {
                    first: true,
                    then: true,
                });
            }
            let given = self.action_flags(fa, node);
            changed.merge(self.update_ordered(fa, ta, node, given, filter, kind, depth, waiting));
        }
        changed
    }

    /// The action of an instance that an interleaved order means; of a bundle's replica, what runs inside.
    fn instance_action(
        &self,
        i: RscIx,
        task: Task,
        node: Option<NodeIx>,
        for_first: bool,
    ) -> Option<ActIx> {
        let inside = if for_first {
            !matches!(task, Task::Stop | Task::Stopped)
        } else {
            matches!(
                task,
                Task::Promote | Task::Promoted | Task::Demote | Task::Demoted
            )
        };
        if inside && let Some(inner) = self.inside(i) {
            return self.find_action(inner, task, None);
        }
        self.find_action(i, task, node)
    }
}
