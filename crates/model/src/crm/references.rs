//! References between parts: id-refs, constraints, tags, levels, roles.

use super::parser::Context;
use super::statement::{Body, Statement};
use crate::cib::{
    AttributeSet, CloneChild, Configuration, Constraint, Primitive, Resource, ResourceSet, Rule,
    SetKind,
};
use crate::diag::{Code, Diagnostic, Span, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// What an id-ref may name, by the object it belongs to.
#[derive(Default)]
struct Targets {
    /// Ids of sets, rules, operation lists and pairs.
    ids: BTreeSet<String>,
    /// The first part of each kind of an object.
    of_object: BTreeMap<(String, &'static str), String>,
}

fn kind_name(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Instance => "instance",
        SetKind::Meta => "meta",
        SetKind::Utilization => "utilization",
        SetKind::Cluster => "cluster",
    }
}

impl Targets {
    fn put(&mut self, object: &str, kind: &'static str, id: &str) {
        if !id.is_empty() {
            self.ids.insert(id.to_owned());
            self.of_object
                .entry((object.to_owned(), kind))
                .or_insert_with(|| id.to_owned());
        }
    }

    fn sets(&mut self, object: &str, sets: &[AttributeSet]) {
        for set in sets {
            self.put(object, kind_name(set.kind), &set.id);
            for pair in &set.pairs {
                if let Some(id) = &pair.id {
                    self.ids.insert(id.clone());
                }
            }
            if let Some(rule) = &set.rule {
                self.put(object, "rule", &rule.id);
            }
        }
    }
}

/// Calls `visit` with every primitive and template.
pub(super) fn each_primitive(
    configuration: &mut Configuration,
    visit: &mut dyn FnMut(&mut Primitive),
) {
    for resource in &mut configuration.resources {
        match resource {
            Resource::Primitive(primitive) | Resource::Template(primitive) => visit(primitive),
            Resource::Group(group) => group.members.iter_mut().for_each(&mut *visit),
            Resource::Clone(clone) => match &mut clone.child {
                CloneChild::Primitive(primitive) => visit(primitive),
                CloneChild::Group(group) => group.members.iter_mut().for_each(&mut *visit),
            },
            Resource::Bundle(bundle) => bundle.primitive.iter_mut().for_each(&mut *visit),
        }
    }
}

/// Turns references to objects into references to their parts, and reports those to nothing.
pub(super) fn resolve(configuration: &mut Configuration, context: &mut Context) {
    let mut targets = Targets::default();
    let mut wanted_operations = BTreeSet::new();
    each_primitive(configuration, &mut |primitive| {
        wanted_operations.extend(primitive.operations.id_ref.clone());
    });
    each_primitive(configuration, &mut |primitive| {
        // An operation list gets an id only when somebody refers to it by its owner.
        if primitive.operations.id.is_none()
            && wanted_operations.contains(&primitive.id)
            && !primitive.operations.list.is_empty()
        {
            primitive.operations.id =
                Some(context.ids.make(&format!("{}-operations", primitive.id)));
        }
        targets.sets(&primitive.id, &primitive.sets);
        targets.put(
            &primitive.id,
            "operations",
            primitive.operations.id.as_deref().unwrap_or(""),
        );
        for operation in &primitive.operations.list {
            targets.sets(&operation.id, &operation.sets);
        }
    });
    collect_other_targets(configuration, &mut targets);
    let mut fix = |kind: &'static str, reference: &mut Option<String>| {
        let Some(name) = reference else { return };
        if targets.ids.contains(name) {
            return;
        }
        if let Some(id) = targets.of_object.get(&(name.clone(), kind)) {
            id.clone_into(name);
            return;
        }
        let span = context.spans.get(&format!("idref:{name}"), "");
        let mut diagnostic =
            Diagnostic::new(Code::UndefinedIdRef, format!("nothing has the id `{name}`"))
                .at(span, "referred to here");
        diagnostic = match nearest(name, targets.ids.iter().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help("give the part an id with $id=, and refer to that"),
        };
        context.diagnostics.push(diagnostic);
    };
    fix_references(configuration, &mut fix);
}

