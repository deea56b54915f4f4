//! A whole lab: made, found again, taken down.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::bmc::BmcMode;
use crate::cgroup;
use crate::disk;
use crate::error::{IoContext, LabError};
use crate::host::Host;
use crate::layout::{BMC_PASSWORD, HOSTS_MAX, Layout, Link, STATE_DEFAULT, check_name, port};
use crate::net;
use crate::run::{check_programs, command, run};

/// The power supply's program; see there.
const POWER_PROGRAM: &str = include_str!("../assets/host-power.sh");

/// What a lab is made of.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Directory of all labs' state.
    pub state: PathBuf,
    /// The lab's name.
    pub name: String,
    /// The hosts' names.
    pub hosts: Vec<String>,
    /// Size of the shared disk.
    pub shared_mib: u64,
    /// Files to put onto every host's disk: path in the host, path on the machine.
    pub install: Vec<(PathBuf, PathBuf)>,
    /// Take the lab down with the process that made it (when its [`Lab`] is dropped, or else when the next
    /// lab is made after the process died).
    pub ephemeral: bool,
}

impl LabOptions {
    /// A lab with the given hosts and defaults for the rest.
    #[must_use]
    pub fn new(name: &str, hosts: &[&str]) -> Self {
        Self {
            state: state_dir(),
            name: name.to_owned(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            shared_mib: 1024,
            install: Vec::new(),
            ephemeral: true,
        }
    }
}

/// Where labs are kept: `QUORATE_LAB_STATE` or the default.
#[must_use]
pub fn state_dir() -> PathBuf {
    std::env::var_os("QUORATE_LAB_STATE").map_or_else(|| STATE_DEFAULT.into(), PathBuf::from)
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    hosts: Vec<Host>,
    ephemeral: bool,
}

/// What `quorate lab status` shows of a host.
#[derive(Debug, Clone, serde::Serialize)]
pub struct HostStatus {
    /// Its name.
    pub host: String,
    /// Whether it has power.
    pub powered: bool,
    /// Whether it stands still.
    pub frozen: bool,
    /// Links whose cable is pulled.
    pub cut: Vec<&'static str>,
    /// Behaviour of its BMC.
    pub bmc: BmcMode,
    /// Address of its BMC.
    pub bmc_address: String,
    /// Address on the service network.
    pub address: String,
    /// Whether it has the shared disk mounted.
    pub shared_mounted: bool,
}

impl Lab {
    /// Makes a lab and boots its hosts. What an earlier lab of that name left behind is removed first.
    pub fn up(options: &LabOptions) -> Result<Self, LabError> {
        check(options)?;
        let layout = Layout::new(&options.state, &options.name)?;
        sweep(&options.state);
        remove(&layout)?;
        let lab = Self {
            hosts: hosts(&layout, &options.hosts),
            layout,
            ephemeral: options.ephemeral,
        };
        // From here on the drop of `lab` cleans up if anything fails; a lasting lab is removed by hand.
        let made = lab.make(options).and_then(|()| lab.boot());
        let made = match lab.ephemeral {
            true => made,
            false => made.and_then(|()| lab.release()),
        };
        if let Err(error) = made {
            if !lab.ephemeral {
                let _ = remove(&lab.layout);
            }
            return Err(error);
        }
        Ok(lab)
    }

    /// Finds a lab that is up.
    pub fn attach(state: &Path, name: &str) -> Result<Self, LabError> {
        let layout = Layout::new(state, name)?;
        let missing = || LabError::NoLab {
            name: name.to_owned(),
            state: state.to_owned(),
            known: match Self::list(state) {
                names if names.is_empty() => "none is there".to_owned(),
                names => format!("there are: {}", names.join(", ")),
            },
        };
        let names = fs::read_to_string(layout.dir().join("hosts")).map_err(|_| missing())?;
        let names: Vec<String> = names.lines().map(str::to_owned).collect();
        Ok(Self {
            hosts: hosts(&layout, &names),
            layout,
            ephemeral: false,
        })
    }

    /// Lets the lab outlast this process: it is taken down by hand.
    pub fn keep(mut self) -> Result<(), LabError> {
        self.ephemeral = false;
        self.release()
    }

    /// Takes a lab down, whatever state it is in; nothing of it is left.
    pub fn down(state: &Path, name: &str) -> Result<(), LabError> {
        remove(&Layout::new(state, name)?)
    }

    /// Names of the labs that exist under `state`.
    #[must_use]
    pub fn list(state: &Path) -> Vec<String> {
        let entries = fs::read_dir(state).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().join("hosts").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.layout.name
    }

