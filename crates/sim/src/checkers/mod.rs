//! One checker for each invariant of the design's section 8. Each sees every fact right after it happened and
//! judges the world's truth; none reads a node's memory.

mod exclusive;
mod fencing;
mod holders;
pub mod liveness;
mod log;
mod once;
mod order;
mod rows;
mod terms;

use crate::truth::{Fact, Truth};

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The checker that found it.
    pub checker: &'static str,
    /// What happened, for people.
    pub what: String,
}

/// Watches one invariant.
pub trait Checker {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Something happened; the truth is that after it.
    ///
    /// # Errors
    /// The invariant is broken: a sentence.
    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String>;
}

/// All checkers, fresh.
#[must_use]
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<exclusive::Exclusive>::default(),
        Box::<holders::Holders>::default(),
        Box::<log::Log>::default(),
        Box::<terms::Terms>::default(),
        Box::<once::Once>::default(),
        Box::<order::Order>::default(),
        Box::<fencing::Fencing>::default(),
        Box::<liveness::Liveness>::default(),
        Box::<rows::Rows>::default(),
    ]
}

#[cfg(test)]
pub(crate) mod bad_worlds {
    //! Hand-made worlds for the checkers' own tests.

    use super::*;
    use crate::truth::{Host, Kind, Machine, Resource, Stage};
    use quorate_core::event::Outcome;

    /// Three machines, a group of disk, address and database.
    pub fn world() -> Truth {
        let mut truth = Truth::default();
        for _ in 0..3 {
            truth.machines.push(Machine {
                powered: true,
                booted: true,
                daemon: true,
                ..Machine::default()
            });
        }
        let group = [
            ("disk", Kind::Mount, None),
            ("address", Kind::Address, Some("disk")),
            ("db", Kind::Database, Some("address")),
        ];
        for (name, kind, after) in group {
            truth.resources.insert(
                name.into(),
                Resource {
                    name: name.into(),
                    kind,
                    after: after.map(str::to_owned),
                    copies_max: 1,
                },
            );
        }
        truth
    }

    pub fn set(truth: &mut Truth, host: usize, resource: &str, stage: Stage) {
        truth.machines[host].stages.insert(resource.into(), stage);
    }

    pub fn begins(host: usize, resource: &str, action: &str, name: &str) -> Fact {
        Fact::RunBegins {
            host: Host(host),
            resource: resource.into(),
            action: action.into(),
            name: name.into(),
            recurring: false,
        }
    }

    pub fn ends(host: usize, resource: &str, action: &str, rc: i32) -> Fact {
        Fact::RunEnds {
            host: Host(host),
            resource: resource.into(),
            action: action.into(),
            outcome: Outcome::Exited(rc),
            recurring: false,
        }
    }
}
