//! The fencing coordinator: powers a node off by its devices and reads the power state back.
//!
//! It serves the leader's transitions, operators and the engine of a pair (design rules R3 and R4), with or
//! without quorum. Off is confirmed only by what the device reads back; a device that cannot read it back
//! counts for recovery, never for quorum. Retries are bounded; what failed is said with the way out.

use std::collections::BTreeMap;

use crate::admin::FenceAction;
use crate::devices::{self, Device};
use crate::event::{AgentCall, AgentResult, LogLevel, Outcome};
use crate::executor::{Coordinator, Executor};
use crate::ids::{Boot, Millis, NodeName, Now, PairRequest, Term};
use crate::message::Message;
use crate::outbox::{Outbox, To};
use crate::state::{ClusterState, Evidence, FenceOutcome, FenceRecord};

/// Between two readings of the power state.
const POLL_MS: u64 = 300;
/// How long a machine may take to be read as off after the device said so.
const POLL_MAX_MS: u64 = 15_000;
/// Between two askings of another node for the same run.
const ASK_MS: u64 = 500;
/// Grace for a device's run on another node beyond its own timeout.
const GRACE_MS: u64 = 2_000;

/// Attempts to power a machine on again.
const ON_TRIES_MAX: u32 = 4;
/// Before the next of them.
const ON_PAUSE_MS: u64 = 2_000;

/// Who waits for a fencing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiter {
    /// An action of the running transition.
    Action(String),
    /// The engine of a pair.
    Pair(PairRequest),
    /// A request.
    Request(u64),
}

/// A fencing that ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What goes into the log.
    pub record: FenceRecord,
    /// Who waited for it.
    pub waiters: Vec<Waiter>,
}

/// What is to be fenced.
#[derive(Debug, Clone)]
pub struct FenceRequest {
    /// Whom.
    pub target: NodeName,
    /// Which boot is to be ended.
    pub boot: Boot,
    /// How.
    pub action: FenceAction,
    /// Why.
    pub reason: String,
    /// Who waits.
    pub waiter: Waiter,
}

/// What the coordinator may look at.
pub struct Context<'a> {
    /// The replicated state as known here.
    pub state: &'a ClusterState,
    /// This node.
    pub own: &'a NodeName,
    /// Whether another node answers.
    pub is_reachable: &'a dyn Fn(&NodeName) -> bool,
    /// Now.
    pub now: Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before the device acts: its configured delay.
    Delay { until: Millis },
    /// `off` (or `on`, where only that was asked for) runs.
    Acting,
    /// The power state is being read.
    Reading { since: Millis },
    /// Between two readings.
    Pause { since: Millis, until: Millis },
}

#[derive(Debug)]
struct Job {
    request: FenceRequest,
    waiters: Vec<Waiter>,
    levels: Vec<Vec<Device>>,
    level: usize,
    device: usize,
    tries: u32,
    phase: Phase,
    run: u64,
    overdue: Millis,
    runner: NodeName,
    /// The device's last answer to `off` was a success.
    said_off: bool,
    evidence: Evidence,
    used: Vec<Device>,
    last_error: String,
    began: Millis,
    /// What the runner was asked for, until it has answered: the message may get lost.
    asked: Option<Asked>,
    /// The target did not answer when this began.
    was_silent: bool,
}

/// A device's run that another node was asked for.
#[derive(Debug, Clone)]
struct Asked {
    call: AgentCall,
    again: Millis,
}

/// A machine that is to be powered on again; nobody waits for it.
#[derive(Debug)]
struct PowerOn {
    target: NodeName,
    device: Device,
    tries: u32,
    run: u64,
    /// The next attempt, where the last one failed.
    again: Option<Millis>,
}

/// The coordinator.
#[derive(Debug)]
pub struct FencingCoordinator {
    jobs: BTreeMap<NodeName, Job>,
    power_ons: Vec<PowerOn>,
    next_run: u64,
    seed: u64,
    /// Numbers of runs count within this; a leader's term, or the session where there is none.
    term: Term,
}

