//! The world: virtual time, machines, and the code under test on them, in one thread.

mod agents;
mod daemon;
mod faults;
mod operator;
mod power;
mod quiet;

use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::admin::Request;
use quorate_core::event::{Event, Link};
use quorate_core::ids::NodeName;
use quorate_core::start::Identity;

use crate::brain::Maker;
use crate::checkers::{self, Checker, Violation};
use crate::disk::Disk;
use crate::machine::{Held, Rack};
use crate::network::{Network, Wire};
use crate::queue::Queue;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::time::{Clock, MS, SECOND, Time};
use crate::trace::Trace;
use crate::truth::{Fact, Host, Machine, Truth};

/// Steps of one run at most: a world that spins is a violation, too.
const HAPPENINGS_MAX: u64 = 20_000_000;

/// Frames and events kept for a paused machine at most.
const HELD_MAX: usize = 20_000;

/// Something that is planned.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A tick is due.
    Wake { host: Host, life: u64 },
    /// A frame arrives.
    Arrive { wire: Wire, bytes: Rc<[u8]> },
    /// A write ends.
    Written {
        host: Host,
        life: u64,
        result: Result<quorate_core::ids::BatchId, String>,
    },
    /// An agent's run ends (by itself, or because its time is over).
    RunEnds { host: Host, powers: u64, run: u64 },
    /// A BMC does something.
    BmcActs { target: Host, on: bool },
    /// A machine has booted.
    Booted { host: Host, powers: u64 },
    /// The daemon starts.
    DaemonStarts { host: Host, powers: u64 },
    /// The power comes back by itself.
    PowerBack { host: Host },
    /// A scenario's step begins.
    Begins(usize),
    /// It heals.
    Heals(usize),
    /// The client of the log asks.
    Beat,
    /// The client of the database writes.
    Row,
    /// A client's request reaches a daemon.
    Asks {
        host: Host,
        client: u64,
        request: Request,
    },
    /// An operator has a machine admitted.
    AsksToJoin { host: Host },
    /// A machine that was admitted writes down who it is.
    Initialises { host: Host, identity: Identity },
    /// A watchdog looks when it was last fed.
    Watchdog { host: Host, powers: u64 },
    /// An operator asks again.
    AsksAgain { request: Request },
    /// An operator or client has waited long enough for a reply.
    GivesUp { client: u64 },
    /// All faults are over.
    Quiet,
    /// The operator takes back what was done during the faults.
    SetsRight,
    /// The operator looks after the cluster in the quiet phase.
    Looks,
}

/// What came out of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was violated, if anything, and when.
    pub violation: Option<(Violation, Time)>,
    /// Time that passed in the world.
    pub simulated: Time,
    /// Happenings.
    pub happenings: u64,
    /// What was seen: named situations and how often.
    pub situations: BTreeMap<&'static str, u64>,
    /// The trace, where it was kept.
    pub trace: Trace,
}

/// One run under way.
pub(crate) struct World<'m> {
    pub(crate) scenario: Scenario,
    pub(crate) maker: &'m dyn Maker,
    pub(crate) truth: Truth,
    pub(crate) racks: Vec<Rack>,
    pub(crate) net: Network,
    pub(crate) queue: Queue<Happening>,
    pub(crate) checkers: Vec<Box<dyn Checker>>,
    pub(crate) violation: Option<(Violation, Time)>,
    pub(crate) trace: Trace,
    pub(crate) situations: BTreeMap<&'static str, u64>,
    pub(crate) chance: Rng,
    pub(crate) agent_chance: Rng,
    pub(crate) disk_chance: Rng,
    pub(crate) names: BTreeMap<NodeName, Host>,
    pub(crate) runs: u64,
    pub(crate) rows: u64,
    pub(crate) clients: operator::Clients,
    pub(crate) ongoing: Vec<usize>,
    pub(crate) steady_since: Option<Time>,
    pub(crate) over: bool,
}

