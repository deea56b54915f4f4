//! What agents say of themselves: the XML they print, kept, and the few facts of it that we use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::execute::{Ended, Finished, Invocation, Reaping, execute};
use crate::surroundings::Surroundings;
use crate::{ocf, stonith};

/// An agent that does not print its metadata within this time does not get to.
const TIMEOUT_MS: u64 = 20_000;

/// Fence agents print up to a hundred kilobytes.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Texts that are kept at most.
const CACHE_ENTRIES_MAX: usize = 512;

/// The metadata could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// There is no such agent on this machine.
    #[error("{agent} is not installed here ({path} does not exist)")]
    Missing {
        /// `class:provider:agent`.
        agent: String,
        /// Where it would be.
        path: String,
    },
    /// It could not be asked, or said nothing of use.
    #[error("{agent} does not tell its metadata: {why}")]
    Failed {
        /// `class:provider:agent`.
        agent: String,
        /// What happened.
        why: String,
    },
    /// What it printed cannot be understood.
    #[error("{agent} prints metadata that are not well-formed: {why}")]
    Malformed {
        /// `class:provider:agent`.
        agent: String,
        /// Where and what.
        why: String,
    },
}

/// A parameter as the agent describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// It must be given.
    pub is_required: bool,
    /// Old meaning: no two resources share its value; changing it needs a restart.
    pub is_unique: bool,
    /// It may be changed by a reload.
    pub is_reloadable: bool,
    /// A secret.
    pub is_private: bool,
    /// The agent wants another one to be used.
    pub is_deprecated: bool,
    /// `string`, `integer`, `boolean`, `time` ...
    pub kind: String,
    /// What it is if not given.
    pub default: Option<String>,
    /// One line about it.
    pub summary: String,
}

/// An action as the agent describes it; times as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action {
    /// `start`, `monitor` ...
    pub name: String,
    /// Advised minimum.
    pub timeout: Option<String>,
    /// Advised interval.
    pub interval: Option<String>,
    /// `OCF_CHECK_LEVEL` it is about.
    pub depth: Option<String>,
    /// Role it is about.
    pub role: Option<String>,
}

/// What an agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// One line.
    pub summary: String,
    /// Its parameters in its order.
    pub parameters: Vec<Parameter>,
    /// Its actions in its order.
    pub actions: Vec<Action>,
}

impl Description {
    /// The parameter of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// It has an action of this name.
    #[must_use]
    pub fn has_action(&self, name: &str) -> bool {
        self.actions.iter().any(|action| action.name == name)
    }
}

fn full_name(class: &str, provider: Option<&str>, agent: &str) -> String {
    match provider {
        Some(provider) => format!("{class}:{provider}:{agent}"),
        None => format!("{class}:{agent}"),
    }
}

/// How long an agent that failed to tell its metadata is not asked again.
const FAILURE_KEPT: Duration = Duration::from_secs(60);

/// A text with what it depends on: an agent that was upgraded is asked again.
#[derive(Clone)]
struct Cached {
    file: Option<(SystemTime, u64)>,
    asked: Instant,
    text: Result<Arc<str>, MetadataError>,
    description: Option<Arc<Description>>,
}

impl Cached {
    fn is_fresh(&self, file: Option<(SystemTime, u64)>) -> bool {
        self.file == file && (self.text.is_ok() || self.asked.elapsed() < FAILURE_KEPT)
    }
}

static CACHE: Mutex<BTreeMap<PathBuf, Cached>> = Mutex::new(BTreeMap::new());

