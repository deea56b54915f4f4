//! `crm_mon -1`, `crm_mon -n -1`, `crm_mon -1 --output-as=xml`: the status as its users know it.

use std::process::ExitCode;
use std::time::Duration;

use super::crm_mon_daemon::{self, Daemon, Format};
use crate::context::Context;
use crate::error::Exit;
use crate::view::crm_mon::{Shape, draw};
use crate::view::crm_mon_xml;
use crate::view::{self, picture::Picture};

/// `CRM_EX_DISCONNECT`: no cluster to ask.
const DISCONNECTED: u8 = 102;
/// `CRM_EX_USAGE`.
const USAGE: u8 = 64;

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Once { shape: Shape, as_xml: bool },
    Daemon(Daemon),
    Version,
    Help,
}

const HELP: &str = "crm_mon [-1] [-n] [-r] [-X | --output-as=xml]   (Quorate's own: quorate status)\n\
crm_mon -d -p PIDFILE [-i SECONDS] [-E SCRIPT [-e RECIPIENT]] [--watch-fencing] [--output-as=html|xml|text \
--output-to=FILE]   (in the background)";

/// Options with a value, long and short.
const VALUED: &[(char, &str)] = &[
    ('p', "pid-file"),
    ('i', "interval"),
    ('E', "external-agent"),
    ('e', "external-recipient"),
    ('h', "as-html"),
    (' ', "output-as"),
    (' ', "output-to"),
];

/// Options without one.
const FLAGS: &[(char, &str)] = &[
    ('1', "one-shot"),
    ('d', "daemonize"),
    ('n', "group-by-node"),
    ('r', "inactive"),
    ('X', "as-xml"),
    ('W', "watch-fencing"),
    ('Q', "quiet"),
    ('$', "version"),
    ('?', "help"),
];

/// Options that show more or less of what is shown anyway.
const IGNORED: &[&str] = &[
    "brief",
    "failcounts",
    "fence-history",
    "include",
    "exclude",
    "neg-locations",
    "operations",
    "output-cgi",
    "output-title",
    "show-detail",
    "show-node-attributes",
    "simple-status",
    "timing-details",
    "verbose",
];

/// Reads the command line. Options that are not known fail: a script that relies on one must not be left alone.
fn parse(arguments: &[String]) -> Result<Wanted, String> {
    let mut given: Vec<(String, String)> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let is_valued = VALUED.iter().any(|(_, known)| *known == name);
            let is_flag = FLAGS.iter().any(|(_, known)| *known == name);
            if !is_valued && !is_flag && !IGNORED.contains(&name) {
                return Err(format!("`--{name}` is not known"));
            }
            let value = match value {
                None if is_valued => words
                    .next()
                    .cloned()
                    .ok_or(format!("`--{name}` needs a value"))?,
                other => other.unwrap_or_default(),
            };
            given.push((name.to_owned(), value));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                if let Some((_, name)) = VALUED
                    .iter()
                    .find(|(known, _)| *known == letter && letter != ' ')
                {
                    let rest: String = letters.by_ref().collect();
                    let value = match rest.is_empty() {
                        true => words
                            .next()
                            .cloned()
                            .ok_or(format!("`-{letter}` needs a value"))?,
                        false => rest,
                    };
                    given.push(((*name).to_owned(), value));
                } else if let Some((_, name)) = FLAGS.iter().find(|(known, _)| *known == letter) {
                    given.push(((*name).to_owned(), String::new()));
                } else if !"ANBLORDVcfjmoqst".contains(letter) {
                    return Err(format!("`-{letter}` is not known"));
                }
            }
        } else {
            return Err(format!("`{word}` is not understood"));
        }
    }
    wanted(&given)
}

/// What is said to an option that is not known.
#[cfg(test)]
pub(super) fn refusal(option: &str) -> Option<String> {
    let words = ["-1".to_owned(), option.to_owned(), "x".to_owned()];
    parse(&words)
        .err()
        .filter(|said| said.contains("is not known"))
}

