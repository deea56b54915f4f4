//! Requests: what the node answers by itself, its own view, watchers, alerts.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::{LocalView, PeerView, Request, Response};
use crate::apply::rc_and_status;
use crate::devices;
#[cfg(not(test))]
use crate::engine::Engine;
use crate::engine::{Blocked, EngineInput};
use crate::entry::Entry;
use crate::event::{AgentResult, Effect, Outcome};
use crate::executor::Coordinator;
use crate::executor::Lease;
use crate::ids::{ClientId, Lineage, LogIndex, NodeName, Term};
use crate::outbox::Outbox;
use crate::requests::{Origin, Wanted, refused};
use crate::start::{Founder, Identity};
use crate::state::FenceOutcome;

use super::Node;
#[cfg(test)]
use super::tests::fake::Engine;

/// Watchers see changes at most so often.
const SHOW_MS: u64 = 100;
/// Runs of power readings are numbered from here, apart from the coordinator's.
const CHECK_TERM: Term = Term(u64::MAX);

/// Readings of power states for one request.
#[derive(Debug)]
pub(super) struct Check {
    request: u64,
    /// Devices by run.
    waiting: BTreeMap<u64, String>,
    said: Vec<(String, String)>,
}

impl Node {
    /// A request of a client or of another node.
    pub(super) fn request(&mut self, origin: Origin, request: Request, out: &mut Outbox) {
        let mut requests = std::mem::take(&mut self.requests);
        let has_leader = self.leader.is_some();
        let wanted = requests.request(origin, request, &self.world(), has_leader, out);
        self.requests = requests;
        match wanted {
            Wanted::Nothing => {}
            Wanted::State(client) => {
                let response = self.shown_state();
                out.effect(Effect::Reply { client, response });
            }
            Wanted::Shutdown(id) => self.begin_drain(Some(id), out),
            Wanted::FenceCheck(id, node) => self.check_power(id, &node, out),
            Wanted::Force(id, lost, who) => {
                let answer = self.force(&lost, &who).unwrap_or_else(|refusal| *refusal);
                out.answers.push((id, answer));
            }
        }
    }

    fn shown_state(&self) -> Response {
        Response::State {
            state: self.state.encode(),
            local: self.local_view(),
        }
    }

