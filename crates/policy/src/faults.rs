//! Every fault through the engine: which services survive it, where to, and how long they are away.

use crate::budget::{Fault as Timed, budget};
use crate::converge::{services, settle};
use crate::event::{Event, EventError, NodeChange, apply, judge_quorum};
use crate::outage::{back_ms, concerns};
use crate::plan::{ActionKind, Plan};
use crate::world::{Role, RscIx, World};
use crate::{Options, facts};
use quorate_model::cib::Cib;
use std::collections::{BTreeMap, BTreeSet};

/// Runs of the engine for one matrix at most.
pub const RUNS_MAX: usize = 20_000;

/// One thing that breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A node is lost without a word.
    Node(String),
    /// A voter that runs nothing is lost.
    Witness(String),
    /// A resource's monitor fails on a node.
    Resource {
        /// The primitive.
        resource: String,
        /// Where it ran.
        node: String,
    },
    /// One of a node's links is lost.
    Link {
        /// The node.
        node: String,
        /// Number of the link, from 1.
        link: usize,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Node(node) => write!(f, "node {node} lost"),
            Fault::Witness(node) => write!(f, "witness {node} lost"),
            Fault::Resource { resource, node } => write!(f, "{resource} fails on {node}"),
            Fault::Link { node, link } => write!(f, "link {link} of {node} lost"),
        }
    }
}

/// What the configuration does not say.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Voters that run nothing.
    pub witnesses: Vec<String>,
    /// Links of each node; a node without an entry has `links`.
    pub links_of: BTreeMap<String, usize>,
    /// Links of every other node.
    pub links: usize,
}

impl Surroundings {
    fn links(&self, node: &str) -> usize {
        self.links_of.get(node).copied().unwrap_or(self.links)
    }
}

/// What a fault does to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// It did not run before.
    NotRunning,
    /// Nobody notices.
    Untouched,
    /// It goes on with fewer instances than before, of as many as it had.
    Fewer {
        /// How many run on.
        left: usize,
        /// How many there were.
        of: usize,
        /// Milliseconds during which none served, at most.
        away_ms: u64,
    },
    /// It comes back.
    Away {
        /// After so many milliseconds at most.
        away_ms: u64,
    },
    /// It does not come back.
    Lost,
}

/// A service after a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOutcome {
    /// The resource at the top of the configuration.
    pub service: String,
    /// What became of it.
    pub survival: Survival,
    /// Where it runs then.
    pub nodes: Vec<String>,
}

/// A fault (or two, one after the other) and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What broke, in order.
    pub faults: Vec<Fault>,
    /// The services, in the configuration's order.
    pub services: Vec<ServiceOutcome>,
    /// Nodes that are fenced.
    pub fenced: Vec<String>,
    /// Whether the cluster comes to rest.
    pub is_settled: bool,
    /// What is blocked then, with the way out.
    pub blocked: Vec<(String, String)>,
}

/// All outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// The services.
    pub services: Vec<String>,
    /// Where each runs before.
    pub before: Vec<(String, Vec<String>)>,
    /// Outcomes of single faults.
    pub single: Vec<Outcome>,
    /// Outcomes of pairs, where they were asked for.
    pub pairs: Vec<Outcome>,
    /// Pairs that were left out because there are too many.
    pub pairs_left_out: usize,
}

impl Matrix {
    /// Faults after which some service is lost, with those services.
    #[must_use]
    pub fn single_points(&self) -> Vec<(&Fault, Vec<&str>)> {
        self.single
            .iter()
            .filter_map(|outcome| {
                let lost = outcome.lost();
                (!lost.is_empty()).then(|| (&outcome.faults[0], lost))
            })
            .collect()
    }
}

impl Outcome {
    /// Services that do not come back.
    #[must_use]
    pub fn lost(&self) -> Vec<&str> {
        self.services
            .iter()
            .filter(|s| s.survival == Survival::Lost)
            .map(|s| s.service.as_str())
            .collect()
    }
}

/// Whether pairs are tried, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Single faults.
    Single,
    /// And every pair of them, the second after the cluster has settled from the first.
    Pairs,
}

