//! One node of a cluster as a state machine: consensus, membership, leases, controller, transition runner,
//! fencing coordinator, executor.
//!
//! Architecture invariant: `step(now, event) -> effects` and nothing else. No clock, no randomness that was
//! not given, no I/O, no thread. The daemon and the simulator run the same code.
#![forbid(unsafe_code)]

pub mod admin;
pub mod apply;
pub mod consensus;
pub mod contact;
pub mod controller;
pub mod devices;
pub mod document;
pub mod engine;
pub mod entry;
pub mod event;
pub mod executor;
pub mod facts;
pub mod fencing;
pub mod ids;
pub mod lease;
pub mod message;
pub mod node;
pub mod orders;
pub mod outbox;
pub mod pair;
pub mod requests;
pub mod rng;
pub mod roster;
pub mod runner;
pub mod seeded;
pub mod start;
pub mod state;
pub mod store;
pub mod transfer;
pub mod view;
pub mod wire;
pub mod world;
