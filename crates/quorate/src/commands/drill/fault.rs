//! The ten drills: what each one breaks, and what must come of it.

use quorate_policy::budget::Fault;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Drill {
    /// The server that runs the resource loses its power.
    PowerLoss,
    /// The resource's process is killed with SIGKILL.
    ProcessDeath,
    /// The server that runs the resource is put in standby.
    Standby,
    /// The server that runs the resource is rebooted in good order.
    Reboot,
    /// The server that runs the resource loses one heartbeat link.
    OneLinkLost,
    /// The server that runs the resource loses all heartbeat links.
    AllLinksLost,
    /// Another server loses its power.
    StandbyLoss,
    /// All servers are reset at once.
    BothReset,
    /// The leader's daemon is killed with SIGKILL.
    #[value(alias = "daemon-death")]
    LeaderKilled,
    /// Every process of the server that runs the resource is stopped.
    FrozenHost,
}

/// What must come of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// The resource runs elsewhere.
    Moves,
    /// It goes on where it is, untouched.
    Stays,
    /// It is back, wherever.
    Returns,
}

impl Drill {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PowerLoss => "power-loss",
            Self::ProcessDeath => "process-death",
            Self::Standby => "standby",
            Self::Reboot => "reboot",
            Self::OneLinkLost => "one-link-lost",
            Self::AllLinksLost => "all-links-lost",
            Self::StandbyLoss => "standby-loss",
            Self::BothReset => "both-reset",
            Self::LeaderKilled => "leader-killed",
            Self::FrozenHost => "frozen-host",
        }
    }

    pub fn expectation(self) -> Expectation {
        match self {
            Self::Standby | Self::Reboot | Self::FrozenHost => Expectation::Moves,
            Self::OneLinkLost | Self::StandbyLoss | Self::LeaderKilled => Expectation::Stays,
            // A host that boots faster than others start may have its resources back.
            Self::PowerLoss | Self::ProcessDeath | Self::AllLinksLost | Self::BothReset => Expectation::Returns,
        }
    }

    /// Whether exactly one host must be fenced; `None`: whatever the cluster needs.
    pub fn fences(self) -> Option<bool> {
        match self {
            Self::PowerLoss | Self::StandbyLoss | Self::AllLinksLost | Self::FrozenHost => Some(true),
            Self::BothReset => None,
            _ => Some(false),
        }
    }

    /// What the budget is computed for; `None`: no outage is allowed.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Self::PowerLoss | Self::AllLinksLost | Self::BothReset | Self::FrozenHost => Some(Fault::NodeLost),
            Self::ProcessDeath => Some(Fault::ProcessDied { watched: true }),
            Self::Standby | Self::Reboot => Some(Fault::OrderlyMove),
            Self::OneLinkLost | Self::StandbyLoss | Self::LeaderKilled => None,
        }
    }
}
