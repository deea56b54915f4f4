//! From an action of the plan to the order for its executor and the intent for the log.

use std::collections::BTreeSet;

use quorate_model::cib::{CloneChild, CloneResource, Configuration, Resource, SetKind};
use quorate_policy::plan::{Action, ActionKind, Plan};

use crate::document;
use crate::entry::{FailureWeight, Intent};
use crate::event::AgentCall;
use crate::facts;
use crate::ids::{Lineage, NodeName, Term};
use crate::message::{Order, OrderKind};
use crate::runner::runs_on;
use crate::state::ClusterState;

/// Resources of which several nodes may run an instance under the same name.
#[must_use]
pub fn anonymous(configuration: &Configuration) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Clone(clone) if !is_unique(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => {
                    names.insert(primitive.id.clone());
                }
                CloneChild::Group(group) => {
                    names.extend(group.members.iter().map(|member| member.id.clone()));
                }
            },
            Resource::Bundle(bundle) => {
                names.extend(
                    bundle
                        .primitive
                        .iter()
                        .map(|primitive| primitive.id.clone()),
                );
            }
            _ => {}
        }
    }
    names
}

fn is_unique(clone: &CloneResource) -> bool {
    clone
        .sets
        .iter()
        .filter(|set| set.kind == SetKind::Meta)
        .find_map(|set| document::value(set, "globally-unique"))
        .is_some_and(document::is_true)
}

/// The plan with anonymous instances under the names that executors, histories and holders know them by: without a
/// number. A node runs one of them at most, and which number the policy gives it changes from plan to plan; an executor
/// that went by the number would take `web:0` and `web:1` for two things, and begin one while the other runs.
#[must_use]
pub fn without_numbers(mut plan: Plan) -> Plan {
    for action in &mut plan.actions {
        let Some(resource) = &mut action.resource else {
            continue;
        };
        let is_numbered = resource
            .id
            .strip_prefix(resource.instance.as_str())
            .is_some_and(|rest| rest.starts_with(':'));
        if !is_numbered {
            continue;
        }
        if let Some(rest) = action.key.strip_prefix(resource.id.as_str()) {
            action.key = format!("{}{rest}", resource.instance);
        }
        resource.id.clone_from(&resource.instance);
    }
    plan
}

/// The task in an operation key (`db_start_0`).
fn task(action: &Action) -> String {
    let by_kind = match action.kind {
        ActionKind::Probe | ActionKind::Monitor => "monitor",
        ActionKind::Start => "start",
        ActionKind::Stop => "stop",
        ActionKind::Promote => "promote",
        ActionKind::Demote => "demote",
        ActionKind::Cancel => "cancel",
        ActionKind::Notify => "notify",
        ActionKind::MigrateTo => "migrate_to",
        ActionKind::MigrateFrom => "migrate_from",
        ActionKind::Reload => "reload",
        _ => "",
    };
    if action.kind == ActionKind::Reload && action.key.contains("_reload-agent_") {
        return "reload-agent".to_owned();
    }
    by_kind.to_owned()
}

