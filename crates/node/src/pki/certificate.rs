//! What a certificate says: whose it is, until when.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{BACKDATED_DAYS, CLIENT_UNIT, PkiError};
use crate::remote::role::{Operator, Role};

/// Days before its end from which on a certificate is warned of (and renewed where the authority's key is).
pub const WARN_DAYS: i64 = 60;

/// What links and status want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The node's name (subject).
    pub name: String,
    /// Unix seconds at which it was made.
    pub made_s: i64,
    /// Unix seconds until which it is valid.
    pub not_after_s: i64,
    /// SHA-256 of the whole.
    pub fingerprint: [u8; 32],
    /// SHA-256 of its public key: it stays when the certificate is renewed.
    pub key: [u8; 32],
}

/// Whose certificate it is when it is an operator's; `None`: a node's.
pub fn operator_of(der: &[u8]) -> Result<Option<Operator>, PkiError> {
    let (_, parsed) =
        X509Certificate::from_der(der).map_err(|e| PkiError::damaged("a certificate", e))?;
    let units: Vec<&str> = parsed
        .subject()
        .iter_organizational_unit()
        .filter_map(|unit| unit.as_str().ok())
        .collect();
    let Some(unit) = units.first() else {
        return Ok(None);
    };
    let role = unit
        .strip_prefix(CLIENT_UNIT)
        .and_then(Role::parse)
        .filter(|_| units.len() == 1)
        .ok_or_else(|| PkiError::damaged("a certificate", "it names no role that is known"))?;
    let mut names = parsed.subject().iter_common_name();
    match (
        names
            .next()
            .map(x509_parser::x509::AttributeTypeAndValue::as_str),
        names.next(),
    ) {
        (Some(Ok(name)), None) => Ok(Some(Operator {
            name: name.to_owned(),
            role,
        })),
        _ => Err(PkiError::damaged(
            "a certificate",
            "it does not name one operator",
        )),
    }
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Nothing to do.
    Good {
        /// Whole days left.
        days: i64,
    },
    /// Soon over.
    Ending {
        /// Whole days left.
        days: i64,
    },
    /// Over.
    Expired {
        /// Whole days since.
        days: i64,
    },
}

impl Facts {
    /// Reads them.
    pub fn of_der(der: &[u8]) -> Result<Self, PkiError> {
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|e| PkiError::damaged("a certificate", e))?;
        if parsed.subject().iter_organizational_unit().next().is_some() {
            return Err(PkiError::damaged(
                "a certificate",
                "it is an operator's, not a node's",
            ));
        }
        let mut names = parsed.subject().iter_common_name();
        let name = match (
            names
                .next()
                .map(x509_parser::x509::AttributeTypeAndValue::as_str),
            names.next(),
        ) {
            (Some(Ok(name)), None) => name.to_owned(),
            _ => {
                return Err(PkiError::damaged(
                    "a certificate",
                    "it does not name one node",
                ));
            }
        };
        Ok(Self {
            name,
            made_s: parsed.validity().not_before.timestamp() + BACKDATED_DAYS * 86_400,
            not_after_s: parsed.validity().not_after.timestamp(),
            fingerprint: super::sha256(der),
            key: super::sha256(parsed.public_key().raw),
        })
    }

    /// Reads them from a PEM text.
    pub fn of_pem(pem: &str) -> Result<Self, PkiError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| PkiError::damaged("a certificate", e))?;
        Self::of_der(&der)
    }

    /// How it stands at a time.
    #[must_use]
    pub fn validity(&self, now_s: i64) -> Validity {
        let days = (self.not_after_s - now_s).div_euclid(86_400);
        match days {
            d if d < 0 => Validity::Expired { days: -d - 1 },
            d if d < WARN_DAYS => Validity::Ending { days: d },
            d => Validity::Good { days: d },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::authority::{Authority, NODE_DAYS};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_certificate_names_its_node_and_its_end() {
        let authority = Authority::create("c", NOW).unwrap();
        let (certificate, _) = authority.issue("SERVER1", NOW, NODE_DAYS).unwrap();
        let facts = Facts::of_pem(&certificate).unwrap();
        assert_eq!(facts.name, "SERVER1");
        assert_eq!(facts.validity(NOW), Validity::Good { days: NODE_DAYS });
        assert_eq!(
            facts.validity(NOW + 700 * 86_400),
            Validity::Ending { days: 30 }
        );
        assert_eq!(
            facts.validity(NOW + 731 * 86_400),
            Validity::Expired { days: 0 }
        );
    }

    #[test]
    fn an_authority_read_back_signs_requests_under_the_agreed_name() {
        let made = Authority::create("c", NOW).unwrap();
        let authority = Authority::load(made.certificate_pem(), made.key_pem()).unwrap();
        let (_key, request) = super::super::authority::request("liar").unwrap();
        let certificate = authority.sign(&request, "n2", NOW).unwrap();
        assert_eq!(Facts::of_pem(&certificate).unwrap().name, "n2");
        assert!(authority.sign(b"garbage", "n2", NOW).is_err());
    }
}
