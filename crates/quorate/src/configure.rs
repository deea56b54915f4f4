//! From a changed text to a changed cluster: check, what it would do, question, backup, proposal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use quorate_core::admin::{LocalView, OnErrors, Request, Response};
use quorate_core::facts::{Quorum, cib};
use quorate_core::state::ClusterState;
use quorate_model::cib::{CloneChild, Configuration, Resource};
use quorate_model::crm::{self, Differences, Document};
use quorate_model::diag::{Diagnostic, Severity, Source, has_errors, render, unified_diff};
use quorate_model::lint::{self, Facts};
use quorate_model::times;
use quorate_model::xml;
use quorate_policy::budget::{Fault, budget};
use quorate_policy::outage::away_ms;
use quorate_policy::plan::{ActionKind, Plan};
use serde_json::{Value, json};

use crate::client::{Client, unexpected, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::{facts, view};

/// Backups that are kept.
const BACKUPS_MAX: usize = 100;

/// What the cluster has now.
pub struct Current {
    /// The replicated state.
    pub state: ClusterState,
    /// The asked node's view.
    pub local: LocalView,
    /// The configuration's text.
    pub text: String,
}

impl Current {
    /// Asks the daemon of this host.
    pub fn fetch(context: &Context) -> Result<Self> {
        let (state, local) = view::fetch(context)?;
        let text = to_crm("the cluster's configuration", &state.document.text)?;
        Ok(Self { state, local, text })
    }

    /// The configuration's document.
    pub fn document(&self) -> Document {
        crm::parse(&self.text).0
    }
}

/// The crm text of a configuration in either form. Older forms of XML are respelled, and standard error says which.
pub fn to_crm(name: &str, text: &str) -> Result<String> {
    if !text.trim_start().starts_with('<') {
        return Ok(text.to_owned());
    }
    let (cib, notes) = xml::import(text).map_err(|e| {
        Error::new(format!("{name}: {e}"), "check it with `xmllint --noout`")
            .exit(Exit::Configuration)
    })?;
    for note in notes {
        let line = note
            .span
            .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        eprintln!(
            "{}: {name}:{line}: {}",
            note.severity.as_str(),
            note.message
        );
    }
    Ok(crm::print(&cib.configuration))
}

/// A proposed text.
#[derive(Debug, Clone)]
pub struct Change {
    /// The whole text.
    pub text: String,
    /// What changes along with what was asked for.
    pub notes: Vec<String>,
    /// What the user calls the text.
    pub name: String,
    /// Load what can be loaded.
    pub force: bool,
    /// Ask neither agents nor this host.
    pub no_host: bool,
    /// Show what happens until the cluster has settled.
    pub wait: bool,
}

impl Change {
    /// A change without anything special.
    pub fn new(text: String, name: &str) -> Self {
        Self {
            text,
            notes: Vec::new(),
            name: name.to_owned(),
            force: false,
            no_host: false,
            wait: std::io::stdout().is_terminal(),
        }
    }
}

/// Findings that a change adds to those that are there already.
pub fn new_findings(current: &Current, change: &Change) -> Vec<Diagnostic> {
    let before = crm::parse(&current.text);
    let after = crm::parse(&change.text);
    let known = |diagnostics: &[Diagnostic]| -> BTreeSet<(String, String)> {
        diagnostics
            .iter()
            .map(|d| (d.code.as_str().to_owned(), d.message.clone()))
            .collect()
    };
    let mut facts = Facts::default();
    if !change.no_host {
        // Agents are asked about what is new only: asking all of them takes seconds.
        let differences = crm::differences(before.0.configuration(), after.0.configuration());
        facts = facts::gather(&lint::questions(&changed_resources(
            after.0.configuration(),
            &differences,
        )));
        facts
            .hosts
            .extend(facts::of_peers(&current.state, &current.local.name));
    }
    facts.voters = Some(current.state.members.len());
    let all = |(document, diagnostics): &(Document, Vec<Diagnostic>), facts: &Facts| {
        let mut all = diagnostics.clone();
        all.extend(lint::lint(document.configuration(), Some(document), facts));
        all
    };
    let old = known(&all(&before, &facts));
    let mut found = all(&after, &facts);
    found.retain(|d| !old.contains(&(d.code.as_str().to_owned(), d.message.clone())));
    found.sort_by_key(|d| {
        (
            d.span.map_or(usize::MAX, |span| span.start),
            std::cmp::Reverse(d.severity),
        )
    });
    found
}

fn changed_resources(configuration: &Configuration, differences: &Differences) -> Configuration {
    let is_changed = |id: &str| {
        let key = format!("resource {id}");
        differences.added.contains(&key) || differences.changed.contains(&key)
    };
    let id = |resource: &Resource| match resource {
        Resource::Primitive(primitive) | Resource::Template(primitive) => primitive.id.clone(),
        Resource::Group(group) => group.id.clone(),
        Resource::Clone(clone) => clone.id.clone(),
        Resource::Bundle(bundle) => bundle.id.clone(),
    };
    let resources = configuration
        .resources
        .iter()
        .filter(|resource| is_changed(&id(resource)) || matches!(resource, Resource::Template(_)));
    Configuration {
        resources: resources.cloned().collect(),
        ..Configuration::default()
    }
}

/// What a change would do to the running services.
pub struct Impact {
    plan: Plan,
    /// The same with what happens anyway: its actions wait for each other by number.
    whole: Plan,
    configuration: Configuration,
    /// Services that run now and would run nowhere.
    pub stopped: Vec<String>,
    /// Resources that run now, are configured no longer, and that no planned action stops.
    pub abandoned: Vec<String>,
    /// Resources that run with parameters other than the configured ones until something restarts them.
    pub stale: Vec<String>,
    running: BTreeSet<String>,
}

impl Impact {
    /// Plans it against the present state.
    pub fn of(current: &Current, text: &str) -> Self {
        let mut state = current.state.clone();
        state.configuration = quorate_core::document::derive(text);
        let quorum = if current.local.has_quorum {
            Quorum::Has
        } else {
            Quorum::Lost
        };
        let now_ms = current.local.wall_ms;
        let decided = |state: &ClusterState| {
            let options = quorate_policy::Options {
                now: now_ms / 1000,
                promoted_stick: true,
                ..Default::default()
            };
            quorate_policy::schedule(&cib(state, quorum, now_ms), &options)
        };
        let before = decided(&current.state);
        let mut plan = decided(&state);
        let running: BTreeSet<&String> = before
            .placements
            .iter()
            .filter(|p| !p.now.is_empty())
            .map(|p| &p.resource)
            .collect();
        let is_kept = |resource: &String| {
            plan.placements
                .iter()
                .any(|p| p.resource == *resource && p.next.is_some())
        };
        let stopped: Vec<String> = running
            .iter()
            .filter(|resource| !is_kept(resource))
            .map(|resource| (*resource).clone())
            .collect();
        let touched = |name: &str| {
            plan.actions.iter().any(|action| {
                let is_it = action
                    .resource
                    .as_ref()
                    .is_some_and(|resource| base_name(&resource.id) == name);
                is_it
                    && matches!(
                        action.kind,
                        ActionKind::Stop | ActionKind::Reload | ActionKind::MigrateTo
                    )
            })
        };
        let (old, new) = (
            primitives(&current.state.configuration),
            primitives(&state.configuration),
        );
        let (mut abandoned, mut stale) = (Vec::new(), Vec::new());
        for name in running
            .iter()
            .map(|resource| base_name(resource))
            .filter(|name| !touched(name))
        {
            match (old.get(name), new.get(name)) {
                (_, None) => abandoned.push(name.to_owned()),
                (Some(before), Some(after)) if before != after => stale.push(name.to_owned()),
                _ => {}
            }
        }
        let running: BTreeSet<String> = running.into_iter().cloned().collect();
        // What happens anyway is not this change's doing.
        let whole = plan.clone();
        let place = |a: &quorate_policy::plan::Action| (a.kind, a.key.clone(), a.node.clone());
        let already: BTreeSet<_> = before.actions.iter().map(place).collect();
        plan.actions
            .retain(|action| !already.contains(&place(action)));
        Self {
            running,
            stopped,
            abandoned,
            stale,
            configuration: state.configuration,
            whole,
            plan,
        }
    }

    /// What happens to each service: name, what, and the longest it may be away.
    fn services(&self) -> Vec<(String, String, Option<u64>)> {
        let mut by_resource: BTreeMap<&str, Vec<(ActionKind, &str, &str)>> = BTreeMap::new();
        for action in &self.plan.actions {
            if let (Some(resource), Some(node)) = (&action.resource, &action.node) {
                by_resource.entry(&resource.id).or_default().push((
                    action.kind,
                    node,
                    &action.reason.text,
                ));
            }
        }
        let mut services = Vec::new();
        for (resource, actions) in by_resource {
            let on = |kind: ActionKind| actions.iter().find(|(other, _, _)| *other == kind);
            // A stop of what does not run is no event for anybody.
            let stop = on(ActionKind::Stop).filter(|_| self.running.contains(resource));
            let (what, is_away) = match (stop, on(ActionKind::Start)) {
                (Some((_, from, _)), Some((_, to, _))) if from == to => {
                    (format!("restarts on {to}"), true)
                }
                (Some((_, from, _)), Some((_, to, _))) => {
                    (format!("moves from {from} to {to}"), true)
                }
                (Some((_, from, _)), None) => (format!("stops on {from}"), false),
                (None, Some((_, to, _))) => (format!("starts on {to}"), false),
                (None, None) => match (
                    on(ActionKind::Reload),
                    on(ActionKind::Promote),
                    on(ActionKind::Demote),
                ) {
                    (Some((_, node, _)), _, _) => (format!("reloads on {node}"), false),
                    (_, Some((_, node, _)), _) => (format!("is promoted on {node}"), false),
                    (_, _, Some((_, node, _))) => (format!("is demoted on {node}"), false),
                    _ => continue,
                },
            };
            let deciding = [
                ActionKind::Stop,
                ActionKind::Start,
                ActionKind::Reload,
                ActionKind::Promote,
                ActionKind::Demote,
            ];
            let reason = deciding
                .into_iter()
                .filter(|kind| *kind != ActionKind::Stop || stop.is_some())
                .filter_map(on)
                .map(|(_, _, reason)| *reason)
                .find(|reason| !reason.is_empty());
            let what = match reason {
                Some(reason) => format!("{what} ({reason})"),
                None => what,
            };
            let primitive = resource.split(':').next().unwrap_or(resource);
            let away = is_away.then(|| self.away_ms(primitive)).flatten();
            services.push((resource.to_owned(), what, away));
        }
        services
    }

    /// From the beginning of its stop to the end of its start in this very plan, all timers run out.
    fn away_ms(&self, primitive: &str) -> Option<u64> {
        let fencing = budget(&self.configuration, primitive, &Fault::NodeLost)?.fencing_ms;
        away_ms(&self.whole, fencing, primitive)
    }

    /// As lines for the operator.
    pub fn text(&self) -> String {
        let services = self.services();
        let mut remarks = String::new();
        for name in &self.abandoned {
            remarks.push_str(&format!(
                "{name} is removed while it runs, and nothing would stop it: apply refuses that; stop it first.\n"
            ));
        }
        for name in &self.stale {
            remarks.push_str(&format!("{name} runs on with its present parameters; the new ones count from its next start.\n"));
        }
        if services.is_empty() {
            return format!("No running service is touched.\n{remarks}");
        }
        let mut text = String::from("What happens to the services:\n");
        for (resource, what, away) in services {
            let away = away
                .map(|ms| format!("; away for at most {}", times::spell(ms)))
                .unwrap_or_default();
            text.push_str(&format!("  {resource} {what}{away}\n"));
        }
        if self.stops_everything() {
            text.push_str("THIS STOPS EVERY SERVICE THAT RUNS NOW.\n");
        }
        text.push_str(&remarks);
        text
    }

    /// Nothing that runs now would run afterwards.
    pub fn stops_everything(&self) -> bool {
        !self.running.is_empty() && self.stopped.len() == self.running.len()
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let services: Vec<Value> = self
            .services()
            .into_iter()
            .map(|(resource, what, away)| json!({"resource": resource, "what": what, "away_ms_max": away}))
            .collect();
        json!({"services": services, "stops_everything": self.stops_everything(), "stopped": self.stopped, "abandoned": self.abandoned, "stale": self.stale})
    }
}

/// The name of an instance's primitive.
fn base_name(resource: &str) -> &str {
    resource.split(':').next().unwrap_or(resource)
}

/// The parameters of every primitive by name.
fn primitives(configuration: &Configuration) -> BTreeMap<String, Vec<(String, Option<String>)>> {
    let mut all = BTreeMap::new();
    let mut put = |primitive: &quorate_model::cib::Primitive| {
        let instance = primitive
            .sets
            .iter()
            .filter(|set| set.kind == quorate_model::cib::SetKind::Instance);
        let pairs = instance
            .flat_map(|set| &set.pairs)
            .map(|pair| (pair.name.clone(), pair.value.clone()));
        all.insert(primitive.id.clone(), pairs.collect());
    };
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(primitive) => put(primitive),
            Resource::Template(_) => {}
            Resource::Group(group) => group.members.iter().for_each(&mut put),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(primitive) => put(primitive),
                CloneChild::Group(group) => group.members.iter().for_each(&mut put),
            },
            Resource::Bundle(bundle) => bundle.primitive.iter().for_each(&mut put),
        }
    }
    all
}

