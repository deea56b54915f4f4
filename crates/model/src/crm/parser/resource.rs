//! Statements of nodes and resources.

use super::super::lexer::Word;
use super::super::statement::{Body, Reference};
use super::set::SECTIONS;
use super::{Parser, is_id};
use crate::cib::{
    AttributeSet, Bundle, CloneChild, CloneResource, Extra, Group, Node, Operations, Primitive,
    SetKind,
};
use crate::diag::{Code, Diagnostic, Span};

const NODE_SECTIONS: &[&str] = &["attributes", "utilization"];
const COLLECTION_SECTIONS: &[&str] = &["params", "meta"];
const BUNDLE_SECTIONS: &[&str] = &[
    "docker",
    "podman",
    "rkt",
    "network",
    "port-mapping",
    "storage",
    "storage-mapping",
    "primitive",
    "meta",
];
const CLASSES: &[&str] = &[
    "ocf",
    "systemd",
    "service",
    "lsb",
    "stonith",
    "upstart",
    "nagios",
    "heartbeat",
];
/// Agents that only the provider `pacemaker` has: a name alone means that one.
const PACEMAKER_AGENTS: &[&str] = &[
    "ClusterMon",
    "HealthCPU",
    "HealthIOWait",
    "HealthSMART",
    "Stateful",
    "SysInfo",
    "SystemHealth",
    "attribute",
    "controld",
    "ifspeed",
    "o2cb",
    "ping",
    "pingd",
    "remote",
];

impl Parser<'_, '_> {
    /// `node [$id=ID] [ID:] NAME[:TYPE] [description=] [attributes ...] [utilization ...]`.
    pub(super) fn node(&mut self) -> Option<Body> {
        let usage = "node NAME [attributes NAME=VALUE ...]";
        let mut node = Node::default();
        if let Some(("$id" | "id", id, _)) = self.peek().and_then(Word::pair) {
            id.clone_into(&mut node.id);
            self.at += 1;
        }
        let mut word = self.next();
        if let (Some(id), true) = (
            word.and_then(|word| word.text.strip_suffix(':')),
            self.peek().is_some(),
        ) {
            id.clone_into(&mut node.id);
            word = self.next();
        }
        let Some(word) = word.filter(|word| word.equals.is_none()) else {
            self.syntax(self.end, "a node's name is missing", usage);
            return None;
        };
        let (name, kind) = match word.text.split_once(':') {
            Some((name, kind)) => (name, Some(kind)),
            None => (word.text.as_str(), None),
        };
        if let Some(kind) = kind {
            if !matches!(kind, "normal" | "member" | "ping" | "remote") {
                self.syntax(
                    word.span,
                    format!("`{kind}` is not a kind of node"),
                    "kinds are member, remote, ping",
                );
                return None;
            }
            node.kind = Some(kind.to_owned());
        }
        name.clone_into(&mut node.uname);
        if node.id.is_empty() {
            name.clone_into(&mut node.id);
        }
        name.clone_into(&mut self.id);
        self.id_span = Span::new(word.span.start, word.span.start + name.len());
        self.context
            .spans
            .put(&format!("node:{name}"), "", self.id_span);
        while self.peek().is_some() {
            if let Some(description) = self.description() {
                node.extra.push(("description".to_owned(), description));
            } else if self.eat("attributes") {
                let set = self.attribute_set(SetKind::Instance, name, NODE_SECTIONS);
                node.sets.push(set);
            } else if self.eat("utilization") {
                let set = self.attribute_set(SetKind::Utilization, name, NODE_SECTIONS);
                node.sets.push(set);
            } else if self.peek().is_some_and(|word| word.equals.is_some()) {
                // Pairs right behind the name are attributes, too.
                let set = self.attribute_set(SetKind::Instance, name, NODE_SECTIONS);
                node.sets.push(set);
            } else {
                self.finish();
            }
        }
        Some(Body::Node(node))
    }

    /// `primitive ID {[CLASS:[PROVIDER:]]TYPE | @TEMPLATE} sections`.
    pub(super) fn primitive(&mut self) -> Option<Primitive> {
        let usage = "primitive NAME ocf:heartbeat:IPaddr2 params ip=... op monitor interval=10s";
        self.take_id(usage)?;
        let mut primitive = Primitive {
            id: self.id.clone(),
            ..Primitive::default()
        };
        let Some(word) = self.next() else {
            self.syntax(self.end, "an agent is missing", usage);
            return None;
        };
        self.agent(word, &mut primitive)?;
        let id = self.id.clone();
        self.context.spans.put(&id, "class", word.span);
        let mut operations = Operations::default();
        while let Some(word) = self.peek() {
            match word.keyword().as_deref() {
                Some("params") => self.section(&mut primitive.sets, SetKind::Instance),
                Some("meta") => self.section(&mut primitive.sets, SetKind::Meta),
                Some("utilization") => self.section(&mut primitive.sets, SetKind::Utilization),
                Some("op") => {
                    self.at += 1;
                    self.operation(&mut operations, &id);
                }
                Some("op_params") => {
                    self.at += 1;
                    self.operation_set(&mut operations, SetKind::Instance);
                }
                Some("op_meta") => {
                    self.at += 1;
                    self.operation_set(&mut operations, SetKind::Meta);
                }
                Some("operations") => self.operations_head(&mut operations),
                _ => match self.description() {
                    Some(description) => primitive.description = Some(description),
                    // Parameters may follow the agent directly.
                    None if primitive.sets.is_empty() && operations.list.is_empty() => {
                        let set = self.attribute_set(SetKind::Instance, &id, SECTIONS);
                        primitive.sets.push(set);
                    }
                    None => self.finish(),
                },
            }
        }
        primitive.operations = operations;
        Some(primitive)
    }

