//! `node.toml`: what is said of this node only. Everything about the cluster is in the replicated log.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, Paths};

/// Port where none is given.
pub const PORT: u16 = 5407;
/// Most links of a node.
pub const LINKS_MAX: usize = 2;

/// This node's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The name in the cluster.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// This node's address on each link, `address:port`.
    pub links: Vec<String>,
    /// Votes, runs no resource unless a constraint names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub witness: bool,
    /// Timers. They must be the same on every node.
    #[serde(default)]
    pub timing: Timing,
    /// Program that is run for every alert, with the event in its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Hardware watchdog to arm (`/dev/watchdog`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
    /// Seconds without feeding after which it shall reset this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog_s: Option<u32>,
    /// Whether others may recover from this node on the strength of its watchdog, without a fence device; where nothing is
    /// said: with a hardware watchdog on real hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog_counts: Option<bool>,
    /// Seconds that a stop of the daemon may take to drain the node.
    #[serde(default = "drain_seconds")]
    pub drain_s: u64,
}

fn drain_seconds() -> u64 {
    120
}

/// The timers of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Milliseconds without an answer on any link after which a node counts as lost.
    pub detection_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { detection_ms: 1000 }
    }
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There are none: the node is in no cluster.
    #[error(
        "{path} does not exist: this host is in no cluster yet; make one with `quorate init`, or enter one with \
         `quorate join TOKEN`"
    )]
    Missing {
        /// Where they were expected.
        path: String,
    },
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text.
    #[error("{path} is not understood: {problem}")]
    Syntax {
        /// Where.
        path: String,
        /// What the parser says.
        problem: String,
    },
    /// A value.
    #[error("{field}: {problem}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What is wrong, and what is accepted.
        problem: String,
    },
}

impl NodeConfig {
    /// Reads and checks.
    pub fn load(paths: &Paths) -> Result<Self, ConfigError> {
        let path = paths.node_config();
        let display = path.display().to_string();
        let text = files::read(&path)?.ok_or(ConfigError::Missing {
            path: display.clone(),
        })?;
        let config: Self = toml::from_str(&text).map_err(|e| ConfigError::Syntax {
            path: display,
            problem: e.to_string(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Writes.
    pub fn save(&self, path: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(self).expect("strings and numbers have a TOML form");
        let text = format!(
            "# This node's own settings. Everything else is in the cluster's configuration (`quorate show`).\n\
             # The timing must be the same on every node; restart the daemon after a change (nothing moves).\n\n{text}"
        );
        files::write(path, text.as_bytes(), 0o644)?;
        Ok(())
    }

    /// Seconds that a drain may take where nothing else is said.
    #[must_use]
    pub fn drain_s_default() -> u64 {
        drain_seconds()
    }

    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_name("name", &self.name)?;
        check_name("cluster", &self.cluster)?;
        if self.links.is_empty() || self.links.len() > LINKS_MAX {
            return Err(ConfigError::Value {
                field: "links",
                problem: format!(
                    "{} addresses are given; a node has one or two",
                    self.links.len()
                ),
            });
        }
        for link in &self.links {
            let address = link.parse::<SocketAddr>().map_err(|_| ConfigError::Value {
                field: "links",
                problem: format!("`{link}` is not ADDRESS:PORT with a numeric address"),
            })?;
            if address.ip().is_unspecified() || address.ip().is_multicast() {
                return Err(ConfigError::Value {
                    field: "links",
                    problem: format!(
                        "`{link}`: peers must be able to reach it, name the host's own address"
                    ),
                });
            }
        }
        if !(100..=60_000).contains(&self.timing.detection_ms) {
            return Err(ConfigError::Value {
                field: "timing.detection_ms",
                problem: format!("{} is outside 100 to 60000", self.timing.detection_ms),
            });
        }
        Ok(())
    }

    /// The addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.links.iter().filter_map(|l| l.parse().ok()).collect()
    }
}

/// Completes an address that an administrator typed: the port where it is missing.
pub fn complete_address(text: &str) -> Result<String, ConfigError> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>().map_err(|_| ConfigError::Value {
        field: "address",
        problem: format!(
            "`{text}` is no address; give the numeric address of this host on that network, as 10.0.0.1 or \
             10.0.0.1:{PORT} (names could resolve differently when they are needed most)"
        ),
    })?;
    Ok(SocketAddr::new(address, PORT).to_string())
}

/// A name that agents, constraints, certificates and file names can all bear.
pub fn check_name(field: &'static str, name: &str) -> Result<(), ConfigError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) || name.starts_with(['-', '.'])
    {
        return Err(ConfigError::Value {
            field,
            problem: format!(
                "`{name}` cannot be used: 1 to 64 letters, digits, `-`, `_`, `.`, beginning with a letter or digit"
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NodeConfig {
        NodeConfig {
            name: "n1".into(),
            cluster: "wiki".into(),
            links: vec!["10.0.0.1:5407".into(), "[fd00::1]:5407".into()],
            witness: false,
            timing: Timing::default(),
            alert: None,
            watchdog: None,
            watchdog_s: None,
            watchdog_counts: None,
            drain_s: 120,
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: dir.path().into(),
            ..Paths::default()
        };
        config().save(&paths.node_config()).unwrap();
        assert_eq!(NodeConfig::load(&paths).unwrap(), config());
    }

    #[test]
    fn a_typing_error_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: dir.path().into(),
            ..Paths::default()
        };
        config().save(&paths.node_config()).unwrap();
        let text = std::fs::read_to_string(paths.node_config())
            .unwrap()
            .replace("links", "lnks");
        std::fs::write(paths.node_config(), text).unwrap();
        let error = NodeConfig::load(&paths).unwrap_err().to_string();
        assert!(error.contains("lnks"), "{error}");
    }

    #[test]
    fn a_host_outside_any_cluster_is_told_how_to_enter_one() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: dir.path().into(),
            ..Paths::default()
        };
        let error = NodeConfig::load(&paths).unwrap_err().to_string();
        assert!(
            error.contains("quorate init") && error.contains("quorate join"),
            "{error}"
        );
    }

    #[test]
    fn addresses_get_the_port() {
        assert_eq!(complete_address("10.0.0.1").unwrap(), "10.0.0.1:5407");
        assert_eq!(complete_address("10.0.0.1:99").unwrap(), "10.0.0.1:99");
        assert_eq!(complete_address("fd00::1").unwrap(), "[fd00::1]:5407");
        assert!(complete_address("server1").is_err());
    }

    #[test]
    fn names_are_checked() {
        for name in ["", "a b", "../x", "-x", "ä", &"x".repeat(65)] {
            assert!(check_name("name", name).is_err(), "{name}");
        }
        assert!(check_name("name", "SERVER1.example_a").is_ok());
    }
}
