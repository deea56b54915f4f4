//! CIB XML out: everything that `read` takes in, in the order of the schema.

use crate::cib::{
    AclTarget, Acls, Alert, AttributeSet, Bundle, Cib, CloneChild, CloneResource, Configuration,
    Constraint, Extra, FencingLevel, Group, Node, Operations, Primitive, Resource, ResourceSet,
    Rule, RulePart, SetKind,
};
use crate::status::{NodeState, OperationHistory, Status};

/// A whole information base.
pub fn cib(cib: &Cib) -> String {
    let mut out = Out::new();
    out.open("cib", &refs(&cib.attributes));
    out.configuration(&cib.configuration);
    out.status(&cib.status);
    out.close();
    out.text
}

/// A configuration inside a `cib` element.
pub fn configuration(configuration: &Configuration) -> String {
    let mut out = Out::new();
    out.open("cib", &[]);
    out.configuration(configuration);
    out.close();
    out.text
}

/// One resource.
pub fn resource(resource: &Resource) -> String {
    fragment(|out| out.resource(resource))
}

/// One constraint.
pub fn constraint(constraint: &Constraint) -> String {
    fragment(|out| out.constraint(constraint))
}

/// One node.
pub fn node(node: &Node) -> String {
    fragment(|out| out.node(node))
}

/// The fencing levels.
pub fn fencing_topology(levels: &[FencingLevel]) -> String {
    fragment(|out| out.fencing(levels))
}

/// One alert.
pub fn alert(alert: &Alert) -> String {
    fragment(|out| out.alert(alert))
}

/// One set in the section that it is for.
pub fn set_in(section: &'static str, set: &AttributeSet) -> String {
    fragment(|out| {
        out.open(section, &[]);
        out.set(set);
        out.close();
    })
}

fn fragment(write: impl FnOnce(&mut Out)) -> String {
    let mut out = Out::new();
    write(&mut out);
    out.text
}

type Attributes<'a> = Vec<(&'a str, &'a str)>;

fn refs(extra: &Extra) -> Attributes<'_> {
    extra
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The attributes that have a value, then the others.
fn present<'a, T: AsRef<str>>(
    pairs: &[(&'a str, Option<&'a str>)],
    extra: &'a [(T, T)],
) -> Attributes<'a> {
    let mut attributes: Attributes<'a> = pairs
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .collect();
    attributes.extend(extra.iter().map(|(n, v)| (n.as_ref(), v.as_ref())));
    attributes
}

fn named(id: &str) -> Option<&str> {
    (!id.is_empty()).then_some(id)
}

static NOTHING: Extra = Extra::new();

/// A value as it stands between double quotes.
fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\n' => text.push_str("&#10;"),
            '\r' => text.push_str("&#13;"),
            '\t' => text.push_str("&#9;"),
            c => text.push(c),
        }
    }
}

struct Out {
    text: String,
    open: Vec<String>,
    /// The last element was opened and has no content yet.
    is_bare: bool,
}

impl Out {
    fn new() -> Self {
        Self {
            text: String::new(),
            open: Vec::new(),
            is_bare: false,
        }
    }

    fn indent(&mut self) {
        if self.is_bare {
            self.text.push_str(">\n");
            self.is_bare = false;
        }
        for _ in &self.open {
            self.text.push_str("  ");
        }
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        self.open.push(name.to_owned());
        self.is_bare = true;
    }

    fn close(&mut self) {
        let name = self.open.pop().expect("every close has its open");
        if self.is_bare {
            self.text.push_str("/>\n");
            self.is_bare = false;
            return;
        }
        self.indent();
        self.text.push_str("</");
        self.text.push_str(&name);
        self.text.push_str(">\n");
    }

    fn leaf(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.open(name, attributes);
        self.close();
    }

