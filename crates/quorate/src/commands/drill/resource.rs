//! The watched resource: which, where, and how its users reach it.

use std::net::{IpAddr, SocketAddr};

use quorate_core::state::ClusterState;
use quorate_model::cib::{CloneChild, Configuration, Primitive, Resource, SetKind};

use crate::view::picture::Picture;

/// Where a resource is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub node: String,
}

/// The resource that stands for the service: the last member of the first group, else the first primitive.
pub(super) fn default(state: &ClusterState) -> Option<String> {
    let resources = &state.configuration.resources;
    let of_group = resources.iter().find_map(|resource| match resource {
        Resource::Group(group) => group.members.last().map(|member| member.id.clone()),
        _ => None,
    });
    of_group.or_else(|| {
        resources.iter().find_map(|resource| match resource {
            Resource::Primitive(primitive) if primitive.class.as_deref() != Some("stonith") => Some(primitive.id.clone()),
            _ => None,
        })
    })
}

/// Where it is started, with nothing under way.
pub(super) fn place(picture: &Picture, resource: &str) -> Option<Place> {
    let line = picture.resources.iter().find(|line| line.id == resource)?;
    line.active
        .iter()
        .find(|active| !active.is_failed && !active.is_uncertain && active.pending.is_none())
        .map(|active| Place { node: active.node.clone() })
}

/// When it was last started there, Unix milliseconds; 0 if that is not remembered.
pub(super) fn started_ms(state: &ClusterState, resource: &str, node: &str) -> i64 {
    let status = state.nodes.iter().find(|(name, _)| name.0 == node).map(|(_, status)| status);
    let record = status.and_then(|status| status.resources.get(resource));
    let operations = record.into_iter().flat_map(|record| record.operations.values());
    operations.filter(|one| one.operation == "start").map(|one| one.changed_wall_ms).max().unwrap_or(0)
}

fn members(resource: &Resource) -> Vec<&Primitive> {
    match resource {
        Resource::Primitive(one) => vec![one],
        Resource::Group(group) => group.members.iter().collect(),
        Resource::Clone(clone) => match &clone.child {
            CloneChild::Primitive(one) => vec![one],
            CloneChild::Group(group) => group.members.iter().collect(),
        },
        Resource::Bundle(bundle) => bundle.primitive.iter().collect(),
        Resource::Template(_) => Vec::new(),
    }
}

/// The primitive of that id.
pub(super) fn primitive<'a>(configuration: &'a Configuration, id: &str) -> Option<&'a Primitive> {
    configuration.resources.iter().flat_map(members).find(|one| one.id == id)
}

fn parameter<'a>(primitive: &'a Primitive, name: &str) -> Option<&'a str> {
    let sets = primitive.sets.iter().filter(|set| set.kind == SetKind::Instance);
    sets.flat_map(|set| &set.pairs).find(|pair| pair.name == name).and_then(|pair| pair.value.as_deref())
}

/// The port on which a resource of this agent serves, where that is common knowledge.
fn port(primitive: &Primitive) -> Option<u16> {
    if let Some(port) = parameter(primitive, "port").and_then(|port| port.parse().ok()) {
        return Some(port);
    }
    match primitive.agent.as_deref()? {
        "mysql" | "mariadb" | "galera" => Some(3306),
        "pgsql" => Some(5432),
        "apache" | "nginx" => Some(80),
        "redis" => Some(6379),
        "slapd" => Some(389),
        _ => None,
    }
}

/// Where the resource's users connect: the virtual address of its group and the port of its agent.
pub(super) fn endpoint(configuration: &Configuration, id: &str) -> Option<SocketAddr> {
    let group = configuration.resources.iter().map(members).find(|members| members.iter().any(|one| one.id == id))?;
    let port = port(group.iter().find(|one| one.id == id)?)?;
    let addresses = group.iter().filter(|one| matches!(one.agent.as_deref(), Some("IPaddr2" | "IPaddr")));
    let address: IpAddr = addresses.filter_map(|one| parameter(one, "ip")).find_map(|ip| ip.parse().ok())?;
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_groups_address_and_the_agents_port() {
        let (document, _) = quorate_model::crm::parse(
            "primitive vip ocf:heartbeat:IPaddr2 params ip=10.0.0.9\nprimitive db ocf:heartbeat:mysql params pid=/run/db.pid\n\
             primitive other ocf:heartbeat:mysql\nprimitive cache ocf:heartbeat:anything params port=11211\ngroup g vip db\n\
             group h cache\n",
        );
        let configuration = document.configuration();
        assert_eq!(endpoint(configuration, "db"), Some("10.0.0.9:3306".parse().unwrap()));
        assert_eq!(endpoint(configuration, "vip"), None, "an address serves nothing by itself");
        assert_eq!(endpoint(configuration, "other"), None, "no address goes with it");
        assert_eq!(endpoint(configuration, "cache"), None);
    }
}
