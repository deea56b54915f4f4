//! The client measures a takeover and finds every acknowledged row again.

use std::time::{Duration, Instant};

use quorate_lab::{Client, Lab, LabOptions, database};

#[test]
fn a_takeover_by_hand_loses_no_row() {
    let lab = match Lab::up(&LabOptions::new("test-client", &["n1", "n2"])) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: a_takeover_by_hand_loses_no_row: {error}");
            return;
        }
        other => other.expect("the lab comes up"),
    };
    let servers: Vec<_> = lab.hosts().iter().collect();
    let begun = Instant::now();
    database::prepare(&servers).unwrap();
    eprintln!("database made after {:?}", begun.elapsed());
    database::by_hand::start(servers[0]).unwrap();
    eprintln!("database runs after {:?}", begun.elapsed());
    let client = Client::start(&lab.namespace_file(), database::target());
    assert!(
        client.wait_success(Instant::now(), Duration::from_secs(60)),
        "{}",
        client.last_error()
    );
    assert!(client.wait_steady(
        Duration::from_secs(2),
        Duration::from_secs(2),
        Duration::from_secs(60)
    ));
    let before = client.acknowledged();
    let cut = Instant::now();
    servers[0].power_off().unwrap();
    database::by_hand::take_over(&lab, "n1", "n2").unwrap();
    let back = Instant::now();
    assert!(
        client.wait_success(back, Duration::from_secs(60)),
        "{}",
        client.last_error()
    );
    let outage = client.longest_outage(cut).unwrap();
    eprintln!("{before} rows, then an outage of {:?}", outage.length());
    assert!(outage.length() > Duration::from_millis(200));
    assert!(outage.length() < Duration::from_secs(60));
    assert_eq!(client.lost_rows().unwrap(), Vec::<u64>::new());
    assert!(before > 10);
    database::by_hand::stop(servers[1]).unwrap();
}
