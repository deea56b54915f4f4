//! Compatibility names: the tools that agents and operators know, with the arguments that they use.
//! The daemon puts links of these names into a directory of its own for its agents.

#[cfg(test)]
mod agent_options;
mod attrd_updater;
mod attribute;
mod cib_tree;
mod cibadmin;
mod cluster;
mod crm;
mod crm_failcount;
mod crm_mon;
mod crm_mon_daemon;
mod crm_node;
mod crm_resource;
mod options;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

/// A tool: its arguments without the name.
pub type Tool = fn(&[String]) -> ExitCode;

/// Name and tool, one a line.
const TOOLS: &[(&str, Tool)] = &[
    ("crm", crm::run),
    ("crm_mon", crm_mon::run),
    ("crm_attribute", |a| {
        cluster::run("crm_attribute", attribute::crm_attribute, a)
    }),
    ("crm_master", |a| {
        cluster::run("crm_master", attribute::crm_master, a)
    }),
    ("crm_standby", |a| {
        cluster::run("crm_standby", attribute::crm_standby, a)
    }),
    ("crm_failcount", |a| {
        cluster::run("crm_failcount", crm_failcount::run, a)
    }),
    ("crm_node", |a| cluster::run("crm_node", crm_node::run, a)),
    ("crm_resource", |a| {
        cluster::run("crm_resource", crm_resource::run, a)
    }),
    ("crm_simulate", crate::commands::simulate::tool),
    ("attrd_updater", |a| {
        cluster::run("attrd_updater", attrd_updater::run, a)
    }),
    ("cibadmin", |a| cluster::run("cibadmin", cibadmin::run, a)),
];

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
