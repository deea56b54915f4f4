//! Galera on the hosts of a lab: the files of `examples/galera`, with the lab's addresses, and the first bring-up.

use crate::client::Target;
use crate::error::LabError;
use crate::host::Host;
use crate::layout::{BMC_PASSWORD, BMC_USER, Link, VIRTUAL_ADDRESS};

/// The hosts with a database, under the names of the document that the examples follow.
pub const CONTROLLERS: [&str; 2] = ["controller01", "controller02"];

/// The third voter.
pub const TIEBREAKER: &str = "tiebreaker";

const CONFIGURATION: &str = include_str!("../../../examples/galera/galera.crm");
const TUNING: &str = include_str!("../../../examples/galera/74-galera-tuning.cnf");
const CUSTOM: &str = include_str!("../../../examples/galera/75-galera-custom.cnf");
const HAPROXY: &str = include_str!("../../../examples/galera/haproxy.cfg");
const CHECK: &str = include_str!("../../../examples/galera/clustercheck.cnf");
const CHECK_OPTIONS: &str = include_str!("../../../examples/galera/clustercheck.conf");
const CHECK_ACCOUNT: &str = include_str!("../../../examples/galera/clustercheck.default");
const BRING_UP: &str = include_str!("../../../examples/galera/bring-up");

/// Where the bring-up's script is on a host.
pub const BRING_UP_FILE: &str = "/usr/local/sbin/bring-up";

/// Addresses that the examples carry: the clients', the first controller's, the second's.
const EXAMPLE_ADDRESSES: [&str; 3] = ["192.0.2.10", "192.0.2.11", "192.0.2.12"];

/// The word that the examples have in place of a password.
const EXAMPLE_PASSWORD: &str = "change-me";

const USER: &str = "demo";
const PASSWORD: &str = "demo";

/// How a joining server gets all data when the missing transactions are not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sst {
    /// `rsync`: the donor stands still meanwhile.
    Rsync,
    /// `mariabackup`: the donor goes on.
    Mariabackup,
}

/// What clients of the virtual address reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// HAProxy, as the document has it.
    Proxy,
    /// The database on the host that has the address, without a load balancer.
    Direct,
}

/// Galera's own timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timers {
    /// As installed: a member counts as lost after 5 s.
    Default,
    /// A member counts as lost after 1 s, alike on the servers and the arbitrator.
    Short,
}

/// The examples' timers.
const EXAMPLE_TIMERS: &str = "evs.suspect_timeout = PT2S; evs.inactive_timeout = PT4S";

impl Timers {
    /// As provider options, divided by semicolons; empty for Galera's own.
    #[must_use]
    pub fn options(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Short => {
                "evs.keepalive_period = PT0.25S; evs.inactive_check_period = PT0.25S; \
                 evs.suspect_timeout = PT1S; evs.inactive_timeout = PT3S; evs.install_timeout = PT3S"
            }
        }
    }
}

/// What to set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// How all data are transferred.
    pub sst: Sst,
    /// What is behind the address.
    pub entry: Entry,
    /// Galera's timers.
    pub timers: Timers,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sst: Sst::Rsync,
            entry: Entry::Proxy,
            timers: Timers::Default,
        }
    }
}

/// Puts the files onto the hosts and brings the first database up and down again, by the script of the examples.
/// All hosts must be up.
pub fn prepare(hosts: &[Host], setup: Setup) -> Result<(), LabError> {
    for host in hosts {
        // The arbitrator's agent switches to this user with a login shell.
        host.run([
            "install",
            "-d",
            "-o",
            "mysql",
            "-g",
            "mysql",
            "/var/log/mysql",
        ])?;
    }
    let controllers = || {
        hosts
            .iter()
            .filter(|host| CONTROLLERS.contains(&host.name()))
    };
    for host in controllers() {
        install(host, setup)?;
        host.run([BRING_UP_FILE, "files"])?;
    }
    let Some(first) = controllers().next() else {
        return Err(LabError::Client {
            what: "needs a host named controller01".to_owned(),
        });
    };
    bring_up(first)
}

