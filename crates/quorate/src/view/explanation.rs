//! An explanation in words and as JSON.

use std::fmt::Write;

use quorate_model::cib::Cib;
use quorate_model::times;
use quorate_policy::budget::{Fault, budget};
use quorate_policy::converge::settle;
use quorate_policy::explain::{
    Component, Explanation, NodeVerdict, Standing, Verdict, WithoutLine,
};
use quorate_policy::outage::back_ms;
use quorate_policy::plan::{Action, ActionKind, Blocked, Placement, Reason};
use quorate_policy::score;
use quorate_policy::source::{Source, primitive};
use serde::Serialize;
use serde_json::{Value, json};

use super::history::Happening;
use super::picture::{Failure, MoveLine, Picture};
use super::{resources, when};
use crate::lines::{Line, Lines};

/// Reasons that are followed one behind the other at most.
const CHAIN_MAX: usize = 8;

/// What is explained.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The resource that was asked about.
    pub resource: &'a str,
    /// Its primitives.
    pub parts: &'a [String],
    /// Configuration and status.
    pub cib: &'a Cib,
    /// When.
    pub options: &'a quorate_policy::Options,
    /// Where lines stand.
    pub lines: &'a Lines<'a>,
}

/// An explanation, ready to be shown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    resource: String,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    what_if: Option<WhatIf>,
    blocked: Vec<Stuck>,
    parts: Vec<Part>,
    lines: Vec<Deciding>,
    next: Vec<Step>,
    moves: Vec<MoveLine>,
    failures: Vec<Failure>,
    history: Vec<Happening>,
    #[serde(skip)]
    at_ms: i64,
}

#[derive(Debug, Clone, Serialize)]
struct WhatIf {
    events: Vec<String>,
    /// Nodes that are fenced.
    fenced: Vec<String>,
    before: Vec<String>,
    after: Vec<String>,
    /// Until it is back, at most; `None`: it is not touched, or does not come back.
    away_ms_max: Option<u64>,
    is_settled: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Stuck {
    what: String,
    why: Why,
    way_out: String,
}

#[derive(Debug, Clone, Serialize)]
struct Why {
    text: String,
    because_of: Vec<Because>,
}

#[derive(Debug, Clone, Serialize)]
struct Because {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<Line>,
}

#[derive(Debug, Clone, Serialize)]
struct Part {
    id: String,
    spec: String,
    now: Vec<String>,
    role_now: String,
    chosen: Option<String>,
    role_chosen: String,
    why: Why,
    nodes: Vec<OnNode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion: Option<Promotion>,
}

#[derive(Debug, Clone, Serialize)]
struct OnNode {
    node: String,
    standing: &'static str,
    score: Option<String>,
    why: Why,
    components: Vec<Why>,
    way_out: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Promotion {
    score: String,
    is_promoted: bool,
    why: Why,
    components: Vec<Why>,
}

#[derive(Debug, Clone, Serialize)]
struct Deciding {
    what: String,
    line: Option<Line>,
    /// Where it would be without; `None`: the line decides nothing alone.
    otherwise: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Step {
    action: String,
    node: Option<String>,
    why: Why,
    after: Vec<After>,
}

#[derive(Debug, Clone, Serialize)]
struct After {
    action: String,
    why: Why,
}

impl Report {
    /// Of an explanation, for some primitives.
    pub fn new(scene: &Scene<'_>, explained: &Explanation) -> Self {
        let is_part = |id: &str| scene.parts.iter().any(|p| resources::is_instance(id, p));
        let blocked = explained
            .cluster
            .iter()
            .chain(explained.plan.blocked.iter().filter(|b| is_part(&b.what)));
        let placement = |v: &Verdict| {
            explained
                .plan
                .placements
                .iter()
                .find(|p| p.resource == v.resource)
        };
        let verdicts = explained
            .resources
            .iter()
            .filter(|v| scene.parts.contains(&v.primitive));
        Self {
            resource: scene.resource.to_owned(),
            what_if: None,
            blocked: blocked.map(|b| stuck(b, scene.lines)).collect(),
            parts: verdicts
                .filter_map(|v| Some(part(v, placement(v)?, scene)))
                .collect(),
            lines: Vec::new(),
            next: steps(scene, explained, &is_part),
            moves: Vec::new(),
            failures: Vec::new(),
            history: Vec::new(),
            at_ms: 0,
        }
    }

