//! The lab's network namespace: three bridges, the lab's own address, the BMCs' addresses.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{IoContext, LabError};
use crate::layout::{LAB_ADDRESS, Layout, Link, bmc_address};
use crate::run::{command, run, run_with_input};

/// Makes the namespace with its bridges.
pub(crate) fn make(layout: &Layout, hosts: usize) -> Result<(), LabError> {
    let namespace = layout.namespace();
    run(&mut command(["ip", "netns", "add", &namespace]))?;
    let mut batch = String::from("link set lo up\n");
    for link in Link::ALL {
        let name = link.name();
        // A hardware address of its own: else it would change with the hosts' coming and going, and they would
        // talk to a stale one.
        batch += &format!(
            "link add {name} address 02:71:75:00:{:02x}:fe type bridge mcast_snooping 0 forward_delay 0\n",
            link as u8
        );
        batch += &format!("link set {name} up\n");
    }
    let service = Link::Service.name();
    batch += &format!("address add {LAB_ADDRESS}/24 broadcast + dev {service}\n");
    for index in 1..=hosts {
        batch += &format!("address add {}/24 dev {service}\n", bmc_address(index));
    }
    run_with_input(
        &mut command(["ip", "-n", &namespace, "-batch", "-"]),
        &batch,
    )
    .map(drop)
}

/// Removes the namespace.
pub(crate) fn remove(layout: &Layout) -> Result<(), LabError> {
    if layout.namespace_file().exists() {
        run(&mut command(["ip", "netns", "del", &layout.namespace()]))?;
    }
    Ok(())
}

/// Runs `work` in a thread of its own inside a network namespace.
pub fn inside<T: Send + 'static>(
    namespace: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LabError> {
    let file = File::open(namespace).io("cannot open the network namespace", namespace)?;
    let path = namespace.to_owned();
    std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(std::io::Error::from)
            .io("cannot enter the network namespace", path)?;
        Ok(work())
    })
    .join()
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
