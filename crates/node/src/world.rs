//! Carries out the core's effects. Each returns at once; what takes time goes to a thread or task of its own.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use quorate_agents::Runner;
use quorate_core::admin::Response;
use quorate_core::event::{Effect, Event, LogLevel};
use quorate_core::ids::NodeName;
use quorate_core::store::Batch;
use tokio::runtime::Handle;

use crate::alert::Alerts;
use crate::boot::Memory;
use crate::clock;
use crate::driver::{Ending, World};
use crate::link::Hub;
use crate::local::Clients;
use crate::renewal::CertificateNotice;
use crate::watchdog::Watchdog;

/// For the status: who turns this node away.
fn refused(by: Vec<(NodeName, String)>) -> impl Iterator<Item = (String, String)> {
    by.into_iter().map(|(peer, why)| {
        (
            format!("{peer} refuses this node: {why}"),
            "if it was removed or replaced: `quorate leave --wipe` here, `quorate token create` there, then \
             `quorate join TOKEN`"
                .to_owned(),
        )
    })
}

/// The outside of the core.
pub(crate) struct Shell {
    pub(crate) hub: Arc<Hub>,
    pub(crate) links: Handle,
    pub(crate) work: Handle,
    pub(crate) batches: Sender<Batch>,
    pub(crate) agents: Runner,
    pub(crate) events: Sender<Event>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) memory: Memory,
    pub(crate) alerts: Alerts,
    pub(crate) notice: CertificateNotice,
    pub(crate) watchdog: Watchdog,
}

impl World for Shell {
    fn carry_out(&mut self, effect: Effect) -> Option<Ending> {
        match effect {
            Effect::Send { to, link, bytes } => self.hub.queue(&to, link, bytes),
            Effect::Persist(batch) => {
                if self.batches.send(batch).is_err() {
                    return Some(Ending {
                        reason: "the store's thread has ended".into(),
                        is_clean: false,
                    });
                }
            }
            Effect::Peers(peers) => {
                let _inside = self.links.enter();
                self.hub.set_peers(&peers);
            }
            Effect::RunAgent { run, call } => {
                let (agents, events) = (self.agents.clone(), self.events.clone());
                self.work.spawn(async move {
                    let result = agents.run(run, call).await;
                    let _ = events.send(Event::AgentDone { run, result });
                });
            }
            Effect::KillAgent(run) => self.agents.kill(run),
            Effect::Remember { key, value } => {
                if let Err(e) = self.memory.remember(&key, value.as_deref()) {
                    // What follows relies on it: a restart would do things twice.
                    return Some(Ending {
                        reason: e.to_string(),
                        is_clean: false,
                    });
                }
            }
            Effect::Reply {
                client,
                mut response,
            } => {
                if let Response::State { local, .. } = &mut response {
                    local.waits.extend(self.notice.get());
                    local.waits.extend(refused(self.hub.refusals()));
                }
                self.clients.reply(client, response);
            }
            Effect::Log { level, text } => match level {
                LogLevel::Debug => tracing::debug!("{text}"),
                LogLevel::Info => tracing::info!("{text}"),
                LogLevel::Warn => tracing::warn!("{text}"),
                LogLevel::Error => tracing::error!("{text}"),
            },
            Effect::NodeDead { node, addresses } => {
                let _inside = self.work.enter();
                crate::dead_peer::hang_up(node.0, addresses);
            }
            Effect::Alert(variables) => {
                let _inside = self.work.enter();
                self.alerts.raise(&variables);
            }
            Effect::WatchdogUntil(until) => self.watchdog.allow_until(until),
            Effect::Halt { reason, clean } => {
                return Some(Ending {
                    reason,
                    is_clean: clean,
                });
            }
        }
        None
    }

    fn flush(&mut self) -> Option<Ending> {
        self.hub.flush();
        let broken = self.watchdog.feed(clock::mono()).err()?;
        Some(Ending {
            reason: broken,
            is_clean: false,
        })
    }
}
