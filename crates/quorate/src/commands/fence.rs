//! `quorate fence NODE`, `fence confirm NODE`, `fence check NODE`.

use std::time::Duration;

use quorate_core::admin::{FenceAction, Request, Response};
use quorate_core::ids::NodeName;

use crate::client::{self, Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(override_usage = "quorate fence NODE [--off | --on]\n       quorate fence confirm NODE\n       quorate fence check NODE")]
pub struct Args {
    /// The node; or `confirm` (you vouch that the node is off) or `check` (read its power state), then the node.
    what: String,
    /// The node, after `confirm` or `check`.
    node: Option<String>,
    /// Power it off and leave it off.
    #[arg(long, conflicts_with = "on")]
    off: bool,
    /// Power it on.
    #[arg(long)]
    on: bool,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    match (args.what.as_str(), args.node) {
        ("confirm", Some(node)) => confirm(context, node),
        ("check", Some(node)) => check(context, node),
        ("confirm" | "check", None) => {
            Err(Error::new("which node?", "name it: quorate fence confirm NODE").exit(Exit::Usage))
        }
        (_, Some(other)) => Err(Error::new(
            format!("`{}` is neither `confirm` nor `check`, and `{other}` is one word too many", args.what),
            "quorate fence NODE, quorate fence confirm NODE, or quorate fence check NODE",
        )
        .exit(Exit::Usage)),
        (_, None) => {
            let (action, words) = match (args.off, args.on) {
                (true, _) => (FenceAction::Off, "powered off, and stays off"),
                (_, true) => (FenceAction::On, "powered on"),
                _ => (FenceAction::Reboot, "powered off without warning, then on"),
            };
            if action != FenceAction::On {
                context.confirm(&format!(
                    "Node `{}` is {words}. What runs there fails over.",
                    args.what
                ))?;
            }
            client::change(context, &Request::Fence { node: NodeName(args.what), action, who: who() })
        }
    }
}

fn confirm(context: &Context, node: String) -> Result {
    context.confirm(&format!(
        "You vouch that node `{node}` is powered off (unplugged, or seen off in its management console), not only \
         unreachable.\nIf it still runs, its services will run twice and data on shared disks will be destroyed."
    ))?;
    client::change(context, &Request::ConfirmFenced { node: NodeName(node), who: who() })
}

fn check(context: &Context, node: String) -> Result {
    let mut client = Client::connect(context)?;
    client.timeout(Some(Duration::from_secs(120)));
    let states = match client.ask(&Request::FenceCheck { node: NodeName(node.clone()) })? {
        Response::Power(states) => states,
        other => return Err(client::unexpected(&other)),
    };
    let is_good = !states.is_empty() && states.iter().all(|(_, s)| s == "on" || s == "off");
    if context.json {
        let list: Vec<_> = states
            .iter()
            .map(|(device, state)| serde_json::json!({"device": device, "state": state}))
            .collect();
        println!("{}", serde_json::json!({"node": node, "devices": list, "good": is_good}));
    } else if states.is_empty() {
        println!("No fence device can reach `{node}`: nothing could recover from its loss.");
    } else {
        for (device, state) in &states {
            println!("{device}: {node} is {state}");
        }
    }
    Ok(if is_good { Exit::Done } else { Exit::Attention })
}
