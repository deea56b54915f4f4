//! The configuration against the hosts that shall run it.

use super::facts::{Account, account, is_mysql, paths, programs, units};
use super::{AgentFact, HostFacts, Linter};
use crate::diag::{Code, Diagnostic, Severity};
use std::collections::{BTreeMap, BTreeSet};

impl Linter<'_> {
    pub(super) fn hosts(&mut self) {
        let mut found = Vec::new();
        for host in &self.facts.hosts {
            self.started_by_init(host, &mut found);
            self.missing(host, &mut found);
            self.missing_agents(host, &mut found);
            self.apparmor(host, &mut found);
        }
        self.accounts(&mut found);
        self.found.append(&mut found);
    }

    fn started_by_init(&self, host: &HostFacts, found: &mut Vec<Diagnostic>) {
        for view in self.views.iter().filter(|view| !view.is_template) {
            for unit in units(view)
                .into_iter()
                .filter(|unit| host.enabled_units.contains(unit))
            {
                let id = &view.primitive.id;
                let diagnostic = Diagnostic::new(
                    Code::StartedByInit,
                    format!(
                        "init on `{}` starts {unit} by itself, `{id}` manages it",
                        host.node
                    ),
                )
                .at(self.spans.get(id, ""), "managed here")
                .because(
                    "after a reboot it would run on both nodes, or on data that is not mounted",
                )
                .help(format!("on {}: systemctl disable --now {unit}", host.node));
                found.push(diagnostic.about(id.clone()));
            }
        }
    }

    fn missing(&self, host: &HostFacts, found: &mut Vec<Diagnostic>) {
        let mut said = BTreeSet::new();
        for view in self.views.iter().filter(|view| !view.is_template) {
            let id = &view.primitive.id;
            for program in programs(view)
                .iter()
                .filter(|program| host.missing_programs.contains(**program))
            {
                if !said.insert(*program) {
                    continue;
                }
                let diagnostic = Diagnostic::new(
                    Code::MissingProgram,
                    format!("`{program}` is not installed on `{}`", host.node),
                )
                .at(
                    self.spans.near(id, "class"),
                    format!("the agent of `{id}` calls it"),
                )
                .help(format!("install it: apt-get install {}", package(program)));
                found.push(diagnostic.about(id.clone()));
            }
            for (pair, path) in paths(view) {
                if host.missing_paths.contains(path) {
                    let span = pair
                        .id
                        .as_deref()
                        .and_then(|id| self.spans.near(id, "value"));
                    let mut diagnostic = Diagnostic::new(
                        Code::MissingFile,
                        format!("`{path}` does not exist on `{}`", host.node),
                    )
                    .at(span, format!("`{}` of `{id}`", pair.name))
                    .about(id.clone());
                    if path == "/usr/sbin/mysqld" {
                        diagnostic = diagnostic.help("MariaDB's server is /usr/sbin/mariadbd");
                    }
                    found.push(diagnostic);
                }
            }
        }
    }

    /// Agents that another host does not have; this host's are the business of `agents`.
    fn missing_agents(&self, host: &HostFacts, found: &mut Vec<Diagnostic>) {
        let Some(installed) = &host.ocf_agents else {
            return;
        };
        let mut said = BTreeSet::new();
        for view in self.views.iter().filter(|view| !view.is_template) {
            let Some(name) = view.agent() else { continue };
            let is_there = name
                .strip_prefix("ocf:")
                .is_none_or(|rest| installed.contains(rest));
            let is_missing_here = self.facts.agents.get(&name) == Some(&AgentFact::Missing);
            if is_there || is_missing_here || !said.insert(name.clone()) {
                continue;
            }
            let id = &view.primitive.id;
            let diagnostic = Diagnostic::new(
                Code::MissingAgent,
                format!("the agent `{name}` is not installed on `{}`", host.node),
            )
            .weighing(Severity::Warning)
            .at(self.spans.near(id, "class"), "not there")
            .because("every start on that host would fail")
            .help("install the same packages on every node");
            found.push(diagnostic.about(id.clone()));
        }
    }

    fn apparmor(&self, host: &HostFacts, found: &mut Vec<Diagnostic>) {
        for view in self.views.iter().filter(|view| is_mysql(view)) {
            let Some(pair) = view.parameter("datadir") else {
                continue;
            };
            let Some(directory) = pair.value.as_deref().filter(|path| path.starts_with('/')) else {
                continue;
            };
            let database = host.apparmor.iter().filter(|profile| {
                profile.program.ends_with("mysqld") || profile.program.ends_with("mariadbd")
            });
            for profile in database.filter(|profile| !allows(&profile.text, directory)) {
                let id = &view.primitive.id;
                let span = pair
                    .id
                    .as_deref()
                    .and_then(|id| self.spans.near(id, "value"));
                let diagnostic = Diagnostic::new(Code::AppArmor, format!("AppArmor on `{}` keeps {} out of `{directory}`", host.node, profile.program))
                    .at(span, "the data directory")
                    .because(format!("{} does not name it: the start fails with permission denied", profile.file))
                    .help(format!("add `{directory}/ rw,` and `{directory}/** rwk,` to it on every node, then `apparmor_parser -r {}`", profile.file));
                found.push(diagnostic.about(id.clone()));
            }
        }
    }

    fn accounts(&self, found: &mut Vec<Diagnostic>) {
        let mut said = BTreeSet::new();
        for view in &self.views {
            let Some(name) = account(view).filter(|name| !said.contains(name)) else {
                continue;
            };
            let known: BTreeMap<&str, Account> = self
                .facts
                .hosts
                .iter()
                .filter_map(|host| Some((host.node.as_str(), *host.accounts.get(name)?)))
                .collect();
            let numbers: BTreeSet<Account> = known.values().copied().collect();
            let lacking: Vec<&str> = self
                .facts
                .hosts
                .iter()
                .filter(|host| self.is_node(&host.node) && !host.accounts.contains_key(name))
                .map(|host| host.node.as_str())
                .collect();
            if !known.is_empty() && !lacking.is_empty() && said.insert(name) {
                let id = &view.primitive.id;
                let diagnostic = Diagnostic::new(Code::UidDiffers, format!("the account `{name}` does not exist on {}", lacking.join(", ")))
                    .at(self.spans.get(id, ""), "its data moves between these hosts")
                    .because("the server runs under it, and files on the shared disk belong to its number")
                    .help(format!("install the same packages there, then give `{name}` the same numbers everywhere"));
                found.push(diagnostic.about(id.clone()));
            }
            if numbers.len() < 2 {
                continue;
            }
            said.insert(name);
            let list: Vec<String> = known
                .iter()
                .map(|(node, account)| format!("{node} {}:{}", account.uid, account.gid))
                .collect();
            let id = &view.primitive.id;
            let diagnostic = Diagnostic::new(Code::UidDiffers, format!("the account `{name}` has different numbers: {}", list.join(", ")))
                .at(self.spans.get(id, ""), "its data moves between these hosts")
                .because("files on the shared disk belong to the number: on the other host the server cannot read them")
                .help(format!("give it one number everywhere: usermod -u UID {name}; groupmod -g GID {name}"));
            found.push(diagnostic.about(id.clone()));
        }
    }
}

/// Whether a profile's rules reach into a folder.
fn allows(profile: &str, directory: &str) -> bool {
    let inside = format!("{}/", directory.trim_end_matches('/'));
    profile
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .any(|line| {
            let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) else {
                return false;
            };
            let is_recursive = path.contains("**");
            let prefix = path.split('*').next().unwrap_or(path);
            is_recursive && inside.starts_with(prefix)
        })
}

/// The Debian package of a program.
fn package(program: &str) -> &str {
    match program {
        "modprobe" => "kmod",
        "mount" | "umount" => "mount",
        "fuser" => "psmisc",
        "ip" => "iproute2",
        "vgchange" | "lvs" => "lvm2",
        "mysql" => "mariadb-client",
        "rabbitmqctl" => "rabbitmq-server",
        other => other,
    }
}
