//! RabbitMQ under a publisher with confirms, broken in seven ways.

mod fault;
mod scenario;

pub use fault::BrokerFault;
pub use scenario::{BrokerResult, BrokerScenario};
