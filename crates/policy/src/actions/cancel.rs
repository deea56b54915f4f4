//! Ending recurring monitors.

use crate::action::{Task, flag, op_key};
use crate::world::{ActIx, NodeIx, RscIx, World};

impl World<'_> {
    pub(crate) fn cancel_action(
        &mut self,
        r: RscIx,
        task: Task,
        interval_ms: i64,
        n: NodeIx,
    ) -> ActIx {
        let key = op_key(&self.rscs[r].id, task.text(), interval_ms);
        let a = self.action_with_key(r, key, Task::Cancel, 0, Some(n), false);
        let action = &mut self.actions[a];
        // What runs so far is what is ended: one action, not two.
        action.task = Task::Cancel;
        action.interval_ms = 0;
        action.flags &= !flag::OPTIONAL;
        action.cancel = Some((task, interval_ms));
        action.flags |= flag::RUNNABLE;
        action
            .meta
            .insert("operation".to_owned(), task.text().to_owned());
        action
            .meta
            .insert("interval".to_owned(), interval_ms.to_string());
        self.reindex_action(a);
        a
    }

    /// Ends a recurring monitor that runs now, before the resource stops.
    pub(crate) fn schedule_cancel(
        &mut self,
        r: RscIx,
        call_id: i64,
        task: Task,
        interval_ms: i64,
        n: NodeIx,
        why: &str,
    ) {
        let a = self.cancel_action(r, task, interval_ms, n);
        self.actions[a]
            .meta
            .insert("call-id".to_owned(), call_id.to_string());
        self.set_reason(a, Some(why), false);
        self.order_sides(
            crate::relation::Side::Rsc(r, Task::Stop, 0),
            crate::relation::Side::Action(a, Some(r)),
            crate::relation::rel::ORDERED,
        );
    }
}
