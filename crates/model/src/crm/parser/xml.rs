//! The statement `xml ELEMENT`: what no other statement can say.

use super::super::lexer::Word;
use super::super::statement::Body;
use super::Parser;
use crate::cib::{Configuration, Resource};
use crate::diag::{Code, Diagnostic};
use crate::xml::read;

/// Where an element stands in a configuration.
const SECTIONS: &[(&str, &[&str])] = &[
    ("nodes", &["node"]),
    (
        "resources",
        &[
            "primitive",
            "template",
            "group",
            "clone",
            "master",
            "bundle",
        ],
    ),
    (
        "constraints",
        &["rsc_location", "rsc_colocation", "rsc_order", "rsc_ticket"],
    ),
    ("crm_config", &["cluster_property_set"]),
    ("tags", &["tag"]),
    ("alerts", &["alert"]),
    ("acls", &["acl_role", "acl_target", "acl_group"]),
];
const DIRECT: &[&str] = &[
    "crm_config",
    "rsc_defaults",
    "op_defaults",
    "fencing-topology",
    "tags",
    "alerts",
    "acls",
    "nodes",
    "resources",
    "constraints",
];

impl Parser<'_, '_> {
    pub(super) fn xml(&mut self) -> Option<Body> {
        let Some(word) = self.next() else {
            self.syntax(
                self.end,
                "an element is missing",
                "xml <primitive id=... >...</primitive>",
            );
            return None;
        };
        match fragment(&word.text) {
            Ok(configuration) => Some(self.xml_body(word, configuration)),
            Err(reason) => {
                self.push(
                    Diagnostic::new(Code::BadXml, format!("the XML cannot be used: {reason}"))
                        .at(word.span, "here")
                        .help("give one element of a configuration on one line, for example `xml <primitive id=...>...</primitive>`"),
                );
                None
            }
        }
    }

    /// A primitive may be named by groups; everything else is taken as a whole.
    fn xml_body(&mut self, word: &Word, mut configuration: Configuration) -> Body {
        let id = match (
            configuration.resources.as_slice(),
            configuration.constraints.as_slice(),
        ) {
            ([resource], []) => super::super::strip::resource_id(resource).to_owned(),
            ([], [constraint]) => super::super::strip::constraint_id(constraint).to_owned(),
            _ => String::new(),
        };
        if !id.is_empty() {
            self.context.spans.put(&id, "", word.span);
            self.id = id;
            self.id_span = word.span;
        }
        if configuration.resources.len() == 1 {
            match configuration.resources.remove(0) {
                Resource::Primitive(primitive) => return Body::Primitive(primitive),
                Resource::Template(template) => return Body::Template(template),
                other => configuration.resources.push(other),
            }
        }
        if configuration.constraints.len() == 1 && configuration.resources.is_empty() {
            return Body::Constraint(configuration.constraints.remove(0));
        }
        Body::Xml(Box::new(configuration))
    }
}

/// An element as a configuration that holds nothing else.
fn fragment(text: &str) -> Result<Configuration, String> {
    let text = text.trim();
    let name: String = text
        .strip_prefix('<')
        .unwrap_or("")
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        .collect();
    let section = SECTIONS
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()))
        .map(|(section, _)| *section);
    let wrapped = match section {
        Some(section) => {
            format!("<cib><configuration><{section}>{text}</{section}></configuration></cib>")
        }
        None if DIRECT.contains(&name.as_str()) => {
            format!("<cib><configuration>{text}</configuration></cib>")
        }
        None if name == "configuration" => format!("<cib>{text}</cib>"),
        None if name == "cib" => text.to_owned(),
        None => return Err(format!("`<{name}` begins no part of a configuration")),
    };
    read::read(&wrapped)
        .map(|cib| cib.configuration)
        .map_err(|error| error.to_string())
}

/// The ids that an element's text names.
pub(super) fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(" id=\"")
        .filter_map(move |(at, mark)| text[at + mark.len()..].split('"').next())
}
