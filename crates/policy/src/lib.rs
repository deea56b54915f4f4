//! The scheduler: (configuration, status, now) -> plan.
//!
//! Architecture invariant: a pure function. No clock, no randomness, no I/O, no global state; equal input
//! gives an equal plan, whatever the order of elements whose order has no meaning.
#![forbid(unsafe_code)]

mod basic;
pub mod budget;
pub mod plan;

use quorate_model::cib::Cib;

/// When the decision is taken, and what the caller wants overridden.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Unix seconds; rules and failure timeouts are judged at this time.
    pub now: i64,
}

/// Decides what has to happen.
#[must_use]
pub fn schedule(cib: &Cib, _options: &Options) -> plan::Plan {
    basic::schedule(cib)
}
