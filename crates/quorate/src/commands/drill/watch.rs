//! Looks at the service and at the cluster until a drill is over.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use quorate_core::state::{ClusterState, FenceOutcome};

use super::fault::{self, Drill, Expectation};
use super::resource::{self, Place};
use crate::context::Context;
use crate::view::{self, picture::Picture};

/// How long a drill waits for its effect to begin.
const BEGIN_MAX: Duration = Duration::from_secs(30);
/// Added to the budget before the drill gives up watching.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this long without an effect, a drill that must have none is over.
const QUIET: Duration = Duration::from_secs(8);
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(50);
/// Gaps up to this length are the probe's own.
pub(super) const GAP_MAX: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub outage: Duration,
    pub to: String,
    pub fenced: Vec<String>,
    /// Milestones of the incident, seconds after the fault.
    pub phases: Vec<(String, f64)>,
    pub problems: Vec<String>,
}

/// What is watched.
pub(super) struct Watch<'a> {
    pub context: &'a Context,
    pub drill: Drill,
    pub resource: &'a str,
    pub from: &'a Place,
    /// When it was last started, before the drill.
    pub started_ms: i64,
    pub probe: Option<SocketAddr>,
    pub victim: Option<&'a str>,
    pub budget: Duration,
}

/// One look.
struct Look {
    state: Option<ClusterState>,
    place: Option<Place>,
    answers: bool,
}

impl Watch<'_> {
    /// Watches from `begun` (and its Unix milliseconds) until the effect is over.
    pub fn run(&self, begun: Instant, begun_ms: i64) -> Seen {
        let mut seen = Seen::default();
        let mut last_good = begun;
        let mut gone = false;
        let mut last_state = None;
        loop {
            let at = Instant::now();
            let look = self.look();
            // Its users decide whether it is there; without a probe, the cluster's word.
            let is_good = match self.probe {
                Some(_) => look.answers,
                None => look.place.is_some(),
            };
            let is_placed = look.place.is_some();
            if let Some(place) = look.place {
                seen.to = place.node;
            }
            last_state = look.state.or(last_state);
            if is_good {
                seen.outage = seen.outage.max(at.saturating_duration_since(last_good));
                last_good = Instant::now();
                if is_placed && self.is_over(begun, begun_ms, gone, &seen, last_state.as_ref()) {
                    break;
                }
            } else {
                gone = true;
            }
            if begun.elapsed() > BEGIN_MAX + self.budget + PATIENCE {
                seen.problems.push(if is_good {
                    "nothing came of it while the drill watched".to_owned()
                } else {
                    "the service did not come back while the drill watched".to_owned()
                });
                seen.outage = seen.outage.max(last_good.elapsed());
                break;
            }
            std::thread::sleep(PERIOD);
        }
        if let Some(state) = last_state {
            seen.fenced = fenced(&state, begun_ms);
            seen.phases = phases(&state, begun_ms);
            self.judge(&state, &mut seen);
        }
        seen
    }

    fn look(&self) -> Look {
        let answers = self.probe.is_some_and(answers);
        match view::fetch(self.context) {
            Ok((state, local)) => {
                let place = resource::place(&Picture::new(&state, &local), self.resource);
                Look { state: Some(state), place, answers }
            }
            // A daemon that does not answer says nothing about the service.
            Err(_) => Look { state: None, place: None, answers },
        }
    }

    fn is_over(&self, begun: Instant, begun_ms: i64, gone: bool, seen: &Seen, state: Option<&ClusterState>) -> bool {
        let has_moved = seen.to != self.from.node;
        let is_fenced = || state.is_some_and(|state| !fenced(state, begun_ms).is_empty());
        let is_restarted =
            || state.is_some_and(|state| resource::started_ms(state, self.resource, &seen.to) > begun_ms);
        match (fault::expectation(self.drill), self.drill) {
            (Expectation::Moves, _) => has_moved,
            // Of a pair the one without the service may be the one that is fenced.
            (_, Drill::AllLinksLost) => is_fenced(),
            (_, Drill::StandbyLoss) => is_fenced() && begun.elapsed() > QUIET,
            (Expectation::Stays, _) => begun.elapsed() > QUIET,
            (Expectation::Returns, Drill::ProcessDeath) => is_restarted() || begun.elapsed() > BEGIN_MAX,
            (Expectation::Returns, _) => (has_moved || gone) && is_restarted(),
        }
    }

    fn judge(&self, state: &ClusterState, seen: &mut Seen) {
        let has_moved = seen.to != self.from.node;
        let is_restarted = has_moved || resource::started_ms(state, self.resource, &seen.to) != self.started_ms;
        let mut problem = |text: String| seen.problems.push(text);
        match fault::expectation(self.drill) {
            Expectation::Stays if has_moved => problem(format!("the service moved to {}", seen.to)),
            Expectation::Stays if is_restarted => problem("the service was restarted".to_owned()),
            Expectation::Moves if !has_moved => problem("the service did not move".to_owned()),
            _ if self.drill == Drill::ProcessDeath && !is_restarted => {
                problem("the dead process was not noticed".to_owned());
            }
            _ => {}
        }
        let names = seen.fenced.join(" and ");
        match (fault::fences(self.drill), self.victim) {
            (Some(false), _) if !seen.fenced.is_empty() => problem(format!("{names} was fenced, nobody had to be")),
            (Some(true), _) if seen.fenced.len() != 1 => {
                problem(format!("{} hosts were fenced ({names}), one had to be", seen.fenced.len()));
            }
            (Some(true), Some(victim)) if seen.fenced != [victim] => {
                problem(format!("{names} was fenced, {victim} had to be"));
            }
            _ => {}
        }
    }

}

