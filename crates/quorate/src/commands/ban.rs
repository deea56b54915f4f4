//! `quorate ban RESOURCE [NODE]`.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use super::{duration, move_};
use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource.
    resource: String,
    /// Where it may not run [default: where it runs now].
    node: Option<String>,
    /// The ban ends by itself after this time (`1h`, `30m`); otherwise it stays until `quorate clear`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    expires_ms: Option<u64>,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let request = Request::Ban {
        resource: args.resource.clone(),
        node: args.node.map(NodeName),
        expires_ms: args.expires_ms,
        who: who(),
    };
    let exit = client::change(context, &request)?;
    context.note(&move_::lasting(&args.resource, args.expires_ms));
    Ok(exit)
}
