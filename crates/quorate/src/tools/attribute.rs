//! `crm_attribute`, `crm_master` and `crm_standby`: attributes of nodes and options of the cluster.

use quorate_core::admin::{Access, Lifetime, OnErrors, Request, Response, Switch};
use quorate_core::document;
use quorate_core::ids::NodeName;

use super::cluster::{Cluster, FAILED, NO_SUCH, Said, change, usage};
use super::options::{self, Opt, Takes, flag, value};
use crate::client::who;

/// Whose value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A node's, until it leaves.
    Status,
    /// A node's, for ever.
    Nodes,
    /// An option of the cluster.
    Cluster,
    /// A default of resources.
    ResourceDefaults,
    /// A default of operations.
    OperationDefaults,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Read it.
    Query,
    /// Set it.
    Update(String),
    /// Delete it.
    Delete,
}

/// A call, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which node; this one if none is named.
    pub node: Option<String>,
    /// The name.
    pub name: String,
    /// Whose it is.
    pub scope: Scope,
    /// What to do.
    pub command: Command,
    /// What to print where there is none.
    pub default: Option<String>,
    /// Print the bare value.
    pub quiet: bool,
}

pub(super) const OPTIONS: &[Opt] = &[
    flag('G', &["query", "get-value"]),
    flag('D', &["delete", "delete-attr"]),
    value('v', &["update", "attr-value"]),
    value('n', &["name", "attr-name"]),
    value('N', &["node"]),
    value('U', &["uname"]),
    value('l', &["lifetime"]),
    value('t', &["type"]),
    value('d', &["default"]),
    value('s', &["set-name"]),
    value('i', &["id", "attr-id"]),
    Opt {
        short: 'p',
        long: &["promotion"],
        takes: Takes::Maybe,
    },
    flag('q', &["quiet"]),
    flag('Q', &["quiet-too"]),
    flag('V', &["verbose"]),
    flag('!', &["inhibit-policy-engine"]),
    flag('z', &["utilization"]),
    value(' ', &["output-as"]),
];

/// Understands the arguments. `instance` is the resource that an agent was called for.
pub fn parse(arguments: &[String], instance: Option<&str>) -> Result<Ask, Said> {
    let given = options::parse(arguments, OPTIONS).map_err(usage)?;
    if given.has("utilization") {
        return Err(usage(
            "utilization attributes are part of the configuration: quorate edit",
        ));
    }
    if let Some(extra) = given.rest.first() {
        return Err(usage(format!("`{extra}` is not understood")));
    }
    let promotion = match given.get("promotion") {
        None => None,
        Some("") => Some(instance.ok_or_else(|| usage("-p needs a resource outside of an agent"))?),
        Some(resource) => Some(resource),
    };
    let name = match (promotion, given.get("name")) {
        (Some(resource), _) => format!("master-{}", without_instance(resource)),
        (None, Some(name)) => name.to_owned(),
        (None, None) => return Err(usage("-n NAME is missing")),
    };
    let node = given.get("node").or(given.get("uname")).map(str::to_owned);
    let scope = match (given.get("type"), given.get("lifetime")) {
        (Some("status" | "reboot"), _) | (None, Some("reboot" | "status")) => Scope::Status,
        (Some("nodes" | "forever"), _) | (None, Some("forever" | "nodes")) => Scope::Nodes,
        (Some("crm_config"), _) | (None, Some("crm_config")) => Scope::Cluster,
        (Some("rsc_defaults"), _) => Scope::ResourceDefaults,
        (Some("op_defaults"), _) => Scope::OperationDefaults,
        (Some(other), _) | (None, Some(other)) => {
            return Err(usage(format!(
                "`{other}` is neither a lifetime (reboot, forever) nor a section"
            )));
        }
        (None, None) if promotion.is_some() => Scope::Status,
        (None, None) if node.is_some() => Scope::Nodes,
        (None, None) => Scope::Cluster,
    };
    let command = match given.last_of(&["query", "delete", "update"]) {
        Some("delete") => Command::Delete,
        Some("update") => Command::Update(given.get("update").unwrap_or_default().to_owned()),
        _ => Command::Query,
    };
    Ok(Ask {
        node,
        name,
        scope,
        command,
        default: given.get("default").map(str::to_owned),
        quiet: given.has("quiet") || given.has("quiet-too"),
    })
}

