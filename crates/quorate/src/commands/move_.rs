//! `quorate move RESOURCE [NODE]`.

use quorate_core::admin::Request;
use quorate_core::ids::NodeName;

use super::duration;
use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource.
    resource: String,
    /// Where to [default: away from where it runs].
    node: Option<String>,
    /// The preference ends by itself after this time (`1h`, `30m`); otherwise it stays until `quorate clear`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    expires_ms: Option<u64>,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let request = Request::Move {
        resource: args.resource.clone(),
        node: args.node.map(NodeName),
        expires_ms: args.expires_ms,
        who: who(),
    };
    let exit = client::change(context, &request)?;
    context.note(&lasting(&args.resource, args.expires_ms));
    Ok(exit)
}

/// How long a move or ban holds.
pub fn lasting(resource: &str, expires_ms: Option<u64>) -> String {
    match expires_ms {
        Some(ms) => format!("This ends by itself in {}.", duration::show(ms)),
        None => format!(
            "This stays, also for the next failure, until you take it back: quorate clear {resource}"
        ),
    }
}
