//! What operators see of the cluster, derived from one `State` response without further questions.

pub mod activity;
pub mod crm_mon;
pub mod crm_mon_xml;
pub mod explanation;
pub mod history;
pub mod matrix;
pub mod picture;
pub mod resources;
pub mod text;
pub mod when;

use quorate_core::admin::{LocalView, Request, Response};
use quorate_core::state::ClusterState;

use crate::client::{Client, unexpected};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Asks the daemon of this host for the state.
pub fn fetch(context: &Context) -> Result<(ClusterState, LocalView)> {
    decode(Client::connect(context)?.ask(&Request::State)?)
}

/// Unpacks a `State` response.
pub fn decode(response: Response) -> Result<(ClusterState, LocalView)> {
    match response {
        Response::State { state, local } => ClusterState::decode(&state)
            .map(|state| (state, local))
            .map_err(|e| Error::new(e.to_string(), "").exit(Exit::Failed)),
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests;
