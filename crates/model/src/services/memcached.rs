//! Memcached: where the daemon listens, and which servers its clients are told.
//!
//! Caches share nothing. A token lies in the cache it was put into; a client that looks for it elsewhere finds none.

use super::lines::lines;
use crate::diag::{Code, Diagnostic};

/// Options of OpenStack's services (and of their libraries) that name caches.
const CLIENT_OPTIONS: [&str; 4] = [
    "memcached_servers",
    "memcache_servers",
    "memcached_url",
    "url",
];

fn is_local(server: &str) -> bool {
    let host = server
        .trim_start_matches("inet6:")
        .trim_start_matches("inet:")
        .trim_start_matches('[');
    ["localhost", "127.", "::1", "unix:", "/"]
        .iter()
        .any(|local| host.starts_with(local))
}

/// The file of a client (`nova.conf`, `keystone.conf`, ...).
pub(super) fn check_client(text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for line in lines(text, &['#', ';']) {
        let Some((name, value)) = line.text.split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        let is_cache =
            CLIENT_OPTIONS.contains(&name) && (name != "url" || value.contains("memcached"));
        if is_cache {
            found.extend(servers(name, value).map(|d| d.at(line.span, "every client looks here")));
        }
        if name == "transport_url"
            && value
                .split("@")
                .next()
                .is_some_and(|user| user.rsplit(':').next().is_some_and(is_clear))
        {
            found.push(
                Diagnostic::new(
                    Code::PasswordInClear,
                    "the messaging URL has a password in clear text",
                )
                .at(line.span, "readable by everyone who can read the file")
                .help("the file belongs to root and the service's group: chmod 640"),
            );
        }
    }
    found
}

fn is_clear(password: &str) -> bool {
    !password.is_empty() && !password.starts_with("//") && !password.chars().all(|c| c == '*')
}

fn servers(name: &str, value: &str) -> Option<Diagnostic> {
    let servers: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .collect();
    let away: Vec<&&str> = servers.iter().filter(|server| !is_local(server)).collect();
    let diagnostic = match (servers.len(), away.len()) {
        (_, 0) => return None,
        (1, _) => Diagnostic::new(
            Code::MemcachedMoves,
            format!("`{name}` names one cache on another address ({})", servers[0]),
        )
        .because(
            "A virtual address moves, the cache does not: after each move the tokens are gone, every client is \
             unauthorized until it asks anew, and a cache on a single host takes all of them along.",
        ),
        _ => Diagnostic::new(
            Code::MemcachedList,
            format!("`{name}` lists {} caches", servers.len()),
        )
        .because(
            "Each token lies in one of them, chosen by its name. When that host is down the others do not have it: the \
             client is unauthorized and has to ask anew, and until a client has marked the dead server each request \
             waits for its timeout.",
        ),
    };
    Some(diagnostic.help(format!(
        "a memcached on every controller, and every client told of its own: {name} = localhost:11211"
    )))
}

/// The daemon's own file: `memcached.conf`, or `MEMCACHED_PARAMS` of a sysconfig file.
pub(super) fn check_daemon(text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut has_udp_off = false;
    for line in lines(text, &['#']) {
        let words: Vec<&str> = line
            .text
            .split(|c: char| c.is_whitespace() || "\"'=".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        for (n, word) in words.iter().enumerate() {
            let next = words.get(n + 1).copied().unwrap_or("");
            has_udp_off |= *word == "-U" && next == "0";
            let Some(listen) = (*word == "-l").then_some(next) else {
                continue;
            };
            let addresses: Vec<&str> = listen.split(',').filter(|a| !a.is_empty()).collect();
            if addresses.iter().any(|a| *a == "0.0.0.0" || *a == "::") {
                found.push(
                    Diagnostic::new(Code::MemcachedOpen, "the cache listens on every address")
                        .at(
                            line.span,
                            "anybody who reaches the host reads and writes tokens",
                        )
                        .because("Memcached asks nobody for a password.")
                        .help("-l 127.0.0.1,ADDRESS with the host's own address"),
                );
            } else if !addresses.iter().any(|a| is_local(a)) {
                found.push(
                    Diagnostic::new(Code::MemcachedNotLocal, "the cache does not listen on localhost")
                        .at(line.span, "clients that are told of localhost find nothing")
                        .because("Every client uses its own host's cache, so that the loss of another host costs it nothing.")
                        .help("-l 127.0.0.1,ADDRESS"),
                );
            }
        }
    }
    if !has_udp_off && text.contains("-U") {
        found.push(
            Diagnostic::new(Code::MemcachedOpen, "the cache answers over UDP")
                .because("Answers over UDP can be sent to a forged address, a thousand times as large as the question.")
                .help("-U 0"),
        );
    }
    found
}
