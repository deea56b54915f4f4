//! Events that `crm_simulate` knows, with its words: a node comes or goes, an operation fails, tickets, quorum.

use super::execute::state_of;
use crate::event::{EventError, known_node, missing, set_property, set_root, set_transient};
use crate::facts;
use quorate_model::cib::Cib;
use quorate_model::status::{OperationHistory, ResourceHistory, TicketState};
use std::fmt::Write;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// `have-quorum`.
    Quorum(String),
    /// `have-watchdog`.
    Watchdog(String),
    /// A node joins.
    NodeUp(String),
    /// A node leaves in good order.
    NodeDown(String),
    /// A node is lost.
    NodeFail(String),
    /// A ticket is granted.
    TicketGrant(String),
    /// A ticket is revoked.
    TicketRevoke(String),
    /// A ticket is put in standby.
    TicketStandby(String),
    /// A ticket leaves standby.
    TicketActivate(String),
    /// A result of an operation.
    Operation(Outcome),
}

/// A result of an operation: `RESOURCE_TASK_MILLISECONDS@NODE=RC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As it was written.
    pub text: String,
    /// The resource, an instance's number included where it has one.
    pub resource: String,
    /// `monitor`, `start` ...
    pub task: String,
    /// Milliseconds between runs, else 0.
    pub interval_ms: u64,
    /// Where.
    pub node: String,
    /// The agent's exit code.
    pub rc: i32,
}

impl Outcome {
    /// Reads the form above.
    ///
    /// # Errors
    /// When it does not have that form.
    pub fn parse(text: &str) -> Result<Outcome, EventError> {
        let wrong = || EventError {
            what: format!("`{text}` is no result of an operation"),
            help: "write RESOURCE_TASK_MILLISECONDS@NODE=RC, such as db_monitor_10000@n1=7"
                .to_owned(),
        };
        let (key, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (node, rc) = rest.rsplit_once('=').ok_or_else(wrong)?;
        let (front, interval) = key.rsplit_once('_').ok_or_else(wrong)?;
        // A task may have an underscore itself.
        let task = ["migrate_to", "migrate_from"]
            .into_iter()
            .find(|task| front.ends_with(&format!("_{task}")))
            .or_else(|| front.rsplit_once('_').map(|(_, task)| task))
            .ok_or_else(wrong)?;
        let resource = &front[..front.len() - task.len() - 1];
        if resource.is_empty() || task.is_empty() || node.is_empty() {
            return Err(wrong());
        }
        Ok(Outcome {
            text: text.to_owned(),
            resource: resource.to_owned(),
            task: task.to_owned(),
            interval_ms: interval.parse().map_err(|_| wrong())?,
            node: node.to_owned(),
            rc: rc.parse().map_err(|_| wrong())?,
        })
    }

    /// Whether that is a failure: a probe that finds nothing is none.
    pub(super) fn fails(&self) -> bool {
        self.rc != 0 && !(self.rc == 7 && self.interval_ms == 0 && self.task == "monitor")
    }
}

/// Information base after events, and what was said about them.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The changed information base.
    pub cib: Cib,
    /// A line for each change.
    pub text: String,
}

/// Applies events in the order in which `crm_simulate` does, whatever theirs.
///
/// # Errors
/// When one names something that is not there.
pub fn inject(cib: &Cib, events: &[Injection], now: i64) -> Result<Changed, EventError> {
    let mut sorted: Vec<&Injection> = events.iter().collect();
    sorted.sort_by_key(|event| match event {
        Injection::Quorum(_) => 0,
        Injection::Watchdog(_) => 1,
        Injection::NodeUp(_) => 2,
        Injection::NodeDown(_) => 3,
        Injection::NodeFail(_) => 4,
        Injection::TicketGrant(_) => 5,
        Injection::TicketRevoke(_) => 6,
        Injection::TicketStandby(_) => 7,
        Injection::TicketActivate(_) => 8,
        Injection::Operation(_) => 9,
    });
    let mut changed = Changed {
        cib: cib.clone(),
        text: String::new(),
    };
    for event in sorted {
        one(&mut changed, event, now)?;
    }
    Ok(changed)
}

