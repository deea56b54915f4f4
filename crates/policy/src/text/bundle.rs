//! Bundles: a line for each replica.

use crate::world::{Replica, RscIx, World};
use std::fmt::Write;

impl World<'_> {
    pub(super) fn bundle_lines(&self, r: RscIx, indent: usize, out: &mut String) {
        let b = self.bundle(r);
        let set = if b.replicas.len() > 1 { " set" } else { "" };
        let mut head = format!("Container bundle{set}: {} [{}]", self.rscs[r].id, b.image);
        let mut flags = Vec::new();
        if b.child.is_some_and(|c| self.rscs[c].unique) {
            flags.push("unique");
        }
        flags.extend(self.common_flags(r));
        if !flags.is_empty() {
            let _ = write!(head, " ({})", flags.join(", "));
        }
        let _ = writeln!(out, "{:indent$}* {head}:", "");
        for p in &b.replicas {
            self.replica_line(p, indent + 2, out);
        }
    }

    fn replica_line(&self, p: &Replica, indent: usize, out: &mut String) {
        let shown = p.child.unwrap_or(p.container);
        let mut name = self.rscs[p.remote.unwrap_or(p.container)].id.clone();
        if let Some(addr) = &p.ipaddr {
            let _ = write!(name, " ({addr})");
        }
        let place = self.rscs[p.container].running.first().copied();
        let _ = writeln!(
            out,
            "{:indent$}* {name}\t({}):\t{}",
            "",
            self.agent_text(shown),
            self.primitive_state_at(shown, place)
        );
    }
}
