//! Text -> [`Cib`].
//!
//! Understands what Pacemaker 1.1 to 3.0 write. Older spellings are kept as they stand where the types have
//! room for them (`master` elements, `Master`/`Slave`); whoever interprets them knows both.

use crate::cib::{
    AclRole, AclTarget, Acls, Alert, AttributeSet, Bundle, Cib, CloneChild, CloneResource,
    Colocation, Configuration, Constraint, Extra, FencingLevel, Group, Location, Node, Operation,
    Operations, Order, Pair, Primitive, Recipient, Resource, ResourceSet, Rule, RulePart, SetKind,
    Tag, TicketConstraint,
};
use crate::text::Interner;
use crate::xml::pull::{Pull, Step};
use crate::xml::read_status::StatusReader;
use crate::xml::tree::{El, Tree};

/// Longest accepted text, in bytes.
pub const TEXT_BYTES_MAX: usize = 256 << 20;
/// Most elements and texts accepted in one document.
pub const NODES_MAX: u32 = 20_000_000;
/// Deepest nesting of elements.
pub const DEPTH_MAX: usize = 64;

/// Why a text is not a CIB.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The text is longer than [`TEXT_BYTES_MAX`].
    #[error("the document has {bytes} bytes; more than {TEXT_BYTES_MAX} are not read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not well-formed XML.
    #[error("line {line}: not well-formed XML: {what}")]
    Malformed {
        /// Line of the fault.
        line: u32,
        /// What the parser said.
        what: String,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("line {line}: elements are nested deeper than {DEPTH_MAX}")]
    TooDeep {
        /// Line of the first element that is too deep.
        line: u32,
    },
    /// Some other document.
    #[error(
        "line {line}: the root element is <{found}>, a cluster information base begins with <cib>"
    )]
    NotACib {
        /// Line of the root.
        line: u32,
        /// Its name.
        found: String,
    },
    /// An element lacks what identifies it.
    #[error("line {line}: <{element}> has no attribute '{attribute}'")]
    Missing {
        /// Line of the element.
        line: u32,
        /// Its name.
        element: String,
        /// What is missing.
        attribute: &'static str,
    },
    /// A number that is none.
    #[error("line {line}: <{element}> has {attribute}=\"{value}\", which is not a number")]
    NotANumber {
        /// Line of the element.
        line: u32,
        /// Its name.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// What was written.
        value: String,
    },
}

/// Result of reading.
pub type ReadResult<T> = Result<T, ReadError>;

/// Reads a CIB.
///
/// # Errors
/// When the text is too large, too deep, not well-formed, not a CIB, or lacks an identifying attribute.
pub fn read(text: &str) -> ReadResult<Cib> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ReadError::TooLong { bytes: text.len() });
    }
    let mut pull = Pull::new(text);
    let root = match pull.step()? {
        Step::Start("cib") => "cib",
        Step::Start(name) => name,
        Step::End | Step::Over => "",
    };
    if root != "cib" {
        return Err(ReadError::NotACib {
            line: pull.line_of(pull.start),
            found: root.to_owned(),
        });
    }
    let mut cib = Cib {
        attributes: pull
            .take_attributes()
            .map(|a| (a.name.to_owned(), a.value.into_owned()))
            .collect(),
        ..Cib::default()
    };
    while let Step::Start(name) = pull.step()? {
        match name {
            "configuration" => {
                let tree = Tree::read(name, &mut pull, text)?;
                cib.configuration = configuration(tree.root())?;
            }
            "status" => {
                let mut reader = StatusReader {
                    text,
                    pull: &mut pull,
                    shared: Interner::default(),
                };
                cib.status = reader.status()?;
            }
            _ => pull.skip()?,
        }
    }
    // What follows must be well-formed, too.
    while pull.step()? != Step::Over {}
    Ok(cib)
}

pub(crate) fn elements<'a>(el: El<'a>) -> impl Iterator<Item = El<'a>> {
    el.children()
}

