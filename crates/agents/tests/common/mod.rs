//! A bench for agents: a directory of its own with an OCF tree and a journal.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate_agents::{Runner, Surroundings};
use quorate_core::event::{AgentCall, AgentResult};
use quorate_core::ids::RunId;

/// The bench; its directory goes with it.
pub struct Bench {
    directory: PathBuf,
    pub surroundings: Surroundings,
    pub runner: Runner,
    next: AtomicU64,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Bench {
    /// With an OCF tree of its own, empty but for what `agent` adds.
    pub fn new(name: &str) -> Self {
        Self::with(name, |surroundings, directory| {
            surroundings.ocf_root = directory.join("ocf");
        })
    }

    /// With the machine's own agents.
    pub fn real(name: &str) -> Self {
        Self::with(name, |_, _| {})
    }

    pub fn with(name: &str, change: impl FnOnce(&mut Surroundings, &PathBuf)) -> Self {
        let directory =
            std::env::temp_dir().join(format!("quorate-agents-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("ocf/resource.d/test")).expect("bench directory");
        let mut surroundings = Surroundings {
            runs: directory.join("runs"),
            watched: directory.join("watched"),
            supervisor: vec![env!("CARGO_BIN_EXE_quorate-agent-supervise").into()],
            ..Surroundings::default()
        };
        change(&mut surroundings, &directory);
        let runner = Runner::open(surroundings.clone()).expect("a runner");
        Self {
            directory,
            surroundings,
            runner,
            next: AtomicU64::new(1),
        }
    }

    pub fn second_session(&self) -> Runner {
        Runner::open(self.surroundings.clone()).expect("a runner")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn touch(&self, name: &str) {
        fs::write(self.path(name), "").expect("touch");
    }

    /// Adds an agent. A shell script is given metadata, as every agent has.
    pub fn agent(&self, name: &str, script: &str) {
        let metadata =
            "#!/bin/sh\ntest \"$1\" = meta-data && echo '<resource-agent name=\"x\"/>' && exit 0\n";
        let script = script.replacen("#!/bin/sh\n", metadata, 1);
        fs::write(self.path("ocf/resource.d/test").join(name), script).expect("write the agent");
        self.set_mode(name, 0o755);
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        let path = self.path("ocf/resource.d/test").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    pub fn call(&self, agent: &str, action: &str, timeout_ms: u64) -> AgentCall {
        AgentCall {
            resource: "thing".into(),
            instance: "thing".into(),
            class: "ocf".into(),
            provider: Some("test".into()),
            agent: agent.into(),
            action: action.into(),
            parameters: vec![("here".into(), self.directory.to_string_lossy().into_owned())],
            timeout_ms,
            ..AgentCall::default()
        }
    }

    pub async fn run(&self, agent: &str, action: &str, timeout_ms: u64) -> AgentResult {
        self.run_call(self.call(agent, action, timeout_ms)).await
    }

    pub async fn run_call(&self, call: AgentCall) -> AgentResult {
        let run = RunId(self.next.fetch_add(1, Ordering::Relaxed));
        self.runner.run(run, call).await
    }

    /// Another process makes the file: there is nothing to wait on but the file itself.
    pub async fn wait_for_file(&self, name: &str) {
        let path = self.path(name);
        let began = Instant::now();
        while !path.exists() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{name} does not appear"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How many processes have this as an argument.
pub fn processes_with_argument(argument: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|part| part == argument.as_bytes())
        })
        .count()
}
