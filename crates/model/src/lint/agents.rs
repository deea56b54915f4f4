//! Parameters against what the agents say of themselves.

use super::view::pairs;
use super::{AgentFact, Linter};
use crate::cib::{Pair, SetKind};
use crate::diag::{Code, Diagnostic, Severity, nearest};
use crate::metadata::{AgentMetadata, Parameter, ValueKind, is_true};
use crate::options;
use crate::times;
use std::collections::BTreeMap;

/// Agents that have a successor.
const OBSOLETE: &[(&str, &str, &str)] = &[
    (
        "ocf:heartbeat:LVM",
        "ocf:heartbeat:LVM-activate",
        "it does not protect a volume group from being active on two hosts",
    ),
    (
        "ocf:heartbeat:clvm",
        "ocf:heartbeat:lvmlockd",
        "clvmd is gone",
    ),
    (
        "ocf:heartbeat:IPaddr",
        "ocf:heartbeat:IPaddr2",
        "it uses ifconfig",
    ),
    (
        "ocf:heartbeat:pingd",
        "ocf:pacemaker:ping",
        "it is no longer maintained",
    ),
    (
        "ocf:pacemaker:pingd",
        "ocf:pacemaker:ping",
        "it is no longer maintained",
    ),
    (
        "stonith:external/ssh",
        "stonith:fence_ipmilan",
        "it cannot power off a host that does not answer: for tests only",
    ),
    (
        "stonith:ssh",
        "stonith:fence_ipmilan",
        "it cannot power off a host that does not answer: for tests only",
    ),
    (
        "stonith:null",
        "stonith:fence_ipmilan",
        "it always says that it succeeded: for tests only",
    ),
    (
        "stonith:external/null",
        "stonith:fence_ipmilan",
        "it always says that it succeeded: for tests only",
    ),
];

