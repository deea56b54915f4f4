use super::*;
use crate::engine::tests::cluster::{Answer, names};
use crate::engine::{ContactState, EngineInput, MemberChange, MemberRole};
use crate::ids::NodeName;

fn add(name: &str) -> MemberChange {
    MemberChange::AddLearner {
        name: name.into(),
        addresses: vec![format!("{name}:1"), format!("{name}:2")],
        promote: true,
    }
}

#[test]
fn one_node_leads_alone_at_once() {
    let mut cluster = Cluster::started(1, 1);
    let took = cluster.run_until("a leader", 5_000, |c| c.node("n1").dispatch_ready.is_some());
    assert!(took < 200, "{took}");
    cluster.commit(&"n1".into(), b"x");
    cluster.stop(&"n1".into());
    cluster.power_on(&"n1".into());
    cluster.run_until("the entry again", 5_000, |c| {
        c.has_state(&"n1".into(), b"x")
    });
}

#[test]
fn three_nodes_elect_commit_and_agree() {
    let mut cluster = Cluster::started(3, 2);
    let took = cluster.run_until("a leader", 5_000, |c| c.leader().is_some());
    assert!(took < 2_500, "{took}");
    for (name, n) in names(3).iter().zip(0_u8..) {
        cluster.commit(name, &[n]);
    }
    cluster.converge();
    assert_eq!(cluster.node("n1").state.len(), 3);
    cluster.run(2_000);
    assert!(
        cluster
            .node("n1")
            .contact
            .values()
            .all(|c| matches!(c, ContactState::Met { .. }))
    );
}

#[test]
fn a_dead_leader_is_replaced_within_the_detection_time() {
    for seed in 0..20 {
        let mut cluster = Cluster::started(3, seed);
        let leader = cluster.wait_leader();
        cluster.run(3_000);
        cluster.stop(&leader);
        let took = cluster.run_until("a new leader", 10_000, |c| c.leader().is_some());
        assert!(took < 1_500, "seed {seed}: {took}");
        let took_dispatch = took
            + cluster.run_until("dispatch", 10_000, |c| {
                let leader = c.leader().unwrap();
                c.nodes[&leader].dispatch_ready
                    == c.nodes[&leader]
                        .engine
                        .as_ref()
                        .unwrap()
                        .leads()
                        .map(|t| t.0)
            });
        assert!(took_dispatch < 1_600, "seed {seed}: {took_dispatch}");
        let survivor = cluster.leader().unwrap();
        cluster.run_until("the loss", 3_000, |c| {
            matches!(
                c.nodes[&survivor].contact[&leader],
                ContactState::Lost { .. }
            )
        });
        cluster.commit(&survivor, b"after");
        cluster.power_on(&leader);
        cluster.converge();
    }
}

#[test]
fn detection_works_at_300_ms() {
    let mut cluster = Cluster::new(3, 5);
    cluster.settings.detection_ms = 300;
    for name in names(3) {
        cluster.power_on(&name);
    }
    let leader = cluster.wait_leader();
    cluster.run(10_000);
    assert_eq!(cluster.leader(), Some(leader.clone()), "nothing moves");
    let other = names(3).into_iter().find(|name| *name != leader).unwrap();
    cluster.nodes.get_mut(&other).unwrap().is_frozen = true;
    let watcher = leader.clone();
    let took = cluster.run_until("the loss", 2_000, move |c| {
        matches!(c.nodes[&watcher].contact[&other], ContactState::Lost { .. })
    });
    assert!((200..=320).contains(&took), "{took}");
}

#[test]
fn one_link_is_enough() {
    let mut cluster = Cluster::started(3, 6);
    let leader = cluster.wait_leader();
    cluster.run(2_000);
    cluster.cut_links.insert(0);
    cluster.run(5_000);
    assert_eq!(cluster.leader(), Some(leader.clone()));
    assert!(
        cluster.nodes[&leader]
            .contact
            .values()
            .all(|c| !matches!(c, ContactState::Lost { .. }))
    );
}

#[test]
fn an_isolated_leader_loses_its_lease_before_the_next_dispatches() {
    // `check_leases` in the harness asserts it.
    for seed in 0..20 {
        let mut cluster = Cluster::started(3, 100 + seed);
        let leader = cluster.wait_leader();
        cluster.run(2_000 + seed * 37);
        cluster.isolate(&leader);
        cluster.run_until("dispatch elsewhere", 10_000, |c| {
            c.nodes.iter().any(|(name, node)| {
                *name != leader
                    && node.engine.as_ref().unwrap().leads().is_some()
                    && node.dispatch_ready == node.engine.as_ref().unwrap().leads().map(|t| t.0)
            })
        });
        let old = cluster.nodes[&leader].engine.as_ref().unwrap();
        assert!(
            old.leader_lease_until()
                .is_none_or(|until| until <= cluster.now)
        );
        cluster.heal();
        cluster.converge();
    }
}

