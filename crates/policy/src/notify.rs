//! Notifications: every instance hears before and after others start, stop, are promoted or demoted.

use crate::action::{Task, flag};
use crate::relation::rel;
use crate::score::INF;
use crate::world::{ActIx, NodeIx, Role, RscIx, World};
use std::collections::BTreeMap;

/// The pseudo actions around one kind of operation.
#[derive(Debug, Clone)]
pub struct Notify {
    pub task: Task,
    pub pre: Option<ActIx>,
    pub pre_done: Option<ActIx>,
    pub post: Option<ActIx>,
    pub post_done: Option<ActIx>,
}

/// Who is concerned by what, as the agents are told.
#[derive(Debug, Default)]
struct Lists {
    by_kind: BTreeMap<&'static str, Vec<(RscIx, Option<NodeIx>)>>,
}

impl Lists {
    fn add(&mut self, kind: &'static str, r: RscIx, n: Option<NodeIx>) {
        self.by_kind.entry(kind).or_default().push((r, n));
    }

    fn any(&self, kind: &str) -> bool {
        self.by_kind.get(kind).is_some_and(|l| !l.is_empty())
    }
}

impl World<'_> {
    fn notify_pseudo(
        &mut self,
        r: RscIx,
        kind: &str,
        of: &str,
        task: Task,
        optional: bool,
    ) -> ActIx {
        let key = format!("{}_{kind}_notify_{of}_0", self.rscs[r].id);
        let a = self.action_with_key(r, key, task, 0, None, optional);
        let action = &mut self.actions[a];
        action.flags |= flag::PSEUDO;
        action
            .meta
            .insert("notify_key_type".to_owned(), kind.to_owned());
        action
            .meta
            .insert("notify_key_operation".to_owned(), of.to_owned());
        a
    }

    /// The points around an action and its completion at which instances are told.
    pub(crate) fn notify_points(
        &mut self,
        r: RscIx,
        task: Task,
        action: Option<ActIx>,
        complete: Option<ActIx>,
    ) -> Option<Notify> {
        if !self.rscs[r].notify {
            return None;
        }
        let mut out = Notify {
            task,
            pre: None,
            pre_done: None,
            post: None,
            post_done: None,
        };
        let label = |world: &mut Self, a: ActIx, kind: &str| {
            let meta = &mut world.actions[a].meta;
            meta.insert("notify_type".to_owned(), kind.to_owned());
            meta.insert("notify_operation".to_owned(), task.text().to_owned());
        };
        if let Some(action) = action {
            let optional = self.actions[action].is(flag::OPTIONAL);
            let of = self.actions[action].task_text().to_owned();
            let pre = self.notify_pseudo(r, "pre", &of, Task::Notify, optional);
            let done = self.notify_pseudo(r, "confirmed-pre", &of, Task::Notified, optional);
            for a in [pre, done] {
                self.actions[a].flags |= flag::RUNNABLE;
                label(self, a, "pre");
            }
            self.order(pre, done, rel::ORDERED);
            self.order(done, action, rel::ORDERED);
            out.pre = Some(pre);
            out.pre_done = Some(done);
        }
        if let Some(complete) = complete {
            let optional = self.actions[complete].is(flag::OPTIONAL);
            let runnable = self.actions[complete].is(flag::RUNNABLE);
            let of = self.actions[complete].task_text().to_owned();
            let post = self.notify_pseudo(r, "post", &of, Task::Notify, optional);
            let done = self.notify_pseudo(r, "confirmed-post", &of, Task::Notified, optional);
            for a in [post, done] {
                self.actions[a].priority = INF;
                if runnable {
                    self.actions[a].flags |= flag::RUNNABLE;
                } else {
                    self.actions[a].flags &= !flag::RUNNABLE;
                }
                label(self, a, "post");
            }
            self.order(complete, post, rel::FIRST_IMPLIES_THEN);
            self.order(post, done, rel::FIRST_IMPLIES_THEN);
            out.post = Some(post);
            out.post_done = Some(done);
        }
        if let (Some(done), Some(post)) = (out.pre_done, out.post) {
            self.order(done, post, rel::ORDERED);
        }
        Some(out)
    }

    fn after_notify(&mut self, first: Option<usize>, then: Option<usize>) {
        if let (Some(f), Some(t)) = (first, then)
            && let (Some(done), Some(pre)) = (self.notifies[f].post_done, self.notifies[t].pre)
        {
            self.order(done, pre, rel::ORDERED);
        }
    }

    fn keep_notify(&mut self, n: Option<Notify>) -> Option<usize> {
        n.map(|n| {
            self.notifies.push(n);
            self.notifies.len() - 1
        })
    }

    /// For starting and stopping.
    pub(crate) fn clone_notify(&mut self, r: RscIx, start: (ActIx, ActIx), stop: (ActIx, ActIx)) {
        let n = self.notify_points(r, Task::Start, Some(start.0), Some(start.1));
        let starting = self.keep_notify(n);
        let n = self.notify_points(r, Task::Stop, Some(stop.0), Some(stop.1));
        let stopping = self.keep_notify(n);
        self.after_notify(stopping, starting);
        let info = self.clone_info_mut(r);
        info.start_notify = starting;
        info.stop_notify = stopping;
    }

    /// For promoting and demoting.
    pub(crate) fn promotable_notify(
        &mut self,
        r: RscIx,
        promote: (ActIx, ActIx),
        demote: (ActIx, ActIx),
    ) {
        let n = self.notify_points(r, Task::Promote, Some(promote.0), Some(promote.1));
        let promoting = self.keep_notify(n);
        let n = self.notify_points(r, Task::Demote, Some(demote.0), Some(demote.1));
        let demoting = self.keep_notify(n);
        let (starting, stopping) = {
            let info = self.clone_info_mut(r);
            info.promote_notify = promoting;
            info.demote_notify = demoting;
            (info.start_notify, info.stop_notify)
        };
        self.after_notify(stopping, promoting);
        self.after_notify(starting, promoting);
        self.after_notify(demoting, promoting);
        self.after_notify(demoting, starting);
        self.after_notify(demoting, stopping);
    }

    /// Once it is known what happens: the notifications themselves.
    pub(crate) fn create_notifications(&mut self, r: RscIx) {
        for a in self.rscs[r].actions.clone() {
            self.action_flags(a, None);
        }
        let info = self.clone_info(r);
        for n in [
            info.start_notify,
            info.stop_notify,
            info.promote_notify,
            info.demote_notify,
        ]
        .into_iter()
        .flatten()
        {
            let notify = self.notifies[n].clone();
            let mut lists = Lists::default();
            self.collect(r, true, &mut lists);
            let mut leaves = Vec::new();
            self.leaves(r, &mut leaves);
            let keys = self.notify_keys(r, &lists);
            for leaf in leaves {
                self.notify_instance(leaf, &notify, &lists, &keys);
            }
        }
        self.owed_notifications(r);
    }

    /// What instances have not heard of earlier transitions, in the order of a transition's own operations and
    /// before anything starts or is promoted.
    fn owed_notifications(&mut self, r: RscIx) {
        if self.owed.is_empty() || !self.rscs[r].notify {
            return;
        }
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        let mut earlier: Vec<ActIx> = Vec::new();
        for task in [Task::Demote, Task::Stop, Task::Start, Task::Promote] {
            let mut lists = Lists::default();
            self.collect(r, false, &mut lists);
            for owed in self.owed.clone() {
                let place = self.node_by_name.get(&owed.node).copied();
                let leaf = place.and_then(|n| self.instance_owed(&leaves, &owed.resource, n));
                if let (true, Some(leaf), Some(n)) = (owed.operation == task.text(), leaf, place) {
                    lists.add(task.text(), leaf, Some(n));
                }
            }
            if !lists.any(task.text()) {
                continue;
            }
            let keys = self.notify_keys(r, &lists);
            let mut told = Vec::new();
            for &leaf in &leaves {
                told.extend(self.owed_to(leaf, task, &keys));
            }
            for &a in &told {
                for &e in &earlier {
                    self.order(e, a, rel::ORDERED);
                }
            }
            earlier.extend(told);
        }
        let info = self.clone_info(r);
        let later: Vec<ActIx> = [info.start_notify, info.promote_notify]
            .into_iter()
            .flatten()
            .filter_map(|n| self.notifies[n].pre)
            .collect();
        for then in later {
            for &a in &earlier {
                self.order(a, then, rel::ORDERED);
            }
        }
    }

    /// The instance that something was owed for: what is recorded has no number where instances are anonymous, so it is
    /// the one that is on that node; or else one that is nowhere.
    fn instance_owed(&self, leaves: &[RscIx], resource: &str, n: NodeIx) -> Option<RscIx> {
        let is_named = |leaf: RscIx| {
            let rsc = &self.rscs[leaf];
            let base = crate::facts::failcount_base(&rsc.id);
            rsc.id == resource || !rsc.unique && base == resource
        };
        let named = || leaves.iter().copied().filter(|&leaf| is_named(leaf));
        named()
            .find(|&leaf| self.rscs[leaf].running.contains(&n))
            .or_else(|| named().find(|&leaf| self.rscs[leaf].running.is_empty()))
            .or_else(|| named().next())
    }

    /// The actions that tell an active instance.
    fn owed_to(&mut self, r: RscIx, task: Task, keys: &BTreeMap<String, String>) -> Vec<ActIx> {
        if self.rscs[r].role <= Role::Stopped {
            return Vec::new();
        }
        let stops = self
            .actions_of(r, Task::Stop, None)
            .iter()
            .any(|&s| !self.actions[s].is(flag::OPTIONAL));
        let mut told = Vec::new();
        for n in self.rscs[r].running.clone() {
            if stops || !self.nodes[n].online || self.nodes[n].unclean {
                continue;
            }
            let key = format!("{}_owed_notify_{}_0", self.rscs[r].id, task.text());
            let a = self.action_with_key(r, key, Task::Notify, 0, Some(n), false);
            let action = &mut self.actions[a];
            action.flags |= flag::RUNNABLE;
            action.flags &= !flag::OPTIONAL;
            action.priority = INF;
            for (name, value) in [
                ("notify_type", "post"),
                ("notify_operation", task.text()),
                ("notify_key_type", "post"),
                ("notify_key_operation", task.text()),
                ("notify_owed", "true"),
            ] {
                action.meta.insert(name.to_owned(), value.to_owned());
            }
            action.meta.extend(keys.clone());
            told.push(a);
        }
        told
    }

    fn collect(&self, r: RscIx, activity: bool, lists: &mut Lists) {
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        for leaf in leaves {
            let rsc = &self.rscs[leaf];
            let node = rsc.running.first().copied();
            match rsc.role {
                Role::Stopped | Role::Unknown => lists.add("inactive", leaf, None),
                Role::Started => lists.add("active", leaf, node),
                Role::Unpromoted => {
                    lists.add("unpromoted", leaf, node);
                    lists.add("active", leaf, node);
                }
                Role::Promoted => {
                    lists.add("promoted", leaf, node);
                    lists.add("active", leaf, node);
                }
            }
            if !activity {
                continue;
            }
            for &a in &rsc.actions {
                let action = &self.actions[a];
                let Some(n) = action.node else { continue };
                if action.is(flag::OPTIONAL) {
                    continue;
                }
                let implied = action.task == Task::Stop && self.nodes[n].unclean;
                if !implied && !action.is(flag::RUNNABLE) {
                    continue;
                }
                match action.task {
                    Task::Start => lists.add("start", leaf, Some(n)),
                    Task::Stop => lists.add("stop", leaf, Some(n)),
                    Task::Promote => lists.add("promote", leaf, Some(n)),
                    Task::Demote => lists.add("demote", leaf, Some(n)),
                    _ => {}
                }
            }
        }
    }

    /// What agents find in their environment.
    fn notify_keys(&self, r: RscIx, lists: &Lists) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let or_blank = |v: Vec<String>| {
            if v.is_empty() {
                " ".to_owned()
            } else {
                v.join(" ")
            }
        };
        for kind in [
            "stop",
            "start",
            "demote",
            "promote",
            "active",
            "unpromoted",
            "promoted",
            "inactive",
        ] {
            let mut entries: Vec<(String, Option<NodeIx>)> = lists
                .by_kind
                .get(kind)
                .into_iter()
                .flatten()
                .map(|&(x, n)| (self.notify_name(x), n))
                .collect();
            entries.sort();
            let resources = or_blank(entries.iter().map(|(id, _)| id.clone()).collect());
            let nodes = or_blank(
                entries
                    .iter()
                    .filter_map(|(_, n)| n.map(|n| self.nodes[n].name.clone()))
                    .collect(),
            );
            let names: &[&str] = match kind {
                "unpromoted" => &["unpromoted", "slave"],
                "promoted" => &["promoted", "master"],
                k => &[k][..],
            };
            for name in names {
                out.insert(format!("notify_{name}_resource"), resources.clone());
                if kind != "inactive" {
                    out.insert(format!("notify_{name}_uname"), nodes.clone());
                }
            }
        }
        let available: Vec<String> = self.rscs[r]
            .allowed
            .iter()
            .enumerate()
            .filter(|(_, c)| c.allowed)
            .map(|(n, _)| self.nodes[n].name.clone())
            .collect();
        out.insert("notify_available_uname".to_owned(), or_blank(available));
        if self.meta(r, "container-attribute-target") == Some("host") {
            let hosts = (0..self.nodes.len()).map(|n| self.nodes[self.host_now(n)].name.clone());
            out.insert("notify_all_hosts".to_owned(), or_blank(hosts.collect()));
        }
        out.insert(
            "notify_all_uname".to_owned(),
            or_blank(self.nodes.iter().map(|n| n.name.clone()).collect()),
        );
        out
    }

    /// The host on which a guest's container runs; any other node itself.
    fn host_now(&self, n: NodeIx) -> NodeIx {
        if !self.is_guest(n) {
            return n;
        }
        let container = self.nodes[n]
            .remote_rsc
            .and_then(|r| self.rscs[r].container);
        let running = container.and_then(|c| self.rscs[c].running.first().copied());
        running.unwrap_or(n)
    }

    fn notify_name(&self, r: RscIx) -> String {
        self.rscs[r].id.clone()
    }

    fn notify_instance(
        &mut self,
        r: RscIx,
        notify: &Notify,
        lists: &Lists,
        keys: &BTreeMap<String, String>,
    ) {
        for a in self.rscs[r].actions.clone() {
            let action = &mut self.actions[a];
            if !action.is(flag::OPTIONAL)
                && action.node.is_some()
                && matches!(
                    action.task,
                    Task::Start | Task::Stop | Task::Promote | Task::Demote
                )
            {
                action.meta.extend(keys.clone());
            }
        }
        let idle = match notify.task {
            Task::Start => !lists.any("start"),
            Task::Promote => !lists.any("promote"),
            Task::Demote => !lists.any("demote"),
            _ => false,
        };
        if idle {
            return;
        }
        match notify.task {
            Task::Stop | Task::Demote => {
                if self.rscs[r].role <= Role::Stopped {
                    return;
                }
                let stop = self.find_action(r, Task::Stop, None);
                let stays = stop.is_none_or(|s| self.actions[s].is(flag::OPTIONAL));
                for n in self.rscs[r].running.clone() {
                    let fenced = self.nodes[n].unclean || self.nodes[n].remote_requires_reset;
                    if fenced && (notify.task == Task::Stop || self.nodes[n].remote_requires_reset)
                    {
                        continue;
                    }
                    self.notify_action(r, n, (notify.pre, notify.pre_done), keys);
                    if notify.task == Task::Demote || stays {
                        self.post_notify(r, n, notify, keys);
                    }
                }
            }
            _ => {
                if self.rscs[r].next_role <= Role::Stopped {
                    return;
                }
                let Some(n) = self.rscs[r].assigned else {
                    return;
                };
                let start = self.find_action(r, Task::Start, None);
                if start
                    .is_some_and(|s| self.actions[s].flags & (flag::OPTIONAL | flag::RUNNABLE) == 0)
                {
                    // It has to start and cannot: nobody will be there to hear.
                    return;
                }
                if notify.task != Task::Start
                    || start.is_none_or(|s| self.actions[s].is(flag::OPTIONAL))
                {
                    self.notify_action(r, n, (notify.pre, notify.pre_done), keys);
                }
                self.post_notify(r, n, notify, keys);
            }
        }
    }

    fn notify_action(
        &mut self,
        r: RscIx,
        n: NodeIx,
        points: (Option<ActIx>, Option<ActIx>),
        keys: &BTreeMap<String, String>,
    ) -> Option<ActIx> {
        let (Some(op), Some(confirm)) = points else {
            return None;
        };
        if !self.nodes[n].online || !self.actions[op].is(flag::RUNNABLE) {
            return None;
        }
        let meta = self.actions[op].meta.clone();
        let kind = meta.get("notify_type").cloned().unwrap_or_default();
        let of = meta.get("notify_operation").cloned().unwrap_or_default();
        let key = format!("{}_{kind}_notify_{of}_0", self.rscs[r].id);
        let optional = self.actions[op].is(flag::OPTIONAL);
        let a = self.action_with_key(r, key, Task::Notify, 0, Some(n), optional);
        for (k, v) in meta.iter().chain(keys.iter()) {
            if k.starts_with("notify") {
                let own = &mut self.actions[a].meta;
                if k == "notify_key_operation" && own.get(k).is_some_and(|v| v == "stonith") {
                    // Fencing, which implies the stop, was told first.
                    continue;
                }
                own.insert(k.clone(), v.clone());
            }
        }
        self.order(op, a, rel::ORDERED);
        self.order(a, confirm, rel::ORDERED);
        Some(a)
    }

    fn post_notify(
        &mut self,
        r: RscIx,
        n: NodeIx,
        notify: &Notify,
        keys: &BTreeMap<String, String>,
    ) {
        if let Some(a) = self.notify_action(r, n, (notify.post, notify.post_done), keys) {
            self.actions[a].priority = INF;
        }
        let Some(done) = notify.post_done else { return };
        for mon in self.rscs[r].actions.clone() {
            let action = &self.actions[mon];
            if action.interval_ms > 0 && action.task != Task::Cancel {
                self.order(done, mon, rel::ORDERED);
            }
        }
    }

    /// A stop that fencing implies is told to the other instances after it.
    pub(crate) fn secondary_notification(
        &mut self,
        _stop: ActIx,
        r: RscIx,
        fence: ActIx,
        n: NodeIx,
    ) {
        let Some(notify) = self.notify_points(r, Task::Stop, None, Some(fence)) else {
            return;
        };
        let mut lists = Lists::default();
        self.collect(r, false, &mut lists);
        lists.add("stop", r, Some(n));
        let top = self.uber(r);
        let keys = self.notify_keys(top, &lists);
        let mut leaves = Vec::new();
        self.leaves(top, &mut leaves);
        for leaf in leaves {
            self.notify_instance(leaf, &notify, &lists, &keys);
        }
    }
}
