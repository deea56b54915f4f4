//! The exhaustive search.

use stateright::{Checker, HasDiscoveries, Model as _, Property};

use super::*;

const PROPOSALS: [Proposal; 4] = [
    Proposal::RemoveWitness,
    Proposal::Pair,
    Proposal::AddPeer,
    Proposal::Hold,
];

impl stateright::Model for Model {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.broken.is_some() {
            return;
        }
        for node in 0..world.count() {
            self.steps_of(world, node, steps);
        }
        for cable in 0..world.count() * (world.count() - 1) / 2 {
            if world.cut[cable] {
                steps.push(Step::Heal(cable));
            } else if world.cuts_left > 0 {
                steps.push(Step::Cut(cable));
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        next.take(self, step);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "one leader a term, nothing committed is lost",
                |_, world: &World| world.broken.is_none(),
            ),
            Property::always("committed entries agree", |_, world: &World| world.agrees()),
            Property::always("one owner", |_, world: &World| {
                !(world.runs[A] && world.runs[B])
            }),
            Property::sometimes("a survivor leads alone", |_, world: &World| {
                (0..2).any(|node| world.nodes[node].leads && world.voters(node) == [node])
            }),
            Property::sometimes("the resource moves to the survivor", |_, world: &World| {
                world.runs[B] && !world.nodes[A].up
            }),
        ]
    }
}

impl Model {
    fn steps_of(&self, world: &World, node: usize, steps: &mut Vec<Step>) {
        let own = &world.nodes[node];
        if !own.up {
            if own.boot < 1 {
                steps.push(Step::Start(node));
            }
            return;
        }
        if own.term < self.terms_max
            && own.log.len() < self.entries_max
            && world.votes(node).is_some()
        {
            steps.push(Step::Elect(node));
        }
        for proposal in PROPOSALS {
            if world.proposal(self, node, proposal).is_some() {
                steps.push(Step::Propose(node, proposal));
            }
        }
        if own.leads {
            for other in (0..world.count()).filter(|other| world.reaches(node, *other)) {
                let to = &world.nodes[other];
                let is_news = to.log != own.log || to.commit < own.commit || to.term < own.term;
                if to.term <= own.term && is_news && !world.ignores(other, node) {
                    steps.push(Step::Replicate(node, other));
                }
            }
        }
        if own.durable < own.log.len() {
            steps.push(Step::Sync(node));
        }
        if world.can_commit(self, node).is_some() {
            steps.push(Step::Commit(node));
        }
        if own.applied < own.commit {
            steps.push(Step::Apply(node));
        }
        if world.crashes_left > 0 {
            steps.push(Step::Crash(node));
        }
        if node == W {
            return;
        }
        let peer = peer_of(node);
        if world.reaches(node, peer) && own.met != Some(world.nodes[peer].boot) {
            steps.push(Step::Meet(node));
        }
        if world.reaches(node, peer) && own.asked.is_some() && self.r4 {
            steps.push(Step::Meet(node));
        }
        if own.asked.is_none() && own.term + 2 <= self.terms_max && world.may_fence(self, node) {
            steps.push(Step::Ask(node));
        }
        if let Some((_, confirmed)) = own.asked {
            if !confirmed {
                steps.push(Step::Fence(node));
                if !self.r4 {
                    steps.push(Step::Believe(node));
                }
            } else if own.log.len() < self.entries_max
                && (world.may_fence(self, node) || !self.r4)
                && world.view(node).is_pair
            {
                steps.push(Step::Seize(node));
            }
        }
        let is_majority = own.leads && world.voters(node).len() == 3;
        if is_majority && !world.reaches(node, peer) && own.log.len() < self.entries_max {
            steps.push(Step::FenceForRecovery(node));
        }
    }
}

impl World {
    fn agrees(&self) -> bool {
        (0..self.count()).all(|one| {
            (0..one).all(|other| {
                let (one, other) = (&self.nodes[one], &self.nodes[other]);
                let both = one.commit.min(other.commit);
                one.log[..both] == other.log[..both]
            })
        })
    }

    fn take(&mut self, model: &Model, step: Step) {
        match step {
            Step::Elect(node) => {
                let votes = self.votes(node).expect("the step was enabled");
                let term = self.nodes[node].term + 1;
                for voter in votes {
                    self.speaks(node, voter);
                    self.nodes[voter].term = term;
                    self.nodes[voter].leads = false;
                }
                self.nodes[node].leads = true;
                self.nodes[node].log.push((term, What::Begin));
                self.lead(node, term);
            }
            Step::Propose(node, proposal) => {
                let what = self.proposal(model, node, proposal);
                let own = &mut self.nodes[node];
                own.log
                    .push((own.term, what.expect("the step was enabled")));
            }
            Step::Replicate(from, to) => self.replicate(from, to),
            Step::Sync(node) => self.nodes[node].durable = self.nodes[node].log.len(),
            Step::Commit(node) => {
                self.nodes[node].commit = self.can_commit(model, node).expect("enabled");
                self.commits(node);
            }
            Step::Apply(node) => self.apply(node),
            Step::Crash(node) => {
                self.crashes_left -= 1;
                self.goes_off(node);
            }
            Step::Start(node) => {
                self.nodes[node].up = true;
                self.nodes[node].boot += 1;
            }
            Step::Cut(cable) => {
                self.cuts_left -= 1;
                self.cut[cable] = true;
            }
            Step::Heal(cable) => self.cut[cable] = false,
            Step::Meet(node) => {
                self.nodes[node].met = Some(self.nodes[peer_of(node)].boot);
                self.nodes[node].asked = None;
            }
            Step::Ask(node) => {
                let boot = self.nodes[node].met.unwrap_or(0);
                self.nodes[node].asked = Some((boot, false));
            }
            Step::Fence(node) => {
                self.goes_off(peer_of(node));
                self.confirm(node);
            }
            Step::Believe(node) => self.confirm(node),
            Step::Seize(node) => self.seize(model, node),
            Step::FenceForRecovery(node) => {
                let peer = peer_of(node);
                self.goes_off(peer);
                let own = &mut self.nodes[node];
                own.log.push((own.term, What::Fenced(peer)));
            }
        }
    }