    /// What this node sees by itself.
    #[must_use]
    pub fn local_view(&self) -> LocalView {
        let now = self.now.mono;
        let peers = self
            .state
            .members
            .iter()
            .filter(|(name, _)| **name != self.name)
            .map(|(name, member)| {
                let contact = self.contacts.get(name);
                let links = contact.map_or_else(Vec::new, |contact| {
                    let lost = now.since(contact.lost_since);
                    contact
                        .links
                        .values()
                        .map(|is_up| Some(if *is_up { 0 } else { lost.max(1) }))
                        .collect()
                });
                PeerView {
                    name: name.clone(),
                    raft_id: member.raft_id,
                    has_contact: contact.is_some_and(|contact| contact.is_up),
                    links,
                }
            })
            .collect();
        LocalView {
            name: self.name.0.clone(),
            incarnation: self.incarnation,
            leader: self.leader.clone(),
            term: self.term,
            has_quorum: self.leader.is_some(),
            has_lease: self.lease() == Lease::Valid,
            peers,
            transition: self
                .controller
                .as_ref()
                .and_then(crate::controller::Controller::transition),
            waits: self.waits(),
            wall_ms: self.now.wall_ms,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn waits(&self) -> Vec<(String, String)> {
        let mut waits: Vec<(String, String)> = self.blocked.iter().map(said).collect();
        if let Some(controller) = &self.controller {
            if let Some(why) = &controller.waits {
                waits.push((why.clone(), String::new()));
            }
            for (what, why, way_out) in &controller.blocked {
                waits.push((format!("{what}: {why}"), way_out.clone()));
            }
        }
        if let Some(why) = &self.state.broken {
            waits.push((why.clone(), "upgrade this node's software".to_owned()));
        }
        waits
    }

    pub(super) fn show_soon(&mut self) {
        if self.show_at.is_none() && !self.requests.watchers.is_empty() {
            self.show_at = Some(self.now.mono.plus(SHOW_MS));
        }
    }

    /// Shows watchers what changed.
    pub(super) fn show(&mut self, out: &mut Outbox) {
        let is_due = self.show_at.is_some_and(|at| at <= self.now.mono);
        if !is_due {
            return;
        }
        self.show_at = None;
        self.shown = self.state.applied;
        let watchers: Vec<ClientId> = self.requests.watchers.iter().copied().collect();
        let response = self.shown_state();
        for client in watchers {
            let response = response.clone();
            out.effect(Effect::Reply { client, response });
        }
    }

    /// Reads the power state of a node by each of its devices, from here.
    fn check_power(&mut self, request: u64, node: &NodeName, out: &mut Outbox) {
        let target = crate::facts::member_named(&self.state, &node.0).cloned();
        let target = target.unwrap_or_else(|| node.clone());
        let levels = devices::levels(&self.state, &target);
        if levels.is_empty() {
            let answer = refused(
                &format!("no device is configured that can fence {target}"),
                "add a stonith resource for it",
            );
            out.answers.push((request, answer));
            return;
        }
        let mut check = Check {
            request,
            waiting: BTreeMap::new(),
            said: Vec::new(),
        };
        for device in levels.into_iter().flatten() {
            let run = self.next_tag;
            self.next_tag += 1;
            let call = device.call(&target, "power-status", devices::timeout_ms(&self.state));
            check.waiting.insert(run, device.id.clone());
            self.executor
                .run_device(run, CHECK_TERM, Coordinator::Own, call, out);
        }
        self.checks.insert(request, check);
    }

    /// Whether a device's run was one of a check.
    pub(super) fn check_done(
        &mut self,
        id: u64,
        term: Term,
        result: &AgentResult,
        out: &mut Outbox,
    ) -> bool {
        if term != CHECK_TERM {
            return false;
        }
        let found = self
            .checks
            .iter_mut()
            .find_map(|(key, check)| check.waiting.remove(&id).map(|device| (*key, device)));
        let Some((key, device)) = found else {
            return true;
        };
        let said = match result.outcome {
            Outcome::Exited(0) => "on".to_owned(),
            Outcome::Exited(2) => "off".to_owned(),
            Outcome::Exited(rc) if result.exit_reason.is_empty() => format!("exit code {rc}"),
            Outcome::Exited(_) => result.exit_reason.clone(),
            Outcome::TimedOut => "no answer in time".to_owned(),
            Outcome::NotRun => format!("cannot read the power state: {}", result.exit_reason),
            Outcome::Lost => "unknown".to_owned(),
        };
        let Some(check) = self.checks.get_mut(&key) else {
            return true;
        };
        check.said.push((device, said));
        if check.waiting.is_empty()
            && let Some(check) = self.checks.remove(&key)
        {
            out.answers
                .push((check.request, Response::Power(check.said)));
        }
        true
    }

    /// Without quorum: the operator vouches that these are off, this node goes on alone (design rule R7).
    fn force(&mut self, named: &[NodeName], who: &str) -> Result<Response, Box<Response>> {
        let mut lost = BTreeSet::new();
        for name in named {
            let Some(member) = crate::facts::member_named(&self.state, &name.0) else {
                return Err(Box::new(refused(
                    &format!("{name} is no member"),
                    "see the members: quorate status",
                )));
            };
            lost.insert(member.clone());
        }
        self.may_force(&lost)?;
        let old = self.state.lineage.0;
        let mixed =
            old ^ self.now.wall_ms.unsigned_abs().rotate_left(17) ^ self.incarnation.session.0;
        self.engine_step(EngineInput::Force {
            lineage: Lineage(mixed.max(1)),
            off: lost.iter().cloned().collect(),
        });
        for node in &lost {
            self.unlogged.push(crate::state::FenceRecord {
                boot: self.state.boot(node),
                target: node.clone(),
                action: "off".to_owned(),
                devices: vec![format!("the word of {who}")],
                by: self.name.clone(),
                reason: "an operator confirmed that it is off".to_owned(),
                outcome: FenceOutcome::Confirmed(crate::state::Evidence::Operator),
                wall_ms: self.now.wall_ms,
                took_ms: 0,
            });
        }
        let names: Vec<&str> = lost.iter().map(|name| name.0.as_str()).collect();
        let (names, verb) = match names.as_slice() {
            [one] => ((*one).to_owned(), "counts"),
            many => (many.join(", "), "count"),
        };
        Ok(Response::Done {
            text: format!("{names} {verb} as off; this node goes on alone"),
            index: self.state.applied,
        })
    }

    /// Whether nobody else can be alive if these are off.
    fn may_force(&self, lost: &BTreeSet<NodeName>) -> Result<(), Box<Response>> {
        let answering = self
            .state
            .members
            .keys()
            .find(|name| self.contacts.get(*name).is_some_and(|c| c.is_up));
        if let Some(name) = answering {
            let help = if lost.contains(name) {
                "power it off first".to_owned()
            } else {
                format!(
                    "start as many voters as make a majority; if that cannot be, stop the daemon of {name} as well \
                     (`systemctl stop quorate` there), name it, and let it join again afterwards"
                )
            };
            return Err(Box::new(refused(
                &format!("{name} answers: it is not off"),
                &help,
            )));
        }
        // Another voter may live on the other side of a cut, and lead there.
        let unnamed: Vec<&str> = self
            .state
            .members
            .iter()
            .filter(|(name, member)| {
                member.role == crate::state::MemberRole::Voter
                    && **name != self.name
                    && !lost.contains(*name)
            })
            .map(|(name, _)| name.0.as_str())
            .collect();
        if !unnamed.is_empty() {
            return Err(Box::new(refused(
                &format!(
                    "{} may be alive: there is no quorum, and it is not confirmed off",
                    unnamed.join(", ")
                ),
                "start or reconnect a majority of the voters; if that is impossible for ever: quorate recover --lost \
                 NODE for each of them",
            )));
        }
        if lost.is_empty() || lost.contains(&self.name) {
            return Err(Box::new(refused(
                "name the other voters, all of them, and not this node",
                "see the members: quorate status",
            )));
        }
        Ok(())
    }

    /// A change of the members is in: whoever asked is told.
    pub(super) fn members_changed(&mut self, request: u64, index: LogIndex, out: &mut Outbox) {
        let response = match self.admissions.remove(&request) {
            Some(name) if self.state.members.contains_key(&name) => {
                Response::Admitted(self.identity_of(&name))
            }
            _ => Response::Done {
                text: "the members are changed".to_owned(),
                index,
            },
        };
        out.answers.push((request, response));
    }

    fn identity_of(&self, name: &NodeName) -> Identity {
        let founder = |(name, member): (&NodeName, &crate::state::Member)| Founder {
            name: name.clone(),
            raft_id: member.raft_id,
            addresses: member.addresses.clone(),
            fingerprint: member.fingerprint.clone(),
            is_witness: member.is_witness,
        };
        Identity {
            cluster: self.state.cluster.clone(),
            // A forced recovery begins a new one without the log's knowledge.
            lineage: self
                .engine
                .as_ref()
                .map_or(self.state.lineage, Engine::lineage),
            raft_id: self.state.members[name].raft_id,
            genesis: None,
            contacts: self.state.members.iter().map(founder).collect(),
        }
    }

    /// Alerts for what an entry says; the leader raises them.
    pub(super) fn alerts(&self, payload: &[u8], out: &mut Outbox) {
        if self.controller.is_none() {
            return;
        }
        let Ok(entry) = Entry::decode(payload) else {
            return;
        };
        match entry {
            Entry::NodeUp { node, .. } => self.alert("node", &node, "member", Vec::new(), out),
            Entry::NodeLost { node, reason, .. } => {
                self.alert("node", &node, &format!("lost: {reason}"), Vec::new(), out);
            }
            Entry::NodeLeft { node, .. } => self.alert("node", &node, "left", Vec::new(), out),
            Entry::Fencing(record) => {
                let text = match &record.outcome {
                    FenceOutcome::Confirmed(_) => "OK".to_owned(),
                    FenceOutcome::Failed(why) => format!("failed: {why}"),
                    FenceOutcome::Refuted => "answers after its fencing".to_owned(),
                };
                let task = vec![("CRM_alert_task", record.action.clone())];
                self.alert("fencing", &record.target, &text, task, out);
            }
            Entry::Results { node, reports, .. } => {
                for report in reports.iter().filter(|report| report.class != "stonith") {
                    let (rc, status) = rc_and_status(report.result.outcome);
                    let more = vec![
                        ("CRM_alert_rsc", report.resource.clone()),
                        ("CRM_alert_task", report.operation.clone()),
                        ("CRM_alert_interval", report.interval_ms.to_string()),
                        ("CRM_alert_rc", rc.to_string()),
                        ("CRM_alert_target_rc", report.expected_rc.to_string()),
                        ("CRM_alert_status", status.to_string()),
                    ];
                    self.alert("resource", &node, &report.result.exit_reason, more, out);
                }
            }
            _ => {}
        }
    }

    fn alert(
        &self,
        kind: &str,
        node: &NodeName,
        text: &str,
        more: Vec<(&str, String)>,
        out: &mut Outbox,
    ) {
        let mut variables = vec![
            ("CRM_alert_kind".to_owned(), kind.to_owned()),
            ("CRM_alert_node".to_owned(), node.0.clone()),
            ("CRM_alert_desc".to_owned(), text.to_owned()),
            (
                "CRM_alert_timestamp_epoch".to_owned(),
                (self.now.wall_ms / 1_000).to_string(),
            ),
        ];
        variables.extend(
            more.into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let configured = &self.state.configuration.alerts;
        if configured.is_empty() {
            out.effect(Effect::Alert(variables));
            return;
        }
        for alert in configured {
            let recipients: Vec<String> = if alert.recipients.is_empty() {
                vec![String::new()]
            } else {
                alert
                    .recipients
                    .iter()
                    .map(|recipient| recipient.value.clone())
                    .collect()
            };
            for recipient in recipients {
                let mut variables = variables.clone();
                variables.push(("CRM_alert_path".to_owned(), alert.path.clone()));
                variables.push(("CRM_alert_recipient".to_owned(), recipient));
                out.effect(Effect::Alert(variables));
            }
        }
    }
}

/// What keeps a node from taking part, and the way out.
fn said(blocked: &Blocked) -> (String, String) {
    match blocked {
        Blocked::WaitingForPeer { peer } => (
            format!("has started and waits for {peer}"),
            format!("start {peer}; if it is off and stays off: quorate fence confirm {peer}"),
        ),
        Blocked::NotEligible { peer, why } => (
            format!("{peer} is lost, and this node may not go on alone: {why}"),
            format!("start {peer}; if it is off and stays off: quorate fence confirm {peer}"),
        ),
        Blocked::FencingPeer { peer } => (format!("{peer} is being fenced"), String::new()),
        Blocked::FencingFailed { peer } => (
            format!("{peer} is lost and its fencing failed; it is tried again"),
            format!("check its fence device; if it is off: quorate fence confirm {peer}"),
        ),
        Blocked::OtherLineage { peer, help } => {
            (format!("{peer} belongs to another lineage"), help.clone())
        }
        Blocked::Refused { by, help } => (format!("{by} refuses this node"), help.clone()),
        #[allow(unreachable_patterns)]
        other => (format!("{other:?}"), String::new()),
    }
}
