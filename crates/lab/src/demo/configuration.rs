//! The wiki's configuration, corrected, with the lab's addresses.

use crate::database::MOUNT_POINT;
use crate::host::Host;
use crate::layout::{BMC_PASSWORD, BMC_USER, VIRTUAL_ADDRESS};

/// Which fence agent the configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fencing {
    /// `stonith:external/ipmi`, as the wiki has it.
    ExternalIpmi,
    /// `stonith:fence_ipmilan` without its pause after switching.
    FenceIpmilan,
}

/// The configuration for the two servers.
#[must_use]
pub fn configuration(servers: &[&Host], fencing: Fencing) -> String {
    let mut text = String::new();
    for host in servers {
        text += &format!("node {}\n", host.name());
    }
    text += &format!(
        r#"primitive db-fs-p ocf:heartbeat:Filesystem \
        params device="/dev/shared" directory="{MOUNT_POINT}" fstype="ext4" \
        op start interval="0" timeout="120" \
        op monitor interval="60" timeout="60" OCF_CHECK_LEVEL="20" \
        op stop interval="0" timeout="240"
primitive nova-ip-p ocf:heartbeat:IPaddr2 \
        params ip="{VIRTUAL_ADDRESS}" nic="service" cidr_netmask="24" \
        op start interval="0" timeout="20s" \
        op stop interval="0" timeout="20s" \
        op monitor interval="5s" timeout="20s"
primitive db-mysql-p ocf:heartbeat:mysql \
        params binary="/usr/sbin/mysqld" config="/etc/mysql/my.cnf" datadir="{MOUNT_POINT}/mysql" pid="/var/run/mysqld/mysqld.pid" socket="/var/run/mysqld/mysqld.sock" additional_parameters="--bind-address={VIRTUAL_ADDRESS}" \
        op start interval="0" timeout="120s" \
        op stop interval="0" timeout="120s" \
        op monitor interval="20s" timeout="30s"
"#
    );
    for host in servers {
        let (name, address) = (host.name(), host.bmc_address());
        let device = match fencing {
            Fencing::ExternalIpmi => format!(
                "stonith:external/ipmi \\\n        params hostname=\"{name}\" ipaddr=\"{address}\" userid=\"{BMC_USER}\" \
                 passwd=\"{BMC_PASSWORD}\" interface=\"lan\""
            ),
            Fencing::FenceIpmilan => format!(
                "stonith:fence_ipmilan \\\n        params pcmk_host_list=\"{name}\" ip=\"{address}\" username=\"{BMC_USER}\" \
                 password=\"{BMC_PASSWORD}\" lanplus=\"true\" cipher=\"3\" power_wait=\"0\""
            ),
        };
        text += &format!(
            r#"primitive ipmilan-{name}-p {device} \
        op start interval="0" timeout="60" \
        op stop interval="0" timeout="60" \
        op monitor interval="60" timeout="60" start-delay="0"
"#
        );
    }
    text += "group fs-ip-mysql-g db-fs-p nova-ip-p db-mysql-p \\\n        meta target-role=\"Started\"\n";
    for host in servers {
        let name = host.name();
        text += &format!("location loc-ipmilan-{name} ipmilan-{name}-p -inf: {name}\n");
    }
    text += "property stonith-enabled=\"true\"\n";
    text += "rsc_defaults resource-stickiness=\"100\"\n";
    text
}
