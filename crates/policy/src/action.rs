//! Actions while a plan is made: creation, identity, and what an operation's configuration says of them.

use crate::options::NoQuorum;
use crate::world::{ActIx, NodeIx, OnFail, Role, RscIx, World};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Monitor,
    Start,
    Started,
    Stop,
    Stopped,
    Promote,
    Promoted,
    Demote,
    Demoted,
    Notify,
    Notified,
    MigrateTo,
    MigrateFrom,
    Reload,
    Cancel,
    Delete,
    Stonith,
    Shutdown,
    ClearFailcount,
    Maintenance,
    LoadStopped,
    /// A pseudo action known by its key only (`one-or-more:...`).
    Other,
}

impl Task {
    /// As written in keys.
    pub fn text(self) -> &'static str {
        match self {
            Task::Monitor => "monitor",
            Task::Start => "start",
            Task::Started => "running",
            Task::Stop => "stop",
            Task::Stopped => "stopped",
            Task::Promote => "promote",
            Task::Promoted => "promoted",
            Task::Demote => "demote",
            Task::Demoted => "demoted",
            Task::Notify => "notify",
            Task::Notified => "notified",
            Task::MigrateTo => "migrate_to",
            Task::MigrateFrom => "migrate_from",
            Task::Reload => "reload-agent",
            Task::Cancel => "cancel",
            Task::Delete => "lrm_delete",
            Task::Stonith => "stonith",
            Task::Shutdown => "do_shutdown",
            Task::ClearFailcount => "clear_failcount",
            Task::Maintenance => "maintenance_nodes",
            Task::LoadStopped => "load_stopped",
            Task::Other => "",
        }
    }

    pub fn parse(text: &str) -> Task {
        match text {
            "monitor" => Task::Monitor,
            "start" => Task::Start,
            "running" | "started" => Task::Started,
            "stop" => Task::Stop,
            "stopped" => Task::Stopped,
            "promote" => Task::Promote,
            "promoted" => Task::Promoted,
            "demote" => Task::Demote,
            "demoted" => Task::Demoted,
            "notify" => Task::Notify,
            "notified" => Task::Notified,
            "migrate_to" => Task::MigrateTo,
            "migrate_from" => Task::MigrateFrom,
            "reload" | "reload-agent" => Task::Reload,
            "cancel" => Task::Cancel,
            "lrm_delete" | "delete" => Task::Delete,
            "stonith" => Task::Stonith,
            "do_shutdown" => Task::Shutdown,
            "clear_failcount" => Task::ClearFailcount,
            _ => Task::Other,
        }
    }

    /// The task that says all instances or members have done it.
    pub fn done(self) -> Task {
        match self {
            Task::Start => Task::Started,
            Task::Stop => Task::Stopped,
            Task::Promote => Task::Promoted,
            Task::Demote => Task::Demoted,
            Task::Notify => Task::Notified,
            other => other,
        }
    }

    /// The task that [`Task::done`] confirms.
    pub fn begun(self) -> Task {
        match self {
            Task::Started => Task::Start,
            Task::Stopped => Task::Stop,
            Task::Promoted => Task::Promote,
            Task::Demoted => Task::Demote,
            Task::Notified => Task::Notify,
            other => other,
        }
    }
}

/// Action flags.
pub mod flag {
    pub const PSEUDO: u32 = 1;
    pub const RUNNABLE: u32 = 1 << 1;
    pub const OPTIONAL: u32 = 1 << 2;
    pub const ALWAYS: u32 = 1 << 3;
    pub const MIGRATABLE: u32 = 1 << 4;
    pub const MIGRATION_ABORT: u32 = 1 << 5;
    pub const MIN_RUNNABLE: u32 = 1 << 6;
    pub const ON_DC: u32 = 1 << 7;
    pub const RESCHEDULED: u32 = 1 << 8;
    pub const IN_GRAPH: u32 = 1 << 9;
    pub const DETECT_LOOP: u32 = 1 << 10;
    pub const SAME_DIGEST_KNOWN: u32 = 1 << 11;
}

/// What must hold before an action may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Quorum,
    Fencing,
}

/// Meta attributes of an action; those of a kind share them until one has its own to add.
#[derive(Debug, Clone, Default)]
pub struct Meta(Rc<BTreeMap<String, String>>);

impl From<BTreeMap<String, String>> for Meta {
    fn from(map: BTreeMap<String, String>) -> Self {
        Meta(Rc::new(map))
    }
}

impl Deref for Meta {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Meta {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Rc::make_mut(&mut self.0)
    }
}

/// An action under construction.
#[derive(Debug, Clone)]
pub struct Action {
    pub task: Task,
    pub key: String,
    /// Task as text where it is not one of [`Task`].
    pub text: Option<String>,
    pub rsc: Option<RscIx>,
    pub node: Option<NodeIx>,
    pub flags: u32,
    pub interval_ms: i64,
    pub needs: Needs,
    pub on_fail: OnFail,
    pub fail_role: Role,
    pub priority: i32,
    pub reason: Option<String>,
    pub meta: Meta,
    /// Result that stands for success, where it is not 0.
    pub target_rc: Option<i32>,
    pub params: BTreeMap<String, String>,
    pub cancel: Option<(Task, i64)>,
    pub before: Vec<(ActIx, u32)>,
    pub after: Vec<ActIx>,
    pub runnable_before: i32,
    pub required_before: i32,
    pub op_entry: bool,
    pub graph_id: Option<u32>,
    pub updating: bool,
}