fn version_of(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

/// The metadata of an agent of this machine, as it prints them. May run the agent (up to 20 s): not for the
/// daemon's own thread.
pub fn metadata(
    class: &str,
    provider: Option<&str>,
    agent: &str,
) -> Result<Arc<str>, MetadataError> {
    metadata_in(&Surroundings::default(), class, provider, agent)
}

/// The same for given directories.
pub fn metadata_in(
    surroundings: &Surroundings,
    class: &str,
    provider: Option<&str>,
    agent: &str,
) -> Result<Arc<str>, MetadataError> {
    cached(surroundings, class, provider, agent).text
}

/// The metadata of an agent, understood.
pub fn describe(
    surroundings: &Surroundings,
    class: &str,
    provider: Option<&str>,
    agent: &str,
) -> Result<Arc<Description>, MetadataError> {
    let entry = cached(surroundings, class, provider, agent);
    match entry.description {
        Some(description) => Ok(description),
        None => parse(&full_name(class, provider, agent), &entry.text?).map(Arc::new),
    }
}

/// What is known without running anything, for the hot path: `None` where the agent would have to be asked.
#[must_use]
pub fn describe_if_known(
    surroundings: &Surroundings,
    class: &str,
    provider: Option<&str>,
    agent: &str,
) -> Option<Option<Arc<Description>>> {
    let path = program(surroundings, class, provider, agent);
    let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = cache.get(&path)?;
    entry
        .is_fresh(version_of(&path))
        .then(|| entry.description.clone())
}

fn cached(surroundings: &Surroundings, class: &str, provider: Option<&str>, agent: &str) -> Cached {
    let path = program(surroundings, class, provider, agent);
    let file = version_of(&path);
    let known = CACHE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&path)
        .filter(|entry| entry.is_fresh(file))
        .cloned();
    known.unwrap_or_else(|| {
        let question = Question::new(surroundings, class, provider, agent);
        let finished = question
            .job
            .as_ref()
            .map(|job| execute(job, Reaping::Group, None));
        question.learn(finished)
    })
}

/// How an agent is asked for its metadata, for whoever runs the program.
pub struct Question {
    name: String,
    /// Cache key: the file whose change makes the answer stale.
    path: PathBuf,
    file: Option<(SystemTime, u64)>,
    /// What to run, if anything.
    pub job: Option<Invocation>,
    without_job: Result<String, MetadataError>,
    /// A plugin prints its parameters only.
    wrapped_for: Option<String>,
}

impl Question {
    /// About this agent.
    #[must_use]
    pub fn new(
        surroundings: &Surroundings,
        class: &str,
        provider: Option<&str>,
        agent: &str,
    ) -> Self {
        let name = full_name(class, provider, agent);
        let path = program(surroundings, class, provider, agent);
        let job = |arguments: &[&str], environment| {
            Some(Invocation {
                program: path.to_string_lossy().into_owned(),
                arguments: arguments.iter().map(|part| (*part).to_owned()).collect(),
                environment,
                input: String::new(),
                timeout_ms: TIMEOUT_MS,
                output_bytes_max: TEXT_BYTES_MAX,
                ..Invocation::default()
            })
        };
        let mut question = Self {
            file: version_of(&path),
            job: None,
            without_job: Ok(String::new()),
            wrapped_for: None,
            name: name.clone(),
            path: path.clone(),
        };
        let needs_file = matches!(class, "ocf" | "stonith" | "lsb");
        match class {
            _ if needs_file && !path.exists() => {
                question.without_job = Err(MetadataError::Missing {
                    agent: name,
                    path: path.display().to_string(),
                });
            }
            "ocf" => {
                let environment = ocf::common_environment(surroundings, provider, agent);
                question.job = job(&["meta-data"], environment);
            }
            "stonith" => match stonith::Kind::of(agent) {
                stonith::Kind::FenceAgent(_) => {
                    question.job = job(&["-o", "metadata"], surroundings.base_environment());
                }
                stonith::Kind::External(_) => {
                    question.job = job(&["getinfo-xml"], stonith::glue_environment(surroundings));
                    question.wrapped_for = Some(agent.to_owned());
                }
                stonith::Kind::Glue(_) => {
                    question.without_job = Ok(stonith::wrap_glue_metadata(agent, "<parameters/>"));
                }
            },
            "lsb" | "service" | "systemd" => question.without_job = Ok(service_metadata(agent)),
            _ => {
                let why = format!("there is no class `{class}`");
                question.without_job = Err(MetadataError::Failed { agent: name, why });
            }
        }
        question
    }

    /// Takes the answer (how `job` ended) and remembers it.
    fn learn(self, finished: Option<Finished>) -> Cached {
        let text = match (finished, self.wrapped_for) {
            (None, _) => self.without_job,
            (Some(finished), None) => answer(&self.name, finished),
            (Some(finished), Some(agent)) => {
                answer(&self.name, finished).map(|text| stonith::wrap_glue_metadata(&agent, &text))
            }
        };
        let description = text
            .as_ref()
            .ok()
            .and_then(|text| parse(&self.name, text).ok())
            .map(Arc::new);
        let entry = Cached {
            file: self.file,
            asked: Instant::now(),
            text: text.map(Arc::from),
            description,
        };
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_ENTRIES_MAX {
            cache.clear();
        }
        cache.insert(self.path, entry.clone());
        entry
    }

