//! Serves the local socket. A connection asks one request after the other; a watch has many responses.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_core::admin::{Request, Response};
use quorate_core::event::Event;
use quorate_core::ids::ClientId;
use rustix::fs::{Gid, chown};
use tokio::io::AsyncReadExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{frame, group};
use crate::files::FileError;

/// Most connections at once.
const CONNECTIONS_MAX: usize = 256;
/// Most responses waiting for one client; a slower one is cut off.
const RESPONSES_MAX: usize = 64;
/// A response that cannot be written in this time ends the connection.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Those who wait for responses.
#[derive(Debug)]
pub struct Clients {
    waiting: Mutex<BTreeMap<ClientId, mpsc::Sender<Response>>>,
    next: AtomicU64,
    events: std::sync::mpsc::Sender<Event>,
}

impl Clients {
    /// None yet. Requests go to `events`.
    #[must_use]
    pub fn new(events: std::sync::mpsc::Sender<Event>) -> Self {
        Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            events,
        }
    }

    /// Passes a request to the core; responses come through the receiver.
    #[must_use]
    pub fn ask(&self, request: Request) -> (ClientId, mpsc::Receiver<Response>) {
        let id = ClientId(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel(RESPONSES_MAX);
        self.lock().insert(id, sender);
        // The core being gone, the process ends; the receiver sees nothing more.
        let _ = self.events.send(Event::Client { id, request });
        (id, receiver)
    }

    /// Nobody waits for this one any more.
    pub fn gone(&self, id: ClientId) {
        if self.lock().remove(&id).is_some() {
            let _ = self.events.send(Event::ClientGone(id));
        }
    }

    /// The core's answer.
    pub fn reply(&self, id: ClientId, response: Response) {
        let sender = self.lock().get(&id).cloned();
        if let Some(sender) = sender
            && sender.try_send(response).is_err()
        {
            self.gone(id);
        }
    }

    /// After a response that is the last.
    fn done(&self, id: ClientId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, mpsc::Sender<Response>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the socket for root and the group, and serves it for ever.
pub fn serve(path: &Path, clients: Arc<Clients>) -> Result<(), FileError> {
    let failed = |e| FileError::new("cannot open the socket", path, e);
    // Ours alone by the store's lock: what is there is a leftover.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    let mode = match group::number() {
        Some(number) => {
            chown(path, None, Some(Gid::from_raw(number))).map_err(|e| failed(e.into()))?;
            0o660
        }
        None => 0o600,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    tokio::spawn(async move {
        loop {
            let slot = slots
                .clone()
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let clients = clients.clone();
            tokio::spawn(async move {
                // A client that went away is no event worth a message.
                let _ = connection(stream, &clients).await;
                drop(slot);
            });
        }
    });
    Ok(())
}

fn may_ask(stream: &UnixStream) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|e| e.to_string())?;
    if peer.uid() == 0 || group::has(peer.uid(), peer.gid()) {
        return Ok(());
    }
    // The daemon of a test runs as an ordinary user.
    if peer.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(format!(
        "user {} is neither root nor in the group `{}`",
        peer.uid(),
        group::GROUP
    ))
}

async fn connection(stream: UnixStream, clients: &Clients) -> std::io::Result<()> {
    let permission = may_ask(&stream);
    let (mut reader, mut writer) = stream.into_split();
    if let Err(reason) = permission {
        let help = "run it as root, or let root add the user to the group".to_owned();
        return respond(&mut writer, &Response::Refused { reason, help }).await;
    }
    loop {
        let bytes = match frame::read(&mut reader, frame::REQUEST_BYTES_MAX).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            Err(e) => {
                let help = "shorten the request".to_owned();
                respond(
                    &mut writer,
                    &Response::Refused {
                        reason: e.to_string(),
                        help,
                    },
                )
                .await?;
                return Err(e);
            }
        };
        let Ok(request) = Request::decode(&bytes) else {
            let reason = "the request is not understood by this daemon".to_owned();
            let help = "client and daemon have different versions: restart the daemon with `systemctl reload quorate` \
                        (nothing moves)"
                .to_owned();
            respond(&mut writer, &Response::Refused { reason, help }).await?;
            continue;
        };
        converse(&mut reader, &mut writer, clients, request).await?;
    }
}

/// One request and its responses.
async fn converse(
    reader: &mut OwnedReadHalf,
    writer: &mut OwnedWriteHalf,
    clients: &Clients,
    request: Request,
) -> std::io::Result<()> {
    let is_watch = matches!(request, Request::Watch);
    let (id, mut responses) = clients.ask(request);
    loop {
        let response = tokio::select! {
            response = responses.recv() => response,
            // The client closed, or speaks out of turn.
            _ = reader.read_u8() => None,
        };
        let Some(response) = response else {
            clients.gone(id);
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        };
        let is_refusal = matches!(response, Response::Refused { .. });
        if let Err(e) = respond(writer, &response).await {
            clients.gone(id);
            return Err(e);
        }
        if !is_watch || is_refusal {
            clients.done(id);
            return Ok(());
        }
    }
}

async fn respond(writer: &mut OwnedWriteHalf, response: &Response) -> std::io::Result<()> {
    tokio::time::timeout(WRITE_LIMIT, frame::write(writer, &response.encode()))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}
