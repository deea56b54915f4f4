//! Statements to a configuration: members go inside their groups, option sets are merged.

use super::parser::Context;
use super::references;
use super::statement::{Body, LevelSpec, Reference, Statement, Verb};
use crate::cib::{
    AttributeSet, CloneChild, CloneResource, Configuration, FencingLevel, Group, Primitive,
    Resource,
};
use crate::diag::{Code, Diagnostic, Severity, Span, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// Builds the configuration; statements of a name that is already taken become invalid.
pub(super) fn assemble(
    text: &str,
    statements: &mut [Statement],
    context: &mut Context,
) -> Configuration {
    refuse_duplicates(statements, context);
    let mut builder = Builder::new(text, statements, context);
    builder.claim_members();
    let mut configuration = builder.build();
    references::resolve(&mut configuration, context);
    references::check_constraints(&mut configuration, statements, context);
    configuration
}

/// Which names an object shares: nodes, option sets and access rules have name spaces of their own.
fn name_space(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Node => Some("node"),
        Verb::Role => Some("role"),
        Verb::User | Verb::AclTarget => Some("user"),
        Verb::AclGroup => Some("acl_group"),
        Verb::Alert => Some("alert"),
        Verb::Property
        | Verb::ResourceDefaults
        | Verb::OperationDefaults
        | Verb::FencingTopology
        | Verb::Monitor
        | Verb::Xml => None,
        _ => Some(""),
    }
}

