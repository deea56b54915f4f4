//! Which fence devices can fence a node, in which levels, and from where.

use quorate_model::cib::{AttributeSet, Configuration, Constraint, Primitive, Resource, SetKind};

use crate::document;
use crate::event::AgentCall;
use crate::facts;
use crate::ids::NodeName;
use crate::state::{ClusterState, Presence};

/// Milliseconds for one call of a device where nothing is configured (`stonith-timeout`).
const TIMEOUT_MS: u64 = 60_000;

/// A fence device as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its resource id.
    pub id: String,
    /// Agent (`external/ipmi`, `fence_ipmilan`).
    pub agent: String,
    /// Parameters without those of the manager (`pcmk_*`).
    pub parameters: Vec<(String, String)>,
    /// Parameters of the manager.
    pub own: Vec<(String, String)>,
}

impl Device {
    fn own(&self, name: &str) -> Option<&str> {
        find(&self.own, name)
    }

    /// The call of an action on a target.
    #[must_use]
    pub fn call(&self, target: &NodeName, action: &str, default_ms: u64) -> AgentCall {
        let mut parameters = self.parameters.clone();
        if let Some(port) = self.mapped(target) {
            let argument = self.own("pcmk_host_argument").unwrap_or("port");
            if argument != "none" && find(&parameters, argument).is_none() {
                parameters.push((argument.to_owned(), port));
            }
        }
        let own_action = self
            .own(&format!("pcmk_{action}_action"))
            .unwrap_or(action)
            .to_owned();
        let timeout_ms = self
            .own(&format!("pcmk_{action}_timeout"))
            .and_then(document::milliseconds)
            .unwrap_or(default_ms);
        AgentCall {
            resource: self.id.clone(),
            instance: self.id.clone(),
            class: "stonith".to_owned(),
            provider: None,
            agent: self.agent.clone(),
            action: own_action,
            parameters,
            meta: Vec::new(),
            target: Some(target.0.clone()),
            timeout_ms,
            interval_ms: 0,
            name: String::new(),
        }
    }

    /// The target's name as the device knows it, where a map gives one.
    fn mapped(&self, target: &NodeName) -> Option<String> {
        let map = self.own("pcmk_host_map")?;
        map.split([';', ',', ' ', '\t', '\n'])
            .filter_map(|part| part.split_once([':', '=']))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(&target.0))
            .map(|(_, port)| port.trim().to_owned())
    }

    /// Whether it can fence this node.
    #[must_use]
    pub fn can_fence(&self, target: &NodeName) -> bool {
        let is_it = |name: &str| name.trim().eq_ignore_ascii_case(&target.0);
        if self.mapped(target).is_some() {
            return true;
        }
        if let Some(list) = self
            .own("pcmk_host_list")
            .or_else(|| find(&self.parameters, "hostlist"))
        {
            return list.split([',', ';', ' ', '\t', '\n']).any(is_it);
        }
        if self.own("pcmk_host_map").is_some() {
            return false;
        }
        if let Some(name) = find(&self.parameters, "hostname") {
            return is_it(name);
        }
        for argument in ["port", "plug"] {
            if let Some(name) = find(&self.parameters, argument) {
                return is_it(name);
            }
        }
        true
    }

    /// Milliseconds to wait before it acts: the fixed part, and the bound of the random part.
    #[must_use]
    pub fn delay(&self) -> (u64, u64) {
        let get = |name| self.own(name).and_then(document::milliseconds).unwrap_or(0);
        let base = get("pcmk_delay_base");
        (base, get("pcmk_delay_max").saturating_sub(base))
    }

    /// How often one action is tried.
    #[must_use]
    pub fn tries(&self, action: &str) -> u32 {
        self.own(&format!("pcmk_{action}_retries"))
            .and_then(|text| text.parse().ok())
            .unwrap_or(2)
            .clamp(1, 10)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// All fence devices, in the order of the configuration.
#[must_use]
pub fn all(configuration: &Configuration) -> Vec<Device> {
    let mut devices = Vec::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(primitive) => devices.extend(device(configuration, primitive)),
            Resource::Group(group) => {
                devices.extend(
                    group
                        .members
                        .iter()
                        .filter_map(|m| device(configuration, m)),
                );
            }
            Resource::Clone(clone) => match &clone.child {
                quorate_model::cib::CloneChild::Primitive(primitive) => {
                    devices.extend(device(configuration, primitive));
                }
                quorate_model::cib::CloneChild::Group(group) => {
                    devices.extend(
                        group
                            .members
                            .iter()
                            .filter_map(|m| device(configuration, m)),
                    );
                }
            },
            Resource::Template(_) | Resource::Bundle(_) => {}
        }
    }
    devices
}

