//! Endpoints that point clients at the living server.
//!
//! `clustercheck` answers a load balancer's HTTP health check for the database on this host, in the role of
//! the galera clustercheck daemons, with their options.
//!
//! Architecture invariant: this crate knows no cluster manager. It asks the database and answers; it runs as
//! a process of its own, so that the daemon stays small.
#![forbid(unsafe_code)]

pub mod check;
pub mod my_cnf;
pub mod server;
pub mod verdict;
