//! A cluster of engines in one thread: messages with delay and loss, disks that are slow and lose what was not
//! yet durable, fence devices that work or lie. Everything comes from one seed.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::saved::founding_batch;
use crate::engine::{
    Blocked, ContactState, Engine, EngineInput, EngineOutput, EngineStart, MemberChange,
    MemberRole, Restored, Settings,
};
use crate::event::{Effect, Link, LogLevel};
use crate::ids::{Boot, Incarnation, Lineage, Millis, NodeName, PairRequest, RaftId, Session, Tag};
use crate::rng::Rng;
use crate::start::{Founder, Genesis, Identity};
use crate::store::{Batch, Saved};

/// Two links, as in a real cluster.
const LINKS: u8 = 2;

pub struct TestNode {
    pub engine: Option<Engine>,
    pub disk: Saved,
    pub identity: Identity,
    writing: Vec<(Millis, Batch)>,
    pub boot: u64,
    session: u64,
    /// What the manager holds: the payloads in order, as one state.
    pub state: Vec<Vec<u8>>,
    pub applied: u64,
    pub answers: BTreeMap<u64, Answer>,
    pub contact: BTreeMap<NodeName, ContactState>,
    pub blocked: Vec<Blocked>,
    pub roles: BTreeMap<NodeName, MemberRole>,
    pub dispatch_ready: Option<u64>,
    pub disproved: usize,
    pub fence_requests: usize,
    pub restores: usize,
    pub halted: Option<String>,
    pub is_frozen: bool,
    /// What arrived while it was frozen.
    buffered: Vec<(NodeName, Link, Vec<u8>)>,
}

/// Frames that wait for a frozen node at most.
const BUFFERED_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Committed,
    Dropped { maybe: bool },
}

enum Happening {
    Frame {
        to: NodeName,
        from: NodeName,
        link: Link,
        bytes: Vec<u8>,
    },
    Verdict {
        to: NodeName,
        session: u64,
        request: PairRequest,
        confirmed: bool,
    },
    PowerOff(NodeName),
}

pub struct Cluster {
    pub now: Millis,
    pub nodes: BTreeMap<NodeName, TestNode>,
    happenings: BTreeMap<(Millis, u64), Happening>,
    sequence: u64,
    pub rng: Rng,
    /// Frames lost, in thousandths.
    pub loss: u64,
    /// Delay of a frame at most.
    pub delay_ms: u64,
    /// How long a batch takes to become durable, at most.
    pub disk_ms: u64,
    /// Cut connections (from, to).
    pub cut: BTreeSet<(NodeName, NodeName)>,
    /// Cut links between anybody.
    pub cut_links: BTreeSet<u8>,
    /// How long a fence device takes; `None`: it fails.
    pub fence_ms: Option<u64>,
    /// The device says "off" but the host lives.
    pub fence_lies: bool,
    pub settings: Settings,
    /// Who led in each term of a lineage.
    leaders: BTreeMap<(Lineage, u64), NodeName>,
    /// What was committed at each index of a lineage, by anybody.
    committed: BTreeMap<(Lineage, u64), Vec<u8>>,
    next_tag: u64,
}

pub fn names(count: usize) -> Vec<NodeName> {
    (1..=count).map(|n| NodeName(format!("n{n}"))).collect()
}

fn founder(name: &NodeName, id: u64) -> Founder {
    Founder {
        name: name.clone(),
        raft_id: RaftId(id),
        addresses: vec![format!("{name}:1"), format!("{name}:2")],
        fingerprint: String::new(),
        is_witness: false,
    }
}

impl Cluster {
    /// A cluster founded by `count` nodes, all off.
    pub fn new(count: usize, seed: u64) -> Self {
        let founders: Vec<_> = names(count)
            .iter()
            .zip(1..)
            .map(|(name, id)| founder(name, id))
            .collect();
        let mut cluster = Self {
            now: Millis(1_000),
            nodes: BTreeMap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            rng: Rng::new(seed),
            loss: 0,
            delay_ms: 3,
            disk_ms: 4,
            cut: BTreeSet::new(),
            cut_links: BTreeSet::new(),
            fence_ms: Some(500),
            fence_lies: false,
            settings: Settings::default(),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            next_tag: 0,
        };
        for one in &founders {
            let identity = Identity {
                cluster: "test".into(),
                lineage: Lineage(7),
                raft_id: one.raft_id,
                genesis: Some(Genesis {
                    founders: founders.clone(),
                    configuration: "node n1".into(),
                }),
                contacts: Vec::new(),
            };
            cluster.add_disk(&one.name, identity);
        }
        cluster
    }

