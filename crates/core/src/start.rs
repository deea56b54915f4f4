//! What a node is started with.

use std::collections::BTreeMap;

use crate::event::Peer;
use crate::ids::{Incarnation, Lineage, NodeName, RaftId, RunId};
use crate::store::Saved;

/// Everything a node knows when its daemon starts.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its name.
    pub name: NodeName,
    /// This boot (from tmpfs) and this session (drawn anew).
    pub incarnation: Incarnation,
    /// Who it is in the cluster.
    pub identity: Identity,
    /// Seed of its jitter.
    pub seed: u64,
    /// What its store gave back; empty at the very first start.
    pub saved: Saved,
    /// What an earlier session of the daemon left behind on this boot.
    pub inventory: Inventory,
    /// Its clocks' settings.
    pub timing: Timing,
}

/// Who a node is in the cluster: written once by `init` or `join`.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct Identity {
    /// The cluster's name.
    #[n(0)]
    pub cluster: String,
    /// The cluster's lineage.
    #[n(1)]
    pub lineage: Lineage,
    /// Its number in the consensus; a wiped disk gets a new one.
    #[n(2)]
    pub raft_id: RaftId,
    /// The founding state, the same on every founding node; `None` on a node that joined. It counts only
    /// while the store is empty.
    #[n(3)]
    pub genesis: Option<Genesis>,
    /// The members it was told of when it joined, with their numbers: whom to talk to before the log comes.
    #[n(4)]
    pub contacts: Vec<Founder>,
}

/// The state a cluster begins with.
#[derive(Debug, Clone, Default, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct Genesis {
    /// The founding members: usually one (`init`); the others join.
    #[n(0)]
    pub founders: Vec<Founder>,
    /// The first configuration (crm text); may be empty.
    #[n(1)]
    pub configuration: String,
}

/// A member as it is written down before the log is there.
#[derive(Debug, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct Founder {
    /// Its name.
    #[n(0)]
    pub name: NodeName,
    /// Its number in the consensus.
    #[n(1)]
    pub raft_id: RaftId,
    /// `host:port` for each link.
    #[n(2)]
    pub addresses: Vec<String>,
    /// Fingerprint of its certificate (SHA-256, hex); empty where the shell does not check one.
    #[n(3)]
    pub fingerprint: String,
    /// A voter that runs no resource unless a constraint names it.
    #[n(4)]
    pub is_witness: bool,
}

impl Founder {
    /// As the links need it.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer {
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            fingerprint: self.fingerprint.clone(),
            admitted_wall_ms: 0,
        }
    }
}

/// What an earlier session of the daemon left behind on this boot (all of it from tmpfs).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// The records of `Effect::Remember`.
    pub remembered: BTreeMap<String, Vec<u8>>,
    /// Runs that still go on: the shell watches them again and reports each end as `AgentDone` under the
    /// same number, with `Outcome::Lost` where the exit code is not known. `Event::Inventory` tells more of
    /// them, and of those that have ended.
    pub running: Vec<RunId>,
}

/// Settings of the timers. Those that the configuration also has (`detection-time`) are taken from there
/// once a configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// No answer on any link for so long: the peer is lost.
    pub detection_ms: u64,
    /// Time after which an armed hardware watchdog resets this host; `None` where none is armed.
    pub watchdog_ms: Option<u64>,
    /// How long an orderly shutdown waits for the drain.
    pub drain_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            detection_ms: 1_000,
            watchdog_ms: None,
            drain_ms: 600_000,
        }
    }
}
