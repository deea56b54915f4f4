//! Requests of local clients and of nodes that do not lead: checks, proposals, answers.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::diag::{self, Source};

use crate::admin::{Access, FenceAction, Lifetime, OnErrors, Request, Response, Switch};
use crate::apply::add_score;
use crate::engine::MemberChange;
use crate::entry::{AttributeChange, Entry};
use crate::facts;
use crate::fencing::{FenceRequest, Waiter};
use crate::ids::{ClientId, LogIndex, NodeName};
use crate::message::Message;
use crate::outbox::{Outbox, Purpose, To};
use crate::state::{Evidence, FenceOutcome, FenceRecord, MoveRecord, Presence};
use crate::world::World;

/// Requests that wait for their answer.
const WAITING_MAX: usize = 1_024;
/// The longest configuration.
const TEXT_BYTES_MAX: usize = 2 << 20;

/// Who gets the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A local client.
    Client(ClientId),
    /// Another node, under its own number.
    Node(NodeName, u64),
}

/// The requests under way.
#[derive(Debug, Default)]
pub struct Requests {
    next: u64,
    waiting: BTreeMap<u64, Origin>,
    /// Clients that watch.
    pub watchers: BTreeSet<ClientId>,
    /// Configurations under way: what a conflict is answered with.
    applies: BTreeSet<u64>,
}

/// What the node itself has to do for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing more.
    Nothing,
    /// The state, once.
    State(ClientId),
    /// Drain and stop.
    Shutdown(u64),
    /// Read power states.
    FenceCheck(u64, NodeName),
    /// Without quorum: force, with these voters confirmed off by whom.
    Force(u64, Vec<NodeName>, String),
}

impl Requests {
    /// Keeps a request's origin; its number.
    pub fn open(&mut self, origin: Origin) -> Option<u64> {
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        self.next += 1;
        self.waiting.insert(self.next, origin);
        Some(self.next)
    }

    /// The origin of an answered request.
    pub fn close(&mut self, id: u64) -> Option<Origin> {
        self.applies.remove(&id);
        self.waiting.remove(&id)
    }

    /// The answer to something that turned out void: a configuration gives a conflict.
    #[must_use]
    pub fn void(&self, id: u64, why: &str, world: &World<'_>) -> Response {
        if self.applies.contains(&id) {
            return conflict(world);
        }
        refused(
            why,
            "look at the present state (quorate status) and ask again",
        )
    }

    /// A local client is gone.
    pub fn client_gone(&mut self, client: ClientId) {
        self.watchers.remove(&client);
        self.waiting
            .retain(|_, origin| *origin != Origin::Client(client));
    }

    /// A request arrived.
    pub fn request(
        &mut self,
        origin: Origin,
        request: Request,
        world: &World<'_>,
        has_leader: bool,
        out: &mut Outbox,
    ) -> Wanted {
        if let (Origin::Client(client), Request::State | Request::Watch) = (&origin, &request) {
            if request == Request::Watch && self.watchers.len() < WAITING_MAX {
                self.watchers.insert(*client);
            }
            return Wanted::State(*client);
        }
        let Some(id) = self.open(origin) else {
            return Wanted::Nothing;
        };
        if let Request::Shutdown = request {
            return Wanted::Shutdown(id);
        }
        if let Request::FenceCheck { node } = request {
            return Wanted::FenceCheck(id, node);
        }
        if let Request::Attribute {
            node,
            name,
            access: Access::Get,
            lifetime,
            ..
        } = &request
        {
            let value = attribute(world, node, name, *lifetime);
            out.answers.push((id, Response::Value(value)));
            return Wanted::Nothing;
        }
        if let Request::Recover { lost, who } = request {
            if has_leader {
                let answer = refused(
                    "the cluster has a leader and a quorum: nothing is to be recovered",
                    "take a node that is gone for good out with: quorate remove NODE",
                );
                out.answers.push((id, answer));
                return Wanted::Nothing;
            }
            return Wanted::Force(id, lost, who);
        }
        if !has_leader {
            if let Request::ConfirmFenced { node, who } = request {
                return Wanted::Force(id, vec![node], who);
            }
            let answer = refused(
                "no leader is known: this node has no quorum at the moment",
                "see why with: quorate status",
            );
            out.answers.push((id, answer));
            return Wanted::Nothing;
        }
        let is_for_leader = matches!(
            request,
            Request::Admit { .. }
                | Request::Remove { .. }
                | Request::Transfer { .. }
                | Request::Fence { .. }
        );
        if is_for_leader && world.leads.is_none() {
            out.send(To::Leader, Message::Request { id, request });
            return Wanted::Nothing;
        }
        match self.proposal(id, request, world, out) {
            Ok(Some((text, entry))) => {
                out.propose(Purpose::Answer { request: id, text }, entry);
            }
            Ok(None) => {}
            Err(response) => out.answers.push((id, *response)),
        }
        Wanted::Nothing
    }

