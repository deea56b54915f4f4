//! `quorate drill NAME`: break something on purpose, watch, and judge against what the timers promise.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use quorate_core::admin::{FenceAction, Lifetime, Request, Switch};
use quorate_core::ids::NodeName;
use quorate_core::state::ClusterState;
use quorate_model::cib::Resource;
use quorate_policy::budget::{self, Budget, Fault};

use crate::client::{Client, who};
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view::{self, picture::Picture};

/// How long a drill waits for its effect to begin.
const BEGIN_MAX: Duration = Duration::from_secs(30);
/// Added to the budget before the drill gives up watching.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is broken.
    name: Drill,
    /// The primitive that is watched [default: the last member of the first group, else the first primitive].
    #[arg(long, short)]
    resource: Option<String>,
    /// Also watch the service itself: connect here all the time, as its users do.
    #[arg(long, value_name = "ADDRESS:PORT")]
    probe: Option<SocketAddr>,
}

/// The drills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Drill {
    /// The node that runs the resource is powered off by its fence device, then on.
    PowerLoss,
    /// The resource's process (its `pid` parameter) is killed; run it on the node where the resource is.
    ProcessDeath,
    /// The node that runs the resource is put in standby, and online again afterwards.
    Standby,
    /// This node's daemon is killed: nothing may move.
    DaemonDeath,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    outage: Option<Duration>,
    back_on: String,
    problems: Vec<String>,
}

/// Runs one.
pub fn run(args: Args, context: &Context) -> Result {
    let (state, local) = view::fetch(context)?;
    let picture = Picture::new(&state, &local);
    if picture.needs_attention() {
        return Err(Error::new(
            "the cluster is not healthy already: a drill would only make it worse",
            "`quorate status` shows what needs attention; run the drill afterwards",
        )
        .exit(Exit::Attention));
    }
    let resource = match args.resource {
        Some(resource) => resource,
        None => default_resource(&state).ok_or_else(|| {
            Error::new(
                "there is no resource to watch",
                "name one with `--resource`",
            )
        })?,
    };
    let node = place(&picture, &resource).ok_or_else(|| {
        Error::new(
            format!("{resource} does not run anywhere, so nothing can be drilled"),
            format!("`quorate explain {resource}` says why"),
        )
    })?;
    let budget = promised(args.name, &state, &resource)?;
    context.confirm(&announcement(args.name, &resource, &node, budget))?;
    let limit = Duration::from_millis(budget.total_ms()) + PATIENCE;
    let watch = Watch {
        context,
        resource: &resource,
        probe: args.probe,
    };
    let after = inject(args.name, context, &state, &resource, &node, &local.name)?;
    let seen = watch.run(args.name, &node, limit);
    if let Some(undo) = after.undo {
        Client::connect(context)?.ask(&undo)?;
    }
    Ok(report(context, args.name, &resource, &node, budget, &seen))
}

fn default_resource(state: &ClusterState) -> Option<String> {
    let resources = &state.configuration.resources;
    let of_group = resources.iter().find_map(|resource| match resource {
        Resource::Group(group) => group.members.last().map(|member| member.id.clone()),
        _ => None,
    });
    of_group.or_else(|| {
        resources.iter().find_map(|resource| match resource {
            Resource::Primitive(primitive) if primitive.class.as_deref() != Some("stonith") => {
                Some(primitive.id.clone())
            }
            _ => None,
        })
    })
}

/// Where the resource is started.
fn place(picture: &Picture, resource: &str) -> Option<String> {
    let line = picture.resources.iter().find(|line| line.id == resource)?;
    line.active
        .iter()
        .find(|active| !active.is_failed && !active.is_uncertain && active.pending.is_none())
        .map(|active| active.node.clone())
}