    /// All on.
    pub fn started(count: usize, seed: u64) -> Self {
        let mut cluster = Self::new(count, seed);
        for name in names(count) {
            cluster.power_on(&name);
        }
        cluster
    }

    pub fn add_disk(&mut self, name: &NodeName, identity: Identity) {
        let mut disk = Saved::default();
        disk.apply(&founding_batch(name, &identity));
        let session = self.nodes.get(name).map_or(0, |node| node.session);
        let boot = self.nodes.get(name).map_or(0, |node| node.boot);
        self.nodes.insert(
            name.clone(),
            TestNode {
                engine: None,
                disk,
                identity,
                writing: Vec::new(),
                boot,
                session,
                state: Vec::new(),
                applied: 0,
                answers: BTreeMap::new(),
                contact: BTreeMap::new(),
                blocked: Vec::new(),
                roles: BTreeMap::new(),
                dispatch_ready: None,
                disproved: 0,
                fence_requests: 0,
                restores: 0,
                halted: None,
                is_frozen: false,
                buffered: Vec::new(),
            },
        );
    }

    /// A node that joins gets this identity from a member.
    pub fn joiner(&self, id: u64) -> Identity {
        let contacts = self
            .nodes
            .iter()
            .filter(|(_, node)| node.engine.is_some())
            .map(|(name, node)| founder(name, node.identity.raft_id.0))
            .collect();
        Identity {
            cluster: "test".into(),
            lineage: Lineage(7),
            raft_id: RaftId(id),
            genesis: None,
            contacts,
        }
    }

    pub fn node(&self, name: &str) -> &TestNode {
        &self.nodes[&NodeName::from(name)]
    }

    pub fn engine(&self, name: &str) -> &Engine {
        self.node(name).engine.as_ref().expect("the node is on")
    }

    /// A new boot.
    pub fn power_on(&mut self, name: &NodeName) {
        let boot = self.rng.draw();
        let node = self.nodes.get_mut(name).expect("known node");
        node.boot = boot;
        self.start_daemon(name);
    }

    /// A new session of the daemon on the same boot.
    pub fn start_daemon(&mut self, name: &NodeName) {
        let seed = self.rng.draw();
        let session = self.rng.draw();
        let node = self.nodes.get_mut(name).expect("known node");
        assert!(node.engine.is_none(), "{name} is on");
        node.session = session;
        node.contact.clear();
        node.blocked.clear();
        node.is_frozen = false;
        node.buffered.clear();
        node.state.clear();
        node.applied = 0;
        let start = EngineStart {
            name: name.clone(),
            identity: node.identity.clone(),
            incarnation: Incarnation {
                boot: Boot(node.boot),
                session: Session(session),
            },
            seed,
            saved: node.disk.clone(),
            settings: self.settings,
        };
        let (engine, outputs) = Engine::start(start, self.now).expect("the disk is whole");
        node.engine = Some(engine);
        self.take(name, outputs);
    }

    /// The power goes, or the daemon is killed: what is being written may or may not reach the disk.
    pub fn stop(&mut self, name: &NodeName) {
        let kept = self.rng.draw();
        let node = self.nodes.get_mut(name).expect("known node");
        let writing = std::mem::take(&mut node.writing);
        let keep = if writing.is_empty() {
            0
        } else {
            kept as usize % (writing.len() + 1)
        };
        for (_, batch) in writing.into_iter().take(keep) {
            node.disk.apply(&batch);
        }
        node.engine = None;
        self.happenings
            .retain(|_, happening| !matches!(happening, Happening::Frame { to, .. } if to == name));
    }

    /// A frozen node goes on: first of all it reads what has piled up. `look` is called after each of these frames.
    pub fn thaw(&mut self, name: &NodeName, look: impl Fn(&Self)) {
        let node = self.nodes.get_mut(name).expect("known node");
        node.is_frozen = false;
        for (from, link, bytes) in std::mem::take(&mut node.buffered) {
            self.step(name, EngineInput::Frame { from, link, bytes });
            look(self);
        }
    }

