//! A scenario's steps begin and heal.

use quorate_core::event::Event;

use super::{Happening, World};
use crate::machine::Held;
use crate::network::{LINKS, Wire};
use crate::scenario::{BmcManner, Fault};
use crate::time::MS;
use crate::truth::{Fact, Host, PowerCause, Stage};

fn wires(one: Host, other: Host, links: u8, one_way: bool) -> Vec<Wire> {
    let mut all = Vec::new();
    for link in (0..LINKS).filter(|link| links & (1 << link) != 0) {
        all.push(Wire {
            from: one,
            to: other,
            link,
        });
        if !one_way {
            all.push(Wire {
                from: other,
                to: one,
                link,
            });
        }
    }
    all
}

impl World<'_> {
    /// A step begins.
    pub(crate) fn step_begins(&mut self, number: usize) {
        if self.truth.quiet {
            return;
        }
        let fault = self.scenario.steps[number].fault.clone();
        self.ongoing.push(number);
        let during = self.scenario.steps[number].during / MS;
        self.say_world(|| format!("FAULT {fault:?} for {during} ms"));
        match fault {
            Fault::PowerLoss { host, bmc_too } => {
                if bmc_too {
                    self.racks[host.0].bmc.insert(0, BmcManner::Silent);
                }
                self.power_off(host, PowerCause::Outage);
            }
            Fault::Blackout => {
                for host in self.truth.hosts() {
                    self.power_off(host, PowerCause::Outage);
                }
            }
            Fault::DaemonKill(host) => self.daemon_dies(host, "killed"),
            Fault::Pause(host) => self.pauses(host),
            Fault::Cut {
                one,
                other,
                links,
                one_way,
            } => {
                for wire in wires(one, other, links, one_way) {
                    self.net.cut(wire);
                }
            }
            Fault::Isolate {
                host,
                links,
                from_bmcs,
            } => {
                for wire in self.isolating(host, links) {
                    self.net.cut(wire);
                }
                self.racks[host.0].cut_from_bmcs += u32::from(from_bmcs);
            }
            Fault::DiskSlow(host) => self.racks[host.0].slow += 1,
            Fault::DiskFull(host) => self.disk(host).set_full(true),
            Fault::SyncFails(host) => self.disk(host).fail_syncs(1),
            Fault::ProcessDies(resource) => self.process_dies(&resource),
            Fault::Agent { .. } => {}
            Fault::Bmc { host, manner } => self.racks[host.0].bmc.insert(0, manner),
            Fault::WallClock(host, error) => self.racks[host.0].clock.wall_error_ms = error,
            Fault::Operate(operation) => self.operate(&operation),
        }
    }

    fn disk(&self, host: Host) -> crate::disk::Disk {
        self.racks[host.0]
            .disk
            .clone()
            .expect("every machine has a disk")
    }

    fn isolating(&self, host: Host, links: u8) -> Vec<Wire> {
        self.truth
            .hosts()
            .filter(|other| *other != host)
            .flat_map(|other| wires(host, other, links, false))
            .collect()
    }

    fn process_dies(&mut self, resource: &str) {
        let can_die = self
            .truth
            .resources
            .get(resource)
            .is_some_and(|known| known.kind != crate::truth::Kind::Mount);
        for host in self.truth.running(resource) {
            if !can_die || self.truth.stage(host, resource) != Stage::Running {
                continue;
            }
            self.truth.machines[host.0].stages.remove(resource);
            self.fact(&Fact::ResourceDied {
                host,
                resource: resource.to_owned(),
            });
            let (life, resource) = (self.racks[host.0].lives, resource.to_owned());
            self.deliver(host, life, Event::ProcessExited { resource });
        }
    }

    fn pauses(&mut self, host: Host) {
        let machine = &mut self.truth.machines[host.0];
        if machine.powered {
            machine.paused = true;
            self.starves_watchdog(host);
            self.disturb(host);
            self.say(host, || "paused".to_owned());
        }
    }

    /// A paused machine goes on: what reached it meanwhile comes at once, in no particular order with its timers.
    pub(crate) fn goes_on(&mut self, host: Host) {
        if !std::mem::take(&mut self.truth.machines[host.0].paused) {
            return;
        }
        self.disturb(host);
        self.say(host, || "goes on".to_owned());
        let held = std::mem::take(&mut self.racks[host.0].held);
        let tick_first = self.chance.below(2) == 0;
        if tick_first {
            self.step(host, quorate_core::event::Event::Tick);
        }
        let powers = self.racks[host.0].powers;
        for held in held {
            match held {
                Held::Event(life, event) => self.deliver(host, life, event),
                Held::RunEnds(run) => {
                    let at = self.truth.now + self.chance.below(20 * MS);
                    self.queue
                        .push(at, Happening::RunEnds { host, powers, run });
                }
                Held::Written(life, result) => self.written(host, life, result),
            }
        }
        if !tick_first {
            self.step(host, quorate_core::event::Event::Tick);
        }
    }

    /// A step heals.
    pub(crate) fn step_heals(&mut self, number: usize) {
        let Some(position) = self.ongoing.iter().position(|other| *other == number) else {
            return;
        };
        self.settle_disturbed();
        self.ongoing.remove(position);
        let fault = self.scenario.steps[number].fault.clone();
        self.say_world(|| format!("HEALS {fault:?}"));
        match fault {
            Fault::PowerLoss { host, bmc_too } => {
                if bmc_too {
                    self.bmc_heals(host, BmcManner::Silent);
                }
                self.power_on(host);
            }
            Fault::Blackout => {
                for host in self.truth.hosts() {
                    self.power_on(host);
                }
            }
            Fault::DaemonKill(host) => {
                let powers = self.racks[host.0].powers;
                self.daemon_starts(host, powers);
            }
            Fault::Pause(host) => self.goes_on(host),
            Fault::Cut {
                one,
                other,
                links,
                one_way,
            } => {
                for wire in wires(one, other, links, one_way) {
                    self.net.heal(wire);
                }
            }
            Fault::Isolate {
                host,
                links,
                from_bmcs,
            } => {
                for wire in self.isolating(host, links) {
                    self.net.heal(wire);
                }
                self.racks[host.0].cut_from_bmcs -= u32::from(from_bmcs);
            }
            Fault::DiskSlow(host) => self.racks[host.0].slow -= 1,
            Fault::DiskFull(host) => self.disk(host).set_full(false),
            Fault::SyncFails(host) => self.disk(host).fail_syncs(0),
            Fault::Bmc { host, manner } => self.bmc_heals(host, manner),
            Fault::Operate(operation) => self.operation_heals(&operation),
            Fault::ProcessDies(_) | Fault::Agent { .. } | Fault::WallClock(..) => {}
        }
    }

    fn bmc_heals(&mut self, host: Host, manner: BmcManner) {
        let manners = &mut self.racks[host.0].bmc;
        if let Some(position) = manners.iter().position(|other| *other == manner) {
            manners.remove(position);
        }
    }
}
