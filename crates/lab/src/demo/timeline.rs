//! Whose time an outage was: detection's, the fence device's, the agents', or the manager's own.

use crate::demo::cluster::Call;
use crate::demo::scenario::Phases;

/// What an outage consists of after the detection, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Share {
    pub agents_s: Option<f64>,
    pub own_s: Option<f64>,
}

/// Seconds on the wall clock.
type Span = (f64, f64);

/// Takes the outage apart. `fault_s` is the fault's Unix time, the phases are relative to it.
pub(crate) fn share(calls: &[Call], fault_s: f64, phases: &Phases) -> Share {
    let is_device = |call: &Call| call.resource.starts_with("ipmilan");
    let is_change = |call: &Call| ["start", "stop"].contains(&call.action.as_str());
    let of_service: Vec<&Call> = calls
        .iter()
        .filter(|call| is_change(call) && !is_device(call))
        .collect();
    let Some(serving_s) = phases.serving_s else {
        return Share::default();
    };
    let spans: Option<Vec<Span>> = of_service.iter().map(|call| span(call)).collect();
    let Some(spans) = spans else {
        return Share {
            agents_s: guessed(&of_service, serving_s, phases),
            own_s: None,
        };
    };
    let (Some(detected_s), false) = (phases.detected_s, spans.is_empty()) else {
        return Share::default();
    };
    let (begin, end) = (fault_s + detected_s, fault_s + serving_s);
    let last_start = of_service
        .iter()
        .filter(|call| call.action == "start")
        .filter_map(|call| span(call))
        .map(|(from, _)| from)
        .fold(begin, f64::max);
    let others = calls
        .iter()
        .filter(|call| ["fence", "probe"].contains(&call.action.as_str()));
    let all: Vec<Span> = others
        .filter_map(span)
        .chain(spans.iter().copied())
        .collect();
    Share {
        agents_s: Some(covered(begin, end, &spans)),
        own_s: Some((last_start - begin - covered(begin, last_start, &all)).max(0.0)),
    }
}

fn span(call: &Call) -> Option<Span> {
    let ended_s = call.ended_s?;
    Some((ended_s - call.took_s, ended_s))
}

/// Without the calls' times of day: all of them one after the other, the last until the service answered.
fn guessed(calls: &[&Call], serving_s: f64, phases: &Phases) -> Option<f64> {
    let longest = calls
        .iter()
        .filter(|call| call.action == "start")
        .map(|call| call.took_s)
        .reduce(f64::max)?;
    let whole: f64 = calls.iter().map(|call| call.took_s).sum();
    // The database's start is the longest; its agent goes on waiting after the service answers.
    Some(whole - longest + phases.started_s.map_or(0.0, |at| serving_s - at))
}

/// How much of the time between `begin` and `end` lies in any of the spans.
fn covered(begin: f64, end: f64, spans: &[Span]) -> f64 {
    let mut sorted: Vec<Span> = spans.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut at = begin;
    let mut sum = 0.0;
    for (from, to) in sorted {
        let (from, to) = (from.max(at), to.min(end));
        if to > from {
            sum += to - from;
            at = to;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(resource: &str, action: &str, from: f64, to: f64) -> Call {
        Call {
            resource: resource.to_owned(),
            action: action.to_owned(),
            took_s: to - from,
            ended_s: Some(to),
        }
    }

    #[test]
    fn overlapping_calls_count_once() {
        let spans = [(1.0, 3.0), (2.0, 4.0), (6.0, 9.0), (0.0, 0.5)];
        assert!((covered(0.0, 8.0, &spans) - 5.5).abs() < 1e-9);
    }

    #[test]
    fn what_no_call_covers_is_the_managers_own() {
        let phases = Phases {
            detected_s: Some(1.0),
            fenced_s: Some(1.8),
            started_s: Some(2.4),
            serving_s: Some(3.0),
        };
        // Detected at 101, fenced until 101.8, then the group; the agent waits longer than the service needs.
        let calls = [
            call("server1", "fence", 101.01, 101.8),
            call("fs", "start", 101.82, 102.0),
            call("ip", "start", 102.01, 102.2),
            call("db", "start", 102.21, 105.0),
            call("ipmilan-server1-p", "start", 102.0, 110.0),
        ];
        let share = share(&calls, 100.0, &phases);
        assert!((share.own_s.unwrap() - 0.05).abs() < 1e-6, "{share:?}");
        assert!((share.agents_s.unwrap() - 1.16).abs() < 1e-6, "{share:?}");
    }
}
