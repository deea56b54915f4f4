//! Who is there: inventories, losses, and whether the facts are settled enough to plan on.

use std::collections::BTreeSet;

use crate::document;
use crate::engine::MemberChange;
use crate::entry::Entry;
use crate::event::LogLevel;
use crate::facts;
use crate::ids::{Incarnation, Millis, NodeName};
use crate::lease::DRIFT_PERMILLE;
use crate::message::{Message, NodeInventory};
use crate::outbox::{Outbox, Purpose, To};
use crate::state::{ClusterState, Incident, MemberRole, Presence};
use crate::world::World;

use super::{Controller, OpenIncident, RETRY_MS, STARTUP_MS};

impl Controller {
    /// A node told what runs there.
    pub fn inventory(
        &mut self,
        node: &NodeName,
        inventory: NodeInventory,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        if inventory.term != self.term || world.answers(node) != Some(inventory.incarnation) {
            return;
        }
        let own_prefix = format!("{}.", self.term);
        // An inventory that was on its way for long may still name what has ended since.
        let has_ended = |action: &str| {
            let status = world.state.node(node);
            self.ended.contains(action)
                || status.is_some_and(|status| status.recent.iter().any(|known| known == action))
        };
        let foreign: BTreeSet<String> = inventory
            .running
            .iter()
            .filter(|name| !name.starts_with(&own_prefix) && !has_ended(name))
            .cloned()
            .collect();
        if foreign.is_empty() || crate::seeded::has(crate::seeded::Bug::ForeignIgnored) {
            self.foreign.remove(node);
        } else {
            self.foreign.insert(node.clone(), foreign);
        }
        let status = world.state.node(node);
        let is_known = status.is_some_and(|status| {
            status.presence == Presence::Online && status.incarnation == inventory.incarnation
        });
        if !is_known && self.may_propose(node, world) {
            out.propose(
                Purpose::Record,
                Entry::NodeUp {
                    node: node.clone(),
                    incarnation: inventory.incarnation,
                    watchdog_ms: inventory.watchdog_ms,
                    wall_ms: world.now.wall_ms,
                },
            );
        }
        self.reports(node, inventory.incarnation, inventory.reports, world, out);
        if self.joined.insert(node.clone(), inventory.incarnation) != Some(inventory.incarnation) {
            self.disturb(&format!("{node} joined"));
        }
    }

    pub(super) fn may_propose(&mut self, node: &NodeName, world: &World<'_>) -> bool {
        let now = world.now.mono;
        let is_recent = self
            .proposed
            .get(node)
            .is_some_and(|at| now.since(*at) < 2_000);
        if !is_recent {
            self.proposed.insert(node.clone(), now);
        }
        !is_recent
    }

    /// Asks those that answer for their inventory, writes down who is lost.
    pub(super) fn care_for_nodes(&mut self, world: &World<'_>, out: &mut Outbox) {
        let now = world.now.mono;
        for (name, member) in &world.state.members {
            if member.raft_id.0 == 0 {
                continue;
            }
            let presence = world
                .state
                .node(name)
                .map_or(Presence::Unseen, |node| node.presence);
            if let Some(incarnation) = world.answers(name) {
                if is_undead(world.state, name, incarnation) {
                    self.joined.remove(name);
                    continue;
                }
                self.lost_at.remove(name);
                let is_in = self.joined.get(name) == Some(&incarnation);
                let is_known = world.state.node(name).is_some_and(|node| {
                    node.presence == Presence::Online && node.incarnation == incarnation
                });
                let has_left = presence == Presence::Left
                    && world
                        .state
                        .node(name)
                        .is_some_and(|node| node.incarnation == incarnation);
                let is_due = self
                    .asked
                    .get(name)
                    .is_none_or(|at| now.since(*at) >= RETRY_MS);
                if has_left && is_due && is_peer_of_pair(world, name) {
                    self.asked.insert(name.clone(), now);
                    let change = MemberChange::Demote { name: name.clone() };
                    out.members.push((None, change));
                }
                if (!is_in || !is_known) && !has_left && is_due {
                    self.asked.insert(name.clone(), now);
                    let ask = Message::AskInventory { term: self.term };
                    out.send(To::Node(name.clone()), ask);
                }
                continue;
            }
            self.joined.remove(name);
            self.asked.remove(name);
            self.foreign.remove(name);
            if !facts::takes_part(world.state, name) && presence != Presence::Online {
                continue;
            }
            self.care_for_absent(name, presence, world, out);
        }
    }

