//! `quorate status`.

use quorate_core::admin::Request;

use crate::client::Client;
use crate::context::Context;
use crate::error::{Exit, Result};
use crate::view::picture::Picture;
use crate::view::{self, text};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show it again after each change, until interrupted.
    #[arg(long, short)]
    watch: bool,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result {
    if !args.watch {
        let (state, local) = view::fetch(context)?;
        let picture = Picture::new(&state, &local);
        print(&picture, context);
        return Ok(if picture.needs_attention() { Exit::Attention } else { Exit::Done });
    }
    let mut client = Client::connect(context)?;
    client.send(&Request::Watch)?;
    loop {
        let (state, local) = view::decode(client.receive()?)?;
        if !context.json {
            // Home, and clear to the end of the screen.
            print!("\x1b[H\x1b[J");
        }
        print(&Picture::new(&state, &local), context);
    }
}

fn print(picture: &Picture, context: &Context) {
    if context.json {
        let json = serde_json::to_string(picture).expect("a picture has a JSON form");
        println!("{json}");
    } else {
        print!("{}", text::status(picture));
    }
}
