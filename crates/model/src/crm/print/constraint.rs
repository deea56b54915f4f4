//! Constraints and fencing levels as statements.

use super::{Printer, pair_text, score_text};
use crate::cib::{Configuration, Constraint, Extra, FencingLevel, Location, ResourceSet};

impl Printer {
    pub(super) fn constraint(&mut self, constraint: &Constraint) {
        match constraint {
            Constraint::Location(location) => self.location(location),
            Constraint::Colocation(c) => {
                let mut words = vec![format!("colocation {}", c.id)];
                words.extend(
                    c.score
                        .as_deref()
                        .map(|score| format!("{}:", score_text(score))),
                );
                words.extend(
                    c.resource
                        .as_deref()
                        .map(|name| suffixed(name, c.role.as_deref(), &c.extra, "rsc-instance")),
                );
                words.extend(c.with.as_deref().map(|name| {
                    suffixed(name, c.with_role.as_deref(), &c.extra, "with-rsc-instance")
                }));
                words.extend(sets(&c.sets));
                words.extend(
                    c.node_attribute
                        .as_deref()
                        .map(|name| pair_text("node-attribute", Some(name))),
                );
                words.extend(
                    c.influence
                        .as_deref()
                        .map(|value| pair_text("influence", Some(value))),
                );
                words.extend(others(&c.extra));
                self.line(&words.join(" "));
            }
            Constraint::Order(c) => {
                let mut words = vec![format!("order {}", c.id)];
                words.extend(c.kind.as_deref().map(|kind| format!("{kind}:")));
                words.extend(c.first.as_deref().map(|name| {
                    suffixed(name, c.first_action.as_deref(), &c.extra, "first-instance")
                }));
                words.extend(c.then.as_deref().map(|name| {
                    suffixed(name, c.then_action.as_deref(), &c.extra, "then-instance")
                }));
                words.extend(sets(&c.sets));
                let named = [
                    ("score", &c.score),
                    ("symmetrical", &c.symmetrical),
                    ("require-all", &c.require_all),
                ];
                words.extend(
                    named
                        .iter()
                        .filter_map(|(name, value)| Some(pair_text(name, Some(value.as_deref()?)))),
                );
                words.extend(others(&c.extra));
                self.line(&words.join(" "));
            }
            Constraint::Ticket(c) => {
                let mut words = vec![format!("rsc_ticket {} {}:", c.id, c.ticket)];
                words.extend(
                    c.resource
                        .as_deref()
                        .map(|name| suffixed(name, c.role.as_deref(), &c.extra, "")),
                );
                words.extend(sets(&c.sets));
                words.extend(
                    c.loss_policy
                        .as_deref()
                        .map(|policy| pair_text("loss-policy", Some(policy))),
                );
                words.extend(others(&c.extra));
                self.line(&words.join(" "));
            }
        }
    }

    fn location(&mut self, location: &Location) {
        let mut words = vec![format!("location {}", location.id)];
        words.extend(location.resource.clone());
        words.extend(location.pattern.as_deref().map(|pattern| {
            let text = format!("/{pattern}/");
            if pattern.contains([' ', '"', '\'', '\\']) {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            } else {
                text
            }
        }));
        if !location.sets.is_empty() {
            words.push("{".to_owned());
            words.extend(sets(&location.sets));
            words.push("}".to_owned());
        }
        words.extend(
            location
                .role
                .as_deref()
                .map(|role| pair_text("role", Some(role))),
        );
        words.extend(
            location
                .discovery
                .as_deref()
                .map(|value| pair_text("resource-discovery", Some(value))),
        );
        words.extend(others(&location.extra));
        if let (Some(score), Some(node)) = (&location.score, &location.node) {
            words.push(format!("{}: {}", score_text(score), super::quote(node)));
        }
        let rules: Vec<String> = location.rules.iter().map(|rule| self.rule(rule)).collect();
        self.statement(&words.join(" "), &rules);
    }

    /// One statement for all levels.
    pub(super) fn fencing(&mut self, configuration: &Configuration) {
        let levels = &configuration.fencing_levels;
        if let Some(devices) = same_for_all(configuration) {
            self.line(&format!("fencing_topology {}", devices.join(" ")));
            return;
        }
        let mut parts = Vec::new();
        let mut last: Option<&FencingLevel> = None;
        for level in levels {
            let same = last.is_some_and(|last| target(last) == target(level));
            let devices = level.devices.join(",");
            if same {
                if let Some(part) = parts.last_mut() {
                    *part = format!("{part} {devices}");
                }
            } else {
                parts.push(format!("{} {devices}", target(level)));
            }
            last = Some(level);
        }
        self.statement("fencing_topology", &parts);
    }
}

fn target(level: &FencingLevel) -> String {
    match (
        &level.target,
        &level.target_pattern,
        &level.target_attribute,
    ) {
        (Some(node), _, _) => format!("{node}:"),
        (None, Some(pattern), _) => format!("pattern:{pattern}"),
        (None, None, Some(name)) => format!(
            "attr:{name}={}",
            level.target_value.as_deref().unwrap_or("")
        ),
        (None, None, None) => String::new(),
    }
}

/// The devices of each level, when all nodes have the same and nothing else is there.
fn same_for_all(configuration: &Configuration) -> Option<Vec<String>> {
    let levels = &configuration.fencing_levels;
    let of = |node: &str| -> Vec<String> {
        let of_node = levels
            .iter()
            .filter(|level| level.target.as_deref() == Some(node));
        of_node.map(|level| level.devices.join(",")).collect()
    };
    let first = of(&configuration.nodes.first()?.uname);
    let nodes = configuration.nodes.len();
    let all_same = configuration
        .nodes
        .iter()
        .all(|node| of(&node.uname) == first);
    (all_same && !first.is_empty() && levels.len() == nodes * first.len()).then_some(first)
}

/// `name:role`, `name:action` or `name:instance`.
fn suffixed(name: &str, suffix: Option<&str>, extra: &Extra, instance: &str) -> String {
    let instance = extra
        .iter()
        .find(|(known, _)| known == instance)
        .map(|(_, value)| value.as_str());
    match suffix.or(instance) {
        Some(suffix) => format!("{name}:{suffix}"),
        None => name.to_owned(),
    }
}

fn others(extra: &Extra) -> Vec<String> {
    let instances = [
        "rsc-instance",
        "with-rsc-instance",
        "first-instance",
        "then-instance",
    ];
    let others = extra
        .iter()
        .filter(|(name, _)| !instances.contains(&name.as_str()));
    others
        .map(|(name, value)| pair_text(name, Some(value)))
        .collect()
}

/// Sets in brackets; one in order without any.
fn sets(sets: &[ResourceSet]) -> Vec<String> {
    let is_off = |flag: &Option<String>| flag.as_deref() == Some("false");
    sets.iter()
        .map(|set| {
            let suffix = set.role.as_deref().or(set.action.as_deref());
            let names = set
                .members
                .iter()
                .map(|name| suffixed(name, suffix, &Extra::new(), ""));
            let mut words: Vec<String> = names.collect();
            let (open, close) = match (is_off(&set.sequential), is_off(&set.require_all)) {
                (true, false) => ("( ", " )"),
                (_, true) => ("[ ", " ]"),
                (false, false) => ("", ""),
            };
            if is_off(&set.require_all) && !is_off(&set.sequential) {
                words.push("sequential=true".to_owned());
            }
            words.extend(
                set.score
                    .as_deref()
                    .map(|score| pair_text("score", Some(score))),
            );
            format!("{open}{}{close}", words.join(" "))
        })
        .collect()
}
