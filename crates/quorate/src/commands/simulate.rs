//! `quorate simulate`: what would be decided for a given information base, in `crm_simulate`'s words; under that
//! name with its options.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use quorate_model::cib::Cib;
use quorate_model::xml;
use quorate_policy::Options;
use quorate_policy::simulate::{Injection, Outcome, Request, Simulation, decision_time, inject, simulate};

use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::inputs::Inputs;

/// Arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Information base as XML.
    #[arg(long, short = 'x', alias = "xml-file", value_name = "FILE", required_unless_present_any = ["xml_pipe", "live_check"])]
    cib: Option<PathBuf>,
    /// Read it from standard input.
    #[arg(long, short = 'p', conflicts_with = "cib")]
    xml_pipe: bool,
    /// The running cluster.
    #[arg(long, short = 'L', conflicts_with_all = ["cib", "xml_pipe"])]
    live_check: bool,
    /// Decide as of this time (ISO 8601).
    #[arg(long, short = 't', alias = "set-datetime", value_name = "TIME")]
    time: Option<String>,
    /// Say what is planned, carry nothing out.
    #[arg(long, short = 'R', alias = "run")]
    plan_only: bool,
    /// Carry it out on paper and show the status afterwards (what happens anyway).
    #[arg(long, short = 'S')]
    simulate: bool,
    /// The same, and write the result back to the file.
    #[arg(long, short = 'X', requires = "cib")]
    in_place: bool,
    /// Print no text, only what was asked for besides.
    #[arg(long, short = 'Q')]
    quiet: bool,
    /// Print placement scores instead of the plan.
    #[arg(long, short = 's', alias = "show-scores")]
    scores: bool,
    /// Print capacities of nodes, and what resources use of them.
    #[arg(long, short = 'U')]
    show_utilization: bool,
    /// Write the action graph as XML.
    #[arg(long, short = 'G', alias = "save-graph", value_name = "FILE")]
    graph: Option<PathBuf>,
    /// Write the action graph for Graphviz.
    #[arg(long, short = 'D', alias = "save-dotfile", value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Write the information base as it was decided on, events included.
    #[arg(long, short = 'I', value_name = "FILE")]
    save_input: Option<PathBuf>,
    /// Write the information base as it would be afterwards.
    #[arg(long, short = 'O', value_name = "FILE")]
    save_output: Option<PathBuf>,
    #[command(flatten)]
    events: Events,
}

/// What happens before the decision.
#[derive(Debug, Clone, clap::Args)]
struct Events {
    /// A node comes online.
    #[arg(long, short = 'u', value_name = "NODE")]
    node_up: Vec<String>,
    /// A node leaves in good order.
    #[arg(long, short = 'd', value_name = "NODE")]
    node_down: Vec<String>,
    /// A node is lost.
    #[arg(long, short = 'f', value_name = "NODE")]
    node_fail: Vec<String>,
    /// A result comes in: RESOURCE_TASK_MILLISECONDS@NODE=RC.
    #[arg(long, short = 'i', value_name = "RESULT")]
    op_inject: Vec<String>,
    /// An operation fails when it is carried out: RESOURCE_TASK_MILLISECONDS@NODE=RC.
    #[arg(long, short = 'F', value_name = "RESULT")]
    op_fail: Vec<String>,
    /// Whether the cluster has quorum.
    #[arg(long, short = 'q', value_name = "BOOL")]
    quorum: Option<String>,
    /// Whether the cluster has a watchdog.
    #[arg(long, short = 'w', value_name = "BOOL")]
    watchdog: Option<String>,
    /// A ticket is granted.
    #[arg(long, short = 'g', value_name = "TICKET")]
    ticket_grant: Vec<String>,
    /// A ticket is revoked.
    #[arg(long, short = 'r', value_name = "TICKET")]
    ticket_revoke: Vec<String>,
    /// A ticket is put in standby.
    #[arg(long, short = 'b', value_name = "TICKET")]
    ticket_standby: Vec<String>,
    /// A ticket leaves standby.
    #[arg(long, short = 'e', value_name = "TICKET")]
    ticket_activate: Vec<String>,
}

/// Makes an event of the name of what it happens to.
type Make = fn(String) -> Injection;

impl Events {
    fn injections(&self) -> Result<Vec<Injection>> {
        let mut out = Vec::new();
        out.extend(self.quorum.iter().cloned().map(Injection::Quorum));
        out.extend(self.watchdog.iter().cloned().map(Injection::Watchdog));
        let lists: [(&Vec<String>, Make); 7] = [
            (&self.node_up, Injection::NodeUp),
            (&self.node_down, Injection::NodeDown),
            (&self.node_fail, Injection::NodeFail),
            (&self.ticket_grant, Injection::TicketGrant),
            (&self.ticket_revoke, Injection::TicketRevoke),
            (&self.ticket_standby, Injection::TicketStandby),
            (&self.ticket_activate, Injection::TicketActivate),
        ];
        for (list, make) in lists {
            out.extend(list.iter().cloned().map(make));
        }
        out.extend(outcomes(&self.op_inject)?.into_iter().map(Injection::Operation));
        Ok(out)
    }
}

fn outcomes(texts: &[String]) -> Result<Vec<Outcome>> {
    let read = |text: &String| Outcome::parse(text).map_err(|e| Error::new(e.what, e.help).exit(Exit::Usage));
    texts.iter().map(read).collect()
}

