//! `quorate certificate`: whose this host's certificate is, and until when.

use jiff::Timestamp;
use quorate_node::clock;
use quorate_node::files::Paths;
use quorate_node::link::tls::Identity;
use quorate_node::pki::certificate::Validity;
use quorate_node::rotation::{self, client::Participant};

use super::directories::Directories;
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    directories: Directories,
    #[command(subcommand)]
    what: Option<What>,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Replace the cluster's authority by a new one while everything runs; every member must be up.
    Rotate,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result {
    let paths = args.directories.paths();
    if let Some(What::Rotate) = args.what {
        return rotate(&paths, context);
    }
    let identity = Identity::load(&paths).map_err(|e| Error::new(e.to_string(), ""))?;
    let facts = identity.facts().map_err(|e| Error::new(e.to_string(), ""))?;
    let end = Timestamp::from_second(facts.not_after_s).map_or_else(|_| "?".to_owned(), |t| t.to_string());
    let (state, exit) = match facts.validity(clock::wall_s()) {
        Validity::Good { days } => (format!("valid for {days} more days"), Exit::Done),
        Validity::Ending { days } => (format!("ends in {days} days"), Exit::Attention),
        Validity::Expired { days } => (format!("expired {days} days ago"), Exit::Attention),
    };
    let trusted = rotation::client::trusted(&paths).unwrap_or(1);
    let can_renew = paths.ca_key().exists();
    if context.json {
        println!(
            "{}",
            serde_json::json!({"node": facts.name, "not_after": end, "state": state, "renews_itself": can_renew, "authorities": trusted})
        );
        return Ok(exit);
    }
    println!("Certificate of `{}`: {state} (until {end}).", facts.name);
    if trusted > 1 {
        println!("{trusted} authorities are trusted: a rotation is under way; `quorate certificate rotate` on the server that began it goes on.");
    }
    if can_renew {
        println!("The daemon renews it by itself.");
    } else {
        println!("This node does not have the authority's key: it has to join again before that day.");
    }
    Ok(exit)
}

/// Leads all members to a new authority.
fn rotate(paths: &Paths, context: &Context) -> Result {
    let (state, _) = view::fetch(context)?;
    let members: Vec<Participant> = state
        .members
        .iter()
        .map(|(name, member)| Participant {
            name: name.0.clone(),
            addresses: member.addresses.clone(),
            is_witness: member.is_witness,
        })
        .collect();
    context.confirm(&format!(
        "The authority of cluster `{}` is about to be replaced on {} nodes. Nothing stops. Join tokens and the credentials of remote operators have to be made anew.",
        state.cluster,
        members.len()
    ))?;
    let mut steps = Vec::new();
    let mut tell = |step: &str| {
        steps.push(step.to_owned());
        if !context.json {
            println!("{step}");
        }
    };
    rotation::client::rotate(paths, &state.cluster, &members, &mut tell).map_err(|e| {
        Error::new(
            e.to_string(),
            "bring that node up (or `quorate remove` it) and say the same again: it goes on where it stopped",
        )
    })?;
    if context.json {
        println!("{}", serde_json::json!({"done": "the authority was replaced", "steps": steps}));
    } else {
        println!("The authority was replaced.");
    }
    Ok(Exit::Done)
}
