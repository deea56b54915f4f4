//! Links on loopback: what gets through, and what is turned away in which words.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_core::event::{Link, Peer};
use quorate_core::ids::NodeName;
use quorate_node::clock;
use quorate_node::link::tls::{Identity, TlsConfigs, TlsHolder};
use quorate_node::link::{Hub, HubOptions, LinkEvents};
use quorate_node::pki::authority::{Authority, NODE_DAYS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

struct Recorder {
    frames: mpsc::UnboundedSender<(NodeName, Link, Vec<u8>)>,
    log: mpsc::UnboundedSender<String>,
}

impl LinkEvents for Recorder {
    fn frame(&self, from: &NodeName, link: Link, bytes: Vec<u8>) {
        let _ = self.frames.send((from.clone(), link, bytes));
    }
    fn join(&self, _stream: tokio_rustls::server::TlsStream<TcpStream>) {}
    fn log_info(&self, text: String) {
        let _ = self.log.send(text);
    }
    fn log_warn(&self, text: String) {
        let _ = self.log.send(text);
    }
}

struct TestNode {
    name: NodeName,
    hub: Arc<Hub>,
    frames: mpsc::UnboundedReceiver<(NodeName, Link, Vec<u8>)>,
    log: mpsc::UnboundedReceiver<String>,
    seen: Mutex<Vec<String>>,
}

impl TestNode {
    async fn start(authority: &Authority, name: &str, days: i64) -> Self {
        let made_s = if days < 0 {
            clock::wall_s() + days * 86_400 * 2
        } else {
            clock::wall_s()
        };
        let (certificate_pem, key_pem) = authority.issue(name, made_s, days.abs()).unwrap();
        let identity = Identity {
            authority_pem: authority.certificate_pem().to_owned(),
            certificate_pem,
            key_pem,
        };
        let (frames_in, frames) = mpsc::unbounded_channel();
        let (log_in, log) = mpsc::unbounded_channel();
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = HubOptions {
            name: name.into(),
            cluster: "test".into(),
            addresses: vec![local, local],
            detection_ms: 1000,
        };
        let tls = TlsHolder::new(TlsConfigs::new(&identity).unwrap());
        let hub = Hub::start(
            options,
            tls,
            Arc::new(Recorder {
                frames: frames_in,
                log: log_in,
            }),
        );
        while hub.bound(Link(0)).is_none() || hub.bound(Link(1)).is_none() {
            tokio::task::yield_now().await;
        }
        Self {
            name: name.into(),
            hub,
            frames,
            log,
            seen: Mutex::default(),
        }
    }

    fn peer(&self) -> Peer {
        let address = |n| self.hub.bound(Link(n)).unwrap().to_string();
        Peer {
            name: self.name.clone(),
            addresses: vec![address(0), address(1)],
            fingerprint: String::new(),
            admitted_wall_ms: 0,
        }
    }

    /// Waits until the log has a sentence with that part.
    async fn says(&mut self, part: &str) -> String {
        loop {
            let text = tokio::time::timeout(Duration::from_secs(60), self.log.recv())
                .await
                .unwrap_or_else(|_| panic!("{} never said `{part}`: {:?}", self.name, self.seen))
                .unwrap();
            self.seen.lock().unwrap().push(text.clone());
            if text.contains(part) {
                return text;
            }
        }
    }

    async fn frame(&mut self) -> (NodeName, Link, Vec<u8>) {
        tokio::time::timeout(Duration::from_secs(60), self.frames.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

fn acquaint(nodes: &[&TestNode]) {
    let peers: Vec<Peer> = nodes.iter().map(|n| n.peer()).collect();
    for node in nodes {
        node.hub.set_peers(&peers);
    }
}

fn authority() -> Authority {
    Authority::create("test", clock::wall_s()).unwrap()
}

#[tokio::test]
async fn messages_pass_both_ways_over_both_links() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    acquaint(&[&a, &b]);
    for node in [&mut a, &mut b] {
        node.says("is up").await;
        node.says("is up").await;
    }
    for link in [Link(0), Link(1)] {
        a.hub.send(&b.name, Some(link), vec![link.0; 5]);
        assert_eq!(b.frame().await, (a.name.clone(), link, vec![link.0; 5]));
        b.hub.send(&a.name, Some(link), vec![link.0; 6]);
        assert_eq!(a.frame().await, (b.name.clone(), link, vec![link.0; 6]));
    }
    let long = vec![7; 8 << 20];
    a.hub.send(&b.name, None, long.clone());
    assert!(b.frame().await.2 == long);
    a.hub.send(&b.name, None, vec![0; (8 << 20) + 1]);
    assert_eq!(a.hub.status().iter().map(|l| l.dropped).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_probe_overtakes_a_snapshot() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    acquaint(&[&a, &b]);
    a.says("is up").await;
    a.says("is up").await;
    b.says("is up").await;
    b.says("is up").await;
    let link = a.hub.status().first().unwrap().link;
    a.hub.send(&b.name, None, vec![1; 8 << 20]);
    a.hub.send(&b.name, Some(link), b"probe".to_vec());
    assert_eq!(b.frame().await.2, b"probe");
    assert_eq!(b.frame().await.2.len(), 8 << 20);
}

#[tokio::test]
async fn a_member_of_another_cluster_is_told_apart() {
    let mut a = TestNode::start(&authority(), "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority(), "b", NODE_DAYS).await;
    acquaint(&[&a, &b]);
    a.says("another cluster's authority").await;
    b.says("another cluster's authority").await;
}

#[tokio::test]
async fn an_expired_certificate_is_named_on_both_sides() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", -10).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    acquaint(&[&a, &b]);
    a.says("this node's certificate has expired").await;
    b.says("its certificate has expired").await;
}

#[tokio::test]
async fn a_node_that_is_no_member_is_refused() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    a.hub.set_peers(&[a.peer(), b.peer()]);
    b.hub.set_peers(&[b.peer()]);
    b.says("`a` is no member of the cluster").await;
    a.says("refuses this node: `a` is no member").await;
}

/// The certificate of a machine that was removed is valid for years; the name's next owner was admitted later.
#[tokio::test]
async fn the_certificate_of_an_earlier_membership_is_refused() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    let admitted = |node: &TestNode, after_ms| Peer {
        fingerprint: "00".repeat(32),
        admitted_wall_ms: quorate_node::clock::wall_ms() + after_ms,
        ..node.peer()
    };
    a.hub.set_peers(&[a.peer(), admitted(&b, 5_000)]);
    b.hub.set_peers(&[a.peer(), b.peer()]);
    let why = a.says("older than the membership").await;
    assert!(why.contains("leave --wipe"), "{why}");
    // A renewed certificate is another one as well, and younger.
    a.hub.set_peers(&[a.peer(), admitted(&b, -5_000)]);
    a.says("is up").await;
    b.says("is up").await;
}

#[tokio::test]
async fn of_two_machines_with_one_name_the_second_is_refused() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut first = TestNode::start(&authority, "z", NODE_DAYS).await;
    acquaint(&[&a, &first]);
    a.says("is up").await;
    a.says("is up").await;
    first.says("is up").await;
    // The impostor calls itself `Z` where the order of names makes it the dialer.
    let (certificate_pem, key_pem) = authority.issue("z", clock::wall_s(), NODE_DAYS).unwrap();
    let identity = Identity {
        authority_pem: authority.certificate_pem().to_owned(),
        certificate_pem,
        key_pem,
    };
    let configs = TlsConfigs::new(&identity).unwrap();
    let tcp = TcpStream::connect(a.hub.bound(Link(0)).unwrap())
        .await
        .unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(configs.dial.clone())
        .connect(quorate_node::link::tls::server_name(), tcp)
        .await
        .unwrap();
    use quorate_node::link::hello::{self, Hello};
    // The first one speaks all the time, as members do.
    let (hub, to) = (first.hub.clone(), a.name.clone());
    let speaking = tokio::spawn(async move {
        let mut rhythm = tokio::time::interval(Duration::from_millis(50));
        loop {
            rhythm.tick().await;
            hub.send(&to, Some(Link(0)), b"alive".to_vec());
        }
    });
    a.frame().await;
    let own = Hello::Welcome {
        version: hello::VERSION,
        link: 0,
        cluster: "test".into(),
    };
    hello::send(&mut tls, &own).await.unwrap();
    let Hello::Refused { reason } = hello::receive(&mut tls).await.unwrap() else {
        panic!("it was let in")
    };
    assert!(reason.contains("two nodes have one name"), "{reason}");
    a.says("two nodes have one name").await;
    speaking.abort();
    first
        .hub
        .send(&a.name, Some(Link(0)), b"still here".to_vec());
    while a.frame().await.2 != b"still here" {}
}

#[tokio::test]
async fn strangers_are_turned_away_and_do_no_harm() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    let mut stranger = TcpStream::connect(b.hub.bound(Link(0)).unwrap())
        .await
        .unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    b.says("is not TLS").await;
    let mut rest = Vec::new();
    let _ = stranger.read_to_end(&mut rest).await;
    // Fifty silent ones do not keep a member out.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(
            TcpStream::connect(b.hub.bound(Link(0)).unwrap())
                .await
                .unwrap(),
        );
    }
    acquaint(&[&a, &b]);
    a.says("Link 0 to b is up").await;
    // A client without a certificate learns nothing.
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    let der =
        rustls::pki_types::CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes());
    roots.add(der.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![quorate_node::link::tls::LINK_PROTOCOL.to_vec()];
    let tcp = TcpStream::connect(b.hub.bound(Link(1)).unwrap())
        .await
        .unwrap();
    let outcome = async {
        let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(quorate_node::link::tls::server_name(), tcp)
            .await?;
        tls.write_all(&[0; 100]).await?;
        tls.read_u8().await
    };
    assert!(outcome.await.is_err());
}

#[tokio::test]
async fn a_peer_that_comes_back_is_connected_again_soon() {
    let authority = authority();
    let mut a = TestNode::start(&authority, "a", NODE_DAYS).await;
    let mut b = TestNode::start(&authority, "b", NODE_DAYS).await;
    acquaint(&[&a, &b]);
    b.says("is up").await;
    b.says("is up").await;
    a.says("is up").await;
    a.says("is up").await;
    let peers = [a.peer(), b.peer()];
    // The listener's side forgets the peer (its connections end), then knows it again.
    b.hub.set_peers(&[]);
    a.says("is down").await;
    let gone = Instant::now();
    b.hub.set_peers(&peers);
    a.says("is up").await;
    assert!(gone.elapsed() < Duration::from_secs(20));
}
