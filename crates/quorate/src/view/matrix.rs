//! The matrix of faults: which services survive what.

use std::fmt::Write;

use quorate_model::times;
use quorate_policy::faults::{Matrix, Outcome, ServiceOutcome, Survival};
use serde_json::{Value, json};

/// Columns of a table at most; more services are listed below each other.
const WIDTH_MAX: usize = 118;

/// What became of a service, in few words.
fn words(s: &ServiceOutcome) -> String {
    let place = if s.nodes.is_empty() {
        String::new()
    } else {
        s.nodes.join(" ")
    };
    match s.survival {
        Survival::NotRunning => "-".to_owned(),
        Survival::Untouched => "stays".to_owned(),
        Survival::Fewer {
            left,
            of,
            away_ms: 0,
        } => format!("{left} of {of}"),
        Survival::Fewer { left, of, away_ms } => {
            format!("{left} of {of}, {}", times::spell(away_ms))
        }
        Survival::Away { away_ms: 0 } => format!("on {place}"),
        Survival::Away { away_ms } => format!("on {place}, {}", times::spell(away_ms)),
        Survival::Lost => "LOST".to_owned(),
    }
}

fn name(outcome: &Outcome) -> String {
    outcome
        .faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", then ")
}

/// As text.
pub fn text(matrix: &Matrix) -> String {
    let mut out = String::new();
    for (service, nodes) in &matrix.before {
        let place = if nodes.is_empty() {
            "nowhere".to_owned()
        } else {
            nodes.join(", ")
        };
        let _ = writeln!(out, "{service} runs on {place}");
    }
    let _ = writeln!(
        out,
        "\nAfter each single fault (where it is then, and how long it is away at most, by the timers):"
    );
    table(&mut out, matrix, &matrix.single);
    points(&mut out, matrix);
    if !matrix.pairs.is_empty() {
        let lost = |o: &&Outcome| !o.lost().is_empty();
        let bad: Vec<Outcome> = matrix.pairs.iter().filter(lost).cloned().collect();
        let _ = writeln!(
            out,
            "\nOf {} pairs of faults, the second after the cluster has settled from the first, {} lose a service:",
            matrix.pairs.len(),
            bad.len()
        );
        for outcome in &bad {
            let _ = writeln!(out, "  {}: {}", name(outcome), outcome.lost().join(", "));
        }
        if matrix.pairs_left_out > 0 {
            let _ = writeln!(out, "({} more pairs were left out)", matrix.pairs_left_out);
        }
    }
    out
}

