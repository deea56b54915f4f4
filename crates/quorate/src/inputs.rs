//! What a decision is explained for: the running cluster, or a file.

use std::collections::BTreeMap;
use std::path::Path;

use quorate_core::admin::LocalView;
use quorate_core::facts::{self, Quorum};
use quorate_core::state::{ClusterState, MemberRole};
use quorate_model::cib::Cib;
use quorate_model::{crm, xml};
use quorate_policy::converge;
use quorate_policy::faults::Surroundings;
use quorate_policy::simulate::decision_time;

use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view;

/// Links that a node is supposed to have where nothing says otherwise.
const LINKS: usize = 2;

/// Everything that a decision rests on.
pub struct Inputs {
    /// Configuration and status.
    pub cib: Cib,
    /// When it is decided.
    pub options: quorate_policy::Options,
    /// The configuration's text, as it was written.
    pub text: String,
    /// What the text is called.
    pub name: String,
    /// The running cluster, where it is one.
    pub live: Option<(ClusterState, LocalView)>,
    /// What the configuration does not say.
    pub surroundings: Surroundings,
    /// What was supposed.
    pub notes: Vec<String>,
}

impl Inputs {
    /// The running cluster, as the daemon of this host knows it.
    pub fn live(context: &Context) -> Result<Self> {
        let (state, local) = view::fetch(context)?;
        let quorum = if local.has_quorum {
            Quorum::Has
        } else {
            Quorum::Lost
        };
        let mut links_of = BTreeMap::new();
        let mut witnesses = Vec::new();
        for (name, member) in &state.members {
            if member.is_witness && member.role == MemberRole::Voter {
                witnesses.push(name.0.clone());
            } else if !member.is_witness {
                links_of.insert(name.0.clone(), member.addresses.len().max(1));
            }
        }
        Ok(Self {
            cib: facts::cib(&state, quorum, local.wall_ms),
            options: options(local.wall_ms / 1000),
            // Explanations print its lines.
            text: crm::mask(&state.document.text),
            name: "configuration".to_owned(),
            surroundings: Surroundings {
                witnesses,
                links_of,
                links: LINKS,
            },
            live: Some((state, local)),
            notes: Vec::new(),
        })
    }

    /// A file: an information base with its status, or a configuration alone (all its nodes are up then).
    pub fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::new(
                format!("{name} cannot be read: {e}"),
                "give the path of a configuration or information base",
            )
            .exit(Exit::Usage)
        })?;
        let mut cib = if text.trim_start().starts_with('<') {
            xml::read::read(&text).map_err(|e| {
                Error::new(format!("{name}: {e}"), "check it with `xmllint --noout`")
                    .exit(Exit::Configuration)
            })?
        } else {
            Cib {
                configuration: crm::parse(&text).0.into_configuration(),
                ..Cib::default()
            }
        };
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
        let now = decision_time(&cib, None, clock).unwrap_or(clock);
        let mut notes = Vec::new();
        if cib.status.nodes.is_empty() {
            if cib.configuration.nodes.is_empty() {
                return Err(Error::new(
                    format!("{name} names no node"),
                    "add `node NAME` for each of them, so that it can be said where things run",
                )
                .exit(Exit::Configuration));
            }
            cib = converge::settle(&converge::all_up(cib), &options(now)).cib;
            notes.push(format!("{name} has no status: every node is supposed up, and everything done that is to be done."));
        }
        let surroundings = Surroundings {
            links: LINKS,
            ..Surroundings::default()
        };
        let is_xml = text.trim_start().starts_with('<');
        Ok(Self {
            cib,
            options: options(now),
            text: if is_xml { text } else { crm::mask(&text) },
            name,
            live: None,
            surroundings,
            notes,
        })
    }
}

fn options(now: i64) -> quorate_policy::Options {
    #[allow(clippy::needless_update, reason = "the options grow")]
    quorate_policy::Options {
        now,
        promoted_stick: true,
        ..Default::default()
    }
}
