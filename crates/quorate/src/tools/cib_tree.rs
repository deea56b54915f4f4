//! The information base as a tree of XML elements, and the small part of XPath that agents ask it with.

use quorate_model::cib::{
    AttributeSet, Cib, CloneChild, Constraint, Group, Pair, Primitive, Resource, SetKind,
};
use quorate_model::status::{NodeState, OperationHistory, ResourceHistory};

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes in order.
    pub attributes: Vec<(String, String)>,
    /// What it contains.
    pub children: Vec<Element>,
}

impl Element {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.attributes.push((name.to_owned(), value));
        }
        self
    }

    fn maybe(self, name: &str, value: Option<&impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value.as_ref()),
            None => self,
        }
    }

    fn extra(mut self, extra: &[(impl AsRef<str>, impl AsRef<str>)]) -> Self {
        let texts = extra.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        self.attributes
            .extend(texts.map(|(n, v)| (n.to_owned(), v.to_owned())));
        self
    }

    fn containing(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// As text, indented.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(0, &mut text);
        text
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        text.push_str(&format!("{indent}<{}", self.name));
        for (name, value) in &self.attributes {
            text.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
        if self.children.is_empty() {
            text.push_str("/>\n");
            return;
        }
        text.push_str(">\n");
        for child in &self.children {
            child.write(depth + 1, text);
        }
        text.push_str(&format!("{indent}</{}>\n", self.name));
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', "&#xA;")
        .replace('\t', "&#x9;")
}

fn pair(pair: &Pair) -> Element {
    Element::new("nvpair")
        .maybe("id", pair.id.as_ref())
        .maybe("id-ref", pair.id_ref.as_ref())
        .with("name", pair.name.as_str())
        .maybe("value", pair.value.as_ref())
}

fn set(set: &AttributeSet) -> Element {
    let name = match set.kind {
        SetKind::Instance => "instance_attributes",
        SetKind::Meta => "meta_attributes",
        SetKind::Utilization => "utilization",
        SetKind::Cluster => "cluster_property_set",
    };
    Element::new(name)
        .with("id", set.id.as_str())
        .maybe("id-ref", set.id_ref.as_ref())
        .maybe("score", set.score.as_ref())
        .extra(&set.extra)
        .containing(set.pairs.iter().map(pair))
}

fn primitive(name: &str, primitive: &Primitive) -> Element {
    let operations = primitive.operations.list.iter().map(|operation| {
        Element::new("op")
            .with("id", operation.id.as_str())
            .with("name", operation.name.as_str())
            .maybe("interval", operation.interval.as_ref())
            .extra(&operation.extra)
            .containing(operation.sets.iter().map(set))
    });
    let operations = Element::new("operations").containing(operations);
    let has_operations = !operations.children.is_empty();
    Element::new(name)
        .with("id", primitive.id.as_str())
        .maybe("class", primitive.class.as_ref())
        .maybe("provider", primitive.provider.as_ref())
        .maybe("type", primitive.agent.as_ref())
        .maybe("template", primitive.template.as_ref())
        .containing(primitive.sets.iter().map(set))
        .containing(has_operations.then_some(operations))
}

fn group(group: &Group) -> Element {
    Element::new("group")
        .with("id", group.id.as_str())
        .containing(group.sets.iter().map(set))
        .containing(
            group
                .members
                .iter()
                .map(|member| primitive("primitive", member)),
        )
}

fn resource(resource: &Resource) -> Element {
    match resource {
        Resource::Primitive(one) => primitive("primitive", one),
        Resource::Template(one) => primitive("template", one),
        Resource::Group(one) => group(one),
        Resource::Clone(clone) => {
            let name = if clone.is_master_element {
                "master"
            } else {
                "clone"
            };
            let child = match &clone.child {
                CloneChild::Primitive(one) => primitive("primitive", one),
                CloneChild::Group(one) => group(one),
            };
            Element::new(name)
                .with("id", clone.id.as_str())
                .containing(clone.sets.iter().map(set))
                .containing([child])
        }
        Resource::Bundle(bundle) => Element::new("bundle")
            .with("id", bundle.id.as_str())
            .containing([Element::new(&bundle.container.0).extra(&bundle.container.1)])
            .containing(
                bundle
                    .primitive
                    .iter()
                    .map(|one| primitive("primitive", one)),
            ),
    }
}

fn constraint(constraint: &Constraint) -> Element {
    match constraint {
        Constraint::Location(one) => Element::new("rsc_location")
            .with("id", one.id.as_str())
            .maybe("rsc", one.resource.as_ref())
            .maybe("rsc-pattern", one.pattern.as_ref())
            .maybe("role", one.role.as_ref())
            .maybe("node", one.node.as_ref())
            .maybe("score", one.score.as_ref()),
        Constraint::Colocation(one) => Element::new("rsc_colocation")
            .with("id", one.id.as_str())
            .maybe("score", one.score.as_ref())
            .maybe("rsc", one.resource.as_ref())
            .maybe("rsc-role", one.role.as_ref())
            .maybe("with-rsc", one.with.as_ref())
            .maybe("with-rsc-role", one.with_role.as_ref()),
        Constraint::Order(one) => Element::new("rsc_order")
            .with("id", one.id.as_str())
            .maybe("kind", one.kind.as_ref())
            .maybe("first", one.first.as_ref())
            .maybe("first-action", one.first_action.as_ref())
            .maybe("then", one.then.as_ref())
            .maybe("then-action", one.then_action.as_ref())
            .maybe("symmetrical", one.symmetrical.as_ref()),
        Constraint::Ticket(one) => Element::new("rsc_ticket")
            .with("id", one.id.as_str())
            .with("ticket", one.ticket.as_str())
            .maybe("rsc", one.resource.as_ref())
            .maybe("loss-policy", one.loss_policy.as_ref()),
    }
}

fn operation(one: &OperationHistory) -> Element {
    Element::new("lrm_rsc_op")
        .with("id", one.id.as_str())
        .maybe("operation_key", one.key.as_ref())
        .with("operation", one.operation.as_str())
        .maybe("transition-key", one.transition_key.as_ref())
        .maybe("transition-magic", one.transition_magic.as_ref())
        .maybe("exit-reason", one.exit_reason.as_ref())
        .with("call-id", one.call_id.to_string())
        .with("rc-code", one.rc.to_string())
        .with("op-status", one.status.to_string())
        .with("interval", one.interval_ms.to_string())
        .with(
            "last-rc-change",
            one.last_rc_change
                .map(|at| at.to_string())
                .unwrap_or_default(),
        )
        .maybe("on_node", one.on_node.as_ref())
        .maybe("op-digest", one.digest.as_ref())
        .extra(&one.extra)
}

fn history(one: &ResourceHistory) -> Element {
    Element::new("lrm_resource")
        .with("id", one.id.as_str())
        .with("class", one.class.as_str())
        .maybe("provider", one.provider.as_ref())
        .with("type", one.agent.as_str())
        .extra(&one.extra)
        .containing(one.operations.iter().map(operation))
}

fn node_state(node: &NodeState) -> Element {
    let transient = Element::new("transient_attributes")
        .with("id", node.id.as_str())
        .containing(node.transient.iter().map(set));
    let resources = Element::new("lrm_resources").containing(node.resources.iter().map(history));
    let lrm = Element::new("lrm")
        .with("id", node.id.as_str())
        .containing([resources]);
    Element::new("node_state")
        .with("id", node.id.as_str())
        .with("uname", node.uname.as_str())
        .maybe("in_ccm", node.in_cluster.as_ref())
        .maybe("crmd", node.crmd.as_ref())
        .maybe("join", node.join.as_ref())
        .maybe("expected", node.expected.as_ref())
        .extra(&node.extra)
        .containing((!node.transient.is_empty()).then_some(transient))
        .containing(node.has_history.then_some(lrm))
}

/// The whole base.
pub fn of(cib: &Cib) -> Element {
    let configuration = &cib.configuration;
    let nodes = configuration.nodes.iter().map(|node| {
        Element::new("node")
            .with("id", node.id.as_str())
            .with("uname", node.uname.as_str())
            .maybe("type", node.kind.as_ref())
            .extra(&node.extra)
            .containing(node.sets.iter().map(set))
    });
    let section = |name: &str, children: Vec<Element>| Element::new(name).containing(children);
    let defaults = |name: &str, sets: &[AttributeSet]| {
        (!sets.is_empty()).then(|| section(name, sets.iter().map(set).collect()))
    };
    let levels = configuration.fencing_levels.iter().map(|level| {
        Element::new("fencing-level")
            .with("id", level.id.as_str())
            .maybe("target", level.target.as_ref())
            .maybe("target-pattern", level.target_pattern.as_ref())
            .maybe("target-attribute", level.target_attribute.as_ref())
            .maybe("target-value", level.target_value.as_ref())
            .with("index", level.index.as_str())
            .with("devices", level.devices.join(","))
    });
    let levels: Vec<Element> = levels.collect();
    let whole = Element::new("configuration")
        .containing([
            section(
                "crm_config",
                configuration.options.iter().map(set).collect(),
            ),
            section("nodes", nodes.collect()),
            section(
                "resources",
                configuration.resources.iter().map(resource).collect(),
            ),
            section(
                "constraints",
                configuration.constraints.iter().map(constraint).collect(),
            ),
        ])
        .containing((!levels.is_empty()).then(|| section("fencing-topology", levels)))
        .containing(defaults("rsc_defaults", &configuration.resource_defaults))
        .containing(defaults("op_defaults", &configuration.operation_defaults));
    let status = section("status", cib.status.nodes.iter().map(node_state).collect());
    Element::new("cib")
        .extra(&cib.attributes)
        .containing([whole, status])
}

/// One step of a path: any depth below or a child, a name (or `*`), and what its attributes must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    is_deep: bool,
    name: String,
    wanted: Vec<(String, Option<String>)>,
}

