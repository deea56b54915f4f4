//! One host of a lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::bmc::{Bmc, BmcMode};
use crate::cgroup::{self, Frozen};
use crate::error::{IoContext, LabError};
use crate::layout::{BMC_PASSWORD, BMC_USER, Layout, Link, address, bmc_address, port};
use crate::run::{command, output, run};

/// How long a host may take to boot.
const BOOT_SECONDS_MAX: u64 = 60;

/// A host of a lab: a machine as far as its software can tell.
#[derive(Debug, Clone)]
pub struct Host {
    layout: Layout,
    name: String,
    index: usize,
}

impl Host {
    pub(crate) fn new(layout: &Layout, name: &str, index: usize) -> Self {
        Self {
            layout: layout.clone(),
            name: name.to_owned(),
            index,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, from 1.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its address on a link.
    #[must_use]
    pub fn address(&self, link: Link) -> String {
        address(self.index, link)
    }

    /// The address of its BMC.
    #[must_use]
    pub fn bmc_address(&self) -> String {
        bmc_address(self.index)
    }

    /// An `ipmitool` command line for its BMC, without the verb.
    #[must_use]
    pub fn ipmitool(&self) -> Vec<String> {
        let address = self.bmc_address();
        [
            "ipmitool",
            "-I",
            "lanplus",
            "-C",
            "3",
            "-H",
            &address,
            "-U",
            BMC_USER,
            "-P",
            BMC_PASSWORD,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Its directory in the lab's state.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.layout.host_dir(&self.name)
    }

    /// Its console log.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.dir().join("console.log")
    }

    fn cgroup(&self) -> Result<PathBuf, LabError> {
        Ok(self.layout.cgroup()?.join(&self.name))
    }

    /// Whether it has power.
    pub fn powered(&self) -> Result<bool, LabError> {
        Ok(cgroup::populated(&self.cgroup()?))
    }

    /// Process number (on the machine) of its init.
    #[must_use]
    pub fn init(&self) -> Option<u32> {
        let text = fs::read_to_string(self.dir().join("init.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        Path::new("/proc").join(text.trim()).exists().then_some(pid)
    }

    /// Boots it; returns as soon as it has power (see [`Host::wait_ready`]).
    pub fn power_on(&self) -> Result<(), LabError> {
        self.power(&["power", "1"])
    }

    /// Cuts its power: nothing is sent, flushed or ended in order. Its disk keeps what was durable.
    pub fn power_off(&self) -> Result<(), LabError> {
        self.power(&["power", "0"])
    }

    /// Cuts its power and boots it again.
    pub fn power_reset(&self) -> Result<(), LabError> {
        self.power(&["reset", "1"])
    }

    fn power(&self, what: &[&str]) -> Result<(), LabError> {
        // The lab's own hand at the switch: a BMC that lies has no part in it.
        run(Command::new(self.layout.power_program())
            .args([self.name.as_str(), "set"])
            .args(what)
            .env("QUORATE_LAB_SWITCH", "switch"))
        .map(drop)
    }

    /// Waits until its boot is complete.
    pub fn wait_ready(&self) -> Result<(), LabError> {
        let deadline = Instant::now() + Duration::from_secs(BOOT_SECONDS_MAX);
        let mut state = String::from("nothing");
        while Instant::now() < deadline {
            if self.init().is_some()
                && let Ok(output) = self.output(["systemctl", "is-system-running"])
            {
                state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                if state == "running" || state == "degraded" {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(LabError::BootTimeout {
            host: self.name.clone(),
            seconds: BOOT_SECONDS_MAX,
            state,
            console: self.console(),
        })
    }

    /// Waits until a host that has power can run commands: it may be booting just now.
    pub fn wait_init(&self) -> Result<(), LabError> {
        let deadline = Instant::now() + Duration::from_secs(BOOT_SECONDS_MAX);
        while self.init().is_none() {
            if !self.powered()? || Instant::now() > deadline {
                return Err(LabError::PoweredOff {
                    host: self.name.clone(),
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A command that runs inside the host, in its namespaces and its cgroup.
    pub fn command<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Command, LabError> {
        let init = self.init().ok_or_else(|| LabError::PoweredOff {
            host: self.name.clone(),
        })?;
        let cgroup = self.cgroup()?;
        let mut command = command(["sh", "-c"]);
        command
            .arg(
                "mkdir -p \"$1/exec\" && echo $$ >\"$1/exec/cgroup.procs\" || exit 125\n\
                 [ -z \"$2\" ] || echo $$ >\"$2/cgroup.procs\"\n\
                 init=$3; shift 3\n\
                 exec nsenter --target \"$init\" --all -- env -i HOME=/root LANG=C.UTF-8 TERM=\"${TERM:-dumb}\" \
                 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \"$@\"",
            )
            .arg("exec")
            .arg(&cgroup)
            .arg(
                self.layout
                    .cgroup_v1()
                    .map(|dir| dir.join(&self.name))
                    .unwrap_or_default(),
            )
            .arg(init.to_string());
        command.args(words);
        Ok(command)
    }

    /// Runs a command inside the host to its end, whatever its exit code.
    pub fn output<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Output, LabError> {
        output(&mut self.command(words)?)
    }

    /// Runs a command inside the host; returns what it printed, or fails with what it complained about.
    pub fn run<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Result<String, LabError> {
        let words: Vec<std::ffi::OsString> = words
            .into_iter()
            .map(|word| word.as_ref().to_owned())
            .collect();
        let output = self.output(&words)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Err(LabError::OnHost {
            host: self.name.clone(),
            command: words.join(" ").chars().take(160).collect(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(said).trim().to_owned(),
        })
    }

    /// Runs a shell script inside the host.
    pub fn shell(&self, script: &str) -> Result<String, LabError> {
        self.run(["sh", "-c", script])
    }

    /// Writes a file inside the host, as root, readable by all.
    pub fn write(&self, path: &str, text: &str) -> Result<(), LabError> {
        let init = self.init().ok_or_else(|| LabError::PoweredOff {
            host: self.name.clone(),
        })?;
        let path = format!("/proc/{init}/root{path}");
        fs::write(Path::new(&path), text).io("cannot write", path)
    }

    /// Whether it has that IPv4 address now.
    #[must_use]
    pub fn has_address(&self, address: &str) -> bool {
        let Some(init) = self.init() else {
            return false;
        };
        // Local addresses are the leaves marked "host LOCAL"; the leaf's own line comes before.
        let leaf = format!("|-- {address}");
        fs::read_to_string(format!("/proc/{init}/net/fib_trie")).is_ok_and(|text| {
            let mut lines = text.lines();
            lines.any(|line| line.trim_end().ends_with(&leaf))
        })
    }

    /// Stops every process in the host between two instructions; its kernel still answers.
    pub fn freeze(&self) -> Result<(), LabError> {
        if !self.powered()? {
            return Err(LabError::PoweredOff {
                host: self.name.clone(),
            });
        }
        cgroup::freeze(&self.cgroup()?, Frozen::Yes)
    }

    /// Lets a frozen host go on.
    pub fn thaw(&self) -> Result<(), LabError> {
        cgroup::freeze(&self.cgroup()?, Frozen::No)
    }

    /// Whether it stands still.
    pub fn frozen(&self) -> Result<bool, LabError> {
        Ok(cgroup::frozen(&self.cgroup()?) == Frozen::Yes)
    }

    /// Pulls its cable of one link. It stays pulled when the host boots again.
    pub fn cut(&self, link: Link) -> Result<(), LabError> {
        let mark = self.pulled_mark(link);
        fs::write(&mark, "").io("cannot write", mark)?;
        self.cable(link, "down")
    }

    /// Plugs the cable in again.
    pub fn plug(&self, link: Link) -> Result<(), LabError> {
        let _ = fs::remove_file(self.pulled_mark(link));
        self.cable(link, "up")
    }

    fn pulled_mark(&self, link: Link) -> PathBuf {
        self.dir()
            .join(format!("pulled.{}", port(self.index, link)))
    }

    fn cable(&self, link: Link, state: &str) -> Result<(), LabError> {
        if !self.powered()? {
            return Ok(());
        }
        let namespace = self.layout.namespace();
        let port = port(self.index, link);
        let set = run(&mut command([
            "ip", "-n", &namespace, "link", "set", &port, state,
        ]));
        match set {
            // A host that is being switched on makes its cables itself, by the marks.
            Err(_) if !self.has_cable(link) => Ok(()),
            other => other.map(drop),
        }
    }

    fn has_cable(&self, link: Link) -> bool {
        let namespace = self.layout.namespace();
        let port = port(self.index, link);
        run(&mut command([
            "ip", "-n", &namespace, "-br", "link", "show", &port,
        ]))
        .is_ok()
    }

    /// Whether the cable of one link is plugged in (false without power, too).
    #[must_use]
    pub fn plugged(&self, link: Link) -> bool {
        let namespace = self.layout.namespace();
        let port = port(self.index, link);
        run(&mut command([
            "ip", "-n", &namespace, "-br", "link", "show", &port,
        ]))
        .is_ok_and(|text| text.contains(",UP") || text.contains("<UP"))
    }

    /// Whether it has the shared disk mounted now.
    #[must_use]
    pub fn has_shared_mounted(&self) -> bool {
        let Some(init) = self.init() else {
            return false;
        };
        fs::read_to_string(format!("/proc/{init}/mountinfo")).is_ok_and(|mounts| {
            mounts
                .lines()
                .any(|line| line.contains(" - ext4 /dev/shared "))
        })
    }

    /// What its power supply was told and did, with Unix seconds; the lab's own evidence, older first.
    #[must_use]
    pub fn power_log(&self) -> Vec<(f64, String)> {
        let text = fs::read_to_string(self.dir().join("power.log")).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let (time, what) = line.split_once(' ')?;
                Some((time.parse().ok()?, what.to_owned()))
            })
            .collect()
    }

    /// Number and start time of the first process of these names (divided by blanks) inside the host: the same as
    /// long as it is the same one.
    #[must_use]
    pub fn process(&self, names: &str) -> Option<String> {
        let script = "p=$(pidof -s $1) && cut -d')' -f2 /proc/$p/stat | cut -d' ' -f21 && echo $p";
        self.run(["sh", "-c", script, "process", names]).ok()
    }

    /// When the first process of these names inside the host was started, Unix seconds.
    #[must_use]
    pub fn process_started_s(&self, names: &str) -> Option<f64> {
        /// The kernel's unit of times in /proc, a second's part.
        const TICKS: f64 = 100.0;
        let script = "p=$(pidof -s $1) && echo $(cut -d')' -f2 /proc/$p/stat | cut -d' ' -f21) \
                      $(cut -d' ' -f1 /proc/uptime) $(date +%s.%N)";
        let text = self.run(["sh", "-c", script, "process", names]).ok()?;
        let mut words = text.split_whitespace().map(str::parse::<f64>);
        let (started, uptime, now) = (
            words.next()?.ok()?,
            words.next()?.ok()?,
            words.next()?.ok()?,
        );
        Some(now - (uptime - started / TICKS))
    }

    /// How its BMC behaves.
    #[must_use]
    pub fn bmc_mode(&self) -> BmcMode {
        self.bmc().mode()
    }

    /// Changes how its BMC behaves.
    pub fn set_bmc_mode(&self, mode: BmcMode) -> Result<(), LabError> {
        self.bmc().set_mode(mode)
    }

    pub(crate) fn bmc(&self) -> Bmc<'_> {
        Bmc {
            layout: &self.layout,
            host: &self.name,
            index: self.index,
        }
    }
}
