//! The rules of a pair (R1 to R8, `docs/invariants.md`) as a model that is searched exhaustively.
//!
//! It has what the consensus library has: membership takes effect when an entry is *applied*, entries wait for the disk,
//! a power loss takes what was not synced. Elections and replication are single steps; that permits more than the
//! library does (no leases, no timeouts), never less. Each rule can be left out: then the search must find what it is for.

mod conformance;
mod search;

use std::collections::BTreeMap;

/// The nodes of a pair; the third is the witness.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
const W: usize = 2;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    /// The first of a leader's term.
    Begin,
    /// The witness leaves.
    RemoveWitness,
    /// The pair: boots of both.
    Pair([u8; 2]),
    /// A peer's vote is replaced: it was powered off in this boot.
    RemovePeer(usize, u8),
    /// The peer votes again.
    AddPeer(usize),
    /// A node was powered off for recovery.
    Fenced(usize),
    /// The resource is to run there.
    Hold(usize),
}

impl What {
    fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::RemoveWitness | Self::RemovePeer(..) | Self::AddPeer(_)
        )
    }
}

type Entry = (u8, What);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    up: bool,
    boot: u8,
    term: u8,
    leads: bool,
    log: Vec<Entry>,
    durable: usize,
    commit: usize,
    applied: usize,
    /// The peer's boot as met in this life.
    met: Option<u8>,
    /// The boot that this node's request names, and whether the device has confirmed it.
    asked: Option<(u8, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    nodes: Vec<Node>,
    /// A-B, A-W, B-W.
    cut: [bool; 3],
    leaders: BTreeMap<u8, usize>,
    /// The longest log that anybody ever called committed.
    committed: Vec<Entry>,
    runs: [bool; 2],
    cuts_left: u8,
    crashes_left: u8,
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Elect(usize),
    Propose(usize, Proposal),
    Replicate(usize, usize),
    Sync(usize),
    Commit(usize),
    Apply(usize),
    Crash(usize),
    Start(usize),
    Cut(usize),
    Heal(usize),
    Meet(usize),
    Ask(usize),
    Fence(usize),
    Believe(usize),
    Seize(usize),
    FenceForRecovery(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Proposal {
    RemoveWitness,
    Pair,
    AddPeer,
    Hold,
}

/// Which rules are kept, and how far the search goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    pub witness: bool,
    pub r1: bool,
    pub r2: bool,
    pub r4: bool,
    pub r5: bool,
    pub r7: bool,
    pub r8: bool,
    pub terms_max: u8,
    pub entries_max: usize,
    pub crashes: u8,
    pub cuts: u8,
    /// The resource runs on the first leader already, and everybody knows.
    pub starts_with_a_holder: bool,
}

impl Model {
    pub(super) const ALL_RULES: Self = Self {
        witness: false,
        r1: true,
        r2: true,
        r4: true,
        r5: true,
        r7: true,
        r8: true,
        terms_max: 4,
        entries_max: 4,
        crashes: 1,
        cuts: 1,
        starts_with_a_holder: false,
    };
}

fn link(one: usize, other: usize) -> usize {
    one + other - 1
}

fn peer_of(node: usize) -> usize {
    1 - node
}

/// What R2 looks at: the engine's own view of itself can be put in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PairView {
    /// It is one of exactly two voters by its applied configuration.
    pub is_pair: bool,
    /// A configuration entry lies above its applied index.
    pub has_configuration_above: bool,
    /// The last applied pair entry, after any change of the configuration, names both lives as they are known.
    pub is_named: bool,
    /// Every removed voter has acknowledged it, or is off.
    pub has_no_departing: bool,
}

/// R2 in one line.
pub(super) fn is_eligible(view: PairView) -> bool {
    view.is_pair && !view.has_configuration_above && view.is_named && view.has_no_departing
}

