//! Results: kept for repeated orders, sent until the log has them.

use super::{Executor, KEPT_MAX, RESEND_MS};
use crate::apply::rc_and_status;
use crate::entry::{FailureWeight, Report};
use crate::event::{AgentResult, Effect};
use crate::ids::{Now, Session};
use crate::message::{Message, Order};
use crate::outbox::{Outbox, To};

impl Executor {
    pub(super) fn answer_again(&mut self, name: &str, now: Now, out: &mut Outbox) {
        if let Some(report) = self.kept.get(name) {
            out.send(
                To::Leader,
                Message::Reports {
                    incarnation: self.incarnation,
                    reports: vec![report.clone()],
                },
            );
            return;
        }
        // A monitor that was taken over from an earlier session has not spoken in this one: it speaks now.
        let monitor = self
            .recurring
            .values_mut()
            .find(|monitor| monitor.order.name == name && monitor.run.is_none());
        if let Some(monitor) = monitor
            && monitor.last.is_some()
        {
            monitor.last = None;
            monitor.next = now.mono;
            self.run_due(now, out);
        }
    }

    /// A result for the log, and for whoever orders it again.
    pub(super) fn report(&mut self, order: &Order, result: AgentResult, now: Now) {
        let number = self.next_report;
        self.next_report += 1;
        let report = self.report_of(number, order, result, now);
        self.keep_report(&report);
        self.pending.push_back(report);
    }

    /// A result that the log has already: only for whoever orders it again.
    pub(super) fn keep(&mut self, order: &Order, result: AgentResult, now: Now) {
        let report = self.report_of(0, order, result, now);
        self.keep_report(&report);
    }

    fn keep_report(&mut self, report: &Report) {
        if report.action.is_empty() {
            return;
        }
        if self.kept_order.len() >= KEPT_MAX
            && let Some(oldest) = self.kept_order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        self.kept.insert(report.action.clone(), report.clone());
        self.kept_order.push_back(report.action.clone());
    }

    fn report_of(&self, number: u64, order: &Order, result: AgentResult, now: Now) -> Report {
        let (rc, status) = rc_and_status(result.outcome);
        let has_failed = status != 0 || rc != order.expected_rc;
        Report {
            number,
            action: order.name.clone(),
            resource: order.call.resource.clone(),
            class: order.call.class.clone(),
            provider: order.call.provider.clone(),
            agent: order.call.agent.clone(),
            key: order.key.clone(),
            operation: order.call.action.clone(),
            interval_ms: order.call.interval_ms,
            transition_key: order.transition_key.clone(),
            expected_rc: order.expected_rc,
            result,
            wall_ms: now.wall_ms,
            failure: if has_failed {
                order.failure
            } else {
                FailureWeight::None
            },
            migration: order.migration.clone(),
            session: self.incarnation.session,
        }
    }

    /// Results that the log does not have, oldest first. Fence devices run nothing on a node.
    pub fn unrecorded(&self) -> impl Iterator<Item = &Report> {
        self.pending
            .iter()
            .filter(|report| report.class != "stonith")
    }

    /// Sends what the log does not have.
    pub fn send_pending(&mut self, now: Now, out: &mut Outbox) {
        if self.pending.is_empty() {
            return;
        }
        self.resend_at = now.mono.plus(RESEND_MS);
        out.send(
            To::Leader,
            Message::Reports {
                incarnation: self.incarnation,
                reports: self.pending.iter().cloned().collect(),
            },
        );
        if crate::seeded::has(crate::seeded::Bug::ResultForgotten) {
            self.pending.clear();
        }
    }

    /// The log has the reports of this session up to this one.
    pub fn recorded(&mut self, session: Session, upto: u64, out: &mut Outbox) {
        if session != self.incarnation.session {
            return;
        }
        while let Some(report) = self.pending.front() {
            if report.number > upto {
                break;
            }
            if let Some(key) = self.order_keys.remove(&report.action) {
                out.effect(Effect::Remember { key, value: None });
            }
            self.pending.pop_front();
        }
    }

    /// Whether an ordered action has ended, and as expected.
    #[must_use]
    pub fn kept_result(&self, name: &str) -> Option<bool> {
        let report = self.kept.get(name)?;
        let (rc, status) = rc_and_status(report.result.outcome);
        Some(status == 0 && rc == report.expected_rc)
    }

    /// All results are in the log.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        self.pending.is_empty()
    }
}
