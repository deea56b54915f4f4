//! A hardware watchdog: kicked by the thread of the core, so that a daemon that hangs with its host takes the host
//! down. Nobody's recovery counts on it (`Timing::watchdog_ms` stays `None`): it is a second net below fencing.
//!
//! The kernel's rules (`Documentation/watchdog/watchdog-api.rst`): opening arms it, any byte written kicks it, `V`
//! before the last close disarms it. A daemon that dies does not write `V`: the next session opens the device again,
//! or the host is reset.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use quorate_core::ids::Millis;

use crate::clock;

/// Between two kicks. Devices of less than a few seconds are not in use.
const KICK_MS: u64 = 1000;

/// An armed watchdog, or none.
#[derive(Debug, Default)]
pub struct Watchdog {
    device: Option<File>,
    kicked: Option<Millis>,
    has_failed: bool,
}

impl Watchdog {
    /// Arms the device that `node.toml` names. A device that cannot be opened is told of, and the daemon goes on
    /// without: fencing does not need it.
    #[must_use]
    pub fn arm(path: Option<&str>) -> Self {
        let Some(path) = path else {
            return Self::default();
        };
        match OpenOptions::new().write(true).open(path) {
            Ok(device) => {
                match timeout_s(path) {
                    Some(s) => tracing::info!(
                        "The watchdog {path} is armed: it resets this host when the daemon hangs for {s} s."
                    ),
                    None => tracing::info!(
                        "The watchdog {path} is armed: it resets this host when the daemon hangs."
                    ),
                }
                let mut armed = Self {
                    device: Some(device),
                    ..Self::default()
                };
                armed.kick();
                armed
            }
            Err(e) => {
                tracing::error!(
                    "The watchdog {path} cannot be opened ({e}): a daemon that hangs will not reset this host; load the \
                     driver's module, stop what else uses it, or take `watchdog` out of node.toml."
                );
                Self::default()
            }
        }
    }

    /// Kicks it when it is time.
    pub fn kick(&mut self) {
        let now = clock::mono();
        let is_due = self
            .kicked
            .is_none_or(|kicked| now.since(kicked) >= KICK_MS);
        let Some(device) = self.device.as_mut().filter(|_| is_due) else {
            return;
        };
        self.kicked = Some(now);
        match device.write_all(b"\0") {
            Ok(()) => self.has_failed = false,
            Err(e) if !self.has_failed => {
                self.has_failed = true;
                tracing::error!("The watchdog cannot be kicked ({e}): it may reset this host.");
            }
            Err(_) => {}
        }
    }

    /// Disarms it: this node has left in good order.
    pub fn disarm(mut self) {
        if let Some(device) = &mut self.device
            && let Err(e) = device.write_all(b"V")
        {
            tracing::error!("The watchdog cannot be disarmed ({e}): it may reset this host.");
        }
    }
}

/// The driver's own time, seconds; nothing where the system does not say.
fn timeout_s(path: &str) -> Option<u64> {
    let name = match Path::new(path).file_name()?.to_str()? {
        "watchdog" => "watchdog0",
        name => name,
    };
    std::fs::read_to_string(format!("/sys/class/watchdog/{name}/timeout"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kicked_in_time_and_disarmed_only_in_good_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watchdog");
        std::fs::write(&path, "").unwrap();
        let text = path.to_str();
        // A device is not truncated by opening; what is written shows what it would have seen.
        let mut first = Watchdog::arm(text);
        first.kick();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0", "kicked twice at once");
        first.kicked = Some(Millis(0));
        first.kick();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0");
        drop(first);
        assert!(
            !std::fs::read(&path).unwrap().contains(&b'V'),
            "a death disarmed it"
        );
        std::fs::write(&path, "").unwrap();
        Watchdog::arm(text).disarm();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0V");
    }

    #[test]
    fn without_one_nothing_happens() {
        let mut none = Watchdog::arm(None);
        none.kick();
        none.disarm();
        let mut missing = Watchdog::arm(Some("/nonexistent/watchdog"));
        missing.kick();
        missing.disarm();
    }
}