fn wanted(given: &[(String, String)]) -> Result<Wanted, String> {
    let has = |name: &str| given.iter().any(|(known, _)| known == name);
    let value = |name: &str| {
        given
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    if has("help") {
        return Ok(Wanted::Help);
    }
    if has("version") {
        return Ok(Wanted::Version);
    }
    let shape = Shape {
        by_node: has("group-by-node"),
        inactive: has("inactive"),
    };
    let format = match value("output-as").as_deref() {
        Some("xml") => Some(Format::Xml),
        Some("html") => Some(Format::Html),
        Some("text" | "console" | "none") => Some(Format::Text),
        Some(other) => return Err(format!("there is no output form `{other}`")),
        None if has("as-xml") => Some(Format::Xml),
        None => None,
    };
    if !has("daemonize") {
        return Ok(Wanted::Once {
            shape,
            as_xml: format == Some(Format::Xml),
        });
    }
    let seconds = value("interval").unwrap_or_else(|| "5".to_owned());
    let interval = quorate_model::times::milliseconds(&seconds).filter(|ms| *ms > 0);
    let output = value("output-to").map(|path| (format.unwrap_or(Format::Text), path.into()));
    let page = value("as-html").map(|path| (Format::Html, path.into()));
    Ok(Wanted::Daemon(Daemon {
        pid_file: value("pid-file").map_or_else(|| "/tmp/ClusterMon.pid".into(), Into::into),
        interval: Duration::from_millis(interval.ok_or(format!("`{seconds}` is no time"))?),
        script: value("external-agent"),
        recipient: value("external-recipient"),
        watches_fencing: has("watch-fencing"),
        output: output.or(page),
        shape,
    }))
}

/// Runs it.
pub fn run(arguments: &[String]) -> ExitCode {
    let (shape, as_xml) = match parse(arguments) {
        Ok(Wanted::Once { shape, as_xml }) => (shape, as_xml),
        Ok(Wanted::Daemon(daemon)) => return crm_mon_daemon::start(&daemon, arguments),
        Ok(Wanted::Version) => {
            println!("Quorate {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Wanted::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("crm_mon: {why} (quorate status does more)");
            return ExitCode::from(USAGE);
        }
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_cluster_mon_starts() {
        let line = "-p /tmp/x.pid -d -i 15 -E /usr/bin/notify --watch-fencing --output-as=html --output-to=/run/x.html";
        let wanted = parse(&words(line)).unwrap();
        let Wanted::Daemon(daemon) = wanted else {
            panic!("{wanted:?}")
        };
        assert_eq!(daemon.pid_file, std::path::Path::new("/tmp/x.pid"));
        assert_eq!(daemon.interval, Duration::from_secs(15));
        assert_eq!(daemon.script.as_deref(), Some("/usr/bin/notify"));
        assert!(daemon.watches_fencing);
        assert_eq!(daemon.output, Some((Format::Html, "/run/x.html".into())));
    }

    #[test]
    fn once_in_all_its_forms() {
        for (line, by_node, as_xml) in [
            ("-1", false, false),
            ("-n -1", true, false),
            ("-1X", false, true),
            ("-1 --output-as=xml", false, true),
            ("-1 --output-as xml", false, true),
            ("-1rn", true, false),
        ] {
            let Ok(Wanted::Once { shape, as_xml: xml }) = parse(&words(line)) else {
                panic!("{line}")
            };
            assert_eq!((shape.by_node, xml), (by_node, as_xml), "{line}");
        }
    }

    #[test]
    fn what_is_not_known_fails() {
        for line in [
            "--no-such-option",
            "-1 -z",
            "file",
            "-d -i never -p /tmp/x",
            "-E",
        ] {
            assert!(parse(&words(line)).is_err(), "{line}");
        }
    }
}