    /// Adds what each line decides.
    pub fn decisive(&mut self, lines: &Lines<'_>, tested: &[WithoutLine]) {
        self.lines = tested
            .iter()
            .map(|w| Deciding {
                what: w.line.to_string(),
                line: lines.find(&w.line),
                otherwise: w.otherwise.clone(),
            })
            .collect();
    }

    /// Adds what only a running cluster knows.
    pub fn live(
        &mut self,
        picture: &Picture,
        history: Vec<Happening>,
        parts: &[String],
        resource: &str,
    ) {
        let is_part = |id: &str| parts.iter().any(|p| resources::is_instance(id, p));
        let concerns = |h: &Happening| {
            h.about.iter().any(|a| {
                parts
                    .iter()
                    .any(|l| a == l || a.starts_with(&format!("{l}_")))
            })
        };
        self.at_ms = picture.at_ms;
        for b in picture
            .blocked
            .iter()
            .filter(|b| b.what == resource || is_part(&b.what))
        {
            if !self
                .blocked
                .iter()
                .any(|known| known.what == b.what && known.why.text == b.why)
            {
                let why = Why {
                    text: b.why.clone(),
                    because_of: Vec::new(),
                };
                self.blocked.push(Stuck {
                    what: b.what.clone(),
                    why,
                    way_out: b.way_out.clone(),
                });
            }
        }
        self.moves = picture
            .moves
            .iter()
            .filter(|m| m.resource == resource || is_part(&m.resource))
            .cloned()
            .collect();
        self.failures = picture
            .failures
            .iter()
            .filter(|f| is_part(&f.resource))
            .cloned()
            .collect();
        self.history = history.into_iter().filter(concerns).collect();
        self.history.drain(..self.history.len().saturating_sub(5));
        for happening in &mut self.history {
            happening
                .details
                .retain(|d| parts.iter().any(|l| d.contains(l.as_str())));
        }
    }

    /// Adds what events come to.
    pub fn what_if(
        &mut self,
        scene: &Scene<'_>,
        now: &Explanation,
        then: &Explanation,
        events: Vec<String>,
    ) {
        let settled = settle(scene.cib, scene.options);
        let end = quorate_policy::schedule(&settled.cib, scene.options);
        let configuration = &scene.cib.configuration;
        let is_part = |p: &&Placement| {
            scene
                .parts
                .iter()
                .any(|id| resources::is_instance(&p.resource, id))
        };
        let places = |plan: &quorate_policy::plan::Plan| -> Vec<String> {
            plan.placements.iter().filter(is_part).map(place).collect()
        };
        let fenced = settled
            .steps
            .iter()
            .flat_map(|s| &s.actions)
            .filter(|a| a.kind == ActionKind::Fence);
        let mut fenced: Vec<String> = fenced.filter_map(|a| a.node.clone()).collect();
        fenced.sort();
        fenced.dedup();
        let is_loss = events.iter().any(|e| e.starts_with("node"));
        let away = scene.parts.iter().filter_map(|p| {
            let lost = budget(configuration, p, &Fault::NodeLost)?;
            let detection = if is_loss {
                lost.detection_ms
            } else {
                budget(configuration, p, &Fault::ProcessDied { watched: false })?.detection_ms
            };
            Some(back_ms(&settled.steps, lost.fencing_ms, p)? + detection)
        });
        self.what_if = Some(WhatIf {
            before: places(&now.plan),
            after: places(&end),
            away_ms_max: away.max(),
            is_settled: settled.is_settled,
            fenced,
            events,
        });
        let is_node = |what: &str| configuration.nodes.iter().any(|n| n.uname == what);
        for b in then.plan.blocked.iter().filter(|b| is_node(&b.what)) {
            if !self.blocked.iter().any(|known| known.what == b.what) {
                self.blocked.push(stuck(b, scene.lines));
            }
        }
    }

