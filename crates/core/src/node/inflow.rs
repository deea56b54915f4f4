//! What comes out of the engine.

use crate::apply::{self, Change};
use crate::controller::Controller;
use crate::engine::{ContactState, EngineInput, EngineOutput, Restored};
use crate::entry::Entry;
use crate::event::{Effect, LogLevel, Peer};
use crate::fencing::{FenceRequest, Waiter};
use crate::ids::{Boot, LogIndex, NodeName, Tag, Term};
use crate::message::Message;
use crate::outbox::{Outbox, Purpose};
use crate::state::{ClusterState, FenceOutcome, FenceRecord, Presence};

use super::Node;

/// A fencing that was confirmed longer ago is history.
const FRESH_FENCING_MS: u64 = 10_000;

impl Node {
    /// Takes in one output of the engine.
    pub(super) fn inflow(&mut self, output: EngineOutput, out: &mut Outbox) {
        match output {
            EngineOutput::Effect(Effect::Peers(peers)) => {
                out.effect(Effect::Peers(self.with_certificates(peers)));
            }
            EngineOutput::Effect(effect) => out.effect(effect),
            EngineOutput::Restore { index, state } => self.restore(index, state, out),
            EngineOutput::Committed {
                index,
                term,
                payload,
                tag,
            } => {
                self.committed(index, term, &payload, tag, out);
            }
            EngineOutput::Membership {
                index,
                members,
                tag,
            } => {
                let changes = apply::apply_members(&mut self.state, index, &members);
                self.spread(&changes, false, out);
                if let Some(Some(request)) = tag.and_then(|tag| self.member_tags.remove(&tag)) {
                    self.members_changed(request, index, out);
                }
            }
            EngineOutput::WantSnapshot { index } => {
                let bytes = self.state.encode();
                self.engine_step(EngineInput::SnapshotState { index, bytes });
            }
            EngineOutput::Leading { term } => self.leading(term, out),
            EngineOutput::DispatchReady { term } => {
                if let Some(controller) = &mut self.controller
                    && controller.term() == term
                {
                    controller.may_dispatch = true;
                }
            }
            EngineOutput::Following { leader, term } => {
                self.follow(Some(leader), term);
                self.executor.heard_of(term);
                self.executor.send_pending(self.now, out);
            }
            EngineOutput::NoLeader { term } => self.follow(None, term),
            EngineOutput::Contact { peer, state } => self.contact(&peer, state, out),
            EngineOutput::LinkState { peer, link, up } => {
                let contact = self.contacts.entry(peer).or_default();
                contact.links.insert(link.0, up);
                self.show_soon();
            }
            EngineOutput::Message { from, bytes } => match Message::decode(&bytes) {
                Ok(message) => self.message(from, message, out),
                Err(error) => out.log(
                    LogLevel::Warn,
                    format!("A message of {from} cannot be decoded: {error}."),
                ),
            },
            EngineOutput::PairFence {
                request,
                target,
                boot,
                ..
            } => {
                out.fences.push(FenceRequest {
                    target,
                    boot,
                    action: crate::admin::FenceAction::Reboot,
                    reason: "the peer of a pair was lost".to_owned(),
                    waiter: Waiter::Pair(request),
                });
            }
            EngineOutput::PairFenceCancelled { .. } => {}
            EngineOutput::FencingDisproved { target, boot } => self.disproved(&target, boot, out),
            EngineOutput::Blocked(blocked) => {
                self.blocked = blocked;
                self.show_soon();
            }
            EngineOutput::ProposalDropped {
                tag,
                reason,
                maybe_committed,
            } => {
                self.dropped(tag, &reason, maybe_committed, out);
            }
        }
    }

    /// What the log knows of the peers' certificates.
    fn with_certificates(&self, mut peers: Vec<Peer>) -> Vec<Peer> {
        for peer in &mut peers {
            if let Some(member) = self.state.members.get(&peer.name) {
                peer.fingerprint.clone_from(&member.fingerprint);
                peer.admitted_wall_ms = member.joined_wall_ms;
            }
        }
        peers
    }

