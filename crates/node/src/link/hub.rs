//! All links of this node: who is connected over what, and the way out for messages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_core::event::{Link, Peer};
use quorate_core::ids::NodeName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;

use super::frame::Lane;
use super::outbox::Outbox;
use super::tls::TlsHolder;
use super::{accept, dial};
use crate::clock;
use crate::pki::certificate::Facts;
use crate::remote::role::Operator;

/// A link that was silent for longer is not taken for the log while another one speaks.
const FRESH_MS: u64 = 300;
/// A connection that spoke within this time defends its name against another certificate.
const ALIVE_MS: u64 = 2000;
/// The same trouble is told again after this time.
const REPEAT_MS: u64 = 300_000;
/// Strangers are told of at most once in this time.
const STRANGER_MS: u64 = 10_000;

/// What links report. Calls return at once.
pub trait LinkEvents: Send + Sync {
    /// A whole message of an authenticated peer.
    fn frame(&self, from: &NodeName, link: Link, bytes: Vec<u8>);
    /// Somebody wants to join, and has no certificate yet.
    fn join(&self, stream: TlsStream<TcpStream>);
    /// An operator on another machine.
    fn client(&self, _stream: TlsStream<TcpStream>, _operator: Operator) {}
    /// A member that leads a rotation of the authority.
    fn rotation(&self, _stream: TlsStream<TcpStream>, _from: Facts) {}
    /// A sentence for the log.
    fn log_info(&self, text: String);
    /// A sentence for the log that is worth a look.
    fn log_warn(&self, text: String);
}

/// What the hub has to know of this node.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// This node's name.
    pub name: NodeName,
    /// The cluster's.
    pub cluster: String,
    /// Own address on each link.
    pub addresses: Vec<SocketAddr>,
    /// Detection time.
    pub detection_ms: u64,
}

/// How a link to a peer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// To whom.
    pub peer: NodeName,
    /// Over which link.
    pub link: Link,
    /// There is a connection.
    pub is_connected: bool,
    /// Milliseconds since something was heard; `None`: never.
    pub silent_ms: Option<u64>,
    /// Messages dropped because the queue was full.
    pub dropped: u64,
}

/// One (peer, link).
#[derive(Debug)]
pub(super) struct PeerLink {
    pub(super) name: NodeName,
    pub(super) link: Link,
    pub(super) outbox: Outbox,
    is_connected: AtomicBool,
    /// Counts connections, so that the end of an old one is not taken for the end of the present one.
    epoch: AtomicU64,
    heard_ms: AtomicU64,
    state: Mutex<PeerLinkState>,
}

#[derive(Debug, Default)]
struct PeerLinkState {
    /// Public key of the connection: it stays when the certificate is renewed.
    key: Option<[u8; 32]>,
    /// Ends the present accepted connection.
    replaced: Option<Arc<Notify>>,
    /// The last trouble and when it was told.
    trouble: Option<(String, u64)>,
}

impl PeerLink {
    fn lock(&self) -> MutexGuard<'_, PeerLinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    pub(super) fn heard(&self) {
        self.heard_ms.store(clock::mono().0, Ordering::Relaxed);
    }

    fn silent_ms(&self) -> Option<u64> {
        match self.heard_ms.load(Ordering::Relaxed) {
            0 => None,
            at => Some(clock::mono().0.saturating_sub(at)),
        }
    }
}

#[derive(Debug)]
struct PeerEntry {
    peer: Peer,
    links: Vec<Arc<PeerLink>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for PeerEntry {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for link in &self.links {
            if let Some(replaced) = link.lock().replaced.take() {
                replaced.notify_one();
            }
        }
    }
}

/// All links of this node.
pub struct Hub {
    options: HubOptions,
    tls: TlsHolder,
    events: Arc<dyn LinkEvents>,
    peers: Mutex<BTreeMap<NodeName, PeerEntry>>,
    bound: Mutex<BTreeMap<Link, SocketAddr>>,
    stranger_told_ms: AtomicU64,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// Begins to listen on every link. Must be called inside a tokio runtime.
    pub fn start(options: HubOptions, tls: TlsHolder, events: Arc<dyn LinkEvents>) -> Arc<Self> {
        let hub = Arc::new(Self {
            options,
            tls,
            events,
            peers: Mutex::default(),
            bound: Mutex::default(),
            stranger_told_ms: AtomicU64::new(0),
        });
        for (n, address) in hub.options.addresses.iter().enumerate() {
            tokio::spawn(accept::listen(hub.clone(), Link(n as u8), *address));
        }
        hub
    }

