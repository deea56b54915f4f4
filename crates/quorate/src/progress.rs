//! Watching a change take effect, until the cluster has settled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quorate_core::facts::{Quorum, cib};
use quorate_policy::converge::is_empty;

use crate::context::Context;
use crate::error::{Exit, Result};
use crate::view::picture::{Picture, ResourceLine};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(250);
/// How long is watched at most; the cluster goes on by itself.
const AT_MOST: Duration = Duration::from_secs(15 * 60);
/// So many looks in a row must find nothing to do.
const QUIET_LOOKS: u32 = 2;

/// Shows what happens to the resources until the log has applied `index` and nothing is left to do.
pub fn until_settled(context: &Context, index: u64) -> Result {
    let begun = Instant::now();
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    let mut quiet = 0;
    let mut is_first = true;
    loop {
        // The daemon may be electing; that is no end.
        if let Ok((state, local)) = crate::view::fetch(context)
            && state.applied.0 >= index
        {
            let picture = Picture::new(&state, &local);
            tell(context, &picture, &mut shown, begun, is_first);
            is_first = false;
            let quorum = if local.has_quorum {
                Quorum::Has
            } else {
                Quorum::Lost
            };
            #[allow(clippy::needless_update, reason = "the options grow")]
            let options = quorate_policy::Options {
                now: local.wall_ms / 1000,
                ..Default::default()
            };
            let plan = quorate_policy::schedule(&cib(&state, quorum, local.wall_ms), &options);
            let is_quiet = picture.running.is_empty() && is_empty(&plan);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet >= QUIET_LOOKS {
                return Ok(end(context, &picture, begun));
            }
        }
        if begun.elapsed() > AT_MOST {
            context.note("not settled yet; the cluster goes on: `quorate status --watch`");
            return Ok(Exit::Attention);
        }
        std::thread::sleep(EVERY);
    }
}

/// One line for every resource that is otherwise than before.
fn tell(
    context: &Context,
    picture: &Picture,
    shown: &mut BTreeMap<String, String>,
    begun: Instant,
    is_first: bool,
) {
    for resource in picture.resources.iter().filter(|r| r.kind == "primitive") {
        let now = words(resource);
        let before = shown.insert(resource.id.clone(), now.clone());
        if !is_first && before.as_ref() != Some(&now) {
            context.note(&format!(
                "{:>6.1} s  {}: {now}",
                begun.elapsed().as_secs_f64(),
                resource.id
            ));
        }
    }
}

fn words(resource: &ResourceLine) -> String {
    if resource.active.is_empty() {
        return "stopped".to_owned();
    }
    let one = |a: &crate::view::picture::Active| {
        let failed = if a.is_failed { ", failed" } else { "" };
        match &a.pending {
            Some(pending) => format!("{pending} on {}{failed}", a.node),
            None => format!("{} on {}{failed}", a.role, a.node),
        }
    };
    resource
        .active
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join("; ")
}

fn end(context: &Context, picture: &Picture, begun: Instant) -> Exit {
    context.note(&format!(
        "settled after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    for b in &picture.blocked {
        context.note(&format!(
            "BLOCKED {}: {}\n  -> {}",
            b.what, b.why, b.way_out
        ));
    }
    if picture.blocked.is_empty() {
        Exit::Done
    } else {
        Exit::Attention
    }
}
