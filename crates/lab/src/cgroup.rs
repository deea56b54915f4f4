//! Control groups (v2): how everything in a host is found, frozen and killed at once.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{IoContext, LabError};

/// Whether any process lives below the cgroup.
pub(crate) fn populated(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join("cgroup.events"))
        .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
}

/// Kills everything below the cgroup and waits until it is gone.
pub(crate) fn kill(cgroup: &Path) -> Result<(), LabError> {
    if !cgroup.exists() {
        return Ok(());
    }
    let file = cgroup.join("cgroup.kill");
    fs::write(&file, "1").io("cannot write", &file)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while populated(cgroup) {
        if Instant::now() > deadline {
            return Err(LabError::Command {
                command: format!("kill everything in {}", cgroup.display()),
                status: "still alive after 10 s".to_owned(),
                output: String::new(),
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Removes the cgroup and all below it; nothing may live there any more.
pub(crate) fn remove(cgroup: &Path) {
    let Ok(entries) = fs::read_dir(cgroup) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // A cgroup that was just emptied can be busy for a moment.
    for _ in 0..100 {
        if fs::remove_dir(cgroup).is_ok() || !cgroup.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Freezes or thaws everything below the cgroup.
pub(crate) fn freeze(cgroup: &Path, frozen: Frozen) -> Result<(), LabError> {
    let file = cgroup.join("cgroup.freeze");
    let value = if frozen == Frozen::Yes { "1" } else { "0" };
    fs::write(&file, value).io("cannot write", &file)
}

/// Whether the cgroup was frozen.
pub(crate) fn frozen(cgroup: &Path) -> Frozen {
    match fs::read_to_string(cgroup.join("cgroup.freeze")) {
        Ok(text) if text.trim() == "1" => Frozen::Yes,
        _ => Frozen::No,
    }
}

/// Whether a host stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frozen {
    Yes,
    No,
}
