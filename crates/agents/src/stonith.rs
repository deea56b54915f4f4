//! Fence devices: which program a `stonith:` agent is, and how each kind is called.
//!
//! * `fence_*`: fence-agents; `name=value` lines on standard input.
//! * `external/*`: plugins of cluster-glue; an action as argument, parameters in the environment.
//! * anything else: a compiled plugin of cluster-glue, through its `stonith` command.

use std::path::{Path, PathBuf};

use quorate_core::event::AgentCall;

use crate::execute::{Invocation, OUTPUT_BYTES_MAX};
use crate::fence_device::Device;
use crate::metadata::Description;
use crate::surroundings::Surroundings;

/// Which family a device's agent belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// fence-agents.
    FenceAgent(&'a str),
    /// `external/NAME` of cluster-glue.
    External(&'a str),
    /// A compiled plugin of cluster-glue.
    Glue(&'a str),
}

/// How to understand the end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// 0 is success, all else is failure.
    Success,
    /// fence-agents' `status`: 0 on, 2 off, else unknown.
    FenceStatus,
    /// `ipmitool power status`: the words tell.
    Ipmitool,
}

/// One program of a fence action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The program.
    pub job: Invocation,
    /// What its end means.
    pub reading: Reading,
    /// The action fails if this step does (the `on` after an `off` is not needed for safety).
    pub is_required: bool,
}

/// A fence action, ready to be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FencePlan {
    /// Its programs in order.
    pub steps: Vec<Step>,
    /// How often a step is tried.
    pub attempts: u32,
    /// Milliseconds to wait before the first step, at least and at most.
    pub delay_ms: (u64, u64),
    /// Milliseconds for all of it, the delay not counted.
    pub timeout_ms: u64,
}

impl<'a> Kind<'a> {
    /// Of an agent's name.
    #[must_use]
    pub fn of(agent: &'a str) -> Self {
        match agent.strip_prefix("external/") {
            Some(name) => Self::External(name),
            None if agent.starts_with("fence_") => Self::FenceAgent(agent),
            None => Self::Glue(agent),
        }
    }

    /// The program that is run.
    #[must_use]
    pub fn program(self, surroundings: &Surroundings) -> PathBuf {
        match self {
            Self::FenceAgent(name) => surroundings.fence_agents.join(name),
            Self::External(name) => surroundings.stonith_plugins.join("external").join(name),
            Self::Glue(_) => "/usr/sbin/stonith".into(),
        }
    }
}

/// What plugins of cluster-glue expect: their helper `ha_log.sh` on the path.
#[must_use]
pub fn glue_environment(surroundings: &Surroundings) -> Vec<(String, String)> {
    let mut variables = surroundings.base_environment();
    for (name, value) in &mut variables {
        if name == "PATH" {
            value.push_str(":/usr/share/cluster-glue");
        }
    }
    // Without a log facility its messages go to standard error, where we keep them.
    variables.push(("HA_LOGD".into(), "no".into()));
    variables.push(("HA_LOGFACILITY".into(), "none".into()));
    // What a plugin logs is its reason: it belongs to the call's output.
    variables.push(("HA_LOGFILE".into(), "/dev/stderr".into()));
    variables.push(("HA_LOGTAG".into(), "stonith".into()));
    variables
}

/// Plugins print their parameters only; the rest is what all of them have in common.
#[must_use]
pub fn wrap_glue_metadata(agent: &str, parameters: &str) -> String {
    // Some print a declaration of their own.
    let parameters = match parameters.find("<parameters") {
        Some(at) => &parameters[at..],
        None => "<parameters/>",
    };
    format!(
        "<?xml version=\"1.0\"?>\n<resource-agent name=\"{agent}\">\n<version>1.0</version>\n\
         <shortdesc lang=\"en\">STONITH plugin {agent}</shortdesc>\n{parameters}\n<actions>\n\
         <action name=\"start\" timeout=\"20\"/>\n<action name=\"stop\" timeout=\"15\"/>\n\
         <action name=\"status\" timeout=\"20\"/>\n<action name=\"monitor\" timeout=\"20\" interval=\"3600\"/>\n\
         <action name=\"reboot\"/>\n<action name=\"on\"/>\n<action name=\"off\"/>\n<action name=\"list\"/>\n\
         <action name=\"meta-data\" timeout=\"15\"/>\n</actions>\n</resource-agent>\n"
    )
}

