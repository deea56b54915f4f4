//! A hardware watchdog, fed by the thread of the core: a daemon that hangs takes its host down.
//!
//! Where no fence device can confirm that a node is off, the others may recover from it when its lease and its watchdog's
//! time have run out (design, section 5 of `docs/invariants.md`). That rests on a promise: *so many milliseconds after the
//! moment up to which the core allowed to feed it, this host has been reset.* It is given to the core only where
//!
//! - the driver was told a time and said the same or another one when asked for it (both by ioctl);
//! - it is hardware: the kernel's own timer (`softdog`) stops with the kernel, a virtual machine's with the machine.
//!   `watchdog_counts` in `node.toml` overrules this guess, in both directions;
//! - a first feeding worked;
//! - the service manager keeps the open device beyond this process. The last close of an armed device feeds it once
//!   more: a daemon that dies again and again would feed it for ever.
//!
//! The promise is three times the device's time: one feeding may have been allowed, then delayed by a stall until just
//! before the device's end; one more may come from a close where the service manager did not keep the device after all.
//! A feeding that fails ends the daemon: its next session promises nothing.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use quorate_agents::watchdog::{HardwareWatchdog, WatchdogDevice};
use quorate_core::ids::Millis;

use crate::config::NodeConfig;
use crate::files::{self, Paths};

/// Between two feedings.
const FEED_MS: u64 = 1000;
/// The device's time where `node.toml` says nothing, seconds.
pub const TIMEOUT_S: u32 = 10;
/// Devices that bite sooner than this cannot be fed in time on a busy host.
const TIMEOUT_S_MIN: u32 = 3;
/// Added for the granularity of the device's clock.
const MARGIN_MS: u64 = 1000;
/// Name under which the service manager keeps the device.
const KEPT_AS: &str = "quorate-watchdog";
/// What the note in the runtime directory says after a feeding has failed.
const BROKEN: &str = "broken";

/// What surrounds the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surroundings {
    /// This host is a virtual machine.
    is_virtual: bool,
    /// An earlier session of this boot has promised.
    has_promised: bool,
    /// The device was kept for this session.
    is_kept: bool,
}

/// An armed watchdog, or none.
#[derive(Default)]
pub struct Watchdog {
    device: Option<Box<dyn WatchdogDevice>>,
    promise_ms: Option<u64>,
    until: Option<Millis>,
    fed: Option<Millis>,
    has_failed: bool,
    note: Option<PathBuf>,
}

impl Watchdog {
    /// Arms the device that `node.toml` names. One that cannot be opened is told of, and the daemon goes on without:
    /// fencing does not need it.
    #[must_use]
    pub fn arm(config: &NodeConfig, paths: &Paths) -> Self {
        let Some(path) = config.watchdog.as_deref() else {
            return Self::default();
        };
        let note = paths.runtime.join("watchdog");
        let earlier = std::fs::read_to_string(&note).unwrap_or_default();
        if earlier == BROKEN {
            tracing::error!(
                "The watchdog {path} could not be fed earlier: nobody counts on it until this host is booted anew."
            );
            return Self::default();
        }
        let kept = kept_descriptor();
        let surroundings = Surroundings {
            is_virtual: is_virtual(),
            has_promised: !earlier.is_empty(),
            is_kept: kept.is_some(),
        };
        if surroundings.has_promised && !surroundings.is_kept {
            // Opened again it would have to be closed again, and each close feeds it.
            tracing::error!(
                "The watchdog {path} was left armed by an earlier session and nobody kept it open: it resets this host soon. \
                 Start the daemon with its own unit (FileDescriptorStoreMax=1)."
            );
            return Self::default();
        }
        let device = match kept {
            Some(descriptor) => HardwareWatchdog::kept(descriptor),
            None => match HardwareWatchdog::open(path) {
                Ok(device) => device,
                Err(e) => {
                    tracing::error!(
                        "The watchdog {path} cannot be opened ({e}): a daemon that hangs will not reset this host; load the \
                         driver's module, stop what else uses it, or take `watchdog` out of node.toml."
                    );
                    return Self::default();
                }
            },
        };
        Self::with_device(Box::new(device), config, surroundings, note, &keep)
    }

    fn with_device(
        mut device: Box<dyn WatchdogDevice>,
        config: &NodeConfig,
        surroundings: Surroundings,
        note: PathBuf,
        keep: &dyn Fn(&dyn WatchdogDevice) -> Result<(), String>,
    ) -> Self {
        // A device that others count on is fed only as far as the core allows.
        let fed = match surroundings.is_kept {
            true => Ok(()),
            false => device.feed().map_err(|e| format!("it cannot be fed: {e}")),
        };
        let promise = fed
            .and_then(|()| programmed(&*device, config.watchdog_s.unwrap_or(TIMEOUT_S)))
            .and_then(|timeout_s| may_count(&*device, config, surroundings).map(|()| timeout_s))
            .and_then(|timeout_s| keep(&*device).map(|()| timeout_s))
            .map(promise_ms)
            .and_then(|promise| {
                let noted = files::write(&note, promise.to_string().as_bytes(), 0o644);
                noted.map(|()| promise).map_err(|e| e.to_string())
            });
        match &promise {
            Ok(ms) => tracing::info!(
                "The watchdog is armed; without a fence device the others may recover from this host {} s after its lease.",
                ms.div_ceil(1000)
            ),
            Err(why) => tracing::info!(
                "The watchdog is armed: it resets this host when the daemon hangs. Nobody's recovery counts on it: {why}."
            ),
        }
        Self {
            device: Some(device),
            promise_ms: promise.ok(),
            note: Some(note),
            ..Self::default()
        }
    }

