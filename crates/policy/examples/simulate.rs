//! Runs one decision: `simulate --cib FILE [-t TIME] [--graph FILE] [--scores]`.

#![allow(clippy::disallowed_methods, reason = "a program, not the pure crate")]

use quorate_policy::Options;
use quorate_policy::simulate::{Request, decision_time, simulate};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        args.iter()
            .position(|a| a == name)
            .and_then(|i| args.get(i + 1))
            .cloned()
    };
    let text =
        std::fs::read_to_string(value("--cib").expect("--cib FILE")).expect("a readable file");
    let cib = quorate_model::xml::read::read(&text).expect("a CIB");
    let time = value("-t");
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let now =
        decision_time(&cib, time.as_deref(), i64::try_from(clock).unwrap_or(0)).expect("a time");
    let scores = args.iter().any(|a| a == "--scores");
    let request = Request {
        options: Options {
            now,
            ..Options::default()
        },
        time_text: time,
        plan_only: args.iter().any(|a| a == "--plan-only"),
        scores,
        graph: value("--graph").is_some(),
        ..Request::default()
    };
    let out = simulate(&cib, &request);
    if scores {
        println!("\n{}", out.scores.join("\n"));
    } else {
        print!("{}", out.text);
    }
    if let Some(path) = value("--graph") {
        std::fs::write(path, out.graph).expect("a writable file");
    }
}
