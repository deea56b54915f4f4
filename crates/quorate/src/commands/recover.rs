//! `quorate recover`: go on with this node alone after a majority was lost for good.

use std::io::IsTerminal;
use std::time::Duration;

use quorate_core::admin::{LocalView, Request, Response};
use quorate_core::ids::NodeName;
use quorate_core::state::{ClusterState, MemberRole};

use crate::client::{self, Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A node that is gone for good; name every other voter.
    #[arg(long = "lost", required = true, value_name = "NODE")]
    lost: Vec<String>,
    /// Vouch, without being asked, that all of them are off and never come back with their present disks.
    #[arg(long)]
    yes_they_are_off_for_good: bool,
}

/// Recovers.
pub fn run(args: Args, context: &Context) -> Result {
    let (state, local) = view::fetch(context)?;
    if let Some(leader) = &local.leader {
        return Err(Error::new(
            format!("the cluster has a quorum ({leader} leads): nothing is to be recovered"),
            "take a node that is gone for good out with: quorate remove NODE",
        ));
    }
    let lost: Vec<NodeName> = args.lost.iter().cloned().map(NodeName).collect();
    for node in &lost {
        check_power(context, node)?;
    }
    let warning = warning(&state, &local, &args.lost);
    if args.yes_they_are_off_for_good {
        eprintln!("{warning}");
    } else {
        confirm(&warning, &args.lost)?;
    }
    let request = Request::Recover { lost, who: who() };
    let exit = client::change(context, &request)?;
    context.note(
        "Next: `quorate status`, then replace the lost nodes: `quorate token create`, and `quorate join TOKEN` on each \
         new machine. A lost disk that comes back is refused: wipe it there with `quorate leave --wipe`.",
    );
    Ok(exit)
}

/// What a fence device reads counts more than what anybody believes.
fn check_power(context: &Context, node: &NodeName) -> Result<()> {
    let mut client = Client::connect(context)?;
    client.timeout(Some(Duration::from_secs(120)));
    // A refusal: no device reaches it, so nothing contradicts the operator.
    let Ok(Response::Power(states)) = client.ask(&Request::FenceCheck { node: node.clone() }) else {
        return Ok(());
    };
    match states.iter().find(|(_, state)| state == "on") {
        Some((device, _)) => Err(Error::new(
            format!("{node} is not off: its fence device {device} reads the power as on"),
            "power it off first (at its management console, or with the device by hand: quorate agent DEVICE off), \
             then ask again",
        )),
        None => Ok(()),
    }
}

/// What is at stake.
fn warning(state: &ClusterState, local: &LocalView, lost: &[String]) -> String {
    let survivors: Vec<&str> = state
        .members
        .iter()
        .filter(|(name, member)| {
            member.role == MemberRole::Voter && name.0 != local.name && !lost.iter().any(|l| l.eq_ignore_ascii_case(&name.0))
        })
        .map(|(name, _)| name.0.as_str())
        .collect();
    let others = if survivors.is_empty() {
        String::new()
    } else {
        format!("\nNot named, but voting as well: {}. It will be refused.", survivors.join(", "))
    };
    let held: Vec<String> = lost
        .iter()
        .flat_map(|node| {
            let node = NodeName(node.clone());
            state.held_by(&node).map(|id| format!("{id} (on {node})")).collect::<Vec<_>>()
        })
        .collect();
    let running = if held.is_empty() {
        String::new()
    } else {
        format!(
            "\nThe log says that these may run there, and they will be started here: {}. If one of those machines still \
             runs, they run twice and data on shared disks is destroyed.",
            held.join(", ")
        )
    };
    format!(
        "Node `{}` goes on ALONE, under a new lineage, without: {}.\n\
         What could be lost: every change that a majority had and this node does not. Its log ends at entry {} of term \
         {}; if another survivor's is longer (`quorate status --json` there, \"applied\"), run this there instead.{running}{others}\n\
         The named nodes leave the cluster for ever; their disks must be wiped before they join again.",
        local.name,
        lost.join(", "),
        state.applied.0,
        local.term.0,
    )
}

/// `yes` is too easily said: the names are to be typed.
fn confirm(warning: &str, lost: &[String]) -> Result<()> {
    let refused = |why: &str| {
        Error::new(
            format!("not confirmed: {why}"),
            "type the names, or say `--yes-they-are-off-for-good` beforehand (`--yes` is not enough here)",
        )
        .exit(Exit::NotConfirmed)
    };
    if !std::io::stdin().is_terminal() {
        eprintln!("{warning}");
        return Err(refused("there is no terminal to ask at"));
    }
    eprint!(
        "{warning}\nYou vouch that each of them is powered off, unplugged or destroyed, not only unreachable.\n\
         Type the names of the lost nodes to go on: "
    );
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| refused(&e.to_string()))?;
    let typed: std::collections::BTreeSet<&str> =
        answer.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()).collect();
    let wanted: std::collections::BTreeSet<&str> = lost.iter().map(String::as_str).collect();
    if typed == wanted { Ok(()) } else { Err(refused("these are not the names; nothing was done")) }
}
