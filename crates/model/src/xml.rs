//! CIB XML as Pacemaker writes it.

pub mod read;
mod read_status;
pub mod write;
