//! Watches what a start left running: when a process exits, the resource's monitor is due at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::processes::{self, ProcessId};
use crate::runner::wait_for_exit;

/// Processes of one resource that are watched at most; the oldest ones are those that matter.
const PROCESSES_MAX: usize = 64;

/// Reports that nobody has taken yet; more would say nothing new.
const REPORTS_MAX: usize = 256;

/// The longest pause between two reports on one resource whose processes come and go in normal life.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long the parent of a dead process is given to wait for it.
const REAPED_WITHIN: Duration = Duration::from_millis(100);

/// By resource: living parents of processes that exited unasked. They may put others in their place.
type Respawners = Arc<Mutex<BTreeMap<String, Vec<ProcessId>>>>;

/// Watches processes by resource.
pub struct Watcher {
    directory: PathBuf,
    watched: Mutex<BTreeMap<String, AbortHandle>>,
    respawners: Respawners,
    report: mpsc::Sender<String>,
    reports: Mutex<Option<mpsc::Receiver<String>>>,
}

/// What is remembered on tmpfs for the next session of the daemon.
#[derive(minicbor::Encode, minicbor::Decode)]
struct Remembered {
    #[n(0)]
    resource: String,
    #[n(1)]
    processes: Vec<ProcessId>,
}

impl Watcher {
    /// Remembers in `directory`, on a tmpfs.
    #[must_use]
    pub fn new(directory: PathBuf) -> Arc<Self> {
        let (report, reports) = mpsc::channel(REPORTS_MAX);
        Arc::new(Self {
            directory,
            watched: Mutex::default(),
            respawners: Respawners::default(),
            report,
            reports: Mutex::new(Some(reports)),
        })
    }

    /// Names of resources one of whose processes exited. The first caller gets it.
    #[must_use]
    pub fn take_reports(&self) -> Option<mpsc::Receiver<String>> {
        self.reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Goes on watching what the last session of the daemon watched.
    pub fn resume(&self) {
        let Ok(listing) = std::fs::read_dir(&self.directory) else {
            return;
        };
        for file in listing.flatten() {
            let remembered = std::fs::read(file.path()).ok();
            let remembered =
                remembered.and_then(|bytes| minicbor::decode::<Remembered>(&bytes).ok());
            match remembered {
                Some(all) => self.watch(&all.resource, all.processes),
                // Half written, or of another version: the first monitor finds the processes again.
                None => drop(std::fs::remove_file(file.path())),
            }
        }
    }

    /// Whether something of this resource is watched.
    #[must_use]
    pub fn is_watched(&self, resource: &str) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched
            .get(resource)
            .is_some_and(|task| !task.is_finished())
    }

    /// Those of the resource's watched processes that live.
    #[must_use]
    pub fn living(&self, resource: &str) -> Vec<ProcessId> {
        let bytes = std::fs::read(file_of(&self.directory, resource)).unwrap_or_default();
        let mut all = minicbor::decode::<Remembered>(&bytes)
            .map(|all| all.processes)
            .unwrap_or_default();
        all.retain(|process| process.is_alive());
        all
    }

    /// Watches these processes of the resource, in place of those before.
    pub fn watch(&self, resource: &str, mut processes: Vec<ProcessId>) {
        processes.sort_by_key(|process| process.start_ticks);
        processes.truncate(PROCESSES_MAX);
        self.forget(resource);
        if processes.is_empty() {
            return;
        }
        let remembered = Remembered {
            resource: resource.to_owned(),
            processes: processes.clone(),
        };
        let _ = std::fs::create_dir_all(&self.directory);
        // Only a restarted daemon misses it, until the next monitor.
        let _ = std::fs::write(
            file_of(&self.directory, resource),
            minicbor::to_vec(&remembered).expect("writing to a Vec cannot fail"),
        );
        let task = tokio::spawn(follow(
            resource.to_owned(),
            processes,
            self.report.clone(),
            Arc::clone(&self.respawners),
        ));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = watched.insert(resource.to_owned(), task.abort_handle()) {
            before.abort();
        }
    }

