//! Who changed which score: kept only for whoever asks why.
//!
//! A decision is made without it; an explanation runs the same decision again with the ledger open.

use crate::score::Score;
use crate::world::{Cell, ColIx, NodeIx, RscIx, World};

/// What changed a score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cause {
    /// A location constraint, by its index.
    Location(usize),
    /// A rule of the engine, by its word (`stickiness`, `__fail_limit__` ...).
    Rule(String),
    /// The resource goes with another.
    Together(ColIx),
    /// Another goes with the resource, and is asked where it would like to be.
    Dependent(ColIx),
    /// Health of the node.
    Health,
    /// Another constraint names the only nodes that are looked at.
    Exclusive,
    /// The node is too small for what the resource needs.
    Capacity,
    /// The node has as many instances as it may have, or none may be there.
    CloneLimit,
    /// The promotion score that the agent has set.
    Promotion,
}

/// A change of a score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub rsc: RscIx,
    pub node: NodeIx,
    /// `None`: the node was not among the candidates.
    pub before: Option<Score>,
    pub after: Option<Score>,
    pub cause: Cause,
}

/// What was known when a node was chosen.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub rsc: RscIx,
    /// How many instances each node had been given by then.
    pub counts: Vec<u32>,
}

/// A promotion that was given or not.
#[derive(Debug, Clone)]
pub(crate) struct Promotion {
    pub rsc: RscIx,
    pub score: Score,
    pub is_promoted: bool,
    pub is_full: bool,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub entries: Vec<Entry>,
    pub choices: Vec<Choice>,
    pub promotions: Vec<Promotion>,
    /// Changes of the wish to be promoted, on the node given.
    pub wishes: Vec<Entry>,
}

fn known(cell: &Cell) -> Option<Score> {
    cell.allowed.then_some(cell.score)
}

impl World<'_> {
    /// A resource's scores, where somebody keeps a ledger.
    pub(crate) fn ledger_before(&self, r: RscIx) -> Option<Vec<Cell>> {
        self.ledger.is_some().then(|| self.rscs[r].allowed.clone())
    }

    /// Notes what changed since.
    pub(crate) fn ledger_after(&mut self, r: RscIx, before: Option<Vec<Cell>>, cause: &Cause) {
        let (Some(before), Some(ledger)) = (before, self.ledger.as_mut()) else {
            return;
        };
        let now = &self.rscs[r].allowed;
        for (node, (old, new)) in before.iter().zip(now).enumerate() {
            if known(old) != known(new) {
                ledger.entries.push(Entry {
                    rsc: r,
                    node,
                    before: known(old),
                    after: known(new),
                    cause: cause.clone(),
                });
            }
        }
    }

    /// Notes one change.
    pub(crate) fn ledger_note(
        &mut self,
        rsc: RscIx,
        node: NodeIx,
        before: Cell,
        cause: impl FnOnce() -> Cause,
    ) {
        let Some(ledger) = self.ledger.as_mut() else {
            return;
        };
        let after = known(&self.rscs[rsc].allowed[node]);
        if known(&before) != after {
            ledger.entries.push(Entry {
                rsc,
                node,
                before: known(&before),
                after,
                cause: cause(),
            });
        }
    }

    /// Where the ledger ends for now.
    pub(crate) fn ledger_mark(&self) -> usize {
        self.ledger.as_ref().map_or(0, |l| l.entries.len())
    }

    /// Strikes what was noted of some resources since a mark: their scores were put back.
    pub(crate) fn ledger_strike(&mut self, mark: usize, rscs: &[RscIx]) {
        if let Some(ledger) = self.ledger.as_mut() {
            let mut at = 0;
            ledger.entries.retain(|entry| {
                at += 1;
                at <= mark || !rscs.contains(&entry.rsc)
            });
        }
    }

    /// Notes what a choice of a node rests on beside scores.
    pub(crate) fn ledger_choice(&mut self, r: RscIx) {
        if let Some(ledger) = self.ledger.as_mut() {
            let counts = self.nodes.iter().map(|n| n.count).collect();
            ledger.choices.push(Choice { rsc: r, counts });
        }
    }

    /// Notes a change of a wish to be promoted.
    pub(crate) fn ledger_wish(
        &mut self,
        rsc: RscIx,
        node: NodeIx,
        before: Option<Score>,
        cause: impl FnOnce() -> Cause,
    ) {
        let after = Some(self.rscs[rsc].promotion_priority);
        if let Some(ledger) = self.ledger.as_mut()
            && before != after
        {
            ledger.wishes.push(Entry {
                rsc,
                node,
                before,
                after,
                cause: cause(),
            });
        }
    }
}
