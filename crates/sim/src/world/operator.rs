//! Operators and clients: what they ask of which node, and what they were told.

use std::collections::BTreeMap;

use quorate_core::admin::{Access, FenceAction, Lifetime, OnErrors, Request, Response, Switch};
use quorate_core::event::Event;
use quorate_core::ids::{ClientId, NodeName};
use quorate_core::start::Identity;
use quorate_core::store::{self, StoreError};

use super::{Happening, World};
use crate::scenario::Operation;
use crate::time::{MS, SECOND};
use crate::truth::{Fact, Host};

/// What a client waits for.
#[derive(Debug, Clone)]
pub(crate) enum Waits {
    /// The change of the attribute `beat-N` to a value.
    Beat { name: String, value: u64 },
    /// The value of an attribute, at the end.
    Value { name: String },
    /// The state of a node.
    State,
    /// A token for a machine that is to join.
    Token { host: Host, hash: String },
    /// Its admission.
    Admission { host: Host },
    /// An operator's request; in the quiet phase it is repeated until it is done.
    Operator { request: Request, insists: bool },
}

/// All clients.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: u64,
    waiting: BTreeMap<u64, (Host, Waits)>,
    beat: u64,
    beats: u64,
    acknowledged: BTreeMap<String, u64>,
    looked: u64,
    tokens: u64,
}

const WHO: &str = "operator";

fn name(host: Host) -> NodeName {
    NodeName(host.to_string())
}

