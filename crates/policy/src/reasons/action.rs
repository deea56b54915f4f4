//! Why an action is planned.

use crate::action::{Action, Task};
use crate::plan::Reason;
use crate::score::text as score_text;
use crate::source::Source;
use crate::world::{Role, RscIx, World};

/// How much a reason may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The sentence.
    Words,
    /// The sentence and every line that it rests on.
    Lines,
}

/// A reason in one clause; the one the engine found, or what the kind of action says by itself.
pub(crate) fn why(world: &World<'_>, action: &Action, wants: Wants) -> Reason {
    let mut because_of: Vec<Source> = action
        .rsc
        .map(|r| Source::Object(world.rscs[r].id.clone()))
        .into_iter()
        .collect();
    let text = match (&action.reason, action.rsc) {
        (Some(words), Some(r)) => noted(world, action, r, words, wants, &mut because_of),
        (Some(words), None) => {
            because_of.push(Source::Fact(words.clone()));
            words.clone()
        }
        (None, Some(r)) => by_kind(world, action, r, &mut because_of),
        (None, None) => String::new(),
    };
    Reason { text, because_of }
}

/// The engine's words, made plain.
fn noted(
    world: &World<'_>,
    action: &Action,
    r: RscIx,
    words: &str,
    wants: Wants,
    out: &mut Vec<Source>,
) -> String {
    let by_name = |id: &str| world.rsc_by_id.get(id).copied();
    let parts: Vec<&str> = words.split(' ').collect();
    match parts.as_slice() {
        ["no", "quorum"] | ["quorum", "freeze"] => {
            out.extend(world.option_source(&["no-quorum-policy"]));
            out.push(Source::Fact("there is no quorum".to_owned()));
            if words == "no quorum" {
                words
            } else {
                "there is no quorum (no-quorum-policy=freeze)"
            }
            .to_owned()
        }
        ["node", "availability"] => nowhere(world, action, r, out),
        ["resource", "definition", "change"] => {
            out.push(Source::Fact(
                "the parameters differ from those it was started with".to_owned(),
            ));
            "its parameters were changed".to_owned()
        }
        ["being", "multiply", "active"] => {
            out.extend(world.meta_source(r, "multiple-active"));
            "it was found active on several nodes".to_owned()
        }
        ["colocation", "with", other] => {
            if let (Wants::Lines, Some(o)) = (wants, by_name(other)) {
                out.extend(world.together_source(r, o));
            }
            format!("it must be together with {other}, which cannot run")
        }
        [
            change @ ("required" | "unrunnable" | "unmigrateable"),
            other,
            task,
        ] => {
            if let (Wants::Lines, Some(o)) = (wants, by_name(other)) {
                out.extend(world.order_source(o, r, action.task));
            }
            out.push(Source::Object((*other).to_owned()));
            match *change {
                "required" => format!("{other} {}", done_to(task)),
                "unrunnable" => format!("{other} cannot be {}", participle(task)),
                _ => format!("{other} cannot migrate with it ({task})"),
            }
        }
        [change @ ("required" | "unrunnable"), task] => match *change {
            "required" => format!("it waits for {task}"),
            _ => format!("{task} is not possible"),
        },
        _ => words.to_owned(),
    }
}

fn done_to(task: &str) -> String {
    match task {
        "start" | "running" => "is started again".to_owned(),
        "stop" | "stopped" => "is stopped".to_owned(),
        "promote" | "promoted" => "is promoted".to_owned(),
        "demote" | "demoted" => "is demoted".to_owned(),
        "monitor" => "is probed".to_owned(),
        "stonith" => "is fenced".to_owned(),
        other => format!("has {other} done"),
    }
}

fn participle(task: &str) -> &str {
    match task {
        "start" | "running" => "started",
        "stop" | "stopped" => "stopped",
        "promote" => "promoted",
        "demote" => "demoted",
        "migrate_to" | "migrate_from" => "migrated",
        other => other,
    }
}