pub(crate) fn extra(el: El<'_>, known: &[&str]) -> Extra {
    el.attributes()
        .filter(|(name, _)| !known.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn opt(el: El<'_>, name: &str) -> Option<String> {
    el.attribute(name).map(str::to_owned)
}

pub(crate) fn or_empty(el: El<'_>, name: &str) -> String {
    el.attribute(name).unwrap_or_default().to_owned()
}

pub(crate) fn need(el: El<'_>, attribute: &'static str) -> ReadResult<String> {
    match el.attribute(attribute) {
        Some(value) => Ok(value.to_owned()),
        None => Err(ReadError::Missing {
            line: el.line(),
            element: el.name().to_owned(),
            attribute,
        }),
    }
}

fn configuration(el: El<'_>) -> ReadResult<Configuration> {
    let mut out = Configuration::default();
    for section in elements(el) {
        match section.name() {
            "crm_config" => out.options = sets(section)?,
            "nodes" => {
                for node in elements(section).filter(|n| n.is("node")) {
                    out.nodes.push(self::node(node)?);
                }
            }
            "resources" => {
                for child in elements(section) {
                    out.resources.extend(resource(child)?);
                }
            }
            "constraints" => {
                for child in elements(section) {
                    out.constraints.extend(constraint(child)?);
                }
            }
            "fencing-topology" => {
                out.fencing_levels = elements(section).map(fencing_level).collect();
            }
            "rsc_defaults" => out.resource_defaults = sets(section)?,
            "op_defaults" => out.operation_defaults = sets(section)?,
            "tags" => {
                for child in elements(section) {
                    let references = elements(child).filter_map(|r| opt(r, "id")).collect();
                    out.tags.push(Tag {
                        id: need(child, "id")?,
                        references,
                    });
                }
            }
            "alerts" => {
                for child in elements(section) {
                    out.alerts.push(alert(child)?);
                }
            }
            "acls" => out.acls = acls(section)?,
            _ => {}
        }
    }
    Ok(out)
}

/// All attribute sets among the children.
pub(crate) fn sets(el: El<'_>) -> ReadResult<Vec<AttributeSet>> {
    let mut out = Vec::new();
    for child in elements(el) {
        let kind = match child.name() {
            "instance_attributes" => SetKind::Instance,
            "meta_attributes" => SetKind::Meta,
            "utilization" => SetKind::Utilization,
            "cluster_property_set" => SetKind::Cluster,
            _ => continue,
        };
        out.push(set(child, kind)?);
    }
    Ok(out)
}

fn set(el: El<'_>, kind: SetKind) -> ReadResult<AttributeSet> {
    let mut out = AttributeSet {
        kind,
        id: or_empty(el, "id"),
        id_ref: opt(el, "id-ref"),
        score: opt(el, "score"),
        rule: None,
        pairs: Vec::new(),
        extra: extra(el, &["id", "id-ref", "score"]),
    };
    for child in elements(el) {
        match child.name() {
            "rule" => out.rule = Some(rule(child)?),
            "nvpair" => out.pairs.push(pair(child)),
            // Before schema 1.0 the pairs stood in an element of their own.
            "attributes" => out.pairs.extend(elements(child).map(pair)),
            _ => {}
        }
    }
    Ok(out)
}

fn pair(el: El<'_>) -> Pair {
    Pair {
        id: opt(el, "id"),
        id_ref: opt(el, "id-ref"),
        name: or_empty(el, "name"),
        value: opt(el, "value"),
    }
}

fn rule(el: El<'_>) -> ReadResult<Rule> {
    let known = [
        "id",
        "id-ref",
        "boolean-op",
        "score",
        "score-attribute",
        "role",
    ];
    let mut out = Rule {
        id: or_empty(el, "id"),
        id_ref: opt(el, "id-ref"),
        boolean: opt(el, "boolean-op"),
        score: opt(el, "score"),
        score_attribute: opt(el, "score-attribute"),
        role: opt(el, "role"),
        parts: Vec::new(),
        extra: extra(el, &known),
    };
    for child in elements(el) {
        let id = or_empty(child, "id");
        out.parts.push(match child.name() {
            "rule" => RulePart::Rule(rule(child)?),
            "expression" => RulePart::Expression {
                id,
                attribute: or_empty(child, "attribute"),
                operation: or_empty(child, "operation"),
                value: opt(child, "value"),
                value_type: opt(child, "type"),
                value_source: opt(child, "value-source"),
            },
            "date_expression" => RulePart::Date {
                id,
                operation: opt(child, "operation"),
                start: opt(child, "start"),
                end: opt(child, "end"),
                duration: elements(child)
                    .find(|c| c.is("duration"))
                    .map(|c| extra(c, &[])),
                spec: elements(child)
                    .find(|c| c.is("date_spec"))
                    .map(|c| extra(c, &[])),
            },
            "rsc_expression" => RulePart::ResourceType {
                id,
                class: opt(child, "class"),
                provider: opt(child, "provider"),
                agent: opt(child, "type"),
            },
            "op_expression" => RulePart::Operation {
                id,
                name: or_empty(child, "name"),
                interval: opt(child, "interval"),
            },
            _ => continue,
        });
    }
    Ok(out)
}

fn node(el: El<'_>) -> ReadResult<Node> {
    Ok(Node {
        id: need(el, "id")?,
        uname: or_empty(el, "uname"),
        kind: opt(el, "type"),
        sets: sets(el)?,
        extra: extra(el, &["id", "uname", "type"]),
    })
}

fn resource(el: El<'_>) -> ReadResult<Option<Resource>> {
    Ok(Some(match el.name() {
        "primitive" => Resource::Primitive(primitive(el)?),
        "template" => Resource::Template(primitive(el)?),
        "group" => Resource::Group(group(el)?),
        "clone" | "master" => match clone(el)? {
            Some(clone) => Resource::Clone(clone),
            None => return Ok(None),
        },
        "bundle" => Resource::Bundle(bundle(el)?),
        _ => return Ok(None),
    }))
}

fn primitive(el: El<'_>) -> ReadResult<Primitive> {
    let known = ["id", "class", "provider", "type", "template", "description"];
    let mut operations = Operations::default();
    if let Some(list) = elements(el).find(|c| c.is("operations")) {
        operations.id = opt(list, "id");
        operations.id_ref = opt(list, "id-ref");
        for op in elements(list).filter(|o| o.is("op")) {
            operations.list.push(Operation {
                id: or_empty(op, "id"),
                name: or_empty(op, "name"),
                interval: opt(op, "interval"),
                extra: extra(op, &["id", "name", "interval"]),
                sets: sets(op)?,
            });
        }
    }
    Ok(Primitive {
        id: need(el, "id")?,
        class: opt(el, "class"),
        provider: opt(el, "provider"),
        agent: opt(el, "type"),
        template: opt(el, "template"),
        description: opt(el, "description"),
        sets: sets(el)?,
        operations,
        extra: extra(el, &known),
    })
}

fn group(el: El<'_>) -> ReadResult<Group> {
    let mut members = Vec::new();
    for child in elements(el).filter(|c| c.is("primitive")) {
        members.push(primitive(child)?);
    }
    Ok(Group {
        id: need(el, "id")?,
        description: opt(el, "description"),
        sets: sets(el)?,
        members,
        extra: extra(el, &["id", "description"]),
    })
}

fn clone(el: El<'_>) -> ReadResult<Option<CloneResource>> {
    let mut child = None;
    for inner in elements(el) {
        match inner.name() {
            "primitive" => child = Some(CloneChild::Primitive(primitive(inner)?)),
            "group" => child = Some(CloneChild::Group(group(inner)?)),
            _ => {}
        }
    }
    let Some(child) = child else { return Ok(None) };
    Ok(Some(CloneResource {
        id: need(el, "id")?,
        is_master_element: el.is("master"),
        description: opt(el, "description"),
        sets: sets(el)?,
        child,
        extra: extra(el, &["id", "description"]),
    }))
}

fn bundle(el: El<'_>) -> ReadResult<Bundle> {
    let mut out = Bundle {
        id: need(el, "id")?,
        description: opt(el, "description"),
        sets: sets(el)?,
        extra: extra(el, &["id", "description"]),
        ..Bundle::default()
    };
    for child in elements(el) {
        match child.name() {
            name @ ("docker" | "podman" | "rkt") => {
                out.container = (name.to_owned(), extra(child, &[]));
            }
            "network" => {
                out.network = Some(extra(child, &[]));
                out.ports = elements(child).map(|p| extra(p, &[])).collect();
            }
            "storage" => {
                out.storage = Some(extra(child, &[]));
                out.mounts = elements(child).map(|p| extra(p, &[])).collect();
            }
            "primitive" => out.primitive = Some(primitive(child)?),
            _ => {}
        }
    }
    Ok(out)
}

fn resource_sets(el: El<'_>) -> Vec<ResourceSet> {
    let known = [
        "id",
        "id-ref",
        "sequential",
        "require-all",
        "role",
        "action",
        "score",
    ];
    elements(el)
        .filter(|c| c.is("resource_set"))
        .map(|c| ResourceSet {
            id: or_empty(c, "id"),
            id_ref: opt(c, "id-ref"),
            sequential: opt(c, "sequential"),
            require_all: opt(c, "require-all"),
            role: opt(c, "role"),
            action: opt(c, "action"),
            score: opt(c, "score"),
            extra: extra(c, &known),
            members: elements(c).filter_map(|r| opt(r, "id")).collect(),
        })
        .collect()
}

fn lifetime(el: El<'_>) -> ReadResult<Option<Rule>> {
    let Some(life) = elements(el).find(|c| c.is("lifetime")) else {
        return Ok(None);
    };
    elements(life).find(|c| c.is("rule")).map(rule).transpose()
}

fn constraint(el: El<'_>) -> ReadResult<Option<Constraint>> {
    Ok(Some(match el.name() {
        "rsc_location" => Constraint::Location(location(el)?),
        "rsc_colocation" => Constraint::Colocation(Colocation {
            id: need(el, "id")?,
            resource: opt(el, "rsc"),
            with: opt(el, "with-rsc"),
            role: opt(el, "rsc-role"),
            with_role: opt(el, "with-rsc-role"),
            score: opt(el, "score"),
            node_attribute: opt(el, "node-attribute"),
            influence: opt(el, "influence"),
            sets: resource_sets(el),
            lifetime: lifetime(el)?,
            extra: extra(
                el,
                &[
                    "id",
                    "rsc",
                    "with-rsc",
                    "rsc-role",
                    "with-rsc-role",
                    "score",
                    "node-attribute",
                    "influence",
                ],
            ),
        }),
        "rsc_order" => Constraint::Order(Order {
            id: need(el, "id")?,
            first: opt(el, "first"),
            then: opt(el, "then"),
            first_action: opt(el, "first-action"),
            then_action: opt(el, "then-action"),
            kind: opt(el, "kind"),
            score: opt(el, "score"),
            symmetrical: opt(el, "symmetrical"),
            require_all: opt(el, "require-all"),
            sets: resource_sets(el),
            lifetime: lifetime(el)?,
            extra: extra(
                el,
                &[
                    "id",
                    "first",
                    "then",
                    "first-action",
                    "then-action",
                    "kind",
                    "score",
                    "symmetrical",
                    "require-all",
                ],
            ),
        }),
        "rsc_ticket" => Constraint::Ticket(TicketConstraint {
            id: need(el, "id")?,
            ticket: or_empty(el, "ticket"),
            resource: opt(el, "rsc"),
            role: opt(el, "rsc-role"),
            loss_policy: opt(el, "loss-policy"),
            sets: resource_sets(el),
            extra: extra(el, &["id", "ticket", "rsc", "rsc-role", "loss-policy"]),
        }),
        _ => return Ok(None),
    }))
}

fn location(el: El<'_>) -> ReadResult<Location> {
    let mut rules = Vec::new();
    for child in elements(el).filter(|c| c.is("rule")) {
        rules.push(rule(child)?);
    }
    Ok(Location {
        id: need(el, "id")?,
        resource: opt(el, "rsc"),
        pattern: opt(el, "rsc-pattern"),
        role: opt(el, "role"),
        node: opt(el, "node"),
        score: opt(el, "score"),
        discovery: opt(el, "resource-discovery"),
        rules,
        sets: resource_sets(el),
        lifetime: lifetime(el)?,
        extra: extra(
            el,
            &[
                "id",
                "rsc",
                "rsc-pattern",
                "role",
                "node",
                "score",
                "resource-discovery",
            ],
        ),
    })
}

fn fencing_level(el: El<'_>) -> FencingLevel {
    let known = [
        "id",
        "target",
        "target-pattern",
        "target-attribute",
        "target-value",
        "index",
        "devices",
    ];
    FencingLevel {
        id: or_empty(el, "id"),
        target: opt(el, "target"),
        target_pattern: opt(el, "target-pattern"),
        target_attribute: opt(el, "target-attribute"),
        target_value: opt(el, "target-value"),
        index: or_empty(el, "index"),
        devices: or_empty(el, "devices")
            .split(',')
            .map(|d| d.trim().to_owned())
            .collect(),
        extra: extra(el, &known),
    }
}

fn alert(el: El<'_>) -> ReadResult<Alert> {
    let mut out = Alert {
        id: need(el, "id")?,
        path: or_empty(el, "path"),
        description: opt(el, "description"),
        sets: sets(el)?,
        ..Alert::default()
    };
    for child in elements(el) {
        match child.name() {
            "select" => {
                for kind in elements(child) {
                    let attributes =
                        elements(kind).map(|a| (or_empty(a, "id"), or_empty(a, "name")));
                    out.select
                        .push((kind.name().to_owned(), attributes.collect()));
                }
            }
            "recipient" => out.recipients.push(Recipient {
                id: need(child, "id")?,
                value: or_empty(child, "value"),
                description: opt(child, "description"),
                sets: sets(child)?,
            }),
            _ => {}
        }
    }
    Ok(out)
}

fn acls(el: El<'_>) -> ReadResult<Acls> {
    let mut out = Acls::default();
    for child in elements(el) {
        let roles = || elements(child).filter_map(|r| opt(r, "id")).collect();
        match child.name() {
            "acl_role" => out.roles.push(AclRole {
                id: need(child, "id")?,
                description: opt(child, "description"),
                permissions: elements(child).map(permission).collect(),
            }),
            // Schema 1: a user with roles, or with rules of its own.
            "acl_user" => acl_user(child, &mut out)?,
            "acl_target" => {
                out.targets.push(AclTarget {
                    id: need(child, "id")?,
                    name: opt(child, "name"),
                    roles: roles(),
                });
            }
            "acl_group" => {
                out.groups.push(AclTarget {
                    id: need(child, "id")?,
                    name: opt(child, "name"),
                    roles: roles(),
                });
            }
            _ => {}
        }
    }
    Ok(out)
}

/// A permission; schema 1 had an element for each kind.
fn permission(el: El<'_>) -> Extra {
    let kind = el.name();
    let mut out = extra(el, &[]);
    if matches!(kind, "read" | "write" | "deny") {
        for (name, _) in &mut out {
            match name.as_str() {
                "tag" => "object-type".clone_into(name),
                "ref" => "reference".clone_into(name),
                _ => {}
            }
        }
        let at = usize::from(out.first().is_some_and(|(name, _)| name == "id"));
        out.insert(at, ("kind".to_owned(), kind.to_owned()));
    }
    out
}

fn acl_user(el: El<'_>, out: &mut Acls) -> ReadResult<()> {
    let id = need(el, "id")?;
    let (roles, rules): (Vec<El<'_>>, Vec<El<'_>>) =
        elements(el).partition(|child| child.is("role_ref"));
    let mut target = AclTarget {
        id: id.clone(),
        name: None,
        roles: roles
            .into_iter()
            .filter_map(|role| opt(role, "id"))
            .collect(),
    };
    if !rules.is_empty() {
        let role = format!("{id}-rules");
        target.roles.push(role.clone());
        out.roles.push(AclRole {
            id: role,
            description: None,
            permissions: rules.into_iter().map(permission).collect(),
        });
    }
    out.targets.push(target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_small_cib() {
        let text = r#"<cib epoch="3"><configuration>
          <nodes><node id="1" uname="a" type="member"/></nodes>
          <resources><group id="g"><primitive id="p" class="ocf" provider="x" type="D">
            <operations><op id="o" name="monitor" interval="10s" timeout="5s"/></operations></primitive></group></resources>
          <constraints><rsc_location id="l" rsc="g" node="a" score="10"/></constraints></configuration>
          <status><node_state id="1" uname="a" in_ccm="true" crmd="online" join="member"/></status></cib>"#;
        let cib = read(text).unwrap();
        assert_eq!(cib.configuration.nodes[0].uname, "a");
        assert_eq!(cib.configuration.resources.len(), 1);
        assert_eq!(cib.status.nodes[0].join.as_deref(), Some("member"));
    }

    #[test]
    fn errors_name_the_line() {
        let missing =
            read("<cib><configuration><nodes>\n<node uname='x'/></nodes></configuration></cib>");
        assert_eq!(
            missing.unwrap_err().to_string(),
            "line 2: <node> has no attribute 'id'"
        );
        assert!(matches!(
            read("<html/>"),
            Err(ReadError::NotACib { line: 1, .. })
        ));
        let deep = format!("<cib>{}", "<rule>".repeat(1000));
        assert!(matches!(read(&deep), Err(ReadError::TooDeep { .. })));
    }
}
