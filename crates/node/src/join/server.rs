//! The cluster's side of joining.

use std::sync::Arc;
use std::time::Duration;

use quorate_core::admin::{Request, Response};
use quorate_core::ids::{NodeName, RaftId};
use quorate_core::start::Founder;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::message::{self, JoinReply, JoinRequest};
use crate::clock;
use crate::config::{LINKS_MAX, check_name};
use crate::files::{self, Paths};
use crate::local::{Clients, frame};
use crate::pki::authority::Authority;
use crate::pki::certificate::Facts;
use crate::pki::token;

const ASK_LIMIT: Duration = Duration::from_secs(10);
const CLUSTER_LIMIT: Duration = Duration::from_secs(25);

/// Lets nodes in.
#[derive(Debug, Clone)]
pub struct JoinDesk {
    /// Where the authority's files are.
    pub paths: Paths,
    /// The way to the core.
    pub clients: Arc<Clients>,
    /// Told to the newcomer.
    pub detection_ms: u64,
}

struct Refusal {
    reason: String,
    help: String,
}

impl Refusal {
    fn new(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            help: help.into(),
        }
    }
}

impl JoinDesk {
    /// Serves one newcomer.
    pub async fn serve(&self, mut stream: TlsStream<TcpStream>) {
        let from = stream
            .get_ref()
            .0
            .peer_addr()
            .map_or_else(|_| "?".into(), |a| a.to_string());
        let asked =
            tokio::time::timeout(ASK_LIMIT, frame::read(&mut stream, message::BYTES_MAX)).await;
        let Ok(Ok(Some(bytes))) = asked else {
            tracing::info!("A connection from {from} began to join and asked nothing.");
            return;
        };
        let verdict = match minicbor::decode::<JoinRequest>(&bytes) {
            Ok(request) if request.version == message::VERSION => self.admit(&request).await,
            _ => Err(Refusal::new(
                "the newcomer's software has another version than this node's",
                "install the same version of Quorate on it",
            )),
        };
        let reply = match verdict {
            Ok((name, reply)) => {
                tracing::info!("Node {name} joined from {from}.");
                reply
            }
            Err(Refusal { reason, help }) => {
                tracing::warn!("A node at {from} was not let in: {reason}.");
                JoinReply::Refused { reason, help }
            }
        };
        let bytes = minicbor::to_vec(&reply).expect("writing to memory cannot fail");
        if frame::write(&mut stream, &bytes).await.is_err() {
            tracing::warn!("The node at {from} went away before it got its answer.");
        }
        // Ends TLS properly, so that the newcomer has the whole answer.
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
    }

    async fn admit(&self, request: &JoinRequest) -> Result<(String, JoinReply), Refusal> {
        let name = &request.name;
        check_name("name", name)
            .map_err(|e| Refusal::new(e.to_string(), "choose another with `--name`"))?;
        let good = |a: &String| a.len() < 64 && a.parse::<std::net::SocketAddr>().is_ok();
        if request.addresses.is_empty()
            || request.addresses.len() > LINKS_MAX
            || !request.addresses.iter().all(good)
        {
            return Err(Refusal::new(
                "its addresses are not usable",
                "give one or two with `--address`",
            ));
        }
        let authority = self.authority()?;
        let certificate = authority
            .sign(&request.request, name, clock::wall_s())
            .map_err(|e| Refusal::new(e.to_string(), ""))?;
        let facts = Facts::of_pem(&certificate).map_err(|e| Refusal::new(e.to_string(), ""))?;
        let node = Founder {
            name: NodeName(name.clone()),
            raft_id: RaftId(0),
            addresses: request.addresses.clone(),
            fingerprint: data_encoding::HEXLOWER.encode(&facts.fingerprint),
            is_witness: request.is_witness,
        };
        let token_hash = token::hash(&request.secret);
        let identity = match self.ask(Request::Admit { node, token_hash }).await? {
            Response::Admitted(identity) => identity,
            Response::Refused { reason, help } => return Err(Refusal { reason, help }),
            other => return Err(Refusal::new(format!("the cluster answered {other:?}"), "")),
        };
        let reply = JoinReply::Accepted {
            certificate,
            // Everything that is trusted: a rotation may be under way.
            authority: files::read(&self.paths.ca_certificate())
                .ok()
                .flatten()
                .unwrap_or_else(|| authority.certificate_pem().to_owned()),
            authority_key: (!request.is_witness).then(|| authority.key_pem().to_owned()),
            identity,
            detection_ms: self.detection_ms,
        };
        Ok((name.clone(), reply))
    }

    fn authority(&self) -> Result<Authority, Refusal> {
        let broken = |e: String| Refusal::new(e, "");
        let certificate = files::read(&self.paths.ca_certificate())
            .map_err(|e| broken(e.to_string()))?
            .ok_or_else(|| broken("this node has no authority's certificate".into()))?;
        let key = files::read(&self.paths.ca_key())
            .map_err(|e| broken(e.to_string()))?
            .ok_or_else(|| {
                Refusal::new(
                    "this node is a witness and cannot sign certificates",
                    "make the token on a server and use its address",
                )
            })?;
        Authority::load(&certificate, &key).map_err(|e| broken(e.to_string()))
    }

    async fn ask(&self, request: Request) -> Result<Response, Refusal> {
        let (id, mut responses) = self.clients.ask(request);
        let answer = tokio::time::timeout(CLUSTER_LIMIT, responses.recv()).await;
        self.clients.gone(id);
        match answer {
            Ok(Some(response)) => Ok(response),
            _ => Err(Refusal::new(
                "the cluster did not decide in time: it has no leader or no quorum",
                "look at `quorate status` there, then try again with a new token",
            )),
        }
    }
}
