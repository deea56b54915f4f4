//! Self-fencing: until when an armed watchdog is fed.
//!
//! A node that others recover from without a fence device must be gone when they begin: its watchdog is fed up to
//! the end of its lease and not beyond while it may be running anything. It stops what it runs when the lease has ended
//! (`no-quorum-policy`); if it cannot do that in the watchdog's time, the watchdog resets it. Where a fence device
//! confirms that the node is off nobody counts on its lease, and the watchdog only guards against a hanging daemon.

use crate::devices;
use crate::event::Effect;
use crate::ids::Millis;
use crate::outbox::Outbox;

use super::Node;

/// How far ahead of the last step it is fed where nothing depends on the lease.
pub(super) const FREE_MS: u64 = 2_000;

impl Node {
    /// Tells the shell until when to feed it, if one is armed.
    pub(super) fn feed_watchdog(&mut self, out: &mut Outbox) {
        if self.timing.watchdog_ms.is_none() || self.engine.is_none() {
            return;
        }
        let now = self.now.mono;
        let until = if self.is_recovered_by_lease() && !self.held_here().is_empty() {
            let lease = self.engine.as_ref().and_then(super::Engine::lease_until);
            // Without any lease it is not fed from now on: "until now", said again and again, would feed it for ever.
            lease.map_or(Millis(0), |lease| lease.min(now.plus(FREE_MS)))
        } else {
            now.plus(FREE_MS)
        };
        let until = if crate::seeded::has(crate::seeded::Bug::WatchdogAlwaysFed) {
            now.plus(FREE_MS)
        } else {
            until
        };
        // Feeding a little further is worth no effect; feeding less is.
        let is_news = self
            .watchdog_until
            .is_none_or(|last| until < last || until.since(last) >= FREE_MS / 10);
        if is_news {
            self.watchdog_until = Some(until);
            out.effect(Effect::WatchdogUntil(until));
        }
    }

    /// No device can confirm that this node is off: others wait for its lease and its watchdog.
    fn is_recovered_by_lease(&self) -> bool {
        devices::levels(&self.state, &self.name).is_empty()
    }

    /// The longest watchdog's time that a recovery counts on: of nodes that no device can fence. Where every node has
    /// one, a new leader need not wait for watchdogs.
    pub(super) fn counted_watchdog_ms(&self) -> u64 {
        let counted = |(name, node): (&crate::ids::NodeName, &crate::state::NodeStatus)| {
            let watchdog_ms = node.watchdog_ms?;
            devices::levels(&self.state, name)
                .is_empty()
                .then_some(watchdog_ms)
        };
        self.state
            .nodes
            .iter()
            .filter_map(counted)
            .max()
            .unwrap_or(0)
    }

    /// When the watchdog needs the next step.
    pub(super) fn watchdog_deadline(&self) -> Option<Millis> {
        self.watchdog_until
            .map(|until| Millis(until.0.saturating_sub(FREE_MS / 2)))
            .filter(|at| *at > self.now.mono)
    }
}
