//! What every plan keeps to, whatever the configuration.

mod common;

use common::{Made, config, made, options};
use proptest::prelude::*;
use quorate_model::cib::{Cib, CloneChild, Constraint, Resource};
use quorate_policy::converge::{advance, is_empty, settle};
use quorate_policy::plan::{Action, ActionKind, Plan};
use quorate_policy::schedule;
use std::collections::{BTreeMap, BTreeSet};

fn base(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

fn of<'a>(
    plan: &'a Plan,
    kind: ActionKind,
    primitive: &'a str,
) -> impl Iterator<Item = (usize, &'a Action)> {
    plan.actions.iter().enumerate().filter(move |(_, a)| {
        a.kind == kind
            && a.resource
                .as_ref()
                .is_some_and(|r| base(&r.id) == primitive)
    })
}

/// Everything that must have happened before an action.
fn ancestors(plan: &Plan, action: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![action];
    while let Some(at) = todo.pop() {
        for input in &plan.actions[at].inputs {
            if seen.insert(input.0 as usize) {
                todo.push(input.0 as usize);
            }
        }
    }
    seen
}

/// Pairs of primitives of which the first starts before the second: members of groups, mandatory orders of primitives.
fn must_precede(cib: &Cib) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let group = |g: &quorate_model::cib::Group, out: &mut Vec<(String, String)>| {
        out.extend(
            g.members
                .windows(2)
                .map(|w| (w[0].id.clone(), w[1].id.clone())),
        );
    };
    let mut plain = BTreeSet::new();
    for resource in &cib.configuration.resources {
        match resource {
            Resource::Primitive(p) => {
                plain.insert(p.id.clone());
            }
            Resource::Group(g) => group(g, &mut out),
            Resource::Clone(c) => {
                if let CloneChild::Group(g) = &c.child {
                    group(g, &mut out);
                }
            }
            _ => {}
        }
    }
    for constraint in &cib.configuration.constraints {
        if let Constraint::Order(o) = constraint
            && o.kind.as_deref() == Some("Mandatory")
            && let (Some(first), Some(then)) = (&o.first, &o.then)
            && plain.contains(first)
            && plain.contains(then)
        {
            out.push((first.clone(), then.clone()));
        }
    }
    out
}

/// Contradictory orders (a cycle) promise nothing.
fn is_cyclic(pairs: &[(String, String)]) -> bool {
    let mut reach: BTreeSet<(String, String)> = pairs.iter().cloned().collect();
    loop {
        let more: Vec<(String, String)> = reach
            .iter()
            .flat_map(|(a, b)| {
                reach
                    .iter()
                    .filter(move |(c, _)| c == b)
                    .map(move |(_, d)| (a.clone(), d.clone()))
            })
            .filter(|pair| !reach.contains(pair))
            .collect();
        if more.is_empty() {
            return reach.iter().any(|(a, b)| a == b);
        }
        reach.extend(more);
    }
}

/// `clone-max`, `clone-node-max`, `promoted-max` of each clone, with its primitive.
fn limits(cib: &Cib) -> Vec<(String, usize, usize)> {
    let clone = |resource: &Resource| match resource {
        Resource::Clone(c) => {
            let meta = |name: &str, default: usize| {
                let pairs = c.sets.iter().flat_map(|s| &s.pairs);
                pairs
                    .filter(|p| p.name == name)
                    .find_map(|p| p.value.as_deref()?.parse().ok())
                    .unwrap_or(default)
            };
            match &c.child {
                CloneChild::Primitive(p) => Some((
                    p.id.clone(),
                    meta("clone-max", usize::MAX),
                    meta("promoted-max", 1),
                )),
                CloneChild::Group(_) => None,
            }
        }
        _ => None,
    };
    cib.configuration
        .resources
        .iter()
        .filter_map(clone)
        .collect()
}

