//! Operators on other machines: who they are by certificate, what they may by role.

pub mod client;
pub mod role;
pub mod server;
