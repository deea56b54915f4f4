//! `quorate reprobe [NODE]`: find out anew what runs where.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only on this node [default: all].
    node: Option<String>,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    client::change(context, &Request::Reprobe { node: args.node.map(NodeName), who: who() })
}
