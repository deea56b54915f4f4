//! Live migrations found in the history: complete, partial, dangling.

use crate::world::{NodeIx, Role, RscIx, World};
use quorate_model::status::{OperationHistory, ResourceHistory};
use std::cmp::Ordering;

/// Which of two results is newer: `Greater` when `a` is.
pub(super) fn newer(a: &OperationHistory, b: &OperationHistory, same_node: bool) -> Ordering {
    if !same_node {
        return match (a.last_rc_change, b.last_rc_change) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => Ordering::Equal,
        };
    }
    by_call(a, b)
}

/// Order in which results came about on one node.
fn by_call(a: &OperationHistory, b: &OperationHistory) -> Ordering {
    if a.id == b.id {
        return Ordering::Equal;
    }
    match (a.call_id, b.call_id) {
        (-1, -1) => Ordering::Equal,
        (x, y) if x >= 0 && y >= 0 && x != y => x.cmp(&y),
        (x, y) if x >= 0 && x == y => a
            .last_rc_change
            .unwrap_or(0)
            .cmp(&b.last_rc_change.unwrap_or(0)),
        (x, y) => {
            // One is pending: its transition tells how old it is.
            let (ua, ta) = transition(a);
            let (ub, tb) = transition(b);
            if ua != ub || ta == tb {
                if y == -1 {
                    Ordering::Less
                } else if x == -1 {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                }
            } else if (ta >= 0 && ta < tb) || tb == -1 {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

/// The results of one resource on one node, oldest first.
///
/// The order is no total one where something is pending or was never numbered, so that the way in which it is
/// established matters: halves of the list, the latest entry first, are sorted and merged.
pub(crate) fn in_order(ops: &[OperationHistory]) -> Vec<&OperationHistory> {
    if ops.len() < 2 {
        return ops.iter().collect();
    }
    let latest_first: Vec<_> = ops.iter().rev().collect();
    crate::sorting::by_halves(&latest_first, &mut |a, b| by_call(a, b))
}

/// Coordinator's uuid and transition number of a result.
fn transition(op: &OperationHistory) -> (&str, i64) {
    let Some(key) = op.transition_key.as_deref() else {
        return ("", -1);
    };
    let mut parts = key.splitn(4, ':');
    let _action = parts.next();
    let number = parts.next().and_then(|p| p.parse().ok()).unwrap_or(-1);
    let _rc = parts.next();
    (parts.next().unwrap_or(""), number)
}

fn extra<'o>(op: &'o OperationHistory, name: &str) -> Option<&'o str> {
    op.extra
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
}

impl<'c> World<'c> {
    fn history_on(&self, r: RscIx, node: &str) -> Option<&'c ResourceHistory> {
        let n = self.find_node(node)?;
        let ix = self.nodes[n].state_ix?;
        let name = self.history_name(r).to_owned();
        let cib = self.cib;
        cib.status.nodes[ix].resources.iter().find(|h| h.id == name)
    }

    fn find_result(
        &self,
        r: RscIx,
        operation: &str,
        node: &str,
        source: Option<&str>,
        rc: Option<i32>,
    ) -> Option<&'c OperationHistory> {
        let history = self.history_on(r, node)?;
        history.operations.iter().rev().find(|o| {
            o.operation == operation
                && match (source, operation) {
                    (Some(s), "migrate_to") => extra(o, "migrate_target") == Some(s),
                    (Some(s), "migrate_from") => extra(o, "migrate_source") == Some(s),
                    _ => true,
                }
                && rc.is_none_or(|rc| o.rc == rc && o.status == 0)
        })
    }

    fn unknown_on(&self, r: RscIx, node: &str) -> bool {
        match self.history_on(r, node) {
            None => true,
            Some(h) => !h.operations.iter().any(|o| o.rc != 193),
        }
    }

    fn moved_after(&self, r: RscIx, node: &str, op: &OperationHistory, same: bool) -> bool {
        self.history_on(r, node).is_some_and(|h| {
            h.operations.iter().any(|o| {
                !std::ptr::eq(o, op)
                    && matches!(
                        o.operation.as_str(),
                        "start" | "stop" | "migrate_to" | "migrate_from"
                    )
                    && newer(o, op, same) == Ordering::Greater
            })
        })
    }

    fn newer_state(
        &self,
        r: RscIx,
        node: &str,
        to: &OperationHistory,
        from: Option<&OperationHistory>,
    ) -> bool {
        let target = extra(to, "migrate_target").unwrap_or_default();
        let (op, same) = if node == target {
            match from {
                Some(f) => (f, true),
                None => (to, false),
            }
        } else {
            (to, true)
        };
        self.moved_after(r, node, op, same)
            || self
                .find_result(r, "monitor", node, None, Some(7))
                .is_some_and(|m| newer(m, op, same) == Ordering::Greater)
    }

    fn must_recover(&mut self, r: RscIx) {
        let rsc = &mut self.rscs[r];
        rsc.failed = true;
        rsc.stop_if_failed = true;
        rsc.allow_migrate = false;
    }

    /// A successful `migrate_to`.
    pub(super) fn migrated_to(&mut self, r: RscIx, n: NodeIx, op: &'c OperationHistory) {
        let (Some(source), Some(target)) =
            (extra(op, "migrate_source"), extra(op, "migrate_target"))
        else {
            return;
        };
        let source_newer = self.moved_after(r, source, op, true);
        let from = self.find_result(r, "migrate_from", target, Some(source), None);
        if from.is_some() && source_newer {
            return;
        }
        let target_newer = self.newer_state(r, target, op, from);
        if source_newer && target_newer {
            return;
        }
        let status = from.map_or(-1, |f| f.status);
        if from.is_some_and(|f| f.rc == 0 && f.status == 0) {
            self.rscs[r].role = Role::Stopped;
            self.rscs[r].dangling.insert(0, n);
            return;
        }
        self.rscs[r].role = Role::Started;
        let target_node = self.find_node(target);
        let target_up = target_node.filter(|&t| self.nodes[t].online);
        let on_target = target_up.filter(|_| !target_newer);
        if status != -1 {
            match on_target {
                Some(t) => self.add_running(r, t, true),
                None => self.must_recover(r),
            }
            return;
        }
        if target_up.is_some() && self.unknown_on(r, target) {
            return;
        }
        if let Some(t) = on_target {
            self.add_running(r, t, false);
            if let Some(s) = self.find_node(source).filter(|&s| self.nodes[s].online) {
                self.rscs[r].partial_target = Some(t);
                self.rscs[r].partial_source = Some(s);
            }
        } else if !source_newer {
            self.must_recover(r);
        }
    }

    /// A failed `migrate_to`.
    pub(super) fn migrate_to_failed(&mut self, r: RscIx, n: NodeIx, op: &'c OperationHistory) {
        let (Some(source), Some(target)) =
            (extra(op, "migrate_source"), extra(op, "migrate_target"))
        else {
            return;
        };
        self.rscs[r].role = Role::Started;
        let from = self.find_result(r, "migrate_from", target, Some(source), Some(0));
        if !self.unknown_on(r, target) && !self.newer_state(r, target, op, from) {
            if let Some(t) = self.find_node(target).filter(|&t| self.nodes[t].online) {
                self.add_running(r, t, false);
            }
        } else if !self.moved_after(r, source, op, true) {
            self.rscs[r].dangling.insert(0, n);
        }
    }

    /// A failed `migrate_from`.
    pub(super) fn migrate_from_failed(&mut self, r: RscIx, op: &'c OperationHistory) {
        let (Some(source), Some(target)) =
            (extra(op, "migrate_source"), extra(op, "migrate_target"))
        else {
            return;
        };
        self.rscs[r].role = Role::Started;
        let to = self.find_result(r, "migrate_to", source, Some(target), Some(0));
        let newer = to.is_some_and(|to| self.newer_state(r, source, to, Some(op)));
        if !self.unknown_on(r, source)
            && !newer
            && let Some(s) = self.find_node(source).filter(|&s| self.nodes[s].online)
        {
            self.add_running(r, s, true);
        }
    }
}
