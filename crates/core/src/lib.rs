//! One node of a cluster as a state machine: consensus, membership, leases, controller, transition runner,
//! fencing coordinator, executor.
//!
//! Architecture invariant: `step(now, event) -> effects` and nothing else. No clock, no randomness that was
//! not given, no I/O, no thread. The daemon and the simulator run the same code.
#![forbid(unsafe_code)]

pub mod admin;
pub mod engine;
pub mod event;
pub mod ids;
pub mod node;
pub mod start;
pub mod store;
