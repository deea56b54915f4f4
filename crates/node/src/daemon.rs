//! Assembles the daemon: settings, identity, store, links, agents, socket; then runs the core until it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quorate_core::event::{Event, Link};
use quorate_core::ids::{NodeName, RunId};
use quorate_core::node::Node;
use quorate_core::start::{Identity as Member, Inventory, Start, Timing};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_rustls::server::TlsStream;

use crate::alert::Alerts;
use crate::boot::{self, Memory};
use crate::config::{ConfigError, NodeConfig};
use crate::driver::{self, Ending};
use crate::files::{self, FileError, Paths};
use crate::join::JoinDesk;
use crate::link::tls::{TlsConfigs, TlsError, TlsHolder};
use crate::link::{Hub, HubOptions, LinkEvents};
use crate::local::{self, Clients};
use crate::pki::certificate::Facts;
use crate::remote::role::Operator;
use crate::renewal::{self, CertificateNotice};
use crate::storage::{self, StorageError};
use crate::watchdog::Watchdog;
use crate::world::Shell;
use crate::{clock, priority, remote, rotation};

/// Bytes of frames that may wait for the core; more are dropped, which the core takes for loss.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Most operators on other machines at once.
const GUESTS_MAX: usize = 64;
/// After a drain's own limit the daemon stops all the same, this much later.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Between HUP and the end; the daemon works meanwhile.
const RELOAD_GRACE: Duration = Duration::from_millis(100);

/// What the daemon is started with.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Its directories.
    pub paths: Paths,
    /// Program and first arguments of the small process that runs an agent.
    pub supervisor: Vec<std::ffi::OsString>,
    /// Compatibility names that agents call, for links in the runtime directory.
    pub tools: Vec<String>,
    /// The program that those links point to.
    pub program: PathBuf,
}

