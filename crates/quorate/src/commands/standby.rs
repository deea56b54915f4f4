//! `quorate standby [NODE]`: move the resources off a node.

use quorate_core::admin::{Lifetime, Request, Switch};

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which node [default: this one].
    node: Option<String>,
    /// Only until the node's next start.
    #[arg(long)]
    until_reboot: bool,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let node = client::node_or_own(context, args.node)?;
    let lifetime = if args.until_reboot { Lifetime::Reboot } else { Lifetime::Forever };
    client::change(context, &Request::Standby { node, switch: Switch::On, lifetime, who: who() })
}
