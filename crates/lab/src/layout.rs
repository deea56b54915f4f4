//! Names, paths and addresses of a lab: everything that can be computed from its name and a host's number.

use std::path::{Path, PathBuf};

use crate::error::LabError;

/// Most hosts in a lab.
pub const HOSTS_MAX: usize = 5;

/// Default directory that keeps the labs' state (disk images, logs).
pub const STATE_DEFAULT: &str = "/var/tmp/quorate-lab";

/// A network of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The first heartbeat link.
    Link1,
    /// The second heartbeat link.
    Link2,
    /// The network of the virtual address, the clients and the BMCs.
    Service,
}

impl Link {
    /// All of them, in the order of a host's interfaces.
    pub const ALL: [Self; 3] = [Self::Link1, Self::Link2, Self::Service];

    /// The name: also of the interface inside a host, and of the bridge.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Link1 => "link1",
            Self::Link2 => "link2",
            Self::Service => "service",
        }
    }

    /// The first three numbers of the network's addresses.
    #[must_use]
    pub fn network(self) -> &'static str {
        match self {
            Self::Service => "10.78.0",
            Self::Link1 => "10.78.1",
            Self::Link2 => "10.78.2",
        }
    }

    /// The link of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.name() == name)
    }
}

/// The lab's own address on the service network (clients run there).
pub const LAB_ADDRESS: &str = "10.78.0.254";

/// The virtual address that the demo's configuration uses.
pub const VIRTUAL_ADDRESS: &str = "10.78.0.100";

/// User of every BMC.
pub const BMC_USER: &str = "root";

/// Password of every BMC.
pub const BMC_PASSWORD: &str = "labpass";

/// Where things of one lab are.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Directory of all labs.
    pub state: PathBuf,
    /// The lab's name.
    pub name: String,
}

impl Layout {
    /// The places of the lab `name` under `state`.
    pub fn new(state: impl Into<PathBuf>, name: &str) -> Result<Self, LabError> {
        check_name(name)?;
        Ok(Self {
            state: state.into(),
            name: name.to_owned(),
        })
    }

    /// The lab's own directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.state.join(&self.name)
    }

    /// A host's directory.
    #[must_use]
    pub fn host_dir(&self, host: &str) -> PathBuf {
        self.dir().join(host)
    }

    /// The image of the shared disk.
    #[must_use]
    pub fn shared_image(&self) -> PathBuf {
        self.dir().join("shared.img")
    }

    /// The program that powers hosts.
    #[must_use]
    pub fn power_program(&self) -> PathBuf {
        self.dir().join("host-power")
    }

    /// Name of the lab's network namespace.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("quorate-{}", self.name)
    }

    /// File that names the network namespace.
    #[must_use]
    pub fn namespace_file(&self) -> PathBuf {
        Path::new("/run/netns").join(self.namespace())
    }

    /// The lab's cgroup in the v2 hierarchy: everything that the lab runs is below it.
    pub fn cgroup(&self) -> Result<PathBuf, LabError> {
        let base = Path::new("/sys/fs/cgroup");
        for hierarchy in [base.to_path_buf(), base.join("unified")] {
            if hierarchy.join("cgroup.controllers").exists() {
                return Ok(hierarchy.join("quorate-lab").join(&self.name));
            }
        }
        Err(LabError::NoCgroup2)
    }

    /// The lab's cgroup in systemd's own v1 hierarchy, where the machine has one.
    #[must_use]
    pub fn cgroup_v1(&self) -> Option<PathBuf> {
        let hierarchy = Path::new("/sys/fs/cgroup/systemd");
        hierarchy
            .join("cgroup.procs")
            .exists()
            .then(|| hierarchy.join("quorate-lab").join(&self.name))
    }
}

/// The port of host number `index` (from 1) in the lab's namespace: the end of its cable that can be pulled.
#[must_use]
pub fn port(index: usize, link: Link) -> String {
    format!("h{index}-{}", link.name())
}

/// A host's address on a link.
#[must_use]
pub fn address(index: usize, link: Link) -> String {
    format!("{}.{index}", link.network())
}

/// A host's BMC.
#[must_use]
pub fn bmc_address(index: usize) -> String {
    format!("{}.{}", Link::Service.network(), 200 + index)
}

/// Names become file, cgroup, namespace and host names.
pub fn check_name(name: &str) -> Result<(), LabError> {
    let good = (1..=24).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if good {
        return Ok(());
    }
    Err(LabError::BadName {
        name: name.to_owned(),
    })
}