/// The daemon could not begin.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Agents.
    #[error(transparent)]
    Agents(#[from] quorate_agents::OpenError),
    /// Who it is.
    #[error(
        "{0} is missing or damaged: wipe the state directory and let this node join again (`quorate remove` it on \
         another node first)"
    )]
    Identity(String),
    /// The system.
    #[error("the system refuses {what}: {source}")]
    System {
        /// What was asked.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl DaemonError {
    fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Runs the daemon to its end.
pub fn run(options: &DaemonOptions) -> Result<Ending, DaemonError> {
    let paths = &options.paths;
    let config = NodeConfig::load(paths)?;
    files::make_dir(&paths.runtime)?;
    let notice = CertificateNotice::default();
    // The store's lock comes first: it tells that no other daemon runs on these directories.
    let (store, saved) = storage::open(&paths.store())?;
    let tls = TlsConfigs::new(&renewal::load(paths, &config.name, &notice)?)?;
    let member = member(paths)?;
    let incarnation = boot::incarnation(paths)?;
    let (memory, remembered) = Memory::open(paths)?;
    make_tools(options)?;
    priority::lock_memory();

    let (events, inbox) = channel();
    let links = link_runtime()?;
    let work = work_runtime()?;
    let clients = Arc::new(Clients::new(events.clone()));
    let waiting = Arc::new(AtomicUsize::new(0));
    let agents = work.block_on(async { open_agents(options) })?;
    let running = take_inventory(&work, &agents, &events);

    let desk = JoinDesk {
        paths: paths.clone(),
        clients: clients.clone(),
        detection_ms: config.timing.detection_ms,
    };
    let hub_slot: Arc<OnceLock<Arc<Hub>>> = Arc::default();
    let port = Port {
        events: events.clone(),
        waiting: waiting.clone(),
        joins: join_desk(&work, desk),
        work: work.handle().clone(),
        guests: Arc::new(tokio::sync::Semaphore::new(GUESTS_MAX)),
        clients: clients.clone(),
        paths: paths.clone(),
        name: config.name.clone(),
        hub: hub_slot.clone(),
    };
    let hub_options = HubOptions {
        name: NodeName(config.name.clone()),
        cluster: config.cluster.clone(),
        addresses: config.addresses(),
        detection_ms: config.timing.detection_ms,
    };
    let hub = {
        let _inside = links.enter();
        Hub::start(hub_options, TlsHolder::new(tls), Arc::new(port))
    };
    // Nobody else fills it.
    let _ = hub_slot.set(hub.clone());
    {
        let _inside = work.enter();
        local::serve(&paths.socket(), clients.clone())?;
    }
    work.spawn(renewal::watch(
        paths.clone(),
        config.name.clone(),
        notice.clone(),
        hub.clone(),
    ));
    spawn_signals(&work, events.clone(), &config)?;
    let (batches, storage_thread) = storage::spawn(store, events.clone())
        .map_err(DaemonError::system("a thread for the store"))?;

    let watchdog = Watchdog::arm(&config, paths);
    let start = Start {
        name: NodeName(config.name.clone()),
        incarnation,
        identity: member,
        seed: u64::from_be_bytes(crate::pki::random()),
        saved,
        inventory: Inventory {
            remembered,
            running,
        },
        timing: Timing {
            detection_ms: config.timing.detection_ms,
            watchdog_ms: watchdog.promise_ms(),
            drain_ms: config.drain_s * 1000,
        },
    };
    report_exits(&work, &agents, events.clone());
    let mut shell = Shell {
        hub,
        links: links.clone(),
        work: work.handle().clone(),
        batches,
        agents,
        events: events.clone(),
        clients,
        memory,
        alerts: Alerts::new(config.alert.clone()),
        notice,
        watchdog,
    };
    let ending = run_core(start, inbox, waiting, &config, &mut shell)?;
    if ending.is_clean {
        std::mem::take(&mut shell.watchdog).disarm();
    }
    // Committed batches are whole; the queue's end lets the thread finish what it has.
    drop(shell);
    let _ = storage_thread.join();
    work.shutdown_background();
    Ok(ending)
}

fn run_core(
    start: Start,
    inbox: Receiver<Event>,
    waiting: Arc<AtomicUsize>,
    config: &NodeConfig,
    shell: &mut Shell,
) -> Result<Ending, DaemonError> {
    priority::raise();
    tracing::info!(
        "Quorate {} starts as {} of cluster {}: detection {} ms, links {}.",
        env!("CARGO_PKG_VERSION"),
        config.name,
        config.cluster,
        config.timing.detection_ms,
        config.links.join(" and ")
    );
    let (node, first) = Node::start(start, clock::now());
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let ending = driver::run(
        node,
        first,
        &Counted { inbox, waiting },
        config.timing.detection_ms,
        shell,
    );
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    match ending.is_clean {
        true => tracing::info!("The daemon ends: {}.", ending.reason),
        false => tracing::error!("The daemon ends: {}.", ending.reason),
    }
    Ok(ending)
}

/// The inbox, which counts waiting bytes down.
pub(crate) struct Counted {
    inbox: Receiver<Event>,
    waiting: Arc<AtomicUsize>,
}

impl driver::Inbox for Counted {
    fn receive(&self, wait: Duration) -> Result<Event, std::sync::mpsc::RecvTimeoutError> {
        let event = match self.inbox.try_recv() {
            Ok(event) => event,
            Err(_) => self.inbox.recv_timeout(wait)?,
        };
        if let Event::Frame { bytes, .. } = &event {
            self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        Ok(event)
    }
}

fn member(paths: &Paths) -> Result<Member, DaemonError> {
    let path = paths.identity();
    let damaged = || DaemonError::Identity(path.display().to_string());
    let bytes = std::fs::read(&path).map_err(|_| damaged())?;
    minicbor::decode(&bytes).map_err(|_| damaged())
}

/// All links on one thread of their own, which goes before others: what they do is short. It ends with the process.
fn link_runtime() -> Result<Handle, DaemonError> {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .map_err(DaemonError::system("a thread"))?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("links".to_owned())
        .spawn(move || {
            priority::raise();
            runtime.block_on(std::future::pending::<()>());
        })
        .map_err(DaemonError::system("a thread"))?;
    Ok(handle)
}

fn work_runtime() -> Result<Runtime, DaemonError> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .thread_name("work")
        .enable_all()
        .build()
        .map_err(DaemonError::system("a thread"))
}

/// Processes that starts left behind: when one exits, its resource's monitor is due.
fn report_exits(work: &Runtime, agents: &quorate_agents::Runner, events: Sender<Event>) {
    let _inside = work.enter();
    let Some(mut exits) = agents.exits() else {
        return;
    };
    work.spawn(async move {
        while let Some(resource) = exits.recv().await {
            if events.send(Event::ProcessExited { resource }).is_err() {
                return;
            }
        }
    });
}

/// Reports what earlier sessions left, as the first event of all, and awaits what still runs.
fn take_inventory(
    work: &Runtime,
    agents: &quorate_agents::Runner,
    events: &Sender<Event>,
) -> Vec<RunId> {
    let found = work.block_on(agents.inventory());
    let running: Vec<RunId> = found
        .iter()
        .filter(|f| f.result.is_none())
        .map(|f| f.run)
        .collect();
    // The receiver lives as long as the daemon.
    let _ = events.send(Event::Inventory(found));
    for run in running.clone() {
        let (agents, events) = (agents.clone(), events.clone());
        work.spawn(async move {
            let result = agents.finish_found(run).await;
            let _ = events.send(Event::AgentDone { run, result });
        });
    }
    running
}

fn open_agents(options: &DaemonOptions) -> Result<quorate_agents::Runner, DaemonError> {
    let surroundings = quorate_agents::Surroundings {
        tools: Some(options.paths.tools()),
        runs: options.paths.runs(),
        socket: Some(options.paths.socket()),
        watched: options.paths.runs().with_file_name("watched"),
        supervisor: options.supervisor.clone(),
        ..quorate_agents::Surroundings::default()
    };
    Ok(quorate_agents::Runner::open(surroundings)?)
}

/// Links under the compatibility names, so that agents find tools that talk to this daemon.
fn make_tools(options: &DaemonOptions) -> Result<(), FileError> {
    let directory = options.paths.tools();
    files::make_dir(&directory)?;
    for name in &options.tools {
        let link = directory.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&options.program, &link)
            .map_err(|e| FileError::new("cannot make the link", &link, e))?;
    }
    Ok(())
}

