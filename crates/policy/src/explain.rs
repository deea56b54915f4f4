//! Why: the same decision once more, with everything noted that went into it.

mod components;
mod verdict;

use crate::plan::{ActionId, Blocked, Plan, Reason};
use crate::score::Score;
use crate::source::{Source, without};
use crate::{Options, emit, run_noting, schedule};
use quorate_model::cib::Cib;

/// Lines that are put to the test for one explanation at most.
const LINES_MAX: usize = 64;

/// A decision with all its reasons.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// The plan; its reasons name every line that they rest on.
    pub plan: Plan,
    /// Every primitive instance on every node.
    pub resources: Vec<Verdict>,
    /// Why actions wait for others.
    pub waits: Vec<Wait>,
    /// What holds up the whole cluster.
    pub cluster: Vec<Blocked>,
}

/// What is said of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The instance (`db`, `rabbit:1`).
    pub resource: String,
    /// Its primitive's id in the configuration.
    pub primitive: String,
    /// Every node, the chosen one first, then by score.
    pub nodes: Vec<NodeVerdict>,
    /// Why it is promoted or not, of a promotable clone's instance.
    pub promotion: Option<Promotion>,
}

/// How a node stands with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It gets the resource.
    Chosen,
    /// It could have it.
    Possible,
    /// A score below zero forbids it, or nothing allows it.
    Forbidden,
    /// It takes nothing at present.
    Unavailable,
}

/// Why a resource is, or is not, on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeVerdict {
    /// The node.
    pub node: String,
    /// How it stands.
    pub standing: Standing,
    /// The final score; `None` where nothing made the node a candidate.
    pub score: Option<Score>,
    /// What made up the score, in the order in which it was added.
    pub components: Vec<Component>,
    /// Why it was chosen or not.
    pub reason: Reason,
    /// What an operator can do to have it otherwise, where there is a command.
    pub way_out: Option<String>,
}

/// A part of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Score before; `None`: the node was no candidate.
    pub before: Option<Score>,
    /// Score after.
    pub after: Score,
    /// What was added, and why.
    pub reason: Reason,
}

/// Why an instance is promoted or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotion {
    /// Final promotion score.
    pub score: Score,
    /// Whether it gets the role.
    pub is_promoted: bool,
    /// What made up the wish.
    pub components: Vec<Component>,
    /// Why.
    pub reason: Reason,
}

/// Why one action waits for another.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The one that waits.
    pub action: ActionId,
    /// The one before it.
    pub input: ActionId,
    /// Why.
    pub reason: Reason,
}

/// A line of the configuration and what is decided without it.
#[derive(Debug, Clone, PartialEq)]
pub struct WithoutLine {
    /// The line.
    pub line: Source,
    /// Where the resource would be, in words; `None` where it would be the same.
    pub otherwise: Option<String>,
}

/// Decides and explains.
#[must_use]
pub fn explain(cib: &Cib, options: &Options) -> Explanation {
    let world = run_noting(cib, options);
    let plan = emit::plan(&world);
    Explanation {
        resources: world.verdicts(),
        waits: world.waits(),
        cluster: world.cluster_blocks(),
        plan,
    }
}

impl Explanation {
    /// The verdicts of a primitive's instances.
    pub fn of<'a>(&'a self, primitive: &'a str) -> impl Iterator<Item = &'a Verdict> {
        self.resources
            .iter()
            .filter(move |v| v.primitive == primitive)
    }

    /// All lines that the explanation of some primitives names, each once.
    #[must_use]
    pub fn lines(&self, primitives: &[String]) -> Vec<Source> {
        let mut lines: Vec<Source> = Vec::new();
        let mut add = |reason: &Reason| {
            for source in reason.because_of.iter().filter(|s| s.is_line()) {
                if !lines.contains(source) {
                    lines.push(source.clone());
                }
            }
        };
        for verdict in self
            .resources
            .iter()
            .filter(|v| primitives.contains(&v.primitive))
        {
            for node in &verdict.nodes {
                add(&node.reason);
                node.components.iter().for_each(|c| add(&c.reason));
            }
            if let Some(promotion) = &verdict.promotion {
                add(&promotion.reason);
                promotion.components.iter().for_each(|c| add(&c.reason));
            }
        }
        lines
    }
}

/// What becomes of some primitives without each of these lines: the test of a reason.
#[must_use]
pub fn without_each(
    cib: &Cib,
    options: &Options,
    primitives: &[String],
    lines: &[Source],
) -> Vec<WithoutLine> {
    let places = |cib: &Cib| places(&schedule(cib, options), primitives);
    let now = places(cib);
    lines
        .iter()
        .take(LINES_MAX)
        .filter_map(|line| {
            let configuration = without(&cib.configuration, line)?;
            let changed = Cib {
                configuration,
                ..cib.clone()
            };
            let then = places(&changed);
            Some(WithoutLine {
                line: line.clone(),
                otherwise: (then != now).then_some(then),
            })
        })
        .collect()
}

/// Where instances of primitives will be, in words.
fn places(plan: &Plan, primitives: &[String]) -> String {
    let mut words: Vec<String> = plan
        .placements
        .iter()
        .filter(|p| {
            primitives
                .iter()
                .any(|id| *id == p.resource || is_instance(&p.resource, id))
        })
        .map(|p| match &p.next {
            Some(node) if p.role_next == "Promoted" => format!("{} promoted on {node}", p.resource),
            Some(node) => format!("{} on {node}", p.resource),
            None => format!("{} nowhere", p.resource),
        })
        .collect();
    words.sort();
    words.join(", ")
}

/// Whether `instance` is `primitive:NUMBER`.
fn is_instance(instance: &str, primitive: &str) -> bool {
    instance
        .strip_prefix(primitive)
        .and_then(|rest| rest.strip_prefix(':'))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
