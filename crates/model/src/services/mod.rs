//! Lint of the files of the services that a cluster runs: databases, load balancers, brokers.
//!
//! The configuration alone looks right while `my.cnf` says that the cluster has other members. These checks
//! read the files as text, beside the configuration; finding and opening them is the caller's.

mod haproxy;
mod lines;
mod memcached;
mod my_cnf;
mod rabbitmq;
#[cfg(test)]
mod tests;
mod transfer;

use crate::cib::{CloneChild, Configuration, Resource};
use crate::diag::Diagnostic;
use crate::times;

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An option file of MariaDB or MySQL.
    MyCnf,
    /// A configuration of HAProxy.
    Haproxy,
    /// A script or policy file with `rabbitmqctl` commands, `rabbitmq.conf` or `rabbitmq-env.conf`.
    Rabbitmq,
    /// The error log of a database server, or its tail.
    DatabaseLog,
    /// Memcached's own file.
    Memcached,
    /// A file of a service that uses caches and brokers (`nova.conf`, `keystone.conf` ...).
    OpenStack,
}

/// Services whose files name caches and brokers.
const OPENSTACK: [&str; 9] = [
    "keystone",
    "nova",
    "glance",
    "neutron",
    "cinder",
    "heat",
    "placement",
    "openstack",
    "horizon",
];

impl Kind {
    /// Guesses from a path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if path.contains("rabbitmq") {
            Some(Self::Rabbitmq)
        } else if name.contains("memcached") {
            Some(Self::Memcached)
        } else if OPENSTACK.iter().any(|service| path.contains(service)) {
            Some(Self::OpenStack)
        } else if name.contains("haproxy") {
            Some(Self::Haproxy)
        } else if ["my.cnf", "mysql", "mariadb", "galera"]
            .iter()
            .any(|part| path.contains(part))
            && name.ends_with(".cnf")
        {
            Some(Self::MyCnf)
        } else if (path.contains("mysql") || path.contains("mariadb"))
            && [".log", ".err"].iter().any(|end| name.ends_with(end))
        {
            Some(Self::DatabaseLog)
        } else {
            None
        }
    }
}

/// A file to check.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// What the user calls it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// What it is for.
    pub kind: Kind,
}

/// What is known beyond the file itself.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Node names of the cluster, lower case; empty when unknown.
    pub nodes: Vec<String>,
    /// `max_connections` of the database, where a file said it.
    pub max_connections: Option<u64>,
    /// Shortest time that the cluster gives a Galera server to join, milliseconds.
    pub promote_timeout_ms: Option<u64>,
}

impl Surroundings {
    /// Collects from the configuration and from the files themselves.
    #[must_use]
    pub fn gather(configuration: &Configuration, files: &[File<'_>]) -> Self {
        Self {
            nodes: configuration
                .nodes
                .iter()
                .map(|node| node.uname.to_lowercase())
                .collect(),
            max_connections: files
                .iter()
                .filter(|file| file.kind == Kind::MyCnf)
                .filter_map(|file| my_cnf::max_connections(file.text))
                .next_back(),
            promote_timeout_ms: promote_timeout_ms(configuration),
        }
    }
}

/// The shortest promotion timeout of a Galera resource, where one is written down.
fn promote_timeout_ms(configuration: &Configuration) -> Option<u64> {
    let primitives = configuration
        .resources
        .iter()
        .filter_map(|resource| match resource {
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => Some(primitive),
                CloneChild::Group(_) => None,
            },
            _ => None,
        });
    primitives
        .filter(|primitive| primitive.agent.as_deref() == Some("galera"))
        .flat_map(|primitive| &primitive.operations.list)
        .filter(|operation| operation.name == "promote")
        .flat_map(|operation| &operation.extra)
        .filter(|(name, _)| name == "timeout")
        .filter_map(|(_, value)| times::milliseconds(value))
        .min()
}

/// Checks one file.
#[must_use]
pub fn check(file: File<'_>, surroundings: &Surroundings) -> Vec<Diagnostic> {
    if file.text.len() > FILE_BYTES_MAX {
        return vec![Diagnostic::new(
            crate::diag::Code::TooLarge,
            format!(
                "{} has {} bytes; at most {FILE_BYTES_MAX} are read",
                file.name,
                file.text.len()
            ),
        )];
    }
    let mut found = match file.kind {
        Kind::MyCnf => my_cnf::check(file.text, surroundings),
        Kind::Haproxy => haproxy::check(file.text, surroundings),
        Kind::Rabbitmq => rabbitmq::check(file.text),
        Kind::DatabaseLog => transfer::check(file.text, surroundings),
        Kind::Memcached => memcached::check_daemon(file.text),
        Kind::OpenStack => memcached::check_client(file.text),
    };
    found.sort_by_key(|d| d.span.map_or(usize::MAX, |span| span.start));
    found
}
