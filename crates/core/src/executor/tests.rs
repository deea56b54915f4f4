//! Whom an executor obeys, and what a restarted daemon makes of what an earlier session of it left behind.

use super::*;
use crate::entry::FailureWeight;
use crate::event::FoundRun;
use crate::ids::{Boot, Session};

const NOW: Now = Now {
    mono: Millis(1_000),
    wall_ms: 5_000,
};

fn order(name: &str, action: &str) -> Order {
    Order {
        name: name.to_owned(),
        term: Term(3),
        boot: Boot(7),
        kind: OrderKind::End,
        call: call("", action),
        key: format!("db_{action}_0"),
        transition_key: String::new(),
        expected_rc: 0,
        failure: FailureWeight::Infinite,
        migration: Vec::new(),
    }
}

fn call(name: &str, action: &str) -> AgentCall {
    AgentCall {
        resource: "db".to_owned(),
        action: action.to_owned(),
        name: name.to_owned(),
        ..AgentCall::default()
    }
}

fn result(outcome: Outcome) -> AgentResult {
    AgentResult {
        outcome,
        exit_reason: String::new(),
        output: String::new(),
        took_ms: 1,
        digests: None,
    }
}

fn found(run: u64, name: &str, action: &str, outcome: Option<Outcome>) -> FoundRun {
    FoundRun {
        run: RunId(run),
        call: call(name, action),
        result: outcome.map(result),
    }
}

/// An executor of a later session, which remembers these orders as not in the log yet.
fn restarted(orders: &[Order]) -> Executor {
    let remembered = orders
        .iter()
        .zip(1..)
        .map(|(order, run)| (format!("order/{}/{run}", order.name), encode(order)))
        .collect();
    let inventory = Inventory {
        remembered,
        running: Vec::new(),
    };
    let incarnation = Incarnation {
        boot: Boot(7),
        session: Session(2),
    };
    Executor::start(incarnation, None, &inventory, NOW)
}

