//! Reading XML that becomes the cluster's own text: older forms are upgraded, and what has no place is named.
//!
//! [`read`](super::read::read) keeps what it finds, so that a recorded information base means today what it meant
//! when it was recorded. Whoever imports one wants today's spelling, and wants to know what was respelled.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, ParsingOptions};

use super::read::{NODES_MAX, ReadResult, read};
use super::write;
use crate::cib::{AttributeSet, Cib, Configuration, Constraint, Pair, SetKind};
use crate::crm::{Spans, each_set};
use crate::diag::{Code, Diagnostic, Span};
use crate::options;

/// Most findings about what has no place: a foreign document would name every element.
const LOST_MAX: usize = 50;

/// Options of the cluster that were renamed; all of them changed `_` to `-` only.
const RENAMED_OPTIONS: &[(&str, &str)] = &[("transition_idle_timeout", "cluster-delay")];

/// Options of the cluster that became defaults of resources (or of operations): old name, new name.
const RESOURCE_DEFAULTS: &[(&str, &str)] = &[
    ("default-resource-stickiness", "resource-stickiness"),
    ("is-managed-default", "is-managed"),
    ("default-migration-threshold", "migration-threshold"),
];
const OPERATION_DEFAULTS: &[(&str, &str)] = &[("default-action-timeout", "timeout")];

/// Parameters of fence devices that were renamed.
const FENCE_PARAMETERS: &[&str] = &["list", "monitor", "off", "on", "reboot", "status"];

/// Reads a CIB, upgrades older forms, and says so.
///
/// # Errors
/// As [`read`](super::read::read).
pub fn import(text: &str) -> ReadResult<(Cib, Vec<Diagnostic>)> {
    let mut cib = read(text)?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    // It was read a moment ago: what cannot be parsed did not come here.
    let Ok(document) = Document::parse_with_options(text, options) else {
        return Ok((cib, Vec::new()));
    };
    let places = Places::of(&document);
    let mut notes = lost(&document, &cib);
    let mut upgrade = Upgrade {
        places,
        notes: Vec::new(),
    };
    upgrade.schema(&document);
    upgrade.access(&document);
    upgrade.options(&mut cib.configuration);
    upgrade.meta(&mut cib.configuration);
    upgrade.fence_parameters(&mut cib.configuration);
    upgrade.orders(&mut cib.configuration);
    notes.append(&mut upgrade.notes);
    notes.sort_by_key(|note| note.span);
    Ok((cib, notes))
}

/// Where the parts of a configuration stand in its XML, under the names that [`Spans`] has for them.
pub(crate) fn places(text: &str) -> Spans {
    let mut spans = Spans::default();
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let Ok(document) = Document::parse_with_options(text, options) else {
        return spans;
    };
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let Some(id) = node.attribute("id") else {
            continue;
        };
        let name = node.tag_name().name();
        if name == "resource_ref" || name == "obj_ref" {
            let owner = node
                .ancestors()
                .skip(1)
                .filter(|above| !above.has_tag_name("resource_set"))
                .find_map(|above| above.attribute("id"));
            if let Some(owner) = owner {
                spans.put(owner, &format!("ref:{id}"), span(node));
            }
            continue;
        }
        let id = match node.attribute("uname").filter(|_| name == "node") {
            Some(uname) => format!("node:{uname}"),
            None => id.to_owned(),
        };
        spans.put(&id, "", span(node));
        for attribute in node.attributes().filter(|a| a.name() != "id") {
            let range = attribute.range_value();
            let place = Span::new(range.start, range.end);
            spans.put(&id, attribute.name(), place);
            spans.put(&id, &format!("ref:{}", attribute.value()), place);
        }
    }
    spans
}

/// Where elements are, by id.
struct Places(BTreeMap<String, Span>);

impl Places {
    fn of(document: &Document<'_>) -> Self {
        let mut places = BTreeMap::new();
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            if let Some(id) = node.attribute("id") {
                places.entry(id.to_owned()).or_insert_with(|| span(node));
            }
        }
        Self(places)
    }

    fn pair(&self, pair: &Pair) -> Option<Span> {
        self.0.get(pair.id.as_deref()?).copied()
    }
}

/// The start tag: findings point at what is wrong, not at everything inside it.
fn span(node: roxmltree::Node<'_, '_>) -> Span {
    let range = node.range();
    let text = node.document().input_text();
    let end = text[range.clone()]
        .find('>')
        .map_or(range.end, |at| range.start + at + 1);
    Span::new(range.start, end)
}

struct Upgrade {
    places: Places,
    notes: Vec<Diagnostic>,
}

impl Upgrade {
    fn note(&mut self, span: Option<Span>, message: String, label: impl Into<String>) {
        self.notes
            .push(Diagnostic::new(Code::UpgradedForm, message).at(span, label));
    }

