//! A host's own disk: an ext4 image with the upper layer of its root, over the machine's own root.
//!
//! The host sees the machine's programs, and nothing of what the machine keeps or starts by itself: homes,
//! temporary files, databases and enabled units are hidden, and what it writes goes to its image.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{IoContext, LabError};
use crate::layout::{Layout, Link, address, bmc_address, port};
use crate::run::{command, run};

/// What goes onto a host's disk.
pub(crate) struct Contents<'a> {
    /// All hosts' names in order of their numbers.
    pub hosts: &'a [String],
    /// This host's number, from 1.
    pub index: usize,
    /// Files to install: where in the host, from where.
    pub install: &'a [(PathBuf, PathBuf)],
}

/// Directories whose content belongs to the machine, not to a host.
const HIDDEN: [&str; 21] = [
    "etc/systemd/system",
    "etc/rc0.d",
    "etc/rc1.d",
    "etc/rc2.d",
    "etc/rc3.d",
    "etc/rc4.d",
    "etc/rc5.d",
    "etc/rc6.d",
    "etc/rcS.d",
    "etc/corosync",
    "etc/pacemaker",
    "etc/quorate",
    "etc/rabbitmq",
    "var/tmp",
    "var/log",
    "var/lib/mysql",
    "var/lib/pacemaker",
    "var/lib/corosync",
    "var/lib/rabbitmq",
    "var/lib/quorate",
    "var/spool",
];

/// Directories that a service's own user must find, empty: what its package makes when it is installed.
const OWNED: [(&str, &str); 5] = [
    ("var/lib/mysql", "mysql"),
    ("var/log/mysql", "mysql"),
    ("var/lib/rabbitmq", "rabbitmq"),
    ("var/log/rabbitmq", "rabbitmq"),
    ("etc/rabbitmq", "rabbitmq"),
];

/// Directories of the root whose content is the machine's programs.
const SHOWN: [&str; 10] = [
    "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "var", "boot",
];

/// Units that have no use in a host and cost time at boot.
const MASKED: [&str; 12] = [
    "getty.target",
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-pstore.service",
    "e2scrub_reap.service",
    "systemd-firstboot.service",
];

/// What the package brings beside the program.
const UNIT: &str = include_str!("../../../packaging/systemd/quorate.service");
const CLUSTERCHECK: &str =
    include_str!("../../../packaging/systemd/galera-python-clustercheck.service");
const SESSIONS: &str = include_str!("../../../packaging/systemd/session-.scope.d/quorate.conf");
const CLUSTERCHECK_FILE: &str = "etc/systemd/system/galera-python-clustercheck.service";
const SESSIONS_FILE: &str = "etc/systemd/system/session-.scope.d/quorate.conf";

/// Makes the image of one host's disk.
pub(crate) fn make(layout: &Layout, contents: &Contents<'_>) -> Result<(), LabError> {
    let host = &contents.hosts[contents.index - 1];
    let dir = layout.host_dir(host);
    let staging = dir.join("staging");
    let upper = staging.join("upper");
    fs::create_dir_all(staging.join("work")).io("cannot create", &staging)?;
    hide(&upper)?;
    identity(&upper, contents)?;
    units(&upper)?;
    for (inside, from) in contents.install {
        let to = upper.join(inside.strip_prefix("/").unwrap_or(inside));
        make_parent(&to)?;
        fs::copy(from, &to).io("cannot copy", from)?;
        if inside.ends_with("quorate") {
            write(&upper, "etc/systemd/system/quorate.service", UNIT)?;
            write(&upper, SESSIONS_FILE, SESSIONS)?;
            write(&upper, CLUSTERCHECK_FILE, CLUSTERCHECK)?;
        }
    }
    let image = dir.join("disk.img");
    make_image(&image, 4096, Some(&staging))?;
    fs::remove_dir_all(&staging).io("cannot remove", &staging)
}

/// Makes an ext4 image of `mib` MiB, with the given content.
pub(crate) fn make_image(image: &Path, mib: u64, content: Option<&Path>) -> Result<(), LabError> {
    let file = fs::File::create(image).io("cannot create", image)?;
    file.set_len(mib * 1024 * 1024).io("cannot size", image)?;
    let mut mkfs = command(["mkfs.ext4", "-q", "-F", "-m", "0"]);
    mkfs.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    if let Some(content) = content {
        mkfs.arg("-d").arg(content);
    }
    mkfs.arg(image);
    run(&mut mkfs).map(drop)
}

