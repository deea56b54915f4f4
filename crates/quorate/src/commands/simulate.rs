//! `quorate simulate`: what would be decided for a given information base, in `crm_simulate`'s words.

use std::path::PathBuf;

use quorate_model::xml;
use quorate_policy::Options;
use quorate_policy::simulate::{Request, decision_time, simulate};

use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Information base as XML.
    #[arg(long, short = 'x', value_name = "FILE")]
    cib: PathBuf,
    /// Decide as of this time (ISO 8601).
    #[arg(long, short = 't', value_name = "TIME")]
    time: Option<String>,
    /// Say what is planned, carry nothing out.
    #[arg(long)]
    plan_only: bool,
    /// Write the action graph as XML.
    #[arg(long, short = 'G', value_name = "FILE")]
    graph: Option<PathBuf>,
    /// Write the action graph for Graphviz.
    #[arg(long, short = 'D', value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Print placement scores instead of the plan.
    #[arg(long, short = 's')]
    scores: bool,
}

/// Simulates.
pub fn run(args: Args, _context: &Context) -> Result {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|e| Error::new(format!("cannot read {}: {e}", path.display()), ""))
    };
    let text = read(&args.cib)?;
    let cib = xml::read::read(&text).map_err(|e| Error::new(format!("{}: {e}", args.cib.display()), ""))?;
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
    let now = decision_time(&cib, args.time.as_deref(), clock)
        .ok_or_else(|| Error::new("--time: not a time", "write it as 2026-05-31T12:00:00Z"))?;
    let request = Request {
        options: Options { now, ..Options::default() },
        time_text: args.time.clone(),
        plan_only: args.plan_only,
        scores: args.scores,
        graph: args.graph.is_some(),
        dot: args.dot.is_some(),
    };
    let simulation = simulate(&cib, &request);
    if args.scores {
        println!("\n{}", simulation.scores.join("\n"));
    } else {
        print!("{}", simulation.text);
    }
    let write = |path: &Option<PathBuf>, text: &str| match path {
        Some(path) => std::fs::write(path, text)
            .map_err(|e| Error::new(format!("cannot write {}: {e}", path.display()), "")),
        None => Ok(()),
    };
    write(&args.graph, &simulation.graph)?;
    write(&args.dot, &simulation.dot)?;
    Ok(Exit::Done)
}