impl World {
    pub(super) fn new(model: &Model) -> Self {
        let first = match (model.witness, model.starts_with_a_holder) {
            (_, true) => What::Hold(A),
            (true, false) => What::Begin,
            (false, false) => What::Pair([0, 0]),
        };
        let log = vec![(1, first)];
        let known = log.len();
        let node = |number: usize| Node {
            up: true,
            boot: 0,
            term: 1,
            leads: number == A,
            log: log.clone(),
            durable: known,
            commit: known,
            applied: known,
            met: (number != W).then_some(0),
            asked: None,
        };
        let count = if model.witness { 3 } else { 2 };
        Self {
            nodes: (0..count).map(node).collect(),
            cut: [false; 3],
            leaders: BTreeMap::from([(1, A)]),
            committed: log.clone(),
            runs: [model.starts_with_a_holder, false],
            cuts_left: model.cuts,
            crashes_left: model.crashes,
            broken: None,
        }
    }

    fn count(&self) -> usize {
        self.nodes.len()
    }

    fn reaches(&self, one: usize, other: usize) -> bool {
        one != other && self.nodes[one].up && self.nodes[other].up && !self.cut[link(one, other)]
    }

    /// The voters as this node has applied them.
    fn voters(&self, node: usize) -> Vec<usize> {
        let mut voters: Vec<usize> = (0..self.count()).collect();
        let node = &self.nodes[node];
        for (_, what) in &node.log[..node.applied] {
            match what {
                What::RemoveWitness => voters.retain(|voter| *voter != W),
                What::RemovePeer(gone, _) => voters.retain(|voter| voter != gone),
                What::AddPeer(back) => voters.push(*back),
                _ => {}
            }
        }
        voters.sort_unstable();
        voters
    }

    fn view(&self, node: usize) -> PairView {
        let own = &self.nodes[node];
        let mut named = None;
        for (_, what) in &own.log[..own.applied] {
            match what {
                What::Pair(boots) => named = Some(*boots),
                what if what.is_configuration() => named = None,
                _ => {}
            }
        }
        let mut boots = [0; 2];
        if node != W {
            boots[node] = own.boot;
            boots[peer_of(node)] = own.met.unwrap_or(u8::MAX);
        }
        PairView {
            is_pair: node != W && self.voters(node) == [A, B],
            has_configuration_above: own.log[own.applied..]
                .iter()
                .any(|(_, what)| what.is_configuration()),
            is_named: named == Some(boots),
            // The leader proposes the pair only then.
            has_no_departing: true,
        }
    }

    fn may_fence(&self, model: &Model, node: usize) -> bool {
        let view = self.view(node);
        if !view.is_pair || self.reaches(node, peer_of(node)) {
            return false;
        }
        let starts_alone = !model.r7 && self.nodes[node].met.is_none();
        is_eligible(view) || !model.r2 || starts_alone
    }

    /// R2: who is named by the pair and could replace its peer's vote listens to no third.
    fn ignores(&self, node: usize, from: usize) -> bool {
        if node == W || from == peer_of(node) {
            return false;
        }
        let view = self.view(node);
        view.is_pair && is_eligible(view)
    }

    fn last(&self, node: usize) -> (u8, usize) {
        let log = &self.nodes[node].log;
        (log.last().map_or(0, |(term, _)| *term), log.len())
    }

    fn is_removed(&self, node: usize) -> bool {
        !self.voters(node).contains(&node)
    }

    fn lead(&mut self, node: usize, term: u8) {
        if *self.leaders.entry(term).or_insert(node) != node {
            self.broken = Some("two leaders in one term");
        }
    }

    /// What a node calls committed must be what everybody ever called so.
    fn commits(&mut self, node: usize) {
        let own = &self.nodes[node];
        let log = &own.log[..own.commit];
        let both = log.len().min(self.committed.len());
        if log[..both] != self.committed[..both] {
            self.broken = Some("a committed entry is lost");
        } else if log.len() > both {
            self.committed = log.to_vec();
        }
    }

