//! What an orderly stop may take, and what happens when it takes longer.

use super::Linter;
use super::view::View;
use crate::diag::{Code, Diagnostic};
use crate::metadata::is_true;
use crate::times;

/// From here on an orderly move is worth a remark.
const LONG_MS: u64 = 300_000;
/// From here on the node of a resource that does not stop is lost for longer than most accept.
const PATIENT_MS: u64 = 120_000;

impl Linter<'_> {
    pub(super) fn forecast(&mut self) {
        if self.members().len() < 2 {
            return;
        }
        let default = self.default_timeout();
        self.long_stops(default);
        self.stops_that_fence(default);
    }

    /// Stop on one node, start on the other: the sum of the timers.
    fn long_stops(&mut self, default: u64) {
        let mut found = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for view in &self.views {
            if view.is_template || view.is_fence_device() || view.clone.is_some() {
                continue;
            }
            let id = view
                .group
                .map_or(view.primitive.id.as_str(), |group| group.id.as_str());
            if done.contains(&id) {
                continue;
            }
            done.push(id);
            let parts: Vec<&View<'_>> = self
                .views
                .iter()
                .filter(|other| {
                    other.primitive.id == id || other.group.is_some_and(|group| group.id == id)
                })
                .collect();
            let sum =
                |name: &str| -> u64 { parts.iter().map(|part| timer(part, name, default)).sum() };
            let (stop, start) = (sum("stop"), sum("start"));
            if stop + start < LONG_MS {
                continue;
            }
            let diagnostic = Diagnostic::new(
                Code::LongStop,
                format!(
                    "an orderly move of `{id}` may take {} before anything is wrong",
                    times::spell(stop + start)
                ),
            );
            found.push(
                diagnostic
                    .at(self.spans.get(id, ""), format!("stop {}, start {}", times::spell(stop), times::spell(start)))
                    .because("each step may use its whole timeout; nothing reacts before it has run out")
                    .help("measure how long the steps take (`quorate drill`), and set timeouts to a few times that")
                    .about(id),
            );
        }
        self.found.append(&mut found);
    }

    /// Which stops fence the node, and after how long.
    fn stops_that_fence(&mut self, default: u64) {
        let is_off = self
            .cluster_option(&["stonith-enabled", "fencing-enabled"])
            .is_some_and(|(value, _)| is_true(&value) == Some(false));
        let has_device = self.views.iter().any(View::is_fence_device);
        if is_off || !has_device {
            return;
        }
        let fences = |view: &&View<'_>| {
            let policy = view
                .operations()
                .into_iter()
                .find(|operation| operation.name == "stop")
                .and_then(|stop| stop.extra.iter().find(|(name, _)| name == "on-fail"))
                .map(|(_, value)| value.as_str());
            !view.is_template && !view.is_fence_device() && matches!(policy, None | Some("fence"))
        };
        let slow: Vec<String> = self
            .views
            .iter()
            .filter(fences)
            .filter(|view| timer(view, "stop", default) >= PATIENT_MS)
            .map(|view| {
                format!(
                    "{} after {}",
                    view.primitive.id,
                    times::spell(timer(view, "stop", default))
                )
            })
            .collect();
        if slow.is_empty() {
            return;
        }
        let diagnostic = Diagnostic::new(
            Code::StopFencesNode,
            format!("a stop that does not end gets its node powered off: {}", slow.join(", ")),
        )
        .because("what cannot be stopped can be started nowhere else until its machine is off")
        .help("that is right for what writes to shared data; `op stop on-fail=block` leaves the node alone and waits for you");
        self.push(diagnostic);
    }
}

/// The timeout of an operation.
fn timer(view: &View<'_>, name: &str, default: u64) -> u64 {
    view.operations()
        .into_iter()
        .find(|operation| operation.name == name)
        .and_then(|operation| operation.extra.iter().find(|(name, _)| name == "timeout"))
        .and_then(|(_, value)| times::milliseconds(value))
        .unwrap_or(default)
}