/// Runs every fault. `cib` is the cluster before; it settles first.
#[must_use]
pub fn matrix(cib: &Cib, options: &Options, surroundings: &Surroundings, depth: Depth) -> Matrix {
    let base = settle(cib, options).cib;
    let names = services(&base);
    let before = picture(&base, options.now, &names);
    let faults = faults(&base, options.now, surroundings);
    let mut matrix = Matrix {
        before: names.iter().map(|s| (s.clone(), before.nodes(s))).collect(),
        services: names,
        single: Vec::new(),
        pairs: Vec::new(),
        pairs_left_out: 0,
    };
    let mut runs = 0;
    for (ix, first) in faults.iter().enumerate() {
        let run = Run {
            options,
            surroundings,
            services: &matrix.services,
        };
        let (outcome, after) = run.one(&base, &before, std::slice::from_ref(first));
        if depth == Depth::Pairs {
            for second in &faults[ix + 1..] {
                runs += 1;
                if runs > RUNS_MAX {
                    matrix.pairs_left_out += 1;
                    continue;
                }
                let (pair, _) = run.one(&after, &before, &[first.clone(), second.clone()]);
                matrix.pairs.push(pair);
            }
        }
        matrix.single.push(outcome);
    }
    matrix
}

/// All single faults of a cluster at rest.
fn faults(base: &Cib, now: i64, surroundings: &Surroundings) -> Vec<Fault> {
    let world = facts::gather(base, now);
    let members = world
        .nodes
        .iter()
        .filter(|n| n.kind == crate::world::NodeKind::Member && n.online);
    let members: Vec<String> = members.map(|n| n.name.clone()).collect();
    let mut out: Vec<Fault> = members.iter().cloned().map(Fault::Node).collect();
    out.extend(surroundings.witnesses.iter().cloned().map(Fault::Witness));
    let mut leaves = Vec::new();
    for &r in &world.top {
        world.leaves(r, &mut leaves);
    }
    for r in leaves {
        for &n in &world.rscs[r].running {
            let fault = Fault::Resource {
                resource: world.config_id(r),
                node: world.nodes[n].name.clone(),
            };
            if !out.contains(&fault) {
                out.push(fault);
            }
        }
    }
    for node in members {
        out.extend((1..=surroundings.links(&node)).map(|link| Fault::Link {
            node: node.clone(),
            link,
        }));
    }
    out
}

struct Run<'a> {
    options: &'a Options,
    surroundings: &'a Surroundings,
    services: &'a [String],
}

