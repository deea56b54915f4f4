//! Dialing: of two nodes the one whose name sorts first dials, again and again, with growing pauses. The other one does
//! when it was not called for long: one that was removed meanwhile would never learn why it stands alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::event::Link;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::hello::{self, Hello};
use super::hub::{Hub, PeerLink};
use super::{connection, tls};
use crate::pki::certificate::Facts;

/// How a refusal begins.
pub(super) const REFUSES: &str = "it refuses this node: ";
const PAUSE_MS_MIN: u64 = 50;
const PAUSE_MS_MAX: u64 = 500;
/// A connection or handshake that takes longer is given up.
pub(super) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);

/// Who is to be called dials after so long without a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// This node.
    Own,
    /// The peer; this node only when that does not happen.
    Peers,
}

/// Keeps one (peer, link) connected for ever.
pub(super) async fn keep(hub: Arc<Hub>, peer: Arc<PeerLink>, address: String, turn: Turn) {
    let mut pause_ms = PAUSE_MS_MIN;
    loop {
        if turn == Turn::Peers {
            tokio::time::sleep(PATIENCE).await;
            if peer.is_connected() {
                continue;
            }
        }
        let attempt = tokio::time::timeout(HANDSHAKE_LIMIT, dial(&hub, &peer, &address)).await;
        match attempt {
            Ok(Ok(stream)) => {
                pause_ms = PAUSE_MS_MIN;
                let epoch = hub.connected(&peer);
                let end = connection::run(stream, &peer, peer.link, hub.events()).await;
                hub.disconnected(&peer, epoch, &end);
            }
            Ok(Err(problem)) => hub.trouble(&peer, &address, &problem),
            Err(_) => hub.trouble(&peer, &address, "it does not answer"),
        }
        // Spread by up to a half, so that nodes that were cut off together do not come back in step.
        let spread = u64::from(crate::pki::random::<1>()[0]) * pause_ms / 512;
        tokio::time::sleep(Duration::from_millis(pause_ms + spread)).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
}

async fn dial(hub: &Hub, peer: &PeerLink, address: &str) -> Result<TlsStream<TcpStream>, String> {
    let stream = connect(hub, peer.link, address)
        .await
        .map_err(|e| e.to_string())?;
    connection::prepare(&stream, hub.options().detection_ms).map_err(|e| e.to_string())?;
    let configs = hub.tls().get();
    let mut stream = TlsConnector::from(configs.dial.clone())
        .connect(tls::server_name(), stream)
        .await
        .map_err(|e| tls::explain(&e))?;
    let shown = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let facts = shown
        .and_then(|der| Facts::of_der(der).ok())
        .ok_or_else(|| "it showed no certificate of a node".to_owned())?;
    if facts.name != peer.name.0 {
        return Err(format!(
            "the node there is `{}`: the addresses of two nodes are confused, correct node.toml there or remove the \
             node and let it join again",
            facts.name
        ));
    }
    hub.admit(peer, &facts)?;
    let own = Hello::Welcome {
        version: hello::VERSION,
        link: peer.link.0,
        cluster: hub.options().cluster.clone(),
    };
    hello::send(&mut stream, &own)
        .await
        .map_err(|e| tls::explain(&e))?;
    // In TLS 1.3 a refusal of our certificate arrives only with the first read.
    match hello::receive(&mut stream)
        .await
        .map_err(|e| tls::explain(&e))?
    {
        Hello::Welcome {
            version: hello::VERSION,
            ..
        } => Ok(stream),
        Hello::Welcome { version, .. } => Err(format!(
            "it speaks version {version} of the link protocol, this node version {}: upgrade the older one",
            hello::VERSION
        )),
        Hello::Refused { reason } => Err(format!("{REFUSES}{reason}")),
    }
}

async fn connect(hub: &Hub, link: Link, address: &str) -> io::Result<TcpStream> {
    let to: SocketAddr = address
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "its address is no address"))?;
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // From this node's own address on that link, so that the traffic takes that network and no other.
    if let Some(own) = hub.options().addresses.get(usize::from(link.0))
        && own.is_ipv4() == to.is_ipv4()
    {
        socket.bind(SocketAddr::new(own.ip(), 0))?;
    }
    socket.connect(to).await
}
