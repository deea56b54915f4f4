//! Times as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Local date and time.
pub fn date(wall_ms: i64) -> String {
    match Timestamp::from_millisecond(wall_ms) {
        Ok(t) => t
            .to_zoned(TimeZone::try_system().unwrap_or(TimeZone::UTC))
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// How long ago, in one or two units.
pub fn ago(now_ms: i64, then_ms: i64) -> String {
    let ms = u64::try_from(now_ms - then_ms).unwrap_or(0);
    crate::commands::duration::show(ms / 1000 * 1000).replace("0 ms", "0 s")
}
