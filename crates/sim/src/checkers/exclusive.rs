//! Invariants 1 and 5: no exclusive resource is active in two places, no clone in more than it may.

use super::Checker;
use crate::truth::{Fact, Truth};

/// Counts where each resource is active.
#[derive(Debug, Default)]
pub struct Exclusive;

impl Checker for Exclusive {
    fn name(&self) -> &'static str {
        "exclusive"
    }

    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String> {
        // Only the beginning of a start can make a resource active in one place more.
        let Fact::RunBegins { resource, .. } = fact else {
            return Ok(());
        };
        let Some(known) = truth.resources.get(resource) else {
            return Ok(());
        };
        let active: Vec<String> = truth
            .active(resource)
            .into_iter()
            .filter(|host| !truth.machines[host.0].belied)
            .map(|host| format!("{host} ({:?})", truth.stage(host, resource)))
            .collect();
        if active.len() > known.copies_max {
            return Err(format!("{resource} is active on {}", active.join(" and ")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{begins, set, world};
    use super::*;
    use crate::truth::Stage;

    #[test]
    fn bites_on_a_second_mount() {
        let mut truth = world();
        set(&mut truth, 0, "disk", Stage::Running);
        let start = begins(0, "disk", "start", "1.1.1");
        assert_eq!(Exclusive.observe(&truth, &start), Ok(()));
        set(&mut truth, 1, "disk", Stage::Starting);
        assert!(
            Exclusive
                .observe(&truth, &begins(1, "disk", "start", "1.1.2"))
                .is_err()
        );
        // A frozen machine still holds what it had.
        truth.machines[0].paused = true;
        assert!(
            Exclusive
                .observe(&truth, &begins(1, "disk", "start", "1.1.2"))
                .is_err()
        );
    }
}
