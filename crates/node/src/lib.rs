//! The daemon around `quorate_core`: links with mutual TLS, the durable store's thread, agents, the local socket.
//!
//! Architecture invariant: nothing here decides what the cluster does. This crate carries bytes, time and
//! results to the core and carries out its effects.
#![forbid(unsafe_code)]

pub mod alert;
pub mod boot;
pub mod clock;
pub mod config;
pub mod daemon;
mod dead_peer;
pub mod driver;
pub mod files;
pub mod join;
pub mod link;
pub mod local;
pub mod log;
pub mod pki;
pub mod priority;
pub mod remote;
pub mod renewal;
pub mod rotation;
pub mod storage;
pub mod watchdog;
mod world;
