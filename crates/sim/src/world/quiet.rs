//! The quiet phase: all faults heal, an operator looks after the cluster, everything must run in time.

use quorate_core::admin::{Lifetime, Request, Switch};
use quorate_core::ids::NodeName;

use super::{Happening, World};
use crate::checkers::liveness;
use crate::time::{MS, SECOND};
use crate::truth::Fact;

/// So long everything must have run before a run ends.
const STEADY: u64 = 5 * SECOND;

/// So long after the last fault an operator's last request may still take effect: what takes it back comes after it.
const LAST_WORD: u64 = 6 * SECOND;

/// So long after the last fault what an agent was asked for during it may still turn out to have failed; the operator
/// cleans that up, too.
const LAST_FAILURE: u64 = 30 * SECOND;

/// The index after which a state was encoded, where it can be told.
pub(crate) fn applied_index(state: &[u8]) -> Option<u64> {
    // Version, then the fields in order; the whole would be parsed for nothing.
    let mut decoder = minicbor::Decoder::new(state.get(1..)?);
    decoder.array().ok()?;
    decoder.u64().ok()
}

impl World<'_> {
    /// The last fault is over.
    pub(crate) fn quiet_begins(&mut self) {
        self.settle_disturbed();
        self.say_world(|| "QUIET: all faults heal".to_owned());
        for number in self.ongoing.clone() {
            self.step_heals(number);
        }
        self.truth.quiet = true;
        self.net.heal_all();
        for host in self.truth.hosts() {
            let rack = &mut self.racks[host.0];
            rack.bmc.clear();
            rack.cut_from_bmcs = 0;
            rack.slow = 0;
            rack.stays_down = false;
            let powers = rack.powers;
            if let Some(disk) = &rack.disk {
                disk.set_full(false);
                disk.fail_syncs(0);
            }
            self.goes_on(host);
            self.power_on(host);
            self.daemon_starts(host, powers);
        }
        self.fact(&Fact::QuietBegins);
        self.queue.push(self.now() + 500 * MS, Happening::Looks);
        self.queue
            .push(self.now() + LAST_WORD, Happening::SetsRight);
        let request = Request::Cleanup {
            resource: None,
            node: None,
            who: "operator".to_owned(),
        };
        let again = Happening::AsksAgain { request };
        self.queue.push(self.now() + LAST_FAILURE, again);
    }

    /// The operator takes back what was done during the faults.
    pub(crate) fn set_right(&mut self) {
        let who = "operator".to_owned();
        for host in self.truth.hosts() {
            let request = Request::Standby {
                node: NodeName(host.to_string()),
                switch: Switch::Off,
                lifetime: Lifetime::Forever,
                who: who.clone(),
            };
            self.request(request, true);
        }
        let names: Vec<String> = self.truth.resources.keys().cloned().collect();
        for resource in names {
            self.request(
                Request::Clear {
                    resource,
                    node: None,
                    who: who.clone(),
                },
                true,
            );
        }
        self.request(
            Request::Cleanup {
                resource: None,
                node: None,
                who,
            },
            true,
        );
    }

    /// The operator looks whether everything runs.
    pub(crate) fn looks(&mut self) {
        let now = self.now();
        for host in self.truth.hosts() {
            // A machine that fencing left off is switched on by hand; so is a daemon started.
            let since = now - self.scenario.faults_until.min(now);
            if since % (30 * SECOND) < 500 * MS {
                self.power_on(host);
                let powers = self.racks[host.0].powers;
                self.daemon_starts(host, powers);
            }
        }
        let is_set_right = now >= self.scenario.faults_until + LAST_WORD;
        let all_up = self.truth.machines.iter().all(|machine| machine.daemon);
        if is_set_right && all_up && liveness::missing(&self.truth).is_empty() {
            let since = *self.steady_since.get_or_insert(now);
            if now - since >= STEADY {
                return self.ends();
            }
            if now - since >= STEADY / 2 && now - since < STEADY / 2 + 500 * MS {
                self.ask_for_acknowledged();
            }
        } else {
            self.steady_since = None;
        }
        if now >= self.scenario.faults_until + self.scenario.quiet_max {
            return self.ends();
        }
        self.queue.push(now + 500 * MS, Happening::Looks);
    }

    fn ends(&mut self) {
        if let Some(host) = self
            .truth
            .hosts()
            .find(|host| !self.truth.machines[host.0].daemon)
        {
            self.violate(
                "liveness",
                format!("{host} has no running daemon after the quiet phase"),
            );
        }
        self.fact(&Fact::End);
        self.say_world(|| "END".to_owned());
        self.over = true;
    }
}
