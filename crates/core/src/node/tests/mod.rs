//! Nodes over a perfect network and a perfect log, with fake agents and fake power switches.

mod cases;
pub mod fake;
mod finds;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::admin::{Request, Response};
use crate::engine::{ContactState, EngineInput, EngineOutput, Member, MemberRole, Restored};
use crate::event::{AgentCall, AgentResult, Effect, Event, FoundRun, Outcome};
use crate::ids::{
    Boot, ClientId, Incarnation, Lineage, LogIndex, Millis, NodeName, Now, RaftId, RunId, Session,
    Tag, Term,
};
use crate::message::Message;
use crate::node::Node;
use crate::start::{Founder, Genesis, Identity, Inventory, Start, Timing};
use crate::state::ClusterState;

/// A host.
struct Host {
    node: Option<Node>,
    is_powered: bool,
    boot: u64,
    session: u64,
    tmpfs: BTreeMap<String, Vec<u8>>,
    active: BTreeSet<String>,
    applied: usize,
}

/// A run that will end.
struct Pending {
    due: u64,
    host: String,
    boot: u64,
    session: u64,
    run: RunId,
    call: AgentCall,
}

/// An entry with its term and who proposed it: name, session, tag.
type Logged = (Term, Vec<u8>, Option<(String, u64, Tag)>);

/// The harness.
struct Cluster {
    hosts: BTreeMap<String, Host>,
    log: Vec<Logged>,
    leader: Option<String>,
    term: u64,
    now: u64,
    pending: Vec<Pending>,
    lost: Vec<(u64, String, u64)>,
    trace: Vec<String>,
    replies: VecDeque<Response>,
    /// Exit codes by `resource action host`, each used once from the front.
    scripted: BTreeMap<String, VecDeque<i32>>,
    /// Milliseconds that an action takes, where it is not 10.
    slow: BTreeMap<String, u64>,
    genesis: Genesis,
    /// Power switches that do not answer.
    dead_bmcs: BTreeSet<String>,
    /// Until when each watchdog is fed.
    fed_until: BTreeMap<String, u64>,
    /// Runs of fence devices that other nodes were asked for and that get lost, so many.
    lost_askings: usize,
    /// Power switches that say off and leave it on.
    lying_bmcs: BTreeSet<String>,
    /// Hosts that come up again when they are powered on.
    comes_back: bool,
    next_client: u64,
    /// Results that came while no daemon was there.
    missed: BTreeMap<String, Vec<FoundRun>>,
}

const DETECTION_MS: u64 = 1_000;
/// A configuration that says so has watchdogs instead of fence devices.
const NO_DEVICES: &str = "# no devices";
/// The one resource that may be active in several places.
const CLONED: &str = "web";

impl Cluster {
    fn new(names: &[&str], configuration: &str) -> Self {
        let founders = names
            .iter()
            .zip(1..)
            .map(|(name, id)| Founder {
                name: NodeName::from(*name),
                raft_id: RaftId(id),
                addresses: Vec::new(),
                fingerprint: String::new(),
                is_witness: name.starts_with('w'),
            })
            .collect();
        let genesis = Genesis {
            founders,
            configuration: configuration.to_owned(),
        };
        let hosts = names
            .iter()
            .map(|name| {
                let host = Host {
                    node: None,
                    is_powered: true,
                    boot: 1,
                    session: 1,
                    tmpfs: BTreeMap::new(),
                    active: BTreeSet::new(),
                    applied: 0,
                };
                ((*name).to_owned(), host)
            })
            .collect();
        let mut cluster = Self {
            hosts,
            log: Vec::new(),
            leader: None,
            term: 0,
            now: 1_000_000,
            pending: Vec::new(),
            lost: Vec::new(),
            trace: Vec::new(),
            replies: VecDeque::new(),
            scripted: BTreeMap::new(),
            slow: BTreeMap::new(),
            genesis,
            dead_bmcs: BTreeSet::new(),
            fed_until: BTreeMap::new(),
            lost_askings: 0,
            lying_bmcs: BTreeSet::new(),
            comes_back: false,
            next_client: 1,
            missed: BTreeMap::new(),
        };
        for name in names {
            cluster.start_daemon(name);
        }
        cluster.elect();
        cluster
    }

    fn clock(&self) -> Now {
        Now {
            mono: Millis(self.now),
            wall_ms: 1_700_000_000_000 + i64::try_from(self.now).expect("small"),
        }
    }

