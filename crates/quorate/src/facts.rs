//! What this host knows that a check of the configuration wants to know: agents, units, accounts, programs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quorate_core::facts::HOST_FACTS;
use quorate_core::state::ClusterState;
use quorate_model::lint::{
    Account, AgentFact, AppArmorProfile, Facts, HostFacts, PROGRAMS, Questions,
};
use serde_json::{Value, json};

use crate::commands::directories::host_name;
use crate::error::{Error, Result};

/// Where programs are looked for, as the daemon's agents do.
const PROGRAM_FOLDERS: &[&str] = &[
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Numbers from here on are people's.
const ACCOUNTS_BELOW: u32 = 1000;
/// Accounts that a host tells of at most.
const ACCOUNTS_MAX: usize = 200;

/// Answers the questions from this host.
pub fn gather(questions: &Questions) -> Facts {
    Facts {
        agents: agents(questions),
        hosts: vec![host(Path::new("/"), questions)],
        voters: None,
    }
}

/// A file below the host's root.
fn below(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What the host with this root says of itself.
fn host(root: &Path, questions: &Questions) -> HostFacts {
    let exists = |program: &String| {
        PROGRAM_FOLDERS
            .iter()
            .any(|folder| below(root, folder).join(program).exists())
    };
    HostFacts {
        node: host_name(),
        enabled_units: questions
            .units
            .iter()
            .filter(|unit| is_enabled(root, unit))
            .cloned()
            .collect(),
        accounts: accounts(root, questions),
        apparmor: apparmor(root),
        missing_programs: questions
            .programs
            .iter()
            .filter(|program| !exists(program))
            .cloned()
            .collect(),
        missing_paths: questions
            .paths
            .iter()
            .filter(|path| !below(root, path).exists())
            .cloned()
            .collect(),
        ocf_agents: None,
    }
}

/// Each agent's own description.
fn agents(questions: &Questions) -> BTreeMap<String, AgentFact> {
    let describe = |name: &String| {
        let mut parts = name.splitn(2, ':');
        let (class, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (provider, agent) = match rest.split_once(':') {
            Some((provider, agent)) if class == "ocf" => (Some(provider), agent),
            _ => (None, rest),
        };
        let fact = match quorate_agents::metadata(class, provider, agent) {
            Ok(text) => match quorate_model::metadata::parse(&text) {
                Ok(metadata) => AgentFact::Known(Box::new(metadata)),
                Err(error) => AgentFact::Unreadable(error.to_string()),
            },
            Err(quorate_agents::MetadataError::Missing { .. }) => AgentFact::Missing,
            Err(error) => AgentFact::Unreadable(error.to_string()),
        };
        (name.clone(), fact)
    };
    questions.agents.iter().map(describe).collect()
}

/// Whether init starts a unit at boot: some target wants it, or an init script has a start link.
fn is_enabled(root: &Path, unit: &str) -> bool {
    let wanted = |folder: &str| {
        let Ok(entries) = std::fs::read_dir(below(root, folder)) else {
            return false;
        };
        entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_target = name.ends_with(".wants") || name.ends_with(".requires");
            is_target && entry.path().join(unit).symlink_metadata().is_ok()
        })
    };
    let masked = std::fs::read_link(below(root, "/etc/systemd/system").join(unit))
        .is_ok_and(|target| target == Path::new("/dev/null"));
    !masked
        && (wanted("/etc/systemd/system")
            || wanted("/run/systemd/system")
            || has_start_link(root, unit))
}

/// `/etc/rc2.d/S01name`, for scripts that have no unit.
fn has_start_link(root: &Path, unit: &str) -> bool {
    let script = unit.trim_end_matches(".service");
    let has_unit = [
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/system",
    ]
    .iter()
    .any(|folder| below(root, folder).join(unit).exists());
    let Ok(entries) = std::fs::read_dir(below(root, "/etc/rc2.d")) else {
        return false;
    };
    !has_unit
        && entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_prefix('S')
                .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) == script)
        })
}

