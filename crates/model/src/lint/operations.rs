//! Operations: monitors that are missing, timeouts that cannot hold.

use super::view::View;
use super::{AgentFact, Linter};
use crate::cib::Operation;
use crate::diag::{Code, Diagnostic, Severity};
use crate::metadata::{is_true, role_word};
use crate::times;

/// Pacemaker's timeout where nothing says another.
const DEFAULT_TIMEOUT_MS: u64 = 20_000;

struct Finding {
    diagnostic: Diagnostic,
    /// A line that would cure it, of the resource's statement.
    line: Option<String>,
}

impl Linter<'_> {
    pub(super) fn operations(&mut self) {
        let default = self.default_timeout();
        let mut findings: Vec<(String, Finding)> = Vec::new();
        for view in &self.views {
            let id = view.primitive.id.clone();
            let mut found = Vec::new();
            self.monitors(view, &mut found);
            self.same_operations(view, &mut found);
            self.timeouts(view, default, &mut found);
            findings.extend(found.into_iter().map(|finding| (id.clone(), finding)));
        }
        for (id, finding) in findings {
            let diagnostic = finding.diagnostic.about(id.clone());
            let diagnostic = match &finding.line {
                Some(line) => self.with_line(diagnostic, &id, line),
                None => diagnostic,
            };
            self.push(diagnostic);
        }
    }

    pub(super) fn default_timeout(&self) -> u64 {
        let sets = self
            .configuration
            .operation_defaults
            .iter()
            .filter(|set| set.rule.is_none());
        let pair = sets
            .flat_map(|set| &set.pairs)
            .find(|pair| pair.name == "timeout");
        pair.and_then(|pair| pair.value.as_deref())
            .and_then(times::milliseconds)
            .unwrap_or(DEFAULT_TIMEOUT_MS)
    }

    fn monitors(&self, view: &View<'_>, found: &mut Vec<Finding>) {
        let operations = view.operations();
        let recurring = |operation: &&&Operation| {
            operation.name == "monitor"
                && operation
                    .interval
                    .as_deref()
                    .and_then(times::milliseconds)
                    .unwrap_or(0)
                    > 0
        };
        let id = &view.primitive.id;
        for operation in operations
            .iter()
            .filter(|operation| operation.name == "monitor")
        {
            if !recurring(&operation) && !operation.sets.iter().any(|set| !set.pairs.is_empty()) {
                found.push(Finding {
                    diagnostic: Diagnostic::new(
                        Code::MonitorInterval,
                        format!("the monitor of `{id}` never recurs"),
                    )
                    .at(
                        self.spans.get(&operation.id, ""),
                        "interval is 0 or missing",
                    )
                    .help("say how often: `op monitor interval=20s timeout=30s`"),
                    line: None,
                });
            }
        }
        let is_managed = view.meta("is-managed").and_then(is_true).unwrap_or(true);
        if view.is_template
            || !is_managed
            || operations.iter().any(|operation| recurring(&operation))
            || view.primitive.operations.id_ref.is_some()
        {
            return;
        }
        let advice = self
            .metadata(view)
            .and_then(|metadata| metadata.advice("monitor", None));
        let interval = advice
            .and_then(|advice| advice.interval_ms)
            .filter(|ms| *ms > 0)
            .unwrap_or(if view.is_fence_device() {
                60_000
            } else {
                10_000
            });
        let timeout = advice
            .and_then(|advice| advice.timeout_ms)
            .unwrap_or(DEFAULT_TIMEOUT_MS);
        let line = format!(
            "op monitor interval={} timeout={}",
            times::spell(interval),
            times::spell(timeout)
        );
        found.push(Finding {
            diagnostic: Diagnostic::new(
                Code::NoMonitor,
                format!("`{id}` has no recurring monitor"),
            )
            .at(self.spans.get(id, ""), "nobody would notice when it fails")
            .because("a failure shows only when something that depends on it fails too")
            .help(format!("add `{line}`")),
            line: Some(line),
        });
    }

    fn same_operations(&self, view: &View<'_>, found: &mut Vec<Finding>) {
        let list = &view.primitive.operations.list;
        for (at, operation) in list.iter().enumerate() {
            let time =
                |operation: &Operation| operation.interval.as_deref().and_then(times::milliseconds);
            let first = list[..at]
                .iter()
                .find(|other| other.name == operation.name && time(other) == time(operation));
            let Some(first) = first else { continue };
            let role = |operation: &Operation| {
                operation
                    .extra
                    .iter()
                    .find(|(name, _)| name == "role")
                    .map(|(_, role)| role_word(role))
            };
            found.push(Finding {
                diagnostic: Diagnostic::new(
                    Code::DuplicateOperation,
                    format!(
                        "`{}` has two `{}` operations of one interval",
                        view.primitive.id, operation.name
                    ),
                )
                .at(self.spans.get(&operation.id, ""), "second one")
                .also(self.spans.get(&first.id, ""), "first one")
                .because(if role(operation) == role(first) {
                    "the second replaces or hides the first"
                } else {
                    "results are told apart by name and interval, not by role"
                })
                .help("give one of them another interval, 11s instead of 10s for example"),
                line: None,
            });
        }
    }

    fn timeouts(&self, view: &View<'_>, default: u64, found: &mut Vec<Finding>) {
        let Some(metadata) = self.metadata(view) else {
            return;
        };
        if view.is_template {
            return;
        }
        let id = &view.primitive.id;
        let operations = view.operations();
        for operation in &operations {
            let role = operation
                .extra
                .iter()
                .find(|(name, _)| name == "role")
                .map(|(_, role)| role.as_str());
            let Some(advised) = metadata
                .advice(&operation.name, role)
                .and_then(|advice| advice.timeout_ms)
            else {
                continue;
            };
            let own = operation
                .extra
                .iter()
                .find(|(name, _)| name == "timeout")
                .and_then(|(_, timeout)| times::milliseconds(timeout));
            let timeout = own.unwrap_or(default);
            if timeout >= advised {
                continue;
            }
            let span = if own.is_some() {
                self.spans.near(&operation.id, "timeout")
            } else {
                self.spans.get(&operation.id, "")
            };
            let label = if own.is_some() {
                format!(
                    "{} is less than {}",
                    times::spell(timeout),
                    times::spell(advised)
                )
            } else {
                format!(
                    "none given: {} count, less than {}",
                    times::spell(timeout),
                    times::spell(advised)
                )
            };
            let mut diagnostic = Diagnostic::new(
                Code::ShortTimeout,
                format!(
                    "the timeout of {} of `{id}` is below the agent's advice of {}",
                    operation.name,
                    times::spell(advised)
                ),
            )
            .at(span, label)
            .because(consequence(&operation.name))
            .help(format!("timeout={}", times::spell(advised)));
            if let Some(span) = span {
                diagnostic = match own {
                    Some(_) => diagnostic.fix(span, times::spell(advised)),
                    None => diagnostic.fix(
                        crate::diag::Span::new(span.end, span.end),
                        format!(" timeout={}", times::spell(advised)),
                    ),
                };
            }
            found.push(Finding {
                diagnostic,
                line: None,
            });
        }
        for name in ["start", "stop"] {
            let advised = metadata
                .advice(name, None)
                .and_then(|advice| advice.timeout_ms)
                .unwrap_or(0);
            if advised <= default || operations.iter().any(|operation| operation.name == name) {
                continue;
            }
            let line = format!("op {name} interval=0 timeout={}", times::spell(advised));
            found.push(Finding {
                diagnostic: Diagnostic::new(
                    Code::ShortTimeout,
                    format!(
                        "{name} of `{id}` has the default timeout of {}, the agent advises {}",
                        times::spell(default),
                        times::spell(advised)
                    ),
                )
                .weighing(Severity::Warning)
                .at(self.spans.get(id, ""), format!("no `op {name}`"))
                .because(consequence(name))
                .help(format!("add `{line}`")),
                line: Some(line),
            });
        }
    }

    pub(super) fn metadata(&self, view: &View<'_>) -> Option<&crate::metadata::AgentMetadata> {
        match self.facts.agents.get(&view.agent()?)? {
            AgentFact::Known(metadata) => Some(metadata),
            AgentFact::Missing | AgentFact::Unreadable(_) => None,
        }
    }
}

/// What a timeout that is too short leads to.
fn consequence(operation: &str) -> &'static str {
    match operation {
        "stop" | "demote" => "a stop that is merely slow gets the whole node fenced",
        "monitor" => "a monitor that is merely slow restarts a healthy service",
        _ => "a start that is merely slow counts as failed and moves the service",
    }
}