    /// Something waits for an operator.
    pub fn is_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }

    /// In words.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Some(what_if) = &self.what_if {
            what_if_text(&mut out, what_if);
        }
        for b in &self.blocked {
            let _ = writeln!(out, "BLOCKED {}: {}", b.what, b.why.text);
            rests(&mut out, "  ", &b.why.because_of);
            if !b.way_out.is_empty() {
                let _ = writeln!(out, "  -> {}", b.way_out);
            }
        }
        self.parts.iter().for_each(|p| part_text(&mut out, p));
        self.lines_text(&mut out);
        self.live_text(&mut out);
        if !self.next.is_empty() {
            let _ = writeln!(out, "To be done now:");
            for step in &self.next {
                let node = step
                    .node
                    .as_deref()
                    .map(|n| format!(" on {n}"))
                    .unwrap_or_default();
                let _ = writeln!(out, "  {}{node}: {}", step.action, step.why.text);
                rests(&mut out, "      ", &step.why.because_of);
                for after in &step.after {
                    let _ = writeln!(out, "      after {}: {}", after.action, after.why.text);
                    rests(&mut out, "          ", &after.why.because_of);
                }
            }
        }
        if !self.history.is_empty() {
            let _ = writeln!(out, "Lately:");
            for h in &self.history {
                let _ = writeln!(out, "  {}  {}", when::date(h.at_ms), h.text);
                for detail in &h.details {
                    let _ = writeln!(out, "    {detail}");
                }
            }
        }
        out
    }

    fn lines_text(&self, out: &mut String) {
        let deciding: Vec<&Deciding> = self
            .lines
            .iter()
            .filter(|l| l.otherwise.is_some())
            .collect();
        if deciding.is_empty() {
            return;
        }
        let _ = writeln!(out, "Lines that decide:");
        for d in deciding {
            let what = d
                .line
                .as_ref()
                .map_or_else(|| d.what.clone(), ToString::to_string);
            let _ = writeln!(
                out,
                "  {what}\n      without it: {}",
                d.otherwise.as_deref().unwrap_or("the same")
            );
        }
    }

    fn live_text(&self, out: &mut String) {
        for m in &self.moves {
            let what = if m.is_ban {
                "may not run on"
            } else {
                "is wanted on"
            };
            let end = if m.expires_ms.is_some() {
                "for a time"
            } else {
                "until `quorate clear`"
            };
            let _ = writeln!(out, "{} {what} {} {end} ({})", m.resource, m.node, m.who);
        }
        for f in &self.failures {
            let reason = if f.exit_reason.is_empty() {
                String::new()
            } else {
                format!(": {}", f.exit_reason)
            };
            let ago = when::ago(self.at_ms, f.at_ms);
            let _ = writeln!(
                out,
                "failed: {} on {}: {} ({}), {ago} ago{reason}",
                f.key, f.node, f.result, f.rc
            );
        }
    }
}

fn place(p: &Placement) -> String {
    match &p.next {
        Some(node) if p.role_next == "Promoted" => format!("{} promoted on {node}", p.resource),
        Some(node) => format!("{} on {node}", p.resource),
        None => format!("{} nowhere", p.resource),
    }
}

fn what_if_text(out: &mut String, w: &WhatIf) {
    let _ = writeln!(out, "If {}:", w.events.join(", and "));
    for node in &w.fenced {
        let _ = writeln!(out, "  {node} is fenced");
    }
    if w.before == w.after {
        let same = if w.away_ms_max.is_some() {
            "is restarted where it is"
        } else {
            "nothing changes for it"
        };
        let _ = writeln!(out, "  {same}: {}", w.after.join(", "));
    } else {
        for (before, after) in w.before.iter().zip(&w.after).filter(|(b, a)| b != a) {
            let _ = writeln!(out, "  now {before}; then {after}");
        }
    }
    if let Some(ms) = w.away_ms_max {
        let _ = writeln!(
            out,
            "  back after {} at most, by the timers",
            times::spell(ms)
        );
    }
    if !w.is_settled {
        let _ = writeln!(out, "  and it would not come to rest by itself");
    }
}