impl FencingCoordinator {
    /// A coordinator without work.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            jobs: BTreeMap::new(),
            power_ons: Vec::new(),
            next_run: 1,
            seed,
            term: Term(seed),
        }
    }

    /// Whether this node is being fenced.
    #[must_use]
    pub fn is_fencing(&self, target: &NodeName) -> bool {
        self.jobs.contains_key(target)
    }

    /// Begins a fencing, or joins the one under way against the same boot.
    pub fn request(
        &mut self,
        request: FenceRequest,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) -> Option<Finished> {
        if let Some(job) = self.jobs.get_mut(&request.target)
            && job.request.boot == request.boot
        {
            job.waiters.push(request.waiter);
            return None;
        }
        let target = request.target.clone();
        out.log(
            LogLevel::Warn,
            format!("Fencing {target}: {}.", request.reason),
        );
        let levels = devices::levels(context.state, &target);
        let waiters = vec![request.waiter.clone()];
        let job = Job {
            request,
            waiters,
            levels,
            level: 0,
            device: 0,
            tries: 0,
            phase: Phase::Delay {
                until: context.now.mono,
            },
            run: 0,
            overdue: Millis(u64::MAX),
            runner: context.own.clone(),
            said_off: false,
            evidence: Evidence::PowerOff,
            used: Vec::new(),
            last_error: "no device that can fence it (and did not lie about it) is configured"
                .to_owned(),
            began: context.now.mono,
            asked: None,
            was_silent: !(context.is_reachable)(&target),
        };
        // A newer boot replaces the job against an older one: what waits for that one fails.
        let replaced = self.jobs.insert(target.clone(), job);
        let failed = replaced.map(|old| finish(&old, failed_outcome(&old), context));
        if self.jobs[&target].levels.is_empty() {
            let job = self.jobs.remove(&target)?;
            return Some(finish(&job, failed_outcome(&job), context));
        }
        self.begin_device(&target, context, executor, out);
        failed
    }

    /// Waits for the configured delay, then acts.
    fn begin_device(
        &mut self,
        target: &NodeName,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) {
        let random = self.random();
        let Some(job) = self.jobs.get_mut(target) else {
            return;
        };
        let (base, spread) = current(job).delay();
        let is_first = job.tries == 0 && job.level == 0;
        let delay = if is_first && job.request.action != FenceAction::On {
            base + if spread == 0 {
                0
            } else {
                random % (spread + 1)
            }
        } else {
            0
        };
        job.tries += 1;
        job.said_off = false;
        if delay > 0 {
            job.phase = Phase::Delay {
                until: context.now.mono.plus(delay),
            };
            return;
        }
        let action = match job.request.action {
            FenceAction::On => "on",
            FenceAction::Off | FenceAction::Reboot => "off",
        };
        job.phase = Phase::Acting;
        self.run(target, action, context, executor, out);
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Runs an action of the current device on a node that may.
    fn run(
        &mut self,
        target: &NodeName,
        action: &str,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) {
        let id = self.next_run;
        let term = self.term;
        let Some(job) = self.jobs.get_mut(target) else {
            return;
        };
        let device = current(job).clone();
        let mut runners = match job.waiters.first() {
            // Without quorum nobody else is asked.
            Some(Waiter::Pair(_)) => vec![context.own.clone()],
            _ => devices::runners(
                context.state,
                &device.id,
                target,
                context.own,
                context.is_reachable,
            ),
        };
        if runners.is_empty() {
            job.last_error = format!("no node that is there may run {}", device.id);
            job.overdue = context.now.mono;
            return;
        }
        self.next_run += 1;
        let turn = (job.tries.max(1) - 1) as usize % runners.len();
        let runner = runners.swap_remove(turn);
        let call = device.call(target, action, devices::timeout_ms(context.state));
        job.run = id;
        job.overdue = context.now.mono.plus(call.timeout_ms + GRACE_MS);
        job.runner.clone_from(&runner);
        if runner == *context.own {
            job.asked = None;
            executor.run_device(id, term, Coordinator::Own, call, out);
        } else {
            job.asked = Some(Asked {
                call: call.clone(),
                again: context.now.mono.plus(ASK_MS),
            });
            out.send(To::Node(runner), Message::RunDevice { id, term, call });
        }
    }

    /// A device's run has ended.
    pub fn device_done(
        &mut self,
        id: u64,
        term: Term,
        result: &AgentResult,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) -> Option<Finished> {
        if term != self.term || self.power_on_done(id, result, context.now.mono, out) {
            return None;
        }
        let target = self
            .jobs
            .iter()
            .find(|(_, job)| job.run == id)
            .map(|(target, _)| target.clone())?;
        let job = self.jobs.get_mut(&target)?;
        job.overdue = Millis(u64::MAX);
        job.asked = None;
        let is_success = result.outcome == Outcome::Exited(0);
        match job.phase {
            Phase::Acting if job.request.action == FenceAction::On => {
                if is_success {
                    return self.next_in_level(&target, context, executor, out);
                }
                note_error(job, result);
                self.try_again(&target, context, executor, out)
            }
            Phase::Acting => {
                job.said_off = is_success;
                if !is_success {
                    note_error(job, result);
                }
                if is_success && crate::seeded::has(crate::seeded::Bug::NoReadBack) {
                    return self.next_in_level(&target, context, executor, out);
                }
                // Whatever it said, the power state decides.
                job.phase = Phase::Reading {
                    since: context.now.mono,
                };
                self.run(&target, "power-status", context, executor, out);
                None
            }
            Phase::Reading { since } => {
                self.was_read(&target, since, result, context, executor, out)
            }
            Phase::Delay { .. } | Phase::Pause { .. } => None,
        }
    }

    fn was_read(
        &mut self,
        target: &NodeName,
        since: Millis,
        result: &AgentResult,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) -> Option<Finished> {
        let job = self.jobs.get_mut(target)?;
        let waited = context.now.mono.since(since);
        match result.outcome {
            Outcome::Exited(2) => self.next_in_level(target, context, executor, out),
            Outcome::NotRun if job.said_off => {
                // The device cannot read the power state: good enough for recovery, not for quorum.
                job.evidence = Evidence::Device;
                self.next_in_level(target, context, executor, out)
            }
            Outcome::NotRun => self.try_again(target, context, executor, out),
            _ if job.said_off && waited < POLL_MAX_MS => {
                job.phase = Phase::Pause {
                    since,
                    until: context.now.mono.plus(POLL_MS),
                };
                None
            }
            Outcome::Exited(0) => {
                if job.said_off {
                    let device = &current(job).id;
                    job.last_error = format!("{device} said off, but the power state is still on");
                }
                self.try_again(target, context, executor, out)
            }
            _ => {
                if job.said_off {
                    note_error(job, result);
                }
                self.try_again(target, context, executor, out)
            }
        }
    }

    /// The device has done its part: the next one of the level, or the end.
    fn next_in_level(
        &mut self,
        target: &NodeName,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) -> Option<Finished> {
        let job = self.jobs.get_mut(target)?;
        let device = current(job).clone();
        job.used.push(device);
        if job.device + 1 < job.levels[job.level].len() {
            job.device += 1;
            job.tries = 0;
            self.begin_device(target, context, executor, out);
            return None;
        }
        let job = self.jobs.remove(target)?;
        let evidence = job.evidence;
        if job.request.action == FenceAction::Reboot {
            self.power_on(&job, context, executor, out);
        }
        out.log(
            LogLevel::Warn,
            format!(
                "{target} is fenced: {} after {} ms.",
                match evidence {
                    Evidence::PowerOff => "its power was read back as off",
                    _ => "the device said so and cannot read the power state",
                },
                context.now.mono.since(job.began)
            ),
        );
        Some(finish(&job, FenceOutcome::Confirmed(evidence), context))
    }

    /// Powers it on again; nobody waits for that.
    fn power_on(
        &mut self,
        job: &Job,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) {
        for device in &job.used {
            self.power_ons.push(PowerOn {
                target: job.request.target.clone(),
                device: device.clone(),
                tries: 0,
                run: 0,
                again: Some(context.now.mono),
            });
        }
        self.power_on_due(context, executor, out);
    }

    /// Begins the attempts that are due.
    fn power_on_due(&mut self, context: &Context<'_>, executor: &mut Executor, out: &mut Outbox) {
        let jobs = &self.jobs;
        // Whoever is being fenced again is not powered on in between.
        self.power_ons.retain(|on| !jobs.contains_key(&on.target));
        let is_due = |on: &PowerOn| on.again.is_some_and(|at| at <= context.now.mono);
        self.power_ons.retain(|on| {
            let is_over = is_due(on) && on.tries >= ON_TRIES_MAX;
            if is_over {
                cannot_power_on(on, out);
            }
            !is_over
        });
        for on in &mut self.power_ons {
            if on.again.is_none_or(|at| at > context.now.mono) {
                continue;
            }
            on.tries += 1;
            on.run = self.next_run;
            self.next_run += 1;
            let (id, term) = (on.run, self.term);
            let timeout_ms = devices::timeout_ms(context.state);
            let call = on.device.call(&on.target, "on", timeout_ms);
            // The message may get lost, or who runs it.
            on.again = Some(context.now.mono.plus(call.timeout_ms + GRACE_MS));
            let mut runners = devices::runners(
                context.state,
                &on.device.id,
                &on.target,
                context.own,
                context.is_reachable,
            );
            if runners.is_empty() {
                runners.push(context.own.clone());
            }
            let runner = runners.swap_remove(0);
            if runner == *context.own {
                executor.run_device(id, term, Coordinator::Own, call, out);
            } else {
                out.send(To::Node(runner), Message::RunDevice { id, term, call });
            }
        }
    }

    /// An attempt to power on has ended; whether it was one.
    fn power_on_done(
        &mut self,
        id: u64,
        result: &AgentResult,
        now: Millis,
        out: &mut Outbox,
    ) -> bool {
        let Some(position) = self.power_ons.iter().position(|on| on.run == id) else {
            return false;
        };
        let on = &mut self.power_ons[position];
        if result.outcome == Outcome::Exited(0) || on.tries >= ON_TRIES_MAX {
            if result.outcome != Outcome::Exited(0) {
                cannot_power_on(on, out);
            }
            self.power_ons.remove(position);
        } else {
            on.again = Some(now.plus(ON_PAUSE_MS));
            on.run = 0;
        }
        true
    }

    /// The device failed: once more, then the next level, then the end.
    fn try_again(
        &mut self,
        target: &NodeName,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) -> Option<Finished> {
        if let Some(finished) = self.give_up_on_returned(target, context, out) {
            return Some(finished);
        }
        let job = self.jobs.get_mut(target)?;
        let device = current(job);
        if job.tries >= device.tries("off") {
            let what = format!("{}: {}", device.id, job.last_error);
            out.log(LogLevel::Warn, format!("Fencing {target} by {what}."));
            if job.level + 1 < job.levels.len() {
                job.level += 1;
                job.device = 0;
                job.tries = 0;
                job.used.clear();
                job.evidence = Evidence::PowerOff;
                self.begin_device(target, context, executor, out);
                return None;
            }
            let job = self.jobs.remove(target)?;
            out.log(
                LogLevel::Error,
                format!(
                    "Fencing {target} failed: {}. What it held stays blocked; if you have made sure that it is \
                     off, say: quorate fence confirm {target}",
                    job.last_error
                ),
            );
            return Some(finish(&job, failed_outcome(&job), context));
        }
        self.begin_device(target, context, executor, out);
        None
    }

    /// A target that was fenced because it was silent, and answers before anything was done to it, or after a device
    /// failed, is not powered off any more: that would end a healthy node for a silence that is over. What else speaks
    /// against it (a failed stop) makes the next plan ask again.
    fn give_up_on_returned(
        &mut self,
        target: &NodeName,
        context: &Context<'_>,
        out: &mut Outbox,
    ) -> Option<Finished> {
        let job = self.jobs.get(target)?;
        let is_wanted = job.waiters.iter().any(|w| matches!(w, Waiter::Request(_)));
        let is_on = job.request.action == FenceAction::On;
        if is_on || is_wanted || !job.was_silent || !(context.is_reachable)(target) {
            return None;
        }
        let mut job = self.jobs.remove(target)?;
        job.last_error = "it answers again".to_owned();
        out.log(
            LogLevel::Warn,
            format!("{target} answers again: it is not fenced any more."),
        );
        Some(finish(&job, failed_outcome(&job), context))
    }

    /// Asks again for a run of which nothing was heard, unless its target answers meanwhile.
    fn ask_again(&mut self, context: &Context<'_>, out: &mut Outbox) {
        let term = self.term;
        for (target, job) in &mut self.jobs {
            let (id, is_back) = (job.run, job.was_silent && (context.is_reachable)(target));
            let Some(asked) = job.asked.as_mut().filter(|a| a.again <= context.now.mono) else {
                continue;
            };
            asked.again = context.now.mono.plus(ASK_MS);
            if is_back && job.phase == Phase::Acting {
                continue;
            }
            let call = asked.call.clone();
            let runner = To::Node(job.runner.clone());
            out.send(runner, Message::RunDevice { id, term, call });
        }
    }

    /// Time passed.
    pub fn tick(
        &mut self,
        context: &Context<'_>,
        executor: &mut Executor,
        out: &mut Outbox,
    ) -> Vec<Finished> {
        let mut finished = Vec::new();
        self.power_on_due(context, executor, out);
        self.ask_again(context, out);
        let targets: Vec<NodeName> = self.jobs.keys().cloned().collect();
        for target in targets {
            let Some(job) = self.jobs.get_mut(&target) else {
                continue;
            };
            let now = context.now.mono;
            match job.phase {
                Phase::Delay { until } if until <= now => {
                    if let Some(over) = self.give_up_on_returned(&target, context, out) {
                        finished.push(over);
                        continue;
                    }
                    let Some(job) = self.jobs.get_mut(&target) else {
                        continue;
                    };
                    let action = match job.request.action {
                        FenceAction::On => "on",
                        FenceAction::Off | FenceAction::Reboot => "off",
                    };
                    job.phase = Phase::Acting;
                    self.run(&target, action, context, executor, out);
                }
                Phase::Pause { since, until } if until <= now => {
                    job.phase = Phase::Reading { since };
                    self.run(&target, "power-status", context, executor, out);
                }
                Phase::Acting | Phase::Reading { .. } if job.overdue <= now => {
                    job.overdue = Millis(u64::MAX);
                    job.run = 0;
                    job.asked = None;
                    if job.last_error.starts_with("no device") {
                        job.last_error = format!("no answer from {}", job.runner);
                    }
                    finished.extend(self.try_again(&target, context, executor, out));
                }
                _ => {}
            }
        }
        finished
    }

    /// When it needs the next tick.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let jobs = self.jobs.values().map(|job| match job.phase {
            Phase::Delay { until } | Phase::Pause { until, .. } => until,
            Phase::Acting | Phase::Reading { .. } => job.overdue,
        });
        let asks = self.jobs.values().filter_map(|job| job.asked.as_ref());
        jobs.chain(asks.map(|asked| asked.again))
            .chain(self.power_ons.iter().filter_map(|on| on.again))
            .min()
            .unwrap_or(Millis(u64::MAX))
    }

    /// The target answers: a boot other than the one to be ended proves that one gone, and must not be powered
    /// off in its place.
    pub fn met(
        &mut self,
        target: &NodeName,
        boot: Boot,
        context: &Context<'_>,
    ) -> Option<Finished> {
        let job = self.jobs.get(target)?;
        let is_dropped = crate::seeded::has(crate::seeded::Bug::NextBootFenced);
        if job.request.action == FenceAction::On || job.request.boot == boot || is_dropped {
            return None;
        }
        let mut job = self.jobs.remove(target)?;
        job.last_error = "it answers in a new boot".to_owned();
        Some(finish(&job, failed_outcome(&job), context))
    }

    /// The transition is void or the lead is lost: its actions wait no longer, the fencing goes on.
    pub fn forget_actions(&mut self) {
        for job in self.jobs.values_mut() {
            job.waiters
                .retain(|waiter| !matches!(waiter, Waiter::Action(_)));
        }
    }
}

