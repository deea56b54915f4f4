//! What reaches a node and what it wants done: the whole surface between `core` and its shell.
//!
//! `Node::step(now, event) -> Vec<Effect>`; `Node::deadline() -> Millis` says when the next `Event::Tick`
//! is due at the latest. The daemon and the simulator are the two shells.

use crate::admin::{Request, Response};
use crate::ids::{BatchId, ClientId, Millis, NodeName, RunId};
use crate::store::Batch;

/// Number of a link (network) between nodes: 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u8);

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A whole frame arrived. The shell has authenticated the peer (its certificate names `from`), bounded
    /// the length and checked the frame's checksum; the content is not trusted.
    Frame {
        /// The peer.
        from: NodeName,
        /// Over which link.
        link: Link,
        /// Encoded message.
        bytes: Vec<u8>,
    },
    /// A batch is durable (`fsync` returned).
    Durable(BatchId),
    /// A batch could not be made durable: this node must not go on.
    StoreFailed(String),
    /// An agent's run ended.
    AgentDone {
        /// Which run.
        run: RunId,
        /// How.
        result: AgentResult,
    },
    /// After a start of the daemon, before anything else is run: what an earlier session of it left in this
    /// boot's journal. `AgentDone` will follow for those that have no result yet.
    Inventory(Vec<FoundRun>),
    /// A process that a resource's start left behind has exited: its monitor is due now.
    ProcessExited {
        /// The resource instance.
        resource: String,
    },
    /// A local client (command line, agent's helper command) asks.
    Client {
        /// To be named in the reply.
        id: ClientId,
        /// What it asks.
        request: Request,
    },
    /// The local client went away; no reply is needed.
    ClientGone(ClientId),
    /// The host or the service manager wants the daemon to stop: drain first.
    Shutdown,
}

/// What is to be done. Effects of one step are carried out in order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Send a frame; loss is tolerated. `link: None`: over the best link.
    Send {
        /// To whom.
        to: NodeName,
        /// Over which link.
        link: Option<Link>,
        /// Encoded message.
        bytes: Vec<u8>,
    },
    /// Make this durable in one transaction, then report `Event::Durable`.
    Persist(Batch),
    /// Addresses and certificates of peers changed (a node was added, removed, moved).
    Peers(Vec<Peer>),
    /// Run an agent, and report `Event::AgentDone`. Written to tmpfs before it runs, so that a restarted
    /// daemon finds it again.
    RunAgent {
        /// Its name in the report.
        run: RunId,
        /// What to run.
        call: AgentCall,
    },
    /// Kill an agent's run (its process group).
    KillAgent(RunId),
    /// Keep a record in tmpfs (`None`: forget it) before any effect that follows. It survives the daemon
    /// and ends with the boot; `Inventory::remembered` gives it back. A few hundred bytes each.
    Remember {
        /// Its name: letters, digits, `/`, `-`, `_`, `.`, `:`.
        key: String,
        /// Its content.
        value: Option<Vec<u8>>,
    },
    /// Answer a client.
    Reply {
        /// Who asked.
        client: ClientId,
        /// The answer. More than one reply may follow for a watch.
        response: Response,
    },
    /// A sentence for the log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// One sentence.
        text: String,
    },
    /// A node is confirmed dead: nothing will ever answer on connections to it, so they end now.
    NodeDead {
        /// Who.
        node: NodeName,
        /// Its addresses on the cluster's links, `host:port`.
        addresses: Vec<String>,
    },
    /// Run the alert programs with these variables (`CRM_alert_*` as Pacemaker's).
    Alert(Vec<(String, String)>),
    /// Pet the watchdog not beyond this time (armed watchdogs only).
    WatchdogUntil(Millis),
    /// Stop the daemon now. Resources go on; `clean` after a drain.
    Halt {
        /// Why.
        reason: String,
        /// An orderly end.
        clean: bool,
    },
}

/// Importance of a log sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only for tracing.
    Debug,
    /// Normal life.
    Info,
    /// Worth a look.
    Warn,
    /// An operator must act now.
    Error,
}