impl World<'_> {
    /// Asks a node.
    pub(crate) fn ask(&mut self, host: Host, request: Request, waits: Waits) {
        self.clients.next += 1;
        let client = self.clients.next;
        self.clients.waiting.insert(client, (host, waits));
        let now = self.now();
        self.queue
            .push(now + 5 * SECOND, Happening::GivesUp { client });
        self.queue.push(
            now,
            Happening::Asks {
                host,
                client,
                request,
            },
        );
    }

    /// The request reaches the daemon.
    pub(crate) fn asks(&mut self, host: Host, client: u64, request: Request) {
        let life = self.racks[host.0].lives;
        let id = ClientId(client);
        self.deliver(host, life, Event::Client { id, request });
    }

    /// A client has waited long enough.
    pub(crate) fn gives_up(&mut self, client: u64) {
        let Some((host, waits)) = self.clients.waiting.remove(&client) else {
            return;
        };
        let life = self.racks[host.0].lives;
        self.deliver(host, life, Event::ClientGone(ClientId(client)));
        match waits {
            // Whether it happened is not known: a later value under the same name would prove nothing.
            Waits::Beat { .. } => self.clients.beat += 1,
            Waits::Operator {
                request,
                insists: true,
            } => self.insist(request),
            Waits::Token { host, .. } | Waits::Admission { host } => self.ask_for_token(host),
            _ => {}
        }
    }

    /// A node answers.
    pub(crate) fn replied(&mut self, host: Host, client: ClientId, response: Response) {
        if let Response::State { state, local } = &response {
            let (digest, term) = (crate::rng::digest(state), local.term.0);
            let leads = local.leader.as_ref() == Some(&name(host));
            self.state_shown(host, state, digest, leads.then_some(term));
        }
        let Some((_, waits)) = self.clients.waiting.remove(&client.0) else {
            return;
        };
        match (waits, response) {
            (Waits::Beat { name, value }, Response::Done { index, .. }) => {
                if name == format!("beat-{}", self.clients.beat) {
                    self.clients.acknowledged.insert(name.clone(), value);
                }
                let index = index.0;
                self.fact(&Fact::Acknowledged { index, name, value });
            }
            (Waits::Beat { .. }, _) => self.clients.beat += 1,
            (Waits::Token { host, hash }, Response::Done { .. }) => {
                self.ask_for_admission(host, hash);
            }
            (Waits::Admission { host }, Response::Admitted(identity)) => self.joins(host, identity),
            (Waits::Token { host, .. } | Waits::Admission { host }, response) => {
                self.say(host, || format!("is not admitted: {}", short(&response)));
                self.queue
                    .push(self.now() + SECOND, Happening::AsksToJoin { host });
            }
            (Waits::Value { name }, Response::Value(value)) => {
                let value = value.and_then(|value| value.parse().ok()).unwrap_or(0);
                // Asked for at the end, when all that was acknowledged is applied everywhere.
                let index = u64::MAX;
                self.fact(&Fact::ValueShown {
                    host,
                    index,
                    name,
                    value,
                });
            }
            (Waits::Operator { request, insists }, response) => {
                let nothing_to_clear = matches!(request, Request::Clear { .. })
                    && matches!(&response, Response::Refused { reason, .. } if reason.contains("neither moved"));
                let done = matches!(response, Response::Done { .. }) || nothing_to_clear;
                self.say(host, || {
                    format!("operator's {}: {}", short(&request), short(&response))
                });
                if !done && insists {
                    self.insist(request);
                }
            }
            _ => {}
        }
    }

    fn insist(&mut self, request: Request) {
        if self.clients.looked < 200 {
            self.clients.looked += 1;
            let at = self.now() + SECOND;
            self.queue.push(at, Happening::AsksAgain { request });
        }
    }

    fn state_shown(&mut self, host: Host, state: &[u8], digest: u64, leads: Option<u64>) {
        if let Some(term) = leads {
            self.fact(&Fact::Leads { host, term });
        }
        if let Some(index) = super::quiet::applied_index(state) {
            self.fact(&Fact::StateShown {
                host,
                index,
                digest,
            });
        }
    }

    /// A machine that a client can talk to.
    fn anyone(&mut self) -> Option<Host> {
        let alive: Vec<Host> = self
            .truth
            .hosts()
            .filter(|host| self.is_alive(*host))
            .collect();
        (!alive.is_empty()).then(|| *self.chance.pick(&alive))
    }

    /// The client of the log: one change at a time, and a look at a node's state.
    pub(crate) fn beat(&mut self) {
        let at = self.now() + self.chance.between(300, 1_500) * MS;
        self.queue.push(at, Happening::Beat);
        if let Some(host) = self.anyone() {
            self.ask(host, Request::State, Waits::State);
        }
        let busy = self
            .clients
            .waiting
            .values()
            .any(|(_, waits)| matches!(waits, Waits::Beat { .. }));
        if busy || self.truth.quiet {
            return;
        }
        let Some(host) = self.anyone() else {
            return;
        };
        self.clients.beats += 1;
        let (value, attribute) = (self.clients.beats, format!("beat-{}", self.clients.beat));
        let request = Request::Attribute {
            node: name(Host(0)),
            name: attribute.clone(),
            access: Access::Set(value.to_string()),
            lifetime: Lifetime::Forever,
            who: "client".to_owned(),
        };
        self.ask(
            host,
            request,
            Waits::Beat {
                name: attribute,
                value,
            },
        );
    }

    /// Every node is asked for what was acknowledged.
    pub(crate) fn ask_for_acknowledged(&mut self) {
        let names: Vec<String> = self.clients.acknowledged.keys().cloned().collect();
        for host in self
            .truth
            .hosts()
            .filter(|host| self.is_alive(*host))
            .collect::<Vec<_>>()
        {
            for attribute in &names {
                let request = Request::Attribute {
                    node: name(Host(0)),
                    name: attribute.clone(),
                    access: Access::Get,
                    lifetime: Lifetime::Forever,
                    who: "client".to_owned(),
                };
                self.ask(
                    host,
                    request,
                    Waits::Value {
                        name: attribute.clone(),
                    },
                );
            }
        }
    }

    /// An operator's request to any node.
    pub(crate) fn request(&mut self, request: Request, insists: bool) {
        let Some(host) = self.anyone() else {
            if insists {
                self.insist(request);
            }
            return;
        };
        self.ask(host, request.clone(), Waits::Operator { request, insists });
    }

    /// An operator does something.
    pub(crate) fn operate(&mut self, operation: &Operation) {
        let who = WHO.to_owned();
        let request = match operation {
            Operation::Apply(revision) => Request::Apply {
                text: self.scenario.shape.configuration(*revision),
                based_on: None,
                errors: OnErrors::Drop,
                who,
            },
            Operation::Standby(host) => Request::Standby {
                node: name(*host),
                switch: Switch::On,
                lifetime: Lifetime::Forever,
                who,
            },
            Operation::Online(host) => Request::Standby {
                node: name(*host),
                switch: Switch::Off,
                lifetime: Lifetime::Forever,
                who,
            },
            Operation::Move(resource, host) => Request::Move {
                resource: resource.clone(),
                node: Some(name(*host)),
                expires_ms: None,
                who,
            },
            Operation::Clear(resource) => Request::Clear {
                resource: resource.clone(),
                node: None,
                who,
            },
            Operation::Fence(host) => {
                self.fact(&Fact::OperatorFences { target: *host });
                Request::Fence {
                    node: name(*host),
                    action: FenceAction::Reboot,
                    who,
                }
            }
            Operation::Transfer(host) => Request::Transfer { node: name(*host) },
            Operation::Shutdown(host) => {
                self.disturb(*host);
                let life = self.racks[host.0].lives;
                return self.deliver(*host, life, Event::Shutdown);
            }
            Operation::Replace(host) => return self.replaces(*host),
            Operation::Cleanup => Request::Cleanup {
                resource: None,
                node: None,
                who,
            },
            Operation::Reprobe => Request::Reprobe { node: None, who },
        };
        self.request(request, false);
    }

    /// Another machine of the same name takes a machine's place; its disk is empty.
    ///
    /// No sane operator throws a disk away while another copy is in doubt: all others must have been well for a while.
    fn replaces(&mut self, host: Host) {
        self.refresh_disturbed();
        let now = self.now();
        let is_safe = self
            .truth
            .hosts()
            .filter(|other| *other != host)
            .all(|other| {
                let since = now - self.truth.machines[other.0].disturbed;
                self.is_alive(other) && !self.racks[other.0].joins && since > 10 * SECOND
            });
        // Of a pair the survivor must have gone on alone before it may be asked to remove anybody.
        let is_pair = self.truth.machines.len() < 3;
        if !is_safe || is_pair || self.racks[host.0].joins {
            return;
        }
        self.power_off(host, crate::truth::PowerCause::Outage);
        let rack = &mut self.racks[host.0];
        if let Some(disk) = &rack.disk {
            disk.wipe();
        }
        rack.joins = true;
        self.situation("a machine was replaced");
        self.say(host, || {
            "replaced by a machine with an empty disk".to_owned()
        });
        self.queue
            .push(self.now() + 500 * MS, Happening::AsksToJoin { host });
    }

    /// An operator makes a token on a member.
    pub(crate) fn ask_for_token(&mut self, host: Host) {
        if !self.racks[host.0].joins {
            return;
        }
        let Some(member) = self.anyone() else {
            self.queue
                .push(self.now() + SECOND, Happening::AsksToJoin { host });
            return;
        };
        // An older member of the name goes first; an admission whose answer got lost made one, too.
        let request = Request::Remove {
            node: name(host),
            who: WHO.to_owned(),
        };
        let waits = Waits::Operator {
            request: request.clone(),
            insists: false,
        };
        self.ask(member, request, waits);
        self.clients.tokens = self.clients.tokens % 8 + 1;
        let hash = format!("{:064x}", self.clients.tokens);
        let request = Request::Token {
            hash: hash.clone(),
            expires_wall_ms: i64::MAX,
            who: WHO.to_owned(),
        };
        self.ask(member, request, Waits::Token { host, hash });
    }

    fn ask_for_admission(&mut self, host: Host, token_hash: String) {
        let node = self.founder(host);
        match self.anyone() {
            Some(member) => {
                self.ask(
                    member,
                    Request::Admit { node, token_hash },
                    Waits::Admission { host },
                );
            }
            None => self
                .queue
                .push(self.now() + SECOND, Happening::AsksToJoin { host }),
        }
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "it is the machine's from now on"
    )]
    fn joins(&mut self, host: Host, identity: Identity) {
        let rack = &mut self.racks[host.0];
        if !std::mem::take(&mut rack.joins) {
            return;
        }
        rack.identity = Some(identity.clone());
        if host == Host(0) {
            // The attributes of a node that was removed went with it.
            self.clients.acknowledged.clear();
            self.clients.beat += 1;
        }
        self.say(host, || {
            format!("admitted with number {}", identity.raft_id)
        });
        self.initialises(host, identity);
    }

    /// A machine that was admitted writes down who it is; on a full disk, as soon as there is room.
    pub(crate) fn initialises(&mut self, host: Host, identity: Identity) {
        let disk = self.racks[host.0].disk.clone();
        let disk = disk.expect("every machine has a disk");
        match store::initialise(disk.open(), &name(host), &identity) {
            Ok(()) => {
                disk.settle();
                self.power_on(host);
            }
            Err(StoreError::Failed { .. }) => {
                self.situation("a machine could not write down who it is");
                // As `join` does: what it could not finish it removes, so that it can be done again.
                disk.wipe();
                let at = self.now() + SECOND;
                self.queue
                    .push(at, Happening::Initialises { host, identity });
            }
            Err(error) => self.violate("joining", format!("{host}: {error}")),
        }
    }

    /// What an operator did for a while is over.
    pub(crate) fn operation_heals(&mut self, operation: &Operation) {
        match operation {
            Operation::Shutdown(host) if self.racks[host.0].stays_down => {
                self.racks[host.0].stays_down = false;
                let powers = self.racks[host.0].powers;
                self.daemon_starts(*host, powers);
            }
            Operation::Standby(host) => self.operate(&Operation::Online(*host)),
            Operation::Move(resource, _) => self.operate(&Operation::Clear(resource.clone())),
            _ => {}
        }
    }
}

/// The first words of what was asked or answered.
fn short(what: &impl std::fmt::Debug) -> String {
    format!("{what:?}").chars().take(160).collect()
}
