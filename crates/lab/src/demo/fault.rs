//! The ten faults of the demo.

use crate::demo::cluster::Cluster;
use crate::error::LabError;
use crate::host::Host;
use crate::layout::Link;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The active server loses its power.
    PowerLoss,
    /// The database process is killed.
    ProcessDeath,
    /// An operator empties the active server.
    Standby,
    /// The active server is rebooted in order.
    Reboot,
    /// The active server loses one heartbeat link.
    OneLinkLost,
    /// The active server loses both heartbeat links.
    AllLinksLost,
    /// The passive server loses its power.
    StandbyLoss,
    /// Both servers are reset at once.
    BothReset,
    /// The leader's daemon is killed.
    LeaderKilled,
    /// The active server stands still.
    FrozenHost,
}

/// Where the database must be afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// On the other server.
    Moves,
    /// On the same server, without having been restarted.
    Stays,
    /// On any one server.
    Returns,
}

impl Fault {
    /// All of them, in the demo's order.
    pub const ALL: [Self; 10] = [
        Self::PowerLoss,
        Self::ProcessDeath,
        Self::Standby,
        Self::Reboot,
        Self::OneLinkLost,
        Self::AllLinksLost,
        Self::StandbyLoss,
        Self::BothReset,
        Self::LeaderKilled,
        Self::FrozenHost,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
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

    /// The fault of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// What happens, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::PowerLoss => "power loss of the active server",
            Self::ProcessDeath => "kill -9 of mariadbd",
            Self::Standby => "standby of the active server",
            Self::Reboot => "orderly reboot of the active server",
            Self::OneLinkLost => "loss of one heartbeat link",
            Self::AllLinksLost => "loss of all heartbeat links of the active server",
            Self::StandbyLoss => "power loss of the standby",
            Self::BothReset => "both servers reset at once",
            Self::LeaderKilled => "kill -9 of the leader's daemon",
            Self::FrozenHost => "the active host frozen",
        }
    }

    /// What must come of it.
    #[must_use]
    pub fn expectation(self) -> Expectation {
        match self {
            Self::PowerLoss | Self::Standby | Self::Reboot | Self::FrozenHost => Expectation::Moves,
            Self::OneLinkLost | Self::StandbyLoss | Self::LeaderKilled => Expectation::Stays,
            // Which of two equal servers goes on is the cluster's choice.
            Self::ProcessDeath | Self::AllLinksLost | Self::BothReset => Expectation::Returns,
        }
    }

    /// One host must be fenced.
    #[must_use]
    pub fn is_fenced(self) -> bool {
        matches!(
            self,
            Self::PowerLoss | Self::FrozenHost | Self::AllLinksLost | Self::StandbyLoss
        )
    }

    /// Does it.
    pub(crate) fn inject(
        self,
        cluster: &dyn Cluster,
        active: &Host,
        passive: &Host,
    ) -> Result<(), LabError> {
        match self {
            Self::PowerLoss => active.power_off(),
            Self::ProcessDeath => active
                .run(["pkill", "-KILL", "-x", "mariadbd|mysqld"])
                .map(drop),
            Self::Standby => cluster.standby(active),
            Self::Reboot => active.run(["systemctl", "reboot", "--no-block"]).map(drop),
            Self::OneLinkLost => active.cut(Link::Link1),
            Self::AllLinksLost => {
                active.cut(Link::Link1)?;
                active.cut(Link::Link2)
            }
            Self::StandbyLoss => passive.power_off(),
            Self::BothReset => std::thread::scope(|scope| {
                let other = scope.spawn(|| passive.power_reset());
                active.power_reset()?;
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
            Self::LeaderKilled => {
                let leader = cluster.leader().unwrap_or_else(|| active.name().to_owned());
                let host = cluster
                    .hosts()
                    .iter()
                    .find(|host| host.name() == leader)
                    .unwrap_or(active);
                cluster.kill_daemon(host)
            }
            Self::FrozenHost => active.freeze(),
        }
    }
}
