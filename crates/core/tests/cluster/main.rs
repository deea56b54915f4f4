//! Whole nodes, the real engine included, over a network of one millisecond and disks of one millisecond.

mod cases;
mod notifications;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_core::admin::{Request, Response};
use quorate_core::event::{AgentCall, AgentResult, Effect, Event, Link, Outcome};
use quorate_core::ids::{
    BatchId, Boot, ClientId, Incarnation, Lineage, Millis, NodeName, Now, RaftId, RunId, Session,
};
use quorate_core::node::Node;
use quorate_core::start::{Founder, Genesis, Identity, Inventory, Start, Timing};
use quorate_core::state::ClusterState;
use quorate_core::store::{Batch, Saved, StoreOp};

/// What arrives at a host.
enum Arrival {
    Frame(String, Link, Vec<u8>),
    Durable(BatchId),
    AgentDone(RunId, Box<AgentCall>),
}

struct Host {
    node: Option<Node>,
    is_powered: bool,
    is_cut_off: bool,
    boot: u64,
    session: u64,
    saved: Saved,
    tmpfs: BTreeMap<String, Vec<u8>>,
    active: BTreeSet<String>,
    promoted: BTreeSet<String>,
}

/// Hosts, their network, their agents and power switches.
struct Cluster {
    hosts: BTreeMap<String, Host>,
    genesis: Genesis,
    /// By time and order: to whom (and in which life), what.
    queue: BTreeMap<(u64, u64), (String, u64, Arrival)>,
    order: u64,
    now: u64,
    steps: u64,
    trace: Vec<String>,
    replies: VecDeque<Response>,
    next_client: u64,
    dead_bmcs: BTreeSet<String>,
    /// Actions that take longer than 10 ms.
    slow: BTreeMap<&'static str, u64>,
}

/// More steps than any of these tests needs: two parts answer each other for ever.
const STEPS_MAX: u64 = 200_000;

impl Cluster {
    fn new(names: &[&str], configuration: &str) -> Self {
        let founders: Vec<Founder> = names
            .iter()
            .zip(1..)
            .map(|(name, id)| Founder {
                name: NodeName::from(*name),
                raft_id: RaftId(id),
                addresses: vec![format!("{name}:1")],
                fingerprint: String::new(),
                is_witness: name.starts_with('w'),
            })
            .collect();
        let genesis = Genesis {
            founders,
            configuration: configuration.to_owned(),
        };
        let mut cluster = Self {
            hosts: BTreeMap::new(),
            genesis,
            queue: BTreeMap::new(),
            order: 0,
            now: 1_000_000,
            steps: 0,
            trace: Vec::new(),
            replies: VecDeque::new(),
            next_client: 1,
            dead_bmcs: BTreeSet::new(),
            slow: BTreeMap::new(),
        };
        for name in names {
            let host = Host {
                node: None,
                is_powered: true,
                is_cut_off: false,
                boot: 0,
                session: 0,
                saved: Saved::default(),
                tmpfs: BTreeMap::new(),
                active: BTreeSet::new(),
                promoted: BTreeSet::new(),
            };
            cluster.hosts.insert((*name).to_owned(), host);
            cluster.power_on(name);
        }
        cluster
    }

    fn clock(&self) -> Now {
        Now {
            mono: Millis(self.now),
            wall_ms: 1_700_000_000_000 + i64::try_from(self.now).expect("small"),
        }
    }

    fn power_on(&mut self, name: &str) {
        let host = self.hosts.get_mut(name).expect("known host");
        host.is_powered = true;
        host.boot += 1;
        self.say(&format!("{name} boots"));
        self.start_daemon(name);
    }

    fn start_daemon(&mut self, name: &str) {
        let now = self.clock();
        let raft_id = self
            .genesis
            .founders
            .iter()
            .find(|founder| founder.name.0 == name)
            .map_or(RaftId(0), |founder| founder.raft_id);
        let identity = Identity {
            cluster: "test".to_owned(),
            lineage: Lineage(7),
            raft_id,
            genesis: Some(self.genesis.clone()),
            contacts: Vec::new(),
        };
        let host = self.hosts.get_mut(name).expect("known host");
        host.session += 1;
        if host.saved == Saved::default() {
            let founding = quorate_core::consensus::saved::founding_batch(&name.into(), &identity);
            save(&mut host.saved, founding);
        }
        let start = Start {
            name: NodeName::from(name),
            incarnation: Incarnation {
                boot: Boot(raft_id.0 * 1_000 + host.boot),
                session: Session(raft_id.0 * 1_000 + host.session),
            },
            identity,
            seed: raft_id.0 * 77 + host.session,
            saved: host.saved.clone(),
            inventory: Inventory {
                remembered: host.tmpfs.clone(),
                running: Vec::new(),
            },
            timing: Timing::default(),
        };
        let (node, effects) = Node::start_with(start, now, quorate_policy::schedule);
        host.node = Some(node);
        self.effects(name, effects);
        self.step(name, Event::Inventory(Vec::new()));
    }