    /// The resource is well: whatever exited is of no matter any more.
    pub fn settle(&self, resource: &str) {
        self.respawners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(resource);
    }

    /// Before a stop of a resource that lost a process: the script that would start it again (`mysqld_safe`) goes
    /// first, with what it has started meanwhile. Otherwise the agent finds nothing to stop, says so, and a moment
    /// later the service runs again. How many were killed.
    pub fn kill_respawners(&self, resource: &str) -> usize {
        let parents = self
            .respawners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(resource);
        let mut killed = 0;
        for parent in parents.unwrap_or_default() {
            let Some(pid) = parent.number().filter(|_| parent.is_alive()) else {
                continue;
            };
            // Held still, so that it starts nothing between the look and the kill.
            let _ = rustix::process::kill_process(pid, Signal::STOP);
            let family = processes::descendants(&[parent.pid]);
            for process in family.iter().map(|stat| stat.id).chain([parent]) {
                if let Some(pid) = process.number() {
                    // It may have ended by itself since.
                    killed += usize::from(rustix::process::kill_process(pid, Signal::KILL).is_ok());
                }
            }
        }
        killed
    }

    /// Stops watching (the resource is being stopped: its processes may go).
    pub fn forget(&self, resource: &str) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = watched.remove(resource) {
            task.abort();
        }
        // It is not there if nothing was watched.
        let _ = std::fs::remove_file(file_of(&self.directory, resource));
    }
}

fn file_of(directory: &Path, resource: &str) -> PathBuf {
    directory.join(resource.replace('/', "_"))
}

/// A dead process that its parent has not waited for still answers `kill -0`, by which many agents judge.
async fn wait_until_reaped(process: ProcessId) {
    let began = Instant::now();
    while began.elapsed() < REAPED_WITHIN
        && processes::stat(process.pid).is_some_and(|stat| stat.id == process)
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Reports each exit at once, but a resource that lives on in spite of it ever more rarely.
async fn follow(
    resource: String,
    processes: Vec<ProcessId>,
    report: mpsc::Sender<String>,
    respawners: Respawners,
) {
    let parent_of = |process: &ProcessId| processes::stat(process.pid).map(|stat| stat.parent);
    let mut parents: BTreeMap<ProcessId, Option<i32>> = processes
        .iter()
        .map(|process| (*process, parent_of(process)))
        .collect();
    let mut living = processes.clone();
    let mut waits = JoinSet::new();
    let wait = |waits: &mut JoinSet<ProcessId>, process: ProcessId| {
        waits.spawn(async move {
            wait_for_exit(process).await;
            wait_until_reaped(process).await;
            process
        });
    };
    for process in processes {
        wait(&mut waits, process);
    }
    let mut pause = Duration::ZERO;
    let mut not_before = Instant::now();
    while let Some(ended) = waits.join_next().await {
        let Ok(ended) = ended else { continue };
        living.retain(|process| *process != ended);
        let parent = parents.remove(&ended).flatten();
        if let Some(parent) = living.iter().find(|process| Some(process.pid) == parent) {
            let mut all = respawners.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(resource.clone()).or_default().push(*parent);
        }
        tokio::time::sleep_until(not_before).await;
        if report.send(resource.clone()).await.is_err() {
            return;
        }
        // What lives on may have put another in its place (a `safe` script).
        let roots: Vec<i32> = living.iter().map(|process| process.pid).collect();
        for new in processes::descendants(&roots) {
            if living.len() < PROCESSES_MAX && !living.contains(&new.id) {
                living.push(new.id);
                parents.insert(new.id, Some(new.parent));
                wait(&mut waits, new.id);
            }
        }
        pause = (pause * 2).clamp(Duration::from_secs(1), PAUSE_MAX);
        not_before = Instant::now() + pause;
    }
}
