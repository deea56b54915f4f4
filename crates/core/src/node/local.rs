//! Without quorum: what this node does by itself (`no-quorum-policy`), once its lease is gone and no fencing
//! of its peer is under way that would bring the quorum back.

use std::collections::BTreeSet;

use quorate_policy::Options;
use quorate_policy::plan::ActionKind;

use crate::apply::{rc_and_status, record_history};
use crate::engine::Blocked;
use crate::event::{AgentCall, LogLevel};
use crate::executor::{Executor, Lease};
use crate::facts::{self, Quorum};
use crate::ids::{Millis, NodeName, Session};
use crate::orders;
use crate::outbox::Outbox;
use crate::runner::{Runner, Step, is_free, runs_on};
use crate::state::{ClusterState, NodeStatus, OpRecord, Presence};

use super::Node;

/// Between two looks.
const LOOK_MS: u64 = 500;

/// A local stop under way.
#[derive(Default)]
pub(super) struct LocalStop {
    /// Without quorum since then.
    since: Option<Millis>,
    runner: Option<Runner>,
    look_at: Option<Millis>,
    number: u64,
    has_told: bool,
}

impl LocalStop {
    /// When it needs the next tick.
    pub(super) fn deadline(&self) -> Millis {
        self.look_at.unwrap_or(Millis(u64::MAX))
    }
}

impl Node {
    /// Stops what must not run without quorum.
    pub(super) fn stop_locally(&mut self, out: &mut Outbox) {
        let now = self.now.mono;
        if self.leader.is_some() || self.lease() == Lease::Valid || self.held_here().is_empty() {
            self.local = LocalStop {
                number: self.local.number,
                ..LocalStop::default()
            };
            return;
        }
        let since = *self.local.since.get_or_insert(now);
        if self.local.look_at.is_some_and(|at| at > now) {
            return;
        }
        self.local.look_at = Some(now.plus(LOOK_MS));
        if self.must_hold(since) {
            return;
        }
        if !self.local.has_told {
            self.local.has_told = true;
            let policy = self
                .state
                .option("no-quorum-policy")
                .unwrap_or("stop")
                .to_owned();
            out.log(
                LogLevel::Warn,
                format!("Without quorum for too long: no-quorum-policy is {policy}."),
            );
        }
        if self
            .local
            .runner
            .as_ref()
            .is_none_or(|runner| runner.is_over(now))
        {
            self.plan_locally();
        }
        self.drive_locally(out);
    }

    /// What this boot may be running: what the log says, and what was begun or stopped here since.
    pub(super) fn held_here(&self) -> BTreeSet<String> {
        let boot = self.incarnation.boot;
        let mut held: BTreeSet<String> = self
            .state
            .holders
            .iter()
            .filter(|(_, nodes)| {
                nodes
                    .get(&self.name)
                    .is_some_and(|holder| holder.boot == boot)
            })
            .map(|(resource, _)| resource.clone())
            .collect();
        held.extend(self.executor.monitored_resources());
        for report in self.executor.unrecorded() {
            let (rc, status) = rc_and_status(report.result.outcome);
            let is_probe = report.operation == "monitor" && report.interval_ms == 0;
            let is_over =
                status == 0 && (report.operation == "stop" && rc == 0 || is_probe && rc == 7);
            if is_over {
                held.remove(&report.resource);
            } else if matches!(report.operation.as_str(), "start" | "promote") {
                held.insert(report.resource.clone());
            }
        }
        held.extend(self.executor.begun().map(|call| call.resource.clone()));
        held
    }

    /// A pair whose other half is being fenced, or was left alone without fencing, goes on: losing the
    /// standby must not stop the service. The policy applies once the fencing has failed.
    fn must_hold(&self, since: Millis) -> bool {
        let now = self.now.mono;
        if now.since(since) < self.settings.detection_ms {
            return true;
        }
        let is_open = self
            .blocked
            .iter()
            .any(|blocked| matches!(blocked, Blocked::FencingPeer { .. }));
        let limit = crate::devices::timeout_ms(&self.state);
        is_open && now.since(since) < limit
    }

