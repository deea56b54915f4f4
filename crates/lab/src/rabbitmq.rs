//! RabbitMQ on three controllers: the files, the configuration and the commands of the documents.

use std::io::Write;
use std::process::Stdio;

use crate::error::{IoContext, LabError};
use crate::host::Host;
use crate::layout::{BMC_PASSWORD, BMC_USER};

/// The hosts, each with a broker: two brokers cannot lose one.
pub const CONTROLLERS: [&str; 3] = ["controller01", "controller02", "controller03"];

/// What all brokers share.
const COOKIE: &str = "QUORATELABCOOKIE";
/// Password of the user `openstack`.
pub const PASSWORD: &str = "lab-openstack";
/// Queue of the demo's publisher.
pub const QUEUE: &str = "demo";

/// The policy as the document sets it, and with the one thing it lacks: a new mirror is filled by itself. Without that
/// the loss of a second host, minutes after that of the first, takes the messages along.
const POLICY: &str = r#"{"ha-mode":"exactly","ha-params":2,"ha-sync-mode":"automatic"}"#;

/// Writes each host's files: node name, port mapper, the script of the promotion, the script for events.
pub fn prepare(hosts: &[Host]) -> Result<(), LabError> {
    for host in hosts {
        let name = host.name();
        host.shell("mkdir -p /etc/systemd/system/epmd.socket.d /usr/local/sbin")?;
        host.write(
            "/etc/rabbitmq/rabbitmq-env.conf",
            &format!("NODENAME=rabbit@{name}\n"),
        )?;
        host.write(
            "/etc/systemd/system/epmd.socket.d/ports.conf",
            "[Socket]\nListenStream=\nListenStream=[::]:4369\nFreeBind=true\n",
        )?;
        host.write(
            "/etc/rabbitmq/ocf-promote",
            &format!(
                "${{OCF_RESKEY_ctl}} set_policy --vhost \"${{OCF_RESKEY_default_vhost}}\" --priority 0 --apply-to queues \
                 ha-queues '^(?!amq.).*' '{POLICY}' || true\n"
            ),
        )?;
        host.write(
            "/usr/local/sbin/cluster-event",
            "#!/bin/sh\n{ env | grep '^CRM_notify_' | sort | tr '\\n' ' '; echo; } >>/var/log/cluster-event.log\n",
        )?;
        host.shell(
            "chmod 755 /usr/local/sbin/cluster-event; systemctl daemon-reload; systemctl enable --now epmd.socket",
        )?;
    }
    Ok(())
}

/// The document's configuration, corrected: three brokers, fencing, timeouts that the agent asks for.
#[must_use]
pub fn configuration(hosts: &[Host]) -> String {
    let mut text = String::new();
    for host in hosts {
        text += &format!("node {}\n", host.name());
    }
    text += &format!(
        r#"primitive rabbitmq ocf:rabbitmq:rabbitmq-server-ha \
        params default_vhost=openstack erlang_cookie={COOKIE} pid_file="/var/run/rabbitmq/pid" \
        policy_file="/etc/rabbitmq/ocf-promote" rmq_feature_health_check=true rmq_feature_local_list_queues=true \
        meta failure-timeout=30s migration-threshold=10 resource-stickiness=100 \
        op demote interval=0 timeout=120s \
        op monitor interval=30s timeout=60s \
        op monitor interval=27s role=Master timeout=60s \
        op notify interval=0 timeout=180s \
        op promote interval=0 timeout=120s \
        op start interval=0 timeout=360s \
        op stop interval=0 timeout=120s
primitive rabbitmq-port-blocker ocf:pacemaker:ClusterMon \
        params extra_options="-E /usr/local/sbin/cluster-event --watch-fencing" \
        op monitor interval=10s timeout=20s \
        op start interval=0 timeout=20s \
        op stop interval=0 timeout=20s \
        meta target-role=started
ms ms-rabbitmq rabbitmq \
        meta clone-max=3 interleave=false master-max=1 master-node-max=1 notify=true ordered=false target-role=started
"#
    );
    text + &fencing(hosts)
}

/// A fence device for each host.
#[must_use]
pub fn fencing(hosts: &[Host]) -> String {
    let mut text = String::new();
    for host in hosts {
        let (name, address) = (host.name(), host.bmc_address());
        text += &format!(
            r#"primitive ipmi-{name} stonith:fence_ipmilan \
        params pcmk_host_list="{name}" ip="{address}" username="{BMC_USER}" password="{BMC_PASSWORD}" lanplus="true" cipher="3" power_wait="0" \
        op start interval=0 timeout=60 \
        op stop interval=0 timeout=60 \
        op monitor interval=60 timeout=60
location loc-ipmi-{name} ipmi-{name} -inf: {name}
"#
        );
    }
    text + "property stonith-enabled=true\n"
}

/// The document's commands, once the brokers are one cluster. The password goes over standard input.
pub fn provision(host: &Host) -> Result<(), LabError> {
    let ctl = |words: &[&str]| {
        let mut all = vec!["rabbitmqctl", "-q"];
        all.extend(words);
        host.run(all).map(drop)
    };
    ctl(&["set_cluster_name", "rabbit@TRAIN"])?;
    ctl(&["add_vhost", "openstack"])?;
    ctl(&[
        "set_policy",
        "--vhost",
        "openstack",
        "--priority",
        "0",
        "--apply-to",
        "queues",
        "ha-queues",
        "^(?!amq.).*",
        POLICY,
    ])?;
    let mut add = host.command(["rabbitmqctl", "-q", "add_user", "openstack"])?;
    let mut child = add
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .io("cannot run", "rabbitmqctl")?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{PASSWORD}").io("cannot write to", "rabbitmqctl")?;
    }
    child.wait().io("cannot wait for", "rabbitmqctl")?;
    ctl(&["set_user_tags", "openstack", "management"])?;
    ctl(&[
        "set_permissions",
        "--vhost",
        "openstack",
        "openstack",
        ".*",
        ".*",
        ".*",
    ])
}

/// What of `provision` a broker has forgotten; empty when all is there.
pub fn forgotten(host: &Host) -> Vec<&'static str> {
    let ask = |words: &[&str]| {
        let mut all = vec!["rabbitmqctl", "-q"];
        all.extend(words);
        host.run(all).unwrap_or_default()
    };
    let mut missing = Vec::new();
    for (what, text, expected) in [
        ("the vhost", ask(&["list_vhosts"]), "openstack"),
        (
            "the policy",
            ask(&["list_policies", "--vhost", "openstack"]),
            "ha-queues",
        ),
        ("the user with its tag", ask(&["list_users"]), "management"),
        (
            "the permissions",
            ask(&["list_permissions", "--vhost", "openstack"]),
            "openstack",
        ),
    ] {
        if !text.contains(expected) {
            missing.push(what);
        }
    }
    missing
}

/// The brokers that run and are not partitioned, as this host's broker sees them, in order.
#[must_use]
pub fn brokers(host: &Host) -> Vec<String> {
    let look = "case rabbit_node_monitor:partitions() of [] -> rabbit_mnesia:cluster_nodes(running); _ -> [] end.";
    let text = host
        .run(["timeout", "20", "rabbitmqctl", "-q", "eval", look])
        .unwrap_or_default();
    let mut names: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '@' || c == '-'))
        .filter_map(|word| word.strip_prefix("rabbit@"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}
