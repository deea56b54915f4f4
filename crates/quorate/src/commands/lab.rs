//! `quorate lab`: hosts on this machine to rehearse on.

use std::path::PathBuf;

use clap::Subcommand;
use quorate_lab::{BmcMode, Lab, LabError, LabOptions, Link};

use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which lab; several can exist at once.
    #[arg(long, global = true, default_value = "lab", env = "QUORATE_LAB")]
    name: String,
    /// Directory that keeps the labs' disks and logs.
    #[arg(long, global = true, env = "QUORATE_LAB_STATE", default_value = quorate_lab::STATE_DEFAULT, value_name = "DIR")]
    state: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the lab and boot its hosts (what an earlier one of that name left is removed).
    Up {
        /// The hosts' names, one to five.
        #[arg(default_values_t = ["n1", "n2", "n3"].map(String::from))]
        hosts: Vec<String>,
        /// Size of the shared disk, MiB.
        #[arg(long, default_value_t = 1024)]
        shared_mib: u64,
    },
    /// Remove the lab with everything in it.
    Down,
    /// Show the hosts.
    Status,
    /// Run a command in a host.
    Exec {
        /// The host.
        host: String,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Rehearse a drill on the lab's cluster: `quorate drill` on a host, reaching the others without ssh.
    Drill {
        /// The host whose daemon is asked, best the witness; the last one if none is named.
        #[arg(long)]
        from: Option<String>,
        /// What `quorate drill` is given: the drill's name and options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Switch a host's power: `off` is a power cut, not a shutdown.
    Power {
        /// What to do.
        switch: Switch,
        /// The host.
        host: String,
    },
    /// Stop every process in a host between two instructions.
    Freeze {
        /// The host.
        host: String,
    },
    /// Pull a cable.
    Cut {
        /// The host.
        host: String,
        /// Which.
        #[arg(value_parser = ["link1", "link2", "service", "all"])]
        link: String,
    },
    /// Plug in all cables, let frozen hosts go on, make all BMCs honest.
    Heal,
    /// Change how a host's BMC behaves.
    Bmc {
        /// The host.
        host: String,
        /// How.
        #[arg(value_parser = BmcMode::ALL.map(BmcMode::name))]
        mode: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Switch {
    On,
    Off,
    Reset,
}

/// Runs the verb.
pub fn run(args: Args, context: &Context) -> Result {
    let Args { name, state, verb } = args;
    match verb {
        Verb::Up { hosts, shared_mib } => {
            let options = LabOptions {
                state,
                name,
                hosts,
                shared_mib,
                install: own_program(),
                ephemeral: false,
            };
            let lab = Lab::up(&options).map_err(failed)?;
            status(&lab, context)
        }
        Verb::Down => {
            Lab::down(&state, &name).map_err(failed)?;
            Ok(Exit::Done)
        }
        verb => {
            let lab = Lab::attach(&state, &name).map_err(failed)?;
            on_lab(&lab, verb, context)
        }
    }
}

fn on_lab(lab: &Lab, verb: Verb, context: &Context) -> Result {
    match verb {
        Verb::Up { .. } | Verb::Down => unreachable!("handled before the lab is looked up"),
        Verb::Status => return status(lab, context),
        Verb::Exec { host, command } => {
            let mut command = lab
                .host(&host)
                .and_then(|host| host.wait_init().map(|()| host))
                .and_then(|host| host.command(command))
                .map_err(failed)?;
            let status = command
                .status()
                .map_err(|error| Error::new(format!("nsenter cannot be run: {error}"), ""))?;
            // The command's own exit code is the answer.
            std::process::exit(status.code().unwrap_or(1));
        }
        Verb::Drill { from, arguments } => {
            let status = drill_command(lab, from.as_deref(), &arguments, context)?
                .status()
                .map_err(|error| Error::new(format!("nsenter cannot be run: {error}"), ""))?;
            std::process::exit(status.code().unwrap_or(1));
        }
        Verb::Power { switch, host } => {
            let host = lab.host(&host).map_err(failed)?;
            match switch {
                Switch::On => host.power_on(),
                Switch::Off => host.power_off(),
                Switch::Reset => host.power_reset(),
            }
        }
        Verb::Freeze { host } => lab.host(&host).and_then(quorate_lab::Host::freeze),
        Verb::Cut { host, link } => {
            let links = Link::parse(&link).map_or(Link::ALL.to_vec(), |link| vec![link]);
            lab.host(&host)
                .and_then(|host| links.into_iter().try_for_each(|link| host.cut(link)))
        }
        Verb::Heal => lab.heal(),
        Verb::Bmc { host, mode } => {
            let mode = BmcMode::parse(&mode).expect("clap accepts only the modes' names");
            lab.host(&host).and_then(|host| host.set_bmc_mode(mode))
        }
    }
    .map_err(failed)?;
    Ok(Exit::Done)
}

/// `quorate drill` in the lab's network, with one host's daemon behind it; commands reach the other hosts as
/// `quorate lab exec` does.
fn drill_command(
    lab: &Lab,
    from: Option<&str>,
    arguments: &[String],
    context: &Context,
) -> Result<std::process::Command> {
    let own = std::env::current_exe()
        .map_err(|e| Error::new(format!("cannot find this program's own file: {e}"), ""))?;
    let host = match from {
        Some(name) => lab.host(name).map_err(failed)?,
        None => lab.hosts().last().ok_or_else(|| Error::new("the lab has no hosts", ""))?,
    };
    let init = host.init().ok_or_else(|| {
        let name = host.name();
        Error::new(format!("{name} is off"), format!("`quorate lab power on {name}`"))
    })?;
    let folder = lab.dir();
    let state = folder.parent().unwrap_or(&folder).display();
    let via = format!(
        "{} lab --name {} --state {state} exec {{node}} --",
        own.display(),
        lab.name()
    );
    let mut command = std::process::Command::new("nsenter");
    command
        .arg(format!("--net={}", lab.namespace_file().display()))
        .arg(&own)
        .arg("--socket")
        .arg(format!("/proc/{init}/root/run/quorate/socket"));
    if context.yes {
        command.arg("--yes");
    }
    if context.json {
        command.arg("--json");
    }
    command.arg("drill").args(arguments).args(["--via", &via]);
    Ok(command)
}

/// This very program goes onto the hosts' disks, so that a cluster can be made in the lab.
fn own_program() -> Vec<(PathBuf, PathBuf)> {
    std::env::current_exe()
        .map(|program| vec![(PathBuf::from("/usr/sbin/quorate"), program)])
        .unwrap_or_default()
}

fn status(lab: &Lab, context: &Context) -> Result {
    let hosts = lab.status().map_err(failed)?;
    if context.json {
        println!(
            "{}",
            serde_json::json!({ "lab": lab.name(), "directory": lab.dir(), "hosts": hosts })
        );
        return Ok(Exit::Done);
    }
    println!("lab {} in {}", lab.name(), lab.dir().display());
    for host in hosts {
        let power = match (host.powered, host.frozen) {
            (false, _) => "off",
            (true, true) => "frozen",
            (true, false) => "on",
        };
        let mut notes = Vec::new();
        if !host.cut.is_empty() {
            notes.push(format!("cable pulled: {}", host.cut.join(", ")));
        }
        if host.bmc != BmcMode::Honest {
            notes.push(format!("BMC is {}", host.bmc.name()));
        }
        if host.shared_mounted {
            notes.push("has the shared disk mounted".to_owned());
        }
        println!(
            "  {:<12} {power:<7} {:<12} BMC {:<13} {}",
            host.host,
            host.address,
            host.bmc_address,
            notes.join("; ")
        );
    }
    Ok(Exit::Done)
}

fn failed(error: LabError) -> Error {
    let help = match &error {
        LabError::NotRoot => "run it as root on a machine that you may experiment on",
        LabError::NoHost { .. } => "`quorate lab status` lists the hosts",
        _ => "",
    };
    Error::new(chain(&error), help)
}

/// An error with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