fn device(configuration: &Configuration, primitive: &Primitive) -> Option<Device> {
    let template = primitive.template.as_deref().and_then(|id| {
        configuration
            .resources
            .iter()
            .find_map(|resource| match resource {
                Resource::Template(template) if template.id == id => Some(template),
                _ => None,
            })
    });
    let class = primitive
        .class
        .as_deref()
        .or_else(|| template.and_then(|template| template.class.as_deref()))?;
    if class != "stonith" {
        return None;
    }
    let agent = primitive
        .agent
        .clone()
        .or_else(|| template.and_then(|template| template.agent.clone()))?;
    let mut all: Vec<(String, String)> = Vec::new();
    let sets = primitive
        .sets
        .iter()
        .chain(template.into_iter().flat_map(|template| &template.sets));
    for set in sets.filter(|set| set.kind == SetKind::Instance && set.rule.is_none()) {
        add_pairs(&mut all, set);
    }
    let (own, parameters) = all
        .into_iter()
        .partition(|(name, _)| name.starts_with("pcmk_"));
    Some(Device {
        id: primitive.id.clone(),
        agent,
        parameters,
        own,
    })
}

fn add_pairs(all: &mut Vec<(String, String)>, set: &AttributeSet) {
    for pair in &set.pairs {
        let Some(value) = &pair.value else { continue };
        if find(all, &pair.name).is_none() {
            all.push((pair.name.clone(), value.clone()));
        }
    }
}

/// The levels to be tried for a target, in order: all devices of one level must succeed. Without a
/// topology each device that can fence it is a level of its own.
#[must_use]
pub fn levels(state: &ClusterState, target: &NodeName) -> Vec<Vec<Device>> {
    let mut levels = configured_levels(state, target);
    if let Some(node) = state.nodes.get(target) {
        // A device that lied about this boot is not asked about it again.
        levels.retain(|level| {
            !level
                .iter()
                .any(|device| node.distrusted.contains(&device.id))
        });
    }
    levels
}

fn configured_levels(state: &ClusterState, target: &NodeName) -> Vec<Vec<Device>> {
    let devices = all(&state.configuration);
    let mut chosen: Vec<(u32, Vec<Device>)> = state
        .configuration
        .fencing_levels
        .iter()
        .filter(|level| is_for(state, level, target))
        .map(|level| {
            let members = level
                .devices
                .iter()
                .filter_map(|id| devices.iter().find(|device| device.id == *id).cloned())
                .collect();
            (level.index.parse().unwrap_or(u32::MAX), members)
        })
        .collect();
    chosen.retain(|(_, members): &(u32, Vec<Device>)| !members.is_empty());
    if chosen.is_empty() {
        return devices
            .into_iter()
            .filter(|device| device.can_fence(target))
            .map(|device| vec![device])
            .collect();
    }
    chosen.sort_by_key(|(index, _)| *index);
    chosen.into_iter().map(|(_, members)| members).collect()
}

