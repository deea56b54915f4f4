//! The operator's side: a blocking connection to any node of the cluster.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::link::tls::{self, CLIENT_PROTOCOL};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// An open connection.
pub struct RemoteStream(StreamOwned<ClientConnection, TcpStream>);

impl std::fmt::Debug for RemoteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteStream").finish_non_exhaustive()
    }
}

impl RemoteStream {
    /// Connects. `credentials` is the text that `quorate client add` wrote: certificate, key, authorities.
    ///
    /// # Errors
    /// In an operator's words.
    pub fn connect(address: &str, credentials: &str) -> Result<Self, String> {
        let to: SocketAddr = address
            .parse()
            .map_err(|_| format!("`{address}` is no address: write ADDRESS:PORT"))?;
        let config = config(credentials, CLIENT_PROTOCOL)?;
        let stream = TcpStream::connect_timeout(&to, CONNECT_LIMIT).map_err(|e| e.to_string())?;
        let _ = stream.set_nodelay(true);
        let connection = ClientConnection::new(Arc::new(config), tls::server_name())
            .map_err(|e| e.to_string())?;
        let mut stream = StreamOwned::new(connection, stream);
        // The handshake now, so that a refusal is told as one.
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .map_err(|e| tls::explain(&e))?;
        }
        Ok(Self(stream))
    }

    /// Limits how long a read may take.
    pub fn timeout(&self, limit: Option<Duration>) {
        // Only a zero duration is refused.
        let _ = self.0.sock.set_read_timeout(limit);
    }
}

impl Read for RemoteStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|e| std::io::Error::new(e.kind(), tls::explain(&e)))
    }
}

impl Write for RemoteStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// TLS from one text: the first certificate is the client's own, the others are trusted.
pub(crate) fn config(credentials: &str, protocol: &[u8]) -> Result<ClientConfig, String> {
    let damaged = |e: &dyn std::fmt::Display| format!("the credentials are damaged: {e}");
    let mut certificates = CertificateDer::pem_slice_iter(credentials.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| damaged(&e))?
        .into_iter();
    let own = certificates
        .next()
        .ok_or_else(|| damaged(&"no certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(credentials.as_bytes()).map_err(|e| damaged(&e))?;
    let mut roots = RootCertStore::empty();
    for authority in certificates {
        roots.add(authority).map_err(|e| damaged(&e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| damaged(&e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own], key)
        .map_err(|e| damaged(&e))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
