//! A row that the database acknowledged is never lost: rows come from the one machine that has the disk.

use super::Checker;
use crate::truth::{Fact, Kind, Stage, Truth};

/// Follows the rows that clients were told of.
#[derive(Debug, Default)]
pub struct Rows {
    last: u64,
}

impl Checker for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn observe(&mut self, truth: &Truth, fact: &Fact) -> Result<(), String> {
        let Fact::RowWritten { host, row } = fact else {
            return Ok(());
        };
        if *row <= self.last {
            return Err(format!(
                "{host} acknowledged row {row} after row {}",
                self.last
            ));
        }
        self.last = *row;
        let elsewhere = truth.resources.values().find_map(|resource| {
            let other = truth.hosts().find(|other| {
                other != host
                    && resource.kind == Kind::Mount
                    && !truth.machines[other.0].belied
                    && truth.stage(*other, &resource.name) != Stage::Stopped
            })?;
            Some(format!(
                "row {row} of {host} went to {}, which {other} has too",
                resource.name
            ))
        });
        elsewhere.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_worlds::{set, world};
    use super::*;
    use crate::truth::Host;

    #[test]
    fn bites_on_a_disk_with_two_masters() {
        let mut truth = world();
        set(&mut truth, 0, "disk", Stage::Running);
        let mut rows = Rows::default();
        let row = |row| Fact::RowWritten { host: Host(0), row };
        assert_eq!(rows.observe(&truth, &row(1)), Ok(()));
        assert!(
            rows.observe(&truth, &row(1)).is_err(),
            "an old row once more"
        );
        set(&mut truth, 1, "disk", Stage::Running);
        assert!(rows.observe(&truth, &row(2)).is_err());
    }
}
