//! Threads that carry probes, the log and decisions go before everything else on the host.
//!
//! Per thread, so that agents, which other threads start, do not inherit it.

use std::sync::Once;

const NICE: i32 = -15;
static TOLD: Once = Once::new();

/// Raises the calling thread's priority; where that is not allowed, says so once and goes on.
pub fn raise() {
    let thread = rustix::thread::gettid();
    if let Err(e) = rustix::process::setpriority_process(Some(thread), NICE) {
        TOLD.call_once(|| {
            tracing::info!(
                "The daemon runs without raised priority ({e}): on a busy host a higher detection time is advised."
            );
        });
    }
}

/// Keeps the daemon's pages in memory; where that is not allowed, says so and goes on.
pub fn lock_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    if let Err(e) =
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
    {
        tracing::info!("The daemon's memory is not locked ({e}): a swapping host may stall it.");
    }
}
