//! Holes that a careless version has, each shown to be closed.

use super::*;
use crate::engine::tests::cluster::{Answer, names};
use crate::engine::{Blocked, EngineInput, MemberChange, MemberRole, Settings};
use crate::ids::{Lineage, NodeName};

/// The two that are not this one.
fn others(of: &NodeName) -> (NodeName, NodeName) {
    let mut rest = names(3).into_iter().filter(|name| name != of);
    let mut next = || rest.next().expect("three nodes");
    (next(), next())
}

/// One voter takes in a second, which is cut off after so many milliseconds; the second weighs more, so that it would be
/// the first to fence. Gives the cluster and the entries that were acknowledged.
fn second_voter_cut_off_after(ms: u64) -> (Cluster, Vec<Vec<u8>>) {
    let (first, second): (NodeName, NodeName) = ("n1".into(), "n2".into());
    let mut cluster = Cluster::started(1, 700 + ms);
    cluster.wait_leader();
    cluster.disk_ms = 8;
    cluster.change(&MemberChange::AddLearner {
        name: second.clone(),
        addresses: vec!["n2:1".into(), "n2:2".into()],
        promote: true,
    });
    let identity = cluster.joiner(2);
    cluster.add_disk(&second, identity);
    cluster.power_on(&second);
    for (name, own_weight, peer_weight) in [(&first, 0, 10), (&second, 10, 0)] {
        let settings = Settings {
            own_weight,
            peer_weight,
            ..cluster.settings
        };
        cluster.step(name, EngineInput::Settings(settings));
    }
    cluster.run_until("the learner", 10_000, |c| {
        c.role("n1", "n2") == Some(MemberRole::Learner)
    });
    cluster.run_until("the vote on its way", 10_000, |c| {
        c.engine("n1").consensus.has_configuration_above()
    });
    let mut tags = Vec::new();
    for number in 0..ms + 40 {
        if number == ms {
            cluster.isolate(&second);
        }
        if number % 8 == 0 {
            let payload = number.to_be_bytes().to_vec();
            tags.push((cluster.propose(&first, &payload), payload));
        }
        cluster.run(1);
    }
    cluster.run(12_000);
    let answers = &cluster.nodes[&first].answers;
    let is_committed = |tag: &u64| answers.get(tag) == Some(&Answer::Committed);
    let acknowledged = tags.into_iter().filter(|(tag, _)| is_committed(tag));
    let acknowledged = acknowledged.map(|(_, payload)| payload).collect();
    (cluster, acknowledged)
}

/// A change of voters takes effect when it is applied: the entry behind it may be committed by the old voters alone. The
/// new one must not go on without that entry.
#[test]
fn a_voter_added_and_the_next_entry_committed_by_the_old_set_alone() {
    let (mut first_alone, mut second_went_on) = (0, 0);
    for ms in (0..300).step_by(5) {
        let (cluster, acknowledged) = second_voter_cut_off_after(ms);
        match cluster.leader() {
            Some(leader) if leader.0 == "n2" => second_went_on += 1,
            _ => first_alone += 1,
        }
        if let Some(leader) = cluster.leader() {
            for payload in &acknowledged {
                assert!(
                    cluster.has_state(&leader, payload),
                    "{ms} ms: {leader} goes on without an acknowledged entry"
                );
            }
        }
    }
    // Both sides of the race were there.
    assert!(
        first_alone > 0 && second_went_on > 0,
        "{first_alone} and {second_went_on}"
    );
}

/// The two that are left are a pair by their configuration, but a third may still vote by its own.
#[test]
fn a_removal_committed_but_not_applied_on_the_removed() {
    for seed in 0..10 {
        let mut cluster = Cluster::started(3, 800 + seed);
        let leader = cluster.wait_leader();
        cluster.run(1_000);
        let (removed, left) = others(&leader);
        cluster.isolate(&removed);
        cluster.change(&MemberChange::Remove {
            name: removed.clone(),
        });
        cluster.run(500);
        assert_eq!(cluster.role(&left.0, &removed.0), None, "seed {seed}");
        cluster.stop(&leader);
        cluster.heal();
        cluster.run(15_000);
        assert_eq!(cluster.leader(), None, "seed {seed}");
        assert_eq!(cluster.nodes[&left].fence_requests, 0, "seed {seed}");
        assert_eq!(cluster.nodes[&removed].fence_requests, 0, "seed {seed}");
        cluster.power_on(&leader);
        let name = left.clone();
        cluster.run_until("a pair", 10_000, move |c| {
            let roster = &c.engine(&name.0).roster;
            roster.departing.is_empty() && roster.pair.is_some()
        });
        assert!(
            cluster.nodes[&removed]
                .engine
                .as_ref()
                .is_none_or(|e| e.leads().is_none())
        );
    }
}

