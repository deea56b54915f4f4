//! Bugs on request, to prove that the simulator bites: each drops one rule. They exist only with the feature
//! `seeded-bugs`, which no shipped program has; one is chosen at run time, so that the same binary runs all.

/// A rule to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// R1: messages leave before what they rest on is on disk.
    SendsBeforeDurable = 1,
    /// R2: every node of a pair is eligible, whatever it knows of its peer's life.
    AlwaysEligible,
    /// R3: a node of a pair that has just lost some answers takes its peer for lost.
    FencesTooEarly,
    /// R4: what the device says counts, the power is not read back.
    NoReadBack,
    /// R4: a verdict counts although contact came back.
    CancelledVerdictCounts,
    /// R5: the survivor goes on in the same term.
    SameTermAfterSeizure,
    /// R7: a node of a pair does not wait for its peer after a start.
    StartsAlone,
    /// R8: who may hold a resource does not matter, and a lost node counts as gone.
    LostIsGone,
    /// An executor obeys an older term.
    OlderTermObeyed,
    /// An executor obeys an order for another boot.
    OtherBootObeyed,
    /// A repeated order is carried out again.
    RunsTwice,
    /// An executor begins without a lease.
    LeaseIgnored,
    /// A new leader does not wait for older leases.
    NoSuccession,
    /// A start does not wait for the stop before it.
    StartBeforeStop,
    /// A commit does not wait for the disk.
    NoSync,
    /// A vote is not written down.
    VoteForgotten,
    /// A loss after a fencing is a loss once more.
    LostAfterFenced,
    /// A fencing goes on against the next boot.
    NextBootFenced,
    /// A lost quorum stops what the log says, not what was begun.
    LocalStopForgets,
    /// Stops do not wait for probes.
    StopsBeforeProbes,
    /// A restarted daemon forgets what an earlier session of it left running.
    InventoryForgotten,
    /// A lost quorum stops what the log says, not what was begun here since.
    UnrecordedForgotten,
    /// The watchdog is fed although the lease has ended and something runs.
    WatchdogAlwaysFed,
    /// A node without a fence device is recovered from as soon as it is lost, whatever its lease and watchdog say.
    WatchdogNotAwaited,
    /// What a repeated stop of an earlier session is for does not wait for the run that still hangs.
    AdoptedNotAwaited,
    /// A log entry is acknowledged as soon as its leader has it.
    AcknowledgedEarly,
    /// A result is forgotten once it was sent.
    ResultForgotten,
    /// A start is ordered while its intent is on its way into the log.
    IntentNotAwaited,
    /// A new leader does not wait for what an older one began.
    ForeignIgnored,
    /// A stop that failed counts as one that worked.
    FailedStopReleases,
    /// A start that failed leaves nothing behind.
    FailedStartReleases,
    /// Recurring monitors report what they find first, and nothing after that.
    MonitorSilent,
    /// What a node without quorum stops is stopped in no order.
    LocalStopUnordered,
    /// The number of a daemon's start is not written down.
    StartNumberReused,
    /// A lease lasts from the answer's arrival, not from the question's departure.
    LeaseFromArrival,
    /// A rebooted node is believed to run what it ran before.
    RebootKeepsHistory,
}

/// All bugs with their names.
pub const ALL: [(&str, Bug); 36] = [
    ("R1-sends-before-durable", Bug::SendsBeforeDurable),
    ("R2-always-eligible", Bug::AlwaysEligible),
    ("R3-fences-too-early", Bug::FencesTooEarly),
    ("R4-no-read-back", Bug::NoReadBack),
    ("R4-cancelled-verdict-counts", Bug::CancelledVerdictCounts),
    ("R5-same-term", Bug::SameTermAfterSeizure),
    ("R7-starts-alone", Bug::StartsAlone),
    ("R8-lost-is-gone", Bug::LostIsGone),
    ("older-term-obeyed", Bug::OlderTermObeyed),
    ("other-boot-obeyed", Bug::OtherBootObeyed),
    ("runs-twice", Bug::RunsTwice),
    ("lease-ignored", Bug::LeaseIgnored),
    ("no-succession", Bug::NoSuccession),
    ("start-before-stop", Bug::StartBeforeStop),
    ("no-sync", Bug::NoSync),
    ("vote-forgotten", Bug::VoteForgotten),
    ("lost-after-fenced", Bug::LostAfterFenced),
    ("next-boot-fenced", Bug::NextBootFenced),
    ("local-stop-forgets", Bug::LocalStopForgets),
    ("stops-before-probes", Bug::StopsBeforeProbes),
    ("inventory-forgotten", Bug::InventoryForgotten),
    ("unrecorded-forgotten", Bug::UnrecordedForgotten),
    ("watchdog-always-fed", Bug::WatchdogAlwaysFed),
    ("watchdog-not-awaited", Bug::WatchdogNotAwaited),
    ("adopted-not-awaited", Bug::AdoptedNotAwaited),
    ("acknowledged-early", Bug::AcknowledgedEarly),
    ("result-forgotten", Bug::ResultForgotten),
    ("intent-not-awaited", Bug::IntentNotAwaited),
    ("foreign-ignored", Bug::ForeignIgnored),
    ("failed-stop-releases", Bug::FailedStopReleases),
    ("failed-start-releases", Bug::FailedStartReleases),
    ("monitor-silent", Bug::MonitorSilent),
    ("local-stop-unordered", Bug::LocalStopUnordered),
    ("start-number-reused", Bug::StartNumberReused),
    ("lease-from-arrival", Bug::LeaseFromArrival),
    ("reboot-keeps-history", Bug::RebootKeepsHistory),
];

#[cfg(feature = "seeded-bugs")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Chooses the bug of this process; `None`: none.
#[cfg(feature = "seeded-bugs")]
pub fn choose(bug: Option<Bug>) {
    let number = bug.map_or(0, |bug| bug as u8);
    CHOSEN.store(number, std::sync::atomic::Ordering::SeqCst);
}

/// Whether this rule is to be dropped: never in a program without the feature.
#[cfg(feature = "seeded-bugs")]
#[must_use]
pub fn has(bug: Bug) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether this rule is to be dropped: never in a program without the feature.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
#[inline(always)]
pub const fn has(_bug: Bug) -> bool {
    false
}
