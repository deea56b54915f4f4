//! Power, boots, watchdogs and BMCs.

use quorate_core::ids::Boot;

use super::{Happening, World};
use crate::disk::Crash;
use crate::rng::mix;
use crate::time::{MS, SECOND, Time};
use crate::truth::{Fact, Host, PowerCause};

/// The time of a watchdog.
pub(crate) const WATCHDOG_MS: u64 = 5_000;

impl World<'_> {
    /// The machine gets power and boots.
    pub(crate) fn power_on(&mut self, host: Host) {
        let machine = &mut self.truth.machines[host.0];
        if machine.powered || self.racks[host.0].joins {
            return;
        }
        machine.powered = true;
        let rack = &mut self.racks[host.0];
        rack.powers += 1;
        let powers = rack.powers;
        let boots_at = if self.truth.now == 0 {
            self.chance.below(2_000) * MS
        } else {
            self.truth.now + self.chance.between(3_000, 15_000) * MS
        };
        self.say(host, || "power on".to_owned());
        self.queue
            .push(boots_at, Happening::Booted { host, powers });
    }

    /// The machine has booted: a new boot number, a new clock, an empty tmpfs.
    pub(crate) fn booted(&mut self, host: Host, powers: u64) {
        let rack = &mut self.racks[host.0];
        if rack.powers != powers || !self.truth.machines[host.0].powered {
            return;
        }
        rack.boot = Boot(mix(self.scenario.seed ^ mix(powers << 8 | host.0 as u64)) >> 1);
        rack.clock.since = self.truth.now;
        rack.tmpfs.clear();
        rack.journal.clear();
        rack.stays_down = false;
        let boot = rack.boot;
        self.truth.machines[host.0].booted = true;
        self.disturb(host);
        self.say(host, || format!("booted, boot {:x}", boot.0));
        self.fact(&Fact::Booted { host, boot });
        let at = self.truth.now + self.chance.between(50, 500) * MS;
        self.queue
            .push(at, Happening::DaemonStarts { host, powers });
    }

    /// The machine is without power from now on.
    pub(crate) fn power_off(&mut self, host: Host, cause: PowerCause) {
        let machine = &mut self.truth.machines[host.0];
        if !machine.powered {
            return;
        }
        machine.powered = false;
        machine.booted = false;
        machine.paused = false;
        machine.daemon = false;
        machine.stages.clear();
        machine.belied = false;
        let rack = &mut self.racks[host.0];
        rack.powers += 1;
        rack.lives += 1;
        rack.held.clear();
        rack.runs.clear();
        rack.tmpfs.clear();
        rack.watchdog = None;
        if let Some(disk) = &rack.disk {
            disk.crash(Crash::Power);
        }
        rack.daemon = None;
        self.disturb(host);
        self.say(host, || format!("POWER OFF ({cause:?})"));
        self.fact(&Fact::PowerOff { host, cause });
    }

    /// A BMC switches.
    pub(crate) fn bmc_acts(&mut self, target: Host, on: bool) {
        if on {
            if !self.racks[target.0].stays_down || self.truth.quiet {
                self.power_on(target);
            }
        } else {
            self.power_off(target, PowerCause::Fenced);
        }
    }

    /// The daemon feeds the watchdog until then, or not beyond it any more.
    pub(crate) fn feeds_watchdog(&mut self, host: Host, until: Time) {
        let now = self.truth.now;
        let rack = &mut self.racks[host.0];
        // What was fed up to now cannot be taken back.
        let fed = rack.watchdog.unwrap_or(now).min(now);
        let until = until.max(fed);
        rack.watchdog = Some(until);
        let powers = rack.powers;
        self.queue.push(
            until.max(now) + WATCHDOG_MS * MS,
            Happening::Watchdog { host, powers },
        );
    }

    /// Nobody feeds it from now on: the daemon is dead, or the machine is frozen.
    pub(crate) fn starves_watchdog(&mut self, host: Host) {
        let now = self.truth.now;
        if let Some(until) = self.racks[host.0].watchdog {
            self.feeds_watchdog(host, until.min(now));
        }
    }

    /// The watchdog resets the machine when it was not fed for its time.
    pub(crate) fn watchdog_looks(&mut self, host: Host, powers: u64) {
        let rack = &self.racks[host.0];
        let is_hungry = rack
            .watchdog
            .is_some_and(|until| until + WATCHDOG_MS * MS <= self.truth.now);
        if rack.powers != powers || !is_hungry {
            return;
        }
        self.situation("a watchdog reset a machine");
        self.say(host, || "the watchdog resets the machine".to_owned());
        self.fact(&Fact::WatchdogBites { host });
        self.power_off(host, PowerCause::Watchdog);
        self.queue
            .push(self.truth.now + SECOND, Happening::PowerBack { host });
    }
}