    fn proposal(
        &mut self,
        id: u64,
        request: Request,
        world: &World<'_>,
        out: &mut Outbox,
    ) -> Result<Option<(String, Entry)>, Box<Response>> {
        let wall_ms = world.now.wall_ms;
        let proposal = match request {
            Request::Apply {
                text,
                based_on,
                errors,
                who,
            } => {
                let entry = configure(world, text, based_on, errors, who)?;
                self.applies.insert(id);
                ("the configuration is in force".to_owned(), entry)
            }
            Request::Attribute {
                node,
                name,
                access,
                lifetime,
                who,
            } => {
                let node = member(world, &node)?;
                let before = attribute(world, &node, &name, lifetime);
                let value = match access {
                    Access::Set(value) => Some(value),
                    Access::Add(add) => Some(add_score(before.as_deref(), add)),
                    Access::Delete | Access::Get => None,
                };
                if before == value {
                    out.answers.push((id, done("it is so already")));
                    return Ok(None);
                }
                let what = format!("{name}={} on {node}", value.as_deref().unwrap_or("-"));
                (
                    what.clone(),
                    attributes(world, vec![(node, name, value, lifetime)], who, what),
                )
            }
            Request::Standby {
                node,
                switch,
                lifetime,
                who,
            } => {
                let node = member(world, &node)?;
                let word = if switch == Switch::On { "on" } else { "off" };
                let what = format!("{node} standby {word}");
                let other = match lifetime {
                    Lifetime::Forever => Lifetime::Reboot,
                    Lifetime::Reboot | Lifetime::Private => Lifetime::Forever,
                };
                let mut changes = vec![(
                    node.clone(),
                    "standby".to_owned(),
                    Some(word.to_owned()),
                    lifetime,
                )];
                if switch == Switch::Off {
                    changes.push((node, "standby".to_owned(), None, other));
                }
                (what.clone(), attributes(world, changes, who, what))
            }
            Request::Maintenance { node, switch, who } => maintenance(world, node, switch, who)?,
            Request::Move {
                resource,
                node,
                expires_ms,
                who,
            } => moves(world, &resource, node, expires_ms, who, MoveKind::Prefer)?,
            Request::Ban {
                resource,
                node,
                expires_ms,
                who,
            } => moves(world, &resource, node, expires_ms, who, MoveKind::Ban)?,
            Request::Clear {
                resource,
                node,
                who,
            } => clear(world, &resource, node.as_ref(), who)?,
            Request::Cleanup {
                resource,
                node,
                who,
            } => {
                let Some(proposal) = cleanup(world, resource.as_deref(), node, who)? else {
                    out.answers
                        .push((id, done("nothing has failed: there is nothing to clean up")));
                    return Ok(None);
                };
                proposal
            }
            Request::Reprobe { node, who } => reprobe(world, node, who)?,
            Request::ConfirmFenced { node, who } => confirm(world, &node, &who)?,
            Request::Token {
                hash,
                expires_wall_ms,
                ..
            } => {
                let entry = Entry::Token {
                    hash,
                    expires_wall_ms,
                    wall_ms,
                };
                ("the token is valid".to_owned(), entry)
            }
            Request::Ticket {
                ticket,
                switch,
                who,
            } => {
                let is_granted = switch == Switch::On;
                let what = format!(
                    "ticket {ticket} {}",
                    if is_granted { "granted" } else { "revoked" }
                );
                (
                    what,
                    Entry::Ticket {
                        ticket,
                        is_granted,
                        who,
                        wall_ms,
                    },
                )
            }
            Request::Admit { node, token_hash } => {
                let text = format!("admit {}", node.name);
                (
                    text,
                    Entry::Admit {
                        node,
                        token_hash,
                        wall_ms,
                    },
                )
            }
            Request::Remove { node, .. } => {
                let node = member(world, &node)?;
                removable(world, &node)?;
                out.members
                    .push((Some(id), MemberChange::Remove { name: node }));
                return Ok(None);
            }
            Request::Transfer { node } => {
                let node = member(world, &node)?;
                out.transfer = Some(node.clone());
                out.answers
                    .push((id, done(&format!("{node} is asked to lead"))));
                return Ok(None);
            }
            Request::Fence { node, action, who } => {
                fence(id, world, &node, action, &who, out)?;
                return Ok(None);
            }
            Request::State
            | Request::Watch
            | Request::Shutdown
            | Request::FenceCheck { .. }
            | Request::Recover { .. } => {
                let answer = refused(
                    "this request is for a local client only",
                    "ask the node itself",
                );
                return Err(Box::new(answer));
            }
        };
        Ok(Some(proposal))
    }
}

