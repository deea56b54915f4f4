//! Connections to a host that is confirmed dead: they end now, not after a timeout.
//!
//! TCP keeps a connection to a host without power for many minutes, and so do services that rely on it (a message
//! broker waits for its peers' acknowledgements). After a confirmed fencing nobody will ever answer: the kernel is
//! told to end them (`ss -K`), as the dead host's own kernel would have done.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// A name service that does not answer must not keep the task for ever.
const LIMIT: Duration = Duration::from_secs(5);

/// Ends them. Must be called inside a tokio runtime.
pub(crate) fn hang_up(node: String, links: Vec<String>) {
    tokio::spawn(async move {
        let named = node.clone();
        let looked_up = tokio::task::spawn_blocking(move || addresses(&named, &links));
        let Ok(Ok(found)) = tokio::time::timeout(LIMIT, looked_up).await else {
            return;
        };
        for address in found {
            let mut command = Command::new("ss");
            command
                .args(["-H", "-K", "-t", "-n", "dst", &address.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            match tokio::time::timeout(LIMIT, command.status()).await {
                Ok(Ok(status)) if status.success() => {
                    tracing::info!("Ended the connections to {address}: {node} is confirmed dead.");
                }
                Ok(Ok(status)) => {
                    tracing::debug!("Connections to {address} stay: ss ended with {status}.");
                }
                Ok(Err(e)) => tracing::debug!("Connections to {address} stay: no ss: {e}."),
                Err(_) => tracing::debug!("Connections to {address} stay: ss does not end."),
            }
        }
    });
}

/// Every address of the node that is known: what its name stands for, and those of the cluster's links.
fn addresses(node: &str, links: &[String]) -> BTreeSet<IpAddr> {
    let named = (node, 0_u16).to_socket_addrs().into_iter().flatten();
    let linked = links
        .iter()
        .filter_map(|link| link.to_socket_addrs().ok())
        .flatten();
    named
        .chain(linked)
        .map(|address| address.ip())
        // A name that stands for the machine itself is no other host's address.
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && !is_own(*ip))
        .collect()
}

/// An address that can be bound is this machine's.
fn is_own(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_others_only() {
        let links = [
            "192.0.2.7:5407".to_owned(),
            "127.0.0.1:1".to_owned(),
            "nonsense".to_owned(),
        ];
        let found = addresses("localhost", &links);
        assert_eq!(found, BTreeSet::from([IpAddr::from([192, 0, 2, 7])]));
    }
}
