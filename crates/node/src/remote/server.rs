//! Serves one remote operator, request after request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_core::admin::{Request, Response};
use quorate_core::state::ClusterState;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::role::{Operator, is_revoked};
use crate::local::{Clients, frame};

/// A connection without a request for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// A response that cannot be written in this time ends the connection.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// A revocation takes effect after this long at most.
const TRUST: Duration = Duration::from_secs(5);

/// Until the operator goes away.
pub async fn serve(mut stream: TlsStream<TcpStream>, operator: Operator, clients: Arc<Clients>) {
    let from = stream
        .get_ref()
        .0
        .peer_addr()
        .map_or_else(|_| "?".to_owned(), |a| a.to_string());
    tracing::info!(
        "Remote client {} ({}) connected from {from}.",
        operator.name,
        operator.role.as_str()
    );
    // Who went away is no event worth a message.
    let _ = converse(&mut stream, &operator, &clients).await;
    let _ = stream.shutdown().await;
}

async fn converse(
    stream: &mut TlsStream<TcpStream>,
    operator: &Operator,
    clients: &Clients,
) -> std::io::Result<()> {
    let mut trusted: Option<Instant> = None;
    loop {
        let asked =
            tokio::time::timeout(IDLE_LIMIT, frame::read(stream, frame::REQUEST_BYTES_MAX)).await;
        let Ok(Some(bytes)) = asked.map_err(|_| std::io::ErrorKind::TimedOut)? else {
            return Ok(());
        };
        let Ok(request) = Request::decode(&bytes) else {
            let (reason, help) = (
                "the request is not understood by this daemon",
                "use the version of the cluster",
            );
            respond(stream, refused(reason, help)).await?;
            continue;
        };
        #[allow(
            clippy::disallowed_methods,
            reason = "how long ago the name was looked up"
        )]
        let now = Instant::now();
        if trusted.is_none_or(|at| now.duration_since(at) > TRUST) {
            if is_out(clients, &operator.name).await {
                let reason = format!("the rights of `{}` were revoked", operator.name);
                respond(
                    stream,
                    refused(&reason, "ask an administrator of the cluster"),
                )
                .await?;
                return Ok(());
            }
            trusted = Some(now);
        }
        let request = match operator.authorize(request) {
            Ok(request) => request,
            Err((reason, help)) => {
                tracing::warn!("Refused to a remote client: {reason}.");
                respond(stream, refused(&reason, &help)).await?;
                continue;
            }
        };
        let is_watch = matches!(request, Request::Watch);
        let (id, mut responses) = clients.ask(request);
        loop {
            let Some(response) = responses.recv().await else {
                clients.gone(id);
                return Ok(());
            };
            let is_refusal = matches!(response, Response::Refused { .. });
            if let Err(e) = respond(stream, operator.seen(response)).await {
                clients.gone(id);
                return Err(e);
            }
            // A watch is looked at again: a revocation ends it at the next change.
            let is_over = is_watch && is_out(clients, &operator.name).await;
            if !is_watch || is_refusal || is_over {
                clients.gone(id);
                break;
            }
        }
    }
}

fn refused(reason: &str, help: &str) -> Response {
    Response::Refused {
        reason: reason.to_owned(),
        help: help.to_owned(),
    }
}

/// Whether the configuration names the client as revoked. Where that cannot be found out, it is.
async fn is_out(clients: &Clients, name: &str) -> bool {
    let (id, mut responses) = clients.ask(Request::State);
    let response = tokio::time::timeout(WRITE_LIMIT, responses.recv()).await;
    clients.gone(id);
    match response {
        Ok(Some(Response::State { state, .. })) => {
            ClusterState::decode(&state).map_or(true, |state| is_revoked(&state, name))
        }
        _ => true,
    }
}

async fn respond(stream: &mut TlsStream<TcpStream>, response: Response) -> std::io::Result<()> {
    tokio::time::timeout(WRITE_LIMIT, frame::write(stream, &response.encode()))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}
