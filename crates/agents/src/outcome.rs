//! From how a program ended to what the core is told, in words an operator understands.

use quorate_core::event::{AgentCall, AgentResult, Outcome};

use crate::execute::{Ended, Finished};
use crate::{lsb, ocf};

/// Length of an exit reason.
const REASON_CHARS_MAX: usize = 500;

/// A result for a run that did not take place.
#[must_use]
pub fn not_run(reason: impl Into<String>) -> AgentResult {
    AgentResult {
        outcome: Outcome::NotRun,
        exit_reason: bounded(&reason.into()),
        output: String::new(),
        took_ms: 0,
        digests: None,
    }
}

/// A result with this exit code and reason, without a program behind it.
#[must_use]
pub fn exited(code: i32, reason: impl Into<String>, took_ms: u64) -> AgentResult {
    AgentResult {
        outcome: Outcome::Exited(code),
        exit_reason: bounded(&reason.into()),
        output: String::new(),
        took_ms,
        digests: None,
    }
}

/// At most so many characters, on one line.
#[must_use]
pub fn bounded(text: &str) -> String {
    let line = text.trim().replace(['\n', '\r', '\0'], " ");
    match line.char_indices().nth(REASON_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

/// The last line of output that says anything.
fn last_words(output: &str) -> Option<&str> {
    output.lines().map(str::trim).rfind(|line| !line.is_empty())
}

fn with_last_words(sentence: String, finished: &Finished) -> String {
    match last_words(&finished.output) {
        Some(words) => format!("{sentence}; its last words: {words}"),
        None => sentence,
    }
}

/// What an exit code means for an agent's class and action.
fn code_and_reason(call: &AgentCall, code: i32, finished: &Finished) -> (i32, String) {
    if matches!(call.class.as_str(), "lsb" | "service") {
        let (mapped, meaning) = lsb::to_ocf(&call.action, code);
        let reason = match mapped {
            0 | 7 => String::new(),
            _ => with_last_words(
                format!("the init script exited with {code} ({meaning})"),
                finished,
            ),
        };
        return (mapped, reason);
    }
    let said = finished
        .exit_reason
        .clone()
        .filter(|reason| !reason.is_empty());
    let reason = match (code, said, ocf::meaning(code)) {
        (0, ..) => String::new(),
        (_, Some(said), Some(_)) => said,
        (_, said, None) => with_last_words(
            format!(
                "the agent exited with {code}, which the OCF API does not define: taken as a failure{}",
                said.map(|said| format!(" ({said})")).unwrap_or_default()
            ),
            finished,
        ),
        // Not running is no failure in itself, and what an agent said about it is kept in the output.
        (7 | 8, None, _) => String::new(),
        (_, None, Some(meaning)) => with_last_words(format!("{meaning} ({code})"), finished),
    };
    (code, reason)
}

/// What the core is told of a finished program.
#[must_use]
pub fn of(call: &AgentCall, finished: &Finished) -> AgentResult {
    let what = format!("{} of {}", call.action, call.resource);
    let after = seconds(finished.took_ms);
    let (outcome, reason) = match &finished.ended {
        Ended::Exited(code) => {
            let (code, reason) = code_and_reason(call, *code, finished);
            (Outcome::Exited(code), reason)
        }
        Ended::Signaled(signal) => (
            Outcome::Exited(1),
            with_last_words(
                format!("{what}: the agent was killed by signal {signal}, not by us"),
                finished,
            ),
        ),
        Ended::TimedOut if finished.unkillable > 0 => (
            Outcome::TimedOut,
            format!(
                "{what} did not end within {after}, and {} of its processes do not die (waiting in the kernel, \
                 often for a disk or a network file system)",
                finished.unkillable
            ),
        ),
        Ended::TimedOut => (
            Outcome::TimedOut,
            with_last_words(
                format!("{what} did not end within {after}; it was killed with all it had started"),
                finished,
            ),
        ),
        Ended::Cancelled => (
            Outcome::TimedOut,
            format!("{what} was killed on request after {after}"),
        ),
        Ended::NotRun(why) => (Outcome::NotRun, why.clone()),
        Ended::Lost => (
            Outcome::Lost,
            format!("{what}: the agent's supervisor was killed, so that nobody knows how it ended"),
        ),
    };
    AgentResult {
        outcome,
        exit_reason: bounded(&reason),
        output: finished.output.clone(),
        took_ms: finished.took_ms,
        digests: None,
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
