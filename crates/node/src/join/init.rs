//! `quorate init`: a cluster of one node, which others then join.

use quorate_core::ids::{Lineage, NodeName, RaftId};
use quorate_core::start::{Founder, Genesis, Identity};

use crate::clock;
use crate::config::{ConfigError, NodeConfig};
use crate::files::{self, FileError, Paths};
use crate::pki::authority::{Authority, NODE_DAYS, PkiError};
use crate::pki::certificate::Facts;
use crate::pki::random;
use crate::storage::{self, StorageError};

/// What `init` is told.
#[derive(Debug, Clone)]
pub struct InitPlan {
    /// This node's settings, the cluster's name among them.
    pub config: NodeConfig,
    /// The first configuration, crm text; may be empty.
    pub configuration: String,
}

/// `init` did not work; nothing is left half-made that a second try would stumble upon.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It is in a cluster.
    #[error(
        "this host is in a cluster already ({0} exists); to begin anew, stop the daemon and run `quorate leave --wipe`"
    )]
    InUse(String),
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Refuses a host that is in a cluster; clears away what a broken attempt left.
pub fn check_unused(paths: &Paths) -> Result<(), InitError> {
    let config = paths.node_config();
    if config.exists() {
        return Err(InitError::InUse(config.display().to_string()));
    }
    // The settings are written last: without them the rest is a broken attempt or a wiped node's remains.
    let store = paths.store();
    if store.exists() {
        return Err(InitError::InUse(store.display().to_string()));
    }
    files::make_private_dir(&paths.state)?;
    files::make_dir(&paths.config)?;
    Ok(())
}

/// Makes authority, certificate, store and settings.
pub fn init(paths: &Paths, plan: &InitPlan) -> Result<(), InitError> {
    plan.config.check()?;
    check_unused(paths)?;
    let now_s = clock::wall_s();
    let authority = Authority::create(&plan.config.cluster, now_s)?;
    let (certificate, key) = authority.issue(&plan.config.name, now_s, NODE_DAYS)?;
    let founder = Founder {
        name: NodeName(plan.config.name.clone()),
        raft_id: RaftId(1),
        addresses: plan.config.links.clone(),
        fingerprint: data_encoding::HEXLOWER.encode(&Facts::of_pem(&certificate)?.fingerprint),
        is_witness: plan.config.witness,
    };
    let identity = Identity {
        cluster: plan.config.cluster.clone(),
        lineage: Lineage(u64::from_be_bytes(random())),
        raft_id: RaftId(1),
        genesis: Some(Genesis {
            founders: vec![founder],
            configuration: plan.configuration.clone(),
        }),
        contacts: Vec::new(),
    };
    let keys = Keys {
        authority: authority.certificate_pem().to_owned(),
        authority_key: Some(authority.key_pem().to_owned()),
        certificate,
        key,
    };
    establish(paths, &plan.config, &identity, &keys)
}

/// What a member keeps secret.
pub(super) struct Keys {
    pub(super) authority: String,
    pub(super) authority_key: Option<String>,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Writes everything of a new member; the settings last, since they make it one.
pub(super) fn establish(
    paths: &Paths,
    config: &NodeConfig,
    identity: &Identity,
    keys: &Keys,
) -> Result<(), InitError> {
    let write = || -> Result<(), InitError> {
        files::write(&paths.ca_certificate(), keys.authority.as_bytes(), 0o644)?;
        if let Some(key) = &keys.authority_key {
            files::write(&paths.ca_key(), key.as_bytes(), 0o600)?;
        }
        files::write(&paths.key(), keys.key.as_bytes(), 0o600)?;
        files::write(&paths.certificate(), keys.certificate.as_bytes(), 0o644)?;
        let encoded = minicbor::to_vec(identity).expect("writing to memory cannot fail");
        files::write(&paths.identity(), &encoded, 0o600)?;
        storage::initialise(&paths.store(), &NodeName(config.name.clone()), identity)?;
        config.save(&paths.node_config())?;
        Ok(())
    };
    write().inspect_err(|_| {
        for path in paths.of_member() {
            let _ = std::fs::remove_file(path);
        }
    })
}