    fn start_daemon(&mut self, name: &str) {
        let now = self.clock();
        let host = self.hosts.get_mut(name).expect("known host");
        let incarnation = Incarnation {
            boot: Boot(host.boot),
            session: Session(host.session),
        };
        let found = self.missed.remove(name).unwrap_or_default();
        let running = self
            .pending
            .iter()
            .filter(|run| run.host == name && run.boot == host.boot)
            .map(|run| run.run)
            .collect();
        for run in &mut self.pending {
            if run.host == name && run.boot == host.boot {
                run.session = host.session;
            }
        }
        let start = Start {
            name: NodeName::from(name),
            incarnation,
            identity: Identity {
                cluster: "test".to_owned(),
                lineage: Lineage(7),
                raft_id: RaftId(1),
                genesis: None,
                contacts: Vec::new(),
            },
            seed: 1,
            saved: crate::store::Saved::default(),
            inventory: Inventory {
                remembered: host.tmpfs.clone(),
                running,
            },
            timing: Timing {
                watchdog_ms: self
                    .genesis
                    .configuration
                    .contains(NO_DEVICES)
                    .then_some(5_000),
                ..Timing::default()
            },
        };
        let (node, effects) = Node::start_with(start, now, quorate_policy::schedule);
        host.node = Some(node);
        host.applied = 0;
        self.effects(name, effects);
        self.step(name, Event::Inventory(found));
        let genesis = self.genesis.clone();
        self.inject(
            name,
            EngineOutput::Restore {
                index: LogIndex(1),
                state: Restored::Genesis(genesis),
            },
        );
        let members = self.members();
        let index = LogIndex(1);
        self.inject(
            name,
            EngineOutput::Membership {
                index,
                members,
                tag: None,
            },
        );
        self.catch_up(name);
        let others: Vec<String> = self
            .alive()
            .into_iter()
            .filter(|other| other != name)
            .collect();
        for other in others {
            let theirs = self.incarnation(&other);
            self.inject(
                name,
                contact(
                    &other,
                    ContactState::Met {
                        incarnation: theirs,
                    },
                ),
            );
            self.inject(&other, contact(name, ContactState::Met { incarnation }));
        }
        if let Some(leader) = self.leader.clone() {
            let term = Term(self.term);
            let leader = NodeName(leader);
            self.inject(name, EngineOutput::Following { leader, term });
        }
    }

    fn incarnation(&self, name: &str) -> Incarnation {
        let host = &self.hosts[name];
        Incarnation {
            boot: Boot(host.boot),
            session: Session(host.session),
        }
    }

    fn members(&self) -> Vec<Member> {
        self.genesis
            .founders
            .iter()
            .map(|founder| Member {
                name: founder.name.clone(),
                raft_id: founder.raft_id,
                role: MemberRole::Voter,
                addresses: Vec::new(),
                incarnation: None,
            })
            .collect()
    }

