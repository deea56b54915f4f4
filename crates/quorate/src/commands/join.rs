//! `quorate join TOKEN`: enter a cluster.

use std::net::{SocketAddr, UdpSocket};

use quorate_node::join::{JoinError, JoinPlan, join};
use quorate_node::pki::token::Token;

use super::directories::{Directories, complete, host_name};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `quorate token create` printed on a node of the cluster.
    token: String,
    /// This node's name in the cluster [default: the host's name].
    #[arg(long)]
    name: Option<String>,
    /// This host's address on the first network, then on the second [default: those it reaches the cluster with, one
    /// for each of the cluster's networks].
    #[arg(long = "address", value_name = "ADDRESS[:PORT]")]
    addresses: Vec<String>,
    /// This node only votes; it runs no resource unless a constraint names it.
    #[arg(long)]
    witness: bool,
    #[command(flatten)]
    directories: Directories,
}

/// Joins.
pub fn run(args: Args, context: &Context) -> Result {
    let token = Token::parse(&args.token).map_err(|e| Error::new(e.to_string(), ""))?;
    let mut addresses = complete(&args.addresses)?;
    if addresses.is_empty() {
        let own = own_addresses(&token);
        if own.is_empty() {
            return Err(Error::new(
                "the cluster's addresses cannot be reached from this host",
                "give this host's address on the cluster's network with `--address`",
            ));
        }
        addresses = complete(&own)?;
    }
    let plan = JoinPlan {
        token,
        name: args.name.unwrap_or_else(host_name),
        addresses,
        is_witness: args.witness,
    };
    let paths = args.directories.paths();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(format!("cannot begin: {e}"), ""))?;
    let config = runtime.block_on(join(&paths, &plan)).map_err(|e| match e {
        JoinError::Refused { reason, help } => {
            Error::new(format!("the cluster refuses this node: {reason}"), help)
        }
        JoinError::Unreachable(problems) => Error::new(
            format!("no node of the cluster answers: {problems}"),
            "is the daemon running there, and the port open in its firewall?",
        ),
        other => Error::new(other.to_string(), ""),
    })?;
    if context.json {
        println!(
            "{}",
            serde_json::json!({"node": config.name, "cluster": config.cluster, "links": config.links})
        );
        return Ok(Exit::Done);
    }
    println!(
        "This node joined the cluster `{}` as `{}` at {}.",
        config.cluster,
        config.name,
        config.links.join(" and ")
    );
    println!("Next:\n  systemctl enable --now quorate     start the daemon (or `quorate run`)");
    Ok(Exit::Done)
}

/// The addresses that this host would use towards each of the cluster's networks. Nothing is sent.
fn own_addresses(token: &Token) -> Vec<String> {
    let mut own: Vec<String> = Vec::new();
    for address in token.addresses.iter().filter_map(|address| own_address(address)) {
        // Two networks behind one interface are one link from here.
        if !own.contains(&address) {
            own.push(address);
        }
    }
    own
}

fn own_address(to: &str) -> Option<String> {
    let to: SocketAddr = to.parse().ok()?;
    let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0".parse().ok()? } else { "[::]:0".parse().ok()? };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}