impl Linter<'_> {
    pub(super) fn agents(&mut self) {
        let mut found = Vec::new();
        for view in &self.views {
            let Some(name) = view.agent() else { continue };
            let id = &view.primitive.id;
            let class_span = self.spans.near(id, "class");
            if let Some((_, successor, reason)) = OBSOLETE.iter().find(|(old, _, _)| *old == name) {
                let diagnostic =
                    Diagnostic::new(Code::ObsoleteAgent, format!("`{name}` is superseded"))
                        .at(class_span, *reason)
                        .help(format!("use `{successor}`"));
                found.push(diagnostic.about(id.clone()));
            }
            match self.facts.agents.get(&name) {
                Some(AgentFact::Missing) => {
                    let installed = self
                        .facts
                        .agents
                        .iter()
                        .filter(|(_, fact)| matches!(fact, AgentFact::Known(_)));
                    let near = nearest(&name, installed.map(|(name, _)| name.as_str()));
                    let mut diagnostic = Diagnostic::new(
                        Code::MissingAgent,
                        format!("the agent `{name}` is not installed here"),
                    )
                    .at(class_span, "no such agent")
                    .because("every start on this host would fail")
                    .about(id.clone());
                    diagnostic = match near {
                        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                        None => diagnostic.help(install_help(&name)),
                    };
                    found.push(diagnostic);
                }
                Some(AgentFact::Unreadable(reason)) => {
                    let diagnostic = Diagnostic::new(
                        Code::MissingAgent,
                        format!("`{name}` does not describe itself: {reason}"),
                    )
                    .weighing(Severity::Warning)
                    .at(class_span, "its parameters and timeouts cannot be checked");
                    found.push(diagnostic.about(id.clone()));
                }
                Some(AgentFact::Known(metadata)) => {
                    let own: Vec<&Pair> = pairs(&view.primitive.sets, SetKind::Instance).collect();
                    let all: Vec<&Pair> = view.parameters().collect();
                    self.parameters(id, view.is_fence_device(), metadata, &own, &mut found);
                    let is_referring = view.primitive.sets.iter().any(|set| set.id_ref.is_some());
                    if !view.is_template && !is_referring {
                        self.required(id, view.is_fence_device(), metadata, &all, &mut found);
                    }
                    self.supported(id, view, metadata, &mut found);
                }
                None => {}
            }
        }
        self.found.append(&mut found);
        self.unique_values();
    }

    fn parameters(
        &self,
        id: &str,
        is_device: bool,
        metadata: &AgentMetadata,
        own: &[&Pair],
        found: &mut Vec<Diagnostic>,
    ) {
        // Agents that describe no parameter at all cannot be judged.
        if metadata.parameters.is_empty() {
            return;
        }
        for pair in own.iter().filter(|pair| !pair.name.is_empty()) {
            let pair_id = pair.id.as_deref().unwrap_or("");
            if let Some(parameter) = metadata.parameter(&pair.name) {
                if let Some(objection) = pair
                    .value
                    .as_deref()
                    .and_then(|value| objection(parameter, value))
                {
                    let diagnostic = Diagnostic::new(
                        Code::BadParameter,
                        format!("`{}` of `{id}`: {objection}", pair.name),
                    )
                    .at(self.spans.near(pair_id, "value"), "wrong kind of value")
                    .help(format!("{}: {}", pair.name, parameter.short));
                    found.push(diagnostic.about(id));
                }
                continue;
            }
            if (is_device && options::is_fencing_parameter(&pair.name))
                || pair.name.starts_with("crmd_")
                || pair.name.starts_with("CRM_meta")
            {
                continue;
            }
            let span = self.spans.get(pair_id, "");
            let mut diagnostic = Diagnostic::new(Code::UnknownParameter, format!("the agent of `{id}` has no parameter `{}`", pair.name))
                .at(span, format!("{} does not know it", metadata.name))
                .because("the agent ignores what it does not know: a misspelt parameter silently keeps its default")
                .about(id);
            let names = metadata
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str());
            diagnostic = match nearest(&pair.name, names) {
                Some(near) => {
                    let diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                    match span {
                        Some(span)
                            if self.text.get(span.start..span.start + pair.name.len())
                                == Some(&pair.name) =>
                        {
                            diagnostic.fix(
                                crate::diag::Span::new(span.start, span.start + pair.name.len()),
                                near,
                            )
                        }
                        _ => diagnostic,
                    }
                }
                None => {
                    let names: Vec<&str> = metadata
                        .parameters
                        .iter()
                        .filter(|p| !p.is_deprecated)
                        .map(|p| p.name.as_str())
                        .take(12)
                        .collect();
                    diagnostic.help(format!(
                        "it knows {}{}",
                        names.join(", "),
                        if metadata.parameters.len() > 12 {
                            " ..."
                        } else {
                            ""
                        }
                    ))
                }
            };
            found.push(diagnostic);
        }
    }

    fn required(
        &self,
        id: &str,
        is_device: bool,
        metadata: &AgentMetadata,
        all: &[&Pair],
        found: &mut Vec<Diagnostic>,
    ) {
        for parameter in metadata
            .parameters
            .iter()
            .filter(|parameter| parameter.is_required)
        {
            let has = |name: &str| {
                all.iter()
                    .any(|pair| pair.name == name || pair.id_ref.is_some() && pair.name.is_empty())
            };
            // `action` comes from the cluster, and a port or plug from the node that is to be fenced.
            let is_given =
                is_device && matches!(parameter.name.as_str(), "action" | "port" | "plug");
            let old_name = parameter.obsoletes.as_deref().is_some_and(has);
            if has(&parameter.name) || old_name || is_given {
                continue;
            }
            let diagnostic = Diagnostic::new(
                Code::MissingParameter,
                format!("`{id}` lacks the parameter `{}`", parameter.name),
            )
            .at(
                self.spans.get(id, ""),
                format!("{} requires it", metadata.name),
            )
            .help(format!("{}: {}", parameter.name, parameter.short));
            found.push(diagnostic.about(id));
        }
    }

    fn supported(
        &self,
        id: &str,
        view: &super::View<'_>,
        metadata: &AgentMetadata,
        found: &mut Vec<Diagnostic>,
    ) {
        if metadata.actions.is_empty() || view.is_fence_device() {
            return;
        }
        for operation in &view.primitive.operations.list {
            let offers = metadata
                .actions
                .iter()
                .any(|action| action.name == operation.name);
            if offers || operation.name == "monitor" {
                continue;
            }
            let names: Vec<&str> = metadata
                .actions
                .iter()
                .map(|action| action.name.as_str())
                .collect();
            let mut diagnostic = Diagnostic::new(
                Code::UnsupportedOperation,
                format!("the agent of `{id}` offers no `{}`", operation.name),
            )
            .at(
                self.spans.get(&operation.id, ""),
                "it would fail as unimplemented",
            );
            if let Some(near) = nearest(&operation.name, names) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            found.push(diagnostic.about(id));
        }
    }

    /// Two resources with one value of a parameter that must be unique.
    fn unique_values(&mut self) {
        let mut seen: BTreeMap<(String, String, String), (String, Option<String>)> =
            BTreeMap::new();
        let mut found = Vec::new();
        for view in self.views.iter().filter(|view| !view.is_template) {
            let (Some(name), Some(metadata)) = (view.agent(), self.metadata(view)) else {
                continue;
            };
            // A group of several parameters is unique together; single ones are what happens in practice.
            let alone = metadata.parameters.iter().filter(|parameter| {
                let group = parameter.unique_group.as_ref();
                group.is_some()
                    && metadata
                        .parameters
                        .iter()
                        .filter(|other| other.unique_group.as_ref() == group)
                        .count()
                        == 1
            });
            for parameter in alone {
                let Some(pair) = view.parameter(&parameter.name) else {
                    continue;
                };
                let Some(value) = pair.value.clone().filter(|value| !value.is_empty()) else {
                    continue;
                };
                let key = (name.clone(), parameter.name.clone(), value);
                let id = &view.primitive.id;
                match seen.get(&key) {
                    Some((other, other_pair)) => found.push(
                        Diagnostic::new(
                            Code::BadParameter,
                            format!("`{id}` and `{other}` have one `{}`", parameter.name),
                        )
                        .at(
                            pair.id.as_deref().and_then(|id| self.spans.get(id, "")),
                            "the agent says it must be unique",
                        )
                        .also(
                            other_pair.as_deref().and_then(|id| self.spans.get(id, "")),
                            "also here",
                        )
                        .because("one would stop or hide the other")
                        .about(id.clone()),
                    ),
                    None => {
                        seen.insert(key, (id.clone(), pair.id.clone()));
                    }
                }
            }
        }
        self.found.append(&mut found);
    }
}