/// Scores belong to the resource, not to one of its instances.
fn without_instance(resource: &str) -> &str {
    match resource.rsplit_once(':') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => resource,
    }
}

fn instance() -> Option<String> {
    std::env::var("OCF_RESOURCE_INSTANCE")
        .ok()
        .filter(|name| !name.is_empty())
}

/// `crm_attribute`.
pub fn crm_attribute(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    answer(parse(arguments, instance().as_deref())?, cluster)
}

/// `crm_master`: the promotion score of the resource that it is called for; for ever if nothing else is said.
pub fn crm_master(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    answer(parse_master(arguments, instance().as_deref())?, cluster)
}

/// Understands the arguments of `crm_master`.
pub fn parse_master(arguments: &[String], instance: Option<&str>) -> Result<Ask, Said> {
    let mut inner = vec!["--lifetime".to_owned(), "forever".to_owned()];
    let mut resource = instance.map(str::to_owned);
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        match argument.as_str() {
            "-r" | "--resource" => resource = left.next().cloned(),
            long if long.starts_with("--resource=") => {
                resource = Some(long["--resource=".len()..].to_owned());
            }
            _ => inner.push(argument.clone()),
        }
    }
    let resource =
        resource.ok_or_else(|| usage("no resource: -r RESOURCE, or OCF_RESOURCE_INSTANCE"))?;
    let resource = without_instance(&resource).to_owned();
    inner.extend(["-n".to_owned(), format!("master-{resource}")]);
    parse(&inner, Some(&resource))
}

/// `crm_standby`.
pub fn crm_standby(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let mut inner = vec![
        "-n".to_owned(),
        "standby".to_owned(),
        "-t".to_owned(),
        "nodes".to_owned(),
    ];
    let has_lifetime = arguments
        .iter()
        .any(|a| a.starts_with("-l") || a.starts_with("--lifetime"));
    if has_lifetime {
        inner.truncate(2);
    }
    inner.extend_from_slice(arguments);
    let mut ask = parse(&inner, None)?;
    let node = node_of(&ask, cluster)?;
    let lifetime = lifetime_of(ask.scope);
    let set = |switch| Request::Standby {
        node: node.clone(),
        switch,
        lifetime,
        who: who(),
    };
    match &ask.command {
        Command::Query => {
            if read(cluster, &node, "standby", lifetime)?.is_none() && !has_lifetime {
                ask.scope = Scope::Status;
                ask.default = Some("off".into());
            }
            ask.node = Some(node.0);
            answer(ask, cluster)
        }
        Command::Update(value) if document::is_true(value) => change(cluster, &set(Switch::On)),
        Command::Update(_) | Command::Delete => change(cluster, &set(Switch::Off)),
    }
}

fn lifetime_of(scope: Scope) -> Lifetime {
    if scope == Scope::Nodes {
        Lifetime::Forever
    } else {
        Lifetime::Reboot
    }
}

/// The node that is meant.
pub fn node_of(ask: &Ask, cluster: &mut dyn Cluster) -> Result<NodeName, Said> {
    match &ask.node {
        Some(node) => Ok(NodeName(node.clone())),
        None => Ok(NodeName(cluster.state()?.1.name)),
    }
}

fn read(
    cluster: &mut dyn Cluster,
    node: &NodeName,
    name: &str,
    lifetime: Lifetime,
) -> Result<Option<String>, Said> {
    let request = Request::Attribute {
        node: node.clone(),
        name: name.to_owned(),
        access: Access::Get,
        lifetime,
        who: who(),
    };
    match cluster.ask(&request)? {
        Response::Value(value) => Ok(value),
        other => Err(crate::client::unexpected(&other).into()),
    }
}

