//! Runs what the cluster manages: OCF agents, init scripts, systemd units, fence devices; and knows what their
//! metadata say.
//!
//! Architecture invariant: this crate decides nothing. It carries out one `AgentCall`, tells truthfully how it
//! ended, and never loses an exit code, not even when the daemon dies in between (see `journal`).

pub mod bounded;
pub mod digest;
pub mod execute;
pub mod fence_device;
mod fencing;
pub mod journal;
pub mod lsb;
pub mod metadata;
pub mod ocf;
pub mod outcome;
mod prepare;
pub mod processes;
mod runner;
pub mod stonith;
mod supervise;
mod surroundings;
pub mod systemd;
mod view;
pub mod watch;
pub mod watchdog;

pub use metadata::{MetadataError, metadata};
pub use prepare::programs;
pub use runner::{OpenError, Runner};
pub use supervise::supervise;
pub use surroundings::Surroundings;
