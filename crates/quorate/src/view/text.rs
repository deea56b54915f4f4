//! The picture as `quorate status` prints it.

use std::fmt::Write as _;

use super::picture::{Active, NodeLine, Picture, ResourceLine};
use super::when;

/// Draws it.
pub fn status(picture: &Picture) -> String {
    let mut out = String::new();
    head(&mut out, picture);
    blocked(&mut out, picture);
    nodes(&mut out, picture);
    resources(&mut out, picture);
    failures(&mut out, picture);
    moves(&mut out, picture);
    out
}

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a string cannot fail")
    };
}

fn head(out: &mut String, picture: &Picture) {
    let quorum = if picture.has_quorum {
        "quorum"
    } else {
        "NO QUORUM"
    };
    let leader = picture
        .leader
        .as_deref()
        .map_or_else(|| "no leader".to_owned(), |l| format!("leader {l}"));
    let online = picture.nodes.iter().filter(|n| n.is_online).count();
    put!(
        out,
        "Cluster {}: {quorum}, {leader}, {online} of {} nodes online ({}, seen from {})",
        picture.cluster,
        picture.nodes.len(),
        when::date(picture.at_ms),
        picture.seen_from
    );
    if picture.is_maintenance {
        put!(
            out,
            "MAINTENANCE: nothing is started, stopped or recovered (end it: quorate maintenance off)"
        );
    }
    if picture.is_unprotected {
        put!(
            out,
            "NOT PROTECTED: fencing is disabled (stonith-enabled=false); a node that is lost but alive can run \
             services twice"
        );
    }
    if !picture.running.is_empty() {
        put!(out, "Running now: {}", picture.running.join(", "));
    }
}

fn blocked(out: &mut String, picture: &Picture) {
    if picture.blocked.is_empty() {
        return;
    }
    put!(out, "\nBLOCKED");
    for b in &picture.blocked {
        put!(out, "  {}: {}", b.what, b.why);
        if !b.way_out.is_empty() {
            put!(out, "    -> {}", b.way_out);
        }
    }
}

fn nodes(out: &mut String, picture: &Picture) {
    put!(out, "\nNodes");
    let width = picture
        .nodes
        .iter()
        .map(|n| n.name.len())
        .max()
        .unwrap_or(0);
    for node in &picture.nodes {
        let line = format!(
            "  {:width$}  {:18} {}",
            node.name,
            node.state,
            remarks(node, picture)
        );
        put!(out, "{}", line.trim_end());
    }
}

fn remarks(node: &NodeLine, picture: &Picture) -> String {
    let mut remarks = Vec::new();
    if picture.leader.as_ref() == Some(&node.name) {
        remarks.push("leader".to_owned());
    }
    if node.is_witness {
        remarks.push("witness".to_owned());
    }
    if node.is_learner {
        remarks.push("catching up, does not vote yet".to_owned());
    }
    for link in &node.links_down {
        remarks.push(format!("LINK {link} DOWN"));
    }
    if !node.is_online {
        if !node.reason.is_empty() {
            remarks.push(node.reason.clone());
        }
        if node.since_ms > 0 {
            remarks.push(format!("for {}", when::ago(picture.at_ms, node.since_ms)));
        }
    }
    remarks.join(", ")
}

fn resources(out: &mut String, picture: &Picture) {
    put!(out, "\nResources");
    if picture.resources.is_empty() {
        put!(out, "  none are configured (quorate apply FILE)");
        return;
    }
    let width = |f: fn(&ResourceLine) -> usize| picture.resources.iter().map(f).max().unwrap_or(0);
    let (id_width, spec_width) = (width(|r| r.id.len() + 2 * r.depth), width(|r| r.spec.len()));
    for resource in &picture.resources {
        let id = format!("{}{}", "  ".repeat(resource.depth), resource.id);
        if resource.kind != "primitive" {
            let disabled = if resource.is_disabled {
                ", disabled"
            } else {
                ""
            };
            put!(out, "  {id} ({}{disabled})", resource.kind);
            continue;
        }
        let mut states: Vec<String> = resource.active.iter().map(instance).collect();
        if states.is_empty() {
            states.push(
                if resource.is_disabled {
                    "Stopped (disabled)"
                } else {
                    "Stopped"
                }
                .to_owned(),
            );
        }
        for (n, state) in states.iter().enumerate() {
            let (id, spec) = if n == 0 {
                (id.as_str(), resource.spec.as_str())
            } else {
                ("", "")
            };
            put!(out, "  {id:id_width$}  {spec:spec_width$}  {state}");
        }
    }
}

fn instance(active: &Active) -> String {
    let role = active.pending.as_deref().unwrap_or(&active.role);
    let mut text = format!("{role:10} {}", active.node);
    if active.is_failed {
        text.push_str("  FAILED");
    }
    if active.is_uncertain {
        text.push_str("  (node is unclean: it may still run there)");
    }
    text
}

fn failures(out: &mut String, picture: &Picture) {
    if picture.failures.is_empty() {
        return;
    }
    put!(out, "\nFailed actions (forget them: quorate cleanup)");
    for f in &picture.failures {
        let status = if f.status == "complete" {
            String::new()
        } else {
            format!(", {}", f.status)
        };
        put!(
            out,
            "  {} on {}: {} ({}){status}, {} ago",
            f.key,
            f.node,
            f.result,
            f.rc,
            when::ago(picture.at_ms, f.at_ms)
        );
        if !f.exit_reason.is_empty() {
            put!(out, "    {}", f.exit_reason);
        }
    }
}

fn moves(out: &mut String, picture: &Picture) {
    if picture.moves.is_empty() {
        return;
    }
    put!(out, "\nMoves and bans (take back: quorate clear RESOURCE)");
    for m in &picture.moves {
        let what = if m.is_ban {
            "may not run on"
        } else {
            "is wanted on"
        };
        let end = m.expires_ms.map_or_else(
            || "stays until it is cleared".to_owned(),
            |end| format!("ends in {}", when::ago(end, picture.at_ms)),
        );
        put!(out, "  {} {what} {} ({}; {end})", m.resource, m.node, m.who);
    }
}
