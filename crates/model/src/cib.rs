//! The cluster information base: configuration and status as Pacemaker names them.
//!
//! The types mirror the CIB's elements one to one, so that reading and writing lose nothing. They hold
//! what was written, not what it means: defaults, inheritance from templates and rule evaluation belong to
//! `quorate-policy`. Attributes that no field stands for are kept in `extra`, in their order.
//! Source of the vocabulary: the schemas and "Pacemaker Explained" of Pacemaker 1.1 to 3.0.

use crate::status::Status;

/// XML attributes that have no field of their own, in document order.
pub type Extra = Vec<(String, String)>;

/// A whole information base.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cib {
    /// Attributes of the root element (`epoch`, `validate-with`, `have-quorum`, `execution-date` ...).
    pub attributes: Extra,
    /// What the operator configured.
    pub configuration: Configuration,
    /// What the cluster knows of its present state.
    pub status: Status,
}

/// The `configuration` element.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// Cluster options (`crm_config`): property sets, strongest first by score.
    pub options: Vec<AttributeSet>,
    /// Configured nodes.
    pub nodes: Vec<Node>,
    /// Resources and templates, in the order they were written.
    pub resources: Vec<Resource>,
    /// Constraints, in the order they were written.
    pub constraints: Vec<Constraint>,
    /// `fencing-topology`.
    pub fencing_levels: Vec<FencingLevel>,
    /// `rsc_defaults`.
    pub resource_defaults: Vec<AttributeSet>,
    /// `op_defaults`.
    pub operation_defaults: Vec<AttributeSet>,
    /// `tags`.
    pub tags: Vec<Tag>,
    /// `alerts`.
    pub alerts: Vec<Alert>,
    /// `acls`.
    pub acls: Acls,
}

/// What an attribute set is for: the element name differs, the content does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetKind {
    /// `instance_attributes`: parameters of an agent, attributes of a node.
    Instance,
    /// `meta_attributes`.
    Meta,
    /// `utilization`.
    Utilization,
    /// `cluster_property_set`.
    Cluster,
}

/// A set of name/value pairs with an optional rule, or a reference to one defined elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeSet {
    /// Which element it is.
    pub kind: SetKind,
    /// Its id; empty when it is a mere reference.
    pub id: String,
    /// `id-ref`: everything else comes from the set of that id.
    pub id_ref: Option<String>,
    /// Sets of higher score win.
    pub score: Option<String>,
    /// The set counts only when the rule holds.
    pub rule: Option<Rule>,
    /// The pairs, in order.
    pub pairs: Vec<Pair>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// One `nvpair`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Its id (may be absent in a reference).
    pub id: Option<String>,
    /// `id-ref`: the pair of that id gives the value (and the name where none is given).
    pub id_ref: Option<String>,
    /// The name; empty only with `id_ref`.
    pub name: String,
    /// The value; `None` where the attribute is absent, which means "unset".
    pub value: Option<String>,
}

/// A rule: a boolean combination of expressions over attributes, dates, types.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its id; empty for a mere reference.
    pub id: String,
    /// `id-ref`.
    pub id_ref: Option<String>,
    /// `boolean-op`; Pacemaker's default is `and`.
    pub boolean: Option<String>,
    /// `score` (location rules).
    pub score: Option<String>,
    /// `score-attribute` (location rules).
    pub score_attribute: Option<String>,
    /// `role` (location rules).
    pub role: Option<String>,
    /// The parts.
    pub parts: Vec<RulePart>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// A part of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum RulePart {
    /// A nested rule.
    Rule(Rule),
    /// `expression`: a node attribute compared with a value.
    Expression {
        /// Its id.
        id: String,
        /// The attribute (`#uname`, `#kind` ... included).
        attribute: String,
        /// `lt`, `gt`, `lte`, `gte`, `eq`, `ne`, `defined`, `not_defined`.
        operation: String,
        /// The value to compare with.
        value: Option<String>,
        /// `string`, `integer`, `number`, `version`.
        value_type: Option<String>,
        /// `literal`, `param`, `meta`.
        value_source: Option<String>,
    },
    /// `date_expression`.
    Date {
        /// Its id.
        id: String,
        /// `gt`, `lt`, `in_range`, `date_spec`.
        operation: Option<String>,
        /// Begin, ISO 8601.
        start: Option<String>,
        /// End, ISO 8601.
        end: Option<String>,
        /// `duration` child: its attributes, the id included.
        duration: Option<Extra>,
        /// `date_spec` child: its attributes, the id included.
        spec: Option<Extra>,
    },
    /// `rsc_expression`.
    ResourceType {
        /// Its id.
        id: String,
        /// Resource class.
        class: Option<String>,
        /// Provider.
        provider: Option<String>,
        /// Agent type.
        agent: Option<String>,
    },
    /// `op_expression`.
    Operation {
        /// Its id.
        id: String,
        /// Operation name.
        name: String,
        /// Interval as written.
        interval: Option<String>,
    },
}

