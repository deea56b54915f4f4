//! Why a resource is where it is.

use crate::plan::{Placement, Reason};
use crate::source::Source;
use crate::world::{RscIx, World};

pub(crate) fn placement(world: &World<'_>, r: RscIx) -> Placement {
    let rsc = &world.rscs[r];
    let mut scores: Vec<(String, i32)> = rsc
        .allowed
        .iter()
        .enumerate()
        .filter(|(_, c)| c.allowed)
        .map(|(n, c)| (world.nodes[n].name.clone(), c.score))
        .collect();
    scores.sort_by_key(|s| std::cmp::Reverse(s.1));
    let mut because_of = vec![Source::Object(rsc.id.clone())];
    let text = match rsc.assigned {
        Some(n) if !rsc.managed => {
            because_of.extend(unmanaged(world, r));
            format!(
                "not managed{}; it stays on {}",
                unmanaged_by(world, r),
                world.nodes[n].name
            )
        }
        Some(n) => format!(
            "{} has the best score of the nodes that can run it",
            world.nodes[n].name
        ),
        None => nowhere(world, r, &mut because_of),
    };
    Placement {
        resource: rsc.id.clone(),
        now: rsc
            .running
            .iter()
            .map(|&n| world.nodes[n].name.clone())
            .collect(),
        role_now: rsc.role.text().to_owned(),
        next: rsc.assigned.map(|n| world.nodes[n].name.clone()),
        role_next: rsc.next_role.text().to_owned(),
        scores,
        reason: Reason { text, because_of },
    }
}

/// The same in brackets.
pub(crate) fn unmanaged_by(world: &World<'_>, r: RscIx) -> String {
    unmanaged(world, r).map_or_else(String::new, |source| format!(" ({source})"))
}

/// What keeps the cluster from touching a resource.
pub(crate) fn unmanaged(world: &World<'_>, r: RscIx) -> Option<Source> {
    if world.opts.fencing
        && !world.have_fence_device
        && !world.rscs[r].meta.contains_key("is-managed")
    {
        return Some(Source::Fact(
            "there is no fence device although fencing is on".to_owned(),
        ));
    }
    world
        .option_source(&["maintenance-mode"])
        .filter(|_| world.opts.maintenance)
        .or_else(|| {
            world
                .meta_source(r, "maintenance")
                .filter(|_| world.rscs[r].maintenance)
        })
        .or_else(|| world.meta_source(r, "is-managed"))
        .or_else(|| {
            let n = world.rscs[r]
                .running
                .iter()
                .copied()
                .find(|&n| world.nodes[n].maintenance)?;
            Some(world.node_source(n, "maintenance"))
        })
}

fn nowhere(world: &World<'_>, r: RscIx, out: &mut Vec<Source>) -> String {
    let rsc = &world.rscs[r];
    if world.target_role(r) == Some(crate::world::Role::Stopped) {
        out.extend(world.meta_source(r, "target-role"));
        return "target-role says that it should be stopped".to_owned();
    }
    if world.opts.stop_all {
        out.extend(world.option_source(&["stop-all-resources"]));
        return "stop-all-resources is set".to_owned();
    }
    if rsc.removed {
        return "it is not configured any more".to_owned();
    }
    if !rsc.managed {
        out.extend(unmanaged(world, r));
        return format!(
            "it is not managed{}: the cluster starts and stops nothing of it",
            unmanaged_by(world, r)
        );
    }
    "no node can run it: each is down, unclean, in standby, or forbidden by a score below zero"
        .to_owned()
}
