//! Sixth stage: which actions are carried out, and what each of them waits for.

use crate::action::{Task, flag};
use crate::relation::rel;
use crate::world::{ActIx, Role, RscIx, World};

impl World<'_> {
    /// Recovery changes the role that a resource has for the moment; users are told the one before.
    pub(crate) fn remember_roles(&mut self) {
        for rsc in &mut self.rscs {
            if !rsc.running.is_empty() && rsc.role == Role::Stopped && rsc.children.is_empty() {
                rsc.role = Role::Started;
            }
        }
    }

    pub(crate) fn build_graph(&mut self) {
        for r in self.top.clone() {
            self.add_rsc_actions(r);
        }
        for a in (0..self.actions.len()).rev() {
            self.add_to_graph(a);
        }
        self.break_load_loops();
        let list = self.graph.clone();
        for &a in &list {
            let mut inputs: Vec<(ActIx, u32)> = self.actions[a].before.clone();
            inputs.sort_by_key(|(f, _)| *f);
            // Several relations to one action are one input, of all their kinds.
            inputs.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 |= next.1;
                }
                same
            });
            let mut out = Vec::new();
            for (f, flags) in inputs {
                if self.input_counts(a, f, flags) {
                    out.push(f);
                }
            }
            self.graph_inputs.push(out);
        }
    }

    /// Migrations that go round in a circle cannot each wait for the room that the next one leaves: those
    /// planned last do not wait, as far as it takes to break the circle.
    fn break_load_loops(&mut self) {
        for a in (0..self.actions.len()).rev() {
            if self.actions[a].task != Task::MigrateTo || !self.actions[a].is(flag::IN_GRAPH) {
                continue;
            }
            for at in 0..self.actions[a].before.len() {
                let (gate, flags) = self.actions[a].before[at];
                if flags == rel::IF_ON_TARGET
                    && self.input_counts(a, gate, flags)
                    && self.waits_for(gate, a)
                {
                    self.actions[a].before[at].1 = rel::NONE;
                }
            }
        }
    }

    /// Whether an action waits for another, directly or not.
    fn waits_for(&self, a: ActIx, other: ActIx) -> bool {
        let mut seen = vec![false; self.actions.len()];
        let mut stack = vec![a];
        while let Some(x) = stack.pop() {
            for &(first, flags) in &self.actions[x].before {
                if seen[first] || !self.input_counts(x, first, flags) {
                    continue;
                }
                if first == other {
                    return true;
                }
                seen[first] = true;
                stack.push(first);
            }
        }
        false
    }

    fn add_rsc_actions(&mut self, r: RscIx) {
        if let crate::world::Kind::Bundle(b) = &self.rscs[r].kind {
            // Its own actions are points between its parts and come when all else has been added.
            let (child, replicas) = (b.child, b.replicas.clone());
            let parts = replicas
                .into_iter()
                .flat_map(|p| p.ip.into_iter().chain([p.container]).chain(p.remote));
            for x in child.into_iter().chain(parts) {
                self.add_rsc_actions(x);
            }
            return;
        }
        let cloned = self.is_cloned(r);
        if self.is_clone(r) {
            self.create_notifications(r);
        }
        if cloned {
            for c in self.rscs[r].children.clone() {
                self.add_rsc_actions(c);
            }
        }
        for a in self.rscs[r].actions.clone().into_iter().rev() {
            self.add_to_graph(a);
        }
        if !cloned {
            for c in self.rscs[r].children.clone() {
                self.add_rsc_actions(c);
            }
        }
    }

    fn add_to_graph(&mut self, a: ActIx) {
        if self.actions[a].is(flag::IN_GRAPH) || !self.belongs_in_graph(a) {
            return;
        }
        self.actions[a].flags |= flag::IN_GRAPH;
        self.graph.push(a);
    }

    fn belongs_in_graph(&self, a: ActIx) -> bool {
        let action = &self.actions[a];
        if !action.is(flag::RUNNABLE) || (action.is(flag::OPTIONAL) && !action.is(flag::ALWAYS)) {
            return false;
        }
        if let Some(r) = action.rsc
            && !self.rscs[r].managed
            && action.task != Task::Monitor
        {
            let recurring = action.meta.get("interval").is_some_and(|i| i != "0");
            if !recurring {
                return false;
            }
        }
        if action.is(flag::PSEUDO) || matches!(action.task, Task::Stonith | Task::Shutdown) {
            return true;
        }
        let Some(n) = action.node else { return false };
        if action.is(flag::ON_DC) {
            return true;
        }
        let node = &self.nodes[n];
        if self.is_guest(n) && !node.remote_requires_reset {
            return true;
        }
        node.online && !node.unclean
    }

    fn input_counts(&self, a: ActIx, first: ActIx, flags: u32) -> bool {
        let input = &self.actions[first];
        let action = &self.actions[a];
        let flags = flags & !rel::DUMPED;
        if flags == rel::NONE {
            return false;
        }
        let changes = rel::FIRST_IMPLIES_THEN
            | rel::IMPLIES_SAME_NODE
            | rel::THEN_IMPLIES_FIRST
            | rel::PROMOTED_IMPLIES_FIRST
            | rel::UNRUNNABLE_BLOCKS
            | rel::RESTART;
        let runnable = input.is(flag::RUNNABLE);
        if !runnable && flags & changes == 0 {
            return false;
        }
        if !runnable && flags & rel::MIN_RUNNABLE != 0 {
            return false;
        }
        if flags & rel::UNMIGRATABLE_BLOCKS != 0 && !runnable {
            return false;
        }
        if flags == rel::ORDERED && input.is(flag::MIGRATABLE) && input.task == Task::Stop {
            // What moves away alive need not be gone before others follow: the migration was ordered itself.
            return false;
        }
        if flags == rel::IF_ON_TARGET {
            // Loads matter of the node that is left or entered; a migration enters where it was sent to.
            let place = match action.rsc {
                Some(r) if action.task == Task::MigrateTo => self.rscs[r].assigned,
                _ => action.node,
            };
            if input.node.is_none() || input.node != place || input.is(flag::OPTIONAL) {
                return false;
            }
        }
        if flags & rel::IF_REQUIRED_SAME_NODE != 0 {
            let apart = matches!((input.node, action.node), (Some(x), Some(y)) if x != y);
            if apart || input.is(flag::OPTIONAL) {
                return false;
            }
        }
        if let (Some(fr), Some(tr)) = (input.rsc, action.rsc)
            && fr != tr
            && self.rscs[fr].failed
            && !self.rscs[fr].managed
            && input.task == Task::Stop
            && self.is_clone(tr)
        {
            return false;
        }
        if input.is(flag::OPTIONAL)
            && !input.is(flag::ALWAYS)
            && !input.is(flag::IN_GRAPH)
            && !self.belongs_in_graph(first)
        {
            return false;
        }
        input.is(flag::IN_GRAPH)
    }

    /// For developers: what the pipeline made, one action a line (only where asked for by a marker option).
    #[cfg(debug_assertions)]
    pub(crate) fn check_graph(&self) {
        if option_env!("QUORATE_POLICY_TRACE").is_none() {
            return;
        }
        for (a, action) in self.actions.iter().enumerate() {
            let node = action.node.map_or("-", |n| self.nodes[n].name.as_str());
            let word = |f: u32, t: &'static str| if action.is(f) { t } else { "" };
            let before: Vec<String> = action
                .before
                .iter()
                .map(|(b, f)| format!("{b}:{f:x}"))
                .collect();
            eprintln!(
                "{a} {} {node} {}{}{}{} [{}] {:?}",
                action.key,
                word(flag::RUNNABLE, "R"),
                word(flag::OPTIONAL, "O"),
                word(flag::PSEUDO, "P"),
                word(flag::ALWAYS, "A"),
                before.join(" "),
                action.reason
            );
        }
    }
}
