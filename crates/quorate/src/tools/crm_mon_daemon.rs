//! `crm_mon -d`: what `ocf:pacemaker:ClusterMon` starts. A process in the background that keeps a file with the status
//! up to date and runs a script for every operation and fencing (`-E`, `--watch-fencing`).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use quorate_core::admin::{LocalView, Request};
use quorate_core::state::{ClusterState, FenceOutcome};

use crate::client::Client;
use crate::context::Context;
use crate::view::crm_mon::{Shape, draw};
use crate::view::{crm_mon_xml, decode, picture::Picture};

/// Marks the process in the background: it is this program, called again.
const IN_BACKGROUND: &str = "QUORATE_CRM_MON_BACKGROUND";
/// While no daemon answers.
const RETRY: Duration = Duration::from_secs(1);
/// A script that hangs must not hold up the next event for ever.
const SCRIPT_MAX: Duration = Duration::from_secs(60);

/// What a daemon is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Where its process number goes.
    pub pid_file: PathBuf,
    /// Between two writings of the status when nothing happens.
    pub interval: Duration,
    /// Script for each event.
    pub script: Option<String>,
    /// `CRM_notify_recipient`.
    pub recipient: Option<String>,
    /// Fencing are events, too.
    pub watches_fencing: bool,
    /// Where the status goes.
    pub output: Option<(Format, PathBuf)>,
    /// How to draw it.
    pub shape: Shape,
}

/// Form of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As at the terminal.
    Text,
    /// A page that loads itself again.
    Html,
    /// Pacemaker's XML.
    Xml,
}

/// One event as the script gets it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    node: String,
    resource: String,
    task: String,
    description: String,
    rc: i32,
    target_rc: i32,
    status: i32,
}

impl Event {
    /// The variables of a script.
    fn environment(&self, recipient: Option<&str>) -> Vec<(&'static str, String)> {
        vec![
            ("CRM_notify_recipient", recipient.unwrap_or("").to_owned()),
            ("CRM_notify_node", self.node.clone()),
            ("CRM_notify_rsc", self.resource.clone()),
            ("CRM_notify_task", self.task.clone()),
            ("CRM_notify_desc", self.description.clone()),
            ("CRM_notify_rc", self.rc.to_string()),
            ("CRM_notify_target_rc", self.target_rc.to_string()),
            ("CRM_notify_status", self.status.to_string()),
        ]
    }
}

/// What has been reported already: each by what tells it from its like.
#[derive(Debug, Default)]
pub struct Seen {
    operations: BTreeSet<(String, String, String, i64)>,
    pending: BTreeSet<String>,
    fencing: BTreeSet<(String, i64)>,
}

impl Seen {
    /// The events that are new, and remembers them. The first look tells of nothing: it is history.
    pub fn news(
        &mut self,
        state: &ClusterState,
        local: &LocalView,
        with_fencing: bool,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut operations = BTreeSet::new();
        for (node, status) in &state.nodes {
            for (resource, record) in &status.resources {
                for (key, operation) in &record.operations {
                    let id = (
                        node.to_string(),
                        resource.clone(),
                        key.clone(),
                        operation.call_id,
                    );
                    if !self.operations.contains(&id) && !key.ends_with("_last_failure_0") {
                        events.push(event_of(node.to_string(), resource, operation));
                    }
                    operations.insert(id);
                }
            }
        }
        self.operations = operations;
        let mut pending = BTreeSet::new();
        for running in local.transition.iter().flat_map(|t| &t.running) {
            if !self.pending.contains(running) {
                events.extend(pending_event(running));
            }
            pending.insert(running.clone());
        }
        self.pending = pending;
        let mut fencing = BTreeSet::new();
        for record in &state.fencing {
            let id = (record.target.to_string(), record.wall_ms);
            if with_fencing && !self.fencing.contains(&id) {
                let is_ok = matches!(record.outcome, FenceOutcome::Confirmed(_));
                events.push(Event {
                    node: record.target.to_string(),
                    resource: String::new(),
                    task: "st_notify_fence".to_owned(),
                    description: format!(
                        "Operation {} requested by {} for peer {}: {}",
                        record.action,
                        record.by,
                        record.target,
                        if is_ok { "OK" } else { "Error" }
                    ),
                    rc: i32::from(!is_ok),
                    target_rc: 0,
                    status: 0,
                });
            }
            fencing.insert(id);
        }
        self.fencing = fencing;
        events
    }
}

fn event_of(node: String, resource: &str, operation: &quorate_core::state::OpRecord) -> Event {
    let target_rc = operation
        .transition_key
        .split(':')
        .nth(2)
        .and_then(|rc| rc.parse().ok())
        .unwrap_or(0);
    let description = match operation.status {
        2 => "Timed Out".to_owned(),
        4 => "Error".to_owned(),
        _ if operation.rc == target_rc => "ok".to_owned(),
        _ => quorate_agents::ocf::meaning(operation.rc)
            .unwrap_or("unknown")
            .to_owned(),
    };
    let task = match (operation.operation.as_str(), operation.interval_ms) {
        ("monitor", 0) => "monitor".to_owned(),
        (task, _) => task.to_owned(),
    };
    Event {
        node,
        resource: resource.to_owned(),
        task,
        description,
        rc: operation.rc,
        target_rc,
        status: operation.status,
    }
}

/// `db_start_0 on n1`, which is under way.
fn pending_event(running: &str) -> Option<Event> {
    let (key, node) = running.rsplit_once(" on ")?;
    let (rest, _interval) = key.rsplit_once('_')?;
    let (mut resource, mut task) = rest.rsplit_once('_')?;
    for told in ["_pre_notify", "_post_notify", "_owed_notify"] {
        if let Some(base) = resource.strip_suffix(told) {
            (resource, task) = (base, "notify");
        }
    }
    Some(Event {
        node: node.to_owned(),
        resource: resource.to_owned(),
        task: task.to_owned(),
        description: "pending".to_owned(),
        rc: 193,
        target_rc: 0,
        status: -1,
    })
}

