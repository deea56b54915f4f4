//! Runs what the core orders: each call journaled, supervised, killable, and found again after a restart.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_core::event::{AgentCall, AgentResult, FoundRun};
use quorate_core::ids::RunId;
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;

use crate::execute::{Ended, Finished, Invocation};
use crate::journal::{self, Entry, RESULTS_KEPT_MAX, RunDirectory};
use crate::outcome;
use crate::prepare::{Prepared, prepare};
use crate::processes::ProcessId;
use crate::surroundings::Surroundings;

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
struct Active {
    control: Option<File>,
    killed: bool,
}

struct Inner {
    surroundings: Surroundings,
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
                surroundings,
                session,
                active: Mutex::default(),
                found: Mutex::new(found),
                kept: Mutex::default(),
            }),
        })
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
                killed: false,
            },
        );
        if let Some(supervisor) = supervisor_of(&directory).await {
            wait_for_exit(supervisor).await;
        }
        lock(&self.inner.active).remove(&run);
        let finished = directory.finished().unwrap_or_else(lost_supervisor);
        let result = outcome::of(&entry.call, &finished);
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
        lock(&self.inner.active).insert(
            run,
            Active {
                control: None,
                killed: false,
            },
        );
        let result = match prepare(&self.inner.surroundings, &call) {
            Prepared::Program(job) => {
                let finished = self.supervise(run, &directory, &job).await;
                outcome::of(&call, &finished)
            }
            Prepared::Done(result) => result,
        };
        lock(&self.inner.active).remove(&run);
        self.keep(directory, &call, &result);
        result
    }

    /// Kills a run with all it has started; `run` then returns. A run that ended is left alone.
    pub fn kill(&self, run: RunId) {
        if let Some(active) = lock(&self.inner.active).get_mut(&run) {
            active.killed = true;
            if let Some(control) = &mut active.control {
                // Full or not, one byte is enough, and an earlier one does the same.
                let _ = control.write(b"k");
            }
        }
    }

    /// Runs one program under a supervisor of its own.
    async fn supervise(&self, run: RunId, directory: &RunDirectory, job: &Invocation) -> Finished {
        match directory.put_job(job) {
            Ok(control) => {
                let mut active = lock(&self.inner.active);
                let entry = active.entry(run).or_insert(Active {
                    control: None,
                    killed: false,
                });
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

fn ended(ended: Ended) -> Finished {
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
    let mut finished = ended(Ended::Exited(1));
    finished.exit_reason =
        Some("the agent's supervisor was killed: what became of the action is unknown".into());
    finished
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
