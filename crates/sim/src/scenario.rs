//! What a run is made of, drawn from its seed: the cluster's shape, rates, and faults with their times.
//!
//! A scenario is plain data, so that a failing one can be shrunk by taking things out.

use crate::network::NetworkRates;
use crate::rng::{Rate, Rng};
use crate::time::{MS, SECOND, Time};
use crate::truth::{Host, Kind, Resource};

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Machines that run resources: 1 to 9.
    pub servers: usize,
    /// One more voter that runs none.
    pub witness: bool,
    /// Each machine has a BMC that every other may use.
    pub fencing: bool,
    /// Each machine has armed a watchdog; without BMCs, recovery rests on it.
    pub watchdog: bool,
    /// A process that runs on every server.
    pub clone: bool,
    /// Single processes beside the database's group.
    pub workers: usize,
}

impl Shape {
    /// All machines.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.servers + usize::from(self.witness)
    }

    /// This machine takes no resources.
    #[must_use]
    pub fn is_witness(&self, host: Host) -> bool {
        self.witness && host.0 == self.servers
    }

    /// The resources of the world.
    #[must_use]
    pub fn resources(&self) -> Vec<Resource> {
        let one = |name: &str, kind, after: Option<&str>| Resource {
            name: name.to_owned(),
            kind,
            after: after.map(str::to_owned),
            copies_max: 1,
        };
        let mut all = vec![
            one("disk", Kind::Mount, None),
            one("address", Kind::Address, Some("disk")),
            one("db", Kind::Database, Some("address")),
        ];
        for number in 1..=self.workers {
            all.push(one(&format!("worker{number}"), Kind::Process, None));
        }
        if self.clone {
            all.push(Resource {
                copies_max: self.servers,
                ..one("web", Kind::Process, None)
            });
        }
        all
    }

    /// The configuration in crm syntax; `revision` changes it a little.
    #[must_use]
    pub fn configuration(&self, revision: u64) -> String {
        let mut text = String::new();
        let agents = [
            ("disk", "Mount"),
            ("address", "Address"),
            ("db", "Database"),
        ];
        for (name, agent) in agents {
            text += &primitive(name, agent, revision);
        }
        text += "group service disk address db\n";
        for number in 1..=self.workers {
            text += &primitive(&format!("worker{number}"), "Process", revision);
        }
        if self.clone {
            text += &primitive("web", "Process", revision);
            text += "clone web-clone web\n";
        }
        if self.fencing {
            for host in (0..self.machines()).map(Host) {
                text += &format!(
                    "primitive fence-{host} stonith:external/ipmi \\\n\tparams hostname={host} ipaddr=bmc-{host} userid=admin passwd=secret interface=lanplus \\\n\top monitor interval=60s timeout=20s\n\
                     location fence-{host}-elsewhere fence-{host} -inf: {host}\n"
                );
            }
        }
        text += &format!(
            "property cib-bootstrap-options: \\\n\tstonith-enabled={} \\\n\tno-quorum-policy=stop \\\n\tstonith-timeout=30s\n",
            self.fencing || self.watchdog
        );
        text
    }
}

fn primitive(name: &str, agent: &str, revision: u64) -> String {
    format!(
        "primitive {name} ocf:sim:{agent} \\\n\tparams revision={revision} \\\n\top start timeout=10s interval=0 \\\n\top stop timeout=10s interval=0 \\\n\top monitor interval=5s timeout=5s\n"
    )
}

/// What becomes of a run of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It fails and changes nothing.
    Fails,
    /// It fails after it did its work.
    FailsLate,
    /// It never ends by itself.
    Hangs,
    /// It takes several seconds.
    Slow,
}

/// What is wrong with a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BmcManner {
    /// It does not answer.
    Silent,
    /// It answers late.
    Slow,
    /// It says yes to `off` and leaves the power on; reading the power back tells the truth.
    LiesYes,
    /// It says no, and powers off a little later.
    LiesNo,
    /// It says yes, and that the power is off, and leaves it on: no rule can see it before the node talks.
    LiesFully,
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Applies a changed configuration.
    Apply(u64),
    /// Puts a node in standby.
    Standby(Host),
    /// Takes it back.
    Online(Host),
    /// Moves a resource.
    Move(String, Host),
    /// Takes moves back.
    Clear(String),
    /// Fences a node.
    Fence(Host),
    /// Hands over the lead.
    Transfer(Host),
    /// Drains a node and stops its daemon; it is started again later.
    Shutdown(Host),
    /// Forgets failures.
    Cleanup,
    /// Probes everything anew.
    Reprobe,
    /// The machine is replaced by another of its name with an empty disk, which joins.
    Replace(Host),
}

