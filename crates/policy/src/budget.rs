//! How long a service may be away after a fault, from the configured timers alone.
//!
//! An upper bound, phase by phase: everything is supposed to take as long as it may without being a failure.
//! A drill is judged against it, and `check` prints it, so that an operator sees what the timers promise before
//! a machine dies.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::cib::{
    AttributeSet, CloneChild, Configuration, Constraint, Operation, Primitive, Resource, SetKind,
};
use quorate_model::times::milliseconds;

/// Pacemaker's default for an operation without a timeout, in milliseconds.
pub const OPERATION_TIMEOUT_MS: u64 = 20_000;
/// Pacemaker's default of `stonith-timeout`, in milliseconds.
pub const FENCING_TIMEOUT_MS: u64 = 60_000;
/// Default detection time, in milliseconds.
pub const DETECTION_MS: u64 = 1_000;

/// What breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The machine under the service is lost (power, kernel, all links): detected by silence, fenced.
    NodeLost,
    /// The service's own process dies: its monitor notices, stop and start follow on the spot.
    ProcessDied {
        /// A manager that watches processes notices at once; one that only monitors after an interval.
        watched: bool,
    },
    /// The node is put in standby or drained: an orderly stop, then a start elsewhere.
    OrderlyMove,
}

/// Milliseconds for each phase; 0 where a fault has no such phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Until the fault is noticed.
    pub detection_ms: u64,
    /// Until the lost node is confirmed to be off.
    pub fencing_ms: u64,
    /// Until what must stop has stopped.
    pub stop_ms: u64,
    /// Until everything the service needs, and the service, has started.
    pub start_ms: u64,
}

impl Budget {
    /// The whole.
    #[must_use]
    pub fn total_ms(self) -> u64 {
        self.detection_ms
            .saturating_add(self.fencing_ms)
            .saturating_add(self.stop_ms)
            .saturating_add(self.start_ms)
    }
}

/// The budget of one resource (a primitive's id) under one fault; `None` when it is not configured.
#[must_use]
pub fn budget(configuration: &Configuration, resource: &str, fault: &Fault) -> Option<Budget> {
    let timers = Timers::read(configuration);
    let primitive = *timers.primitives.get(resource)?;
    let mut budget = Budget {
        start_ms: timers.chain_ms(resource, "start"),
        ..Budget::default()
    };
    match fault {
        Fault::NodeLost => {
            budget.detection_ms = timers.option_ms("detection-time", DETECTION_MS);
            if timers.fencing_is_on() {
                budget.fencing_ms = timers.fencing_ms();
            }
        }
        Fault::ProcessDied { watched } => {
            let (interval, timeout) = timers.monitor_ms(primitive);
            budget.detection_ms = timeout + if *watched { 0 } else { interval };
            // What comes after the resource in its group stops before it and starts behind it.
            budget.stop_ms = timers.chain_ms(resource, "stop");
            budget.start_ms = timers.operation_ms(primitive, "start");
        }
        Fault::OrderlyMove => budget.stop_ms = timers.whole_stop_ms(resource),
    }
    Some(budget)
}

/// The configuration as the computation needs it.
struct Timers<'a> {
    configuration: &'a Configuration,
    primitives: BTreeMap<&'a str, &'a Primitive>,
    templates: BTreeMap<&'a str, &'a Primitive>,
    /// For each primitive or container: what must have started before it.
    before: BTreeMap<&'a str, Vec<&'a str>>,
    /// Members of groups and clones.
    members: BTreeMap<&'a str, Vec<&'a str>>,
    parent: BTreeMap<&'a str, &'a str>,
}

impl<'a> Timers<'a> {
    fn read(configuration: &'a Configuration) -> Self {
        let mut timers = Self {
            configuration,
            primitives: BTreeMap::new(),
            templates: BTreeMap::new(),
            before: BTreeMap::new(),
            members: BTreeMap::new(),
            parent: BTreeMap::new(),
        };
        for resource in &configuration.resources {
            match resource {
                Resource::Primitive(primitive) => timers.add(primitive, None),
                Resource::Template(template) => {
                    timers.templates.insert(&template.id, template);
                }
                Resource::Group(group) => timers.add_group(&group.id, &group.members, None),
                Resource::Clone(clone) => match &clone.child {
                    CloneChild::Primitive(primitive) => timers.add(primitive, Some(&clone.id)),
                    CloneChild::Group(group) => {
                        timers.add_group(&group.id, &group.members, Some(&clone.id));
                    }
                },
                Resource::Bundle(bundle) => {
                    if let Some(primitive) = &bundle.primitive {
                        timers.add(primitive, Some(&bundle.id));
                    }
                }
            }
        }
        for constraint in &configuration.constraints {
            timers.add_order(constraint);
        }
        timers
    }

    fn add(&mut self, primitive: &'a Primitive, parent: Option<&'a str>) {
        self.primitives.insert(&primitive.id, primitive);
        if let Some(parent) = parent {
            self.members.entry(parent).or_default().push(&primitive.id);
            self.parent.insert(&primitive.id, parent);
        }
    }