    /// File that names the lab's network namespace.
    #[must_use]
    pub fn namespace_file(&self) -> PathBuf {
        self.layout.namespace_file()
    }

    /// The lab's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.layout.dir()
    }

    /// Its hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Result<&Host, LabError> {
        self.hosts
            .iter()
            .find(|host| host.name() == name)
            .ok_or_else(|| LabError::NoHost {
                host: name.to_owned(),
                known: self
                    .hosts
                    .iter()
                    .map(Host::name)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Plugs in every cable, lets frozen hosts go on and makes every BMC honest.
    pub fn heal(&self) -> Result<(), LabError> {
        for host in &self.hosts {
            if host.bmc_mode() != BmcMode::Honest {
                host.set_bmc_mode(BmcMode::Honest)?;
            }
            for link in Link::ALL {
                host.plug(link)?;
            }
            if host.powered()? {
                host.thaw()?;
            }
        }
        Ok(())
    }

    /// Boots every host that has no power and waits until all are ready.
    pub fn boot(&self) -> Result<(), LabError> {
        for host in &self.hosts {
            host.power_on()?;
        }
        self.hosts.iter().try_for_each(Host::wait_ready)
    }

    /// What to show of each host.
    pub fn status(&self) -> Result<Vec<HostStatus>, LabError> {
        self.hosts
            .iter()
            .map(|host| {
                let powered = host.powered()?;
                Ok(HostStatus {
                    host: host.name().to_owned(),
                    powered,
                    frozen: powered && host.frozen()?,
                    cut: Link::ALL
                        .into_iter()
                        .filter(|link| powered && !host.plugged(*link))
                        .map(Link::name)
                        .collect(),
                    bmc: host.bmc_mode(),
                    bmc_address: host.bmc_address(),
                    address: host.address(Link::Service),
                    shared_mounted: host.has_shared_mounted(),
                })
            })
            .collect()
    }

    fn make(&self, options: &LabOptions) -> Result<(), LabError> {
        let layout = &self.layout;
        let dir = layout.dir();
        fs::create_dir_all(&dir).io("cannot create", &dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).io("cannot protect", &dir)?;
        // A lab that is not complete belongs to the process that makes it; a lasting one to nobody afterwards.
        let owned = dir.join("owner");
        fs::write(&owned, owner()).io("cannot write", &owned)?;
        let cgroup = layout.cgroup()?;
        fs::create_dir_all(&cgroup).io("cannot create", &cgroup)?;
        let environment = format!(
            "NETNS={}\nCGROUP={}\nCGROUP_V1={}\n",
            layout.namespace(),
            cgroup.display(),
            layout.cgroup_v1().unwrap_or_default().display(),
        );
        fs::write(dir.join("lab.env"), environment).io("cannot write", dir.join("lab.env"))?;
        let program = layout.power_program();
        fs::write(&program, POWER_PROGRAM).io("cannot write", &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700))
            .io("cannot make executable", &program)?;
        net::make(layout, self.hosts.len())?;
        disk::make_image(&layout.shared_image(), options.shared_mib, None)?;
        for host in &self.hosts {
            self.make_host(host, options)?;
        }
        fs::write(dir.join("hosts"), options.hosts.join("\n"))
            .io("cannot write", dir.join("hosts"))?;
        Ok(())
    }

    /// From now on it outlasts the process that made it.
    fn release(&self) -> Result<(), LabError> {
        let owned = self.layout.dir().join("owner");
        fs::remove_file(&owned).io("cannot remove", owned)
    }

    fn make_host(&self, host: &Host, options: &LabOptions) -> Result<(), LabError> {
        let dir = host.dir();
        fs::create_dir_all(&dir).io("cannot create", &dir)?;
        let index = host.index();
        disk::make(
            &self.layout,
            &disk::Contents {
                hosts: &options.hosts,
                index,
                install: &options.install,
            },
        )?;
        // A name of its own for the shared image tells its loop device from the other hosts'.
        let shared = dir.join("shared.img");
        fs::hard_link(self.layout.shared_image(), &shared).io("cannot link", &shared)?;
        let ports: Vec<String> = Link::ALL.iter().map(|link| port(index, *link)).collect();
        let environment = format!(
            "HOSTNAME={}\nMACHINE_ID={}\nDISK={}\nSHARED={}\nPORTS='{}'\n",
            host.name(),
            disk::machine_id(index),
            dir.join("disk.img").display(),
            shared.display(),
            ports.join(" "),
        );
        fs::write(dir.join("host.env"), environment).io("cannot write", dir.join("host.env"))?;
        for (name, text) in [
            ("cables.host", disk::cables(&self.layout, index)),
            ("cables.lab", disk::plugs(index)),
        ] {
            fs::write(dir.join(name), text).io("cannot write", dir.join(name))?;
        }
        host.bmc().start(BMC_PASSWORD)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.ephemeral
            && let Err(error) = remove(&self.layout)
        {
            eprintln!("the lab {} could not be removed: {error}", self.layout.name);
        }
    }
}

fn hosts(layout: &Layout, names: &[String]) -> Vec<Host> {
    names
        .iter()
        .enumerate()
        .map(|(n, name)| Host::new(layout, name, n + 1))
        .collect()
}

fn check(options: &LabOptions) -> Result<(), LabError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    check_programs()?;
    check_machine()?;
    if options.hosts.is_empty() || options.hosts.len() > HOSTS_MAX {
        return Err(LabError::BadHostCount {
            count: options.hosts.len(),
            max: HOSTS_MAX,
        });
    }
    for (n, name) in options.hosts.iter().enumerate() {
        check_name(name)?;
        if options.hosts[..n].contains(name) {
            return Err(LabError::SameName { name: name.clone() });
        }
    }
    Ok(())
}

