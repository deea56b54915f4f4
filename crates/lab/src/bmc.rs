//! A host's management controller: `ipmi_sim` with the lab's power program behind it.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;

use crate::error::{IoContext, LabError};
use crate::layout::{BMC_PASSWORD, BMC_USER, Layout, Link, bmc_address};
use crate::run::{command, run};

/// How a BMC behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BmcMode {
    /// Does what it says.
    Honest,
    /// Says success and afterwards claims the power state that was asked for, but leaves the host alone.
    Liar,
    /// Says success but leaves the host alone; the power state that it reports is the true one.
    Stuck,
    /// Answers power commands with an error.
    Broken,
    /// Does not answer at all.
    Unreachable,
    /// Has another password than the configuration.
    WrongPassword,
}

impl BmcMode {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Honest,
        Self::Liar,
        Self::Stuck,
        Self::Broken,
        Self::Unreachable,
        Self::WrongPassword,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Liar => "liar",
            Self::Stuck => "stuck",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
            Self::WrongPassword => "wrong-password",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// One host's BMC.
pub(crate) struct Bmc<'a> {
    pub layout: &'a Layout,
    pub host: &'a str,
    pub index: usize,
}

impl Bmc<'_> {
    fn dir(&self) -> PathBuf {
        self.layout.host_dir(self.host).join("bmc")
    }

    fn cgroup(&self) -> Result<PathBuf, LabError> {
        // "+" cannot be in a host's name.
        Ok(self.layout.cgroup()?.join(format!("bmc+{}", self.host)))
    }

    /// Starts the simulator and waits until its port is taken.
    pub fn start(&self, password: &str) -> Result<(), LabError> {
        let dir = self.dir();
        fs::create_dir_all(dir.join("state")).io("cannot create", &dir)?;
        let address = bmc_address(self.index);
        let power = self.layout.power_program();
        let lan = format!(
            "name \"{host}\"\nset_working_mc 0x20\n  startlan 1\n    addr {address} 623\n    priv_limit admin\n    \
             allowed_auths_callback none md2 md5 straight\n    allowed_auths_user none md2 md5 straight\n    \
             allowed_auths_operator none md2 md5 straight\n    allowed_auths_admin none md2 md5 straight\n    \
             guid 71756f7261746500000000000000{index:04x}\n  endlan\n  chassis_control \"{power} {host}\"\n  \
             user 1 true \"\" \"none\" user 10 none md2 md5 straight\n  \
             user 2 true \"{BMC_USER}\" \"{password}\" admin 10 none md2 md5 straight\n",
            host = self.host,
            index = self.index,
            power = power.display(),
        );
        fs::write(dir.join("lan.conf"), lan).io("cannot write", dir.join("lan.conf"))?;
        fs::write(
            dir.join("emu"),
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
             sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n",
        )
        .io("cannot write", dir.join("emu"))?;
        let cgroup = self.cgroup()?;
        fs::create_dir_all(&cgroup).io("cannot create", &cgroup)?;
        let log = fs::File::create(dir.join("log")).io("cannot create", dir.join("log"))?;
        let again = log.try_clone().io("cannot use", dir.join("log"))?;
        command(["setsid", "--fork", "sh", "-c"])
            .arg("echo $$ >\"$1/cgroup.procs\"; exec nsenter --net=\"$2\" ipmi_sim -n -c \"$3/lan.conf\" -f \"$3/emu\" -s \"$3/state\"")
            .arg("bmc")
            .arg(&cgroup)
            .arg(self.layout.namespace_file())
            .arg(&dir)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(again)
            .status()
            .io("cannot run", "setsid")?;
        self.wait_until_listening(&address)
    }

    /// The simulator has taken its port as soon as nobody else can.
    fn wait_until_listening(&self, address: &str) -> Result<(), LabError> {
        let namespace = self.layout.namespace_file();
        let address = format!("{address}:623");
        for _ in 0..500 {
            let wanted = address.clone();
            let taken = crate::net::inside(&namespace, move || {
                UdpSocket::bind(&wanted)
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
            })?;
            if taken {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Err(LabError::Command {
            command: "ipmi_sim".to_owned(),
            status: "not listening".to_owned(),
            output: fs::read_to_string(self.dir().join("log")).unwrap_or_default(),
        })
    }

    /// Stops the simulator.
    pub fn stop(&self) -> Result<(), LabError> {
        crate::cgroup::kill(&self.cgroup()?)
    }

    /// What it was last told to be.
    pub fn mode(&self) -> BmcMode {
        fs::read_to_string(self.dir().join("mode"))
            .ok()
            .and_then(|text| BmcMode::parse(text.trim()))
            .unwrap_or(BmcMode::Honest)
    }

    /// Changes its behaviour.
    pub fn set_mode(&self, mode: BmcMode) -> Result<(), LabError> {
        let before = self.mode();
        let dir = self.dir();
        let _ = fs::remove_file(dir.join("claimed"));
        fs::write(dir.join("mode"), mode.name()).io("cannot write", dir.join("mode"))?;
        let reachable = |yes: bool| {
            let namespace = self.layout.namespace();
            let verb = if yes { "replace" } else { "del" };
            let address = format!("{}/24", bmc_address(self.index));
            run(command(["ip", "-n", &namespace, "address", verb]).args([
                &address,
                "dev",
                Link::Service.name(),
            ]))
        };
        if (before == BmcMode::Unreachable) != (mode == BmcMode::Unreachable) {
            reachable(mode != BmcMode::Unreachable)?;
        }
        if (before == BmcMode::WrongPassword) != (mode == BmcMode::WrongPassword) {
            self.stop()?;
            let wrong = mode == BmcMode::WrongPassword;
            self.start(if wrong { "changed" } else { BMC_PASSWORD })?;
        }
        Ok(())
    }
}
