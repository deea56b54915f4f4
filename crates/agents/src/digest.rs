//! Digests of a call's parameters, byte for byte as Pacemaker computes them, so that a history from there is
//! understood and a changed parameter is noticed.

use md5::{Digest as _, Md5};
use quorate_core::event::{AgentCall, Digests};

use crate::metadata::{Description, Parameter};

/// Attributes of a call that say nothing about the resource's configuration.
const NOT_PARAMETERS: [&str; 8] = [
    "id",
    "crm_feature_set",
    "op-digest",
    "on_node",
    "on_node_uuid",
    "pcmk_external_ip",
    "OCF_RESKEY_crm_feature_set",
    "",
];

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for char in value.chars() {
        match char {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '"' => text.push_str("&quot;"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
    text
}

/// MD5 over the `parameters` element with its attributes sorted by name.
#[must_use]
pub fn of_parameters(parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = parameters.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    // The blank before and the newline after belong to the format: old digests were made with them.
    let mut text = String::from(" <parameters");
    for (name, value) in sorted {
        text.push_str(&format!(" {name}=\"{}\"", escaped(value)));
    }
    text.push_str("/>\n");
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The parameters that count for `op-digest`.
fn counted(call: &AgentCall) -> Vec<(String, String)> {
    let mut counted: Vec<(String, String)> = call
        .parameters
        .iter()
        .filter(|(name, _)| {
            !NOT_PARAMETERS.contains(&name.as_str()) && !name.starts_with("CRM_meta_")
        })
        .cloned()
        .collect();
    if call.interval_ms > 0 {
        // A recurring monitor with another timeout is another monitor.
        let timeout = call.meta.iter().find(|(name, _)| name == "timeout");
        counted.extend(timeout.map(|(_, value)| ("CRM_meta_timeout".to_owned(), value.clone())));
    }
    counted
}

/// ` a b `: searched for ` NAME `, hence the blanks.
fn list<'a>(names: impl Iterator<Item = &'a Parameter>) -> Option<String> {
    let names: Vec<&str> = names.map(|parameter| parameter.name.as_str()).collect();
    (!names.is_empty()).then(|| format!(" {} ", names.join(" ")))
}

fn given(call: &AgentCall, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    call.parameters
        .iter()
        .filter(|(name, _)| wanted(name))
        .cloned()
        .collect()
}

/// All digests of a call, given what its agent says of itself.
#[must_use]
pub fn of_call(call: &AgentCall, agent: &Description) -> Digests {
    let mut digests = Digests {
        all: of_parameters(&counted(call)),
        ..Digests::default()
    };
    let needs_restart: Option<fn(&Parameter) -> bool> = if agent.has_action("reload-agent") {
        Some(|parameter| !parameter.is_reloadable)
    } else if agent.has_action("reload") {
        Some(|parameter| parameter.is_unique)
    } else {
        None
    };
    // Recurring monitors are never a reason for a reload.
    if let Some(needs_restart) = needs_restart.filter(|_| call.interval_ms == 0) {
        digests.force_restart = list(agent.parameters.iter().filter(|one| needs_restart(one)));
        if digests.force_restart.is_some() {
            let counts = |name: &str| agent.parameter(name).is_some_and(needs_restart);
            digests.restart = Some(of_parameters(&given(call, counts)));
        }
    }
    digests.secure_params = list(agent.parameters.iter().filter(|one| one.is_private));
    if digests.secure_params.is_some() {
        let counts = |name: &str| agent.parameter(name).is_some_and(|one| !one.is_private);
        digests.secure = Some(of_parameters(&given(call, counts)));
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn of_nothing() {
        // The best known digest of all Pacemaker clusters.
        assert_eq!(of_parameters(&[]), "f2317cad3d54cec5d7d7aa7d0bf35cf8");
    }

    #[test]
    fn of_a_recurring_monitor() {
        let call = AgentCall {
            meta: vec![pair("timeout", "20000")],
            timeout_ms: 20_000,
            interval_ms: 10_000,
            ..AgentCall::default()
        };
        let digests = of_call(&call, &Description::default());
        assert_eq!(digests.all, "4811cef7f7f94e3a35a70be7916cb2fd");
    }

    #[test]
    fn order_does_not_matter_and_secrets_do() {
        let agent = crate::metadata::parse(
            "test",
            "<resource-agent><parameters><parameter name='user'/><parameter name='passwd' private='1'/>\
             <parameter name='state' unique='1'/></parameters>\
             <actions><action name='reload'/></actions></resource-agent>",
        )
        .expect("well-formed");
        let call = |parameters| AgentCall {
            parameters,
            ..AgentCall::default()
        };
        let one = of_call(
            &call(vec![
                pair("user", "a"),
                pair("passwd", "x"),
                pair("state", "/s"),
            ]),
            &agent,
        );
        let two = of_call(
            &call(vec![
                pair("state", "/s"),
                pair("passwd", "y"),
                pair("user", "a"),
            ]),
            &agent,
        );
        assert_ne!(one.all, two.all);
        assert_eq!(one.secure, two.secure);
        assert_eq!(one.restart, two.restart);
        assert_eq!(one.force_restart.as_deref(), Some(" state "));
        assert_eq!(one.secure_params.as_deref(), Some(" passwd "));
    }
}
