//! The server that rotates: it makes the new authority and leads all members through the rounds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::message::{Answer, BYTES_MAX, Round};
use crate::clock;
use crate::files::{self, FileError, Paths};
use crate::link::tls::{self, AUTHORITY_PROTOCOL, Identity, TlsError};
use crate::pki::authority::{self, Authority, PkiError};
use crate::remote;

const LIMIT: Duration = Duration::from_secs(10);

/// A member that takes part.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its name.
    pub name: String,
    /// Its addresses; the first that answers is taken.
    pub addresses: Vec<String>,
    /// It does not get the key.
    pub is_witness: bool,
}

/// The rotation stopped.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The own identity.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This node cannot sign.
    #[error("this node does not have the authority's key")]
    NoKey,
    /// A member.
    #[error("{round}: {name} {problem}; nothing is lost, all nodes still trust each other")]
    Member {
        /// Which round.
        round: &'static str,
        /// Which member.
        name: String,
        /// What it said.
        problem: String,
    },
}

/// Leads everybody to a new authority. `tell` hears of each step.
///
/// # Errors
/// A member does not answer or refuses. The same call goes on where it stopped.
pub fn rotate(
    paths: &Paths,
    cluster: &str,
    members: &[Participant],
    tell: &mut dyn FnMut(&str),
) -> Result<(), RotationError> {
    if !paths.ca_key().exists() {
        return Err(RotationError::NoKey);
    }
    let new = next_authority(paths, cluster)?;
    let pem = new.certificate_pem().to_owned();
    let mut requests = Vec::new();
    for member in members {
        let round = Round::Trust {
            authority: pem.clone(),
        };
        requests.push(
            ask(paths, member, &round, None).map_err(|problem| failed("trust", member, problem))?,
        );
        tell(&format!(
            "{} trusts the new authority beside the old one",
            member.name
        ));
    }
    for (member, request) in members.iter().zip(&requests) {
        let certificate = new.sign(request, &member.name, clock::wall_s())?;
        let round = Round::Switch {
            authority: pem.clone(),
            authority_key: (!member.is_witness).then(|| new.key_pem().to_owned()),
            certificate,
        };
        ask(paths, member, &round, None).map_err(|problem| failed("switch", member, problem))?;
        tell(&format!(
            "{} shows a certificate of the new authority",
            member.name
        ));
    }
    for member in members {
        let round = Round::Retire {
            authority: pem.clone(),
        };
        // Trusting the new one only proves that the member really shows it.
        ask(paths, member, &round, Some(&pem))
            .map_err(|problem| failed("retire", member, problem))?;
        tell(&format!("{} trusts the new authority only", member.name));
    }
    files::remove(&paths.next_ca_certificate())?;
    files::remove(&paths.next_ca_key())?;
    Ok(())
}

fn failed(round: &'static str, member: &Participant, problem: String) -> RotationError {
    RotationError::Member {
        round,
        name: member.name.clone(),
        problem,
    }
}

/// The authority to come: the one of an interrupted rotation, or a new one.
fn next_authority(paths: &Paths, cluster: &str) -> Result<Authority, RotationError> {
    let (certificate, key) = (
        files::read(&paths.next_ca_certificate())?,
        files::read(&paths.next_ca_key())?,
    );
    if let (Some(certificate), Some(key)) = (certificate, key) {
        return Ok(Authority::load(&certificate, &key)?);
    }
    let new = Authority::create(cluster, clock::wall_s())?;
    files::write(&paths.next_ca_key(), new.key_pem().as_bytes(), 0o600)?;
    files::write(
        &paths.next_ca_certificate(),
        new.certificate_pem().as_bytes(),
        0o644,
    )?;
    Ok(new)
}

/// One round with one member.
fn ask(
    paths: &Paths,
    member: &Participant,
    round: &Round,
    only: Option<&str>,
) -> Result<Vec<u8>, String> {
    let mut problems = Vec::new();
    for address in &member.addresses {
        match ask_at(paths, &member.name, address, round, only) {
            Ok(Answer::Done { request }) => return Ok(request),
            Ok(Answer::Refused { reason }) => return Err(format!("refuses: {reason}")),
            Err(problem) => problems.push(format!("{address}: {problem}")),
        }
    }
    Err(format!("does not answer ({})", problems.join("; ")))
}

fn ask_at(
    paths: &Paths,
    name: &str,
    address: &str,
    round: &Round,
    only: Option<&str>,
) -> Result<Answer, String> {
    let identity = Identity::load(paths).map_err(|e| e.to_string())?;
    let trusted = only.unwrap_or(&identity.authority_pem);
    let credentials = format!(
        "{}\n{}\n{trusted}",
        identity.certificate_pem, identity.key_pem
    );
    let config = remote::client::config(&credentials, AUTHORITY_PROTOCOL)?;
    let to: SocketAddr = address.parse().map_err(|_| "no address".to_owned())?;
    let socket = TcpStream::connect_timeout(&to, LIMIT).map_err(|e| e.to_string())?;
    socket
        .set_read_timeout(Some(LIMIT))
        .map_err(|e| e.to_string())?;
    socket
        .set_write_timeout(Some(LIMIT))
        .map_err(|e| e.to_string())?;
    let connection =
        ClientConnection::new(Arc::new(config), tls::server_name()).map_err(|e| e.to_string())?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|e| tls::explain(&e))?;
    }
    // The key of the new authority goes to nobody else.
    let shown = stream.conn.peer_certificates().and_then(<[_]>::first);
    let facts = shown
        .and_then(|der| crate::pki::certificate::Facts::of_der(der).ok())
        .ok_or("it showed no certificate of a node")?;
    if facts.name != name {
        return Err(format!("the node there is `{}`", facts.name));
    }
    let bytes = minicbor::to_vec(round).expect("writing to memory cannot fail");
    let length = u32::try_from(bytes.len()).map_err(|e| e.to_string())?;
    let mut message = length.to_be_bytes().to_vec();
    message.extend_from_slice(&bytes);
    stream.write_all(&message).map_err(|e| tls::explain(&e))?;
    stream.flush().map_err(|e| tls::explain(&e))?;
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .map_err(|e| tls::explain(&e))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > BYTES_MAX {
        return Err("its answer is too long".to_owned());
    }
    let mut bytes = vec![0; length];
    stream
        .read_exact(&mut bytes)
        .map_err(|e| tls::explain(&e))?;
    minicbor::decode(&bytes).map_err(|_| "its answer is not understood".to_owned())
}

/// How many authorities a node trusts now: more than one while a rotation is under way.
pub fn trusted(paths: &Paths) -> Result<usize, RotationError> {
    let text = files::read(&paths.ca_certificate())?.unwrap_or_default();
    Ok(authority::split(&text).len())
}