/// Something bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The power of a machine goes, and of its BMC where they share it.
    PowerLoss {
        /// Which.
        host: Host,
        /// The BMC is without power, too.
        bmc_too: bool,
    },
    /// All machines lose their power at once.
    Blackout,
    /// The daemon is killed; the resources go on. It is back when the fault heals.
    DaemonKill(Host),
    /// The machine is stopped as a virtual machine is.
    Pause(Host),
    /// Wires between two machines are cut.
    Cut {
        /// One.
        one: Host,
        /// The other.
        other: Host,
        /// Which links: bits.
        links: u8,
        /// Only what `one` sends is lost.
        one_way: bool,
    },
    /// A machine's links are cut, to its BMCs' network too where `from_bmcs`.
    Isolate {
        /// Which.
        host: Host,
        /// Which links: bits.
        links: u8,
        /// It reaches no BMC either.
        from_bmcs: bool,
    },
    /// Syncing takes long.
    DiskSlow(Host),
    /// The disk cannot grow.
    DiskFull(Host),
    /// The next sync fails.
    SyncFails(Host),
    /// A process dies by itself, wherever it runs.
    ProcessDies(String),
    /// An agent's action is in trouble.
    Agent {
        /// Of which resource.
        resource: String,
        /// `start`, `stop` or `monitor`.
        action: &'static str,
        /// How.
        manner: Manner,
    },
    /// A BMC is in trouble.
    Bmc {
        /// Whose.
        host: Host,
        /// How.
        manner: BmcManner,
    },
    /// A wall clock is set wrong by so many milliseconds.
    WallClock(Host, i64),
    /// An operator does something.
    Operate(Operation),
}

/// A fault with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it begins.
    pub at: Time,
    /// How long it lasts, where it lasts.
    pub during: Time,
    /// What.
    pub fault: Fault,
}

/// Kinds of faults, each with a rate that the seed draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A machine loses its power.
    PowerLoss,
    /// All lose it at once.
    Blackout,
    /// A daemon is killed.
    DaemonKill,
    /// A machine is stopped for a while.
    Pause,
    /// Wires between two machines are cut.
    Cut,
    /// The same in one direction only.
    OneWayCut,
    /// All wires of a machine are cut.
    Isolate,
    /// Those to the BMCs, too.
    IsolateFromBmcs,
    /// Syncing takes long.
    DiskSlow,
    /// A disk cannot grow.
    DiskFull,
    /// A sync fails.
    SyncFails,
    /// A process dies.
    ProcessDies,
    /// An agent fails and does nothing.
    AgentFails,
    /// It fails after it did its work.
    AgentFailsLate,
    /// It hangs.
    AgentHangs,
    /// It takes long.
    AgentSlow,
    /// A BMC does not answer.
    BmcSilent,
    /// It answers late.
    BmcSlow,
    /// It says yes and does nothing.
    BmcLiesYes,
    /// It says no and does it later.
    BmcLiesNo,
    /// A wall clock is wrong.
    WallClock,
    /// An operator does something.
    Operator,
}

/// All kinds with their names.
pub const KINDS: [(FaultKind, &str); 22] = [
    (FaultKind::PowerLoss, "power-loss"),
    (FaultKind::Blackout, "blackout"),
    (FaultKind::DaemonKill, "daemon-kill"),
    (FaultKind::Pause, "pause"),
    (FaultKind::Cut, "cut"),
    (FaultKind::OneWayCut, "one-way-cut"),
    (FaultKind::Isolate, "isolate"),
    (FaultKind::IsolateFromBmcs, "isolate-from-bmcs"),
    (FaultKind::DiskSlow, "disk-slow"),
    (FaultKind::DiskFull, "disk-full"),
    (FaultKind::SyncFails, "sync-fails"),
    (FaultKind::ProcessDies, "process-dies"),
    (FaultKind::AgentFails, "agent-fails"),
    (FaultKind::AgentFailsLate, "agent-fails-late"),
    (FaultKind::AgentHangs, "agent-hangs"),
    (FaultKind::AgentSlow, "agent-slow"),
    (FaultKind::BmcSilent, "bmc-silent"),
    (FaultKind::BmcSlow, "bmc-slow"),
    (FaultKind::BmcLiesYes, "bmc-lies-yes"),
    (FaultKind::BmcLiesNo, "bmc-lies-no"),
    (FaultKind::WallClock, "wall-clock"),
    (FaultKind::Operator, "operator"),
];