/// A refusal.
#[must_use]
pub fn refused(reason: &str, help: &str) -> Response {
    Response::Refused {
        reason: reason.to_owned(),
        help: help.to_owned(),
    }
}

fn refusal(reason: impl Into<String>, help: impl Into<String>) -> Box<Response> {
    Box::new(Response::Refused {
        reason: reason.into(),
        help: help.into(),
    })
}

fn done(text: &str) -> Response {
    Response::Done {
        text: text.to_owned(),
        index: LogIndex(0),
    }
}

fn conflict(world: &World<'_>) -> Response {
    let document = &world.state.document;
    Response::Conflict {
        revision: document.revision,
        text: document.text.clone(),
        who: document.who.clone(),
    }
}

fn member(world: &World<'_>, node: &NodeName) -> Result<NodeName, Box<Response>> {
    if let Some(name) = facts::member_named(world.state, &node.0) {
        return Ok(name.clone());
    }
    let names: Vec<&str> = world
        .state
        .members
        .keys()
        .map(|name| name.0.as_str())
        .collect();
    Err(refusal(
        format!("{node} is no member of this cluster"),
        format!("its members are: {}", names.join(", ")),
    ))
}

fn attribute(world: &World<'_>, node: &NodeName, name: &str, lifetime: Lifetime) -> Option<String> {
    let node = facts::member_named(world.state, &node.0)?;
    let status = world.state.node(node)?;
    match lifetime {
        Lifetime::Reboot => status.transient.get(name).cloned(),
        Lifetime::Private => status.private.get(name).cloned(),
        Lifetime::Forever => status.permanent.get(name).cloned().or_else(|| {
            let configured = world
                .state
                .configuration
                .nodes
                .iter()
                .find(|configured| configured.uname.eq_ignore_ascii_case(&node.0))?;
            configured
                .sets
                .iter()
                .find_map(|set| crate::document::value(set, name))
                .map(str::to_owned)
        }),
    }
}

fn attributes(
    world: &World<'_>,
    changes: Vec<(NodeName, String, Option<String>, Lifetime)>,
    who: String,
    what: String,
) -> Entry {
    let changes = changes
        .into_iter()
        .map(|(node, name, value, lifetime)| AttributeChange {
            node,
            name,
            value,
            is_permanent: lifetime == Lifetime::Forever,
            is_private: lifetime == Lifetime::Private,
        })
        .collect();
    Entry::Attributes {
        changes,
        who,
        what,
        wall_ms: world.now.wall_ms,
    }
}

fn configure(
    world: &World<'_>,
    text: String,
    based_on: Option<u64>,
    errors: OnErrors,
    who: String,
) -> Result<Entry, Box<Response>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(refusal(
            format!("the configuration has {} bytes", text.len()),
            format!("at most {TEXT_BYTES_MAX} are taken"),
        ));
    }
    let revision = world.state.document.revision;
    if based_on.is_some_and(|based_on| based_on != revision) {
        return Err(Box::new(conflict(world)));
    }
    if errors == OnErrors::Refuse && !text.trim_start().starts_with('<') {
        let (_, diagnostics) = quorate_model::crm::parse(&text);
        if diag::has_errors(&diagnostics) {
            let source = Source {
                name: "configuration",
                text: &text,
            };
            return Err(refusal(
                diag::render_all(&diagnostics, source, false),
                "correct it (quorate check --fix proposes how), or load the rest with --force",
            ));
        }
    }
    Ok(Entry::Configure {
        text,
        based_on: revision,
        who,
        wall_ms: world.now.wall_ms,
    })
}

