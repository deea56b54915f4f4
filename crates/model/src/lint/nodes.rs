//! Names of nodes in constraints, rules, fencing levels.

use super::Linter;
use crate::cib::{Constraint, Rule, RulePart};
use crate::diag::{Code, Diagnostic, Severity, Span, nearest};

impl Linter<'_> {
    pub(super) fn nodes(&mut self) {
        if self.configuration.nodes.is_empty() {
            return;
        }
        let mut uses: Vec<(String, String, Option<Span>)> = Vec::new();
        for constraint in &self.configuration.constraints {
            let Constraint::Location(location) = constraint else {
                continue;
            };
            if let Some(node) = &location.node {
                uses.push((
                    location.id.clone(),
                    node.clone(),
                    self.spans.near(&location.id, "node"),
                ));
            }
            for rule in &location.rules {
                self.rule_nodes(&location.id, rule, &mut uses);
            }
        }
        for level in &self.configuration.fencing_levels {
            if let Some(node) = &level.target {
                let span = self.spans.get("fencing_topology", &format!("node:{node}"));
                uses.push(("fencing_topology".to_owned(), node.clone(), span));
            }
        }
        uses.dedup();
        for (owner, node, span) in uses {
            self.node_use(&owner, &node, span);
        }
        self.node_placeholders();
    }

    fn rule_nodes(&self, owner: &str, rule: &Rule, uses: &mut Vec<(String, String, Option<Span>)>) {
        for part in &rule.parts {
            match part {
                RulePart::Rule(inner) => self.rule_nodes(owner, inner, uses),
                RulePart::Expression {
                    id,
                    attribute,
                    operation,
                    value: Some(value),
                    ..
                } if attribute == "#uname" && matches!(operation.as_str(), "eq" | "ne") => {
                    uses.push((
                        owner.to_owned(),
                        value.clone(),
                        self.spans.near(id, "value"),
                    ));
                }
                _ => {}
            }
        }
    }

    fn node_use(&mut self, owner: &str, node: &str, span: Option<Span>) {
        let names: Vec<&str> = self
            .configuration
            .nodes
            .iter()
            .map(|node| node.uname.as_str())
            .collect();
        if names.contains(&node) || self.is_guest(node) {
            return;
        }
        let text = span.and_then(|span| self.text.get(span.start..span.end));
        let fixable = span.filter(|_| text == Some(node));
        if let Some(meant) = names.iter().find(|name| name.eq_ignore_ascii_case(node)) {
            let defined = self.spans.get(&format!("node:{meant}"), "");
            let mut diagnostic = Diagnostic::new(Code::NodeCase, format!("the node `{node}` is written `{meant}` elsewhere"))
                .at(span, format!("`{owner}` names it so"))
                .also(defined, "the node statement")
                .because("names are compared without regard to case here, exactly by other tools and by scripts")
                .help(format!("write `{meant}`"))
                .about(owner);
            if let Some(span) = fixable {
                diagnostic = diagnostic.fix(span, *meant);
            }
            return self.push(diagnostic);
        }
        let mut diagnostic =
            Diagnostic::new(Code::UnknownNode, format!("there is no node `{node}`"))
                .at(span, format!("`{owner}` names it"))
                .because(format!("`{owner}` would never apply"))
                .about(owner);
        diagnostic = match nearest(node, names.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!(
                "the nodes are {}; add `node {node}` or correct the name",
                names.join(", ")
            )),
        };
        self.push(diagnostic);
    }

    /// Guests and remote nodes are resources: a `remote-node` meta attribute, or an agent `ocf:pacemaker:remote`.
    fn is_guest(&self, node: &str) -> bool {
        self.views.iter().any(|view| {
            view.meta("remote-node") == Some(node)
                || (view.agent_type() == "remote" && view.primitive.id == node)
        }) || self
            .configuration
            .resources
            .iter()
            .any(|resource| match resource {
                crate::cib::Resource::Bundle(bundle) => node.starts_with(&bundle.id),
                _ => false,
            })
    }

    /// `SERVER1` is what documentation calls a machine.
    fn node_placeholders(&mut self) {
        for node in &self.configuration.nodes {
            let stem = node
                .uname
                .trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
            let is_placeholder = matches!(
                stem,
                "SERVER" | "NODE" | "HOST" | "HOSTNAME" | "SERVER_NAME" | "NODE_NAME"
            );
            if is_placeholder {
                let diagnostic = Diagnostic::new(
                    Code::Placeholder,
                    format!("the node's name `{}` looks like a placeholder", node.uname),
                )
                .weighing(Severity::Warning)
                .at(
                    self.spans.get(&format!("node:{}", node.uname), ""),
                    "is this the host's name?",
                )
                .because("a node's name must be what `uname -n` prints on it")
                .help("write the host's name; if it is the name, nothing needs to be done")
                .about(node.uname.clone());
                self.found.push(diagnostic);
            }
        }
    }
}