    /// The same, understood; `None` where there is nothing to understand.
    #[must_use]
    pub fn understand(self, finished: Option<Finished>) -> Option<Arc<Description>> {
        self.learn(finished).description
    }
}

/// The file whose change makes what we know of the agent stale.
fn program(
    surroundings: &Surroundings,
    class: &str,
    provider: Option<&str>,
    agent: &str,
) -> PathBuf {
    match class {
        "ocf" => ocf::path(surroundings, provider, agent),
        "stonith" => stonith::Kind::of(agent).program(surroundings),
        "lsb" => surroundings.init_scripts.join(agent),
        // No file; a name that cannot be mistaken for one.
        _ => PathBuf::from(format!("{class}:{agent}")),
    }
}

fn answer(name: &str, finished: Finished) -> Result<String, MetadataError> {
    let why = match finished.ended {
        Ended::Exited(0) if !finished.stdout.trim().is_empty() => return Ok(finished.stdout),
        Ended::Exited(0) => "it printed nothing".to_owned(),
        Ended::Exited(code) => format!("it exited with {code}: {}", last_line(&finished.output)),
        Ended::Signaled(signal) => format!("it was killed by signal {signal}"),
        Ended::TimedOut | Ended::Cancelled => {
            format!("it did not answer within {} s", TIMEOUT_MS / 1000)
        }
        Ended::NotRun(why) => why,
        Ended::Lost => "its supervisor was killed".to_owned(),
    };
    Err(MetadataError::Failed {
        agent: name.to_owned(),
        why,
    })
}

fn last_line(output: &str) -> &str {
    output
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no output")
}

/// Units and init scripts have no metadata; what Pacemaker says for them in its stead.
fn service_metadata(agent: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<resource-agent name=\"{agent}\" version=\"0.1\">\n<version>1.1</version>\n\
         <shortdesc lang=\"en\">system service {agent}</shortdesc>\n<parameters/>\n<actions>\n\
         <action name=\"start\" timeout=\"100\"/>\n<action name=\"stop\" timeout=\"100\"/>\n\
         <action name=\"status\" timeout=\"100\"/>\n<action name=\"monitor\" timeout=\"100\" interval=\"60\"/>\n\
         <action name=\"meta-data\" timeout=\"5\"/>\n</actions>\n</resource-agent>\n"
    )
}

fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("1" | "true" | "yes" | "y" | "on"))
}

/// Understands metadata text. `agent` is named in errors.
pub fn parse(agent: &str, text: &str) -> Result<Description, MetadataError> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let document =
        roxmltree::Document::parse_with_options(text.trim_start(), options).map_err(|error| {
            MetadataError::Malformed {
                agent: agent.to_owned(),
                why: error.to_string(),
            }
        })?;
    let root = document.root_element();
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children()
            .find(|child| child.has_tag_name(name))
            .and_then(|child| child.text())
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .unwrap_or_default()
    };
    let parameters = root
        .descendants()
        .filter(|node| node.has_tag_name("parameter"))
        .map(|node| {
            let content = node.children().find(|child| child.has_tag_name("content"));
            Parameter {
                name: node.attribute("name").unwrap_or_default().to_owned(),
                is_required: is_true(node.attribute("required")),
                is_unique: is_true(node.attribute("unique")),
                is_reloadable: is_true(node.attribute("reloadable")),
                is_private: is_true(node.attribute("private")),
                is_deprecated: is_true(node.attribute("deprecated"))
                    || node
                        .children()
                        .any(|child| child.has_tag_name("deprecated")),
                kind: content
                    .and_then(|node| node.attribute("type"))
                    .unwrap_or("string")
                    .to_owned(),
                default: content
                    .and_then(|node| node.attribute("default"))
                    .map(str::to_owned),
                summary: child(node, "shortdesc"),
            }
        })
        .filter(|parameter| !parameter.name.is_empty())
        .collect();
    let actions = root
        .descendants()
        .filter(|node| node.has_tag_name("action"))
        .map(|node| {
            let attribute = |name| node.attribute(name).map(str::to_owned);
            Action {
                name: attribute("name").unwrap_or_default(),
                timeout: attribute("timeout"),
                interval: attribute("interval"),
                depth: attribute("depth"),
                role: attribute("role"),
            }
        })
        .collect();
    let summary = match child(root, "shortdesc") {
        text if text.is_empty() => root.attribute("shortdesc").unwrap_or_default().to_owned(),
        text => text,
    };
    Ok(Description {
        summary,
        parameters,
        actions,
    })
}
