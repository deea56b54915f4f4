//! A scheduler for primitives and groups only. It stands in until the full pipeline takes over `schedule`.
//!
//! Covered: online, standby and unclean nodes, fencing before recovery, probes, location scores by node,
//! stickiness, groups in order and together, recurring monitors, recovery of failures, fail counts with
//! migration-threshold, target-role, is-managed, maintenance, loss of quorum, two active copies.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::cib::{AttributeSet, Cib, Constraint, Operation, Primitive, Resource, SetKind};
use quorate_model::status::{NodeState, ResourceHistory};
use quorate_model::times::milliseconds;

use crate::plan::{Action, ActionId, ActionKind, Blocked, Placement, Plan, Reason, ResourceRef};

const INFINITY: i64 = 1_000_000;

/// What is known of one primitive on one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Unknown,
    Stopped,
    Active,
    Failed,
    StopFailed,
}

struct Unit<'a> {
    id: &'a str,
    sets: Vec<&'a AttributeSet>,
    members: Vec<&'a Primitive>,
}

struct Machine<'a> {
    name: &'a str,
    online: bool,
    unclean: Option<String>,
    standby: bool,
    state: Option<&'a NodeState>,
}

struct Builder<'a> {
    cib: &'a Cib,
    machines: Vec<Machine<'a>>,
    plan: Plan,
    fences: BTreeMap<&'a str, ActionId>,
}

/// Decides for primitives and groups.
#[must_use]
pub fn schedule(cib: &Cib) -> Plan {
    let mut builder = Builder {
        cib,
        machines: machines(cib),
        plan: Plan::default(),
        fences: BTreeMap::new(),
    };
    if builder.option_is("maintenance-mode", false) {
        return builder.plan;
    }
    builder.plan_fencing();
    for unit in units(cib) {
        builder.place(&unit);
    }
    builder.plan
}

fn units(cib: &Cib) -> Vec<Unit<'_>> {
    let resources = cib.configuration.resources.iter();
    resources
        .filter_map(|resource| match resource {
            Resource::Primitive(p) => Some(Unit {
                id: &p.id,
                sets: p.sets.iter().collect(),
                members: vec![p],
            }),
            Resource::Group(g) => Some(Unit {
                id: &g.id,
                sets: g.sets.iter().collect(),
                members: g.members.iter().collect(),
            }),
            _ => None,
        })
        .collect()
}

fn machines(cib: &Cib) -> Vec<Machine<'_>> {
    let mut machines: Vec<Machine<'_>> = cib
        .configuration
        .nodes
        .iter()
        .map(|node| {
            let state = cib.status.nodes.iter().find(|s| s.uname == node.uname);
            let standby = node.sets.iter().flat_map(|s| &s.pairs).any(is_standby)
                || state.is_some_and(|s| s.transient.iter().flat_map(|t| &t.pairs).any(is_standby));
            let online = state.is_some_and(|s| {
                s.in_cluster.as_deref() == Some("true") && s.crmd.as_deref() == Some("online")
            });
            let unclean = match state {
                None => Some("it has not been seen since the cluster started".to_owned()),
                Some(s) if !online && s.expected.as_deref() == Some("member") => {
                    Some("it was lost".to_owned())
                }
                _ => None,
            };
            Machine {
                name: &node.uname,
                online,
                unclean,
                standby,
                state,
            }
        })
        .collect();
    let ids: BTreeSet<&str> = all_primitives(cib).map(|p| p.id.as_str()).collect();
    for machine in &mut machines {
        let Some(state) = machine.state.filter(|_| machine.online) else {
            continue;
        };
        let failed = state
            .resources
            .iter()
            .find(|r| ids.contains(r.id.as_str()) && found(r) == Found::StopFailed);
        if let Some(failed) = failed {
            machine.unclean = Some(format!("{} could not be stopped", failed.id));
        }
    }
    machines
}

fn all_primitives(cib: &Cib) -> impl Iterator<Item = &Primitive> {
    cib.configuration.resources.iter().flat_map(|r| match r {
        Resource::Primitive(p) => std::slice::from_ref(p),
        Resource::Group(g) => &g.members,
        _ => &[],
    })
}

fn is_standby(pair: &quorate_model::cib::Pair) -> bool {
    pair.name == "standby" && pair.value.as_deref().is_some_and(truth)
}

fn truth(text: &str) -> bool {
    matches!(
        text.to_lowercase().as_str(),
        "true" | "on" | "yes" | "y" | "1"
    )
}

