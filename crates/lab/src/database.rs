//! The demo's database: MariaDB's files on the shared disk, made once.

use crate::client::Target;
use crate::error::LabError;
use crate::host::Host;
use crate::lab::Lab;
use crate::layout::VIRTUAL_ADDRESS;

/// Where every server mounts the shared disk.
pub const MOUNT_POINT: &str = "/dbmnt";

const USER: &str = "demo";
const PASSWORD: &str = "demo";
const DATABASE: &str = "demo";

/// Makes the data directory with the client's user and table. The servers must all be up.
pub fn prepare(servers: &[&Host]) -> Result<(), LabError> {
    for host in servers {
        host.run(["mkdir", "-p", MOUNT_POINT])?;
        // Small buffers: several of these share one machine.
        host.run([
            "sh",
            "-c",
            "mkdir -p /etc/mysql/mariadb.conf.d; printf '[mysqld]\\ninnodb_buffer_pool_size=32M\\n\
             innodb_log_file_size=16M\\nskip-name-resolve\\nperformance_schema=OFF\\n' >/etc/mysql/mariadb.conf.d/99-lab.cnf",
        ])?;
    }
    servers[0]
        .shell(&format!(
            "set -e
             mount /dev/shared {MOUNT_POINT}
             mkdir {MOUNT_POINT}/mysql
             chown mysql:mysql {MOUNT_POINT} {MOUNT_POINT}/mysql
             mysql_install_db --datadir={MOUNT_POINT}/mysql --user=mysql --skip-test-db --skip-name-resolve
             {{ echo \"FLUSH PRIVILEGES;\"; echo \"CREATE DATABASE {DATABASE};\"
                echo \"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\"
                echo \"GRANT ALL ON {DATABASE}.* TO '{USER}'@'%';\"
                echo \"USE {DATABASE};\"
                echo \"CREATE TABLE rows_written (n BIGINT UNSIGNED PRIMARY KEY, t TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB;\"
             }} | mariadbd --user=mysql --datadir={MOUNT_POINT}/mysql --bootstrap --skip-networking
             umount {MOUNT_POINT}"
        ))
        .map(drop)
}

/// How the client reaches the database.
#[must_use]
pub fn target() -> Target {
    Target {
        address: VIRTUAL_ADDRESS.to_owned(),
        port: 3306,
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: DATABASE.to_owned(),
    }
}

/// The servers' resources, started and stopped by hand with the agents' own scripts: what a cluster manager
/// does, for tests of the lab itself.
pub mod by_hand {
    use super::{Host, Lab, LabError, MOUNT_POINT, VIRTUAL_ADDRESS};

    /// Runs one action of the whole group, in order.
    pub fn start(host: &Host) -> Result<(), LabError> {
        agents(host, "start", ["fs", "ip", "mysql"])
    }

    /// Stops the whole group.
    pub fn stop(host: &Host) -> Result<(), LabError> {
        agents(host, "stop", ["mysql", "ip", "fs"])
    }

    /// Fences with `ipmitool` and starts on the survivor.
    pub fn take_over(lab: &Lab, from: &str, to: &str) -> Result<(), LabError> {
        let (from, to) = (lab.host(from)?, lab.host(to)?);
        let mut off = from.ipmitool();
        off.extend(["power".to_owned(), "off".to_owned()]);
        to.run(off)?;
        start(to)
    }

    fn agents(host: &Host, action: &str, order: [&str; 3]) -> Result<(), LabError> {
        for resource in order {
            let (agent, parameters) = match resource {
                "fs" => (
                    "Filesystem",
                    format!("device=/dev/shared directory={MOUNT_POINT} fstype=ext4"),
                ),
                "ip" => (
                    "IPaddr2",
                    format!("ip={VIRTUAL_ADDRESS} nic=service cidr_netmask=24"),
                ),
                _ => (
                    "mysql",
                    format!(
                        "binary=/usr/sbin/mariadbd config=/etc/mysql/my.cnf datadir={MOUNT_POINT}/mysql \
                         pid=/run/mysqld/mysqld.pid socket=/run/mysqld/mysqld.sock \
                         additional_parameters=--bind-address={VIRTUAL_ADDRESS}"
                    ),
                ),
            };
            let environment: Vec<String> = parameters
                .split(' ')
                .map(|word| format!("OCF_RESKEY_{word}"))
                .collect();
            // What the agent leaves running keeps its output open: it must not be ours.
            let mut words: Vec<String> = [
                "sh",
                "-c",
                "exec \"$@\" >/run/by-hand.log 2>&1",
                "agent",
                "env",
            ]
            .map(str::to_owned)
            .to_vec();
            words.push("OCF_ROOT=/usr/lib/ocf".to_owned());
            words.push(format!("OCF_RESOURCE_INSTANCE={resource}"));
            words.push("OCF_RESKEY_CRM_meta_timeout=60000".to_owned());
            words.extend(environment);
            words.push(format!("/usr/lib/ocf/resource.d/heartbeat/{agent}"));
            words.push(action.to_owned());
            host.run(words)?;
        }
        Ok(())
    }
}
