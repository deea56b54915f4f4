//! The daemon's shell: starts the node, feeds it, and carries its effects out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use quorate_core::event::{Effect, Event, LogLevel};
use quorate_core::ids::{BatchId, Incarnation, NodeName, RaftId, Session};
use quorate_core::start::{Founder, Genesis, Identity, Inventory, Start, Timing};
use quorate_core::store;

use super::power::WATCHDOG_MS;
use super::{Happening, World};
use crate::disk::Crash;
use crate::machine::{Daemon, Held};
use crate::network::{LINKS, Wire};
use crate::rng::{Rate, mix};
use crate::time::MS;
use crate::truth::{Fact, Host};

impl World<'_> {
    /// A machine as the others write it down.
    pub(crate) fn founder(&self, host: Host) -> Founder {
        Founder {
            name: NodeName(host.to_string()),
            raft_id: RaftId(host.0 as u64 + 1),
            addresses: (0..LINKS)
                .map(|link| format!("{host}-{link}:7410"))
                .collect(),
            fingerprint: String::new(),
            is_witness: self.scenario.shape.is_witness(host),
        }
    }

    /// What every founding node writes down.
    pub(crate) fn identity(&self, host: Host) -> Identity {
        if let Some(identity) = &self.racks[host.0].identity {
            return identity.clone();
        }
        let shape = &self.scenario.shape;
        let founders = (0..shape.machines())
            .map(Host)
            .map(|host| self.founder(host))
            .collect();
        Identity {
            cluster: "sim".to_owned(),
            lineage: quorate_core::ids::Lineage(1),
            raft_id: RaftId(host.0 as u64 + 1),
            genesis: Some(Genesis {
                founders,
                configuration: shape.configuration(1),
            }),
            contacts: Vec::new(),
        }
    }

    /// `init` on a machine: its disk gets its identity.
    pub(crate) fn found(&mut self, host: Host) {
        let identity = self.identity(host);
        let disk = self.racks[host.0]
            .disk
            .clone()
            .expect("every machine has a disk");
        let name = NodeName(host.to_string());
        if let Err(error) = store::initialise(disk.open(), &name, &identity) {
            self.violate("founding", format!("{host}: {error}"));
        }
        disk.settle();
    }

    /// The service manager starts the daemon.
    pub(crate) fn daemon_starts(&mut self, host: Host, powers: u64) {
        let rack = &mut self.racks[host.0];
        let machine = &self.truth.machines[host.0];
        if rack.powers != powers || !machine.booted || rack.daemon.is_some() || rack.stays_down {
            return;
        }
        if machine.paused {
            self.queue.push(
                self.truth.now + 100 * MS,
                Happening::DaemonStarts { host, powers },
            );
            return;
        }
        rack.lives += 1;
        rack.session = Session(mix(rack.boot.0 ^ rack.lives) >> 1);
        let life = rack.lives;
        let handle = rack.disk.as_ref().expect("every machine has a disk").open();
        let (store, saved) = match store::open(handle) {
            Ok(opened) => opened,
            Err(error) => {
                self.say(host, || format!("the daemon does not start: {error}"));
                self.queue.push(
                    self.truth.now + 2_000 * MS,
                    Happening::DaemonStarts { host, powers },
                );
                return;
            }
        };
        self.start_brain(host, life, store, saved);
    }

    fn start_brain(&mut self, host: Host, life: u64, store: store::Store, saved: store::Saved) {
        let identity = self.identity(host);
        let watchdog = self.scenario.shape.watchdog;
        let rack = &mut self.racks[host.0];
        let session = rack.session;
        let runs = rack.found_runs(life);
        let start = Start {
            name: NodeName(host.to_string()),
            incarnation: Incarnation {
                boot: rack.boot,
                session,
            },
            identity,
            seed: mix(session.0),
            saved,
            inventory: Inventory {
                remembered: rack.tmpfs.clone(),
                running: runs
                    .iter()
                    .filter(|found| found.result.is_none())
                    .map(|found| found.run)
                    .collect(),
            },
            timing: Timing {
                watchdog_ms: watchdog.then_some(WATCHDOG_MS),
                ..Timing::default()
            },
        };
        let now = rack.clock.read(self.truth.now);
        let maker = self.maker;
        let started = catch_unwind(AssertUnwindSafe(|| maker.start(start, now)));
        let (brain, effects) = match started {
            Ok(started) => started,
            Err(panic) => return self.panicked(host, panic.as_ref()),
        };
        self.racks[host.0].daemon = Some(Daemon {
            brain,
            store,
            waiting: VecDeque::new(),
            writing: false,
            planned: u64::MAX,
        });
        self.truth.machines[host.0].daemon = true;
        self.disturb(host);
        self.say(host, || format!("daemon starts, session {:x}", session.0));
        self.fact(&Fact::DaemonUp { host, session });
        self.carry_out(host, life, effects);
        self.step(host, Event::Inventory(runs));
    }

    fn panicked(&mut self, host: Host, panic: &(dyn std::any::Any + Send)) {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "panic".to_owned());
        self.violate("panic", format!("{host}: {text}"));
    }

    /// The daemon dies; what it had started goes on.
    pub(crate) fn daemon_dies(&mut self, host: Host, why: &str) {
        let rack = &mut self.racks[host.0];
        if rack.daemon.is_none() {
            return;
        }
        rack.lives += 1;
        rack.held.retain(|held| matches!(held, Held::RunEnds(_)));
        if let Some(disk) = &rack.disk {
            disk.crash(Crash::Process);
        }
        rack.daemon = None;
        self.truth.machines[host.0].daemon = false;
        self.disturb(host);
        self.starves_watchdog(host);
        self.say(host, || format!("DAEMON DOWN: {why}"));
        let why = why.to_owned();
        self.fact(&Fact::DaemonDown { host, why });
    }

    /// A tick is due.
    pub(crate) fn wake(&mut self, host: Host, life: u64) {
        let rack = &self.racks[host.0];
        let due = rack.lives == life
            && rack
                .daemon
                .as_ref()
                .is_some_and(|daemon| daemon.planned <= self.truth.now);
        if due
            && self.truth.machines[host.0].paused
            && let Some(daemon) = &mut self.racks[host.0].daemon
        {
            // It is late when the machine goes on.
            daemon.planned = u64::MAX;
            return;
        }
        if !due {
            return;
        }
        if let Some(daemon) = &mut self.racks[host.0].daemon {
            daemon.planned = u64::MAX;
        }
        self.step(host, Event::Tick);
    }

    /// Plans the tick that the node wants.
    pub(crate) fn plan_wake(&mut self, host: Host) {
        let rack = &mut self.racks[host.0];
        let life = rack.lives;
        let Some(daemon) = &mut rack.daemon else {
            return;
        };
        let deadline = daemon.brain.deadline();
        if deadline.0 == u64::MAX {
            return;
        }
        let at = rack.clock.when(deadline).max(self.truth.now + 1);
        if at < daemon.planned {
            daemon.planned = at;
            self.queue.push(at, Happening::Wake { host, life });
        }
    }

    /// One step of the node.
    pub(crate) fn step(&mut self, host: Host, event: Event) {
        let rack = &mut self.racks[host.0];
        let life = rack.lives;
        let now = rack.clock.read(self.truth.now);
        let Some(daemon) = &mut rack.daemon else {
            return;
        };
        let brain = &mut daemon.brain;
        match catch_unwind(AssertUnwindSafe(|| brain.step(now, event))) {
            Ok(effects) => self.carry_out(host, life, effects),
            Err(panic) => self.panicked(host, panic.as_ref()),
        }
        self.plan_wake(host);
    }

    fn carry_out(&mut self, host: Host, life: u64, effects: Vec<Effect>) {
        for effect in effects {
            if self.racks[host.0].lives != life || self.violation.is_some() {
                return;
            }
            match effect {
                Effect::Send { to, link, bytes } => self.send(host, &to, link.map(|l| l.0), bytes),
                Effect::Persist(batch) => {
                    if let Some(daemon) = &mut self.racks[host.0].daemon {
                        daemon.waiting.push_back(batch);
                    }
                    self.write_next(host);
                }
                Effect::Peers(_) | Effect::Alert(_) | Effect::NodeDead { .. } => {}
                Effect::RunAgent { run, call } => self.run_agent(host, run, call),
                Effect::KillAgent(run) => self.kill_agent(host, run),
                Effect::Remember {
                    key,
                    value: Some(value),
                } => {
                    self.racks[host.0].tmpfs.insert(key, value);
                }
                Effect::Remember { key, value: None } => {
                    self.racks[host.0].tmpfs.remove(&key);
                }
                Effect::Reply { client, response } => self.replied(host, client, response),
                Effect::Log { level, text } => {
                    if level >= LogLevel::Info {
                        self.say(host, || format!("[{level:?}] {text}"));
                    }
                }
                Effect::WatchdogUntil(until) => {
                    let until = self.racks[host.0].clock.when(until);
                    self.feeds_watchdog(host, until);
                }
                Effect::Halt { reason, clean } => self.halted(host, &reason, clean),
            }
        }
    }

    fn halted(&mut self, host: Host, reason: &str, clean: bool) {
        if clean {
            // In good order it is disarmed.
            self.racks[host.0].watchdog = None;
        }
        self.daemon_dies(host, &format!("it halts: {reason}"));
        let powers = self.racks[host.0].powers;
        if clean && !self.truth.quiet {
            self.situation("drained");
            self.racks[host.0].stays_down = true;
            return;
        }
        let at = self.truth.now + self.chance.between(200, 2_000) * MS;
        self.queue
            .push(at, Happening::DaemonStarts { host, powers });
    }

    fn send(&mut self, from: Host, to: &NodeName, link: Option<u8>, bytes: Vec<u8>) {
        let Some(to) = self.names.get(to).copied() else {
            return;
        };
        let link = link.unwrap_or_else(|| self.net.best_link(from, to));
        let wire = Wire { from, to, link };
        let bytes: Rc<[u8]> = bytes.into();
        for at in self.net.arrivals(wire, self.truth.now) {
            let bytes = Rc::clone(&bytes);
            self.queue.push(at, Happening::Arrive { wire, bytes });
        }
    }

    /// Begins the next write, where none is under way.
    fn write_next(&mut self, host: Host) {
        let rack = &mut self.racks[host.0];
        let life = rack.lives;
        let Some(daemon) = &mut rack.daemon else {
            return;
        };
        if daemon.writing {
            return;
        }
        // As the daemon's writer does it: what waits is committed together, sometimes.
        let together = if self.disk_chance.chance(Rate::percent(50)) {
            daemon.waiting.len()
        } else {
            1
        };
        let batches: Vec<_> = daemon
            .waiting
            .drain(..together.min(daemon.waiting.len()))
            .collect();
        let Some(id) = batches.last().map(|batch| batch.id) else {
            return;
        };
        daemon.writing = true;
        let result = daemon
            .store
            .commit_all(&batches)
            .map(|()| id)
            .map_err(|error| error.to_string());
        let mut takes = self.disk_chance.between(100, 1_500);
        if rack.slow > 0 {
            takes += self.disk_chance.between(20, 700) * MS;
        }
        let at = self.truth.now + takes;
        self.queue
            .push(at, Happening::Written { host, life, result });
    }

    /// A write ended: it is durable from now on.
    pub(crate) fn written(&mut self, host: Host, life: u64, result: Result<BatchId, String>) {
        if self.racks[host.0].lives != life {
            return;
        }
        if self.truth.machines[host.0].paused {
            self.racks[host.0].held.push(Held::Written(life, result));
            return;
        }
        let rack = &mut self.racks[host.0];
        if let Some(disk) = &rack.disk
            && result.is_ok()
        {
            disk.settle();
        }
        if let Some(daemon) = &mut rack.daemon {
            daemon.writing = false;
        }
        let event = match result {
            Ok(id) => Event::Durable(id),
            Err(reason) => {
                self.situation("a write failed");
                self.say(host, || format!("the disk fails: {reason}"));
                Event::StoreFailed(reason)
            }
        };
        // The next write begins before the node hears of this one: as two threads do it.
        self.write_next(host);
        self.step(host, event);
    }
}
