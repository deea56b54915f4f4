//! `crm_node`: who is there.

use quorate_core::admin::{LocalView, Request};
use quorate_core::ids::NodeName;
use quorate_core::state::{ClusterState, Presence};

use super::cluster::{Cluster, NO_SUCH, Said, change, usage};
use super::options::{self, Opt, flag, value};
use crate::client::who;

pub(super) const OPTIONS: &[Opt] = &[
    flag('i', &["cluster-id"]),
    flag('l', &["list"]),
    flag('n', &["name"]),
    flag('p', &["partition"]),
    flag('q', &["quorum"]),
    value('N', &["name-for-id"]),
    value('R', &["remove"]),
    flag('f', &["force"]),
    flag('V', &["verbose"]),
    flag('Q', &["quiet"]),
    flag('C', &["corosync"]),
];

/// Members of this node's partition.
fn is_present(state: &ClusterState, local: &LocalView, name: &NodeName) -> bool {
    name.0 == local.name
        || state
            .nodes
            .get(name)
            .is_some_and(|node| node.presence == Presence::Online)
}

/// The tool. Of several commands the last one counts.
pub fn run(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let given = options::parse(arguments, OPTIONS).map_err(usage)?;
    let commands = [
        "cluster-id",
        "list",
        "name",
        "partition",
        "quorum",
        "name-for-id",
        "remove",
    ];
    let command = given
        .last_of(&commands)
        .ok_or_else(|| usage("one of -i, -l, -n, -p, -q, -N ID, -R NAME is missing"))?;
    if command == "remove" {
        let node = NodeName(given.get("remove").unwrap_or_default().to_owned());
        return change(cluster, &Request::Remove { node, who: who() });
    }
    let (state, local) = cluster.state()?;
    let id_of = |name: &NodeName| state.members.get(name).map(|member| member.raft_id);
    let text = match command {
        "name" => format!("{}\n", local.name),
        "quorum" => format!("{}\n", u8::from(local.has_quorum)),
        "cluster-id" => match id_of(&NodeName(local.name.clone())) {
            Some(id) => format!("{id}\n"),
            None => return Err(Said::failed(NO_SUCH, "this node is no member (yet)")),
        },
        "partition" => {
            let names = state
                .members
                .keys()
                .filter(|name| is_present(&state, &local, name));
            // A blank after each name, the last one too: callers cut it so.
            names.map(|name| format!("{name} ")).collect::<String>() + "\n"
        }
        "list" => state
            .members
            .iter()
            .map(|(name, member)| {
                let word = if is_present(&state, &local, name) {
                    "member"
                } else {
                    "lost"
                };
                format!("{} {name} {word}\n", member.raft_id)
            })
            .collect(),
        _ => {
            let wanted = given.get("name-for-id").unwrap_or_default();
            let found = state
                .members
                .iter()
                .find(|(_, member)| member.raft_id.to_string() == wanted);
            match found {
                Some((name, _)) => format!("{name}\n"),
                None => {
                    return Err(Said::failed(
                        NO_SUCH,
                        format!("no node has the id {wanted}"),
                    ));
                }
            }
        }
    };
    Ok(Said::out(text))
}