/// Whether the service takes a connection and does not drop it at once.
fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) else {
        return false;
    };
    // Only a zero duration is refused.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    match stream.read(&mut [0; 1]) {
        Ok(bytes) => bytes > 0,
        // A service that waits for its client to begin.
        Err(e) => matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

/// Hosts that were confirmed off since then.
fn fenced(state: &ClusterState, since_ms: i64) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in &state.fencing {
        let is_confirmed = matches!(record.outcome, FenceOutcome::Confirmed(_));
        let is_off = !record.action.eq_ignore_ascii_case("on");
        if record.wall_ms >= since_ms && is_confirmed && is_off && !names.contains(&record.target.0) {
            names.push(record.target.0.clone());
        }
    }
    names
}

/// The first incident's milestones, as seconds after the fault.
fn phases(state: &ClusterState, since_ms: i64) -> Vec<(String, f64)> {
    let mut phases: Vec<(String, f64)> = Vec::new();
    for incident in state.incidents.iter().filter(|incident| incident.began_wall_ms >= since_ms - 2_000) {
        for (name, after_ms) in &incident.milestones {
            let at_ms = incident.began_wall_ms.saturating_add_unsigned(*after_ms);
            if at_ms >= since_ms && !phases.iter().any(|(known, _)| known == name) {
                #[allow(clippy::cast_precision_loss, reason = "milliseconds of a drill")]
                phases.push((name.clone(), (at_ms - since_ms) as f64 / 1_000.0));
            }
        }
    }
    phases
}

/// Something is being started, stopped or looked at. Only the leader knows of running actions; what is pending shows
/// everywhere.
fn is_busy(picture: &Picture) -> bool {
    let active = || picture.resources.iter().flat_map(|line| &line.active);
    !picture.running.is_empty() || active().any(|active| active.pending.is_some())
}

/// Waits until every node is back and nothing needs attention; what is missing where it takes too long.
pub(in crate::commands) fn wait_whole(context: &Context, patience: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        let problem = match view::fetch(context) {
            Ok((state, local)) => {
                let picture = Picture::new(&state, &local);
                let absent = picture.nodes.iter().find(|node| !node.is_online || node.is_learner);
                match absent {
                    Some(node) => Some(format!("{} is {}", node.name, node.state)),
                    None if picture.needs_attention() => Some("something needs attention".to_owned()),
                    None if is_busy(&picture) => Some("actions still run".to_owned()),
                    None => None,
                }
            }
            Err(error) => Some(error.to_string()),
        };
        match problem {
            None => return Ok(begun.elapsed()),
            Some(problem) if begun.elapsed() > patience => return Err(problem),
            Some(_) => std::thread::sleep(Duration::from_millis(250)),
        }
    }
}
