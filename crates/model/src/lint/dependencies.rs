//! Constraints against each other: circles, contradictions, and half of a pair that belongs together.

use std::collections::{BTreeMap, BTreeSet};

use super::Linter;
use super::view::pairs;
use crate::cib::{CloneChild, Colocation, Constraint, Order, Resource, ResourceSet, SetKind};
use crate::diag::{Code, Diagnostic};
use crate::metadata::is_true;

/// Circles that are reported; the rest shows when these are gone.
const CIRCLES_MAX: usize = 8;

impl Linter<'_> {
    pub(super) fn dependencies(&mut self) {
        let owners = self.owners();
        self.circles();
        self.contradictions(&owners);
        self.halves(&owners);
        self.interleaving();
        self.nowhere();
    }

    /// The outermost resource of every resource.
    fn owners(&self) -> BTreeMap<String, String> {
        let mut owners = BTreeMap::new();
        for resource in &self.configuration.resources {
            let (id, inside) = parts(resource);
            for name in inside {
                owners.insert(name.to_owned(), id.to_owned());
            }
            owners.insert(id.to_owned(), id.to_owned());
        }
        owners
    }

    /// Orders that lead back to where they began.
    fn circles(&mut self) {
        let mut graph = Graph::default();
        for resource in &self.configuration.resources {
            graph.inside(resource);
        }
        for constraint in &self.configuration.constraints {
            if let Constraint::Order(order) = constraint
                && is_mandatory(order)
            {
                graph.order(order);
            }
        }
        for circle in graph.circles() {
            let orders: BTreeSet<&str> = self
                .configuration
                .constraints
                .iter()
                .filter_map(|constraint| match constraint {
                    Constraint::Order(order) => Some(order.id.as_str()),
                    _ => None,
                })
                .collect();
            let (waits, resources): (Vec<&str>, Vec<&str>) = circle
                .iter()
                .map(String::as_str)
                .partition(|name| orders.contains(name));
            let first = resources.first().copied().unwrap_or("").to_owned();
            let mut diagnostic = Diagnostic::new(
                Code::OrderCircle,
                format!(
                    "each of these waits for the next, and the last for the first: {} ({})",
                    resources.join(", "),
                    waits.join(", ")
                ),
            );
            let named: Vec<&Order> = self
                .configuration
                .constraints
                .iter()
                .filter_map(|constraint| match constraint {
                    Constraint::Order(order) if circle.contains(&order.id) => Some(order),
                    _ => None,
                })
                .collect();
            for (at, order) in named.iter().enumerate() {
                let span = self.spans.get(&order.id, "");
                diagnostic = if at == 0 {
                    diagnostic.at(span, "a part of the circle")
                } else {
                    diagnostic.also(span, "another part")
                };
            }
            self.push(
                diagnostic
                    .because("none of them can be first: the scheduler drops one of the waits, and which one nobody has chosen")
                    .help("remove one of the orders, or make it kind Optional")
                    .about(first),
            );
        }
    }

    /// Together always, and never together.
    fn contradictions(&mut self, owners: &BTreeMap<String, String>) {
        let mut always: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut never: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut found = Vec::new();
        for colocation in self.colocations() {
            let Some((a, b)) = pair_of(colocation) else {
                continue;
            };
            let (a, b) = (
                owners.get(a).map_or(a, String::as_str),
                owners.get(b).map_or(b, String::as_str),
            );
            let is_one = a == b;
            let pair = if a <= b {
                (a.to_owned(), b.to_owned())
            } else {
                (b.to_owned(), a.to_owned())
            };
            let sign = sign(colocation.score.as_deref());
            if is_one && sign == Some(false) {
                let span = self.spans.get(&colocation.id, "");
                let diagnostic = Diagnostic::new(
                    Code::Contradiction,
                    format!("`{}` keeps `{a}` apart from itself", colocation.id),
                );
                found.push(
                    diagnostic
                        .at(span, "both are one, or inside one")
                        .because("what is inside a group runs together")
                        .help("remove it")
                        .about(colocation.id.clone()),
                );
            }
            match sign {
                Some(true) => always.insert(pair, colocation.id.clone()),
                Some(false) => never.insert(pair, colocation.id.clone()),
                None => None,
            };
        }
        for (pair, id) in &never {
            let Some(other) = always.get(pair) else {
                continue;
            };
            let diagnostic = Diagnostic::new(
                Code::Contradiction,
                format!(
                    "`{other}` keeps `{}` and `{}` together, `{id}` keeps them apart",
                    pair.0, pair.1
                ),
            );
            found.push(
                diagnostic
                    .at(self.spans.get(id, ""), "never together")
                    .also(self.spans.get(other, ""), "always together")
                    .because("one of them can never run")
                    .help("remove one of the two")
                    .about(id.clone()),
            );
        }
        self.found.append(&mut found);
    }

    /// An order without a colocation, and the other way round, between resources that run once.
    fn halves(&mut self, owners: &BTreeMap<String, String>) {
        let clones: BTreeSet<&str> = self
            .configuration
            .resources
            .iter()
            .filter(|resource| matches!(resource, Resource::Clone(_) | Resource::Bundle(_)))
            .map(|resource| parts(resource).0)
            .collect();
        let place = |name: &str| -> Option<String> {
            let owner = owners.get(name)?;
            (!clones.contains(owner.as_str())).then(|| owner.clone())
        };
        let unordered = |a: String, b: String| if a <= b { (a, b) } else { (b, a) };
        let mut ordered: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut joined: BTreeMap<(String, String), String> = BTreeMap::new();
        // What sets and tags bind is bound, too: only plain pairs are judged, but all count as partners.
        let mut bound: BTreeSet<String> = BTreeSet::new();
        for constraint in &self.configuration.constraints {
            match constraint {
                Constraint::Order(order) => match (order.first.as_deref(), order.then.as_deref()) {
                    (Some(first), Some(then)) => {
                        if let (Some(a), Some(b)) = (place(first), place(then)) {
                            ordered.insert(unordered(a, b), order.id.clone());
                        }
                    }
                    _ => bound.extend(members(&order.sets).filter_map(place)),
                },
                Constraint::Colocation(colocation) => match pair_of(colocation) {
                    Some((a, b)) => {
                        if let (Some(a), Some(b)) = (place(a), place(b)) {
                            joined.insert(unordered(a, b), colocation.id.clone());
                        }
                    }
                    None => bound.extend(members(&colocation.sets).filter_map(place)),
                },
                _ => {}
            }
        }
        let mut found = Vec::new();
        let is_bound = |pair: &(String, String)| bound.contains(&pair.0) || bound.contains(&pair.1);
        for (pair, id) in &ordered {
            if joined.contains_key(pair) || is_bound(pair) || pair.0 == pair.1 {
                continue;
            }
            let diagnostic = Diagnostic::new(
                Code::OrderWithoutColocation,
                format!(
                    "`{}` and `{}` start in order, on any two nodes",
                    pair.0, pair.1
                ),
            );
            found.push(
                diagnostic
                    .at(self.spans.get(id, ""), "says when, not where")
                    .because("an order alone does not bring them to one node: a database may start where its file system is not")
                    .help(format!("if they belong on one node add `colocation with-{id} inf: SECOND FIRST`, or put them into a group"))
                    .about(id.clone()),
            );
        }
        for (pair, id) in &joined {
            let is_together = self
                .colocations()
                .any(|c| c.id == *id && sign(c.score.as_deref()) == Some(true));
            if ordered.contains_key(pair) || is_bound(pair) || !is_together || pair.0 == pair.1 {
                continue;
            }
            let diagnostic = Diagnostic::new(
                Code::ColocationWithoutOrder,
                format!(
                    "`{}` and `{}` run on one node and start in any order",
                    pair.0, pair.1
                ),
            );
            found.push(
                diagnostic
                    .at(self.spans.get(id, ""), "says where, not when")
                    .help(format!(
                        "if one needs the other add `order before-{id} Mandatory: FIRST SECOND`"
                    ))
                    .about(id.clone()),
            );
        }
        self.found.append(&mut found);
    }

    /// A clone that waits for another clone as a whole.
    fn interleaving(&mut self) {
        let mut found = Vec::new();
        let interleaved = |id: &str| {
            self.configuration
                .resources
                .iter()
                .find_map(|resource| match resource {
                    Resource::Clone(clone) if clone.id == id => Some(
                        pairs(&clone.sets, SetKind::Meta)
                            .find(|pair| pair.name == "interleave")
                            .and_then(|pair| pair.value.as_deref())
                            .and_then(is_true)
                            .unwrap_or(false),
                    ),
                    _ => None,
                })
        };
        for constraint in &self.configuration.constraints {
            let Constraint::Order(order) = constraint else {
                continue;
            };
            let (Some(first), Some(then)) = (order.first.as_deref(), order.then.as_deref()) else {
                continue;
            };
            if !is_mandatory(order)
                || interleaved(first).is_none()
                || interleaved(then) != Some(false)
            {
                continue;
            }
            let diagnostic = Diagnostic::new(
                Code::NotInterleaved,
                format!("every instance of `{then}` waits for every instance of `{first}`"),
            );
            found.push(
                diagnostic
                    .at(self.spans.get(&order.id, ""), "one clone after another")
                    .because(format!("when one instance of `{first}` restarts, `{then}` restarts on all nodes"))
                    .help(format!("meta interleave=true for `{then}`: each instance then waits for the one on its own node"))
                    .about(then),
            );
        }
        self.found.append(&mut found);
    }

    /// Resources that no node may run.
    fn nowhere(&mut self) {
        let members: Vec<String> = self.members().into_iter().map(str::to_owned).collect();
        if members.is_empty() {
            return;
        }
        let is_opt_in = self
            .cluster_option(&["symmetric-cluster"])
            .is_some_and(|(value, _)| is_true(&value) == Some(false));
        let has_patterns = self.configuration.constraints.iter().any(|constraint| {
            matches!(constraint, Constraint::Location(c) if c.pattern.is_some() || !c.sets.is_empty())
        });
        let mut found = Vec::new();
        for resource in &self.configuration.resources {
            if matches!(resource, Resource::Template(_)) {
                continue;
            }
            let (id, inside) = parts(resource);
            let names: BTreeSet<&str> = inside.into_iter().chain([id]).collect();
            let (mut banned, mut is_named) = (BTreeSet::new(), false);
            for constraint in &self.configuration.constraints {
                let Constraint::Location(location) = constraint else {
                    continue;
                };
                if !location
                    .resource
                    .as_deref()
                    .is_some_and(|name| names.contains(name))
                {
                    continue;
                }
                is_named |= !location.rules.is_empty()
                    || !location
                        .score
                        .as_deref()
                        .is_some_and(|s| s.starts_with('-'));
                if location.role.is_none() && sign(location.score.as_deref()) == Some(false) {
                    banned.extend(location.node.as_deref().map(str::to_ascii_lowercase));
                }
            }
            let is_banned = members
                .iter()
                .all(|node| banned.contains(&node.to_ascii_lowercase()));
            let why = if is_banned {
                "every node is forbidden to it"
            } else if is_opt_in && !is_named && !has_patterns && !self.is_pulled(&names) {
                "symmetric-cluster=false, and no location names it"
            } else {
                continue;
            };
            found.push(
                Diagnostic::new(
                    Code::NowhereAllowed,
                    format!("`{id}` may run nowhere: {why}"),
                )
                .at(self.spans.get(id, ""), "will stay stopped")
                .help(format!("add `location {id}-here {id} 100: {}`", members[0]))
                .about(id),
            );
        }
        self.found.append(&mut found);
    }

    /// A colocation may bring it along.
    fn is_pulled(&self, names: &BTreeSet<&str>) -> bool {
        self.colocations().any(|c| {
            let named = pair_of(c).is_some_and(|(a, b)| names.contains(a) || names.contains(b));
            named || members(&c.sets).any(|member| names.contains(member))
        })
    }

    fn colocations(&self) -> impl Iterator<Item = &Colocation> {
        self.configuration
            .constraints
            .iter()
            .filter_map(|constraint| match constraint {
                Constraint::Colocation(colocation) => Some(colocation),
                _ => None,
            })
    }
}