fn accounts(root: &Path, questions: &Questions) -> BTreeMap<String, Account> {
    let text = std::fs::read_to_string(below(root, "/etc/passwd")).unwrap_or_default();
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let name = questions.accounts.get(*fields.first()?)?;
        Some((
            name.clone(),
            Account {
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
            },
        ))
    };
    text.lines().filter_map(entry).collect()
}

/// Profiles of database servers that the kernel enforces.
fn apparmor(root: &Path) -> Vec<AppArmorProfile> {
    let is_on = std::fs::read_to_string(below(root, "/sys/module/apparmor/parameters/enabled"))
        .is_ok_and(|text| text.starts_with('Y'));
    let loaded =
        std::fs::read_to_string(below(root, "/sys/kernel/security/apparmor/profiles")).ok();
    let mut profiles = Vec::new();
    for program in ["/usr/sbin/mysqld", "/usr/sbin/mariadbd"] {
        let name = program.trim_start_matches('/').replace('/', ".");
        let file = PathBuf::from("/etc/apparmor.d").join(&name);
        let Ok(mut text) = std::fs::read_to_string(below(root, &file)) else {
            continue;
        };
        let enforced = match &loaded {
            Some(list) => list.lines().any(|line| {
                (line.starts_with(program)
                    || line.starts_with("mariadbd")
                    || line.starts_with("mysqld"))
                    && line.contains("(enforce)")
            }),
            None => is_on,
        };
        // Debian ships MariaDB's profile without a single rule.
        let has_rules = text
            .lines()
            .map(str::trim)
            .any(|line| !line.is_empty() && !line.starts_with('#'));
        if !enforced || !has_rules {
            continue;
        }
        let local = std::fs::read_to_string(below(root, "/etc/apparmor.d/local").join(&name))
            .unwrap_or_default();
        text.push_str(&local);
        profiles.push(AppArmorProfile {
            file: file.display().to_string(),
            program: program.to_owned(),
            text,
        });
    }
    profiles
}

/// The names of the OCF agents of this host, with their providers.
fn ocf_agents(root: &Path) -> BTreeSet<String> {
    let folders = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names = BTreeSet::new();
    for provider in folders(&below(root, "/usr/lib/ocf/resource.d")) {
        let provider_name = provider.file_name().to_string_lossy().into_owned();
        names.extend(folders(&provider.path()).filter_map(|agent| {
            let name = agent.file_name().to_string_lossy().into_owned();
            (!name.starts_with('.')).then(|| format!("{provider_name}:{name}"))
        }));
    }
    names
}

/// Units that init starts at boot, all of them.
fn enabled_units(root: &Path) -> BTreeSet<String> {
    let mut units = BTreeSet::new();
    for folder in ["/etc/systemd/system", "/run/systemd/system"] {
        for wants in std::fs::read_dir(below(root, folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            if !wants.file_name().to_string_lossy().ends_with(".wants") {
                continue;
            }
            let names = std::fs::read_dir(wants.path())
                .into_iter()
                .flatten()
                .flatten();
            units.extend(
                names
                    .map(|unit| unit.file_name().to_string_lossy().into_owned())
                    .filter(|name| name.ends_with(".service") && is_enabled(root, name)),
            );
        }
    }
    units
}

/// What this host can tell before it knows what will be asked: accounts of services, enabled units, agents, programs.
pub fn of_this_host() -> HostFacts {
    told_by(Path::new("/"))
}

fn told_by(root: &Path) -> HostFacts {
    let questions = Questions {
        programs: PROGRAMS.iter().map(|name| (*name).to_owned()).collect(),
        ..Questions::default()
    };
    let passwd = std::fs::read_to_string(below(root, "/etc/passwd")).unwrap_or_default();
    let system = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        (uid != 0 && uid < ACCOUNTS_BELOW).then_some((name, Account { uid, gid }))
    });
    HostFacts {
        accounts: system.take(ACCOUNTS_MAX).collect(),
        enabled_units: enabled_units(root),
        ocf_agents: Some(ocf_agents(root)),
        ..host(root, &questions)
    }
}

