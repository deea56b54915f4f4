//! One action against those ordered before it.

use crate::action::{Task, flag};
use crate::relation::rel;
use crate::world::{ActIx, Kind, NodeIx, Role, RscIx, World};

/// Which side changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Changed {
    pub first: bool,
    pub then: bool,
}

impl Changed {
    pub fn merge(&mut self, other: Changed) {
        self.first |= other.first;
        self.then |= other.then;
    }
}

/// Deepest chain followed at once; the rest of it is reached by the later rounds.
const DEPTH_MAX: u32 = 80;

impl World<'_> {
    /// Applies all relations of an action, and of whatever changes by that.
    pub(crate) fn update_action(&mut self, then: ActIx) {
        let mut waiting = vec![then];
        let mut rounds = 0_u64;
        let bound = 1000 + self.actions.len() as u64 * 200;
        while let Some(next) = waiting.pop() {
            rounds += 1;
            if rounds > bound {
                self.warnings.push(
                    "ordering constraints contradict each other; some are not applied".to_owned(),
                );
                return;
            }
            self.update_deep(next, 0, &mut waiting);
        }
    }

    pub(super) fn update_deep(&mut self, then: ActIx, depth: u32, waiting: &mut Vec<ActIx>) {
        if depth > DEPTH_MAX {
            waiting.push(then);
            return;
        }
        let last = self.actions[then].flags;
        let min = self.actions[then].is(flag::MIN_RUNNABLE);
        if min {
            let action = &mut self.actions[then];
            action.runnable_before = 0;
            action.required_before = action.required_before.max(1);
            action.flags &= !flag::RUNNABLE;
        }
        // The latest relation first.
        let mut changed = false;
        for at in (0..self.actions[then].before.len()).rev() {
            let one = self.update_pair(then, at, depth, waiting);
            changed |= one.then;
            if one.first {
                let first = self.stand_in(self.actions[then].before[at].0, then);
                for after in self.actions[first].after.clone() {
                    self.update_deep(after, depth + 1, waiting);
                }
                self.update_deep(first, depth + 1, waiting);
            }
        }
        let now = self.actions[then].flags;
        if min {
            // It was made impossible above, to be found possible again: no change.
            changed = now != last;
        }
        if changed {
            if last & flag::RUNNABLE != 0 && now & flag::RUNNABLE == 0 {
                self.block_dependents(then);
            }
            self.update_deep(then, depth + 1, waiting);
            for after in self.actions[then].after.clone() {
                self.update_deep(after, depth + 1, waiting);
            }
        }
    }

    fn place_of(&self, a: ActIx) -> Option<NodeIx> {
        let action = &self.actions[a];
        if action.task == Task::Start
            && let Some(r) = action.rsc
            && self.is_group(r)
        {
            return self.assigned_node(r);
        }
        action.node
    }

    fn update_pair(
        &mut self,
        then: ActIx,
        at: usize,
        depth: u32,
        waiting: &mut Vec<ActIx>,
    ) -> Changed {
        let (original, flags) = self.actions[then].before[at];
        if flags & !rel::DUMPED == rel::NONE {
            return Changed::default();
        }
        let (first_node, then_node) = (self.place_of(original), self.place_of(then));
        if flags & rel::SAME_NODE != 0
            && let (Some(f), Some(t)) = (first_node, then_node)
            && f != t
        {
            self.actions[then].before[at].1 = rel::NONE;
            return Changed::default();
        }
        let first_rsc = self.actions[original].rsc;
        if first_rsc.is_some()
            && flags & rel::CANCELS_FIRST != 0
            && !self.actions[then].is(flag::OPTIONAL)
        {
            let task = self.actions[original].task;
            self.actions[original].flags |= flag::OPTIONAL;
            if task == Task::Reload
                && let Some(r) = first_rsc
            {
                self.rscs[r].reload = false;
            }
        }
        let first = self.stand_in(original, then);
        if first != original {
            // The relation is with what confirms the request; it is judged when the second is seen again.
            if self.order(first, then, flags & !rel::DUMPED) {
                self.actions[then].before[at].1 = rel::NONE;
                return Changed {
                    first: false,
                    then: true,
                };
            }
            return Changed::default();
        }
        let first_flags = self.flags_for(first, then_node);
        let then_flags = self.flags_for(then, first_node);
        self.relate(
            first,
            then,
            first_flags,
            then_flags,
            flags,
            at,
            depth,
            waiting,
        )
    }

    /// For a collective resource, its confirmation instead of its request.
    fn stand_in(&self, first: ActIx, then: ActIx) -> ActIx {
        let (Some(f), Some(t)) = (self.actions[first].rsc, self.actions[then].rsc) else {
            return first;
        };
        if f == t || self.is_ancestor(t, f) || self.is_primitive(f) {
            return first;
        }
        let action = &self.actions[first];
        if action.interval_ms > 0 || action.key.contains("notify") {
            return first;
        }
        let done = action.task.done();
        if !matches!(
            done,
            Task::Started | Task::Stopped | Task::Promoted | Task::Demoted
        ) {
            return first;
        }
        let outermost = self.rscs[f].parent.is_none_or(|p| self.is_bundle(p));
        if self.rscs[f].notify && self.is_clone(f) && outermost {
            let key = format!(
                "{}_confirmed-post_notify_{}_0",
                self.rscs[f].id,
                done.text()
            );
            if let Some(a) = self.find_key(f, &key, None) {
                return a;
            }
        }
        // A bundle that notifies has no confirmation of its own: its request stands for it.
        if self.rscs[f].notify && self.is_bundle(f) {
            return first;
        }
        self.find_action(f, done, None).unwrap_or(first)
    }

    /// Whether `t` lies inside `f`.
    fn is_ancestor(&self, t: RscIx, f: RscIx) -> bool {
        let mut at = self.rscs[t].parent;
        while let Some(p) = at {
            if p == f {
                return true;
            }
            at = self.rscs[p].parent;
        }
        false
    }

    fn flags_for(&mut self, a: ActIx, node: Option<NodeIx>) -> u32 {
        let Some(r) = self.actions[a].rsc else {
            return self.actions[a].flags;
        };
        let flags = self.action_flags(a, None);
        if node.is_none() || !self.is_clone(r) {
            return flags;
        }
        let runnable = flags & flag::RUNNABLE;
        self.action_flags(a, node) | runnable
    }

    #[allow(clippy::too_many_arguments)]
    fn relate(
        &mut self,
        first: ActIx,
        then: ActIx,
        first_flags: u32,
        then_flags: u32,
        mut flags: u32,
        at: usize,
        depth: u32,
        waiting: &mut Vec<ActIx>,
    ) -> Changed {
        let mut changed = Changed::default();
        let mut node = self.actions[then].node;
        let then_rsc = self.actions[then].rsc;
        let first_rsc = self.actions[first].rsc;
        if flags & rel::IMPLIES_SAME_NODE != 0 {
            flags = (flags & !rel::IMPLIES_SAME_NODE) | rel::FIRST_IMPLIES_THEN;
            node = self.actions[first].node;
        }
        let mut go = |world: &mut Self, given: u32, filter: u32, kind: u32| {
            match first_rsc {
                // What the first is decides how far it goes: of what a primitive waits for, the whole counts.
                Some(r) if kind == rel::THEN_IMPLIES_FIRST => {
                    world.update_by_kind(r, first, then, node, given, filter, kind, depth, waiting)
                }
                _ => world.update_ordered(first, then, node, given, filter, kind, depth, waiting),
            }
        };
        if flags & rel::FIRST_IMPLIES_THEN != 0 {
            if then_rsc.is_some() {
                changed.merge(go(
                    self,
                    first_flags & flag::OPTIONAL,
                    flag::OPTIONAL,
                    rel::FIRST_IMPLIES_THEN,
                ));
            } else if first_flags & flag::OPTIONAL == 0 && self.actions[then].is(flag::OPTIONAL) {
                self.actions[then].flags &= !flag::OPTIONAL;
                changed.then = true;
            }
        }
        if flags & rel::RESTART != 0 && then_rsc.is_some() {
            changed.merge(go(
                self,
                first_flags,
                flag::OPTIONAL | flag::RUNNABLE,
                rel::RESTART,
            ));
        }
        if flags & rel::THEN_IMPLIES_FIRST != 0 {
            if first_rsc.is_some() {
                changed.merge(go(
                    self,
                    first_flags,
                    flag::OPTIONAL,
                    rel::THEN_IMPLIES_FIRST,
                ));
            } else if first_flags & flag::OPTIONAL == 0 && self.actions[first].is(flag::RUNNABLE) {
                self.actions[first].flags &= !flag::RUNNABLE;
                changed.first = true;
            }
        }
        if flags & rel::PROMOTED_IMPLIES_FIRST != 0 && then_rsc.is_some() {
            changed.merge(go(
                self,
                first_flags & flag::OPTIONAL,
                flag::OPTIONAL,
                rel::PROMOTED_IMPLIES_FIRST,
            ));
        }
        if flags & rel::MIN_RUNNABLE != 0 {
            if then_rsc.is_some() {
                changed.merge(go(self, first_flags, flag::RUNNABLE, rel::MIN_RUNNABLE));
            } else if first_flags & flag::RUNNABLE != 0 {
                let action = &mut self.actions[then];
                action.runnable_before += 1;
                if action.runnable_before >= action.required_before && !action.is(flag::RUNNABLE) {
                    action.flags |= flag::RUNNABLE;
                    changed.then = true;
                }
            }
        }
        if flags & rel::NESTED_PROBE != 0 && then_rsc.is_some() {
            let active = first_rsc.is_some_and(|r| !self.rscs[r].running.is_empty());
            if first_flags & flag::RUNNABLE == 0 && active {
                self.actions[then].before[at].1 = rel::NONE;
                return changed;
            }
            changed.merge(go(
                self,
                first_flags,
                flag::RUNNABLE,
                rel::UNRUNNABLE_BLOCKS,
            ));
        }
        if flags & rel::UNRUNNABLE_BLOCKS != 0 {
            if then_rsc.is_some() {
                changed.merge(go(
                    self,
                    first_flags,
                    flag::RUNNABLE,
                    rel::UNRUNNABLE_BLOCKS,
                ));
            } else if first_flags & flag::RUNNABLE == 0 && self.actions[then].is(flag::RUNNABLE) {
                self.actions[then].flags &= !flag::RUNNABLE;
                changed.then = true;
            }
        }
        for (kind, filter) in [
            (rel::UNMIGRATABLE_BLOCKS, flag::OPTIONAL),
            (rel::FIRST_ELSE_THEN, flag::OPTIONAL),
            (rel::ORDERED, flag::RUNNABLE),
            (rel::ASYMMETRIC, flag::RUNNABLE),
        ] {
            if flags & kind != 0 && then_rsc.is_some() {
                changed.merge(go(self, first_flags, filter, kind));
            }
        }
        if self.actions[first].is(flag::RUNNABLE)
            && flags & rel::THEN_GRAPHED != 0
            && first_flags & flag::OPTIONAL == 0
        {
            self.actions[then].flags |= flag::ALWAYS;
        }
        if flags & rel::FIRST_GRAPHED != 0 && then_flags & flag::OPTIONAL == 0 {
            self.actions[first].flags |= flag::ALWAYS;
        }
        if flags & (rel::FIRST_IMPLIES_THEN | rel::THEN_IMPLIES_FIRST | rel::RESTART) != 0
            && let Some(r) = first_rsc
            && self.actions[first].task == Task::Stop
            && !self.rscs[r].managed
            && self.rscs[r].blocked
            && !self.actions[first].is(flag::RUNNABLE)
            && self.actions[then].is(flag::RUNNABLE)
        {
            self.actions[then].flags &= !flag::RUNNABLE;
            changed.then = true;
        }
        changed
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn update_ordered(
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
            // What nodes do makes resources do something, too: unfencing requires a stop before it.
            return self.update_single(first, then, given, filter, kind, depth, waiting);
        };
        self.update_by_kind(r, first, then, node, given, filter, kind, depth, waiting)
    }

    /// Updates as the kind of one resource, the first's or the second's, asks for.
    #[allow(clippy::too_many_arguments)]
    fn update_by_kind(
        &mut self,
        of: RscIx,
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
            return self.update_single(first, then, given, filter, kind, depth, waiting);
        };
        match self.rscs[of].kind {
            Kind::Primitive => self.update_single(first, then, given, filter, kind, depth, waiting),
            Kind::Group(_) => {
                let mut changed =
                    self.update_single(first, then, given, filter, kind, depth, waiting);
                let task = self.actions[then].task;
                for m in self.rscs[r].children.clone() {
                    if let Some(a) = self.find_action(m, task, node) {
                        changed.merge(
                            self.update_ordered(
                                first, a, node, given, filter, kind, depth, waiting,
                            ),
                        );
                    }
                }
                changed
            }
            Kind::Clone(_) | Kind::Bundle(_) => {
                self.update_collective(first, then, node, given, filter, kind, depth, waiting)
            }
        }
    }

    /// Clears a flag of an action and says because of which other.
    fn clear_because(&mut self, a: ActIx, what: u32, because: ActIx) {
        if !self.actions[a].is(what) {
            return;
        }
        self.actions[a].flags &= !what;
        let other = &self.actions[because];
        if self.actions[a].rsc == other.rsc {
            // What a resource does to itself explains nothing.
            return;
        }
        let change = match what {
            flag::RUNNABLE => "unrunnable",
            flag::MIGRATABLE => "unmigrateable",
            _ => "required",
        };
        let rsc = other
            .rsc
            .map_or_else(String::new, |r| format!("{} ", self.rscs[r].id));
        let reason = format!("{change} {rsc}{}", other.task_text());
        self.set_reason(a, Some(&reason), false);
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn update_single(
        &mut self,
        first: ActIx,
        then: ActIx,
        given: u32,
        filter: u32,
        kind: u32,
        depth: u32,
        waiting: &mut Vec<ActIx>,
    ) -> Changed {
        use flag::{MIGRATABLE, OPTIONAL, PSEUDO, RUNNABLE};
        let then_flags = self.actions[then].flags;
        let first_flags = self.actions[first].flags;
        if kind & rel::ASYMMETRIC != 0 {
            self.asymmetric(first, then);
        }
        if kind & rel::THEN_IMPLIES_FIRST != 0 && then_flags & OPTIONAL == 0 {
            if filter & OPTIONAL != 0 && given & OPTIONAL == 0 && first_flags & OPTIONAL != 0 {
                self.clear_because(first, OPTIONAL, then);
            }
            if given & MIGRATABLE != 0 && !self.actions[then].is(MIGRATABLE) {
                self.clear_because(first, MIGRATABLE, then);
            }
        }
        if kind & rel::PROMOTED_IMPLIES_FIRST != 0
            && filter & OPTIONAL != 0
            && then_flags & OPTIONAL == 0
            && self.actions[then]
                .rsc
                .is_some_and(|r| self.rscs[r].role == Role::Promoted)
        {
            self.clear_because(first, OPTIONAL, then);
            if self.actions[first].is(MIGRATABLE) && !self.actions[then].is(MIGRATABLE) {
                self.clear_because(first, MIGRATABLE, then);
            }
        }
        if kind & rel::UNMIGRATABLE_BLOCKS != 0 && filter & OPTIONAL != 0 {
            let both = MIGRATABLE | RUNNABLE;
            if self.actions[then].flags & both != both {
                self.clear_because(first, RUNNABLE, then);
            }
            if !self.actions[then].is(OPTIONAL) {
                self.clear_because(first, OPTIONAL, then);
            }
        }
        if kind & rel::FIRST_ELSE_THEN != 0
            && filter & OPTIONAL != 0
            && !self.actions[first].is(RUNNABLE)
        {
            self.clear_because(then, MIGRATABLE, first);
            self.actions[then].flags &= !PSEUDO;
        }
        if kind & rel::UNRUNNABLE_BLOCKS != 0
            && filter & RUNNABLE != 0
            && then_flags & RUNNABLE != 0
            && given & RUNNABLE == 0
        {
            self.clear_because(then, RUNNABLE, first);
            self.clear_because(then, MIGRATABLE, first);
        }
        if kind & rel::FIRST_IMPLIES_THEN != 0
            && filter & OPTIONAL != 0
            && then_flags & OPTIONAL != 0
            && given & OPTIONAL == 0
            && first_flags & MIGRATABLE == 0
        {
            self.clear_because(then, OPTIONAL, first);
        }
        if kind & rel::RESTART != 0 {
            self.restart_relation(first, then, filter);
        }
        let mut changed = Changed::default();
        if then_flags != self.actions[then].flags {
            changed.then = true;
            if self.actions[then]
                .rsc
                .is_some_and(|r| self.rscs[r].parent.is_some())
            {
                self.update_deep(then, depth + 1, waiting);
            }
        }
        changed.first |= first_flags != self.actions[first].flags;
        changed
    }

    /// One way only: what comes second cannot happen when the first cannot.
    fn asymmetric(&mut self, first: ActIx, then: ActIx) {
        let Some(r) = self.actions[then].rsc else {
            return;
        };
        if self.actions[first].is(flag::RUNNABLE) {
            return;
        }
        if self.actions[then].is(flag::OPTIONAL) {
            let role = self.state(r, true);
            let action = &self.actions[then];
            let there = self.is_primitive(r)
                && self.rscs[r].running.len() == 1
                && Some(self.rscs[r].running[0]) == action.node;
            if (action.task == Task::Stop && role == Role::Stopped)
                || (action.task == Task::Start && role >= Role::Started && there)
            {
                return;
            }
        }
        self.clear_because(then, flag::OPTIONAL, first);
        self.clear_because(then, flag::RUNNABLE, first);
    }

    fn restart_relation(&mut self, first: ActIx, then: ActIx, filter: u32) {
        let t = &self.actions[then];
        let required = filter & flag::OPTIONAL != 0 && !t.is(flag::OPTIONAL);
        let same = t.rsc == self.actions[first].rsc;
        let stuck = filter & flag::RUNNABLE != 0
            && !t.is(flag::RUNNABLE)
            && t.rsc.is_some_and(|r| self.rscs[r].managed)
            && same;
        if !required && !stuck {
            return;
        }
        if self.actions[first].is(flag::RUNNABLE) {
            self.clear_because(first, flag::OPTIONAL, then);
        }
        if !self.actions[then].is(flag::OPTIONAL) {
            self.clear_because(first, flag::OPTIONAL, then);
        }
        if !self.actions[then].is(flag::MIGRATABLE) {
            self.clear_because(first, flag::MIGRATABLE, then);
        }
        if !self.actions[first].is(flag::OPTIONAL) && !self.actions[first].is(flag::RUNNABLE) {
            self.clear_because(then, flag::RUNNABLE, first);
        }
    }
}
