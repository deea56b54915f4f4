//! `quorate fence NODE`, `fence confirm NODE`, `fence check [NODE]`.

use std::time::{Duration, Instant};

use quorate_core::admin::{FenceAction, LocalView, Request, Response};
use quorate_core::ids::NodeName;
use quorate_core::state::MemberRole;

use crate::client::{self, Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view;

use super::drill::wait_whole;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(override_usage = "quorate fence NODE [--off | --on]\n       quorate fence confirm NODE\n       quorate fence check [NODE] [--reset]")]
pub struct Args {
    /// The node; or `confirm` (you vouch that the node is off) or `check` (read its power state from its peers; without
    /// a node: of every node).
    what: String,
    /// The node, after `confirm` or `check`.
    node: Option<String>,
    /// Power it off and leave it off.
    #[arg(long, conflicts_with = "on")]
    off: bool,
    /// Power it on.
    #[arg(long)]
    on: bool,
    /// With `check`: also reset each node, one after the other, and wait until it is back.
    #[arg(long, conflicts_with_all = ["on", "off"])]
    reset: bool,
    /// How long a reset node may take until it is back, seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", requires = "reset")]
    back_within: u64,
}

/// Asks for it.
pub fn run(args: Args, context: &Context) -> Result {
    match (args.what.as_str(), args.node) {
        ("confirm", Some(node)) => confirm(context, node),
        ("check", node) => check(context, node, args.reset, Duration::from_secs(args.back_within)),
        ("confirm", None) => {
            Err(Error::new("which node?", "name it: quorate fence confirm NODE").exit(Exit::Usage))
        }
        (_, Some(other)) => Err(Error::new(
            format!("`{}` is neither `confirm` nor `check`, and `{other}` is one word too many", args.what),
            "quorate fence NODE, quorate fence confirm NODE, or quorate fence check NODE",
        )
        .exit(Exit::Usage)),
        (node, None) if args.reset => Err(Error::new(
            format!("`--reset` belongs to `fence check`; `fence {node}` resets it anyway"),
            "quorate fence check [NODE] --reset",
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

/// What the devices say about one node.
struct Checked {
    node: String,
    devices: Vec<(String, String)>,
    /// Seconds until it was back, or why it was not.
    reset: Option<std::result::Result<f64, String>>,
}

impl Checked {
    fn is_good(&self) -> bool {
        let is_known = |state: &str| state == "on" || state == "off";
        !self.devices.is_empty()
            && self.devices.iter().all(|(_, state)| is_known(state))
            && !matches!(self.reset, Some(Err(_)))
    }

    fn json(&self) -> serde_json::Value {
        let devices: Vec<_> = self
            .devices
            .iter()
            .map(|(device, state)| serde_json::json!({"device": device, "state": state}))
            .collect();
        let mut json = serde_json::json!({"node": self.node, "devices": devices, "good": self.is_good()});
        match &self.reset {
            Some(Ok(seconds)) => json["back_after_s"] = serde_json::json!(seconds),
            Some(Err(problem)) => json["problem"] = serde_json::json!(problem),
            None => {}
        }
        json
    }

    fn show(&self, asked_from: &str) {
        if self.devices.is_empty() {
            println!("No fence device can reach `{}`: nothing could recover from its loss.", self.node);
        }
        for (device, state) in &self.devices {
            match state.as_str() {
                "on" | "off" => println!("{device}: {} is {state}", self.node),
                problem => println!("{device}: {problem} (asked from {asked_from})"),
            }
        }
    }
}

fn check(context: &Context, node: Option<String>, reset: bool, patience: Duration) -> Result {
    let (state, local) = view::fetch(context)?;
    let is_single = node.is_some();
    let mut nodes: Vec<String> = match node {
        Some(node) => vec![node],
        // A witness holds nothing: nobody needs to fence it.
        None => state.members.iter().filter(|(_, m)| !m.is_witness).map(|(name, _)| name.0.clone()).collect(),
    };
    // Its own reset ends this command.
    nodes.sort_by_key(|name| *name == local.name);
    let mut all = Vec::new();
    for node in nodes {
        let one = Checked { devices: power(context, &node)?, node, reset: None };
        if !context.json {
            one.show(&local.name);
        }
        all.push(one);
    }
    if reset {
        reset_all(context, &mut all, &local.name, patience)?;
    }
    let is_good = all.iter().all(Checked::is_good);
    if context.json {
        let list: Vec<_> = all.iter().map(Checked::json).collect();
        match (is_single, list.as_slice()) {
            (true, [one]) => println!("{one}"),
            _ => println!("{}", serde_json::json!({"nodes": list, "good": is_good})),
        }
    }
    Ok(if is_good { Exit::Done } else { Exit::Attention })
}

/// Read by a peer that may use the device.
fn power(context: &Context, node: &str) -> Result<Vec<(String, String)>> {
    let mut client = Client::connect(context)?;
    client.timeout(Some(Duration::from_secs(120)));
    match client.ask(&Request::FenceCheck { node: NodeName(node.to_owned()) })? {
        Response::Power(states) => Ok(states),
        other => Err(client::unexpected(&other)),
    }
}

/// The leader does not fence itself: another voter leads before its turn comes.
fn hand_over_lead(context: &Context, node: &str, own: &str, patience: Duration) -> Result<()> {
    let (state, local) = view::fetch(context)?;
    let leads = |local: &LocalView| local.leader.as_ref().is_some_and(|leader| leader.0 == node);
    if !leads(&local) {
        return Ok(());
    }
    let is_there = |name: &NodeName| name.0 == own || local.peers.iter().any(|peer| peer.name == *name && peer.has_contact);
    let mut others: Vec<&NodeName> = state
        .members
        .iter()
        .filter(|(name, member)| name.0 != node && member.role == MemberRole::Voter && is_there(name))
        .map(|(name, _)| name)
        .collect();
    // This node first: it is not reset before the end.
    others.sort_by_key(|name| name.0 != own);
    let Some(next) = others.first() else {
        return Err(Error::new(format!("no other voter could lead while `{node}` is reset"), "`quorate status` shows them"));
    };
    Client::connect(context)?.ask(&Request::Transfer { node: (*next).clone() })?;
    let mut client = Client::connect(context)?;
    client.timeout(Some(patience));
    client.send(&Request::Watch)?;
    loop {
        match client.receive()? {
            Response::State { local, .. } if local.leader.is_some() && !leads(&local) => return Ok(()),
            Response::State { .. } => {}
            other => return Err(client::unexpected(&other)),
        }
    }
}

/// One after the other, each only while all is well.
fn reset_all(context: &Context, all: &mut [Checked], own: &str, patience: Duration) -> Result<()> {
    let bad = all.iter().find(|one| !one.is_good());
    if let Some(bad) = bad {
        return Err(Error::new(
            format!("no device can say whether `{}` is on: nothing was reset", bad.node),
            "repair the device first: `quorate agent DEVICE status --trace` shows what it does",
        )
        .exit(Exit::Attention));
    }
    let names: Vec<&str> = all.iter().map(|one| one.node.as_str()).collect();
    let mut text = format!(
        "Reset without warning, one after the other, each from a peer: {}. What runs there fails over each time; the next one \
         follows when the cluster is whole again.",
        names.join(", ")
    );
    if names.contains(&own) {
        text += &format!("\nThis very node `{own}` is the last: the command ends with it.");
    }
    context.confirm(&text)?;
    for one in all.iter_mut() {
        hand_over_lead(context, &one.node, own, patience)?;
        let begun = Instant::now();
        let request = Request::Fence { node: NodeName(one.node.clone()), action: FenceAction::Reboot, who: who() };
        let mut client = Client::connect(context)?;
        client.timeout(Some(patience));
        client.ask(&request)?;
        one.reset = Some(match wait_whole(context, patience) {
            Ok(_) => Ok(begun.elapsed().as_secs_f64()),
            Err(problem) => Err(format!("not whole again after its reset: {problem}")),
        });
        match &one.reset {
            Some(Ok(seconds)) if !context.json => println!("{} was reset and is back after {seconds:.0} s", one.node),
            Some(Err(problem)) => {
                return Err(Error::new(format!("{}: {problem}", one.node), "`quorate status` shows it").exit(Exit::Attention));
            }
            _ => {}
        }
    }
    Ok(())
}