#[test]
fn chaos_keeps_the_logs_equal() {
    for seed in 0..30 {
        let mut cluster = Cluster::started(3 + (seed as usize % 2) * 2, 1_000 + seed);
        cluster.loss = 30;
        cluster.delay_ms = 40;
        cluster.disk_ms = 60;
        let all: Vec<NodeName> = cluster.nodes.keys().cloned().collect();
        let mut acknowledged = Vec::new();
        for round in 0..40_u32 {
            let victim = all[cluster.rng.below(all.len() as u64) as usize].clone();
            match cluster.rng.below(6) {
                0 if cluster.nodes[&victim].engine.is_some() => cluster.stop(&victim),
                0 | 1 if cluster.nodes[&victim].engine.is_none() => cluster.power_on(&victim),
                2 => cluster.isolate(&victim),
                3 => cluster.heal(),
                _ => {}
            }
            let on = all[cluster.rng.below(all.len() as u64) as usize].clone();
            if cluster.nodes[&on].engine.is_some() {
                let tag = cluster.propose(&on, &round.to_be_bytes());
                let wait = cluster.rng.below(900);
                cluster.run(wait);
                if cluster.nodes[&on].answers.get(&tag) == Some(&Answer::Committed) {
                    acknowledged.push(round.to_be_bytes().to_vec());
                }
            }
        }
        cluster.heal();
        cluster.loss = 0;
        for name in &all {
            if cluster.nodes[name].engine.is_none() {
                cluster.power_on(name);
            }
        }
        cluster.commit(&all[0], b"end");
        cluster.converge();
        for payload in acknowledged {
            assert!(
                cluster.has_state(&all[0], &payload),
                "seed {seed}: an acknowledged entry is gone"
            );
        }
    }
}

#[test]
fn a_learner_becomes_a_voter() {
    let mut cluster = Cluster::started(1, 11);
    cluster.commit(&"n1".into(), b"before");
    cluster.change(&add("n2"));
    let identity = cluster.joiner(2);
    cluster.add_disk(&"n2".into(), identity);
    cluster.power_on(&"n2".into());
    cluster.run_until("the vote", 10_000, |c| {
        c.role("n1", "n2") == Some(MemberRole::Voter)
    });
    cluster.converge();
    assert!(cluster.has_state(&"n2".into(), b"before"));
    assert!(cluster.node("n2").restores >= 2, "it came by a snapshot");
    cluster.change(&add("n3"));
    let identity = cluster.joiner(3);
    cluster.add_disk(&"n3".into(), identity);
    cluster.power_on(&"n3".into());
    cluster.run_until("the vote", 10_000, |c| {
        c.role("n1", "n3") == Some(MemberRole::Voter)
    });
    cluster.stop(&"n1".into());
    let leader = cluster.wait_leader();
    cluster.commit(&leader, b"without n1");
    cluster.power_on(&"n1".into());
    cluster.converge();
}

#[test]
fn a_long_log_is_compacted_and_a_late_node_gets_the_snapshot() {
    let mut cluster = Cluster::started(3, 12);
    let leader = cluster.wait_leader();
    let late = names(3).into_iter().find(|name| *name != leader).unwrap();
    cluster.stop(&late);
    for n in 0..3_000_u32 {
        cluster.propose(&leader, &n.to_be_bytes());
        if n % 50 == 0 {
            cluster.run(20);
        }
    }
    let name = leader.clone();
    cluster.run_until("all of it", 20_000, move |c| {
        c.nodes[&name].state.len() == 3_000
    });
    assert!(cluster.nodes[&leader].disk.entries.len() < 2_500);
    cluster.loss = 50;
    cluster.power_on(&late);
    cluster.converge();
    assert!(cluster.nodes[&late].restores >= 2);
    cluster.stop(&late);
    cluster.power_on(&late);
    cluster.converge();
}

