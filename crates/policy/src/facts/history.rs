//! Operation history of one node: which resources run there, in which role, and what failed.

use super::migration::in_order;
use super::resources::base_name;
use crate::action::Task;
use crate::ledger::Cause;
use crate::score::INF;
use crate::world::{HistoryRef, NodeIx, OnFail, PrimConfig, Role, RscIx, World};
use quorate_model::status::{NodeState, OperationHistory, ResourceHistory};

impl<'c> World<'c> {
    pub(super) fn unpack_history(&mut self, n: NodeIx, state_ix: usize, state: &'c NodeState) {
        let mut fillers = Vec::new();
        for (ix, history) in state.resources.iter().enumerate() {
            if let Some(r) = self.unpack_resource(n, state_ix, ix, history)
                && self.rscs[r].removed
                && let Some(container) = &history.container
            {
                fillers.push((r, container.clone()));
            }
        }
        for (r, container) in fillers {
            if let Some(&c) = self.rsc_by_id.get(container.as_str())
                && self.rscs[c].removed
                && self.rscs[r].container.is_none()
                && c != r
            {
                self.rscs[r].container = Some(c);
                self.rscs[c].fillers.push(r);
            }
        }
    }

    fn unpack_resource(
        &mut self,
        n: NodeIx,
        state_ix: usize,
        ix: usize,
        history: &'c ResourceHistory,
    ) -> Option<RscIx> {
        let lock =
            self.opts.shutdown_lock && history.extra.iter().any(|(k, _)| k == "shutdown-lock");
        if history.operations.is_empty() && !lock {
            return None;
        }
        let r = match self.find_in_config(n, ix, history) {
            Found::Rsc(r) => r,
            Found::Unknown => self.new_removed(history),
        };
        if lock {
            self.unpack_lock(r, n, history);
        }
        let at = HistoryRef {
            node_state: state_ix,
            resource: ix,
        };
        // Nodes come one after the other: an earlier entry of this one is near the end.
        let nodes = self.nodes.len();
        let known = &mut self.rscs[r].history;
        if let Some(earlier) = known.iter_mut().rev().take(2).find(|(m, _)| *m == n) {
            earlier.1 = at;
        } else {
            if known.capacity() == 0 {
                known.reserve_exact(nodes);
            }
            known.push((n, at));
        }
        let (single, several);
        let ops: &[&'c OperationHistory] = match history.operations.as_slice() {
            [one] => {
                single = [one];
                &single
            }
            more => {
                several = in_order(more);
                &several
            }
        };
        let saved = self.rscs[r].role;
        self.rscs[r].role = Role::Unknown;
        let mut on_fail = OnFail::Ignore;
        let mut last_failure: Option<&'c OperationHistory> = None;
        for op in ops {
            self.unpack_result(r, n, op, &mut last_failure, &mut on_fail);
        }
        self.recurring_in_history(r, n, ops);
        self.judge_state(r, n, on_fail);
        if self.rscs[r].has_target
            && let Some(role) = self.target_role(r)
        {
            let next = self.rscs[r].next_role;
            if next == Role::Unknown || role < next {
                self.set_next_role(r, role, "target-role");
            }
        }
        if saved > self.rscs[r].role {
            self.rscs[r].role = saved;
        }
        Some(r)
    }

    fn unpack_lock(&mut self, r: RscIx, n: NodeIx, history: &ResourceHistory) {
        let at = history
            .extra
            .iter()
            .find(|(k, _)| k == "shutdown-lock")
            .and_then(|(_, v)| v.parse().ok());
        let Some(at) = at else { return };
        let limit = self.opts.shutdown_lock_limit_s;
        if limit > 0 && self.now > at + limit {
            self.action(r, Task::Delete, 0, Some(n), false);
            return;
        }
        self.rscs[r].lock_node = Some(n);
        self.rscs[r].lock_time = at;
        if limit > 0 {
            self.recheck_by(at + limit);
        }
    }

    fn find_in_config(&mut self, n: NodeIx, ix: usize, history: &ResourceHistory) -> Found {
        let id = &history.id;
        // Nodes mostly list resources in the same order.
        let exact = match self.history_guesses.get(ix) {
            Some(&r) if self.rscs[r].id == *id => Some(r),
            _ => self.rsc_by_id.get(id.as_str()).copied(),
        };
        if let Some(r) = exact {
            if self.history_guesses.len() <= ix {
                self.history_guesses.resize(ix + 1, r);
            }
            self.history_guesses[ix] = r;
        }
        if let Some(r) = exact {
            if !self.is_primitive(r) {
                // The name was a primitive's once: what is left of that is to be cleaned up.
                return Found::Unknown;
            }
            let top = self.uber(r);
            if !self.is_anon_clone(top) {
                return Found::Rsc(r);
            }
        }
        let base = base_name(id);
        let Some(&clone) = self
            .anon_by_base
            .get(base)
            .or_else(|| self.anon_by_base.get(id.as_str()))
        else {
            return Found::Unknown;
        };
        let r = if let Some(bundle) = self.rscs[clone].parent {
            self.bundle_child_on(bundle, n)
        } else {
            Some(self.anonymous_instance(n, clone, base))
        };
        let Some(r) = r else { return Found::Unknown };
        if *id != self.rscs[r].id {
            self.rscs[r].history_id = Some(id.to_string());
        }
        Found::Rsc(r)
    }