    /// Connects to these peers and to no others from now on.
    pub fn set_peers(self: &Arc<Self>, peers: &[Peer]) {
        let mut known = self.lock_peers();
        known.retain(|name, entry| peers.iter().any(|p| p.name == *name && *p == entry.peer));
        for peer in peers.iter().filter(|p| p.name != self.options.name) {
            if known.contains_key(&peer.name) {
                continue;
            }
            let count = peer.addresses.len().min(self.options.addresses.len());
            let links: Vec<Arc<PeerLink>> = (0..count)
                .map(|n| {
                    Arc::new(PeerLink {
                        name: peer.name.clone(),
                        link: Link(n as u8),
                        outbox: Outbox::default(),
                        is_connected: AtomicBool::new(false),
                        epoch: AtomicU64::new(0),
                        heard_ms: AtomicU64::new(0),
                        state: Mutex::default(),
                    })
                })
                .collect();
            let turn = if self.options.name < peer.name {
                dial::Turn::Own
            } else {
                dial::Turn::Peers
            };
            let tasks = links
                .iter()
                .zip(&peer.addresses)
                .map(|(link, address)| {
                    let (hub, link) = (self.clone(), link.clone());
                    tokio::spawn(dial::keep(hub, link, address.clone(), turn))
                })
                .collect();
            let entry = PeerEntry {
                peer: peer.clone(),
                links,
                tasks,
            };
            known.insert(peer.name.clone(), entry);
        }
    }

    /// Sends a message at once.
    pub fn send(&self, to: &NodeName, link: Option<Link>, bytes: Vec<u8>) {
        self.queue(to, link, bytes);
        self.flush();
    }

    /// Sends what was queued.
    pub fn flush(&self) {
        let peers = self.lock_peers();
        for link in peers.values().flat_map(|entry| &entry.links) {
            link.outbox.flush();
        }
    }

    /// Puts a message into the queue of a link; it may be lost. Over a named link it overtakes what is long; without
    /// one the best is taken.
    pub fn queue(&self, to: &NodeName, link: Option<Link>, bytes: Vec<u8>) {
        let peers = self.lock_peers();
        let Some(entry) = peers.get(to) else { return };
        let (target, lane) = match link {
            Some(link) => (entry.links.get(usize::from(link.0)), Lane::Urgent),
            None => (best(&entry.links), Lane::Bulk),
        };
        // Without a connection a message would be old when it goes out.
        if let Some(target) = target.filter(|t| t.is_connected.load(Ordering::Relaxed)) {
            target.outbox.push(lane, bytes);
        }
    }

    /// How every link stands.
    #[must_use]
    pub fn status(&self) -> Vec<LinkStatus> {
        let peers = self.lock_peers();
        peers
            .values()
            .flat_map(|entry| &entry.links)
            .map(|l| LinkStatus {
                peer: l.name.clone(),
                link: l.link,
                is_connected: l.is_connected.load(Ordering::Relaxed),
                silent_ms: l.silent_ms(),
                dropped: l.outbox.dropped(),
            })
            .collect()
    }

    /// Peers that turn this node away, and why.
    #[must_use]
    pub fn refusals(&self) -> Vec<(NodeName, String)> {
        let peers = self.lock_peers();
        peers
            .iter()
            .filter_map(|(name, entry)| {
                let why = entry.links.iter().find_map(|link| {
                    let state = link.lock();
                    let (trouble, _) = state.trouble.as_ref()?;
                    trouble.strip_prefix(dial::REFUSES).map(str::to_owned)
                })?;
                Some((name.clone(), why))
            })
            .collect()
    }