fn check_order(made: &Made, cib: &Cib) -> Result<(), TestCaseError> {
    let pairs = must_precede(cib);
    if is_cyclic(&pairs) {
        return Ok(());
    }
    let plan = schedule(cib, &options());
    for (first, then) in pairs {
        for (ix, _) in of(&plan, ActionKind::Start, &then) {
            let before = ancestors(&plan, ix);
            for (earlier, _) in of(&plan, ActionKind::Start, &first) {
                prop_assert!(
                    before.contains(&earlier),
                    "{then} starts without {first}\n{}{:?}",
                    made.text(),
                    made.events
                );
            }
        }
        for (ix, stop) in of(&plan, ActionKind::Stop, &first) {
            let before = ancestors(&plan, ix);
            for (earlier, other) in of(&plan, ActionKind::Stop, &then) {
                if other.node == stop.node {
                    prop_assert!(
                        before.contains(&earlier),
                        "{first} stops before {then}\n{}{:?}",
                        made.text(),
                        made.events
                    );
                }
            }
        }
    }
    Ok(())
}

fn check_limits(made: &Made, cib: &Cib) -> Result<(), TestCaseError> {
    let plan = schedule(cib, &options());
    for (primitive, max, promoted_max) in limits(cib) {
        let mine: Vec<_> = plan
            .placements
            .iter()
            .filter(|p| base(&p.resource) == primitive && p.next.is_some())
            .collect();
        let mut on: BTreeMap<&str, usize> = BTreeMap::new();
        for p in &mine {
            *on.entry(p.next.as_deref().unwrap_or("")).or_default() += 1;
        }
        prop_assert!(
            mine.len() <= max,
            "{primitive}: {} of {max}\n{}{:?}",
            mine.len(),
            made.text(),
            made.events
        );
        prop_assert!(
            on.values().all(|n| *n <= 1),
            "{primitive}: {on:?}\n{}{:?}",
            made.text(),
            made.events
        );
        let promoted = mine.iter().filter(|p| p.role_next == "Promoted").count();
        prop_assert!(
            promoted <= promoted_max,
            "{primitive}: {promoted} promoted\n{}{:?}",
            made.text(),
            made.events
        );
    }
    let singles: Vec<_> = plan
        .placements
        .iter()
        .filter(|p| !p.resource.contains(':'))
        .map(|p| &p.resource)
        .collect();
    let distinct: BTreeSet<_> = singles.iter().collect();
    prop_assert_eq!(singles.len(), distinct.len());
    Ok(())
}