/// The examples' files with this host's address.
fn install(host: &Host, setup: Setup) -> Result<(), LabError> {
    let etc_mysql = "/etc/mysql/mariadb.conf.d";
    host.run([
        "mkdir",
        "-p",
        etc_mysql,
        "/etc/galera-python-clustercheck",
        "/etc/haproxy",
    ])?;
    let own = |text: &str| {
        text.replace(EXAMPLE_ADDRESSES[1], &host.address(Link::Service))
            .replace(EXAMPLE_PASSWORD, "monitoring")
    };
    let mut custom = own(CUSTOM);
    // The document's own limit, and the timers that were asked for.
    custom = custom
        .replace("gcs.fc_limit = 16", "gcs.fc_limit = 5")
        .replace(EXAMPLE_TIMERS, setup.timers.options());
    if setup.entry == Entry::Direct {
        custom = custom.replace(
            &format!("bind-address = {}", host.address(Link::Service)),
            "bind-address = 0.0.0.0",
        );
    }
    if setup.sst == Sst::Mariabackup {
        custom = custom.replace(
            "wsrep_sst_method = rsync",
            "wsrep_sst_method = mariabackup\nwsrep_sst_auth = sst:sst",
        );
    }
    for (path, text) in [
        (
            format!("{etc_mysql}/74-galera-tuning.cnf"),
            TUNING.to_owned(),
        ),
        (format!("{etc_mysql}/75-galera-custom.cnf"), custom),
        ("/etc/haproxy/haproxy.cfg".to_owned(), addressed(HAPROXY)),
        (
            "/etc/galera-python-clustercheck/my.cnf".to_owned(),
            own(CHECK),
        ),
        (
            "/etc/galera-python-clustercheck/galera-python-clustercheck.conf".to_owned(),
            CHECK_OPTIONS.to_owned(),
        ),
        ("/etc/default/clustercheck".to_owned(), own(CHECK_ACCOUNT)),
        (BRING_UP_FILE.to_owned(), BRING_UP.to_owned()),
    ] {
        host.write(&path, &text)?;
    }
    host.run(["chmod", "0755", BRING_UP_FILE]).map(drop)
}

/// The documented order, on the first controller only.
fn bring_up(first: &Host) -> Result<(), LabError> {
    first.run(["install", "-d", "-m", "0700", "/root/galera"])?;
    for (name, word) in [
        ("root", "root"),
        ("monitoring", "monitoring"),
        ("sst", "sst"),
        (USER, PASSWORD),
    ] {
        first.write(&format!("/root/galera/{name}"), &format!("{word}\n"))?;
    }
    let step = |name: &str| {
        first.run([
            "env",
            "BRING_UP_SECRETS=/root/galera",
            &format!("BRING_UP_DATABASES={USER}"),
            BRING_UP_FILE,
            name,
        ])
    };
    for name in ["start", "secure", "grants"] {
        step(name)?;
    }
    first.run([
        "mariadb",
        "--user=root",
        "--password=root",
        "-e",
        "CREATE TABLE IF NOT EXISTS demo.rows_written (n BIGINT UNSIGNED PRIMARY KEY, \
         t TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB",
    ])?;
    step("stop").map(drop)
}

/// How the client reaches the database.
#[must_use]
pub fn target() -> Target {
    Target {
        address: VIRTUAL_ADDRESS.to_owned(),
        port: 3306,
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: USER.to_owned(),
    }
}

fn addressed(text: &str) -> String {
    let lab = [
        VIRTUAL_ADDRESS.to_owned(),
        crate::layout::address(1, Link::Service),
        crate::layout::address(2, Link::Service),
    ];
    // Longest first is not needed: all have the same length.
    EXAMPLE_ADDRESSES
        .iter()
        .zip(lab)
        .fold(text.to_owned(), |text, (example, address)| {
            text.replace(example, &address)
        })
}

/// The examples' configuration with the lab's addresses and boards.
#[must_use]
pub fn configuration(hosts: &[Host], setup: Setup) -> String {
    let (services, _) = CONFIGURATION
        .split_once("# Each host's management board.")
        .expect("the example names its boards last");
    // As the document has it; the demo also loses a database's files.
    let mut text = addressed(services).replace(
        "params datadir=\"/var/lib/mysql\"",
        "params datadir=\"/var/lib/mysql\" enable_creation=\"true\"",
    );
    let bare = |options: &str| options.replace(' ', "");
    let example = format!(" options=\"'{}'\"", bare(EXAMPLE_TIMERS));
    assert!(
        text.contains(&example),
        "the example sets the arbitrator's timers"
    );
    let wanted = match setup.timers {
        Timers::Default => String::new(),
        Timers::Short => format!(" options=\"'{}'\"", bare(setup.timers.options())),
    };
    text = text.replace(&example, &wanted);
    if setup.entry == Entry::Direct {
        text = text.replace(
            "group galera-entry galera-ip haproxy",
            "group galera-entry galera-ip",
        );
        let (before, from) = text
            .split_once("primitive haproxy")
            .expect("the example has HAProxy");
        let (_, after) = from
            .split_once("group galera-entry")
            .expect("the example has the group");
        text = format!(
            "{before}group galera-entry{after}colocation entry-with-database inf: galera-entry ms-galera:Master\n"
        );
    }
    for host in hosts {
        let (name, address) = (host.name(), host.bmc_address());
        text += &format!(
            "primitive fence-{name} stonith:fence_ipmilan \\\n        params pcmk_host_list=\"{name}\" ip=\"{address}\" \
             username=\"{BMC_USER}\" password=\"{BMC_PASSWORD}\" lanplus=\"true\" cipher=\"3\" power_wait=\"0\" \\\n        \
             op start interval=\"0\" timeout=\"60\" op stop interval=\"0\" timeout=\"60\" op monitor interval=\"60\" timeout=\"60\"\n\
             location fence-{name}-elsewhere fence-{name} -inf: {name}\n"
        );
    }
    text += "property stonith-enabled=\"true\"\nrsc_defaults resource-stickiness=\"100\"\n";
    text
}
