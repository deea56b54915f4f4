//! Reasons in words: why an action is planned, why a resource is where it is, why something is blocked.
//!
//! The engine notes its own words while it decides; here they become sentences with what they rest on.
//! Searching the configuration for a line costs time, so that it is done only where few ask for it.

mod action;
mod blocked;
mod find;
mod node;
mod place;

pub(crate) use action::{Wants, why};
pub(crate) use blocked::blocked;
pub(crate) use place::{placement, unmanaged, unmanaged_by};
