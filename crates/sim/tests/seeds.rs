//! The production core in the simulated world.

use quorate_sim::brain::Production;
use quorate_sim::network::NetworkRates;
use quorate_sim::scenario::{Scenario, Shapes};
use quorate_sim::trace::Trace;
use quorate_sim::world::run;

#[test]
fn clusters_without_faults_start_everything_and_fence_nobody() {
    for machines in [2, 3, 4] {
        let scenario = Scenario {
            steps: Vec::new(),
            network: NetworkRates::default(),
            ..Scenario::draw(1, Shapes::Machines(machines))
        };
        let outcome = run(&scenario, &Production, Trace::default());
        assert_eq!(outcome.violation, None, "{machines} machines");
    }
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    for seed in [3, 20] {
        let scenario = Scenario::draw(seed, Shapes::Any);
        let one = run(&scenario, &Production, Trace::kept())
            .trace
            .into_lines();
        let two = run(&scenario, &Production, Trace::kept())
            .trace
            .into_lines();
        assert!(one == two, "seed {seed}");
    }
}
