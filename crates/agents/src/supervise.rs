//! The small process between the daemon and an agent: it outlives the daemon and keeps the exit code.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::process::{Pid, getpid, set_child_subreaper, setsid};

use crate::execute::{Ended, Finished, Reaping, execute};
use crate::journal::RunDirectory;
use crate::processes;

/// Runs the job in a journal directory to its end. What `quorate agent-supervise DIRECTORY` does; the exit
/// code of this process says only whether a result could be kept.
#[must_use]
pub fn supervise(directory: PathBuf) -> i32 {
    let directory = RunDirectory::at(directory);
    // A session of our own: no signal to the daemon's group or terminal reaches us. Fails only for a group leader.
    let _ = setsid();
    // Every orphan of the agent comes to us, so that a timeout finds all of them.
    let _ = set_child_subreaper(Pid::from_raw(1));
    let _ = std::fs::write("/proc/self/comm", "quorate-agent");
    forget_oom_protection();
    let Some(me) = processes::stat(getpid().as_raw_nonzero().get()) else {
        return 3;
    };
    if directory.put_supervisor(me.id).is_err() {
        // Without a place for the result nothing may run: it would run again.
        return 3;
    }
    let control = directory.open_control().ok();
    let finished = match directory.take_job() {
        Some(job) => execute(&job, Reaping::Everything, control.as_ref().map(AsFd::as_fd)),
        None => Finished {
            ended: Ended::NotRun("the journal's job file cannot be read".into()),
            stdout: String::new(),
            output: String::new(),
            exit_reason: None,
            took_ms: 0,
            left: Vec::new(),
            unkillable: 0,
        },
    };
    i32::from(directory.put_finished(&finished).is_err())
}

/// The daemon protects itself from the kernel's memory killer; what agents start must not inherit that.
fn forget_oom_protection() {
    let path = "/proc/self/oom_score_adj";
    let protected = std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok())
        .is_some_and(|score| score < 0);
    if protected {
        // Raising one's own score is always allowed.
        let _ = std::fs::write(path, "0");
    }
}
