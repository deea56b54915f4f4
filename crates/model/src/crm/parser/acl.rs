//! Access control and alerts.

use super::super::lexer::Word;
use super::super::statement::{Body, Verb};
use super::Parser;
use crate::cib::{AclRole, AclTarget, Alert, AttributeSet, Extra, Recipient, SetKind};
use crate::diag::{Code, Diagnostic};

const ALERT_SECTIONS: &[&str] = &["attributes", "meta", "select", "to", "{", "}"];

/// Short forms of a permission: the words, and the XPath with one `@@` for each argument.
pub(in crate::crm) const SHORTCUTS: &[(&str, &str)] = &[
    (
        "meta",
        "//primitive[@id='@@']/meta_attributes/nvpair[@name='@@']",
    ),
    ("meta", "//primitive[@id='@@']/meta_attributes"),
    (
        "params",
        "//primitive[@id='@@']/instance_attributes/nvpair[@name='@@']",
    ),
    ("params", "//primitive[@id='@@']/instance_attributes"),
    ("utilization", "//primitive[@id='@@']/utilization"),
    // One argument in two places: the constraint that moves of the resource write.
    (
        "location",
        "//rsc_location[@id='cli-prefer-@@' and @rsc='@@']",
    ),
    (
        "property",
        "//crm_config/cluster_property_set/nvpair[@name='@@']",
    ),
    ("property", "//crm_config/cluster_property_set"),
    (
        "nodeattr",
        "//nodes/node/instance_attributes/nvpair[@name='@@']",
    ),
    ("nodeattr", "//nodes/node/instance_attributes"),
    ("nodeutil", "//nodes/node[@uname='@@']/utilization"),
    ("nodeutil", "//nodes/node/utilization"),
    ("node", "//nodes/node[@uname='@@']"),
    ("node", "//nodes/node"),
    ("status", "/cib/status"),
    ("cib", "/cib"),
];

impl Parser<'_, '_> {
    /// `role ID [description=] {read|write|deny} OBJECT ...`.
    pub(super) fn role(&mut self) -> Option<Body> {
        let usage = "role NAME read status write meta:RESOURCE:target-role";
        self.take_id(usage)?;
        let mut role = AclRole {
            id: self.id.clone(),
            description: self.description(),
            permissions: Vec::new(),
        };
        while let Some(word) = self.next() {
            let kind = word
                .keyword()
                .filter(|kind| matches!(kind.as_str(), "read" | "write" | "deny"));
            let Some(kind) = kind else {
                self.syntax(
                    word.span,
                    format!("`{}` is neither read, write nor deny", word.text),
                    usage,
                );
                return None;
            };
            let permission = self.permission(&kind)?;
            for mut part in split(permission) {
                let number = role.permissions.len();
                if !part.iter().any(|(name, _)| name == "id") {
                    let id = self.context.ids.make(&format!("{}-{number}", self.id));
                    part.insert(0, ("id".to_owned(), id));
                }
                role.permissions.push(part);
            }
        }
        if role.permissions.is_empty() {
            self.syntax(
                self.end,
                format!("the role `{}` permits nothing", role.id),
                usage,
            );
            return None;
        }
        Some(Body::Role(role))
    }