    /// Where a link really listens (tests let the kernel choose the port).
    #[must_use]
    pub fn bound(&self, link: Link) -> Option<SocketAddr> {
        self.bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&link)
            .copied()
    }

    /// The certificates in use.
    #[must_use]
    pub fn tls(&self) -> &TlsHolder {
        &self.tls
    }

    pub(super) fn options(&self) -> &HubOptions {
        &self.options
    }

    pub(super) fn events(&self) -> &dyn LinkEvents {
        &*self.events
    }

    fn lock_peers(&self) -> MutexGuard<'_, BTreeMap<NodeName, PeerEntry>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listening(&self, link: Link, listener: &TcpListener) {
        if let Ok(address) = listener.local_addr() {
            self.bound
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(link, address);
        }
    }

    pub(super) fn peer(&self, name: &NodeName, link: Link) -> Option<Arc<PeerLink>> {
        self.lock_peers()
            .get(name)?
            .links
            .get(usize::from(link.0))
            .cloned()
    }

    /// Whether a certificate is that of a member as it is now, or this node's own.
    pub(super) fn is_member(&self, facts: &Facts) -> bool {
        if facts.name == self.options.name.0 {
            return facts.key == self.tls.get().own.key;
        }
        self.lock_peers()
            .get(&NodeName(facts.name.clone()))
            .is_some_and(|entry| {
                entry.peer.fingerprint.is_empty()
                    || entry.peer.fingerprint == data_encoding::HEXLOWER.encode(&facts.fingerprint)
                    || facts.made_s >= entry.peer.admitted_wall_ms.div_euclid(1000)
            })
    }

    /// Whether that certificate may speak for the peer: not while another one does.
    pub(super) fn admit(&self, peer: &PeerLink, facts: &Facts) -> Result<(), String> {
        let entry = self
            .lock_peers()
            .get(&peer.name)
            .map(|e| (e.peer.clone(), e.links.clone()));
        let Some((known, rivals)) = entry else {
            return Err(format!(
                "`{}` is no member of the cluster any more",
                peer.name
            ));
        };
        let is_admitted = known.fingerprint.is_empty()
            || known.fingerprint == data_encoding::HEXLOWER.encode(&facts.fingerprint);
        // A renewed certificate is younger than the admission. By the second: that is what certificates say.
        if !is_admitted && facts.made_s < known.admitted_wall_ms.div_euclid(1000) {
            return Err(format!(
                "its certificate is older than the membership of `{}`: that machine had the name before and was \
                 removed; wipe it (`quorate leave --wipe`) and let it join with a token",
                peer.name
            ));
        }
        // A link of the peer that lives under another certificate means two machines with one name.
        for rival in rivals {
            let is_alive = rival.is_connected.load(Ordering::Relaxed)
                && rival.silent_ms().is_some_and(|ms| ms < ALIVE_MS);
            if is_alive && rival.lock().key.is_some_and(|key| key != facts.key) {
                return Err(format!(
                    "another machine is connected under the name `{}`: two nodes have one name; stop one of them and \
                     let it join under a name of its own",
                    peer.name
                ));
            }
        }
        peer.lock().key = Some(facts.key);
        Ok(())
    }

    /// The newest accepted connection of a peer is the one that counts.
    pub(super) fn take_over(&self, peer: &PeerLink) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        if let Some(old) = peer.lock().replaced.replace(notify.clone()) {
            old.notify_one();
        }
        notify
    }

    pub(super) fn connected(&self, peer: &PeerLink) -> u64 {
        let epoch = peer.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        peer.outbox.clear();
        peer.heard();
        let was = peer.is_connected.swap(true, Ordering::Relaxed);
        peer.lock().trouble = None;
        if !was {
            self.events
                .log_info(format!("Link {} to {} is up.", peer.link.0, peer.name));
        }
        epoch
    }

    pub(super) fn disconnected(&self, peer: &PeerLink, epoch: u64, end: &std::io::Error) {
        if peer.epoch.load(Ordering::Relaxed) != epoch {
            return;
        }
        peer.is_connected.store(false, Ordering::Relaxed);
        let why = match end.kind() {
            std::io::ErrorKind::UnexpectedEof => "the other side closed it".to_owned(),
            _ => super::tls::explain(end),
        };
        self.events.log_warn(format!(
            "Link {} to {} is down: {why}.",
            peer.link.0, peer.name
        ));
    }

    pub(super) fn trouble(&self, peer: &PeerLink, address: &str, problem: &str) {
        let now = clock::mono().0;
        let mut state = peer.lock();
        let is_known = state
            .trouble
            .as_ref()
            .is_some_and(|(known, at)| known == problem && now.saturating_sub(*at) < REPEAT_MS);
        if is_known {
            return;
        }
        state.trouble = Some((problem.to_owned(), now));
        drop(state);
        self.events.log_warn(format!(
            "No link {} to {} at {address}: {problem}.",
            peer.link.0, peer.name
        ));
    }

    pub(super) fn stranger(&self, from: Option<SocketAddr>, problem: &str) {
        let now = clock::mono().0;
        let told = self.stranger_told_ms.load(Ordering::Relaxed);
        if told != 0 && now.saturating_sub(told) < STRANGER_MS {
            return;
        }
        self.stranger_told_ms.store(now, Ordering::Relaxed);
        let from = from.map_or_else(
            || "A listener".to_owned(),
            |a| format!("A connection from {a}"),
        );
        self.events
            .log_warn(format!("{from} was turned away: {problem}."));
    }
}

/// The link for the log: connected and fresh, the first of them; else the one heard last.
fn best(links: &[Arc<PeerLink>]) -> Option<&Arc<PeerLink>> {
    let connected = || {
        links
            .iter()
            .filter(|l| l.is_connected.load(Ordering::Relaxed))
    };
    connected()
        .find(|l| l.silent_ms().is_some_and(|ms| ms < FRESH_MS))
        .or_else(|| connected().min_by_key(|l| l.silent_ms().unwrap_or(u64::MAX)))
}
