//! `quorate explain RESOURCE`: why here, why not there, why stopped.

use quorate_core::facts::{self, Quorum};
use quorate_policy::plan::{Action, ActionKind, Placement, Plan};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view::picture::{Failure, MoveLine, Picture, ResourceLine};
use crate::view::{self, history, when};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource: a primitive, group or clone.
    resource: String,
}

/// All that is known about it.
#[derive(Debug, Serialize)]
struct Explanation {
    resource: String,
    parts: Vec<Part>,
    blocked: Vec<view::picture::Blocked>,
    moves: Vec<MoveLine>,
    failures: Vec<Failure>,
    next: Vec<String>,
    history: Vec<history::Happening>,
}

/// One primitive of it.
#[derive(Debug, Serialize)]
struct Part {
    id: String,
    spec: String,
    now: Vec<String>,
    chosen: Option<String>,
    reason: String,
    because_of: Vec<String>,
    scores: Vec<(String, String)>,
    others: Vec<(String, String)>,
}

/// Explains it.
pub fn run(args: Args, context: &Context) -> Result {
    let (state, local) = view::fetch(context)?;
    let leaves = quorate_core::view::leaves(&state.configuration, &args.resource);
    if leaves.is_empty() {
        let known = quorate_core::view::resource_ids(&state.configuration);
        return Err(Error::new(
            format!("no resource is named `{}`", args.resource),
            format!("there are: {}", known.join(", ")),
        ));
    }
    let picture = Picture::new(&state, &local);
    let quorum = if local.has_quorum { Quorum::Has } else { Quorum::Lost };
    let cib = facts::cib(&state, quorum, local.wall_ms);
    #[allow(clippy::needless_update, reason = "the options grow")]
    let options = quorate_policy::Options { now: local.wall_ms / 1000, ..Default::default() };
    let plan = quorate_policy::schedule(&cib, &options);
    let is_part = |id: &str| leaves.iter().any(|l| view::resources::is_instance(id, l));
    let concerns = |h: &history::Happening| {
        h.about.iter().any(|a| leaves.iter().any(|l| a == l || a.starts_with(&format!("{l}_"))))
    };
    let explanation = Explanation {
        parts: picture
            .resources
            .iter()
            .filter(|r| leaves.contains(&r.id))
            .map(|r| part(r, &picture, &plan))
            .collect(),
        blocked: picture
            .blocked
            .iter()
            .filter(|b| b.what == args.resource || is_part(&b.what))
            .cloned()
            .chain(plan.blocked.iter().filter(|b| is_part(&b.what)).map(|b| view::picture::Blocked {
                what: b.what.clone(),
                why: b.reason.text.clone(),
                way_out: b.way_out.clone(),
            }))
            .collect(),
        moves: picture
            .moves
            .iter()
            .filter(|m| m.resource == args.resource || is_part(&m.resource))
            .cloned()
            .collect(),
        failures: picture.failures.iter().filter(|f| is_part(&f.resource)).cloned().collect(),
        next: plan.actions.iter().filter(|a| is_of(a, &is_part)).map(action).collect(),
        history: {
            let mut all: Vec<_> = history::all(&state).into_iter().filter(concerns).collect();
            all.drain(..all.len().saturating_sub(5));
            for happening in &mut all {
                happening.details.retain(|d| leaves.iter().any(|l| d.contains(l.as_str())));
            }
            all
        },
        resource: args.resource,
    };
    if context.json {
        let json = serde_json::to_string(&explanation).expect("an explanation has a JSON form");
        println!("{json}");
    } else {
        print!("{}", text(&explanation, picture.at_ms));
    }
    Ok(if explanation.blocked.is_empty() { Exit::Done } else { Exit::Attention })
}

fn is_of(action: &Action, is_part: &impl Fn(&str) -> bool) -> bool {
    !matches!(action.kind, ActionKind::Monitor | ActionKind::Pseudo)
        && action.resource.as_ref().is_some_and(|r| is_part(&r.id))
}

fn action(action: &Action) -> String {
    let node = action.node.as_deref().map(|n| format!(" on {n}")).unwrap_or_default();
    format!("{}{node}: {}", action.key, action.reason.text)
}

