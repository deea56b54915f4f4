//! Actions on remote and guest nodes against the connections they go over.

use crate::world::World;

impl World<'_> {
    pub fn order_remote_connections(&mut self) {}
}
