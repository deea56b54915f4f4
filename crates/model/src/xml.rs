//! CIB XML as Pacemaker writes it.

mod import;
pub mod read;
mod read_status;
pub mod write;

pub use import::import;
pub(crate) use import::places;
