//! Fifth stage: relations between actions are applied until nothing changes any more.

mod apply;
pub(crate) mod collective;
mod probes;
mod update;