fn refuse_duplicates(statements: &mut [Statement], context: &mut Context) {
    let mut first: BTreeMap<(&'static str, String), Span> = BTreeMap::new();
    for statement in statements {
        let Some(space) = name_space(statement.verb).filter(|_| !statement.id.is_empty()) else {
            continue;
        };
        match first.get(&(space, statement.id.clone())) {
            None => {
                first.insert((space, statement.id.clone()), statement.id_span);
            }
            Some(known) => {
                context.diagnostics.push(
                    Diagnostic::new(
                        Code::DuplicateId,
                        format!("`{}` is defined twice", statement.id),
                    )
                    .at(statement.id_span, "defined again here")
                    .also(*known, "first defined here")
                    .about(statement.id.clone())
                    .help("rename or remove one of them"),
                );
                statement.body = Body::Invalid;
            }
        }
    }
}

struct Builder<'a, 'c> {
    text: &'a str,
    statements: &'a [Statement],
    context: &'c mut Context,
    /// Statements of resources by name.
    resources: BTreeMap<&'a str, usize>,
    /// Names of which a statement exists that could not be read.
    invalid: BTreeSet<&'a str>,
    /// Member to the statement that owns it, and where that says so.
    owners: BTreeMap<&'a str, (usize, Span)>,
    /// Monitors by resource.
    monitors: BTreeMap<&'a str, Vec<&'a crate::cib::Operation>>,
}

impl<'a, 'c> Builder<'a, 'c> {
    fn new(text: &'a str, statements: &'a [Statement], context: &'c mut Context) -> Self {
        let mut resources = BTreeMap::new();
        let mut invalid = BTreeSet::new();
        let mut monitors: BTreeMap<&str, Vec<&crate::cib::Operation>> = BTreeMap::new();
        for (number, statement) in statements.iter().enumerate() {
            match &statement.body {
                Body::Primitive(_)
                | Body::Template(_)
                | Body::Group(..)
                | Body::Clone(..)
                | Body::Bundle(..) => {
                    resources.insert(statement.id.as_str(), number);
                }
                Body::Invalid => {
                    invalid.insert(statement.id.as_str());
                }
                Body::Monitor(target, operation) => {
                    monitors.entry(&target.name).or_default().push(operation);
                }
                _ => {}
            }
        }
        Self {
            text,
            statements,
            context,
            resources,
            invalid,
            owners: BTreeMap::new(),
            monitors,
        }
    }

    fn body(&self, name: &str) -> Option<&'a Body> {
        self.resources
            .get(name)
            .map(|number| &self.statements[*number].body)
    }

    /// Settles who owns whom; says what is undefined, owned twice, or of the wrong kind.
    fn claim_members(&mut self) {
        for number in 0..self.statements.len() {
            let statement = &self.statements[number];
            match &statement.body {
                Body::Group(_, members) => {
                    for member in members {
                        self.claim(number, member, members.len() > 1);
                    }
                }
                Body::Clone(_, child) | Body::Bundle(_, Some(child)) => {
                    self.claim(number, child, false);
                }
                Body::Monitor(target, _) if !self.resources.contains_key(target.name.as_str()) => {
                    self.undefined(target, &statement.id, None);
                }
                _ => {}
            }
        }
    }

    fn claim(&mut self, owner: usize, member: &'a Reference, is_removable: bool) {
        let statement = &self.statements[owner];
        let kind = match (&statement.body, self.body(&member.name)) {
            (_, None) => {
                let removal = is_removable.then(|| self.with_blank_before(member.span));
                return self.undefined(member, &statement.id, removal);
            }
            (Body::Group(..) | Body::Bundle(..), Some(Body::Primitive(_))) => None,
            (Body::Clone(..), Some(Body::Primitive(_) | Body::Group(..))) => None,
            (Body::Group(..), _) => Some("a group may contain only primitives"),
            (Body::Bundle(..), _) => Some("a bundle may contain only a primitive"),
            _ => Some("only a primitive or a group can be cloned"),
        };
        if let Some(rule) = kind {
            let defined = self.context.spans.get(&member.name, "");
            self.context.diagnostics.push(
                Diagnostic::new(
                    Code::WrongMember,
                    format!("`{}` cannot be inside `{}`", member.name, statement.id),
                )
                .at(member.span, rule)
                .also(defined, "defined here")
                .about(statement.id.clone())
                .help(format!("name another resource in `{}`", statement.id)),
            );
            return;
        }
        if let Some((other, span)) = self.owners.get(member.name.as_str()) {
            let other = &self.statements[*other].id;
            self.context.diagnostics.push(
                Diagnostic::new(Code::MemberTwice, format!("`{}` is already inside `{other}`", member.name))
                    .at(member.span, "claimed again here")
                    .also(*span, "first claimed here")
                    .about(statement.id.clone())
                    .help("a resource can be in one group or clone only; use constraints to tie it to others"),
            );
            return;
        }
        self.owners.insert(&member.name, (owner, member.span));
    }

    /// A name that nothing defines.
    fn undefined(&mut self, reference: &Reference, owner: &str, removal: Option<Span>) {
        if self.invalid.contains(reference.name.as_str()) {
            return;
        }
        let verb = self
            .statements
            .iter()
            .find(|s| s.id == owner)
            .map_or("group", |s| s.verb.word());
        let mut diagnostic = Diagnostic::new(
            Code::UndefinedMember,
            format!("`{}` is not defined anywhere", reference.name),
        )
        .at(reference.span, format!("the {verb} `{owner}` names it"))
        .because(
            "a member that does not exist would be dropped silently, and the rest run without it",
        )
        .about(owner);
        let candidates = self
            .resources
            .iter()
            .filter(|(_, number)| matches!(self.statements[**number].body, Body::Primitive(_)));
        let free = candidates
            .map(|(name, _)| *name)
            .filter(|name| !self.owners.contains_key(name));
        diagnostic = match nearest(&reference.name, free) {
            // Names often differ by one letter on purpose: a guess is offered, never made.
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => {
                let diagnostic = diagnostic.help(format!(
                    "define it with `primitive {} ...`, or remove it",
                    reference.name
                ));
                match removal {
                    Some(span) => diagnostic.fix(span, ""),
                    None => diagnostic,
                }
            }
        };
        self.context.diagnostics.push(diagnostic);
    }

    fn with_blank_before(&self, span: Span) -> Span {
        let has_blank = span.start > 0 && self.text.as_bytes()[span.start - 1] == b' ';
        Span::new(span.start - usize::from(has_blank), span.end)
    }

    fn build(&mut self) -> Configuration {
        let mut configuration = Configuration::default();
        let mut levels: Vec<LevelSpec> = Vec::new();
        for number in 0..self.statements.len() {
            let statement = &self.statements[number];
            let is_owned = self.owners.contains_key(statement.id.as_str());
            match &statement.body {
                Body::Node(node) => configuration.nodes.push(node.clone()),
                Body::Template(template) => configuration
                    .resources
                    .push(Resource::Template(template.clone())),
                Body::Primitive(primitive) if !is_owned => {
                    let primitive = self.primitive(primitive);
                    configuration.resources.push(Resource::Primitive(primitive));
                }
                Body::Group(group, members) if !is_owned => {
                    configuration
                        .resources
                        .extend(self.group(number, group, members).map(Resource::Group));
                }
                Body::Clone(clone, child) => {
                    configuration.resources.extend(
                        self.clone_resource(number, clone, child)
                            .map(Resource::Clone),
                    );
                }
                Body::Bundle(bundle, child) => {
                    let mut bundle = bundle.clone();
                    bundle.primitive = child.as_ref().and_then(|child| self.member(number, child));
                    configuration.resources.push(Resource::Bundle(bundle));
                }
                Body::Constraint(constraint) => configuration.constraints.push(constraint.clone()),
                Body::Fencing(more) => levels.extend(more.iter().cloned()),
                Body::Options(set) => merge(&mut configuration.options, set, self.context),
                Body::ResourceDefaults(set) => {
                    merge(&mut configuration.resource_defaults, set, self.context);
                }
                Body::OperationDefaults(set) => {
                    merge(&mut configuration.operation_defaults, set, self.context);
                }
                Body::Tag(tag) => configuration.tags.push(tag.clone()),
                Body::Alert(alert) => configuration.alerts.push(alert.clone()),
                Body::Role(role) => configuration.acls.roles.push(role.clone()),
                Body::Target(target) => configuration.acls.targets.push(target.clone()),
                Body::Xml(more) => include(&mut configuration, more, self.context),
                Body::AclGroup(group) => configuration.acls.groups.push(group.clone()),
                Body::Primitive(_) | Body::Group(..) | Body::Monitor(..) | Body::Invalid => {}
            }
        }
        let levels = self.fencing_levels(levels, &configuration);
        configuration.fencing_levels.extend(levels);
        configuration
    }

    fn primitive(&self, primitive: &Primitive) -> Primitive {
        let mut primitive = primitive.clone();
        if let Some(monitors) = self.monitors.get(primitive.id.as_str()) {
            primitive
                .operations
                .list
                .extend(monitors.iter().map(|operation| (*operation).clone()));
        }
        primitive
    }

    /// The member's primitive, when it is defined and this statement owns it.
    fn member(&self, owner: usize, reference: &Reference) -> Option<Primitive> {
        let owns = self
            .owners
            .get(reference.name.as_str())
            .is_some_and(|(known, _)| *known == owner);
        match self.body(&reference.name) {
            Some(Body::Primitive(primitive)) if owns => Some(self.primitive(primitive)),
            _ => None,
        }
    }

    fn group(&self, number: usize, group: &Group, members: &[Reference]) -> Option<Group> {
        let mut group = group.clone();
        group.members = members
            .iter()
            .filter_map(|member| self.member(number, member))
            .collect();
        (!group.members.is_empty()).then_some(group)
    }

    fn clone_resource(
        &self,
        number: usize,
        clone: &CloneResource,
        child: &Reference,
    ) -> Option<CloneResource> {
        let mut clone = clone.clone();
        clone.child = match self.body(&child.name)? {
            Body::Group(group, members) => {
                let owner = *self.resources.get(child.name.as_str())?;
                let owned = self
                    .owners
                    .get(child.name.as_str())
                    .is_some_and(|(known, _)| *known == number);
                CloneChild::Group(self.group(owner, group, members).filter(|_| owned)?)
            }
            _ => CloneChild::Primitive(self.member(number, child)?),
        };
        Some(clone)
    }

    /// Levels without a target are for every node.
    fn fencing_levels(
        &mut self,
        specs: Vec<LevelSpec>,
        configuration: &Configuration,
    ) -> Vec<FencingLevel> {
        let mut nodes: Vec<&str> = configuration
            .nodes
            .iter()
            .filter(|node| !matches!(node.kind.as_deref(), Some("ping")))
            .map(|node| node.uname.as_str())
            .collect();
        nodes.sort_unstable();
        let (general, special): (Vec<_>, Vec<_>) = specs.into_iter().partition(|spec| {
            let level = &spec.level;
            level.target.is_none()
                && level.target_pattern.is_none()
                && level.target_attribute.is_none()
        });
        let mut levels = Vec::new();
        let mut put = |level: FencingLevel, context: &mut Context| {
            let id = context.ids.make("fencing");
            levels.push(FencingLevel { id, ..level });
        };
        for node in &nodes {
            for spec in &general {
                put(
                    FencingLevel {
                        target: Some((*node).to_owned()),
                        ..spec.level.clone()
                    },
                    self.context,
                );
            }
        }
        if nodes.is_empty() {
            for spec in general {
                put(
                    FencingLevel {
                        target_pattern: Some(".*".to_owned()),
                        ..spec.level
                    },
                    self.context,
                );
            }
        }
        for spec in special {
            put(spec.level, self.context);
        }
        levels
    }
}