    fn restore(&mut self, index: LogIndex, restored: Restored, out: &mut Outbox) {
        self.state = match restored {
            Restored::Nothing => ClusterState {
                cluster: self.cluster.clone(),
                lineage: self.lineage,
                ..ClusterState::default()
            },
            Restored::Genesis(genesis) => apply::genesis(&self.cluster, self.lineage, &genesis),
            Restored::State(bytes) => match ClusterState::decode(&bytes) {
                Ok(state) => {
                    self.state = state;
                    self.refresh_settings();
                    self.show_soon();
                    return;
                }
                Err(error) => {
                    self.engine = None;
                    out.effect(Effect::Halt {
                        reason: error.to_string(),
                        clean: false,
                    });
                    return;
                }
            },
        };
        self.state.applied = index;
        self.refresh_settings();
        self.show_soon();
    }

    fn committed(
        &mut self,
        index: LogIndex,
        term: Term,
        payload: &[u8],
        tag: Option<Tag>,
        out: &mut Outbox,
    ) {
        let changes = apply::apply(&mut self.state, index, term, payload);
        let purpose = tag.and_then(|tag| self.tags.remove(&tag));
        let is_own = purpose == Some(Purpose::Own);
        if self.state.broken.is_some() {
            out.log(
                LogLevel::Error,
                "The log holds an entry that this version does not know: it decides nothing any more; upgrade it.",
            );
        }
        self.spread(&changes, is_own, out);
        self.alerts(payload, out);
        let Some(Purpose::Answer { request, text }) = purpose else {
            return;
        };
        let void = changes.iter().find_map(|change| match change {
            Change::Void(why) => Some(why.clone()),
            _ => None,
        });
        if let Some(why) = void {
            let response = self.requests.void(request, &why, &self.world());
            out.answers.push((request, response));
        } else if let Ok(Entry::Admit { node, .. }) = Entry::decode(payload) {
            self.admit(Some(request), node.name, out);
        } else {
            out.answers
                .push((request, crate::admin::Response::Done { text, index }));
        }
    }

    /// Tells all who care what an entry changed.
    fn spread(&mut self, changes: &[Change], is_own: bool, out: &mut Outbox) {
        for change in changes {
            if let Change::Results(node, incarnation, upto) = change
                && *node == self.name
            {
                self.executor.recorded(incarnation.session, *upto, out);
            }
            if let Change::Fencing(node) = change {
                self.tell_engine_of(node);
                self.hang_up(node, out);
            }
            let is_weighty = matches!(
                change,
                Change::Configuration
                    | Change::Members
                    | Change::Intents(_)
                    | Change::Results(..)
                    | Change::Node(_)
            );
            if is_weighty {
                self.refresh_settings();
            }
            self.with_controller(|controller, world| {
                controller.changed(change, is_own, world, out);
            });
        }
        self.show_soon();
    }

    /// A node is off as of now: services that wait for its answers need not wait for their timeouts. Not for what a
    /// restarted daemon reads of old fencings: the node may be back.
    fn hang_up(&mut self, node: &NodeName, out: &mut Outbox) {
        let is_fresh = self.state.fencing.back().is_some_and(|record| {
            record.target == *node
                && record.action != "on"
                && matches!(record.outcome, FenceOutcome::Confirmed(_))
                && record.wall_ms >= self.began_wall_ms
                && self.now.wall_ms.abs_diff(record.wall_ms) < FRESH_FENCING_MS
        });
        let is_gone = self
            .state
            .node(node)
            .is_some_and(|status| status.presence == Presence::Fenced);
        if is_fresh && is_gone && *node != self.name {
            let member = self.state.members.get(node);
            out.effect(Effect::NodeDead {
                node: node.clone(),
                addresses: member.map(|m| m.addresses.clone()).unwrap_or_default(),
            });
        }
    }

