//! Joining: what lets a node in, what keeps it out, and what is left on disk afterwards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::admin::{Request, Response};
use quorate_core::event::{Event, Link};
use quorate_core::ids::{NodeName, RaftId};
use quorate_core::start::Identity;
use quorate_node::clock;
use quorate_node::config::{NodeConfig, Timing};
use quorate_node::files::Paths;
use quorate_node::join::{InitPlan, JoinDesk, JoinError, JoinPlan, init, join};
use quorate_node::link::tls::{Identity as TlsIdentity, TlsConfigs, TlsHolder};
use quorate_node::link::{Hub, HubOptions, LinkEvents};
use quorate_node::local::Clients;
use quorate_node::pki::authority::fingerprint;
use quorate_node::pki::certificate::Facts;
use quorate_node::pki::token::{Token, hash};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

fn paths(root: &Path) -> Paths {
    Paths {
        config: root.join("etc"),
        state: root.join("var"),
        runtime: root.join("run"),
    }
}

fn config(name: &str) -> NodeConfig {
    NodeConfig {
        name: name.into(),
        cluster: "test".into(),
        links: vec!["127.0.0.1:7999".into()],
        witness: false,
        timing: Timing { detection_ms: 700 },
        alert: None,
        watchdog: None,
        watchdog_s: None,
        watchdog_counts: None,
        drain_s: 1,
    }
}

struct Door(tokio::sync::mpsc::Sender<TlsStream<TcpStream>>);

impl LinkEvents for Door {
    fn frame(&self, _: &NodeName, _: Link, _: Vec<u8>) {}
    fn join(&self, stream: TlsStream<TcpStream>) {
        let _ = self.0.try_send(stream);
    }
    fn log_info(&self, _: String) {}
    fn log_warn(&self, _: String) {}
}

/// A cluster of one, whose core is played by a thread that knows one token and one member.
struct Cluster {
    paths: Paths,
    address: SocketAddr,
    _root: tempfile::TempDir,
}

const SECRET: [u8; 16] = [9; 16];

impl Cluster {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        init(
            &paths,
            &InitPlan {
                config: config("n1"),
                configuration: String::new(),
            },
        )
        .unwrap();
        let (events, inbox) = std::sync::mpsc::channel();
        let clients = Arc::new(Clients::new(events));
        let core = clients.clone();
        std::thread::spawn(move || {
            let mut tokens = BTreeSet::from([hash(&SECRET)]);
            while let Ok(event) = inbox.recv() {
                let Event::Client {
                    id,
                    request: Request::Admit { node, token_hash },
                } = event
                else {
                    continue;
                };
                let refuse = |reason: &str| Response::Refused {
                    reason: reason.into(),
                    help: "help".into(),
                };
                let response = if node.name.0 == "n1" {
                    refuse("there is a node named n1 already")
                } else if !tokens.remove(&token_hash) {
                    refuse("the token was used already, or has expired")
                } else {
                    Response::Admitted(Identity {
                        cluster: "test".into(),
                        raft_id: RaftId(2),
                        ..Identity::default()
                    })
                };
                core.reply(id, response);
            }
        });
        let (sender, mut newcomers) = tokio::sync::mpsc::channel(8);
        let desk = JoinDesk {
            paths: paths.clone(),
            clients,
            detection_ms: 700,
        };
        tokio::spawn(async move {
            while let Some(stream) = newcomers.recv().await {
                desk.serve(stream).await;
            }
        });
        let tls = TlsConfigs::new(&TlsIdentity::load(&paths).unwrap()).unwrap();
        let options = HubOptions {
            name: "n1".into(),
            cluster: "test".into(),
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            detection_ms: 1000,
        };
        let hub = Hub::start(options, TlsHolder::new(tls), Arc::new(Door(sender)));
        let address = loop {
            match hub.bound(Link(0)) {
                Some(address) => break address,
                None => tokio::task::yield_now().await,
            }
        };
        Self {
            paths,
            address,
            _root: root,
        }
    }

    fn plan(&self, name: &str) -> JoinPlan {
        let certificate = std::fs::read_to_string(self.paths.ca_certificate()).unwrap();
        JoinPlan {
            token: Token {
                addresses: vec![self.address.to_string()],
                authority: fingerprint(&certificate).unwrap(),
                expires_s: clock::wall_s() + 60,
                secret: SECRET,
            },
            name: name.into(),
            addresses: vec!["127.0.0.1:7998".into()],
            is_witness: false,
        }
    }
}

