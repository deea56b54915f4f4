//! Which colocations concern a resource: its own, and those of what it is part of.

use crate::world::{ColIx, Kind, RscIx, World};
use std::cmp::Ordering;

impl World<'_> {
    fn sort_colocations(&self, list: &mut [ColIx], dependent: bool) {
        let side = |c: ColIx| {
            let con = &self.colocations[c];
            if dependent {
                con.dependent
            } else {
                con.primary
            }
        };
        let rank = |r: RscIx| match self.rscs[r].kind {
            Kind::Primitive => 0,
            Kind::Group(_) => 1,
            Kind::Clone(_) => 2,
            Kind::Bundle(_) => 3,
        };
        list.sort_by(|&x, &y| {
            let (a, b) = (side(x), side(y));
            let (ra, rb) = (&self.rscs[a], &self.rscs[b]);
            rb.priority
                .cmp(&ra.priority)
                .then_with(|| rank(b).cmp(&rank(a)))
                .then_with(|| {
                    if self.is_clone(a) {
                        rb.promotable.cmp(&ra.promotable)
                    } else {
                        Ordering::Equal
                    }
                })
                .then_with(|| ra.id.cmp(&rb.id))
        });
    }

    /// Colocations in which a resource is the dependent, its parents' included where they concern it.
    pub(crate) fn colocations_of(&self, r: RscIx) -> Vec<ColIx> {
        let mut out = Vec::new();
        self.collect_this_with(r, r, &mut out);
        self.sort_colocations(&mut out, false);
        out
    }

    /// Colocations of others with a resource.
    pub(crate) fn colocations_with(&self, r: RscIx) -> Vec<ColIx> {
        let mut out = Vec::new();
        self.collect_with_this(r, r, &mut out);
        self.sort_colocations(&mut out, true);
        out
    }

    fn collect_this_with(&self, r: RscIx, origin: RscIx, out: &mut Vec<ColIx>) {
        let rsc = &self.rscs[r];
        match rsc.kind {
            Kind::Primitive => {
                if r == origin {
                    out.extend(&rsc.this_with);
                    if let Some(p) = rsc.parent {
                        self.collect_this_with(p, origin, out);
                    }
                } else {
                    out.extend(rsc.this_with.iter().filter(|&&c| self.explicit(c)));
                }
            }
            Kind::Group(_) => {
                let first = rsc.children.first().copied();
                if r == origin || first == Some(origin) {
                    out.extend(&rsc.this_with);
                    if let Some(p) = rsc.parent {
                        self.collect_this_with(p, origin, out);
                    }
                    for &c in rsc.children.iter().filter(|&&c| c != origin) {
                        self.collect_this_with(c, origin, out);
                    }
                } else if let Some(at) = rsc.children.iter().position(|&c| c == origin)
                    && rsc.children[..at].iter().all(|&c| !self.rscs[c].managed)
                {
                    // Members before it stay as they are, so that it speaks for the group.
                    out.extend(&rsc.this_with);
                    if let Some(p) = rsc.parent {
                        self.collect_this_with(p, origin, out);
                    }
                }
            }
            Kind::Clone(_) => {
                out.extend(&rsc.this_with);
                if let Some(p) = rsc.parent {
                    self.collect_this_with(p, origin, out);
                }
            }
            Kind::Bundle(_) => {
                if r == origin || self.replica_part(r, origin) {
                    out.extend(&rsc.this_with);
                }
            }
        }
    }

    fn collect_with_this(&self, r: RscIx, origin: RscIx, out: &mut Vec<ColIx>) {
        let rsc = &self.rscs[r];
        match rsc.kind {
            Kind::Primitive => {
                if r == origin {
                    out.extend(&rsc.with_this);
                    if let Some(p) = rsc.parent {
                        self.collect_with_this(p, origin, out);
                    }
                } else {
                    out.extend(rsc.with_this.iter().filter(|&&c| self.explicit(c)));
                }
            }
            Kind::Group(ref g) => {
                let last = rsc.children.last().copied();
                if r != origin && last != Some(origin) {
                    return;
                }
                out.extend(&rsc.with_this);
                if let Some(p) = rsc.parent {
                    self.collect_with_this(p, origin, out);
                }
                if g.colocated {
                    for &c in rsc.children.iter().filter(|&&c| c != origin) {
                        // Not the chain inside the group.
                        let outside = self.rscs[c].with_this.iter().filter(|&&x| self.explicit(x));
                        out.extend(outside);
                    }
                }
            }
            Kind::Clone(_) => {
                out.extend(&rsc.with_this);
                if let Some(p) = rsc.parent {
                    self.collect_with_this(p, origin, out);
                }
            }
            Kind::Bundle(_) => {
                if r == origin || self.replica_part(r, origin) {
                    out.extend(&rsc.with_this);
                }
            }
        }
    }

    /// Written by an operator, not made by what a resource is.
    fn explicit(&self, c: ColIx) -> bool {
        !self.colocations[c].id.starts_with('#')
    }

    /// Whether the dependent's wishes may move the other.
    pub(crate) fn has_influence(&self, c: ColIx, r: Option<RscIx>) -> bool {
        let con = &self.colocations[c];
        let r = r.unwrap_or(con.primary);
        // A healthy container is not moved for its connection's sake.
        let connection = self.rscs[con.dependent].remote_connection && self.bundled(con.dependent);
        if connection && !self.rscs[r].failed && self.rscs[r].running.len() == 1 {
            return false;
        }
        if con.influence {
            return true;
        }
        // What does not run yet may be placed as others like it.
        self.rscs[r].running.is_empty()
    }
}
