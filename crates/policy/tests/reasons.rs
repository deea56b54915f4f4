//! A reason is true: without the line that it names something else is decided, or for another reason.

mod common;

use common::{Made, config, made, options};
use proptest::prelude::*;
use quorate_model::cib::Cib;
use quorate_policy::explain::{Explanation, Standing, explain};
use quorate_policy::plan::Reason;
use quorate_policy::source::{Source, without};

/// Everything about an explanation that is a number or a decision: no names of lines, no words.
fn numbers(e: &Explanation) -> Vec<String> {
    let mut out = Vec::new();
    for p in &e.plan.placements {
        out.push(format!(
            "{} {:?} {} {:?}",
            p.resource, p.next, p.role_next, p.scores
        ));
    }
    for (ix, a) in e.plan.actions.iter().enumerate() {
        out.push(format!(
            "{ix} {} {:?} {:?} {:?}",
            a.key, a.node, a.inputs, a.kind
        ));
    }
    for v in &e.resources {
        for n in &v.nodes {
            let parts: Vec<_> = n.components.iter().map(|c| (c.before, c.after)).collect();
            out.push(format!(
                "{} {} {:?} {:?} {parts:?}",
                v.resource, n.node, n.standing, n.score
            ));
        }
        if let Some(p) = &v.promotion {
            let parts: Vec<_> = p.components.iter().map(|c| (c.before, c.after)).collect();
            out.push(format!(
                "{} {} {} {parts:?}",
                v.resource, p.score, p.is_promoted
            ));
        }
    }
    for b in &e.plan.blocked {
        out.push(format!("{} {}", b.what, b.reason.text));
    }
    out
}

/// Lines that anything in an explanation names.
fn named(e: &Explanation) -> Vec<Source> {
    let primitives: Vec<String> = e.resources.iter().map(|v| v.primitive.clone()).collect();
    let mut lines = e.lines(&primitives);
    let more = e
        .plan
        .actions
        .iter()
        .map(|a| &a.reason)
        .chain(e.waits.iter().map(|w| &w.reason));
    let more = more
        .chain(e.plan.placements.iter().map(|p| &p.reason))
        .chain(e.plan.blocked.iter().map(|b| &b.reason));
    for source in more.flat_map(|r| &r.because_of).filter(|s| s.is_line()) {
        if !lines.contains(source) {
            lines.push(source.clone());
        }
    }
    lines
}

/// The words and what they rest on, one line left out: what takes its place is another reason.
fn words(e: &Explanation, left_out: &Source) -> Vec<String> {
    let told = |reason: &Reason| {
        let others: Vec<String> = reason
            .because_of
            .iter()
            .filter(|s| *s != left_out)
            .map(ToString::to_string)
            .collect();
        format!("{} {others:?}", reason.text)
    };
    let of_node = |n: &quorate_policy::explain::NodeVerdict| {
        let parts = n.components.iter().map(|c| told(&c.reason));
        parts.chain([told(&n.reason)]).collect::<Vec<_>>()
    };
    let of_nodes = e
        .resources
        .iter()
        .flat_map(|v| v.nodes.iter().flat_map(of_node));
    let of_plan = e.plan.actions.iter().map(|a| &a.reason);
    let of_plan = of_plan.chain(e.plan.placements.iter().map(|p| &p.reason));
    let of_plan = of_plan.chain(e.plan.blocked.iter().map(|b| &b.reason));
    of_nodes
        .chain(of_plan.chain(e.waits.iter().map(|w| &w.reason)).map(told))
        .collect()
}

