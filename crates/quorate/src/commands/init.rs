//! `quorate init`: make a cluster of this one node.

use std::path::PathBuf;

use quorate_node::config::{self, NodeConfig, Timing};
use quorate_node::join::{InitPlan, init};

use super::directories::Directories;
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// This node's name in the cluster [default: the host's name].
    #[arg(long)]
    name: Option<String>,
    /// The cluster's name.
    #[arg(long, default_value = "cluster")]
    cluster: String,
    /// This host's address on the first network, then on the second; port 5407 where none is given.
    #[arg(long = "address", required = true, value_name = "ADDRESS[:PORT]")]
    addresses: Vec<String>,
    /// Milliseconds without an answer after which a node counts as lost; the same on all nodes.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    detection_ms: u64,
    /// This node only votes; it runs no resource unless a constraint names it.
    #[arg(long)]
    witness: bool,
    /// First configuration (crm syntax); it can also be applied later.
    #[arg(long, value_name = "FILE")]
    configuration: Option<PathBuf>,
    #[command(flatten)]
    directories: Directories,
}

/// Makes it.
pub fn run(args: Args, context: &Context) -> Result {
    let name = args.name.unwrap_or_else(super::directories::host_name);
    let links = super::directories::complete(&args.addresses)?;
    let configuration = match &args.configuration {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| Error::new(format!("cannot read {}: {e}", file.display()), ""))?,
        None => String::new(),
    };
    let config = NodeConfig {
        name: name.clone(),
        cluster: args.cluster.clone(),
        links,
        witness: args.witness,
        timing: Timing { detection_ms: args.detection_ms },
        alert: None,
        watchdog: None,
        watchdog_s: None,
        watchdog_counts: None,
        drain_s: config::NodeConfig::drain_s_default(),
    };
    let paths = args.directories.paths();
    let plan = InitPlan { config: config.clone(), configuration };
    init(&paths, &plan).map_err(|e| Error::new(e.to_string(), ""))?;
    if context.json {
        println!(
            "{}",
            serde_json::json!({
                "node": name, "cluster": args.cluster, "links": config.links,
                "config": paths.node_config(), "state": paths.state,
            })
        );
        return Ok(Exit::Done);
    }
    println!("Cluster `{}` is made; its first node is `{name}` at {}.", args.cluster, config.links.join(" and "));
    println!("Settings: {}   state and keys: {}", paths.node_config().display(), paths.state.display());
    println!("\nNext:\n  systemctl enable --now quorate     start the daemon (or `quorate run`)");
    println!("  quorate token create               for each further node, then there: quorate join TOKEN");
    if config.links.len() == 1 {
        println!(
            "\nOnly one link is given: when that network fails, nodes lose each other. With a second network, give \
             `--address` twice."
        );
    }
    Ok(Exit::Done)
}
