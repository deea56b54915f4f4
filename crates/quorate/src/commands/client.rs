//! `quorate client`: who may ask the cluster from another machine, and what.

use std::path::PathBuf;

use quorate_model::crm::OnExisting;
use quorate_node::clock;
use quorate_node::files;
use quorate_node::pki::authority::Authority;
use quorate_node::remote::role::Role;

use super::directories::Directories;
use crate::configure::{Change, Current, apply, write_new_private};
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
    /// Make credentials for an operator on another machine.
    Add {
        /// His name, for the history.
        name: String,
        /// read: see (secrets are masked); operate: and move, stop, clean up, fence; configure: everything.
        #[arg(long, default_value = "read", value_parser = ["read", "operate", "configure"])]
        role: String,
        /// Days for which they are good.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=730))]
        days: u16,
        /// Where to write them [default: NAME.pem].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        directories: Directories,
    },
    /// Take an operator's rights away, at once and on all nodes.
    Revoke {
        /// His name.
        name: String,
    },
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result {
    match args.what {
        What::Add {
            name,
            role,
            days,
            out,
            directories,
        } => add(&name, &role, days, out, &directories, context),
        What::Revoke { name } => revoke(&name, context),
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_good = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'));
    if is_good {
        return Ok(());
    }
    Err(Error::new(
        format!("`{name}` cannot be an operator's name"),
        "letters, digits, '-', '_', '.' and '@'",
    )
    .exit(Exit::Usage))
}

fn add(
    name: &str,
    role: &str,
    days: u16,
    out: Option<PathBuf>,
    directories: &Directories,
    context: &Context,
) -> Result {
    check_name(name)?;
    let failed = |e: &dyn std::fmt::Display| Error::new(e.to_string(), "run it as root on a server of the cluster");
    let role = Role::parse(role).ok_or_else(|| Error::new("no such role", ""))?;
    let paths = directories.paths();
    let need = |path: PathBuf| {
        files::read(&path)
            .map_err(|e| failed(&e))?
            .ok_or_else(|| failed(&format!("{} is not on this node", path.display())))
    };
    let trusted = need(paths.ca_certificate())?;
    let authority = Authority::load(&trusted, &need(paths.ca_key())?).map_err(|e| failed(&e))?;
    let (certificate, key) = authority
        .issue_client(name, role, clock::wall_s(), i64::from(days))
        .map_err(|e| failed(&e))?;
    let path = out.unwrap_or_else(|| PathBuf::from(format!("{name}.pem")));
    write_new_private(&path, &format!("{certificate}{key}{trusted}"))
        .map_err(|e| Error::new(format!("{}: {e}", path.display()), "choose another file with --out"))?;
    context.say(&format!(
        "{} holds the credentials of `{name}` ({}, {days} days). Give it to nobody else; on that machine: quorate --remote ADDRESS --credentials {} status",
        path.display(),
        role.as_str(),
        path.display()
    ));
    Ok(Exit::Done)
}

fn revoke(name: &str, context: &Context) -> Result {
    check_name(name)?;
    let current = Current::fetch(context)?;
    let document = current.document();
    let before = document
        .configuration()
        .options
        .iter()
        .flat_map(|set| &set.pairs)
        .find(|pair| pair.name == "revoked-clients")
        .and_then(|pair| pair.value.clone())
        .unwrap_or_default();
    if before.split_whitespace().any(|known| known == name) {
        context.say(&format!("`{name}` was revoked already"));
        return Ok(Exit::Done);
    }
    let list = format!("{before} {name}");
    let statement = format!("property revoked-clients=\"{}\"", list.trim());
    let edited = document
        .define(&statement, OnExisting::Refuse)
        .map_err(|e| Error::new(e.to_string(), "").exit(Exit::Configuration))?;
    let change = Change {
        notes: edited.notes,
        no_host: true,
        ..Change::new(edited.text, "revoke")
    };
    apply(context, &current, &change)
}
