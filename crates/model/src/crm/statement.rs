//! What one statement of the language defines.

use crate::cib;
use crate::diag::Span;

/// The first word of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// `node`
    Node,
    /// `primitive`
    Primitive,
    /// `rsc_template`
    Template,
    /// `group`
    Group,
    /// `clone`
    Clone,
    /// `ms` (old: `master`)
    Ms,
    /// `bundle`
    Bundle,
    /// `location`
    Location,
    /// `colocation` (old: `collocation`)
    Colocation,
    /// `order`
    Order,
    /// `rsc_ticket`
    Ticket,
    /// `fencing_topology`
    FencingTopology,
    /// `property`
    Property,
    /// `rsc_defaults`
    ResourceDefaults,
    /// `op_defaults`
    OperationDefaults,
    /// `tag`
    Tag,
    /// `alert`
    Alert,
    /// `role`
    Role,
    /// `user` (old form of `acl_target`)
    User,
    /// `acl_target`
    AclTarget,
    /// `acl_group`
    AclGroup,
    /// `monitor`
    Monitor,
    /// `xml`
    Xml,
}

impl Verb {
    /// Verbs by the words that mean them; the first word of each is the one that is printed.
    pub const WORDS: &'static [(&'static str, Verb)] = &[
        ("node", Verb::Node),
        ("primitive", Verb::Primitive),
        ("rsc_template", Verb::Template),
        ("group", Verb::Group),
        ("clone", Verb::Clone),
        ("ms", Verb::Ms),
        ("master", Verb::Ms),
        ("bundle", Verb::Bundle),
        ("location", Verb::Location),
        ("colocation", Verb::Colocation),
        ("collocation", Verb::Colocation),
        ("order", Verb::Order),
        ("rsc_ticket", Verb::Ticket),
        ("fencing_topology", Verb::FencingTopology),
        ("fencing-topology", Verb::FencingTopology),
        ("property", Verb::Property),
        ("rsc_defaults", Verb::ResourceDefaults),
        ("op_defaults", Verb::OperationDefaults),
        ("tag", Verb::Tag),
        ("alert", Verb::Alert),
        ("role", Verb::Role),
        ("user", Verb::User),
        ("acl_target", Verb::AclTarget),
        ("acl_group", Verb::AclGroup),
        ("monitor", Verb::Monitor),
        ("xml", Verb::Xml),
    ];

    /// The verb that a word means.
    pub fn from_word(word: &str) -> Option<Verb> {
        Verb::WORDS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, verb)| *verb)
    }

    /// The word that is printed.
    pub fn word(self) -> &'static str {
        Verb::WORDS
            .iter()
            .find(|(_, verb)| *verb == self)
            .map_or("", |(word, _)| word)
    }
}

/// A name that stands for something defined elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// One level of a `fencing_topology` statement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LevelSpec {
    /// The level; without any target it is meant for every node.
    pub level: cib::FencingLevel,
    /// The devices' place.
    pub span: Span,
}

/// The content of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A node.
    Node(cib::Node),
    /// A primitive.
    Primitive(cib::Primitive),
    /// A template.
    Template(cib::Primitive),
    /// A group; its members are named.
    Group(cib::Group, Vec<Reference>),
    /// A clone; its child is named (the one inside is a stand-in).
    Clone(cib::CloneResource, Reference),
    /// A bundle; its primitive is named.
    Bundle(cib::Bundle, Option<Reference>),
    /// A constraint.
    Constraint(cib::Constraint),
    /// Levels of fencing.
    Fencing(Vec<LevelSpec>),
    /// Cluster options.
    Options(cib::AttributeSet),
    /// Defaults of resources.
    ResourceDefaults(cib::AttributeSet),
    /// Defaults of operations.
    OperationDefaults(cib::AttributeSet),
    /// A tag.
    Tag(cib::Tag),
    /// An alert.
    Alert(cib::Alert),
    /// An access role.
    Role(cib::AclRole),
    /// A user of access roles.
    Target(cib::AclTarget),
    /// A group of users of access roles.
    AclGroup(cib::AclTarget),
    /// A monitor for a resource defined elsewhere.
    Monitor(Reference, cib::Operation),
    /// XML that is no single primitive, template or constraint.
    Xml(Box<cib::Configuration>),
    /// It could not be read; diagnostics say why.
    Invalid,
}

/// A statement of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Where it stands, comment excluded.
    pub span: Span,
    /// The comment lines directly above.
    pub comment: Option<Span>,
    /// What it defines.
    pub verb: Verb,
    /// Its name; empty where the verb has none.
    pub id: String,
    /// Where the name stands.
    pub id_span: Span,
    /// The content.
    pub body: Body,
}
