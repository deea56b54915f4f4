//! Accepting: one listener a link. A peer is told apart from a node that wants to join by the protocol it names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::event::Link;
use quorate_core::ids::NodeName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::dial::HANDSHAKE_LIMIT;
use super::hello::{self, Hello};
use super::hub::Hub;
use super::{connection, tls};
use crate::pki::certificate::{Facts, operator_of};

/// Most handshakes at once; more wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 32;
const BIND_PAUSE: Duration = Duration::from_millis(500);

/// Listens on a link for ever.
pub(super) async fn listen(hub: Arc<Hub>, link: Link, address: SocketAddr) {
    let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let mut is_first = true;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            // The address may come up after the daemon.
            Err(e) => {
                if is_first {
                    hub.events().log_warn(format!(
                        "Cannot listen on {address} (link {}): {e}; trying again until it works.",
                        link.0
                    ));
                }
                is_first = false;
                tokio::time::sleep(BIND_PAUSE).await;
            }
        }
    };
    hub.listening(link, &listener);
    loop {
        let slot = slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                hub.stranger(None, &format!("cannot accept connections: {e}"));
                tokio::time::sleep(BIND_PAUSE).await;
                continue;
            }
        };
        let hub = hub.clone();
        tokio::spawn(async move {
            let greeting = tokio::time::timeout(HANDSHAKE_LIMIT, greet(&hub, link, stream)).await;
            drop(slot);
            match greeting {
                Ok(Ok(Some(peer))) => peer.await,
                Ok(Ok(None)) => {}
                Ok(Err(problem)) => hub.stranger(Some(from), &problem),
                Err(_) => hub.stranger(Some(from), "it connected and said nothing"),
            }
        });
    }
}

fn offers(start: &StartHandshake<TcpStream>, protocol: &[u8]) -> bool {
    start
        .client_hello()
        .alpn()
        .is_some_and(|mut offered| offered.any(|p| p == protocol))
}

fn shown(stream: &TlsStream<TcpStream>) -> Option<&[u8]> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    certificates.first().map(|der| &**der)
}

type Served = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The handshake. Gives what then serves the connection, or nothing where somebody else does.
async fn greet(hub: &Arc<Hub>, link: Link, stream: TcpStream) -> Result<Option<Served>, String> {
    connection::prepare(&stream, hub.options().detection_ms).map_err(|e| e.to_string())?;
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let start = acceptor.await.map_err(|e| tls::explain(&e))?;
    let configs = hub.tls().get();
    let wants_to_join = offers(&start, tls::JOIN_PROTOCOL);
    if wants_to_join {
        let stream = start
            .into_stream(configs.join.clone())
            .await
            .map_err(|e| tls::explain(&e))?;
        hub.events().join(stream);
        return Ok(None);
    }
    if offers(&start, tls::CLIENT_PROTOCOL) {
        let stream = start
            .into_stream(configs.client.clone())
            .await
            .map_err(|e| tls::explain(&e))?;
        let operator = shown(&stream)
            .and_then(|der| operator_of(der).ok().flatten())
            .ok_or_else(|| "it showed no certificate of an operator".to_owned())?;
        hub.events().client(stream, operator);
        return Ok(None);
    }
    if offers(&start, tls::AUTHORITY_PROTOCOL) {
        let stream = start
            .into_stream(configs.authority.clone())
            .await
            .map_err(|e| tls::explain(&e))?;
        let facts = shown(&stream)
            .and_then(|der| Facts::of_der(der).ok())
            .filter(|facts| hub.is_member(facts))
            .ok_or_else(|| "it wants to rotate the authority and is no member".to_owned())?;
        hub.events().rotation(stream, facts);
        return Ok(None);
    }
    let mut stream = start
        .into_stream(configs.accept.clone())
        .await
        .map_err(|e| tls::explain(&e))?;
    let facts = shown(&stream)
        .and_then(|der| Facts::of_der(der).ok())
        .ok_or_else(|| "it showed no certificate of a node".to_owned())?;
    let greeting = hello::receive(&mut stream)
        .await
        .map_err(|e| tls::explain(&e))?;
    let verdict = match &greeting {
        Hello::Welcome {
            version: hello::VERSION,
            link: theirs,
            ..
        } if *theirs != link.0 => Err(format!(
            "its link {theirs} reaches this node's link {}: the networks are crossed, correct the addresses",
            link.0
        )),
        Hello::Welcome {
            version: hello::VERSION,
            ..
        } => hub
            .peer(&NodeName(facts.name.clone()), link)
            .ok_or_else(|| {
                format!(
                    "`{}` is no member of the cluster (any more); let it join with a token",
                    facts.name
                )
            })
            .and_then(|peer| hub.admit(&peer, &facts).map(|()| peer)),
        Hello::Welcome { version, .. } => Err(format!(
            "it speaks version {version} of the link protocol, this node version {}: upgrade the older one",
            hello::VERSION
        )),
        Hello::Refused { reason } => Err(format!("it refuses this node: {reason}")),
    };
    let peer = match verdict {
        Ok(peer) => peer,
        Err(reason) => {
            let refusal = Hello::Refused {
                reason: reason.clone(),
            };
            // The other side learns why if it still listens.
            let _ = hello::send(&mut stream, &refusal).await;
            return Err(format!("`{}`: {reason}", facts.name));
        }
    };
    let own = Hello::Welcome {
        version: hello::VERSION,
        link: link.0,
        cluster: hub.options().cluster.clone(),
    };
    hello::send(&mut stream, &own)
        .await
        .map_err(|e| tls::explain(&e))?;
    let hub = hub.clone();
    Ok(Some(Box::pin(async move {
        let replaced = hub.take_over(&peer);
        let epoch = hub.connected(&peer);
        tokio::select! {
            end = connection::run(stream, &peer, link, hub.events()) => hub.disconnected(&peer, epoch, &end),
            // A newer connection of the same peer: this one is a leftover.
            () = replaced.notified() => {}
        }
    })))
}
