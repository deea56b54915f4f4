//! Pacemaker and Corosync on the hosts of a lab: the peer of the benchmark.

use std::time::{Duration, Instant};

use crate::demo::cluster::{Call, Cluster, Milestone, calls};
use crate::error::LabError;
use crate::host::Host;
use crate::lab::Lab;
use crate::layout::Link;

/// The first demo's group; other configurations say themselves what may run where.
const WIKI_GROUP: &str = "fs-ip-mysql-g";

/// The peer.
#[derive(Debug)]
pub struct Peer<'a> {
    lab: &'a Lab,
    servers: Vec<&'a Host>,
}

impl<'a> Peer<'a> {
    /// Makes a cluster of the lab's hosts with the given time until a token counts as lost.
    pub fn form(
        lab: &'a Lab,
        servers: &[&str],
        token_ms: u64,
        configuration: &str,
    ) -> Result<Self, LabError> {
        let peer = Self {
            lab,
            servers: servers
                .iter()
                .map(|name| lab.host(name))
                .collect::<Result<_, _>>()?,
        };
        let mut nodes = String::new();
        for host in lab.hosts() {
            nodes += &format!(
                "  node {{\n    name: {}\n    nodeid: {}\n    ring0_addr: {}\n    ring1_addr: {}\n  }}\n",
                host.name(),
                host.index(),
                host.address(Link::Link1),
                host.address(Link::Link2),
            );
        }
        let two_node = if lab.hosts().len() == 2 {
            "  two_node: 1\n"
        } else {
            ""
        };
        let corosync = format!(
            "totem {{\n  version: 2\n  cluster_name: wiki\n  transport: knet\n  crypto_cipher: none\n  crypto_hash: none\n  \
             token: {token_ms}\n}}\nnodelist {{\n{nodes}}}\nquorum {{\n  provider: corosync_votequorum\n{two_node}}}\n\
             logging {{\n  to_syslog: yes\n  to_stderr: no\n}}\n"
        );
        for host in lab.hosts() {
            host.run([
                "sh",
                "-c",
                "set -e; mkdir -p /etc/corosync /var/log/pacemaker /var/log/corosync /var/log/crmsh
                 for d in /var/lib/pacemaker/cib /var/lib/pacemaker/pengine /var/lib/pacemaker/blackbox \
                     /var/lib/pacemaker/cores /var/log/pacemaker; do install -d -o hacluster -g haclient -m 750 $d; done
                 chown hacluster:haclient /var/lib/pacemaker; mkdir -p /var/lib/corosync
                 printf %s \"$1\" >/etc/corosync/corosync.conf
                 systemctl daemon-reload; systemctl enable corosync pacemaker 2>&1",
                "peer",
                &corosync,
            ])?;
        }
        for host in lab.hosts() {
            host.run(["systemctl", "start", "--no-block", "corosync", "pacemaker"])?;
        }
        peer.wait_members()?;
        // Its third voter must run nothing that a constraint does not put there.
        let mut configuration = configuration.to_owned();
        let is_server = |host: &&Host| servers.contains(&host.name());
        if configuration.contains(WIKI_GROUP) {
            for host in lab.hosts().iter().filter(|host| !is_server(host)) {
                let name = host.name();
                configuration += &format!("location no-db-{name} {WIKI_GROUP} -inf: {name}\n");
            }
        }
        let first = peer.servers[0];
        first.run([
            "sh",
            "-c",
            "printf %s \"$1\" >/root/wiki.crm; crm --force configure load update /root/wiki.crm",
            "load",
            &configuration,
        ])?;
        Ok(peer)
    }

    fn wait_members(&self) -> Result<(), LabError> {
        let deadline = Instant::now() + Duration::from_secs(90);
        while Instant::now() < deadline {
            if self.online_members() == self.lab.hosts().len() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Err(LabError::Client {
            what: format!("waited 90 s for the peer's members: {}", self.monitor()),
        })
    }

    fn live(&self) -> Option<&Host> {
        self.lab
            .hosts()
            .iter()
            .find(|host| host.init().is_some() && !host.frozen().unwrap_or(true))
    }

    fn monitor(&self) -> String {
        self.live()
            .and_then(|host| host.run(["crm_mon", "-1", "--output-as=xml"]).ok())
            .unwrap_or_default()
    }

    fn online_members(&self) -> usize {
        self.monitor()
            .lines()
            .filter(|line| line.trim_start().starts_with("<node name="))
            .filter(|line| line.contains("online=\"true\"") && line.contains("pending=\"false\""))
            .count()
    }
}

impl Cluster for Peer<'_> {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn servers(&self) -> Vec<&Host> {
        self.servers.clone()
    }

    fn hosts(&self) -> &[Host] {
        self.lab.hosts()
    }

    fn settled(&self) -> Result<(), String> {
        let hosts = self.lab.hosts().len();
        let members = self.online_members();
        if members != hosts {
            return Err(format!("{members} of {hosts} nodes are online"));
        }
        let host = self.live().ok_or("no host has power")?;
        let state = host
            .run(["crmadmin", "-S", &self.leader().unwrap_or_default()])
            .map_err(|error| error.to_string())?;
        if state.contains("S_IDLE") {
            Ok(())
        } else {
            Err(state.trim().to_owned())
        }
    }

    fn standby(&self, server: &Host) -> Result<(), LabError> {
        server
            .run(["crm", "node", "standby", server.name()])
            .map(drop)
    }

    fn online(&self, server: &Host) -> Result<(), LabError> {
        server
            .run(["crm", "node", "online", server.name()])
            .map(drop)
    }

    fn stop_all(&self) -> Result<(), LabError> {
        self.servers[0]
            .run(["crm", "configure", "property", "stop-all-resources=true"])
            .map(drop)
    }

    fn start_all(&self) -> Result<(), LabError> {
        self.servers[0]
            .run(["crm", "configure", "property", "stop-all-resources=false"])
            .map(drop)
    }

    fn leader(&self) -> Option<String> {
        let text = self.monitor();
        let line = text.lines().find(|line| line.contains("<current_dc "))?;
        let (_, rest) = line.split_once(" name=\"")?;
        Some(rest.split('"').next()?.to_owned())
    }

    fn kill_daemon(&self, host: &Host) -> Result<(), LabError> {
        host.run(["pkill", "-KILL", "-x", "pacemaker-contr"])
            .map(drop)
    }

    fn milestones(&self, _since_s: f64) -> Vec<Milestone> {
        Vec::new()
    }

    fn calls_since(&self, since_s: f64) -> Vec<Call> {
        self.live()
            .and_then(|host| host.run(["cibadmin", "--query"]).ok())
            .map(|xml| calls(&xml, since_s))
            .unwrap_or_default()
    }

    fn daemons(&self) -> Vec<&'static str> {
        vec![
            "corosync",
            "pacemakerd",
            "pacemaker-based",
            "pacemaker-fenced",
            "pacemaker-execd",
            "pacemaker-attrd",
            "pacemaker-schedulerd",
            "pacemaker-controld",
        ]
    }

    fn shows_unclean(&self, host: &Host) -> bool {
        self.lab
            .hosts()
            .iter()
            .filter(|other| other.name() != host.name() && other.init().is_some())
            .filter_map(|other| other.run(["crm_mon", "-n", "-1"]).ok())
            .any(|text| {
                text.lines()
                    .any(|line| line.contains(host.name()) && line.contains("UNCLEAN (offline)"))
            })
    }
}
