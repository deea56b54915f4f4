//! Status and summary in the words of `crm_simulate`.

mod bundle;
mod clone;
mod plan;
mod status;
