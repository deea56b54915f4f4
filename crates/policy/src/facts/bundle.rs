//! Bundles: replicas with container, address, connection and what runs inside.

use crate::world::{NodeIx, RscIx, World};
use quorate_model::cib::Bundle;
use std::collections::BTreeMap;

impl<'c> World<'c> {
    /// The guest nodes that a bundle will have.
    pub(super) fn bundle_nodes(&mut self, _bundle: &Bundle) {}

    pub(super) fn new_bundle(&mut self, bundle: &'c Bundle) -> Option<RscIx> {
        self.warnings.push(format!(
            "bundle {}: bundles are not scheduled yet; what runs of it is left alone",
            bundle.id
        ));
        None
    }

    /// What a bundle runs on a guest node.
    pub(super) fn bundle_child_on(&self, _bundle: RscIx, _n: NodeIx) -> Option<RscIx> {
        None
    }

    /// Replaces the placeholder for a container's host by its name.
    pub fn host_address(
        &self,
        _r: RscIx,
        _n: Option<NodeIx>,
        _params: &mut BTreeMap<String, String>,
    ) {
    }
}