    pub(super) fn care_for_absent(
        &mut self,
        name: &NodeName,
        presence: Presence,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        if !world.may_judge() {
            return;
        }
        let now = world.now.mono;
        let contact = world.contacts.get(name);
        let was_met = contact.is_some_and(|contact| contact.incarnation.is_some());
        let incarnation = world
            .state
            .node(name)
            .map(|node| node.incarnation)
            .unwrap_or_default();
        let presence = if is_doubtful(world, name) {
            Presence::Online
        } else {
            presence
        };
        match presence {
            Presence::Online | Presence::Unseen => {
                let grace = world
                    .state
                    .option("dc-deadtime")
                    .and_then(document::milliseconds)
                    .unwrap_or(STARTUP_MS);
                let is_late = now.since(self.began) >= grace;
                let starts_unfenced = presence == Presence::Unseen
                    && world
                        .state
                        .option("startup-fencing")
                        .is_some_and(|text| !document::is_true(text));
                if (was_met || is_late) && !starts_unfenced && self.may_propose(name, world) {
                    self.lost(name, incarnation, was_met, world, out);
                }
            }
            Presence::Lost => {
                let since = *self.lost_at.entry(name.clone()).or_insert(now);
                let is_over = gone_after(world, name).is_some_and(|wait| now.since(since) >= wait);
                if is_over && self.may_propose(name, world) {
                    out.propose(
                        Purpose::Record,
                        Entry::NodeExpired {
                            node: name.clone(),
                            boot: incarnation.boot,
                            wall_ms: world.now.wall_ms,
                        },
                    );
                }
            }
            _ => {}
        }
    }

    pub(super) fn lost(
        &mut self,
        name: &NodeName,
        incarnation: Incarnation,
        was_met: bool,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        let since = world
            .contacts
            .get(name)
            .filter(|_| was_met)
            .map_or(world.now.mono, |contact| contact.lost_since);
        let reason = if was_met {
            format!("was lost: no answer for {} ms", world.now.mono.since(since))
        } else {
            "was not seen since this leader began".to_owned()
        };
        out.log(LogLevel::Warn, format!("{name} {reason}."));
        out.propose(
            Purpose::Record,
            Entry::NodeLost {
                node: name.clone(),
                incarnation,
                reason,
                wall_ms: world.now.wall_ms,
            },
        );
        let ago = i64::try_from(world.now.mono.since(since)).unwrap_or(0);
        let open = OpenIncident {
            what: format!("{name} was lost"),
            began: since,
            began_wall_ms: world.now.wall_ms - ago,
        };
        self.open_incidents.insert(name.clone(), open);
        // A leader that was elected because of this loss had noticed it before.
        let noticed = world
            .contacts
            .get(name)
            .filter(|_| was_met)
            .map_or(world.now.mono, |contact| contact.noticed.max(since));
        self.milestone_at(name, "detected", noticed, out);
    }

    pub(super) fn milestone(
        &self,
        node: &NodeName,
        name: &str,
        world: &World<'_>,
        out: &mut Outbox,
    ) {
        self.milestone_at(node, name, world.now.mono, out);
    }

    fn milestone_at(&self, node: &NodeName, name: &str, at: Millis, out: &mut Outbox) {
        let Some(open) = self.open_incidents.get(node) else {
            return;
        };
        out.propose(
            Purpose::Ledger,
            Entry::Incident(Incident {
                what: open.what.clone(),
                node: node.clone(),
                began_wall_ms: open.began_wall_ms,
                milestones: vec![(name.to_owned(), at.since(open.began))],
            }),
        );
    }

    /// Why it is too early to plan, if it is.
    pub(super) fn unsettled(&self, world: &World<'_>) -> Option<String> {
        if world.outstanding > 0 {
            return Some("its own entries are on their way into the log".to_owned());
        }
        for (name, member) in &world.state.members {
            if member.raft_id.0 == 0 {
                continue;
            }
            let Some(node) = world.state.node(name) else {
                continue;
            };
            match (world.answers(name), node.presence) {
                (Some(incarnation), _) if is_undead(world.state, name, incarnation) => {}
                (Some(incarnation), Presence::Online | Presence::Lost) => {
                    if self.joined.get(name) != Some(&incarnation) {
                        return Some(format!("{name} has not told what runs there"));
                    }
                    if node.presence == Presence::Lost && node.certificate.is_none() {
                        return Some(format!("{name} is coming back"));
                    }
                    if node.incarnation != incarnation && node.presence == Presence::Online {
                        return Some(format!("{name} is joining in a new life"));
                    }
                }
                // It speaks, so it is about to join; to fence it now (a first leader: itself) would be wrong.
                (Some(_), Presence::Unseen) => return Some(format!("{name} is joining")),
                (Some(_), _) => {}
                (None, _) if is_doubtful(world, name) => {
                    return Some(format!("{name} was not seen since this node started alone"));
                }
                (None, Presence::Online | Presence::Unseen)
                    if facts::takes_part(world.state, name) =>
                {
                    let is_excused = node.presence == Presence::Unseen
                        && world
                            .state
                            .option("startup-fencing")
                            .is_some_and(|text| !document::is_true(text));
                    if !is_excused {
                        return Some(format!("{name} has not been seen yet"));
                    }
                }
                (None, Presence::Lost)
                    if !facts::is_fencing_enabled(world.state)
                        && world.state.held_by(name).next().is_some() =>
                {
                    return Some(format!(
                        "{name} is lost and may be stopping; fencing is disabled, its lease and stop time must pass"
                    ));
                }
                (None, _) => {}
            }
        }
        let node = self.foreign.keys().next()?;
        Some(format!("actions of an older leader still run on {node}"))
    }
}