fn runs(out: &Outbox) -> Vec<(RunId, String)> {
    out.effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::RunAgent { run, call } => Some((*run, call.action.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_stop_that_hangs_across_a_restart_is_awaited_before_it_is_done_again() {
    let mut executor = restarted(&[order("3.1.1", "stop")]);
    executor.found(&[found(90, "3.1.1", "stop", None)], NOW);
    let mut out = Outbox::default();
    executor.resolve_left(NOW, &mut out);
    executor.order(order("3.1.1", "stop"), Lease::Valid, NOW, &mut out);
    assert_eq!(runs(&out), [], "it is running still");
    executor.done(RunId(90), result(Outcome::Lost), NOW, &mut out);
    assert_eq!(
        runs(&out).len(),
        1,
        "its exit code is unknown: it is done again"
    );
    let (run, action) = runs(&out).remove(0);
    assert_eq!(action, "stop");
    executor.done(run, result(Outcome::Exited(0)), NOW, &mut out);
    assert_eq!(executor.kept_result("3.1.1"), Some(true));
}

#[test]
fn a_start_whose_exit_code_is_lost_is_looked_at_and_never_done_again() {
    let mut executor = restarted(&[order("3.1.1", "start")]);
    executor.found(&[found(90, "3.1.1", "start", Some(Outcome::Lost))], NOW);
    assert!(executor.is_reported(), "a lost result is no failure");
    let mut out = Outbox::default();
    executor.resolve_left(NOW, &mut out);
    let (run, action) = runs(&out).remove(0);
    assert_eq!(action, "monitor");
    executor.done(run, result(Outcome::Exited(0)), NOW, &mut out);
    assert_eq!(executor.kept_result("3.1.1"), Some(true));
}

#[test]
fn what_the_log_has_already_is_no_news_after_a_restart() {
    let mut executor = restarted(&[order("3.1.2", "stop")]);
    executor.found(
        &[
            found(90, "3.1.1", "start", Some(Outcome::Exited(0))),
            found(91, "3.1.2", "stop", Some(Outcome::Exited(0))),
        ],
        NOW,
    );
    let pending: Vec<&str> = executor
        .pending
        .iter()
        .map(|report| report.action.as_str())
        .collect();
    assert_eq!(pending, ["3.1.2"]);
    // A copy of the order that was long on its way begins nothing all the same.
    let mut out = Outbox::default();
    executor.order(order("3.1.1", "start"), Lease::Valid, NOW, &mut out);
    assert_eq!(runs(&out), []);
}

#[test]
fn of_a_stop_that_was_done_twice_the_last_result_counts() {
    let mut executor = restarted(&[order("3.1.1", "stop")]);
    executor.found(
        &[
            found(90, "3.1.1", "stop", Some(Outcome::Lost)),
            found(91, "3.1.1", "stop", Some(Outcome::Exited(0))),
        ],
        NOW,
    );
    assert_eq!(executor.kept_result("3.1.1"), Some(true));
}

#[test]
fn what_is_left_waits_for_what_still_runs() {
    let mut executor = restarted(&[order("3.1.1", "start"), order("3.1.2", "stop")]);
    executor.found(&[found(90, "3.1.2", "stop", None)], NOW);
    let mut out = Outbox::default();
    executor.resolve_left(NOW, &mut out);
    assert_eq!(runs(&out), [], "the stop is running still");
    executor.done(RunId(90), result(Outcome::Exited(0)), NOW, &mut out);
    executor.resolve_left(NOW, &mut out);
    assert_eq!(runs(&out).len(), 1);
    assert_eq!(runs(&out)[0].1, "monitor");
}

/// A hole that a careless version has: an order that was on its way while its machine was reset.
#[test]
fn an_order_for_one_boot_is_not_obeyed_by_the_next() {
    let mut next = Executor::start(
        Incarnation {
            boot: Boot(8),
            session: Session(3),
        },
        None,
        &Inventory::default(),
        NOW,
    );
    let mut out = Outbox::default();
    for (action, kind) in [
        ("start", OrderKind::Begin),
        ("stop", OrderKind::End),
        ("monitor", OrderKind::Look),
    ] {
        let late = Order {
            kind,
            ..order("3.1.1", action)
        };
        next.order(late, Lease::Valid, NOW, &mut out);
    }
    assert_eq!(runs(&out), []);
    assert_eq!(next.begun().count(), 0);
    let own = Order {
        boot: Boot(8),
        kind: OrderKind::Begin,
        ..order("3.1.2", "start")
    };
    next.order(own, Lease::Valid, NOW, &mut out);
    assert_eq!(runs(&out).len(), 1);
}

/// A fence device that an earlier session left running ends before it runs again; then a repeated asking is answered
/// with what is kept.
#[test]
fn a_repeated_asking_for_a_device_runs_it_once() {
    let mut executor = restarted(&[]);
    let call = AgentCall {
        resource: "st1".to_owned(),
        class: "stonith".to_owned(),
        action: "off".to_owned(),
        ..AgentCall::default()
    };
    let left = FoundRun {
        run: RunId(77),
        call: call.clone(),
        result: None,
    };
    executor.found(&[left], NOW);
    let by = || Coordinator::Node(crate::ids::NodeName::from("n2"));
    let mut out = Outbox::default();
    executor.run_device(5, Term(9), by(), call.clone(), &mut out);
    assert_eq!(runs(&out), []);
    executor.done(RunId(77), result(Outcome::Exited(0)), NOW, &mut out);
    for _ in 0..2 {
        executor.run_device(5, Term(9), by(), call.clone(), &mut out);
    }
    let begun = runs(&out);
    assert_eq!(begun.len(), 1);
    executor.done(begun[0].0, result(Outcome::Exited(0)), NOW, &mut out);
    let sent = out.messages.len();
    executor.run_device(5, Term(9), by(), call, &mut out);
    assert_eq!(runs(&out).len(), 1);
    assert_eq!(out.messages.len(), sent + 1, "what is kept is told again");
}