/// A resource's name and the names inside it.
fn parts(resource: &Resource) -> (&str, Vec<&str>) {
    match resource {
        Resource::Primitive(primitive) | Resource::Template(primitive) => {
            (&primitive.id, Vec::new())
        }
        Resource::Group(group) => (
            &group.id,
            group.members.iter().map(|m| m.id.as_str()).collect(),
        ),
        Resource::Clone(clone) => match &clone.child {
            CloneChild::Primitive(primitive) => (&clone.id, vec![&primitive.id]),
            CloneChild::Group(group) => {
                let mut inside: Vec<&str> = group.members.iter().map(|m| m.id.as_str()).collect();
                inside.push(&group.id);
                (&clone.id, inside)
            }
        },
        Resource::Bundle(bundle) => (
            &bundle.id,
            bundle.primitive.iter().map(|p| p.id.as_str()).collect(),
        ),
    }
}

fn members(sets: &[ResourceSet]) -> impl Iterator<Item = &str> {
    sets.iter().flat_map(|set| &set.members).map(String::as_str)
}

/// The two resources of a colocation that has no sets and no roles.
fn pair_of(colocation: &Colocation) -> Option<(&str, &str)> {
    let is_plain = |role: &Option<String>| role.as_deref().is_none_or(|role| role == "Started");
    if !is_plain(&colocation.role)
        || !is_plain(&colocation.with_role)
        || colocation.node_attribute.is_some()
    {
        return None;
    }
    Some((colocation.resource.as_deref()?, colocation.with.as_deref()?))
}