/// A configured node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// The id in the information base.
    pub id: String,
    /// The name the operators use.
    pub uname: String,
    /// `member`, `remote`, `ping` or absent.
    pub kind: Option<String>,
    /// Attribute sets (`Instance` and `Utilization`), in order.
    pub sets: Vec<AttributeSet>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// A resource as configured.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// One agent instance.
    Primitive(Primitive),
    /// `template`: what primitives inherit from.
    Template(Primitive),
    /// Members that run together and in order.
    Group(Group),
    /// A resource active on several nodes (`promotable` by meta attribute or the old `master` element).
    Clone(CloneResource),
    /// A containerized resource.
    Bundle(Bundle),
}

/// A primitive or template.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Primitive {
    /// Its id.
    pub id: String,
    /// `ocf`, `systemd`, `service`, `lsb`, `stonith`; absent when the template gives it.
    pub class: Option<String>,
    /// `heartbeat`, `pacemaker` ...
    pub provider: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// `template="..."`.
    pub template: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// Instance, meta and utilization sets, in order.
    pub sets: Vec<AttributeSet>,
    /// The operations.
    pub operations: Operations,
    /// Attributes without a field.
    pub extra: Extra,
}

/// The `operations` element.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Operations {
    /// Its id.
    pub id: Option<String>,
    /// `id-ref`.
    pub id_ref: Option<String>,
    /// The operations in order.
    pub list: Vec<Operation>,
}

/// One `op`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// `start`, `monitor` ...
    pub name: String,
    /// Interval as written (`20s`, `0`).
    pub interval: Option<String>,
    /// Every other attribute of the element as written (`timeout`, `role`, `on-fail` ...).
    pub extra: Extra,
    /// Instance and meta sets.
    pub sets: Vec<AttributeSet>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// `description`.
    pub description: Option<String>,
    /// Meta and instance sets.
    pub sets: Vec<AttributeSet>,
    /// The members in start order.
    pub members: Vec<Primitive>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// A clone.
#[derive(Debug, Clone, PartialEq)]
pub struct CloneResource {
    /// Its id.
    pub id: String,
    /// Written as the old `master` element.
    pub is_master_element: bool,
    /// `description`.
    pub description: Option<String>,
    /// Meta and instance sets.
    pub sets: Vec<AttributeSet>,
    /// What is cloned.
    pub child: CloneChild,
    /// Attributes without a field.
    pub extra: Extra,
}

/// What a clone multiplies.
#[derive(Debug, Clone, PartialEq)]
pub enum CloneChild {
    /// A primitive.
    Primitive(Primitive),
    /// A group.
    Group(Group),
}

/// A bundle.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// Its id.
    pub id: String,
    /// `description`.
    pub description: Option<String>,
    /// Meta sets.
    pub sets: Vec<AttributeSet>,
    /// Container technology: element name (`docker`, `podman`, `rkt`) and its attributes.
    pub container: (String, Extra),
    /// Attributes of the `network` element, when there is one.
    pub network: Option<Extra>,
    /// `port-mapping` elements.
    pub ports: Vec<Extra>,
    /// Attributes of the `storage` element, when there is one (usually none).
    pub storage: Option<Extra>,
    /// `storage-mapping` elements.
    pub mounts: Vec<Extra>,
    /// What runs inside.
    pub primitive: Option<Primitive>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// `rsc_location`.
    Location(Location),
    /// `rsc_colocation`.
    Colocation(Colocation),
    /// `rsc_order`.
    Order(Order),
    /// `rsc_ticket`.
    Ticket(TicketConstraint),
}

