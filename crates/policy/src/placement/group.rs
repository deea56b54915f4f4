//! Placing groups.

use super::IfNone;
use crate::world::{NodeIx, RscIx, World};

impl World<'_> {
    pub(super) fn assign_group(
        &mut self,
        r: RscIx,
        prefer: Option<NodeIx>,
        if_none: IfNone,
    ) -> Option<NodeIx> {
        if !self.rscs[r].unassigned {
            return self.rscs[r]
                .children
                .first()
                .and_then(|&c| self.rscs[c].assigned);
        }
        if self.rscs[r].assigning {
            return None;
        }
        let Some(&first) = self.rscs[r].children.first() else {
            self.rscs[r].unassigned = false;
            return None;
        };
        self.rscs[r].assigning = true;
        self.rscs[r].role = self.rscs[first].role;
        self.log_scores("pcmk__group_assign", r);
        let mut found = None;
        for c in self.rscs[r].children.clone() {
            let node = self.assign(c, prefer, if_none);
            found = found.or(node);
        }
        let next = self.rscs[first].next_role;
        self.set_next_role(r, next, "first group member");
        self.rscs[r].assigning = false;
        self.rscs[r].unassigned = false;
        if self.group_info(r).colocated {
            found
        } else {
            None
        }
    }
}