    fn configuration(&mut self, configuration: &Configuration) {
        self.open("configuration", &[]);
        self.open("crm_config", &[]);
        self.sets(&configuration.options);
        self.close();
        self.open("nodes", &[]);
        configuration.nodes.iter().for_each(|node| self.node(node));
        self.close();
        self.open("resources", &[]);
        configuration
            .resources
            .iter()
            .for_each(|resource| self.resource(resource));
        self.close();
        self.open("constraints", &[]);
        configuration
            .constraints
            .iter()
            .for_each(|constraint| self.constraint(constraint));
        self.close();
        if !configuration.fencing_levels.is_empty() {
            self.fencing(&configuration.fencing_levels);
        }
        for (name, sets) in [
            ("rsc_defaults", &configuration.resource_defaults),
            ("op_defaults", &configuration.operation_defaults),
        ] {
            if !sets.is_empty() {
                self.open(name, &[]);
                self.sets(sets);
                self.close();
            }
        }
        if !configuration.tags.is_empty() {
            self.open("tags", &[]);
            for tag in &configuration.tags {
                self.open("tag", &[("id", &tag.id)]);
                tag.references
                    .iter()
                    .for_each(|name| self.leaf("obj_ref", &[("id", name)]));
                self.close();
            }
            self.close();
        }
        if !configuration.alerts.is_empty() {
            self.open("alerts", &[]);
            configuration
                .alerts
                .iter()
                .for_each(|alert| self.alert(alert));
            self.close();
        }
        self.acls(&configuration.acls);
        self.close();
    }

    fn sets(&mut self, sets: &[AttributeSet]) {
        sets.iter().for_each(|set| self.set(set));
    }

    fn set(&mut self, set: &AttributeSet) {
        let name = match set.kind {
            SetKind::Instance => "instance_attributes",
            SetKind::Meta => "meta_attributes",
            SetKind::Utilization => "utilization",
            SetKind::Cluster => "cluster_property_set",
        };
        let pairs = [
            ("id", named(&set.id)),
            ("id-ref", set.id_ref.as_deref()),
            ("score", set.score.as_deref()),
        ];
        self.open(name, &present(&pairs, &set.extra));
        if let Some(rule) = &set.rule {
            self.rule(rule);
        }
        for pair in &set.pairs {
            let pairs = [
                ("id", pair.id.as_deref()),
                ("id-ref", pair.id_ref.as_deref()),
                ("name", named(&pair.name)),
                ("value", pair.value.as_deref()),
            ];
            self.leaf("nvpair", &present(&pairs, &NOTHING));
        }
        self.close();
    }

    fn rule(&mut self, rule: &Rule) {
        let pairs = [
            ("id", named(&rule.id)),
            ("id-ref", rule.id_ref.as_deref()),
            ("role", rule.role.as_deref()),
            ("score", rule.score.as_deref()),
            ("score-attribute", rule.score_attribute.as_deref()),
            ("boolean-op", rule.boolean.as_deref()),
        ];
        self.open("rule", &present(&pairs, &rule.extra));
        rule.parts.iter().for_each(|part| self.rule_part(part));
        self.close();
    }

    fn rule_part(&mut self, part: &RulePart) {
        match part {
            RulePart::Rule(rule) => self.rule(rule),
            RulePart::Expression {
                id,
                attribute,
                operation,
                value,
                value_type,
                value_source,
            } => {
                let pairs = [
                    ("id", Some(id.as_str())),
                    ("attribute", Some(attribute.as_str())),
                    ("operation", Some(operation.as_str())),
                    ("value", value.as_deref()),
                    ("type", value_type.as_deref()),
                    ("value-source", value_source.as_deref()),
                ];
                self.leaf("expression", &present(&pairs, &NOTHING));
            }
            RulePart::Date {
                id,
                operation,
                start,
                end,
                duration,
                spec,
            } => {
                let pairs = [
                    ("id", Some(id.as_str())),
                    ("operation", operation.as_deref()),
                    ("start", start.as_deref()),
                    ("end", end.as_deref()),
                ];
                self.open("date_expression", &present(&pairs, &NOTHING));
                for (name, child) in [("duration", duration), ("date_spec", spec)] {
                    if let Some(attributes) = child {
                        self.leaf(name, &refs(attributes));
                    }
                }
                self.close();
            }
            RulePart::ResourceType {
                id,
                class,
                provider,
                agent,
            } => {
                let pairs = [
                    ("id", Some(id.as_str())),
                    ("class", class.as_deref()),
                    ("provider", provider.as_deref()),
                    ("type", agent.as_deref()),
                ];
                self.leaf("rsc_expression", &present(&pairs, &NOTHING));
            }
            RulePart::Operation { id, name, interval } => {
                let pairs = [
                    ("id", Some(id.as_str())),
                    ("name", Some(name.as_str())),
                    ("interval", interval.as_deref()),
                ];
                self.leaf("op_expression", &present(&pairs, &NOTHING));
            }
        }
    }