/// Checks, shows, asks, keeps a backup, and proposes.
pub fn apply(context: &Context, current: &Current, change: &Change) -> Result {
    let change = &Change {
        text: crate::mask::unmask(&change.text, &current.text)?,
        ..change.clone()
    };
    if change.text == current.text {
        context.say("nothing changes: the cluster has this configuration already");
        return Ok(Exit::Done);
    }
    let found = new_findings(current, change);
    report(&found, change, context);
    let errors: Vec<&Diagnostic> = found
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .collect();
    if !errors.is_empty() && !change.force {
        let list: Vec<&str> = errors.iter().map(|d| d.message.as_str()).collect();
        return Err(Error::new(
            format!(
                "the configuration has {} error{}, nothing was loaded: {}",
                errors.len(),
                if errors.len() == 1 { "" } else { "s" },
                list.join("; ")
            ),
            "correct them (`quorate check FILE --fix` proposes how), or load the rest with --force",
        )
        .exit(Exit::Configuration));
    }
    let impact = Impact::of(current, &change.text);
    if let (Some(first), false) = (impact.abandoned.first(), change.force) {
        return Err(Error::new(
            format!(
                "{} would be removed while running, and nothing would stop it any more",
                impact.abandoned.join(", ")
            ),
            format!(
                "stop it first: `quorate tool crm resource stop {first}`, wait until `quorate status` shows it stopped, then remove it"
            ),
        ));
    }
    if !context.json {
        if !context.yes || std::io::stdout().is_terminal() {
            print!("{}", masked_diff(&current.text, &change.text));
        }
        change.notes.iter().for_each(|note| println!("{note}"));
        print!("{}", impact.text());
    }
    context.confirm("The configuration is about to change as shown.")?;
    if let Err(reason) = backup(current) {
        context.note(&format!("no backup was made: {reason}"));
    }
    // What was forced before stays forced: only new errors refuse a change, and there are none.
    let had_errors = has_errors(&crm::parse(&current.text).1);
    let request = Request::Apply {
        text: change.text.clone(),
        based_on: Some(current.state.document.revision),
        errors: if change.force || had_errors {
            OnErrors::Drop
        } else {
            OnErrors::Refuse
        },
        who: who(),
    };
    match Client::connect(context)?.ask(&request)? {
        Response::Done { text, index } => {
            if context.json {
                println!(
                    "{}",
                    json!({"done": text, "index": index.0, "impact": impact.json(), "notes": change.notes})
                );
            } else {
                println!("{text}");
            }
            if change.wait {
                return crate::progress::until_settled(context, index.0);
            }
            Ok(Exit::Done)
        }
        Response::Conflict {
            revision,
            text,
            who,
        } => Err(Error::new(
            format!(
                "{who} has changed the configuration meanwhile (revision {revision}):\n{}",
                masked_diff(&current.text, &text)
            ),
            "look at the change and apply yours again",
        )
        .exit(Exit::Conflict)),
        other => Err(unexpected(&other)),
    }
}

