//! `quorate maintenance on|off [NODE]`: leave resources alone.

use quorate_core::admin::{Request, Switch};
use quorate_core::ids::NodeName;

use crate::client::{self, who};
use crate::context::Context;
use crate::error::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `on`: nothing is started, stopped, monitored or recovered; `off`: everything is looked after again.
    switch: OnOff,
    /// Only on this node [default: the whole cluster].
    node: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    let switch = match args.switch {
        OnOff::On => Switch::On,
        OnOff::Off => Switch::Off,
    };
    client::change(context, &Request::Maintenance { node: args.node.map(NodeName), switch, who: who() })
}