    fn add_group(&mut self, id: &'a str, members: &'a [Primitive], parent: Option<&'a str>) {
        for pair in members.windows(2) {
            self.before
                .entry(&pair[1].id)
                .or_default()
                .push(&pair[0].id);
        }
        for member in members {
            self.add(member, Some(id));
        }
        if let Some(parent) = parent {
            self.members.entry(parent).or_default().push(id);
            self.parent.insert(id, parent);
        }
    }

    fn add_order(&mut self, constraint: &'a Constraint) {
        let Constraint::Order(order) = constraint else {
            return;
        };
        let optional = order
            .kind
            .as_deref()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("optional"))
            || order.score.as_deref() == Some("0");
        if let (Some(first), Some(then), false) = (&order.first, &order.then, optional) {
            self.before.entry(then).or_default().push(first);
        }
    }

    /// Time until everything that `resource` waits for, and itself, has done `operation`; where several wait
    /// side by side the slowest counts. A cycle ends where it closes.
    fn chain_ms(&self, resource: &str, operation: &str) -> u64 {
        if operation == "stop" {
            return self.stop_chain_ms(resource, &mut BTreeSet::new());
        }
        self.start_chain_ms(resource, &mut BTreeSet::new())
    }

    fn start_chain_ms(&self, resource: &str, path: &mut BTreeSet<String>) -> u64 {
        if !path.insert(resource.to_owned()) {
            return 0;
        }
        let own = self
            .primitives
            .get(resource)
            .map_or(0, |primitive| self.operation_ms(primitive, "start"));
        let direct = self.before.get(resource).into_iter().flatten().copied();
        // A constraint on the group or clone holds for its members.
        let inherited = self.parent.get(resource).copied();
        let ahead = direct.chain(inherited.filter(|_| self.primitives.contains_key(resource)));
        let waited = ahead
            .map(|first| self.finish_ms(first, resource, path))
            .max()
            .unwrap_or(0);
        path.remove(resource);
        own.saturating_add(waited)
    }

    /// When `first` is finished, as seen from `then`: a parent counts only with what it waits for itself.
    fn finish_ms(&self, first: &str, then: &str, path: &mut BTreeSet<String>) -> u64 {
        let is_parent = self.parent.get(then).is_some_and(|parent| *parent == first);
        if is_parent || self.primitives.contains_key(first) {
            return self.start_chain_ms(first, path);
        }
        let members = self.members.get(first).into_iter().flatten();
        members
            .map(|member| self.finish_ms(member, "", path))
            .max()
            .unwrap_or_else(|| self.start_chain_ms(first, path))
    }

    fn stop_chain_ms(&self, resource: &str, path: &mut BTreeSet<String>) -> u64 {
        if !path.insert(resource.to_owned()) {
            return 0;
        }
        let own = self
            .primitives
            .get(resource)
            .map_or(0, |primitive| self.operation_ms(primitive, "stop"));
        let waited = self
            .before
            .iter()
            .filter(|(_, firsts)| firsts.contains(&resource))
            .map(|(then, _)| self.stop_chain_ms(then, path))
            .max()
            .unwrap_or(0);
        path.remove(resource);
        own.saturating_add(waited)
    }

    /// Time until the first of the chain below `resource` has stopped: the whole group in reverse.
    fn whole_stop_ms(&self, resource: &str) -> u64 {
        let mut first = resource;
        let mut seen = BTreeSet::new();
        while let Some(earlier) = self.before.get(first).and_then(|firsts| firsts.first()) {
            if !seen.insert(first) {
                break;
            }
            first = earlier;
        }
        self.stop_chain_ms(first, &mut BTreeSet::new())
    }

    fn operations(&self, primitive: &'a Primitive) -> impl Iterator<Item = &'a Operation> {
        let template = primitive
            .template
            .as_deref()
            .and_then(|id| self.templates.get(id).copied());
        let inherited = template.into_iter().flat_map(|t| t.operations.list.iter());
        primitive.operations.list.iter().chain(inherited)
    }

    fn operation_ms(&self, primitive: &'a Primitive, name: &str) -> u64 {
        self.operations(primitive)
            .find(|operation| operation.name == name)
            .and_then(timeout_ms)
            .unwrap_or_else(|| self.default_timeout_ms())
    }

    /// Interval and timeout of the monitor that runs most often.
    fn monitor_ms(&self, primitive: &'a Primitive) -> (u64, u64) {
        self.operations(primitive)
            .filter(|operation| operation.name == "monitor")
            .filter_map(|operation| {
                let interval = milliseconds(operation.interval.as_deref()?)?;
                let timeout = timeout_ms(operation).unwrap_or_else(|| self.default_timeout_ms());
                (interval > 0).then_some((interval, timeout))
            })
            .min()
            .unwrap_or((0, self.default_timeout_ms()))
    }

    fn default_timeout_ms(&self) -> u64 {
        value(&self.configuration.operation_defaults, None, "timeout")
            .and_then(milliseconds)
            .unwrap_or(OPERATION_TIMEOUT_MS)
    }

    fn option_ms(&self, name: &str, default: u64) -> u64 {
        value(&self.configuration.options, None, name)
            .and_then(milliseconds)
            .unwrap_or(default)
    }

    fn fencing_is_on(&self) -> bool {
        ["fencing-enabled", "stonith-enabled"]
            .iter()
            .find_map(|name| value(&self.configuration.options, None, name))
            .is_none_or(|text| {
                !matches!(
                    text.to_lowercase().as_str(),
                    "false" | "no" | "off" | "n" | "0"
                )
            })
    }

    fn fencing_ms(&self) -> u64 {
        let whole = value(&self.configuration.options, None, "fencing-timeout")
            .or_else(|| value(&self.configuration.options, None, "stonith-timeout"))
            .and_then(milliseconds)
            .unwrap_or(FENCING_TIMEOUT_MS);
        // A device may have a timeout of its own, which replaces the cluster's.
        self.primitives
            .values()
            .filter(|primitive| primitive.class.as_deref() == Some("stonith"))
            .map(|primitive| {
                value(&primitive.sets, Some(SetKind::Instance), "pcmk_off_timeout")
                    .and_then(milliseconds)
                    .unwrap_or(whole)
            })
            .max()
            .unwrap_or(whole)
    }
}