impl Action {
    pub fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Task as text.
    pub fn task_text(&self) -> &str {
        self.text.as_deref().unwrap_or_else(|| self.task.text())
    }
}

/// `rsc_task_interval`.
pub fn op_key(rsc: &str, task: &str, interval_ms: i64) -> String {
    format!("{rsc}_{task}_{interval_ms}")
}

impl World<'_> {
    /// The action of that key on that node, made where there is none.
    pub fn action(
        &mut self,
        r: RscIx,
        task: Task,
        interval_ms: i64,
        node: Option<NodeIx>,
        optional: bool,
    ) -> ActIx {
        if let Some(a) = self.made_action(r, task, interval_ms, node) {
            return self.ask_for(a, r, optional);
        }
        let key = op_key(&self.rscs[r].id, task.text(), interval_ms);
        self.action_with_key(r, key, task, interval_ms, node, optional)
    }

    pub fn action_with_key(
        &mut self,
        r: RscIx,
        key: String,
        task: Task,
        interval_ms: i64,
        node: Option<NodeIx>,
        optional: bool,
    ) -> ActIx {
        let found = self.rscs[r].index.iter().rev().find(|e| {
            (e.node == node || e.node.is_none() && node.is_some()) && {
                let action = &self.actions[e.a];
                action.key == key && (e.node == node || !action.is(flag::PSEUDO))
            }
        });
        let a = match found.map(|e| e.a) {
            Some(a) => {
                if self.actions[a].node != node {
                    // Required before it was known where: here.
                    self.actions[a].node = node;
                    self.reindex_action(a);
                }
                a
            }
            None => {
                let a = self.new_action(Some(r), key, task, interval_ms, node, optional);
                self.configure(a);
                a
            }
        };
        self.ask_for(a, r, optional)
    }

    /// An action was wanted (once more): only optionally, or in earnest.
    fn ask_for(&mut self, a: ActIx, r: RscIx, optional: bool) -> ActIx {
        let managed = self.rscs[r].managed;
        let action = &mut self.actions[a];
        if !managed && action.node.is_some() && action.interval_ms == 0 {
            action.flags |= flag::OPTIONAL;
        } else if !optional {
            action.flags &= !flag::OPTIONAL;
        }
        self.update_runnable(a);
        a
    }

    fn new_action(
        &mut self,
        rsc: Option<RscIx>,
        key: String,
        task: Task,
        interval_ms: i64,
        node: Option<NodeIx>,
        optional: bool,
    ) -> ActIx {
        let a = self.actions.len();
        let mut flags = flag::RUNNABLE;
        if optional {
            flags |= flag::OPTIONAL;
        }
        if task == Task::Delete {
            flags |= flag::ON_DC;
        }
        self.actions.push(Action {
            task,
            key,
            text: None,
            rsc,
            node,
            flags,
            interval_ms,
            needs: Needs::Nothing,
            on_fail: OnFail::Restart,
            fail_role: Role::Unknown,
            priority: 0,
            reason: None,
            meta: Meta::default(),
            target_rc: None,
            params: BTreeMap::new(),
            cancel: None,
            before: Vec::new(),
            after: Vec::new(),
            runnable_before: 0,
            required_before: 0,
            op_entry: false,
            graph_id: None,
            updating: false,
        });
        if let Some(r) = rsc {
            self.index_action(r, a);
        }
        a
    }

    /// An action that belongs to no resource; one of each key and node.
    pub fn node_action(
        &mut self,
        key: String,
        task: Task,
        node: Option<NodeIx>,
        optional: bool,
    ) -> ActIx {
        let id = format!("{key}@{}", node.map_or(usize::MAX, |n| n));
        if let Some(&a) = self.pseudo_by_key.get(&id) {
            if !optional {
                self.actions[a].flags &= !flag::OPTIONAL;
            }
            return a;
        }
        let a = self.new_action(None, key, task, 0, node, optional);
        self.pseudo_by_key.insert(id, a);
        a
    }

    /// A pseudo action of the whole cluster.
    pub fn pseudo(&mut self, name: &str) -> ActIx {
        let a = self.node_action(name.to_owned(), Task::Other, None, true);
        let action = &mut self.actions[a];
        action.flags |= flag::PSEUDO | flag::RUNNABLE;
        action.text.get_or_insert_with(|| name.to_owned());
        a
    }

    /// A pseudo action of a collective resource, such as `group_start_0`.
    pub fn rsc_pseudo(&mut self, r: RscIx, task: Task, optional: bool, runnable: bool) -> ActIx {
        let a = self.action(r, task, 0, None, optional);
        let action = &mut self.actions[a];
        action.flags |= flag::PSEUDO;
        if runnable {
            action.flags |= flag::RUNNABLE;
        }
        a
    }

    pub fn start_action(&mut self, r: RscIx, n: NodeIx, optional: bool) -> ActIx {
        self.action(r, Task::Start, 0, Some(n), optional)
    }

    pub fn stop_action(&mut self, r: RscIx, n: NodeIx, optional: bool) -> ActIx {
        self.action(r, Task::Stop, 0, Some(n), optional)
    }

    pub fn promote_action(&mut self, r: RscIx, n: NodeIx, optional: bool) -> ActIx {
        self.action(r, Task::Promote, 0, Some(n), optional)
    }

    pub fn demote_action(&mut self, r: RscIx, n: NodeIx, optional: bool) -> ActIx {
        self.action(r, Task::Demote, 0, Some(n), optional)
    }

    pub fn find_key(&self, r: RscIx, key: &str, node: Option<NodeIx>) -> Option<ActIx> {
        self.rscs[r].actions.iter().rev().copied().find(|&a| {
            let action = &self.actions[a];
            action.key == key && (node.is_none() || action.node == node)
        })
    }

    pub fn set_reason(&mut self, a: ActIx, reason: Option<&str>, overwrite: bool) {
        let slot = &mut self.actions[a].reason;
        if slot.is_none() || overwrite {
            *slot = reason.map(str::to_owned);
        }
    }

    /// Whether an action can run at all, given its node and the quorum.
    pub fn update_runnable(&mut self, a: ActIx) {
        let action = &self.actions[a];
        if action.is(flag::PSEUDO) {
            return;
        }
        let Some(r) = action.rsc else { return };
        let Some(n) = action.node else {
            self.actions[a].flags &= !flag::RUNNABLE;
            return;
        };
        let on_dc = action.is(flag::ON_DC);
        let task = action.task;
        let needs = action.needs;
        let node = &self.nodes[n];
        if !on_dc && !node.online && (!self.is_guest(n) || node.remote_requires_reset) {
            self.actions[a].flags &= !flag::RUNNABLE;
            if self.rscs[r].managed && task == Task::Stop && !self.nodes[n].unclean {
                self.fence_node(n, "resource actions are unrunnable", false);
            }
        } else if !on_dc && node.pending {
            self.actions[a].flags &= !flag::RUNNABLE;
        } else if needs == Needs::Nothing {
            self.actions[a].reason = None;
            if self.is_guest(n) && !self.can_fence(n) {
                self.actions[a].flags &= !flag::RUNNABLE;
            } else {
                self.actions[a].flags |= flag::RUNNABLE;
            }
        } else {
            match self.quorum_policy(r) {
                NoQuorum::Stop => {
                    self.actions[a].flags &= !flag::RUNNABLE;
                    self.set_reason(a, Some("no quorum"), true);
                }
                NoQuorum::Freeze => {
                    let rsc = &self.rscs[r];
                    if !self.active(r, true) || rsc.next_role > rsc.role {
                        self.actions[a].flags &= !flag::RUNNABLE;
                        self.set_reason(a, Some("quorum freeze"), true);
                    }
                }
                _ => self.actions[a].flags |= flag::RUNNABLE,
            }
        }
    }

    /// Quorum policy as it applies to a resource at its present role.
    pub fn quorum_policy(&mut self, r: RscIx) -> NoQuorum {
        if self.opts.quorate {
            return NoQuorum::Ignore;
        }
        if self.opts.no_quorum == NoQuorum::Demote {
            return match self.rscs[r].role {
                Role::Promoted | Role::Unpromoted => {
                    if self.rscs[r].next_role > Role::Unpromoted {
                        self.set_next_role(r, Role::Unpromoted, "no-quorum-policy=demote");
                    }
                    NoQuorum::Ignore
                }
                _ => NoQuorum::Stop,
            };
        }
        self.opts.no_quorum
    }

    /// Whether a resource is active (all parts of it, where `all`).
    pub fn active(&self, r: RscIx, all: bool) -> bool {
        let rsc = &self.rscs[r];
        match &rsc.kind {
            crate::world::Kind::Primitive => rsc.running.iter().any(|&n| {
                let node = &self.nodes[n];
                if node.unclean {
                    return true;
                }
                if !node.online && rsc.managed {
                    return false;
                }
                true
            }),
            crate::world::Kind::Bundle(b) => {
                let one = |x: Option<RscIx>| x.map(|x| self.active(x, all));
                let mut parts = b.replicas.iter().flat_map(|p| {
                    [
                        one(p.ip),
                        one(p.child),
                        one(Some(p.container)),
                        one(p.remote),
                    ]
                });
                if all {
                    parts.all(|x| x.unwrap_or(true))
                } else {
                    parts.any(|x| x.unwrap_or(false))
                }
            }
            _ => {
                let mut on = rsc.children.iter().map(|&c| self.active(c, all));
                if all {
                    on.all(|x| x) && !rsc.children.is_empty()
                } else {
                    on.any(|x| x)
                }
            }
        }
    }
}
