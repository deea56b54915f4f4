#![forbid(unsafe_code)]
//! Quorate sim.
