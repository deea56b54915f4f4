//! Colocation constraints.

use crate::score::{INF, Score, parse, parse_bool};
use crate::world::{Colocation, Role, RscIx, World};
use quorate_model::cib::{self, ResourceSet};

/// Order of colocations: strongest first, later ones among equals by what they concern.
fn role_of(text: Option<&str>) -> Role {
    let role = text.and_then(Role::parse).unwrap_or(Role::Unknown);
    if role == Role::Started {
        Role::Unknown
    } else {
        role
    }
}

impl<'c> World<'c> {
    pub(super) fn unpack_colocation(&mut self, con: &'c cib::Colocation) {
        let influence = con.influence.as_deref().and_then(parse_bool);
        if con.sets.is_empty() {
            let (Some(a), Some(b)) = (&con.resource, &con.with) else {
                return;
            };
            if self.is_tag(a) && self.is_tag(b) {
                // Which of the one goes with which of the other cannot be said.
                self.warnings.push(format!(
                    "colocation {} is ignored: two templates or tags cannot be colocated",
                    con.id
                ));
                return;
            }
            let score = con.score.as_deref().map_or(INF, parse);
            for r in self.resolve(a) {
                for w in self.resolve(b) {
                    self.new_colocation(NewColocation {
                        id: con.id.clone(),
                        dependent: r,
                        primary: w,
                        roles: (
                            role_of(con.role.as_deref()),
                            role_of(con.with_role.as_deref()),
                        ),
                        score,
                        attribute: con.node_attribute.clone(),
                        influence,
                    });
                }
            }
            return;
        }
        let mut previous: Option<&ResourceSet> = None;
        for set in &con.sets {
            self.colocate_set(con, set, influence);
            if let Some(last) = previous {
                self.colocate_sets(con, last, set, influence);
            }
            previous = Some(set);
        }
    }

    fn set_score(con: &cib::Colocation, set: &ResourceSet) -> Score {
        set.score
            .as_deref()
            .or(con.score.as_deref())
            .map_or(INF, parse)
    }

    fn set_members(&self, set: &ResourceSet) -> Vec<RscIx> {
        set.members.iter().flat_map(|m| self.resolve(m)).collect()
    }

    /// Within a set.
    fn colocate_set(&mut self, con: &cib::Colocation, set: &ResourceSet, influence: Option<bool>) {
        let sequential = set
            .sequential
            .as_deref()
            .and_then(parse_bool)
            .unwrap_or(true);
        let score = Self::set_score(con, set);
        if !sequential || score == 0 {
            return;
        }
        let listed = set
            .extra
            .iter()
            .any(|(k, v)| k == "ordering" && v == "listed");
        let members = self.set_members(set);
        let role = role_of(set.role.as_deref());
        // Every member goes with the one listed before it; a repulsion is between all of them.
        if score < 0 {
            for (at, &r) in members.iter().enumerate() {
                for &other in &members[..at] {
                    self.set_pair(con, r, other, (role, role), score, influence);
                }
            }
            return;
        }
        for pair in members.windows(2) {
            // An old spelling turns it round: each goes with the one listed after it.
            let (dependent, primary) = if listed {
                (pair[0], pair[1])
            } else {
                (pair[1], pair[0])
            };
            self.set_pair(con, dependent, primary, (role, role), score, influence);
        }
    }

    fn set_pair(
        &mut self,
        con: &cib::Colocation,
        dependent: RscIx,
        primary: RscIx,
        roles: (Role, Role),
        score: Score,
        influence: Option<bool>,
    ) {
        self.new_colocation(NewColocation {
            id: con.id.clone(),
            dependent,
            primary,
            roles,
            score,
            attribute: con.node_attribute.clone(),
            influence,
        });
    }

    /// Between a set and the next, which the first depends on.
    fn colocate_sets(
        &mut self,
        con: &cib::Colocation,
        first: &ResourceSet,
        second: &ResourceSet,
        influence: Option<bool>,
    ) {
        let sequential =
            |s: &ResourceSet| s.sequential.as_deref().and_then(parse_bool).unwrap_or(true);
        let score = Self::set_score(con, first);
        let roles = (
            role_of(first.role.as_deref()),
            role_of(second.role.as_deref()),
        );
        let (a, b) = (self.set_members(first), self.set_members(second));
        let dependents: Vec<RscIx> = if sequential(first) {
            a.first().copied().into_iter().collect()
        } else {
            a
        };
        let primaries: Vec<RscIx> = if sequential(second) {
            b.last().copied().into_iter().collect()
        } else {
            b
        };
        for &d in &dependents {
            for &p in &primaries {
                self.set_pair(con, d, p, roles, score, influence);
            }
        }
    }

    /// Of two that must not be together, one leaves before the other comes.
    fn order_repelled(&mut self, first: (RscIx, Role), then: (RscIx, Role)) {
        use crate::action::Task;
        let leave: &[Task] = match first.1 {
            Role::Promoted => &[Task::Demote],
            Role::Unpromoted => &[Task::Stop, Task::Promote],
            _ => &[Task::Stop],
        };
        let come: &[Task] = match then.1 {
            Role::Promoted => &[Task::Promote],
            Role::Unpromoted => &[Task::Start, Task::Demote],
            _ => &[Task::Start],
        };
        for &l in leave {
            for &c in come {
                self.order_tasks(
                    (first.0, l),
                    (then.0, c),
                    crate::relation::rel::IF_REQUIRED_SAME_NODE,
                );
            }
        }
    }

    /// Adds a colocation.
    pub(crate) fn new_colocation(&mut self, new: NewColocation) {
        if new.score == 0 && new.attribute.is_none() {
            return;
        }
        if new.dependent == new.primary {
            return;
        }
        if new.score <= -INF {
            self.order_repelled((new.dependent, new.roles.0), (new.primary, new.roles.1));
            self.order_repelled((new.primary, new.roles.1), (new.dependent, new.roles.0));
        }
        let critical = self.rscs[new.dependent].critical;
        let ix = self.colocations.len();
        self.colocations.push(Colocation {
            id: new.id,
            dependent: new.dependent,
            primary: new.primary,
            dependent_role: new.roles.0,
            primary_role: new.roles.1,
            score: new.score,
            attribute: new.attribute.filter(|a| a != "#uname"),
            influence: new.influence.unwrap_or(critical),
            explicit_influence: new.influence.is_some(),
        });
        self.rscs[new.dependent].this_with.push(ix);
        self.rscs[new.primary].with_this.push(ix);
        self.have_colocations = true;
    }
}

/// A colocation to be added.
pub(crate) struct NewColocation {
    pub id: String,
    pub dependent: RscIx,
    pub primary: RscIx,
    pub roles: (Role, Role),
    pub score: Score,
    pub attribute: Option<String>,
    pub influence: Option<bool>,
}