/// Runs a scenario to its end, or to the first violation.
#[must_use]
pub fn run(scenario: &Scenario, maker: &dyn Maker, trace: Trace) -> Outcome {
    let mut world = World::new(scenario, maker, trace);
    let mut happenings = 0;
    while !world.over && world.violation.is_none() {
        let Some((at, happening)) = world.queue.pop() else {
            break;
        };
        world.truth.now = at;
        happenings += 1;
        if happenings > HAPPENINGS_MAX {
            world.violate("bounded", format!("more than {HAPPENINGS_MAX} happenings"));
        }
        world.happen(happening);
    }
    Outcome {
        violation: world.violation,
        simulated: world.truth.now,
        happenings,
        situations: world.situations,
        trace: world.trace,
    }
}

impl<'m> World<'m> {
    fn new(scenario: &Scenario, maker: &'m dyn Maker, trace: Trace) -> Self {
        let origin = Rng::new(scenario.seed);
        let shape = &scenario.shape;
        let mut truth = Truth::default();
        let mut racks = Vec::new();
        let mut names = BTreeMap::new();
        for host in (0..shape.machines()).map(Host) {
            truth.machines.push(Machine {
                is_witness: shape.is_witness(host),
                ..Machine::default()
            });
            racks.push(Rack {
                disk: Some(Disk::new(origin.fork(&format!("disk {host}")).next_u64())),
                clock: Clock {
                    since: 0,
                    drift_ppm: scenario.drift_ppm.get(host.0).copied().unwrap_or(0),
                    wall_error_ms: 0,
                },
                ..Rack::default()
            });
            names.insert(NodeName(host.to_string()), host);
        }
        for resource in shape.resources() {
            truth.resources.insert(resource.name.clone(), resource);
        }
        let mut world = Self {
            scenario: scenario.clone(),
            maker,
            truth,
            racks,
            net: Network::new(scenario.network, origin.fork("network")),
            queue: Queue::default(),
            checkers: checkers::all(),
            violation: None,
            trace,
            situations: BTreeMap::new(),
            chance: origin.fork("world"),
            agent_chance: origin.fork("agents"),
            disk_chance: origin.fork("disks"),
            names,
            runs: 0,
            rows: 0,
            clients: operator::Clients::default(),
            ongoing: Vec::new(),
            steady_since: None,
            over: false,
        };
        world.plan_everything();
        world
    }

