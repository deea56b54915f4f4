//! `quorate cleanup [RESOURCE]`: forget failures and probe again.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource [default: all].
    resource: Option<String>,
    /// Only on this node.
    #[arg(long)]
    node: Option<String>,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let request =
        Request::Cleanup { resource: args.resource, node: args.node.map(NodeName), who: who() };
    client::change(context, &request)
}
