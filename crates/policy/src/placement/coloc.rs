//! What colocations do to scores.

use crate::score::{INF, Score, add};
use crate::world::{Cell, ColIx, Colocation, GuestCheck, Kind, NodeIx, Role, RscIx, World};

/// Marks a node that lost its positive score to a repulsion that is not allowed to win.
const FILTERED: Score = -INF - 1;

/// How scores of what goes with a resource are merged into its own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Merge {
    pub active: bool,
    pub nonnegative: bool,
    pub this_with: bool,
}

impl World<'_> {
    fn attribute_at(&self, n: NodeIx, con: &Colocation, r: RscIx) -> Option<&str> {
        let name = con.attribute.as_deref()?;
        self.node_attribute(n, name, r)
    }

    /// A node's attribute; of a guest, its host's where the resource says so.
    pub(crate) fn node_attribute(&self, n: NodeIx, name: &str, r: RscIx) -> Option<&str> {
        let node = &self.nodes[n];
        let host = self.meta(r, "container-attribute-target") == Some("host");
        if host
            && self.is_guest(n)
            && let Some(container) = node.remote_rsc.and_then(|c| self.rscs[c].container)
        {
            // Until the resource has its place the present host counts, then the one that is decided.
            let h = if self.rscs[r].unassigned {
                self.rscs[container].running.first().copied()
            } else {
                self.rscs[container].assigned
            };
            return h
                .and_then(|h| self.nodes[h].attrs.get(name))
                .map(String::as_str);
        }
        node.attrs.get(name).map(String::as_str)
    }

    /// Merges what dependents prefer into the scores of what they go with.
    pub(crate) fn add_dependent_scores(&mut self, c: ColIx, primary: RscIx) {
        if !self.has_influence(c, None) {
            return;
        }
        let con = &self.colocations[c];
        let factor = f64::from(con.score) / f64::from(INF);
        let dependent = con.dependent;
        let merge = Merge {
            active: true,
            nonnegative: self.is_clone(primary),
            this_with: false,
        };
        let mut work = Some(std::mem::take(&mut self.rscs[primary].allowed));
        // The primary keeps its scores while others are asked.
        self.rscs[primary].allowed = work.clone().unwrap_or_default();
        self.merge_scores(dependent, primary, &mut work, Some(c), factor, merge);
        self.rscs[primary].allowed = work.unwrap_or_default();
    }

    pub(super) fn merge_scores(
        &mut self,
        source: RscIx,
        target: RscIx,
        nodes: &mut Option<Vec<Cell>>,
        con: Option<ColIx>,
        factor: f64,
        how: Merge,
    ) {
        if self.rscs[source].detect_loop {
            return;
        }
        match &self.rscs[source].kind {
            Kind::Group(_) => {
                let member = if nodes.is_none() {
                    self.rscs[source].children.last()
                } else {
                    self.rscs[source].children.first()
                };
                let Some(&member) = member else { return };
                self.rscs[source].detect_loop = true;
                self.merge_scores(member, target, nodes, con, factor, how);
                self.rscs[source].detect_loop = false;
                return;
            }
            Kind::Bundle(_) if nodes.is_some() => return,
            _ => {}
        }
        self.rscs[source].detect_loop = true;
        self.merge_own(source, target, nodes, con, factor, how);
        self.rscs[source].detect_loop = false;
    }

    fn merge_own(
        &mut self,
        source: RscIx,
        target: RscIx,
        nodes: &mut Option<Vec<Cell>>,
        con: Option<ColIx>,
        factor: f64,
        how: Merge,
    ) {
        let (mut work, target) = match nodes {
            None => (self.rscs[source].allowed.clone(), source),
            Some(have) => {
                let mut work = have.clone();
                self.add_matching(&mut work, source, target, con, factor, how.nonnegative);
                (work, target)
            }
        };
        if self.any_available(&work) {
            let list = if how.this_with {
                self.colocations_of(source)
            } else {
                self.colocations_with(source)
            };
            for c in list {
                let next = &self.colocations[c];
                let other = if how.this_with {
                    next.primary
                } else {
                    next.dependent
                };
                let other_factor = factor * f64::from(next.score) / f64::from(INF);
                if !how.this_with && !self.has_influence(c, None) {
                    continue;
                }
                let mut inner = Some(std::mem::take(&mut work));
                self.merge_scores(other, target, &mut inner, Some(c), other_factor, how);
                work = inner.unwrap_or_default();
            }
        } else if how.active {
            return;
        }
        if how.nonnegative {
            for cell in work.iter_mut().filter(|c| c.score == FILTERED) {
                cell.score = 1;
            }
        }
        *nodes = Some(work);
    }

    fn add_matching(
        &self,
        work: &mut [Cell],
        source: RscIx,
        target: RscIx,
        con: Option<ColIx>,
        factor: f64,
        nonnegative: bool,
    ) {
        let con = con.map(|c| &self.colocations[c]);
        let cells = &self.rscs[source].allowed;
        #[allow(
            clippy::needless_range_loop,
            reason = "the number names a node of several tables"
        )]
        for n in 0..work.len() {
            if !work[n].allowed || nonnegative && work[n].score == FILTERED {
                continue;
            }
            let best = match con.filter(|c| c.attribute.is_some()) {
                None => {
                    let host = self.hosting_node(n, false);
                    let cell = cells[host];
                    if cell.allowed && self.node_available(host, 0, GuestCheck::Nodes) {
                        cell.score
                    } else {
                        -INF
                    }
                }
                Some(con) => {
                    let value = self.attribute_at(n, con, target);
                    (0..cells.len())
                        .filter(|&m| {
                            cells[m].allowed && self.node_available(m, 0, GuestCheck::Nodes)
                        })
                        .filter(|&m| self.attribute_at(m, con, source) == value)
                        .map(|m| cells[m].score)
                        .max()
                        .unwrap_or(-INF)
                }
            };
            // A resource that must keep away does not draw the other to where it cannot go itself, unless it
            // has but one place: then the other may make room.
            if factor < 0.0 && best < 0 && !con.is_some_and(|c| self.one_place_only(c.dependent)) {
                continue;
            }
            let product = factor * f64::from(best);
            #[allow(clippy::cast_possible_truncation)]
            let mut delta = (if product < 0.0 {
                product - 0.5
            } else {
                product + 0.5
            }) as i32;
            if delta == 0 && best != 0 {
                delta = if factor > 0.0 {
                    1
                } else {
                    -i32::from(factor < 0.0)
                };
            }
            let cell = &mut work[n];
            let sum = add(delta, cell.score);
            if nonnegative && sum < 0 && cell.score > 0 {
                cell.score = FILTERED;
                continue;
            }
            if nonnegative && sum < 0 && cell.score == 0 {
                continue;
            }
            cell.score = sum;
        }
    }

    fn one_place_only(&self, r: RscIx) -> bool {
        let places = self.rscs[r].allowed.iter();
        places.filter(|c| c.allowed && c.score >= 0).count() == 1
    }

    /// Applies a colocation to the dependent's scores (or its promotion).
    pub(crate) fn apply_coloc(
        &mut self,
        dependent: RscIx,
        primary: RscIx,
        c: ColIx,
        for_dependent: bool,
    ) {
        if for_dependent {
            return match &self.rscs[dependent].kind {
                Kind::Primitive => self.apply_coloc(dependent, primary, c, false),
                Kind::Group(g) => {
                    let members = self.rscs[dependent].children.clone();
                    let chosen = if g.colocated {
                        &members[..members.len().min(1)]
                    } else {
                        &members[..]
                    };
                    if !g.colocated && self.colocations[c].score >= INF {
                        return;
                    }
                    for &m in chosen {
                        self.apply_coloc(m, primary, c, true);
                    }
                }
                _ => {}
            };
        }
        match self.rscs[primary].kind {
            Kind::Primitive => self.apply_to_primitive(dependent, primary, c),
            Kind::Group(ref g) => {
                if self.rscs[primary].unassigned {
                    return;
                }
                let colocated = g.colocated;
                let members = self.rscs[primary].children.clone();
                let mandatory = self.colocations[c].score >= INF;
                if colocated {
                    let member = if mandatory {
                        members.last()
                    } else {
                        members.first()
                    };
                    if let Some(&m) = member {
                        self.apply_coloc(dependent, m, c, false);
                    }
                } else if !mandatory {
                    for m in members {
                        self.apply_coloc(dependent, m, c, false);
                    }
                }
            }
            Kind::Clone(_) => self.apply_to_clone(dependent, primary, c),
            Kind::Bundle(_) => self.apply_to_bundle(dependent, primary, c),
        }
    }

    fn apply_to_primitive(&mut self, dependent: RscIx, primary: RscIx, c: ColIx) {
        if self.rscs[primary].unassigned {
            return;
        }
        let con = self.colocations[c].clone();
        let (d_role, p_role) = (self.role_carrier(dependent), self.role_carrier(primary));
        let promotable_parent = self.rscs[d_role]
            .parent
            .is_some_and(|_| self.rscs[self.uber(d_role)].promotable);
        if con.dependent_role >= Role::Unpromoted
            && promotable_parent
            && !self.rscs[d_role].unassigned
        {
            self.apply_to_priority(d_role, primary, &con);
            return;
        }
        if !self.rscs[dependent].unassigned {
            return;
        }
        if con.dependent_role != Role::Unknown && con.dependent_role != self.rscs[d_role].next_role
        {
            return;
        }
        if con.primary_role != Role::Unknown && con.primary_role != self.rscs[p_role].next_role {
            return;
        }
        self.apply_to_scores(dependent, primary, &con);
    }

    /// Of a bundle's container, what runs inside.
    fn role_carrier(&self, r: RscIx) -> RscIx {
        if self.rscs[r].replica_container {
            self.inside(r).unwrap_or(r)
        } else {
            r
        }
    }

    fn apply_to_scores(&mut self, dependent: RscIx, primary: RscIx, con: &Colocation) {
        let place = self.rscs[primary].assigned;
        if place.is_none() && con.score < 0 {
            return;
        }
        let value = place
            .and_then(|n| self.attribute_at(n, con, primary))
            .map(str::to_owned);
        let mut work = self.rscs[dependent].allowed.clone();
        for (n, cell) in work.iter_mut().enumerate().filter(|(_, c)| c.allowed) {
            let Some(place) = place else {
                cell.score = add(-con.score, cell.score);
                continue;
            };
            let same = if con.attribute.is_some() {
                self.attribute_at(n, con, dependent) == value.as_deref()
            } else {
                self.hosting_node(n, false) == place
            };
            if same {
                if con.score < INF {
                    cell.score = add(con.score, cell.score);
                }
            } else if con.score >= INF {
                cell.score = add(-con.score, cell.score);
            }
        }
        if con.score.abs() >= INF || self.any_available(&work) {
            self.rscs[dependent].allowed = work;
        }
    }

    fn apply_to_priority(&mut self, dependent: RscIx, primary: RscIx, con: &Colocation) {
        let (Some(d), Some(p)) = (self.rscs[dependent].assigned, self.rscs[primary].assigned)
        else {
            return;
        };
        let same = if con.attribute.is_some() {
            self.attribute_at(d, con, dependent) == self.attribute_at(p, con, primary)
        } else {
            d == p
        };
        let p_role = self.role_carrier(primary);
        if !same {
            if con.score >= INF && con.dependent_role == Role::Promoted {
                self.rscs[dependent].promotion_priority = -INF;
            }
            return;
        }
        if con.primary_role != Role::Unknown && con.primary_role != self.rscs[p_role].next_role {
            return;
        }
        let sign = if con.dependent_role == Role::Unpromoted {
            -1
        } else {
            1
        };
        let rsc = &mut self.rscs[dependent];
        rsc.promotion_priority = add(sign * con.score, rsc.promotion_priority);
    }

    fn apply_to_clone(&mut self, dependent: RscIx, primary: RscIx, c: ColIx) {
        if self.rscs[primary].unassigned {
            return;
        }
        let con = self.colocations[c].clone();
        let instances = self.rscs[primary].children.clone();
        if self.rscs[primary].promotable && con.primary_role != Role::Unknown {
            return self.apply_to_promotable(dependent, primary, &con);
        }
        if self.interleaves(con.dependent, primary) {
            match self.compatible_instance(dependent, primary, Role::Unknown, false) {
                Some(i) => self.apply_coloc(dependent, i, c, false),
                None if con.score >= INF => {
                    self.give(dependent, None, true, super::IfNone::Stop);
                }
                None => {}
            }
            return;
        }
        if con.score >= INF {
            let nodes: Vec<NodeIx> = instances
                .iter()
                .filter(|&&i| !self.any_blocked(i))
                .filter_map(|&i| self.assigned_node(i))
                .collect();
            self.keep_only(dependent, primary, &con, &nodes, &[]);
            return;
        }
        for i in instances {
            self.apply_coloc(dependent, i, c, false);
        }
    }

    pub(crate) fn any_blocked(&self, r: RscIx) -> bool {
        self.rscs[r].blocked || self.rscs[r].children.iter().any(|&c| self.any_blocked(c))
    }

    pub(super) fn interleaves(&self, dependent: RscIx, primary: RscIx) -> bool {
        let interleave = match &self.rscs[dependent].kind {
            Kind::Clone(c) => c.interleave,
            Kind::Bundle(_) => crate::score::is_true(self.meta(dependent, "interleave")),
            _ => false,
        };
        interleave && self.per_node(dependent) == self.per_node(primary)
    }

    fn per_node(&self, r: RscIx) -> i32 {
        match &self.rscs[r].kind {
            Kind::Clone(c) => c.node_max,
            Kind::Bundle(b) => b.per_host,
            _ => 1,
        }
    }

    /// Forbids all nodes but those, adding what is given to be added to each.
    pub(crate) fn keep_only(
        &mut self,
        dependent: RscIx,
        primary: RscIx,
        con: &Colocation,
        nodes: &[NodeIx],
        merge: &[Score],
    ) {
        for n in 0..self.nodes.len() {
            if !self.rscs[dependent].allowed[n].allowed {
                continue;
            }
            let found = nodes.iter().copied().find(|&m| {
                if con.attribute.is_some() {
                    self.attribute_at(m, con, primary) == self.attribute_at(n, con, dependent)
                } else {
                    m == self.hosting_node(n, false)
                }
            });
            let extra = found.and_then(|m| {
                let at = nodes.iter().position(|&x| x == m)?;
                merge.get(at).copied()
            });
            let cell = &mut self.rscs[dependent].allowed[n];
            match found {
                None => cell.score = -INF,
                Some(_) => {
                    if let Some(extra) = extra {
                        cell.score = add(cell.score, extra);
                    }
                }
            }
        }
    }

    /// All nodes where an instance of the primary will have the role that the constraint names.
    pub(crate) fn apply_to_promotable(
        &mut self,
        dependent: RscIx,
        primary: RscIx,
        con: &Colocation,
    ) {
        let (mut nodes, mut scores) = (Vec::new(), Vec::new());
        for i in self.rscs[primary].children.clone() {
            let Some(n) = self.assigned_node(i) else {
                continue;
            };
            if self.state(i, false) != con.primary_role {
                continue;
            }
            if con.score < INF {
                for m in 0..self.nodes.len() {
                    let same = if con.attribute.is_some() {
                        self.attribute_at(n, con, primary) == self.attribute_at(m, con, dependent)
                    } else {
                        self.hosting_node(m, false) == self.hosting_node(n, false)
                    };
                    let cell = &mut self.rscs[dependent].allowed[m];
                    if same && cell.allowed {
                        cell.score = add(cell.score, con.score);
                    }
                }
            }
            nodes.push(n);
            // What the instance itself makes of the place is what draws the dependent there.
            let mut leaves = Vec::new();
            self.leaves(i, &mut leaves);
            scores.push(leaves.first().map_or(0, |&l| self.rscs[l].allowed[n].score));
        }
        let both = con.dependent_role == Role::Promoted && con.primary_role == Role::Promoted;
        if con.score >= INF && !both {
            self.keep_only(dependent, primary, con, &nodes, &scores);
        }
    }

    /// Role of a resource, now or as decided; of a group or instance the highest of its parts.
    pub(crate) fn state(&self, r: RscIx, current: bool) -> Role {
        if self.is_primitive(r) {
            let rsc = &self.rscs[r];
            return if current { rsc.role } else { rsc.next_role };
        }
        self.rscs[r]
            .children
            .iter()
            .map(|&c| self.state(c, current))
            .max()
            .unwrap_or(Role::Unknown)
    }

    /// The instance of a clone or bundle that belongs with another resource's place.
    pub(crate) fn compatible_instance(
        &self,
        r: RscIx,
        clone: RscIx,
        role: Role,
        current: bool,
    ) -> Option<RscIx> {
        let place = |x: RscIx| {
            if current {
                self.current_single(x)
            } else {
                self.assigned_node(x)
            }
        };
        let instances = self.instances(clone);
        let on = |n: NodeIx| {
            instances.iter().copied().find(|&i| {
                (role == Role::Unknown || self.state(i, current) == role)
                    && !self.any_blocked(i)
                    && place(i) == Some(n)
            })
        };
        // What is inside a bundle's container belongs with what is on the container's host.
        let host = |n: NodeIx| self.hosting_node(n, current);
        if let Some(n) = place(r) {
            return on(host(n));
        }
        self.ranked(r, None).into_iter().map(host).find_map(on)
    }

    /// Instances of a clone, containers of a bundle.
    pub(crate) fn instances(&self, r: RscIx) -> Vec<RscIx> {
        match &self.rscs[r].kind {
            Kind::Bundle(b) => b.replicas.iter().map(|p| p.container).collect(),
            _ => self.rscs[r].children.clone(),
        }
    }
}
