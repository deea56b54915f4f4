//! Virtual time and the clocks that machines read it with.

use quorate_core::ids::{Millis, Now};

/// Microseconds of the world since its beginning.
pub type Time = u64;

/// A millisecond of the world.
pub const MS: Time = 1_000;

/// A second of the world.
pub const SECOND: Time = 1_000_000;

/// Unix milliseconds at the world's beginning (2026-01-01).
const WALL_EPOCH_MS: i64 = 1_767_225_600_000;

/// One machine's clock: it starts with each boot and runs a little fast or slow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// When the machine booted.
    pub since: Time,
    /// Parts per million that it runs fast (or slow).
    pub drift_ppm: i64,
    /// Milliseconds that its wall clock is off.
    pub wall_error_ms: i64,
}

impl Clock {
    /// What the machine reads.
    #[must_use]
    pub fn read(&self, now: Time) -> Now {
        let elapsed = self.scaled(now.saturating_sub(self.since));
        Now {
            mono: Millis(1_000 + elapsed / MS),
            wall_ms: WALL_EPOCH_MS + (now / MS) as i64 + self.wall_error_ms,
        }
    }

    /// The first moment of the world at which the machine reads `mono` or later.
    #[must_use]
    pub fn when(&self, mono: Millis) -> Time {
        let target = u128::from(mono.0.saturating_sub(1_000)) * 1_000;
        let rate = (1_000_000 + self.drift_ppm) as u128;
        let elapsed = (target * 1_000_000).div_ceil(rate);
        self.since
            .saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    fn scaled(&self, elapsed: Time) -> u64 {
        let rate = (1_000_000 + self.drift_ppm) as u128;
        (u128::from(elapsed) * rate / 1_000_000) as u64
    }
}

/// `12.345678` for people.
#[must_use]
pub fn show(time: Time) -> String {
    format!("{:>4}.{:06}", time / SECOND, time % SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reaches_what_it_was_asked_for_and_not_before() {
        for drift_ppm in [-500, 0, 137, 500] {
            let clock = Clock {
                since: 77_777,
                drift_ppm,
                wall_error_ms: 0,
            };
            for mono in [1_000, 1_001, 5_432, 1_000_000] {
                let at = clock.when(Millis(mono));
                assert!(clock.read(at).mono >= Millis(mono));
                assert!(at <= 77_777 || clock.read(at - 1).mono < Millis(mono) || mono == 1_000);
            }
        }
    }
}