/// What the history of a resource on a node says, oldest call first.
fn found(history: &ResourceHistory) -> Found {
    let mut operations: Vec<_> = history.operations.iter().collect();
    operations.sort_by_key(|op| op.call_id);
    let mut state = Found::Unknown;
    for op in operations {
        if op.status == -1 || op.rc == 193 {
            state = Found::Active;
            continue;
        }
        state = match (op.operation.as_str(), op.rc) {
            ("stop", 0) => Found::Stopped,
            ("stop", _) => Found::StopFailed,
            ("monitor", 7) if op.interval_ms == 0 => Found::Stopped,
            ("start" | "monitor" | "migrate_from" | "promote" | "demote", 0 | 8) => Found::Active,
            // An agent that cannot run there at all has nothing running there.
            ("monitor", 5) if op.interval_ms == 0 => Found::Stopped,
            ("start" | "monitor", _) => Found::Failed,
            _ => state,
        };
    }
    state
}

impl<'a> Builder<'a> {
    fn option(&self, name: &str) -> Option<&'a str> {
        value(
            self.cib.configuration.options.iter(),
            SetKind::Cluster,
            name,
        )
    }

    fn option_is(&self, name: &str, default: bool) -> bool {
        self.option(name).map_or(default, truth)
    }

    fn fencing_enabled(&self) -> bool {
        self.option("fencing-enabled")
            .or_else(|| self.option("stonith-enabled"))
            .is_none_or(truth)
    }

    fn has_quorum(&self) -> bool {
        let attributes = &self.cib.attributes;
        attributes
            .iter()
            .find(|(name, _)| name == "have-quorum")
            .is_none_or(|(_, v)| truth(v))
            || self.option("no-quorum-policy") == Some("ignore")
    }

    fn add(&mut self, action: Action) -> ActionId {
        let id = ActionId(u32::try_from(self.plan.actions.len()).expect("fewer than 2^32 actions"));
        self.plan.actions.push(action);
        id
    }

    fn plan_fencing(&mut self) {
        if !self.has_quorum() || !self.fencing_enabled() {
            return;
        }
        for index in 0..self.machines.len() {
            let name = self.machines[index].name;
            let Some(why) = self.machines[index].unclean.clone() else {
                continue;
            };
            let operation = self
                .option("stonith-action")
                .or_else(|| self.option("fencing-action"))
                .unwrap_or("reboot");
            let id = self.add(Action {
                kind: ActionKind::Fence,
                key: format!("stonith-{name}-{operation}"),
                resource: None,
                node: Some(name.to_owned()),
                router: Some(name.to_owned()),
                inputs: Vec::new(),
                parameters: Vec::new(),
                meta: vec![("stonith_action".to_owned(), operation.to_owned())],
                timeout_ms: self
                    .option("stonith-timeout")
                    .and_then(milliseconds)
                    .unwrap_or(60_000),
                interval_ms: 0,
                expected_rc: 0,
                failure_is_harmless: false,
                priority: INFINITY as i32,
                reason: Reason {
                    text: format!("node {name} is unclean: {why}"),
                    because_of: vec![name.to_owned()],
                },
            });
            self.fences.insert(name, id);
        }
    }

    fn found_on(&self, primitive: &str, machine: usize) -> Found {
        self.machines[machine]
            .state
            .and_then(|s| s.resources.iter().find(|r| r.id == primitive))
            .map_or(Found::Unknown, found)
    }

    fn place(&mut self, unit: &Unit<'a>) {
        if !unit
            .members
            .iter()
            .all(|m| meta(unit, m, "is-managed").is_none_or(truth))
        {
            return;
        }
        let probes: Vec<Vec<ActionId>> = unit.members.iter().map(|m| self.probes(m)).collect();
        let chosen = self.choose(unit);
        let blocked = self.blockers(unit);
        let mut stopped: Vec<ActionId> = Vec::new();
        let mut waiting: Vec<Vec<ActionId>> = vec![Vec::new(); unit.members.len()];
        // Whatever must stop stops in reverse order: what is elsewhere, failed, or behind a restart.
        let restart_from = self.restart_from(unit, chosen);
        for (position, member) in unit.members.iter().enumerate().rev() {
            for machine in 0..self.machines.len() {
                let here = self.found_on(&member.id, machine);
                if !matches!(here, Found::Active | Found::Failed) {
                    if here == Found::StopFailed
                        && let Some(fence) = self.fences.get(self.machines[machine].name)
                    {
                        waiting[position].push(*fence);
                    }
                    continue;
                }
                let name = self.machines[machine].name;
                if let Some(fence) = self.fences.get(name) {
                    waiting[position].push(*fence);
                    continue;
                }
                let stays = chosen == Some(machine) && position < restart_from;
                if stays || !self.machines[machine].online {
                    continue;
                }
                let text = self.stop_reason(unit, member, machine, chosen);
                let action = self.operation(
                    ActionKind::Stop,
                    "stop",
                    member,
                    name,
                    stopped.clone(),
                    text,
                );
                let id = self.add(action);
                stopped.push(id);
                waiting[position].push(id);
            }
        }
        self.note(unit, chosen, blocked.as_ref());
        let Some(target) = chosen.filter(|_| blocked.is_none()) else {
            return;
        };
        self.start(unit, target, restart_from, &probes, &waiting, &stopped);
    }

    fn start(
        &mut self,
        unit: &Unit<'a>,
        target: usize,
        restart_from: usize,
        probes: &[Vec<ActionId>],
        waiting: &[Vec<ActionId>],
        stopped: &[ActionId],
    ) {
        let name = self.machines[target].name;
        let mut previous: Option<ActionId> = None;
        for (position, member) in unit.members.iter().enumerate() {
            let here = self.found_on(&member.id, target);
            if here == Found::Active && position < restart_from {
                self.monitors(member, target, None);
                continue;
            }
            let mut inputs = probes[position].clone();
            inputs.extend(&waiting[position]);
            inputs.extend(stopped);
            inputs.extend(previous);
            inputs.sort_unstable();
            inputs.dedup();
            let text = format!(
                "{} has to run and {name} is the best place for it",
                member.id
            );
            let action = self.operation(ActionKind::Start, "start", member, name, inputs, text);
            let id = self.add(action);
            self.monitors(member, target, Some(id));
            previous = Some(id);
        }
    }

    /// Members from this position on stop and start again, since one of them failed or is missing on the chosen node.
    fn restart_from(&self, unit: &Unit<'a>, chosen: Option<usize>) -> usize {
        let Some(target) = chosen else { return 0 };
        let elsewhere = (0..self.machines.len()).any(|m| {
            m != target
                && unit
                    .members
                    .iter()
                    .any(|p| matches!(self.found_on(&p.id, m), Found::Active | Found::Failed))
        });
        let broken = unit
            .members
            .iter()
            .position(|p| self.found_on(&p.id, target) != Found::Active);
        match (elsewhere, broken) {
            // Two copies: stop all, start one (multiple-active=stop_start).
            (true, _) => 0,
            (false, Some(position)) => position,
            (false, None) => unit.members.len(),
        }
    }

    fn stop_reason(
        &self,
        unit: &Unit<'a>,
        member: &Primitive,
        machine: usize,
        chosen: Option<usize>,
    ) -> String {
        let name = self.machines[machine].name;
        if self.found_on(&member.id, machine) == Found::Failed {
            return format!("{} failed on {name}", member.id);
        }
        match chosen {
            None => format!("{} may run nowhere now", unit.id),
            Some(to) if to == machine => {
                format!("something that {} needs has to be restarted", member.id)
            }
            Some(to) => format!("{} moves to {}", unit.id, self.machines[to].name),
        }
    }

    /// Why the unit must not start anywhere now.
    fn blockers(&self, unit: &Unit<'a>) -> Option<Reason> {
        if !self.has_quorum() {
            return Some(Reason {
                text: "there is no quorum".to_owned(),
                because_of: vec!["no-quorum-policy".to_owned()],
            });
        }
        let unfenced = (0..self.machines.len()).find(|m| {
            let machine = &self.machines[*m];
            machine.unclean.is_some()
                && !self.fences.contains_key(machine.name)
                && self.fencing_enabled()
        });
        unfenced.map(|m| Reason {
            text: format!(
                "{} may still run on {}, which is unclean",
                unit.id, self.machines[m].name
            ),
            because_of: vec![self.machines[m].name.to_owned()],
        })
    }

    fn note(&mut self, unit: &Unit<'a>, chosen: Option<usize>, blocked: Option<&Reason>) {
        for member in &unit.members {
            let now: Vec<String> = (0..self.machines.len())
                .filter(|m| matches!(self.found_on(&member.id, *m), Found::Active | Found::Failed))
                .map(|m| self.machines[m].name.to_owned())
                .collect();
            let role = |active: bool| if active { "Started" } else { "Stopped" }.to_owned();
            let next = chosen
                .filter(|_| blocked.is_none())
                .map(|m| self.machines[m].name.to_owned());
            self.plan.placements.push(Placement {
                resource: member.id.clone(),
                role_now: role(!now.is_empty()),
                now,
                role_next: role(next.is_some()),
                next,
                scores: Vec::new(),
                reason: blocked.cloned().unwrap_or_default(),
            });
        }
        if let Some(reason) = blocked {
            self.plan.blocked.push(Blocked {
                what: unit.id.to_owned(),
                reason: reason.clone(),
                way_out: "quorate status".to_owned(),
            });
        }
    }

    fn choose(&self, unit: &Unit<'a>) -> Option<usize> {
        let stopped = unit.members.iter().any(|m| {
            meta(unit, m, "target-role").is_some_and(|r| r.eq_ignore_ascii_case("stopped"))
        });
        if stopped || !self.has_quorum() {
            return None;
        }
        (0..self.machines.len())
            .filter(|m| {
                let machine = &self.machines[*m];
                machine.online && machine.unclean.is_none() && !machine.standby
            })
            .map(|m| (self.score(unit, m), m))
            .filter(|(score, _)| *score > -INFINITY)
            // The best score, then the first name.
            .max_by_key(|(score, m)| (*score, std::cmp::Reverse(self.machines[*m].name)))
            .map(|(_, m)| m)
    }

    fn score(&self, unit: &Unit<'a>, machine: usize) -> i64 {
        let name = self.machines[machine].name;
        let mut score: i64 = 0;
        for constraint in &self.cib.configuration.constraints {
            let Constraint::Location(location) = constraint else {
                continue;
            };
            let concerns = location
                .resource
                .as_deref()
                .is_some_and(|r| r == unit.id || unit.members.iter().any(|m| m.id == r));
            let here = location
                .node
                .as_deref()
                .is_some_and(|n| n.eq_ignore_ascii_case(name));
            if concerns && here {
                score = sum(score, points(location.score.as_deref().unwrap_or("0")));
            }
        }
        for member in &unit.members {
            if self.found_on(&member.id, machine) == Found::Active {
                let default = value(
                    self.cib.configuration.resource_defaults.iter(),
                    SetKind::Meta,
                    "resource-stickiness",
                );
                let stickiness = meta(unit, member, "resource-stickiness")
                    .or(default)
                    .unwrap_or("1");
                score = sum(score, points(stickiness));
            }
            let threshold = meta(unit, member, "migration-threshold").map_or(INFINITY, points);
            let failures = self.fail_count(&member.id, machine);
            if failures >= threshold.max(1) {
                score = -INFINITY;
            }
        }
        score
    }

    fn fail_count(&self, primitive: &str, machine: usize) -> i64 {
        let prefix = format!("fail-count-{primitive}");
        let sets = self.machines[machine]
            .state
            .into_iter()
            .flat_map(|s| &s.transient);
        sets.flat_map(|set| &set.pairs)
            .filter(|pair| pair.name == prefix || pair.name.starts_with(&format!("{prefix}#")))
            .filter_map(|pair| pair.value.as_deref().map(points))
            .fold(0, sum)
    }

    fn probes(&mut self, member: &'a Primitive) -> Vec<ActionId> {
        let mut ids = Vec::new();
        if member.class.as_deref() == Some("stonith") {
            return ids;
        }
        for machine in 0..self.machines.len() {
            let known = self.found_on(&member.id, machine) != Found::Unknown;
            if known || !self.machines[machine].online || self.machines[machine].unclean.is_some() {
                continue;
            }
            let name = self.machines[machine].name;
            let text = format!("nothing is known of {} on {name}", member.id);
            let mut action =
                self.operation(ActionKind::Probe, "monitor", member, name, Vec::new(), text);
            action.expected_rc = 7;
            action.failure_is_harmless = true;
            ids.push(self.add(action));
        }
        ids
    }

    fn monitors(&mut self, member: &'a Primitive, machine: usize, after: Option<ActionId>) {
        let history = self.machines[machine]
            .state
            .and_then(|s| s.resources.iter().find(|r| r.id == member.id));
        for operation in member
            .operations
            .list
            .iter()
            .filter(|op| op.name == "monitor")
        {
            let interval = operation
                .interval
                .as_deref()
                .and_then(milliseconds)
                .unwrap_or(0);
            let runs = history.is_some_and(|h| {
                let since = h
                    .operations
                    .iter()
                    .filter(|op| op.operation == "start")
                    .map(|op| op.call_id)
                    .max();
                h.operations.iter().any(|op| {
                    op.operation == "monitor"
                        && op.interval_ms == interval
                        && Some(op.call_id) > since
                })
            });
            if interval == 0 || (after.is_none() && runs) {
                continue;
            }
            let name = self.machines[machine].name;
            let text = format!("{} is watched every {interval} ms", member.id);
            let mut action = self.call(
                ActionKind::Monitor,
                operation,
                member,
                name,
                after.into_iter().collect(),
                text,
            );
            action.interval_ms = interval;
            action.key = format!("{}_monitor_{interval}", member.id);
            self.add(action);
        }
    }

    fn operation(
        &self,
        kind: ActionKind,
        task: &str,
        member: &Primitive,
        node: &str,
        inputs: Vec<ActionId>,
        text: String,
    ) -> Action {
        let configured = member.operations.list.iter().find(|op| op.name == task);
        let fallback = Operation {
            name: task.to_owned(),
            ..Operation::default()
        };
        self.call(
            kind,
            configured.unwrap_or(&fallback),
            member,
            node,
            inputs,
            text,
        )
    }

    fn call(
        &self,
        kind: ActionKind,
        operation: &Operation,
        member: &Primitive,
        node: &str,
        inputs: Vec<ActionId>,
        text: String,
    ) -> Action {
        let task = operation.name.as_str();
        let timeout = operation
            .extra
            .iter()
            .find(|(name, _)| name == "timeout")
            .and_then(|(_, text)| milliseconds(text))
            .unwrap_or(20_000);
        let mut parameters: Vec<(String, String)> = pairs(member.sets.iter());
        parameters.extend(pairs(operation.sets.iter()));
        parameters.extend(
            operation
                .extra
                .iter()
                .filter(|(n, _)| n == "OCF_CHECK_LEVEL")
                .cloned(),
        );
        Action {
            kind,
            key: format!("{}_{task}_0", member.id),
            resource: Some(ResourceRef {
                id: member.id.clone(),
                instance: member.id.clone(),
                class: member.class.clone().unwrap_or_default(),
                provider: member.provider.clone(),
                agent: member.agent.clone().unwrap_or_default(),
            }),
            node: Some(node.to_owned()),
            router: Some(node.to_owned()),
            inputs,
            parameters,
            meta: vec![
                ("timeout".to_owned(), timeout.to_string()),
                ("name".to_owned(), task.to_owned()),
                ("on_node".to_owned(), node.to_owned()),
            ],
            timeout_ms: timeout,
            interval_ms: 0,
            expected_rc: 0,
            failure_is_harmless: false,
            priority: 0,
            reason: Reason {
                text,
                because_of: vec![member.id.clone()],
            },
        }
    }
}

