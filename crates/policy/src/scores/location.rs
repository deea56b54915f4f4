//! Location constraints.

use crate::rule::{Facts, holds};
use crate::score::{Score, parse};
use crate::world::{Discover, LocationCon, NodeIx, Role, RscIx, World};
use quorate_model::cib::{Location, Rule, RulePart, SetKind};
use std::collections::BTreeMap;

impl<'c> World<'c> {
    pub(super) fn unpack_location(&mut self, con: &'c Location) {
        if let Some(rule) = &con.lifetime
            && !holds(
                rule,
                &Facts {
                    now: self.now,
                    ..Facts::default()
                },
            )
        {
            return;
        }
        if let Some(id) = &con.resource {
            for r in self.resolve(id) {
                self.location_of(con, r, con.role.as_deref(), con.score.as_deref(), None);
            }
        } else if let Some(pattern) = &con.pattern {
            self.location_pattern(con, pattern);
        }
        for set in &con.sets {
            for member in &set.members {
                for r in self.resolve(member) {
                    let role = set.role.as_deref().or(con.role.as_deref());
                    let score = set.score.as_deref().or(con.score.as_deref());
                    self.location_of(con, r, role, score, None);
                }
            }
        }
    }

    fn location_pattern(&mut self, con: &'c Location, pattern: &str) {
        let (inverted, pattern) = match pattern.strip_prefix('!') {
            Some(p) => (true, p),
            None => (false, pattern),
        };
        for r in self.top.clone() {
            let id = self.rscs[r].id.clone();
            let found = crate::pattern::search(pattern, &id);
            match (found, inverted) {
                (Some(groups), false) => {
                    self.location_of(
                        con,
                        r,
                        con.role.as_deref(),
                        con.score.as_deref(),
                        Some(&groups),
                    );
                }
                (None, true) => {
                    self.location_of(con, r, con.role.as_deref(), con.score.as_deref(), None);
                }
                _ => {}
            }
        }
    }

    fn location_of(
        &mut self,
        con: &'c Location,
        r: RscIx,
        role: Option<&str>,
        score: Option<&str>,
        groups: Option<&[String]>,
    ) {
        let discover = match con.discovery.as_deref() {
            Some("never") => Discover::Never,
            Some("exclusive") => Discover::Exclusive,
            _ => Discover::Always,
        };
        if let Some(node) = &con.node {
            let score = score.map_or(0, parse);
            let nodes: Vec<(NodeIx, Score)> = match self.find_node(node) {
                Some(n) => vec![(n, score)],
                None => {
                    let tag = self.cib.configuration.tags.iter().find(|t| t.id == *node);
                    match tag {
                        Some(t) => t
                            .references
                            .iter()
                            .filter_map(|id| {
                                self.node_by_id
                                    .get(id)
                                    .copied()
                                    .or_else(|| self.find_node(id))
                            })
                            .map(|n| (n, score))
                            .collect(),
                        None => return,
                    }
                }
            };
            self.push_location(&con.id, r, role, nodes, discover);
            return;
        }
        for rule in &con.rules {
            let nodes = self.rule_nodes(rule, r, groups);
            let role = rule.role.as_deref().or(role);
            self.push_location(&con.id, r, role, nodes, discover);
        }
    }

    fn push_location(
        &mut self,
        id: &str,
        r: RscIx,
        role: Option<&str>,
        nodes: Vec<(NodeIx, Score)>,
        discover: Discover,
    ) {
        if nodes.is_empty() {
            return;
        }
        let role = role.and_then(Role::parse).unwrap_or(Role::Unknown);
        // "Started" is every active role, which is the same as none.
        let role = if role <= Role::Started {
            Role::Unknown
        } else {
            role
        };
        let ix = self.locations.len();
        self.locations.push(LocationCon {
            id: id.to_owned(),
            rsc: r,
            role,
            nodes,
            discover,
        });
        self.rscs[r].locations.push(ix);
    }

    fn rule_nodes(
        &mut self,
        rule: &Rule,
        r: RscIx,
        groups: Option<&[String]>,
    ) -> Vec<(NodeIx, Score)> {
        let by_param = asks_for_parameters(rule);
        let meta = self.rscs[r].meta.clone();
        let mut out = Vec::new();
        let mut next = None;
        for n in 0..self.nodes.len() {
            // A parameter may differ from node to node.
            let params = if by_param {
                self.literal_params(r, n)
            } else {
                BTreeMap::new()
            };
            let facts = Facts {
                now: self.now,
                node: Some(&self.nodes[n].attrs),
                params: Some(&params),
                meta: Some(&meta),
                groups,
                ..Facts::default()
            };
            let yes = holds(rule, &facts);
            next = next.or(facts.next.get());
            if !yes {
                continue;
            }
            let score = match &rule.score_attribute {
                Some(attribute) => match self.nodes[n].attrs.get(attribute) {
                    Some(v) => parse(v),
                    None => continue,
                },
                None => rule.score.as_deref().map_or(0, parse),
            };
            out.push((n, score));
        }
        if let Some(at) = next {
            self.recheck_by(at);
        }
        out
    }

    fn literal_params(&self, r: RscIx, n: NodeIx) -> BTreeMap<String, String> {
        if self.is_primitive(r) {
            return self.params(r, Some(n));
        }
        let mut out = BTreeMap::new();
        let facts = Facts {
            now: self.now,
            node: Some(&self.nodes[n].attrs),
            ..Facts::default()
        };
        crate::nvset::collect(
            &self.rsc_sets[r],
            SetKind::Instance,
            None,
            &facts,
            &self.set_by_id,
            &mut out,
        );
        out
    }
}

/// Whether an expression of a rule compares with a parameter of the resource.
fn asks_for_parameters(rule: &Rule) -> bool {
    rule.parts.iter().any(|part| match part {
        RulePart::Rule(inner) => asks_for_parameters(inner),
        RulePart::Expression { value_source, .. } => value_source.as_deref() == Some("param"),
        _ => false,
    })
}
