//! Configuration to text: the statements that mean it, with XML for what no statement can say.

mod constraint;
mod resource;
mod set;

use super::Document;
use super::strip::{self, Strength};
use crate::cib::Configuration;
use crate::xml;
use std::collections::{BTreeMap, BTreeSet};

/// How much of the ids a text carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Only ids that something refers to: for people.
    Plain,
    /// Every id that would not be made the same again: nothing is lost.
    Faithful,
}

/// How one object is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Plain,
    WithIds,
    Xml,
}

/// The text of a configuration; reading it gives the same configuration again.
pub fn print(configuration: &Configuration) -> String {
    print_with(configuration, Detail::Faithful)
}

/// The text in the given detail.
pub fn print_with(configuration: &Configuration, detail: Detail) -> String {
    let mut forms: BTreeMap<String, Form> = BTreeMap::new();
    let mut text = printed(configuration, &forms);
    // Each pass moves what came back changed to a fuller form; there are two fuller forms.
    for _ in 0..3 {
        let changed = differing(configuration, &text, detail, &forms);
        if changed.is_empty() {
            break;
        }
        for key in changed {
            let form = forms.entry(key).or_insert(Form::Plain);
            *form = match (*form, detail) {
                (Form::Plain, Detail::Faithful) => Form::WithIds,
                _ => Form::Xml,
            };
        }
        text = printed(configuration, &forms);
    }
    text
}

/// Statements that differ from the configuration when they are read back.
fn differing(
    configuration: &Configuration,
    text: &str,
    detail: Detail,
    forms: &BTreeMap<String, Form>,
) -> BTreeSet<String> {
    let (document, _) = Document::read(text);
    let strength = |key: &str| match (detail, forms.get(key)) {
        (Detail::Plain, _) => Strength::Generated,
        (Detail::Faithful, Some(Form::WithIds)) => Strength::Inexpressible,
        _ => Strength::None,
    };
    let wanted = strip::objects(configuration);
    let got = strip::objects(document.configuration());
    let mut changed = BTreeSet::new();
    for (key, object) in &wanted {
        let same = got
            .get(key)
            .is_some_and(|other| object.equals(other, strength(key)));
        // What differs even without any id cannot be cured by printing ids.
        if !same && forms.get(key) != Some(&Form::Xml) {
            changed.insert(key.clone());
        }
    }
    changed
}

/// Prints every object in its form.
fn printed(configuration: &Configuration, forms: &BTreeMap<String, Form>) -> String {
    let referred = strip::referred_ids(configuration);
    let mut printer = Printer {
        text: String::new(),
        referred,
        with_ids: false,
    };
    let form = |key: &str| forms.get(key).copied().unwrap_or(Form::Plain);
    for node in &configuration.nodes {
        match form(&strip::key("node", &node.uname)) {
            Form::Xml => printer.xml(&xml::write::node(node)),
            form => printer.in_form(form, |printer| printer.node(node)),
        }
    }
    for resource in &configuration.resources {
        match form(&strip::key("resource", strip::resource_id(resource))) {
            Form::Xml => printer.xml(&xml::write::resource(resource)),
            form => printer.in_form(form, |printer| printer.resource(resource)),
        }
    }
    for constraint in &configuration.constraints {
        match form(&strip::key("constraint", strip::constraint_id(constraint))) {
            Form::Xml => printer.xml(&xml::write::constraint(constraint)),
            form => printer.in_form(form, |printer| printer.constraint(constraint)),
        }
    }
    if !configuration.fencing_levels.is_empty() {
        match form(&strip::key("fencing", "")) {
            Form::Xml => printer.xml(&xml::write::fencing_topology(&configuration.fencing_levels)),
            form => printer.in_form(form, |printer| printer.fencing(configuration)),
        }
    }
    for tag in &configuration.tags {
        printer.line(&format!("tag {}: {}", tag.id, tag.references.join(" ")));
    }
    let sections = [
        ("property", "crm_config", &configuration.options),
        (
            "rsc_defaults",
            "rsc_defaults",
            &configuration.resource_defaults,
        ),
        (
            "op_defaults",
            "op_defaults",
            &configuration.operation_defaults,
        ),
    ];
    for (word, section, sets) in sections {
        for set in sets {
            match form(&strip::key(section, strip::set_id(set))) {
                Form::Xml => printer.xml(&xml::write::set_in(section, set)),
                form => printer.in_form(form, |printer| printer.options(word, set)),
            }
        }
    }
    for alert in &configuration.alerts {
        match form(&strip::key("alert", &alert.id)) {
            Form::Xml => printer.xml(&xml::write::alert(alert)),
            form => printer.in_form(form, |printer| printer.alert(alert)),
        }
    }
    printer.acls(&configuration.acls);
    printer.text
}

/// One constraint's statement, unverified: for edits inside a document.
pub(super) fn constraint_statement(constraint: &crate::cib::Constraint) -> String {
    let mut printer = Printer {
        text: String::new(),
        referred: BTreeSet::new(),
        with_ids: false,
    };
    printer.constraint(constraint);
    printer.text.trim_end().to_owned()
}

struct Printer {
    text: String,
    referred: BTreeSet<String>,
    with_ids: bool,
}

impl Printer {
    fn in_form(&mut self, form: Form, print: impl FnOnce(&mut Self)) {
        self.with_ids = form == Form::WithIds;
        print(self);
        self.with_ids = false;
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A statement: its head and one line for each part.
    fn statement(&mut self, head: &str, parts: &[String]) {
        self.text.push_str(head);
        for part in parts {
            self.text.push_str(" \\\n\t");
            self.text.push_str(part);
        }
        self.text.push('\n');
    }

    /// XML on one line.
    fn xml(&mut self, xml: &str) {
        let lines: Vec<&str> = xml.lines().map(str::trim).collect();
        self.line(&format!("xml {}", lines.join("")));
    }

    /// Whether an id must be printed: something refers to it, or all are.
    fn shows(&self, id: &str) -> bool {
        !id.is_empty() && (self.with_ids || self.referred.contains(id))
    }
}

/// A value with quotes where it needs them.
pub(super) fn quote(value: &str) -> String {
    let is_plain = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '-' | '_' | '.' | ':' | '/' | '@' | '%' | '+' | '^' | '=' | '*'
            )
    };
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `name="value"`, or the name alone.
pub(super) fn pair_text(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{name}={}", quote(value)),
        None => name.to_owned(),
    }
}

/// A score as people write it.
pub(super) fn score_text(score: &str) -> String {
    match score {
        "INFINITY" => "inf".to_owned(),
        "+INFINITY" => "+inf".to_owned(),
        "-INFINITY" => "-inf".to_owned(),
        other => other.to_owned(),
    }
}
