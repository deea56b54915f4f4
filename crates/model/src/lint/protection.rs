//! Fencing and quorum: what keeps data from two owners.

use super::Linter;
use super::view::View;
use crate::cib::{Constraint, SetKind};
use crate::diag::{Code, Diagnostic, Severity};
use crate::metadata::is_true;

/// Both names of the option that switches fencing.
const FENCING_ENABLED: &[&str] = &["stonith-enabled", "fencing-enabled"];

impl Linter<'_> {
    pub(super) fn protection(&mut self) {
        let members = self.members().len();
        let fencing = self.cluster_option(FENCING_ENABLED);
        let runs_something = self
            .views
            .iter()
            .any(|view| !view.is_fence_device() && !view.is_template);
        // A fragment without nodes is judged by its statements alone.
        if members == 0 || !runs_something {
            return;
        }
        let has_device = self.views.iter().any(View::is_fence_device);
        match &fencing {
            None => self.fencing_undecided(has_device),
            Some((value, id)) if is_true(value) == Some(false) => {
                let span = id.and_then(|id| self.spans.get(id, ""));
                let diagnostic = Diagnostic::new(Code::FencingOff, "fencing is switched off")
                    .at(
                        span,
                        "a lost node is not powered off before its resources start elsewhere",
                    )
                    .because("a node that is only unreachable may go on writing to the same disk")
                    .help("configure a fence device and set stonith-enabled=true");
                self.push(diagnostic);
            }
            Some(_) => {}
        }
        let is_off = fencing
            .as_ref()
            .is_some_and(|(value, _)| is_true(value) == Some(false));
        if !has_device && !is_off {
            let diagnostic = Diagnostic::new(Code::NoFenceDevice, "no fence device is configured")
                .weighing(Severity::Warning)
                .because("fencing is required (the default), so after a failure the resources of a lost node stay blocked")
                .help("add one, for example `primitive fence-a stonith:fence_ipmilan params ip=... username=... pcmk_host_list=NODE op monitor interval=60s`")
                .help("or accept the risk in writing: `property stonith-enabled=false`");
            self.push(diagnostic);
        }
        let has_third = self.facts.voters.is_some_and(|voters| voters > 2);
        if members == 2 && !is_off && !has_third {
            self.quorum_of_two(fencing.is_some());
        }
        if let Some((value, id)) = self.cluster_option(&["no-quorum-policy"])
            && value == "ignore"
        {
            let span = id.and_then(|id| self.spans.get(id, ""));
            let mut diagnostic = Diagnostic::new(Code::QuorumIgnored, "no-quorum-policy=ignore: both sides of a partition go on")
                    .at(span, "safe only while fencing works")
                    .help("leave it out: the survivor of a pair gets its quorum from the confirmed fencing of its peer");
            if is_off {
                diagnostic = diagnostic.weighing(Severity::Error).because(
                    "with fencing off both sides would start the same resources on the same data",
                );
            }
            self.push(diagnostic);
        }
        if has_device {
            self.coverage();
        }
    }

    fn fencing_undecided(&mut self, has_device: bool) {
        let mut diagnostic = Diagnostic::new(
            Code::FencingUndecided,
            "nothing says whether failed nodes are fenced (stonith-enabled)",
        )
        .because(
            "the default is yes; a reader cannot tell whether that was meant, and tools differ",
        );
        if has_device {
            let statement = self.addition("property stonith-enabled=true");
            let end = self.end_of_text();
            diagnostic =
                diagnostic.help("devices are configured: say `property stonith-enabled=true`");
            if self.document.is_some() {
                diagnostic = diagnostic.fix(end, statement);
            }
        } else {
            diagnostic =
                diagnostic.help("configure a fence device and say `property stonith-enabled=true`");
        }
        self.push(diagnostic);
    }

    fn quorum_of_two(&mut self, fencing_is_said: bool) {
        if self.cluster_option(&["no-quorum-policy"]).is_some() || fencing_is_said {
            return;
        }
        let diagnostic = Diagnostic::new(
            Code::QuorumUndecided,
            "two nodes, and nothing decides what the survivor of a lost contact may do",
        )
        .because("neither of two is a majority")
        .help("fence the peer first and go on then: `property stonith-enabled=true`")
        .help("or add a third voter that runs no resource: `quorate join --witness`");
        self.push(diagnostic);
    }

    /// Which nodes no device covers, devices that may run at home, single levels.
    fn coverage(&mut self) {
        let members: Vec<String> = self.members().into_iter().map(str::to_owned).collect();
        let devices: Vec<(String, Vec<String>, bool)> = self
            .views
            .iter()
            .filter(|view| view.is_fence_device())
            .map(|view| {
                let (targets, any) = targets(view);
                (view.primitive.id.clone(), targets, any)
            })
            .collect();
        let covers = |device: &(String, Vec<String>, bool), node: &str| {
            device.2
                || device
                    .1
                    .iter()
                    .any(|target| target.eq_ignore_ascii_case(node))
        };
        let mut single = Vec::new();
        for node in &members {
            let by: Vec<_> = devices
                .iter()
                .filter(|device| covers(device, node))
                .collect();
            if by.is_empty() {
                let diagnostic = Diagnostic::new(Code::NodeWithoutFencing, format!("no fence device covers the node `{node}`"))
                    .at(self.spans.get(&format!("node:{node}"), ""), "when it fails its resources stay blocked")
                    .help(format!("add a device for it, or name it in a device's pcmk_host_list (hostname of external/ipmi): `{node}`"))
                    .about(node.clone());
                self.push(diagnostic);
            } else if by.len() == 1 {
                single.push(node.clone());
            }
            for device in by.iter().filter(|device| device.1.len() == 1) {
                self.device_at_home(&device.0, node);
            }
        }
        if !single.is_empty() {
            let diagnostic = Diagnostic::new(Code::SingleFencePath, format!("one fence device only for {}", single.join(", ")))
                .because("a management board that loses power together with its server can confirm nothing: recovery waits for an administrator")
                .help("add a second level, for example a switched power outlet, with fencing_topology");
            self.push(diagnostic);
        }
    }

    fn device_at_home(&mut self, device: &str, node: &str) {
        let is_kept_off =
            self.configuration
                .constraints
                .iter()
                .any(|constraint| match constraint {
                    Constraint::Location(location) => {
                        location.resource.as_deref() == Some(device)
                            && (location.node.as_deref().is_some_and(|other| {
                                let is_away = location
                                    .score
                                    .as_deref()
                                    .is_some_and(|score| score.starts_with('-'));
                                other.eq_ignore_ascii_case(node) == is_away
                            }) || !location.rules.is_empty())
                    }
                    _ => false,
                });
        if is_kept_off {
            return;
        }
        let diagnostic = Diagnostic::new(
            Code::FenceDeviceAtHome,
            format!("`{device}` may run on `{node}`, the node it powers off"),
        )
        .weighing(Severity::Note)
        .at(
            self.spans.get(device, ""),
            "its monitor then tests the way from the wrong machine",
        )
        .help(format!(
            "add `location {device}-not-home {device} -inf: {node}`"
        ))
        .about(device);
        self.push(diagnostic);
    }
}

/// The nodes that a device names, and whether it may cover any.
fn targets(view: &View<'_>) -> (Vec<String>, bool) {
    let mut targets = Vec::new();
    for name in ["pcmk_host_list", "hostlist", "hostname", "hosts"] {
        if let Some(value) = view.parameter(name).and_then(|pair| pair.value.as_deref()) {
            let words = value.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
            targets.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    if let Some(map) = view
        .parameter("pcmk_host_map")
        .and_then(|pair| pair.value.as_deref())
    {
        let entries = map.split(|c: char| c.is_whitespace() || c == ';');
        targets.extend(
            entries
                .filter_map(|entry| entry.split([':', '=']).next())
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
    }
    let any = targets.is_empty()
        && view
            .primitive
            .sets
            .iter()
            .any(|set| set.kind == SetKind::Instance || set.id_ref.is_some())
        || targets.is_empty();
    (targets, any)
}
