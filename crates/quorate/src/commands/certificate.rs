//! `quorate certificate`: whose this host's certificate is, and until when.

use jiff::Timestamp;
use quorate_node::clock;
use quorate_node::link::tls::Identity;
use quorate_node::pki::certificate::Validity;

use super::directories::Directories;
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    directories: Directories,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result {
    let paths = args.directories.paths();
    let identity = Identity::load(&paths).map_err(|e| Error::new(e.to_string(), ""))?;
    let facts = identity.facts().map_err(|e| Error::new(e.to_string(), ""))?;
    let end = Timestamp::from_second(facts.not_after_s).map_or_else(|_| "?".to_owned(), |t| t.to_string());
    let (state, exit) = match facts.validity(clock::wall_s()) {
        Validity::Good { days } => (format!("valid for {days} more days"), Exit::Done),
        Validity::Ending { days } => (format!("ends in {days} days"), Exit::Attention),
        Validity::Expired { days } => (format!("expired {days} days ago"), Exit::Attention),
    };
    let can_renew = paths.ca_key().exists();
    if context.json {
        println!(
            "{}",
            serde_json::json!({"node": facts.name, "not_after": end, "state": state, "renews_itself": can_renew})
        );
        return Ok(exit);
    }
    println!("Certificate of `{}`: {state} (until {end}).", facts.name);
    if can_renew {
        println!("The daemon renews it by itself.");
    } else {
        println!("This node does not have the authority's key: it has to join again before that day.");
    }
    Ok(exit)
}
