//! A member's side of a rotation.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::message::{Answer, BYTES_MAX, Round};
use crate::files::{self, Paths};
use crate::link::Hub;
use crate::link::tls::{Identity, TlsConfigs};
use crate::local::frame;
use crate::pki::authority::{self, Authority};
use crate::pki::certificate::Facts;

const LIMIT: Duration = Duration::from_secs(10);

/// Serves one connection of a member that rotates.
pub async fn serve(
    mut stream: TlsStream<TcpStream>,
    from: Facts,
    paths: Paths,
    name: String,
    hub: Arc<Hub>,
) {
    let Ok(Ok(Some(bytes))) =
        tokio::time::timeout(LIMIT, frame::read(&mut stream, BYTES_MAX)).await
    else {
        return;
    };
    let answer = match minicbor::decode::<Round>(&bytes) {
        Ok(round) => match take(&paths, &name, &round) {
            Ok(request) => {
                let reloaded =
                    Identity::load(&paths).and_then(|identity| TlsConfigs::new(&identity));
                match reloaded {
                    Ok(configs) => {
                        hub.tls().replace(configs);
                        tracing::info!(
                            "Rotation of the authority by {}: {}.",
                            from.name,
                            told(&round)
                        );
                        Answer::Done { request }
                    }
                    Err(e) => Answer::Refused {
                        reason: e.to_string(),
                    },
                }
            }
            Err(reason) => {
                tracing::warn!(
                    "Rotation of the authority by {} was refused: {reason}.",
                    from.name
                );
                Answer::Refused { reason }
            }
        },
        Err(_) => Answer::Refused {
            reason: "it is not understood: install the same version everywhere".to_owned(),
        },
    };
    let bytes = minicbor::to_vec(&answer).expect("writing to memory cannot fail");
    let _ = frame::write(&mut stream, &bytes).await;
    let _ = stream.shutdown().await;
}

fn told(round: &Round) -> &'static str {
    match round {
        Round::Trust { .. } => "the new authority is trusted beside the old one",
        Round::Switch { .. } => "this node shows a certificate of the new authority",
        Round::Retire { .. } => "the old authority is trusted no more",
    }
}

/// Carries a round out, durably; the same round again changes nothing.
pub fn take(paths: &Paths, name: &str, round: &Round) -> Result<Vec<u8>, String> {
    let told = |e: &dyn std::fmt::Display| e.to_string();
    let identity = Identity::load(paths).map_err(|e| told(&e))?;
    let trusted = authority::split(&identity.authority_pem);
    match round {
        Round::Trust { authority: new } => {
            authority::fingerprint(new).map_err(|e| told(&e))?;
            if trusted.len() > 4 {
                return Err(
                    "too many authorities are trusted already: finish the rotation that was begun"
                        .to_owned(),
                );
            }
            // Behind the present one: the first is who signs.
            let all: Vec<&str> = trusted
                .iter()
                .map(String::as_str)
                .chain([new.as_str()])
                .collect();
            write_trusted(paths, &all)?;
            authority::request_for(&identity.key_pem, name).map_err(|e| told(&e))
        }
        Round::Switch {
            authority: new,
            authority_key,
            certificate,
        } => {
            let facts = Facts::of_pem(certificate).map_err(|e| told(&e))?;
            let own = identity.facts().map_err(|e| told(&e))?;
            if facts.name != name || facts.key != own.key {
                return Err("the certificate is another node's".to_owned());
            }
            let fingerprint = authority::fingerprint(new).map_err(|e| told(&e))?;
            let is_trusted =
                |pem: &String| authority::fingerprint(pem).is_ok_and(|f| f == fingerprint);
            if !trusted.iter().any(is_trusted) {
                return Err("that authority is not trusted here yet".to_owned());
            }
            if let Some(key) = authority_key {
                Authority::load(new, key).map_err(|e| told(&e))?;
            }
            // Trust is there already; the certificate, then who signs: a crash between leaves what peers accept.
            files::write(&paths.certificate(), certificate.as_bytes(), 0o644)
                .map_err(|e| told(&e))?;
            let all: Vec<&str> = [new.as_str()]
                .into_iter()
                .chain(trusted.iter().map(String::as_str))
                .collect();
            if let Some(key) = authority_key {
                files::write(&paths.ca_key(), key.as_bytes(), 0o600).map_err(|e| told(&e))?;
            }
            write_trusted(paths, &all)?;
            Ok(Vec::new())
        }
        Round::Retire { authority: new } => {
            if !identity.is_signed_by(new) {
                return Err(
                    "this node's certificate is not of that authority: it would lock itself out"
                        .to_owned(),
                );
            }
            write_trusted(paths, &[new])?;
            Ok(Vec::new())
        }
    }
}

/// Writes the list of trusted authorities, each once.
fn write_trusted(paths: &Paths, all: &[&str]) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut text = String::new();
    for pem in all {
        let fingerprint = authority::fingerprint(pem).map_err(|e| e.to_string())?;
        if seen.insert(fingerprint) {
            text.push_str(pem.trim_end());
            text.push('\n');
        }
    }
    files::write(&paths.ca_certificate(), text.as_bytes(), 0o644).map_err(|e| e.to_string())
}