/// Goes into the background; the caller ends when the other runs.
pub fn start(daemon: &Daemon, arguments: &[String]) -> ExitCode {
    if std::env::var_os(IN_BACKGROUND).is_some() {
        return watch(daemon);
    }
    let name = std::env::args_os()
        .next()
        .unwrap_or_else(|| "crm_mon".into());
    let mut again = Command::new("/proc/self/exe");
    // Called as `quorate tool crm_mon` the name is not enough.
    again.arg0("crm_mon");
    if Path::new(&name).file_name().is_none_or(|n| n != "crm_mon") {
        again.arg0("quorate").args(["tool", "crm_mon"]);
    }
    let started = again
        .args(arguments)
        .env(IN_BACKGROUND, "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let child = match started {
        Ok(child) => child,
        Err(e) => {
            eprintln!("crm_mon: cannot go into the background: {e}");
            return ExitCode::from(1);
        }
    };
    // The agent asks for it as soon as we end.
    if let Err(e) = std::fs::write(&daemon.pid_file, format!("{}\n", child.id())) {
        eprintln!(
            "crm_mon: {} cannot be written: {e}",
            daemon.pid_file.display()
        );
        return ExitCode::from(1);
    }
    ExitCode::SUCCESS
}

/// For ever: the state, the file, the events.
fn watch(daemon: &Daemon) -> ExitCode {
    let context = Context::of_tool();
    let mut seen: Option<Seen> = None;
    loop {
        // Whatever ends the connection: the daemon was restarted, and will be there again.
        let _ = follow(daemon, &context, &mut seen);
        std::thread::sleep(RETRY);
    }
}

fn follow(daemon: &Daemon, context: &Context, seen: &mut Option<Seen>) -> crate::error::Result<()> {
    let mut client = Client::connect(context)?;
    client.timeout(Some(daemon.interval));
    client.send(&Request::Watch)?;
    let mut response = client.receive()?;
    loop {
        let (state, local) = decode(response)?;
        write_output(daemon, &state, &local);
        let is_first = seen.is_none();
        let news =
            seen.get_or_insert_with(Seen::default)
                .news(&state, &local, daemon.watches_fencing);
        if !is_first && let Some(script) = &daemon.script {
            for event in news {
                run_script(script, &event, daemon.recipient.as_deref());
            }
        }
        response = client.receive()?;
    }
}

fn write_output(daemon: &Daemon, state: &ClusterState, local: &LocalView) {
    let Some((format, path)) = &daemon.output else {
        return;
    };
    let picture = Picture::new(state, local);
    let text = match format {
        Format::Text => draw(&picture, daemon.shape),
        Format::Xml => crm_mon_xml::draw(&picture),
        Format::Html => html(&draw(&picture, daemon.shape), daemon.interval),
    };
    // Nobody reads half a page: it gets its name when it is whole.
    let mut new = path.clone().into_os_string();
    new.push(".new");
    let written = std::fs::File::create(&new).and_then(|mut file| file.write_all(text.as_bytes()));
    if written.is_ok() {
        let _ = std::fs::rename(&new, path);
    }
}

fn html(text: &str, interval: Duration) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"{}\">\
         <title>Cluster status</title></head><body><pre>\n{text}</pre></body></html>\n",
        interval.as_secs().max(1)
    )
}

fn run_script(script: &str, event: &Event, recipient: Option<&str>) {
    let child = Command::new(script)
        .envs(event.environment(recipient))
        .env_remove(IN_BACKGROUND)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let Ok(mut child) = child else { return };
    let deadline = Instant::now() + SCRIPT_MAX;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::ids::NodeName;
    use quorate_core::state::{NodeStatus, OpRecord, ResourceRecord};

    #[test]
    fn each_operation_is_told_once() {
        let mut state = ClusterState::default();
        let mut node = NodeStatus::default();
        let mut record = ResourceRecord::default();
        let start = OpRecord {
            key: "db_start_0".into(),
            operation: "start".into(),
            call_id: 4,
            rc: 1,
            transition_key: "3:7:0:uuid".into(),
            ..OpRecord::default()
        };
        record.operations.insert("db_last_0".into(), start.clone());
        record.operations.insert("db_last_failure_0".into(), start);
        node.resources.insert("db".into(), record);
        state.nodes.insert(NodeName("n1".into()), node);
        let mut seen = Seen::default();
        let local = LocalView::default();
        let news = seen.news(&state, &local, true);
        assert_eq!(news.len(), 1, "{news:?}");
        let told = news[0].environment(Some("ops"));
        for (name, value) in [
            ("CRM_notify_recipient", "ops"),
            ("CRM_notify_node", "n1"),
            ("CRM_notify_rsc", "db"),
            ("CRM_notify_task", "start"),
            ("CRM_notify_desc", "unspecified error"),
            ("CRM_notify_rc", "1"),
            ("CRM_notify_target_rc", "0"),
            ("CRM_notify_status", "0"),
        ] {
            assert!(
                told.contains(&(name, value.to_owned())),
                "{name} in {told:?}"
            );
        }
        assert!(seen.news(&state, &local, true).is_empty());
    }

    #[test]
    fn what_is_under_way_is_told_as_pending() {
        let event = pending_event("rabbitmq:1_start_0 on n2").unwrap();
        assert_eq!(
            (event.resource.as_str(), event.task.as_str()),
            ("rabbitmq:1", "start")
        );
        assert_eq!((event.rc, event.status), (193, -1));
    }
}