/// `rsc_location`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Location {
    /// Its id.
    pub id: String,
    /// `rsc`.
    pub resource: Option<String>,
    /// `rsc-pattern`.
    pub pattern: Option<String>,
    /// Role it applies to.
    pub role: Option<String>,
    /// `node`, with `score`.
    pub node: Option<String>,
    /// Score as written.
    pub score: Option<String>,
    /// `always`, `never`, `exclusive`.
    pub discovery: Option<String>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Resource sets.
    pub sets: Vec<ResourceSet>,
    /// Lifetime rule.
    pub lifetime: Option<Rule>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// `rsc_colocation`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Colocation {
    /// Its id.
    pub id: String,
    /// The dependent.
    pub resource: Option<String>,
    /// What it goes with.
    pub with: Option<String>,
    /// Role of the dependent.
    pub role: Option<String>,
    /// Role of the other.
    pub with_role: Option<String>,
    /// Score as written.
    pub score: Option<String>,
    /// `node-attribute`.
    pub node_attribute: Option<String>,
    /// `influence`.
    pub influence: Option<String>,
    /// Resource sets.
    pub sets: Vec<ResourceSet>,
    /// Lifetime rule.
    pub lifetime: Option<Rule>,
    /// Attributes without a field (`rsc-instance`, `with-rsc-instance` ...).
    pub extra: Extra,
}

/// `rsc_order`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// First resource.
    pub first: Option<String>,
    /// Then resource.
    pub then: Option<String>,
    /// Action of the first.
    pub first_action: Option<String>,
    /// Action of the second.
    pub then_action: Option<String>,
    /// `Mandatory`, `Optional`, `Serialize`.
    pub kind: Option<String>,
    /// The old way to say the kind.
    pub score: Option<String>,
    /// `symmetrical`.
    pub symmetrical: Option<String>,
    /// `require-all`.
    pub require_all: Option<String>,
    /// Resource sets.
    pub sets: Vec<ResourceSet>,
    /// Lifetime rule.
    pub lifetime: Option<Rule>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// `rsc_ticket`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TicketConstraint {
    /// Its id.
    pub id: String,
    /// The ticket.
    pub ticket: String,
    /// The resource.
    pub resource: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// `stop`, `demote`, `fence`, `freeze`.
    pub loss_policy: Option<String>,
    /// Resource sets.
    pub sets: Vec<ResourceSet>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// A `resource_set`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceSet {
    /// Its id.
    pub id: String,
    /// `id-ref`.
    pub id_ref: Option<String>,
    /// `sequential`.
    pub sequential: Option<String>,
    /// `require-all`.
    pub require_all: Option<String>,
    /// `role`.
    pub role: Option<String>,
    /// `action`.
    pub action: Option<String>,
    /// `score`.
    pub score: Option<String>,
    /// `kind`, `ordering` and whatever else was written.
    pub extra: Extra,
    /// Members in order.
    pub members: Vec<String>,
}

/// A level of the fencing topology.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FencingLevel {
    /// Its id.
    pub id: String,
    /// Node name.
    pub target: Option<String>,
    /// Regular expression over node names.
    pub target_pattern: Option<String>,
    /// Node attribute.
    pub target_attribute: Option<String>,
    /// Its value.
    pub target_value: Option<String>,
    /// 1 to 9.
    pub index: String,
    /// Devices, all of which must confirm.
    pub devices: Vec<String>,
    /// Attributes without a field.
    pub extra: Extra,
}

/// A tag.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tag {
    /// Its id.
    pub id: String,
    /// What it stands for.
    pub references: Vec<String>,
}

/// An alert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// The program.
    pub path: String,
    /// `description`.
    pub description: Option<String>,
    /// Meta and instance sets.
    pub sets: Vec<AttributeSet>,
    /// `select` children: element names (`select_nodes` ...) with attribute names for `select_attributes`.
    pub select: Vec<(String, Vec<(String, String)>)>,
    /// Recipients.
    pub recipients: Vec<Recipient>,
}

/// A recipient of an alert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipient {
    /// Its id.
    pub id: String,
    /// What the program gets.
    pub value: String,
    /// `description`.
    pub description: Option<String>,
    /// Meta and instance sets.
    pub sets: Vec<AttributeSet>,
}

/// Access control.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Acls {
    /// Roles.
    pub roles: Vec<AclRole>,
    /// Users.
    pub targets: Vec<AclTarget>,
    /// Groups.
    pub groups: Vec<AclTarget>,
}

/// An ACL role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AclRole {
    /// Its id.
    pub id: String,
    /// `description`.
    pub description: Option<String>,
    /// Each permission's attributes (`id`, `kind`, `xpath`, `reference`, `object-type`, `attribute` ...).
    pub permissions: Vec<Extra>,
}

/// An ACL target or group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AclTarget {
    /// Its id.
    pub id: String,
    /// `name`, in newer schemas.
    pub name: Option<String>,
    /// Roles.
    pub roles: Vec<String>,
}
