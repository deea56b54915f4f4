//! Two voters with fencing: who may have the other one powered off for quorum, and what counts.
//!
//! The rules are R2 to R4 of `docs/invariants.md`; R5 is `Consensus::seize`. Eligibility is computed anew each time
//! from what is applied and known, so nothing of it survives a restart.

use crate::engine::{Blocked, EngineOutput, Settings};
use crate::ids::{Boot, Millis, NodeName, PairRequest};

/// The first wait after a failed fencing; it doubles.
const RETRY_MS: u64 = 2_000;
/// The longest wait.
const RETRY_MS_MAX: u64 = 60_000;

/// What is known of the pair in this step.
#[derive(Debug)]
pub struct View<'a> {
    /// This node.
    pub own: &'a NodeName,
    /// The peer.
    pub peer: &'a NodeName,
    /// The boot of the peer that the pair record names.
    pub boot: Boot,
    /// Lost on every link.
    pub is_lost: bool,
    /// `None`: eligible (R2). Otherwise why not.
    pub ineligible: Option<String>,
}

/// The course of a loss episode.
#[derive(Debug, Default)]
pub struct Pair {
    episode: u64,
    requests: u64,
    failures: u32,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Phase {
    /// The peer is there.
    #[default]
    Together,
    /// The peer is lost; it is fenced at this time.
    Waiting { until: Millis },
    /// The peer is being fenced.
    Fencing { request: PairRequest, boot: Boot },
}

/// A confirmed power-off that stands in for the peer's vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The boot that ended.
    pub boot: Boot,
    /// Under which request.
    pub request: PairRequest,
    /// In which episode.
    pub episode: u64,
}

impl Pair {
    /// Goes on with the episode. Called in every step while this node is one of two voters.
    pub fn step(
        &mut self,
        now: Millis,
        view: &View<'_>,
        settings: &Settings,
        outputs: &mut Vec<EngineOutput>,
    ) {
        if !view.is_lost {
            self.reset(outputs);
            return;
        }
        match self.phase {
            Phase::Together => {
                self.episode += 1;
                self.failures = 0;
                self.phase = Phase::Waiting {
                    until: now.plus(own_delay_ms(view, settings)),
                };
                self.step(now, view, settings, outputs);
            }
            Phase::Waiting { until } => {
                // R3: only an eligible node that has lost its peer on every link may fence for quorum.
                if now < until || view.ineligible.is_some() || !settings.pair_fencing {
                    return;
                }
                self.requests += 1;
                let request = PairRequest(self.requests);
                self.phase = Phase::Fencing {
                    request,
                    boot: view.boot,
                };
                outputs.push(EngineOutput::PairFence {
                    request,
                    target: view.peer.clone(),
                    boot: view.boot,
                    episode: self.episode,
                });
            }
            Phase::Fencing { .. } => {}
        }
    }

    /// Ends the episode: contact came back (R4), or there is no pair any more.
    pub fn reset(&mut self, outputs: &mut Vec<EngineOutput>) {
        let is_fencing = matches!(self.phase, Phase::Fencing { .. });
        if is_fencing && crate::seeded::has(crate::seeded::Bug::CancelledVerdictCounts) {
            return;
        }
        if let Phase::Fencing { request, .. } = self.phase {
            outputs.push(EngineOutput::PairFenceCancelled { request });
        }
        self.phase = Phase::Together;
    }

    /// The peer speaks in this boot: a request against another one is void, and the next waits until then, so
    /// that contact can come first.
    pub fn void_for(&mut self, boot: Boot, until: Millis, outputs: &mut Vec<EngineOutput>) {
        let Phase::Fencing {
            request,
            boot: asked,
        } = self.phase
        else {
            return;
        };
        if asked != boot {
            outputs.push(EngineOutput::PairFenceCancelled { request });
            self.phase = Phase::Waiting { until };
        }
    }

    /// A verdict. `Some`: the peer's vote may be replaced now.
    ///
    /// R4: only this node's own, uncancelled request counts, and only confirmed.
    pub fn verdict(
        &mut self,
        now: Millis,
        request: PairRequest,
        confirmed: bool,
    ) -> Option<Confirmed> {
        let Phase::Fencing { request: own, boot } = self.phase else {
            return None;
        };
        if own != request {
            return None;
        }
        if !confirmed {
            let wait = RETRY_MS << self.failures.min(5);
            self.failures += 1;
            self.phase = Phase::Waiting {
                until: now.plus(wait.min(RETRY_MS_MAX)),
            };
            return None;
        }
        self.phase = Phase::Together;
        Some(Confirmed {
            boot,
            request,
            episode: self.episode,
        })
    }

    /// When something is to be done.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// For the status.
    #[must_use]
    pub fn blocked(&self, view: &View<'_>) -> Option<Blocked> {
        if !view.is_lost {
            return None;
        }
        let peer = view.peer.clone();
        match (&self.phase, &view.ineligible) {
            (Phase::Fencing { .. }, _) => Some(Blocked::FencingPeer { peer }),
            (_, Some(why)) => Some(Blocked::NotEligible {
                peer,
                why: why.clone(),
            }),
            _ if self.failures > 0 => Some(Blocked::FencingFailed { peer }),
            _ => Some(Blocked::FencingPeer { peer }),
        }
    }
}

/// Against mutual kills: the less important node waits, ties by name.
fn own_delay_ms(view: &View<'_>, settings: &Settings) -> u64 {
    let own = (settings.own_weight, std::cmp::Reverse(view.own));
    let peer = (settings.peer_weight, std::cmp::Reverse(view.peer));
    if own < peer {
        settings.fence_delay_ms
    } else {
        0
    }
}