/// Simulates.
pub fn run(args: Args, context: &Context) -> Result {
    let (cib, clock) = input(&args, context)?;
    let now = decision_time(&cib, args.time.as_deref(), clock)
        .ok_or_else(|| Error::new("--time: not a time", "write it as 2026-05-31T12:00:00Z"))?;
    let injections = args.events.injections()?;
    let changed = match injections.is_empty() {
        true => None,
        false => {
            let told = |e: quorate_policy::event::EventError| Error::new(e.what, e.help).exit(Exit::Usage);
            Some(inject(&cib, &injections, now).map_err(told)?)
        }
    };
    let carried_out = args.in_place || args.simulate || args.save_output.is_some();
    let request = Request {
        options: Options { now, ..Options::default() },
        time_text: args.time.clone(),
        plan_only: args.plan_only && !carried_out,
        scores: args.scores,
        graph: args.graph.is_some(),
        dot: args.dot.is_some(),
        utilization: args.show_utilization,
        changed,
        failing: outcomes(&args.events.op_fail)?,
    };
    let simulation = simulate(&cib, &request);
    print_answer(&args, &simulation);
    if let Some(path) = &args.save_input {
        let input = request.changed.as_ref().map_or(&cib, |changed| &changed.cib);
        write(path, &xml::write::cib(input))?;
    }
    if let Some(path) = &args.graph {
        write(path, &simulation.graph)?;
    }
    if let Some(path) = &args.dot {
        write(path, &simulation.dot)?;
    }
    let result = args.in_place.then_some(&args.cib).and_then(Option::as_ref);
    for path in args.save_output.iter().chain(result) {
        if let Some(after) = &simulation.after {
            write(path, &xml::write::cib(after))?;
        }
    }
    Ok(Exit::Done)
}

fn print_answer(args: &Args, simulation: &Simulation) {
    if args.scores {
        println!("\n{}", simulation.scores.join("\n"));
    }
    if args.show_utilization {
        println!("\n{}", simulation.utilization.join("\n"));
    }
    if !args.quiet && !args.scores && !args.show_utilization {
        print!("{}", simulation.text);
    }
}

/// The information base, and what its clock shows.
fn input(args: &Args, context: &Context) -> Result<(Cib, i64)> {
    if args.live_check {
        let live = Inputs::live(context)?;
        return Ok((live.cib, live.options.now));
    }
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
    let (name, text) = match &args.cib {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            (path.display().to_string(), text)
        }
        None => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            ("standard input".to_owned(), read.map(|_| text))
        }
    };
    let text = text.map_err(|e| Error::new(format!("cannot read {name}: {e}"), ""))?;
    let cib = xml::read::read(&text).map_err(|e| Error::new(format!("{name}: {e}"), ""))?;
    Ok((cib, clock))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::new(format!("cannot write {}: {e}", path.display()), ""))
}

/// `crm_simulate` with the options that scripts use; any other is an error.
#[derive(Debug, Parser)]
#[command(name = "crm_simulate", disable_version_flag = true)]
struct Tool {
    #[command(flatten)]
    args: Args,
    /// More words on standard error; there are none.
    #[arg(long, short = 'V', action = clap::ArgAction::Count)]
    verbose: u8,
    /// `text`.
    #[arg(long, value_parser = ["text"], default_value = "text")]
    output_as: String,
}

/// `CRM_EX_USAGE`.
const USAGE: u8 = 64;

/// Runs it under the name `crm_simulate`.
pub fn tool(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|a| a == "--version" || a == "-$") {
        println!("Quorate {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let line = std::iter::once("crm_simulate").chain(arguments.iter().map(String::as_str));
    let tool = match Tool::try_parse_from(line) {
        Ok(tool) => tool,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let context = Context::of_tool();
    match run(tool.args, &context) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.report(&context);
            ExitCode::from(1)
        }
    }
}

/// What is said to an option that is not known.
#[cfg(test)]
pub fn refusal(option: &str) -> Option<String> {
    let error = Tool::try_parse_from(["crm_simulate", "-x", "f", option]).err()?;
    (error.kind() == clap::error::ErrorKind::UnknownArgument).then(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(line: &str) -> std::result::Result<Tool, clap::Error> {
        let words = line.split_whitespace();
        Tool::try_parse_from(std::iter::once("crm_simulate").chain(words))
    }

    #[test]
    fn the_options_that_scripts_use_are_understood() {
        Tool::command().debug_assert();
        let tool = read("-x f.xml -sSQ -d n1 --node-down=n2 -i db_monitor_0@n1=7 -q 0 -t 2026-01-01").unwrap();
        assert!(tool.args.scores && tool.args.simulate && tool.args.quiet);
        assert_eq!(tool.args.events.node_down, ["n1", "n2"]);
        assert_eq!(tool.args.events.injections().unwrap().len(), 4);
        for line in [
            "--xml-file=f.xml --save-graph=g --save-dotfile=d --show-scores --run",
            "-LS --ticket-grant T -r T -b T -e T -w 1 -u a -f b",
            "-p -U -O out.xml -I in.xml -VV --output-as=text",
        ] {
            assert!(read(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["", "-x f -Z", "-x f --profile=d", "-x f -p", "-L -x f", "-x f --output-as=xml"] {
            assert!(read(line).is_err(), "{line}");
        }
        let tool = read("-x f -i nonsense").unwrap();
        assert!(tool.args.events.injections().is_err());
    }
}
