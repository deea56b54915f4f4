//! Typed configuration and status, the crm grammar, CIB XML, diagnostics with spans.
//!
//! Architecture invariant: this crate knows no cluster, no file and no clock. Text and facts come in as
//! values, values and diagnostics go out.
#![forbid(unsafe_code)]

pub mod cib;
pub mod crm;
pub mod diag;
pub mod lint;
pub mod metadata;
pub mod options;
pub mod services;
pub mod status;
pub mod text;
pub mod times;
pub mod xml;