/// What the configured timers allow.
fn promised(drill: Drill, state: &ClusterState, resource: &str) -> Result<Budget> {
    let fault = match drill {
        Drill::PowerLoss => Fault::NodeLost,
        Drill::ProcessDeath => Fault::ProcessDied { watched: true },
        Drill::Standby => Fault::OrderlyMove,
        Drill::DaemonDeath => return Ok(Budget::default()),
    };
    budget::budget(&state.configuration, resource, &fault).ok_or_else(|| {
        Error::new(
            format!("`{resource}` is no primitive of the configuration"),
            "`quorate show` lists them",
        )
    })
}

fn announcement(drill: Drill, resource: &str, node: &str, budget: Budget) -> String {
    let what = match drill {
        Drill::PowerLoss => format!(
            "Node `{node}` will be powered off without warning by its fence device, then on. What runs there, \
             {resource} too, fails over."
        ),
        Drill::ProcessDeath => {
            format!("The process of {resource} on `{node}` will be killed with SIGKILL.")
        }
        Drill::Standby => format!(
            "Node `{node}` will be put in standby: {resource} and all else there moves away. Afterwards it is online \
             again."
        ),
        Drill::DaemonDeath => {
            "This node's daemon will be killed with SIGKILL. Nothing may move or restart."
                .to_owned()
        }
    };
    format!(
        "{what}\nBy the configured timers the service may be away for up to {} s (detection {}, fencing {}, stop {}, start {}).",
        seconds(budget.total_ms()),
        seconds(budget.detection_ms),
        seconds(budget.fencing_ms),
        seconds(budget.stop_ms),
        seconds(budget.start_ms),
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

/// What is kept or done after the fault.
#[derive(Debug, Default)]
struct After {
    undo: Option<Request>,
    _open: Option<Client>,
}

/// Breaks it; returns what has to be asked for afterwards.
fn inject(
    drill: Drill,
    context: &Context,
    state: &ClusterState,
    resource: &str,
    node: &str,
    own: &str,
) -> Result<After> {
    let target = NodeName(node.to_owned());
    match drill {
        Drill::PowerLoss => {
            let request = Request::Fence {
                node: target,
                action: FenceAction::Reboot,
                who: who(),
            };
            if own == node {
                return Err(Error::new(
                    format!(
                        "{resource} runs on this very node, which would be powered off while it watches"
                    ),
                    "run the drill on another node",
                ));
            }
            let mut client = Client::connect(context)?;
            client.send(&request)?;
            // The answer comes when it is over; the request stands as long as the connection does.
            Ok(After {
                undo: None,
                _open: Some(client),
            })
        }
        Drill::Standby => {
            let standby = |switch| Request::Standby {
                node: target.clone(),
                switch,
                lifetime: Lifetime::Forever,
                who: who(),
            };
            Client::connect(context)?.ask(&standby(Switch::On))?;
            Ok(After {
                undo: Some(standby(Switch::Off)),
                _open: None,
            })
        }
        Drill::ProcessDeath => {
            if own != node {
                return Err(Error::new(
                    format!("{resource} runs on `{node}`; only there its process can be killed"),
                    format!("run the drill on {node}"),
                ));
            }
            kill(&pid_of(state, resource)?)?;
            Ok(After::default())
        }
        Drill::DaemonDeath => {
            let killed = Command::new("systemctl")
                .args(["kill", "--kill-whom=main", "--signal=KILL", "quorate"])
                .status();
            match killed {
                Ok(status) if status.success() => Ok(After::default()),
                _ => Err(Error::new(
                    "systemctl could not kill the daemon",
                    "is it run by systemd on this host?",
                )),
            }
        }
    }
}

/// The process number from the file that the resource's `pid` parameter names.
fn pid_of(state: &ClusterState, resource: &str) -> Result<String> {
    let text = state.document.text.replace("\\\n", " ");
    let file = text
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some(resource))
        .flat_map(str::split_whitespace)
        .find_map(|word| word.strip_prefix("pid="))
        .map(|file| file.trim_matches('"').to_owned())
        .ok_or_else(|| {
            Error::new(
                format!("{resource} has no `pid` parameter, so its process is not known"),
                "kill it by hand and watch `quorate status --watch`",
            )
        })?;
    std::fs::read_to_string(&file)
        .map(|text| text.trim().to_owned())
        .map_err(|e| Error::new(format!("cannot read {file}: {e}"), ""))
}

fn kill(pid: &str) -> Result<()> {
    match Command::new("kill").args(["-KILL", pid]).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::new(
            format!("process {pid} could not be killed"),
            "run the drill as root",
        )),
    }
}

