//! Finding an action of a resource without looking at all of them.
//!
//! A resource has an action for each node (probes alone), and each relation looks for the other side's actions.
//! What such a search compares lies side by side here; the actions themselves are far apart in memory.

use crate::action::Task;
use crate::world::{ActIx, NodeIx, RscIx, World};

/// An action of a resource, as searches see it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub a: ActIx,
    pub node: Option<NodeIx>,
    pub interval_ms: i64,
    pub task: Task,
}

impl World<'_> {
    /// Notes a new action.
    pub(crate) fn index_action(&mut self, r: RscIx, a: ActIx) {
        let entry = self.entry_of(a);
        let rsc = &mut self.rscs[r];
        rsc.actions.push(a);
        rsc.index.push(entry);
    }

    /// To be called whenever task, interval or node of an action were changed.
    pub(crate) fn reindex_action(&mut self, a: ActIx) {
        let Some(r) = self.actions[a].rsc else { return };
        let entry = self.entry_of(a);
        let at = self.rscs[r].index.iter().rposition(|e| e.a == a);
        if let Some(at) = at {
            self.rscs[r].index[at] = entry;
        }
    }

    fn entry_of(&self, a: ActIx) -> Entry {
        let action = &self.actions[a];
        Entry {
            a,
            node: action.node,
            interval_ms: action.interval_ms,
            task: action.task,
        }
    }

    /// The action of exactly that kind, if it was made already; notifications are not told apart.
    pub(crate) fn made_action(
        &self,
        r: RscIx,
        task: Task,
        interval_ms: i64,
        node: Option<NodeIx>,
    ) -> Option<ActIx> {
        if matches!(task, Task::Notify | Task::Notified) {
            return None;
        }
        let index = &self.rscs[r].index;
        let found = index
            .iter()
            .rev()
            .find(|e| e.task == task && e.node == node && e.interval_ms == interval_ms);
        found.map(|e| e.a)
    }

    /// First action of a resource with that task (and node, where one is given), latest made first.
    pub fn find_action(&self, r: RscIx, task: Task, node: Option<NodeIx>) -> Option<ActIx> {
        let mut without_node = None;
        for e in self.rscs[r].index.iter().rev() {
            if e.task != task {
                continue;
            }
            match (node, e.node) {
                (None, _) => return Some(e.a),
                (Some(_), None) => without_node = Some(e.a),
                (Some(n), Some(m)) if n == m => return Some(e.a),
                _ => {}
            }
        }
        without_node
    }

    /// All actions of a resource with that task, on that node where one is given, latest made first.
    pub fn actions_of(&self, r: RscIx, task: Task, node: Option<NodeIx>) -> Vec<ActIx> {
        let index = &self.rscs[r].index;
        index
            .iter()
            .rev()
            .filter(|e| e.task == task && e.interval_ms == 0 && (node.is_none() || e.node == node))
            .map(|e| e.a)
            .collect()
    }
}
