//! Contact with peers: probes with a nonce over every link, and what their answers prove.
//!
//! *Contact* is an answer to a nonce that is younger than the detection time; *lost* is none on any link for the
//! detection time. An open connection proves nothing, nor does a frame that was not asked for.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{ContactState, EngineOutput};
use crate::event::{Link, Peer};
use crate::ids::{Incarnation, Millis, NodeName};
use crate::rng::Rng;

/// Links to a peer, at most.
pub const LINKS_MAX: usize = 2;
/// Unanswered probes that are remembered for each link.
const OUTSTANDING_MAX: usize = 16;

/// A life of a node's daemon, with the number of the start of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Boot and session.
    pub incarnation: Incarnation,
    /// The start's number: greater means later.
    pub start: u64,
}

/// All peers.
#[derive(Debug, Default)]
pub struct Contacts {
    peers: BTreeMap<NodeName, PeerContact>,
    next_probe: Millis,
}

#[derive(Debug)]
struct PeerContact {
    links: Vec<LinkContact>,
    life: Option<Life>,
    is_lost: bool,
    last_answer: Millis,
    /// The term under which the peer last said that it follows this node, and when that probe was sent.
    support: Option<(u64, Millis)>,
}

#[derive(Debug, Default)]
struct LinkContact {
    outstanding: VecDeque<(u64, Millis)>,
    last_answer: Option<Millis>,
    is_up: bool,
}

/// A probe to send.
#[derive(Debug)]
pub struct Due {
    /// To whom.
    pub peer: NodeName,
    /// Over which link.
    pub link: Link,
    /// With this nonce.
    pub nonce: u64,
}

impl Contacts {
    /// The peers that are to be probed from now on.
    pub fn set_peers(&mut self, peers: &[Peer], now: Millis) {
        self.peers
            .retain(|name, _| peers.iter().any(|peer| peer.name == *name));
        for peer in peers {
            let count = peer.addresses.len().clamp(1, LINKS_MAX);
            let contact = self
                .peers
                .entry(peer.name.clone())
                .or_insert_with(|| PeerContact {
                    links: Vec::new(),
                    life: None,
                    is_lost: false,
                    last_answer: now,
                    support: None,
                });
            contact.links.resize_with(count, LinkContact::default);
        }
    }