/// Looks at the service and at the cluster until it is over.
struct Watch<'a> {
    context: &'a Context,
    resource: &'a str,
    probe: Option<SocketAddr>,
}

impl Watch<'_> {
    fn run(&self, drill: Drill, from: &str, limit: Duration) -> Seen {
        let begun = Instant::now();
        let mut seen = Seen::default();
        let mut last_good = begun;
        let mut gone = false;
        let quiet = Duration::from_secs(8);
        loop {
            let now = Instant::now();
            let place = self.place();
            if place.is_some() && self.answers() {
                let gap = now - last_good;
                if seen.outage.is_none_or(|outage| gap > outage) {
                    seen.outage = Some(gap);
                }
                last_good = Instant::now();
                seen.back_on = place.unwrap_or_default();
                let moved = seen.back_on != from;
                let over = match drill {
                    Drill::DaemonDeath => begun.elapsed() > quiet,
                    Drill::ProcessDeath => gone || begun.elapsed() > BEGIN_MAX,
                    // A host that boots faster than others start may have its resources back.
                    Drill::PowerLoss => moved || gone,
                    Drill::Standby => moved,
                };
                if over {
                    break;
                }
            } else {
                gone = true;
            }
            if begun.elapsed() > BEGIN_MAX + limit {
                seen.problems
                    .push("the service did not come back while the drill watched".to_owned());
                seen.outage = Some(last_good.elapsed());
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let moved = seen.back_on != from;
        match drill {
            Drill::DaemonDeath if moved => seen
                .problems
                .push(format!("the service moved to {}", seen.back_on)),
            Drill::Standby if !moved => seen.problems.push("the service did not move".to_owned()),
            _ => {}
        }
        seen
    }

    /// Where the cluster has it started; while the daemon is away nothing is known against it.
    fn place(&self) -> Option<String> {
        match view::fetch(self.context) {
            Ok((state, local)) => place(&Picture::new(&state, &local), self.resource),
            Err(_) => None,
        }
    }

    /// Whether the service takes a connection and does not drop it at once.
    fn answers(&self) -> bool {
        let Some(address) = self.probe else {
            return true;
        };
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200))
        else {
            return false;
        };
        // Only a zero duration is refused.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
        match stream.read(&mut [0; 1]) {
            Ok(bytes) => bytes > 0,
            // A service that waits for its client to begin.
            Err(e) => matches!(
                e.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        }
    }
}

fn report(
    context: &Context,
    drill: Drill,
    resource: &str,
    node: &str,
    budget: Budget,
    seen: &Seen,
) -> Exit {
    let outage = seen.outage.unwrap_or_default();
    // Of a daemon's death only the service itself is judged; its own absence is no outage.
    let is_in_budget =
        drill == Drill::DaemonDeath || outage <= Duration::from_millis(budget.total_ms());
    let is_good = is_in_budget && seen.problems.is_empty();
    if context.json {
        println!(
            "{}",
            serde_json::json!({
                "resource": resource, "from": node, "to": seen.back_on, "outage_s": outage.as_secs_f64(),
                "budget_s": budget.total_ms() as f64 / 1000.0, "in_budget": is_in_budget, "problems": seen.problems,
                "good": is_good,
            })
        );
    } else {
        println!(
            "{resource}: {node} -> {}, away for {:.2} s of the {} s that the timers allow.",
            seen.back_on,
            outage.as_secs_f64(),
            seconds(budget.total_ms()),
        );
        for problem in &seen.problems {
            println!("PROBLEM: {problem}");
        }
        println!("{}", if is_good { "Passed." } else { "Not passed." });
    }
    if is_good { Exit::Done } else { Exit::Attention }
}
