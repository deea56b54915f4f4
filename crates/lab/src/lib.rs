//! Hosts on one machine: for the demo, for integration tests and for an operator's rehearsal.
//!
//! Each host boots a real systemd over the machine's own root, has two heartbeat links, a service network,
//! its own path to a shared disk, and a BMC whose power-off kills it as a power loss does.
//!
//! ```no_run
//! use quorate_lab::{Lab, LabOptions};
//! let lab = Lab::up(&LabOptions::new("example", &["n1", "n2"]))?;
//! lab.host("n1")?.run(["hostname"])?;
//! lab.host("n2")?.power_off()?;
//! # Ok::<(), quorate_lab::LabError>(())
//! ```

mod bmc;
mod cgroup;
mod client;
pub mod database;
pub mod demo;
mod disk;
mod error;
pub mod galera;
mod host;
mod interrupt;
mod lab;
mod layout;
mod net;
pub mod publisher;
pub mod rabbitmq;
mod run;

pub use bmc::BmcMode;
pub use client::{Client, Outage, Target};
pub use error::LabError;
pub use host::Host;
pub use interrupt::down_on_interrupt;
pub use lab::{HostStatus, Lab, LabOptions, state_dir};
pub use layout::{
    BMC_PASSWORD, BMC_USER, HOSTS_MAX, LAB_ADDRESS, Link, STATE_DEFAULT, VIRTUAL_ADDRESS,
};
pub use net::inside;
