//! TLS for links and for joining: TLS 1.3 only, both sides show a certificate of the cluster's own authority.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig};

use crate::files::{self, FileError, Paths};
use crate::pki::authority::{PkiError, SERVER_NAME};
use crate::pki::certificate::Facts;

/// Application protocol of links.
pub const LINK_PROTOCOL: &[u8] = b"quorate/1";
/// Application protocol of joining.
pub const JOIN_PROTOCOL: &[u8] = b"quorate-join/1";

/// Application protocol of operators on other machines.
pub const CLIENT_PROTOCOL: &[u8] = b"quorate-client/1";
/// Application protocol of a rotation of the authority.
pub const AUTHORITY_PROTOCOL: &[u8] = b"quorate-authority/1";

/// Why the certificates of this node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One is not there.
    #[error(
        "{0} is missing: this node cannot show who it is; restore it from a backup of the state directory, or wipe the \
         directory and join again with a new token (`quorate remove` it on another node first)"
    )]
    Missing(String),
    /// Reading.
    #[error(transparent)]
    File(#[from] FileError),
    /// Parsing.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// They do not fit together.
    #[error("the certificates in the state directory do not fit together: {0}")]
    Unfit(String),
    /// Another node's.
    #[error(
        "the certificate in the state directory is that of `{found}`, but node.toml names this node `{wanted}`"
    )]
    OtherName {
        /// In the certificate.
        found: String,
        /// In the settings.
        wanted: String,
    },
}

/// What a node shows and trusts.
#[derive(Clone)]
pub struct Identity {
    /// The authority's certificate.
    pub authority_pem: String,
    /// This node's certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// From the state directory.
    pub fn load(paths: &Paths) -> Result<Self, TlsError> {
        let need = |path: std::path::PathBuf| {
            files::read(&path)?.ok_or_else(|| TlsError::Missing(path.display().to_string()))
        };
        Ok(Self {
            authority_pem: need(paths.ca_certificate())?,
            certificate_pem: need(paths.certificate())?,
            key_pem: need(paths.key())?,
        })
    }

    /// Whether the own certificate is of that authority.
    #[must_use]
    pub fn is_signed_by(&self, authority_pem: &str) -> bool {
        let check = || {
            let authority = authority_of(authority_pem).ok()?;
            let own = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).ok()?;
            let (_, authority) = x509_parser::parse_x509_certificate(&authority).ok()?;
            let (_, own) = x509_parser::parse_x509_certificate(&own).ok()?;
            own.verify_signature(Some(authority.public_key())).ok()
        };
        check().is_some()
    }

    /// What the own certificate says.
    pub fn facts(&self) -> Result<Facts, PkiError> {
        Facts::of_pem(&self.certificate_pem)
    }
}

/// The configurations of one identity.
#[derive(Debug)]
pub struct TlsConfigs {
    /// Dialing a peer.
    pub dial: Arc<ClientConfig>,
    /// Accepting a peer.
    pub accept: Arc<ServerConfig>,
    /// Accepting a node that has no certificate yet.
    pub join: Arc<ServerConfig>,
    /// Accepting an operator.
    pub client: Arc<ServerConfig>,
    /// Accepting a member that rotates the authority.
    pub authority: Arc<ServerConfig>,
    /// What the own certificate says.
    pub own: Facts,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn authority_of(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| PkiError::damaged("the authority's certificate (ca.pem)", e).into())
}

fn key_of(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| PkiError::damaged("this node's key (node.key)", e).into())
}

impl TlsConfigs {
    /// Builds them.
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        let own = identity.facts()?;
        let authority = authority_of(&identity.authority_pem)?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())
            .map_err(|e| PkiError::damaged("this node's certificate (node.pem)", e))?;
        let chain = vec![certificate, authority.clone()];
        let mut roots = RootCertStore::empty();
        // More than one while the authority is being rotated; the first signs.
        for trusted in CertificateDer::pem_slice_iter(identity.authority_pem.as_bytes()) {
            let trusted = trusted
                .map_err(|e| PkiError::damaged("the authority's certificate (ca.pem)", e))?;
            roots
                .add(trusted)
                .map_err(|e| TlsError::Unfit(e.to_string()))?;
        }
        let roots = Arc::new(roots);
        let unfit = |e: rustls::Error| TlsError::Unfit(e.to_string());

        let mut dial = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unfit)?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key_of(&identity.key_pem)?)
            .map_err(unfit)?;
        dial.alpn_protocols = vec![LINK_PROTOCOL.to_vec()];
        // Every connection proves itself anew, so that an expired certificate cannot come in by resumption.
        dial.resumption = Resumption::disabled();

        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| TlsError::Unfit(e.to_string()))?;
        let server = || {
            ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(unfit)
        };
        let mutual = |protocol: &[u8]| -> Result<ServerConfig, TlsError> {
            let mut config = server()?
                .with_client_cert_verifier(verifier.clone())
                .with_single_cert(chain.clone(), key_of(&identity.key_pem)?)
                .map_err(unfit)?;
            config.alpn_protocols = vec![protocol.to_vec()];
            config.send_tls13_tickets = 0;
            Ok(config)
        };
        let accept = mutual(LINK_PROTOCOL)?;
        let client = mutual(CLIENT_PROTOCOL)?;
        let rotation = mutual(AUTHORITY_PROTOCOL)?;
        let mut join = server()?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key_of(&identity.key_pem)?)
            .map_err(unfit)?;
        join.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
        join.send_tls13_tickets = 0;
        Ok(Self {
            dial: Arc::new(dial),
            accept: Arc::new(accept),
            join: Arc::new(join),
            client: Arc::new(client),
            authority: Arc::new(rotation),
            own,
        })
    }
}

/// The configurations in use; a renewed certificate replaces them for new connections.
#[derive(Debug)]
pub struct TlsHolder(RwLock<Arc<TlsConfigs>>);

impl TlsHolder {
    /// With the first ones.
    #[must_use]
    pub fn new(configs: TlsConfigs) -> Self {
        Self(RwLock::new(Arc::new(configs)))
    }

    /// Those to use now.
    #[must_use]
    pub fn get(&self) -> Arc<TlsConfigs> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Others from now on.
    pub fn replace(&self, configs: TlsConfigs) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configs);
    }
}

/// The name to verify a server's certificate against.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).expect("it is a DNS name")
}

/// A failed handshake in an operator's words.
#[must_use]
pub fn explain(error: &std::io::Error) -> String {
    let Some(tls) = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>())
    else {
        return error.to_string();
    };
    match tls {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired (or this host's clock is wrong): start its daemon where the authority's \
                 key is, or remove it and let it join again"
                    .to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: this host's clock is days behind; set it".to_owned()
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate was made by another cluster's authority".to_owned()
            }
            other => format!("its certificate is refused: {other}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                "it says that this node's certificate has expired (or its clock is wrong): `quorate certificate` shows \
                 until when ours is valid"
                    .to_owned()
            }
            AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                "it says that this node's certificate was made by another cluster's authority".to_owned()
            }
            AlertDescription::CertificateRequired => "it asks for a certificate".to_owned(),
            AlertDescription::NoApplicationProtocol => {
                "it speaks another version of the link protocol, or is no Quorate".to_owned()
            }
            other => format!("it refused the handshake: {other:?}"),
        },
        rustls::Error::NoCertificatesPresented => "it showed no certificate".to_owned(),
        rustls::Error::InvalidMessage(_) => "what it sent is not TLS".to_owned(),
        other => other.to_string(),
    }
}