fn maintenance(
    world: &World<'_>,
    node: Option<NodeName>,
    switch: Switch,
    who: String,
) -> Result<(String, Entry), Box<Response>> {
    let value = (switch == Switch::On).then(|| "true".to_owned());
    let word = if switch == Switch::On { "on" } else { "off" };
    let nodes = match node {
        Some(node) => vec![member(world, &node)?],
        None => world.state.members.keys().cloned().collect(),
    };
    let names: Vec<&str> = nodes.iter().map(|node| node.0.as_str()).collect();
    let what = format!("maintenance {word} on {}", names.join(", "));
    let changes = nodes
        .iter()
        .map(|node| {
            (
                node.clone(),
                "maintenance".to_owned(),
                value.clone(),
                Lifetime::Forever,
            )
        })
        .collect();
    Ok((what.clone(), attributes(world, changes, who, what)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MoveKind {
    Prefer,
    Ban,
}

/// The constraint ids that crmsh uses for moves and bans.
fn move_id(kind: MoveKind, resource: &str, node: &NodeName) -> String {
    match kind {
        MoveKind::Prefer => format!("cli-prefer-{resource}"),
        MoveKind::Ban => format!("cli-ban-{resource}-on-{node}"),
    }
}

fn known_resource(world: &World<'_>, resource: &str) -> Result<(), Box<Response>> {
    let ids = crate::view::resource_ids(&world.state.configuration);
    if ids.iter().any(|id| id == resource) {
        return Ok(());
    }
    let nearest = diag::nearest(resource, ids.iter().map(String::as_str));
    Err(refusal(
        format!("there is no resource {resource}"),
        match nearest {
            Some(id) => format!("did you mean {id}?"),
            None => "see the resources with: quorate status".to_owned(),
        },
    ))
}

fn moves(
    world: &World<'_>,
    resource: &str,
    node: Option<NodeName>,
    expires_ms: Option<u64>,
    who: String,
    kind: MoveKind,
) -> Result<(String, Entry), Box<Response>> {
    known_resource(world, resource)?;
    let wall_ms = world.now.wall_ms;
    let (kind, node) = match node {
        Some(node) => (kind, member(world, &node)?),
        None => {
            let leaves = crate::view::leaves(&world.state.configuration, resource);
            let here = leaves
                .iter()
                .find_map(|leaf| world.state.holders_of(leaf).next())
                .map(|(node, _)| node.clone());
            let here = here.ok_or_else(|| {
                refusal(
                    format!("{resource} runs nowhere"),
                    format!("name the node: quorate move {resource} NODE"),
                )
            })?;
            (MoveKind::Ban, here)
        }
    };
    let expires =
        expires_ms.map(|ms| wall_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
    let id = move_id(kind, resource, &node);
    let record = MoveRecord {
        resource: resource.to_owned(),
        node: node.clone(),
        score: if kind == MoveKind::Prefer {
            "INFINITY"
        } else {
            "-INFINITY"
        }
        .to_owned(),
        expires_wall_ms: expires,
        who: who.clone(),
    };
    let stays = match expires_ms {
        Some(ms) => format!("for {} s", ms / 1_000),
        None => format!("until: quorate clear {resource}"),
    };
    let text = match kind {
        MoveKind::Prefer => format!("{resource} is to run on {node}, {stays}"),
        MoveKind::Ban => format!("{resource} may not run on {node}, {stays}"),
    };
    let mut changes = vec![(id, Some(record))];
    if kind == MoveKind::Prefer {
        let ban = move_id(MoveKind::Ban, resource, &node);
        if world.state.moves.contains_key(&ban) {
            changes.push((ban, None));
        }
    }
    Ok((
        text,
        Entry::Moves {
            changes,
            who,
            wall_ms,
        },
    ))
}

fn clear(
    world: &World<'_>,
    resource: &str,
    node: Option<&NodeName>,
    who: String,
) -> Result<(String, Entry), Box<Response>> {
    let changes: Vec<(String, Option<MoveRecord>)> = world
        .state
        .moves
        .iter()
        .filter(|(_, record)| {
            record.resource == resource && node.is_none_or(|node| record.node == *node)
        })
        .map(|(id, _)| (id.clone(), None))
        .collect();
    if changes.is_empty() {
        return Err(refusal(
            format!("{resource} is neither moved nor banned"),
            "see the active moves and bans with: quorate status",
        ));
    }
    let wall_ms = world.now.wall_ms;
    let text = format!("{resource} runs where the configuration wants it");
    Ok((
        text,
        Entry::Moves {
            changes,
            who,
            wall_ms,
        },
    ))
}

fn nodes_meant(world: &World<'_>, node: Option<NodeName>) -> Result<Vec<NodeName>, Box<Response>> {
    match node {
        Some(node) => Ok(vec![member(world, &node)?]),
        None => Ok(world.state.nodes.keys().cloned().collect()),
    }
}

/// Forgets what has failed (or what is named, failed or not), so that it is probed anew.
fn cleanup(
    world: &World<'_>,
    resource: Option<&str>,
    node: Option<NodeName>,
    who: String,
) -> Result<Option<(String, Entry)>, Box<Response>> {
    let leaves = match resource {
        Some(resource) => {
            known_resource(world, resource)?;
            Some(crate::view::leaves(&world.state.configuration, resource))
        }
        None => None,
    };
    let mut what = Vec::new();
    for node in nodes_meant(world, node)? {
        let Some(status) = world.state.node(&node) else {
            continue;
        };
        for (id, record) in &status.resources {
            let base = id.split(':').next().unwrap_or(id);
            let is_meant = match &leaves {
                Some(leaves) => leaves.iter().any(|leaf| leaf == base),
                None => {
                    let failure = format!("{id}_last_failure_0");
                    record.operations.contains_key(&failure) || has_failures(status, base)
                }
            };
            if is_meant {
                what.push((node.clone(), Some(id.clone())));
            }
        }
    }
    if what.is_empty() {
        return Ok(None);
    }
    let wall_ms = world.now.wall_ms;
    let text = "the failures are forgotten; what failed is looked at anew".to_owned();
    Ok(Some((text, Entry::Forget { what, who, wall_ms })))
}

fn has_failures(status: &crate::state::NodeStatus, id: &str) -> bool {
    let prefix = format!("fail-count-{id}#");
    status
        .transient
        .keys()
        .any(|name| name.starts_with(&prefix))
}

fn reprobe(
    world: &World<'_>,
    node: Option<NodeName>,
    who: String,
) -> Result<(String, Entry), Box<Response>> {
    let what = nodes_meant(world, node)?
        .into_iter()
        .map(|node| (node, None))
        .collect();
    let wall_ms = world.now.wall_ms;
    let text = "the history is forgotten; everything is looked at anew".to_owned();
    Ok((text, Entry::Forget { what, who, wall_ms }))
}

fn confirm(
    world: &World<'_>,
    node: &NodeName,
    who: &str,
) -> Result<(String, Entry), Box<Response>> {
    let node = member(world, node)?;
    let presence = world.state.node(&node).map(|status| status.presence);
    if world.answers(&node).is_some() {
        return Err(refusal(
            format!("{node} answers: it is not off"),
            format!("fence it: quorate fence {node}"),
        ));
    }
    if presence != Some(Presence::Lost) {
        return Err(refusal(
            format!("{node} does not wait for a confirmation"),
            "see its state with: quorate status",
        ));
    }
    let record = FenceRecord {
        target: node.clone(),
        boot: world.state.boot(&node),
        action: "off".to_owned(),
        devices: vec![format!("the word of {who}")],
        by: world.name.clone(),
        reason: "an operator confirmed that it is off".to_owned(),
        outcome: FenceOutcome::Confirmed(Evidence::Operator),
        wall_ms: world.now.wall_ms,
        took_ms: 0,
    };
    Ok((format!("{node} counts as fenced"), Entry::Fencing(record)))
}

fn removable(world: &World<'_>, node: &NodeName) -> Result<(), Box<Response>> {
    let held: Vec<&str> = world.state.held_by(node).collect();
    let is_online = world
        .state
        .node(node)
        .is_some_and(|status| status.presence == Presence::Online);
    if !held.is_empty() {
        let help = if is_online {
            format!("move its resources away first: quorate standby {node}")
        } else {
            format!("fence it first: quorate fence {node}")
        };
        return Err(refusal(
            format!("{node} may be running {}", held.join(", ")),
            help,
        ));
    }
    Ok(())
}

fn fence(
    id: u64,
    world: &World<'_>,
    node: &NodeName,
    action: FenceAction,
    who: &str,
    out: &mut Outbox,
) -> Result<(), Box<Response>> {
    let node = member(world, node)?;
    if node == *world.name && action != FenceAction::On {
        return Err(refusal(
            format!("{node} leads the cluster and does not fence itself"),
            "hand the lead over first: quorate transfer NODE",
        ));
    }
    out.fences.push(FenceRequest {
        boot: world.state.boot(&node),
        target: node,
        action,
        reason: format!("{who} asked for it"),
        waiter: Waiter::Request(id),
    });
    Ok(())
}
