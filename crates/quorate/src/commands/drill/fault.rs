//! The demo's ten faults as drills: how they are named on the command line, and what a drill allows.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use quorate_policy::budget::Fault as Budgeted;

pub(super) use quorate_lab::demo::{Expectation, Fault as Drill};

/// Reads a drill's name.
pub(super) fn parser() -> impl TypedValueParser<Value = Drill> {
    let value = |drill: Drill| {
        let value = PossibleValue::new(drill.name()).help(help(drill));
        if drill == Drill::LeaderKilled { value.alias("daemon-death") } else { value }
    };
    PossibleValuesParser::new(Drill::ALL.map(value))
        .map(|name| Drill::parse(&name).unwrap_or(Drill::LeaderKilled))
}

fn help(drill: Drill) -> &'static str {
    match drill {
        Drill::PowerLoss => "The server that runs the resource loses its power",
        Drill::ProcessDeath => "The resource's process is killed with SIGKILL",
        Drill::Standby => "The server that runs the resource is put in standby",
        Drill::Reboot => "The server that runs the resource is rebooted in good order",
        Drill::OneLinkLost => "The server that runs the resource loses one heartbeat link",
        Drill::AllLinksLost => "The server that runs the resource loses all heartbeat links",
        Drill::StandbyLoss => "Another server loses its power",
        Drill::BothReset => "All servers are reset at once",
        Drill::LeaderKilled => "The leader's daemon is killed with SIGKILL",
        Drill::FrozenHost => "Every process of the server that runs the resource is stopped",
    }
}

/// What must come of it.
pub(super) fn expectation(drill: Drill) -> Expectation {
    match drill {
        // A host that boots faster than others start may have its resources back.
        Drill::PowerLoss => Expectation::Returns,
        other => other.expectation(),
    }
}

/// Whether exactly one host must be fenced; `None`: whatever the cluster needs.
pub(super) fn fences(drill: Drill) -> Option<bool> {
    match drill {
        Drill::BothReset => None,
        other => Some(other.is_fenced()),
    }
}

/// What the budget is computed for; `None`: no outage is allowed.
pub(super) fn budgeted(drill: Drill) -> Option<Budgeted> {
    match drill {
        Drill::PowerLoss | Drill::AllLinksLost | Drill::BothReset | Drill::FrozenHost => Some(Budgeted::NodeLost),
        Drill::ProcessDeath => Some(Budgeted::ProcessDied { watched: true }),
        Drill::Standby | Drill::Reboot => Some(Budgeted::OrderlyMove),
        Drill::OneLinkLost | Drill::StandbyLoss | Drill::LeaderKilled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outage is allowed exactly where the service does not stay as it is.
    #[test]
    fn each_drill_has_a_name_and_a_budget_that_fits_what_must_come_of_it() {
        let command = clap::Command::new("drill").arg(clap::Arg::new("name").value_parser(parser()));
        for drill in Drill::ALL {
            let matches = command.clone().try_get_matches_from(["drill", drill.name()]).unwrap();
            assert_eq!(matches.get_one::<Drill>("name"), Some(&drill));
            assert_eq!(budgeted(drill).is_none(), expectation(drill) == Expectation::Stays, "{}", drill.name());
        }
        let matches = command.clone().try_get_matches_from(["drill", "daemon-death"]).unwrap();
        assert_eq!(matches.get_one::<Drill>("name"), Some(&Drill::LeaderKilled));
        assert!(command.try_get_matches_from(["drill", "nothing"]).is_err());
    }
}
