//! `crm_mon -1`, `crm_mon -n -1`, `crm_mon -1 --output-as=xml`: the status as its users know it.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Exit;
use crate::view::crm_mon::{Shape, draw};
use crate::view::crm_mon_xml;
use crate::view::{self, picture::Picture};

/// `CRM_EX_DISCONNECT`: no cluster to ask.
const DISCONNECTED: u8 = 102;
/// `CRM_EX_USAGE`.
const USAGE: u8 = 64;

/// Runs it.
pub fn run(arguments: &[String]) -> ExitCode {
    let mut shape = Shape::default();
    let mut as_xml = false;
    for argument in arguments {
        match argument.as_str() {
            "--group-by-node" => shape.by_node = true,
            "--inactive" => shape.inactive = true,
            "--as-xml" | "--output-as=xml" => as_xml = true,
            "--one-shot" | "--output-as=text" | "--quiet" => {}
            "--version" | "-$" => {
                println!("Quorate {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            "--help" | "-?" => {
                println!(
                    "crm_mon [-1] [-n] [-r] [-X | --output-as=xml]   (Quorate's own: quorate status)"
                );
                return ExitCode::SUCCESS;
            }
            long if long.starts_with("--") => {}
            short if short.starts_with('-') => {
                shape.by_node |= short.contains('n');
                shape.inactive |= short.contains('r');
                as_xml |= short.contains('X');
            }
            other => {
                eprintln!("crm_mon: `{other}` is not understood (quorate status does more)");
                return ExitCode::from(USAGE);
            }
        }
    }
    match view::fetch(&Context::of_tool()) {
        Ok((state, local)) => {
            let picture = Picture::new(&state, &local);
            match as_xml {
                true => print!("{}", crm_mon_xml::draw(&picture)),
                false => print!("{}", draw(&picture, shape)),
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("crm_mon: {e}");
            match e.exit {
                Exit::NoDaemon => ExitCode::from(DISCONNECTED),
                _ => ExitCode::from(1),
            }
        }
    }
}
