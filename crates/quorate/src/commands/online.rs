//! `quorate online [NODE]`: let a node run resources again.

use quorate_core::admin::{Lifetime, Request, Switch};

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which node [default: this one].
    node: Option<String>,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let node = client::node_or_own(context, args.node)?;
    let lifetime = Lifetime::Forever;
    client::change(context, &Request::Standby { node, switch: Switch::Off, lifetime, who: who() })
}
