//! The engine against the model: on random runs of real engines, what R2 says of the model's view of each node is what
//! the engine says of itself, and nobody fences or goes on alone whom the model would not let.

use super::{PairView, is_eligible};
use crate::engine::tests::cluster::{Cluster, names};
use crate::ids::NodeName;
use crate::rng::Rng;

fn view(cluster: &Cluster, name: &NodeName) -> Option<PairView> {
    let engine = cluster.nodes[name].engine.as_ref()?;
    let peer = engine.roster.pair_peer(engine.id)?;
    let own = (engine.id, engine.life.incarnation);
    let peer_life = engine
        .name_of(peer)
        .and_then(|peer| engine.contacts.life(&peer).map(|life| life.incarnation));
    let is_named = engine.roster.pair.as_ref().is_some_and(|pair| {
        pair.lives.contains(&own)
            && peer_life.is_some_and(|life| pair.lives.contains(&(peer, life)))
    });
    Some(PairView {
        is_pair: true,
        has_configuration_above: engine.consensus.has_configuration_above(),
        is_named,
        has_no_departing: engine.roster.departing.is_empty(),
    })
}

/// Compares every node with the model; returns how many of them were eligible.
fn compare(cluster: &Cluster, seed: u64) -> u64 {
    let mut eligible = 0;
    for name in cluster.nodes.keys() {
        let Some(view) = view(cluster, name) else {
            continue;
        };
        let engine = cluster.nodes[name].engine.as_ref().expect("it has a view");
        let says = engine.ineligibility();
        let is_ghost = says.as_ref().is_some_and(|why| why.contains("reboot it"));
        // The engine may know one reason more: that it should be off itself.
        assert!(
            is_eligible(view) == says.is_none() || is_ghost,
            "seed {seed}, {name}: {view:?}, but the engine says {says:?}"
        );
        eligible += u64::from(says.is_none());
    }
    eligible
}

#[test]
fn the_engine_does_what_the_model_lets_it_do() {
    let (mut eligible, mut requests, mut alone) = (0, 0, 0);
    for seed in 0..60 {
        let mut cluster = Cluster::started(2, 9_000 + seed);
        let mut rng = Rng::new(seed);
        let all = names(2);
        for _ in 0..40 {
            let name = all[(rng.draw() % 2) as usize].clone();
            let is_on = cluster.nodes[&name].engine.is_some();
            let asked = cluster.nodes[&name].fence_requests;
            match rng.draw() % 8 {
                0 if is_on => cluster.stop(&name),
                1 | 2 if !is_on => cluster.power_on(&name),
                3 => cluster.isolate(&name),
                4 => cluster.heal(),
                5 if is_on => {
                    cluster.propose(&name, b"entry");
                }
                _ => {}
            }
            // Short steps: a request for fencing is seen before its verdict changes everything.
            for _ in 0..(rng.draw() % 40) {
                cluster.run(10);
                eligible += compare(&cluster, seed);
            }
            let asks = cluster.nodes[&name].fence_requests > asked;
            requests += u64::from(asks);
        }
        for name in &all {
            let engine = cluster.nodes[name].engine.as_ref();
            alone += u64::from(engine.is_some_and(|engine| engine.roster.voters().len() == 1));
        }
    }
    assert!(
        eligible > 1_000 && requests > 5 && alone > 2,
        "too little happened: {eligible} {requests} {alone}"
    );
}
