//! The daemon's host tells the cluster what `check` on another node wants to know: numbers of accounts, units that init
//! starts, agents and programs. It does so through the daemon's own socket, as any client, whenever it changed.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use quorate_core::admin::{Access, Lifetime, Request, Response};
use quorate_core::facts::HOST_FACTS;
use quorate_core::ids::NodeName;

use crate::client::Client;
use crate::context::Context;
use crate::facts;

/// Between two looks at the host.
const LOOK: Duration = Duration::from_secs(60);
/// After a look that could not be told: no daemon yet, no quorum.
const RETRY: Duration = Duration::from_secs(2);
/// Longest text; a host with more agents than that tells nothing.
const BYTES_MAX: usize = 64 << 10;

/// Keeps the cluster told as long as the result lives.
pub fn keep_told(socket: PathBuf) -> Option<Sender<()>> {
    let (alive, end) = channel();
    let context = Context {
        json: false,
        socket,
        yes: true,
        remote: None,
    };
    let tell_all = move || {
        loop {
            let pause = if tell(&context).is_some() {
                LOOK
            } else {
                RETRY
            };
            if end.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    // Without it `check` knows less, that is all.
    std::thread::Builder::new()
        .name("host-facts".into())
        .spawn(tell_all)
        .ok()?;
    Some(alive)
}

/// Tells it unless the cluster knows; nothing where it could not.
fn tell(context: &Context) -> Option<()> {
    let host = facts::of_this_host();
    let text = facts::to_json(&host).to_string();
    if text.len() > BYTES_MAX {
        return Some(());
    }
    let mut client = Client::connect(context).ok()?;
    client.timeout(Some(Duration::from_secs(30)));
    let Ok(Response::State { state, local }) = client.ask(&Request::State) else {
        return None;
    };
    let state = quorate_core::state::ClusterState::decode(&state).ok()?;
    let node = NodeName(local.name);
    let known = state
        .nodes
        .get(&node)
        .and_then(|status| status.transient.get(HOST_FACTS));
    if known == Some(&text) {
        return Some(());
    }
    let request = Request::Attribute {
        who: format!("quorate@{node}"),
        node,
        name: HOST_FACTS.to_owned(),
        access: Access::Set(text),
        lifetime: Lifetime::Reboot,
    };
    client.ask(&request).ok().map(drop)
}
