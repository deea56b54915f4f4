//! Fifth stage: relations between actions are applied until nothing changes any more.

mod apply;
mod collective;
mod probes;
mod update;