/// `//a[@b='c' and @d]/e`: what agents use of XPath. `None` for anything else.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim();
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let is_deep = rest.starts_with("//");
        rest = rest.strip_prefix("//").or_else(|| rest.strip_prefix('/'))?;
        let end = rest.find(['/', '[']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        let is_name = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '*');
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        rest = &rest[end..];
        let mut wanted = Vec::new();
        while let Some(inner) = rest.strip_prefix('[') {
            let close = inner.find(']')?;
            for condition in inner[..close].split(" and ") {
                let condition = condition.trim().strip_prefix('@')?;
                wanted.push(match condition.split_once('=') {
                    None => (condition.to_owned(), None),
                    Some((name, value)) => {
                        let value = value.trim();
                        let bare = value
                            .strip_prefix('\'')
                            .and_then(|value| value.strip_suffix('\''))
                            .or_else(|| value.strip_prefix('"')?.strip_suffix('"'))?;
                        (name.trim().to_owned(), Some(bare.to_owned()))
                    }
                });
            }
            rest = &inner[close + 1..];
        }
        steps.push(Step {
            is_deep,
            name,
            wanted,
        });
    }
    Some(steps)
}

fn matches(element: &Element, step: &Step) -> bool {
    (step.name == "*" || step.name == element.name)
        && step
            .wanted
            .iter()
            .all(|(name, value)| match (element.attribute(name), value) {
                (Some(found), Some(value)) => found == value,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            })
}

