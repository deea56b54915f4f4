//! A new authority without downtime, in three rounds that each reach every member before the next begins:
//!
//! 1. *Trust*: every member trusts the new authority beside the old one, and sends a request for its own key.
//! 2. *Switch*: every member shows a certificate of the new authority; servers sign with its key.
//! 3. *Retire*: nobody trusts the old authority any more.
//!
//! At every moment all members trust whatever any of them shows. Connections that stand are not touched. A round
//! that does not reach everybody stops the rotation where it is; the same command goes on from there.

pub mod client;
pub mod message;
pub mod server;