    fn section(&mut self, sets: &mut Vec<AttributeSet>, kind: SetKind) {
        self.at += 1;
        let id = self.id.clone();
        let set = self.attribute_set(kind, &id, SECTIONS);
        // `params` with nothing behind it is allowed and means nothing.
        if !(set.pairs.is_empty() && set.rule.is_none() && set.id_ref.is_none()) {
            sets.push(set);
        }
    }

    fn operations_head(&mut self, operations: &mut Operations) {
        self.at += 1;
        while let Some((name, value, span)) = self.peek().and_then(Word::pair) {
            match name {
                "$id" => operations.id = Some(value.to_owned()),
                "$id-ref" => operations.id_ref = Some(value.to_owned()),
                _ => break,
            }
            let key = if name == "$id" {
                value.to_owned()
            } else {
                format!("idref:{value}")
            };
            self.context.spans.put(&key, "", span);
            self.at += 1;
        }
    }

    fn agent(&mut self, word: &Word, primitive: &mut Primitive) -> Option<()> {
        if let Some(template) = word.text.strip_prefix('@') {
            primitive.template = Some(template.to_owned());
            let id = self.id.clone();
            self.context
                .spans
                .put(&id, &format!("ref:{template}"), word.span);
            return Some(());
        }
        let bad = word.equals.is_some() || word.text.split(':').any(str::is_empty);
        let parts: Vec<&str> = word.text.split(':').collect();
        let (class, provider, agent) = match parts.as_slice() {
            _ if bad => ("", None, ""),
            [agent] if PACEMAKER_AGENTS.contains(agent) => ("ocf", Some("pacemaker"), *agent),
            [agent] => ("ocf", Some("heartbeat"), *agent),
            ["ocf", agent] => ("ocf", Some("heartbeat"), *agent),
            [class, agent] if CLASSES.contains(class) => (*class, None, *agent),
            // A provider and a type: the class is ocf.
            [provider, agent] => ("ocf", Some(*provider), *agent),
            ["ocf", provider, agent] => ("ocf", Some(*provider), *agent),
            // A unit's name may hold colons.
            [class @ ("systemd" | "service"), ..] => (*class, None, &word.text[class.len() + 1..]),
            _ => ("", None, ""),
        };
        if agent.is_empty() {
            self.syntax(
                word.span,
                format!("`{}` names no agent", word.text),
                "write ocf:PROVIDER:TYPE, systemd:UNIT, stonith:TYPE, lsb:SCRIPT or @TEMPLATE",
            );
            return None;
        }
        primitive.class = Some(class.to_owned());
        primitive.provider = provider.map(str::to_owned);
        primitive.agent = Some(agent.to_owned());
        Some(())
    }

    /// `group ID MEMBER ... [description=] [meta ...] [params ...]`.
    pub(super) fn group(&mut self) -> Option<Body> {
        let usage = "group NAME MEMBER ... [meta NAME=VALUE ...]";
        self.take_id(usage)?;
        let mut group = Group {
            id: self.id.clone(),
            ..Group::default()
        };
        let mut members: Vec<Reference> = Vec::new();
        while let Some(word) = self.peek() {
            let is_section = word
                .keyword()
                .is_some_and(|word| COLLECTION_SECTIONS.contains(&word.as_str()));
            if is_section || word.equals.is_some() {
                break;
            }
            self.at += 1;
            let reference = self.reference(word)?;
            if let Some(first) = members.iter().find(|member| member.name == reference.name) {
                let first = first.span;
                self.push(
                    Diagnostic::new(
                        Code::MemberTwice,
                        format!("`{}` is named twice", reference.name),
                    )
                    .at(reference.span, "named again here")
                    .also(first, "first named here")
                    .help("remove one of them"),
                );
                continue;
            }
            members.push(reference);
        }
        if members.is_empty() {
            self.push(
                Diagnostic::new(
                    Code::EmptyGroup,
                    format!("the group `{}` has no members", self.id),
                )
                .at(self.id_span, "nothing to run")
                .help(usage),
            );
            return None;
        }
        (group.description, group.sets) = self.collection_sections();
        Some(Body::Group(group, members))
    }