/// Plans a fence action. `Err` says why it cannot be done; `Ok` without steps is done already.
pub fn plan(
    surroundings: &Surroundings,
    call: &AgentCall,
    agent: Option<&Description>,
) -> Result<FencePlan, String> {
    let device = Device::new(&call.parameters);
    let mut plan = FencePlan {
        attempts: device.attempts(&call.action),
        timeout_ms: device.timeout_ms(&call.action, call.timeout_ms),
        ..FencePlan::default()
    };
    if matches!(call.action.as_str(), "off" | "reboot") {
        plan.delay_ms = device.delay_ms(call.target.as_deref().unwrap_or_default());
    }
    if call.action == "stop" {
        // Nothing runs on this node for a device: to stop it is to stop using it.
        return Ok(plan);
    }
    plan.steps = match Kind::of(&call.agent) {
        Kind::FenceAgent(_) => fence_agent_steps(surroundings, call, &device, agent)?,
        Kind::External(name) => external_steps(surroundings, call, &device, name)?,
        Kind::Glue(name) => glue_steps(surroundings, call, &device, name)?,
    };
    for step in &mut plan.steps {
        step.job.timeout_ms = plan.timeout_ms;
    }
    Ok(plan)
}

fn needs_target(call: &AgentCall) -> Result<&str, String> {
    call.target
        .as_deref()
        .filter(|target| !target.is_empty())
        .ok_or_else(|| {
            format!(
                "`{}` of {} needs the name of a node",
                call.action, call.resource
            )
        })
}

/// What the device calls the target; looked up before, it stands in `port`.
fn plug_of(call: &AgentCall, device: &Device<'_>) -> Result<String, String> {
    let target = needs_target(call)?;
    let port = call.parameters.iter().find(|(name, _)| name == "port");
    Ok(port.map_or_else(|| device.plug(target), |(_, port)| port.clone()))
}

fn job(program: &Path, arguments: Vec<String>, environment: Vec<(String, String)>) -> Invocation {
    Invocation {
        program: program.to_string_lossy().into_owned(),
        arguments,
        environment,
        input: String::new(),
        timeout_ms: 0,
        output_bytes_max: OUTPUT_BYTES_MAX as u64,
        ..Invocation::default()
    }
}

/// Parameters of the agent itself: not those that tell the cluster how to use it.
fn own_parameters(call: &AgentCall) -> impl Iterator<Item = &(String, String)> {
    call.parameters.iter().filter(|(name, value)| {
        !name.starts_with("pcmk_")
            && !name.starts_with("CRM_meta")
            && !matches!(
                name.as_str(),
                "crm_feature_set" | "provides" | "stonith-timeout"
            )
            && !name.contains(['=', '\n', '\0'])
            && !value.contains(['\n', '\0'])
    })
}

fn fence_agent_steps(
    surroundings: &Surroundings,
    call: &AgentCall,
    device: &Device<'_>,
    agent: Option<&Description>,
) -> Result<Vec<Step>, String> {
    let supports = |action: &str| agent.is_none_or(|agent| agent.has_action(action));
    let one = |action: &str, reading| Step {
        job: Invocation {
            input: fence_agent_input(call, device, agent, &device.action(action)),
            ..job(
                &Kind::of(&call.agent).program(surroundings),
                Vec::new(),
                surroundings.base_environment(),
            )
        },
        reading,
        is_required: true,
    };
    Ok(match call.action.as_str() {
        "power-status" | "status" if call.target.is_some() => {
            vec![one("status", Reading::FenceStatus)]
        }
        "start" | "monitor" | "status" => {
            let action = if supports("monitor") {
                "monitor"
            } else {
                "status"
            };
            vec![one(action, Reading::Success)]
        }
        "reboot" => {
            needs_target(call)?;
            if supports("reboot") || device.has_own_action("reboot") {
                vec![one("reboot", Reading::Success)]
            } else {
                let on = Step {
                    is_required: false,
                    ..one("on", Reading::Success)
                };
                vec![one("off", Reading::Success), on]
            }
        }
        "off" => {
            needs_target(call)?;
            vec![one("off", Reading::Success)]
        }
        "on" => {
            needs_target(call)?;
            vec![one("on", Reading::Success)]
        }
        other => vec![one(other, Reading::Success)],
    })
}

/// Standard input of a fence agent.
fn fence_agent_input(
    call: &AgentCall,
    device: &Device<'_>,
    agent: Option<&Description>,
    action: &str,
) -> String {
    let mut lines = vec![format!("action={action}")];
    let value_of = |name: &str| call.parameters.iter().find(|(known, _)| known == name);
    // What is given stands, as with Pacemaker: a device for one plug, or a plug that was looked up before.
    let is_fixed = ["plug", "port"]
        .iter()
        .filter_map(|name| value_of(name))
        .any(|(_, value)| value != "dynamic");
    if let Some(target) = &call.target {
        lines.push(format!("nodename={target}"));
        if !is_fixed {
            for argument in device.plug_arguments(agent) {
                lines.push(format!("{argument}={}", device.plug(target)));
            }
        }
    }
    for (name, value) in own_parameters(call) {
        let is_replaced = matches!(name.as_str(), "plug" | "port") && value == "dynamic";
        if name != "action" && name != "option" && !is_replaced {
            lines.push(format!("{name}={value}"));
        }
    }
    lines.join("\n") + "\n"
}

