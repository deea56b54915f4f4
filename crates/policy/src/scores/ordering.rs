//! Ordering constraints.

use crate::action::Task;
use crate::relation::{OrderCon, Side, rel};
use crate::score::{parse, parse_bool};
use crate::world::{Role, RscIx, World};
use quorate_model::cib::{Order, ResourceSet};

/// Strength of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    Optional,
    Mandatory,
    Serialize,
}

/// Whether the reverse holds for the reverse actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symmetry {
    Asymmetric,
    Symmetric,
    Inverse,
}

fn strength(kind: Option<&str>, score: Option<&str>) -> Strength {
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("optional") => Strength::Optional,
        Some("mandatory") => Strength::Mandatory,
        Some("serialize") => Strength::Serialize,
        _ => {
            if score.is_none_or(|s| parse(s) > 0) {
                Strength::Mandatory
            } else {
                Strength::Optional
            }
        }
    }
}

fn inverse(task: Task) -> Task {
    match task {
        Task::Start => Task::Stop,
        Task::Stop => Task::Start,
        Task::Promote => Task::Demote,
        Task::Demote => Task::Promote,
        Task::Started => Task::Stopped,
        Task::Stopped => Task::Started,
        Task::Promoted => Task::Demoted,
        Task::Demoted => Task::Promoted,
        other => other,
    }
}

fn relation(strength: Strength, first: Task, symmetry: Symmetry) -> u32 {
    match strength {
        Strength::Optional => rel::ORDERED,
        Strength::Serialize => rel::ORDERED | rel::SERIALIZE,
        Strength::Mandatory => match symmetry {
            Symmetry::Asymmetric => rel::ORDERED | rel::ASYMMETRIC,
            Symmetry::Symmetric => {
                let mut flags = rel::ORDERED | rel::FIRST_IMPLIES_THEN;
                if matches!(first, Task::Start | Task::Promote) {
                    flags |= rel::UNRUNNABLE_BLOCKS;
                }
                flags
            }
            Symmetry::Inverse => rel::ORDERED | rel::THEN_IMPLIES_FIRST,
        },
    }
}

impl<'c> World<'c> {
    pub(super) fn unpack_order(&mut self, con: &'c Order) {
        let symmetry = self.symmetry(con);
        if con.sets.is_empty() {
            let (Some(first), Some(then)) = (&con.first, &con.then) else {
                return;
            };
            if self.is_tag(first) || self.is_tag(then) {
                let (a, b) = (self.resolve(first), self.resolve(then));
                for &f in &a {
                    for &t in &b {
                        self.simple_order(con, f, t, symmetry);
                    }
                }
                return;
            }
            let (Some(f), Some(t)) = (self.constraint_rsc(first), self.constraint_rsc(then)) else {
                return;
            };
            self.simple_order(con, f, t, symmetry);
            return;
        }
        let kind = strength(con.kind.as_deref(), con.score.as_deref());
        let mut last: Option<&ResourceSet> = None;
        for set in &con.sets {
            self.order_set(con, set, kind, symmetry == Symmetry::Symmetric);
            if let Some(previous) = last {
                if symmetry == Symmetry::Symmetric {
                    self.order_sets(con, previous, set, kind, Symmetry::Symmetric);
                    self.order_sets(con, set, previous, kind, Symmetry::Inverse);
                } else {
                    self.order_sets(con, previous, set, kind, Symmetry::Asymmetric);
                }
            }
            last = Some(set);
        }
    }

    fn symmetry(&self, con: &Order) -> Symmetry {
        let kind = strength(con.kind.as_deref(), con.score.as_deref());
        match con.symmetrical.as_deref().and_then(parse_bool) {
            Some(true) if kind != Strength::Serialize => Symmetry::Symmetric,
            Some(_) => Symmetry::Asymmetric,
            None if kind == Strength::Serialize => Symmetry::Asymmetric,
            None => Symmetry::Symmetric,
        }
    }

    fn simple_order(&mut self, con: &Order, first: RscIx, then: RscIx, symmetry: Symmetry) {
        let kind = strength(con.kind.as_deref(), con.score.as_deref());
        let task = |t: Option<&str>, default: Task| t.map_or(default, Task::parse);
        let first_task = task(con.first_action.as_deref(), Task::Start);
        let then_task = task(con.then_action.as_deref(), first_task);
        let flags = relation(kind, first_task, symmetry);
        if self.is_clone(first) || self.is_bundle(first) {
            let min = self.clone_min(first, con);
            if min > 0 {
                self.order_after_some(con, first, then, (first_task, then_task), min);
                if symmetry == Symmetry::Symmetric {
                    self.inverse_order(kind, (first, first_task), (then, then_task));
                }
                return;
            }
        }
        self.order_tasks((first, first_task), (then, then_task), flags);
        if symmetry == Symmetry::Symmetric {
            self.inverse_order(kind, (first, first_task), (then, then_task));
        }
    }

    fn inverse_order(&mut self, kind: Strength, first: (RscIx, Task), then: (RscIx, Task)) {
        let (f, t) = (inverse(first.1), inverse(then.1));
        let flags = relation(kind, f, Symmetry::Inverse);
        self.order_tasks((then.0, t), (first.0, f), flags);
    }

    /// How many instances of the first have to be up, where not all.
    fn clone_min(&self, first: RscIx, con: &Order) -> i32 {
        if let Some(v) = self.meta(first, "clone-min") {
            return parse(v);
        }
        if let Some(false) = con.require_all.as_deref().and_then(parse_bool) {
            return 1;
        }
        0
    }

