//! Live migration, and starts that were under way when the decision was taken.

use crate::action::{Task, flag};
use crate::relation::{Side, rel};
use crate::world::{NodeIx, RscIx, World};

impl World<'_> {
    /// A start that is pending is seen as running already, where the node is well.
    pub(super) fn pending_start(&mut self, r: RscIx) {
        let Some(n) = self.rscs[r].assigned else {
            return;
        };
        let start = self.start_action(r, n, true);
        self.actions[start].flags |= flag::ALWAYS;
    }

    /// Removes the remains of a migration that another move has overtaken.
    pub(super) fn abort_dangling(&mut self, r: RscIx, n: NodeIx) {
        let stop = self.stop_action(r, n, false);
        self.actions[stop].flags |= flag::MIGRATION_ABORT;
        if self.opts.remove_after_stop {
            self.schedule_delete(r, n, false);
        }
    }

    /// Replaces stop and start by a migration.
    pub(super) fn migration_actions(&mut self, r: RscIx, current: Option<NodeIx>) {
        let (Some(c), Some(a)) = (current, self.rscs[r].assigned) else {
            return;
        };
        let partial = self.rscs[r].partial_target.is_some();
        let start = self.start_action(r, a, true);
        let stop = self.stop_action(r, c, true);
        if !partial {
            let to = self.action(r, Task::MigrateTo, 0, Some(c), true);
            self.migrate_meta(to, c, a);
            if !self.rscs[r].remote_connection {
                // It can leave the resource on either node, so that its beginning must be known, too.
                let meta = &mut self.actions[to].meta;
                meta.insert("record-pending".to_owned(), "true".to_owned());
            }
        }
        let from = self.action(r, Task::MigrateFrom, 0, Some(a), true);
        self.migrate_meta(from, c, a);
        self.actions[start].flags |= flag::MIGRATABLE | flag::PSEUDO;
        self.actions[stop].flags |= flag::MIGRATABLE;
        self.actions[from].flags |= flag::MIGRATABLE;
        let own = |t: Task| Side::Rsc(r, t, 0);
        let kept = rel::ORDERED | rel::UNMIGRATABLE_BLOCKS;
        let needs = self.actions[start].needs;
        if partial {
            self.actions[from].needs = needs;
            self.order_sides(own(Task::Monitor), own(Task::MigrateFrom), rel::ORDERED);
        } else {
            let to = self.action(r, Task::MigrateTo, 0, Some(c), true);
            self.actions[to].flags |= flag::MIGRATABLE;
            self.actions[to].needs = needs;
            self.order_sides(own(Task::Monitor), own(Task::MigrateTo), rel::ORDERED);
            self.order_sides(own(Task::MigrateTo), own(Task::MigrateFrom), kept);
        }
        self.order_sides(own(Task::MigrateFrom), own(Task::Stop), kept);
        self.order_sides(
            own(Task::MigrateFrom),
            own(Task::Start),
            kept | rel::FIRST_ELSE_THEN,
        );
    }

    fn migrate_meta(&mut self, a: usize, from: NodeIx, to: NodeIx) {
        let (source, target) = (self.nodes[from].name.clone(), self.nodes[to].name.clone());
        let meta = &mut self.actions[a].meta;
        meta.insert("migrate_source".to_owned(), source);
        meta.insert("migrate_target".to_owned(), target);
    }
}