/// What an order is called among plugins of cluster-glue.
fn glue_action(call: &AgentCall, device: &Device<'_>) -> Result<(String, bool), String> {
    let action = device.action(&call.action);
    Ok(match action.as_str() {
        "reboot" => ("reset".to_owned(), true),
        "off" | "on" | "reset" => (action, true),
        "start" | "monitor" | "status" => ("status".to_owned(), false),
        "list" => ("gethosts".to_owned(), false),
        "getconfignames" => (action, false),
        other => return Err(format!("plugins of cluster-glue have no action `{other}`")),
    })
}

fn external_steps(
    surroundings: &Surroundings,
    call: &AgentCall,
    device: &Device<'_>,
    name: &str,
) -> Result<Vec<Step>, String> {
    if call.action == "power-status" {
        return match name {
            "ipmi" => Ok(vec![ipmitool_step(surroundings, call)?]),
            _ => Err(format!(
                "stonith:external/{name} cannot tell whether a machine is off: its `status` speaks of the device \
                 only. Where that matters (two nodes), use fence-agents or external/ipmi"
            )),
        };
    }
    let (action, wants_target) = glue_action(call, device)?;
    let mut arguments = vec![action];
    if wants_target {
        arguments.push(plug_of(call, device)?);
    }
    let mut environment = glue_environment(surroundings);
    environment.extend(own_parameters(call).cloned());
    let program = Kind::External(name).program(surroundings);
    Ok(vec![Step {
        job: job(&program, arguments, environment),
        reading: Reading::Success,
        is_required: true,
    }])
}

fn glue_steps(
    surroundings: &Surroundings,
    call: &AgentCall,
    device: &Device<'_>,
    name: &str,
) -> Result<Vec<Step>, String> {
    if call.action == "power-status" {
        return Err(format!(
            "stonith:{name} cannot tell whether a machine is off"
        ));
    }
    let (action, wants_target) = glue_action(call, device)?;
    let mut arguments: Vec<String> = ["-t", name, "-E"].map(str::to_owned).to_vec();
    if wants_target {
        arguments.extend(["-T".to_owned(), action, plug_of(call, device)?]);
    } else {
        arguments.push(if action == "gethosts" { "-l" } else { "-S" }.to_owned());
    }
    let mut environment = glue_environment(surroundings);
    environment.extend(own_parameters(call).cloned());
    let program = Kind::Glue(name).program(surroundings);
    Ok(vec![Step {
        job: job(&program, arguments, environment),
        reading: Reading::Success,
        is_required: true,
    }])
}

/// Asks the management controller itself, with the device's parameters as the plugin uses them.
fn ipmitool_step(surroundings: &Surroundings, call: &AgentCall) -> Result<Step, String> {
    let value = |name: &str| {
        let found = call.parameters.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let required = |name: &str| {
        value(name).ok_or_else(|| format!("{} has no parameter `{name}`", call.resource))
    };
    let mut arguments = vec![
        "-I".to_owned(),
        value("interface").unwrap_or("lan").to_owned(),
    ];
    arguments.extend(["-H".to_owned(), required("ipaddr")?.to_owned()]);
    if let Some(privilege) = value("priv") {
        arguments.extend(["-L".to_owned(), privilege.to_owned()]);
    }
    arguments.extend(["-U".to_owned(), required("userid")?.to_owned()]);
    let mut environment = surroundings.base_environment();
    environment.push(("LC_ALL".into(), "C".into()));
    let password = required("passwd")?;
    if value("passwd_method") == Some("file") {
        arguments.extend(["-f".to_owned(), password.to_owned()]);
    } else {
        // Not as an argument: every user of the machine could read it.
        environment.push(("IPMI_PASSWORD".into(), password.to_owned()));
        arguments.push("-E".to_owned());
    }
    arguments.extend(["power".to_owned(), "status".to_owned()]);
    let program = value("ipmitool").unwrap_or("/usr/bin/ipmitool");
    Ok(Step {
        job: job(program.as_ref(), arguments, environment),
        reading: Reading::Ipmitool,
        is_required: true,
    })
}