    /// Probes that are due within `slack_ms`, one for each link; the next ones are due an interval later.
    pub fn probes(
        &mut self,
        now: Millis,
        interval_ms: u64,
        slack_ms: u64,
        rng: &mut Rng,
    ) -> Vec<Due> {
        if now.plus(slack_ms) < self.next_probe {
            return Vec::new();
        }
        self.next_probe = now.plus(interval_ms);
        let mut due = Vec::new();
        for (name, contact) in &mut self.peers {
            for (number, link) in (0..).zip(&mut contact.links) {
                let nonce = rng.draw();
                link.outstanding.push_back((nonce, now));
                if link.outstanding.len() > OUTSTANDING_MAX {
                    link.outstanding.pop_front();
                }
                due.push(Due {
                    peer: name.clone(),
                    link: Link(number),
                    nonce,
                });
            }
        }
        due
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_probe(&self) -> Millis {
        self.next_probe
    }

    /// Whether this nonce was sent to the peer lately and not answered yet: only then is an answer contact, and
    /// not something that was on its way for long. Gives the link's number and the send time.
    pub fn take_nonce(
        &mut self,
        now: Millis,
        detection_ms: u64,
        peer: &NodeName,
        nonce: u64,
    ) -> Option<(usize, Millis)> {
        let contact = self.peers.get_mut(peer)?;
        let (number, sent) = contact
            .links
            .iter_mut()
            .enumerate()
            .find_map(|(number, link)| {
                let at = link
                    .outstanding
                    .iter()
                    .position(|(drawn, _)| *drawn == nonce)?;
                link.outstanding.remove(at).map(|(_, sent)| (number, sent))
            })?;
        (now.since(sent) < detection_ms).then_some((number, sent))
    }

    /// An answer came. Gives the time at which its probe was sent, if it counts.
    pub fn answered(
        &mut self,
        now: Millis,
        detection_ms: u64,
        peer: &NodeName,
        nonce: u64,
        life: Life,
        outputs: &mut Vec<EngineOutput>,
    ) -> Option<Millis> {
        let (number, sent) = self.take_nonce(now, detection_ms, peer, nonce)?;
        let contact = self.peers.get_mut(peer)?;
        let link = &mut contact.links[number];
        link.last_answer = Some(now);
        if !link.is_up {
            link.is_up = true;
            outputs.push(EngineOutput::LinkState {
                peer: peer.clone(),
                link: Link(u8::try_from(number).unwrap_or(0)),
                up: true,
            });
        }
        contact.last_answer = now;
        let state = if contact.life.map(|known| known.incarnation) == Some(life.incarnation) {
            contact.is_lost.then_some(ContactState::Back {
                incarnation: life.incarnation,
            })
        } else {
            contact.support = None;
            Some(ContactState::Met {
                incarnation: life.incarnation,
            })
        };
        contact.life = Some(life);
        contact.is_lost = false;
        if let Some(state) = state {
            outputs.push(EngineOutput::Contact {
                peer: peer.clone(),
                state,
            });
        }
        Some(sent)
    }

    /// The peer follows this node in this term, said an answer to the probe that was sent then.
    pub fn supports(&mut self, peer: &NodeName, term: u64, sent: Millis) {
        if let Some(contact) = self.peers.get_mut(peer) {
            contact.support = match contact.support {
                Some((known, at)) if known == term => Some((term, at.max(sent))),
                Some((known, at)) if known > term => Some((known, at)),
                _ => Some((term, sent)),
            };
        }
    }

    /// Since when (by send time) the peer is known to follow this node in this term.
    #[must_use]
    pub fn support(&self, peer: &NodeName, term: u64) -> Option<Millis> {
        let (known, sent) = self.peers.get(peer)?.support?;
        (known == term).then_some(sent)
    }

    /// Finds out who is lost and which links are down.
    pub fn check(&mut self, now: Millis, detection_ms: u64, outputs: &mut Vec<EngineOutput>) {
        for (name, contact) in &mut self.peers {
            for (number, link) in (0..).zip(&mut contact.links) {
                let is_silent = link
                    .last_answer
                    .is_none_or(|last| now.since(last) >= detection_ms);
                if link.is_up && is_silent {
                    link.is_up = false;
                    outputs.push(EngineOutput::LinkState {
                        peer: name.clone(),
                        link: Link(number),
                        up: false,
                    });
                }
            }
            if !contact.is_lost && now.since(contact.last_answer) >= detection_ms {
                contact.is_lost = true;
                outputs.push(EngineOutput::Contact {
                    peer: name.clone(),
                    state: ContactState::Lost {
                        since: contact.last_answer,
                    },
                });
            }
        }
    }

    /// When the next peer would be lost, or a link to one down.
    #[must_use]
    pub fn next_loss(&self, detection_ms: u64) -> Option<Millis> {
        let peers = self
            .peers
            .values()
            .filter(|contact| !contact.is_lost)
            .map(|contact| contact.last_answer);
        let links = self
            .peers
            .values()
            .flat_map(|contact| &contact.links)
            .filter(|link| link.is_up)
            .filter_map(|link| link.last_answer);
        peers.chain(links).min().map(|last| last.plus(detection_ms))
    }

    /// This process did not run for so long: its silence is no peer's.
    pub fn forgive(&mut self, stall_ms: u64, now: Millis) {
        for contact in self.peers.values_mut() {
            contact.last_answer = contact.last_answer.plus(stall_ms).min(now);
            for link in &mut contact.links {
                link.last_answer = link.last_answer.map(|last| last.plus(stall_ms).min(now));
            }
        }
    }

    /// The life that the peer was last met in.
    #[must_use]
    pub fn life(&self, peer: &NodeName) -> Option<Life> {
        self.peers.get(peer)?.life
    }

    /// Whether the peer was met and is not lost.
    #[must_use]
    pub fn is_met(&self, peer: &NodeName) -> bool {
        self.peers
            .get(peer)
            .is_some_and(|contact| contact.life.is_some() && !contact.is_lost)
    }

    /// Whether the peer owes an answer, long before it is lost (only a seeded bug acts upon it).
    #[must_use]
    pub fn is_late(&self, peer: &NodeName, now: Millis) -> bool {
        self.peers
            .get(peer)
            .is_some_and(|contact| now.since(contact.last_answer) >= 300)
    }

    /// Whether the peer is lost on every link.
    #[must_use]
    pub fn is_lost(&self, peer: &NodeName) -> bool {
        self.peers.get(peer).is_some_and(|contact| contact.is_lost)
    }
}
