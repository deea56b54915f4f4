//! Telling the manager where this node stands, when that changes.

use super::{Blocked, Engine, EngineOutput, Standing};
use crate::ids::Term;
use crate::wire::Refusal;

/// Detection times after which a refusal that was not repeated is forgotten.
const REFUSAL_LASTS: u64 = 5;

impl Engine {
    pub(super) fn report(&mut self) {
        self.report_standing();
        self.report_dispatch();
        self.report_blocked();
    }

    fn report_standing(&mut self) {
        let role = self.consensus.role();
        let standing = if self.is_removed {
            Standing::NoLeader(role.term)
        } else if role.leads {
            if self.consensus.leads_and_knows() {
                Standing::Leads(role.term)
            } else {
                Standing::NoLeader(role.term)
            }
        } else {
            match self.name_of(role.leader) {
                Some(leader) if role.leader != self.id => Standing::Follows(leader, role.term),
                _ => Standing::NoLeader(role.term),
            }
        };
        if standing == self.reported.standing {
            return;
        }
        // Becoming known as leader of one's own term loses no proposals.
        let keeps = matches!(
            (&self.reported.standing, &standing),
            (Standing::NoLeader(before), Standing::Leads(after)) if before == after
        );
        if !keeps {
            self.forget_proposals();
        }
        self.reported.standing = standing.clone();
        self.outputs.push(match standing {
            Standing::Leads(term) => EngineOutput::Leading { term: Term(term) },
            Standing::Follows(leader, term) => EngineOutput::Following {
                leader,
                term: Term(term),
            },
            Standing::NoLeader(term) => EngineOutput::NoLeader { term: Term(term) },
            Standing::Nothing => return,
        });
        if matches!(self.reported.standing, Standing::Leads(_)) {
            // Its duties begin at once: the log must know who started.
            self.lead();
            self.settle();
        }
    }

    fn report_dispatch(&mut self) {
        let Some(Term(term)) = self.leads() else {
            self.reported.dispatch = None;
            return;
        };
        if self.reported.dispatch == Some(term) {
            return;
        }
        if self.dispatch_from().is_some_and(|from| from <= self.now) {
            self.reported.dispatch = Some(term);
            self.outputs
                .push(EngineOutput::DispatchReady { term: Term(term) });
        }
    }

    fn report_blocked(&mut self) {
        let lasts = self.settings.detection_ms * REFUSAL_LASTS;
        let now = self.now;
        self.refusals.retain(|_, (refusal, at)| {
            matches!(refusal, Refusal::Removed | Refusal::Ghost) || now.since(*at) < lasts
        });
        let mut blocked: Vec<Blocked> = self.pair_blocked().into_iter().collect();
        if self.is_removed && self.refusals.is_empty() {
            blocked.push(Blocked::Refused {
                by: self.name.clone(),
                help: removed_help(),
            });
        }
        for (by, (refusal, _)) in &self.refusals {
            blocked.push(match refusal {
                Refusal::OtherLineage => Blocked::OtherLineage {
                    peer: by.clone(),
                    help: format!(
                        "{by} and {} belong to different lineages of the cluster, because one of them was forced \
                         to go on alone. Decide whose data is right, stop the other node, wipe its state \
                         directory and join it again.",
                        self.name
                    ),
                },
                Refusal::Removed => Blocked::Refused {
                    by: by.clone(),
                    help: removed_help(),
                },
                Refusal::Stale => Blocked::Refused {
                    by: by.clone(),
                    help: "The cluster knows a later start of this node's disk: it is a copy or was restored. Wipe \
                           this node's state directory and join it again."
                        .to_owned(),
                },
                Refusal::Ghost => Blocked::Refused {
                    by: by.clone(),
                    help: format!(
                        "{by} had this node powered off and goes on alone, but this node lives: its fence device \
                         does not work. Reboot this node, and repair the device."
                    ),
                },
                Refusal::OtherName => Blocked::Refused {
                    by: by.clone(),
                    help: "This node's number belongs to a member of another name. Wipe this node's state directory \
                           and join it again."
                        .to_owned(),
                },
            });
        }
        if blocked != self.reported.blocked {
            self.reported.blocked.clone_from(&blocked);
            self.outputs.push(EngineOutput::Blocked(blocked));
        }
    }
}

fn removed_help() -> String {
    "This node was removed from the cluster. Wipe its state directory and join it again.".to_owned()
}
