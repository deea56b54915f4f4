//! OCF agents: what they are called with, as the OCF API 1.1 and Pacemaker define it.

use std::path::PathBuf;

use quorate_core::event::AgentCall;

use crate::execute::{Invocation, OUTPUT_BYTES_MAX};
use crate::surroundings::Surroundings;
use crate::view;

/// Feature set that agents compare with; the one of the Pacemaker whose tool outputs we answer with.
pub const CRM_FEATURE_SET: &str = "3.16.2";

/// A parameter that is handed over under its own name.
const CHECK_LEVEL: &str = "OCF_CHECK_LEVEL";

/// Agents that distributions install under another provider than their authors do: each name stands for the other
/// where only one of them is installed.
pub const MOVED: &[(&str, &str, &str)] = &[("rabbitmq-server-ha", "rabbitmq", "heartbeat")];

/// Path of an OCF agent.
#[must_use]
pub fn path(surroundings: &Surroundings, provider: Option<&str>, agent: &str) -> PathBuf {
    let of = |provider: &str| {
        let directory = surroundings.ocf_root.join("resource.d");
        directory.join(provider).join(agent)
    };
    let provider = provider.unwrap_or("heartbeat");
    let named = of(provider);
    if named.exists() {
        return named;
    }
    let other = MOVED.iter().find_map(|(name, one, other)| match provider {
        _ if *name != agent => None,
        _ if provider == *one => Some(of(other)),
        _ if provider == *other => Some(of(one)),
        _ => None,
    });
    other.filter(|other| other.exists()).unwrap_or(named)
}

/// Variables that stand in every OCF call, `meta-data` included.
#[must_use]
pub fn common_environment(
    surroundings: &Surroundings,
    provider: Option<&str>,
    agent: &str,
) -> Vec<(String, String)> {
    let mut variables = surroundings.base_environment();
    let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));
    set("OCF_ROOT", &surroundings.ocf_root.to_string_lossy());
    set("OCF_RA_VERSION_MAJOR", "1");
    set("OCF_RA_VERSION_MINOR", "1");
    set("OCF_EXIT_REASON_PREFIX", "ocf-exit-reason:");
    set("OCF_RESOURCE_TYPE", agent);
    set("OCF_RESOURCE_PROVIDER", provider.unwrap_or("heartbeat"));
    set("HA_RSCTMP", "/run/resource-agents");
    set("HA_DEBUGLOG", "/dev/null");
    set("HA_debug", "0");
    if let Some(tools) = &surroundings.tools {
        set("HA_SBIN_DIR", &tools.to_string_lossy());
    }
    variables
}

/// `CRM_meta_*` variables of a call with those that every operation has.
fn meta(call: &AgentCall) -> Vec<(String, String)> {
    let mut all = call.meta.clone();
    let mut add = |name: &str, value: String| {
        if !all.iter().any(|(known, _)| known == name) {
            all.push((name.to_owned(), value));
        }
    };
    add("timeout", call.timeout_ms.to_string());
    add("name", call.action.clone());
    if call.interval_ms > 0 {
        add("interval", call.interval_ms.to_string());
    }
    all
}

/// The environment of a call.
#[must_use]
pub fn environment(surroundings: &Surroundings, call: &AgentCall) -> Vec<(String, String)> {
    let provider = call.provider.as_deref();
    let mut variables = common_environment(surroundings, provider, &call.agent);
    variables.push(("OCF_RESOURCE_INSTANCE".into(), call.instance.clone()));
    if !call
        .parameters
        .iter()
        .any(|(name, _)| name == "crm_feature_set")
    {
        variables.push(("OCF_RESKEY_crm_feature_set".into(), CRM_FEATURE_SET.into()));
    }
    for (name, value) in &call.parameters {
        let name = match name.as_str() {
            CHECK_LEVEL => name.clone(),
            _ => format!("OCF_RESKEY_{}", name.replace('-', "_")),
        };
        variables.push((name, value.clone()));
    }
    for (name, value) in meta(call) {
        let name = name.replace('-', "_");
        variables.push((format!("OCF_RESKEY_CRM_meta_{name}"), value));
    }
    // A NUL would end the variable early, and the system refuses it.
    variables.retain(|(name, value)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    });
    variables
}

/// The exact call.
#[must_use]
pub fn invocation(surroundings: &Surroundings, call: &AgentCall) -> Invocation {
    let path = path(surroundings, call.provider.as_deref(), &call.agent);
    let tools = surroundings.tools.as_deref();
    let tools_view = tools.filter(|tools| view::is_needed(&path, tools));
    Invocation {
        program: path.to_string_lossy().into_owned(),
        arguments: vec![call.action.clone()],
        environment: environment(surroundings, call),
        input: String::new(),
        timeout_ms: call.timeout_ms,
        output_bytes_max: OUTPUT_BYTES_MAX as u64,
        tools_view: tools_view.map_or_else(String::new, |at| at.to_string_lossy().into_owned()),
    }
}

/// What an exit code says, where the API documents it.
#[must_use]
pub fn meaning(code: i32) -> Option<&'static str> {
    Some(match code {
        0 => "ok",
        1 => "unspecified error",
        2 => "invalid parameter",
        3 => "action not implemented",
        4 => "insufficient privileges",
        5 => "not installed",
        6 => "not configured",
        7 => "not running",
        8 => "running, promoted",
        9 => "failed, promoted",
        190 => "degraded",
        191 => "degraded, promoted",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let found = variables.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    #[test]
    fn environment_of_a_monitor() {
        let surroundings = Surroundings {
            tools: Some("/usr/lib/quorate/tools".into()),
            ..Surroundings::default()
        };
        let call = AgentCall {
            resource: "db:1".into(),
            instance: "db".into(),
            class: "ocf".into(),
            agent: "mysql".into(),
            action: "monitor".into(),
            parameters: vec![
                ("datadir".into(), "/srv/db".into()),
                ("OCF_CHECK_LEVEL".into(), "10".into()),
            ],
            meta: vec![
                ("notify_start_uname".into(), "n1 ".into()),
                ("clone-max".into(), "2".into()),
            ],
            timeout_ms: 30_000,
            interval_ms: 20_000,
            ..AgentCall::default()
        };
        let all = environment(&surroundings, &call);
        for (name, expected) in [
            ("OCF_RESOURCE_INSTANCE", "db"),
            ("OCF_RESOURCE_TYPE", "mysql"),
            ("OCF_RESOURCE_PROVIDER", "heartbeat"),
            ("OCF_RESKEY_datadir", "/srv/db"),
            ("OCF_CHECK_LEVEL", "10"),
            ("OCF_RESKEY_CRM_meta_timeout", "30000"),
            ("OCF_RESKEY_CRM_meta_interval", "20000"),
            ("OCF_RESKEY_CRM_meta_clone_max", "2"),
            ("OCF_RESKEY_CRM_meta_notify_start_uname", "n1 "),
            ("HA_SBIN_DIR", "/usr/lib/quorate/tools"),
        ] {
            assert_eq!(value(&all, name), Some(expected), "{name}");
        }
        assert!(
            value(&all, "PATH").is_some_and(|path| path.starts_with("/usr/lib/quorate/tools:"))
        );
    }
}