impl Run<'_> {
    /// The last of the faults strikes a cluster that has settled from those before it.
    fn one(&self, cib: &Cib, before: &Picture, faults: &[Fault]) -> (Outcome, Cib) {
        let mut struck = cib.clone();
        let last = faults.last().expect("at least one fault");
        let applied = self.strike(&mut struck, last, faults);
        let settled = match applied {
            Ok(true) => settle(&struck, self.options),
            // What does not run any more cannot fail, and what has another link is not touched.
            Ok(false) | Err(_) => settle(cib, self.options),
        };
        let after = picture(&settled.cib, self.options.now, self.services);
        let plan = crate::schedule(&settled.cib, self.options);
        let single = faults.len() == 1;
        let outcome = Outcome {
            services: self
                .services
                .iter()
                .map(|s| ServiceOutcome {
                    service: s.clone(),
                    survival: self.survival(
                        s,
                        before,
                        &after,
                        last,
                        &settled.steps,
                        &struck,
                        single,
                    ),
                    nodes: after.nodes(s),
                })
                .collect(),
            fenced: fenced(&settled.steps),
            is_settled: settled.is_settled,
            blocked: plan
                .blocked
                .iter()
                .map(|b| (format!("{}: {}", b.what, b.reason.text), b.way_out.clone()))
                .collect(),
            faults: faults.to_vec(),
        };
        let mut outcome = outcome;
        if single {
            self.say_why(&mut outcome, &settled.cib, &after);
        }
        (outcome, settled.cib)
    }

    /// Of what is lost: why no node takes it.
    fn say_why(&self, outcome: &mut Outcome, cib: &Cib, after: &Picture) {
        let lost: Vec<String> = outcome.lost().into_iter().map(str::to_owned).collect();
        if lost.is_empty() {
            return;
        }
        let told = crate::explain::explain(cib, self.options);
        for service in lost {
            let gone = after.of.get(&service).into_iter().flatten();
            // What stands first in the service keeps the rest from running.
            let gone: Vec<&String> = gone
                .filter(|(_, on)| on.is_empty())
                .map(|(p, _)| p)
                .collect();
            let first = told.resources.iter().find(|v| gone.contains(&&v.primitive));
            for node in first.iter().flat_map(|v| &v.nodes) {
                let text = format!(
                    "{} not on {}: {}",
                    first.map_or("", |v| v.primitive.as_str()),
                    node.node,
                    node.reason.text
                );
                outcome
                    .blocked
                    .push((text, node.way_out.clone().unwrap_or_default()));
            }
        }
    }

    /// Whether anything changed.
    fn strike(&self, cib: &mut Cib, fault: &Fault, all: &[Fault]) -> Result<bool, EventError> {
        let witnesses_lost = |faults: &[Fault]| {
            faults
                .iter()
                .filter(|f| matches!(f, Fault::Witness(_)))
                .count()
        };
        let links_lost = |node: &str| {
            all.iter()
                .filter(|f| matches!(f, Fault::Link { node: n, .. } if n == node))
                .count()
        };
        let (voters, lost) = (self.surroundings.witnesses.len(), witnesses_lost(all));
        let event = match fault {
            Fault::Node(node) => Event::Node(node.clone(), NodeChange::Down),
            Fault::Link { node, .. } if links_lost(node) >= self.surroundings.links(node) => {
                Event::Node(node.clone(), NodeChange::Down)
            }
            Fault::Link { .. } => return Ok(false),
            Fault::Witness(_) => {
                judge_quorum(cib, self.options.now, voters, voters - lost.min(voters));
                return Ok(true);
            }
            Fault::Resource { resource, node } => Event::Fails {
                resource: resource.clone(),
                operation: "monitor".to_owned(),
                node: Some(node.clone()),
            },
        };
        apply(cib, &event, self.options.now)?;
        if matches!(event, Event::Node(..)) {
            judge_quorum(cib, self.options.now, voters, voters - lost.min(voters));
        }
        Ok(true)
    }

    #[allow(clippy::too_many_arguments)]
    fn survival(
        &self,
        service: &str,
        before: &Picture,
        after: &Picture,
        fault: &Fault,
        steps: &[Plan],
        struck: &Cib,
        single: bool,
    ) -> Survival {
        let (Some(old), Some(new)) = (before.of.get(service), after.of.get(service)) else {
            return Survival::Lost;
        };
        let ran: Vec<&String> = old
            .iter()
            .filter(|(_, on)| !on.is_empty())
            .map(|(p, _)| p)
            .collect();
        if ran.is_empty() {
            return Survival::NotRunning;
        }
        let (mut left, mut of, mut away, mut touched) = (0, 0, 0, false);
        for primitive in &ran {
            let (was, is) = (
                &old[*primitive],
                new.get(*primitive).cloned().unwrap_or_default(),
            );
            if is.is_empty() {
                return Survival::Lost;
            }
            if is.len() < was.len() && was.len() - is.len() > of - left {
                (left, of) = (is.len(), was.len());
            }
            let serving = |on: &BTreeMap<String, Role>| -> BTreeSet<String> {
                let best = on.values().copied().max().unwrap_or(Role::Unknown);
                on.iter()
                    .filter(|(_, role)| **role == best)
                    .map(|(n, _)| n.clone())
                    .collect()
            };
            // Of a promotable clone the promoted instances are the service.
            let (was_on, is_on) = (serving(was), serving(&is));
            if was.values().max() == Some(&Role::Promoted)
                && is.values().max() != Some(&Role::Promoted)
            {
                return Survival::Lost;
            }
            let goes_on = was_on
                .intersection(&is_on)
                .any(|n| !interrupted(n, primitive, fault, steps));
            touched |= was_on != is_on
                || was_on
                    .iter()
                    .any(|n| interrupted(n, primitive, fault, steps));
            if !goes_on && single {
                away = away.max(self.away(primitive, fault, steps, struck));
            }
        }
        match (of > left, touched, away) {
            (true, _, away_ms) => Survival::Fewer { left, of, away_ms },
            (false, true, away_ms) if away_ms > 0 || !single => Survival::Away { away_ms },
            _ => Survival::Untouched,
        }
    }

    fn away(&self, primitive: &str, fault: &Fault, steps: &[Plan], cib: &Cib) -> u64 {
        let configuration = &cib.configuration;
        let lost = budget(configuration, primitive, &Timed::NodeLost).unwrap_or_default();
        let detection = match fault {
            Fault::Resource { resource, .. } => {
                budget(
                    configuration,
                    resource,
                    &Timed::ProcessDied { watched: false },
                )
                .unwrap_or_default()
                .detection_ms
            }
            _ => lost.detection_ms,
        };
        let back = back_ms(steps, fencing_ms(configuration, primitive), primitive).unwrap_or(0);
        detection.saturating_add(back)
    }
}

