//! Promotion: which instances of a promotable clone get the promoted role.

use super::coloc::Merge;
use crate::ledger::Cause;
use crate::score::{INF, Score, add, parse, text};
use crate::world::{Colocation, GuestCheck, Kind, NodeIx, Role, RscIx, World};

impl World<'_> {
    /// Promotion scores count when instances are distributed, too.
    pub(super) fn add_promotion_scores(&mut self, r: RscIx) {
        if self.clone_info(r).added_promoted_constraints {
            return;
        }
        self.clone_info_mut(r).added_promoted_constraints = true;
        for i in self.rscs[r].children.clone() {
            for n in 0..self.nodes.len() {
                if !self.rscs[i].allowed[n].allowed || !self.node_available(n, 0, GuestCheck::Nodes)
                {
                    continue;
                }
                // A negative wish is one against the role, not against the place.
                let Some(score) = self.promotion_score(i, n).filter(|&s| s > 0) else {
                    continue;
                };
                let cell = &mut self.rscs[i].allowed[n];
                let before = *cell;
                cell.score = add(cell.score, score);
                self.ledger_note(i, n, before, || Cause::Promotion);
                let best = &mut self.rscs[i].promotion_priority;
                *best = score.max(*best);
            }
        }
    }

    /// What an agent has asked for by its promotion attribute.
    fn promotion_score(&self, i: RscIx, n: NodeIx) -> Option<Score> {
        let children = &self.rscs[i].children;
        if !children.is_empty() {
            let mut sum = None;
            for &c in children {
                if let Some(s) = self.promotion_score(c, n) {
                    sum = Some(add(sum.unwrap_or(0), s));
                }
            }
            return sum;
        }
        if !self.promotion_applies(i, n) {
            return None;
        }
        let value = |name: &str| {
            self.node_attribute(n, &format!("master-{name}"), i)
                .map(parse)
        };
        let name = self.history_name(i);
        // Instances that can be told apart have each their own, and no other.
        let unique = self.rscs[i].unique;
        value(name).or_else(|| {
            let base = crate::facts::failcount_base(&self.rscs[i].id);
            (base != name && !unique).then(|| value(base)).flatten()
        })
    }

    fn promotion_applies(&self, i: RscIx, n: NodeIx) -> bool {
        let rsc = &self.rscs[i];
        let top = self.uber(i);
        if self.is_anon_clone(top) {
            let base = crate::facts::failcount_base(&rsc.id);
            let same = |x: &RscIx| crate::facts::failcount_base(&self.rscs[*x].id) == base;
            let mut leaves = Vec::new();
            self.leaves(top, &mut leaves);
            let mut peers = leaves.into_iter().filter(same);
            let mut known = false;
            let mut active = None;
            for p in peers.by_ref() {
                if self.rscs[p].running.contains(&n) && active.is_none() {
                    active = Some(p);
                }
                known |= self.rscs[p].known[n];
            }
            if active == Some(i) {
                return true;
            }
            if active.is_none() && known {
                return true;
            }
        }
        if rsc.running.is_empty() && !rsc.known.iter().any(|&k| k) {
            return true;
        }
        rsc.known[n] || rsc.running.contains(&n)
    }

    pub(super) fn give_roles(&mut self, r: RscIx) {
        self.clone_info_mut(r).merged_promotion = true;
        for cell in &mut self.rscs[r].allowed {
            cell.count = 0;
        }
        let mut leaves = Vec::new();
        self.leaves(r, &mut leaves);
        for leaf in leaves {
            if self.rscs[leaf].role == Role::Started {
                self.rscs[leaf].role = Role::Unpromoted;
            }
        }
        for i in self.rscs[r].children.clone() {
            self.set_promotion_priority(r, i);
        }
        let index = self.sort_indices(r);
        let instances = self.rscs[r].children.clone();
        let liking = self.liking(&instances);
        let instances = crate::sorting::by_halves(&instances, &mut |&a, &b| {
            let (x, y) = (index_of(&index, a), index_of(&index, b));
            y.cmp(&x)
                .then_with(|| self.state(b, true).cmp(&self.state(a, true)))
                .then_with(|| self.compare_instances(a, b, &liking))
        });
        self.rscs[r].children.clone_from(&instances);
        let (max, node_max) = {
            let info = self.clone_info(r);
            (info.promoted_max, info.promoted_node_max)
        };
        let mut promoted = 0;
        for i in instances {
            let score = index_of(&index, i);
            let place = match self.assigned_node(i) {
                Some(n) => format!("on {}", self.nodes[n].name),
                None => "(inactive)".to_owned(),
            };
            if self.score_log.is_some() {
                self.promotion_log.push(format!(
                    "{} promotion score {place}: {}",
                    self.rscs[i].id,
                    text(score)
                ));
            }
            let node = if promoted < max {
                self.promotion_node(i, r, node_max, &index)
            } else {
                None
            };
            if let Some(ledger) = self.ledger.as_mut() {
                ledger.promotions.push(crate::ledger::Promotion {
                    rsc: i,
                    score,
                    is_promoted: node.is_some(),
                    is_full: promoted >= max,
                });
            }
            match node {
                Some(n) => {
                    self.rscs[r].allowed[n].count += 1;
                    promoted += 1;
                    self.set_promoted(i);
                }
                None => self.set_unpromoted(i),
            }
        }
        self.clone_info_mut(r).promoted_allocated = promoted;
    }

    fn set_promotion_priority(&mut self, r: RscIx, i: RscIx) {
        let Some(n) = self.assigned_node(i) else {
            self.rscs[i].promotion_priority = -INF;
            return;
        };
        match self.state(i, false) {
            Role::Stopped | Role::Unpromoted => self.rscs[i].promotion_priority = -INF,
            Role::Promoted => {}
            _ => {
                self.rscs[i].promotion_priority = self.promotion_score(i, n).unwrap_or(-1);
                self.ledger_wish(i, n, None, || Cause::Promotion);
            }
        }
        // A bundle's preferences for the promoted role are about its replicas' own nodes.
        let bundle = self.rscs[r].parent;
        for owner in [i, r].into_iter().chain(bundle) {
            for &l in &self.rscs[owner].locations.clone() {
                let con = &self.locations[l];
                if con.role != Role::Promoted {
                    continue;
                }
                if let Some(&(_, score)) = con.nodes.iter().find(|(m, _)| *m == n) {
                    let p = self.rscs[i].promotion_priority;
                    self.rscs[i].promotion_priority = add(p, score);
                    self.ledger_wish(i, n, Some(p), || Cause::Location(l));
                }
            }
        }
        for c in self.colocations_of(i) {
            let before = self.rscs[i].promotion_priority;
            self.apply_promotion_coloc(i, n, c);
            self.ledger_wish(i, n, Some(before), || Cause::Together(c));
        }
    }

    /// Colocations by role change the wish to be promoted.
    fn apply_promotion_coloc(&mut self, i: RscIx, here: NodeIx, c: usize) {
        let con = self.colocations[c].clone();
        if con.dependent_role < Role::Unpromoted || self.rscs[con.primary].unassigned {
            return;
        }
        let parts = match self.rscs[con.primary].kind {
            Kind::Bundle(_) => return self.promotion_with_bundle(i, here, &con),
            Kind::Clone(_) => self.rscs[con.primary].children.clone(),
            Kind::Group(_) => {
                // For a demand the whole group counts, for a wish any of it.
                let members = &self.rscs[con.primary].children;
                let member = if con.score >= INF {
                    members.last()
                } else {
                    members.first()
                };
                member.copied().into_iter().collect()
            }
            _ => vec![con.primary],
        };
        let place = |world: &Self, n: NodeIx, r: RscIx| match &con.attribute {
            Some(name) => world.node_attribute(n, name, r).map(str::to_owned),
            None => Some(world.nodes[world.hosting_node(n, false)].name.clone()),
        };
        let mine = place(self, here, i);
        let mut together = false;
        for part in parts {
            let Some(n) = self.assigned_node(part) else {
                continue;
            };
            let fits =
                con.primary_role == Role::Unknown || self.state(part, false) == con.primary_role;
            together |= fits && place(self, n, part) == mine;
        }
        let rsc = &mut self.rscs[i];
        if together {
            let sign = if con.dependent_role == Role::Unpromoted {
                -1
            } else {
                1
            };
            rsc.promotion_priority = add(sign * con.score, rsc.promotion_priority);
        } else if con.score >= INF && con.dependent_role == Role::Promoted {
            // Where the other is not, or because it is nowhere.
            rsc.promotion_priority = -INF;
        }
    }

    /// What matters of a bundle is the replica on the same host: the instance comes and goes with
    /// that one's role, whatever the other replicas do.
    fn promotion_with_bundle(&mut self, i: RscIx, here: NodeIx, con: &Colocation) {
        let host = self.hosting_node(here, false);
        let replica = self.bundle(con.primary).replicas.iter().find(|p| {
            let container = &self.rscs[p.container];
            container.assigned == Some(host) && !container.blocked
        });
        let Some(replica) = replica else {
            if con.score >= INF && con.dependent_role == Role::Promoted {
                self.rscs[i].promotion_priority = -INF;
            }
            return;
        };
        let role = self.rscs[replica.child.unwrap_or(replica.container)].next_role;
        if con.primary_role != Role::Unknown && con.primary_role != role {
            return;
        }
        let sign = if con.dependent_role == Role::Unpromoted {
            -1
        } else {
            1
        };
        let rsc = &mut self.rscs[i];
        rsc.promotion_priority = add(sign * con.score, rsc.promotion_priority);
    }

    /// Final weight of each instance's wish: promotion score, and what others prefer of its node.
    fn sort_indices(&mut self, r: RscIx) -> Vec<(RscIx, Score)> {
        let children = self.rscs[r].children.clone();
        let mut out = Vec::new();
        for &i in &children {
            let mut score = self.rscs[i].promotion_priority;
            if self.state(i, false) == Role::Promoted {
                score = INF;
            }
            out.push((i, score));
        }
        let original = self.rscs[r].allowed.clone();
        for &(i, score) in &out {
            if score < 0 {
                continue;
            }
            if let Some(n) = self.assigned_node(i) {
                let cell = &mut self.rscs[r].allowed[n];
                cell.score = add(score, cell.score);
            }
        }
        self.merge_promotion_colocations(r);
        self.require_promotion_tickets(r);
        for (i, score) in &mut out {
            if !self.rscs[*i].managed && self.state(*i, false) == Role::Promoted {
                *score = INF;
                continue;
            }
            if let Some(n) = self.assigned_node(*i)
                && *score >= 0
            {
                *score = self.rscs[r].allowed[n].score;
            }
            // The instance that is promoted keeps its role against one that is as good, or better by no more than
            // its stickiness: both have that for their place, which holds none of them in its role.
            if self.promoted_stick
                && *score >= 0
                && self.state(*i, true) == Role::Promoted
                && !self.rscs[*i].failed
            {
                *score = add(*score, self.rscs[*i].stickiness);
            }
        }
        let _ = original;
        out
    }

    /// What goes with the promoted role weighs where that may be.
    fn merge_promotion_colocations(&mut self, r: RscIx) {
        self.rscs[r].detect_loop = true;
        for c in self.colocations_with(r) {
            if self.colocations[c].primary_role == Role::Promoted && self.has_influence(c, None) {
                let how = Merge {
                    active: true,
                    nonnegative: true,
                    ..Merge::default()
                };
                self.merge_promotion_coloc(r, self.colocations[c].dependent, c, how);
            }
        }
        self.rscs[r].detect_loop = false;
    }

    fn merge_promotion_coloc(&mut self, r: RscIx, other: RscIx, c: usize, how: Merge) {
        let factor = f64::from(self.colocations[c].score) / f64::from(INF);
        let mut work = Some(self.rscs[r].allowed.clone());
        self.merge_scores(other, r, &mut work, Some(c), factor, how);
        if let Some(work) = work {
            self.rscs[r].allowed = work;
        }
    }

    fn require_promotion_tickets(&mut self, r: RscIx) {
        for &t in &self.rscs[r].tickets.clone() {
            let con = &self.ticket_cons[t];
            let ticket = &self.tickets[con.ticket];
            if con.role == Role::Promoted && (!ticket.granted || ticket.standby) {
                self.ban_everywhere(r, "__stateful_without_ticket__");
            }
        }
    }

    /// The node on which an instance may be promoted.
    fn promotion_node(
        &self,
        i: RscIx,
        clone: RscIx,
        node_max: i32,
        index: &[(RscIx, Score)],
    ) -> Option<NodeIx> {
        for &c in &self.rscs[i].children {
            self.member_promotable(c)?;
        }
        let n = self.assigned_node(i)?;
        let rsc = &self.rscs[i];
        if !rsc.managed && self.is_primitive(i) {
            if self.state(i, true) != Role::Promoted {
                return None;
            }
        } else if index_of(index, i) < 0 || !self.node_available(n, 0, GuestCheck::Containers) {
            return None;
        }
        let cell = self.rscs[clone].allowed[n];
        if !cell.allowed {
            return None;
        }
        if i64::from(cell.count) >= i64::from(node_max) && rsc.managed {
            return None;
        }
        Some(n)
    }

    fn member_promotable(&self, m: RscIx) -> Option<NodeIx> {
        let n = self.assigned_node(m)?;
        if !self.rscs[m].managed {
            return (self.state(m, true) == Role::Promoted).then_some(n);
        }
        self.node_available(n, 0, GuestCheck::Containers)
            .then_some(n)
    }

    fn set_promoted(&mut self, i: RscIx) {
        let mut family = Vec::new();
        self.family(i, &mut family);
        for x in family {
            self.set_next_role(x, Role::Promoted, "promoted instance");
        }
    }

    fn set_unpromoted(&mut self, i: RscIx) {
        let mut family = Vec::new();
        self.family(i, &mut family);
        for x in family {
            if self.is_primitive(x) {
                let role = if self.rscs[x].assigned.is_none() {
                    Role::Stopped
                } else {
                    Role::Unpromoted
                };
                self.set_next_role(x, role, "unpromoted instance");
            } else if self.is_group(x) {
                let role = if self.assigned_node(x).is_none() {
                    Role::Stopped
                } else {
                    Role::Unpromoted
                };
                self.set_next_role(x, role, "unpromoted instance");
            }
        }
    }
}

fn index_of(index: &[(RscIx, Score)], r: RscIx) -> Score {
    index
        .iter()
        .find(|(x, _)| *x == r)
        .map_or(-INF, |(_, s)| *s)
}