    fn permission(&mut self, kind: &str) -> Option<Extra> {
        let mut permission: Extra = vec![("kind".to_owned(), kind.to_owned())];
        let mut has_object = false;
        while let Some(word) = self.peek() {
            if word
                .keyword()
                .is_some_and(|word| matches!(word.as_str(), "read" | "write" | "deny"))
            {
                break;
            }
            self.at += 1;
            if let Some(("description", text, _)) = word.pair() {
                permission.push(("description".to_owned(), text.to_owned()));
                continue;
            }
            let (name, argument) = word.text.split_once(':').unwrap_or((&word.text, ""));
            let attribute = match name {
                "xpath" => "xpath",
                "ref" | "reference" => "reference",
                "type" | "tag" | "object-type" => "object-type",
                "attribute" | "attr" => "attribute",
                _ => "",
            };
            has_object = true;
            if !attribute.is_empty() {
                permission.push((attribute.to_owned(), argument.to_owned()));
            } else if let Some(xpath) = shortcut(name, &word.text) {
                permission.push(("xpath".to_owned(), xpath));
            } else if word.text.ends_with(':') && argument.is_empty() {
                // `read a:` carries nothing but a name.
                permission.retain(|(name, _)| name != "id");
                permission.insert(0, ("id".to_owned(), name.to_owned()));
            } else {
                self.syntax(
                    word.span,
                    format!("`{}` is not an object of access", word.text),
                    "objects are xpath:, ref:, type:, attribute:, meta:RSC[:ATTR], params:RSC[:ATTR], utilization:RSC, location:RSC, property[:NAME], node[:NAME], nodeattr[:NAME], nodeutil[:NAME], status, cib",
                );
                return None;
            }
        }
        if !has_object {
            self.syntax(self.here(), format!("`{kind}` of what?"), "");
            return None;
        }
        Some(permission)
    }

    /// `acl_target ID ROLE ...`, `acl_group ID ROLE ...`, and the old `user ID role:ROLE ...`.
    pub(super) fn acl_target(&mut self, verb: Verb) -> Option<Body> {
        self.take_id("acl_target USER ROLE ...")?;
        let mut target = AclTarget {
            id: self.id.clone(),
            ..AclTarget::default()
        };
        if let Some(("name" | "$name", name, _)) = self.peek().and_then(Word::pair) {
            target.name = Some(name.to_owned());
            self.at += 1;
        }
        while let Some(word) = self.next() {
            let role = word.text.strip_prefix("role:").unwrap_or(&word.text);
            if verb == Verb::User && role.len() == word.text.len() {
                self.push(
                    Diagnostic::new(
                        Code::DeprecatedWord,
                        "rules inside `user` are no longer part of the schema",
                    )
                    .at(word.span, "old form")
                    .weighing(crate::diag::Severity::Error)
                    .help("put the rules into `role NAME ...` and write `acl_target USER NAME`"),
                );
                return None;
            }
            let id = self.id.clone();
            self.context
                .spans
                .put(&id, &format!("ref:{role}"), word.span);
            target.roles.push(role.to_owned());
        }
        Some(if verb == Verb::AclGroup {
            Body::AclGroup(target)
        } else {
            Body::Target(target)
        })
    }

    /// `alert ID PATH [attributes ...] [meta ...] [select ...] [to {RECIPIENT [attributes ...] [meta ...]}]`.
    pub(super) fn alert(&mut self) -> Option<Body> {
        let usage = "alert NAME /path/to/program to RECIPIENT";
        self.take_id(usage)?;
        let id = self.id.clone();
        let description = self.description();
        let Some(path) = self.next() else {
            self.syntax(self.end, "the program's path is missing", usage);
            return None;
        };
        self.context.spans.put(&id, "path", path.span);
        let mut alert = Alert {
            id: id.clone(),
            path: path.text.clone(),
            description,
            ..Alert::default()
        };
        loop {
            if let Some(set) = self.alert_set(&id) {
                alert.sets.push(set);
            } else if self.eat("select") {
                self.select(&mut alert);
            } else if self.eat("to") {
                let recipient = self.recipient(&id, alert.recipients.len() + 1)?;
                alert.recipients.push(recipient);
            } else if let Some(description) = self.description() {
                alert.description = Some(description);
            } else {
                break;
            }
        }
        self.finish();
        Some(Body::Alert(alert))
    }

    fn alert_set(&mut self, owner: &str) -> Option<AttributeSet> {
        let kind = if self.eat("attributes") {
            SetKind::Instance
        } else if self.eat("meta") {
            SetKind::Meta
        } else {
            return None;
        };
        Some(self.attribute_set(kind, owner, ALERT_SECTIONS))
    }