fn is_untouched(paths: &Paths) -> bool {
    !paths.node_config().exists() && !paths.store().exists()
}

#[tokio::test]
async fn a_token_lets_one_node_in_once() {
    let cluster = Cluster::start().await;
    let root = tempfile::tempdir().unwrap();
    let joined = paths(root.path());
    let config = join(&joined, &cluster.plan("n2")).await.unwrap();
    assert_eq!(
        (config.cluster.as_str(), config.timing.detection_ms),
        ("test", 700)
    );
    assert_eq!(NodeConfig::load(&joined).unwrap(), config);
    let identity = TlsIdentity::load(&joined).unwrap();
    TlsConfigs::new(&identity).unwrap();
    assert_eq!(Facts::of_pem(&identity.certificate_pem).unwrap().name, "n2");
    for secret in [
        joined.key(),
        joined.ca_key(),
        joined.identity(),
        joined.store(),
    ] {
        let mode = std::fs::metadata(&secret).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", secret.display());
    }
    // The same host does not join twice, another one not with the same token.
    assert!(matches!(
        join(&joined, &cluster.plan("n2")).await,
        Err(JoinError::Local(_))
    ));
    let other = tempfile::tempdir().unwrap();
    let refused = join(&paths(other.path()), &cluster.plan("n3"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("used already"), "{refused}");
    assert!(is_untouched(&paths(other.path())));
}

#[tokio::test]
async fn a_witness_does_not_get_the_authoritys_key() {
    let cluster = Cluster::start().await;
    let root = tempfile::tempdir().unwrap();
    let plan = JoinPlan {
        is_witness: true,
        ..cluster.plan("w")
    };
    join(&paths(root.path()), &plan).await.unwrap();
    assert!(!paths(root.path()).ca_key().exists());
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_with_the_clusters_words() {
    let cluster = Cluster::start().await;
    let root = tempfile::tempdir().unwrap();
    let refused = join(&paths(root.path()), &cluster.plan("n1"))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, JoinError::Refused { help, .. } if help == "help"),
        "{refused}"
    );
    assert!(is_untouched(&paths(root.path())));
}

#[tokio::test]
async fn expired_token_wrong_cluster_nobody_there() {
    let cluster = Cluster::start().await;
    let root = tempfile::tempdir().unwrap();
    let here = paths(root.path());
    let mut plan = cluster.plan("n2");
    plan.token.expires_s = clock::wall_s() - 5;
    plan.token.secret = [1; 16];
    let error = join(&here, &plan).await.unwrap_err().to_string();
    assert!(
        error.contains("s ago") && error.contains("quorate token create"),
        "{error}"
    );

    let mut plan = cluster.plan("n2");
    plan.token.authority = [0; 32];
    let error = join(&here, &plan).await.unwrap_err().to_string();
    assert!(error.contains("another cluster than the token"), "{error}");

    let mut plan = cluster.plan("n2");
    plan.token.addresses = vec!["127.0.0.1:1".into()];
    let error = join(&here, &plan).await.unwrap_err().to_string();
    assert!(
        error.contains("no node of the cluster answers: 127.0.0.1:1"),
        "{error}"
    );
    assert!(is_untouched(&here));
    // None of these spent the token.
    tokio::time::timeout(Duration::from_secs(20), join(&here, &cluster.plan("n2")))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_host_that_cannot_write_does_not_spend_the_token() {
    let cluster = Cluster::start().await;
    let root = tempfile::tempdir().unwrap();
    let here = paths(root.path());
    // A file where the directory should be refuses root as well.
    std::fs::write(&here.state, "in the way").unwrap();
    let error = join(&here, &cluster.plan("n2"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&here.state.display().to_string()), "{error}");
    std::fs::remove_file(&here.state).unwrap();
    join(&here, &cluster.plan("n2")).await.unwrap();
}
