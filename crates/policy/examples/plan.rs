//! Times decisions in process: `plan [--replan] [--repeat N] FILE...`, a line each:
//! seconds of reading, seconds of planning, actions, name. The last line has the sums and the peak memory.
//!
//! Times are those on a processor, so that a busy machine does not change them.

#![allow(clippy::disallowed_methods, reason = "a program, not the pure crate")]

use quorate_model::cib::Cib;
use quorate_policy::Options;
use quorate_policy::simulate::{Request, decision_time, simulate};

/// Seconds that this thread has been on a processor.
fn on_processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let nanoseconds: f64 = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    nanoseconds / 1e9
}

fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    text.lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

/// One event in a running cluster: a monitor finds its service gone.
fn fail_one(cib: &mut Cib) -> bool {
    for state in &mut cib.status.nodes {
        for history in &mut state.resources {
            let monitor = history.operations.iter_mut().find(|o| o.interval_ms > 0);
            if let Some(monitor) = monitor {
                monitor.rc = 7;
                return true;
            }
        }
    }
    false
}

fn main() {
    let mut files = Vec::new();
    let (mut replan, mut repeat) = (false, 1_u32);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--replan" => replan = true,
            "--repeat" => {
                repeat = args
                    .next()
                    .and_then(|n| n.parse().ok())
                    .expect("--repeat N");
            }
            _ => files.push(arg),
        }
    }
    let (mut reading, mut planning) = (0.0, 0.0);
    for file in &files {
        let begun = on_processor();
        let text = std::fs::read_to_string(file).expect("a readable file");
        let mut cib = quorate_model::xml::read::read(&text).expect("a CIB");
        drop(text);
        let read = on_processor();
        if replan {
            assert!(fail_one(&mut cib), "{file}: nothing runs");
        }
        let now = decision_time(&cib, None, 1_700_000_100).expect("a time");
        let options = Options {
            now,
            ..Options::default()
        };
        let started = on_processor();
        let mut actions = 0;
        for _ in 0..repeat {
            actions = if replan {
                quorate_policy::schedule(&cib, &options).actions.len()
            } else {
                let request = Request {
                    options: options.clone(),
                    plan_only: true,
                    ..Request::default()
                };
                simulate(&cib, &request).text.len()
            };
        }
        let (read_s, plan_s) = (read - begun, (on_processor() - started) / f64::from(repeat));
        println!("{read_s:.6} {plan_s:.6} {actions} {file}");
        reading += read_s;
        planning += plan_s;
    }
    println!("{reading:.6} {planning:.6} {} total", peak_kib());
}
