//! What an agent says about itself: parameters and actions, from its OCF metadata.

use crate::times;

/// Longest metadata that is read.
pub const METADATA_BYTES_MAX: usize = 2 << 20;

/// An agent's description of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentMetadata {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line about it.
    pub short: String,
    /// All about it.
    pub long: String,
    /// Its parameters in their order.
    pub parameters: Vec<Parameter>,
    /// Its actions with the timing it advises.
    pub actions: Vec<Action>,
}

/// A parameter of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The agent does not work without it.
    pub is_required: bool,
    /// A change can be taken by reloading (`reloadable`, or not `unique` in the old meaning).
    pub is_reloadable: bool,
    /// No two resources may share a value: the group of parameters it is unique with.
    pub unique_group: Option<String>,
    /// A newer name exists.
    pub is_deprecated: bool,
    /// Old names of it.
    pub obsoletes: Option<String>,
    /// What values it takes.
    pub kind: ValueKind,
    /// The value when it is not set.
    pub default: Option<String>,
    /// One line about it.
    pub short: String,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ValueKind {
    /// Anything.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A time with or without a unit.
    Time,
    /// One of these.
    Select(Vec<String>),
}

/// An action with the timing that the agent advises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// Advised timeout.
    pub timeout_ms: Option<u64>,
    /// Advised interval.
    pub interval_ms: Option<u64>,
    /// Role it is for.
    pub role: Option<String>,
    /// `OCF_CHECK_LEVEL` it is for.
    pub depth: Option<String>,
    /// It must run on the fenced node's behalf when that joins again (`automatic` of fence agents' `on`).
    pub is_automatic: bool,
    /// It runs on the node that is fenced (`on_target`).
    pub is_on_target: bool,
}

/// Why metadata could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Too long.
    #[error("the agent's metadata has {0} bytes, more than {METADATA_BYTES_MAX}")]
    TooLarge(usize),
    /// No XML.
    #[error("the agent's metadata is not well-formed XML: {0}")]
    Xml(String),
    /// Other XML.
    #[error("the agent's metadata begins with <{0}>, not with <resource-agent>")]
    Root(String),
}

/// Reads the text that `agent meta-data` prints.
pub fn parse(text: &str) -> Result<AgentMetadata, MetadataError> {
    if text.len() > METADATA_BYTES_MAX {
        return Err(MetadataError::TooLarge(text.len()));
    }
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        nodes_limit: 100_000,
        ..Default::default()
    };
    let document = roxmltree::Document::parse_with_options(text.trim_start(), options)
        .map_err(|error| MetadataError::Xml(error.to_string()))?;
    let root = document.root_element();
    if root.tag_name().name() != "resource-agent" {
        return Err(MetadataError::Root(root.tag_name().name().to_owned()));
    }
    let child = |name: &str| text_of(root.children().find(|child| child.has_tag_name(name)));
    let all = |list: &str, item: &'static str| {
        let list = root.children().find(|child| child.has_tag_name(list));
        list.into_iter()
            .flat_map(move |list| {
                list.children()
                    .filter(move |child| child.has_tag_name(item))
            })
            .collect::<Vec<_>>()
    };
    Ok(AgentMetadata {
        name: root.attribute("name").unwrap_or("").to_owned(),
        version: root
            .attribute("version")
            .map_or_else(|| child("version"), str::to_owned),
        short: child("shortdesc"),
        long: child("longdesc"),
        parameters: all("parameters", "parameter")
            .into_iter()
            .filter_map(parameter)
            .collect(),
        actions: all("actions", "action")
            .into_iter()
            .filter_map(action)
            .collect(),
    })
}

fn text_of(node: Option<roxmltree::Node<'_, '_>>) -> String {
    node.and_then(|node| node.text())
        .unwrap_or("")
        .trim()
        .to_owned()
}

fn flag(node: roxmltree::Node<'_, '_>, name: &str) -> bool {
    node.attribute(name)
        .is_some_and(|value| is_true(value) == Some(true))
}

