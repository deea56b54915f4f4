//! The picture in the shape that `crm_mon -1` and `crm_mon -n -1` have, for eyes and scripts used to it.

use std::fmt::Write as _;

use super::picture::{Active, NodeLine, Picture};
use super::when;

/// How to draw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// `-n`: by node.
    pub by_node: bool,
    /// `-r`: inactive resources too.
    pub inactive: bool,
}

macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a string cannot fail")
    };
}

/// Draws it.
pub fn draw(picture: &Picture, shape: Shape) -> String {
    let mut out = String::new();
    summary(&mut out, picture);
    if shape.by_node {
        by_node(&mut out, picture);
    } else {
        node_list(&mut out, picture);
    }
    if shape.by_node && shape.inactive {
        put!(out, "\nInactive Resources:");
        for r in picture
            .resources
            .iter()
            .filter(|r| r.kind == "primitive" && r.active.is_empty())
        {
            put!(
                out,
                "  * {}\t({}):\t {}",
                r.id,
                r.spec,
                stopped(r.is_disabled)
            );
        }
    }
    if !shape.by_node {
        resource_list(&mut out, picture, shape);
    }
    failures(&mut out, picture);
    out
}

fn summary(out: &mut String, picture: &Picture) {
    let quorum = if picture.has_quorum {
        "partition with quorum"
    } else {
        "partition WITHOUT quorum"
    };
    let instances = picture
        .resources
        .iter()
        .filter(|r| r.kind == "primitive")
        .count();
    put!(out, "Cluster Summary:");
    put!(out, "  * Stack: quorate");
    put!(
        out,
        "  * Current DC: {} (version {}) - {quorum}",
        picture.leader.as_deref().unwrap_or("NONE"),
        env!("CARGO_PKG_VERSION")
    );
    put!(out, "  * Last updated: {}", when::date(picture.at_ms));
    put!(out, "  * {} nodes configured", picture.nodes.len());
    put!(out, "  * {instances} resource instances configured");
    if picture.is_maintenance {
        put!(
            out,
            "\n              *** Resource management is DISABLED ***"
        );
    }
    for b in &picture.blocked {
        put!(out, "\nBLOCKED: {}: {}\n  -> {}", b.what, b.why, b.way_out);
    }
}

fn by_node(out: &mut String, picture: &Picture) {
    put!(out, "\nNode List:");
    for node in &picture.nodes {
        put!(out, "  * Node {}: {}:", node.name, node.state);
        let here: Vec<_> = picture
            .resources
            .iter()
            .flat_map(|r| r.active.iter().map(move |a| (r, a)))
            .filter(|(_, a)| a.node == node.name)
            .collect();
        if here.is_empty() {
            continue;
        }
        put!(out, "    * Resources:");
        for (resource, active) in here {
            put!(
                out,
                "      * {}\t({}):\t {}",
                active.id,
                resource.spec,
                role(active)
            );
        }
    }
}

fn role(active: &Active) -> String {
    let mut text = String::new();
    if active.is_failed {
        text.push_str("FAILED ");
    }
    text.push_str(&active.role);
    if active.is_uncertain {
        text.push_str(" (UNCLEAN)");
    }
    if let Some(pending) = &active.pending {
        text.push_str(&format!(" ({pending})"));
    }
    text
}

fn node_list(out: &mut String, picture: &Picture) {
    let pick = |f: fn(&NodeLine) -> bool| -> Vec<&str> {
        picture
            .nodes
            .iter()
            .filter(|n| f(n))
            .map(|n| n.name.as_str())
            .collect()
    };
    put!(out, "\nNode List:");
    for node in picture
        .nodes
        .iter()
        .filter(|n| !matches!(n.state.as_str(), "online" | "OFFLINE"))
    {
        put!(out, "  * Node {}: {}", node.name, node.state);
    }
    for (word, names) in [
        ("Online", pick(|n| n.state == "online")),
        ("OFFLINE", pick(|n| n.state == "OFFLINE")),
    ] {
        if !names.is_empty() {
            put!(out, "  * {word}: [ {} ]", names.join(" "));
        }
    }
}

fn resource_list(out: &mut String, picture: &Picture, shape: Shape) {
    let title = if shape.inactive {
        "Full List of Resources"
    } else {
        "Active Resources"
    };
    put!(out, "\n{title}:");
    for resource in &picture.resources {
        let indent = "  ".repeat(resource.depth + 1);
        match resource.kind {
            "primitive" if resource.active.is_empty() => {
                if shape.inactive {
                    put!(
                        out,
                        "{indent}* {}\t({}):\t {}",
                        resource.id,
                        resource.spec,
                        stopped(resource.is_disabled)
                    );
                }
            }
            "primitive" => {
                for active in &resource.active {
                    put!(
                        out,
                        "{indent}* {}\t({}):\t {} {}",
                        active.id,
                        resource.spec,
                        role(active),
                        active.node
                    );
                }
            }
            "group" => put!(out, "{indent}* Resource Group: {}:", resource.id),
            "clone" => put!(out, "{indent}* Clone Set: {}:", resource.id),
            _ => put!(out, "{indent}* Container bundle: {}:", resource.id),
        }
    }
}

fn stopped(is_disabled: bool) -> &'static str {
    if is_disabled {
        "Stopped (disabled)"
    } else {
        "Stopped"
    }
}

fn failures(out: &mut String, picture: &Picture) {
    if picture.failures.is_empty() {
        return;
    }
    put!(out, "\nFailed Resource Actions:");
    for f in &picture.failures {
        put!(
            out,
            "  * {} on {} '{}' ({}): call={}, status='{}', exitreason='{}', last-rc-change='{}', queued=0ms, exec={}ms",
            f.key,
            f.node,
            f.result,
            f.rc,
            f.call_id,
            f.status,
            f.exit_reason,
            when::date(f.at_ms),
            f.took_ms
        );
    }
}