    /// `clone ID CHILD ...` and `ms ID CHILD ...`.
    pub(super) fn clone_resource(&mut self, is_master_element: bool) -> Option<Body> {
        let usage = "clone NAME RESOURCE [meta NAME=VALUE ...]";
        self.take_id(usage)?;
        let Some(word) = self.next().filter(|word| word.equals.is_none()) else {
            self.syntax(self.here(), "the resource to clone is missing", usage);
            return None;
        };
        let child = self.reference(word)?;
        let (description, sets) = self.collection_sections();
        let stand_in = Primitive {
            id: child.name.clone(),
            ..Primitive::default()
        };
        let clone = CloneResource {
            id: self.id.clone(),
            is_master_element,
            description,
            sets,
            child: CloneChild::Primitive(stand_in),
            extra: Extra::new(),
        };
        Some(Body::Clone(clone, child))
    }

    /// Description, `meta` and `params` of a group or clone; parameters may come without the word.
    fn collection_sections(&mut self) -> (Option<String>, Vec<AttributeSet>) {
        let (mut description, mut sets) = (None, Vec::new());
        let id = self.id.clone();
        while self.peek().is_some() {
            let kind = if self.eat("meta") {
                SetKind::Meta
            } else if self.eat("params") {
                SetKind::Instance
            } else if let Some(text) = self.description() {
                description = Some(text);
                continue;
            } else if self.peek().is_some_and(|word| word.equals.is_some()) && sets.is_empty() {
                SetKind::Instance
            } else {
                self.finish();
                continue;
            };
            let set = self.attribute_set(kind, &id, COLLECTION_SECTIONS);
            if !(set.pairs.is_empty() && set.rule.is_none() && set.id_ref.is_none()) {
                sets.push(set);
            }
        }
        (description, sets)
    }

    /// A word that names a resource.
    pub(super) fn reference(&mut self, word: &Word) -> Option<Reference> {
        if !is_id(&word.text) {
            self.syntax(
                word.span,
                format!("`{}` cannot be the name of a resource", word.text),
                "",
            );
            return None;
        }
        let id = self.id.clone();
        self.context
            .spans
            .put(&id, &format!("ref:{}", word.text), word.span);
        Some(Reference {
            name: word.text.clone(),
            span: word.span,
        })
    }

    /// A mapping of a bundle with an id.
    fn numbered(&mut self, attributes: Extra, owner: &str, made: &mut usize) -> Extra {
        let has_id = attributes.iter().any(|(name, _)| name == "id");
        let attributes = self.with_id(attributes, &format!("{owner}-{made}"));
        *made += usize::from(!has_id);
        attributes
    }

    /// `bundle ID docker|podman|rkt ... [network ...] [storage ...] [primitive ID] [meta ...]`.
    pub(super) fn bundle(&mut self) -> Option<Body> {
        let usage = "bundle NAME podman image=... network ip-range-start=... storage storage-mapping ... primitive NAME";
        self.take_id(usage)?;
        let id = self.id.clone();
        let mut bundle = Bundle {
            id: id.clone(),
            ..Bundle::default()
        };
        let mut child = None;
        // Mappings without a name of their own are numbered, ports and storage together.
        let mut made = 0;
        bundle.description = self.description();
        while let Some(word) = self.next() {
            match word.keyword().as_deref() {
                Some(engine @ ("docker" | "podman" | "rkt")) => {
                    bundle.container = (engine.to_owned(), self.pairs());
                }
                Some("network") => bundle.network = Some(self.pairs()),
                Some("port-mapping") => {
                    let attributes = self.pairs();
                    bundle.network.get_or_insert_default();
                    let attributes = self.numbered(attributes, &id, &mut made);
                    bundle.ports.push(attributes);
                }
                Some("storage") => bundle.storage = Some(self.pairs()),
                Some("storage-mapping") => {
                    let attributes = self.pairs();
                    bundle.storage.get_or_insert_default();
                    let attributes = self.numbered(attributes, &id, &mut made);
                    bundle.mounts.push(attributes);
                }
                Some("primitive") => match self.next() {
                    Some(word) => child = Some(self.reference(word)?),
                    None => self.syntax(self.end, "the primitive's name is missing", usage),
                },
                Some("meta") => {
                    let set = self.attribute_set(SetKind::Meta, &id, BUNDLE_SECTIONS);
                    bundle.sets.push(set);
                }
                _ => match word.pair() {
                    Some(("description", text, _)) => bundle.description = Some(text.to_owned()),
                    _ => {
                        self.at -= 1;
                        self.finish();
                    }
                },
            }
        }
        if bundle.container.0.is_empty() {
            self.syntax(self.id_span, "the bundle names no container", usage);
            return None;
        }
        if child.is_some() && bundle.network.is_none() {
            self.syntax(
                self.id_span,
                "a bundle with a primitive needs a network",
                "add `network ip-range-start=ADDRESS` or `network control-port=PORT`",
            );
            return None;
        }
        Some(Body::Bundle(bundle, child))
    }
}
