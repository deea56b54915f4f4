//! `quorate clear RESOURCE [NODE]`: take back moves and bans.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource.
    resource: String,
    /// Only for this node.
    node: Option<String>,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let request =
        Request::Clear { resource: args.resource, node: args.node.map(NodeName), who: who() };
    client::change(context, &request)
}
