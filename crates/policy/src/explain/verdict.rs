//! The verdict on each node, and why actions wait.

use super::{NodeVerdict, Promotion, Standing, Verdict, Wait};
use crate::action::Task;
use crate::ledger::{Entry, Ledger};
use crate::plan::{ActionId, Blocked, Reason};
use crate::score::{Score, text as score_text};
use crate::source::Source;
use crate::world::{ActIx, NodeIx, RscIx, World};

impl World<'_> {
    fn ledger(&self) -> Ledger {
        self.ledger.as_deref().cloned().unwrap_or_default()
    }

    /// Every primitive instance on every node.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let ledger = self.ledger();
        let mut by_rsc: Vec<Vec<Entry>> = vec![Vec::new(); self.rscs.len()];
        for entry in &ledger.entries {
            by_rsc[entry.rsc].push(entry.clone());
        }
        let mut leaves = Vec::new();
        for &r in &self.top {
            self.leaves(r, &mut leaves);
        }
        leaves
            .into_iter()
            .map(|r| {
                let mut nodes: Vec<NodeVerdict> = (0..self.nodes.len())
                    .map(|n| self.verdict_on(r, n, &by_rsc[r], &ledger))
                    .collect();
                nodes.sort_by_key(|v| (v.standing, std::cmp::Reverse(v.score)));
                Verdict {
                    resource: self.rscs[r].id.clone(),
                    primitive: self.config_id(r),
                    nodes,
                    promotion: self.promotion_of(r, &ledger),
                }
            })
            .collect()
    }

    fn verdict_on(&self, r: RscIx, n: NodeIx, entries: &[Entry], ledger: &Ledger) -> NodeVerdict {
        let rsc = &self.rscs[r];
        let cell = rsc.allowed[n];
        let score = cell.allowed.then_some(cell.score);
        let components = self.components(entries, r, n);
        let mut way_out = None;
        let (standing, reason) = if rsc.assigned == Some(n) {
            (Standing::Chosen, self.why_chosen(r, n))
        } else if let Some(trouble) = self.node_trouble(n) {
            way_out = trouble.way_out;
            (
                Standing::Unavailable,
                Reason {
                    text: trouble.text,
                    because_of: trouble.sources,
                },
            )
        } else if score.is_none() {
            let because_of = self
                .option_source(&["symmetric-cluster", "symmetric_cluster"])
                .into_iter()
                .collect();
            let text = "no constraint allows it there (symmetric-cluster=false)".to_owned();
            (Standing::Forbidden, Reason { text, because_of })
        } else if cell.score < 0 {
            // The first part that took it below zero for good.
            let deciding = entries
                .iter()
                .filter(|e| e.node == n)
                .rev()
                .take_while(|e| e.after.is_some_and(|s| s < 0))
                .last();
            let explained = deciding.map(|e| self.explained(e));
            way_out = explained.as_ref().and_then(|e| e.way_out.clone());
            let reason = explained.map(|e| e.reason).unwrap_or_else(|| Reason {
                text: "what it is part of may not be there".to_owned(),
                because_of: vec![Source::Object(self.config_id(self.top_of(r)))],
            });
            let text = format!("its score is {}: {}", score_text(cell.score), reason.text);
            (
                Standing::Forbidden,
                Reason {
                    text,
                    because_of: reason.because_of,
                },
            )
        } else {
            (
                Standing::Possible,
                self.why_second(r, n, cell.score, ledger),
            )
        };
        NodeVerdict {
            node: self.nodes[n].name.clone(),
            standing,
            score,
            components,
            reason,
            way_out,
        }
    }

    fn why_chosen(&self, r: RscIx, n: NodeIx) -> Reason {
        let rsc = &self.rscs[r];
        let object = Source::Object(self.config_id(r));
        if !rsc.managed {
            let because_of = crate::reasons::unmanaged(self, r)
                .into_iter()
                .chain([object])
                .collect();
            return Reason {
                text: format!(
                    "it is not managed{}, so that it stays",
                    crate::reasons::unmanaged_by(self, r)
                ),
                because_of,
            };
        }
        let score = score_text(rsc.allowed[n].score);
        Reason {
            text: format!("its score there, {score}, is the best that can be had"),
            because_of: vec![object],
        }
    }

    /// Why a node that could have it does not get it.
    fn why_second(&self, r: RscIx, n: NodeIx, score: Score, ledger: &Ledger) -> Reason {
        let rsc = &self.rscs[r];
        let object = vec![Source::Object(self.config_id(r))];
        let say = |text: String| Reason {
            text,
            because_of: object.clone(),
        };
        let Some(c) = rsc.assigned else {
            if self.opts.stop_all {
                return Reason {
                    text: "stop-all-resources is set".to_owned(),
                    because_of: self
                        .option_source(&["stop-all-resources"])
                        .into_iter()
                        .collect(),
                };
            }
            if !rsc.managed {
                let because_of = crate::reasons::unmanaged(self, r).into_iter().collect();
                return Reason {
                    text: format!(
                        "it is not managed{}: the cluster does not start it",
                        crate::reasons::unmanaged_by(self, r)
                    ),
                    because_of,
                };
            }
            return say("it runs nowhere, although this node could have it".to_owned());
        };
        let chosen = &self.nodes[c].name;
        let best = rsc.allowed[c].score;
        if score < best {
            return say(format!(
                "its score {} is lower than {} on {chosen}",
                score_text(score),
                score_text(best)
            ));
        }
        let counts = ledger
            .choices
            .iter()
            .rev()
            .find(|choice| choice.rsc == r)
            .map(|choice| &choice.counts);
        if score == best
            && let Some(counts) = counts
            && counts[n] > counts[c]
        {
            return say(format!(
                "as good as {chosen} by score, but it has {} resources already, {chosen} {}",
                counts[n], counts[c]
            ));
        }
        if score == best && rsc.running.contains(&c) {
            return say(format!(
                "as good as {chosen} by score, but it runs on {chosen} already"
            ));
        }
        if score == best {
            return say(format!("as good as {chosen}, which comes first by name"));
        }
        say(format!(
            "{chosen} was chosen together with what belongs to it"
        ))
    }

    fn promotion_of(&self, r: RscIx, ledger: &Ledger) -> Option<Promotion> {
        // Of a cloned group the instance is promoted as a whole.
        let mut at = Some(r);
        let noted = loop {
            let x = at?;
            if let Some(found) = ledger.promotions.iter().rev().find(|p| p.rsc == x) {
                break found;
            }
            at = self.rscs[x].parent;
        };
        let n = self.assigned_node(noted.rsc);
        let components = n.map_or_else(Vec::new, |n| self.components(&ledger.wishes, noted.rsc, n));
        let clone = self.uber(r);
        let object = Source::Object(self.config_id(clone));
        let mut because_of = vec![object];
        let text = if noted.is_promoted {
            format!("its promotion score is {}", score_text(noted.score))
        } else if n.is_none() {
            "it runs nowhere".to_owned()
        } else if noted.score < 0 {
            because_of.extend(
                components
                    .last()
                    .into_iter()
                    .flat_map(|c| c.reason.because_of.clone()),
            );
            format!("its promotion score is {}", score_text(noted.score))
        } else if noted.is_full {
            // One is the default: without the line it is one as well.
            if self.clone_info(clone).promoted_max != 1 {
                because_of.extend(
                    self.meta_source(clone, "promoted-max")
                        .or_else(|| self.meta_source(clone, "master-max")),
                );
            }
            format!(
                "{} instances are promoted (promoted-max), all with a better promotion score",
                self.clone_info(clone).promoted_max
            )
        } else {
            "its node has its number of promoted instances, or cannot run it".to_owned()
        };
        Some(Promotion {
            score: noted.score,
            is_promoted: noted.is_promoted,
            components,
            reason: Reason { text, because_of },
        })
    }

    /// Why each action waits for what it waits for.
    pub(super) fn waits(&self) -> Vec<Wait> {
        let mut number = std::collections::BTreeMap::new();
        for (ix, &a) in self.graph.iter().enumerate() {
            number.insert(a, ActionId(u32::try_from(ix).unwrap_or(u32::MAX)));
        }
        let mut waits = Vec::new();
        for (ix, &a) in self.graph.iter().enumerate() {
            for first in self.graph_inputs[ix]
                .iter()
                .filter(|f| number.contains_key(f))
            {
                waits.push(Wait {
                    action: number[&a],
                    input: number[first],
                    reason: self.why_wait(*first, a),
                });
            }
        }
        waits
    }

    fn why_wait(&self, first: ActIx, then: ActIx) -> Reason {
        let (f, t) = (&self.actions[first], &self.actions[then]);
        let say = |text: &str, because_of: Vec<Source>| Reason {
            text: text.to_owned(),
            because_of,
        };
        if f.task == Task::Stonith {
            let node = f.node.map_or("", |n| self.nodes[n].name.as_str());
            return say(
                "nothing of the lost node may be taken over before it is off",
                vec![Source::Fact(format!("{node} is to be fenced"))],
            );
        }
        let (Some(a), Some(b)) = (f.rsc, t.rsc) else {
            return say("what it concerns must be done first", Vec::new());
        };
        if f.task == Task::Monitor && f.interval_ms == 0 {
            return say(
                "first it must be known what runs where",
                vec![Source::Object(self.config_id(a))],
            );
        }
        let (ra, rb) = (self.config_id(a), self.config_id(b));
        if a == b || ra == rb || self.top_of(a) == a && self.top_of(b) == a || self.top_of(a) == b {
            return say("its own steps follow one another", vec![Source::Object(ra)]);
        }
        match self.order_source(a, b, t.task) {
            Some(Source::Object(id)) => {
                let text = format!("{id} starts its members in order, and stops them in reverse");
                say(&text, vec![Source::Object(id)])
            }
            Some(source) => {
                let text = format!("{source} orders them");
                say(&text, vec![source])
            }
            None => say(
                "they belong together",
                vec![Source::Object(ra), Source::Object(rb)],
            ),
        }
    }

    /// What keeps the whole cluster from acting.
    pub(super) fn cluster_blocks(&self) -> Vec<Blocked> {
        let mut out = Vec::new();
        if self.opts.fencing && !self.have_fence_device && !self.top.is_empty() {
            let mut because_of: Vec<Source> = self
                .option_source(&["fencing-enabled", "stonith-enabled"])
                .into_iter()
                .collect();
            because_of.push(Source::Fact("no fence device is configured".to_owned()));
            out.push(Blocked {
                what: "the cluster".to_owned(),
                reason: Reason {
                    text: "fencing is on and no fence device is configured: nothing is started or stopped".to_owned(),
                    because_of,
                },
                way_out: "configure a fence device (or accept the risk: quorate property stonith-enabled=false)".to_owned(),
            });
        }
        if !self.opts.quorate && self.opts.no_quorum != crate::options::NoQuorum::Ignore {
            let mut because_of: Vec<Source> = self
                .option_source(&["no-quorum-policy"])
                .into_iter()
                .collect();
            because_of.push(Source::Fact("there is no quorum".to_owned()));
            out.push(Blocked {
                what: "the cluster".to_owned(),
                reason: Reason {
                    text: "there is no quorum".to_owned(),
                    because_of,
                },
                way_out: "bring back enough nodes for a majority".to_owned(),
            });
        }
        if self.opts.maintenance {
            out.push(Blocked {
                what: "the cluster".to_owned(),
                reason: Reason {
                    text: "maintenance-mode is set: nothing is started, stopped or watched"
                        .to_owned(),
                    because_of: self
                        .option_source(&["maintenance-mode"])
                        .into_iter()
                        .collect(),
                },
                way_out: "quorate maintenance off".to_owned(),
            });
        }
        out
    }
}
