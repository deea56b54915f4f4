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
    put!(
        out,
        "    <current_dc present=\"{}\" version=\"{}\" name=\"{}\" with_quorum=\"{}\"/>",
        picture.leader.is_some(),
        env!("CARGO_PKG_VERSION"),
        escape(picture.leader.as_deref().unwrap_or("")),
        picture.has_quorum
    );
    put!(
        out,
        "    <last_update time=\"{}\"/>",
        when::date(picture.at_ms)
    );
    put!(
        out,
        "    <nodes_configured number=\"{}\"/>",
        picture.nodes.len()
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
    for resource in &picture.resources {
        while open
            .last()
            .is_some_and(|(depth, _)| *depth >= resource.depth)
        {
            let (depth, tag) = open.pop().expect("there is a last one");
            put!(out, "{}</{tag}>", indent(depth));
        }
        match resource.kind {
            "primitive" if resource.active.is_empty() => put!(out, "{}", element(resource, None)),
            "primitive" => {
                for active in &resource.active {
                    put!(out, "{}", element(resource, Some(active)));
                }
            }
            kind => {
                put!(
                    out,
                    "{}<{kind} id=\"{}\">",
                    indent(resource.depth),
                    escape(&resource.id)
                );
                open.push((resource.depth, kind));
            }
        }
    }
    while let Some((depth, tag)) = open.pop() {
        put!(out, "{}</{tag}>", indent(depth));
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth + 2)
}

fn element(resource: &ResourceLine, active: Option<&Active>) -> String {
    let role = active.map_or("Stopped", |a| a.role.as_str());
    let is_failed = active.is_some_and(|a| a.is_failed);
    let head = format!(
        "{}<resource id=\"{}\" resource_agent=\"{}\" role=\"{role}\" active=\"{}\" orphaned=\"false\" blocked=\"false\" \
         maintenance=\"false\" managed=\"true\" failed=\"{is_failed}\" failure_ignored=\"false\" \
         nodes_running_on=\"{}\"",
        indent(resource.depth),
        escape(active.map_or(&resource.id, |a| &a.id)),
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
