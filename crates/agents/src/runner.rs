//! Runs what the core orders: each call journaled, supervised, killable, and found again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_core::event::{AgentCall, AgentResult, FoundRun, Outcome};
use quorate_core::ids::RunId;
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::execute::{Ended, Finished, Invocation};
use crate::journal::{self, Entry, RESULTS_KEPT_MAX, RunDirectory};
use crate::metadata::{self, Description, Question};
use crate::prepare::{Prepared, prepare};
use crate::processes::{self, ProcessId};
use crate::surroundings::Surroundings;
use crate::systemd::{self, Systemd};
use crate::watch::Watcher;
use crate::{digest, outcome};

/// Found runs are numbered from here, so that they meet none of the core's own.
const FOUND_RUNS_FROM: u64 = 1 << 63;

/// How long a supervisor that was just being started may take to write who it is.
const SUPERVISOR_APPEARS_MS_MAX: u64 = 1000;

/// The runner could not begin its work.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal's directory cannot be made or written.
    #[error(
        "the journal of agent runs, {path}, cannot be used (it must be a writable directory on a tmpfs)"
    )]
    Journal {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A run that is going on.
#[derive(Default)]
struct Active {
    control: Option<File>,
    killed: bool,
    notify: Arc<Notify>,
}

struct Inner {
    surroundings: Surroundings,
    systemd: Systemd,
    watcher: Arc<Watcher>,
    looked_for: Mutex<BTreeSet<String>>,
    session: String,
    active: Mutex<BTreeMap<RunId, Active>>,
    found: Mutex<BTreeMap<RunId, Entry>>,
    kept: Mutex<Vec<RunDirectory>>,
}

/// Runs agents. Cheap to clone; all clones are the same runner.
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data are consistent after each statement, so another task's panic does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runner {
    /// Opens the journal. What an earlier session left stands in `inventory`.
    pub fn open(surroundings: Surroundings) -> Result<Self, OpenError> {
        let path = surroundings.runs.clone();
        journal::prepare(&path).map_err(|source| OpenError::Journal {
            path: path.clone(),
            source,
        })?;
        // Sorts by time, and no two sessions of a boot share it.
        let started = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let session = format!("{:012x}{:08x}", started.tv_sec, started.tv_nsec);
        // Agents keep state here; the package's tmpfiles entry makes it, but not in every container.
        let _ = std::fs::create_dir_all("/run/resource-agents");
        let mut found = BTreeMap::new();
        for (number, entry) in journal::entries(&path).into_iter().enumerate() {
            found.insert(RunId(FOUND_RUNS_FROM + number as u64), entry);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                systemd: Systemd::new(
                    surroundings.system_bus.clone(),
                    surroundings.unit_drop_ins.clone(),
                ),
                watcher: Watcher::new(surroundings.watched.clone()),
                looked_for: Mutex::default(),
                surroundings,
                session,
                active: Mutex::default(),
                found: Mutex::new(found),
                kept: Mutex::default(),
            }),
        })
    }

    /// Names of resources one of whose processes has exited: their monitors are due now. To be taken once; what
    /// an earlier session watched is watched from then on.
    #[must_use]
    pub fn exits(&self) -> Option<mpsc::Receiver<String>> {
        let reports = self.inner.watcher.take_reports()?;
        self.inner.watcher.resume();
        Some(reports)
    }

    /// What earlier sessions of the daemon began in this boot: with a result, or still going on. Runs without
    /// a name (recurring monitors) are ended and forgotten. For every run without a result the caller awaits
    /// `finish_found`.
    pub async fn inventory(&self) -> Vec<FoundRun> {
        let entries = lock(&self.inner.found).clone();
        let mut report = Vec::new();
        for (run, entry) in entries {
            if entry.call.name.is_empty() {
                self.drop_unnamed(run, &entry).await;
                continue;
            }
            let finished = entry.finished.as_ref();
            let result = entry
                .result
                .clone()
                .or_else(|| finished.map(|finished| outcome::of(&entry.call, finished)));
            if result.is_some() {
                lock(&self.inner.kept).push(entry.directory.clone());
                lock(&self.inner.found).remove(&run);
            }
            report.push(FoundRun {
                run,
                call: entry.call,
                result,
            });
        }
        report
    }

    async fn drop_unnamed(&self, run: RunId, entry: &Entry) {
        if let Some(supervisor) = entry.supervisor
            && supervisor.is_alive()
            && let Ok(mut control) = entry.directory.open_control()
        {
            // Full or not, one byte is enough, and an earlier one does the same.
            let _ = control.write(b"k");
            wait_for_exit(supervisor).await;
        }
        entry.directory.remove();
        lock(&self.inner.found).remove(&run);
    }

    /// Waits for a run of the inventory that had no result yet.
    pub async fn finish_found(&self, run: RunId) -> AgentResult {
        let Some(entry) = lock(&self.inner.found).remove(&run) else {
            return outcome::not_run("this run is not in the inventory");
        };
        if entry.call.class == "stonith" {
            // Of its steps only the present one is in the journal; all may be done again.
            self.drop_unnamed(run, &entry).await;
            return self.run(run, entry.call).await;
        }
        let directory = entry.directory.clone();
        let job_was_put = directory.path().join("control").exists();
        if !job_was_put {
            // The daemon died before anything was started (or the class has no process): run it now.
            directory.remove();
            return self.run(run, entry.call).await;
        }
        let control = directory.open_control().ok();
        lock(&self.inner.active).insert(
            run,
            Active {
                control,
                ..Active::default()
            },
        );
        if let Some(supervisor) = supervisor_of(&directory).await {
            wait_for_exit(supervisor).await;
        }
        lock(&self.inner.active).remove(&run);
        let finished = directory.finished().unwrap_or_else(lost_supervisor);
        let mut result = outcome::of(&entry.call, &finished);
        let agent = self
            .describe(&entry.call)
            .answer(Duration::from_secs(1))
            .await;
        result.digests = agent.map(|agent| digest::of_call(&entry.call, &agent));
        self.watch_after(&entry.call, &result, finished.left);
        self.keep(directory, &entry.call, &result);
        result
    }

    /// Runs the call to its end. Journaled before it begins.
    pub async fn run(&self, run: RunId, call: AgentCall) -> AgentResult {
        let name = format!("{}-{:016x}", self.inner.session, run.0);
        let directory = match RunDirectory::begin(&self.inner.surroundings.runs, &name, &call) {
            Ok(directory) => directory,
            Err(error) => {
                return outcome::not_run(format!(
                    "the run could not be written to the journal {}: {error}; nothing was started",
                    self.inner.surroundings.runs.display()
                ));
            }
        };
        lock(&self.inner.active).insert(run, Active::default());
        let mut killed = 0;
        if matches!(call.action.as_str(), "stop" | "demote" | "migrate_to") {
            // Its processes may go now.
            self.inner.watcher.forget(&call.resource);
        }
        if matches!(call.action.as_str(), "stop" | "demote") {
            killed = self.inner.watcher.kill_respawners(&call.resource);
        }
        // Fencing does not wait for what an agent says of itself; there is time for that afterwards.
        let is_urgent = call.class == "stonith"
            && matches!(
                call.action.as_str(),
                "off" | "on" | "power-status" | "status"
            );
        let asked = match is_urgent {
            true => Asked::Known(self.known(&call).flatten()),
            false => self.describe(&call),
        };
        let (mut result, left) = if call.class == "stonith" {
            // How a device is called depends on what it can do.
            let agent = asked.answer(Duration::from_secs(10)).await;
            self.carry_out(run, &directory, &call, agent.as_deref())
                .await
        } else {
            let (mut result, left) = self.carry_out(run, &directory, &call, None).await;
            if result.outcome != Outcome::NotRun {
                let agent = asked.answer(Duration::from_secs(1)).await;
                result.digests = agent.map(|agent| digest::of_call(&call, &agent));
            }
            (result, left)
        };
        if is_urgent {
            // For the next time; nobody awaits it.
            drop(self.describe(&call));
        }
        if killed > 0 {
            result.output.push_str(&format!(
                "\n[{killed} processes were killed first that would have started the service again]\n"
            ));
        }
        result.exit_reason = outcome::bounded(&result.exit_reason);
        self.watch_after(&call, &result, left);
        lock(&self.inner.active).remove(&run);
        self.keep(directory, &call, &result);
        result
    }

    async fn carry_out(
        &self,
        run: RunId,
        directory: &RunDirectory,
        call: &AgentCall,
        agent: Option<&Description>,
    ) -> (AgentResult, Vec<ProcessId>) {
        match prepare(&self.inner.surroundings, call, agent) {
            Prepared::Program(job) => {
                let finished = self.supervise(run, directory, &job).await;
                (outcome::of(call, &finished), finished.left)
            }
            Prepared::Fence(plan) => (self.fence(run, directory, call, &plan).await, Vec::new()),
            Prepared::Unit(unit) => self.run_unit(run, call, &unit).await,
            Prepared::Done(result) => (result, Vec::new()),
        }
    }

    /// What is known of the call's agent without asking it; `None` where it must be asked.
    fn known(&self, call: &AgentCall) -> Option<Option<Arc<Description>>> {
        let provider = call.provider.as_deref();
        metadata::describe_if_known(&self.inner.surroundings, &call.class, provider, &call.agent)
    }

    /// What the call's agent says of itself; from memory in all but the first call.
    fn describe(&self, call: &AgentCall) -> Asked {
        if let Some(known) = self.known(call) {
            return Asked::Known(known);
        }
        let surroundings = &self.inner.surroundings;
        let (class, provider, agent) = (&call.class, call.provider.as_deref(), &call.agent);
        let question = Question::new(surroundings, class, provider, agent);
        if question.job.is_none() {
            return Asked::Known(question.understand(None));
        }
        let runner = self.clone();
        Asked::Asking(tokio::spawn(async move { runner.ask(question).await }))
    }

    /// Asks an agent, supervised like any other call: one that hangs is killed with all it started.
    async fn ask(&self, question: Question) -> Option<Arc<Description>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let job = question.job.clone()?;
        let name = format!("{}-metadata-{number:08x}", self.inner.session);
        // Unnamed: a later session forgets it.
        let call = AgentCall::default();
        let directory = RunDirectory::begin(&self.inner.surroundings.runs, &name, &call).ok()?;
        let control = directory.put_job(&job).ok()?;
        let finished = self.supervise_put(&directory).await;
        drop(control);
        directory.remove();
        question.understand(Some(finished))
    }

    /// A unit's job; killed means that it is no longer waited for.
    async fn run_unit(
        &self,
        run: RunId,
        call: &AgentCall,
        unit: &str,
    ) -> (AgentResult, Vec<ProcessId>) {
        let result = tokio::select! {
            result = self.inner.systemd.run(call) => result,
            () = self.killed(run) => {
                let mut result = outcome::not_run("no longer waited for, on request; systemd goes on with the job");
                result.outcome = Outcome::TimedOut;
                result
            }
        };
        let mut left = Vec::new();
        if call.action == "start" && result.outcome == Outcome::Exited(0) {
            let state = self.inner.systemd.state(&systemd::unit_name(unit)).await;
            left.extend(state.ok().and_then(|state| state.main_process));
        }
        (result, left)
    }

    /// Watches what the call left running.
    fn watch_after(&self, call: &AgentCall, result: &AgentResult, mut left: Vec<ProcessId>) {
        let is_running = matches!(result.outcome, Outcome::Exited(0 | 8));
        if !is_running || call.class == "stonith" {
            return;
        }
        let watcher = &self.inner.watcher;
        watcher.settle(&call.resource);
        match call.action.as_str() {
            "start" | "migrate_from" => watcher.watch(&call.resource, left),
            "promote" => {
                left.extend(watcher.living(&call.resource));
                watcher.watch(&call.resource, left);
            }
            // Started before our time, or by hand.
            "monitor" if call.class == "ocf" && !watcher.is_watched(&call.resource) => {
                self.look_for_processes(call);
            }
            _ => {}
        }
    }

    /// Looks once for a resource's processes by their environment, and watches them.
    fn look_for_processes(&self, call: &AgentCall) {
        if !lock(&self.inner.looked_for).insert(call.resource.clone()) {
            return;
        }
        let watcher = Arc::clone(&self.inner.watcher);
        let (resource, instance) = (call.resource.clone(), call.instance.clone());
        tokio::spawn(async move {
            let looking = tokio::task::spawn_blocking(move || {
                let all = processes::with_environment(&format!("OCF_RESOURCE_INSTANCE={instance}"));
                // An agent that runs just now is a child of its supervisor; what a start left is of nobody.
                let orphans = all.into_iter().filter(|stat| stat.parent == 1);
                orphans.map(|stat| stat.id).collect::<Vec<_>>()
            });
            let found = looking.await.unwrap_or_default();
            if !found.is_empty() && !watcher.is_watched(&resource) {
                watcher.watch(&resource, found);
            }
        });
    }

    /// Returns when the run is to be killed.
    pub(crate) async fn killed(&self, run: RunId) {
        let notify = match lock(&self.inner.active).get(&run) {
            Some(active) if !active.killed => Arc::clone(&active.notify),
            _ => return,
        };
        notify.notified().await;
    }

    /// Kills a run with all it has started; `run` then returns. A run that ended is left alone.
    pub fn kill(&self, run: RunId) {
        if let Some(active) = lock(&self.inner.active).get_mut(&run) {
            active.killed = true;
            // Kept for whoever begins to wait a moment later.
            active.notify.notify_one();
            if let Some(control) = &mut active.control {
                // Full or not, one byte is enough, and an earlier one does the same.
                let _ = control.write(b"k");
            }
        }
    }

    /// Runs one program under a supervisor of its own.
    pub(crate) async fn supervise(
        &self,
        run: RunId,
        directory: &RunDirectory,
        job: &Invocation,
    ) -> Finished {
        match directory.put_job(job) {
            Ok(control) => {
                let mut active = lock(&self.inner.active);
                let entry = active.entry(run).or_default();
                entry.control = Some(control);
                if entry.killed {
                    return ended(Ended::Cancelled);
                }
            }
            Err(error) => {
                return ended(Ended::NotRun(format!(
                    "the journal cannot be written: {error}; nothing was started"
                )));
            }
        }
        self.supervise_put(directory).await
    }

    /// Runs the job that was put into the directory.
    async fn supervise_put(&self, directory: &RunDirectory) -> Finished {
        let (program, arguments) = self
            .inner
            .surroundings
            .supervisor
            .split_first()
            .expect("the supervisor's command has a program");
        let child = Command::new(program)
            .args(arguments)
            .arg(directory.path())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        match child {
            Ok(mut child) => {
                // How it ended says nothing that the result file does not.
                let _ = child.wait().await;
            }
            Err(error) => {
                return ended(Ended::NotRun(format!(
                    "the supervisor {} cannot be started: {error}",
                    program.to_string_lossy()
                )));
            }
        }
        directory.finished().unwrap_or_else(lost_supervisor)
    }

    /// Keeps the result of a named run for the next session of the daemon; forgets any other.
    fn keep(&self, directory: RunDirectory, call: &AgentCall, result: &AgentResult) {
        if call.name.is_empty() || directory.put_result(result).is_err() {
            directory.remove();
            return;
        }
        let mut kept = lock(&self.inner.kept);
        kept.push(directory);
        if kept.len() > RESULTS_KEPT_MAX {
            kept.remove(0).remove();
        }
    }
}