    fn plan_everything(&mut self) {
        for host in self.truth.hosts() {
            self.found(host);
            self.power_on(host);
        }
        for (number, step) in self.scenario.steps.iter().enumerate() {
            self.queue.push(step.at, Happening::Begins(number));
            self.queue
                .push(step.at + step.during, Happening::Heals(number));
        }
        self.queue
            .push(self.scenario.faults_until, Happening::Quiet);
        self.queue.push(5 * SECOND, Happening::Beat);
        self.queue.push(5 * SECOND, Happening::Row);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake { host, life } => self.wake(host, life),
            Happening::Arrive { wire, bytes } => self.arrive(wire, &bytes),
            Happening::Written { host, life, result } => self.written(host, life, result),
            Happening::RunEnds { host, powers, run } => self.run_ends(host, powers, run),
            Happening::BmcActs { target, on } => self.bmc_acts(target, on),
            Happening::Booted { host, powers } => self.booted(host, powers),
            Happening::DaemonStarts { host, powers } => self.daemon_starts(host, powers),
            Happening::PowerBack { host } => self.power_on(host),
            Happening::Begins(number) => self.step_begins(number),
            Happening::Heals(number) => self.step_heals(number),
            Happening::Beat => self.beat(),
            Happening::Row => self.row(),
            Happening::Asks {
                host,
                client,
                request,
            } => self.asks(host, client, request),
            Happening::AsksToJoin { host } => self.ask_for_token(host),
            Happening::Initialises { host, identity } => self.initialises(host, identity),
            Happening::Watchdog { host, powers } => self.watchdog_looks(host, powers),
            Happening::AsksAgain { request } => self.request(request, true),
            Happening::GivesUp { client } => self.gives_up(client),
            Happening::Quiet => self.quiet_begins(),
            Happening::SetsRight => self.set_right(),
            Happening::Looks => self.looks(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.truth.now
    }

    pub(crate) fn say(&mut self, host: Host, what: impl FnOnce() -> String) {
        if self.trace.is_kept() {
            self.trace.say(self.truth.now, &host.to_string(), what);
        }
    }

    pub(crate) fn say_world(&mut self, what: impl FnOnce() -> String) {
        self.trace.say(self.truth.now, "--", what);
    }

    pub(crate) fn situation(&mut self, name: &'static str) {
        *self.situations.entry(name).or_default() += 1;
    }

    pub(crate) fn violate(&mut self, checker: &'static str, what: String) {
        if self.violation.is_none() {
            self.say_world(|| format!("VIOLATION {checker}: {what}"));
            self.violation = Some((Violation { checker, what }, self.truth.now));
        }
    }

    /// Something happened: the checkers judge.
    pub(crate) fn fact(&mut self, fact: &Fact) {
        if matches!(fact, Fact::FenceAsked { .. } | Fact::WatchdogBites { .. }) {
            self.refresh_disturbed();
        }
        let mut broken = None;
        for checker in &mut self.checkers {
            if let Err(what) = checker.observe(&self.truth, fact) {
                broken = Some((checker.name(), what));
                break;
            }
        }
        if let Some((checker, what)) = broken {
            self.violate(checker, what);
        }
    }

    /// A fault touches this machine now.
    pub(crate) fn disturb(&mut self, host: Host) {
        self.truth.machines[host.0].disturbed = self.truth.now;
    }

    fn is_alive(&self, host: Host) -> bool {
        let machine = &self.truth.machines[host.0];
        machine.powered && machine.daemon && !machine.paused
    }

    fn is_isolated(&self, host: Host) -> bool {
        !self
            .truth
            .hosts()
            .any(|other| other != host && self.net.is_connected(host, other))
    }

    /// Brings up to date when each machine was last touched by a fault.
    pub(crate) fn refresh_disturbed(&mut self) {
        let rough = self.net.is_rough();
        for host in self.truth.hosts() {
            let rack = &self.racks[host.0];
            let cut_off = self.truth.hosts().any(|other| {
                other != host
                    && self.is_alive(other)
                    && !self.is_isolated(other)
                    && !self.net.is_connected(host, other)
            });
            if rough || rack.slow > 0 || !self.is_alive(host) || self.is_isolated(host) || cut_off {
                self.disturb(host);
            }
        }
    }

    /// Every machine's disturbance lasts until now, because something heals now.
    pub(crate) fn settle_disturbed(&mut self) {
        self.refresh_disturbed();
    }

    fn arrive(&mut self, wire: Wire, bytes: &Rc<[u8]>) {
        let host = wire.to;
        if !self.truth.machines[host.0].powered || self.racks[host.0].daemon.is_none() {
            return;
        }
        self.net.arrived(wire, self.truth.now);
        let event = Event::Frame {
            from: NodeName(wire.from.to_string()),
            link: Link(wire.link),
            bytes: bytes.to_vec(),
        };
        self.deliver(host, self.racks[host.0].lives, event);
    }

    /// Hands an event to the daemon, now or when the machine goes on.
    pub(crate) fn deliver(&mut self, host: Host, life: u64, event: Event) {
        if self.truth.machines[host.0].paused {
            let held = &mut self.racks[host.0].held;
            if held.len() < HELD_MAX {
                held.push(Held::Event(life, event));
            }
            return;
        }
        if self.racks[host.0].lives == life {
            self.step(host, event);
        }
    }

    /// A row is written through whoever holds the address, if all of the group works there.
    fn row(&mut self) {
        self.queue.push(self.now() + 500 * MS, Happening::Row);
        let holders = self.truth.running("address");
        // A frozen holder answers nobody; of two holders, the network picks one.
        let answering: Vec<Host> = holders
            .into_iter()
            .filter(|host| !self.truth.machines[host.0].paused)
            .filter(|host| {
                ["disk", "db"]
                    .iter()
                    .all(|name| self.truth.stage(*host, name) == crate::truth::Stage::Running)
            })
            .collect();
        if answering.is_empty() {
            return;
        }
        let host = *self.chance.pick(&answering);
        self.rows += 1;
        let row = self.rows;
        self.fact(&Fact::RowWritten { host, row });
    }
}
