//! The verbs, one file each. A file has `pub struct Args` (clap) and
//! `pub fn run(args: Args, context: &Context) -> Result<Exit>`; its line below hooks it in.

#![allow(
    clippy::needless_pass_by_value,
    reason = "a verb owns its arguments, whether it keeps them or not"
)]

pub mod directories;
pub mod duration;

use crate::context::Context;
use crate::error::Result;

macro_rules! verbs {
    ($($(#[$meta:meta])* $variant:ident => $module:ident;)*) => {
        $(pub mod $module;)*

        /// A verb with its arguments.
        #[derive(Debug, clap::Subcommand)]
        pub enum Command {
            $($(#[$meta])* $variant($module::Args),)*
        }

        impl Command {
            /// Runs it.
            pub fn run(self, context: &Context) -> Result {
                match self {
                    $(Self::$variant(args) => $module::run(args, context),)*
                }
            }
        }
    };
}

verbs! {
    /// Make a cluster of this one node.
    Init => init;
    /// Make a token that lets another node join.
    Token => token;
    /// Enter a cluster with a token.
    Join => join;
    /// Run the daemon of this node.
    Run => run;
    /// Find what is wrong with a configuration before anything runs by it.
    Check => check;
    /// Show what a configuration would change: text and services.
    Plan => plan;
    /// Put a configuration in force.
    Apply => apply;
    /// Show the configuration as it was written, or as XML.
    Show => show;
    /// Change the configuration in an editor.
    Edit => edit;
    /// Change single statements, with the words of `crm configure`.
    Configure => configure;
    /// Show or set cluster options.
    Property => property;
    /// Write the configuration to a file.
    Backup => backup;
    /// Put a former configuration in force.
    Restore => restore;
    /// Say what would be decided for an information base, as crm_simulate does.
    Simulate => simulate;
    /// Take this node out of its cluster.
    Leave => leave;
    /// Take another node out of the cluster.
    Remove => remove;
    /// Go on after most nodes are lost for good.
    Recover => recover;
    /// Show what is blocked, nodes, resources, failures.
    Status => status;
    /// Show why a resource is where it is, or why it is not.
    Explain => explain;
    /// Show what happened, and why.
    History => history;
    /// Move the resources off a node.
    Standby => standby;
    /// Let a node run resources again.
    Online => online;
    /// Leave resources alone while you work on them.
    Maintenance => maintenance;
    /// Move a resource to another node.
    Move => move_;
    /// Forbid a resource on a node.
    Ban => ban;
    /// Take back moves and bans.
    Clear => clear;
    /// Forget failures and look again.
    Cleanup => cleanup;
    /// Find out anew what runs where.
    Reprobe => reprobe;
    /// Power a node off and on, confirm that it is off, or read its power state.
    Fence => fence;
    /// Run an agent by hand, exactly as the cluster does.
    Agent => agent;
    /// Show whose this host's certificate is, and until when; change the cluster's authority.
    Certificate => certificate;
    /// Let an operator ask the cluster from another machine, or stop letting him.
    Client => client;
    /// Break something on purpose, watch, and judge against what the configured timers promise.
    Drill => drill;
    /// Hosts on this machine to rehearse on.
    Lab => lab;
    /// Answer a load balancer's health check of the database on this host.
    Clustercheck => clustercheck;
    /// Version of this program and of the daemon.
    Version => version;
}
