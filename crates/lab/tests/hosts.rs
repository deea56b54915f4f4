//! Hosts boot, talk, die when a peer powers them off, and come back with their disk.

use std::time::Instant;

use quorate_lab::{BmcMode, Host, Lab, LabOptions, Link};

/// Labs need root; anywhere else these tests say loudly that they proved nothing.
fn lab(name: &str, hosts: &[&str]) -> Option<Lab> {
    match Lab::up(&LabOptions::new(name, hosts)) {
        Err(error) if error.is_about_the_machine() => {
            eprintln!("SKIPPED: {name}: {error}");
            None
        }
        other => Some(other.expect("the lab comes up")),
    }
}

fn ipmi(from: &Host, target: &Host, verb: &[&str]) -> Result<String, quorate_lab::LabError> {
    let mut words = target.ipmitool();
    words.extend(verb.iter().map(ToString::to_string));
    from.run(words)
}

#[test]
fn a_peer_powers_a_host_off_and_on_again() {
    let begun = Instant::now();
    let Some(lab) = lab("test-power", &["n1", "n2"]) else {
        return;
    };
    eprintln!("up after {:?}", begun.elapsed());
    let (n1, n2) = (lab.host("n1").unwrap(), lab.host("n2").unwrap());
    assert_eq!(n1.run(["hostname"]).unwrap(), "n1\n");
    assert_eq!(n2.run(["cat", "/proc/1/comm"]).unwrap(), "systemd\n");
    for name in ["n2", "n2-link1", "n2-link2", "n2-bmc"] {
        n1.run(["ping", "-c1", "-W1", name]).unwrap();
    }
    n2.shell("echo kept >/var/lib/kept; sync; mount /dev/shared /mnt; echo shared >/mnt/file; sync; echo lost >/var/lib/lost")
        .unwrap();
    assert!(n2.has_shared_mounted());
    assert_eq!(
        ipmi(n1, n2, &["power", "status"]).unwrap(),
        "Chassis Power is on\n"
    );

    let begun = Instant::now();
    ipmi(n1, n2, &["power", "off"]).unwrap();
    eprintln!("off after {:?}", begun.elapsed());
    assert!(!n2.powered().unwrap());
    assert_eq!(
        ipmi(n1, n2, &["power", "status"]).unwrap(),
        "Chassis Power is off\n"
    );
    n1.run(["ping", "-c1", "-W1", "n2"]).unwrap_err();
    // The survivor mounts the disk: the journal is replayed, what was synced is there.
    n1.run(["mount", "/dev/shared", "/mnt"]).unwrap();
    assert_eq!(n1.run(["cat", "/mnt/file"]).unwrap(), "shared\n");
    n1.run(["umount", "/mnt"]).unwrap();

    let begun = Instant::now();
    ipmi(n1, n2, &["power", "on"]).unwrap();
    n2.wait_ready().unwrap();
    eprintln!("booted again after {:?}", begun.elapsed());
    assert_eq!(n2.run(["cat", "/var/lib/kept"]).unwrap(), "kept\n");
    assert!(!n2.has_shared_mounted());
    n2.run(["test", "!", "-e", "/var/lib/lost"]).unwrap();
    n1.run(["ping", "-c1", "-W1", "n2-link1"]).unwrap();
}

#[test]
fn bmcs_can_lie_and_links_can_be_cut() {
    let Some(lab) = lab("test-faults", &["n1", "n2"]) else {
        return;
    };
    let (n1, n2) = (lab.host("n1").unwrap(), lab.host("n2").unwrap());
    n2.set_bmc_mode(BmcMode::Liar).unwrap();
    ipmi(n1, n2, &["power", "off"]).unwrap();
    assert_eq!(
        ipmi(n1, n2, &["power", "status"]).unwrap(),
        "Chassis Power is off\n"
    );
    assert!(n2.powered().unwrap(), "a liar leaves the host up");
    n2.set_bmc_mode(BmcMode::Stuck).unwrap();
    ipmi(n1, n2, &["power", "off"]).unwrap();
    assert_eq!(
        ipmi(n1, n2, &["power", "status"]).unwrap(),
        "Chassis Power is on\n"
    );
    n2.set_bmc_mode(BmcMode::WrongPassword).unwrap();
    ipmi(n1, n2, &["power", "status"]).unwrap_err();
    n2.set_bmc_mode(BmcMode::Honest).unwrap();
    ipmi(n1, n2, &["power", "status"]).unwrap();

    n2.cut(Link::Link1).unwrap();
    n1.run(["ping", "-c1", "-W1", "n2-link1"]).unwrap_err();
    n1.run(["ping", "-c1", "-W1", "n2-link2"]).unwrap();
    assert_eq!(lab.status().unwrap()[1].cut, ["link1"]);
    n2.freeze().unwrap();
    n1.run(["ping", "-c1", "-W1", "n2-link2"]).unwrap();
    assert!(lab.status().unwrap()[1].frozen);
    lab.heal().unwrap();
    n1.run(["ping", "-c1", "-W1", "n2-link1"]).unwrap();
    assert_eq!(n2.run(["hostname"]).unwrap(), "n2\n");

    // A frozen host dies of a power cut, too.
    n2.freeze().unwrap();
    ipmi(n1, n2, &["power", "reset"]).unwrap();
    n2.wait_ready().unwrap();
    // An orderly reboot is a new life of the same host.
    let boot = n2.run(["cat", "/proc/sys/kernel/random/boot_id"]).unwrap();
    n2.run(["systemctl", "reboot"]).unwrap();
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let again = n2.output(["cat", "/proc/sys/kernel/random/boot_id"]);
        if again.is_ok_and(|out| out.status.success() && out.stdout != boot.as_bytes()) {
            break;
        }
        assert!(Instant::now() < deadline, "the host reboots");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    n2.wait_ready().unwrap();
    n1.run(["ping", "-c1", "-W1", "n2-link2"]).unwrap();
}
