//! What `/proc` tells of processes: who they are, whose children they are.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode,
)]
pub struct ProcessId {
    /// Its number.
    #[n(0)]
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    #[n(1)]
    pub start_ticks: u64,
}

/// The few fields of `/proc/PID/stat` that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub id: ProcessId,
    /// Its parent.
    pub parent: i32,
    /// Dead, and not yet waited for.
    pub is_zombie: bool,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The command name stands in parentheses and may hold blanks and parentheses of its own.
    let (number, rest) = text.split_once(' ')?;
    let rest = &rest[rest.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        id: ProcessId {
            pid: number.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        },
        parent: fields.get(1)?.parse().ok()?,
        is_zombie: matches!(fields.first(), Some(&"Z" | &"X")),
    })
}

/// Reads one process; `None` when it is gone.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl ProcessId {
    /// This very process is there and not a zombie.
    #[must_use]
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.id == self && !stat.is_zombie)
    }

    /// Its number as the kernel interface wants it.
    #[must_use]
    pub fn number(self) -> Option<Pid> {
        Pid::from_raw(self.pid)
    }
}

/// All processes of this pid namespace.
#[must_use]
pub fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect()
}

/// Living descendants of the given processes, parents before children; the given ones are not among them.
#[must_use]
pub fn descendants(of: &[i32]) -> Vec<Stat> {
    let mut children: BTreeMap<i32, Vec<Stat>> = BTreeMap::new();
    for stat in all() {
        children.entry(stat.parent).or_default().push(stat);
    }
    let mut found = Vec::new();
    let mut todo: Vec<i32> = of.to_vec();
    while let Some(parent) = todo.pop() {
        // Taken out, so that a parent link that changed under us cannot make a circle.
        for child in children.remove(&parent).unwrap_or_default() {
            todo.push(child.id.pid);
            if !child.is_zombie {
                found.push(child);
            }
        }
    }
    found
}

/// Kills every descendant of `of` (its own children and what they left to a subreaper), until none is left or
/// `rounds` are over. Whoever forks faster than this is left to the next attempt.
pub fn kill_descendants(of: i32, rounds: u32) -> usize {
    for _ in 0..rounds {
        let living = descendants(&[of]);
        if living.is_empty() {
            return 0;
        }
        for process in living {
            if let Some(pid) = process.id.number() {
                // It may have ended by itself since.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    descendants(&[of]).len()
}

/// Processes whose environment holds this line (`NAME=value`).
#[must_use]
pub fn with_environment(line: &str) -> Vec<Stat> {
    let line = line.as_bytes();
    all()
        .into_iter()
        .filter(|stat| !stat.is_zombie)
        .filter(|stat| {
            fs::read(format!("/proc/{}/environ", stat.id.pid))
                .is_ok_and(|all| all.split(|byte| *byte == 0).any(|entry| entry == line))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "42 (a) (b c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1 2";
        let stat = parse_stat(text).expect("a stat line");
        assert_eq!((stat.id.pid, stat.parent, stat.id.start_ticks), (42, 7, 99));
        assert!(!stat.is_zombie);
    }

    #[test]
    fn finds_itself() {
        let me = i32::try_from(std::process::id()).expect("a pid fits");
        assert!(stat(me).expect("own stat").id.is_alive());
    }
}