    fn plan_locally(&mut self) {
        let alone = alone(&self.state, &self.name, &self.executor);
        let cib = facts::cib(&alone, Quorum::Lost, self.now.wall_ms);
        let options = Options {
            now: self.now.wall_ms / 1_000,
            promoted_stick: true,
            ..Options::default()
        };
        let mut plan = orders::without_numbers((self.scheduler)(&cib, &options));
        if crate::seeded::has(crate::seeded::Bug::LocalStopUnordered) {
            plan.actions
                .iter_mut()
                .for_each(|action| action.inputs.clear());
        }
        self.local.number += 1;
        let number = self.local.number;
        self.local.runner = Some(Runner::new(number, self.term, plan, "no quorum".to_owned()));
    }

    fn drive_locally(&mut self, out: &mut Outbox) {
        let Some(mut runner) = self.local.runner.take() else {
            return;
        };
        for id in runner.running().collect::<Vec<_>>() {
            if let Some(is_expected) = self
                .executor
                .kept_result(&local_name(&runner.name(id), self.incarnation.session))
            {
                runner.set(
                    id,
                    if is_expected {
                        Step::Done
                    } else {
                        Step::Failed
                    },
                );
            }
        }
        for _ in 0..1_000 {
            let ready = runner.ready(self.now.mono);
            if ready.is_empty() {
                break;
            }
            for id in ready {
                let action = runner.action(id).clone();
                let is_here = runs_on(&action) == Some(self.name.0.as_str());
                let stops = matches!(
                    action.kind,
                    ActionKind::Stop | ActionKind::Demote | ActionKind::Cancel | ActionKind::Notify
                );
                if is_free(action.kind) || !is_here {
                    runner.set(id, Step::Done);
                    continue;
                }
                if !stops {
                    // Nothing begins without quorum.
                    runner.set(id, Step::Failed);
                    continue;
                }
                let name = local_name(&runner.name(id), self.incarnation.session);
                let transition = (runner.term, runner.number, id.0);
                let order = orders::order(&self.state, &action, name, transition);
                let Some((_, mut order)) = order else {
                    runner.set(id, Step::Failed);
                    continue;
                };
                order.term = self.executor.term();
                let sent = self.now.mono;
                runner.set(
                    id,
                    Step::Dispatched {
                        sent,
                        overdue: Millis(u64::MAX),
                    },
                );
                self.executor.order(order, Lease::Expired, self.now, out);
            }
        }
        self.local.runner = Some(runner);
    }
}

/// Of this session: a restarted daemon counts its local transitions anew.
fn local_name(name: &str, session: Session) -> String {
    format!("local.{name}.{session}")
}

/// The state as this node must act on it alone: the others are gone, and of its own resources runs what the log says
/// that it may hold, and what was begun here since, whether the log has it yet or not.
fn alone(state: &ClusterState, own: &NodeName, executor: &Executor) -> ClusterState {
    let mut alone = state.clone();
    for (name, node) in &mut alone.nodes {
        if name != own {
            node.presence = Presence::Left;
            node.resources.clear();
            continue;
        }
        if crate::seeded::has(crate::seeded::Bug::LocalStopForgets) {
            continue;
        }
        let held = state
            .holders
            .iter()
            .filter(|(_, nodes)| nodes.contains_key(own));
        for (resource, _) in held {
            begins(node, resource, None);
        }
        if crate::seeded::has(crate::seeded::Bug::UnrecordedForgotten) {
            continue;
        }
        for resource in executor.monitored_resources() {
            begins(node, &resource, None);
        }
        for report in executor.unrecorded() {
            record_history(node, report);
        }
        for call in executor.begun() {
            begins(node, &call.resource, Some(call));
        }
    }
    alone
}

/// A start of it counts as the last that happened on the node.
fn begins(node: &mut NodeStatus, resource: &str, call: Option<&AgentCall>) {
    if let Some(call) = call {
        let record = node.resources.entry(resource.to_owned()).or_default();
        record.class.clone_from(&call.class);
        record.provider.clone_from(&call.provider);
        record.agent.clone_from(&call.agent);
    }
    let Some(record) = node.resources.get_mut(resource) else {
        return;
    };
    let last = record
        .operations
        .values()
        .map(|operation| operation.call_id)
        .max();
    node.next_call = node.next_call.max(last.unwrap_or(0)) + 1;
    let begun = OpRecord {
        key: format!("{resource}_start_0"),
        operation: "start".to_owned(),
        call_id: node.next_call,
        ..OpRecord::default()
    };
    record
        .operations
        .insert(format!("{resource}_last_0"), begun);
}
