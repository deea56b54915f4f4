//! `quorate leave`: take this node out of its cluster, and wipe what made it a member.

use std::time::Duration;

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;
use quorate_node::config::NodeConfig;

use super::directories::Directories;
use crate::client::{Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not ask the cluster (its daemon is stopped, or it removed this node already): only wipe this host's part.
    #[arg(long)]
    wipe: bool,
    #[command(flatten)]
    directories: Directories,
}

/// Leaves.
pub fn run(args: Args, context: &Context) -> Result {
    let paths = args.directories.paths();
    if !args.wipe {
        let config = NodeConfig::load(&paths).map_err(|e| Error::new(e.to_string(), ""))?;
        context.confirm(&format!(
            "Node `{}` leaves the cluster `{}`: its resources move away, its membership ends, its state is wiped.",
            config.name, config.cluster
        ))?;
        let node = NodeName(config.name);
        let mut client = Client::connect(context)?;
        client.timeout(Some(Duration::from_secs(config.drain_s + 30)));
        client.ask(&Request::Remove { node, who: who() })?;
        client.ask(&Request::Shutdown)?;
        wait_for_end(context, Duration::from_secs(config.drain_s + 30))?;
    } else if std::os::unix::net::UnixStream::connect(&context.socket).is_ok() {
        return Err(Error::new(
            "the daemon of this host is running",
            "stop it first: `systemctl disable --now quorate`",
        ));
    } else {
        context.confirm(&format!(
            "Everything that makes this host a member is deleted: {} and {}.",
            paths.node_config().display(),
            paths.state.display()
        ))?;
    }
    for path in paths.of_member() {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::new(format!("cannot remove {}: {e}", path.display()), ""));
            }
            _ => {}
        }
    }
    context.say("This host is in no cluster now. `systemctl disable quorate` keeps its daemon from being started.");
    Ok(Exit::Done)
}

fn wait_for_end(context: &Context, limit: Duration) -> Result<()> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < limit {
        if std::os::unix::net::UnixStream::connect(&context.socket).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(Error::new(
        "the daemon did not end in time",
        "stop it (`systemctl stop quorate`), then wipe with `quorate leave --wipe`",
    ))
}