fn search<'a>(element: &'a Element, steps: &[Step], found: &mut Vec<&'a Element>) {
    let Some((step, rest)) = steps.split_first() else {
        return;
    };
    if matches(element, step) {
        if rest.is_empty() {
            if !found.iter().any(|known| std::ptr::eq(*known, element)) {
                found.push(element);
            }
        } else {
            for child in &element.children {
                search(child, rest, found);
            }
        }
    }
    if step.is_deep {
        for child in &element.children {
            search(child, steps, found);
        }
    }
}

/// The elements that a path names; `None` where the path says more than is understood here.
pub fn find<'a>(root: &'a Element, path: &str) -> Option<Vec<&'a Element>> {
    let steps = steps(path)?;
    let mut found = Vec::new();
    search(root, &steps, &mut found);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree() -> Element {
        let state = |name: &str, crmd: &str, value: &str| {
            Element::new("node_state")
                .with("uname", name)
                .with("crmd", crmd)
                .containing([
                    Element::new("instance_attributes").containing([Element::new("nvpair")
                        .with("name", "cookie")
                        .with("value", value)]),
                ])
        };
        Element::new("cib").containing([Element::new("status")
            .containing([state("n1", "online", "a<b"), state("n2", "offline", "c")])])
    }

    #[test]
    fn paths_that_agents_use() {
        let tree = tree();
        let found = find(
            &tree,
            "//node_state[@crmd='online']//nvpair[@name='cookie']",
        )
        .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text(),
            "<nvpair name=\"cookie\" value=\"a&lt;b\"/>\n"
        );
        assert_eq!(find(&tree, "//nvpair[@name=\"cookie\"]").unwrap().len(), 2);
        assert_eq!(
            find(&tree, "/cib/status/node_state[@uname='n2']")
                .unwrap()
                .len(),
            1
        );
        assert_eq!(find(&tree, "//nosuch").unwrap().len(), 0);
        assert_eq!(find(&tree, "//nvpair[starts-with(@name,'x')]"), None);
    }

    proptest! {
        #[test]
        fn any_path_is_survived(path in "[/a-z\\[\\]@='\"* ]{0,40}") {
            let _ = find(&tree(), &path);
        }
    }
}