    /// Enough instances of the first make the second possible.
    fn order_after_some(
        &mut self,
        con: &Order,
        first: RscIx,
        then: RscIx,
        tasks: (Task, Task),
        min: i32,
    ) {
        let name = format!("clone-one-or-more:{}", con.id);
        let gate = self.pseudo(&name);
        self.actions[gate].flags |= crate::action::flag::MIN_RUNNABLE;
        self.actions[gate].required_before = min;
        let instances = match &self.rscs[first].kind {
            crate::world::Kind::Bundle(b) => b.replicas.iter().map(|p| p.container).collect(),
            _ => self.rscs[first].children.clone(),
        };
        for i in instances {
            self.order_sides(
                Side::Rsc(i, tasks.0, 0),
                Side::Action(gate, None),
                rel::MIN_RUNNABLE | rel::THEN_GRAPHED,
            );
        }
        self.order_sides(
            Side::Action(gate, None),
            Side::Rsc(then, tasks.1, 0),
            rel::ORDERED | rel::UNRUNNABLE_BLOCKS,
        );
    }

    fn members(&self, set: &ResourceSet) -> Vec<RscIx> {
        set.members.iter().flat_map(|m| self.resolve(m)).collect()
    }

    fn set_task(set: &ResourceSet) -> Task {
        set.action.as_deref().map_or(Task::Start, Task::parse)
    }

    fn sequential(set: &ResourceSet) -> bool {
        set.sequential
            .as_deref()
            .and_then(parse_bool)
            .unwrap_or(true)
    }

    fn set_kind(set: &ResourceSet, kind: Strength) -> Strength {
        set.extra
            .iter()
            .find(|(k, _)| k == "kind")
            .map_or(kind, |(_, v)| strength(Some(v), None))
    }

    /// Within a set.
    fn order_set(&mut self, con: &Order, set: &ResourceSet, kind: Strength, symmetrical: bool) {
        let members = self.members(set);
        let sequential = Self::sequential(set);
        let own_kind = Self::set_kind(set, kind);
        let task = Self::set_task(set);
        let symmetry = if symmetrical {
            Symmetry::Symmetric
        } else {
            Symmetry::Asymmetric
        };
        let flags = relation(own_kind, task, symmetry);
        let _ = con;
        if members.len() < 2 {
            return;
        }
        if own_kind == Strength::Serialize {
            for (at, &r) in members.iter().enumerate() {
                for &later in &members[at + 1..] {
                    self.order_tasks((r, task), (later, task), flags);
                }
            }
        } else if sequential {
            for pair in members.windows(2) {
                self.order_tasks((pair[0], task), (pair[1], task), flags);
            }
        }
        if !symmetrical || !sequential {
            return;
        }
        let task = inverse(task);
        let flags = relation(own_kind, task, Symmetry::Inverse);
        for pair in members.windows(2) {
            self.order_tasks((pair[1], task), (pair[0], task), flags);
        }
    }

    /// Between sets.
    fn order_sets(
        &mut self,
        con: &Order,
        first: &ResourceSet,
        then: &ResourceSet,
        kind: Strength,
        symmetry: Symmetry,
    ) {
        let require_all = first
            .require_all
            .as_deref()
            .and_then(parse_bool)
            .unwrap_or(true);
        let (mut f_task, mut t_task) = (Self::set_task(first), Self::set_task(then));
        if symmetry == Symmetry::Inverse {
            f_task = inverse(f_task);
            t_task = inverse(t_task);
        }
        let flags = relation(kind, f_task, symmetry);
        let (a, b) = (self.members(first), self.members(then));
        // Without a sequence within, any one of the first is enough where the set says so.
        let one_enough =
            !require_all && (!Self::sequential(first) || first.extra.iter().any(|_| false));
        if one_enough && symmetry != Symmetry::Inverse {
            let name = format!("one-or-more:{}", first.id);
            let gate = self.pseudo(&name);
            self.actions[gate].flags |= crate::action::flag::MIN_RUNNABLE;
            for &r in &a {
                self.order_sides(
                    Side::Rsc(r, f_task, 0),
                    Side::Action(gate, None),
                    rel::MIN_RUNNABLE | rel::THEN_GRAPHED,
                );
            }
            for &r in &b {
                self.order_sides(
                    Side::Action(gate, None),
                    Side::Rsc(r, t_task, 0),
                    rel::ORDERED | rel::UNRUNNABLE_BLOCKS,
                );
            }
            return;
        }
        let _ = con;
        let reverse = symmetry == Symmetry::Inverse;
        let last_of = |list: &[RscIx]| list.last().copied().into_iter().collect::<Vec<_>>();
        let first_of = |list: &[RscIx]| list.first().copied().into_iter().collect::<Vec<_>>();
        let firsts = if Self::sequential(first) {
            if reverse { first_of(&a) } else { last_of(&a) }
        } else {
            a
        };
        let thens = if Self::sequential(then) {
            if reverse { last_of(&b) } else { first_of(&b) }
        } else {
            b
        };
        for &f in &firsts {
            for &t in &thens {
                self.order_tasks((f, f_task), (t, t_task), flags);
            }
        }
    }

    /// An order on behalf of a key that is not a plain operation.
    pub(crate) fn order_keys(&mut self, con: OrderCon) {
        self.orders.push(con);
    }

    /// Role that an action leads to, for constraints that need one.
    pub(crate) fn role_after(task: Task) -> Role {
        match task {
            Task::Promote | Task::Promoted => Role::Promoted,
            Task::Demote | Task::Demoted => Role::Unpromoted,
            Task::Stop | Task::Stopped => Role::Stopped,
            _ => Role::Started,
        }
    }
}
