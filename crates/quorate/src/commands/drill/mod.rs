//! `quorate drill NAME`: break something on purpose, watch, and judge against what the timers promise.

mod deed;
mod fault;
mod resource;
mod watch;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_core::state::ClusterState;
use quorate_policy::budget::{self, Budget};

use self::deed::{Deed, Facts, Via};
use self::fault::Drill;
use self::watch::{Seen, Watch};

pub(super) use self::watch::wait_whole;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view::{self, picture::Picture};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is broken.
    #[arg(value_parser = fault::parser())]
    name: Drill,
    /// The primitive that is watched [default: the last member of the first group, else the first primitive].
    #[arg(long, short)]
    resource: Option<String>,
    /// Connect here all the time, as the service's users do [default: the virtual address of the resource's group and the
    /// usual port of its agent, where both are known].
    #[arg(long, value_name = "ADDRESS:PORT")]
    probe: Option<SocketAddr>,
    /// How a command gets onto another host; `{node}` stands for its name [default: ssh -o BatchMode=yes {node}].
    #[arg(long, value_name = "COMMAND")]
    via: Option<String>,
    /// Only say what would be done.
    #[arg(long)]
    show: bool,
    /// Do not wait afterwards until every node is back.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for that, seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    back_within: u64,
}

/// Runs one.
pub fn run(args: Args, context: &Context) -> Result {
    let (state, local) = view::fetch(context)?;
    let picture = Picture::new(&state, &local);
    healthy(&picture)?;
    let resource = match &args.resource {
        Some(resource) => resource.clone(),
        None => resource::default(&state)
            .ok_or_else(|| Error::new("there is no resource to watch", "name one with `--resource`"))?,
    };
    let place = resource::place(&picture, &resource).ok_or_else(|| {
        Error::new(
            format!("{resource} does not run anywhere, so nothing can be drilled"),
            format!("`quorate explain {resource}` says why"),
        )
    })?;
    let budget = promised(args.name, &state, &resource)?;
    let facts =
        Facts { context, state: &state, picture: &picture, own: &local.name, resource: &resource, place: &place };
    let deed = deed::plan(args.name, &facts)?;
    let via = Via { template: args.via.as_deref(), own: &local.name };
    let probe = args.probe.or_else(|| resource::endpoint(&state.configuration, &resource));
    let text = announcement(args.name, &deed, &via, budget, probe);
    if args.show {
        context.say(&text);
        return Ok(Exit::Done);
    }
    for step in &deed.steps {
        via.try_out(&step.node)?;
    }
    if context.yes && !context.json {
        println!("{text}");
    }
    context.confirm(&text)?;
    let watch = Watch {
        context,
        drill: args.name,
        resource: &resource,
        from: &place,
        started_ms: resource::started_ms(&state, &resource, &place.node),
        probe,
        victim: deed.victim.as_deref(),
        budget: Duration::from_millis(budget.total_ms()),
    };
    let seen = carry_out(&deed, &via, &watch)?;
    let whole = match args.no_wait {
        true => None,
        false => Some(wait_whole(context, Duration::from_secs(args.back_within))),
    };
    Ok(report(context, args.name, &watch, budget, seen, whole))
}

fn healthy(picture: &Picture) -> Result<()> {
    let absent = picture.nodes.iter().find(|node| !node.is_online || node.is_learner);
    if !picture.needs_attention() && absent.is_none() {
        return Ok(());
    }
    let what = absent.map_or_else(String::new, |node| format!(" ({} is {})", node.name, node.state));
    Err(Error::new(
        format!("the cluster is not whole already{what}: a drill would only make it worse"),
        "`quorate status` shows what needs attention; run the drill afterwards",
    )
    .exit(Exit::Attention))
}

/// What the configured timers allow.
fn promised(drill: Drill, state: &ClusterState, resource: &str) -> Result<Budget> {
    let Some(fault) = fault::budgeted(drill) else {
        return Ok(Budget::default());
    };
    budget::budget(&state.configuration, resource, &fault).ok_or_else(|| {
        Error::new(format!("`{resource}` is no primitive of the configuration"), "`quorate show` lists them")
    })
}

