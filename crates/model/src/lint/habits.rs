//! Habits that are known to hurt: instances that are missing, failures nobody counts, moves left behind.

use super::Linter;
use super::view::pairs;
use crate::cib::{Constraint, Pair, SetKind};
use crate::diag::{Code, Diagnostic, Severity, Span, nearest};
use crate::metadata::is_true;
use crate::times;

/// Agents whose place is every node: they measure it, or serve what is asked on each.
const ON_EVERY_NODE: &[(&str, &str)] = &[
    ("ping", "it measures the connection of the node it runs on"),
    ("pingd", "it measures the connection of the node it runs on"),
    ("ethmonitor", "it watches a link of the node it runs on"),
    ("SysInfo", "it describes the node it runs on"),
    ("HealthCPU", "it watches the node it runs on"),
    ("HealthIOWait", "it watches the node it runs on"),
    ("HealthSMART", "it watches the disks of the node it runs on"),
    ("NodeUtilization", "it describes the node it runs on"),
    ("controld", "the lock manager is needed on every node"),
    ("lvmlockd", "the lock manager is needed on every node"),
    ("clvm", "the lock manager is needed on every node"),
    ("o2cb", "the lock manager is needed on every node"),
    (
        "memcached",
        "each client is to use the cache of its own host: with one cache, listed or behind an address, all tokens go with \
         its host",
    ),
];

/// Agents whose instances agree among themselves which of them is promoted.
const ONLY_PROMOTABLE: &[&str] = &[
    "galera",
    "rabbitmq-server-ha",
    "drbd",
    "Stateful",
    "pgsqlms",
    "SAPHana",
];

