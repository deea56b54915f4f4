//! `crm`: the commands that documents and habits know, on this cluster.

use std::process::ExitCode;

use clap::Parser;
use quorate_model::cib::SetKind;

use crate::Cli;
use crate::commands::configure::configure;
use crate::configure::{Change, Current, apply};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Runs it: 0 or 1, as crmsh does.
pub fn run(arguments: &[String]) -> ExitCode {
    let mut context = Context::of_tool();
    // crmsh changes things when it is told to, without asking.
    context.yes = true;
    let mut force = false;
    let mut rest = arguments;
    while let [first, others @ ..] = rest {
        match first.as_str() {
            "-F" | "--force" => force = true,
            "-w" | "--wait" | "-D" | "-d" | "--debug" | "-R" => {}
            _ => break,
        }
        rest = others;
    }
    match level(rest, force, &context) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // The reason and the way out, with crmsh's exit code.
            let _ = error.report(&context);
            ExitCode::FAILURE
        }
    }
}

fn level(words: &[String], force: bool, context: &Context) -> Result {
    let parts: Vec<&str> = words.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["configure", ..] => configure(&words[1..], force, context),
        [] => Err(Error::new("no command", "this is the subset `crm configure|resource|node|status`; the whole is `quorate --help`").exit(Exit::Usage)),
        ["status" | "st", ..] => {
            crate::tools::by_name("crm_mon").map(|tool| tool(&["-1".to_owned()]));
            Ok(Exit::Done)
        }
        ["resource", "start", id] => meta(id, "target-role", Some("Started"), context),
        ["resource", "stop", id] => meta(id, "target-role", Some("Stopped"), context),
        ["resource", "promote", id] => meta(id, "target-role", Some("Promoted"), context),
        ["resource", "demote", id] => meta(id, "target-role", Some("Unpromoted"), context),
        ["resource", "manage", id] => meta(id, "is-managed", Some("true"), context),
        ["resource", "unmanage", id] => meta(id, "is-managed", Some("false"), context),
        ["resource", "maintenance", id] => meta(id, "maintenance", Some("true"), context),
        ["resource", "maintenance", id, "off" | "false"] => meta(id, "maintenance", Some("false"), context),
        ["resource", "meta", id, "set", name, value] => meta(id, name, Some(value), context),
        ["resource", "meta", id, "delete", name] => meta(id, name, None, context),
        ["resource", "param", id, "set", name, value] => pair(id, SetKind::Instance, name, Some(value), context),
        ["resource", "param", id, "delete", name] => pair(id, SetKind::Instance, name, None, context),
        ["resource", "move" | "migrate", id] => verb(&["move", id], context),
        ["resource", "move" | "migrate", id, node, ..] => verb(&["move", id, node], context),
        ["resource", "ban", id, others @ ..] => verb(&[&["ban", id], others].concat(), context),
        ["resource", "clear" | "unmove" | "unmigrate" | "unban", id, ..] => verb(&["clear", id], context),
        ["resource", "cleanup", others @ ..] => verb(&[&["cleanup"], others].concat(), context),
        ["resource", "refresh" | "reprobe", ..] => verb(&["reprobe"], context),
        ["resource", "status" | "show" | "list", ..] | ["node", "show" | "status", ..] => verb(&["status"], context),
        ["node", "standby", others @ ..] => verb(&[&["standby"], others].concat(), context),
        ["node", "online", others @ ..] => verb(&[&["online"], others].concat(), context),
        ["node", "maintenance", others @ ..] => verb(&[&["maintenance", "on"], others].concat(), context),
        ["node", "ready", others @ ..] => verb(&[&["maintenance", "off"], others].concat(), context),
        ["node", "fence", node] => verb(&["fence", node], context),
        _ => Err(Error::new(format!("`crm {}` is not among the commands that are kept", parts.join(" ")), "`quorate --help` lists what there is").exit(Exit::Usage)),
    }
}

/// The same as one of this program's own verbs.
fn verb(words: &[&str], context: &Context) -> Result {
    let arguments = std::iter::once("quorate").chain(words.iter().copied());
    let cli = Cli::try_parse_from(arguments)
        .map_err(|e| Error::new(e.to_string().trim().to_owned(), "").exit(Exit::Usage))?;
    cli.command.run(context)
}

fn meta(id: &str, name: &str, value: Option<&str>, context: &Context) -> Result {
    pair(id, SetKind::Meta, name, value, context)
}

fn pair(id: &str, kind: SetKind, name: &str, value: Option<&str>, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let text = current
        .document()
        .set_pair(id, kind, name, value)
        .map_err(|e| Error::new(e.to_string(), ""))?;
    apply(
        context,
        &current,
        &Change {
            no_host: true,
            ..Change::new(text, "configuration")
        },
    )
}