/// What the other members told of themselves, except those that run nothing.
pub fn of_peers(state: &ClusterState, own: &str) -> Vec<HostFacts> {
    let mut peers = Vec::new();
    for (name, status) in &state.nodes {
        let is_server = state
            .members
            .get(name)
            .is_some_and(|member| !member.is_witness);
        let told = status
            .transient
            .get(HOST_FACTS)
            .filter(|_| is_server && name.0 != own);
        // Of another version, or nonsense: it then told nothing.
        if let Some(Ok(host)) = told.map(|text| of_text(text, &name.0, "")) {
            peers.push(HostFacts {
                node: name.0.clone(),
                ..host
            });
        }
    }
    peers
}

/// A host's facts for `check --facts` on another host.
pub fn to_json(host: &HostFacts) -> Value {
    let accounts: BTreeMap<&str, Value> = host
        .accounts
        .iter()
        .map(|(name, account)| {
            (
                name.as_str(),
                json!({"uid": account.uid, "gid": account.gid}),
            )
        })
        .collect();
    let apparmor: Vec<Value> = host
        .apparmor
        .iter()
        .map(|profile| json!({"file": profile.file, "program": profile.program, "text": profile.text}))
        .collect();
    json!({
        "node": host.node,
        "enabled_units": host.enabled_units,
        "accounts": accounts,
        "apparmor": apparmor,
        "missing_programs": host.missing_programs,
        "missing_paths": host.missing_paths,
        "ocf_agents": host.ocf_agents,
    })
}

/// Reads what `check --host-facts` printed on another host.
pub fn from_json(path: &Path) -> Result<HostFacts> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::new(format!("{name} cannot be read: {e}"), ""))?;
    let help = "make it with `quorate check FILE --host-facts` on the other host";
    of_text(&text, &name.to_string(), help)
}

