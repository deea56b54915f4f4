//! The demo's results as JSON and as a page that needs nothing else.

use std::fmt::Write;

use crate::demo::scenario::FaultResult;

/// `{"faults": [...]}`.
#[must_use]
pub fn json(results: &[FaultResult]) -> serde_json::Value {
    serde_json::json!({ "faults": results })
}

/// A self-contained page with a picture of each timeline.
#[must_use]
pub fn html(title: &str, results: &[FaultResult], rows: usize) -> String {
    html_of(title, results, rows, "rows")
}

/// The same for something else than rows.
#[must_use]
pub fn html_of(title: &str, results: &[FaultResult], rows: usize, noun: &str) -> String {
    let scale = results
        .iter()
        .flat_map(|result| [result.phases.serving_s.unwrap_or(0.0), result.outage_s])
        .fold(1.0_f64, f64::max)
        * 1.08;
    let lost: usize = results.iter().map(|result| result.lost_rows).sum();
    let survived = results
        .iter()
        .filter(|result| result.problems.is_empty())
        .count();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<p class=\"sum\"><b>{survived}</b> of {total} faults survived · <b>{lost}</b> of {rows} \
         acknowledged {noun} lost</p>\n<p class=\"key\"><i class=\"d\"></i>until detected <i class=\"f\"></i>until fenced \
         <i class=\"s\"></i>until started <i class=\"v\"></i>until served</p>\n",
        title = escape(title),
        total = results.len(),
    );
    for result in results {
        section(&mut page, result, scale, noun);
    }
    page += "</body></html>\n";
    page
}

const STYLE: &str = "body{font:16px/1.45 system-ui,sans-serif;max-width:860px;margin:2em auto;padding:0 1em;color:#1c2430;\
background:#fff}h1{font-size:1.5em}h2{font-size:1.05em;margin:1.6em 0 .2em}svg{width:100%;height:auto;display:block}\
p{margin:.2em 0;color:#4a5566}.sum{font-size:1.1em;color:#1c2430}.bad{color:#b3261e;font-weight:600}.key i{display:inline-block;\
width:.9em;height:.9em;border-radius:2px;margin:0 .3em 0 1em;vertical-align:-.1em}i.d{background:#e8a33d}i.f{background:#c8553d}\
i.s{background:#4a7fb5}i.v{background:#5a9e6f}@media(prefers-color-scheme:dark){body{background:#14181f;color:#e6e9ee}\
p{color:#a9b3c1}.sum{color:#e6e9ee}text{fill:#a9b3c1}}";

fn section(page: &mut String, result: &FaultResult, scale: f64, noun: &str) {
    let place = if result.active_before == result.active_after {
        format!("stayed on {}", result.active_after)
    } else {
        format!("{} → {}", result.active_before, result.active_after)
    };
    let fenced = match result.fenced.as_slice() {
        [] => "nobody fenced".to_owned(),
        names => format!("fenced: {}", names.join(", ")),
    };
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<section id=\"{}\"><h2>{}</h2>\n<p>outage {:.2} s · {} {noun} lost · {} · {}</p>\n{}",
        escape(&result.name),
        escape(&result.title),
        result.outage_s,
        result.lost_rows,
        escape(&place),
        escape(&fenced),
        timeline(result, scale),
    );
    for problem in &result.problems {
        let _ = writeln!(page, "<p class=\"bad\">{}</p>", escape(problem));
    }
    *page += "</section>\n";
}

/// The picture: one bar from the fault to the first answer, in the phases' colours.
fn timeline(result: &FaultResult, scale: f64) -> String {
    const WIDTH: f64 = 800.0;
    let x = |seconds: f64| 10.0 + (WIDTH - 20.0) * (seconds / scale).clamp(0.0, 1.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} 58\" role=\"img\" aria-label=\"timeline of {}\">\n\
         <line x1=\"10\" y1=\"36\" x2=\"{:.1}\" y2=\"36\" stroke=\"#9aa4b2\"/>\n",
        escape(&result.name),
        WIDTH - 10.0
    );
    let second = if scale > 20.0 { 5.0 } else { 1.0 };
    let mut at = 0.0;
    while at <= scale {
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" y1=\"33\" x2=\"{0:.1}\" y2=\"39\" stroke=\"#9aa4b2\"/><text x=\"{0:.1}\" y=\"53\" \
             font-size=\"11\" text-anchor=\"middle\" fill=\"#667\">{at} s</text>",
            x(at)
        );
        at += second;
    }
    let phases = [
        ("detected", result.phases.detected_s, "#e8a33d"),
        ("fenced", result.phases.fenced_s, "#c8553d"),
        ("started", result.phases.started_s, "#4a7fb5"),
        ("serving", result.phases.serving_s, "#5a9e6f"),
    ];
    let mut from = 0.0;
    for (name, until, colour) in phases {
        let Some(until) = until.filter(|until| *until > from) else {
            continue;
        };
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"10\" width=\"{:.1}\" height=\"18\" rx=\"2\" fill=\"{colour}\"><title>{name} after \
             {until:.2} s</title></rect>",
            x(from),
            (x(until) - x(from)).max(1.5),
        );
        from = until;
    }
    if from == 0.0 {
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"24\" font-size=\"13\" fill=\"#5a9e6f\">served without a break</text>"
        );
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
