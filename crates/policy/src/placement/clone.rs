//! Placing clones.

use super::IfNone;
use crate::ledger::Cause;
use crate::world::{NodeIx, RscIx, World};

impl World<'_> {
    pub(super) fn assign_clone(&mut self, r: RscIx, prefer: Option<NodeIx>, if_none: IfNone) {
        if !self.rscs[r].unassigned || self.rscs[r].assigning {
            return;
        }
        let promotable = self.rscs[r].promotable;
        if promotable {
            self.add_promotion_scores(r);
        }
        self.rscs[r].assigning = true;
        for c in self.colocations_of(r) {
            let primary = self.colocations[c].primary;
            self.assign(primary, prefer, if_none);
        }
        for c in self.colocations_with(r) {
            let before = self.ledger_before(r);
            self.add_dependent_scores(c, r);
            self.ledger_after(r, before, &Cause::Dependent(c));
        }
        self.log_scores("pcmk__clone_assign", r);
        let instances = self.rscs[r].children.clone();
        let instances = self.in_order_of_choice(&instances);
        self.rscs[r].children.clone_from(&instances);
        let info = self.clone_info(r);
        let (max, node_max) = (info.max, info.node_max);
        self.assign_instances(r, &instances, max, node_max);
        if promotable {
            self.give_roles(r);
        }
        self.rscs[r].unassigned = false;
        self.rscs[r].assigning = false;
    }
}