/// Why it runs nowhere any more.
fn nowhere(world: &World<'_>, action: &Action, r: RscIx, out: &mut Vec<Source>) -> String {
    let rsc = &world.rscs[r];
    if rsc.next_role_why == "target-role" {
        out.extend(world.meta_source(r, "target-role"));
        return "target-role says that it should be stopped".to_owned();
    }
    if world.opts.stop_all {
        out.extend(world.option_source(&["stop-all-resources"]));
        return "stop-all-resources is set".to_owned();
    }
    if rsc.removed {
        out.push(Source::Fact(format!("{} is not configured", rsc.id)));
        return "it is not configured any more".to_owned();
    }
    if let Some(trouble) = action.node.and_then(|n| world.node_trouble(n)) {
        out.extend(trouble.sources);
        return format!("no other node may run it, and {}", trouble.text);
    }
    "no node may run it any more".to_owned()
}

fn by_kind(world: &World<'_>, action: &Action, r: RscIx, out: &mut Vec<Source>) -> String {
    let rsc = &world.rscs[r];
    match action.task {
        Task::Monitor if action.interval_ms == 0 => {
            format!("it is not known whether {} runs there", rsc.id)
        }
        Task::Monitor => format!("{} is watched while it runs", rsc.id),
        Task::Start if rsc.failed => format!("{} failed and is recovered", rsc.id),
        Task::Start => format!("{} should run and {}", rsc.id, placed(world, action)),
        Task::Stop if rsc.failed => format!("{} failed", rsc.id),
        Task::Stop if rsc.next_role == Role::Stopped => {
            let why = nowhere(world, action, r, out);
            format!("{} should not run: {why}", rsc.id)
        }
        Task::Stop => match action.node.and_then(|n| world.node_trouble(n)) {
            Some(trouble) => {
                out.extend(trouble.sources);
                trouble.text
            }
            None => match (action.node, rsc.assigned) {
                (Some(from), Some(to)) if from != to => {
                    format!("{} is the better place", world.nodes[to].name)
                }
                _ => restarted(world, action, r, out),
            },
        },
        Task::Promote => format!("{} has the best promotion score", rsc.id),
        Task::Demote => format!("{} should not be promoted there", rsc.id),
        Task::Cancel => "this monitor is not wanted any more".to_owned(),
        Task::Delete => format!("{} is not configured there any more", rsc.id),
        Task::ClearFailcount => "failures expired or the resource was changed".to_owned(),
        Task::Reload => format!("parameters of {} were changed that need no restart", rsc.id),
        Task::MigrateTo | Task::MigrateFrom => match rsc.assigned {
            Some(n) => format!(
                "{} is the better place, and it can move live",
                world.nodes[n].name
            ),
            None => String::new(),
        },
        _ => String::new(),
    }
}

/// Why something that stays where it is stops: what must stop after it.
fn restarted(world: &World<'_>, action: &Action, r: RscIx, out: &mut Vec<Source>) -> String {
    let other = action.after.iter().find_map(|&a| {
        let next = &world.actions[a];
        let other = next.rsc.filter(|&o| o != r && world.is_primitive(o))?;
        let stops = next.task == Task::Stop && !next.is(crate::action::flag::OPTIONAL);
        stops.then_some(other)
    });
    match other {
        Some(other) => {
            let id = &world.rscs[other].id;
            out.push(Source::Object(id.clone()));
            format!("{id} is stopped")
        }
        None => format!("{} is restarted", world.rscs[r].id),
    }
}

fn placed(world: &World<'_>, action: &Action) -> String {
    match (action.rsc, action.node) {
        (Some(r), Some(n)) => {
            format!(
                "{} has the best score ({})",
                world.nodes[n].name,
                score_text(world.rscs[r].allowed[n].score)
            )
        }
        _ => "a place was found".to_owned(),
    }
}
