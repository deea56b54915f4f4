//! What a name in a constraint stands for: a resource, or everything under a tag or template.

use crate::world::{RscIx, World};

impl World<'_> {
    /// The resource of that id; instances are not meant by constraints.
    pub(crate) fn constraint_rsc(&self, id: &str) -> Option<RscIx> {
        self.rsc_by_id.get(id).copied().or_else(|| {
            // The configured name of something that is only there as instances.
            let clone = self.anon_by_base.get(id).copied()?;
            let child = self.rscs[clone].children.first().copied()?;
            if self.is_primitive(child) {
                return Some(child);
            }
            let named = |c: &RscIx| crate::facts::failcount_base(&self.rscs[*c].id) == id;
            if named(&child) {
                Some(child)
            } else {
                self.rscs[child].children.iter().copied().find(named)
            }
        })
    }

    /// All resources a name stands for; more than one where it is a tag or a template.
    pub(crate) fn resolve(&self, id: &str) -> Vec<RscIx> {
        let cib = self.cib;
        if self.rsc_by_id.contains_key(id) {
            return vec![self.rsc_by_id[id]];
        }
        if let Some(tag) = cib.configuration.tags.iter().find(|t| t.id == id) {
            return tag
                .references
                .iter()
                .filter_map(|r| self.constraint_rsc(r))
                .collect();
        }
        let mut derived = Vec::new();
        let templates = &cib.configuration.resources;
        let is_template = templates
            .iter()
            .any(|r| matches!(r, quorate_model::cib::Resource::Template(t) if t.id == id));
        if is_template {
            for (ix, rsc) in self.rscs.iter().enumerate() {
                let first = rsc.instance.is_none_or(|i| i == 0);
                if self.is_primitive(ix)
                    && first
                    && !rsc.removed
                    && self.cfg(ix).template == Some(id)
                {
                    derived.push(ix);
                }
            }
            return derived;
        }
        self.constraint_rsc(id).into_iter().collect()
    }

    /// Whether a name stands for several resources.
    pub(crate) fn is_tag(&self, id: &str) -> bool {
        !self.rsc_by_id.contains_key(id)
            && (self.cib.configuration.tags.iter().any(|t| t.id == id)
                || self
                    .cib
                    .configuration
                    .resources
                    .iter()
                    .any(|r| matches!(r, quorate_model::cib::Resource::Template(t) if t.id == id)))
    }
}
