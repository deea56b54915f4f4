//! The thread of the core: events in, effects out, woken by the core's own deadline. It never waits for
//! anything else.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use quorate_core::event::{Effect, Event};
use quorate_core::ids::{Millis, Now};
use quorate_core::node::Node;

use crate::clock;

/// Longest sleep, so that a suspended host's clock is looked at soon after it wakes.
const SLEEP_MS_MAX: u64 = 5000;
/// Most events between two looks at the clock.
const EVENTS_AT_ONCE_MAX: usize = 64;
/// A wake-up that comes later than this is a stall of the host.
const STALL_MS_MIN: u64 = 100;
/// Stalls are told of at most once in this time.
const STALL_TOLD_MS: u64 = 10_000;

/// How the daemon ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: String,
    /// After a drain.
    pub is_clean: bool,
}

/// Where events come from.
pub trait Inbox {
    /// The next event, waiting so long at most.
    fn receive(&self, wait: Duration) -> Result<Event, RecvTimeoutError>;
}

impl Inbox for Receiver<Event> {
    fn receive(&self, wait: Duration) -> Result<Event, RecvTimeoutError> {
        self.recv_timeout(wait)
    }
}

/// Carries out effects; `Some` ends the daemon.
pub trait World {
    /// Carries out one effect at once, without waiting.
    fn carry_out(&mut self, effect: Effect) -> Option<Ending>;

    /// Nothing more is to be done for now: what was gathered goes out. `Some` ends the daemon.
    fn flush(&mut self) -> Option<Ending> {
        None
    }
}

/// Watches for stalls of this host: nobody else can tell them from a slow network.
#[derive(Debug, Default)]
struct StallWatch {
    told: Option<Millis>,
    unsaid: u32,
}

impl StallWatch {
    /// A timer that was due at `due` and waited for since `slept` fires at `now`.
    fn woke(&mut self, due: Millis, slept: Millis, now: Millis, detection_ms: u64) {
        let late_ms = now.since(due.max(slept));
        if late_ms < STALL_MS_MIN.max(detection_ms / 4) {
            return;
        }
        self.unsaid += 1;
        if self.told.is_none_or(|told| now.since(told) > STALL_TOLD_MS) {
            tracing::warn!(
                "This host stalled: a timer of the daemon fired {late_ms} ms late ({} such stalls since the last \
                 message); peers count this node as lost after {detection_ms} ms.",
                self.unsaid
            );
            self.told = Some(now);
            self.unsaid = 0;
        }
    }
}

/// Runs the core until an effect ends the daemon.
pub fn run(
    mut node: Node,
    first: Vec<Effect>,
    events: &impl Inbox,
    detection_ms: u64,
    world: &mut impl World,
) -> Ending {
    let mut stalls = StallWatch::default();
    if let Some(ending) = carry_out(world, first) {
        return ending;
    }
    loop {
        if let Some(ending) = world.flush() {
            return ending;
        }
        let due = node.deadline();
        let now = clock::mono();
        let wait_ms = due.since(now).min(SLEEP_MS_MAX);
        let mut next = match events.receive(Duration::from_millis(wait_ms)) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                return Ending {
                    reason: "all inputs are gone".into(),
                    is_clean: false,
                };
            }
        };
        let woken = clock::now();
        if due <= woken.mono {
            stalls.woke(due, now, woken.mono, detection_ms);
            if let Some(ending) = step(&mut node, woken, Event::Tick, world) {
                return ending;
            }
            // A deadline that did not move must not make this loop spin.
            if next.is_none() && node.deadline() <= woken.mono {
                next = events.receive(Duration::from_millis(1)).ok();
            }
        }
        for _ in 0..EVENTS_AT_ONCE_MAX {
            let Some(event) = next.take() else { break };
            if let Some(ending) = step(&mut node, clock::now(), event, world) {
                return ending;
            }
            next = events.receive(Duration::ZERO).ok();
        }
        if let Some(event) = next
            && let Some(ending) = step(&mut node, clock::now(), event, world)
        {
            return ending;
        }
    }
}

fn step(node: &mut Node, now: Now, event: Event, world: &mut impl World) -> Option<Ending> {
    let effects = node.step(now, event);
    carry_out(world, effects)
}

fn carry_out(world: &mut impl World, effects: Vec<Effect>) -> Option<Ending> {
    effects
        .into_iter()
        .find_map(|effect| world.carry_out(effect))
}