/// How long fencing may take.
fn fencing_ms(configuration: &quorate_model::cib::Configuration, primitive: &str) -> u64 {
    budget(configuration, primitive, &Timed::NodeLost)
        .unwrap_or_default()
        .fencing_ms
}

/// Whether a primitive's instance on a node is stopped, demoted, or struck by the fault itself.
fn interrupted(node: &str, primitive: &str, fault: &Fault, steps: &[Plan]) -> bool {
    let struck = match fault {
        Fault::Node(n) => n == node,
        Fault::Resource { resource, node: n } => resource == primitive && n == node,
        Fault::Witness(_) | Fault::Link { .. } => false,
    };
    struck
        || steps.iter().flat_map(|p| &p.actions).any(|a| {
            let down = matches!(
                a.kind,
                ActionKind::Stop | ActionKind::Demote | ActionKind::MigrateTo
            );
            (down && a.node.as_deref() == Some(node) && concerns(a, primitive))
                || (a.kind == ActionKind::Fence && a.node.as_deref() == Some(node))
        })
}

fn fenced(steps: &[Plan]) -> Vec<String> {
    let all = steps.iter().flat_map(|p| &p.actions);
    let nodes: BTreeSet<String> = all
        .filter(|a| a.kind == ActionKind::Fence)
        .filter_map(|a| a.node.clone())
        .collect();
    nodes.into_iter().collect()
}

/// Where each service's primitives run, and in which role.
struct Picture {
    of: BTreeMap<String, BTreeMap<String, BTreeMap<String, Role>>>,
}

impl Picture {
    fn nodes(&self, service: &str) -> Vec<String> {
        let all = self.of.get(service).into_iter().flat_map(|p| p.values());
        let nodes: BTreeSet<String> = all
            .flat_map(|on| {
                let promoted = on.values().any(|r| *r == Role::Promoted);
                on.iter().map(move |(n, r)| {
                    if promoted && *r == Role::Promoted {
                        format!("{n}*")
                    } else {
                        n.clone()
                    }
                })
            })
            .collect();
        nodes.into_iter().collect()
    }
}

fn picture(cib: &Cib, now: i64, services: &[String]) -> Picture {
    let world = facts::gather(cib, now);
    let mut of = BTreeMap::new();
    for service in services {
        let mut primitives = BTreeMap::new();
        let mut leaves: Vec<RscIx> = Vec::new();
        for &r in world.top.iter().filter(|&&r| world.rscs[r].id == *service) {
            world.leaves(r, &mut leaves);
            if let crate::world::Kind::Bundle(b) = &world.rscs[r].kind {
                for part in &b.replicas {
                    leaves.extend([Some(part.container), part.child].into_iter().flatten());
                }
            }
        }
        for r in leaves {
            let on: &mut BTreeMap<String, Role> = primitives.entry(world.config_id(r)).or_default();
            for n in live_nodes(&world, r) {
                on.insert(world.nodes[n].name.clone(), world.rscs[r].role);
            }
        }
        of.insert(service.clone(), primitives);
    }
    Picture { of }
}

fn live_nodes(world: &World<'_>, r: RscIx) -> Vec<usize> {
    let alive = |n: &usize| world.nodes[*n].online && !world.nodes[*n].unclean;
    world.rscs[r]
        .running
        .iter()
        .copied()
        .filter(alive)
        .collect()
}
