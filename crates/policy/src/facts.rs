//! First stage: configuration and status -> [`World`].

mod activity;
mod bundle;
mod config;
pub(crate) mod failcount;
mod history;
mod member;
mod migration;
mod nodes;
mod resources;
mod result;
mod status;

use crate::nvset;
use crate::options::ClusterOptions;
use crate::rule::Facts;
use crate::score::is_true;
use crate::world::World;
use quorate_model::cib::{AttributeSet, Cib, SetKind};
use std::collections::BTreeMap;

/// Reads everything that the decision rests on.
pub fn gather(cib: &Cib, now: i64) -> World<'_> {
    gather_noting(cib, now, None)
}

/// The same with a ledger that notes who changes which score.
pub(crate) fn gather_noting(
    cib: &Cib,
    now: i64,
    ledger: Option<Box<crate::ledger::Ledger>>,
) -> World<'_> {
    let index = nvset::index(cib);
    let facts = Facts {
        now,
        ..Facts::default()
    };
    let mut options = BTreeMap::new();
    let sets: Vec<&AttributeSet> = cib.configuration.options.iter().collect();
    nvset::collect(
        &sets,
        SetKind::Cluster,
        Some("cib-bootstrap-options"),
        &facts,
        &index,
        &mut options,
    );
    let root = |name: &str| {
        cib.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    let quorate = is_true(root("have-quorum"));
    let panic = is_true(root("no-quorum-panic"));
    let opts = ClusterOptions::new(options, quorate, panic);
    let have_watchdog = opts.have_watchdog;
    let mut world = World {
        cib,
        now,
        opts,
        nodes: Vec::new(),
        node_by_name: BTreeMap::new(),
        node_by_id: BTreeMap::new(),
        rscs: Vec::new(),
        cfgs: Vec::new(),
        groups_cfg: Vec::new(),
        bundles_cfg: Vec::new(),
        rsc_sets: Vec::new(),
        top: Vec::new(),
        rsc_by_id: BTreeMap::new(),
        anon_by_base: BTreeMap::new(),
        set_by_id: index,
        tickets: Vec::new(),
        actions: Vec::new(),
        locations: Vec::new(),
        colocations: Vec::new(),
        ticket_cons: Vec::new(),
        orders: Vec::new(),
        history_guesses: Vec::new(),
        history_override: BTreeMap::new(),
        stop_needed: Vec::new(),
        warnings: Vec::new(),
        recheck: facts.next.get(),
        have_remote: false,
        failed_ops: Vec::new(),
        probed_absent: std::cell::OnceCell::new(),
        blocked_count: 0,
        disabled_count: 0,
        score_log: None,
        ledger,
        promotion_log: Vec::new(),
        have_unfencing: false,
        // A watchdog on every node makes an end of each, with or without other devices.
        have_fence_device: have_watchdog,
        pseudo_by_key: BTreeMap::new(),
        have_colocations: false,
        levels: cib.configuration.fencing_levels.iter().collect(),
        priority_delay: false,
        notifies: Vec::new(),
        owed: Vec::new(),
        promoted_stick: false,
        graph: Vec::new(),
        graph_inputs: Vec::new(),
    };
    world.unpack_nodes();
    world.unpack_resources();
    world.unpack_status();
    world
}

/// `rsc` of `rsc:3`.
pub(crate) fn failcount_base(id: &str) -> &str {
    resources::base_name(id)
}

pub(crate) use activity::active_span;
pub(crate) use migration::in_order;