/// How often each kind of fault happens: swarm testing, each seed switches most of them off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultRates(pub Vec<(FaultKind, Rate)>);

impl FaultRates {
    fn draw(rng: &mut Rng) -> Self {
        let drawn = KINDS
            .into_iter()
            .filter_map(|(kind, _)| {
                let weight = *rng.pick(&[0, 0, 0, 1, 3, 9]);
                (weight > 0).then_some((kind, weight))
            })
            .collect::<Vec<(FaultKind, u32)>>();
        let sum: u32 = drawn.iter().map(|(_, weight)| weight).sum();
        let rate = |weight: u32| Rate(weight * 1_000_000 / sum.max(1));
        Self(
            drawn
                .into_iter()
                .map(|(kind, weight)| (kind, rate(weight)))
                .collect(),
        )
    }

    fn pick(&self, rng: &mut Rng) -> Option<FaultKind> {
        let mut drawn = rng.below(1_000_000) as u32;
        for (kind, rate) in &self.0 {
            if drawn < rate.0 {
                return Some(*kind);
            }
            drawn -= rate.0;
        }
        self.0.last().map(|(kind, _)| *kind)
    }
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Where everything else is drawn from.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// What the network does all the time.
    pub network: NetworkRates,
    /// How often which fault happens.
    pub rates: FaultRates,
    /// Clock drift of each machine.
    pub drift_ppm: Vec<i64>,
    /// Faults, by time.
    pub steps: Vec<Step>,
    /// When all faults are healed.
    pub faults_until: Time,
    /// How long everything may take to run again.
    pub quiet_max: Time,
}

/// Which shapes are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shapes {
    /// All.
    #[default]
    Any,
    /// So many machines; a third one of two servers is a witness.
    Machines(usize),
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn draw(seed: u64, shapes: Shapes) -> Self {
        let origin = Rng::new(seed);
        let mut rng = origin.fork("scenario");
        let shape = draw_shape(&mut rng, shapes);
        let network = draw_network(&mut rng);
        let drift_ppm = (0..shape.machines())
            .map(|_| rng.between(0, 400) as i64 - 200)
            .collect();
        let rates = FaultRates::draw(&mut rng);
        let faults_until = rng.between(12, 60) * SECOND;
        let count = if rates.0.is_empty() {
            0
        } else {
            rng.between(2, 14)
        };
        let mut steps: Vec<Step> = (0..count)
            .filter_map(|_| draw_step(&mut rng, &shape, &rates, faults_until))
            .collect();
        steps.sort_by_key(|step| step.at);
        Self {
            seed,
            shape,
            network,
            rates,
            drift_ppm,
            steps,
            faults_until,
            quiet_max: 240 * SECOND,
        }
    }
}

fn draw_shape(rng: &mut Rng, shapes: Shapes) -> Shape {
    let (servers, witness) = match shapes {
        // Small clusters break in more ways an hour than large ones.
        Shapes::Any => *rng.pick(&[
            (1, false),
            (2, false),
            (2, false),
            (2, false),
            (2, false),
            (2, false),
            (2, false),
            (2, true),
            (2, true),
            (2, true),
            (2, true),
            (3, false),
            (3, false),
            (3, false),
            (3, false),
            (3, false),
            (3, false),
            (4, false),
            (4, false),
            (4, true),
            (5, false),
            (5, false),
            (6, true),
            (9, false),
        ]),
        Shapes::Machines(3) => *rng.pick(&[(3, false), (2, true)]),
        Shapes::Machines(count) => (count.clamp(1, 9), false),
    };
    let machines = servers + usize::from(witness);
    // A pair's vote is replaced by a confirmed power-off, and by nothing else.
    let watchdog = machines > 2 && rng.chance(Rate::percent(20));
    Shape {
        servers,
        witness,
        fencing: !watchdog,
        watchdog,
        clone: rng.chance(Rate::percent(25)),
        workers: rng.below(3) as usize,
    }
}

fn draw_network(rng: &mut Rng) -> NetworkRates {
    if rng.chance(Rate::percent(60)) {
        return NetworkRates::default();
    }
    NetworkRates {
        loss: Rate(*rng.pick(&[0, 1_000, 10_000, 50_000])),
        duplicate: Rate(*rng.pick(&[0, 1_000, 20_000])),
        straggle: Rate(*rng.pick(&[0, 1_000, 10_000, 50_000])),
    }
}

