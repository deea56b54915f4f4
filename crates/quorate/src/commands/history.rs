//! `quorate history`: what happened, and why.

use super::duration;
use crate::context::Context;
use crate::error::{Exit, Result};
use crate::view::{self, history};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what concerns this node or resource.
    about: Option<String>,
    /// Only the last so long (`1h`, `2d`).
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    since: Option<u64>,
    /// At most so many, the newest.
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
    /// Also the last call of each kind that the agents made, with its time.
    #[arg(long)]
    operations: bool,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result {
    let (state, local) = view::fetch(context)?;
    let from_ms = args.since.map_or(0, |ms| local.wall_ms - i64::try_from(ms).unwrap_or(i64::MAX));
    let concerns = |h: &history::Happening| {
        args.about.as_ref().is_none_or(|about| {
            h.about.iter().any(|a| a == about || a.starts_with(&format!("{about}_")))
                || h.text.split(|c: char| !c.is_alphanumeric() && !"-_.".contains(c)).any(|w| w == about)
        })
    };
    let mut all = history::all(&state);
    if args.operations {
        all.extend(history::operations(&state));
        all.sort_by_key(|h| h.at_ms);
    }
    let mut list: Vec<_> = all.into_iter().filter(|h| h.at_ms >= from_ms && concerns(h)).collect();
    list.drain(..list.len().saturating_sub(args.number));
    if context.json {
        println!("{}", serde_json::json!({ "history": list }));
    } else if list.is_empty() {
        println!("Nothing is remembered of that.");
    } else {
        print!("{}", history::text(&list));
    }
    Ok(Exit::Done)
}
