//! The scheduler: (configuration, status, now) -> plan.
//!
//! Architecture invariant: a pure function. No clock, no randomness, no I/O, no global state; equal input
//! gives an equal plan, whatever the order of elements whose order has no meaning.
#![forbid(unsafe_code)]
// What bundles and shutdown locks need is read before anything schedules by it.
#![allow(dead_code)]
#![allow(missing_docs)] // Inner modules are private to the engine; what is public of them is documented.

mod action;
mod action_index;
mod actions;
pub mod budget;
pub mod converge;
mod digest;
mod emit;
pub mod event;
pub mod explain;
mod facts;
pub mod faults;
mod fencing;
mod graph;
mod graph_xml;
mod ledger;
mod notify;
mod nvset;
mod opconfig;
mod options;
mod ordering;
pub mod outage;
mod pattern;
mod placement;
pub mod plan;
mod reasons;
mod relation;
mod rule;
pub mod score;
mod scores;
pub mod simulate;
mod sorting;
pub mod source;
mod text;
pub mod time;
mod unfencing;
mod world;

use quorate_model::cib::Cib;

/// When the decision is taken, and what the caller wants overridden.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Unix seconds; rules and failure timeouts are judged at this time.
    pub now: i64,
    /// Notifications that instances have not heard yet.
    pub owed: Vec<Owed>,
    /// A promoted instance that is well keeps its role against one whose promotion score is higher by no more than
    /// its stickiness. Pacemaker counts the stickiness of both for their places, so that it holds neither.
    pub promoted_stick: bool,
}

/// Something that happened to an instance of a clone with notifications, and that not all others were told of: the
/// transition in which it happened ended too early, or it was no transition (its node was fenced meanwhile).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owed {
    /// `demote`, `stop`, `start` or `promote`.
    pub operation: String,
    /// The instance.
    pub resource: String,
    /// Where it happened.
    pub node: String,
}

/// Decides what has to happen.
#[must_use]
pub fn schedule(cib: &Cib, options: &Options) -> plan::Plan {
    decide(cib, options)
}

/// Decides with the full pipeline.
#[must_use]
pub fn decide(cib: &Cib, options: &Options) -> plan::Plan {
    let world = run(cib, options, false);
    emit::plan(&world)
}

/// The whole pipeline.
pub(crate) fn run<'c>(cib: &'c Cib, options: &Options, log_scores: bool) -> world::World<'c> {
    decided(facts::gather(cib, options.now), options, log_scores)
}

/// What follows from the facts.
pub(crate) fn decided<'c>(
    mut world: world::World<'c>,
    options: &Options,
    log_scores: bool,
) -> world::World<'c> {
    world.owed.clone_from(&options.owed);
    world.promoted_stick = options.promoted_stick;
    if log_scores {
        world.score_log = Some(Vec::new());
    }
    through_stages(&mut world);
    world
}

/// The whole pipeline with the ledger open.
pub(crate) fn run_noting<'c>(cib: &'c Cib, options: &Options) -> world::World<'c> {
    let mut world = facts::gather_noting(cib, options.now, Some(Box::default()));
    world.owed.clone_from(&options.owed);
    world.promoted_stick = options.promoted_stick;
    through_stages(&mut world);
    world
}

fn through_stages(world: &mut world::World<'_>) {
    world.apply_health();
    world.unpack_constraints();
    world.apply_node_criteria();
    world.internal_constraints();
    world.handle_config_changes();
    world.place();
    world.create_actions();
    world.order_remote_connections();
    world.schedule_fencing_and_shutdowns();
    world.apply_orderings();
    world.remember_roles();
    world.build_graph();
    #[cfg(debug_assertions)]
    world.check_graph();
}
