//! Bundles.

use crate::world::{RscIx, World};

impl World<'_> {
    pub(super) fn bundle_lines(&self, _r: RscIx, _indent: usize, _out: &mut String) {}
}
