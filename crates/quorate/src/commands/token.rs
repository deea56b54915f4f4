//! `quorate token create`: what a further node needs to join.

use quorate_core::admin::{Request, Response};
use quorate_node::clock;
use quorate_node::config::NodeConfig;
use quorate_node::files;
use quorate_node::pki::token::Token;
use quorate_node::pki::{authority, random, token};

use super::directories::Directories;
use crate::client::{Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token that lets one node join.
    Create {
        /// Minutes for which it can be used.
        #[arg(long, default_value_t = 60, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=10_080))]
        expires: u32,
        #[command(flatten)]
        directories: Directories,
    },
}

/// Makes one.
pub fn run(args: Args, context: &Context) -> Result {
    let What::Create { expires, directories } = args.what;
    let failed = |e: &dyn std::fmt::Display| Error::new(e.to_string(), "run it as root on a server of the cluster");
    let paths = directories.paths();
    let config = NodeConfig::load(&paths).map_err(|e| failed(&e))?;
    if config.witness {
        return Err(Error::new(
            "this node is a witness: it does not have the authority's key and cannot let nodes in",
            "make the token on one of the servers",
        ));
    }
    let certificate = files::read(&paths.ca_certificate())
        .map_err(|e| failed(&e))?
        .ok_or_else(|| Error::new("the authority's certificate is missing on this node", ""))?;
    let token = Token {
        addresses: config.links.clone(),
        authority: authority::fingerprint(&certificate).map_err(|e| failed(&e))?,
        expires_s: clock::wall_s() + i64::from(expires) * 60,
        secret: random(),
    };
    let request = Request::Token {
        hash: token::hash(&token.secret),
        expires_wall_ms: token.expires_s * 1000,
        who: who(),
    };
    match Client::connect(context)?.ask(&request)? {
        Response::Done { .. } => {}
        other => return Err(crate::client::unexpected(&other)),
    }
    if context.json {
        println!("{}", serde_json::json!({"token": token.to_text(), "expires_s": token.expires_s}));
        return Ok(Exit::Done);
    }
    println!("{}", token.to_text());
    eprintln!("\nIt lets one node in, within {expires} minutes. On that node:\n  quorate join TOKEN --address ADDRESS [--address ADDRESS]");
    Ok(Exit::Done)
}
