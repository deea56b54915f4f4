//! Primitives with what surrounds them.

use crate::cib::{
    AttributeSet, CloneChild, CloneResource, Configuration, Group, Operation, Pair, Primitive,
    Resource, SetKind,
};

/// A primitive, its group, clone and template.
pub(super) struct View<'a> {
    pub primitive: &'a Primitive,
    pub group: Option<&'a Group>,
    pub clone: Option<&'a CloneResource>,
    pub template: Option<&'a Primitive>,
    pub is_template: bool,
}

/// All primitives and templates, in their order.
pub(super) fn views(configuration: &Configuration) -> Vec<View<'_>> {
    let template_of = |primitive: &Primitive| {
        primitive.template.as_ref()?;
        configuration
            .resources
            .iter()
            .find_map(|resource| match resource {
                Resource::Template(template)
                    if Some(&template.id) == primitive.template.as_ref() =>
                {
                    Some(template)
                }
                _ => None,
            })
    };
    let view = |primitive, group, clone| View {
        primitive,
        group,
        clone,
        template: template_of(primitive),
        is_template: false,
    };
    let mut views = Vec::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(primitive) => views.push(view(primitive, None, None)),
            Resource::Template(template) => views.push(View {
                is_template: true,
                ..view(template, None, None)
            }),
            Resource::Group(group) => views.extend(
                group
                    .members
                    .iter()
                    .map(|member| view(member, Some(group), None)),
            ),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => views.push(view(primitive, None, Some(clone))),
                CloneChild::Group(group) => {
                    views.extend(
                        group
                            .members
                            .iter()
                            .map(|member| view(member, Some(group), Some(clone))),
                    );
                }
            },
            Resource::Bundle(bundle) => views.extend(
                bundle
                    .primitive
                    .iter()
                    .map(|primitive| view(primitive, None, None)),
            ),
        }
    }
    views
}

impl<'a> View<'a> {
    /// Class, provider and agent, from the template where the primitive has none.
    pub fn agent(&self) -> Option<String> {
        agent_name(self.primitive).or_else(|| self.template.and_then(agent_name))
    }

    /// The class.
    pub fn class(&self) -> &'a str {
        let class = self.primitive.class.as_deref();
        class
            .or_else(|| self.template.and_then(|template| template.class.as_deref()))
            .unwrap_or("")
    }

    /// The agent's own name.
    pub fn agent_type(&self) -> &'a str {
        let agent = self.primitive.agent.as_deref();
        agent
            .or_else(|| self.template.and_then(|template| template.agent.as_deref()))
            .unwrap_or("")
    }

    /// Parameters, the template's after its own.
    pub fn parameters(&self) -> impl Iterator<Item = &'a Pair> + use<'a> {
        let own = pairs(&self.primitive.sets, SetKind::Instance);
        own.chain(
            self.template
                .into_iter()
                .flat_map(|template| pairs(&template.sets, SetKind::Instance)),
        )
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a Pair> {
        self.parameters().find(|pair| pair.name == name)
    }

    /// Its operations, the template's where it has none of that name.
    pub fn operations(&self) -> Vec<&'a Operation> {
        let own = &self.primitive.operations.list;
        let inherited = self
            .template
            .map(|template| template.operations.list.as_slice())
            .unwrap_or_default();
        let is_new = |operation: &&Operation| {
            !own.iter()
                .any(|other| other.name == operation.name && other.interval == operation.interval)
        };
        own.iter().chain(inherited.iter().filter(is_new)).collect()
    }

    /// The value of a meta attribute: its own, the group's, the clone's.
    pub fn meta(&self, name: &str) -> Option<&'a str> {
        let mut all = pairs(&self.primitive.sets, SetKind::Meta)
            .chain(
                self.template
                    .into_iter()
                    .flat_map(|template| pairs(&template.sets, SetKind::Meta)),
            )
            .chain(
                self.group
                    .into_iter()
                    .flat_map(|group| pairs(&group.sets, SetKind::Meta)),
            )
            .chain(
                self.clone
                    .into_iter()
                    .flat_map(|clone| pairs(&clone.sets, SetKind::Meta)),
            );
        all.find(|pair| pair.name == name)?.value.as_deref()
    }

    /// It is a fence device.
    pub fn is_fence_device(&self) -> bool {
        self.class() == "stonith"
    }
}

/// The pairs of all sets of a kind.
pub(super) fn pairs(sets: &[AttributeSet], kind: SetKind) -> impl Iterator<Item = &Pair> {
    sets.iter()
        .filter(move |set| set.kind == kind)
        .flat_map(|set| &set.pairs)
}

/// `CLASS[:PROVIDER]:TYPE`, unless a template gives it.
pub fn agent_name(primitive: &Primitive) -> Option<String> {
    let (class, agent) = (primitive.class.as_deref()?, primitive.agent.as_deref()?);
    Some(match &primitive.provider {
        Some(provider) => format!("{class}:{provider}:{agent}"),
        None => format!("{class}:{agent}"),
    })
}