    pub fn step(&mut self, name: &NodeName, input: EngineInput) {
        let now = self.now;
        let node = self.nodes.get_mut(name).expect("known node");
        let Some(engine) = &mut node.engine else {
            return;
        };
        let outputs = engine.step(now, input);
        self.take(name, outputs);
    }

    fn take(&mut self, name: &NodeName, outputs: Vec<EngineOutput>) {
        for output in outputs {
            self.take_one(name, output);
        }
        let node = &self.nodes[name];
        if node.halted.is_some() {
            self.stop(name);
        }
    }

    fn take_one(&mut self, name: &NodeName, output: EngineOutput) {
        let engine = self.nodes[name].engine.as_ref();
        let lineage = engine.map_or(Lineage(0), Engine::lineage);
        match output {
            EngineOutput::Effect(effect) => self.effect(name, effect),
            EngineOutput::Restore { index, state } => {
                let node = self.nodes.get_mut(name).expect("known node");
                node.restores += 1;
                node.applied = index.0;
                node.state = match state {
                    Restored::State(bytes) => {
                        minicbor::decode::<Vec<minicbor::bytes::ByteVec>>(&bytes)
                            .expect("our own state")
                            .into_iter()
                            .map(Into::into)
                            .collect()
                    }
                    _ => Vec::new(),
                };
            }
            EngineOutput::Committed {
                index,
                payload,
                tag,
                ..
            } => {
                let known = self
                    .committed
                    .entry((lineage, index.0))
                    .or_insert_with(|| payload.clone());
                assert_eq!(*known, payload, "entry {index} differs on {name}");
                let node = self.nodes.get_mut(name).expect("known node");
                assert!(index.0 > node.applied, "{name} applies {index} again");
                node.applied = index.0;
                node.state.push(payload);
                if let Some(tag) = tag {
                    assert!(node.answers.insert(tag.0, Answer::Committed).is_none());
                }
            }
            EngineOutput::Membership { members, tag, .. } => {
                let node = self.nodes.get_mut(name).expect("known node");
                node.roles = members
                    .into_iter()
                    .map(|member| (member.name, member.role))
                    .collect();
                if let Some(tag) = tag {
                    node.answers.insert(tag.0, Answer::Committed);
                }
            }
            EngineOutput::WantSnapshot { index } => {
                let node = &self.nodes[name];
                let state: Vec<minicbor::bytes::ByteVec> =
                    node.state.iter().cloned().map(Into::into).collect();
                let bytes = minicbor::to_vec(state).expect("encodes");
                self.step(name, EngineInput::SnapshotState { index, bytes });
            }
            EngineOutput::Leading { term } => {
                let known = self
                    .leaders
                    .entry((lineage, term.0))
                    .or_insert_with(|| name.clone());
                assert_eq!(known, name, "two leaders in term {term}");
            }
            EngineOutput::DispatchReady { term } => {
                self.nodes.get_mut(name).expect("known node").dispatch_ready = Some(term.0);
                self.check_leases(name);
            }
            EngineOutput::Contact { peer, state } => {
                self.nodes
                    .get_mut(name)
                    .expect("known node")
                    .contact
                    .insert(peer, state);
            }
            EngineOutput::PairFence {
                request, target, ..
            } => self.fence(name, request, &target),
            EngineOutput::Blocked(blocked) => {
                self.nodes.get_mut(name).expect("known node").blocked = blocked;
            }
            EngineOutput::ProposalDropped {
                tag,
                maybe_committed,
                ..
            } => {
                let node = self.nodes.get_mut(name).expect("known node");
                let answer = Answer::Dropped {
                    maybe: maybe_committed,
                };
                assert!(node.answers.insert(tag.0, answer).is_none());
            }
            EngineOutput::FencingDisproved { .. } => {
                self.nodes.get_mut(name).expect("known node").disproved += 1;
            }
            _ => {}
        }
    }

