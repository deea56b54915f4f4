//! Seeds that once found something, and a few that always run.

use quorate_sim::brain::Production;
use quorate_sim::scenario::{Scenario, Shapes};
use quorate_sim::trace::Trace;
use quorate_sim::world::run;

fn plays(seed: u64) {
    let outcome = run(
        &Scenario::draw(seed, Shapes::Any),
        &Production,
        Trace::default(),
    );
    assert_eq!(
        outcome.violation, None,
        "cargo xtask sim replay {seed} --shrink --trace"
    );
}

#[test]
fn a_lost_quorum_stops_what_was_begun_before_what_it_needs() {
    plays(20);
}

#[test]
fn a_cleanup_stops_nothing_before_the_probes_are_back() {
    plays(39);
}

#[test]
fn a_loss_during_a_fencing_fences_no_next_boot() {
    plays(59);
}

#[test]
fn the_first_seeds_play() {
    for seed in 0..8 {
        plays(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    for seed in [3, 20, 39] {
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