fn cannot_power_on(on: &PowerOn, out: &mut Outbox) {
    let text = format!(
        "{} is fenced and could not be powered on again by {}: power it on by hand.",
        on.target, on.device.id
    );
    out.log(LogLevel::Error, text);
}

fn current(job: &Job) -> &Device {
    &job.levels[job.level][job.device]
}

fn note_error(job: &mut Job, result: &AgentResult) {
    let words = if result.exit_reason.is_empty() {
        result.output.lines().last().unwrap_or("").trim()
    } else {
        result.exit_reason.as_str()
    };
    job.last_error = match result.outcome {
        Outcome::TimedOut => format!("no answer within {} ms", result.took_ms),
        Outcome::NotRun => format!("the agent cannot be run: {words}"),
        Outcome::Lost => "the daemon that ran it was restarted".to_owned(),
        Outcome::Exited(rc) if words.is_empty() => format!("exit code {rc}"),
        Outcome::Exited(rc) => format!("exit code {rc}: {words}"),
    };
}

fn failed_outcome(job: &Job) -> FenceOutcome {
    FenceOutcome::Failed(job.last_error.clone())
}

fn finish(job: &Job, outcome: FenceOutcome, context: &Context<'_>) -> Finished {
    let devices = if job.used.is_empty() {
        job.levels
            .iter()
            .flatten()
            .map(|device| device.id.clone())
            .collect()
    } else {
        job.used.iter().map(|device| device.id.clone()).collect()
    };
    let action = match job.request.action {
        FenceAction::Off => "off",
        FenceAction::Reboot => "reboot",
        FenceAction::On => "on",
    };
    Finished {
        record: FenceRecord {
            target: job.request.target.clone(),
            boot: job.request.boot,
            action: action.to_owned(),
            devices,
            by: job.runner.clone(),
            reason: job.request.reason.clone(),
            outcome,
            wall_ms: context.now.wall_ms,
            took_ms: context.now.mono.since(job.began),
        },
        waiters: job.waiters.clone(),
    }
}