    /// No other node of its lineage may hold a lease of another term once a leader dispatches.
    fn check_leases(&self, leader: &NodeName) {
        let leads = self.nodes[leader].engine.as_ref().expect("it leads");
        let (term, lineage) = (leads.term(), leads.lineage());
        for (name, node) in &self.nodes {
            let Some(engine) = &node.engine else { continue };
            if name == leader || engine.term() == term || engine.lineage() != lineage {
                continue;
            }
            let until = engine.lease_until().unwrap_or_default();
            assert!(
                until <= self.now,
                "{leader} dispatches at {} in term {term}, {name} (term {}) has a lease until {until}",
                self.now,
                engine.term()
            );
        }
    }

    fn effect(&mut self, name: &NodeName, effect: Effect) {
        match effect {
            Effect::Send { to, link, bytes } => {
                let link = link.unwrap_or(Link(u8::from(self.cut_links.contains(&0))));
                let is_cut = self.cut.contains(&(name.clone(), to.clone()))
                    || self.cut_links.contains(&link.0);
                if is_cut || link.0 >= LINKS || self.rng.below(1000) < self.loss {
                    return;
                }
                let delay = 1 + self.rng.below(self.delay_ms);
                self.later(
                    delay,
                    Happening::Frame {
                        to,
                        from: name.clone(),
                        link,
                        bytes,
                    },
                );
            }
            Effect::Persist(batch) => {
                let delay = 1 + self.rng.below(self.disk_ms);
                let node = self.nodes.get_mut(name).expect("known node");
                let due = node
                    .writing
                    .last()
                    .map_or(self.now, |(due, _)| *due)
                    .max(self.now)
                    .plus(delay);
                node.writing.push((due, batch));
            }
            Effect::Halt { reason, .. } => {
                self.nodes.get_mut(name).expect("known node").halted = Some(reason);
            }
            Effect::Log { level, text }
                if level == LogLevel::Error && std::env::var_os("TRACE").is_some() =>
            {
                eprintln!("{} {name}: {text}", self.now);
            }
            _ => {}
        }
    }

    fn fence(&mut self, by: &NodeName, request: PairRequest, target: &NodeName) {
        let node = self.nodes.get_mut(by).expect("known node");
        node.fence_requests += 1;
        let session = node.session;
        let took = self.fence_ms.unwrap_or(1_000);
        let confirmed = self.fence_ms.is_some();
        if confirmed && !self.fence_lies {
            self.later(took.saturating_sub(50), Happening::PowerOff(target.clone()));
        }
        self.later(
            took,
            Happening::Verdict {
                to: by.clone(),
                session,
                request,
                confirmed,
            },
        );
    }

    fn later(&mut self, delay: u64, happening: Happening) {
        self.sequence += 1;
        self.happenings
            .insert((self.now.plus(delay), self.sequence), happening);
    }

    /// Runs for so long.
    pub fn run(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while self.advance(end) {}
        self.now = end;
    }

    /// Runs until this holds.
    pub fn run_until(&mut self, what: &str, limit_ms: u64, done: impl Fn(&Self) -> bool) -> u64 {
        let begin = self.now;
        let end = self.now.plus(limit_ms);
        while !done(self) {
            assert!(
                self.advance(end),
                "{what}: not within {limit_ms} ms; {}",
                self.describe()
            );
        }
        self.now.since(begin)
    }

    pub fn describe(&self) -> String {
        self.nodes
            .iter()
            .map(|(name, node)| {
                format!(
                    "{name}: {:?} blocked {:?} roles {:?}\n",
                    node.engine, node.blocked, node.roles
                )
            })
            .collect()
    }

