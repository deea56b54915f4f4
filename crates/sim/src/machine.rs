//! The part of a machine that is not judged: its daemon, its disk, its tmpfs, its BMC.

use std::collections::{BTreeMap, VecDeque};

use quorate_core::event::{AgentCall, AgentResult, Event, FoundRun, Outcome};
use quorate_core::ids::{Boot, RunId, Session};
use quorate_core::start::Identity;
use quorate_core::store::{Batch, Store};

use crate::brain::Brain;
use crate::disk::Disk;
use crate::scenario::BmcManner;
use crate::time::{Clock, Time};

/// A run of an agent in the world.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name in the daemon's report.
    pub run: RunId,
    /// What runs.
    pub call: AgentCall,
    /// When it began.
    pub began: Time,
    /// How it will end.
    pub outcome: Outcome,
    /// It does its work (even where it reports otherwise).
    pub works: bool,
    /// The life of the daemon that began it.
    pub born_in: u64,
    /// The life of the daemon that waits for it.
    pub awaited_by: u64,
}

/// The running daemon.
pub struct Daemon {
    /// What decides.
    pub brain: Box<dyn Brain>,
    /// The open store.
    pub store: Store,
    /// Batches that wait for the one that is being written.
    pub waiting: VecDeque<Batch>,
    /// A batch is being written.
    pub writing: bool,
    /// The time of the tick that is planned.
    pub planned: Time,
}

/// What a machine has beside the truth about it.
#[derive(Default)]
pub struct Rack {
    /// Its disk.
    pub disk: Option<Disk>,
    /// Who it is in the cluster, where it joined later.
    pub identity: Option<Identity>,
    /// Its disk is empty; an operator has it admitted.
    pub joins: bool,
    /// Its clock.
    pub clock: Clock,
    /// Number of its boot.
    pub boot: Boot,
    /// Counts power cycles: what was planned for an earlier one does not happen.
    pub powers: u64,
    /// Counts starts of the daemon.
    pub lives: u64,
    /// The daemon's session.
    pub session: Session,
    /// The daemon.
    pub daemon: Option<Daemon>,
    /// What the daemon remembers in tmpfs.
    pub tmpfs: BTreeMap<String, Vec<u8>>,
    /// Named runs of this boot, newest last, with their results: what the shell's journal in tmpfs holds.
    pub journal: Vec<(AgentCall, Option<AgentResult>)>,
    /// Runs of agents.
    pub runs: BTreeMap<u64, Run>,
    /// What happens when it is no longer paused.
    pub held: Vec<Held>,
    /// What is wrong with its BMC.
    pub bmc: Vec<BmcManner>,
    /// It cannot reach BMCs.
    pub cut_from_bmcs: u32,
    /// Its disk is slow.
    pub slow: u32,
    /// It stays off (or its daemon stays down) until the quiet phase.
    pub stays_down: bool,
    /// Reset when this passes.
    pub watchdog: Option<Time>,
}

/// Runs that a restarted daemon finds have numbers from here on.
const FOUND_FROM: u64 = 1 << 63;

/// Entries of a journal at most.
const JOURNAL_MAX: usize = 512;

impl Rack {
    /// What the journal gives to a daemon that starts: what ended, and what goes on and is watched again.
    pub fn found_runs(&mut self, life: u64) -> Vec<FoundRun> {
        let mut found = Vec::new();
        for (call, result) in &self.journal {
            let goes_on = self.runs.values().any(|run| run.call.name == call.name);
            if !goes_on {
                found.push((call.clone(), Some(result.clone().unwrap_or_else(lost))));
            }
        }
        let mut numbered: Vec<FoundRun> = found
            .into_iter()
            .enumerate()
            .map(|(number, (call, result))| FoundRun {
                run: RunId(FOUND_FROM + number as u64),
                call,
                result,
            })
            .collect();
        for run in self.runs.values_mut() {
            run.awaited_by = life;
            run.run = RunId(FOUND_FROM + numbered.len() as u64);
            numbered.push(FoundRun {
                run: run.run,
                call: run.call.clone(),
                result: None,
            });
        }
        numbered
    }

    /// A named run begins.
    pub fn journal_begins(&mut self, call: &AgentCall) {
        if !call.name.is_empty() {
            self.journal.push((call.clone(), None));
            let excess = self.journal.len().saturating_sub(JOURNAL_MAX);
            self.journal.drain(..excess);
        }
    }

    /// A named run ended.
    pub fn journal_ends(&mut self, call: &AgentCall, result: &AgentResult) {
        let entry = self
            .journal
            .iter_mut()
            .rev()
            .find(|(known, _)| !call.name.is_empty() && known.name == call.name);
        if let Some((_, kept)) = entry {
            *kept = Some(result.clone());
        }
    }
}

fn lost() -> AgentResult {
    AgentResult {
        outcome: Outcome::Lost,
        exit_reason: String::new(),
        output: String::new(),
        took_ms: 0,
        digests: None,
    }
}

/// What reached a machine while it was paused.
#[derive(Debug)]
pub enum Held {
    /// An event for its daemon.
    Event(u64, Event),
    /// The end of an agent's run.
    RunEnds(u64),
    /// A write that was under way.
    Written(u64, Result<quorate_core::ids::BatchId, String>),
}
