//! How long an entry of the log takes: from a client's request at the leader until the answer that it is committed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use quorate_core::admin::{Access, Lifetime, Request, Response};
use quorate_core::ids::NodeName;
use quorate_lab::LabError;
use quorate_lab::demo::Cluster;
use serde_json::{Value, json};

/// Entries measured.
const ENTRIES: usize = 200;

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    min_ms: f64,
    median_ms: f64,
    p99_ms: f64,
}

impl Latency {
    pub fn json(self) -> Value {
        json!({ "entries": ENTRIES, "min_ms": self.min_ms, "median_ms": self.median_ms, "p99_ms": self.p99_ms })
    }

    pub fn text(self) -> String {
        format!(
            "log commit at the leader, {ENTRIES} entries: min {:.2} ms, median {:.2} ms, 99 % {:.2} ms",
            self.min_ms, self.median_ms, self.p99_ms
        )
    }
}

/// Changes an attribute again and again through the leader's socket. `None`: nobody leads.
pub(super) fn measure(cluster: &dyn Cluster) -> Result<Option<Latency>, LabError> {
    let leader = cluster.leader();
    let host = cluster
        .hosts()
        .iter()
        .find(|host| Some(host.name()) == leader.as_deref());
    let Some((host, init)) = host.and_then(|host| Some((host, host.init()?))) else {
        return Ok(None);
    };
    let times = entries(host.name(), init).map_err(|error| LabError::Client {
        what: format!("cannot measure the log on {}: {error}", host.name()),
    })?;
    let at = |part: usize| times.get(times.len() * part / 100).copied();
    Ok(at(0)
        .zip(at(50))
        .zip(at(99))
        .map(|((min_ms, median_ms), p99_ms)| Latency {
            min_ms,
            median_ms,
            p99_ms,
        }))
}

/// Sorted.
fn entries(node: &str, init: u32) -> std::io::Result<Vec<f64>> {
    let mut stream = UnixStream::connect(format!("/proc/{init}/root/run/quorate/socket"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut times = Vec::with_capacity(ENTRIES);
    for n in 0..ENTRIES {
        let request = Request::Attribute {
            node: NodeName(node.to_owned()),
            name: "benchmark".to_owned(),
            access: Access::Set(n.to_string()),
            lifetime: Lifetime::Reboot,
            who: "benchmark".to_owned(),
        };
        let begun = Instant::now();
        match ask(&mut stream, &request)? {
            Response::Refused { reason, .. } => return Err(std::io::Error::other(reason)),
            _ => times.push(begun.elapsed().as_secs_f64() * 1000.0),
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn ask(stream: &mut UnixStream, request: &Request) -> std::io::Result<Response> {
    let bytes = minicbor::to_vec(request).expect("encoding into memory cannot fail");
    let length = u32::try_from(bytes.len()).expect("a request is short");
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    minicbor::decode(&answer).map_err(std::io::Error::other)
}