fn stuck(b: &Blocked, lines: &Lines<'_>) -> Stuck {
    Stuck {
        what: b.what.clone(),
        why: why(&b.reason, lines),
        way_out: b.way_out.clone(),
    }
}

fn why(reason: &Reason, lines: &Lines<'_>) -> Why {
    let because_of = reason
        .because_of
        .iter()
        .map(|source| Because {
            what: source.to_string(),
            line: lines.find(source).filter(|_| source.is_line()),
        })
        .collect();
    Why {
        text: reason.text.clone(),
        because_of,
    }
}

fn components(all: &[Component], lines: &Lines<'_>) -> Vec<Why> {
    all.iter().map(|c| why(&c.reason, lines)).collect()
}

fn part(verdict: &Verdict, placement: &Placement, scene: &Scene<'_>) -> Part {
    let on_node = |v: &NodeVerdict| OnNode {
        node: v.node.clone(),
        standing: match v.standing {
            Standing::Chosen => "chosen",
            Standing::Possible => "possible",
            Standing::Forbidden => "forbidden",
            Standing::Unavailable => "unavailable",
        },
        score: v.score.map(score::text),
        why: why(&v.reason, scene.lines),
        components: components(&v.components, scene.lines),
        way_out: v.way_out.clone(),
    };
    Part {
        id: verdict.resource.clone(),
        spec: spec(scene.cib, &verdict.primitive),
        now: placement.now.clone(),
        role_now: placement.role_now.clone(),
        chosen: placement.next.clone(),
        role_chosen: placement.role_next.clone(),
        why: why(&placement.reason, scene.lines),
        nodes: verdict.nodes.iter().map(on_node).collect(),
        promotion: verdict.promotion.as_ref().map(|p| Promotion {
            score: score::text(p.score),
            is_promoted: p.is_promoted,
            why: why(&p.reason, scene.lines),
            components: components(&p.components, scene.lines),
        }),
    }
}

fn spec(cib: &Cib, id: &str) -> String {
    let Some(p) = primitive(&cib.configuration, id) else {
        return "not configured".to_owned();
    };
    let words = [
        p.class.as_deref(),
        p.provider.as_deref(),
        p.agent.as_deref(),
    ];
    let spec: Vec<&str> = words.into_iter().flatten().collect();
    match &p.template {
        Some(template) => format!("@{template}"),
        None => spec.join(":"),
    }
}

fn steps(scene: &Scene<'_>, explained: &Explanation, is_part: &impl Fn(&str) -> bool) -> Vec<Step> {
    let plan = &explained.plan;
    let shown = |kind: ActionKind| {
        !matches!(
            kind,
            ActionKind::Monitor | ActionKind::Pseudo | ActionKind::Notify | ActionKind::Cancel
        )
    };
    let mut out = Vec::new();
    for (ix, action) in plan.actions.iter().enumerate() {
        let mine = action.resource.as_ref().is_some_and(|r| is_part(&r.id))
            || action.kind == ActionKind::Fence;
        if !mine || !shown(action.kind) {
            continue;
        }
        let waits = explained.waits.iter().filter(|w| w.action.0 as usize == ix);
        let after = waits.filter_map(|w| {
            let input = &plan.actions[w.input.0 as usize];
            (shown(input.kind) && input.kind != ActionKind::Probe).then(|| After {
                action: name(input),
                why: why(&w.reason, scene.lines),
            })
        });
        out.push(Step {
            action: action.key.clone(),
            node: action.node.clone(),
            why: rooted(plan, action, scene.lines),
            after: after.collect(),
        });
    }
    out
}

