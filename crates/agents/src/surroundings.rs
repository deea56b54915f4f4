//! Where things are on this machine: agents, plugins, our helper tools, the journal.

use std::ffi::OsString;
use std::path::PathBuf;

/// Directories and programs that running agents needs. `default()` is what Debian and its relatives have.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `OCF_ROOT`.
    pub ocf_root: PathBuf,
    /// Init scripts.
    pub init_scripts: PathBuf,
    /// Plugins of cluster-glue (`external/ipmi` is `external/ipmi` below it).
    pub stonith_plugins: PathBuf,
    /// Fence agents.
    pub fence_agents: PathBuf,
    /// Our binary under the names of Pacemaker's tools; first in the agents' `PATH`, and their `HA_SBIN_DIR`.
    pub tools: Option<PathBuf>,
    /// The daemon's socket, for our helper tools (`QUORATE_SOCKET`).
    pub socket: Option<PathBuf>,
    /// The journal of runs: on a tmpfs.
    pub runs: PathBuf,
    /// Program and first arguments of the supervisor; the journal directory of the run is added.
    pub supervisor: Vec<OsString>,
    /// What is watched, for the next session of the daemon: on a tmpfs.
    pub watched: PathBuf,
    /// Drop-ins for units that the cluster manages: on a tmpfs.
    pub unit_drop_ins: PathBuf,
    /// D-Bus address of systemd, where it is not the system bus.
    pub system_bus: Option<String>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            ocf_root: "/usr/lib/ocf".into(),
            init_scripts: "/etc/init.d".into(),
            stonith_plugins: "/usr/lib/stonith/plugins".into(),
            fence_agents: "/usr/sbin".into(),
            tools: None,
            socket: None,
            runs: "/run/quorate/runs".into(),
            // The running binary itself, even after a package upgrade has replaced its file.
            supervisor: vec!["/proc/self/exe".into(), "agent-supervise".into()],
            watched: "/run/quorate/watched".into(),
            unit_drop_ins: "/run/systemd/system".into(),
            system_bus: None,
        }
    }
}

impl Surroundings {
    /// `PATH` of everything that is run for a resource.
    #[must_use]
    pub fn path(&self) -> String {
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        match &self.tools {
            Some(tools) => format!("{}:{system}", tools.display()),
            None => system.to_owned(),
        }
    }

    /// What every program gets: a search path, root's home, and the machine's language and time zone.
    #[must_use]
    pub fn base_environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("PATH".to_owned(), self.path()),
            ("HOME".to_owned(), "/root".to_owned()),
            ("LOGNAME".to_owned(), "root".to_owned()),
            // The library of the agents runs `"$SHELL" -c` with process substitution, which dash does not have.
            ("SHELL".to_owned(), "/bin/bash".to_owned()),
        ];
        for (name, value) in std::env::vars() {
            let is_ours = self.socket.is_none() && name == "QUORATE_SOCKET";
            if is_ours || name == "LANG" || name == "TZ" || name.starts_with("LC_") {
                variables.push((name, value));
            }
        }
        if let Some(socket) = &self.socket {
            let socket = socket.to_string_lossy().into_owned();
            variables.push(("QUORATE_SOCKET".to_owned(), socket));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ocf-shellfuncs` does to ask for the status without validation: in a shell without process substitution
    /// Galera's agent sees no promoted copy anywhere, and none ever joins.
    #[test]
    fn the_shell_of_agents_knows_process_substitution() {
        let environment = Surroundings::default().base_environment();
        let shell = environment.iter().find(|(name, _)| name == "SHELL");
        let output = std::process::Command::new(&shell.unwrap().1)
            .args(["-c", "cat <(echo there)"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"there\n");
    }
}
