//! Real daemons on loopback: they form a cluster, elect, survive kill -9 of one and of all, refuse what is broken.

mod bad_days;
mod changes;
mod daemons;
mod life;
mod recovery;
mod security;