/// A reason with those behind it: what is stopped because something else is, says why that is.
fn rooted(plan: &quorate_policy::plan::Plan, action: &Action, lines: &Lines<'_>) -> Why {
    let mut told = why(&action.reason, lines);
    let mut at = action;
    for _ in 0..CHAIN_MAX {
        let other = at
            .reason
            .because_of
            .iter()
            .rev()
            .find_map(|source| match source {
                Source::Object(id) => Some(id),
                _ => None,
            });
        let Some(other) = other else { break };
        let mine = |a: &&Action| a.resource.as_ref().is_some_and(|r| r.id == *other);
        // A stop lies behind what is stopped and what is started again.
        let next = plan
            .actions
            .iter()
            .filter(mine)
            .find(|a| matches!(a.kind, ActionKind::Stop | ActionKind::Demote));
        let Some(next) = next.filter(|next| next.key != at.key) else {
            break;
        };
        told.text
            .push_str(&format!(", because {}", next.reason.text));
        for because in why(&next.reason, lines).because_of {
            if !told
                .because_of
                .iter()
                .any(|known| known.what == because.what)
            {
                told.because_of.push(because);
            }
        }
        at = next;
    }
    told
}

fn name(action: &Action) -> String {
    let node = action
        .node
        .as_deref()
        .map(|n| format!(" on {n}"))
        .unwrap_or_default();
    format!("{}{node}", action.key)
}

/// The lines that something rests on.
fn rests(out: &mut String, indent: &str, because_of: &[Because]) {
    for b in because_of {
        if let Some(line) = &b.line {
            let _ = writeln!(out, "{indent}{line}");
        }
    }
}

fn part_text(out: &mut String, p: &Part) {
    let now = if p.now.is_empty() {
        "Stopped".to_owned()
    } else {
        format!("{} on {}", p.role_now, p.now.join(", "))
    };
    let _ = writeln!(out, "{} ({}): {now}", p.id, p.spec);
    if p.chosen.is_none() {
        let _ = writeln!(out, "  should run nowhere: {}", p.why.text);
        rests(out, "      ", &p.why.because_of);
    }
    for v in &p.nodes {
        let head = if v.standing == "chosen" {
            let role = if p.role_chosen == "Promoted" {
                " promoted"
            } else {
                ""
            };
            format!("runs{role} on {}", v.node)
        } else {
            format!("not on {}", v.node)
        };
        let _ = writeln!(out, "  {head}: {}", v.why.text);
        rests(out, "      ", &v.why.because_of);
        // A component that the sentence has given, with its line, says nothing new.
        let is_told = |c: &&Why| {
            let in_sentence =
                |b: &Because| b.line.is_some() && v.why.because_of.iter().any(|w| w.what == b.what);
            v.standing == "forbidden"
                && !c.because_of.is_empty()
                && c.because_of.iter().all(in_sentence)
        };
        for c in v.components.iter().filter(|c| !is_told(c)) {
            let place = c.because_of.iter().find_map(|b| b.line.as_ref());
            let place = place
                .map(|l| format!("  ({}:{}: {})", l.file, l.line, l.text))
                .unwrap_or_default();
            let _ = writeln!(out, "      {}{place}", c.text);
        }
        if let Some(way_out) = &v.way_out {
            let _ = writeln!(out, "      -> {way_out}");
        }
    }
    if let Some(promotion) = &p.promotion {
        let what = if promotion.is_promoted {
            "promoted"
        } else {
            "not promoted"
        };
        let _ = writeln!(out, "  {what}: {}", promotion.why.text);
        rests(out, "      ", &promotion.why.because_of);
        for c in &promotion.components {
            let place = c.because_of.iter().find_map(|b| b.line.as_ref());
            let place = place
                .map(|l| format!("  ({}:{}: {})", l.file, l.line, l.text))
                .unwrap_or_default();
            let _ = writeln!(out, "      {}{place}", c.text);
        }
    }
}
