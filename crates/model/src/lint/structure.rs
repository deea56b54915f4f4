//! How resources and constraints are put together.

use super::Linter;
use super::view::pairs;
use crate::cib::{CloneChild, CloneResource, Constraint, Resource, SetKind};
use crate::diag::{Code, Diagnostic, Severity};
use crate::metadata::is_true;
use std::collections::BTreeMap;

impl Linter<'_> {
    pub(super) fn structure(&mut self) {
        self.constraints_on_members();
        self.stickiness();
        let clones: Vec<&CloneResource> = self
            .configuration
            .resources
            .iter()
            .filter_map(|resource| match resource {
                Resource::Clone(clone) => Some(clone),
                _ => None,
            })
            .collect();
        for clone in clones {
            self.clone_counts(clone);
            self.galera(clone);
            for pair in clone.sets.iter().flat_map(|set| &set.pairs) {
                self.renamed(pair, &clone.id);
            }
        }
        self.cluster_monitor();
    }

    fn constraints_on_members(&mut self) {
        let mut inside: BTreeMap<&str, &str> = BTreeMap::new();
        for resource in &self.configuration.resources {
            match resource {
                Resource::Group(group) => {
                    inside.extend(
                        group
                            .members
                            .iter()
                            .map(|member| (member.id.as_str(), group.id.as_str())),
                    );
                }
                Resource::Clone(clone) => match &clone.child {
                    CloneChild::Primitive(primitive) => {
                        inside.insert(&primitive.id, &clone.id);
                    }
                    CloneChild::Group(group) => {
                        inside.insert(&group.id, &clone.id);
                        inside.extend(
                            group
                                .members
                                .iter()
                                .map(|member| (member.id.as_str(), clone.id.as_str())),
                        );
                    }
                },
                _ => {}
            }
        }
        let mut found = Vec::new();
        for constraint in &self.configuration.constraints {
            let (id, names) = match constraint {
                Constraint::Location(c) => (&c.id, vec![c.resource.as_deref()]),
                Constraint::Colocation(c) => {
                    (&c.id, vec![c.resource.as_deref(), c.with.as_deref()])
                }
                Constraint::Order(c) => (&c.id, vec![c.first.as_deref(), c.then.as_deref()]),
                Constraint::Ticket(c) => (&c.id, vec![c.resource.as_deref()]),
            };
            for name in names.into_iter().flatten() {
                if let Some(owner) = inside.get(name) {
                    let diagnostic = Diagnostic::new(
                        Code::ConstraintOnMember,
                        format!("`{id}` names `{name}`, which is inside `{owner}`"),
                    )
                    .at(
                        self.spans.near(id, &format!("ref:{name}")),
                        "the whole is usually meant",
                    )
                    .help(format!("name `{owner}`"));
                    found.push(diagnostic.about(id.clone()));
                }
            }
        }
        self.found.append(&mut found);
    }

    fn stickiness(&mut self) {
        if self.members().len() < 2 {
            return;
        }
        let defaults = self
            .configuration
            .resource_defaults
            .iter()
            .flat_map(|set| &set.pairs);
        let old = self
            .cluster_option(&["default-resource-stickiness"])
            .is_some();
        if old
            || defaults
                .clone()
                .any(|pair| pair.name == "resource-stickiness")
        {
            return;
        }
        let loose: Vec<&str> = self
            .views
            .iter()
            .filter(|view| {
                !view.is_fence_device()
                    && !view.is_template
                    && view.meta("resource-stickiness").is_none()
            })
            .map(|view| {
                view.group
                    .map_or(view.primitive.id.as_str(), |group| group.id.as_str())
            })
            .collect();
        let Some(first) = loose.first() else { return };
        let mut diagnostic = Diagnostic::new(
            Code::NoStickiness,
            format!("nothing makes `{first}` stay where it is"),
        )
        .because(
            "when a repaired node returns the service may move back: a second outage for nothing",
        )
        .help("add `rsc_defaults resource-stickiness=100`");
        if self.document.is_some() {
            diagnostic = diagnostic.fix(
                self.end_of_text(),
                self.addition("rsc_defaults resource-stickiness=100"),
            );
        }
        self.push(diagnostic);
    }

    fn clone_counts(&mut self, clone: &CloneResource) {
        let nodes = self.members().len();
        let number = |name: &str| {
            let pair = pairs(&clone.sets, SetKind::Meta).find(|pair| pair.name == name)?;
            Some((
                pair.value.as_deref()?.parse::<usize>().ok()?,
                pair.id.clone(),
            ))
        };
        let per_node = number("clone-node-max").map_or(1, |(count, _)| count);
        if nodes > 0
            && let Some((count, id)) =
                number("clone-max").filter(|(count, _)| *count > nodes * per_node)
        {
            let diagnostic = Diagnostic::new(
                Code::CloneBeyondNodes,
                format!(
                    "`{}` asks for {count} instances, {nodes} nodes can run {}",
                    clone.id,
                    nodes * per_node
                ),
            )
            .at(
                id.as_deref().and_then(|id| self.spans.get(id, "")),
                "some never run",
            )
            .help(format!(
                "clone-max={}, or leave it out: one for each node is the default",
                nodes * per_node
            ));
            self.push(diagnostic.about(clone.id.clone()));
        }
        if nodes == 0 {
            self.beyond_addresses(clone, number("clone-max"));
        }
        let most = number("clone-max")
            .map(|(count, _)| count)
            .or((nodes > 0).then_some(nodes * per_node));
        let promoted = number("promoted-max").or_else(|| number("master-max"));
        if let (Some(most), Some((promoted, id))) = (most, promoted)
            && promoted > most
        {
            let diagnostic = Diagnostic::new(
                Code::CloneBeyondNodes,
                format!("`{}` promotes {promoted} of {most} instances", clone.id),
            )
            .at(
                id.as_deref().and_then(|id| self.spans.get(id, "")),
                "more than there are",
            )
            .help(format!("promoted-max={most}"));
            self.push(diagnostic.about(clone.id.clone()));
        }
        self.promoted_role(clone);
    }

    /// Where no node is named, the addresses of a database say how many servers there are.
    fn beyond_addresses(&mut self, clone: &CloneResource, wanted: Option<(usize, Option<String>)>) {
        let CloneChild::Primitive(child) = &clone.child else {
            return;
        };
        let Some((wanted, id)) = wanted.filter(|_| child.agent.as_deref() != Some("galera")) else {
            return;
        };
        let servers = self
            .views
            .iter()
            .filter(|view| view.agent_type() == "galera")
            .filter_map(|view| view.parameter("wsrep_cluster_address")?.value.as_deref())
            .map(|value| value.trim_start_matches("gcomm://"))
            .map(|list| {
                list.split(',')
                    .filter(|word| !word.trim().is_empty())
                    .count()
            })
            .max()
            .unwrap_or(0);
        if servers == 0 || wanted <= servers {
            return;
        }
        let diagnostic = Diagnostic::new(
            Code::CloneBeyondNodes,
            format!(
                "`{}` asks for {wanted} instances; the database beside it names {servers} servers",
                clone.id
            ),
        )
        .at(
            id.as_deref().and_then(|id| self.spans.get(id, "")),
            format!("{wanted} instances"),
        )
        .because("a third instance lands on whatever node there is, the tiebreaker for example, or waits for ever")
        .help(format!("clone-max={servers}, or leave it out; keep it off a tiebreaker with a location"));
        self.push(diagnostic.about(clone.id.clone()));
    }

    fn promoted_role(&mut self, clone: &CloneResource) {
        let role = pairs(&clone.sets, SetKind::Meta).find(|pair| pair.name == "target-role");
        let Some(role) =
            role.filter(|pair| matches!(pair.value.as_deref(), Some("Master" | "Promoted")))
        else {
            return;
        };
        let CloneChild::Primitive(primitive) = &clone.child else {
            return;
        };
        if primitive.agent.as_deref() == Some("galera") {
            let diagnostic = Diagnostic::new(Code::PromotedRole, format!("target-role of `{}` breaks the galera agent", clone.id))
                .at(role.id.as_deref().and_then(|id| self.spans.get(id, "")), "set to a promoted role")
                .because("the agent looks for the word in crm_mon's output and believes that a promoted instance exists already")
                .help("leave target-role out, or write Started");
            self.push(diagnostic.about(clone.id.clone()));
        }
    }

    /// The galera agent waits for every node of its address list before it bootstraps.
    fn galera(&mut self, clone: &CloneResource) {
        let CloneChild::Primitive(primitive) = &clone.child else {
            return;
        };
        if primitive.agent.as_deref() != Some("galera") {
            return;
        }
        let address = pairs(&primitive.sets, SetKind::Instance)
            .find(|pair| pair.name == "wsrep_cluster_address");
        let Some(pair) = address else { return };
        let value = pair.value.as_deref().unwrap_or("");
        let list = value
            .trim_start_matches("gcomm://")
            .split('?')
            .next()
            .unwrap_or("");
        let addresses = list
            .split(',')
            .filter(|address| !address.trim().is_empty())
            .count();
        let meta = |name: &str| pairs(&clone.sets, SetKind::Meta).find(|pair| pair.name == name);
        let wanted = meta("clone-max")
            .and_then(|pair| pair.value.as_deref())
            .and_then(|count| count.parse::<usize>().ok());
        let span = pair
            .id
            .as_deref()
            .and_then(|id| self.spans.near(id, "value"));
        if let Some(wanted) = wanted.filter(|wanted| addresses > 0 && *wanted != addresses) {
            let asked = meta("clone-max")
                .and_then(|pair| pair.id.as_deref())
                .and_then(|id| self.spans.get(id, ""));
            let diagnostic = Diagnostic::new(Code::CloneBeyondNodes, format!("`{}` asks for {wanted} instances, wsrep_cluster_address names {addresses}", clone.id))
                .at(asked, format!("{wanted} instances"))
                .also(span, format!("{addresses} addresses"))
                .because("an instance on a node outside the list cannot join, and blocks the promotion of the others")
                .help(format!("clone-max={addresses} promoted-max={addresses}; a tiebreaker runs garbd, not a database"));
            self.push(diagnostic.about(clone.id.clone()));
        }
        let has_arbitrator = self.views.iter().any(|view| view.agent_type() == "garbd");
        if addresses == 2 && !has_arbitrator {
            let diagnostic = Diagnostic::new(
                Code::QuorumUndecided,
                format!(
                    "two databases in `{}`: losing one leaves no majority",
                    primitive.id
                ),
            )
            .weighing(Severity::Note)
            .at(span, "two addresses")
            .because("Galera's own quorum makes the survivor refuse queries (error 1047)")
            .help("run garbd on a third host");
            self.push(diagnostic.about(primitive.id.clone()));
        }
        if meta("notify")
            .and_then(|pair| pair.value.as_deref())
            .and_then(is_true)
            == Some(false)
        {
            let diagnostic = Diagnostic::new(
                Code::BadParameter,
                format!("`{}` needs notify=true", clone.id),
            )
            .at(
                self.spans.get(&clone.id, ""),
                "the agent works with notifications",
            );
            self.push(diagnostic.about(clone.id.clone()));
        }
    }

    /// The external agent of ClusterMon must be a program.
    fn cluster_monitor(&mut self) {
        let mut found = Vec::new();
        for view in self
            .views
            .iter()
            .filter(|view| view.agent_type() == "ClusterMon")
        {
            let Some(pair) = view.parameter("extra_options") else {
                continue;
            };
            let words: Vec<&str> = pair
                .value
                .as_deref()
                .unwrap_or("")
                .split_whitespace()
                .collect();
            let program = words
                .windows(2)
                .find(|two| matches!(two[0], "-E" | "--external-agent"))
                .map(|two| two[1]);
            if let Some(program) = program.filter(|program| program.ends_with('/')) {
                let diagnostic = Diagnostic::new(
                    Code::MissingFile,
                    format!("the external agent `{program}` is a folder"),
                )
                .at(
                    pair.id
                        .as_deref()
                        .and_then(|id| self.spans.near(id, "value")),
                    "a program is expected behind -E",
                )
                .because("the file's name was lost; nothing would be called")
                .help("name the program, and install it on every node");
                found.push(diagnostic.about(view.primitive.id.clone()));
            }
            if program.is_some() {
                let diagnostic = Diagnostic::new(
                    Code::ObsoleteAgent,
                    format!("`{}` calls a program at every event", view.primitive.id),
                )
                .weighing(Severity::Note)
                .at(
                    self.spans.near(&view.primitive.id, "class"),
                    "an alert does that without a resource",
                )
                .because("a resource reports only where and while it runs; an alert is called on every node")
                .help("alert NAME /path/to/program");
                found.push(diagnostic.about(view.primitive.id.clone()));
            }
            if view.clone.is_none() {
                let diagnostic = Diagnostic::new(
                    Code::NoMonitor,
                    format!("`{}` reports from one node only", view.primitive.id),
                )
                .weighing(Severity::Note)
                .at(self.spans.get(&view.primitive.id, ""), "not cloned")
                .help("clone it if its program must act on every node");
                found.push(diagnostic.about(view.primitive.id.clone()));
            }
        }
        self.found.append(&mut found);
    }
}