fn timeout_ms(operation: &Operation) -> Option<u64> {
    let direct = operation
        .extra
        .iter()
        .find(|(name, _)| name == "timeout")
        .map(|(_, text)| text.as_str());
    direct
        .or_else(|| value(&operation.sets, Some(SetKind::Meta), "timeout"))
        .and_then(milliseconds)
}

fn value<'a>(sets: &'a [AttributeSet], kind: Option<SetKind>, name: &str) -> Option<&'a str> {
    sets.iter()
        .filter(|set| kind.is_none_or(|kind| set.kind == kind))
        .flat_map(|set| &set.pairs)
        .find(|pair| pair.name == name)
        .and_then(|pair| pair.value.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIKI: &str = "\
node a
node b
primitive fs ocf:heartbeat:Filesystem op start timeout=120 op stop timeout=240 op monitor interval=60 timeout=60
primitive ip ocf:heartbeat:IPaddr2 op monitor interval=5s
primitive db ocf:heartbeat:mysql op start timeout=120s op stop timeout=110s op monitor interval=20s timeout=30s
primitive power stonith:external/ipmi params hostname=a
group g fs ip db
property stonith-enabled=true detection-time=500ms stonith-timeout=40s
";

    fn wiki(resource: &str, fault: &Fault) -> Option<Budget> {
        let (document, diagnostics) = quorate_model::crm::parse(WIKI);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        budget(document.configuration(), resource, fault)
    }

    #[test]
    fn a_lost_machine_costs_detection_fencing_and_the_chain_of_starts() {
        let budget = wiki("db", &Fault::NodeLost).expect("configured");
        assert_eq!(
            budget,
            Budget {
                detection_ms: 500,
                fencing_ms: 40_000,
                stop_ms: 0,
                start_ms: 120_000 + OPERATION_TIMEOUT_MS + 120_000,
            }
        );
        assert_eq!(budget.total_ms(), 300_500);
    }

    #[test]
    fn a_dead_process_costs_its_monitor_stop_and_start() {
        let watched = wiki("db", &Fault::ProcessDied { watched: true }).expect("configured");
        assert_eq!(watched.detection_ms, 30_000);
        assert_eq!((watched.stop_ms, watched.start_ms), (110_000, 120_000));
        let polled = wiki("db", &Fault::ProcessDied { watched: false }).expect("configured");
        assert_eq!(polled.detection_ms, 50_000);
    }

    #[test]
    fn a_move_stops_the_whole_group_in_reverse() {
        let moved = wiki("db", &Fault::OrderlyMove).expect("configured");
        assert_eq!(moved.stop_ms, 110_000 + OPERATION_TIMEOUT_MS + 240_000);
    }

    #[test]
    fn an_order_between_groups_counts_and_a_cycle_ends() {
        let text = "primitive a ocf:heartbeat:Dummy op start timeout=10\n\
                    primitive b ocf:heartbeat:Dummy op start timeout=20\n\
                    primitive c ocf:heartbeat:Dummy op start timeout=40\n\
                    group g b\norder o1 Mandatory: a g\norder o2 Mandatory: g c\norder o3 Mandatory: c a\n";
        let (document, _) = quorate_model::crm::parse(text);
        let budget = budget(document.configuration(), "c", &Fault::NodeLost).expect("configured");
        assert_eq!(budget.start_ms, 70_000);
    }

    #[test]
    fn what_is_not_configured_has_no_budget() {
        assert_eq!(wiki("nothing", &Fault::NodeLost), None);
    }
}
