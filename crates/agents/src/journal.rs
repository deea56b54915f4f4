//! The journal of runs in tmpfs: what was begun in this boot, and what became of it.
//!
//! One directory a run. It is written before the agent starts (design section 5: at most once), and the
//! supervisor writes the result there, so that neither is lost with the daemon.
//!
//! | file | by | what |
//! |---|---|---|
//! | `call` | daemon | the call as the core ordered it |
//! | `job` | daemon | the program, its environment and input; removed once read, since it holds passwords |
//! | `control` | daemon | a named pipe; a byte in it kills the run |
//! | `pid` | supervisor | who the supervisor is |
//! | `result` | supervisor | how the program ended |

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use quorate_core::event::{AgentCall, AgentResult};
use rustix::fs::{CWD, FileType, Mode};

use crate::execute::{Finished, Invocation};
use crate::processes::ProcessId;

/// Results of named runs that are kept at most; the oldest go first.
pub const RESULTS_KEPT_MAX: usize = 128;

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDirectory(PathBuf);

/// What a journal directory tells of a run.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub directory: RunDirectory,
    /// What was called.
    pub call: AgentCall,
    /// Its supervisor, if that had begun.
    pub supervisor: Option<ProcessId>,
    /// What the daemon made of the result, if it got that far.
    pub result: Option<AgentResult>,
    /// How the program ended, if it did.
    pub finished: Option<Finished>,
}

/// Writes a file as a whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    io::Write::write_all(&mut file, bytes)?;
    fs::rename(temporary, path)
}

fn encoded<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to a Vec cannot fail")
}

fn read<T: for<'b> minicbor::Decode<'b, ()>>(path: &Path) -> Option<T> {
    minicbor::decode(&fs::read(path).ok()?).ok()
}

/// Makes the directory, for root's eyes only: the calls hold passwords.
pub fn prepare(runs: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(runs)
}

impl RunDirectory {
    /// Of an existing path (the supervisor's argument).
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Begins a run: after this it is known to have been begun.
    pub fn begin(runs: &Path, name: &str, call: &AgentCall) -> io::Result<Self> {
        let path = runs.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let directory = Self(path);
        write_whole(&directory.0.join("call"), &encoded(call))?;
        Ok(directory)
    }

    /// Puts what the supervisor shall run, and opens the pipe that cancels it.
    pub fn put_job(&self, job: &Invocation) -> io::Result<File> {
        write_whole(&self.0.join("job"), &encoded(job))?;
        let control = self.0.join("control");
        match rustix::fs::mknodat(CWD, &control, FileType::Fifo, Mode::from_raw_mode(0o600), 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.open_control()
    }

    /// The pipe that cancels the run; open for both directions, so that neither side waits for the other.
    pub fn open_control(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(self.0.join("control"))
    }

    /// Takes the job: reads and removes it.
    #[must_use]
    pub fn take_job(&self) -> Option<Invocation> {
        let path = self.0.join("job");
        let job = read(&path);
        // A job that stays behind is only untidy: the directory is for root alone.
        let _ = fs::remove_file(path);
        job
    }

    /// Says who the supervisor is.
    pub fn put_supervisor(&self, id: ProcessId) -> io::Result<()> {
        write_whole(&self.0.join("pid"), &encoded(&id))
    }

    /// Who the supervisor is.
    #[must_use]
    pub fn supervisor(&self) -> Option<ProcessId> {
        read(&self.0.join("pid"))
    }

    /// Keeps how the program ended.
    pub fn put_finished(&self, finished: &Finished) -> io::Result<()> {
        write_whole(&self.0.join("finished"), &encoded(finished))
    }

    /// How the program ended.
    #[must_use]
    pub fn finished(&self) -> Option<Finished> {
        read(&self.0.join("finished"))
    }

    /// Makes room for another program of the same run.
    pub fn clear_finished(&self) {
        // Neither is there before the first program.
        let _ = fs::remove_file(self.0.join("finished"));
        let _ = fs::remove_file(self.0.join("pid"));
    }

    /// Keeps what the daemon made of it.
    pub fn put_result(&self, result: &AgentResult) -> io::Result<()> {
        write_whole(&self.0.join("result"), &encoded(result))?;
        // What it was made of is not needed twice.
        self.clear_finished();
        Ok(())
    }

    /// Forgets the run.
    pub fn remove(&self) {
        // Whatever stays is found by the next inventory and removed then.
        let _ = fs::remove_dir_all(&self.0);
    }

    fn entry(self) -> Option<Entry> {
        Some(Entry {
            call: read(&self.0.join("call"))?,
            supervisor: self.supervisor(),
            result: read(&self.0.join("result")),
            finished: self.finished(),
            directory: self,
        })
    }
}

/// All runs that the journal knows, oldest first; what cannot be read is removed (it was never begun).
#[must_use]
pub fn entries(runs: &Path) -> Vec<Entry> {
    let Ok(listing) = fs::read_dir(runs) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let directory = RunDirectory(path);
        match directory.clone().entry() {
            Some(entry) => found.push(entry),
            None => directory.remove(),
        }
    }
    found
}