fn collect_other_targets(configuration: &Configuration, targets: &mut Targets) {
    for node in &configuration.nodes {
        targets.sets(&node.uname, &node.sets);
    }
    for resource in &configuration.resources {
        match resource {
            Resource::Group(group) => targets.sets(&group.id, &group.sets),
            Resource::Clone(clone) => {
                targets.sets(&clone.id, &clone.sets);
                if let CloneChild::Group(group) = &clone.child {
                    targets.sets(&group.id, &group.sets);
                }
            }
            Resource::Bundle(bundle) => targets.sets(&bundle.id, &bundle.sets),
            Resource::Primitive(_) | Resource::Template(_) => {}
        }
    }
    for sets in [
        &configuration.options,
        &configuration.resource_defaults,
        &configuration.operation_defaults,
    ] {
        for set in sets {
            targets.sets(&set.id, std::slice::from_ref(set));
        }
    }
    for constraint in &configuration.constraints {
        if let Constraint::Location(location) = constraint {
            for rule in &location.rules {
                targets.put(&location.id, "rule", &rule.id);
            }
        }
    }
    for alert in &configuration.alerts {
        targets.sets(&alert.id, &alert.sets);
    }
}

fn fix_references(
    configuration: &mut Configuration,
    fix: &mut dyn FnMut(&'static str, &mut Option<String>),
) {
    fn rule(rule: &mut Rule, fix: &mut dyn FnMut(&'static str, &mut Option<String>)) {
        fix("rule", &mut rule.id_ref);
    }
    fn sets(sets: &mut [AttributeSet], fix: &mut dyn FnMut(&'static str, &mut Option<String>)) {
        for set in sets {
            fix(kind_name(set.kind), &mut set.id_ref);
            if let Some(inner) = &mut set.rule {
                rule(inner, fix);
            }
            for pair in &mut set.pairs {
                fix("pair", &mut pair.id_ref);
            }
        }
    }
    each_primitive(configuration, &mut |primitive| {
        sets(&mut primitive.sets, fix);
        fix("operations", &mut primitive.operations.id_ref);
        for operation in &mut primitive.operations.list {
            sets(&mut operation.sets, fix);
        }
    });
    for node in &mut configuration.nodes {
        sets(&mut node.sets, fix);
    }
    for resource in &mut configuration.resources {
        match resource {
            Resource::Group(group) => sets(&mut group.sets, fix),
            Resource::Clone(clone) => {
                sets(&mut clone.sets, fix);
                if let CloneChild::Group(group) = &mut clone.child {
                    sets(&mut group.sets, fix);
                }
            }
            Resource::Bundle(bundle) => sets(&mut bundle.sets, fix),
            Resource::Primitive(_) | Resource::Template(_) => {}
        }
    }
    sets(&mut configuration.options, fix);
    sets(&mut configuration.resource_defaults, fix);
    sets(&mut configuration.operation_defaults, fix);
    for constraint in &mut configuration.constraints {
        if let Constraint::Location(location) = constraint {
            location.rules.iter_mut().for_each(|inner| rule(inner, fix));
        }
    }
}

/// Every name that a constraint, tag or level may use.
pub(crate) fn resource_names(configuration: &Configuration) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(primitive) | Resource::Template(primitive) => {
                names.insert(primitive.id.as_str());
            }
            Resource::Group(group) => {
                names.insert(group.id.as_str());
                names.extend(group.members.iter().map(|member| member.id.as_str()));
            }
            Resource::Clone(clone) => {
                names.insert(clone.id.as_str());
                match &clone.child {
                    CloneChild::Primitive(primitive) => {
                        names.insert(primitive.id.as_str());
                    }
                    CloneChild::Group(group) => {
                        names.insert(group.id.as_str());
                        names.extend(group.members.iter().map(|member| member.id.as_str()));
                    }
                }
            }
            Resource::Bundle(bundle) => {
                names.insert(bundle.id.as_str());
                names.extend(
                    bundle
                        .primitive
                        .iter()
                        .map(|primitive| primitive.id.as_str()),
                );
            }
        }
    }
    names
}

/// Reports names that nothing defines, and leaves out what they make meaningless.
pub(super) fn check_constraints(
    configuration: &mut Configuration,
    statements: &[Statement],
    context: &mut Context,
) {
    let invalid: BTreeSet<&str> = statements
        .iter()
        .filter(|statement| matches!(statement.body, Body::Invalid))
        .map(|statement| statement.id.as_str())
        .collect();
    let mut known: BTreeSet<String> = resource_names(configuration)
        .into_iter()
        .map(str::to_owned)
        .collect();
    known.extend(configuration.tags.iter().map(|tag| tag.id.clone()));
    let mut missing: Vec<(String, String)> = Vec::new();
    let mut check = |owner: &str, name: &str| {
        let ok = known.contains(name);
        if !ok {
            missing.push((owner.to_owned(), name.to_owned()));
        }
        ok
    };
    configuration
        .constraints
        .retain_mut(|constraint| constraint_holds(constraint, &mut check));
    for level in &mut configuration.fencing_levels {
        level
            .devices
            .retain(|device| check("fencing_topology", device));
    }
    missing.sort();
    missing.dedup();
    for (owner, name) in missing {
        if invalid.contains(name.as_str()) {
            continue;
        }
        report(&owner, &name, &known, context);
    }
    check_templates(configuration, &known, &invalid, context);
    check_tags_and_roles(configuration, &known, statements, context);
}

