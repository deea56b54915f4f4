//! `quorate version`.

use quorate_core::admin::{Request, Response};

use crate::client::Client;
use crate::context::Context;
use crate::error::{Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the version of this program, and of the daemon where one runs.
pub fn run(_args: Args, context: &Context) -> Result {
    let version = env!("CARGO_PKG_VERSION");
    let asked = Client::connect(context).and_then(|mut client| client.ask(&Request::State));
    let daemon = match asked {
        Ok(Response::State { local, .. }) => Some(local.version),
        _ => None,
    };
    if context.json {
        println!("{}", serde_json::json!({ "version": version, "daemon": daemon }));
        return Ok(Exit::Done);
    }
    println!("quorate {version}");
    match daemon {
        Some(daemon) if daemon == version => println!("the daemon of this host runs the same"),
        Some(daemon) => println!(
            "the daemon of this host runs {daemon}: restart it with `systemctl reload quorate` (nothing moves)"
        ),
        None => println!("no daemon runs on this host"),
    }
    Ok(Exit::Done)
}
