//! A transition on its way: which action may run now, which is done, what is void.

use std::collections::BTreeMap;

use quorate_policy::plan::{Action, ActionId, ActionKind, Plan};

use crate::ids::{Millis, NodeName, Term};

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waits for its inputs.
    Waiting,
    /// Its intent is on its way into the log.
    Intended,
    /// Its executor or coordinator has it.
    Dispatched {
        /// When it was last sent.
        sent: Millis,
        /// When its answer is overdue.
        overdue: Millis,
    },
    /// It ended as expected.
    Done,
    /// It did not.
    Failed,
}

/// A transition.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Its number.
    pub number: u64,
    /// The leader's term.
    pub term: Term,
    /// The plan.
    pub plan: Plan,
    /// What made it necessary.
    pub trigger: String,
    steps: Vec<Step>,
    /// Ids by action name.
    names: BTreeMap<String, ActionId>,
    /// Fencing that has to wait for its next attempt: not before.
    holds: BTreeMap<ActionId, Millis>,
    /// Why it is void; what runs still ends.
    aborted: Option<String>,
    /// Some action had an effect.
    pub has_acted: bool,
}

impl Runner {
    /// A new transition.
    #[must_use]
    pub fn new(number: u64, term: Term, plan: Plan, trigger: String) -> Self {
        let names = (0..plan.actions.len())
            .map(|position| {
                let id = ActionId(u32::try_from(position).unwrap_or(u32::MAX));
                (name_of(term, number, id), id)
            })
            .collect();
        Self {
            number,
            term,
            steps: vec![Step::Waiting; plan.actions.len()],
            plan: stops_after_probes(plan),
            trigger,
            names,
            holds: BTreeMap::new(),
            aborted: None,
            has_acted: false,
        }
    }

    /// The action of that id.
    #[must_use]
    pub fn action(&self, id: ActionId) -> &Action {
        &self.plan.actions[id.0 as usize]
    }

    /// The action's name.
    #[must_use]
    pub fn name(&self, id: ActionId) -> String {
        name_of(self.term, self.number, id)
    }

    /// The action of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ActionId> {
        self.names.get(name).copied()
    }

    /// Where it stands.
    #[must_use]
    pub fn step(&self, id: ActionId) -> Step {
        self.steps[id.0 as usize]
    }

    /// Sets where it stands.
    pub fn set(&mut self, id: ActionId, step: Step) {
        self.steps[id.0 as usize] = step;
    }

    /// Holds an action back until then.
    pub fn hold(&mut self, id: ActionId, until: Millis) {
        self.holds.insert(id, until);
    }

    /// The next time at which a held action may go.
    #[must_use]
    pub fn held_until(&self) -> Option<Millis> {
        self.holds
            .iter()
            .filter(|(id, _)| self.step(**id) == Step::Waiting)
            .map(|(_, until)| *until)
            .min()
    }

    /// Nothing more of it begins.
    pub fn abort(&mut self, why: &str) {
        if self.aborted.is_none() {
            self.aborted = Some(why.to_owned());
        }
    }

    /// Why it is void, if it is.
    #[must_use]
    pub fn aborted(&self) -> Option<&str> {
        self.aborted.as_deref()
    }

    /// The actions that may begin now, most important first, within the batch limit.
    #[must_use]
    pub fn ready(&self, now: Millis) -> Vec<ActionId> {
        if self.aborted.is_some() {
            return Vec::new();
        }
        let mut ready: Vec<ActionId> = self
            .ids()
            .filter(|id| self.step(*id) == Step::Waiting)
            .filter(|id| self.holds.get(id).is_none_or(|until| *until <= now))
            .filter(|id| {
                self.action(*id)
                    .inputs
                    .iter()
                    .all(|input| self.lets_pass(*input))
            })
            .collect();
        ready.sort_by_key(|id| (-i64::from(self.action(*id).priority), *id));
        let limit = self.plan.batch_limit as usize;
        if limit > 0 {
            let mut room = limit.saturating_sub(self.running().count());
            ready.retain(|id| {
                if is_free(self.action(*id).kind) {
                    return true;
                }
                let fits = room > 0;
                room = room.saturating_sub(1);
                fits
            });
        }
        ready
    }

    fn lets_pass(&self, input: ActionId) -> bool {
        match self.step(input) {
            Step::Done => true,
            Step::Dispatched { .. } if self.action(input).kind == ActionKind::Stop => {
                crate::seeded::has(crate::seeded::Bug::StartBeforeStop)
            }
            Step::Failed => self.action(input).failure_is_harmless,
            _ => false,
        }
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = ActionId> + use<> {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).map(ActionId)
    }

    /// The actions that were dispatched and have no result.
    pub fn running(&self) -> impl Iterator<Item = ActionId> + '_ {
        self.ids()
            .filter(|id| matches!(self.step(*id), Step::Dispatched { .. } | Step::Intended))
    }

    /// Running actions on a node (a fencing runs elsewhere and does not count).
    pub fn running_on<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = ActionId> + 'a {
        self.running().filter(move |id| {
            let action = self.action(*id);
            let is_fencing = matches!(action.kind, ActionKind::Fence | ActionKind::Unfence);
            !is_fencing && runs_on(action) == Some(node.0.as_str())
        })
    }

    /// Nothing that must be awaited runs, and nothing more can begin.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        if self.is_aborted_idle() {
            return true;
        }
        if self.running().next().is_some() {
            return false;
        }
        self.aborted.is_some() || (self.ready(now).is_empty() && self.held_until().is_none())
    }

    /// Void, and only recurring monitors have not spoken yet: a monitor that hangs must not hold up what
    /// comes next; it is the executor's, and its result is a report like any other.
    fn is_aborted_idle(&self) -> bool {
        self.aborted.is_some()
            && self
                .running()
                .all(|id| self.action(id).kind == ActionKind::Monitor)
    }

    /// Nothing runs: it may be replaced by another at any time.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_aborted_idle() || self.running().next().is_none()
    }

    /// How many are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| matches!(step, Step::Done | Step::Failed))
            .count()
    }
}

/// What a probe may still find on a node can need what the plan stops there: stops wait for the node's probes.
fn stops_after_probes(mut plan: Plan) -> Plan {
    let mut probes: BTreeMap<String, Vec<ActionId>> = BTreeMap::new();
    if crate::seeded::has(crate::seeded::Bug::StopsBeforeProbes) {
        return plan;
    }
    for (id, action) in (0..).map(ActionId).zip(&plan.actions) {
        // Only what waits for nothing: the graph stays free of cycles.
        if let (ActionKind::Probe, true, Some(node)) =
            (action.kind, action.inputs.is_empty(), &action.node)
        {
            probes.entry(node.clone()).or_default().push(id);
        }
    }
    for action in &mut plan.actions {
        let node = action.node.as_ref().and_then(|node| probes.get(node));
        if let (ActionKind::Stop | ActionKind::Demote, Some(probes)) = (action.kind, node) {
            action.inputs.extend(probes);
        }
    }
    plan
}

/// Where an action is executed.
#[must_use]
pub fn runs_on(action: &Action) -> Option<&str> {
    action.router.as_deref().or(action.node.as_deref())
}

/// Costs no executor's time.
#[must_use]
pub fn is_free(kind: ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::Pseudo
            | ActionKind::Bookkeeping
            | ActionKind::ClearFailcount
            | ActionKind::Delete
    )
}

fn name_of(term: Term, number: u64, id: ActionId) -> String {
    format!("{term}.{number}.{}", id.0)
}
