//! CIB XML as Pacemaker writes it.

mod import;
mod pull;
pub mod read;
mod read_status;
mod tree;
pub mod write;

pub use import::import;
pub(crate) use import::places;