    /// A schema that is older than what the language speaks.
    fn schema(&mut self, document: &Document<'_>) {
        let root = document.root_element();
        let Some(schema) = root.attribute("validate-with") else {
            return;
        };
        let number = schema.trim_start_matches("pacemaker-");
        if number.starts_with("0.") || number.starts_with("1.") || number.starts_with("2.") {
            self.note(
                Some(span(root)),
                format!("written for the schema `{schema}`: older forms are respelled as schema 3 has them"),
                "an older schema",
            );
        }
    }

    /// Access rules of schema 1: users with rules of their own.
    fn access(&mut self, document: &Document<'_>) {
        for node in document.descendants() {
            let name = node.tag_name().name();
            let is_old = name == "acl_user"
                || (matches!(name, "read" | "write" | "deny")
                    && node
                        .parent()
                        .is_some_and(|parent| parent.has_tag_name("acl_role")));
            if is_old {
                let new = if name == "acl_user" {
                    "acl_target"
                } else {
                    "acl_permission"
                };
                self.note(
                    Some(span(node)),
                    format!("the access rule <{name}> became <{new}>"),
                    "form of schema 1",
                );
            }
        }
    }

    /// Options with underscores, and those that became defaults.
    fn options(&mut self, configuration: &mut Configuration) {
        let mut moved: Vec<(bool, Pair, &'static str)> = Vec::new();
        for set in &mut configuration.options {
            let mut kept = Vec::new();
            for mut pair in std::mem::take(&mut set.pairs) {
                let dashed = pair.name.replace('_', "-");
                let find = |list: &[(&'static str, &'static str)]| {
                    list.iter()
                        .find(|(old, _)| *old == dashed)
                        .map(|(_, new)| *new)
                };
                if let Some(new) = find(RESOURCE_DEFAULTS) {
                    moved.push((true, pair, new));
                    continue;
                }
                if let Some(new) = find(OPERATION_DEFAULTS) {
                    moved.push((false, pair, new));
                    continue;
                }
                let renamed = RENAMED_OPTIONS
                    .iter()
                    .find(|(old, _)| *old == pair.name)
                    .map(|(_, new)| (*new).to_owned());
                let new = renamed.or_else(|| {
                    (dashed != pair.name && options::find(options::CLUSTER, &dashed).is_some())
                        .then_some(dashed)
                });
                if let Some(new) = new {
                    self.note(
                        self.places.pair(&pair),
                        format!("the option `{}` is called `{new}` now", pair.name),
                        "older name",
                    );
                    pair.name = new;
                }
                kept.push(pair);
            }
            set.pairs = kept;
        }
        for (of_resources, pair, new) in moved {
            let (section, sets, id) = if of_resources {
                (
                    "rsc_defaults",
                    &mut configuration.resource_defaults,
                    "rsc-options",
                )
            } else {
                (
                    "op_defaults",
                    &mut configuration.operation_defaults,
                    "op-options",
                )
            };
            self.note(
                self.places.pair(&pair),
                format!("the option `{}` became `{section} {new}`", pair.name),
                "older place",
            );
            default(
                sets,
                id,
                Pair {
                    id: Some(format!("{id}-{new}")),
                    name: new.to_owned(),
                    ..pair
                },
            );
        }
    }

    /// Meta attributes with underscores.
    fn meta(&mut self, configuration: &mut Configuration) {
        let mut found = Vec::new();
        each_set(configuration, &mut |set| {
            if set.kind != SetKind::Meta {
                return;
            }
            for pair in &mut set.pairs {
                let dashed = pair.name.replace('_', "-");
                if dashed != pair.name && options::find(options::META, &dashed).is_some() {
                    found.push((pair.clone(), dashed.clone()));
                    pair.name = dashed;
                }
            }
        });
        for (pair, new) in found {
            self.note(
                self.places.pair(&pair),
                format!("the meta attribute `{}` is called `{new}` now", pair.name),
                "older name",
            );
        }
    }

    /// `pcmk_off_cmd` and its like.
    fn fence_parameters(&mut self, configuration: &mut Configuration) {
        let mut found = Vec::new();
        each_set(configuration, &mut |set| {
            for pair in &mut set.pairs {
                let action = pair
                    .name
                    .strip_prefix("pcmk_")
                    .and_then(|rest| rest.strip_suffix("_cmd"))
                    .filter(|action| FENCE_PARAMETERS.contains(action));
                if let Some(action) = action {
                    let new = format!("pcmk_{action}_action");
                    found.push((pair.clone(), new.clone()));
                    pair.name = new;
                }
            }
        });
        for (pair, new) in found {
            self.note(
                self.places.pair(&pair),
                format!("the parameter `{}` is called `{new}` now", pair.name),
                "older name",
            );
        }
    }

    /// Orders that say by a score what a kind says today.
    fn orders(&mut self, configuration: &mut Configuration) {
        for constraint in &mut configuration.constraints {
            let Constraint::Order(order) = constraint else {
                continue;
            };
            let Some(score) = order.score.take() else {
                continue;
            };
            let is_optional = score.trim_start_matches(['+', '-']) == "0";
            let kind = if is_optional { "Optional" } else { "Mandatory" };
            let kind = order.kind.get_or_insert_with(|| kind.to_owned()).clone();
            self.note(
                self.places.0.get(&order.id).copied(),
                format!(
                    "the order `{}` had score={score}: it is kind={kind} now",
                    order.id
                ),
                "score of an order",
            );
        }
    }
}

/// Adds a default that no other set has.
fn default(sets: &mut Vec<AttributeSet>, id: &str, pair: Pair) {
    let is_set = sets
        .iter()
        .flat_map(|set| &set.pairs)
        .any(|known| known.name == pair.name);
    if is_set {
        return;
    }
    match sets
        .iter_mut()
        .find(|set| set.rule.is_none() && set.id_ref.is_none())
    {
        Some(set) => set.pairs.push(pair),
        None => sets.push(AttributeSet {
            kind: SetKind::Meta,
            id: id.to_owned(),
            id_ref: None,
            score: None,
            rule: None,
            pairs: vec![pair],
            extra: Vec::new(),
        }),
    }
}

/// An element as it counts in a comparison.
type Shape = (String, BTreeSet<(String, String)>);

fn shape(node: roxmltree::Node<'_, '_>) -> Shape {
    let attributes = node
        .attributes()
        .map(|a| (a.name().to_owned(), a.value().to_owned()))
        .collect();
    (node.tag_name().name().to_owned(), attributes)
}

/// What is in the configuration and would not be in ours: elements and attributes that have no place.
fn lost(document: &Document<'_>, cib: &Cib) -> Vec<Diagnostic> {
    let text = write::configuration(&cib.configuration);
    let Ok(written) = Document::parse(&text) else {
        return Vec::new();
    };
    let mut kept: BTreeMap<Shape, usize> = BTreeMap::new();
    let mut by_id: BTreeMap<(String, String), BTreeSet<(String, String)>> = BTreeMap::new();
    for node in written.descendants().filter(roxmltree::Node::is_element) {
        let shape = shape(node);
        if let Some(id) = node.attribute("id") {
            by_id.insert((shape.0.clone(), id.to_owned()), shape.1.clone());
        }
        *kept.entry(shape).or_default() += 1;
    }
    let mut found = Vec::new();
    let Some(configuration) = document
        .root_element()
        .children()
        .find(|node| node.has_tag_name("configuration"))
    else {
        return found;
    };
    elements(configuration, &mut |node| {
        let shape = shape(node);
        let name = &shape.0;
        // Sections without content are not written; older access rules are upgraded, with a note of their own.
        let is_section = node.parent() == Some(configuration);
        let is_empty = name == "operations" && node.attributes().len() == 0;
        if (is_section && SECTIONS.contains(&name.as_str())) || is_empty || is_respelled(node) {
            return true;
        }
        if let Some(count) = kept.get_mut(&shape).filter(|count| **count > 0) {
            *count -= 1;
            return true;
        }
        let id = node.attribute("id").unwrap_or_default().to_owned();
        if let Some(has) = by_id.get(&(name.clone(), id.clone())) {
            let missing: Vec<&str> = shape
                .1
                .difference(has)
                .map(|(name, _)| name.as_str())
                .collect();
            if missing.is_empty() || is_reshaped(name, &missing) {
                return true;
            }
            let list = missing.join(", ");
            found.push(
                Diagnostic::new(
                    Code::NotKept,
                    format!("<{name} id=\"{id}\"> loses its attribute {list}"),
                )
                .at(span(node), "has no place here"),
            );
            return true;
        }
        found.push(
            Diagnostic::new(Code::NotKept, format!("<{name}> is left out"))
                .at(span(node), "not a part of any known schema at this place"),
        );
        false
    });
    found.truncate(LOST_MAX);
    found
}

const SECTIONS: &[&str] = &[
    "crm_config",
    "nodes",
    "resources",
    "constraints",
    "fencing-topology",
    "rsc_defaults",
    "op_defaults",
    "tags",
    "alerts",
    "acls",
];

/// Visits the elements inside one; `false` does not go into it.
fn elements<'a>(
    node: roxmltree::Node<'a, 'a>,
    visit: &mut dyn FnMut(roxmltree::Node<'a, 'a>) -> bool,
) {
    for child in node.children().filter(roxmltree::Node::is_element) {
        if visit(child) {
            elements(child, visit);
        }
    }
}

/// Forms that are read as another element: nothing is lost.
fn is_respelled(node: roxmltree::Node<'_, '_>) -> bool {
    match node.tag_name().name() {
        "acl_user" | "role_ref" => true,
        "read" | "write" | "deny" => node
            .parent()
            .is_some_and(|parent| matches!(parent.tag_name().name(), "acl_role" | "acl_user")),
        // Pairs of the times before schema 1 stood in an element of their own.
        "attributes" => node
            .parent()
            .is_some_and(|parent| parent.tag_name().name().ends_with("_attributes")),
        _ => false,
    }
}

/// Attributes that are written in another spelling of the same.
fn is_reshaped(element: &str, missing: &[&str]) -> bool {
    matches!((element, missing), ("fencing-level", ["devices"]))
}