/// The leader believes in a pair, of which the other half has never heard.
#[test]
fn a_witness_removed_while_one_node_lacks_the_entry() {
    for seed in 0..10 {
        let mut cluster = Cluster::started(3, 820 + seed);
        let leader = cluster.wait_leader();
        cluster.run(1_000);
        let (witness, lacks) = others(&leader);
        cluster.isolate(&lacks);
        cluster.change(&MemberChange::Remove {
            name: witness.clone(),
        });
        assert_eq!(
            cluster.role(&lacks.0, &witness.0),
            Some(MemberRole::Voter),
            "seed {seed}"
        );
        let before = cluster.nodes[&leader].fence_requests;
        cluster.heal();
        cluster.isolate(&leader);
        cluster.run(10_000);
        assert_eq!(cluster.nodes[&leader].fence_requests, before, "seed {seed}");
        cluster.heal();
        cluster.run_until("a leader", 10_000, |c| c.leader().is_some());
        let now_leads = cluster.wait_leader();
        cluster.commit(&now_leads, b"after");
        cluster.run(3_000);
        for name in [&leader, &lacks] {
            assert!(cluster.has_state(name, b"after"), "seed {seed}: {name}");
            assert_eq!(cluster.role(&name.0, &witness.0), None, "seed {seed}");
        }
    }
}

/// The operator's word against the disk of the one that went on: two lineages, which never become one.
#[test]
fn force_on_one_side_while_the_disk_of_the_other_leads_alone() {
    let mut cluster = Cluster::started(2, 840);
    let survivor = cluster.wait_leader();
    cluster.commit(&survivor, b"both");
    cluster.run(2_000);
    let dead = names(2)
        .into_iter()
        .find(|name| *name != survivor)
        .expect("two nodes");
    cluster.stop(&dead);
    let name = survivor.clone();
    cluster.run_until("the survivor", 10_000, move |c| {
        c.engine(&name.0).roster.voters().len() == 1 && c.leader() == Some(name.clone())
    });
    cluster.commit(&survivor, b"alone");
    cluster.stop(&survivor);
    // The other comes back, and the operator believes that the survivor is gone for good.
    cluster.power_on(&dead);
    cluster.run(3_000);
    let force = EngineInput::Force {
        lineage: Lineage(99),
        off: vec![survivor.clone()],
    };
    cluster.step(&dead, force);
    let name = dead.clone();
    cluster.run_until("alone", 3_000, move |c| c.leader() == Some(name.clone()));
    cluster.commit(&dead, b"forced");
    // It was not: its disk leads alone, too.
    cluster.power_on(&survivor);
    cluster.run(10_000);
    for (name, own, foreign) in [
        (&survivor, b"alone".as_slice(), b"forced".as_slice()),
        (&dead, b"forced", b"alone"),
    ] {
        let node = &cluster.nodes[name];
        let is_refused = |blocked: &Blocked| matches!(blocked, Blocked::OtherLineage { .. });
        assert!(
            node.blocked.iter().any(is_refused),
            "{}",
            cluster.describe()
        );
        assert!(cluster.has_state(name, own) && !cluster.has_state(name, foreign));
        assert_eq!(cluster.engine(&name.0).roster.voters().len(), 1);
    }
    assert_ne!(
        cluster.engine("n1").lineage(),
        cluster.engine("n2").lineage()
    );
}

/// Answers and heartbeats that are seconds old give nobody a lease.
#[test]
fn a_frozen_host_that_wakes_with_heartbeats_in_its_buffers() {
    for seed in 0..10 {
        for is_leader in [false, true] {
            let mut cluster = Cluster::started(3, 860 + seed);
            let leader = cluster.wait_leader();
            cluster.run(2_000);
            let frozen = if is_leader {
                leader.clone()
            } else {
                others(&leader).0
            };
            cluster.nodes.get_mut(&frozen).expect("known").is_frozen = true;
            cluster.run(5_000);
            let name = frozen.clone();
            cluster.thaw(&frozen, move |c| {
                let engine = c.engine(&name.0);
                let until = engine.lease_until().unwrap_or_default();
                assert!(
                    until <= c.now,
                    "seed {seed}, leader {is_leader}: a lease until {until} at {}",
                    c.now
                );
            });
            cluster.run(3_000);
            let now_leads = cluster.wait_leader();
            cluster.commit(&now_leads, b"after");
            cluster.converge();
        }
    }
}