fn pairs<'a>(sets: impl Iterator<Item = &'a AttributeSet>) -> Vec<(String, String)> {
    sets.filter(|set| set.kind == SetKind::Instance)
        .flat_map(|set| &set.pairs)
        .filter_map(|pair| Some((pair.name.clone(), pair.value.clone()?)))
        .collect()
}

fn value<'a>(
    sets: impl Iterator<Item = &'a AttributeSet>,
    kind: SetKind,
    name: &str,
) -> Option<&'a str> {
    sets.filter(|set| set.kind == kind)
        .flat_map(|set| &set.pairs)
        .find(|pair| pair.name == name)
        .and_then(|pair| pair.value.as_deref())
}

fn meta<'a>(unit: &Unit<'a>, member: &'a Primitive, name: &str) -> Option<&'a str> {
    value(member.sets.iter(), SetKind::Meta, name)
        .or_else(|| value(unit.sets.iter().copied(), SetKind::Meta, name))
}

fn points(text: &str) -> i64 {
    match text.trim().to_lowercase().as_str() {
        "inf" | "+inf" | "infinity" | "+infinity" => INFINITY,
        "-inf" | "-infinity" => -INFINITY,
        other => other.parse().unwrap_or(0),
    }
}

/// Minus infinity wins over everything, infinity over the rest.
fn sum(a: i64, b: i64) -> i64 {
    if a <= -INFINITY || b <= -INFINITY {
        return -INFINITY;
    }
    a.saturating_add(b).clamp(-INFINITY, INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::status::{OperationHistory, Status};

    const TEXT: &str = "\
node a
node b
primitive fs ocf:heartbeat:Filesystem op monitor interval=60
primitive db ocf:heartbeat:mysql op start timeout=120s op monitor interval=20s timeout=30s
primitive power stonith:external/ipmi params hostname=a
group g fs db
location l power -inf: a
";

    fn state(name: &str, online: bool, histories: &[(&str, &[(&str, i32)])]) -> NodeState {
        let text = |yes: bool, a: &str, b: &str| Some(if yes { a } else { b }.to_owned());
        NodeState {
            id: name.to_owned(),
            uname: name.to_owned(),
            in_cluster: text(online, "true", "false"),
            crmd: text(online, "online", "offline"),
            join: text(online, "member", "down"),
            expected: Some("member".to_owned()),
            resources: histories
                .iter()
                .map(|(id, operations)| ResourceHistory {
                    id: (*id).to_owned(),
                    operations: operations
                        .iter()
                        .enumerate()
                        .map(|(at, (operation, rc))| OperationHistory {
                            operation: (*operation).to_owned(),
                            call_id: i64::try_from(at).expect("small"),
                            rc: *rc,
                            ..OperationHistory::default()
                        })
                        .collect(),
                    ..ResourceHistory::default()
                })
                .collect(),
            has_history: true,
            ..NodeState::default()
        }
    }

    fn keys(nodes: Vec<NodeState>) -> Vec<String> {
        let cib = Cib {
            configuration: quorate_model::crm::parse(TEXT).0.into_configuration(),
            status: Status {
                nodes,
                tickets: Vec::new(),
            },
            ..Cib::default()
        };
        let plan = schedule(&cib);
        let name =
            |action: &Action| format!("{}@{}", action.key, action.node.as_deref().unwrap_or("-"));
        plan.actions
            .iter()
            .map(|action| {
                let after: Vec<String> = action
                    .inputs
                    .iter()
                    .map(|i| name(&plan.actions[i.0 as usize]))
                    .collect();
                format!("{} <- {}", name(action), after.join(" "))
            })
            .collect()
    }

    const CLEAN: &[(&str, i32)] = &[("monitor", 7)];

    #[test]
    fn an_empty_cluster_probes_then_starts_in_order() {
        let keys = keys(vec![state("a", true, &[]), state("b", true, &[])]);
        assert!(
            keys.contains(&"db_start_0@a <- db_monitor_0@a db_monitor_0@b fs_start_0@a".to_owned()),
            "{keys:#?}"
        );
        assert!(
            keys.contains(&"power_start_0@b <- ".to_owned()),
            "{keys:#?}"
        );
    }

    #[test]
    fn a_lost_node_is_fenced_before_its_group_starts_elsewhere() {
        let running: &[(&str, i32)] = &[("monitor", 7), ("start", 0)];
        let keys = keys(vec![
            state("a", false, &[("fs", running), ("db", running)]),
            state(
                "b",
                true,
                &[("fs", CLEAN), ("db", CLEAN), ("power", running)],
            ),
        ]);
        assert!(
            keys.contains(&"fs_start_0@b <- stonith-a-reboot@a".to_owned()),
            "{keys:#?}"
        );
        assert!(
            keys.contains(&"db_start_0@b <- stonith-a-reboot@a fs_start_0@b".to_owned()),
            "{keys:#?}"
        );
    }

    #[test]
    fn a_failed_member_restarts_alone() {
        let running: &[(&str, i32)] = &[("monitor", 7), ("start", 0)];
        let failed: &[(&str, i32)] = &[("monitor", 7), ("start", 0), ("monitor", 7)];
        let mut a = state("a", true, &[("fs", running), ("db", failed)]);
        a.resources[1].operations[2].interval_ms = 20_000;
        let keys = keys(vec![a, state("b", true, &[("fs", CLEAN), ("db", CLEAN)])]);
        assert!(keys.contains(&"db_stop_0@a <- ".to_owned()), "{keys:#?}");
        assert!(
            keys.contains(&"db_start_0@a <- db_stop_0@a".to_owned()),
            "{keys:#?}"
        );
        assert!(
            !keys.iter().any(|key| key.starts_with("fs_st")),
            "{keys:#?}"
        );
    }
}
