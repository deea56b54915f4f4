//! Compatibility names: the tools that agents and operators know, with the arguments that they use.
//! The daemon puts links of these names into a directory of its own for its agents.

mod crm_mon;

use std::process::ExitCode;

/// A tool: its arguments without the name.
pub type Tool = fn(&[String]) -> ExitCode;

/// Name and tool, one a line.
const TOOLS: &[(&str, Tool)] = &[("crm_mon", crm_mon::run)];

/// The tool of that name.
pub fn by_name(name: &str) -> Option<Tool> {
    TOOLS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, tool)| *tool)
}

/// All names.
pub fn list() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, _)| *name)
}

/// All names, for a message.
pub fn names() -> String {
    list().collect::<Vec<_>>().join(", ")
}
