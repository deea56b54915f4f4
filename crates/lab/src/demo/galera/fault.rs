//! What goes wrong in the Galera demo.

use crate::demo::cluster::Cluster;
use crate::error::LabError;
use crate::host::Host;
use crate::layout::Link;

/// What goes wrong. "Active" is the host that has the clients' address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GaleraFault {
    /// The database of the active host is killed.
    ServerKilled,
    /// The database of the other host is killed.
    OtherServerKilled,
    /// The load balancer is killed.
    ProxyKilled,
    /// The active host loses its power.
    HostKilled,
    /// The other host loses its power.
    OtherHostKilled,
    /// Both hosts lose their power at once and come back.
    BothKilled,
    /// All cables of the active host are pulled.
    NetworkCut,
    /// The tiebreaker loses its power.
    TiebreakerLost,
    /// An operator empties the active host.
    Standby,
    /// An operator stops everything and starts it again.
    StopStart,
    /// The leader's daemon is killed.
    LeaderKilled,
    /// A database has lost its files: everything is transferred.
    FilesLost,
}

impl GaleraFault {
    /// All of them, in the demo's order.
    pub const ALL: [Self; 12] = [
        Self::ServerKilled,
        Self::OtherServerKilled,
        Self::ProxyKilled,
        Self::HostKilled,
        Self::OtherHostKilled,
        Self::BothKilled,
        Self::NetworkCut,
        Self::TiebreakerLost,
        Self::Standby,
        Self::StopStart,
        Self::LeaderKilled,
        Self::FilesLost,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerKilled => "server-killed",
            Self::OtherServerKilled => "other-server-killed",
            Self::ProxyKilled => "proxy-killed",
            Self::HostKilled => "host-killed",
            Self::OtherHostKilled => "other-host-killed",
            Self::BothKilled => "both-killed",
            Self::NetworkCut => "network-cut",
            Self::TiebreakerLost => "tiebreaker-lost",
            Self::Standby => "standby",
            Self::StopStart => "stop-start",
            Self::LeaderKilled => "leader-killed",
            Self::FilesLost => "files-lost",
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
            Self::ServerKilled => "kill -9 of mariadbd on the host with the address",
            Self::OtherServerKilled => "kill -9 of mariadbd on the other host",
            Self::ProxyKilled => "kill -9 of haproxy",
            Self::HostKilled => "power loss of the host with the address",
            Self::OtherHostKilled => "power loss of the other host",
            Self::BothKilled => "power loss of both hosts at once",
            Self::NetworkCut => "all cables of the host with the address pulled",
            Self::TiebreakerLost => "power loss of the tiebreaker",
            Self::Standby => "standby of the host with the address",
            Self::StopStart => "clean stop of everything, and start",
            Self::LeaderKilled => "kill -9 of the leader's daemon",
            Self::FilesLost => "one database's files lost: state transfer",
        }
    }

    /// Whether the address must be on the other host afterwards.
    pub(crate) fn moves(self) -> Option<bool> {
        match self {
            Self::HostKilled | Self::NetworkCut | Self::Standby => Some(true),
            Self::OtherServerKilled
            | Self::OtherHostKilled
            | Self::TiebreakerLost
            | Self::LeaderKilled
            | Self::ProxyKilled => Some(false),
            Self::ServerKilled | Self::BothKilled | Self::StopStart | Self::FilesLost => None,
        }
    }

    /// How many hosts must be fenced; none where it does not matter.
    pub(crate) fn fences(self) -> Option<usize> {
        match self {
            Self::HostKilled | Self::OtherHostKilled | Self::NetworkCut | Self::TiebreakerLost => {
                Some(1)
            }
            Self::BothKilled => None,
            _ => Some(0),
        }
    }

    /// Does it.
    pub(crate) fn inject(
        self,
        cluster: &dyn Cluster,
        active: &Host,
        other: &Host,
    ) -> Result<(), LabError> {
        match self {
            Self::ServerKilled => kill_database(active),
            Self::OtherServerKilled => kill_database(other),
            Self::ProxyKilled => active.run(["pkill", "-KILL", "-x", "haproxy"]).map(drop),
            Self::HostKilled => active.power_off(),
            Self::OtherHostKilled => other.power_off(),
            Self::BothKilled => std::thread::scope(|scope| {
                let second = scope.spawn(|| other.power_reset());
                active.power_reset()?;
                second
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
            Self::NetworkCut => Link::ALL.into_iter().try_for_each(|link| active.cut(link)),
            Self::TiebreakerLost => {
                let tiebreaker = cluster.hosts().iter().find(|host| {
                    cluster
                        .servers()
                        .iter()
                        .all(|server| server.name() != host.name())
                });
                tiebreaker.map_or(Ok(()), Host::power_off)
            }
            Self::Standby => cluster.standby(active),
            Self::StopStart => cluster.stop_all(),
            Self::LeaderKilled => {
                let leader = cluster.leader().unwrap_or_else(|| active.name().to_owned());
                let host = cluster
                    .hosts()
                    .iter()
                    .find(|host| host.name() == leader)
                    .unwrap_or(active);
                cluster.kill_daemon(host)
            }
            Self::FilesLost => {
                let script =
                    "pkill -KILL -x 'mysqld_safe|mariadbd-safe'; pkill -KILL -x 'mariadbd|mysqld'";
                other
                    .shell(&format!("{script}; rm -rf /var/lib/mysql/*"))
                    .map(drop)
            }
        }
    }
}

/// The server; the script that started it may start it again before anybody else does.
fn kill_database(host: &Host) -> Result<(), LabError> {
    host.run(["pkill", "-KILL", "-x", "mariadbd|mysqld"])
        .map(drop)
}