/// What an agent says of itself, known or being asked for.
enum Asked {
    Known(Option<Arc<Description>>),
    Asking(JoinHandle<Option<Arc<Description>>>),
}

impl Asked {
    /// The answer, if it comes in time.
    async fn answer(self, within: Duration) -> Option<Arc<Description>> {
        match self {
            Self::Known(known) => known,
            Self::Asking(asking) => tokio::time::timeout(within, asking).await.ok()?.ok()?,
        }
    }
}

pub(crate) fn ended(ended: Ended) -> Finished {
    Finished {
        ended,
        stdout: String::new(),
        output: String::new(),
        exit_reason: None,
        took_ms: 0,
        left: Vec::new(),
        unkillable: 0,
    }
}

/// The supervisor is gone without a word: somebody killed it. What the agent did is unknown.
fn lost_supervisor() -> Finished {
    ended(Ended::Lost)
}

/// The supervisor of a run that an earlier session was just starting, perhaps.
async fn supervisor_of(directory: &RunDirectory) -> Option<ProcessId> {
    for _ in 0..SUPERVISOR_APPEARS_MS_MAX / 20 {
        if let Some(id) = directory.supervisor() {
            return Some(id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// Waits until this process, which is not our child, has exited.
pub(crate) async fn wait_for_exit(process: ProcessId) {
    let Some(pid) = process.number() else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    // Only now is it certain that the descriptor is of the one we mean.
    if !process.is_alive() {
        return;
    }
    // SAFETY: `OwnedFd` keeps one and the same descriptor open for as long as it lives, and it lives in the
    // AsyncFd. JUSTIFICATION: waiting for a process that is no child of ours needs its pidfd in the reactor.
    let registered = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    if let Ok(exited) = registered {
        // An error of the reactor ends the wait; the caller looks at the process itself.
        let _ = exited.readable().await;
    }
}
