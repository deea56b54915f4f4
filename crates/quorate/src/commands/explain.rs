//! `quorate explain RESOURCE`: why here, why not there, why restarted, why stopped, and what if.

use std::path::PathBuf;

use quorate_core::view::{leaves, resource_ids};
use quorate_policy::event::{self, Event, FORMS, judge_quorum};
use quorate_policy::explain::{Explanation, explain, without_each};

use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::inputs::Inputs;
use crate::lines::Lines;
use crate::view::explanation::{Report, Scene};
use crate::view::history;
use crate::view::picture::Picture;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Events: {FORMS}."))]
pub struct Args {
    /// The resource: a primitive, group or clone.
    resource: String,
    /// An information base or configuration instead of the running cluster.
    #[arg(long, value_name = "FILE")]
    cib: Option<PathBuf>,
    /// What would be if this happened (`node b down`, `monitor of db fails`); may be given several times.
    #[arg(long = "if", value_name = "EVENT")]
    events: Vec<String>,
    /// Leave out what each line of the configuration decides (quicker with very many).
    #[arg(long)]
    quick: bool,
}

/// Explains it.
pub fn run(args: Args, context: &Context) -> Result {
    let inputs = match &args.cib {
        Some(path) => Inputs::file(path)?,
        None => Inputs::live(context)?,
    };
    let parts = known(&inputs, &args.resource)?;
    let report = report(&args, &inputs, &parts)?;
    if context.json {
        println!("{}", report.json());
    } else {
        inputs.notes.iter().for_each(|note| println!("{note}"));
        print!("{}", report.text());
    }
    Ok(if report.is_blocked() { Exit::Attention } else { Exit::Done })
}

/// The primitives of a resource.
fn known(inputs: &Inputs, resource: &str) -> Result<Vec<String>> {
    let configuration = &inputs.cib.configuration;
    let parts = leaves(configuration, resource);
    if !parts.is_empty() {
        return Ok(parts);
    }
    let known = resource_ids(configuration);
    let near = quorate_model::diag::nearest(resource, known.iter().map(String::as_str));
    let help = match near {
        Some(near) => format!("did you mean `{near}`? there are: {}", known.join(", ")),
        None => format!("there are: {}", known.join(", ")),
    };
    Err(Error::new(format!("no resource is named `{resource}`"), help))
}

fn report(args: &Args, inputs: &Inputs, parts: &[String]) -> Result<Report> {
    let lines = Lines::new(&inputs.name, &inputs.text, &inputs.cib);
    let explained = explain(&inputs.cib, &inputs.options);
    let scene = Scene { resource: &args.resource, parts, cib: &inputs.cib, options: &inputs.options, lines: &lines };
    if !args.events.is_empty() {
        let (changed, events) = happened(args, inputs)?;
        let then = explain(&changed, &inputs.options);
        let scene = Scene { cib: &changed, ..scene };
        let mut report = Report::new(&scene, &then);
        report.decisive(&lines, &decisive(args, &changed, inputs, parts, &then));
        report.what_if(&scene, &explained, &then, events);
        return Ok(report);
    }
    let mut report = Report::new(&scene, &explained);
    report.decisive(&lines, &decisive(args, &inputs.cib, inputs, parts, &explained));
    if let Some((state, local)) = &inputs.live {
        report.live(&Picture::new(state, local), history::all(state), parts, &args.resource);
    }
    Ok(report)
}

fn decisive(
    args: &Args,
    cib: &quorate_model::cib::Cib,
    inputs: &Inputs,
    parts: &[String],
    explained: &Explanation,
) -> Vec<quorate_policy::explain::WithoutLine> {
    if args.quick {
        return Vec::new();
    }
    without_each(cib, &inputs.options, parts, &explained.lines(parts))
}

/// The inputs with the events applied.
fn happened(args: &Args, inputs: &Inputs) -> Result<(quorate_model::cib::Cib, Vec<String>)> {
    let told = |e: event::EventError| Error::new(e.what, e.help).exit(Exit::Usage);
    let mut cib = inputs.cib.clone();
    let mut judged = false;
    for text in &args.events {
        let event = Event::parse(text).map_err(told)?;
        event::apply(&mut cib, &event, inputs.options.now).map_err(told)?;
        judged |= matches!(event, Event::Quorum(_));
        if matches!(event, Event::Node(..)) && !judged {
            let witnesses = inputs.surroundings.witnesses.len();
            judge_quorum(&mut cib, inputs.options.now, witnesses, witnesses);
        }
    }
    Ok((cib, args.events.clone()))
}