fn part(resource: &ResourceLine, picture: &Picture, plan: &Plan) -> Part {
    let placements: Vec<&Placement> = plan
        .placements
        .iter()
        .filter(|p| view::resources::is_instance(&p.resource, &resource.id))
        .collect();
    let first = placements.first();
    let scores = first.map(|p| p.scores.as_slice()).unwrap_or_default();
    let runs_on = |node: &str| placements.iter().any(|p| p.next.as_deref() == Some(node));
    let allowed = |node: &str| {
        runs_on(node) || scores.iter().any(|(name, score)| name == node && *score >= 0)
    };
    let others = picture
        .nodes
        .iter()
        .filter(|n| !allowed(&n.name))
        .map(|n| (n.name.clone(), why_not(n, scores)))
        .collect();
    let chosen: Vec<&str> = placements.iter().filter_map(|p| p.next.as_deref()).collect();
    Part {
        id: resource.id.clone(),
        spec: resource.spec.clone(),
        now: resource.active.iter().map(|a| format!("{} on {}", a.role, a.node)).collect(),
        chosen: (!chosen.is_empty()).then(|| chosen.join(", ")),
        reason: match first.map(|p| p.reason.text.as_str()) {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ if resource.is_disabled => "target-role=Stopped: it is to be stopped".to_owned(),
            _ => String::new(),
        },
        because_of: first.map(|p| p.reason.because_of.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        scores: scores
            .iter()
            .map(|(name, score)| (name.clone(), score_text(*score)))
            .collect(),
        others,
    }
}

/// A score as configurations write it.
fn score_text(score: i32) -> String {
    match score {
        s if s >= 1_000_000 => "INFINITY".to_owned(),
        s if s <= -1_000_000 => "-INFINITY".to_owned(),
        s => s.to_string(),
    }
}

fn why_not(node: &view::picture::NodeLine, scores: &[(String, i32)]) -> String {
    if !node.is_online {
        return format!("the node is {}", node.state);
    }
    if matches!(node.state.as_str(), "standby" | "maintenance" | "pending") {
        return format!("the node is in {}", node.state);
    }
    match scores.iter().find(|(name, _)| *name == node.name) {
        Some((_, score)) => format!("its score is {}", score_text(*score)),
        None if node.is_witness => "it is a witness, and no constraint names it".to_owned(),
        None if scores.is_empty() => "another node was chosen".to_owned(),
        None => "a constraint or failures forbid it".to_owned(),
    }
}

fn text(e: &Explanation, now_ms: i64) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for b in &e.blocked {
        line(format!("BLOCKED {}: {}", b.what, b.why));
        if !b.way_out.is_empty() {
            line(format!("  -> {}", b.way_out));
        }
    }
    for p in &e.parts {
        let now = if p.now.is_empty() { "Stopped".to_owned() } else { p.now.join(", ") };
        line(format!("{} ({}): {now}", p.id, p.spec));
        if let Some(node) = &p.chosen {
            line(format!("  should run on {node}"));
        }
        if !p.reason.is_empty() {
            let rests = match p.because_of.as_slice() {
                [] => String::new(),
                ids => format!("  [{}]", ids.join(", ")),
            };
            line(format!("  because {}{rests}", p.reason));
        }
        if !p.scores.is_empty() {
            let scores: Vec<String> = p.scores.iter().map(|(n, s)| format!("{n} {s}")).collect();
            line(format!("  scores: {}", scores.join(", ")));
        }
        for (node, why) in &p.others {
            line(format!("  not on {node}: {why}"));
        }
    }
    for m in &e.moves {
        let what = if m.is_ban { "may not run on" } else { "is wanted on" };
        let end = if m.expires_ms.is_some() { "for a time" } else { "until `quorate clear`" };
        line(format!("{} {what} {} {end} ({})", m.resource, m.node, m.who));
    }
    for f in &e.failures {
        line(format!(
            "failed: {} on {}: {} ({}), {} ago{}",
            f.key,
            f.node,
            f.result,
            f.rc,
            when::ago(now_ms, f.at_ms),
            if f.exit_reason.is_empty() { String::new() } else { format!(": {}", f.exit_reason) }
        ));
    }
    if !e.next.is_empty() {
        line("To be done now:".to_owned());
        for action in &e.next {
            line(format!("  {action}"));
        }
    }
    if !e.history.is_empty() {
        line("Lately:".to_owned());
        for h in &e.history {
            line(format!("  {}  {}", when::date(h.at_ms), h.text));
            for detail in &h.details {
                line(format!("    {detail}"));
            }
        }
    }
    out
}
