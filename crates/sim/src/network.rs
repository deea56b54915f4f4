//! Two links between every two machines, each direction with a life of its own.

use std::collections::BTreeMap;

use crate::rng::{Rate, Rng};
use crate::time::{MS, Time};
use crate::truth::Host;

/// How many links there are.
pub const LINKS: u8 = 2;

/// One direction of one link between two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wire {
    /// Sender.
    pub from: Host,
    /// Receiver.
    pub to: Host,
    /// Link 0 or 1.
    pub link: u8,
}

/// Named rates of what the network does to frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkRates {
    /// A frame is lost.
    pub loss: Rate,
    /// A frame arrives twice.
    pub duplicate: Rate,
    /// A frame takes much longer than the others, and is overtaken.
    pub straggle: Rate,
}

/// The network.
#[derive(Debug)]
pub struct Network {
    /// How many faults cut each wire now.
    cuts: BTreeMap<Wire, u32>,
    rates: NetworkRates,
    rng: Rng,
    /// When a frame of a peer last arrived over each wire: the shell's idea of the best link.
    heard: BTreeMap<Wire, Time>,
}

impl Network {
    /// A network without cuts.
    #[must_use]
    pub fn new(rates: NetworkRates, rng: Rng) -> Self {
        Self {
            cuts: BTreeMap::new(),
            rates,
            rng,
            heard: BTreeMap::new(),
        }
    }

    /// Cuts a wire; cuts add up.
    pub fn cut(&mut self, wire: Wire) {
        *self.cuts.entry(wire).or_default() += 1;
    }

    /// Takes one cut back.
    pub fn heal(&mut self, wire: Wire) {
        if let Some(count) = self.cuts.get_mut(&wire) {
            *count -= 1;
            if *count == 0 {
                self.cuts.remove(&wire);
            }
        }
    }

    /// Everything works from now on.
    pub fn heal_all(&mut self) {
        self.cuts.clear();
        self.rates = NetworkRates::default();
    }

    /// Frames get through (rates apart).
    #[must_use]
    pub fn is_open(&self, wire: Wire) -> bool {
        !self.cuts.contains_key(&wire)
    }

    /// Both directions work on some link.
    #[must_use]
    pub fn is_connected(&self, one: Host, other: Host) -> bool {
        (0..LINKS).any(|link| {
            let there = Wire {
                from: one,
                to: other,
                link,
            };
            let back = Wire {
                from: other,
                to: one,
                link,
            };
            self.is_open(there) && self.is_open(back)
        })
    }

    /// All four wires between the two work.
    #[must_use]
    pub fn is_whole(&self, one: Host, other: Host) -> bool {
        (0..LINKS).all(|link| {
            self.is_open(Wire {
                from: one,
                to: other,
                link,
            }) && self.is_open(Wire {
                from: other,
                to: one,
                link,
            })
        })
    }

    /// The rates lose or delay enough to look like an outage.
    #[must_use]
    pub fn is_rough(&self) -> bool {
        self.rates.loss >= Rate::percent(5) || self.rates.straggle >= Rate::percent(5)
    }

    /// A frame of `from` arrived at `to`. A link of which only one direction works is soon silent in both for those who
    /// use it (nothing is acknowledged): it does not count as heard.
    pub fn arrived(&mut self, wire: Wire, now: Time) {
        let back = Wire {
            from: wire.to,
            to: wire.from,
            ..wire
        };
        if self.is_open(back) {
            self.heard.insert(wire, now);
        }
    }

    /// The link that `from` takes for `to`: over which it heard last; link 0 where that is equal.
    #[must_use]
    pub fn best_link(&self, from: Host, to: Host) -> u8 {
        let heard = |link| {
            let wire = Wire {
                from: to,
                to: from,
                link,
            };
            // Within a tenth of a second the links are equally good.
            self.heard.get(&wire).copied().unwrap_or(0) / (100 * MS)
        };
        u8::from(heard(1) > heard(0) + 2)
    }

    /// When a frame sent now arrives: not at all, once or twice.
    pub fn arrivals(&mut self, wire: Wire, now: Time) -> Vec<Time> {
        if !self.is_open(wire) || self.rng.chance(self.rates.loss) {
            return Vec::new();
        }
        let mut arrivals = vec![now + self.delay()];
        if self.rng.chance(self.rates.duplicate) {
            arrivals.push(now + self.delay());
        }
        arrivals
    }

    fn delay(&mut self) -> Time {
        let usual = self.rng.between(100, 600);
        if self.rng.chance(self.rates.straggle) {
            usual + self.rng.below(400 * MS)
        } else {
            usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: Wire = Wire {
        from: Host(0),
        to: Host(1),
        link: 0,
    };

    #[test]
    fn cuts_add_up_and_are_one_way() {
        let mut net = Network::new(NetworkRates::default(), Rng::new(1));
        net.cut(WIRE);
        net.cut(WIRE);
        assert!(net.arrivals(WIRE, 0).is_empty());
        net.heal(WIRE);
        assert!(!net.is_open(WIRE));
        let back = Wire {
            from: Host(1),
            to: Host(0),
            link: 0,
        };
        assert_eq!(net.arrivals(back, 0).len(), 1);
        assert!(net.is_connected(Host(0), Host(1)), "link 1 is left");
        assert!(!net.is_whole(Host(0), Host(1)));
        net.heal(WIRE);
        assert_eq!(net.arrivals(WIRE, 0).len(), 1);
    }

    #[test]
    fn the_best_link_is_the_one_that_is_heard() {
        let mut net = Network::new(NetworkRates::default(), Rng::new(1));
        assert_eq!(net.best_link(Host(0), Host(1)), 0);
        net.arrived(
            Wire {
                from: Host(1),
                to: Host(0),
                link: 1,
            },
            5_000 * MS,
        );
        assert_eq!(net.best_link(Host(0), Host(1)), 1);
    }

    #[test]
    fn loss_and_duplicates_follow_their_rates() {
        let rates = NetworkRates {
            loss: Rate::percent(50),
            duplicate: Rate::percent(50),
            straggle: Rate::NEVER,
        };
        let mut net = Network::new(rates, Rng::new(1));
        let counts: Vec<usize> = (0..1000).map(|_| net.arrivals(WIRE, 0).len()).collect();
        assert!(counts.iter().filter(|count| **count == 0).count() > 400);
        assert!(counts.iter().filter(|count| **count == 2).count() > 150);
    }
}