/// What a plan does, without the order of its list.
fn deeds(plan: &Plan) -> BTreeSet<(String, String, Vec<String>)> {
    let name = |a: &Action| format!("{} {}", a.key, a.node.as_deref().unwrap_or("-"));
    let real = plan.actions.iter().filter(|a| a.kind != ActionKind::Pseudo);
    real.map(|a| {
        let mut inputs: Vec<String> = a
            .inputs
            .iter()
            .map(|i| name(&plan.actions[i.0 as usize]))
            .collect();
        inputs.sort();
        (name(a), format!("{:?}", a.kind), inputs)
    })
    .collect()
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn nothing_starts_before_its_order_requires(made in made()) {
        check_order(&made, &made.fresh())?;
        check_order(&made, &made.struck())?;
    }

    #[test]
    fn limits_are_never_exceeded(made in made()) {
        check_limits(&made, &made.fresh())?;
        check_limits(&made, &made.struck())?;
    }

    /// Nodes, node states, histories and properties have no order.
    #[test]
    fn the_order_of_what_has_none_changes_nothing(made in made()) {
        let cib = made.struck();
        let mut turned = cib.clone();
        turned.configuration.nodes.reverse();
        turned.configuration.options.iter_mut().for_each(|s| s.pairs.reverse());
        turned.status.nodes.reverse();
        turned.status.nodes.iter_mut().for_each(|n| n.resources.reverse());
        turned.attributes.reverse();
        prop_assert_eq!(deeds(&schedule(&cib, &options())), deeds(&schedule(&turned, &options())), "{}{:?}", made.text(), made.events);
    }

    /// Locations have no order among each other.
    #[test]
    fn locations_have_no_order(made in made()) {
        let cib = made.struck();
        let mut turned = cib.clone();
        let is_location = |c: &Constraint| matches!(c, Constraint::Location(_));
        let mut locations: Vec<Constraint> = cib.configuration.constraints.iter().filter(|c| is_location(c)).cloned().collect();
        turned.configuration.constraints.retain(|c| !is_location(c));
        locations.reverse();
        turned.configuration.constraints.extend(locations);
        let places = |cib: &Cib| -> Vec<_> {
            schedule(cib, &options()).placements.into_iter().map(|p| (p.resource, p.next, p.role_next)).collect()
        };
        prop_assert_eq!(places(&cib), places(&turned), "{}{:?}", made.text(), made.events);
    }

    /// After its own results the next plan is empty.
    #[test]
    fn a_cluster_comes_to_rest(made in made()) {
        for cib in [made.fresh(), made.struck()] {
            let settled = settle(&cib, &options());
            prop_assert!(settled.is_settled, "{}{:?}\n{:?}", made.text(), made.events,
                advance(&settled.cib, &options()).0.actions.iter().map(|a| (&a.key, &a.node)).collect::<Vec<_>>());
            prop_assert!(is_empty(&schedule(&settled.cib, &options())));
        }
    }

    /// A plan can be carried out: no action waits for itself.
    #[test]
    fn no_action_waits_for_itself(made in made()) {
        let plan = schedule(&made.struck(), &options());
        for ix in 0..plan.actions.len() {
            prop_assert!(!ancestors(&plan, ix).contains(&ix), "{}\n{}{:?}", plan.actions[ix].key, made.text(), made.events);
        }
    }
}

fn of_text(lines: &str) -> Cib {
    let (document, _) = quorate_model::crm::parse(lines);
    quorate_policy::converge::all_up(Cib {
        configuration: document.into_configuration(),
        ..Cib::default()
    })
}

#[test]
fn contradictory_constraints_end_in_a_plan() {
    let text = "node a\nnode b\nproperty stonith-enabled=false\n\
        primitive x ocf:heartbeat:Dummy\nprimitive y ocf:heartbeat:Dummy\nprimitive z ocf:heartbeat:Dummy\n\
        order o1 Mandatory: x y\norder o2 Mandatory: y z\norder o3 Mandatory: z x\n\
        colocation c1 inf: x y\ncolocation c2 -inf: x y\ncolocation c3 inf: y z\ncolocation c4 inf: z x\n\
        location l1 x inf: a\nlocation l2 x -inf: a\n";
    let settled = settle(&of_text(text), &options());
    assert!(settled.steps.len() < 12, "it comes to an end");
    for plan in &settled.steps {
        for ix in 0..plan.actions.len() {
            assert!(
                !ancestors(plan, ix).contains(&ix),
                "{}",
                plan.actions[ix].key
            );
        }
    }
}

#[test]
fn huge_numbers_are_bounded() {
    let n = "9".repeat(200);
    let text = format!(
        "node a\nproperty stonith-enabled=false batch-limit={n} stonith-timeout={n}s\n\
         primitive x ocf:heartbeat:Dummy op monitor interval={n}s timeout={n}s meta migration-threshold={n} priority=-{n} failure-timeout={n}\n\
         clone c x meta clone-max=300 clone-node-max={n}\nlocation l c {n}: a\n"
    );
    let settled = settle(&of_text(&text), &options());
    assert!(!settled.steps.is_empty());
    let placed = settled.steps[0]
        .placements
        .iter()
        .filter(|p| p.next.is_some())
        .count();
    assert!(placed <= 300, "{placed}");
}
