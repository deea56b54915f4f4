//! What each change of a score was for.

use super::Component;
use crate::ledger::{Cause, Entry};
use crate::plan::Reason;
use crate::score::{INF, Score, text as score_text};
use crate::source::Source;
use crate::world::{Discover, NodeIx, RscIx, World};

/// What an operator can do about a part of a score.
pub(super) struct Explained {
    pub reason: Reason,
    pub way_out: Option<String>,
}

impl World<'_> {
    /// The parts of a score that were noted.
    pub(super) fn components(&self, entries: &[Entry], r: RscIx, n: NodeIx) -> Vec<Component> {
        entries
            .iter()
            .filter(|e| e.rsc == r && e.node == n)
            .filter_map(|e| {
                let after = e.after?;
                let explained = self.explained(e);
                let text = format!("{} {}", added(e.before, after), explained.reason.text);
                let reason = Reason {
                    text,
                    because_of: explained.reason.because_of,
                };
                Some(Component {
                    before: e.before,
                    after,
                    reason,
                })
            })
            .collect()
    }

    /// Why a score was changed.
    pub(super) fn explained(&self, e: &Entry) -> Explained {
        let id = &self.rscs[e.rsc].id;
        let say = |text: String, because_of: Vec<Source>| Explained {
            reason: Reason { text, because_of },
            way_out: None,
        };
        match &e.cause {
            Cause::Location(ix) => {
                let con = &self.locations[*ix];
                Explained {
                    way_out: con
                        .id
                        .starts_with("cli-")
                        .then(|| format!("quorate clear {}", self.config_id(con.rsc))),
                    ..say(
                        format!("location {}", con.id),
                        vec![Source::Constraint(con.id.clone())],
                    )
                }
            }
            Cause::Together(c) => {
                let con = &self.colocations[*c];
                let other = &self.rscs[con.primary];
                let place = match self.assigned_node(con.primary) {
                    Some(n) => format!("which runs on {}", self.nodes[n].name),
                    None if other.children.is_empty() => "which runs nowhere".to_owned(),
                    None => "whose instances say where".to_owned(),
                };
                let verb = if con.score < 0 {
                    "keeps away from"
                } else {
                    "goes with"
                };
                say(
                    format!(
                        "it {verb} {}, {place}{}",
                        other.id,
                        self.colocation_name(*c)
                    ),
                    vec![self.colocation_source(*c)],
                )
            }
            Cause::Dependent(c) => {
                let con = &self.colocations[*c];
                let other = &self.rscs[con.dependent].id;
                let verb = if con.score < 0 {
                    "keeps away from"
                } else {
                    "goes with"
                };
                say(
                    format!(
                        "{other} {verb} it and has its own wishes{}",
                        self.colocation_name(*c)
                    ),
                    vec![self.colocation_source(*c)],
                )
            }
            Cause::Health => say(
                format!("health of {}", self.nodes[e.node].name),
                self.option_source(&["node-health-strategy"])
                    .into_iter()
                    .chain(self.health_facts(e.node))
                    .collect(),
            ),
            Cause::Exclusive => say(
                "resource-discovery=exclusive names other nodes".to_owned(),
                self.exclusive_sources(e.rsc),
            ),
            Cause::Capacity => Explained {
                way_out: Some(format!(
                    "free capacity on {}, or raise its utilization attributes",
                    self.nodes[e.node].name
                )),
                ..say(
                    format!(
                        "{} has not the capacity left that {id} needs",
                        self.nodes[e.node].name
                    ),
                    self.option_source(&["placement-strategy"])
                        .into_iter()
                        .collect(),
                )
            },
            Cause::CloneLimit => {
                let clone = self.uber(e.rsc);
                let mut because_of = vec![Source::Object(self.config_id(clone))];
                if self.is_clone(clone) && self.clone_info(clone).node_max != 1 {
                    because_of.extend(self.meta_source(clone, "clone-node-max"));
                }
                let text = if self.rscs[clone].allowed[e.node].allowed {
                    "the node has its number of instances already"
                } else {
                    "the clone may not be there"
                };
                say(text.to_owned(), because_of)
            }
            Cause::Promotion => say(
                format!(
                    "promotion score that the agent set on {}",
                    self.nodes[e.node].name
                ),
                vec![Source::Fact(format!(
                    "promotion score of {id} on {}",
                    self.nodes[e.node].name
                ))],
            ),
            Cause::Rule(word) => self.by_rule(e, word),
        }
    }

    /// The name of a colocation that an operator wrote.
    fn colocation_name(&self, c: usize) -> String {
        match self.colocation_source(c) {
            Source::Constraint(id) => format!(" (colocation {id})"),
            _ => String::new(),
        }
    }

    fn health_facts(&self, n: NodeIx) -> Vec<Source> {
        let names: Vec<String> = self.nodes[n]
            .attrs
            .keys()
            .filter(|k| k.starts_with("#health"))
            .cloned()
            .collect();
        names.iter().map(|name| self.node_source(n, name)).collect()
    }

    fn exclusive_sources(&self, r: RscIx) -> Vec<Source> {
        let mut out = Vec::new();
        let mut at = Some(r);
        while let Some(x) = at {
            for &l in &self.rscs[x].locations {
                let con = &self.locations[l];
                let source = Source::Constraint(con.id.clone());
                if con.discover == Discover::Exclusive && !out.contains(&source) {
                    out.push(source);
                }
            }
            at = self.rscs[x].parent;
        }
        out
    }

    fn by_rule(&self, e: &Entry, word: &str) -> Explained {
        let (r, n) = (e.rsc, e.node);
        let id = self.rscs[r].id.clone();
        let config = self.config_id(r);
        let node = &self.nodes[n].name;
        let object = || vec![Source::Object(config.clone())];
        let meta = |name: &str| self.meta_source(r, name).map_or_else(object, |s| vec![s]);
        let cleanup = Some(format!("quorate cleanup {config}"));
        let (text, because_of, way_out): (String, Vec<Source>, Option<String>) = match word {
            "stickiness" => (
                "it stays where it runs (resource-stickiness)".to_owned(),
                meta("resource-stickiness"),
                None,
            ),
            "__fail_limit__" => {
                let (who, count) = self.failures(r, n);
                let limit = self.rscs[r].migration_threshold;
                let mut because_of = meta("migration-threshold");
                because_of.push(Source::Fact(format!(
                    "fail count {} of {who} on {node}",
                    score_text(count)
                )));
                let limit = score_text(limit);
                (
                    format!(
                        "{who} failed there {} times (migration-threshold={limit})",
                        score_text(count)
                    ),
                    because_of,
                    cleanup,
                )
            }
            "masked-probe-failure" | "hard-error" => (
                format!("{id} failed on {node} in a way that trying again does not mend"),
                vec![Source::Fact(format!("failure of {id} on {node}"))],
                cleanup,
            ),
            "fatal-error" => (
                format!("{id} failed in a way that no node would do better"),
                vec![Source::Fact(format!("failure of {id}"))],
                cleanup,
            ),
            "__stop_fail__" => (
                format!("stopping {id} failed on {node}"),
                vec![Source::Fact(format!("failed stop of {id} on {node}"))],
                cleanup,
            ),
            "__action_migration_auto__" => (
                format!("{id} failed on {node}, and its operation says on-fail=ban"),
                self.on_fail_source(r).into_iter().collect(),
                cleanup,
            ),
            "failed-role" => (
                format!("{id} failed on {node}, and its operation says that it must not run"),
                self.on_fail_source(r).into_iter().collect(),
                cleanup,
            ),
            "multiple-active" => (
                "it was found active on several nodes (multiple-active=stop_only)".to_owned(),
                meta("multiple-active"),
                None,
            ),
            "__orphan_do_not_run__" => ("it is not configured any more".to_owned(), object(), None),
            "not_managed_default" => (
                format!(
                    "it is not managed{}, so that it stays",
                    crate::reasons::unmanaged_by(self, r)
                ),
                crate::reasons::unmanaged(self, r).into_iter().collect(),
                None,
            ),
            "collective_limit_reached" => {
                let clone = self.uber(r);
                let source = self
                    .meta_source(clone, "clone-max")
                    .unwrap_or_else(|| Source::Object(self.config_id(clone)));
                (
                    "all instances that may run (clone-max) run elsewhere".to_owned(),
                    vec![source],
                    None,
                )
            }
            "__no_ticket__" | "__loss_of_ticket__" | "__stateful_without_ticket__" => {
                self.by_ticket(r)
            }
            "target-role" => (
                "target-role says that it should be stopped".to_owned(),
                meta("target-role"),
                Some(format!("quorate tool crm resource start {config}")),
            ),
            "on-fail=stop" | "demote with on-fail=block" => (
                format!("{id} failed, and its operation says {word}"),
                self.on_fail_source(r).into_iter().collect(),
                cleanup,
            ),
            other => (
                format!("it is to be stopped ({other})"),
                vec![Source::Fact(other.to_owned())],
                None,
            ),
        };
        Explained {
            reason: Reason { text, because_of },
            way_out,
        }
    }

    /// Who has how many failures there: of interchangeable instances the one that failed.
    fn failures(&self, r: RscIx, n: NodeIx) -> (String, Score) {
        let mut leaves = Vec::new();
        self.leaves(self.uber(r), &mut leaves);
        let count = |x: RscIx| {
            self.fail_count_with_fillers(n, x, crate::facts::failcount::Expiry::Honoured)
                .count
        };
        let own = (
            self.rscs[r].id.clone(),
            if self.is_primitive(r) { count(r) } else { 0 },
        );
        if own.1 > 0 {
            return own;
        }
        leaves
            .into_iter()
            .map(|x| (self.rscs[x].id.clone(), count(x)))
            .max_by_key(|(_, count)| *count)
            .unwrap_or(own)
    }

    fn on_fail_source(&self, r: RscIx) -> Option<Source> {
        let config = self.config_id(r);
        if !self.is_primitive(r) {
            return None;
        }
        let ops = &self.cfg(r).ops;
        ops.iter()
            .find(|op| crate::opconfig::attribute(op, "on-fail").is_some())
            .map(|op| Source::Operation(config, op.id.clone()))
    }

    fn by_ticket(&self, r: RscIx) -> (String, Vec<Source>, Option<String>) {
        let mut at = Some(r);
        while let Some(x) = at {
            let missing = self.rscs[x].tickets.iter().find(|&&t| {
                let ticket = &self.tickets[self.ticket_cons[t].ticket];
                !ticket.granted || ticket.standby
            });
            if let Some(&t) = missing {
                let con = &self.ticket_cons[t];
                let ticket = &self.tickets[con.ticket].id;
                return (
                    format!("ticket {ticket} is not held"),
                    vec![Source::Constraint(con.id.clone())],
                    Some(format!("grant ticket {ticket} to this site")),
                );
            }
            at = self.rscs[x].parent;
        }
        ("a ticket is not held".to_owned(), Vec::new(), None)
    }
}

/// What was added to a score.
pub(super) fn added(before: Option<Score>, after: Score) -> String {
    if after >= INF || after <= -INF {
        let sign = if after > 0 { "+" } else { "" };
        return format!("{sign}{}", score_text(after));
    }
    format!("{:+}", after - before.unwrap_or(0))
}
