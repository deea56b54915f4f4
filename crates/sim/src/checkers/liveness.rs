//! Invariant 7: after the last fault healed, everything that can run runs within a bound.

use super::Checker;
use crate::truth::{Fact, Truth};

/// Looks at the end of the quiet phase.
#[derive(Debug, Default)]
pub struct Liveness;

/// What should run and does not, one sentence each.
#[must_use]
pub fn missing(truth: &Truth) -> Vec<String> {
    truth
        .resources
        .values()
        .filter_map(|resource| {
            let running = truth.running(&resource.name).len();
            let servers = truth
                .machines
                .iter()
                .filter(|machine| !machine.is_witness)
                .count();
            let wanted = resource.copies_max.min(servers);
            (running != wanted).then(|| {
                format!(
                    "{} runs on {running} machines, not on {wanted}",
                    resource.name
                )
            })
        })
        .collect()
}

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String> {
        if *fact != Fact::End {
            return Ok(());
        }
        let missing = missing(truth);
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("after the quiet phase {}", missing.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{set, world};
    use super::*;
    use crate::truth::Stage;

    #[test]
    fn bites_on_what_does_not_run() {
        let mut truth = world();
        for resource in ["disk", "address", "db"] {
            set(&mut truth, 0, resource, Stage::Running);
        }
        assert_eq!(Liveness.observe(&truth, &Fact::End), Ok(()));
        set(&mut truth, 0, "db", Stage::Starting);
        assert!(Liveness.observe(&truth, &Fact::End).is_err());
    }
}