/// One of two voters, and not this one. When it has left in good order, its vote goes before it does: the other
/// would have to fence it for quorum otherwise.
fn is_peer_of_pair(world: &World<'_>, name: &NodeName) -> bool {
    let mut voters = world
        .state
        .members
        .iter()
        .filter(|(_, member)| member.role == MemberRole::Voter)
        .map(|(voter, _)| voter);
    name != world.name && voters.clone().count() == 2 && voters.any(|voter| voter == name)
}

/// How long after its loss a node runs nothing any more, though no device says so; `None`: that cannot be known.
///
/// With fencing disabled by the operator: when it has had the time to stop what it held. With fencing and no device that
/// can fence it: when its lease has ended and its watchdog, armed before its first start, has reset it. A pair's
/// vote is never replaced by that: it wants a majority without the node.
fn gone_after(world: &World<'_>, name: &NodeName) -> Option<u64> {
    if !facts::is_fencing_enabled(world.state) {
        return Some(2 * world.detection_ms + stop_time(world.state, name));
    }
    let watchdog_ms = world.state.node(name)?.watchdog_ms?;
    if !crate::devices::levels(world.state, name).is_empty() {
        return None;
    }
    if crate::seeded::has(crate::seeded::Bug::WatchdogNotAwaited) {
        return Some(0);
    }
    // Its lease may have been extended up to the moment of the loss; clocks differ.
    let wait = 2 * world.detection_ms + watchdog_ms;
    Some(wait + wait * DRIFT_PERMILLE / 1_000 + 1)
}

/// Design rule R6: a certificate proves that one boot is dead, not that the machine is off now. A lone voter
/// that has started and has not met a node takes it for unclean, whatever the log says.
pub(super) fn is_doubtful(world: &World<'_>, name: &NodeName) -> bool {
    let was_met = world
        .contacts
        .get(name)
        .is_some_and(|contact| contact.incarnation.is_some());
    let is_alone = world
        .state
        .members
        .iter()
        .all(|(member, record)| member == world.name || record.role != MemberRole::Voter);
    !was_met
        && is_alone
        && name != world.name
        && world.state.node(name).is_some_and(|node| {
            let was_there = node.incarnation != Incarnation::default();
            was_there
                && matches!(
                    node.presence,
                    Presence::Fenced | Presence::Left | Presence::Expired
                )
        })
}

/// It answers although its power-off was confirmed: it is not taken in again in this life.
pub(super) fn is_undead(state: &ClusterState, name: &NodeName, incarnation: Incarnation) -> bool {
    state.node(name).is_some_and(|node| {
        let is_certified = node
            .certificate
            .as_ref()
            .is_some_and(|certificate| certificate.boot == incarnation.boot);
        is_certified || (node.incarnation.boot == incarnation.boot && !node.distrusted.is_empty())
    })
}

/// The longest that a node may take to stop one of the things it may be running.
pub(super) fn stop_time(state: &ClusterState, node: &NodeName) -> u64 {
    let mut longest = 0;
    for id in state.held_by(node) {
        let base = id.split(':').next().unwrap_or(id);
        longest = longest.max(stop_timeout(state, base).unwrap_or(20_000));
    }
    longest
}

pub(super) fn stop_timeout(state: &ClusterState, id: &str) -> Option<u64> {
    use quorate_model::cib::{CloneChild, Resource};
    let primitives = state
        .configuration
        .resources
        .iter()
        .flat_map(|resource| match resource {
            Resource::Primitive(primitive) => vec![primitive],
            Resource::Group(group) => group.members.iter().collect(),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => vec![primitive],
                CloneChild::Group(group) => group.members.iter().collect(),
            },
            Resource::Bundle(bundle) => bundle.primitive.iter().collect(),
            Resource::Template(_) => Vec::new(),
        });
    primitives
        .into_iter()
        .find(|primitive| primitive.id == id)?
        .operations
        .list
        .iter()
        .find(|operation| operation.name == "stop")?
        .extra
        .iter()
        .find(|(name, _)| name == "timeout")
        .and_then(|(_, value)| document::milliseconds(value))
}
