//! What this host knows that a check of the configuration wants to know: agents, units, accounts, programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quorate_model::lint::{Account, AgentFact, AppArmorProfile, Facts, HostFacts, Questions};
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

/// Answers the questions from this host.
pub fn gather(questions: &Questions) -> Facts {
    Facts {
        agents: agents(questions),
        hosts: vec![host(questions)],
        voters: None,
    }
}

/// What this host says of itself.
fn host(questions: &Questions) -> HostFacts {
    let exists = |program: &String| {
        PROGRAM_FOLDERS
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    };
    HostFacts {
        node: host_name(),
        enabled_units: questions
            .units
            .iter()
            .filter(|unit| is_enabled(unit))
            .cloned()
            .collect(),
        accounts: accounts(questions),
        apparmor: apparmor(),
        missing_programs: questions
            .programs
            .iter()
            .filter(|program| !exists(program))
            .cloned()
            .collect(),
        missing_paths: questions
            .paths
            .iter()
            .filter(|path| !Path::new(path).exists())
            .cloned()
            .collect(),
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
fn is_enabled(unit: &str) -> bool {
    let wanted = |root: &str| {
        let Ok(entries) = std::fs::read_dir(root) else {
            return false;
        };
        entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_target = name.ends_with(".wants") || name.ends_with(".requires");
            is_target && entry.path().join(unit).symlink_metadata().is_ok()
        })
    };
    let masked = std::fs::read_link(Path::new("/etc/systemd/system").join(unit))
        .is_ok_and(|target| target == Path::new("/dev/null"));
    !masked
        && (wanted("/etc/systemd/system") || wanted("/run/systemd/system") || has_start_link(unit))
}

/// `/etc/rc2.d/S01name`, for scripts that have no unit.
fn has_start_link(unit: &str) -> bool {
    let script = unit.trim_end_matches(".service");
    let has_unit = [
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/system",
    ]
    .iter()
    .any(|folder| Path::new(folder).join(unit).exists());
    let Ok(entries) = std::fs::read_dir("/etc/rc2.d") else {
        return false;
    };
    !has_unit
        && entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_prefix('S')
                .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) == script)
        })
}

fn accounts(questions: &Questions) -> BTreeMap<String, Account> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
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
fn apparmor() -> Vec<AppArmorProfile> {
    let is_on = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'));
    let loaded = std::fs::read_to_string("/sys/kernel/security/apparmor/profiles").ok();
    let mut profiles = Vec::new();
    for program in ["/usr/sbin/mysqld", "/usr/sbin/mariadbd"] {
        let name = program.trim_start_matches('/').replace('/', ".");
        let file = PathBuf::from("/etc/apparmor.d").join(&name);
        let Ok(mut text) = std::fs::read_to_string(&file) else {
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
        let local = std::fs::read_to_string(Path::new("/etc/apparmor.d/local").join(&name))
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
    })
}

/// Reads what `check --host-facts` printed on another host.
pub fn from_json(path: &Path) -> Result<HostFacts> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::new(format!("{name} cannot be read: {e}"), ""))?;
    let help = "make it with `quorate check FILE --host-facts` on the other host";
    let value: Value = serde_json::from_str(&text)
        .map_err(|e| Error::new(format!("{name} is not JSON: {e}"), help))?;
    let texts = |key: &str| {
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
    })
}