fn one(changed: &mut Changed, event: &Injection, now: i64) -> Result<(), EventError> {
    let (cib, out) = (&mut changed.cib, &mut changed.text);
    let said = match event {
        Injection::Quorum(value) => {
            set_root(cib, "have-quorum", value);
            format!("Setting quorum: {value}")
        }
        Injection::Watchdog(value) => {
            set_property(cib, "have-watchdog", value);
            format!("Setting watchdog: {value}")
        }
        Injection::NodeUp(node) => {
            node_state(cib, node, ["true", "online", "member", "member"])?;
            format!("Bringing node {node} online")
        }
        Injection::NodeDown(node) => {
            node_state(cib, node, ["false", "offline", "down", "down"])?;
            let (id, name) = known_node(cib, node)?;
            let state = state_of(cib, &id, &name);
            state.transient.clear();
            state.resources.clear();
            state.has_history = false;
            format!("Taking node {node} offline")
        }
        Injection::NodeFail(node) => {
            node_state(cib, node, ["false", "offline", "down", "member"])?;
            format!("Failing node {node}")
        }
        Injection::TicketGrant(id) => {
            ticket(cib, id).granted = Some("true".to_owned());
            format!("Granting ticket {id}")
        }
        Injection::TicketRevoke(id) => {
            ticket(cib, id).granted = Some("false".to_owned());
            format!("Revoking ticket {id}")
        }
        Injection::TicketStandby(id) => {
            ticket(cib, id).standby = Some("true".to_owned());
            format!("Making ticket {id} standby")
        }
        Injection::TicketActivate(id) => {
            ticket(cib, id).standby = Some("false".to_owned());
            format!("Activating ticket {id}")
        }
        Injection::Operation(outcome) => {
            let _ = writeln!(out, "  * Injecting {} into the configuration", outcome.text);
            return operation(cib, outcome, now, out);
        }
    };
    let _ = writeln!(out, "  * {said}");
    Ok(())
}

fn node_state(cib: &mut Cib, node: &str, values: [&str; 4]) -> Result<(), EventError> {
    let (id, name) = known_node(cib, node)?;
    let state = state_of(cib, &id, &name);
    let [in_cluster, crmd, join, expected] = values.map(|v| Some(v.to_owned()));
    state.in_cluster = in_cluster;
    state.crmd = crmd;
    state.join = join;
    state.expected = expected;
    Ok(())
}

fn ticket<'a>(cib: &'a mut Cib, id: &str) -> &'a mut TicketState {
    let tickets = &mut cib.status.tickets;
    let at = tickets.iter().position(|t| t.id == id).unwrap_or_else(|| {
        tickets.push(TicketState {
            id: id.to_owned(),
            ..TicketState::default()
        });
        tickets.len() - 1
    });
    &mut tickets[at]
}

fn operation(
    cib: &mut Cib,
    outcome: &Outcome,
    now: i64,
    out: &mut String,
) -> Result<(), EventError> {
    let (id, name) = known_node(cib, &outcome.node)?;
    let (class, provider, agent) = {
        let world = facts::gather(cib, now);
        let mut leaves = Vec::new();
        for &r in &world.top {
            world.leaves(r, &mut leaves);
        }
        let named = |r: usize| {
            let rsc = &world.rscs[r];
            rsc.id == outcome.resource
                || rsc.history_id.as_deref() == Some(&outcome.resource)
                || crate::facts::failcount_base(&rsc.id) == outcome.resource
        };
        let Some(r) = leaves.iter().copied().find(|&r| named(r)) else {
            let ids: Vec<String> = leaves.iter().map(|&r| world.rscs[r].id.clone()).collect();
            return Err(missing(
                "primitive",
                &outcome.resource,
                ids.iter().map(String::as_str),
            ));
        };
        let cfg = world.cfg(r);
        (
            cfg.class.to_owned(),
            cfg.provider.map(str::to_owned),
            cfg.agent.to_owned(),
        )
    };
    count_failure(cib, outcome, (&id, &name), now, out);
    let state = state_of(cib, &id, &name);
    state.has_history = true;
    let resources = &mut state.resources;
    let at = resources
        .iter()
        .position(|h| h.id == outcome.resource)
        .unwrap_or_else(|| {
            resources.push(ResourceHistory {
                id: outcome.resource.as_str().into(),
                class: class.into(),
                provider: provider.map(Into::into),
                agent: agent.into(),
                ..ResourceHistory::default()
            });
            resources.len() - 1
        });
    write_result(&mut resources[at], outcome, 0, now);
    Ok(())
}

