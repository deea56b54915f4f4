//! An orderly end: everything is moved away or stopped first, then the log says that this node left.

use crate::entry::{AttributeChange, Entry};
use crate::event::{Effect, LogLevel};
use crate::ids::Millis;
use crate::outbox::{Outbox, Purpose};
use crate::state::{MemberRole, Presence};

use super::Node;

/// Between two attempts to tell the cluster.
const RETRY_MS: u64 = 1_000;
/// How long a leader waits for another to take over before it stops.
const HANDOVER_MS: u64 = 2_000;

/// How long one of two voters waits for its vote to be taken back before it stops (beside an election).
const DEMOTION_MS: u64 = 3_000;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    began: Millis,
    asked: Option<Millis>,
    left_at: Option<Millis>,
    requests: Vec<u64>,
}

impl Node {
    /// Begins to drain (once).
    pub(super) fn begin_drain(&mut self, request: Option<u64>, out: &mut Outbox) {
        if self.drain.is_none() {
            out.log(LogLevel::Info, "Leaves in good order: drains first.");
            self.executor.drain();
        }
        let began = self.now.mono;
        let drain = self.drain.get_or_insert_with(|| Drain {
            began,
            asked: None,
            left_at: None,
            requests: Vec::new(),
        });
        drain.requests.extend(request);
    }

    /// Goes on draining.
    pub(super) fn drain_on(&mut self, out: &mut Outbox) {
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        let now = self.now.mono;
        let status = self.state.node(&self.name);
        let has_left = status.is_some_and(|status| {
            status.presence == Presence::Left && status.incarnation == self.incarnation
        });
        let holds_nothing = self.state.held_by(&self.name).next().is_none();
        let is_alone =
            self.leader.is_none() && now.since(drain.began) >= 3 * self.settings.detection_ms;
        if has_left {
            self.end_drain(&mut drain, out);
        } else if now.since(drain.began) >= self.timing.drain_ms {
            self.halt(
                &drain,
                "the drain took too long; what still runs goes on",
                false,
                out,
            );
        } else if is_alone && holds_nothing && self.executor.is_idle() {
            self.halt(
                &drain,
                "nothing runs here, and no leader is known",
                true,
                out,
            );
        } else if self.leader.is_some() && drain.asked.is_none_or(|at| now.since(at) >= RETRY_MS) {
            drain.asked = Some(now);
            self.ask_to_leave(out);
        }
        self.drain = Some(drain);
    }

    fn ask_to_leave(&mut self, out: &mut Outbox) {
        let status = self.state.node(&self.name);
        let is_asked = status.is_some_and(|status| status.transient.contains_key("shutdown"));
        let wall_ms = self.now.wall_ms;
        if !is_asked {
            out.propose(
                Purpose::Record,
                Entry::Attributes {
                    changes: vec![AttributeChange {
                        node: self.name.clone(),
                        name: "shutdown".to_owned(),
                        value: Some((wall_ms / 1_000).max(1).to_string()),
                        is_permanent: false,
                        is_private: false,
                    }],
                    who: self.name.0.clone(),
                    what: format!("{} shuts down", self.name),
                    wall_ms,
                },
            );
        } else if self.executor.may_leave && self.executor.is_idle() && self.executor.is_reported()
        {
            out.propose(
                Purpose::Record,
                Entry::NodeLeft {
                    node: self.name.clone(),
                    incarnation: self.incarnation,
                    wall_ms,
                },
            );
        }
    }

    /// The log says that it left. A leader hands over; one of two voters waits until its vote is taken back, so that
    /// the other need not fence it for quorum.
    fn end_drain(&mut self, drain: &mut Drain, out: &mut Outbox) {
        let now = self.now.mono;
        if drain.left_at.is_none() {
            drain.asked = None;
        }
        let since = *drain.left_at.get_or_insert(now);
        if self.controller.is_none() {
            let waited = now.since(since);
            if !self.is_one_of_two() || waited >= DEMOTION_MS + 2 * self.settings.detection_ms {
                self.halt(drain, "drained", true, out);
            }
            return;
        }
        let next = self.state.members.iter().find(|(name, member)| {
            **name != self.name
                && member.role == MemberRole::Voter
                && self.contacts.get(name).is_some_and(|contact| contact.is_up)
        });
        match next {
            Some((next, _)) if now.since(since) < HANDOVER_MS => {
                if drain
                    .asked
                    .is_none_or(|at| now.since(at) >= HANDOVER_MS / 4)
                {
                    drain.asked = Some(now);
                    out.transfer = Some(next.clone());
                }
            }
            _ => self.halt(drain, "drained", true, out),
        }
    }

    /// Whether this node and one that answers are the two voters.
    fn is_one_of_two(&self) -> bool {
        let voters = || {
            let members = self.state.members.iter();
            members.filter(|(_, member)| member.role == MemberRole::Voter)
        };
        voters().count() == 2
            && voters().any(|(name, _)| *name == self.name)
            && voters()
                .any(|(name, _)| self.contacts.get(name).is_some_and(|contact| contact.is_up))
    }

    fn halt(&mut self, drain: &Drain, reason: &str, clean: bool, out: &mut Outbox) {
        if self.engine.take().is_none() {
            return;
        }
        for request in &drain.requests {
            let Some(crate::requests::Origin::Client(client)) = self.requests.close(*request)
            else {
                continue;
            };
            let response = crate::admin::Response::Done {
                text: reason.to_owned(),
                index: self.state.applied,
            };
            out.effect(Effect::Reply { client, response });
        }
        out.effect(Effect::Halt {
            reason: reason.to_owned(),
            clean,
        });
    }
}
