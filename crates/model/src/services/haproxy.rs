//! HAProxy before a database. Vocabulary: HAProxy's configuration manual, sections 2 (layout), 4 (proxies)
//! and 5 (server options).

use super::Surroundings;
use super::lines::{Line, lines};
use crate::diag::{Code, Diagnostic, Span};

/// Words that may follow a server's name only when its address is missing.
const SERVER_OPTIONS: &[&str] = &[
    "check",
    "inter",
    "fastinter",
    "downinter",
    "rise",
    "fall",
    "backup",
    "port",
    "weight",
    "maxconn",
    "on-marked-down",
    "on-marked-up",
    "disabled",
    "cookie",
    "ssl",
];

struct Server<'a> {
    name: &'a str,
    span: Span,
    words: Vec<&'a str>,
}

#[derive(Default)]
struct Proxy<'a> {
    header: Option<(Span, &'a str)>,
    takes_clients: bool,
    has_bind: bool,
    is_tcp: bool,
    uses_all_backups: bool,
    default_server: Vec<&'a str>,
    max_connections: Option<(u64, Span)>,
    stick: Option<Span>,
    servers: Vec<Server<'a>>,
}

pub(super) fn check(text: &str, surroundings: &Surroundings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut proxy = Proxy::default();
    for line in lines(text, &['#']) {
        let words = line.words();
        let plain: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        match plain[0] {
            section @ ("listen" | "frontend" | "backend" | "global" | "defaults" | "peers") => {
                judge(&proxy, surroundings, &mut found);
                proxy = Proxy {
                    takes_clients: matches!(section, "listen" | "frontend"),
                    header: matches!(section, "listen" | "backend" | "frontend")
                        .then(|| (line.span, plain.get(1).copied().unwrap_or(""))),
                    ..Proxy::default()
                };
            }
            _ => note(&mut proxy, line, &plain),
        }
    }
    judge(&proxy, surroundings, &mut found);
    found
}

fn note<'a>(proxy: &mut Proxy<'a>, line: Line<'a>, words: &[&'a str]) {
    match words {
        ["bind", ..] => proxy.has_bind = true,
        ["mode", "tcp", ..] => proxy.is_tcp = true,
        ["option", "allbackups", ..] => proxy.uses_all_backups = true,
        ["default-server", rest @ ..] => proxy.default_server.extend(rest),
        ["maxconn", value, ..] => {
            proxy.max_connections = value.parse().ok().map(|n| (n, line.span));
        }
        ["stick", ..] => proxy.stick = Some(line.span),
        ["server", name, rest @ ..] => proxy.servers.push(Server {
            name,
            span: line.span,
            words: rest.to_vec(),
        }),
        _ => {}
    }
}

fn judge(proxy: &Proxy<'_>, surroundings: &Surroundings, found: &mut Vec<Diagnostic>) {
    let Some((header, name)) = proxy.header else {
        return;
    };
    if proxy.takes_clients && !proxy.has_bind {
        found.push(
            Diagnostic::new(
                Code::HaproxyAddress,
                format!("'{name}' binds to no address"),
            )
            .at(header, "no 'bind' line follows")
            .because("Without an address to listen on, HAProxy refuses to start.")
            .help("add: bind ADDRESS:PORT (the virtual address of the service)"),
        );
    }
    let all_backup = proxy.servers.len() > 1
        && proxy.servers.iter().all(|s| has(proxy, s, "backup"))
        && !proxy.uses_all_backups;
    if all_backup {
        found.push(all_are_backup(proxy, name));
    }
    for server in &proxy.servers {
        judge_server(proxy, server, found);
    }
    if let (Some((limit, span)), Some(database)) =
        (proxy.max_connections, surroundings.max_connections)
        && limit >= database
    {
        found.push(
            Diagnostic::new(
                Code::ConnectionLimits,
                format!("'{name}' lets {limit} connections through, the database takes {database}"),
            )
            .at(span, "not below max_connections")
            .because("Checks, monitors and administrators need connections too; when clients take all of them the \
                      monitor fails, and a healthy server is restarted under its heaviest load.")
            .help(format!("set maxconn to at most {}", database.saturating_sub(10))),
        );
    }
    if let (Some(span), true) = (proxy.stick, proxy.servers.len() > 1) {
        found.push(
            Diagnostic::new(Code::StickTableLost, "the choice of the server is kept in a stick table")
                .at(span, "empty after each reload")
                .because("A reload of HAProxy starts with an empty table: new clients may go to another server than \
                          old ones, and two servers are written to.")
                .help("declare 'peers' for the table, or order the servers so that an empty table chooses the same one"),
        );
    }
}

fn has(proxy: &Proxy<'_>, server: &Server<'_>, word: &str) -> bool {
    server.words.contains(&word) || proxy.default_server.contains(&word)
}

fn all_are_backup(proxy: &Proxy<'_>, name: &str) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(
        Code::AllServersBackup,
        format!(
            "all {} servers of '{name}' are backups",
            proxy.servers.len()
        ),
    )
    .at(
        proxy.servers[0].span,
        "a backup, with nothing that it backs up",
    );
    for server in &proxy.servers[1..] {
        diagnostic = diagnostic.also(server.span, "a backup too");
    }
    diagnostic
        .because("It works by accident: with no server that is not a backup, HAProxy uses the first backup that is up. \
                  When that one returns after a failure, all new clients move back to it.")
        .help("leave 'backup' away on the server that is to be written to first")
}

fn judge_server(proxy: &Proxy<'_>, server: &Server<'_>, found: &mut Vec<Diagnostic>) {
    let name = server.name;
    match server.words.first() {
        None => found.push(no_address(server)),
        Some(word) if SERVER_OPTIONS.contains(word) => found.push(no_address(server)),
        Some(_) => {}
    }
    if !has(proxy, server, "check") {
        found.push(
            Diagnostic::new(Code::ServerUnchecked, format!("server '{name}' is not checked"))
                .at(server.span, "no 'check'")
                .because("HAProxy would send clients to it whether it lives or not.")
                .help("add: check port 8000 inter 2s (with 'option httpchk' and a health check on that port)"),
        );
    }
    if proxy.is_tcp && !has(proxy, server, "shutdown-sessions") {
        found.push(
            Diagnostic::new(
                Code::SessionsOutliveServer,
                format!("sessions to '{name}' outlive it"),
            )
            .at(server.span, "no 'on-marked-down shutdown-sessions'")
            .because("A client without a read timeout waits for a dead server until its own TCP gives up, after minutes.")
            .help("add: on-marked-down shutdown-sessions"),
        );
    }
}

fn no_address(server: &Server<'_>) -> Diagnostic {
    Diagnostic::new(
        Code::HaproxyAddress,
        format!("server '{}' has no address", server.name),
    )
    .at(server.span, "the address belongs between the name and the options")
    .because("HAProxy takes the first word after the name for the address, so it looks for a host of that name.")
    .help(format!("write: server {} ADDRESS:3306 check ...", server.name))
}
