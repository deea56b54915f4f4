//! What goes wrong with the brokers.

use crate::error::LabError;
use crate::host::Host;
use crate::layout::Link;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokerFault {
    /// The promoted broker's process is killed.
    PromotedKilled,
    /// Another broker's process is killed.
    OtherKilled,
    /// The promoted broker's host loses its power.
    PromotedHostLost,
    /// Another broker's host loses its power.
    OtherHostLost,
    /// All cables of the promoted broker's host are pulled.
    CutOff,
    /// Only the network between the brokers (and clients) is cut at the promoted one's host.
    NetworkBetween,
    /// All hosts are reset at once.
    AllReset,
}

impl BrokerFault {
    /// All of them, in the demo's order.
    pub const ALL: [Self; 7] = [
        Self::PromotedKilled,
        Self::OtherKilled,
        Self::PromotedHostLost,
        Self::OtherHostLost,
        Self::CutOff,
        Self::NetworkBetween,
        Self::AllReset,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PromotedKilled => "promoted-broker-killed",
            Self::OtherKilled => "other-broker-killed",
            Self::PromotedHostLost => "promoted-host-lost",
            Self::OtherHostLost => "other-host-lost",
            Self::CutOff => "promoted-host-cut-off",
            Self::NetworkBetween => "network-between",
            Self::AllReset => "all-reset",
        }
    }

    /// What happens, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::PromotedKilled => "kill -9 of the promoted broker",
            Self::OtherKilled => "kill -9 of another broker",
            Self::PromotedHostLost => "power loss of the promoted broker's host",
            Self::OtherHostLost => "power loss of another broker's host",
            Self::CutOff => "all cables of the promoted broker's host pulled",
            Self::NetworkBetween => "the brokers' network cut for 80 s at the promoted one's host",
            Self::AllReset => "all hosts reset at once",
        }
    }

    /// Whether it takes a single host (or its broker) away, after which no confirmed message may be lost.
    #[must_use]
    pub fn is_single_loss(self) -> bool {
        !matches!(self, Self::NetworkBetween | Self::AllReset)
    }

    /// Whether the promoted broker is well all the time, and has to keep its role.
    pub(crate) fn spares_the_promoted(self) -> bool {
        matches!(self, Self::OtherKilled | Self::OtherHostLost)
    }

    /// How many hosts must be fenced, where it matters.
    pub(crate) fn fences(self) -> Option<usize> {
        match self {
            Self::PromotedHostLost | Self::OtherHostLost | Self::CutOff => Some(1),
            Self::AllReset => None,
            _ => Some(0),
        }
    }

    /// Does it to the promoted host, another, or all.
    pub(crate) fn inject(
        self,
        promoted: &Host,
        other: &Host,
        all: &[Host],
    ) -> Result<(), LabError> {
        let kill = |host: &Host| host.run(["pkill", "-KILL", "-x", "beam.smp"]).map(drop);
        match self {
            Self::PromotedKilled => kill(promoted),
            Self::OtherKilled => kill(other),
            Self::PromotedHostLost => promoted.power_off(),
            Self::OtherHostLost => other.power_off(),
            Self::CutOff => Link::ALL
                .into_iter()
                .try_for_each(|link| promoted.cut(link)),
            Self::NetworkBetween => promoted.cut(Link::Service),
            Self::AllReset => std::thread::scope(|scope| {
                let resets: Vec<_> = all
                    .iter()
                    .map(|host| scope.spawn(|| host.power_reset()))
                    .collect();
                resets.into_iter().try_for_each(|reset| {
                    reset
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            }),
        }
    }
}
