//! Option files of a Galera server. Vocabulary: MariaDB's system variables and Galera's provider options.

use std::collections::BTreeMap;

use super::Surroundings;
use super::lines::{Line, lines};
use crate::diag::{Code, Diagnostic, Severity, Span};

/// One `name = value`, the name with underscores.
struct Setting<'a> {
    name: String,
    value: &'a str,
    span: Span,
}

pub(super) fn max_connections(text: &str) -> Option<u64> {
    settings(text)
        .iter()
        .rev()
        .find(|setting| setting.name == "max_connections")
        .and_then(|setting| setting.value.parse().ok())
}

fn settings(text: &str) -> Vec<Setting<'_>> {
    lines(text, &['#', ';'])
        .filter(|line| !line.text.starts_with(['[', '!']))
        .map(setting)
        .collect()
}

fn setting(line: Line<'_>) -> Setting<'_> {
    let (name, value) = line.text.split_once('=').unwrap_or((line.text, ""));
    Setting {
        name: name.trim().replace('-', "_"),
        value: value.trim().trim_matches(['"', '\'']),
        span: line.span,
    }
}

pub(super) fn check(text: &str, surroundings: &Surroundings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let settings = settings(text);
    repeated(&settings, &mut found);
    for setting in &settings {
        match setting.name.as_str() {
            "innodb_flush_log_at_trx_commit" => flush(setting, &mut found),
            "wsrep_provider" => provider(setting, &mut found),
            "wsrep_cluster_address" => cluster_address(setting, surroundings, &mut found),
            "wsrep_provider_options" => provider_options(text, setting, &mut found),
            "wsrep_sst_auth" if setting.value.contains(':') => found.push(
                Diagnostic::new(Code::PasswordInClear, "the password of the state transfer is in clear text")
                    .at(setting.span, "readable by whoever reads this file")
                    .help("chmod 640 and group mysql, or authenticate by unix_socket"),
            ),
            "bind_address" if setting.value.is_empty() => found.push(
                Diagnostic::new(Code::MaskedValue, "bind-address is empty")
                    .at(setting.span, "an address belongs here")
                    .because("The server would listen on no address that clients use, or refuse to start.")
                    .help("write the host's own address, or 0.0.0.0"),
            ),
            "binlog_format" if !setting.value.eq_ignore_ascii_case("row") => {
                found.push(required(setting, "ROW", "Galera replicates rows; other formats are refused or diverge."));
            }
            "innodb_autoinc_lock_mode" if setting.value != "2" => {
                found.push(required(setting, "2", "Other modes deadlock between servers that insert at once."));
            }
            "default_storage_engine" if !setting.value.eq_ignore_ascii_case("innodb") => {
                found.push(required(setting, "InnoDB", "Only InnoDB tables are replicated."));
            }
            _ => {}
        }
    }
    found
}

fn required(setting: &Setting<'_>, value: &str, cause: &str) -> Diagnostic {
    Diagnostic::new(
        Code::GaleraSetting,
        format!(
            "{} is '{}'; a Galera server needs {value}",
            setting.name, setting.value
        ),
    )
    .at(setting.span, "not for Galera")
    .because(cause)
    .help(format!("{} = {value}", setting.name))
}

fn repeated(settings: &[Setting<'_>], found: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<&str, &Setting<'_>> = BTreeMap::new();
    for setting in settings {
        if let Some(first) = seen.insert(&setting.name, setting) {
            let same = first.value == setting.value;
            found.push(
                Diagnostic::new(Code::SettingTwice, format!("{} is set twice", setting.name))
                    .weighing(if same {
                        Severity::Note
                    } else {
                        Severity::Warning
                    })
                    .at(setting.span, "this one counts")
                    .also(first.span, "this one does not")
                    .help("remove one of the two"),
            );
        }
    }
}

fn flush(setting: &Setting<'_>, found: &mut Vec<Diagnostic>) {
    if setting.value == "1" {
        return;
    }
    found.push(
        Diagnostic::new(
            Code::DurabilityOff,
            format!("innodb_flush_log_at_trx_commit is {}", setting.value),
        )
        .at(setting.span, "acknowledged before it is on disk")
        .because("When all servers lose power, or crash one soon after another, transactions that clients were told \
                  are committed are lost (shown for Galera by Jepsen in 2026).")
        .help("innodb_flush_log_at_trx_commit = 1"),
    );
}

fn provider(setting: &Setting<'_>, found: &mut Vec<Diagnostic>) {
    if setting.value.eq_ignore_ascii_case("none") || setting.value.ends_with(".so") {
        return;
    }
    found.push(
        Diagnostic::new(
            Code::GaleraSetting,
            "wsrep_provider does not name a library",
        )
        .at(setting.span, "a file that ends with .so belongs here")
        .because("The server refuses to start with a provider that it cannot load.")
        .help("on Debian: wsrep_provider = /usr/lib/galera/libgalera_smm.so"),
    );
}

fn cluster_address(
    setting: &Setting<'_>,
    surroundings: &Surroundings,
    found: &mut Vec<Diagnostic>,
) {
    let Some(hosts) = setting.value.strip_prefix("gcomm://") else {
        found.push(required(
            setting,
            "gcomm://HOST,HOST",
            "It names the servers to join.",
        ));
        return;
    };
    let hosts: Vec<&str> = hosts
        .split('?')
        .next()
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() {
        found.push(
            Diagnostic::new(Code::GaleraBootstrapLeft, "wsrep_cluster_address is empty: each start begins a new cluster")
                .weighing(Severity::Error)
                .at(setting.span, "a bootstrap address left behind")
                .because("Two servers that are each started so accept writes on their own; one history is lost later.")
                .help("name all servers; leave the bootstrap to the agent"),
        );
    }
    for host in hosts {
        let name = host.split(':').next().unwrap_or(host).to_lowercase();
        let short = name.split('.').next().unwrap_or(&name).to_owned();
        let is_address = name.parse::<std::net::Ipv4Addr>().is_ok() || host.starts_with('[');
        let known = surroundings
            .nodes
            .iter()
            .any(|node| *node == name || node.split('.').next() == Some(short.as_str()));
        if !is_address && !surroundings.nodes.is_empty() && !known {
            found.push(
                Diagnostic::new(
                    Code::GaleraMembers,
                    format!("'{host}' is no node of the cluster"),
                )
                .at(
                    setting.span,
                    "names a server that the cluster does not have",
                )
                .because("Its place among the servers is counted on and never filled.")
                .help(format!("the nodes are: {}", surroundings.nodes.join(", "))),
            );
        }
    }
}

fn provider_options(text: &str, setting: &Setting<'_>, found: &mut Vec<Diagnostic>) {
    // The value may go on over backslashes; the whole of it stands between the setting's own quotes.
    let from = setting.span.start;
    let rest = &text[from..];
    let body = rest.split('"').nth(1).unwrap_or(setting.value);
    let mut suspect = false;
    for option in body.split(';') {
        let Some((name, value)) = option.split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim().trim_start_matches('\\').trim(), value.trim());
        let at = body
            .find(name)
            .and_then(|at| rest.find(body).map(|start| from + start + at))
            .map_or(setting.span, |start| Span::new(start, start + name.len()));
        suspect |= name == "evs.suspect_timeout";
        match name {
            "gmcast.listen_addr" if matches!(value, "tcp://" | "tcp" | "") => found.push(
                Diagnostic::new(Code::MaskedValue, "gmcast.listen_addr has no address")
                    .at(at, "an address belongs behind tcp://")
                    .help("gmcast.listen_addr = tcp://ADDRESS:4567"),
            ),
            "gcs.fc_limit" if value.parse::<u32>().is_ok_and(|limit| limit < 16) => found.push(
                Diagnostic::new(Code::FlowControl, format!("gcs.fc_limit = {value} is below Galera's own 16"))
                    .at(at, format!("a slave that is {value} write sets behind stops all"))
                    .because("The slowest server halts the writers of all others as soon as it is that far behind; a \
                              backup on one server is then felt by every client.")
                    .help("leave it at the default unless every write goes to all servers at once"),
            ),
            _ => {}
        }
    }
    if !suspect {
        found.push(
            Diagnostic::new(Code::SuspectTimeout, "evs.suspect_timeout is not set: writes stop for 5 s when a server dies")
                .at(setting.span, "Galera's own detection decides")
                .because("Whatever stands before the servers, a commit waits until Galera has excluded the dead member.")
                .help("evs.suspect_timeout = PT2S (with evs.inactive_timeout = PT4S), alike on every server and on garbd"),
        );
    }
}
