use super::faulty::FaultyDisk;
use super::*;
use crate::ids::{Lineage, RaftId};
use crate::start::{Founder, Genesis, Identity};

pub(crate) fn identity() -> Identity {
    Identity {
        cluster: "test".into(),
        lineage: Lineage(7),
        raft_id: RaftId(1),
        genesis: Some(Genesis {
            founders: vec![Founder {
                name: "n1".into(),
                raft_id: RaftId(1),
                addresses: vec!["n1:1".into()],
                fingerprint: String::new(),
                is_witness: false,
            }],
            configuration: String::new(),
        }),
        contacts: Vec::new(),
    }
}

fn fresh() -> FaultyDisk {
    let disk = FaultyDisk::new();
    initialise(disk.clone(), &"n1".into(), &identity()).unwrap();
    disk
}

/// A sequence of batches with every kind of operation.
fn batches() -> Vec<Batch> {
    let entry = |n: u8| vec![n; 300];
    let put = |key: &str, n: u8| StoreOp::Put {
        key: key.into(),
        value: vec![n; 2000],
    };
    let operations = vec![
        vec![
            StoreOp::Append {
                first: 2,
                entries: vec![entry(2), entry(3), entry(4)],
            },
            put("hard", 1),
        ],
        vec![
            StoreOp::Append {
                first: 4,
                entries: vec![entry(5), entry(6)],
            },
            put("hard", 2),
        ],
        vec![StoreOp::Compact { upto: 3 }, put("snapshot", 3)],
        vec![StoreOp::ClearLog, put("snapshot", 4), put("hard", 5)],
        vec![StoreOp::Append {
            first: 20,
            entries: vec![entry(7)],
        }],
    ];
    operations
        .into_iter()
        .zip(1..)
        .map(|(operations, id)| Batch {
            id: BatchId(id),
            operations,
        })
        .collect()
}

#[test]
fn an_empty_disk_says_what_to_do() {
    let error = open(FaultyDisk::new()).unwrap_err();
    assert!(error.to_string().contains("quorate init"), "{error}");
}

#[test]
fn a_used_disk_is_not_initialised_again() {
    let disk = fresh();
    let error = initialise(disk, &"n2".into(), &identity()).unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { name } if name.0 == "n1"));
}

#[test]
fn reads_back_what_was_committed() {
    let disk = fresh();
    let (mut store, mut model) = open(disk.clone()).unwrap();
    for batch in batches() {
        store.commit(&batch).unwrap();
        model.apply(&batch);
        let (_, saved) = open(disk.copy()).unwrap();
        assert_eq!(saved, model);
    }
}

#[test]
fn every_crash_point_opens_to_the_last_or_the_running_commit() {
    let before = fresh();
    let start = before.operations();
    let total = {
        let disk = before.copy();
        let (mut store, _) = open(disk.clone()).unwrap();
        for batch in batches() {
            store.commit(&batch).unwrap();
        }
        disk.operations()
    };
    let _ = start;
    let mut rng = 0x9e37_79b9_7f4a_7c15_u64;
    let mut coin = move || {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        rng & 1 == 1
    };
    for point in 0..=total {
        let disk = before.copy();
        disk.fail_from(point);
        let mut acknowledged = open(before.copy()).unwrap().1;
        let mut attempted = acknowledged.clone();
        if let Ok((mut store, _)) = open(disk.clone()) {
            for batch in batches() {
                attempted.apply(&batch);
                if store.commit(&batch).is_err() {
                    break;
                }
                acknowledged = attempted.clone();
            }
            let after = disk.power_loss(&mut coin);
            drop(store);
            let (_, saved) = open(after).unwrap();
            assert!(
                saved == acknowledged || saved == attempted,
                "crash at operation {point}"
            );
        }
    }
}

#[test]
fn damage_is_refused_or_harmless() {
    let disk = fresh();
    let (mut store, _) = open(disk.clone()).unwrap();
    for batch in batches() {
        store.commit(&batch).unwrap();
    }
    let image = disk.copy();
    let (_, whole) = open(image.copy()).unwrap();
    let mut refused = 0;
    for offset in (0..image.length()).step_by(997) {
        let damaged = image.copy();
        damaged.flip(offset, 3);
        match open(damaged) {
            Ok((_, saved)) => assert!(saved == whole, "flip at {offset}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0);
    for length in [0, 100, 4096, image.length() / 2] {
        let cut = image.copy();
        cut.truncate(length);
        assert!(open(cut).is_err(), "cut at {length}");
    }
}
