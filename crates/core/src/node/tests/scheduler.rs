//! A small stand-in for the policy: one ordered row of resources, on the first node that may; lost nodes are
//! fenced first; failures are recovered in place; failed stops are fenced.

use quorate_model::cib::{Cib, Primitive, Resource};
use quorate_model::status::NodeState;
use quorate_policy::Options;
use quorate_policy::plan::{Action, ActionId, ActionKind, Plan, Reason, ResourceRef};

struct Maker(Plan);

impl Maker {
    fn add(
        &mut self,
        kind: ActionKind,
        resource: Option<&Primitive>,
        node: &str,
        inputs: Vec<ActionId>,
    ) -> ActionId {
        let task = match kind {
            ActionKind::Probe | ActionKind::Monitor => "monitor",
            ActionKind::Start => "start",
            ActionKind::Stop => "stop",
            ActionKind::Fence => "stonith",
            _ => "other",
        };
        let interval_ms = if kind == ActionKind::Monitor {
            10_000
        } else {
            0
        };
        let id = ActionId(self.0.actions.len() as u32);
        self.0.actions.push(Action {
            kind,
            key: format!(
                "{}_{task}_{interval_ms}",
                resource.map_or(node, |r| r.id.as_str())
            ),
            resource: resource.map(|r| ResourceRef {
                id: r.id.clone(),
                instance: r.id.clone(),
                class: r.class.clone().unwrap_or_default(),
                provider: r.provider.clone(),
                agent: r.agent.clone().unwrap_or_default(),
            }),
            node: Some(node.to_owned()),
            router: Some(node.to_owned()),
            inputs,
            parameters: Vec::new(),
            meta: Vec::new(),
            timeout_ms: 20_000,
            interval_ms,
            expected_rc: if kind == ActionKind::Probe { 7 } else { 0 },
            failure_is_harmless: false,
            priority: 0,
            reason: Reason::default(),
        });
        id
    }
}

fn rc(node: &NodeState, id: &str, op: &str) -> Option<(i64, String, i32)> {
    let history = node.resources.iter().find(|history| history.id == id)?;
    let op = history
        .operations
        .iter()
        .find(|o| o.id == format!("{id}_{op}"))?;
    Some((op.call_id, op.operation.clone(), op.rc))
}

/// (runs, has failed, its stop has failed)
fn condition(node: &NodeState, id: &str) -> Option<(bool, bool, bool)> {
    let (call, operation, code) = rc(node, id, "last_0")?;
    let mut runs = code == 0 && (operation == "start" || operation == "monitor");
    let mut has_failed = operation == "start" && code != 0;
    let stop_failed = operation == "stop" && code != 0;
    if let Some((failed_at, operation, code)) = rc(node, id, "last_failure_0") {
        if failed_at > call && operation == "monitor" && code != 0 {
            has_failed = true;
        }
        let _ = code;
    }
    runs |= has_failed || stop_failed;
    Some((runs, has_failed, stop_failed))
}

pub fn schedule(cib: &Cib, _: &Options) -> Plan {
    let mut maker = Maker(Plan::default());
    let mut row: Vec<&Primitive> = Vec::new();
    for resource in &cib.configuration.resources {
        match resource {
            Resource::Primitive(primitive) if primitive.class.as_deref() != Some("stonith") => {
                row.push(primitive)
            }
            Resource::Group(group) => row.extend(&group.members),
            _ => {}
        }
    }
    let is_online = |node: &&NodeState| node.crmd.as_deref() == Some("online");
    let nodes = &cib.status.nodes;
    let mut fences = Vec::new();
    for node in nodes {
        let is_unclean = !is_online(&node) && node.expected.as_deref() == Some("member");
        let stop_failed = row
            .iter()
            .any(|p| condition(node, &p.id).is_some_and(|c| c.2));
        if is_unclean || stop_failed {
            fences.push(maker.add(ActionKind::Fence, None, &node.uname, Vec::new()));
        }
    }
    let may = |node: &&NodeState| {
        let blocked = node
            .transient
            .iter()
            .flat_map(|set| &set.pairs)
            .any(|pair| pair.name == "shutdown");
        let standby = cib.configuration.nodes.iter().any(|configured| {
            configured.uname == node.uname
                && configured
                    .sets
                    .iter()
                    .flat_map(|set| &set.pairs)
                    .any(|pair| pair.name == "standby" && pair.value.as_deref() == Some("on"))
        });
        let stop_failed = row
            .iter()
            .any(|p| condition(node, &p.id).is_some_and(|c| c.2));
        is_online(node) && !blocked && !standby && !stop_failed
    };
    let mut probes = Vec::new();
    for node in nodes.iter().filter(is_online) {
        for primitive in &row {
            if condition(node, &primitive.id).is_none() {
                probes.push(maker.add(ActionKind::Probe, Some(primitive), &node.uname, Vec::new()));
            }
        }
    }
    if !probes.is_empty() {
        return maker.0;
    }
    let runs_on = |id: &str| -> Vec<&NodeState> {
        nodes
            .iter()
            .filter(is_online)
            .filter(|node| condition(node, id).is_some_and(|c| c.0))
            .collect()
    };
    let current = row
        .first()
        .and_then(|p| runs_on(&p.id).into_iter().find(|node| may(node)));
    let home = current.or_else(|| nodes.iter().find(may));
    // Stops, from the last to the first.
    let mut stops: Vec<ActionId> = Vec::new();
    let mut restarts = false;
    for (position, primitive) in row.iter().enumerate() {
        let failed = home
            .and_then(|home| condition(home, &primitive.id))
            .is_some_and(|c| c.1);
        restarts |= failed;
        let _ = position;
    }
    let first_failed = row.iter().position(|primitive| {
        home.and_then(|home| condition(home, &primitive.id))
            .is_some_and(|c| c.1)
    });
    for (position, primitive) in row.iter().enumerate().rev() {
        for node in runs_on(&primitive.id) {
            let is_home = home.is_some_and(|home| home.uname == node.uname);
            let goes_down = restarts && first_failed.is_some_and(|first| position >= first);
            if !is_home || goes_down {
                let inputs = stops.last().copied().into_iter().collect();
                stops.push(maker.add(ActionKind::Stop, Some(primitive), &node.uname, inputs));
            }
        }
    }
    let Some(home) = home else { return maker.0 };
    let mut last: Option<ActionId> = None;
    for (position, primitive) in row.iter().enumerate() {
        let condition = condition(home, &primitive.id);
        let stays = condition.is_some_and(|c| c.0)
            && !(restarts && first_failed.is_some_and(|first| position >= first));
        if stays {
            if rc(home, &primitive.id, "monitor_10000").is_none() {
                let inputs = last.into_iter().collect();
                maker.add(ActionKind::Monitor, Some(primitive), &home.uname, inputs);
            }
            continue;
        }
        let mut inputs: Vec<ActionId> = fences.clone();
        inputs.extend(&stops);
        inputs.extend(last);
        let start = maker.add(ActionKind::Start, Some(primitive), &home.uname, inputs);
        maker.add(
            ActionKind::Monitor,
            Some(primitive),
            &home.uname,
            vec![start],
        );
        last = Some(start);
    }
    maker.0
}
