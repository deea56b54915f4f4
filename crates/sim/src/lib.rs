//! Whole clusters under virtual time in one thread: production core, store and codec; a faulty world.
#![forbid(unsafe_code)]

pub mod disk;
pub mod rng;
