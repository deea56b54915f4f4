//! Ordering relations between actions.

use crate::action::Task;
use crate::world::{ActIx, RscIx};

/// Kinds of relation; several may hold at once.
pub mod rel {
    pub const NONE: u32 = 0;
    /// Order only, if both happen.
    pub const ORDERED: u32 = 1;
    /// Only where both run on the same node.
    pub const SAME_NODE: u32 = 1 << 1;
    /// A required second makes the first required.
    pub const THEN_IMPLIES_FIRST: u32 = 1 << 2;
    /// A required first makes the second required.
    pub const FIRST_IMPLIES_THEN: u32 = 1 << 3;
    /// As THEN_IMPLIES_FIRST where the second's resource is promoted.
    pub const PROMOTED_IMPLIES_FIRST: u32 = 1 << 4;
    /// Without a migratable second the first cannot migrate.
    pub const UNMIGRATABLE_BLOCKS: u32 = 1 << 5;
    /// An impossible first makes the second impossible.
    pub const UNRUNNABLE_BLOCKS: u32 = 1 << 6;
    /// First and second are stop and start of one thing.
    pub const RESTART: u32 = 1 << 7;
    /// A required first makes the second required on the same node.
    pub const IMPLIES_SAME_NODE: u32 = 1 << 8;
    /// One way only.
    pub const ASYMMETRIC: u32 = 1 << 9;
    /// Only if both are on the same node, or the first's target is the second's node.
    pub const SERIALIZE: u32 = 1 << 10;
    /// Show the second when the first is done.
    pub const THEN_GRAPHED: u32 = 1 << 11;
    /// Show the first when the second is done.
    pub const FIRST_GRAPHED: u32 = 1 << 12;
    /// At least so many firsts have to be possible.
    pub const MIN_RUNNABLE: u32 = 1 << 13;
    /// A required second cancels the first.
    pub const CANCELS_FIRST: u32 = 1 << 14;
    /// The second takes over when the first is impossible.
    pub const FIRST_ELSE_THEN: u32 = 1 << 15;
    /// A probe inside a container that is not there yet.
    pub const NESTED_PROBE: u32 = 1 << 16;
    /// The first may be on a guest node whose container the second concerns.
    pub const GUEST_ALLOWED: u32 = 1 << 17;
    /// Ordered if on the same node (or first migrates to the second's).
    pub const IF_ON_TARGET: u32 = 1 << 18;
    /// Only when the first is required on the same node.
    pub const IF_REQUIRED_SAME_NODE: u32 = 1 << 19;
    /// Not where the first migrates.
    pub const IF_UNMIGRATABLE: u32 = 1 << 20;
    /// Put into the graph already.
    pub const DUMPED: u32 = 1 << 30;
}

/// One side of an order between not yet known actions.
#[derive(Debug, Clone)]
pub enum Side {
    Action(ActIx, Option<RscIx>),
    Rsc(RscIx, Task, i64),
}

/// An order to be applied once all actions are there.
#[derive(Debug, Clone)]
pub struct OrderCon {
    pub first: Side,
    pub then: Side,
    pub flags: u32,
    /// Notification or other key of the first or second that is no plain `task_interval`.
    pub first_key: Option<String>,
    pub then_key: Option<String>,
}

impl crate::world::World<'_> {
    /// Orders one action before another.
    pub fn order(&mut self, first: ActIx, then: ActIx, flags: u32) -> bool {
        if flags == rel::NONE || first == then {
            return false;
        }
        // A relation that says part of it already says enough.
        if self.actions[then]
            .before
            .iter()
            .any(|&(a, f)| a == first && f & flags != 0)
        {
            return false;
        }
        self.actions[then].before.push((first, flags));
        self.actions[first].after.push(then);
        true
    }

    /// Orders operations of resources whose actions need not exist yet.
    pub fn order_tasks(&mut self, first: (RscIx, Task), then: (RscIx, Task), flags: u32) {
        self.orders.push(OrderCon {
            first: Side::Rsc(first.0, first.1, 0),
            then: Side::Rsc(then.0, then.1, 0),
            flags,
            first_key: None,
            then_key: None,
        });
        self.order_migrations(first, then);
    }

    pub fn order_sides(&mut self, first: Side, then: Side, flags: u32) {
        self.orders.push(OrderCon {
            first,
            then,
            flags,
            first_key: None,
            then_key: None,
        });
    }

    /// What is ordered around starts and stops is ordered around migrations, too.
    fn order_migrations(&mut self, first: (RscIx, Task), then: (RscIx, Task)) {
        let (a, b) = (first.0, then.0);
        if a == b || self.contains(a, b) || self.contains(b, a) {
            return;
        }
        let (first_moves, then_moves) = (self.rscs[a].allow_migrate, self.rscs[b].allow_migrate);
        if !then_moves {
            return;
        }
        let unless = if first_moves {
            rel::ORDERED | rel::IF_UNMIGRATABLE
        } else {
            rel::ORDERED
        };
        let add = |world: &mut Self, f: Task, t: Task, flags: u32| {
            world.order_sides(Side::Rsc(a, f, 0), Side::Rsc(b, t, 0), flags);
        };
        let partial = self.rscs[b].partial_target.is_some();
        match (first.1, then.1) {
            (Task::Start, Task::Start) => {
                if first_moves {
                    add(self, Task::MigrateFrom, Task::MigrateTo, rel::ORDERED);
                }
                add(self, Task::Start, Task::MigrateTo, unless);
            }
            (Task::Stop, Task::Stop) => {
                add(self, Task::Stop, Task::MigrateTo, unless);
                if partial {
                    add(self, Task::Stop, Task::MigrateFrom, unless);
                }
            }
            (Task::Promote, Task::Start) => add(self, Task::Promote, Task::MigrateTo, rel::ORDERED),
            (Task::Demote, Task::Stop) => {
                add(self, Task::Demote, Task::MigrateTo, rel::ORDERED);
                if partial {
                    add(self, Task::Demote, Task::MigrateFrom, rel::ORDERED);
                }
            }
            _ => {}
        }
    }

    fn contains(&self, outer: RscIx, inner: RscIx) -> bool {
        let mut at = self.rscs[inner].parent;
        while let Some(p) = at {
            if p == outer {
                return true;
            }
            at = self.rscs[p].parent;
        }
        false
    }

    pub fn order_starts(&mut self, a: RscIx, b: RscIx, flags: u32) {
        self.order_tasks((a, Task::Start), (b, Task::Start), flags);
    }

    pub fn order_stops(&mut self, a: RscIx, b: RscIx, flags: u32) {
        self.order_tasks((a, Task::Stop), (b, Task::Stop), flags);
    }

    /// Orders an action after the fencing of the remote node behind a connection.
    pub fn order_after_remote_fencing(&mut self, a: ActIx, r: RscIx) {
        let Some(n) = self.find_node(&self.rscs[r].id.clone()) else {
            return;
        };
        let fence = self.fence_op(n, None, true, None, false);
        self.order(fence, a, rel::FIRST_IMPLIES_THEN);
    }
}