    /// Power is gone: memory, processes, tmpfs; the disk stays.
    fn cut(&mut self, name: &str) {
        self.say(&format!("power of {name} is gone"));
        let host = self.hosts.get_mut(name).expect("known host");
        host.is_powered = false;
        host.node = None;
        host.active.clear();
        host.promoted.clear();
        host.tmpfs.clear();
        host.session += 1;
    }

    fn kill_daemon(&mut self, name: &str) {
        self.say(&format!("daemon of {name} is killed"));
        let host = self.hosts.get_mut(name).expect("known host");
        host.node = None;
    }

    /// Its cables are pulled.
    fn cut_off(&mut self, name: &str) {
        self.say(&format!("{name} is cut off"));
        self.hosts.get_mut(name).expect("known host").is_cut_off = true;
    }

    fn say(&mut self, text: &str) {
        self.trace
            .push(format!("{:>6} {text}", self.now - 1_000_000));
    }

    fn post(&mut self, after: u64, to: &str, arrival: Arrival) {
        self.order += 1;
        let session = self.hosts[to].session;
        let key = (self.now + after, self.order);
        self.queue.insert(key, (to.to_owned(), session, arrival));
    }

    fn step(&mut self, name: &str, event: Event) {
        let now = self.clock();
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "no end\n{}", self.text());
        let Some(node) = self.hosts.get_mut(name).and_then(|host| host.node.as_mut()) else {
            return;
        };
        let effects = node.step(now, event);
        self.effects(name, effects);
    }

    fn effects(&mut self, name: &str, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, link, bytes } => {
                    let is_cut = self.hosts[name].is_cut_off
                        || self.hosts.get(&to.0).is_none_or(|host| host.is_cut_off);
                    if !is_cut {
                        let link = link.unwrap_or(Link(0));
                        self.post(1, &to.0, Arrival::Frame(name.to_owned(), link, bytes));
                    }
                }
                Effect::Persist(batch) => {
                    let id = batch.id;
                    let host = self.hosts.get_mut(name).expect("known host");
                    save(&mut host.saved, batch);
                    self.post(1, name, Arrival::Durable(id));
                }
                Effect::RunAgent { run, call } => {
                    let slow = self.slow.get(call.action.as_str()).copied();
                    let takes = slow.filter(|_| call.class == "ocf").unwrap_or(10);
                    self.post(takes, name, Arrival::AgentDone(run, Box::new(call)));
                }
                Effect::Remember { key, value } => {
                    let host = self.hosts.get_mut(name).expect("known host");
                    match value {
                        Some(value) => host.tmpfs.insert(key, value),
                        None => host.tmpfs.remove(&key),
                    };
                }
                Effect::Reply { response, .. } => self.replies.push_back(response),
                Effect::Halt { reason, clean } => {
                    self.say(&format!("{name} halts ({clean}): {reason}"));
                    let host = self.hosts.get_mut(name).expect("known host");
                    host.node = None;
                    host.session += 1;
                }
                Effect::NodeDead { node, .. } => self.say(&format!("{name} hangs up on {node}")),
                Effect::Log { text, .. } => self.say(&format!("[{name}] {text}")),
                _ => {}
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let arrival = self.queue.keys().next().map(|(at, _)| *at);
            let timer = self
                .hosts
                .values()
                .filter_map(|host| host.node.as_ref())
                .map(|node| node.deadline().0.max(self.now + 1))
                .min();
            let next = arrival.into_iter().chain(timer).min().unwrap_or(u64::MAX);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now);
            while let Some(entry) = self.queue.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (name, session, arrival) = entry.remove();
                if self.hosts[&name].session == session {
                    self.arrive(&name, arrival);
                }
            }
            let names: Vec<String> = self.hosts.keys().cloned().collect();
            for name in names {
                let node = self.hosts[&name].node.as_ref();
                if node.is_some_and(|node| node.deadline().0 <= self.now) {
                    self.step(&name, Event::Tick);
                }
            }
        }
    }

    fn arrive(&mut self, name: &str, arrival: Arrival) {
        match arrival {
            Arrival::Frame(from, link, bytes) => {
                let from = NodeName(from);
                self.step(name, Event::Frame { from, link, bytes });
            }
            Arrival::Durable(batch) => self.step(name, Event::Durable(batch)),
            Arrival::AgentDone(run, call) => {
                let rc = self.perform(name, &call);
                let result = AgentResult {
                    outcome: Outcome::Exited(rc),
                    exit_reason: String::new(),
                    output: String::new(),
                    took_ms: 10,
                    digests: None,
                };
                self.step(name, Event::AgentDone { run, result });
            }
        }
    }

    fn perform(&mut self, name: &str, call: &AgentCall) -> i32 {
        if call.action != "monitor" || call.interval_ms == 0 {
            self.say(&format!("{} {} {name}", call.resource, call.action));
        }
        if call.class == "stonith" {
            return self.switch(call);
        }
        notifications::perform(self, name, call);
        let host = self.hosts.get_mut(name).expect("known host");
        match call.action.as_str() {
            "start" => {
                host.active.insert(call.resource.clone());
                let holders = self
                    .hosts
                    .values()
                    .filter(|host| host.active.contains(&call.resource));
                // The one that the tests clone.
                let is_clone = call.resource == "mq";
                assert!(
                    is_clone || holders.count() == 1,
                    "{} twice\n{}",
                    call.resource,
                    self.text()
                );
                0
            }
            "stop" => {
                host.active.remove(&call.resource);
                0
            }
            "promote" => {
                host.promoted.insert(call.resource.clone());
                0
            }
            "demote" => {
                host.promoted.remove(&call.resource);
                0
            }
            "monitor" if host.promoted.contains(&call.resource) => 8,
            "monitor" if host.active.contains(&call.resource) => 0,
            "monitor" => 7,
            _ => 0,
        }
    }

    fn switch(&mut self, call: &AgentCall) -> i32 {
        let target = call.target.clone().unwrap_or_default();
        if self.dead_bmcs.contains(&call.resource) {
            return 1;
        }
        match call.action.as_str() {
            "off" => {
                self.cut(&target);
                0
            }
            "on" => {
                if !self.hosts[&target].is_powered {
                    self.hosts.get_mut(&target).expect("known host").is_cut_off = false;
                    self.power_on(&target);
                }
                0
            }
            "power-status" if self.hosts[&target].is_powered => 0,
            "power-status" => 2,
            _ => 0,
        }
    }

    fn ask(&mut self, name: &str, request: Request) -> Option<Response> {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.replies.clear();
        self.step(name, Event::Client { id, request });
        self.run(100);
        self.replies.pop_back()
    }

    fn state(&self, name: &str) -> &ClusterState {
        self.hosts[name].node.as_ref().expect("it lives").state()
    }

    fn active_on(&self, name: &str) -> Vec<&str> {
        self.hosts[name].active.iter().map(String::as_str).collect()
    }

    fn at(&self, what: &str) -> u64 {
        let line = self
            .trace
            .iter()
            .find(|line| line.ends_with(&format!(" {what}")))
            .unwrap_or_else(|| panic!("no {what} in\n{}", self.text()));
        line.trim()
            .split(' ')
            .next()
            .and_then(|t| t.parse().ok())
            .expect("a time")
    }

    fn count(&self, what: &str) -> usize {
        self.text().matches(what).count()
    }

    fn text(&self) -> String {
        let skip = self.trace.len().saturating_sub(150);
        self.trace[skip..].join("\n")
    }
}

fn save(saved: &mut Saved, batch: Batch) {
    for operation in batch.operations {
        match operation {
            StoreOp::Append { first, entries } => {
                if saved.entries.is_empty() {
                    saved.first = first;
                }
                let keep = usize::try_from(first - saved.first).expect("fits");
                saved.entries.truncate(keep);
                saved.entries.extend(entries);
            }
            StoreOp::Compact { upto } => {
                let drop = (upto + 1).saturating_sub(saved.first);
                let drop = usize::try_from(drop)
                    .expect("fits")
                    .min(saved.entries.len());
                saved.entries.drain(..drop);
                saved.first = saved.first.max(upto + 1);
            }
            StoreOp::ClearLog => saved.entries.clear(),
            StoreOp::Put { key, value } => {
                saved.records.insert(key, value);
            }
        }
    }
}