    fn node(&mut self, node: &Node) {
        let pairs = [
            ("id", Some(node.id.as_str())),
            ("uname", named(&node.uname)),
            ("type", node.kind.as_deref()),
        ];
        self.open("node", &present(&pairs, &node.extra));
        self.sets(&node.sets);
        self.close();
    }

    fn resource(&mut self, resource: &Resource) {
        match resource {
            Resource::Primitive(primitive) => self.primitive("primitive", primitive),
            Resource::Template(template) => self.primitive("template", template),
            Resource::Group(group) => self.group(group),
            Resource::Clone(clone) => self.clone_resource(clone),
            Resource::Bundle(bundle) => self.bundle(bundle),
        }
    }

    fn primitive(&mut self, name: &str, primitive: &Primitive) {
        let pairs = [
            ("id", Some(primitive.id.as_str())),
            ("class", primitive.class.as_deref()),
            ("provider", primitive.provider.as_deref()),
            ("type", primitive.agent.as_deref()),
            ("template", primitive.template.as_deref()),
            ("description", primitive.description.as_deref()),
        ];
        self.open(name, &present(&pairs, &primitive.extra));
        self.sets(&primitive.sets);
        self.operations(&primitive.operations);
        self.close();
    }

    fn operations(&mut self, operations: &Operations) {
        if operations.list.is_empty() && operations.id.is_none() && operations.id_ref.is_none() {
            return;
        }
        let pairs = [
            ("id", operations.id.as_deref()),
            ("id-ref", operations.id_ref.as_deref()),
        ];
        self.open("operations", &present(&pairs, &NOTHING));
        for operation in &operations.list {
            let pairs = [
                ("id", named(&operation.id)),
                ("name", Some(operation.name.as_str())),
                ("interval", operation.interval.as_deref()),
            ];
            self.open("op", &present(&pairs, &operation.extra));
            self.sets(&operation.sets);
            self.close();
        }
        self.close();
    }

    fn group(&mut self, group: &Group) {
        let pairs = [
            ("id", Some(group.id.as_str())),
            ("description", group.description.as_deref()),
        ];
        self.open("group", &present(&pairs, &group.extra));
        self.sets(&group.sets);
        group
            .members
            .iter()
            .for_each(|member| self.primitive("primitive", member));
        self.close();
    }

    fn clone_resource(&mut self, clone: &CloneResource) {
        let pairs = [
            ("id", Some(clone.id.as_str())),
            ("description", clone.description.as_deref()),
        ];
        let name = if clone.is_master_element {
            "master"
        } else {
            "clone"
        };
        self.open(name, &present(&pairs, &clone.extra));
        self.sets(&clone.sets);
        match &clone.child {
            CloneChild::Primitive(primitive) => self.primitive("primitive", primitive),
            CloneChild::Group(group) => self.group(group),
        }
        self.close();
    }

    fn bundle(&mut self, bundle: &Bundle) {
        let pairs = [
            ("id", Some(bundle.id.as_str())),
            ("description", bundle.description.as_deref()),
        ];
        self.open("bundle", &present(&pairs, &bundle.extra));
        self.sets(&bundle.sets);
        if !bundle.container.0.is_empty() {
            self.leaf(&bundle.container.0, &refs(&bundle.container.1));
        }
        let parts = [
            ("network", &bundle.network, "port-mapping", &bundle.ports),
            (
                "storage",
                &bundle.storage,
                "storage-mapping",
                &bundle.mounts,
            ),
        ];
        for (name, attributes, item, items) in parts {
            if attributes.is_none() && items.is_empty() {
                continue;
            }
            self.open(name, &attributes.as_ref().map(refs).unwrap_or_default());
            items
                .iter()
                .for_each(|attributes| self.leaf(item, &refs(attributes)));
            self.close();
        }
        if let Some(primitive) = &bundle.primitive {
            self.primitive("primitive", primitive);
        }
        self.close();
    }

