//! Clones: instances that are alike share a line.

use crate::world::{NodeIx, Role, RscIx, World};
use std::fmt::Write;

impl World<'_> {
    pub(super) fn clone_lines(&self, r: RscIx, indent: usize, out: &mut String) {
        let rsc = &self.rscs[r];
        let child = match &self.clone_info(r).child {
            crate::world::ChildConfig::Primitive { id, .. }
            | crate::world::ChildConfig::Group { id, .. } => id,
        };
        let mut flags = Vec::new();
        if rsc.promotable {
            flags.push("promotable");
        }
        if rsc.unique {
            flags.push("unique");
        }
        flags.extend(self.common_flags(r));
        let mut head = format!("Clone Set: {} [{child}]", rsc.id);
        if !flags.is_empty() {
            let _ = write!(head, " ({})", flags.join(", "));
        }
        let _ = writeln!(out, "{:indent$}* {head}:", "");
        let (mut promoted, mut started) = (Vec::new(), Vec::new());
        let mut active = 0;
        for &c in &rsc.children {
            let partly = self.active(c, false);
            let full = if rsc.unique {
                partly || !self.rscs[c].removed
            } else if self.visibly_pending(c) {
                true
            } else if !partly {
                false
            } else if self.any(c, |x| x.removed)
                || self.any(c, |x| !x.managed)
                || self.any(c, |x| x.failed)
            {
                true
            } else if self.active(c, true) {
                match self.current_single(c) {
                    Some(n) if !self.nodes[n].online && self.nodes[n].unclean => true,
                    Some(n) => {
                        if self.state(c, true) > Role::Unpromoted {
                            promoted.push(n);
                        } else {
                            started.push(n);
                        }
                        active += 1;
                        false
                    }
                    None => true,
                }
            } else {
                true
            };
            if full {
                self.rsc_lines(c, indent + 2, out);
            }
        }
        let names = |list: &mut Vec<NodeIx>| {
            list.sort_unstable();
            list.iter()
                .map(|&n| self.nodes[n].name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let indent = indent + 2;
        if !promoted.is_empty() {
            let _ = writeln!(
                out,
                "{:indent$}* Promoted: [ {} ]",
                "",
                names(&mut promoted)
            );
        }
        if !started.is_empty() {
            let label = if rsc.promotable {
                "Unpromoted"
            } else {
                "Started"
            };
            let _ = writeln!(out, "{:indent$}* {label}: [ {} ]", "", names(&mut started));
        }
        if !rsc.unique && self.clone_info(r).max > active {
            self.stopped_lines(r, indent, out);
        }
    }

    fn stopped_lines(&self, r: RscIx, indent: usize, out: &mut String) {
        let rsc = &self.rscs[r];
        // The clone says so, or what it is made of.
        let wanted = self.meta(r, "target-role").or_else(|| {
            let any = rsc.children.first()?;
            self.meta(*any, "target-role")
        });
        let disabled = wanted.and_then(Role::parse) == Some(Role::Stopped);
        let state = if disabled {
            "Stopped (disabled)"
        } else {
            "Stopped"
        };
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        let here = self.locations_now(r);
        let none_allowed = !rsc.allowed.iter().any(|c| c.allowed);
        for (n, cell) in rsc.allowed.iter().enumerate() {
            if (!cell.allowed && !none_allowed) || here.contains(&n) || self.is_bundle_node(n) {
                continue;
            }
            let text = match self.failed_probe(r, n) {
                Some(why) if !disabled => format!("Stopped ({why})"),
                _ => state.to_owned(),
            };
            match groups.iter_mut().find(|(t, _)| *t == text) {
                Some((_, list)) => list.push(&self.nodes[n].name),
                None => groups.push((text, vec![&self.nodes[n].name])),
            }
        }
        groups.sort();
        for (text, list) in groups {
            let _ = writeln!(out, "{:indent$}* {text}: [ {} ]", "", list.join(" "));
        }
    }

    /// What a probe said where something cannot run.
    fn failed_probe(&self, r: RscIx, n: NodeIx) -> Option<&'static str> {
        let state = &self.cib.status.nodes[self.nodes[n].state_ix?];
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        let base = crate::facts::failcount_base(&self.rscs[*leaves.first()?].id);
        let history = state
            .resources
            .iter()
            .find(|h| crate::facts::failcount_base(&h.id) == base)?;
        let op = history
            .operations
            .iter()
            .find(|o| o.operation == "monitor" && o.interval_ms == 0)?;
        match op.rc {
            5 => Some("not installed"),
            2 => Some("invalid parameter"),
            _ => None,
        }
    }

    fn visibly_pending(&self, r: RscIx) -> bool {
        self.rscs[r].pending_action.is_some()
    }

    fn any(&self, r: RscIx, f: impl Fn(&crate::world::Rsc) -> bool + Copy) -> bool {
        f(&self.rscs[r]) || self.rscs[r].children.iter().any(|&c| self.any(c, f))
    }
}
