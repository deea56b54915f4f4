//! `quorate join TOKEN`, on the newcomer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::init::{InitError, Keys, check_unused, establish};
use super::message::{self, JoinReply, JoinRequest};
use crate::clock;
use crate::config::{NodeConfig, Timing};
use crate::files::Paths;
use crate::link::tls;
use crate::local::frame;
use crate::pki::authority::{self, PkiError};
use crate::pki::token::Token;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The cluster may have to elect a leader meanwhile.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What `join` is told.
#[derive(Debug, Clone)]
pub struct JoinPlan {
    /// From the cluster.
    pub token: Token,
    /// The name it wants.
    pub name: String,
    /// Its address on each link.
    pub addresses: Vec<String>,
    /// It is to vote and to run no resource.
    pub is_witness: bool,
}

/// `join` did not work.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// On this host.
    #[error(transparent)]
    Local(#[from] InitError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Nobody answered.
    #[error("no node of the cluster answers: {0}")]
    Unreachable(String),
    /// The cluster said no.
    #[error("the cluster refuses: {reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
}

/// Enters the cluster. Blocks until it is in or refused.
pub async fn join(paths: &Paths, plan: &JoinPlan) -> Result<NodeConfig, JoinError> {
    let mut config = NodeConfig {
        name: plan.name.clone(),
        cluster: "unknown".into(),
        links: plan.addresses.clone(),
        witness: plan.is_witness,
        timing: Timing::default(),
        alert: None,
        watchdog: None,
        watchdog_s: None,
        watchdog_counts: None,
        drain_s: NodeConfig::drain_s_default(),
    };
    config.check().map_err(InitError::from)?;
    // Whatever this host cannot do is found out before the token is spent.
    check_unused(paths)?;
    let (key, request) = authority::request(&plan.name)?;
    crate::files::write(&paths.key(), key.as_bytes(), 0o600).map_err(InitError::from)?;
    let request = JoinRequest {
        version: message::VERSION,
        secret: plan.token.secret.to_vec(),
        name: plan.name.clone(),
        addresses: plan.addresses.clone(),
        request,
        is_witness: plan.is_witness,
    };
    let mut problems = Vec::new();
    for address in &plan.token.addresses {
        match ask(address, &plan.token, &request).await {
            Ok(JoinReply::Refused { reason, help }) => {
                // The cluster's clock decides; this host's may be wrong, and then it is worth a word.
                let reason = match plan.token.check(clock::wall_s()) {
                    Ok(()) => reason,
                    Err(late) => format!("{reason} (by this host's clock, {late})"),
                };
                return Err(JoinError::Refused { reason, help });
            }
            Ok(JoinReply::Accepted {
                certificate,
                authority,
                authority_key,
                identity,
                detection_ms,
            }) => {
                config.cluster.clone_from(&identity.cluster);
                config.timing = Timing { detection_ms };
                let keys = Keys {
                    authority,
                    authority_key,
                    certificate,
                    key,
                };
                establish(paths, &config, &identity, &keys)?;
                return Ok(config);
            }
            Err(problem) => problems.push(format!("{address}: {problem}")),
        }
    }
    Err(JoinError::Unreachable(problems.join("; ")))
}

async fn ask(address: &str, token: &Token, request: &JoinRequest) -> Result<JoinReply, String> {
    let to: SocketAddr = address.parse().map_err(|_| "no address".to_owned())?;
    let connect = async {
        let stream = TcpStream::connect(to).await.map_err(|e| e.to_string())?;
        TlsConnector::from(pinned(token.authority))
            .connect(tls::server_name(), stream)
            .await
            .map_err(|e| match tls::explain(&e) {
                text if text.contains("another cluster") => {
                    "the node there belongs to another cluster than the token".to_owned()
                }
                text => text,
            })
    };
    let mut stream = tokio::time::timeout(CONNECT_LIMIT, connect)
        .await
        .map_err(|_| format!("no answer in {} s", CONNECT_LIMIT.as_secs()))??;
    let converse = async {
        let bytes = minicbor::to_vec(request).expect("writing to memory cannot fail");
        frame::write(&mut stream, &bytes)
            .await
            .map_err(|e| e.to_string())?;
        let reply = frame::read(&mut stream, message::BYTES_MAX)
            .await
            .map_err(|e| tls::explain(&e))?
            .ok_or_else(|| "it closed the connection without an answer".to_owned())?;
        minicbor::decode(&reply).map_err(|_| "its answer is not understood".to_owned())
    };
    tokio::time::timeout(ANSWER_LIMIT, converse)
        .await
        .map_err(|_| format!("no answer in {} s", ANSWER_LIMIT.as_secs()))?
}

fn pinned(authority: [u8; 32]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            authority,
            provider,
        }))
        .with_no_client_auth();
    config.alpn_protocols = vec![tls::JOIN_PROTOCOL.to_vec()];
    Arc::new(config)
}

/// Trusts the one authority whose fingerprint the token has, and whatever that has signed.
#[derive(Debug)]
struct Pinned {
    authority: [u8; 32],
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .find(|c| crate::pki::sha256(c) == self.authority)
            .ok_or(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
                .build()
                .map_err(|e| rustls::Error::General(e.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