/// A second statement of the same set adds to it; the later value counts.
fn merge(sets: &mut Vec<AttributeSet>, set: &AttributeSet, context: &mut Context) {
    let same = sets
        .iter_mut()
        .find(|known| known.id == set.id && !set.id.is_empty());
    match same {
        Some(known) if known.rule.is_none() && set.rule.is_none() => {
            for pair in &set.pairs {
                match known
                    .pairs
                    .iter_mut()
                    .find(|other| other.name == pair.name && !pair.name.is_empty())
                {
                    Some(other) if other.value == pair.value => {}
                    Some(other) => {
                        let span = |id: &Option<String>| {
                            id.as_deref().and_then(|id| context.spans.get(id, ""))
                        };
                        context.diagnostics.push(
                            Diagnostic::new(
                                Code::DuplicateId,
                                format!("`{}` is set twice, to different values", pair.name),
                            )
                            .weighing(Severity::Warning)
                            .at(span(&pair.id), "this one counts")
                            .also(span(&other.id), "set here before")
                            .help("remove one of them"),
                        );
                        other.value.clone_from(&pair.value);
                    }
                    None => known.pairs.push(pair.clone()),
                }
            }
        }
        Some(_) => {
            let mut set = set.clone();
            set.id = context.ids.make(&set.id.clone());
            sets.push(set);
        }
        None => {
            context.ids.claim(&set.id);
            sets.push(set.clone());
        }
    }
}

/// Adds what an element of XML defines.
fn include(configuration: &mut Configuration, more: &Configuration, context: &mut Context) {
    configuration.nodes.extend(more.nodes.iter().cloned());
    configuration
        .resources
        .extend(more.resources.iter().cloned());
    configuration
        .constraints
        .extend(more.constraints.iter().cloned());
    configuration
        .fencing_levels
        .extend(more.fencing_levels.iter().cloned());
    for (sets, more) in [
        (&mut configuration.options, &more.options),
        (
            &mut configuration.resource_defaults,
            &more.resource_defaults,
        ),
        (
            &mut configuration.operation_defaults,
            &more.operation_defaults,
        ),
    ] {
        more.iter().for_each(|set| merge(sets, set, context));
    }
    configuration.tags.extend(more.tags.iter().cloned());
    configuration.alerts.extend(more.alerts.iter().cloned());
    configuration
        .acls
        .roles
        .extend(more.acls.roles.iter().cloned());
    configuration
        .acls
        .targets
        .extend(more.acls.targets.iter().cloned());
    configuration
        .acls
        .groups
        .extend(more.acls.groups.iter().cloned());
}