#[test]
fn a_removed_node_is_told_and_stays_out() {
    let mut cluster = Cluster::started(3, 13);
    let leader = cluster.wait_leader();
    let gone = names(3).into_iter().find(|name| *name != leader).unwrap();
    cluster.stop(&gone);
    cluster.change(&MemberChange::Remove { name: gone.clone() });
    cluster.power_on(&gone);
    cluster.run(5_000);
    assert!(!cluster.nodes[&gone].blocked.is_empty());
    assert!(
        cluster.nodes[&gone]
            .engine
            .as_ref()
            .unwrap()
            .leads()
            .is_none()
    );
    // The two that are left become a pair only after the removed one has acknowledged it.
    assert!(
        cluster.nodes[&leader]
            .engine
            .as_ref()
            .unwrap()
            .roster
            .departing
            .is_empty()
    );
    assert!(
        cluster.nodes[&leader]
            .engine
            .as_ref()
            .unwrap()
            .roster
            .pair
            .is_some()
    );
    cluster.stop(&gone);
    cluster.power_on(&gone);
    cluster.run(3_000);
    assert!(!cluster.nodes[&gone].blocked.is_empty());
}

#[test]
fn a_wiped_node_is_refused_and_comes_back_under_a_new_number() {
    let mut cluster = Cluster::started(3, 14);
    let leader = cluster.wait_leader();
    cluster.commit(&leader, b"kept");
    cluster.run(1_000);
    let wiped = names(3).into_iter().find(|name| *name != leader).unwrap();
    cluster.stop(&wiped);
    // The state directory is wiped, but the old number is used again: a copy of the founding disk.
    let identity = cluster.nodes[&wiped].identity.clone();
    cluster.add_disk(&wiped, identity);
    cluster.power_on(&wiped);
    cluster.run(5_000);
    assert!(!cluster.nodes[&wiped].blocked.is_empty(), "it is refused");
    assert!(cluster.nodes[&wiped].state.is_empty());
    cluster.stop(&wiped);
    // Properly joined again.
    cluster.change(&MemberChange::AddLearner {
        name: wiped.clone(),
        addresses: vec!["a:1".into(), "b:1".into()],
        promote: true,
    });
    let identity = cluster.joiner(4);
    cluster.add_disk(&wiped, identity);
    cluster.power_on(&wiped);
    let on = leader.0.clone();
    let name = wiped.0.clone();
    cluster.run_until("the vote", 10_000, move |c| {
        c.role(&on, &name) == Some(MemberRole::Voter)
    });
    cluster.converge();
}

#[test]
fn leadership_can_be_handed_over() {
    let mut cluster = Cluster::started(3, 15);
    let leader = cluster.wait_leader();
    cluster.run(1_000);
    let next = names(3).into_iter().find(|name| *name != leader).unwrap();
    cluster.step(
        &leader,
        EngineInput::TransferLeadership { to: next.clone() },
    );
    let took = cluster.run_until("the hand-over", 2_000, |c| c.leader() == Some(next.clone()));
    assert!(took < 500, "{took}");
}

#[test]
fn a_slow_disk_does_not_look_like_a_lost_node() {
    let mut cluster = Cluster::started(3, 16);
    let leader = cluster.wait_leader();
    cluster.run(1_000);
    cluster.disk_ms = 3_000;
    for n in 0..5_u8 {
        cluster.propose(&leader, &[n]);
        cluster.run(1_000);
    }
    assert_eq!(cluster.leader(), Some(leader.clone()));
    assert!(
        cluster.nodes[&leader]
            .contact
            .values()
            .all(|c| !matches!(c, ContactState::Lost { .. }))
    );
}

#[test]
fn two_thirds_gone_forced_recovery_makes_a_new_lineage() {
    let mut cluster = Cluster::started(3, 17);
    let leader = cluster.wait_leader();
    cluster.commit(&leader, b"kept");
    cluster.converge();
    cluster.stop(&"n1".into());
    cluster.stop(&"n2".into());
    cluster.run(3_000);
    assert!(cluster.leader().is_none());
    let force = |off: &[&str]| EngineInput::Force {
        lineage: crate::ids::Lineage(8),
        off: off.iter().map(|name| (*name).into()).collect(),
    };
    cluster.step(&"n3".into(), force(&["n1"]));
    cluster.run(3_000);
    assert!(cluster.leader().is_none(), "n2 votes and was not named");
    cluster.step(&"n3".into(), force(&["n1", "n2"]));
    cluster.run_until("n3 alone", 2_000, |c| c.leader() == Some("n3".into()));
    cluster.commit(&"n3".into(), b"alone");
    cluster.power_on(&"n1".into());
    cluster.run(5_000);
    assert!(!cluster.node("n1").blocked.is_empty());
    assert!(!cluster.has_state(&"n1".into(), b"alone"));
    cluster.stop(&"n3".into());
    cluster.power_on(&"n3".into());
    cluster.run_until("n3 alone again", 2_000, |c| c.leader() == Some("n3".into()));
    assert_eq!(cluster.engine("n3").lineage(), crate::ids::Lineage(8));
}
