//! The two clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use quorate_core::ids::{Millis, Now};
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds of `CLOCK_BOOTTIME`: monotonic, and counts the time that the host was suspended.
#[must_use]
pub fn mono() -> Millis {
    let t = clock_gettime(ClockId::Boottime);
    let ms = i128::from(t.tv_sec) * 1000 + i128::from(t.tv_nsec) / 1_000_000;
    Millis(u64::try_from(ms).unwrap_or(0))
}

/// Unix milliseconds.
#[must_use]
pub fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Unix seconds.
#[must_use]
pub fn wall_s() -> i64 {
    wall_ms().div_euclid(1000)
}

/// Both, for a step of the core.
#[must_use]
pub fn now() -> Now {
    Now {
        mono: mono(),
        wall_ms: wall_ms(),
    }
}