fn constraint_holds(
    constraint: &mut Constraint,
    check: &mut dyn FnMut(&str, &str) -> bool,
) -> bool {
    fn sets(
        owner: &str,
        sets: &mut Vec<ResourceSet>,
        check: &mut dyn FnMut(&str, &str) -> bool,
    ) -> bool {
        let had = !sets.is_empty();
        for set in sets.iter_mut() {
            set.members.retain(|name| check(owner, name));
        }
        sets.retain(|set| !set.members.is_empty() || set.id_ref.is_some());
        !had || !sets.is_empty()
    }
    let mut both = |owner: &str, names: [&Option<String>; 2], all: &mut Vec<ResourceSet>| {
        let mut holds = true;
        for name in names.into_iter().flatten() {
            holds &= check(owner, name);
        }
        holds & sets(owner, all, check)
    };
    match constraint {
        Constraint::Location(c) => both(&c.id, [&c.resource, &None], &mut c.sets),
        Constraint::Colocation(c) => both(&c.id, [&c.resource, &c.with], &mut c.sets),
        Constraint::Order(c) => both(&c.id, [&c.first, &c.then], &mut c.sets),
        Constraint::Ticket(c) => both(&c.id, [&c.resource, &None], &mut c.sets),
    }
}

fn report(owner: &str, name: &str, known: &BTreeSet<String>, context: &mut Context) {
    let span: Option<Span> = context.spans.near(owner, &format!("ref:{name}"));
    let mut diagnostic = Diagnostic::new(
        Code::UndefinedReference,
        format!("`{name}` is not defined anywhere"),
    )
    .at(span, format!("`{owner}` names it"))
    .because("what names a resource that does not exist has no effect")
    .about(owner);
    diagnostic = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("define `{name}`, or remove `{owner}`")),
    };
    context.diagnostics.push(diagnostic);
}

fn check_templates(
    configuration: &mut Configuration,
    known: &BTreeSet<String>,
    invalid: &BTreeSet<&str>,
    context: &mut Context,
) {
    let templates: BTreeSet<String> = configuration
        .resources
        .iter()
        .filter_map(|resource| match resource {
            Resource::Template(template) => Some(template.id.clone()),
            _ => None,
        })
        .collect();
    each_primitive(configuration, &mut |primitive| {
        let Some(name) = primitive
            .template
            .clone()
            .filter(|name| !templates.contains(name))
        else {
            return;
        };
        if invalid.contains(name.as_str()) {
            return;
        }
        let mut diagnostic = Diagnostic::new(
            Code::UndefinedTemplate,
            format!("the template `{name}` is not defined"),
        )
        .at(
            context.spans.near(&primitive.id, &format!("ref:{name}")),
            "inherited from here",
        )
        .about(primitive.id.clone());
        if known.contains(&name) {
            diagnostic = diagnostic.help(format!(
                "`{name}` is a resource; define templates with `rsc_template`"
            ));
        } else if let Some(near) = nearest(&name, templates.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(format!("did you mean `@{near}`?"));
        } else {
            diagnostic = diagnostic.help(format!(
                "define it with `rsc_template {name} CLASS:PROVIDER:TYPE ...`"
            ));
        }
        context.diagnostics.push(diagnostic);
    });
}

fn check_tags_and_roles(
    configuration: &Configuration,
    known: &BTreeSet<String>,
    statements: &[Statement],
    context: &mut Context,
) {
    let constraint_ids: BTreeSet<&str> = statements
        .iter()
        .map(|statement| statement.id.as_str())
        .collect();
    for tag in &configuration.tags {
        for name in &tag.references {
            if !known.contains(name) && !constraint_ids.contains(name.as_str()) {
                report(&tag.id, name, known, context);
            }
        }
    }
    let roles: BTreeSet<String> = configuration
        .acls
        .roles
        .iter()
        .map(|role| role.id.clone())
        .collect();
    for target in configuration
        .acls
        .targets
        .iter()
        .chain(&configuration.acls.groups)
    {
        for role in target.roles.iter().filter(|role| !roles.contains(*role)) {
            report(&target.id, role, &roles, context);
        }
    }
}