/// Whether a score is infinite: always or never.
fn sign(score: Option<&str>) -> Option<bool> {
    match score {
        Some("INFINITY" | "+INFINITY") => Some(true),
        Some("-INFINITY") => Some(false),
        _ => None,
    }
}

fn is_mandatory(order: &Order) -> bool {
    match order.kind.as_deref() {
        Some(kind) => kind == "Mandatory",
        None => order.score.as_deref() != Some("0"),
    }
}

/// Which start waits for which: every resource has a beginning and an end.
#[derive(Default)]
struct Graph {
    names: BTreeMap<(String, bool), usize>,
    /// What follows, and the constraint or resource that says so.
    edges: Vec<Vec<(usize, String)>>,
}

impl Graph {
    fn node(&mut self, name: &str, is_end: bool) -> usize {
        let next = self.edges.len();
        let at = *self.names.entry((name.to_owned(), is_end)).or_insert(next);
        if at == next {
            self.edges.push(Vec::new());
            if is_end {
                let begin = self.node(name, false);
                self.edge(begin, at, name);
            }
        }
        at
    }

    fn edge(&mut self, from: usize, to: usize, because: &str) {
        self.edges[from].push((to, because.to_owned()));
    }

    /// `first` ends before `then` begins.
    fn before(&mut self, first: &str, then: &str, because: &str) {
        let (from, to) = (self.node(first, true), self.node(then, false));
        self.edge(from, to, because);
    }

