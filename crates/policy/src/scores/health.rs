//! Node health.

use crate::ledger::Cause;
use crate::score::{INF, Score, add, parse};
use crate::world::World;

impl World<'_> {
    /// Adds each node's health to all resources.
    pub fn apply_health(&mut self) {
        let strategy = self
            .opts
            .text("node-health-strategy")
            .unwrap_or("none")
            .to_owned();
        if strategy == "none" {
            return;
        }
        let custom = |world: &Self, name: &str, default: Score| world.opts.score(name, default);
        let (base, red, yellow, green) = match strategy.as_str() {
            "migrate-on-red" => (0, -INF, 0, 0),
            "only-green" => (0, -INF, -INF, 0),
            "progressive" | "custom" => (
                if strategy == "progressive" {
                    custom(self, "node-health-base", 0)
                } else {
                    0
                },
                custom(self, "node-health-red", -INF),
                custom(self, "node-health-yellow", 0),
                custom(self, "node-health-green", 0),
            ),
            _ => return,
        };
        for n in 0..self.nodes.len() {
            let mut health = base;
            let mut worst = 1;
            for (name, value) in &self.nodes[n].attrs {
                if !name.starts_with("#health") {
                    continue;
                }
                let score = match value.as_str() {
                    "red" => red,
                    "yellow" => yellow,
                    "green" => green,
                    number => parse(number),
                };
                worst = worst.min(score);
                health = add(health, score);
            }
            if strategy == "custom" || health == 0 {
                continue;
            }
            let _ = worst;
            for r in self.top.clone() {
                self.health_for(r, n, health);
            }
        }
    }

    fn health_for(&mut self, r: usize, n: usize, health: Score) {
        let ignores = crate::score::is_true(self.meta(r, "allow-unhealthy-nodes"));
        if ignores {
            return;
        }
        let children = self.rscs[r].children.clone();
        let before = self.rscs[r].allowed[n];
        let cell = &mut self.rscs[r].allowed[n];
        cell.score = add(cell.score, health);
        self.ledger_note(r, n, before, || Cause::Health);
        for c in children {
            self.health_for(c, n, health);
        }
    }
}