    fn constraint(&mut self, constraint: &Constraint) {
        let (name, pairs, extra, sets, lifetime): (_, Vec<(&str, Option<&str>)>, _, _, _) =
            match constraint {
                Constraint::Location(c) => (
                    "rsc_location",
                    vec![
                        ("id", Some(c.id.as_str())),
                        ("rsc", c.resource.as_deref()),
                        ("rsc-pattern", c.pattern.as_deref()),
                        ("role", c.role.as_deref()),
                        ("score", c.score.as_deref()),
                        ("node", c.node.as_deref()),
                        ("resource-discovery", c.discovery.as_deref()),
                    ],
                    &c.extra,
                    &c.sets,
                    c.lifetime.as_ref(),
                ),
                Constraint::Colocation(c) => (
                    "rsc_colocation",
                    vec![
                        ("id", Some(c.id.as_str())),
                        ("score", c.score.as_deref()),
                        ("rsc", c.resource.as_deref()),
                        ("rsc-role", c.role.as_deref()),
                        ("with-rsc", c.with.as_deref()),
                        ("with-rsc-role", c.with_role.as_deref()),
                        ("node-attribute", c.node_attribute.as_deref()),
                        ("influence", c.influence.as_deref()),
                    ],
                    &c.extra,
                    &c.sets,
                    c.lifetime.as_ref(),
                ),
                Constraint::Order(c) => (
                    "rsc_order",
                    vec![
                        ("id", Some(c.id.as_str())),
                        ("kind", c.kind.as_deref()),
                        ("score", c.score.as_deref()),
                        ("first", c.first.as_deref()),
                        ("first-action", c.first_action.as_deref()),
                        ("then", c.then.as_deref()),
                        ("then-action", c.then_action.as_deref()),
                        ("symmetrical", c.symmetrical.as_deref()),
                        ("require-all", c.require_all.as_deref()),
                    ],
                    &c.extra,
                    &c.sets,
                    c.lifetime.as_ref(),
                ),
                Constraint::Ticket(c) => (
                    "rsc_ticket",
                    vec![
                        ("id", Some(c.id.as_str())),
                        ("ticket", Some(c.ticket.as_str())),
                        ("rsc", c.resource.as_deref()),
                        ("rsc-role", c.role.as_deref()),
                        ("loss-policy", c.loss_policy.as_deref()),
                    ],
                    &c.extra,
                    &c.sets,
                    None,
                ),
            };
        self.open(name, &present(&pairs, extra));
        if let Constraint::Location(c) = constraint {
            c.rules.iter().for_each(|rule| self.rule(rule));
        }
        self.resource_sets(sets);
        if let Some(rule) = lifetime {
            self.open("lifetime", &[]);
            self.rule(rule);
            self.close();
        }
        self.close();
    }

    fn resource_sets(&mut self, sets: &[ResourceSet]) {
        for set in sets {
            let pairs = [
                ("id", named(&set.id)),
                ("id-ref", set.id_ref.as_deref()),
                ("sequential", set.sequential.as_deref()),
                ("require-all", set.require_all.as_deref()),
                ("role", set.role.as_deref()),
                ("action", set.action.as_deref()),
                ("score", set.score.as_deref()),
            ];
            self.open("resource_set", &present(&pairs, &set.extra));
            set.members
                .iter()
                .for_each(|name| self.leaf("resource_ref", &[("id", name)]));
            self.close();
        }
    }

    fn fencing(&mut self, levels: &[FencingLevel]) {
        self.open("fencing-topology", &[]);
        for level in levels {
            let devices = level.devices.join(",");
            let pairs = [
                ("id", named(&level.id)),
                ("target", level.target.as_deref()),
                ("target-pattern", level.target_pattern.as_deref()),
                ("target-attribute", level.target_attribute.as_deref()),
                ("target-value", level.target_value.as_deref()),
                ("index", Some(level.index.as_str())),
                ("devices", Some(devices.as_str())),
            ];
            self.leaf("fencing-level", &present(&pairs, &level.extra));
        }
        self.close();
    }

    fn alert(&mut self, alert: &Alert) {
        let pairs = [
            ("id", Some(alert.id.as_str())),
            ("path", Some(alert.path.as_str())),
            ("description", alert.description.as_deref()),
        ];
        self.open("alert", &present(&pairs, &NOTHING));
        self.sets(&alert.sets);
        if !alert.select.is_empty() {
            self.open("select", &[]);
            for (name, attributes) in &alert.select {
                self.open(name, &[]);
                attributes
                    .iter()
                    .for_each(|(id, name)| self.leaf("attribute", &[("id", id), ("name", name)]));
                self.close();
            }
            self.close();
        }
        for recipient in &alert.recipients {
            let pairs = [
                ("id", Some(recipient.id.as_str())),
                ("value", Some(recipient.value.as_str())),
                ("description", recipient.description.as_deref()),
            ];
            self.open("recipient", &present(&pairs, &NOTHING));
            self.sets(&recipient.sets);
            self.close();
        }
        self.close();
    }

