//! From the core's order to what is done on this machine.

use quorate_core::event::{AgentCall, AgentResult};

use crate::execute::Invocation;
use crate::surroundings::Surroundings;
use crate::{lsb, ocf, outcome};

/// What an order comes down to.
pub enum Prepared {
    /// A program under a supervisor.
    Program(Invocation),
    /// Nothing is to be run.
    Done(AgentResult),
}

/// A name that is one path component and nothing else.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Decides what to run.
#[must_use]
pub fn prepare(surroundings: &Surroundings, call: &AgentCall) -> Prepared {
    let provider = call.provider.as_deref().unwrap_or("heartbeat");
    let refuse = |reason: String| Prepared::Done(outcome::not_run(reason));
    match call.class.as_str() {
        "ocf" if !is_plain_name(provider) || !is_plain_name(&call.agent) => refuse(format!(
            "`ocf:{provider}:{}` is no agent's name",
            call.agent
        )),
        "ocf" => Prepared::Program(ocf::invocation(surroundings, call)),
        "lsb" if !is_plain_name(&call.agent) => {
            refuse(format!("`lsb:{}` is no init script's name", call.agent))
        }
        "lsb" => Prepared::Program(lsb::invocation(surroundings, call)),
        other => refuse(format!("resources of class `{other}` are not supported")),
    }
}