/// Containers often have a root that may make neither namespaces nor loop devices.
fn check_machine() -> Result<(), LabError> {
    let refused = |what: &str| LabError::NotPossible {
        what: what.to_owned(),
    };
    if !Path::new("/dev/loop-control").exists() {
        return Err(refused("there are no loop devices"));
    }
    run(&mut command([
        "unshare", "--net", "--mount", "--pid", "--fork", "true",
    ]))
    .map_err(|error| refused(&error.to_string()))?;
    let layout = Layout::new(STATE_DEFAULT, "probe")?;
    let cgroup = layout.cgroup()?;
    fs::create_dir_all(&cgroup)
        .map_err(|error| refused(&format!("no cgroup can be made: {error}")))?;
    cgroup::remove(&cgroup);
    Ok(())
}

/// Removes everything that carries the lab's name, in an order that works from any state it may be in.
fn remove(layout: &Layout) -> Result<(), LabError> {
    let cgroup = layout.cgroup()?;
    cgroup::kill(&cgroup)?;
    cgroup::remove(&cgroup);
    if let Some(cgroup) = layout.cgroup_v1() {
        cgroup::remove(&cgroup);
    }
    for hierarchy in [layout.cgroup().ok(), layout.cgroup_v1()]
        .into_iter()
        .flatten()
    {
        // Only the last lab's removal succeeds.
        let _ = hierarchy.parent().map(fs::remove_dir);
    }
    net::remove(layout)?;
    let dir = layout.dir();
    detach_loops(&dir)?;
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).io("cannot remove", dir)
        }
        _ => {
            let _ = fs::remove_dir(&layout.state);
            Ok(())
        }
    }
}

/// Detaches the loop devices of images below `dir`. They may be busy until the last mount namespace is gone.
fn detach_loops(dir: &Path) -> Result<(), LabError> {
    for _ in 0..500 {
        let mut left = false;
        for entry in fs::read_dir("/sys/block")
            .io("cannot list", "/sys/block")?
            .flatten()
        {
            let backing = fs::read_to_string(entry.path().join("loop/backing_file"));
            if backing.is_ok_and(|file| Path::new(file.trim_end()).starts_with(dir)) {
                left = true;
                let device = Path::new("/dev").join(entry.file_name());
                // It may have gone by itself in the meantime.
                let _ = run(command(["losetup", "-d"]).arg(device));
            }
        }
        if !left {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(LabError::Command {
        command: "losetup -d".to_owned(),
        status: "still busy after 5 s".to_owned(),
        output: dir.display().to_string(),
    })
}

/// This process, told from a later one of the same number by its start time.
fn owner() -> String {
    let pid = std::process::id();
    format!("{pid} {}\n", start_time(pid).unwrap_or_default())
}

fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

/// Removes the labs whose owner was killed before it could.
fn sweep(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("owner")) else {
            continue;
        };
        let mut words = text.split_whitespace();
        let pid = words.next().and_then(|word| word.parse().ok());
        let alive = pid.is_some_and(|pid| start_time(pid).as_deref() == words.next());
        if !alive
            && let Ok(layout) = Layout::new(state, &entry.file_name().to_string_lossy())
            && let Err(error) = remove(&layout)
        {
            eprintln!(
                "the abandoned lab {} could not be removed: {error}",
                layout.name
            );
        }
    }
}
