//! Installs the Debian packages that the lab and the agents need, without starting their daemons.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Packages for the lab, and the agents with what they manage.
pub const PACKAGES: [&str; 23] = [
    "cluster-glue",
    "dbus",
    "e2fsprogs",
    "fence-agents",
    "iproute2",
    "iptables",
    "iputils-ping",
    "ipmitool",
    "kmod",
    "libfaketime",
    "mariadb-client",
    "mariadb-server",
    "memcached",
    "openipmi",
    "pacemaker-resource-agents",
    "procps",
    "python3-dogpile.cache",
    "python3-pika",
    "python3-pymemcache",
    "rabbitmq-server",
    "resource-agents",
    "systemd",
    "systemd-container",
];

/// Packages for Galera and the load balancer before it.
pub const GALERA_PACKAGES: [&str; 7] = [
    "galera-4",
    "galera-arbitrator-4",
    "haproxy",
    "libxml2-utils",
    "mariadb-backup",
    "rsync",
    "socat",
];

/// Packages for the comparison with the peer.
pub const PEER_PACKAGES: [&str; 3] = ["pacemaker", "corosync", "crmsh"];

/// What the packages' daemons are told when they want to start while being installed.
const POLICY: &str = "#!/bin/sh\n# While a task of this project installs packages: no daemon starts by itself.\nexit 101\n";

const POLICY_FILE: &str = "/usr/sbin/policy-rc.d";

/// Hosts on this machine can be made by root only; everything that is missing is told at once.
pub fn ensure_root() -> Result<(), String> {
    if is_root() {
        return Ok(());
    }
    let missing = missing(&PACKAGES);
    let packages = match missing.as_slice() {
        [] => "the Debian packages that it needs are installed".to_owned(),
        missing => format!(
            "these Debian packages are missing: {} (`apt-get install {}` as root; none of their daemons is needed)",
            missing.join(", "),
            missing.join(" ")
        ),
    };
    Err(format!(
        "hosts on this machine can be made by root only; {packages}; then run it as root"
    ))
}

fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().copied().filter(|p| !installed(p)).collect()
}

/// Makes sure that the packages are there. The error says what is missing and how to get it.
pub fn ensure(packages: &[&str]) -> Result<(), String> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install {}", missing.join(" "));
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "this is no Debian; what these packages contain is needed: {}",
            missing.join(" ")
        ));
    }
    if !is_root() {
        return Err(format!(
            "packages are missing; as root: `{command}` (none of their daemons is needed, disable them)"
        ));
    }
    println!("installing {}", missing.join(" "));
    let guard = Policy::set()?;
    let result = apt(&["update", "-q"]).and_then(|()| {
        let mut words = vec!["install", "-q", "-y", "--no-install-recommends"];
        words.extend(&missing);
        apt(&words)
    });
    drop(guard);
    result.map_err(|error| format!("`{command}` failed: {error}"))
}

/// Whether this process may install packages and make labs.
pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}

fn installed(package: &str) -> bool {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| output.stdout == b"install ok installed")
}

fn apt(words: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get")
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {} ended with {status}", words[0])),
        Err(error) => Err(format!("apt-get cannot be run: {error}")),
    }
}

/// The policy file, as long as this lives.
struct Policy {
    ours: bool,
}

impl Policy {
    fn set() -> Result<Self, String> {
        if Path::new(POLICY_FILE).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY_FILE, POLICY)
            .and_then(|()| fs::set_permissions(POLICY_FILE, fs::Permissions::from_mode(0o755)))
            .map_err(|error| format!("cannot write {POLICY_FILE}: {error}"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY_FILE)
        {
            eprintln!(
                "{POLICY_FILE} could not be removed ({error}): remove it, or no daemon starts"
            );
        }
    }
}