    /// The primitive of that base name within an instance.
    fn member_named(&self, instance: RscIx, base: &str) -> Option<RscIx> {
        if self.is_primitive(instance) {
            return (base_name(&self.rscs[instance].id) == base).then_some(instance);
        }
        self.rscs[instance]
            .children
            .iter()
            .copied()
            .find(|&c| base_name(&self.rscs[c].id) == base)
    }

    /// Nodes on which an instance (or any part of it) is active now.
    pub fn locations_now(&self, r: RscIx) -> Vec<NodeIx> {
        let mut out = Vec::new();
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        for leaf in leaves {
            for &n in &self.rscs[leaf].running {
                if !out.contains(&n) {
                    out.push(n);
                }
            }
        }
        out
    }

    fn anonymous_instance(&mut self, n: NodeIx, clone: RscIx, base: &str) -> RscIx {
        let mut found = None;
        let mut inactive = None;
        let mut skip = false;
        for &child in &self.rscs[clone].children {
            let on = self.locations_now(child);
            if let Some(&first) = on.first() {
                if first == n && found.is_none() {
                    found = self.member_named(child, base);
                    if found.is_some_and(|r| !self.rscs[r].running.is_empty()) {
                        skip = true;
                        found = None;
                    }
                }
            } else if !skip && inactive.is_none() && !self.rscs[child].blocked {
                inactive = self.member_named(child, base);
                if inactive.is_some_and(|r| self.rscs[r].pending_node.is_some_and(|p| p != n)) {
                    inactive = None;
                }
            }
        }
        if found.is_none() && !skip {
            found = inactive;
        }
        if let Some(r) = found {
            let node = &self.nodes[n];
            let doubtful = !self.rscs[r].needs_fencing
                && (!node.online || node.unclean)
                && !self.is_guest(n)
                && self.clone_info(clone).max < i32::try_from(self.nodes.len()).unwrap_or(i32::MAX);
            if !doubtful {
                return r;
            }
        }
        // More histories than instances: an extra instance, to be stopped.
        let made = self.new_instance(clone);
        let mut family = Vec::new();
        self.family(made, &mut family);
        for r in family {
            self.rscs[r].removed = true;
        }
        self.member_named(made, base).unwrap_or(made)
    }

    /// A resource that is in the history only.
    fn new_removed(&mut self, history: &'c ResourceHistory) -> RscIx {
        self.cfgs.push(PrimConfig {
            class: &history.class,
            provider: history.provider.as_deref(),
            agent: &history.agent,
            sets: Vec::new(),
            ops: Vec::new(),
            template: None,
            extra_params: Vec::new(),
            made_ops: Vec::new(),
            extra_meta: Vec::new(),
        });
        let cfg = self.cfgs.len() - 1;
        let r = self.new_primitive(history.id.to_string(), cfg, None, None);
        self.rscs[r].removed = true;
        self.top.push(r);
        if self.rscs[r].remote_connection
            && let Some(n) = self.find_node(&history.id)
            && self.nodes[n].remote_rsc.is_none()
        {
            self.nodes[n].remote_rsc = Some(r);
            self.have_remote = true;
        }
        if history.container.is_some() {
            self.rscs[r].removed_filler = true;
        }
        if self.opts.stop_removed {
            self.ban_everywhere(r, "__orphan_do_not_run__");
        } else {
            self.rscs[r].managed = false;
        }
        r
    }

    /// Adds minus infinity on all nodes.
    pub(crate) fn ban_everywhere(&mut self, r: RscIx, id: &str) {
        let nodes: Vec<(NodeIx, i32)> = (0..self.nodes.len()).map(|n| (n, -INF)).collect();
        self.add_location(r, &nodes, id);
    }

    pub(crate) fn ban_on(&mut self, r: RscIx, n: NodeIx, id: &str) {
        self.add_location(r, &[(n, -INF)], id);
    }

    /// Adds scores to a resource and all below it, at once.
    pub(crate) fn add_location(&mut self, r: RscIx, nodes: &[(NodeIx, i32)], id: &str) {
        let mut family = Vec::new();
        self.family(r, &mut family);
        for x in family {
            for &(n, score) in nodes {
                let before = self.rscs[x].allowed[n];
                let cell = &mut self.rscs[x].allowed[n];
                cell.allowed = true;
                cell.score = crate::score::add(cell.score, score);
                self.ledger_note(x, n, before, || Cause::Rule(id.to_owned()));
            }
        }
    }

    /// Whose placement a failure on a node spoils: all instances where they are interchangeable.
    pub(super) fn banned_one(&self, r: RscIx) -> RscIx {
        if self.rscs[r].unique { r } else { self.uber(r) }
    }
}

/// What a history entry stands for.
enum Found {
    Rsc(RscIx),
    Unknown,
}
