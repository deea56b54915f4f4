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
    // A member's store has its name; an attempt that was interrupted has none, or one under another name.
    let store = paths.store();
    if store.exists() {
        return Err(InitError::InUse(store.display().to_string()));
    }
    let unfinished = paths.unfinished_store();
    let config = paths.node_config();
    if config.exists() && !unfinished.exists() {
        return Err(InitError::InUse(config.display().to_string()));
    }
    // The settings first: without the unfinished store beside them they would be taken for a member's.
    files::remove(&config)?;
    files::remove(&unfinished)?;
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

/// Writes everything of a new member. Its store gets its name last: that alone makes this host a member, and what an
/// interruption before it leaves is cleared away by the next attempt (`check_unused`).
pub(super) fn establish(
    paths: &Paths,
    config: &NodeConfig,
    identity: &Identity,
    keys: &Keys,
) -> Result<(), InitError> {
    let step = |step: &Step| step(paths, config, identity, keys);
    STEPS.iter().try_for_each(step).inspect_err(|_| {
        for path in paths.of_member() {
            let _ = std::fs::remove_file(path);
        }
    })
}

/// One file of a new member.
type Step = fn(&Paths, &NodeConfig, &Identity, &Keys) -> Result<(), InitError>;

/// What `establish` does, in this order: an interruption may come between any two.
const STEPS: [Step; 7] = [
    |paths, _, _, keys| {
        files::write(&paths.ca_certificate(), keys.authority.as_bytes(), 0o644)?;
        Ok(())
    },
    |paths, _, _, keys| {
        if let Some(key) = &keys.authority_key {
            files::write(&paths.ca_key(), key.as_bytes(), 0o600)?;
        }
        Ok(())
    },
    |paths, _, _, keys| {
        files::write(&paths.key(), keys.key.as_bytes(), 0o600)?;
        files::write(&paths.certificate(), keys.certificate.as_bytes(), 0o644)?;
        Ok(())
    },
    |paths, _, identity, _| {
        let encoded = minicbor::to_vec(identity).expect("writing to memory cannot fail");
        files::write(&paths.identity(), &encoded, 0o600)?;
        Ok(())
    },
    |paths, config, identity, _| {
        let name = NodeName(config.name.clone());
        storage::initialise(&paths.unfinished_store(), &name, identity)?;
        Ok(())
    },
    |paths, config, _, _| {
        config.save(&paths.node_config())?;
        Ok(())
    },
    |paths, _, _, _| {
        files::rename(&paths.unfinished_store(), &paths.store())?;
        Ok(())
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &std::path::Path) -> Paths {
        Paths {
            config: root.join("etc"),
            state: root.join("var"),
            runtime: root.join("run"),
        }
    }

    fn plan() -> InitPlan {
        InitPlan {
            config: NodeConfig {
                name: "n1".into(),
                cluster: "test".into(),
                links: vec!["127.0.0.1:7999".into()],
                witness: false,
                timing: crate::config::Timing { detection_ms: 700 },
                alert: None,
                watchdog: None,
                watchdog_s: None,
                watchdog_counts: None,
                drain_s: 1,
            },
            configuration: String::new(),
        }
    }

    /// The files of a finished attempt elsewhere are those of this one: what a kill after `steps` leaves.
    fn interrupted_after(steps: usize, paths: &Paths) {
        let plan = plan();
        check_unused(paths).unwrap();
        let authority = Authority::create("test", clock::wall_s()).unwrap();
        let (certificate, key) = authority.issue("n1", clock::wall_s(), NODE_DAYS).unwrap();
        let keys = Keys {
            authority: authority.certificate_pem().to_owned(),
            authority_key: Some(authority.key_pem().to_owned()),
            certificate,
            key,
        };
        let identity = Identity::default();
        for step in &STEPS[..steps] {
            step(paths, &plan.config, &identity, &keys).unwrap();
        }
    }

    #[test]
    fn an_attempt_that_was_killed_at_any_step_can_be_repeated() {
        for steps in 0..STEPS.len() {
            let root = tempfile::tempdir().unwrap();
            let paths = paths(root.path());
            interrupted_after(steps, &paths);
            // And killed a second time, at the same place.
            interrupted_after(steps, &paths);
            let unfinished = storage::open(&paths.store());
            assert!(
                unfinished.is_err(),
                "a daemon would begin after {steps} steps"
            );
            init(&paths, &plan()).unwrap_or_else(|e| panic!("after {steps} steps: {e}"));
            assert!(!paths.unfinished_store().exists());
            let (_, saved) = storage::open(&paths.store()).unwrap();
            drop(saved);
            let again = init(&paths, &plan()).unwrap_err().to_string();
            assert!(again.contains("in a cluster already"), "{again}");
        }
    }

    /// A kill in the middle of making the store leaves a file that no store is.
    #[test]
    fn a_store_that_was_half_written_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        interrupted_after(4, &paths);
        std::fs::write(paths.unfinished_store(), [7; 100]).unwrap();
        init(&paths, &plan()).unwrap();
        storage::open(&paths.store()).unwrap();
    }

    #[test]
    fn a_member_is_never_taken_for_a_broken_attempt() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        interrupted_after(STEPS.len(), &paths);
        assert!(matches!(check_unused(&paths), Err(InitError::InUse(_))));
        // Its settings are lost, or its disk: neither is an attempt that was interrupted.
        std::fs::remove_file(paths.node_config()).unwrap();
        assert!(matches!(check_unused(&paths), Err(InitError::InUse(_))));
        plan().config.save(&paths.node_config()).unwrap();
        std::fs::remove_file(paths.store()).unwrap();
        assert!(matches!(check_unused(&paths), Err(InitError::InUse(_))));
    }
}
