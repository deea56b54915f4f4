//! `quorate version`.

use crate::context::Context;
use crate::error::{Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the version.
pub fn run(_args: Args, context: &Context) -> Result {
    let version = env!("CARGO_PKG_VERSION");
    if context.json {
        println!("{}", serde_json::json!({ "version": version }));
    } else {
        println!("quorate {version}");
    }
    Ok(Exit::Done)
}
