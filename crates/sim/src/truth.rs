//! What is: machines with power, and what is active on them. Checkers judge this, never what nodes believe.

use std::collections::BTreeMap;

use quorate_core::event::Outcome;
use quorate_core::ids::{Boot, Session};

use crate::time::Time;

/// A machine, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub usize);

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

/// Where a resource stands on one machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing of it is there.
    #[default]
    Stopped,
    /// Its start is under way: it may touch what it needs already.
    Starting,
    /// It works.
    Running,
    /// Its stop is under way: it may touch what it has still.
    Stopping,
}

/// What kind of thing a resource is in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process.
    Process,
    /// A file system on the shared disk; a second mount destroys it.
    Mount,
    /// An address; two machines may hold it.
    Address,
    /// A database on the shared disk, reached through the address.
    Database,
}

/// A resource of the world.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What must run on the same machine before it (the member before it in its group).
    pub after: Option<String>,
    /// How many machines it may be active on: 1, or more for a clone.
    pub copies_max: usize,
}

/// A machine as it is.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// It has power.
    pub powered: bool,
    /// Its operating system is up.
    pub booted: bool,
    /// It is frozen: its memory is there, nothing moves.
    pub paused: bool,
    /// Its daemon runs.
    pub daemon: bool,
    /// It takes no resources.
    pub is_witness: bool,
    /// The last moment at which a fault touched it, or cut it off.
    pub disturbed: Time,
    /// Resources, where they are not stopped.
    pub stages: BTreeMap<String, Stage>,
    /// A fence device lied fully about it: what the cluster does about it is not the cluster's fault.
    pub belied: bool,
}

/// Everything that is.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// The moment.
    pub now: Time,
    /// The machines.
    pub machines: Vec<Machine>,
    /// The resources.
    pub resources: BTreeMap<String, Resource>,
    /// The last fault has healed.
    pub quiet: bool,
}

impl Truth {
    /// A resource's stage on a machine.
    #[must_use]
    pub fn stage(&self, host: Host, resource: &str) -> Stage {
        self.machines[host.0]
            .stages
            .get(resource)
            .copied()
            .unwrap_or_default()
    }

    /// Where anything of it is active.
    #[must_use]
    pub fn active(&self, resource: &str) -> Vec<Host> {
        self.hosts()
            .filter(|host| self.stage(*host, resource) != Stage::Stopped)
            .collect()
    }

    /// Where it works.
    #[must_use]
    pub fn running(&self, resource: &str) -> Vec<Host> {
        self.hosts()
            .filter(|host| self.stage(*host, resource) == Stage::Running)
            .collect()
    }

    /// All machines.
    pub fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..self.machines.len()).map(Host)
    }
}

/// Why a machine lost its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCause {
    /// A fault of the world.
    Outage,
    /// Its BMC was told to.
    Fenced,
    /// Its watchdog was not fed.
    Watchdog,
}

/// Something that happened in the world. Checkers see each, right after it happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A machine lost its power: nothing runs on it any more.
    PowerOff {
        /// Which.
        host: Host,
        /// Why.
        cause: PowerCause,
    },
    /// A machine has booted.
    Booted {
        /// Which.
        host: Host,
        /// The boot's number.
        boot: Boot,
    },
    /// A daemon started.
    DaemonUp {
        /// Where.
        host: Host,
        /// Its session.
        session: Session,
    },
    /// A daemon ended; what it had started goes on.
    DaemonDown {
        /// Where.
        host: Host,
        /// Why.
        why: String,
    },
    /// An agent's run began.
    RunBegins {
        /// Where.
        host: Host,
        /// For which resource.
        resource: String,
        /// `start`, `stop`, `monitor` ...
        action: String,
        /// The run's name across restarts; empty for what may be repeated.
        name: String,
        /// It recurs.
        recurring: bool,
    },
    /// An agent's run ended.
    RunEnds {
        /// Where.
        host: Host,
        /// For which resource.
        resource: String,
        /// What was run.
        action: String,
        /// What it said.
        outcome: Outcome,
        /// It recurs.
        recurring: bool,
    },
    /// A process died by itself.
    ResourceDied {
        /// Where.
        host: Host,
        /// Which.
        resource: String,
    },
    /// A node asks a BMC for something.
    FenceAsked {
        /// The node that runs the device's agent.
        by: Host,
        /// The machine.
        target: Host,
        /// `off`, `on`, `reboot`, `power-status`, `monitor`, `status`.
        action: String,
    },
    /// A watchdog is about to reset a machine.
    WatchdogBites {
        /// Which.
        host: Host,
    },
    /// An operator asked for a machine to be fenced.
    OperatorFences {
        /// The machine.
        target: Host,
    },
    /// A node said that it leads.
    Leads {
        /// Which.
        host: Host,
        /// The term.
        term: u64,
    },
    /// A node showed its replicated state.
    StateShown {
        /// Which.
        host: Host,
        /// After which entry.
        index: u64,
        /// Digest of the state.
        digest: u64,
    },
    /// A node reported an entry as committed.
    Committed {
        /// Which node.
        host: Host,
        /// Its place.
        index: u64,
        /// Digest of what it says.
        digest: u64,
    },
    /// A client was told that a change is in the log.
    Acknowledged {
        /// The place.
        index: u64,
        /// The name of the attribute that was set.
        name: String,
        /// Its value.
        value: u64,
    },
    /// A node showed the value of an attribute that clients count up.
    ValueShown {
        /// Which node.
        host: Host,
        /// Applied up to here.
        index: u64,
        /// The attribute.
        name: String,
        /// Its value.
        value: u64,
    },
    /// The database acknowledged a row to a client.
    RowWritten {
        /// The machine whose database took it.
        host: Host,
        /// The row.
        row: u64,
    },
    /// All faults have healed.
    QuietBegins,
    /// The run is over.
    End,
}