    fn alive(&self) -> Vec<String> {
        self.hosts
            .iter()
            .filter(|(_, host)| host.node.is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn elect(&mut self) {
        let leader = self.alive().first().cloned().expect("somebody lives");
        self.elect_node(&leader);
    }

    fn elect_node(&mut self, leader: &str) {
        self.term += 1;
        let term = Term(self.term);
        self.leader = Some(leader.to_owned());
        for name in self.alive() {
            if name == leader {
                self.inject(&name, EngineOutput::Leading { term });
                self.inject(&name, EngineOutput::DispatchReady { term });
            } else {
                let leader = NodeName::from(leader);
                self.inject(&name, EngineOutput::Following { leader, term });
            }
        }
    }

    fn step(&mut self, name: &str, event: Event) {
        let now = self.clock();
        let Some(node) = self.hosts.get_mut(name).and_then(|host| host.node.as_mut()) else {
            return;
        };
        let effects = node.step(now, event);
        self.effects(name, effects);
    }

    fn inject(&mut self, name: &str, output: EngineOutput) {
        let now = self.clock();
        let Some(node) = self.hosts.get_mut(name).and_then(|host| host.node.as_mut()) else {
            return;
        };
        node.now = now;
        let mut out = crate::outbox::Outbox::default();
        node.inflow(output, &mut out);
        node.settle(&mut out);
        let effects = out.effects;
        self.effects(name, effects);
    }

    fn catch_up(&mut self, name: &str) {
        loop {
            let Some(host) = self.hosts.get_mut(name) else {
                return;
            };
            if host.node.is_none() || host.applied >= self.log.len() {
                return;
            }
            let position = host.applied;
            host.applied += 1;
            let session = host.session;
            let (term, payload, proposer) = self.log[position].clone();
            let index = LogIndex(position as u64 + 2);
            let tag = proposer
                .filter(|(who, of, _)| who == name && *of == session)
                .map(|(_, _, tag)| tag);
            self.inject(
                name,
                EngineOutput::Committed {
                    index,
                    term,
                    payload,
                    tag,
                },
            );
        }
    }

    fn effects(&mut self, name: &str, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::RunAgent { run, call } => self.begin_run(name, run, call),
                Effect::KillAgent(run) => self
                    .pending_mut(name, run)
                    .into_iter()
                    .for_each(|p| p.due = 0),
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
                    self.hosts.get_mut(name).expect("known host").node = None;
                    self.lost.push((
                        self.now + DETECTION_MS,
                        name.to_owned(),
                        self.hosts[name].session,
                    ));
                }
                Effect::WatchdogUntil(until) => {
                    let fed = self.fed_until.entry(name.to_owned()).or_default();
                    // What was fed up to now cannot be taken back.
                    *fed = until.0.max(self.now.min(*fed));
                }
                Effect::Log { text, .. } => self.say(&format!("[{name}] {text}")),
                _ => {}
            }
        }
        self.drain(name);
    }

    fn pending_mut(&mut self, name: &str, run: RunId) -> Option<&mut Pending> {
        self.pending
            .iter_mut()
            .find(|p| p.host == name && p.run == run)
    }

    fn begin_run(&mut self, name: &str, run: RunId, call: AgentCall) {
        let host = &self.hosts[name];
        let key = format!("{} {}", call.resource, call.action);
        let takes = self.slow.get(&key).copied().unwrap_or(10);
        self.pending.push(Pending {
            due: self.now + takes,
            host: name.to_owned(),
            boot: host.boot,
            session: host.session,
            run,
            call,
        });
    }

    fn say(&mut self, text: &str) {
        self.trace
            .push(format!("{:>6} {text}", self.now - 1_000_000));
    }

    /// Takes what a node gave its engine.
    fn drain(&mut self, name: &str) {
        let Some(node) = self.hosts.get_mut(name).and_then(|host| host.node.as_mut()) else {
            return;
        };
        let Some(engine) = &mut node.engine else {
            return;
        };
        for input in std::mem::take(&mut engine.inputs) {
            match input {
                EngineInput::Propose { tag, payload } => {
                    let session = self.hosts[name].session;
                    if self.leader.is_none() {
                        let reason = "no leader".to_owned();
                        let dropped = EngineOutput::ProposalDropped {
                            tag,
                            reason,
                            maybe_committed: false,
                        };
                        self.inject(name, dropped);
                        continue;
                    }
                    let proposer = Some((name.to_owned(), session, tag));
                    self.log.push((Term(self.term), payload, proposer));
                    for name in self.alive() {
                        self.catch_up(&name);
                    }
                }
                EngineInput::Send { to, bytes } => {
                    let from = NodeName::from(name);
                    let is_asking =
                        matches!(Message::decode(&bytes), Ok(Message::RunDevice { .. }));
                    if is_asking && self.lost_askings > 0 {
                        self.lost_askings -= 1;
                        continue;
                    }
                    if self.hosts.contains_key(&to.0) {
                        self.inject(&to.0, EngineOutput::Message { from, bytes });
                    }
                }
                EngineInput::TransferLeadership { to } => self.elect_node(&to.0),
                EngineInput::PairFenceVerdict { confirmed, .. } => {
                    self.say(&format!("verdict {confirmed}"));
                }
                _ => {}
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now += 10;
            self.end_runs();
            let lost: Vec<(u64, String, u64)> = {
                let now = self.now;
                let (due, rest) = std::mem::take(&mut self.lost)
                    .into_iter()
                    .partition(|(at, ..)| *at <= now);
                self.lost = rest;
                due
            };
            for (at, name, session) in lost {
                let host = &self.hosts[&name];
                if host.node.is_some() && host.session != session {
                    continue;
                }
                let since = Millis(at - DETECTION_MS);
                for other in self.alive() {
                    self.inject(&other, contact(&name, ContactState::Lost { since }));
                }
                if self.leader.as_ref() == Some(&name) && !self.alive().is_empty() {
                    self.elect();
                }
            }
            for name in self.alive() {
                let is_due = self.hosts[&name]
                    .node
                    .as_ref()
                    .is_some_and(|n| n.deadline().0 <= self.now);
                if is_due {
                    self.step(&name, Event::Tick);
                }
            }
        }
    }

    fn end_runs(&mut self) {
        let now = self.now;
        let (due, rest): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|run| run.due <= now);
        self.pending = rest;
        for run in due {
            let host = &self.hosts[&run.host];
            if !host.is_powered || host.boot != run.boot {
                continue;
            }
            let rc = self.perform(&run);
            let result = AgentResult {
                outcome: Outcome::Exited(rc),
                exit_reason: String::new(),
                output: String::new(),
                took_ms: 10,
                digests: None,
            };
            let host = &self.hosts[&run.host];
            if host.node.is_none() {
                let found = FoundRun {
                    run: run.run,
                    call: run.call,
                    result: Some(result),
                };
                self.missed.entry(run.host).or_default().push(found);
            } else if host.session == run.session {
                self.step(
                    &run.host,
                    Event::AgentDone {
                        run: run.run,
                        result,
                    },
                );
            }
        }
    }

    fn perform(&mut self, run: &Pending) -> i32 {
        let call = &run.call;
        let place = format!("{} {} {}", call.resource, call.action, run.host);
        if call.action != "monitor" || call.interval_ms == 0 {
            self.say(&place);
        }
        if let Some(rc) = self.scripted.get_mut(&place).and_then(VecDeque::pop_front) {
            return rc;
        }
        if call.class == "stonith" {
            return self.switch(call);
        }
        let host = self.hosts.get_mut(&run.host).expect("known host");
        match call.action.as_str() {
            "start" => {
                host.active.insert(call.resource.clone());
                self.check_exclusive(&call.resource.clone());
                0
            }
            "stop" => {
                host.active.remove(&call.resource);
                0
            }
            "monitor" if host.active.contains(&call.resource) => 0,
            "monitor" => 7,
            _ => 0,
        }
    }

    fn check_exclusive(&self, resource: &str) {
        let places: Vec<&String> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.active.contains(resource))
            .map(|(name, _)| name)
            .collect();
        assert!(
            places.len() <= 1 || resource == CLONED,
            "{resource} is active on {places:?}\n{}",
            self.trace.join("\n")
        );
    }

    fn switch(&mut self, call: &AgentCall) -> i32 {
        let target = call.target.clone().unwrap_or_default();
        if self.dead_bmcs.contains(&call.resource) {
            return 1;
        }
        if self.lying_bmcs.contains(&call.resource) {
            return if call.action == "power-status" { 2 } else { 0 };
        }
        match call.action.as_str() {
            "off" => {
                self.cut(&target);
                0
            }
            "on" => {
                if self.comes_back {
                    self.power_on(&target);
                }
                0
            }
            "power-status" => {
                if self.hosts[&target].is_powered {
                    0
                } else {
                    2
                }
            }
            _ => 0,
        }
    }

    /// Power is gone.
    fn cut(&mut self, name: &str) {
        self.say(&format!("power of {name} is gone"));
        let at = self.now + DETECTION_MS;
        let host = self.hosts.get_mut(name).expect("known host");
        host.is_powered = false;
        host.active.clear();
        host.tmpfs.clear();
        if host.node.take().is_some() {
            let session = host.session;
            self.lost.push((at, name.to_owned(), session));
        }
    }

    fn power_on(&mut self, name: &str) {
        let host = self.hosts.get_mut(name).expect("known host");
        host.is_powered = true;
        host.boot += 1;
        host.session += 1;
        self.start_daemon(name);
    }

    /// The daemon dies and is started again at once.
    fn restart_daemon(&mut self, name: &str) {
        let host = self.hosts.get_mut(name).expect("known host");
        host.node = None;
        host.session += 1;
        if self.leader.as_deref() == Some(name) {
            self.elect();
        }
        self.start_daemon(name);
    }

    fn ask(&mut self, name: &str, request: Request) -> Option<Response> {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.step(name, Event::Client { id, request });
        self.run(20);
        self.replies.pop_back()
    }

    fn state(&self) -> &ClusterState {
        let leader = self.leader.as_ref().expect("a leader");
        self.hosts[leader].node.as_ref().expect("it lives").state()
    }

    fn active_on(&self, name: &str) -> Vec<&str> {
        self.hosts[name].active.iter().map(String::as_str).collect()
    }

    fn count(&self, what: &str) -> usize {
        self.trace
            .iter()
            .filter(|line| line.ends_with(&format!(" {what}")))
            .count()
    }

    fn position(&self, what: &str) -> usize {
        self.trace
            .iter()
            .position(|line| line.ends_with(&format!(" {what}")))
            .unwrap_or_else(|| panic!("no {what} in\n{}", self.trace.join("\n")))
    }

    /// Equal index, equal state.
    fn check_equal(&self) {
        let states: Vec<&ClusterState> = self
            .hosts
            .values()
            .filter_map(|host| host.node.as_ref())
            .map(Node::state)
            .collect();
        for pair in states.windows(2) {
            if pair[0].applied == pair[1].applied {
                assert_eq!(pair[0].digest(), pair[1].digest());
            }
        }
    }
}

fn contact(peer: &str, state: ContactState) -> EngineOutput {
    EngineOutput::Contact {
        peer: NodeName::from(peer),
        state,
    }
}