impl Linter<'_> {
    pub(super) fn habits(&mut self) {
        self.fragment();
        self.missing_instances();
        self.fence_devices();
        self.forgotten_failures();
        self.left_behind();
        self.ignored_failures();
        self.addresses();
        self.galera_parameters();
        self.empty_pairs();
    }

    /// Without a node nothing is said about fencing and quorum: say that.
    fn fragment(&mut self) {
        let runs_something = self.views.iter().any(|view| !view.is_template);
        if !self.configuration.nodes.is_empty() || !runs_something {
            return;
        }
        self.push(
            Diagnostic::new(
                Code::Fragment,
                "no node is named: fencing, quorum and placement are not judged",
            )
            .because("a part of a configuration is judged by its statements alone")
            .help("check it together with the rest, or add `node NAME` for each server"),
        );
    }

    /// Resources that belong on every node, or that must be promotable, and are single.
    fn missing_instances(&mut self) {
        let has_galera = self
            .views
            .iter()
            .any(|view| view.agent_type() == "galera" && view.clone.is_some());
        let mut found = Vec::new();
        for view in &self.views {
            if view.is_template || view.clone.is_some() || view.is_fence_device() {
                continue;
            }
            let id = &view.primitive.id;
            let agent = view.agent_type();
            let place = ON_EVERY_NODE
                .iter()
                .find(|(name, _)| *name == agent)
                .map(|(_, why)| (*why).to_owned());
            let is_check = agent.contains("clustercheck") && has_galera;
            let promotes = ONLY_PROMOTABLE.contains(&agent);
            let (why, how) = if let Some(why) = place {
                (why, format!("clone {id}-clone {id}"))
            } else if is_check {
                let why = "a load balancer asks it on every server of the database: where it does not run the database counts as down";
                (
                    why.to_owned(),
                    format!("clone {id}-clone {id} meta interleave=true"),
                )
            } else if promotes {
                (
                    "the agent has instances that are promoted: a single one is never".to_owned(),
                    format!("clone {id}-clone {id} meta promotable=true notify=true"),
                )
            } else {
                continue;
            };
            found.push(
                Diagnostic::new(Code::ShouldBeClone, format!("`{id}` runs on one node only"))
                    .at(self.spans.get(id, ""), "a single resource")
                    .because(why)
                    .help(format!("add `{how}`"))
                    .about(id.clone()),
            );
        }
        self.found.append(&mut found);
    }

    /// Names that devices give to nodes, and methods that confirm nothing.
    fn fence_devices(&mut self) {
        let nodes: Vec<String> = self
            .configuration
            .nodes
            .iter()
            .map(|node| node.uname.clone())
            .collect();
        let mut found = Vec::new();
        for view in self
            .views
            .iter()
            .filter(|view| view.is_fence_device() && !view.is_template)
        {
            let id = &view.primitive.id;
            for name in ["pcmk_host_list", "hostlist", "hostname"] {
                let Some(pair) = view.parameter(name).filter(|_| !nodes.is_empty()) else {
                    continue;
                };
                let value = pair.value.as_deref().unwrap_or("");
                // Parameters of one device that its maker calls host name are its own address where a list is given.
                if name == "hostname"
                    && (view.parameter("pcmk_host_list").is_some()
                        || !view.agent_type().starts_with("external/"))
                {
                    continue;
                }
                let words = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
                for word in words.filter(|word| !word.is_empty()) {
                    found.extend(self.fence_target(id, pair, word, &nodes));
                }
            }
            let is_cycle = view
                .parameter("method")
                .filter(|pair| pair.value.as_deref() == Some("cycle"));
            if let Some(pair) = is_cycle {
                found.push(
                    Diagnostic::new(Code::FenceCycle, format!("`{id}` fences by a power cycle"))
                        .at(self.value_span(pair), "off and on in one command")
                        .because("the board may report success before the power was off: both nodes then write to one disk")
                        .help("method=onoff: off, the state read back, on")
                        .about(id.clone()),
                );
            }
            let lan = view.parameter("interface");
            let is_lan = lan.is_none_or(|pair| pair.value.as_deref() == Some("lan"));
            if view.agent_type() == "external/ipmi" && is_lan {
                let span = lan
                    .and_then(|pair| self.value_span(pair))
                    .or_else(|| self.spans.get(id, ""));
                found.push(
                    Diagnostic::new(Code::IpmiInClear, format!("`{id}` speaks IPMI 1.5"))
                        .at(span, if lan.is_some() { "the old protocol" } else { "interface=lan is the default" })
                        .because("it neither encrypts nor authenticates well, and many boards have it switched off")
                        .help("interface=lanplus")
                        .about(id.clone()),
                );
            }
        }
        self.found.append(&mut found);
    }

    fn fence_target(
        &self,
        device: &str,
        pair: &Pair,
        word: &str,
        nodes: &[String],
    ) -> Option<Diagnostic> {
        if nodes.iter().any(|node| node == word) {
            return None;
        }
        let span = self.value_span(pair);
        if let Some(meant) = nodes.iter().find(|node| node.eq_ignore_ascii_case(word)) {
            let mut diagnostic = Diagnostic::new(Code::NodeCase, format!("the node `{word}` is written `{meant}` elsewhere"))
                .at(span, format!("`{}` of `{device}`", pair.name))
                .because("names are compared without regard to case here, exactly by other tools and by the device's own scripts")
                .help(format!("write `{meant}`"))
                .about(device);
            let whole = span.filter(|_| pair.value.as_deref() == Some(word));
            if let (Some(span), Some(text)) = (
                whole,
                whole.and_then(|span| self.text.get(span.start..span.end)),
            ) {
                diagnostic = diagnostic.fix(span, text.replace(word, meant));
            }
            return Some(diagnostic);
        }
        let help = nearest(word, nodes.iter().map(String::as_str)).map_or_else(
            || format!("the nodes are {}", nodes.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Some(
            Diagnostic::new(Code::UnknownNode, format!("`{device}` powers off `{word}`, which is no node"))
                .weighing(Severity::Warning)
                .at(span, format!("`{}`", pair.name))
                .because("the node that is meant has no device, and its resources stay blocked when it fails")
                .help(help)
                .about(device),
        )
    }

    /// Failures that are forgotten before the next one can be counted.
    fn forgotten_failures(&mut self) {
        let mut found = Vec::new();
        for view in self.views.iter().filter(|view| !view.is_template) {
            let (Some(limit), Some(memory)) = (
                view.meta("migration-threshold"),
                view.meta("failure-timeout"),
            ) else {
                continue;
            };
            let (Ok(limit), Some(memory)) = (limit.parse::<u64>(), times::milliseconds(memory))
            else {
                continue;
            };
            let shortest = view
                .operations()
                .into_iter()
                .filter(|operation| operation.name == "monitor")
                .filter_map(|operation| operation.interval.as_deref().and_then(times::milliseconds))
                .filter(|interval| *interval > 0)
                .min();
            let Some(interval) = shortest
                .filter(|interval| limit > 1 && memory > 0 && memory <= interval * (limit - 1))
            else {
                continue;
            };
            let id = &view.primitive.id;
            let meta = pairs(&view.primitive.sets, SetKind::Meta)
                .find(|pair| pair.name == "failure-timeout");
            found.push(
                Diagnostic::new(Code::ThresholdOutOfReach, format!("`{id}` never reaches its {limit} failures"))
                    .at(
                        meta.and_then(|pair| self.value_span(pair)).or_else(|| self.spans.get(id, "")),
                        format!("each failure is forgotten after {}", times::spell(memory)),
                    )
                    .because(format!(
                        "its monitor looks every {}: {limit} failures take at least {}, the first is forgotten by then",
                        times::spell(interval),
                        times::spell(interval * (limit - 1))
                    ))
                    .help(format!("failure-timeout={} or more, or a smaller migration-threshold", times::spell(interval * limit * 2)))
                    .about(id.clone()),
            );
        }
        self.found.append(&mut found);
    }

    /// What a move or a maintenance left behind.
    fn left_behind(&mut self) {
        let mut found = Vec::new();
        for constraint in &self.configuration.constraints {
            let Constraint::Location(location) = constraint else {
                continue;
            };
            let is_move = ["cli-ban-", "cli-prefer-", "cli-standby-"]
                .iter()
                .any(|begin| location.id.starts_with(begin));
            if is_move && location.rules.is_empty() && location.lifetime.is_none() {
                let resource = location.resource.as_deref().unwrap_or("?");
                found.push(
                    Diagnostic::new(
                        Code::MoveLeftBehind,
                        format!(
                            "`{}` is what a move of `{resource}` left behind",
                            location.id
                        ),
                    )
                    .at(
                        self.spans.get(&location.id, ""),
                        "binds until somebody removes it",
                    )
                    .because("the resource cannot come back here, or cannot leave, when it should")
                    .help(format!(
                        "`quorate clear {resource}`, or remove the statement"
                    ))
                    .about(location.id.clone()),
                );
            }
        }
        if let Some((_, id)) = self
            .cluster_option(&["maintenance-mode"])
            .filter(|(value, _)| is_true(value) == Some(true))
        {
            found.push(
                Diagnostic::new(
                    Code::LeftUnmanaged,
                    "maintenance-mode is on: nothing is started, stopped or monitored",
                )
                .at(
                    id.and_then(|id| self.spans.get(id, "")),
                    "for the whole cluster",
                )
                .help("maintenance-mode=false when the work is done"),
            );
        }
        for view in self.views.iter().filter(|view| !view.is_template) {
            let is_left = view.meta("is-managed").and_then(is_true) == Some(false)
                || view.meta("maintenance").and_then(is_true) == Some(true);
            if is_left {
                let id = &view.primitive.id;
                found.push(
                    Diagnostic::new(
                        Code::LeftUnmanaged,
                        format!("`{id}` is not managed: when it fails nothing is done"),
                    )
                    .at(
                        self.spans.get(id, ""),
                        "is-managed=false or maintenance=true",
                    )
                    .help("remove it when the work is done")
                    .about(id.clone()),
                );
            }
        }
        self.found.append(&mut found);
    }

    fn ignored_failures(&mut self) {
        let mut found = Vec::new();
        for view in &self.views {
            for operation in &view.primitive.operations.list {
                let ignores = operation
                    .extra
                    .iter()
                    .any(|(name, value)| name == "on-fail" && value == "ignore");
                if ignores {
                    found.push(
                        Diagnostic::new(
                            Code::FailureIgnored,
                            format!(
                                "a failed {} of `{}` is taken for success",
                                operation.name, view.primitive.id
                            ),
                        )
                        .at(self.spans.near(&operation.id, "on-fail"), "nothing happens")
                        .because(match operation.name.as_str() {
                            "stop" => "the resource may still run when it is started elsewhere",
                            _ => "the service may be down for as long as nobody looks",
                        })
                        .help("leave on-fail out, or write on-fail=block to be asked")
                        .about(view.primitive.id.clone()),
                    );
                }
            }
        }
        self.found.append(&mut found);
    }

    /// Virtual addresses: their link, and what binds to them.
    fn addresses(&mut self) {
        let watches_links = self
            .views
            .iter()
            .any(|view| matches!(view.agent_type(), "ethmonitor" | "ping" | "pingd"));
        let mut found = Vec::new();
        for view in self
            .views
            .iter()
            .filter(|view| view.agent_type() == "IPaddr2" && !view.is_template)
        {
            let id = &view.primitive.id;
            if let Some(pair) = view
                .parameter("nic")
                .filter(|pair| pair.value.as_deref().is_some_and(|nic| nic.contains(':')))
            {
                let value = pair.value.as_deref().unwrap_or("");
                let (nic, label) = value.split_once(':').unwrap_or((value, ""));
                found.push(
                    Diagnostic::new(
                        Code::BadParameter,
                        format!("`nic` of `{id}` names an alias, not an interface"),
                    )
                    .at(self.value_span(pair), "interfaces have no colon")
                    .help(format!("nic={nic} iflabel={label}"))
                    .about(id.clone()),
                );
            }
            if !watches_links && view.parameter("check_link_status").is_none() {
                found.push(
                    Diagnostic::new(Code::AddressWithoutLink, format!("`{id}` stays where the network is down"))
                        .at(self.spans.get(id, ""), "its monitor sees the address, not the link")
                        .because("a pulled cable or a dead switch port moves nothing")
                        .help("clone an ocf:heartbeat:ethmonitor or ocf:pacemaker:ping, and add `location NAME RESOURCE rule -inf: not_defined ATTRIBUTE or ATTRIBUTE number:lt 1`")
                        .about(id.clone()),
                );
            }
        }
        self.found.append(&mut found);
        self.inside_services();
    }

    /// A service that binds to an address must be behind it in the group.
    fn inside_services(&mut self) {
        let addresses: Vec<(&str, &str, Option<&str>)> = self
            .views
            .iter()
            .filter(|view| matches!(view.agent_type(), "IPaddr2" | "IPaddr"))
            .filter_map(|view| {
                let ip = view.parameter("ip")?.value.as_deref()?;
                Some((
                    view.primitive.id.as_str(),
                    ip,
                    view.group.map(|group| group.id.as_str()),
                ))
            })
            .filter(|(_, ip, _)| ip.len() > 3)
            .collect();
        let mut found = Vec::new();
        for view in self
            .views
            .iter()
            .filter(|view| !matches!(view.agent_type(), "IPaddr2" | "IPaddr"))
        {
            let id = view.primitive.id.as_str();
            for (address, ip, group) in &addresses {
                let Some(pair) = view.parameters().find(|pair| binds(pair, ip)) else {
                    continue;
                };
                let Some(own) = view.group.filter(|own| Some(own.id.as_str()) == *group) else {
                    continue;
                };
                let at = |name: &str| own.members.iter().position(|member| member.id == name);
                if at(address) < at(id) {
                    continue;
                }
                found.push(
                    Diagnostic::new(
                        Code::AddressInsideService,
                        format!("`{id}` binds to {ip} and starts before `{address}`"),
                    )
                    .weighing(Severity::Warning)
                    .at(self.value_span(pair), "the address is not there yet")
                    .because("the bind fails, and with it the start")
                    .help(format!("put `{address}` before `{id}` in `{}`", own.id))
                    .about(id),
                );
            }
        }
        self.found.append(&mut found);
    }

    /// Names that the agent compares word by word, and databases made by accident.
    fn galera_parameters(&mut self) {
        let mut found = Vec::new();
        for view in self
            .views
            .iter()
            .filter(|view| view.agent_type() == "galera")
        {
            let id = &view.primitive.id;
            let list = view
                .parameter("wsrep_cluster_address")
                .and_then(|pair| pair.value.as_deref())
                .unwrap_or("");
            let list = list
                .trim_start_matches("gcomm://")
                .split('?')
                .next()
                .unwrap_or("");
            let addresses: Vec<&str> = list
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .collect();
            if let Some(pair) = view.parameter("cluster_host_map") {
                let map = pair.value.as_deref().unwrap_or("");
                let missing: Vec<&str> = map
                    .split(';')
                    .filter_map(|entry| entry.split_once(':'))
                    .map(|(_, name)| name.trim())
                    .filter(|name| !addresses.is_empty() && !addresses.contains(name))
                    .collect();
                if !missing.is_empty() {
                    found.push(
                        Diagnostic::new(Code::BadParameter, format!("`cluster_host_map` of `{id}` maps to names that wsrep_cluster_address does not have: {}", missing.join(", ")))
                            .at(self.value_span(pair), format!("the addresses are {}", addresses.join(", ")))
                            .because("the agent looks for the mapped name in the address list: no instance starts, and no node can bootstrap")
                            .help("write the same names in both, or leave the map out where nodes and addresses have one name")
                            .about(id.clone()),
                    );
                }
            }
            if let Some(pair) = view
                .parameter("enable_creation")
                .filter(|pair| pair.value.as_deref().and_then(is_true) == Some(true))
            {
                found.push(
                    Diagnostic::new(Code::EmptyDatabase, format!("`{id}` makes an empty database where it finds none"))
                        .at(self.value_span(pair), "also when a disk was not mounted")
                        .because("an empty data directory then looks like a new member, or begins a new cluster")
                        .help("leave enable_creation out once the cluster has been set up")
                        .about(id.clone()),
                );
            }
        }
        self.found.append(&mut found);
    }

    /// `params state` without a value.
    fn empty_pairs(&mut self) {
        let mut found = Vec::new();
        for view in &self.views {
            let id = &view.primitive.id;
            for pair in view.primitive.sets.iter().flat_map(|set| &set.pairs) {
                if pair.value.is_none() && pair.id_ref.is_none() {
                    found.push(
                        Diagnostic::new(
                            Code::PairWithoutValue,
                            format!("`{}` of `{id}` has no value", pair.name),
                        )
                        .at(
                            pair.id.as_deref().and_then(|id| self.spans.get(id, "")),
                            "present and unset",
                        )
                        .help(format!("write {}=VALUE, or remove it", pair.name))
                        .about(id.clone()),
                    );
                }
            }
        }
        self.found.append(&mut found);
    }

    fn value_span(&self, pair: &Pair) -> Option<Span> {
        self.spans.near(pair.id.as_deref()?, "value")
    }
}

/// Whether a parameter makes a service listen on that address.
fn binds(pair: &Pair, ip: &str) -> bool {
    let value = pair.value.as_deref().unwrap_or("");
    let is_bind = pair.name.contains("bind")
        || pair.name.contains("listen")
        || value.contains("bind-address=");
    is_bind
        && value
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | ':' | '_')))
            .any(|word| word == ip)
}