fn join_desk(work: &Runtime, desk: JoinDesk) -> tokio::sync::mpsc::Sender<TlsStream<TcpStream>> {
    let (sender, mut newcomers) = tokio::sync::mpsc::channel(8);
    work.spawn(async move {
        // One after the other: joins are rare, and each changes the membership.
        while let Some(stream) = newcomers.recv().await {
            desk.serve(stream).await;
        }
    });
    sender
}

/// TERM drains and ends; HUP ends at once so that the service manager starts the daemon anew (an upgrade).
fn spawn_signals(
    work: &Runtime,
    events: Sender<Event>,
    config: &NodeConfig,
) -> Result<(), DaemonError> {
    use tokio::signal::unix::{SignalKind, signal};
    let limit = Duration::from_secs(config.drain_s) + STOP_GRACE;
    let _inside = work.enter();
    let failed = || DaemonError::system("a signal handler");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed())?;
    work.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {
                tracing::info!("The daemon restarts itself; resources go on, nothing moves.");
                // The service manager notes first that its `kill` succeeded, or it calls the reload failed.
                tokio::time::sleep(RELOAD_GRACE).await;
                // What is durable is whole at any moment; the next start finds the rest in tmpfs.
                std::process::exit(RESTART_EXIT);
            }
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        tracing::info!(
            "The daemon is asked to stop: it drains this node first (at most {} s).",
            limit.as_secs()
        );
        let _ = events.send(Event::Shutdown);
        tokio::select! {
            () = tokio::time::sleep(limit) => {}
            _ = hangup.recv() => {}
        }
        tracing::error!(
            "The drain did not end in time: the daemon stops and leaves its resources running."
        );
        std::process::exit(1);
    });
    Ok(())
}

/// Exit code after HUP: the service manager starts the daemon again.
pub const RESTART_EXIT: i32 = 75;

/// What links report goes to the core.
struct Port {
    events: Sender<Event>,
    waiting: Arc<AtomicUsize>,
    joins: tokio::sync::mpsc::Sender<TlsStream<TcpStream>>,
    work: Handle,
    guests: Arc<tokio::sync::Semaphore>,
    clients: Arc<Clients>,
    paths: Paths,
    name: String,
    hub: Arc<OnceLock<Arc<Hub>>>,
}

impl LinkEvents for Port {
    fn frame(&self, from: &NodeName, link: Link, bytes: Vec<u8>) {
        let before = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if before > WAITING_BYTES_MAX {
            self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            return;
        }
        let _ = self.events.send(Event::Frame {
            from: from.clone(),
            link,
            bytes,
        });
    }
    fn join(&self, stream: TlsStream<TcpStream>) {
        // Too many at once: the newcomer sees the connection close and tries again.
        let _ = self.joins.try_send(stream);
    }
    fn client(&self, stream: TlsStream<TcpStream>, operator: Operator) {
        // Too many at once: the client sees the connection close.
        let Ok(slot) = self.guests.clone().try_acquire_owned() else {
            return;
        };
        let clients = self.clients.clone();
        self.work.spawn(async move {
            remote::server::serve(stream, operator, clients).await;
            drop(slot);
        });
    }
    fn rotation(&self, stream: TlsStream<TcpStream>, from: Facts) {
        let Some(hub) = self.hub.get().cloned() else {
            return;
        };
        let (paths, name) = (self.paths.clone(), self.name.clone());
        self.work
            .spawn(rotation::server::serve(stream, from, paths, name, hub));
    }
    fn log_info(&self, text: String) {
        tracing::info!("{text}");
    }
    fn log_warn(&self, text: String) {
        tracing::warn!("{text}");
    }
}
