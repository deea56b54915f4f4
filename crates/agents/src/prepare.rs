//! From the core's order to what is done on this machine.

use quorate_core::event::{AgentCall, AgentResult};

use crate::execute::Invocation;
use crate::metadata::{self, Description};
use crate::stonith::{self, FencePlan, Kind};
use crate::surroundings::Surroundings;
use crate::{lsb, ocf, outcome};

/// What an order comes down to.
pub enum Prepared {
    /// A program under a supervisor.
    Program(Invocation),
    /// A fence action: programs in turn, perhaps after a delay, perhaps tried again.
    Fence(FencePlan),
    /// A job for systemd.
    Unit(String),
    /// Nothing is to be run.
    Done(AgentResult),
}

/// A name that is one path component and nothing else.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// The programs that a call comes down to, for whoever wants to see or repeat them by hand. May ask the agent for
/// its metadata. A unit has none: systemd does the work.
pub fn programs(surroundings: &Surroundings, call: &AgentCall) -> Result<Vec<Invocation>, String> {
    let provider = call.provider.as_deref();
    let agent = match call.class.as_str() {
        "stonith" => metadata::describe(surroundings, &call.class, provider, &call.agent).ok(),
        _ => None,
    };
    match prepare(surroundings, call, agent.as_deref()) {
        Prepared::Program(job) => Ok(vec![job]),
        Prepared::Fence(plan) => Ok(plan.steps.into_iter().map(|step| step.job).collect()),
        Prepared::Unit(_) => Ok(Vec::new()),
        Prepared::Done(result) => Err(result.exit_reason),
    }
}

/// Decides what to run.
#[must_use]
pub fn prepare(
    surroundings: &Surroundings,
    call: &AgentCall,
    agent: Option<&Description>,
) -> Prepared {
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
        "stonith" => {
            let kind = Kind::of(&call.agent);
            let (Kind::FenceAgent(name) | Kind::External(name) | Kind::Glue(name)) = kind;
            if !is_plain_name(name) {
                return refuse(format!("`stonith:{}` is no fence agent's name", call.agent));
            }
            match stonith::plan(surroundings, call, agent) {
                Ok(plan) => Prepared::Fence(plan),
                Err(reason) => refuse(reason),
            }
        }
        "systemd" if !is_plain_name(&call.agent) => {
            refuse(format!("`systemd:{}` is no unit's name", call.agent))
        }
        "systemd" => Prepared::Unit(call.agent.clone()),
        // Whatever this machine's init calls it: a unit where systemd runs, else an init script.
        "service" if !is_plain_name(&call.agent) => {
            refuse(format!("`service:{}` is no service's name", call.agent))
        }
        "service" if std::path::Path::new("/run/systemd/system").is_dir() => {
            Prepared::Unit(call.agent.clone())
        }
        "service" => Prepared::Program(lsb::invocation(surroundings, call)),
        other => refuse(format!("resources of class `{other}` are not supported")),
    }
}
