//! Where a cluster comes to rest: plan, carry out as if all went well, plan again, until nothing is left to do.

use crate::plan::{ActionKind, Plan};
use crate::simulate::execute::{execute, state_of};
use crate::{Options, emit, run};
use quorate_model::cib::{Cib, Constraint, Resource};

/// Plans that are made one after another at most; a cluster needs two or three.
pub const STEPS_MAX: usize = 12;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Configuration and status at the end.
    pub cib: Cib,
    /// The plans that did something, in order.
    pub steps: Vec<Plan>,
    /// The last plan had nothing left to do (what is blocked excepted).
    pub is_settled: bool,
}

/// Whether a plan does anything to anybody.
#[must_use]
pub fn is_empty(plan: &Plan) -> bool {
    plan.actions
        .iter()
        .all(|action| action.kind == ActionKind::Pseudo)
}

/// Plans once and carries the plan out on paper.
#[must_use]
pub fn advance(cib: &Cib, options: &Options) -> (Plan, Cib) {
    let world = run(cib, options, false);
    let plan = emit::plan(&world);
    let mut after = cib.clone();
    execute(&world, &mut after, &[]);
    for action in plan
        .actions
        .iter()
        .filter(|a| a.kind == ActionKind::ClearFailcount)
    {
        if let (Some(resource), Some(node)) = (&action.resource, &action.node) {
            forget(&mut after, node, &resource.instance);
        }
    }
    for action in plan
        .actions
        .iter()
        .filter(|a| a.kind == ActionKind::Shutdown)
    {
        if let Some(node) = &action.node {
            leave(&mut after, node);
        }
    }
    (plan, after)
}

/// Carries plans out until nothing is left to do.
#[must_use]
pub fn settle(cib: &Cib, options: &Options) -> Settled {
    let mut settled = Settled {
        cib: cib.clone(),
        steps: Vec::new(),
        is_settled: false,
    };
    for _ in 0..STEPS_MAX {
        let (plan, after) = advance(&settled.cib, options);
        if is_empty(&plan) {
            settled.is_settled = true;
            break;
        }
        settled.steps.push(plan);
        settled.cib = after;
    }
    settled
}

/// A configuration alone as a cluster whose nodes are all up, with everything still to be found out.
#[must_use]
pub fn all_up(mut cib: Cib) -> Cib {
    cib.status = quorate_model::status::Status::default();
    cib.attributes.retain(|(name, _)| name != "have-quorum");
    cib.attributes
        .push(("have-quorum".to_owned(), "1".to_owned()));
    name_nodes(&mut cib);
    let nodes: Vec<(String, String)> = cib
        .configuration
        .nodes
        .iter()
        .filter(|n| n.kind.as_deref() != Some("remote"))
        .map(|n| (n.id.clone(), n.uname.clone()))
        .collect();
    for (id, name) in nodes {
        state_of(&mut cib, &id, &name).has_history = true;
    }
    // Tickets are held: what is asked is what faults do.
    let tickets: std::collections::BTreeSet<String> = cib
        .configuration
        .constraints
        .iter()
        .filter_map(|c| match c {
            Constraint::Ticket(ticket) => Some(ticket.ticket.clone()),
            _ => None,
        })
        .collect();
    cib.status.tickets = tickets
        .into_iter()
        .map(|id| quorate_model::status::TicketState {
            id,
            granted: Some("true".to_owned()),
            ..Default::default()
        })
        .collect();
    cib
}

/// Nodes that were written without an id get their name as one.
fn name_nodes(cib: &mut Cib) {
    for node in &mut cib.configuration.nodes {
        if node.id.is_empty() {
            node.id.clone_from(&node.uname);
        }
        if node.uname.is_empty() {
            node.uname.clone_from(&node.id);
        }
    }
}

/// Ids of the resources at the top of a configuration that are services: no fence devices, no templates.
#[must_use]
pub fn services(cib: &Cib) -> Vec<String> {
    let is_device = |p: &quorate_model::cib::Primitive| p.class.as_deref() == Some("stonith");
    cib.configuration
        .resources
        .iter()
        .filter_map(|resource| match resource {
            Resource::Primitive(p) => (!is_device(p)).then(|| p.id.clone()),
            Resource::Template(_) => None,
            Resource::Group(g) => (!g.members.iter().all(is_device)).then(|| g.id.clone()),
            Resource::Clone(c) => match &c.child {
                quorate_model::cib::CloneChild::Primitive(p) if is_device(p) => None,
                _ => Some(c.id.clone()),
            },
            Resource::Bundle(b) => Some(b.id.clone()),
        })
        .collect()
}

fn forget(cib: &mut Cib, node: &str, resource: &str) {
    for state in cib.status.nodes.iter_mut().filter(|s| s.uname == node) {
        for set in &mut state.transient {
            set.pairs.retain(|pair| {
                let of = |prefix: &str| {
                    pair.name
                        .strip_prefix(prefix)
                        .and_then(|rest| rest.strip_prefix(resource))
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
                };
                !of("fail-count-") && !of("last-failure-")
            });
        }
        for history in state.resources.iter_mut().filter(|h| h.id == resource) {
            history
                .operations
                .retain(|o| !o.id.ends_with("_last_failure_0"));
        }
    }
}

/// A node that was told to shut down is gone.
fn leave(cib: &mut Cib, node: &str) {
    for state in cib.status.nodes.iter_mut().filter(|s| s.uname == node) {
        state.in_cluster = Some("false".to_owned());
        state.crmd = Some("offline".to_owned());
        state.join = Some("down".to_owned());
        state.expected = Some("down".to_owned());
        state.transient.clear();
        state.resources.clear();
    }
}
