//! Whole clusters under virtual time in one thread: production core, store and codec; a faulty world.
#![forbid(unsafe_code)]

pub mod checkers;
pub mod disk;
pub mod network;
pub mod queue;
pub mod rng;
pub mod time;
pub mod trace;
pub mod truth;
