//! `quorate run`: the daemon.

use quorate_node::daemon::{self, DaemonOptions};

use super::directories::Directories;
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::tools;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    directories: Directories,
}

/// Runs until it is told to stop.
pub fn run(args: Args, _context: &Context) -> Result {
    quorate_node::log::begin();
    let program = std::env::current_exe()
        .map_err(|e| Error::new(format!("cannot find this program's own file: {e}"), ""))?;
    let options = DaemonOptions {
        paths: args.directories.paths(),
        supervisor: vec!["/proc/self/exe".into(), "agent-supervise".into()],
        tools: tools::list().map(str::to_owned).collect(),
        program,
    };
    let _told = crate::host_facts::keep_told(options.paths.socket());
    let ending = daemon::run(&options).map_err(|e| Error::new(e.to_string(), ""))?;
    match ending.is_clean {
        true => Ok(Exit::Done),
        false => Err(Error::new(
            format!("the daemon ended: {}", ending.reason),
            "the resources of this node go on; the service manager starts the daemon again",
        )),
    }
}
