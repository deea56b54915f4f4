//! Agents and what they do to the world, and what BMCs answer.

use quorate_core::event::{AgentCall, AgentResult, Event, Outcome};
use quorate_core::ids::RunId;

use super::{Happening, World};
use crate::machine::{Held, Run};
use crate::rng::Rate;
use crate::scenario::{BmcManner, Fault, Manner};
use crate::time::{MS, SECOND, Time};
use crate::truth::{Fact, Host, Kind, Stage};

/// The resource in the world: instances of an anonymous clone differ in nothing.
fn base(resource: &str) -> &str {
    resource.split(':').next().unwrap_or(resource)
}

/// How a run will go.
struct Course {
    takes: Time,
    outcome: Outcome,
    works: bool,
}

impl World<'_> {
    /// The daemon runs an agent.
    pub(crate) fn run_agent(&mut self, host: Host, run: RunId, call: AgentCall) {
        let recurring = call.interval_ms > 0;
        if !recurring {
            self.say(host, || {
                let target = call
                    .target
                    .as_deref()
                    .map(|t| format!(" of {t}"))
                    .unwrap_or_default();
                format!(
                    "runs {} {}{target} ({})",
                    call.resource, call.action, call.name
                )
            });
        }
        let course = if call.class == "stonith" {
            self.fence_course(host, &call)
        } else {
            self.agent_course(host, &call)
        };
        let limit = call.timeout_ms.max(1) * MS;
        let (takes, outcome, works) = if course.takes > limit {
            let works = course.works && self.agent_chance.chance(Rate::percent(50));
            (limit, Outcome::TimedOut, works)
        } else {
            (course.takes, course.outcome, course.works)
        };
        self.racks[host.0].journal_begins(&call);
        self.begin_stage(host, &call);
        if call.class != "stonith" {
            let fact = Fact::RunBegins {
                host,
                resource: base(&call.resource).to_owned(),
                action: call.action.clone(),
                name: call.name.clone(),
                recurring,
            };
            self.runs += 1;
            self.fact(&fact);
        } else {
            self.runs += 1;
        }
        let number = self.runs;
        let rack = &mut self.racks[host.0];
        rack.runs.insert(
            number,
            Run {
                run,
                call,
                began: self.truth.now,
                outcome,
                works,
                born_in: rack.lives,
                awaited_by: rack.lives,
            },
        );
        let powers = rack.powers;
        let at = self.truth.now + takes;
        self.queue.push(
            at,
            Happening::RunEnds {
                host,
                powers,
                run: number,
            },
        );
    }

    fn trouble(&self, call: &AgentCall) -> Option<Manner> {
        self.ongoing
            .iter()
            .find_map(|number| match &self.scenario.steps[*number].fault {
                Fault::Agent {
                    resource,
                    action,
                    manner,
                } if *resource == base(&call.resource) && *action == call.action => Some(*manner),
                _ => None,
            })
    }

    fn agent_course(&mut self, host: Host, call: &AgentCall) -> Course {
        let takes = match call.action.as_str() {
            "start" => self.agent_chance.between(50, 800) * MS,
            "stop" => self.agent_chance.between(30, 500) * MS,
            _ => self.agent_chance.between(3, 30) * MS,
        };
        let mut course = Course {
            takes,
            outcome: Outcome::Exited(0),
            works: true,
        };
        if call.action == "start" && !self.has_what_it_needs(host, base(&call.resource)) {
            course.outcome = Outcome::Exited(1);
            course.works = false;
        }
        // A lying probe would make every manager wrong: only what recurs, starts and stops is in trouble.
        if call.action == "monitor" && call.interval_ms == 0 {
            return course;
        }
        match self.trouble(call) {
            Some(Manner::Fails) => {
                course.outcome = Outcome::Exited(1);
                course.works = false;
            }
            // A stop that works and says no is a stop that must be believed to have failed.
            Some(Manner::FailsLate) => course.outcome = Outcome::Exited(1),
            Some(Manner::Hangs) => course.takes = 100_000 * SECOND,
            Some(Manner::Slow) => course.takes += self.agent_chance.between(1_000, 9_000) * MS,
            None => {}
        }
        course
    }

    fn has_what_it_needs(&self, host: Host, resource: &str) -> bool {
        self.truth
            .resources
            .get(resource)
            .filter(|known| known.kind == Kind::Database)
            .is_none_or(|_| self.truth.stage(host, "disk") == Stage::Running)
    }

    fn begin_stage(&mut self, host: Host, call: &AgentCall) {
        if call.class == "stonith" {
            return;
        }
        let stages = &mut self.truth.machines[host.0].stages;
        let resource = base(&call.resource);
        let stage = stages.get(resource).copied().unwrap_or_default();
        match (call.action.as_str(), stage) {
            ("start", Stage::Stopped) => {
                stages.insert(resource.to_owned(), Stage::Starting);
            }
            ("stop", Stage::Running | Stage::Starting) => {
                stages.insert(resource.to_owned(), Stage::Stopping);
            }
            _ => {}
        }
    }

    /// A run ends by itself or is killed.
    pub(crate) fn run_ends(&mut self, host: Host, powers: u64, number: u64) {
        if self.racks[host.0].powers != powers {
            return;
        }
        if self.truth.machines[host.0].paused {
            self.racks[host.0].held.push(Held::RunEnds(number));
            return;
        }
        let Some(run) = self.racks[host.0].runs.remove(&number) else {
            return;
        };
        let outcome = self.end_stage(host, &run);
        if run.call.class != "stonith" {
            self.fact(&Fact::RunEnds {
                host,
                resource: base(&run.call.resource).to_owned(),
                action: run.call.action.clone(),
                outcome,
                recurring: run.call.interval_ms > 0,
            });
        }
        if run.call.interval_ms == 0 {
            self.say(host, || {
                format!(
                    "{} {} ended: {outcome:?}",
                    run.call.resource, run.call.action
                )
            });
        }
        self.report(host, &run, outcome);
    }

    fn report(&mut self, host: Host, run: &Run, outcome: Outcome) {
        // Who watches a run of an earlier life of the daemon often does not learn its exit code.
        let is_adopted = run.born_in != self.racks[host.0].lives;
        let outcome = if is_adopted && self.agent_chance.chance(Rate::percent(50)) {
            self.situation("a run's result was lost");
            Outcome::Lost
        } else {
            outcome
        };
        let reason = if outcome == Outcome::Exited(0) {
            ""
        } else {
            "as the world wants it"
        };
        let result = AgentResult {
            outcome,
            exit_reason: reason.to_owned(),
            output: String::new(),
            took_ms: (self.truth.now - run.began) / MS,
            digests: None,
        };
        let rack = &mut self.racks[host.0];
        rack.journal_ends(&run.call, &result);
        if rack.lives == run.awaited_by {
            let life = rack.lives;
            self.deliver(
                host,
                life,
                Event::AgentDone {
                    run: run.run,
                    result,
                },
            );
        }
    }

    fn end_stage(&mut self, host: Host, run: &Run) -> Outcome {
        let resource = base(&run.call.resource);
        if run.call.class == "stonith" {
            return run.outcome;
        }
        let stage = self.truth.stage(host, resource);
        let stages = &mut self.truth.machines[host.0].stages;
        match run.call.action.as_str() {
            "start" if stage == Stage::Starting => {
                let becomes = if run.works {
                    Stage::Running
                } else {
                    Stage::Stopped
                };
                stages.insert(resource.to_owned(), becomes);
                run.outcome
            }
            "stop" => {
                if run.works {
                    stages.remove(resource);
                } else if stage == Stage::Stopping {
                    stages.insert(resource.to_owned(), Stage::Running);
                }
                run.outcome
            }
            "monitor" | "status" if run.outcome == Outcome::Exited(0) => match stage {
                Stage::Running | Stage::Stopping => Outcome::Exited(0),
                Stage::Starting => Outcome::Exited(1),
                Stage::Stopped => Outcome::Exited(7),
            },
            _ => run.outcome,
        }
    }

    /// The daemon kills a run.
    pub(crate) fn kill_agent(&mut self, host: Host, run: RunId) {
        let found = self.racks[host.0]
            .runs
            .iter_mut()
            .find(|(_, candidate)| candidate.run == run);
        let Some((number, candidate)) = found else {
            return;
        };
        let number = *number;
        candidate.outcome = Outcome::TimedOut;
        candidate.works = candidate.works && self.agent_chance.chance(Rate::percent(50));
        let powers = self.racks[host.0].powers;
        self.say(host, || format!("kills run {run}"));
        self.queue.push(
            self.truth.now + MS,
            Happening::RunEnds {
                host,
                powers,
                run: number,
            },
        );
    }

    fn target_of(&self, call: &AgentCall) -> Option<Host> {
        let named = call.target.clone().or_else(|| {
            let hostname = call.parameters.iter().find(|(name, _)| name == "hostname");
            hostname.map(|(_, value)| value.clone())
        })?;
        self.names.get(&quorate_core::ids::NodeName(named)).copied()
    }

    /// What a fence device's agent does and says.
    fn fence_course(&mut self, host: Host, call: &AgentCall) -> Course {
        let mut takes = self.agent_chance.between(100, 1_500) * MS;
        let says = |takes, code| Course {
            takes,
            outcome: Outcome::Exited(code),
            works: true,
        };
        if matches!(call.action.as_str(), "start" | "stop" | "meta-data") {
            return says(takes, 0);
        }
        let Some(target) = self.target_of(call) else {
            return says(takes, 1);
        };
        if call.target.is_some() {
            let action = call.action.clone();
            self.fact(&Fact::FenceAsked {
                by: host,
                target,
                action,
            });
        }
        let manner = self.racks[target.0].bmc.first().copied();
        if manner == Some(BmcManner::Silent) || self.racks[host.0].cut_from_bmcs > 0 {
            return says(self.agent_chance.between(2_000, 25_000) * MS, 1);
        }
        if manner == Some(BmcManner::Slow) {
            takes += self.agent_chance.between(2_000, 20_000) * MS;
        }
        let acts_at = self.truth.now + takes * 2 / 3;
        let act = |on| (acts_at, Happening::BmcActs { target, on });
        let powered = self.truth.machines[target.0].powered;
        match (call.action.as_str(), manner) {
            ("off" | "reboot", Some(BmcManner::LiesYes)) => {
                self.situation("a BMC said yes and did nothing");
                says(takes, 0)
            }
            ("off" | "reboot", Some(BmcManner::LiesFully)) => {
                self.situation("a BMC lied fully");
                self.truth.machines[target.0].belied = true;
                says(takes, 0)
            }
            ("off" | "reboot", Some(BmcManner::LiesNo)) => {
                self.situation("a BMC said no and powered off later");
                let later = self.truth.now + takes + self.agent_chance.below(5_000) * MS;
                self.queue
                    .push(later, Happening::BmcActs { target, on: false });
                says(takes, 1)
            }
            ("off", _) => {
                let (at, happening) = act(false);
                self.queue.push(at, happening);
                says(takes, 0)
            }
            ("reboot", _) => {
                let (at, happening) = act(false);
                self.queue.push(at, happening);
                self.queue
                    .push(at + 1, Happening::BmcActs { target, on: true });
                says(takes, 0)
            }
            ("on", _) => {
                let (at, happening) = act(true);
                self.queue.push(at, happening);
                says(takes, 0)
            }
            ("power-status", Some(BmcManner::LiesFully)) => says(takes, 2),
            // The answer is true for the moment at which it is read, before the agent returns.
            ("power-status", _) => says(takes, if powered { 0 } else { 2 }),
            _ => says(takes, 0),
        }
    }
}
