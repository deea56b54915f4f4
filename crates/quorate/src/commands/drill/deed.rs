//! What exactly a drill does, where, and to whom: found out before anybody is asked.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};

use quorate_core::admin::{Lifetime, Request, Response, Switch};
use quorate_core::ids::NodeName;
use quorate_core::state::ClusterState;
use quorate_model::cib::{Primitive, SetKind};

use super::fault::Drill;
use super::resource::{self, Place};
use crate::client::{self, Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view::picture::Picture;

/// How the shell on another host is reached where nothing was said.
const VIA: &str = "ssh -o BatchMode=yes {node}";
/// A pulled link comes back after so many seconds, whatever happens to the drill.
const LINK_SECONDS: u64 = 20;
/// All links: long enough for a fencing; the fenced host forgets it anyway.
const LINKS_SECONDS: u64 = 120;

/// One step: a script on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub node: String,
    pub script: String,
}

/// A drill as it will be done.
#[derive(Debug)]
pub(super) struct Deed {
    /// One sentence that names the victim.
    pub announcement: String,
    /// Scripts, in order.
    pub steps: Vec<Step>,
    /// Or a request to the cluster.
    pub request: Option<Request>,
    /// What is asked for afterwards.
    pub undo: Option<Request>,
    /// Who must be fenced, where that is one certain host.
    pub victim: Option<String>,
}

/// The facts that a deed is planned from.
pub(super) struct Facts<'a> {
    pub context: &'a Context,
    pub state: &'a ClusterState,
    pub picture: &'a Picture,
    /// The node whose daemon answers here.
    pub own: &'a str,
    pub resource: &'a str,
    pub place: &'a Place,
}

/// How scripts get onto hosts.
pub(super) struct Via<'a> {
    pub template: Option<&'a str>,
    pub own: &'a str,
}