/// What changes, without passwords and keys.
pub fn masked_diff(before: &str, after: &str) -> String {
    let diff = unified_diff(&crm::mask(before), &crm::mask(after), "configuration");
    if diff.is_empty() && before != after {
        return "A password or key changes; it is not shown.\n".to_owned();
    }
    diff
}

/// Prints findings; notes only where nothing is worse.
fn report(found: &[Diagnostic], change: &Change, context: &Context) {
    if context.json {
        return;
    }
    let text = crm::mask_in_place(&change.text, found);
    let source = Source {
        name: &change.name,
        text: &text,
    };
    for diagnostic in found.iter().filter(|d| d.severity > Severity::Note) {
        eprintln!(
            "{}",
            render(diagnostic, source, std::io::stderr().is_terminal())
        );
    }
}

/// Where backups are.
pub fn backup_folder() -> PathBuf {
    let state = std::env::var_os("QUORATE_STATE")
        .map_or_else(|| PathBuf::from("/var/lib/quorate"), PathBuf::from);
    state.join("backups")
}

/// Keeps what the cluster has now; the oldest backups go.
fn backup(current: &Current) -> std::result::Result<PathBuf, String> {
    let folder = backup_folder();
    let told = |e: std::io::Error| format!("{}: {e}", folder.display());
    std::fs::create_dir_all(&folder).map_err(told)?;
    let document = &current.state.document;
    let path = folder.join(format!("{:08}.crm", document.revision));
    write_private(&path, &document.text).map_err(told)?;
    let mut backups = backups();
    while backups.len() > BACKUPS_MAX {
        // The list is in order of revision; what cannot be removed today goes another day.
        let _ = std::fs::remove_file(backups.remove(0));
    }
    Ok(path)
}

/// The backups in order of revision.
pub fn backups() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(backup_folder())
        .into_iter()
        .flatten()
        .flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "crm"))
        .collect();
    paths.sort();
    paths
}

/// Writes a file that only its owner reads: configurations hold passwords.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The same for a file that must not be there yet: nobody can have put a link in its place.
pub fn write_new_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A file's text, `-` being standard input.
pub fn read_file(path: &Path) -> Result<String> {
    use std::io::Read;
    let name = path.display().to_string();
    let mut text = String::new();
    let result = if name == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|content| text = content)
    };
    result.map_err(|e| {
        Error::new(
            format!("{name} cannot be read: {e}"),
            "give the path of a configuration file",
        )
        .exit(Exit::Usage)
    })?;
    to_crm(&name, &text)
}
