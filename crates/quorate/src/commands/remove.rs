//! `quorate remove NODE`: take a member out of the cluster.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which node; it should be drained (`quorate standby NODE`) or gone for good.
    node: String,
}

/// Removes it.
pub fn run(args: Args, context: &Context) -> Result {
    context.confirm(&format!(
        "Node `{}` loses its vote and its membership; to come back it must join anew with a token.",
        args.node
    ))?;
    client::change(context, &Request::Remove { node: NodeName(args.node), who: who() })
}
