//! A brain that is no cluster at all, for tests of the world: one node decides, and knows nothing of faults.

use quorate_core::admin::Response;
use quorate_core::event::{AgentCall, Effect, Event};
use quorate_core::ids::{BatchId, LogIndex, Millis, NodeName, Now, RunId};
use quorate_core::start::Start;
use quorate_core::store::{Batch, StoreOp};

use crate::brain::{Brain, Maker};

/// What the fake nodes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fake {
    /// The first node starts everything in order; nobody else does anything.
    FirstStartsAll,
    /// Every node starts everything: the checkers must bite.
    EveryoneStartsAll,
    /// Nobody starts anything: nothing ever runs.
    Idle,
}

struct FakeNode {
    name: NodeName,
    starts: bool,
    next: usize,
    tick: Millis,
    batches: u64,
}

const GROUP: [&str; 3] = ["disk", "address", "db"];

impl Maker for Fake {
    fn start(&self, start: Start, now: Now) -> (Box<dyn Brain>, Vec<Effect>) {
        let starts = match self {
            Self::FirstStartsAll => start.name.0 == "n1",
            Self::EveryoneStartsAll => true,
            Self::Idle => false,
        };
        let node = FakeNode {
            name: start.name,
            starts,
            next: 0,
            tick: now.mono.plus(200),
            batches: 0,
        };
        let effects = if starts {
            node.start_next()
        } else {
            Vec::new()
        };
        (Box::new(node), effects)
    }
}

impl FakeNode {
    fn start_next(&self) -> Vec<Effect> {
        let Some(resource) = GROUP.get(self.next) else {
            return Vec::new();
        };
        let call = AgentCall {
            resource: (*resource).to_owned(),
            instance: (*resource).to_owned(),
            class: "ocf".to_owned(),
            provider: Some("sim".to_owned()),
            action: "start".to_owned(),
            timeout_ms: 10_000,
            ..AgentCall::default()
        };
        vec![Effect::RunAgent {
            run: RunId(self.next as u64 + 1),
            call,
        }]
    }
}

impl Brain for FakeNode {
    fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        match event {
            Event::Tick => {
                self.tick = now.mono.plus(200);
                self.batches += 1;
                let to = if self.name.0 == "n1" { "n2" } else { "n1" };
                let beat = Effect::Send {
                    to: to.into(),
                    link: None,
                    bytes: vec![1, 2, 3],
                };
                let batch = Batch {
                    id: BatchId(self.batches),
                    operations: vec![StoreOp::Put {
                        key: "ticks".to_owned(),
                        value: self.batches.to_be_bytes().to_vec(),
                    }],
                };
                vec![beat, Effect::Persist(batch)]
            }
            Event::AgentDone { .. } if self.starts => {
                self.next += 1;
                self.start_next()
            }
            Event::Client { id, .. } => vec![Effect::Reply {
                client: id,
                response: Response::Done {
                    text: "done".to_owned(),
                    index: LogIndex(1),
                },
            }],
            _ => Vec::new(),
        }
    }

    fn deadline(&self) -> Millis {
        self.tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkRates;
    use crate::scenario::{Scenario, Shapes};
    use crate::trace::Trace;
    use crate::world::{Outcome, run};

    fn calm() -> Scenario {
        Scenario {
            steps: Vec::new(),
            network: NetworkRates::default(),
            shape: crate::scenario::Shape {
                workers: 0,
                ..Scenario::draw(1, Shapes::Machines(3)).shape
            },
            ..Scenario::draw(1, Shapes::Machines(3))
        }
    }

    fn checker(outcome: Outcome) -> Option<&'static str> {
        outcome.violation.map(|(violation, _)| violation.checker)
    }

    #[test]
    fn a_calm_world_around_one_that_decides_is_quiet() {
        let outcome = run(&calm(), &Fake::FirstStartsAll, Trace::default());
        assert_eq!(outcome.violation, None);
    }

    #[test]
    fn a_second_owner_is_noticed() {
        let found = checker(run(&calm(), &Fake::EveryoneStartsAll, Trace::default()));
        assert!(matches!(found, Some("exclusive" | "holders")), "{found:?}");
    }

    #[test]
    fn what_never_starts_is_noticed() {
        let found = checker(run(&calm(), &Fake::Idle, Trace::default()));
        assert_eq!(found, Some("liveness"));
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in 0..10 {
            let scenario = Scenario::draw(seed, Shapes::Any);
            let one = run(&scenario, &Fake::FirstStartsAll, Trace::kept());
            let two = run(&scenario, &Fake::FirstStartsAll, Trace::kept());
            assert_eq!(one.trace.digest(), two.trace.digest(), "seed {seed}");
        }
    }
}