fn draw_step(rng: &mut Rng, shape: &Shape, rates: &FaultRates, until: Time) -> Option<Step> {
    // Times cluster: a second fault right after the first finds more than one an hour later.
    let at = if rng.chance(Rate::percent(50)) {
        rng.between(2_000, until / MS) * MS
    } else {
        let burst = rng.below(3) + 1;
        ((6 + 8 * burst) * SECOND + rng.below(4_000) * MS).min(until)
    };
    let during = match rng.below(4) {
        0 => rng.between(50, 900) * MS,
        1 => rng.between(900, 4_000) * MS,
        _ => rng.between(4_000, 30_000) * MS,
    };
    let kind = rates.pick(rng)?;
    let fault = draw_fault(rng, shape, kind)?;
    Some(Step { at, during, fault })
}

/// A fault of this kind, where the cluster has what it needs.
fn draw_fault(rng: &mut Rng, shape: &Shape, kind: FaultKind) -> Option<Fault> {
    let machines = shape.machines() as u64;
    let host = Host(rng.below(machines) as usize);
    let further = 1 + rng.below(machines.saturating_sub(1).max(1));
    let other = Host((host.0 + further as usize) % machines as usize);
    let links = *rng.pick(&[3, 3, 3, 1, 2]);
    let resources = shape.resources();
    let resource = rng.pick(&resources).name.clone();
    let action = ["start", "stop", "monitor"][rng.below(3) as usize];
    let agent = |manner| Fault::Agent {
        resource: resource.clone(),
        action,
        manner,
    };
    let bmc = |manner| Fault::Bmc { host, manner };
    let fault = match kind {
        FaultKind::Blackout => Fault::Blackout,
        FaultKind::PowerLoss => Fault::PowerLoss {
            host,
            bmc_too: rng.chance(Rate::percent(20)),
        },
        FaultKind::DaemonKill => Fault::DaemonKill(host),
        FaultKind::Pause => Fault::Pause(host),
        FaultKind::Cut | FaultKind::OneWayCut if host == other => return None,
        FaultKind::Cut | FaultKind::OneWayCut => Fault::Cut {
            one: host,
            other,
            links,
            one_way: kind == FaultKind::OneWayCut,
        },
        FaultKind::Isolate | FaultKind::IsolateFromBmcs => Fault::Isolate {
            host,
            links,
            from_bmcs: kind == FaultKind::IsolateFromBmcs,
        },
        FaultKind::DiskSlow => Fault::DiskSlow(host),
        FaultKind::DiskFull => Fault::DiskFull(host),
        FaultKind::SyncFails => Fault::SyncFails(host),
        FaultKind::ProcessDies => Fault::ProcessDies(resource),
        FaultKind::AgentFails => agent(Manner::Fails),
        FaultKind::AgentFailsLate => agent(Manner::FailsLate),
        FaultKind::AgentHangs => agent(Manner::Hangs),
        FaultKind::AgentSlow => agent(Manner::Slow),
        FaultKind::BmcSilent => bmc(BmcManner::Silent),
        FaultKind::BmcSlow => bmc(BmcManner::Slow),
        FaultKind::BmcLiesYes => bmc(BmcManner::LiesYes),
        FaultKind::BmcLiesNo => bmc(BmcManner::LiesNo),
        FaultKind::WallClock => {
            Fault::WallClock(host, rng.between(0, 7_200_000) as i64 - 3_600_000)
        }
        FaultKind::Operator => Fault::Operate(draw_operation(rng, shape, host, resource)),
    };
    Some(fault)
}

fn draw_operation(rng: &mut Rng, shape: &Shape, host: Host, resource: String) -> Operation {
    let server = Host(host.0.min(shape.servers - 1));
    match rng.below(12) {
        0 => Operation::Apply(rng.between(2, 99)),
        1 => Operation::Standby(server),
        2 => Operation::Online(server),
        3 => Operation::Move(resource, server),
        4 => Operation::Clear(resource),
        5 => Operation::Fence(host),
        6 => Operation::Transfer(host),
        7 => Operation::Shutdown(host),
        8 => Operation::Cleanup,
        9 | 10 => Operation::Replace(host),
        _ => Operation::Reprobe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_scenario() {
        for seed in 0..50 {
            let one = Scenario::draw(seed, Shapes::Any);
            assert_eq!(one, Scenario::draw(seed, Shapes::Any));
            assert!(one.steps.iter().all(|step| step.at <= one.faults_until));
        }
    }
}