fn hide(upper: &Path) -> Result<(), LabError> {
    let mut hidden: Vec<String> = HIDDEN.iter().map(ToString::to_string).collect();
    for entry in fs::read_dir("/").io("cannot list", "/")? {
        let entry = entry.io("cannot list", "/")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let real = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if real && !SHOWN.contains(&name.as_str()) && name != "lost+found" {
            hidden.push(name);
        }
    }
    for name in hidden {
        let dir = upper.join(&name);
        fs::create_dir_all(&dir).io("cannot create", &dir)?;
        opaque(&dir)?;
    }
    for sticky in ["tmp", "var/tmp"] {
        let dir = upper.join(sticky);
        fs::create_dir_all(&dir).io("cannot create", &dir)?;
        set_mode(&dir, 0o1777)?;
    }
    for dir in ["var/log/journal", "root"] {
        let dir = upper.join(dir);
        fs::create_dir_all(&dir).io("cannot create", &dir)?;
    }
    for (dir, owner) in OWNED {
        let path = upper.join(dir);
        fs::create_dir_all(&path).io("cannot create", &path)?;
        if let Some((uid, gid)) = user(owner) {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).io("cannot chown", &path)?;
        }
    }
    Ok(())
}

/// Lets an upper directory hide the lower one instead of merging with it.
fn opaque(dir: &Path) -> Result<(), LabError> {
    let file = fs::File::open(dir).io("cannot open", dir)?;
    rustix::fs::fsetxattr(
        &file,
        "trusted.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    )
    .map_err(std::io::Error::from)
    .io("cannot mark as opaque", dir)
}

fn identity(upper: &Path, contents: &Contents<'_>) -> Result<(), LabError> {
    let host = &contents.hosts[contents.index - 1];
    write(upper, "etc/hostname", &format!("{host}\n"))?;
    // Neither empty nor "uninitialized": the first boot must not enable every installed service.
    write(
        upper,
        "etc/machine-id",
        &format!("{}\n", machine_id(contents.index)),
    )?;
    write(upper, "etc/resolv.conf", "")?;
    write(upper, "etc/fstab", "")?;
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for (n, name) in contents.hosts.iter().enumerate() {
        let index = n + 1;
        hosts += &format!("{} {name}\n", address(index, Link::Service));
        hosts += &format!("{} {name}-link1\n", address(index, Link::Link1));
        hosts += &format!("{} {name}-link2\n", address(index, Link::Link2));
        hosts += &format!("{} {name}-bmc\n", bmc_address(index));
    }
    write(upper, "etc/hosts", &hosts)
}

fn units(upper: &Path) -> Result<(), LabError> {
    let units = upper.join("etc/systemd/system");
    for unit in MASKED {
        link("/dev/null", &units.join(unit))?;
    }
    link(
        "/lib/systemd/system/multi-user.target",
        &units.join("default.target"),
    )?;
    // A cluster host that is told to go down goes down: no service may hold it for a minute and a half.
    write(
        upper,
        "etc/systemd/system.conf.d/lab.conf",
        "[Manager]\nShowStatus=no\nDefaultTimeoutStopSec=20s\n",
    )
}

/// The commands that give a host its interfaces, for `ip -batch` in the host's namespace: cables whose other
/// ends are ports of the lab's bridges.
pub(crate) fn cables(layout: &Layout, index: usize) -> String {
    let namespace = layout.namespace();
    let mut text = String::from("link set lo up\n");
    for link in Link::ALL {
        let (name, port, address) = (link.name(), port(index, link), address(index, link));
        // A machine keeps its hardware address, and its peers remember it, over a power cut.
        let mac = format!("02:71:75:00:{:02x}:{index:02x}", link as u8);
        text += &format!(
            "link add {name} address {mac} type veth peer name {port} netns {namespace}\n"
        );
        text += &format!("address add {address}/24 broadcast + dev {name}\n");
        text += &format!("link set {name} up\n");
    }
    text
}

/// The commands that plug the cables into the bridges, for `ip -batch` in the lab's namespace.
pub(crate) fn plugs(index: usize) -> String {
    let plug = |link: Link| format!("link set {} master {} up\n", port(index, link), link.name());
    Link::ALL.into_iter().map(plug).collect()
}

/// A host's fixed machine id.
pub(crate) fn machine_id(index: usize) -> String {
    format!("{:032x}", 0x7175_6f72_6174_6500_u64 + index as u64)
}

fn write(upper: &Path, name: &str, text: &str) -> Result<(), LabError> {
    let path = upper.join(name);
    make_parent(&path)?;
    fs::write(&path, text).io("cannot write", &path)
}

fn link(to: &str, at: &Path) -> Result<(), LabError> {
    make_parent(at)?;
    symlink(to, at).io("cannot link", at)
}

fn make_parent(path: &Path) -> Result<(), LabError> {
    let parent = path
        .parent()
        .expect("a file on a host's disk has a directory");
    fs::create_dir_all(parent).io("cannot create", parent)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), LabError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).io("cannot set the mode of", path)
}

/// User and group number of a name in the machine's /etc/passwd.
fn user(name: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