impl Via<'_> {
    /// Words of a command that runs a script on `node`.
    fn words(&self, node: &str) -> Vec<String> {
        let template = match self.template {
            Some(template) => template,
            None if node == self.own => "",
            None => VIA,
        };
        let mut words: Vec<String> = template.split_whitespace().map(|w| w.replace("{node}", node)).collect();
        words.extend(["sh", "-c"].map(str::to_owned));
        words
    }

    /// As it is shown to the operator.
    pub fn show(&self, step: &Step) -> String {
        let words = self.words(&step.node);
        format!("{} '{}'", words.join(" "), step.script)
    }

    /// Whether the host can be reached this way.
    pub fn try_out(&self, node: &str) -> Result<()> {
        self.run(&Step { node: node.to_owned(), script: "true".to_owned() }).map_err(|error| {
            Error::new(
                format!("no command can be run on {node}: {error}"),
                "say how with `--via`, for example --via 'ssh root@{node}'; nothing was done",
            )
        })
    }

    /// Begins it.
    pub fn begin(&self, step: &Step) -> std::result::Result<Running, String> {
        let words = self.words(&step.node);
        // ssh joins its words again on the other side.
        let script = if words[0].ends_with("ssh") { quote(&step.script) } else { step.script.clone() };
        let child = Command::new(&words[0])
            .args(&words[1..])
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}` cannot be run: {error}", words[0]))?;
        Ok(Running { child, what: words.join(" ") })
    }

    /// Runs it to its end.
    fn run(&self, step: &Step) -> std::result::Result<(), String> {
        let Running { child, what } = self.begin(step)?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        judge(&what, output.status, &output.stderr)
    }
}

/// A step under way. Its host may never answer again.
pub(super) struct Running {
    child: Child,
    what: String,
}

impl Running {
    /// What became of it by now; one that still runs is given up.
    pub fn end(mut self) -> std::result::Result<(), String> {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                let mut said = Vec::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    // What it said is a help only.
                    let _ = stderr.read_to_end(&mut said);
                }
                judge(&self.what, status, &said)
            }
            _ => {
                // It may have ended just now.
                let _ = self.child.kill();
                let _ = self.child.wait();
                Ok(())
            }
        }
    }
}

fn judge(what: &str, status: ExitStatus, said: &[u8]) -> std::result::Result<(), String> {
    if status.success() {
        return Ok(());
    }
    Err(format!("`{what}` ended with {status}: {}", String::from_utf8_lossy(said).trim()))
}

fn quote(script: &str) -> String {
    format!("'{}'", script.replace('\'', "'\\''"))
}

/// Finds out what is to be done.
pub(super) fn plan(drill: Drill, facts: &Facts<'_>) -> Result<Deed> {
    let active = facts.place.node.as_str();
    match drill {
        Drill::PowerLoss => power_off(facts, active, "which runs"),
        Drill::StandbyLoss => {
            let passive = passive(facts)?;
            power_off(facts, &passive, "which does not run")
        }
        Drill::BothReset => both_reset(facts),
        Drill::Standby => Ok(standby(facts, active)),
        Drill::ProcessDeath => {
            let script = process_killer(facts)?;
            let announcement = format!("The process of {} on `{active}` will be killed with SIGKILL.", facts.resource);
            Ok(scripted(announcement, active, script, None))
        }
        Drill::Reboot => {
            not_here(facts, active)?;
            let announcement = format!("Host `{active}`, which runs {}, will be rebooted in good order.", facts.resource);
            Ok(scripted(announcement, active, "systemctl --no-block reboot".into(), None))
        }
        Drill::FrozenHost => {
            not_here(facts, active)?;
            let announcement = format!(
                "Every process on host `{active}`, which runs {}, will be stopped (SIGSTOP), until it is fenced.",
                facts.resource
            );
            let script = "setsid sh -c \"sleep 1; kill -STOP -1\" </dev/null >/dev/null 2>&1 &";
            Ok(scripted(announcement, active, script.into(), Some(active)))
        }
        Drill::LeaderKilled => {
            let leader = facts.picture.leader.clone().ok_or_else(|| Error::new("nobody leads", ""))?;
            let announcement =
                format!("The daemon of the leader `{leader}` will be killed with SIGKILL. Nothing may move or restart.");
            let script = "systemctl kill --kill-whom=main --signal=KILL quorate";
            Ok(scripted(announcement, &leader, script.into(), None))
        }
        Drill::OneLinkLost | Drill::AllLinksLost => links(drill, facts),
    }
}

fn scripted(announcement: String, node: &str, script: String, victim: Option<&str>) -> Deed {
    let steps = vec![Step { node: node.to_owned(), script }];
    Deed { announcement, steps, request: None, undo: None, victim: victim.map(str::to_owned) }
}

/// Whoever watches must outlive the drill.
fn not_here(facts: &Facts<'_>, victim: &str) -> Result<()> {
    if facts.own != victim {
        return Ok(());
    }
    let others: Vec<&str> =
        facts.picture.nodes.iter().filter(|n| n.is_online && n.name != victim).map(|n| n.name.as_str()).collect();
    Err(Error::new(
        format!("the drill would take this very node `{victim}` away while it watches"),
        format!("run it on {}", others.join(" or ")),
    ))
}

fn passive(facts: &Facts<'_>) -> Result<String> {
    let mut others = facts.picture.nodes.iter().filter(|n| n.is_online && !n.is_witness && n.name != facts.place.node);
    let other = others.next().ok_or_else(|| Error::new("there is no other server", "`quorate status` shows the nodes"))?;
    Ok(other.name.clone())
}

/// A device that reaches the node's power now.
fn device(facts: &Facts<'_>, node: &str) -> Result<String> {
    let mut client = Client::connect(facts.context)?;
    client.timeout(Some(std::time::Duration::from_secs(120)));
    let states = match client.ask(&Request::FenceCheck { node: NodeName(node.to_owned()) })? {
        Response::Power(states) => states,
        other => return Err(client::unexpected(&other)),
    };
    let good = states.iter().find(|(_, state)| state == "on").map(|(device, _)| device.clone());
    good.ok_or_else(|| {
        Error::new(
            format!("no fence device can read that `{node}` is on: it could not be powered off, and not recovered from"),
            format!("`quorate fence check {node}` shows what the devices say"),
        )
        .exit(Exit::Attention)
    })
}

fn power_off(facts: &Facts<'_>, victim: &str, which: &str) -> Result<Deed> {
    not_here(facts, victim)?;
    let device = device(facts, victim)?;
    let announcement = format!(
        "Host `{victim}`, {which} {}, will lose its power without warning (device {device}, behind the cluster's back). The \
         cluster has to notice, to fence it and to switch it on again.",
        facts.resource
    );
    let script = format!("quorate --yes agent {device} off --target {victim}");
    Ok(Deed { victim: Some(victim.to_owned()), ..scripted(announcement, facts.own, script, None) })
}

fn both_reset(facts: &Facts<'_>) -> Result<Deed> {
    let servers: Vec<&str> = facts.picture.nodes.iter().filter(|n| !n.is_witness).map(|n| n.name.as_str()).collect();
    if servers.contains(&facts.own) {
        return Err(Error::new(
            format!("all servers are reset, and this node `{}` is one: nobody would watch", facts.own),
            "run it on a witness, or on another host with `--socket` and `--via`; with two nodes alone, reset both by hand \
             and look at `quorate history` afterwards",
        ));
    }
    let (mut script, mut ends) = (String::new(), Vec::new());
    for (n, server) in servers.iter().enumerate() {
        script += &format!("quorate --yes agent {} reboot --target {server} & p{n}=$!; ", device(facts, server)?);
        ends.push(format!("wait $p{n}"));
    }
    script += &ends.join(" && ");
    let announcement = format!(
        "Hosts {} will be reset at once, without warning. {} is away until the first of them has booted.",
        servers.join(" and "),
        facts.resource
    );
    Ok(scripted(announcement, facts.own, script, None))
}

fn standby(facts: &Facts<'_>, active: &str) -> Deed {
    let switch = |switch| Request::Standby {
        node: NodeName(active.to_owned()),
        switch,
        lifetime: Lifetime::Forever,
        who: who(),
    };
    Deed {
        announcement: format!(
            "Node `{active}` will be put in standby: {} and all else there moves away. Afterwards it is online again.",
            facts.resource
        ),
        steps: Vec::new(),
        request: Some(switch(Switch::On)),
        undo: Some(switch(Switch::Off)),
        victim: None,
    }
}

/// Heartbeat addresses of the peers become unreachable from the server, as if the cables were pulled.
fn links(drill: Drill, facts: &Facts<'_>) -> Result<Deed> {
    let active = facts.place.node.as_str();
    let members = &facts.state.members;
    let count = members.iter().find(|(n, _)| n.0 == active).map_or(0, |(_, m)| m.addresses.len());
    let is_pair = members.len() == 2;
    let (links, seconds) = match drill {
        Drill::OneLinkLost if count < 2 => {
            return Err(Error::new(
                format!("`{active}` has only {count} heartbeat link: to lose it would be to lose all"),
                "`quorate drill all-links-lost` does that",
            ));
        }
        Drill::OneLinkLost => (0..1, LINK_SECONDS),
        _ => (0..count, LINKS_SECONDS),
    };
    if drill == Drill::AllLinksLost && !is_pair {
        not_here(facts, active)?;
    } else if drill == Drill::AllLinksLost && facts.own != active {
        return Err(Error::new(
            format!("the server that runs {} wins, and this node `{}` is fenced while it watches", facts.resource, facts.own),
            format!("run it on {active}"),
        ));
    }
    let mut addresses = Vec::new();
    for (name, member) in members {
        if name.0 == active {
            continue;
        }
        for address in member.addresses.get(links.clone()).unwrap_or_default() {
            addresses.push(host_of(address));
        }
    }
    let each = |verb: &str| -> String {
        let one = |address: &String| format!("ip route {verb} blackhole {address}; ");
        addresses.iter().map(one).collect()
    };
    // The way back is armed before the way is closed.
    let script = format!(
        "(setsid sh -c \"sleep {seconds}; {}\" </dev/null >/dev/null 2>&1 &); {}",
        each("del"),
        each("add")
    );
    let which = if drill == Drill::OneLinkLost { "its first heartbeat link" } else { "all its heartbeat links" };
    let announcement = format!(
        "Host `{active}`, which runs {}, loses {which}: for {seconds} s, or until it is fenced, it has no route to {}.",
        facts.resource,
        addresses.join(", ")
    );
    let victim = (drill == Drill::AllLinksLost && !is_pair).then_some(active);
    Ok(scripted(announcement, active, script, victim))
}

fn host_of(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']']).to_owned()
}

/// Kills the resource's own process.
fn process_killer(facts: &Facts<'_>) -> Result<String> {
    let primitive = resource::primitive(&facts.state.configuration, facts.resource).ok_or_else(|| {
        Error::new(format!("`{}` is no primitive of the configuration", facts.resource), "`quorate show` lists them")
    })?;
    if primitive.class.as_deref() == Some("systemd") {
        let unit = primitive.agent.as_deref().unwrap_or_default();
        return Ok(format!("systemctl kill --kill-whom=main --signal=KILL {unit}"));
    }
    match pid_file(primitive) {
        Some(file) => Ok(format!("kill -KILL $(cat {file})")),
        None => Err(Error::new(
            format!("{} has no `pid` parameter, so its process is not known", facts.resource),
            "name another resource with `--resource`, or kill it by hand and watch `quorate status --watch`",
        )),
    }
}

fn pid_file(primitive: &Primitive) -> Option<&str> {
    let pairs = primitive.sets.iter().filter(|set| set.kind == SetKind::Instance).flat_map(|set| &set.pairs);
    let mut files = pairs.filter(|pair| ["pid", "pidfile"].contains(&pair.name.as_str()));
    files.find_map(|pair| pair.value.as_deref())
}
