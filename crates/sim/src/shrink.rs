//! Makes a failing scenario smaller: fewer faults, a calmer network, fewer machines, less time.

use crate::brain::Maker;
use crate::network::NetworkRates;
use crate::scenario::{Fault, Operation, Scenario};
use crate::time::SECOND;
use crate::trace::Trace;
use crate::truth::Host;
use crate::world::run;

/// A smaller scenario that the same checker still fails, and how many runs it took.
#[must_use]
pub fn shrink(
    scenario: &Scenario,
    maker: &dyn Maker,
    checker: &str,
    runs_max: u32,
) -> (Scenario, u32) {
    let mut best = scenario.clone();
    let mut runs = 0;
    loop {
        let before = best.clone();
        for candidate in candidates(&best) {
            if runs >= runs_max {
                return (best, runs);
            }
            // Candidates are made from the best one of the round's beginning: skip what no longer is smaller.
            if size(&candidate) >= size(&best) {
                continue;
            }
            runs += 1;
            let outcome = run(&candidate, maker, Trace::default());
            if outcome
                .violation
                .is_some_and(|(found, _)| found.checker == checker)
            {
                best = candidate;
                break;
            }
        }
        if best == before {
            return (best, runs);
        }
    }
}

fn size(scenario: &Scenario) -> u64 {
    let during: u64 = scenario.steps.iter().map(|step| step.during).sum();
    let rates = scenario.network;
    scenario.steps.len() as u64 * 1_000_000
        + scenario.shape.machines() as u64 * 300_000
        + scenario.shape.workers as u64 * 50_000
        + u64::from(rates.loss.0 > 0) * 40_000
        + u64::from(rates.duplicate.0 > 0) * 40_000
        + u64::from(rates.straggle.0 > 0) * 40_000
        + scenario
            .drift_ppm
            .iter()
            .filter(|drift| **drift != 0)
            .count() as u64
            * 1_000
        + scenario.faults_until / SECOND
        + during / SECOND
}

fn candidates(best: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let count = best.steps.len();
    if count > 2 {
        for half in [0..count / 2, count / 2..count] {
            all.push(with(best, |new| {
                new.steps = best.steps[half.clone()].to_vec();
            }));
        }
    }
    for number in 0..count {
        all.push(with(best, |new| {
            new.steps.remove(number);
        }));
    }
    all.push(with(best, |new| new.network = NetworkRates::default()));
    all.push(with(best, |new| new.shape.workers = 0));
    all.push(with(best, |new| new.drift_ppm.fill(0)));
    let machines = best.shape.machines();
    if best.shape.servers > 2
        && !best
            .steps
            .iter()
            .any(|step| mentions(&step.fault, Host(machines - 1)))
    {
        all.push(with(best, |new| {
            new.shape.servers -= 1;
            new.drift_ppm.pop();
        }));
    }
    if let Some(last) = best.steps.iter().map(|step| step.at + step.during).max() {
        all.push(with(best, |new| new.faults_until = last + SECOND));
    }
    for number in 0..count {
        all.push(with(best, |new| new.steps[number].during /= 2));
    }
    all
}

fn with(scenario: &Scenario, change: impl FnOnce(&mut Scenario)) -> Scenario {
    let mut new = scenario.clone();
    change(&mut new);
    new
}

fn mentions(fault: &Fault, host: Host) -> bool {
    match fault {
        Fault::PowerLoss { host: named, .. }
        | Fault::DaemonKill(named)
        | Fault::Pause(named)
        | Fault::Isolate { host: named, .. }
        | Fault::DiskSlow(named)
        | Fault::DiskFull(named)
        | Fault::SyncFails(named)
        | Fault::Bmc { host: named, .. }
        | Fault::WallClock(named, _) => *named == host,
        Fault::Cut { one, other, .. } => *one == host || *other == host,
        Fault::Operate(operation) => match operation {
            Operation::Standby(named)
            | Operation::Online(named)
            | Operation::Move(_, named)
            | Operation::Fence(named)
            | Operation::Transfer(named)
            | Operation::Shutdown(named)
            | Operation::Replace(named) => *named == host,
            Operation::Apply(_) | Operation::Clear(_) | Operation::Cleanup | Operation::Reprobe => {
                false
            }
        },
        Fault::Blackout | Fault::ProcessDies(_) | Fault::Agent { .. } => false,
    }
}
