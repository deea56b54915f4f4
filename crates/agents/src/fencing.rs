//! Carries out a fence action: waits its delay, runs its programs, tries again within its time.

use std::time::{Duration, Instant};

use quorate_core::event::{AgentCall, AgentResult, Outcome};
use quorate_core::ids::RunId;

use crate::execute::{Ended, Finished};
use crate::journal::RunDirectory;
use crate::outcome;
use crate::runner::{Runner, ended};
use crate::stonith::{FencePlan, Reading, Step};

/// Pause before a failed step is tried again.
const PAUSE_BEFORE_RETRY: Duration = Duration::from_millis(500);

/// What a step's end means: the code for the core, or why it is a failure.
fn read(step: &Step, finished: &Finished) -> Option<i32> {
    match (step.reading, &finished.ended) {
        (Reading::Success | Reading::FenceStatus, Ended::Exited(0)) => Some(0),
        (Reading::FenceStatus, Ended::Exited(2)) => Some(2),
        (Reading::Ipmitool, Ended::Exited(0)) => {
            let said = finished.stdout.to_ascii_lowercase();
            // Nothing but these words will do: a power state that is not certain is unknown.
            match said.trim() {
                "chassis power is on" => Some(0),
                "chassis power is off" => Some(2),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A number between 0 and `below`, different from run to run and node to node.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let seeded = std::collections::hash_map::RandomState::new();
    seeded.build_hasher().finish() % below.max(1)
}

fn left_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

impl Runner {
    /// Carries out the plan.
    pub(crate) async fn fence(
        &self,
        run: RunId,
        directory: &RunDirectory,
        call: &AgentCall,
        plan: &FencePlan,
    ) -> AgentResult {
        let began = Instant::now();
        let (least, most) = plan.delay_ms;
        if most > 0 {
            let delay = Duration::from_millis(least + random(most - least + 1));
            let is_killed = tokio::select! {
                () = tokio::time::sleep(delay) => false,
                () = self.killed(run) => true,
            };
            if is_killed {
                let mut result = outcome::not_run("cancelled during its delay: nothing was done");
                result.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                return result;
            }
        }
        let deadline = Instant::now() + Duration::from_millis(plan.timeout_ms);
        let mut result = outcome::exited(0, "", 0);
        for step in &plan.steps {
            let (code, finished) = self
                .try_step(run, directory, step, plan.attempts, deadline)
                .await;
            if code.is_some() || step.is_required {
                result = describe(call, step, code, &finished);
            }
            if code.is_none() && step.is_required {
                break;
            }
        }
        result.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        result
    }

    async fn try_step(
        &self,
        run: RunId,
        directory: &RunDirectory,
        step: &Step,
        attempts: u32,
        deadline: Instant,
    ) -> (Option<i32>, Finished) {
        let mut last = ended(Ended::TimedOut);
        for attempt in 1..=attempts {
            let mut job = step.job.clone();
            job.timeout_ms = left_ms(deadline);
            if job.timeout_ms == 0 {
                break;
            }
            directory.clear_finished();
            let finished = self.supervise(run, directory, &job).await;
            let code = read(step, &finished);
            let may_help = matches!(finished.ended, Ended::Exited(_) | Ended::Signaled(_));
            if code.is_some() || !may_help {
                return (code, finished);
            }
            last = finished;
            if attempt < attempts {
                let pause = PAUSE_BEFORE_RETRY.min(Duration::from_millis(left_ms(deadline)));
                tokio::time::sleep(pause).await;
            }
        }
        (None, last)
    }
}

fn describe(call: &AgentCall, step: &Step, code: Option<i32>, finished: &Finished) -> AgentResult {
    if let Some(code) = code {
        let mut result = outcome::exited(code, "", finished.took_ms);
        result.output = match call.action.as_str() {
            // What it lists, without what it said besides.
            "list" | "getconfignames" => finished.stdout.clone(),
            _ => finished.output.clone(),
        };
        return result;
    }
    let mut result = outcome::of(call, finished);
    if let Outcome::Exited(code) = result.outcome {
        result.outcome = Outcome::Exited(1);
        let node = call
            .target
            .as_deref()
            .map(|node| format!(" {node}"))
            .unwrap_or_default();
        let said = finished
            .output
            .lines()
            .map(str::trim)
            .rfind(|line| !line.is_empty());
        let said = said.map_or_else(
            || "without a word".to_owned(),
            |line| format!("it said: {line}"),
        );
        let failed = match step.reading {
            Reading::Success => format!(
                "{}{node} with {} failed (exit code {code})",
                call.action, call.resource
            ),
            _ => format!(
                "{} could not tell whether{node} is on (exit code {code})",
                call.resource
            ),
        };
        result.exit_reason = format!("{failed}; {said}");
    }
    result
}