    /// A removed voter that is off cannot vote any more: the engine waits for that.
    fn tell_engine_of(&mut self, node: &NodeName) {
        let is_off = self.state.fencing.back().is_some_and(|record| {
            record.target == *node
                && record.action != "on"
                && matches!(record.outcome, FenceOutcome::Confirmed(_))
        });
        if is_off {
            self.engine_step(EngineInput::NodeFenced { name: node.clone() });
        }
    }

    fn leading(&mut self, term: Term, out: &mut Outbox) {
        self.leader = Some(self.name.clone());
        self.term = term;
        self.executor.heard_of(term);
        self.controller = Some(Controller::new(term, self.scheduler, self.now.mono));
        for record in std::mem::take(&mut self.unlogged) {
            out.propose(Purpose::Record, Entry::Fencing(record));
        }
        self.executor.send_pending(self.now, out);
        out.log(LogLevel::Info, format!("This node leads in term {term}."));
        self.show_soon();
    }

    fn follow(&mut self, leader: Option<NodeName>, term: Term) {
        // Begun actions finish; nothing more is dispatched. Fencing that is under way goes on.
        if self.controller.take().is_some() {
            self.fencing.forget_actions();
        }
        self.leader = leader;
        self.term = self.term.max(term);
        self.show_soon();
    }

    fn contact(&mut self, peer: &NodeName, state: ContactState, out: &mut Outbox) {
        let now = self.now.mono;
        let contact = self.contacts.entry(peer.clone()).or_default();
        match state {
            ContactState::Met { incarnation } | ContactState::Back { incarnation } => {
                contact.incarnation = Some(incarnation);
                if !contact.is_up {
                    contact.up_since = now;
                }
                contact.is_up = true;
                out.log(LogLevel::Info, format!("{peer} answers."));
                let finished = self.with_fencing(|fencing, context, _| {
                    fencing.met(peer, incarnation.boot, context)
                });
                if let Some(finished) = finished {
                    self.fenced(&finished, out);
                }
            }
            ContactState::Lost { since } => {
                contact.is_up = false;
                contact.lost_since = since;
                contact.noticed = now;
                let ago = now.since(since);
                out.log(
                    LogLevel::Warn,
                    format!("{peer} is lost: no answer on any link for {ago} ms."),
                );
            }
        }
        self.show_soon();
    }

    fn disproved(&mut self, target: &NodeName, boot: Boot, out: &mut Outbox) {
        self.alarm(
            format!(
                "{target} answers although its power-off was confirmed: its fence device cannot be trusted; what it \
                 held stays blocked until another device or an operator (quorate fence confirm {target}) vouches."
            ),
            target,
            out,
        );
        if self.controller.is_none() {
            return;
        }
        out.propose(
            Purpose::Record,
            Entry::Fencing(FenceRecord {
                target: target.clone(),
                boot,
                action: "off".to_owned(),
                devices: Vec::new(),
                by: self.name.clone(),
                reason: "it spoke after its fencing was confirmed".to_owned(),
                outcome: FenceOutcome::Refuted,
                wall_ms: self.now.wall_ms,
                took_ms: 0,
            }),
        );
    }

    fn dropped(&mut self, tag: Tag, reason: &str, maybe_committed: bool, out: &mut Outbox) {
        let request = match self.tags.remove(&tag) {
            Some(Purpose::Answer { request, .. }) => Some(request),
            Some(Purpose::Reports) => {
                if let Some(controller) = &mut self.controller {
                    controller.reports_dropped();
                }
                None
            }
            Some(Purpose::Intents) => {
                if let Some(controller) = &mut self.controller {
                    controller.intents_dropped();
                }
                None
            }
            Some(Purpose::Record | Purpose::Own) => {
                if let Some(controller) = &mut self.controller {
                    controller.disturb("an entry was not accepted");
                }
                None
            }
            Some(Purpose::Ledger) => None,
            None => self.member_tags.remove(&tag).flatten(),
        };
        let Some(request) = request else { return };
        let help = if maybe_committed {
            "it may have been accepted nevertheless: look first (quorate status)"
        } else {
            "try again; quorate status shows who leads"
        };
        out.answers
            .push((request, crate::requests::refused(reason, help)));
    }
}
