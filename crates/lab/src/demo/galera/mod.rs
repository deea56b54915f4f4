//! The second demo: Galera under its agent, broken in turn.

mod fault;
mod scenario;

pub use fault::GaleraFault;
pub use scenario::GaleraScenario;
