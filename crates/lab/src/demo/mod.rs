//! The demo: a database that survives its machine, shown by breaking the machine in ten ways.

mod cluster;
mod configuration;
mod fault;
mod galera;
mod peer;
mod rabbitmq;
mod report;
mod scenario;
mod timeline;
mod watch;

pub use cluster::{Call, Cluster, Milestone, Quorate};
pub use configuration::{Fencing, configuration};
pub use fault::{Expectation, Fault};
pub use galera::{GaleraFault, GaleraScenario};
pub use peer::Peer;
pub use rabbitmq::{BrokerFault, BrokerResult, BrokerScenario};
pub use report::{html, html_of, json};
pub use scenario::{ColdStart, FaultResult, Phases, Scenario};

/// The database servers of the demo.
pub const SERVERS: [&str; 2] = ["server1", "server2"];

/// The third voter.
pub const WITNESS: &str = "witness";
