//! What would happen: a plan carried out on paper, and the words that `crm_simulate -S` says about it.

pub(crate) mod execute;
mod inject;

pub use inject::{Changed, Injection, Outcome, inject};

use crate::world::World;
use crate::{Options, decided, facts, time};
use quorate_model::cib::Cib;

/// What the caller wants to see.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// When the decision is taken.
    pub options: Options,
    /// The time as the caller wrote it, repeated at the head.
    pub time_text: Option<String>,
    /// Stop before carrying it out.
    pub plan_only: bool,
    /// Collect scores.
    pub scores: bool,
    /// Write the action graph as XML.
    pub graph: bool,
    /// Write the action graph for Graphviz.
    pub dot: bool,
    /// Capacities before and after.
    pub utilization: bool,
    /// What happened to the information base before the decision.
    pub changed: Option<Changed>,
    /// Operations that fail when the plan is carried out, and end that.
    pub failing: Vec<Outcome>,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    /// The text.
    pub text: String,
    /// The action graph as XML.
    pub graph: String,
    /// Scores, a line each.
    pub scores: Vec<String>,
    /// The graph for Graphviz.
    pub dot: String,
    /// Capacities, a line each.
    pub utilization: Vec<String>,
    /// The information base once the plan has been carried out.
    pub after: Option<Cib>,
}

/// Time of the decision: what the caller says, else what the information base says, else the given clock.
#[must_use]
pub fn decision_time(cib: &Cib, asked: Option<&str>, clock: i64) -> Option<i64> {
    match asked {
        Some(text) => time::parse(text),
        None => Some(execution_date(cib).unwrap_or(clock)),
    }
}

fn execution_date(cib: &Cib) -> Option<i64> {
    cib.attributes
        .iter()
        .find(|(n, _)| n == "execution-date")
        .and_then(|(_, v)| v.parse().ok())
}

/// Runs it.
#[must_use]
pub fn simulate(cib: &Cib, request: &Request) -> Simulation {
    let mut text = String::new();
    let mut head = String::new();
    if let Some(t) = &request.time_text {
        head.push_str(&format!("Setting effective cluster time: {t}\n"));
    } else if let Some(at) = execution_date(cib) {
        head.push_str(&format!(
            "Using the original execution date of: {}\n",
            time::text(at)
        ));
    }
    if cib
        .attributes
        .iter()
        .any(|(n, v)| n == "validate-with" && v == "none")
    {
        text.push_str(
            "Schema validation of configuration is disabled (support for validate-with set to \"none\" is \
             deprecated and will be removed in a future release)\n",
        );
    }
    text.push_str(&head);
    let now: World<'_> = facts::gather(cib, request.options.now);
    text.push_str(&now.status_head());
    text.push_str("Current cluster status:\n");
    text.push_str(&now.status_text());
    // What was gathered for the status is what the decision begins with, unless something happens in between.
    let (cib, now) = match &request.changed {
        Some(changed) => {
            drop(now);
            text.push_str("\nPerforming Requested Modifications:\n");
            text.push_str(&changed.text);
            (
                &changed.cib,
                facts::gather(&changed.cib, request.options.now),
            )
        }
        None => (cib, now),
    };
    let world = decided(now, &request.options, request.scores);
    text.push_str("\nTransition Summary:\n");
    text.push_str(&world.summary_text());
    let mut out = Simulation::default();
    if request.graph {
        out.graph = world.graph_xml();
    }
    if request.dot {
        out.dot = world.dot();
    }
    if let Some(log) = &world.score_log {
        out.scores.clone_from(log);
        out.scores.extend(world.promotion_log.iter().cloned());
        out.scores.sort();
    }
    if request.utilization {
        out.utilization = utilization(cib, &world, request.options.now);
    }
    if !request.plan_only {
        text.push_str("\nExecuting Cluster Transition:\n");
        let mut after = cib.clone();
        text.push_str(&execute::execute(&world, &mut after, &request.failing));
        let mut revised = facts::gather(&after, request.options.now);
        // What was under way is not shown of a status that the plan has been carried out on.
        for rsc in &mut revised.rscs {
            rsc.pending_action = None;
        }
        text.push_str(&head);
        text.push_str("\nRevised Cluster Status:\n");
        text.push_str(&revised.status_text());
        drop(revised);
        out.after = Some(after);
    }
    out.text = text;
    out
}

/// Capacities of nodes before and after, and what each resource takes where.
fn utilization(cib: &Cib, world: &World<'_>, now: i64) -> Vec<String> {
    let list = |map: &std::collections::BTreeMap<String, i64>| -> String {
        map.iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect()
    };
    let before = facts::gather(cib, now);
    let mut out = Vec::new();
    for node in &before.nodes {
        out.push(format!(
            "Original: {} capacity:{}",
            node.name,
            list(&node.utilization)
        ));
    }
    for rsc in world.rscs.iter().filter(|rsc| rsc.children.is_empty()) {
        if let Some(n) = rsc.assigned {
            let node = &world.nodes[n].name;
            out.push(format!(
                "{} utilization on {node}:{}",
                rsc.id,
                list(&rsc.utilization)
            ));
        }
    }
    for node in &world.nodes {
        out.push(format!(
            "Remaining: {} capacity:{}",
            node.name,
            list(&node.utilization)
        ));
    }
    out
}
