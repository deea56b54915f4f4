//! What a certificate says: whose it is, until when.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{BACKDATED_DAYS, PkiError};

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