    /// Who would vote for it in the next term, itself included; `None`: it cannot win.
    fn votes(&self, node: usize) -> Option<Vec<usize>> {
        let own = &self.nodes[node];
        if !own.up || own.leads || self.is_removed(node) {
            return None;
        }
        let term = own.term + 1;
        let voters = self.voters(node);
        let votes: Vec<usize> = voters
            .iter()
            .copied()
            .filter(|voter| {
                *voter == node
                    || self.reaches(node, *voter)
                        && term > self.nodes[*voter].term
                        && self.last(node) >= self.last(*voter)
                        && !self.ignores(*voter, node)
                        && !self.is_removed(*voter)
            })
            .collect();
        (votes.len() > voters.len() / 2).then_some(votes)
    }

    fn can_commit(&self, model: &Model, node: usize) -> Option<usize> {
        let own = &self.nodes[node];
        if !own.up || !own.leads {
            return None;
        }
        let voters = self.voters(node);
        (own.commit + 1..=own.log.len()).rev().find(|&length| {
            let entry = &own.log[length - 1];
            let has = |voter: &&usize| {
                let other = &self.nodes[**voter];
                let counted = if model.r1 {
                    other.durable
                } else {
                    other.log.len()
                };
                counted >= length && other.log[length - 1].0 == entry.0
            };
            entry.0 == own.term && voters.iter().filter(has).count() > voters.len() / 2
        })
    }

    fn goes_off(&mut self, node: usize) {
        let own = &mut self.nodes[node];
        own.up = false;
        own.leads = false;
        own.asked = None;
        own.met = None;
        own.log.truncate(own.durable);
        own.commit = own.commit.min(own.durable);
        own.applied = own.applied.min(own.durable);
        if node != W {
            self.runs[node] = false;
        }
    }

    /// The last holder in the leader's log that was neither fenced nor replaced since.
    fn holder(&self, node: usize) -> Option<usize> {
        let mut holder = None;
        for (_, what) in &self.nodes[node].log {
            match what {
                What::Hold(on) => holder = Some(*on),
                What::RemovePeer(gone, _) | What::Fenced(gone) if holder == Some(*gone) => {
                    holder = None;
                }
                _ => {}
            }
        }
        holder
    }

    fn proposal(&self, model: &Model, node: usize, proposal: Proposal) -> Option<What> {
        let own = &self.nodes[node];
        if !own.up || !own.leads || own.log.len() >= model.entries_max {
            return None;
        }
        let has_pending = own.log[own.applied..]
            .iter()
            .any(|(_, what)| what.is_configuration());
        let begun = own.log.iter().any(|(term, _)| *term == own.term);
        match proposal {
            Proposal::RemoveWitness => {
                let may = self.voters(node).contains(&W) && !has_pending && begun;
                may.then_some(What::RemoveWitness)
            }
            Proposal::Pair | Proposal::AddPeer if node == W => None,
            Proposal::Pair => {
                let peer = peer_of(node);
                let view = self.view(node);
                let is_known = self.reaches(node, peer) && own.met == Some(self.nodes[peer].boot);
                // A removed voter has acknowledged it, or is off.
                let has_left = self.count() < 3 || self.is_removed(W) || !self.nodes[W].up;
                let mut boots = [0; 2];
                boots[node] = own.boot;
                boots[peer] = self.nodes[peer].boot;
                let is_under_way = own.log[own.applied..].contains(&(own.term, What::Pair(boots)));
                let may = view.is_pair
                    && !view.has_configuration_above
                    && !view.is_named
                    && is_known
                    && (has_left || !model.r2)
                    && !is_under_way;
                may.then_some(What::Pair(boots))
            }
            Proposal::AddPeer => {
                let peer = peer_of(node);
                let may = node != W
                    && self.voters(node) == [node]
                    && !has_pending
                    && self.reaches(node, peer)
                    && self.nodes[peer].log == own.log;
                may.then_some(What::AddPeer(peer))
            }
            Proposal::Hold => {
                let free = match self.holder(node) {
                    None => true,
                    Some(on) if on == node => false,
                    // R8: unseen is not gone.
                    Some(on) => !model.r8 && !self.reaches(node, on),
                };
                (node != W && free).then_some(What::Hold(node))
            }
        }
    }
}
