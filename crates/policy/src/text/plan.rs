//! The summary of what is planned.

use crate::action::{Task, flag};
use crate::world::{ActIx, Kind, NodeIx, Role, RscIx, World};
use std::fmt::Write;

/// A line about a resource.
struct Line {
    verb: &'static str,
    rsc: String,
    details: String,
    reason: Option<String>,
    blocked: bool,
}

impl World<'_> {
    /// The planned actions, nodes first.
    pub(crate) fn summary_text(&self) -> String {
        let mut out = String::new();
        for a in (0..self.actions.len()).rev() {
            let action = &self.actions[a];
            if action.rsc.is_some() || action.is(flag::OPTIONAL) {
                continue;
            }
            let verb = match action.task {
                Task::Stonith => {
                    format!(
                        "Fence ({})",
                        action
                            .meta
                            .get("stonith_action")
                            .map_or("reboot", String::as_str)
                    )
                }
                _ => continue,
            };
            let Some(n) = action.node else { continue };
            let mut name = self.nodes[n].name.clone();
            if self.is_guest(n)
                && let Some(c) = self.nodes[n]
                    .remote_rsc
                    .and_then(|r| self.rscs[r].container)
            {
                let _ = write!(name, " (resource: {})", self.rscs[c].id);
            }
            match &action.reason {
                Some(r) => {
                    let _ = writeln!(out, "  * {verb} {name} '{r}'");
                }
                None => {
                    let _ = writeln!(out, "  * {verb} {name}");
                }
            }
        }
        let mut lines = Vec::new();
        for &r in &self.top {
            self.summarize(r, &mut lines);
        }
        // Columns grow with what has been seen, in order; the names' with two blanks in reserve.
        let (mut rsc_width, mut width) = (5, 5);
        for l in &lines {
            if l.rsc.len() > rsc_width {
                rsc_width = l.rsc.len() + 2;
            }
            width = width.max(l.details.len());
        }
        for l in lines {
            let _ = write!(
                out,
                "  * {:<8}   {:<rsc_width$}   ( {:>width$} )",
                l.verb, l.rsc, l.details
            );
            match (&l.reason, l.blocked) {
                (Some(r), true) => out.push_str(&format!("  due to {r} (blocked)")),
                (Some(r), false) => out.push_str(&format!("  due to {r}")),
                (None, true) => out.push_str("  blocked"),
                (None, false) => {}
            }
            out.push('\n');
        }
        out
    }

    fn first_on(&self, r: RscIx, task: Task, n: Option<NodeIx>) -> Option<ActIx> {
        let on = self.actions_of(r, task, n).first().copied();
        // What an order made up where nothing is planned has no place of its own.
        on.or_else(|| {
            let all = self.actions_of(r, task, None);
            all.into_iter().find(|&a| self.actions[a].node.is_none())
        })
    }

    fn summarize(&self, r: RscIx, out: &mut Vec<Line>) {
        if let Kind::Bundle(b) = &self.rscs[r].kind {
            for p in &b.replicas {
                for x in [p.ip, Some(p.container), p.remote, p.child]
                    .into_iter()
                    .flatten()
                {
                    self.summarize(x, out);
                }
            }
            return;
        }
        let children = &self.rscs[r].children;
        if !children.is_empty() {
            for &c in children {
                self.summarize(c, out);
            }
            return;
        }
        if !self.is_primitive(r) {
            return;
        }
        let rsc = &self.rscs[r];
        let next = rsc.assigned;
        let current = self.current_node(r);
        if (current.is_none() && rsc.removed)
            || !rsc.managed
            || (current.is_none() && next.is_none())
        {
            return;
        }
        let moving = current.is_some() && next.is_some() && current != next;
        let start = self
            .first_on(r, Task::Start, next)
            .filter(|_| next.is_some());
        let start_possible = start.is_some_and(|s| self.actions[s].is(flag::RUNNABLE));
        let mut stop = self.first_on(r, Task::Stop, if start_possible { current } else { None });
        if stop.is_none() && rsc.stop_unexpected {
            stop = self.first_on(r, Task::Stop, None);
        }
        let promote = self
            .first_on(r, Task::Promote, next)
            .filter(|_| next.is_some());
        let demote = self
            .first_on(r, Task::Demote, next)
            .filter(|_| next.is_some());
        let optional = |a: Option<ActIx>| a.is_none_or(|a| self.actions[a].is(flag::OPTIONAL));
        let mut say = |verb, from, to, action, source| {
            if let Some(line) = self.line(r, verb, from, to, action, source) {
                out.push(line);
            }
        };
        if rsc.role == rsc.next_role {
            let migrate = self
                .first_on(r, Task::MigrateFrom, next)
                .filter(|_| next.is_some());
            if next.is_none() {
                return;
            }
            if migrate.is_some_and(|m| self.actions[m].is(flag::RUNNABLE)) && current.is_some() {
                say("Migrate", current, next, start, None);
            } else if rsc.reload {
                say(
                    "Reload",
                    current,
                    next,
                    start.or(self.first_on(r, Task::Reload, next)),
                    None,
                );
            } else if optional(start) {
                if !optional(demote) && !optional(promote) {
                    say("Re-promote", current, next, promote, demote);
                }
            } else if !start_possible {
                let source = if stop.is_none_or(|s| self.actions[s].reason.is_none()) {
                    start
                } else {
                    stop
                };
                say("Stop", current, None, stop, source);
            } else if moving {
                say(
                    if rsc.failed { "Recover" } else { "Move" },
                    current,
                    next,
                    stop,
                    None,
                );
            } else if rsc.failed {
                say("Recover", current, None, stop, None);
            } else {
                say("Restart", current, None, start, None);
            }
            return;
        }
        if stop.is_some()
            && (rsc.next_role == Role::Stopped || (start.is_some() && !start_possible))
        {
            for &n in &rsc.running {
                let on = self.first_on(r, Task::Stop, Some(n));
                let source = on.filter(|&s| self.actions[s].reason.is_some()).or(start);
                say("Stop", Some(n), None, on, source);
            }
        } else if stop.is_some() && rsc.failed && rsc.stop_if_failed {
            say("Recover", current, next, stop, start);
        } else if moving {
            say("Move", current, next, stop, None);
        } else if rsc.reload {
            say(
                "Reload",
                current,
                next,
                start.or(self.first_on(r, Task::Reload, next)),
                None,
            );
        } else if !optional(stop) {
            say("Restart", current, next, start, None);
        } else if rsc.role == Role::Promoted {
            say("Demote", current, next, demote, None);
        } else if rsc.next_role == Role::Promoted {
            say("Promote", current, next, promote, None);
        } else if rsc.role == Role::Stopped || rsc.next_role > Role::Stopped {
            say("Start", current, next, start, None);
        }
    }

    fn line(
        &self,
        r: RscIx,
        verb: &'static str,
        from: Option<NodeIx>,
        to: Option<NodeIx>,
        action: Option<ActIx>,
        source: Option<ActIx>,
    ) -> Option<Line> {
        let action = action?;
        let rsc = &self.rscs[r];
        let name = |n: NodeIx| self.nodes[n].name.as_str();
        let (role, next) = (rsc.role.text(), rsc.next_role.text());
        let need_role = rsc.role > Role::Started || rsc.next_role > Role::Unpromoted;
        let same_role = rsc.role == rsc.next_role;
        let details = match (from, to) {
            (None, Some(t)) if need_role => format!("{role} -> {next} {}", name(t)),
            (None, Some(t)) => name(t).to_owned(),
            (Some(f), None) if need_role => format!("{role} {}", name(f)),
            (Some(f), None) => name(f).to_owned(),
            (Some(f), Some(t)) => match (need_role, same_role, f == t) {
                (true, true, true) => format!("{role} {}", name(f)),
                (_, true, true) => name(f).to_owned(),
                (true, true, false) => format!("{} -> {} {role}", name(f), name(t)),
                (_, true, false) => format!("{} -> {}", name(f), name(t)),
                (_, false, true) => format!("{role} -> {next} {}", name(f)),
                (_, false, false) => format!("{role} {} -> {next} {}", name(f), name(t)),
            },
            (None, None) => return None,
        };
        Some(Line {
            verb,
            rsc: rsc.id.clone(),
            details,
            reason: self.actions[source.unwrap_or(action)].reason.clone(),
            blocked: !self.actions[action].is(flag::RUNNABLE),
        })
    }

    /// An action's key as users see it.
    pub(crate) fn shown_key(&self, a: ActIx) -> String {
        self.keys(&self.actions[a]).0
    }

    /// A resource's name as its history has it.
    pub(crate) fn shown_rsc(&self, r: RscIx, _n: Option<NodeIx>) -> String {
        let rsc = &self.rscs[r];
        if rsc.unique {
            return rsc.id.clone();
        }
        let base = crate::facts::failcount_base(&rsc.id);
        let known = self.rsc_by_id.contains_key(base)
            || self
                .rscs
                .iter()
                .any(|x| x.history_id.as_deref() == Some(base));
        if known {
            return base.to_owned();
        }
        match rsc.history_id.as_deref() {
            Some(h) if h != base => h.to_owned(),
            _ => rsc.id.clone(),
        }
    }
}