    /// What is inside begins after the whole began and ends before it ends; members of a group one after another.
    fn inside(&mut self, resource: &Resource) {
        let whole = |graph: &mut Self, outer: &str, inner: &str| {
            let (from, to) = (graph.node(outer, false), graph.node(inner, false));
            graph.edge(from, to, outer);
            let (from, to) = (graph.node(inner, true), graph.node(outer, true));
            graph.edge(from, to, outer);
        };
        let group = |graph: &mut Self, group: &crate::cib::Group| {
            for member in &group.members {
                whole(graph, &group.id, &member.id);
            }
            for two in group.members.windows(2) {
                graph.before(&two[0].id, &two[1].id, &group.id);
            }
        };
        match resource {
            Resource::Group(inner) => group(self, inner),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Group(inner) => {
                    group(self, inner);
                    let (outer, inner) = (clone.id.clone(), inner.id.clone());
                    let (from, to) = (self.node(&outer, false), self.node(&inner, false));
                    self.edge(from, to, &outer);
                    let (from, to) = (self.node(&inner, true), self.node(&outer, true));
                    self.edge(from, to, &outer);
                }
                CloneChild::Primitive(primitive) => {
                    let (from, to) = (self.node(&clone.id, false), self.node(&primitive.id, false));
                    self.edge(from, to, &clone.id);
                    let (from, to) = (self.node(&primitive.id, true), self.node(&clone.id, true));
                    self.edge(from, to, &clone.id);
                }
            },
            _ => {}
        }
    }

    fn order(&mut self, order: &Order) {
        let is_up = |action: &Option<String>| {
            action
                .as_deref()
                .is_none_or(|action| matches!(action, "start" | "promote"))
        };
        if let (Some(first), Some(then)) = (&order.first, &order.then) {
            if is_up(&order.first_action) && is_up(&order.then_action) {
                self.before(first, then, &order.id);
            }
            return;
        }
        if !order.sets.iter().all(|set| is_up(&set.action)) {
            return;
        }
        for (at, set) in order.sets.iter().enumerate() {
            let in_row = set.sequential.as_deref().and_then(is_true).unwrap_or(true);
            if in_row {
                for two in set.members.windows(2) {
                    self.before(&two[0], &two[1], &order.id);
                }
            }
            let Some(next) = order.sets.get(at + 1) else {
                continue;
            };
            // A row ends with its last member; a set in any order with each of them.
            let ends: Vec<&String> = if in_row {
                set.members.last().into_iter().collect()
            } else {
                set.members.iter().collect()
            };
            let next_in_row = next.sequential.as_deref().and_then(is_true).unwrap_or(true);
            let begins: Vec<&String> = if next_in_row {
                next.members.first().into_iter().collect()
            } else {
                next.members.iter().collect()
            };
            for end in ends {
                for begin in &begins {
                    self.before(end, begin, &order.id);
                }
            }
        }
    }

    /// Circles as the names of what makes them, each once.
    fn circles(&self) -> Vec<Vec<String>> {
        let mut state = vec![0_u8; self.edges.len()];
        let mut found: Vec<Vec<String>> = Vec::new();
        for start in 0..self.edges.len() {
            if state[start] != 0 || found.len() >= CIRCLES_MAX {
                continue;
            }
            // The path with the edge to look at next; no recursion, whatever the length.
            let mut path: Vec<(usize, usize)> = vec![(start, 0)];
            state[start] = 1;
            while let Some((at, next)) = path.last_mut() {
                let Some((to, _)) = self.edges[*at].get(*next) else {
                    state[*at] = 2;
                    path.pop();
                    continue;
                };
                *next += 1;
                match state[*to] {
                    0 => {
                        state[*to] = 1;
                        path.push((*to, 0));
                    }
                    1 if found.len() < CIRCLES_MAX => {
                        let from = path.iter().position(|(node, _)| node == to).unwrap_or(0);
                        let mut names: Vec<String> = path[from..]
                            .iter()
                            .map(|(node, next)| self.edges[*node][next - 1].1.clone())
                            .collect();
                        names.dedup();
                        if names.len() > 1 && names.first() == names.last() {
                            names.pop();
                        }
                        let key: BTreeSet<&String> = names.iter().collect();
                        if !found
                            .iter()
                            .any(|known| known.iter().collect::<BTreeSet<_>>() == key)
                        {
                            found.push(names);
                        }
                    }
                    _ => {}
                }
            }
        }
        found
    }
}
