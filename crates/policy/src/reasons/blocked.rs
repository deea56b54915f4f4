//! What should be done and cannot, each with its way out.

use super::action::{Wants, why};
use crate::action::{Task, flag};
use crate::plan::{Blocked, Reason};
use crate::source::Source;
use crate::world::{RscIx, World};

pub(crate) fn blocked(world: &World<'_>, r: RscIx, out: &mut Vec<Blocked>) {
    let rsc = &world.rscs[r];
    if rsc.blocked {
        out.push(failed(world, r));
        return;
    }
    for &a in &rsc.actions {
        let action = &world.actions[a];
        if action.is(flag::OPTIONAL) || action.is(flag::RUNNABLE) || !rsc.managed {
            continue;
        }
        if !matches!(action.task, Task::Start | Task::Promote | Task::Stop) || action.node.is_none()
        {
            continue;
        }
        let wants = if world.ledger.is_some() {
            Wants::Lines
        } else {
            Wants::Words
        };
        let mut reason = why(world, action, wants);
        let trouble = action.node.and_then(|n| world.node_trouble(n));
        let cause = match (&action.reason, &trouble) {
            (Some(_), _) => reason.text.clone(),
            (None, Some(trouble)) => {
                reason.because_of.extend(trouble.sources.clone());
                trouble.text.clone()
            }
            (None, None) => "its node cannot run it".to_owned(),
        };
        let way_out = if action.reason.as_deref() == Some("no quorum") {
            "bring back enough nodes for a majority".to_owned()
        } else {
            trouble
                .and_then(|t| t.way_out)
                .unwrap_or_else(|| format!("quorate explain {}", rsc.id))
        };
        out.push(Blocked {
            what: rsc.id.clone(),
            reason: Reason {
                text: format!("{} is not possible: {cause}", action.task.text()),
                because_of: reason.because_of,
            },
            way_out,
        });
        return;
    }
}

/// A failure after which it must not be touched, a lost ticket that freezes it, or several copies of it.
fn failed(world: &World<'_>, r: RscIx) -> Blocked {
    let rsc = &world.rscs[r];
    let mut because_of = vec![Source::Object(rsc.id.clone())];
    let ticket = rsc.tickets.iter().find(|&&t| {
        let ticket = &world.tickets[world.ticket_cons[t].ticket];
        !ticket.granted || ticket.standby
    });
    if let Some(&t) = ticket {
        let con = &world.ticket_cons[t];
        because_of.push(Source::Constraint(con.id.clone()));
        return Blocked {
            what: rsc.id.clone(),
            reason: Reason {
                text: format!(
                    "ticket {} is not held, and loss-policy=freeze",
                    world.tickets[con.ticket].id
                ),
                because_of,
            },
            way_out: format!("grant ticket {} to this site", world.tickets[con.ticket].id),
        };
    }
    if rsc.running.len() > 1 {
        because_of.extend(world.meta_source(r, "multiple-active"));
        let nodes: Vec<&str> = rsc
            .running
            .iter()
            .map(|&n| world.nodes[n].name.as_str())
            .collect();
        return Blocked {
            what: rsc.id.clone(),
            reason: Reason {
                text: format!(
                    "{} is active on {} (multiple-active=block)",
                    rsc.id,
                    nodes.join(" and ")
                ),
                because_of,
            },
            way_out: "stop all copies but one by hand, then: quorate reprobe".to_owned(),
        };
    }
    Blocked {
        what: rsc.id.clone(),
        reason: Reason {
            text: format!(
                "{} failed in a way after which it must not be touched",
                rsc.id
            ),
            because_of,
        },
        way_out: format!("find out what is wrong, then: quorate cleanup {}", rsc.id),
    }
}
