//! The picture as the XML of `crm_mon --output-as=xml`. Agents read it line by line: one resource a line, its
//! attributes in the order `id`, `role`, `active`, `orphaned`, `failed`.

use std::fmt::Write as _;

use super::picture::{Active, NodeLine, Picture, ResourceLine};
use super::when;

macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a string cannot fail")
    };
}

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    let mut out = String::new();
    put!(out, "<?xml version=\"1.0\"?>");
    put!(
        out,
        "<pacemaker-result api-version=\"2.25\" request=\"crm_mon --output-as=xml\">"
    );
    put!(out, "  <summary>");
    put!(out, "    <stack type=\"quorate\"/>");
    let leader = picture.leader.as_deref().map(escape);
    match leader {
        Some(leader) => put!(
            out,
            "    <current_dc present=\"true\" version=\"{}\" name=\"{leader}\" id=\"{leader}\" with_quorum=\"{}\"/>",
            env!("CARGO_PKG_VERSION"),
            picture.has_quorum
        ),
        None => put!(out, "    <current_dc present=\"false\"/>"),
    }
    put!(
        out,
        "    <last_update time=\"{}\"/>",
        when::date(picture.at_ms)
    );
    put!(
        out,
        "    <last_change time=\"\" user=\"\" client=\"\" origin=\"\"/>"
    );
    put!(
        out,
        "    <nodes_configured number=\"{}\"/>",
        picture.nodes.len()
    );
    let primitives = || picture.resources.iter().filter(|r| r.kind == "primitive");
    put!(
        out,
        "    <resources_configured number=\"{}\" disabled=\"{}\" blocked=\"0\"/>",
        primitives().map(|r| r.active.len().max(1)).sum::<usize>(),
        primitives().filter(|r| r.is_disabled).count()
    );
    put!(out, "  </summary>");
    put!(out, "  <nodes>");
    for node in &picture.nodes {
        node_element(&mut out, picture, node);
    }
    put!(out, "  </nodes>");
    put!(out, "  <resources>");
    resources(&mut out, picture);
    put!(out, "  </resources>");
    put!(out, "  <status code=\"0\" message=\"OK\"/>");
    put!(out, "</pacemaker-result>");
    out
}

fn node_element(out: &mut String, picture: &Picture, node: &NodeLine) {
    let running = picture
        .resources
        .iter()
        .flat_map(|r| &r.active)
        .filter(|a| a.node == node.name)
        .count();
    put!(
        out,
        "    <node name=\"{0}\" id=\"{0}\" online=\"{1}\" standby=\"{2}\" standby_onfail=\"false\" maintenance=\"{3}\" \
         pending=\"{4}\" unclean=\"{5}\" shutdown=\"false\" expected_up=\"true\" is_dc=\"{6}\" \
         resources_running=\"{running}\" type=\"member\"/>",
        escape(&node.name),
        node.is_online,
        node.state == "standby",
        node.state == "maintenance",
        node.state == "pending",
        node.is_unclean,
        picture.leader.as_ref() == Some(&node.name)
    );
}

fn resources(out: &mut String, picture: &Picture) {
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (n, resource) in picture.resources.iter().enumerate() {
        while open
            .last()
            .is_some_and(|(depth, _)| *depth >= resource.depth)
        {
            let (depth, tag) = open.pop().expect("there is a last one");
            put!(out, "{}</{tag}>", indent(depth));
        }
        match resource.kind {
            "primitive" if resource.active.is_empty() => {
                put!(out, "{}", element(resource, None, !picture.is_maintenance));
            }
            "primitive" => {
                for active in &resource.active {
                    put!(
                        out,
                        "{}",
                        element(resource, Some(active), !picture.is_maintenance)
                    );
                }
            }
            kind => {
                put!(out, "{}", header(picture, n));
                open.push((resource.depth, kind));
            }
        }
    }
    while let Some((depth, tag)) = open.pop() {
        put!(out, "{}</{tag}>", indent(depth));
    }
}

/// The opening tag of a group, clone or bundle, with what the schema asks for.
fn header(picture: &Picture, n: usize) -> String {
    let resource = &picture.resources[n];
    let begin = format!(
        "{}<{} id=\"{}\"",
        indent(resource.depth),
        resource.kind,
        escape(&resource.id)
    );
    let (managed, disabled) = (!picture.is_maintenance, resource.is_disabled);
    let inside = || {
        picture.resources[n + 1..]
            .iter()
            .take_while(|r| r.depth > resource.depth)
    };
    match resource.kind {
        "clone" => format!(
            "{begin} multi_state=\"{}\" unique=\"{}\" managed=\"{managed}\" disabled=\"{disabled}\" \
             failed=\"false\" failure_ignored=\"false\">",
            resource.is_promotable, resource.is_unique
        ),
        "group" => format!(
            "{begin} number_resources=\"{}\" managed=\"{managed}\" disabled=\"{disabled}\">",
            inside().count()
        ),
        _ => format!(
            "{begin} type=\"podman\" image=\"\" unique=\"false\" managed=\"{managed}\" failed=\"false\">"
        ),
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth + 2)
}

fn element(resource: &ResourceLine, active: Option<&Active>, managed: bool) -> String {
    // Copies that are all alike go by one name: Galera's agent looks for `id="galera"`, not for `galera:0`.
    let id = active
        .filter(|_| resource.is_unique)
        .map_or(&resource.id, |a| &a.id);
    let role = active.map_or("Stopped", |a| a.role.as_str());
    let is_failed = active.is_some_and(|a| a.is_failed);
    let head = format!(
        "{}<resource id=\"{}\" resource_agent=\"{}\" role=\"{role}\" active=\"{}\" orphaned=\"false\" blocked=\"false\" \
         managed=\"{managed}\" failed=\"{is_failed}\" failure_ignored=\"false\" \
         nodes_running_on=\"{}\"",
        indent(resource.depth),
        escape(id),
        escape(&resource.spec),
        active.is_some(),
        usize::from(active.is_some())
    );
    match active {
        None => format!("{head}/>"),
        Some(a) => format!(
            "{head}>\n{0}  <node name=\"{1}\" id=\"{1}\" cached=\"true\"/>\n{0}</resource>",
            indent(resource.depth),
            escape(&a.node)
        ),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