    /// How long after what the core allowed this host has surely been reset.
    #[must_use]
    pub fn promise_ms(&self) -> Option<u64> {
        self.promise_ms
    }

    /// The core allows to feed it until then, or not beyond it any more.
    pub fn allow_until(&mut self, until: Millis) {
        self.until = Some(until);
    }

    /// Feeds it when it is time. An error: others count on what does not work.
    pub fn feed(&mut self, now: Millis) -> Result<(), String> {
        let is_due = self.fed.is_none_or(|fed| now.since(fed) >= FEED_MS);
        let is_allowed = match self.promise_ms {
            Some(_) => self.until.is_some_and(|until| now < until),
            None => true,
        };
        let Some(device) = self.device.as_mut().filter(|_| is_due && is_allowed) else {
            return Ok(());
        };
        self.fed = Some(now);
        let Err(e) = device.feed() else {
            self.has_failed = false;
            return Ok(());
        };
        if !self.has_failed {
            self.has_failed = true;
            tracing::error!("The watchdog cannot be fed ({e}): it may reset this host.");
        }
        match (self.promise_ms, &self.note) {
            (Some(_), Some(note)) => {
                // Without the note the next session finds out by itself.
                let _ = files::write(note, BROKEN.as_bytes(), 0o644);
                Err(format!(
                    "the watchdog that others count on cannot be fed: {e}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Disarms it: this node has left in good order.
    pub fn disarm(mut self) {
        let Some(device) = &mut self.device else {
            return;
        };
        if let Err(e) = device.release() {
            tracing::error!("The watchdog cannot be disarmed ({e}): it may reset this host.");
            return;
        }
        if self.promise_ms.is_some() {
            let name = sd_notify::NotifyState::FdName(KEPT_AS);
            let _ = sd_notify::notify(&[sd_notify::NotifyState::FdStoreRemove, name]);
        }
        if let Some(note) = &self.note {
            let _ = files::remove(note);
        }
    }
}

/// Programs the device; the time that it says it uses.
fn programmed(device: &dyn WatchdogDevice, seconds: u32) -> Result<u32, String> {
    device
        .set_timeout(seconds)
        .map_err(|e| format!("its time cannot be set: {e}"))?;
    let real = device
        .timeout()
        .map_err(|e| format!("it does not tell its time: {e}"))?;
    match real {
        0..TIMEOUT_S_MIN => Err(format!(
            "its time is {real} s, too short to be fed reliably"
        )),
        real if real > seconds.saturating_mul(4) => {
            Err(format!("it was told {seconds} s and uses {real} s"))
        }
        real => Ok(real),
    }
}

/// Whether others may count on it.
fn may_count(
    device: &dyn WatchdogDevice,
    config: &NodeConfig,
    around: Surroundings,
) -> Result<(), String> {
    match config.watchdog_counts {
        Some(true) => return Ok(()),
        Some(false) => return Err("`watchdog_counts = false` in node.toml".to_owned()),
        None => {}
    }
    let name = device
        .identity()
        .map_err(|e| format!("it does not tell what it is: {e}"))?;
    if name.eq_ignore_ascii_case("Software Watchdog") {
        return Err("it is the kernel's own timer, which stops with the kernel".to_owned());
    }
    if around.is_virtual {
        return Err(
            "this host is a virtual machine, and a paused one pauses its watchdog".to_owned(),
        );
    }
    Ok(())
}

fn promise_ms(timeout_s: u32) -> u64 {
    3 * u64::from(timeout_s) * 1000 + MARGIN_MS
}

/// The device that the service manager kept for this session.
fn kept_descriptor() -> Option<RawFd> {
    let mut passed = sd_notify::listen_fds_with_names().ok()?;
    passed
        .find(|(_, name)| name == KEPT_AS)
        .map(|(descriptor, _)| descriptor)
}

/// Has the service manager keep the open device.
fn keep(device: &dyn WatchdogDevice) -> Result<(), String> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Err("no service manager keeps it open when the daemon dies".to_owned());
    }
    let descriptor = device.descriptor().ok_or("it has no descriptor")?;
    let state = [
        sd_notify::NotifyState::FdStore,
        sd_notify::NotifyState::FdName(KEPT_AS),
    ];
    sd_notify::notify_with_fds(&state, &[descriptor])
        .map_err(|e| format!("the service manager does not keep it: {e}"))
}

/// The processor says so to a guest.
fn is_virtual() -> bool {
    let text = files::read(Path::new("/proc/cpuinfo"))
        .ok()
        .flatten()
        .unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests;
