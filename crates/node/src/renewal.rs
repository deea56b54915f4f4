//! Certificates come to an end; this notices early, renews where the authority's key is, warns where it is not.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;
use crate::files::{self, Paths};
use crate::link::Hub;
use crate::link::tls::{Identity, TlsConfigs, TlsError};
use crate::pki::authority::Authority;
use crate::pki::certificate::Validity;

/// How often certificates are looked at.
pub const PERIOD: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

/// What status says of the certificate: (what, way out).
#[derive(Debug, Clone, Default)]
pub struct CertificateNotice(Arc<Mutex<Option<(String, String)>>>);

impl CertificateNotice {
    /// What there is to say now.
    #[must_use]
    pub fn get(&self) -> Option<(String, String)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, notice: Option<(String, String)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = notice;
    }
}

/// Loads this node's identity, renewing its certificate where that is due and possible.
pub fn load(paths: &Paths, name: &str, notice: &CertificateNotice) -> Result<Identity, TlsError> {
    let mut identity = Identity::load(paths)?;
    let facts = identity.facts()?;
    if facts.name != name {
        return Err(TlsError::OtherName {
            found: facts.name,
            wanted: name.to_owned(),
        });
    }
    let sentence = match facts.validity(clock::wall_s()) {
        Validity::Good { .. } => {
            notice.set(None);
            return Ok(identity);
        }
        Validity::Ending { days } => format!("the certificate of this node ends in {days} days"),
        Validity::Expired { days } => {
            format!("the certificate of this node expired {days} days ago")
        }
    };
    match renew(paths, &identity, name) {
        Ok(Some(certificate)) => {
            tracing::info!("The certificate of this node was renewed ({sentence}).");
            identity.certificate_pem = certificate;
            notice.set(None);
        }
        Ok(None) => {
            let way_out = format!(
                "remove the node and let it join again: `quorate remove {name}` and `quorate token create` on a \
                 server, `quorate leave --wipe` and `quorate join` here"
            );
            tracing::warn!("{sentence}; {way_out}.");
            notice.set(Some((sentence, way_out)));
        }
        Err(e) => {
            tracing::error!("{sentence}, and it cannot be renewed: {e}.");
            notice.set(Some((
                sentence,
                format!(
                    "make {} writable and restart the daemon: {e}",
                    paths.state.display()
                ),
            )));
        }
    }
    Ok(identity)
}

fn renew(paths: &Paths, identity: &Identity, name: &str) -> Result<Option<String>, TlsError> {
    let Some(key) = files::read(&paths.ca_key())? else {
        return Ok(None);
    };
    let authority = Authority::load(&identity.authority_pem, &key)?;
    let certificate = authority.renew(&identity.key_pem, name, clock::wall_s())?;
    files::write(&paths.certificate(), certificate.as_bytes(), 0o644)?;
    Ok(Some(certificate))
}

/// Looks again and again, for ever.
pub async fn watch(paths: Paths, name: String, notice: CertificateNotice, hub: Arc<Hub>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let configs = load(&paths, &name, &notice).and_then(|identity| TlsConfigs::new(&identity));
        match configs {
            Ok(configs) => hub.tls().replace(configs),
            Err(e) => tracing::error!("The certificates of this node cannot be read: {e}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::certificate::Facts;

    fn node(days: i64, has_key: bool) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            state: dir.path().into(),
            ..Paths::default()
        };
        let authority = Authority::create("c", clock::wall_s()).unwrap();
        let (certificate, key) = authority.issue("n1", clock::wall_s(), days).unwrap();
        std::fs::write(paths.ca_certificate(), authority.certificate_pem()).unwrap();
        std::fs::write(paths.certificate(), certificate).unwrap();
        std::fs::write(paths.key(), key).unwrap();
        if has_key {
            std::fs::write(paths.ca_key(), authority.key_pem()).unwrap();
        }
        (dir, paths)
    }

    fn validity_on_disk(paths: &Paths) -> Validity {
        let pem = std::fs::read_to_string(paths.certificate()).unwrap();
        Facts::of_pem(&pem).unwrap().validity(clock::wall_s())
    }

    #[test]
    fn a_server_renews_in_time_and_a_witness_warns_in_time() {
        let notice = CertificateNotice::default();
        let (_dir, server) = node(30, true);
        let identity = load(&server, "n1", &notice).unwrap();
        assert!(matches!(validity_on_disk(&server), Validity::Good { .. }));
        TlsConfigs::new(&identity).unwrap();
        assert_eq!(notice.get(), None);

        let (_dir, witness) = node(30, false);
        load(&witness, "n1", &notice).unwrap();
        assert!(matches!(
            validity_on_disk(&witness),
            Validity::Ending { .. }
        ));
        let (what, way_out) = notice.get().unwrap();
        assert!(
            what.contains("ends in") && way_out.contains("quorate join"),
            "{what} {way_out}"
        );
    }

    #[test]
    fn anothers_a_damaged_and_a_missing_certificate_are_refused() {
        let notice = CertificateNotice::default();
        let (_dir, paths) = node(400, true);
        let error = load(&paths, "n2", &notice).unwrap_err().to_string();
        assert!(error.contains("`n1`") && error.contains("`n2`"), "{error}");
        std::fs::write(paths.certificate(), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        let error = load(&paths, "n1", &notice).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        std::fs::remove_file(paths.certificate()).unwrap();
        let error = load(&paths, "n1", &notice).unwrap_err().to_string();
        assert!(
            error.contains("missing") && error.contains("join again"),
            "{error}"
        );
    }
}