fn check(made: &Made) -> Result<(), TestCaseError> {
    let cib = made.struck();
    let told = explain(&cib, &options());
    prop_assert_eq!(
        &told.plan.placements.len(),
        &quorate_policy::schedule(&cib, &options()).placements.len()
    );
    for line in named(&told) {
        let Some(configuration) = without(&cib.configuration, &line) else {
            return Err(TestCaseError::fail(format!(
                "{line} is named and is not there\n{}",
                made.text()
            )));
        };
        let other = explain(
            &Cib {
                configuration,
                ..cib.clone()
            },
            &options(),
        );
        prop_assert!(
            numbers(&other) != numbers(&told) || words(&other, &line) != words(&told, &line),
            "without {line} nothing is decided otherwise\n{}{:?}",
            made.text(),
            made.events
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn without_the_line_that_a_reason_names_it_would_be_otherwise(made in made()) {
        check(&made)?;
    }

    /// The ledger only watches: the decision is the same with it.
    #[test]
    fn an_explained_decision_is_the_decision(made in made()) {
        let cib = made.struck();
        let plain = quorate_policy::schedule(&cib, &options());
        let told = explain(&cib, &options()).plan;
        prop_assert_eq!(plain.placements.iter().map(|p| (&p.resource, &p.next, &p.role_next, &p.scores)).collect::<Vec<_>>(),
            told.placements.iter().map(|p| (&p.resource, &p.next, &p.role_next, &p.scores)).collect::<Vec<_>>());
        prop_assert_eq!(plain.actions.iter().map(|a| (&a.key, &a.node, &a.inputs)).collect::<Vec<_>>(),
            told.actions.iter().map(|a| (&a.key, &a.node, &a.inputs)).collect::<Vec<_>>());
    }

    /// The last part of a score is the score.
    #[test]
    fn the_parts_of_a_score_lead_to_it(made in made()) {
        for verdict in explain(&made.struck(), &options()).resources {
            for node in &verdict.nodes {
                if let (Some(last), Some(score)) = (node.components.last(), node.score) {
                    prop_assert_eq!(last.after, score, "{} on {}: {:?}\n{}{:?}", verdict.resource, node.node, node, made.text(), made.events);
                }
                if let (None, Some(score)) = (node.components.last(), node.score) {
                    prop_assert_eq!(score, 0, "{} on {}\n{}{:?}", verdict.resource, node.node, made.text(), made.events);
                }
            }
        }
    }
}

fn settled(lines: &[&str]) -> Made {
    Made {
        statements: lines.iter().map(|l| (*l).to_owned()).collect(),
        events: Vec::new(),
    }
}

const TWO: [&str; 4] = [
    "node a",
    "node b",
    "property stonith-enabled=false no-quorum-policy=ignore",
    "primitive db ocf:heartbeat:Dummy op monitor interval=10s meta migration-threshold=1",
];

#[test]
fn a_threshold_names_its_line_and_the_way_out() {
    let mut made = settled(&TWO);
    made.events.push("monitor of db fails".to_owned());
    let told = explain(&made.struck(), &options());
    let verdict = &told.resources[0];
    let a = verdict
        .nodes
        .iter()
        .find(|n| n.node == "a")
        .expect("a node");
    assert_eq!(a.standing, Standing::Forbidden);
    assert!(
        a.reason.text.contains("migration-threshold=1"),
        "{}",
        a.reason.text
    );
    assert_eq!(
        a.reason.because_of[0].to_string(),
        "migration-threshold of db"
    );
    assert_eq!(a.way_out.as_deref(), Some("quorate cleanup db"));
    assert_eq!(verdict.nodes[0].node, "b");
    assert_eq!(verdict.nodes[0].standing, Standing::Chosen);
}

#[test]
fn a_tie_is_explained_by_what_broke_it() {
    let mut made = settled(&TWO);
    made.statements
        .push("primitive web ocf:heartbeat:Dummy".to_owned());
    let told = explain(&made.fresh(), &options());
    let web = told.of("web").next().expect("configured");
    assert_eq!(web.nodes[0].node, "b", "the other has a resource already");
    assert!(
        web.nodes[1].reason.text.contains("has 1 resources already"),
        "{}",
        web.nodes[1].reason.text
    );
    assert_eq!(made.events.len(), 0);
}