fn is_for(
    state: &ClusterState,
    level: &quorate_model::cib::FencingLevel,
    target: &NodeName,
) -> bool {
    if let Some(name) = &level.target {
        return name.eq_ignore_ascii_case(&target.0);
    }
    if let Some(pattern) = &level.target_pattern {
        return matches_pattern(pattern, &target.0);
    }
    let (Some(attribute), Some(value)) = (&level.target_attribute, &level.target_value) else {
        return false;
    };
    state.nodes.get(target).is_some_and(|node| {
        node.permanent.get(attribute) == Some(value) || node.transient.get(attribute) == Some(value)
    }) || state.configuration.nodes.iter().any(|node| {
        node.uname.eq_ignore_ascii_case(&target.0)
            && node
                .sets
                .iter()
                .any(|set| document::value(set, attribute) == Some(value.as_str()))
    })
}

/// The few forms of regular expression that node names need: literals, `.`, `.*`, `^`, `$`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let has_begin = pattern.starts_with('^');
    let has_end = pattern.ends_with('$');
    let core: Vec<char> = pattern
        .trim_start_matches('^')
        .trim_end_matches('$')
        .chars()
        .collect();
    let name: Vec<char> = name.chars().collect();
    let starts = if has_begin { 0..=0 } else { 0..=name.len() };
    starts
        .into_iter()
        .any(|start| matches_here(&core, &name[start..], has_end))
}

fn matches_here(pattern: &[char], text: &[char], to_end: bool) -> bool {
    let Some((&first, rest)) = pattern.split_first() else {
        return !to_end || text.is_empty();
    };
    if rest.first() == Some(&'*') {
        let mut taken = 0;
        loop {
            if matches_here(&rest[1..], &text[taken..], to_end) {
                return true;
            }
            if taken >= text.len() || !(first == '.' || text[taken] == first) {
                return false;
            }
            taken += 1;
        }
    }
    match text.split_first() {
        Some((&c, tail)) if first == '.' || first == c => matches_here(rest, tail, to_end),
        _ => false,
    }
}

/// Milliseconds for one call.
#[must_use]
pub fn timeout_ms(state: &ClusterState) -> u64 {
    state
        .option("stonith-timeout")
        .or_else(|| state.option("fencing-timeout"))
        .and_then(document::milliseconds)
        .unwrap_or(TIMEOUT_MS)
}

/// The nodes that may run a device against a target, best first: where the device is registered, then this
/// node, then the others. Never the target, never where a constraint forbids the device.
#[must_use]
pub fn runners(
    state: &ClusterState,
    device: &str,
    target: &NodeName,
    own: &NodeName,
    is_reachable: &dyn Fn(&NodeName) -> bool,
) -> Vec<NodeName> {
    let mut nodes: Vec<(u8, NodeName)> = state
        .nodes
        .iter()
        .filter(|(name, node)| {
            *name != target
                && (*name == own || (node.presence == Presence::Online && is_reachable(name)))
                && !is_banned(state, device, name)
        })
        .map(|(name, node)| {
            let is_registered = node.resources.get(device).is_some_and(|record| {
                record
                    .operations
                    .values()
                    .any(|op| op.operation == "start" && op.rc == 0)
            });
            let rank = match (is_registered, name == own) {
                (true, true) => 0,
                (true, false) => 1,
                (false, true) => 2,
                (false, false) => 3,
            };
            // A witness may have no agents.
            let is_witness = state
                .members
                .get(name)
                .is_some_and(|member| member.is_witness);
            (rank + if is_witness { 4 } else { 0 }, name.clone())
        })
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, name)| name).collect()
}

fn is_banned(state: &ClusterState, device: &str, node: &NodeName) -> bool {
    let in_configuration = state.configuration.constraints.iter().any(|constraint| {
        matches!(constraint, Constraint::Location(location)
            if location.resource.as_deref() == Some(device)
                && location.node.as_deref().is_some_and(|name| {
                    facts::member_named(state, name) == Some(node)
                })
                && location.score.as_deref().is_some_and(is_minus_infinity))
    });
    in_configuration
        || state.moves.values().any(|record| {
            record.resource == device && record.node == *node && is_minus_infinity(&record.score)
        })
}

fn is_minus_infinity(score: &str) -> bool {
    let score = score.to_ascii_lowercase();
    score == "-inf"
        || score == "-infinity"
        || score
            .parse::<i64>()
            .is_ok_and(|number| number <= -1_000_000)
}