/// The same from its text.
fn of_text(text: &str, name: &str, help: &str) -> Result<HostFacts> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| Error::new(format!("{name} is not JSON: {e}"), help))?;
    let texts = |key: &str| -> BTreeSet<String> {
        let list = value[key].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let mut accounts = BTreeMap::new();
    for (account, numbers) in value["accounts"].as_object().into_iter().flatten() {
        if let (Some(uid), Some(gid)) = (number(&numbers["uid"]), number(&numbers["gid"])) {
            accounts.insert(account.clone(), Account { uid, gid });
        }
    }
    let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let apparmor = value["apparmor"].as_array().into_iter().flatten();
    let Some(node) = value["node"].as_str() else {
        return Err(Error::new(format!("{name} names no node"), help));
    };
    Ok(HostFacts {
        node: node.to_owned(),
        enabled_units: texts("enabled_units"),
        accounts,
        apparmor: apparmor
            .map(|profile| AppArmorProfile {
                file: text_of(&profile["file"]),
                program: text_of(&profile["program"]),
                text: text_of(&profile["text"]),
            })
            .collect(),
        missing_programs: texts("missing_programs"),
        missing_paths: texts("missing_paths"),
        ocf_agents: value["ocf_agents"].is_array().then(|| texts("ocf_agents")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::diag::{Source, render_all};
    use quorate_model::lint;

    const CONFIGURATION: &str = "\
node alpha
node beta
primitive db-fs-p ocf:heartbeat:Filesystem \\
    params device=/dev/disk/by-label/db directory=/dbmnt fstype=ext4 \\
    op monitor interval=60s timeout=60s op start timeout=60s op stop timeout=60s
primitive db-mysql-p ocf:heartbeat:mysql \\
    params binary=/usr/sbin/mariadbd config=/etc/mysql/my.cnf datadir=/dbmnt/mysql \\
    op monitor interval=20s timeout=30s op start timeout=120s op stop timeout=120s
primitive web-p systemd:web op monitor interval=20s timeout=100s
group db-g db-fs-p db-mysql-p
property stonith-enabled=false no-quorum-policy=stop
rsc_defaults resource-stickiness=100
";

    /// A host's files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    /// What the hosts' facts add to the findings.
    fn found(facts: &Facts) -> String {
        let without = lint::check(CONFIGURATION, &Facts::default()).1;
        let mut found = lint::check(CONFIGURATION, facts).1;
        found.retain(|d| !without.iter().any(|known| known.message == d.message));
        let source = Source {
            name: "db.crm",
            text: CONFIGURATION,
        };
        render_all(&found, source, false)
    }

    /// What only a live host knows: units that init starts, AppArmor, programs, files, agents, numbers of accounts.
    #[test]
    fn what_a_live_host_and_its_peer_have_is_judged() {
        let alpha = root(&[
            ("usr/sbin/mount", ""),
            ("usr/bin/umount", ""),
            ("bin/fuser", ""),
            ("usr/bin/mysql", ""),
            ("usr/sbin/mariadbd", ""),
            ("etc/mysql/my.cnf", ""),
            ("dev/disk/by-label/db", ""),
            (
                "etc/systemd/system/multi-user.target.wants/mariadb.service",
                "",
            ),
            (
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nmysql:x:107:112::/:/bin/false\n",
            ),
            ("sys/module/apparmor/parameters/enabled", "Y\n"),
            (
                "sys/kernel/security/apparmor/profiles",
                "/usr/sbin/mariadbd (enforce)\n",
            ),
            (
                "etc/apparmor.d/usr.sbin.mariadbd",
                "/usr/sbin/mariadbd {\n  /var/lib/mysql/** rwk,\n}\n",
            ),
        ]);
        let beta = root(&[
            ("usr/sbin/modprobe", ""),
            ("usr/sbin/mount", ""),
            ("usr/bin/umount", ""),
            ("bin/fuser", ""),
            (
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nmysql:x:110:115::/:/bin/false\nme:x:1000:1000::/:/bin/sh\n",
            ),
            ("etc/systemd/system/multi-user.target.wants/web.service", ""),
            ("usr/lib/ocf/resource.d/heartbeat/Filesystem", ""),
        ]);
        let (document, _) = quorate_model::crm::parse(CONFIGURATION);
        let questions = lint::questions(document.configuration());
        let own = HostFacts {
            node: "alpha".into(),
            ..host(alpha.path(), &questions)
        };
        // The peer's words go through the log, as text.
        let told = to_json(&told_by(beta.path())).to_string();
        let mut state = ClusterState::default();
        for (name, is_witness) in [("beta", false), ("gamma", true)] {
            let name = quorate_core::ids::NodeName(name.into());
            let member = quorate_core::state::Member {
                is_witness,
                ..Default::default()
            };
            state.members.insert(name.clone(), member);
            let status = state.nodes.entry(name).or_default();
            status.transient.insert(HOST_FACTS.into(), told.clone());
        }
        let mut hosts = vec![own];
        hosts.extend(of_peers(&state, "alpha"));
        assert_eq!(
            hosts.len(),
            2,
            "a witness runs nothing: its host does not matter"
        );
        assert!(
            !hosts[1].accounts.contains_key("me"),
            "accounts of people are nobody's business"
        );
        insta::assert_snapshot!(found(&Facts {
            hosts,
            ..Facts::default()
        }));
    }

    #[test]
    fn an_account_that_a_node_lacks_is_told() {
        let alpha = root(&[("etc/passwd", "mysql:x:107:112::/:/bin/false\n")]);
        let beta = root(&[("etc/passwd", "")]);
        let hosts = [("alpha", &alpha), ("beta", &beta), ("gamma", &beta)];
        let hosts = hosts.map(|(name, root)| HostFacts {
            node: name.into(),
            missing_programs: BTreeSet::new(),
            ocf_agents: None,
            ..told_by(root.path())
        });
        let said = found(&Facts {
            hosts: hosts.into(),
            ..Facts::default()
        });
        assert!(
            said.contains("the account `mysql` does not exist on beta\n"),
            "{said}"
        );
    }
}