/// What is wrong with a value by the agent's own description.
fn objection(parameter: &Parameter, value: &str) -> Option<String> {
    let expected = match &parameter.kind {
        ValueKind::Integer if value.trim().parse::<i64>().is_err() => "a whole number".to_owned(),
        // An agent that calls its cookie a truth value has described it wrongly; nobody means that.
        ValueKind::Boolean
            if is_true(value).is_none()
                && !parameter.name.contains("cookie")
                && !parameter.name.contains("passw") =>
        {
            "true or false".to_owned()
        }
        ValueKind::Time if times::milliseconds(value).is_none() => "a time".to_owned(),
        ValueKind::Select(options)
            if !options.is_empty() && !options.iter().any(|option| option == value) =>
        {
            format!("one of {}", options.join(", "))
        }
        _ => return None,
    };
    Some(format!("`{value}` is not {expected}"))
}

/// How to get an agent.
fn install_help(name: &str) -> String {
    let package = match name {
        name if name.starts_with("stonith:fence_") => "fence-agents",
        name if name.starts_with("stonith:") => "cluster-glue",
        name if name.starts_with("ocf:heartbeat:") => "resource-agents",
        name if name.starts_with("ocf:pacemaker:") => "pacemaker-resource-agents",
        name if name.starts_with("ocf:rabbitmq:") => "rabbitmq-server",
        name if name.starts_with("systemd:") => "the service's own package",
        _ => "the package that ships it",
    };
    format!("install {package} on every node, or correct the name")
}
