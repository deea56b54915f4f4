//! Whole clusters under virtual time in one thread: production core, store and codec; a faulty world.
//!
//! A seed is a [`scenario::Scenario`]; [`world::run`] plays it around the code under test; the
//! [`checkers`] judge the world's truth after each thing that happens.
#![forbid(unsafe_code)]

pub mod brain;
pub mod checkers;
pub mod disk;
#[cfg(test)]
mod fake;
mod machine;
pub mod network;
pub mod queue;
pub mod rng;
pub mod scenario;
pub mod shrink;
pub mod time;
pub mod trace;
pub mod truth;
pub mod world;