    fn confirm(&mut self, node: usize) {
        if let Some((_, confirmed)) = &mut self.nodes[node].asked {
            *confirmed = true;
        }
    }

    /// R4: a later life of the peer takes part in the log: what was asked against the earlier one is void.
    fn speaks(&mut self, from: usize, to: usize) {
        let boot = self.nodes[from].boot;
        let is_peer = from != W && to != W && from != to;
        if is_peer && self.nodes[to].asked.is_some_and(|(asked, _)| asked != boot) {
            self.nodes[to].asked = None;
        }
    }

    fn replicate(&mut self, from: usize, to: usize) {
        self.speaks(from, to);
        let leader = self.nodes[from].clone();
        let other = &mut self.nodes[to];
        other.term = leader.term;
        other.leads = false;
        let same = leader
            .log
            .iter()
            .zip(&other.log)
            .take_while(|(one, other)| one == other)
            .count();
        if same < other.commit {
            self.broken = Some("a committed entry is overwritten");
            return;
        }
        other.log.clone_from(&leader.log);
        other.durable = other.durable.min(same);
        other.commit = other.commit.max(leader.commit);
    }

    fn apply(&mut self, node: usize) {
        let own = &mut self.nodes[node];
        let (_, what) = own.log[own.applied].clone();
        own.applied += 1;
        if let What::Hold(on) = what
            && own.leads
            && on == node
        {
            self.runs[on] = true;
        }
        if self.is_removed(node) {
            self.nodes[node].leads = false;
        }
    }

    /// R5: one batch; the library is reopened, applies the tail in order, and leads alone.
    fn seize(&mut self, model: &Model, node: usize) {
        let peer = peer_of(node);
        let own = &mut self.nodes[node];
        let (boot, _) = own.asked.take().expect("the step was enabled");
        if model.r5 {
            own.term += 1;
        }
        let term = own.term;
        own.log.push((term, What::RemovePeer(peer, boot)));
        own.durable = own.log.len();
        own.commit = own.log.len();
        own.leads = false;
        self.commits(node);
        self.lead(node, term);
    }
}

const SAFETY: [&str; 3] = [
    "one leader a term, nothing committed is lost",
    "committed entries agree",
    "one owner",
];

/// Searches everything.
#[track_caller]
fn finds_nothing(model: Model) {
    let checker = model.checker().spawn_bfs().join();
    for property in SAFETY {
        checker.assert_no_discovery(property);
    }
    let states = checker.unique_state_count();
    println!("{states} states");
    assert!(states > 10_000, "{states} states: the search is too small");
}

/// Searches until something is broken: the shortest way.
#[track_caller]
fn finds_something(model: Model) {
    let checker = model
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    is_broken(&checker);
}

#[track_caller]
fn is_broken(checker: &impl Checker<Model>) {
    let found = SAFETY
        .iter()
        .find_map(|property| Some((property, checker.discovery(property)?)));
    let (property, path) = found.expect("without the rule nothing was broken");
    let steps = path.into_actions();
    println!("{property}, after {} steps: {steps:?}", steps.len());
}

#[test]
fn a_pair_holds_all_that_it_promises() {
    finds_nothing(Model {
        terms_max: 3,
        ..Model::ALL_RULES
    });
}

#[test]
fn the_survivor_of_a_pair_goes_on() {
    let checker = Model::ALL_RULES
        .checker()
        .finish_when(HasDiscoveries::AllOf(
            ["the resource moves to the survivor"].into_iter().collect(),
        ))
        .spawn_bfs()
        .join();
    checker.assert_any_discovery("the resource moves to the survivor");
}

#[test]
fn so_does_one_whose_witness_leaves() {
    finds_nothing(Model {
        witness: true,
        terms_max: 2,
        entries_max: 3,
        crashes: 1,
        cuts: 0,
        ..Model::ALL_RULES
    });
}

#[test]
fn without_r1_what_was_committed_is_lost() {
    finds_something(Model {
        r1: false,
        terms_max: 2,
        entries_max: 4,
        crashes: 2,
        cuts: 0,
        ..Model::ALL_RULES
    });
}

#[test]
fn without_r2_a_node_that_lacks_entries_goes_on() {
    finds_something(Model {
        r2: false,
        ..Model::ALL_RULES
    });
}

#[test]
fn without_r4_both_go_on() {
    finds_something(Model {
        r4: false,
        ..Model::ALL_RULES
    });
}

#[test]
fn without_r5_one_term_has_two_leaders() {
    finds_something(Model {
        r5: false,
        ..Model::ALL_RULES
    });
}

#[test]
fn without_r7_a_started_node_goes_on_with_an_old_log() {
    finds_something(Model {
        r7: false,
        ..Model::ALL_RULES
    });
}

#[test]
fn without_r8_a_resource_has_two_owners() {
    finds_something(Model {
        r8: false,
        witness: true,
        terms_max: 2,
        entries_max: 4,
        crashes: 0,
        starts_with_a_holder: true,
        ..Model::ALL_RULES
    });
}
