//! Nodes and resources as statements.

use super::{Printer, pair_text, quote};
use crate::cib::{
    AttributeSet, Bundle, CloneChild, CloneResource, Extra, Group, Node, Primitive, Resource,
    SetKind,
};

impl Printer {
    pub(super) fn node(&mut self, node: &Node) {
        let mut head = "node ".to_owned();
        if node.id != node.uname {
            head.push_str(&format!("{}: ", node.id));
        }
        head.push_str(&node.uname);
        if let Some(kind) = &node.kind {
            head.push_str(&format!(":{kind}"));
        }
        let mut parts: Vec<String> = node
            .extra
            .iter()
            .map(|(name, value)| pair_text(name, Some(value)))
            .collect();
        for set in &node.sets {
            parts.push(self.set(
                if set.kind == SetKind::Utilization {
                    "utilization"
                } else {
                    "attributes"
                },
                set,
            ));
        }
        self.statement(&head, &parts);
    }

    pub(super) fn resource(&mut self, resource: &Resource) {
        match resource {
            Resource::Primitive(primitive) => self.primitive("primitive", primitive),
            Resource::Template(template) => self.primitive("rsc_template", template),
            Resource::Group(group) => self.group(group),
            Resource::Clone(clone) => self.clone_resource(clone),
            Resource::Bundle(bundle) => self.bundle(bundle),
        }
    }

    fn primitive(&mut self, word: &str, primitive: &Primitive) {
        let agent = match (
            &primitive.template,
            &primitive.class,
            &primitive.provider,
            &primitive.agent,
        ) {
            (Some(template), ..) => format!("@{template}"),
            (None, Some(class), Some(provider), Some(agent)) => {
                format!("{class}:{provider}:{agent}")
            }
            (None, Some(class), None, Some(agent)) => format!("{class}:{agent}"),
            _ => "?".to_owned(),
        };
        let mut parts = Vec::new();
        if let Some(description) = &primitive.description {
            parts.push(pair_text("description", Some(description)));
        }
        for set in &primitive.sets {
            let word = match set.kind {
                SetKind::Meta => "meta",
                SetKind::Utilization => "utilization",
                SetKind::Instance | SetKind::Cluster => "params",
            };
            parts.push(self.set(word, set));
        }
        self.operations(&primitive.operations, &mut parts);
        self.statement(&format!("{word} {} {agent}", primitive.id), &parts);
    }

    fn group(&mut self, group: &Group) {
        for member in &group.members {
            self.primitive("primitive", member);
        }
        let names: Vec<&str> = group
            .members
            .iter()
            .map(|member| member.id.as_str())
            .collect();
        let parts = self.collection(group.description.as_deref(), &group.sets);
        self.statement(&format!("group {} {}", group.id, names.join(" ")), &parts);
    }

    fn clone_resource(&mut self, clone: &CloneResource) {
        let child = match &clone.child {
            CloneChild::Primitive(primitive) => {
                self.primitive("primitive", primitive);
                &primitive.id
            }
            CloneChild::Group(group) => {
                self.group(group);
                &group.id
            }
        };
        let word = if clone.is_master_element {
            "ms"
        } else {
            "clone"
        };
        let parts = self.collection(clone.description.as_deref(), &clone.sets);
        self.statement(&format!("{word} {} {child}", clone.id), &parts);
    }

    fn collection(&self, description: Option<&str>, sets: &[AttributeSet]) -> Vec<String> {
        let mut parts: Vec<String> = description
            .map(|text| pair_text("description", Some(text)))
            .into_iter()
            .collect();
        for set in sets {
            parts.push(self.set(
                if set.kind == SetKind::Meta {
                    "meta"
                } else {
                    "params"
                },
                set,
            ));
        }
        parts
    }

    fn bundle(&mut self, bundle: &Bundle) {
        if let Some(primitive) = &bundle.primitive {
            self.primitive("primitive", primitive);
        }
        let attributes = |word: &str, attributes: &Extra| {
            let mut words = vec![word.to_owned()];
            words.extend(
                attributes
                    .iter()
                    .map(|(name, value)| format!("{name}={}", quote(value))),
            );
            words.join(" ")
        };
        let mut parts = Vec::new();
        if let Some(description) = &bundle.description {
            parts.push(pair_text("description", Some(description)));
        }
        parts.push(attributes(&bundle.container.0, &bundle.container.1));
        let sections = [
            ("network", &bundle.network, "port-mapping", &bundle.ports),
            (
                "storage",
                &bundle.storage,
                "storage-mapping",
                &bundle.mounts,
            ),
        ];
        for (word, own, item, items) in sections {
            if let Some(own) = own {
                let mut words = vec![attributes(word, own)];
                words.extend(items.iter().map(|one| attributes(item, one)));
                parts.push(words.join(" "));
            }
        }
        if let Some(primitive) = &bundle.primitive {
            parts.push(format!("primitive {}", primitive.id));
        }
        parts.extend(bundle.sets.iter().map(|set| self.set("meta", set)));
        self.statement(&format!("bundle {}", bundle.id), &parts);
    }
}