/// The truth of a word as Pacemaker and agents read it.
pub fn is_true(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn parameter(node: roxmltree::Node<'_, '_>) -> Option<Parameter> {
    let content = node.children().find(|child| child.has_tag_name("content"));
    let kind = match content
        .and_then(|content| content.attribute("type"))
        .unwrap_or("string")
    {
        "integer" => ValueKind::Integer,
        "boolean" => ValueKind::Boolean,
        "time" | "second" | "timeout" | "duration" => ValueKind::Time,
        "select" => {
            let options = content.into_iter().flat_map(|content| content.children());
            let options = options.filter(|child| child.has_tag_name("option"));
            ValueKind::Select(
                options
                    .filter_map(|option| option.attribute("value"))
                    .map(str::to_owned)
                    .collect(),
            )
        }
        _ => ValueKind::Text,
    };
    let unique_group = match (node.attribute("unique-group"), flag(node, "unique")) {
        (Some(group), _) => Some(group.to_owned()),
        (None, true) => node.attribute("name").map(str::to_owned),
        (None, false) => None,
    };
    Some(Parameter {
        name: node.attribute("name")?.to_owned(),
        is_required: flag(node, "required"),
        is_reloadable: flag(node, "reloadable"),
        unique_group,
        is_deprecated: flag(node, "deprecated")
            || node
                .children()
                .any(|child| child.has_tag_name("deprecated")),
        obsoletes: node.attribute("obsoletes").map(str::to_owned),
        kind,
        default: content
            .and_then(|content| content.attribute("default"))
            .map(str::to_owned),
        short: text_of(
            node.children()
                .find(|child| child.has_tag_name("shortdesc")),
        ),
    })
}

fn action(node: roxmltree::Node<'_, '_>) -> Option<Action> {
    let time = |name: &str| node.attribute(name).and_then(times::milliseconds);
    Some(Action {
        name: node.attribute("name")?.to_owned(),
        timeout_ms: time("timeout"),
        interval_ms: time("interval"),
        role: node.attribute("role").map(str::to_owned),
        depth: node.attribute("depth").map(str::to_owned),
        is_automatic: flag(node, "automatic"),
        is_on_target: flag(node, "on_target"),
    })
}

impl AgentMetadata {
    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// The advice for an action, a role's own before the general one.
    pub fn advice(&self, name: &str, role: Option<&str>) -> Option<&Action> {
        let of_name = || self.actions.iter().filter(|action| action.name == name);
        let role = role.map(role_word);
        of_name()
            .find(|action| role.is_some() && action.role.as_deref().map(role_word) == role)
            .or_else(|| of_name().find(|action| action.role.is_none()))
            .or_else(|| of_name().next())
    }
}

/// One word for both names of a role.
pub(crate) fn role_word(role: &str) -> String {
    match role.to_ascii_lowercase().as_str() {
        "master" => "promoted".to_owned(),
        "slave" => "unpromoted".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parameters_and_actions() {
        let text = r#"<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="thing" version="1.1">
 <shortdesc lang="en">A thing</shortdesc>
 <parameters>
  <parameter name="ip" unique="1" required="1"><content type="string"/></parameter>
  <parameter name="mode"><content type="select" default="a"><option value="a"/><option value="b"/></content></parameter>
 </parameters>
 <actions>
  <action name="start" timeout="120s"/>
  <action name="monitor" timeout="30" interval="10s" role="Promoted" depth="0"/>
  <action name="monitor" timeout="20" interval="10s"/>
 </actions>
</resource-agent>"#;
        let metadata = parse(text).expect("well formed");
        assert!(metadata.parameters[0].is_required);
        assert_eq!(metadata.parameters[0].unique_group.as_deref(), Some("ip"));
        assert_eq!(
            metadata.parameters[1].kind,
            ValueKind::Select(vec!["a".into(), "b".into()])
        );
        assert_eq!(
            metadata.advice("start", None).and_then(|a| a.timeout_ms),
            Some(120_000)
        );
        assert_eq!(
            metadata.advice("monitor", None).and_then(|a| a.timeout_ms),
            Some(20_000)
        );
        assert_eq!(
            metadata
                .advice("monitor", Some("Master"))
                .and_then(|a| a.timeout_ms),
            Some(30_000)
        );
        assert!(matches!(parse("<a/>"), Err(MetadataError::Root(_))));
        assert!(matches!(parse("no"), Err(MetadataError::Xml(_))));
    }
}
