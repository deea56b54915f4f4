//! Orders and colocations that follow from what a resource is.

use crate::action::Task;
use crate::relation::rel;
use crate::score::INF;
use crate::scores::colocation::NewColocation;
use crate::world::{Kind, Role, RscIx, World};

impl World<'_> {
    pub fn internal_constraints(&mut self) {
        for r in self.top.clone() {
            self.internal(r);
        }
    }

    pub(crate) fn internal(&mut self, r: RscIx) {
        match self.rscs[r].kind {
            Kind::Primitive => self.primitive_internal(r),
            Kind::Group(_) => self.group_internal(r),
            Kind::Clone(_) => self.clone_internal(r),
            Kind::Bundle(_) => self.bundle_internal(r),
        }
    }

    fn primitive_internal(&mut self, r: RscIx) {
        if !self.rscs[r].managed {
            return;
        }
        self.order_tasks(
            (r, Task::Stop),
            (r, Task::Start),
            rel::ORDERED | rel::FIRST_IMPLIES_THEN | rel::RESTART,
        );
        if self.rscs[self.uber(r)].promotable || self.rscs[r].role > Role::Unpromoted {
            self.order_tasks(
                (r, Task::Demote),
                (r, Task::Stop),
                rel::PROMOTED_IMPLIES_FIRST,
            );
            self.order_tasks((r, Task::Start), (r, Task::Promote), rel::UNRUNNABLE_BLOCKS);
        }
        self.order_tasks(
            (r, Task::Delete),
            (r, Task::Monitor),
            rel::SAME_NODE | rel::CANCELS_FIRST,
        );
        if self.have_unfencing && !self.rscs[r].fence_device && self.rscs[r].needs_unfencing {
            self.unfence_orders(r);
        }
        if !self.rscs[r].utilization.is_empty()
            && self.opts.strategy != crate::options::Strategy::Default
        {
            self.utilization_orders(r);
        }
        if let Some(container) = self.rscs[r].container {
            self.container_internal(r, container);
        }
        if self.rscs[r].remote_connection || self.rscs[r].fence_device {
            self.avoid_remotes(r);
        }
    }

    /// Stops precede, and starts follow, the unfencing of each node.
    fn unfence_orders(&mut self, r: RscIx) {
        for n in 0..self.nodes.len() {
            if !self.rscs[r].allowed[n].allowed || self.is_guest(n) {
                continue;
            }
            let unfence = self.fence_op(n, Some("on"), true, None, false);
            use crate::relation::Side;
            self.order_sides(
                Side::Rsc(r, Task::Stop, 0),
                Side::Action(unfence, None),
                rel::ORDERED | rel::SAME_NODE,
            );
            self.order_sides(
                Side::Action(unfence, None),
                Side::Rsc(r, Task::Start, 0),
                rel::IMPLIES_SAME_NODE | rel::SAME_NODE,
            );
        }
    }

    /// What leaves a node frees its capacity before anything is started there.
    fn utilization_orders(&mut self, r: RscIx) {
        use crate::relation::Side;
        for n in self.rscs[r].running.clone() {
            let gate = self.load_stopped(n);
            self.order_sides(
                Side::Rsc(r, Task::Stop, 0),
                Side::Action(gate, None),
                rel::IF_ON_TARGET,
            );
        }
        for n in 0..self.nodes.len() {
            if !self.rscs[r].allowed[n].allowed {
                continue;
            }
            let gate = self.load_stopped(n);
            self.order_sides(
                Side::Action(gate, None),
                Side::Rsc(r, Task::Start, 0),
                rel::IF_ON_TARGET,
            );
            self.order_sides(
                Side::Action(gate, None),
                Side::Rsc(r, Task::MigrateTo, 0),
                rel::IF_ON_TARGET,
            );
        }
    }

    fn load_stopped(&mut self, n: usize) -> usize {
        let key = format!("load_stopped_{}", self.nodes[n].name);
        let a = self.node_action(key.clone(), Task::LoadStopped, Some(n), true);
        let action = &mut self.actions[a];
        action.text = Some(key);
        action.flags |= crate::action::flag::PSEUDO;
        action.flags &= !crate::action::flag::OPTIONAL;
        a
    }

    fn container_internal(&mut self, r: RscIx, container: RscIx) {
        let mut guest = None;
        if self.rscs[r].remote_connection {
            if !self.bundled(r) {
                self.avoid_remotes(container);
            }
            self.order_tasks((container, Task::Monitor), (r, Task::Stop), rel::ORDERED);
        } else {
            guest = self.rscs[container]
                .fillers
                .iter()
                .copied()
                .find(|&f| self.rscs[f].remote_connection);
        }
        if let Some(guest) = guest {
            for n in 0..self.nodes.len() {
                if self.nodes[n].remote_rsc != Some(guest) {
                    self.rscs[r].allowed[n].score = -INF;
                }
            }
            return;
        }
        self.order_tasks(
            (container, Task::Start),
            (r, Task::Start),
            rel::FIRST_IMPLIES_THEN | rel::UNRUNNABLE_BLOCKS,
        );
        self.order_tasks(
            (r, Task::Stop),
            (container, Task::Stop),
            rel::THEN_IMPLIES_FIRST,
        );
        let score = if self.bundled(r) { 10_000 } else { INF };
        self.new_colocation(NewColocation {
            id: "#resource-with-container".to_owned(),
            dependent: r,
            primary: container,
            roles: (Role::Unknown, Role::Unknown),
            score,
            attribute: None,
            influence: Some(true),
        });
    }

    pub(crate) fn avoid_remotes(&mut self, r: RscIx) {
        for n in 0..self.nodes.len() {
            if self.is_remote(n) && self.nodes[n].remote_rsc.is_some() {
                self.rscs[r].allowed[n].score = -INF;
            }
        }
    }

    fn group_internal(&mut self, r: RscIx) {
        let info = self.group_info(r).clone();
        let promotable = self.rscs[self.uber(r)].promotable;
        self.order_tasks((r, Task::Stopped), (r, Task::Start), rel::ORDERED);
        self.order_tasks((r, Task::Start), (r, Task::Started), rel::UNRUNNABLE_BLOCKS);
        self.order_tasks((r, Task::Stop), (r, Task::Stopped), rel::UNRUNNABLE_BLOCKS);
        let mut previous: Option<RscIx> = None;
        let mut last_active: Option<RscIx> = None;
        for m in self.rscs[r].children.clone() {
            self.internal(m);
            let (mut down, mut post_down) = (rel::FIRST_GRAPHED, rel::THEN_GRAPHED);
            match previous {
                None if info.ordered => {
                    down |= rel::ORDERED;
                    post_down = rel::FIRST_IMPLIES_THEN;
                }
                Some(p) if info.colocated => {
                    let critical = self.rscs[m].critical;
                    self.new_colocation(NewColocation {
                        id: "#group-members".to_owned(),
                        dependent: m,
                        primary: p,
                        roles: (Role::Unknown, Role::Unknown),
                        score: INF,
                        attribute: None,
                        influence: Some(critical),
                    });
                }
                _ => {}
            }
            let up = rel::UNRUNNABLE_BLOCKS | rel::FIRST_IMPLIES_THEN | rel::THEN_GRAPHED;
            if promotable {
                self.order_tasks((r, Task::Demote), (m, Task::Demote), rel::FIRST_GRAPHED);
                self.order_tasks((m, Task::Demote), (r, Task::Demoted), post_down);
                self.order_tasks((m, Task::Promote), (r, Task::Promoted), up);
                self.order_tasks((r, Task::Promote), (m, Task::Promote), rel::FIRST_GRAPHED);
            }
            self.order_stops(r, m, down);
            self.order_tasks((m, Task::Stop), (r, Task::Stopped), post_down);
            self.order_starts(r, m, rel::FIRST_GRAPHED);
            self.order_tasks((m, Task::Start), (r, Task::Started), up);
            self.chain_member(r, m, previous, info.ordered, promotable);
            if !self.rscs[m].running.is_empty() {
                if let (true, Some(p), Some(last)) = (info.ordered, previous, last_active)
                    && self.rscs[p].running.is_empty()
                {
                    self.order_stops(m, last, rel::ORDERED);
                }
                last_active = Some(m);
            }
            previous = Some(m);
        }
    }

    fn chain_member(
        &mut self,
        r: RscIx,
        m: RscIx,
        previous: Option<RscIx>,
        ordered: bool,
        promotable: bool,
    ) {
        let strict = rel::FIRST_IMPLIES_THEN | rel::UNRUNNABLE_BLOCKS;
        if !ordered {
            self.order_starts(r, m, strict | rel::FIRST_GRAPHED);
            if promotable {
                self.order_tasks(
                    (r, Task::Promote),
                    (m, Task::Promote),
                    strict | rel::FIRST_GRAPHED,
                );
            }
            return;
        }
        let Some(p) = previous else { return };
        self.order_starts(p, m, strict);
        self.order_stops(m, p, rel::ORDERED | rel::RESTART);
        if !self.rscs[m].running.is_empty() && self.rscs[p].running.is_empty() {
            self.order_tasks(
                (m, Task::Stop),
                (p, Task::Start),
                rel::THEN_IMPLIES_FIRST | rel::UNRUNNABLE_BLOCKS,
            );
        }
        if promotable {
            self.order_tasks((p, Task::Promote), (m, Task::Promote), strict);
            self.order_tasks((m, Task::Demote), (p, Task::Demote), rel::ORDERED);
        }
    }

    fn clone_internal(&mut self, r: RscIx) {
        let ordered = self.clone_info(r).ordered;
        let promotable = self.rscs[r].promotable;
        self.order_tasks((r, Task::Stopped), (r, Task::Start), rel::ORDERED);
        self.order_tasks((r, Task::Start), (r, Task::Started), rel::UNRUNNABLE_BLOCKS);
        self.order_tasks((r, Task::Stop), (r, Task::Stopped), rel::UNRUNNABLE_BLOCKS);
        if promotable {
            self.order_tasks((r, Task::Demoted), (r, Task::Stop), rel::ORDERED);
            self.order_tasks(
                (r, Task::Started),
                (r, Task::Promote),
                rel::UNRUNNABLE_BLOCKS,
            );
        }
        let mut instances = self.rscs[r].children.clone();
        if ordered {
            instances.sort_by_key(|&i| self.rscs[i].instance);
            self.rscs[r].children.clone_from(&instances);
        }
        for (at, &i) in instances.iter().enumerate() {
            self.internal(i);
            self.order_starts(r, i, rel::UNRUNNABLE_BLOCKS | rel::FIRST_GRAPHED);
            self.order_tasks((i, Task::Start), (r, Task::Started), rel::THEN_GRAPHED);
            self.order_stops(r, i, rel::FIRST_GRAPHED);
            self.order_tasks((i, Task::Stop), (r, Task::Stopped), rel::THEN_GRAPHED);
            if ordered {
                for &later in &instances[at + 1..] {
                    self.order_starts(i, later, rel::ORDERED);
                    self.order_stops(later, i, rel::ORDERED);
                }
            }
        }
        if promotable {
            self.promotable_internal(r, &instances, ordered);
        }
    }

    /// A collective resource demotes before it stops, and promotes last, whatever its parts do.
    pub(super) fn promotion_phases(&mut self, r: RscIx) {
        for (a, b) in [
            (Task::Stopped, Task::Start),
            (Task::Stopped, Task::Promote),
            (Task::Demoted, Task::Stop),
            (Task::Demoted, Task::Start),
            (Task::Demoted, Task::Promote),
            (Task::Started, Task::Promote),
            (Task::Demote, Task::Demoted),
        ] {
            self.order_tasks((r, a), (r, b), rel::ORDERED);
        }
    }

    fn promotable_internal(&mut self, r: RscIx, instances: &[RscIx], ordered: bool) {
        self.promotion_phases(r);
        let mut previous: Option<RscIx> = None;
        for &i in instances {
            self.order_tasks((r, Task::Demote), (i, Task::Demote), rel::FIRST_GRAPHED);
            self.order_tasks((i, Task::Demote), (r, Task::Demoted), rel::THEN_GRAPHED);
            self.order_tasks((r, Task::Promote), (i, Task::Promote), rel::FIRST_GRAPHED);
            self.order_tasks((i, Task::Promote), (r, Task::Promoted), rel::THEN_GRAPHED);
            self.order_tasks((i, Task::Demote), (i, Task::Promote), rel::ORDERED);
            if let (true, Some(p)) = (ordered, previous) {
                self.order_tasks((p, Task::Promote), (i, Task::Promote), rel::ORDERED);
                self.order_tasks((i, Task::Demote), (p, Task::Demote), rel::ORDERED);
            }
            previous = Some(i);
        }
    }
}