fn announcement(drill: Drill, deed: &Deed, via: &Via<'_>, budget: Budget, probe: Option<SocketAddr>) -> String {
    let mut text = deed.announcement.clone();
    for step in &deed.steps {
        text += &format!("\n  on {}: {}", step.node, via.show(step));
    }
    text += "\n";
    text += &match fault::budgeted(drill) {
        None => "The service must go on without a break.".to_owned(),
        Some(_) => format!(
            "By the configured timers the service may be away for up to {} s (detection {}, fencing {}, stop {}, start {}){}.",
            seconds(budget.total_ms()),
            seconds(budget.detection_ms),
            seconds(budget.fencing_ms),
            seconds(budget.stop_ms),
            seconds(budget.start_ms),
            if drill == Drill::BothReset { ", and as long as a host boots" } else { "" },
        ),
    };
    text += &match probe {
        Some(probe) => format!("\nThe drill watches by connecting to {probe} all the time."),
        None => "\nThe drill watches the cluster's own word only: `--probe ADDRESS:PORT` would watch the service.".to_owned(),
    };
    text
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

/// Breaks it and watches. The steps run beside the watch: some never come back.
fn carry_out(deed: &Deed, via: &Via<'_>, watch: &Watch<'_>) -> Result<Seen> {
    let begun = Instant::now();
    let begun_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let begun_ms = i64::try_from(begun_ms).unwrap_or(i64::MAX);
    if let Some(request) = &deed.request {
        Client::connect(watch.context)?.ask(request)?;
    }
    let mut running = Vec::new();
    for step in &deed.steps {
        running.push(via.begin(step).map_err(|problem| Error::new(problem, "nothing else was done"))?);
    }
    let mut seen = watch.run(begun, begun_ms);
    for step in running {
        // Of a host that was fenced nobody expects an answer.
        if let Err(problem) = step.end()
            && seen.fenced.is_empty()
        {
            seen.problems.push(problem);
        }
    }
    if let Some(undo) = &deed.undo
        && let Err(error) = Client::connect(watch.context).and_then(|mut client| client.ask(undo))
    {
        seen.problems.push(format!("it could not be undone: {error}"));
    }
    Ok(seen)
}

fn report(
    context: &Context,
    drill: Drill,
    watch: &Watch<'_>,
    budget: Budget,
    mut seen: Seen,
    whole: Option<std::result::Result<Duration, String>>,
) -> Exit {
    let allowed = match fault::budgeted(drill) {
        None => watch::GAP_MAX,
        Some(_) => Duration::from_millis(budget.total_ms()),
    };
    let is_in_budget = seen.outage <= allowed;
    if !is_in_budget {
        seen.problems.push(format!("{:.2} s are more than the {} s that the timers allow", seen.outage.as_secs_f64(), allowed.as_secs()));
    }
    if let Some(Err(problem)) = &whole {
        seen.problems.push(format!("the cluster is not whole again: {problem}"));
    }
    let is_good = seen.problems.is_empty();
    let whole_s = whole.and_then(std::result::Result::ok).map(|took| took.as_secs_f64());
    if context.json {
        let phases: serde_json::Map<String, serde_json::Value> =
            seen.phases.iter().map(|(name, at)| (format!("{name}_s"), serde_json::json!(at))).collect();
        println!(
            "{}",
            serde_json::json!({
                "drill": drill.name(), "resource": watch.resource, "from": watch.from.node, "to": seen.to,
                "outage_s": seen.outage.as_secs_f64(), "budget_s": allowed.as_secs_f64(), "in_budget": is_in_budget,
                "phases": phases, "fenced": seen.fenced, "whole_after_s": whole_s, "problems": seen.problems, "good": is_good,
            })
        );
    } else {
        println!(
            "{}: {} -> {}, away for {:.2} s of the {:.1} s that are allowed.",
            watch.resource,
            watch.from.node,
            seen.to,
            seen.outage.as_secs_f64(),
            allowed.as_secs_f64(),
        );
        for (name, at) in &seen.phases {
            println!("  {name} after {at:.2} s");
        }
        if !seen.fenced.is_empty() {
            println!("  fenced: {}", seen.fenced.join(", "));
        }
        if let Some(whole_s) = whole_s {
            println!("  whole again {whole_s:.0} s later");
        }
        for problem in &seen.problems {
            println!("PROBLEM: {problem}");
        }
        println!("{}", if is_good { "Passed." } else { "Not passed." });
    }
    if is_good { Exit::Done } else { Exit::Attention }
}