/// The order for an action, if an executor is to carry it out.
#[must_use]
pub fn order(
    state: &ClusterState,
    action: &Action,
    name: String,
    transition: (Term, u64, u32),
) -> Option<(NodeName, Order)> {
    let node = facts::member_named(state, runs_on(action)?)?.clone();
    let kind = order_kind(action.kind)?;
    let (term, number, id) = transition;
    let uuid = uuid(state.lineage, term);
    let transition_key = format!("{id}:{number}:{}:{uuid}", action.expected_rc);
    let resource = action.resource.as_ref();
    if resource.is_none() && kind != OrderKind::Leave {
        return None;
    }
    let mut migration = Vec::new();
    for meta in ["migrate_source", "migrate_target"] {
        if let Some(value) = meta_of(action, meta) {
            migration.push((meta.to_owned(), value.to_owned()));
        }
    }
    let call = AgentCall {
        resource: resource.map(|r| r.id.clone()).unwrap_or_default(),
        instance: resource.map(|r| r.instance.clone()).unwrap_or_default(),
        class: resource.map(|r| r.class.clone()).unwrap_or_default(),
        provider: resource.and_then(|r| r.provider.clone()),
        agent: resource.map(|r| r.agent.clone()).unwrap_or_default(),
        action: task(action),
        parameters: action.parameters.clone(),
        meta: action.meta.clone(),
        target: None,
        timeout_ms: if action.timeout_ms == 0 {
            20_000
        } else {
            action.timeout_ms
        },
        interval_ms: action.interval_ms,
        name: name.clone(),
    };
    let order = Order {
        name,
        term,
        boot: state.boot(&node),
        kind,
        key: action.key.clone(),
        transition_key,
        expected_rc: action.expected_rc,
        failure: failure_weight(state, action),
        migration,
        call: AgentCall {
            name: String::new(),
            ..call
        },
    };
    Some((node, order))
}

fn order_kind(kind: ActionKind) -> Option<OrderKind> {
    Some(match kind {
        ActionKind::Probe => OrderKind::Look,
        ActionKind::Start
        | ActionKind::Promote
        | ActionKind::MigrateTo
        | ActionKind::MigrateFrom
        | ActionKind::Reload => OrderKind::Begin,
        ActionKind::Stop | ActionKind::Demote | ActionKind::Notify => OrderKind::End,
        ActionKind::Monitor => OrderKind::Recurring,
        ActionKind::Cancel => OrderKind::Cancel,
        ActionKind::Shutdown => OrderKind::Leave,
        _ => return None,
    })
}

/// The value of a `CRM_meta_` variable of the action.
#[must_use]
pub fn meta_of<'a>(action: &'a Action, name: &str) -> Option<&'a str> {
    action
        .meta
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn failure_weight(state: &ClusterState, action: &Action) -> FailureWeight {
    let on_fail = meta_of(action, "on_fail").or_else(|| meta_of(action, "on-fail"));
    if on_fail == Some("ignore") {
        return FailureWeight::None;
    }
    match action.kind {
        ActionKind::Probe | ActionKind::Notify | ActionKind::Cancel => FailureWeight::None,
        ActionKind::Start => {
            let is_fatal = state
                .option("start-failure-is-fatal")
                .is_none_or(document::is_true);
            if is_fatal {
                FailureWeight::Infinite
            } else {
                FailureWeight::One
            }
        }
        ActionKind::Stop => FailureWeight::Infinite,
        _ => FailureWeight::One,
    }
}

/// The intent of an action, if it makes a node a holder.
#[must_use]
pub fn intent(
    state: &ClusterState,
    anonymous: &BTreeSet<String>,
    action: &Action,
    name: &str,
) -> Option<Intent> {
    let resource = action.resource.as_ref().filter(|r| r.class != "stonith")?;
    let named = |name: &str| facts::member_named(state, name).cloned();
    let own = named(runs_on(action)?)?;
    let (node, source) = match action.kind {
        ActionKind::Start | ActionKind::Promote => (own, None),
        // Once a migration has begun, its target may be running the resource, too.
        ActionKind::MigrateTo => {
            let target = meta_of(action, "migrate_target").and_then(named)?;
            (target, Some(own))
        }
        ActionKind::MigrateFrom => {
            let source = meta_of(action, "migrate_source").and_then(named);
            (own, source)
        }
        _ => return None,
    };
    let base = resource.id.split(':').next().unwrap_or(&resource.id);
    Some(Intent {
        action: name.to_owned(),
        resource: resource.id.clone(),
        boot: state.boot(&node),
        node,
        is_exclusive: !anonymous.contains(base),
        source,
    })
}

/// Names the leader's transitions as Pacemaker's keys do.
fn uuid(lineage: Lineage, term: Term) -> String {
    let (high, low) = (lineage.0, term.0);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        (low >> 48) & 0xffff,
        low & 0xffff_ffff_ffff
    )
}