    fn advance(&mut self, end: Millis) -> bool {
        let next_happening = self.happenings.keys().next().map(|(at, _)| *at);
        let next_disk = self
            .nodes
            .iter()
            .filter(|(_, node)| !node.is_frozen)
            .filter_map(|(name, node)| node.writing.first().map(|(at, _)| (*at, name.clone())))
            .min();
        let next_tick = self
            .nodes
            .iter()
            .filter(|(_, node)| !node.is_frozen)
            .filter_map(|(name, node)| {
                node.engine
                    .as_ref()
                    .map(|engine| (engine.deadline(), name.clone()))
            })
            .min();
        let at = [
            next_happening,
            next_disk.as_ref().map(|(at, _)| *at),
            next_tick.as_ref().map(|(at, _)| *at),
        ]
        .into_iter()
        .flatten()
        .min();
        let Some(at) = at.filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(at);
        if next_happening == Some(at) {
            if let Some((_, happening)) = self.happenings.pop_first() {
                self.happen(happening);
            }
        } else if let Some((_, name)) = next_disk.filter(|(due, _)| *due == at) {
            let node = self.nodes.get_mut(&name).expect("known node");
            let (_, batch) = node.writing.remove(0);
            node.disk.apply(&batch);
            self.step(&name, EngineInput::Durable(batch.id));
        } else if let Some((_, name)) = next_tick {
            self.step(&name, EngineInput::Tick);
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame {
                to,
                from,
                link,
                bytes,
            } => {
                let Some(node) = self.nodes.get_mut(&to) else {
                    return;
                };
                if !node.is_frozen {
                    self.step(&to, EngineInput::Frame { from, link, bytes });
                } else if node.buffered.len() < BUFFERED_MAX {
                    node.buffered.push((from, link, bytes));
                }
            }
            Happening::Verdict {
                to,
                session,
                request,
                confirmed,
            } => {
                if self.nodes[&to].session == session {
                    self.step(&to, EngineInput::PairFenceVerdict { request, confirmed });
                }
            }
            Happening::PowerOff(name) => self.stop(&name),
        }
    }

    pub fn leader(&self) -> Option<NodeName> {
        self.nodes
            .iter()
            .filter_map(|(name, node)| Some((node.engine.as_ref()?.leads()?, name.clone())))
            .max()
            .map(|(_, name)| name)
    }

    pub fn wait_leader(&mut self) -> NodeName {
        self.run_until("a leader", 20_000, |cluster| cluster.leader().is_some());
        self.leader().expect("just seen")
    }

    pub fn propose(&mut self, on: &NodeName, payload: &[u8]) -> u64 {
        self.next_tag += 1;
        let tag = self.next_tag;
        self.step(
            on,
            EngineInput::Propose {
                tag: Tag(tag),
                payload: payload.to_vec(),
            },
        );
        tag
    }

    /// Proposes and waits until it is committed, trying again where it is dropped.
    pub fn commit(&mut self, on: &NodeName, payload: &[u8]) {
        for _ in 0..20 {
            let tag = self.propose(on, payload);
            let node = on.clone();
            self.run_until("an answer", 20_000, |cluster| {
                cluster.nodes[&node].answers.contains_key(&tag)
            });
            if self.nodes[on].answers[&tag] == Answer::Committed {
                return;
            }
            self.run(200);
        }
        panic!("never committed: {}", self.describe());
    }

    pub fn change(&mut self, change: &MemberChange) {
        for _ in 0..20 {
            let leader = self.wait_leader();
            self.next_tag += 1;
            let tag = self.next_tag;
            self.step(
                &leader,
                EngineInput::ChangeMembers {
                    tag: Tag(tag),
                    change: change.clone(),
                },
            );
            self.run_until("an answer", 30_000, |cluster| {
                cluster.nodes[&leader].answers.contains_key(&tag)
            });
            if self.nodes[&leader].answers[&tag] == Answer::Committed {
                return;
            }
            self.run(500);
        }
        panic!("the change was never committed: {}", self.describe());
    }

    /// Waits until all nodes that are on hold the same state.
    pub fn converge(&mut self) {
        self.run_until("the same state everywhere", 60_000, |cluster| {
            let states: BTreeSet<_> = cluster
                .nodes
                .values()
                .filter(|node| node.engine.is_some())
                .map(|node| node.state.clone())
                .collect();
            states.len() == 1
        });
    }

    pub fn role(&self, on: &str, of: &str) -> Option<MemberRole> {
        self.node(on).roles.get(&NodeName::from(of)).copied()
    }

    pub fn has_state(&self, name: &NodeName, payload: &[u8]) -> bool {
        self.nodes[name].state.iter().any(|one| one == payload)
    }

    pub fn isolate(&mut self, name: &NodeName) {
        for other in self.nodes.keys().cloned().collect::<Vec<_>>() {
            if other != *name {
                self.cut.insert((name.clone(), other.clone()));
                self.cut.insert((other, name.clone()));
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.cut_links.clear();
    }
}