    fn select(&mut self, alert: &mut Alert) {
        while let Some(word) = self.peek() {
            match word.keyword().as_deref() {
                Some(what @ ("nodes" | "fencing" | "resources")) => {
                    self.at += 1;
                    alert.select.push((format!("select_{what}"), Vec::new()));
                }
                // `attributes NAME=VALUE` after `select` is the alert's own section.
                Some("attributes")
                    if self
                        .words
                        .get(self.at + 1)
                        .is_none_or(|word| word.equals.is_none()) =>
                {
                    self.at += 1;
                    let names = self.selected_attributes(&alert.id);
                    alert.select.push(("select_attributes".to_owned(), names));
                }
                _ => break,
            }
        }
    }

    fn selected_attributes(&mut self, owner: &str) -> Vec<(String, String)> {
        let mut names = Vec::new();
        if !self.eat("{") {
            return names;
        }
        while let Some(word) = self.next() {
            if word.text == "}" {
                return names;
            }
            let id = self.context.ids.make(&format!("{owner}-{}", names.len()));
            names.push((id, word.text.clone()));
        }
        self.syntax(self.end, "`}` is missing", "select attributes { NAME ... }");
        names
    }

    fn recipient(&mut self, owner: &str, number: usize) -> Option<Recipient> {
        let in_braces = self.eat("{");
        let mut recipient = Recipient {
            id: String::new(),
            ..Recipient::default()
        };
        let mut value = self.next();
        while let Some((name @ ("$id" | "id" | "description"), text, _)) =
            value.and_then(Word::pair)
        {
            match name {
                "description" => recipient.description = Some(text.to_owned()),
                _ => text.clone_into(&mut recipient.id),
            }
            value = self.next();
        }
        if recipient.id.is_empty() {
            recipient.id = self
                .context
                .ids
                .make(&format!("{owner}-recipient-{number}"));
        }
        let Some(value) =
            value.filter(|word| word.quoted || !matches!(word.text.as_str(), "{" | "}"))
        else {
            self.syntax(
                self.here(),
                "a recipient is missing",
                "alert NAME PROGRAM to RECIPIENT",
            );
            return None;
        };
        value.text.clone_into(&mut recipient.value);
        let id = recipient.id.clone();
        if let Some(description) = self.description() {
            recipient.description = Some(description);
        }
        if in_braces {
            while let Some(set) = self.alert_set(&id) {
                recipient.sets.push(set);
            }
            if !self.eat("}") {
                self.syntax(
                    self.here(),
                    "`}` is missing",
                    "to { RECIPIENT [attributes ...] [meta ...] }",
                );
                return None;
            }
        }
        Some(recipient)
    }
}

/// A permission names its objects in one way: `tag:x ref:y` are two, the reference first.
fn split(permission: Extra) -> Vec<Extra> {
    let has = |wanted: &str| permission.iter().any(|(name, _)| name == wanted);
    if !(has("reference") && has("object-type")) {
        return vec![permission];
    }
    let without = |unwanted: &[&str]| -> Extra {
        let kept = permission
            .iter()
            .filter(|(name, _)| !unwanted.contains(&name.as_str()));
        kept.cloned().collect()
    };
    vec![
        without(&["object-type", "attribute"]),
        without(&["reference", "id"]),
    ]
}

/// The XPath of a short form such as `meta:db:target-role`.
fn shortcut(name: &str, text: &str) -> Option<String> {
    let arguments: Vec<&str> = text.split(':').skip(1).collect();
    let (_, xpath) = SHORTCUTS.iter().find(|(word, xpath)| {
        let places = xpath.matches("@@").count();
        *word == name && (places == arguments.len() || (name == "location" && arguments.len() == 1))
    })?;
    if arguments.iter().any(|argument| argument.contains('\'')) {
        return None;
    }
    if let ("location", [resource]) = (name, arguments.as_slice()) {
        return Some(xpath.replace("@@", resource));
    }
    let mut result = (*xpath).to_owned();
    for argument in arguments {
        result = result.replacen("@@", argument, 1);
    }
    Some(result)
}