fn table(out: &mut String, matrix: &Matrix, outcomes: &[Outcome]) {
    let mut rows: Vec<Vec<String>> = vec![
        std::iter::once("fault".to_owned())
            .chain(matrix.services.iter().cloned())
            .collect(),
    ];
    for outcome in outcomes {
        let cells = outcome.services.iter().map(words);
        rows.push(std::iter::once(name(outcome)).chain(cells).collect());
    }
    let width = |column: usize| {
        rows.iter()
            .map(|r| r[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    if widths.iter().map(|w| w + 2).sum::<usize>() > WIDTH_MAX {
        return list(out, outcomes);
    }
    for row in &rows {
        let mut line = String::from("  ");
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// One fault after the other, what is not touched left out.
fn list(out: &mut String, outcomes: &[Outcome]) {
    for outcome in outcomes {
        let touched: Vec<&ServiceOutcome> = outcome
            .services
            .iter()
            .filter(|s| !matches!(s.survival, Survival::Untouched | Survival::NotRunning))
            .collect();
        let _ = writeln!(
            out,
            "  {}{}",
            name(outcome),
            if touched.is_empty() {
                ": nothing is touched"
            } else {
                ""
            }
        );
        for s in touched {
            let _ = writeln!(out, "    {} {}", s.service, words(s));
        }
    }
}

fn points(out: &mut String, matrix: &Matrix) {
    let points = matrix.single_points();
    if points.is_empty() {
        let _ = writeln!(out, "\nNo single fault loses a service.");
    } else {
        let _ = writeln!(out, "\nSingle points of failure:");
    }
    for (fault, lost) in points {
        let _ = writeln!(out, "  {fault}: {} does not come back", lost.join(", "));
        let outcome = matrix.single.iter().find(|o| o.faults[0] == *fault);
        for (why, way_out) in outcome.iter().flat_map(|o| &o.blocked).take(3) {
            let _ = writeln!(out, "    {why}");
            if !way_out.is_empty() {
                let _ = writeln!(out, "      -> {way_out}");
            }
        }
    }
    for outcome in matrix.single.iter().filter(|o| !o.is_settled) {
        let _ = writeln!(out, "{} does not come to rest by itself", name(outcome));
    }
}

fn outcome_json(outcome: &Outcome) -> Value {
    let services: Vec<Value> = outcome
        .services
        .iter()
        .map(|s| {
            let (survives, away) = match s.survival {
                Survival::NotRunning => ("not-running", None),
                Survival::Untouched => ("untouched", Some(0)),
                Survival::Fewer { away_ms, .. } => ("fewer", Some(away_ms)),
                Survival::Away { away_ms } => ("away", Some(away_ms)),
                Survival::Lost => ("lost", None),
            };
            let (left, of) = match s.survival {
                Survival::Fewer { left, of, .. } => (Some(left), Some(of)),
                _ => (None, None),
            };
            json!({"service": s.service, "outcome": survives, "away_ms_max": away, "instances": left, "of": of, "nodes": s.nodes})
        })
        .collect();
    let blocked: Vec<Value> = outcome
        .blocked
        .iter()
        .map(|(why, way_out)| json!({"why": why, "way_out": way_out}))
        .collect();
    json!({
        "faults": outcome.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "services": services,
        "fenced": outcome.fenced,
        "is_settled": outcome.is_settled,
        "blocked": blocked,
    })
}

/// As JSON.
pub fn json(matrix: &Matrix) -> Value {
    let points: Vec<Value> = matrix
        .single_points()
        .iter()
        .map(|(fault, lost)| json!({"fault": fault.to_string(), "lost": lost}))
        .collect();
    json!({
        "services": matrix.before.iter().map(|(s, nodes)| json!({"service": s, "nodes": nodes})).collect::<Vec<_>>(),
        "single": matrix.single.iter().map(outcome_json).collect::<Vec<_>>(),
        "single_points_of_failure": points,
        "pairs": matrix.pairs.iter().map(outcome_json).collect::<Vec<_>>(),
        "pairs_left_out": matrix.pairs_left_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Inputs;
    use quorate_policy::faults::{Depth, matrix};
    use std::path::Path;

    fn shown(path: &Path, depth: Depth) -> String {
        let inputs = Inputs::file(path).expect("a configuration");
        text(&matrix(
            &inputs.cib,
            &inputs.options,
            &inputs.surroundings,
            depth,
        ))
    }

    fn of(text: &str, depth: Depth) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.crm");
        std::fs::write(&path, text).expect("written");
        shown(&path, depth)
    }

    #[test]
    fn the_wiki_survives_every_single_fault() {
        let wiki = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/wiki.crm");
        insta::assert_snapshot!(shown(&wiki, Depth::Pairs));
    }

    const GALERA: &str = "\
node c1
node c2
node c3
primitive galera ocf:heartbeat:galera params wsrep_cluster_address=gcomm://c1,c2,c3 \\
    op monitor interval=20s timeout=30s op monitor interval=10s role=Master timeout=30s \\
    op promote timeout=300s op start timeout=120s op stop timeout=120s
primitive rabbit ocf:rabbitmq:rabbitmq-server-ha op monitor interval=30s op start timeout=180s op stop timeout=120s
primitive memcached systemd:memcached op monitor interval=10s
primitive haproxy systemd:haproxy op monitor interval=2s
primitive vip ocf:heartbeat:IPaddr2 params ip=192.0.2.5 op monitor interval=5s
primitive power stonith:fence_ipmilan params ip=198.51.100.1
clone galera-c galera meta promotable=true promoted-max=3 notify=true
clone rabbit-c rabbit meta notify=true
clone memcached-c memcached
clone haproxy-c haproxy
colocation vip-with-haproxy inf: vip haproxy-c
order haproxy-first haproxy-c vip
property stonith-enabled=true stonith-timeout=30s detection-time=1s
";

    #[test]
    fn a_control_plane_of_three_loses_instances_and_no_service() {
        insta::assert_snapshot!(of(GALERA, Depth::Single));
    }

    #[test]
    fn what_is_tied_to_one_node_is_a_single_point_of_failure() {
        let text = "node a\nnode b\nprimitive db ocf:heartbeat:Dummy op monitor interval=10s\n\
            primitive power stonith:external/ssh params hostlist=\"a b\"\n\
            location only-a db -inf: b\nproperty stonith-enabled=true\n";
        insta::assert_snapshot!(of(text, Depth::Single));
    }
}