    fn acls(&mut self, acls: &Acls) {
        if acls.roles.is_empty() && acls.targets.is_empty() && acls.groups.is_empty() {
            return;
        }
        self.open("acls", &[]);
        for role in &acls.roles {
            let pairs = [
                ("id", Some(role.id.as_str())),
                ("description", role.description.as_deref()),
            ];
            self.open("acl_role", &present(&pairs, &NOTHING));
            role.permissions
                .iter()
                .for_each(|permission| self.leaf("acl_permission", &refs(permission)));
            self.close();
        }
        let mut targets = |name: &str, list: &[AclTarget]| {
            for target in list {
                let pairs = [
                    ("id", Some(target.id.as_str())),
                    ("name", target.name.as_deref()),
                ];
                self.open(name, &present(&pairs, &NOTHING));
                target
                    .roles
                    .iter()
                    .for_each(|role| self.leaf("role", &[("id", role)]));
                self.close();
            }
        };
        targets("acl_target", &acls.targets);
        targets("acl_group", &acls.groups);
        self.close();
    }

    fn status(&mut self, status: &Status) {
        self.open("status", &[]);
        status.nodes.iter().for_each(|node| self.node_state(node));
        if !status.tickets.is_empty() {
            self.open("tickets", &[]);
            for ticket in &status.tickets {
                let pairs = [
                    ("id", Some(ticket.id.as_str())),
                    ("granted", ticket.granted.as_deref()),
                    ("last-granted", ticket.last_granted.as_deref()),
                    ("standby", ticket.standby.as_deref()),
                ];
                self.leaf("ticket_state", &present(&pairs, &ticket.extra));
            }
            self.close();
        }
        self.close();
    }

    fn node_state(&mut self, node: &NodeState) {
        let pairs = [
            ("id", Some(node.id.as_str())),
            ("uname", named(&node.uname)),
            ("in_ccm", node.in_cluster.as_deref()),
            ("crmd", node.crmd.as_deref()),
            ("join", node.join.as_deref()),
            ("expected", node.expected.as_deref()),
        ];
        self.open("node_state", &present(&pairs, &node.extra));
        if node.has_history {
            self.open("lrm", &[("id", &node.id)]);
            self.open("lrm_resources", &[]);
            for resource in &node.resources {
                let pairs = [
                    ("id", Some(resource.id.as_str())),
                    ("class", named(&resource.class)),
                    ("provider", resource.provider.as_deref()),
                    ("type", named(&resource.agent)),
                    ("container", resource.container.as_deref()),
                ];
                self.open("lrm_resource", &present(&pairs, &resource.extra));
                resource
                    .operations
                    .iter()
                    .for_each(|operation| self.history(operation));
                self.close();
            }
            self.close();
            self.close();
        }
        if !node.transient.is_empty() {
            self.open("transient_attributes", &[("id", &node.id)]);
            self.sets(&node.transient);
            self.close();
        }
        self.close();
    }

    fn history(&mut self, operation: &OperationHistory) {
        let numbers = [
            operation.call_id.to_string(),
            operation.rc.to_string(),
            operation.status.to_string(),
            operation.interval_ms.to_string(),
        ];
        let changed = operation.last_rc_change.map(|time| time.to_string());
        let pairs = [
            ("id", Some(operation.id.as_str())),
            ("operation_key", operation.key.as_deref()),
            ("operation", named(&operation.operation)),
            ("transition-key", operation.transition_key.as_deref()),
            ("transition-magic", operation.transition_magic.as_deref()),
            ("exit-reason", operation.exit_reason.as_deref()),
            ("on_node", operation.on_node.as_deref()),
            ("call-id", Some(numbers[0].as_str())),
            ("rc-code", Some(numbers[1].as_str())),
            ("op-status", Some(numbers[2].as_str())),
            ("interval", Some(numbers[3].as_str())),
            ("last-rc-change", changed.as_deref()),
            ("op-digest", operation.digest.as_deref()),
            ("op-restart-digest", operation.restart_digest.as_deref()),
            ("op-secure-digest", operation.secure_digest.as_deref()),
            ("op-force-restart", operation.force_restart.as_deref()),
            ("op-secure-params", operation.secure_params.as_deref()),
        ];
        self.leaf("lrm_rsc_op", &present(&pairs, &operation.extra));
    }
}
