//! Looks at the hosts from outside, all the time: the truth that no node's belief can change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::host::Host;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(20);

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Who got the shared disk mounted, and when.
    pub mounted: Vec<(Instant, String)>,
    /// When two hosts had it mounted at once: must stay empty.
    pub double: Vec<(Instant, Vec<String>)>,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts watching the shared disk's mounts.
    pub fn start(hosts: &[&Host]) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let hosts: Vec<Host> = hosts.iter().map(|host| (*host).clone()).collect();
        let thread = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            std::thread::spawn(move || look(&hosts, &seen, &stop))
        };
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was printed already.
            let _ = thread.join();
        }
    }
}

fn look(hosts: &[Host], seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut before: Vec<bool> = vec![false; hosts.len()];
    while !stop.load(Ordering::Relaxed) {
        let now: Vec<bool> = hosts.iter().map(Host::has_shared_mounted).collect();
        let at = Instant::now();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (n, host) in hosts.iter().enumerate() {
            if now[n] && !before[n] {
                seen.mounted.push((at, host.name().to_owned()));
            }
        }
        if now.iter().filter(|mounted| **mounted).count() > 1 && seen.double.len() < 1000 {
            let both = hosts.iter().zip(&now).filter(|(_, mounted)| **mounted);
            let both = both.map(|(host, _)| host.name().to_owned()).collect();
            seen.double.push((at, both));
        }
        drop(seen);
        before = now;
        std::thread::sleep(PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{Lab, LabOptions};

    #[test]
    fn a_double_mount_is_noticed() {
        let lab = match Lab::up(&LabOptions::new("test-double", &["n1", "n2"])) {
            Err(error) if error.is_about_the_machine() => {
                eprintln!("SKIPPED: a_double_mount_is_noticed: {error}");
                return;
            }
            other => other.expect("the lab comes up"),
        };
        let hosts: Vec<&Host> = lab.hosts().iter().collect();
        let watch = Watch::start(&hosts);
        hosts[0].run(["mount", "/dev/shared", "/mnt"]).unwrap();
        std::thread::sleep(PERIOD * 5);
        assert!(watch.seen().double.is_empty());
        // Nothing in the machine's kernel stands in the way, as nothing would between two real hosts.
        hosts[1].run(["mount", "/dev/shared", "/mnt"]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while watch.seen().double.is_empty() {
            assert!(Instant::now() < deadline, "two owners are seen");
            std::thread::sleep(PERIOD);
        }
        let seen = watch.seen();
        assert_eq!(seen.double[0].1, ["n1", "n2"]);
        assert_eq!(seen.mounted.len(), 2);
    }
}