/// One failure more of an operation on a node, as a cluster remembers it.
pub(super) fn count_failure(
    cib: &mut Cib,
    outcome: &Outcome,
    (id, name): (&str, &str),
    now: i64,
    out: &mut String,
) {
    if !outcome.fails() {
        return;
    }
    let base = crate::facts::failcount_base(&outcome.resource);
    let key = format!("{base}#{}_{}", outcome.task, outcome.interval_ms);
    let (count, last) = (format!("fail-count-{key}"), format!("last-failure-{key}"));
    let _ = writeln!(
        out,
        "  * Injecting attribute {count}=value++ into /node_state '{id}'"
    );
    let _ = writeln!(
        out,
        "  * Injecting attribute {last}={now} into /node_state '{id}'"
    );
    let before = state_of(cib, id, name)
        .transient
        .iter()
        .flat_map(|set| &set.pairs)
        .find(|pair| pair.name == count)
        .and_then(|pair| pair.value.as_deref())
        .map_or(0, crate::score::parse);
    set_transient(cib, id, name, &count, &before.saturating_add(1).to_string());
    set_transient(cib, id, name, &last, &now.to_string());
}

/// Writes a result where a cluster keeps it: failures beside what was last good.
pub(super) fn write_result(
    history: &mut ResourceHistory,
    outcome: &Outcome,
    expected: i32,
    now: i64,
) {
    let call_id = history
        .operations
        .iter()
        .map(|o| o.call_id)
        .max()
        .unwrap_or(0)
        .max(0)
        + 1;
    let (name, task) = (&history.id, &outcome.task);
    let key = format!("{name}_{task}_{}", outcome.interval_ms);
    let failed = outcome.rc != expected;
    let mut ids = Vec::new();
    if failed {
        ids.push(format!("{name}_last_failure_0"));
    }
    if outcome.interval_ms == 0 {
        ids.push(format!("{name}_last_0"));
    } else if !failed {
        ids.push(key.clone());
    }
    let transition = format!("0:-1:{expected}:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    for id in ids {
        let result = OperationHistory {
            id: id.into(),
            key: Some(key.as_str().into()),
            operation: task.as_str().into(),
            call_id,
            rc: outcome.rc,
            status: 0,
            interval_ms: outcome.interval_ms,
            transition_magic: Some(format!("0:{};{transition}", outcome.rc).into()),
            transition_key: Some(transition.as_str().into()),
            last_rc_change: Some(now),
            ..OperationHistory::default()
        };
        match history.operations.iter_mut().find(|o| o.id == result.id) {
            Some(old) => *old = result,
            None => history.operations.push(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_with_tasks_of_two_words() {
        let read = |text: &str| {
            Outcome::parse(text).map(|o| (o.resource, o.task, o.interval_ms, o.node, o.rc))
        };
        let want = |r: &str, t: &str, i, n: &str, rc| {
            Ok((r.to_owned(), t.to_owned(), i, n.to_owned(), rc))
        };
        assert_eq!(
            read("db_monitor_10000@n1=7"),
            want("db", "monitor", 10_000, "n1", 7)
        );
        assert_eq!(
            read("my_db:0_migrate_to_0@a.b=1"),
            want("my_db:0", "migrate_to", 0, "a.b", 1)
        );
        for wrong in [
            "db",
            "db_monitor_10000@n1",
            "db_monitor_x@n1=7",
            "monitor_0@n1=7",
            "db_monitor_0@=1",
            "@n=1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
