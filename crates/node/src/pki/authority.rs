//! The authority: made once by `init`, its key is on every server of the cluster (decision 0020).

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use time::{Duration, OffsetDateTime};

use crate::remote::role::Role;

/// The name that every certificate of a node carries besides the node's own: links check that a peer belongs to
/// the cluster by the authority, and who it is by the subject.
pub const SERVER_NAME: &str = "quorate";
/// How the unit of an operator's certificate begins; the role follows.
pub(crate) const CLIENT_UNIT: &str = "quorate-client-";
/// Days that a node's certificate is valid.
pub const NODE_DAYS: i64 = 730;
/// Days that the authority is valid.
pub const AUTHORITY_DAYS: i64 = 7300;
/// Certificates are valid from this long before they were made, so that clocks may differ.
pub(crate) const BACKDATED_DAYS: i64 = 2;

/// Something about certificates went wrong.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Making one.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// Reading one.
    #[error("{what} is damaged: {problem}")]
    Damaged {
        /// Which file or message.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl PkiError {
    pub(crate) fn damaged(what: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Damaged {
            what,
            problem: problem.to_string(),
        }
    }
}

/// The authority with its key: it can sign.
pub struct Authority {
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new one for a cluster of that name.
    pub fn create(cluster: &str, now_s: i64) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&format!("Quorate cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, now_s, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key)?;
        let key_pem = key.serialize_pem();
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// From its two files.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        // The first of several signs.
        let first = split(certificate_pem).into_iter().next();
        let certificate_pem = first.as_deref().unwrap_or(certificate_pem);
        let key = KeyPair::from_pem(key_pem)
            .map_err(|e| PkiError::damaged("the authority's key (ca.key)", e))?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)
            .map_err(|e| PkiError::damaged("the authority's certificate (ca.pem)", e))?;
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            issuer,
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its key. Handle with care: who has it can name itself as any node.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Signs what a joining node asked for, under the name that was agreed; whatever else its request says is
    /// ignored.
    pub fn sign(&self, request_der: &[u8], name: &str, now_s: i64) -> Result<String, PkiError> {
        let request = CertificateSigningRequestParams::from_der(
            &CertificateSigningRequestDer::from(request_der.to_vec()),
        )
        .map_err(|e| PkiError::damaged("the certificate request", e))?;
        Ok(node_params(name, now_s, NODE_DAYS)?
            .signed_by(&request.public_key, &self.issuer)?
            .pem())
    }

    /// Makes a key and a certificate in one go, for this node itself. `days` differs from `NODE_DAYS` in tests only.
    pub fn issue(&self, name: &str, now_s: i64, days: i64) -> Result<(String, String), PkiError> {
        let key = KeyPair::generate()?;
        let certificate = node_params(name, now_s, days)?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// A key and a certificate for an operator on another machine: (certificate, key). It cannot serve as a node's.
    pub fn issue_client(
        &self,
        name: &str,
        role: Role,
        now_s: i64,
        days: i64,
    ) -> Result<(String, String), PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name);
        params.distinguished_name.push(
            DnType::OrganizationalUnitName,
            format!("{CLIENT_UNIT}{}", role.as_str()),
        );
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, now_s, days);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// A new certificate for a key that stays.
    pub fn renew(&self, key_pem: &str, name: &str, now_s: i64) -> Result<String, PkiError> {
        let key = KeyPair::from_pem(key_pem)
            .map_err(|e| PkiError::damaged("this node's key (node.key)", e))?;
        Ok(node_params(name, now_s, NODE_DAYS)?
            .signed_by(&key, &self.issuer)?
            .pem())
    }
}

/// A key and a request to sign it, as a joining node makes them: (key PEM, request DER).
pub fn request(name: &str) -> Result<(String, Vec<u8>), PkiError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name);
    let request = params.serialize_request(&key)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

/// A request to sign a key that stays, DER.
pub fn request_for(key_pem: &str, name: &str) -> Result<Vec<u8>, PkiError> {
    let key = KeyPair::from_pem(key_pem)
        .map_err(|e| PkiError::damaged("this node's key (node.key)", e))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name);
    Ok(params.serialize_request(&key)?.der().to_vec())
}

/// The certificates of a text, each by itself: the first is the authority that signs, all are trusted.
#[must_use]
pub fn split(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .filter(|part| part.contains(END))
        .map(|part| format!("{}\n", part.trim()))
        .collect()
}

/// SHA-256 of an authority's certificate: what a token pins.
pub fn fingerprint(certificate_pem: &str) -> Result<[u8; 32], PkiError> {
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(|e| PkiError::damaged("the authority's certificate (ca.pem)", e))?;
    Ok(super::sha256(&der))
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn validity(params: &mut CertificateParams, now_s: i64, days: i64) {
    let now = OffsetDateTime::from_unix_timestamp(now_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - Duration::days(BACKDATED_DAYS);
    params.not_after = now + Duration::days(days);
}

fn node_params(name: &str, now_s: i64, days: i64) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
    params.distinguished_name = subject(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now_s, days);
    Ok(params)
}