/// A peer as the links need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name (subject of its certificate).
    pub name: NodeName,
    /// `host:port` for each link.
    pub addresses: Vec<String>,
    /// SHA-256 (hex) of the certificate that it was admitted with; empty where the log does not have it.
    pub fingerprint: String,
    /// Unix milliseconds of its admission: another certificate must have been made later (a renewed one is), or it
    /// is that of a machine that had the name before. 0: not known.
    pub admitted_wall_ms: i64,
}

/// A run that the journal in tmpfs still knows after the daemon was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRun {
    /// Its name from now on; numbered from 2^63 up, so that it meets none of this session's.
    pub run: RunId,
    /// What was called.
    pub call: AgentCall,
    /// How it ended, if it did.
    pub result: Option<AgentResult>,
}

/// One run of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct AgentCall {
    /// The resource instance (history id).
    #[n(0)]
    pub resource: String,
    /// Value of `OCF_RESOURCE_INSTANCE`.
    #[n(1)]
    pub instance: String,
    /// `ocf`, `systemd`, `service`, `lsb`, `stonith`.
    #[n(2)]
    pub class: String,
    /// Provider, for `ocf`.
    #[n(3)]
    pub provider: Option<String>,
    /// Agent.
    #[n(4)]
    pub agent: String,
    /// `start`, `stop`, `monitor`, ... ; for fence devices also `off`, `on`, `reboot`, `status`, and
    /// `power-status` (reads the power state back, see design rule R4).
    #[n(5)]
    pub action: String,
    /// Parameters.
    #[n(6)]
    pub parameters: Vec<(String, String)>,
    /// `CRM_meta_*` variables without the prefix.
    #[n(7)]
    pub meta: Vec<(String, String)>,
    /// For fencing: the target's name.
    #[n(8)]
    pub target: Option<String>,
    /// Milliseconds it may take before its process group is killed.
    #[n(9)]
    pub timeout_ms: u64,
    /// Milliseconds between runs where it is a recurring monitor (for the agent's environment), else 0.
    #[n(10)]
    pub interval_ms: u64,
    /// Names the run across restarts of the daemon: term, transition and action (at most once, design section
    /// 5). Empty for recurring monitors and whatever may be run again; those leave no result behind.
    #[n(11)]
    pub name: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct AgentResult {
    /// What became of it.
    #[n(0)]
    pub outcome: Outcome,
    /// `ocf_exit_reason` or the last words that explain the failure; bounded.
    #[n(1)]
    pub exit_reason: String,
    /// Bounded tail of standard output and error.
    #[n(2)]
    pub output: String,
    /// Milliseconds it took.
    #[n(3)]
    pub took_ms: u64,
    /// Digests of the parameters (all, those that force a restart, the public ones) and the names they
    /// cover, computed from the agent's metadata as Pacemaker does; absent for fence actions and probes
    /// of unknown agents.
    #[n(4)]
    pub digests: Option<Digests>,
}

/// What a parameter change may mean, computed where the metadata is.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Digests {
    /// `op-digest`.
    #[n(0)]
    pub all: String,
    /// `op-restart-digest`.
    #[n(1)]
    pub restart: Option<String>,
    /// `op-secure-digest`.
    #[n(2)]
    pub secure: Option<String>,
    /// `op-force-restart`.
    #[n(3)]
    pub force_restart: Option<String>,
    /// `op-secure-params`.
    #[n(4)]
    pub secure_params: Option<String>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Outcome {
    /// It exited (OCF exit codes; STONITH and fence agents mapped to 0 and 1, power states to 0 = on, 2 = off).
    #[n(0)]
    Exited(#[n(0)] i32),
    /// Killed after its timeout.
    #[n(1)]
    TimedOut,
    /// It could not be run: agent missing, not executable, unit unknown ...
    #[n(2)]
    NotRun,
    /// It ran under an earlier session of the daemon and has ended; how is not known.
    #[n(3)]
    Lost,
}