/// A value as the tools take it: `++` and `+=` count on.
pub fn access(name: &str, value: &str) -> Access {
    if value == "value++" || value == format!("{name}++") {
        return Access::Add(1);
    }
    let added = value
        .strip_prefix("value+=")
        .or_else(|| value.strip_prefix(name)?.strip_prefix("+="));
    match added.and_then(|number| number.parse().ok()) {
        Some(number) => Access::Add(number),
        None => Access::Set(value.to_owned()),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "a question is asked once")]
fn answer(ask: Ask, cluster: &mut dyn Cluster) -> Result<Said, Said> {
    match ask.scope {
        Scope::Status | Scope::Nodes => of_node(&ask, cluster),
        Scope::Cluster => of_cluster(&ask, cluster),
        Scope::ResourceDefaults | Scope::OperationDefaults => of_defaults(&ask, cluster),
    }
}

fn print(ask: &Ask, scope: &str, found: Option<String>) -> Result<Said, Said> {
    match found.or_else(|| ask.default.clone()) {
        Some(value) if ask.quiet => Ok(Said::out(format!("{value}\n"))),
        Some(value) => Ok(Said::out(format!(
            "scope={scope}  name={} value={value}\n",
            ask.name
        ))),
        None => Err(Said::failed(NO_SUCH, format!("{} is not set", ask.name))),
    }
}

fn of_node(ask: &Ask, cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let node = node_of(ask, cluster)?;
    let lifetime = lifetime_of(ask.scope);
    let access = match &ask.command {
        Command::Query => {
            let scope = if ask.scope == Scope::Nodes {
                "nodes"
            } else {
                "status"
            };
            let found = read(cluster, &node, &ask.name, lifetime)?;
            return print(ask, scope, found);
        }
        Command::Update(value) => access(&ask.name, value),
        Command::Delete => Access::Delete,
    };
    let request = Request::Attribute {
        node,
        name: ask.name.clone(),
        access,
        lifetime,
        who: who(),
    };
    change(cluster, &request)
}

fn of_defaults(ask: &Ask, cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let (state, _) = cluster.state()?;
    let (sets, scope) = match ask.scope {
        Scope::ResourceDefaults => (&state.configuration.resource_defaults, "rsc_defaults"),
        _ => (&state.configuration.operation_defaults, "op_defaults"),
    };
    if ask.command != Command::Query {
        return Err(Said::failed(
            FAILED,
            "defaults are part of the configuration: quorate edit",
        ));
    }
    let found = sets
        .iter()
        .find_map(|set| document::value(set, &ask.name))
        .map(str::to_owned);
    print(ask, scope, found)
}

fn of_cluster(ask: &Ask, cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let (state, _) = cluster.state()?;
    let found = document::option(&state.configuration, &ask.name).map(str::to_owned);
    let value = match &ask.command {
        Command::Query => return print(ask, "crm_config", found),
        Command::Delete if found.is_none() => return Ok(Said::nothing()),
        Command::Delete => {
            return Err(Said::failed(
                FAILED,
                format!("{} stands in the configuration: quorate edit", ask.name),
            ));
        }
        Command::Update(value) => value,
    };
    if found.as_ref() == Some(value) {
        return Ok(Said::nothing());
    }
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!(
        "{}\nproperty {}=\"{quoted}\"\n",
        state.document.text.trim_end(),
        ask.name
    );
    // Whatever the grammar makes of it: it must mean this and nothing else.
    if document::option(&document::derive(&text), &ask.name) != Some(value.as_str()) {
        return Err(Said::failed(
            FAILED,
            format!("{} cannot be set from here: quorate edit", ask.name),
        ));
    }
    let request = Request::Apply {
        text,
        based_on: Some(state.document.revision),
        errors: OnErrors::Drop,
        who: who(),
    };
    change(cluster, &request)
}
