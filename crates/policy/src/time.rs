//! ISO 8601 dates, durations and date specifications, as rules use them.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

/// A moment: seconds since the epoch.
pub type Seconds = i64;

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn date(text: &str) -> Option<Date> {
    let t = text.trim();
    if let Some((year, rest)) = t.split_once('-') {
        let y: i16 = year.parse().ok()?;
        if let Some(week) = rest.strip_prefix('W') {
            let (w, d) = week.split_once('-').unwrap_or((week, "1"));
            let day = jiff::civil::Weekday::from_monday_one_offset(d.parse().ok()?).ok()?;
            return Some(
                jiff::civil::ISOWeekDate::new(y, w.parse().ok()?, day)
                    .ok()?
                    .date(),
            );
        }
        if let Some((m, d)) = rest.split_once('-') {
            return Date::new(y, m.parse().ok()?, d.parse().ok()?).ok();
        }
        if digits(rest) && rest.len() == 3 {
            return ordinal(y, rest.parse().ok()?);
        }
        return Date::new(y, rest.parse().ok()?, 1).ok();
    }
    match t.len() {
        8 if digits(t) => Date::new(
            t[..4].parse().ok()?,
            t[4..6].parse().ok()?,
            t[6..].parse().ok()?,
        )
        .ok(),
        7 if digits(t) => ordinal(t[..4].parse().ok()?, t[4..].parse().ok()?),
        _ => None,
    }
}

fn ordinal(year: i16, day: i64) -> Option<Date> {
    Date::new(year, 1, 1)
        .ok()?
        .checked_add(jiff::Span::new().try_days(day - 1).ok()?)
        .ok()
}

fn clock(text: &str) -> Option<(i8, i8, i8)> {
    let t = text.trim();
    let t = t.split('.').next()?;
    let parts: Vec<&str> = if t.contains(':') {
        t.split(':').collect()
    } else {
        (0..t.len() / 2).map(|i| &t[i * 2..i * 2 + 2]).collect()
    };
    let get = |i: usize| parts.get(i).map_or(Some(0), |p| p.parse::<i8>().ok());
    Some((get(0)?, get(1)?, get(2)?))
}

/// Seconds since the epoch of a written moment; without a zone it is UTC.
#[must_use]
pub fn parse(text: &str) -> Option<Seconds> {
    let t = text.trim();
    if t.eq_ignore_ascii_case("epoch") {
        return Some(0);
    }
    let split = t.find(['T', ' ']);
    let (d, rest) = match split {
        Some(i) => (&t[..i], t[i + 1..].trim()),
        None => (t, ""),
    };
    let day = date(d)?;
    let zone_at = rest.find(['Z', '+', '-']);
    let (c, zone) = match zone_at {
        Some(i) => (rest[..i].trim(), rest[i..].trim()),
        None => (rest, ""),
    };
    let (mut h, m, s) = if c.is_empty() { (0, 0, 0) } else { clock(c)? };
    let mut extra_day = 0;
    if h == 24 {
        h = 0;
        extra_day = 86_400;
    }
    let offset = match zone.chars().next() {
        Some(sign @ ('+' | '-')) => {
            let (zh, zm, _) = clock(&zone[1..])?;
            let seconds = i64::from(zh) * 3600 + i64::from(zm) * 60;
            if sign == '-' { -seconds } else { seconds }
        }
        _ => 0,
    };
    let moment = day
        .at(h, m, s, 0)
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    Some(moment + extra_day - offset)
}

/// `2016-04-28 11:50:29Z`.
#[must_use]
pub fn text(at: Seconds) -> String {
    match civil(at) {
        Some(c) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}Z",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            c.second()
        ),
        None => at.to_string(),
    }
}

/// The calendar time in UTC.
#[must_use]
pub fn civil(at: Seconds) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(jiff::Timestamp::from_second(at).ok()?))
}

/// Seconds of an ISO 8601 duration (`P1DT2H`); months count 30 days, years 365.
#[must_use]
pub fn duration_seconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P')?;
    let mut in_time = false;
    let mut total = 0_i64;
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('T') {
            in_time = true;
            rest = r;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let n: i64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        rest = &rest[end + unit.len_utf8()..];
        let seconds = match (unit, in_time) {
            ('Y', _) => 365 * 86_400,
            ('M', false) => 30 * 86_400,
            ('W', _) => 7 * 86_400,
            ('D', _) => 86_400,
            ('H', _) => 3600,
            ('M', true) => 60,
            ('S', _) => 1,
            _ => return None,
        };
        total = total.checked_add(n.checked_mul(seconds)?)?;
    }
    Some(total)
}

/// Adds a `duration` element's parts to a moment.
#[must_use]
pub fn add_duration(at: Seconds, parts: &[(String, String)]) -> Option<Seconds> {
    let c = civil(at)?;
    let mut span = jiff::Span::new();
    for (name, value) in parts {
        let Ok(n) = value.parse::<i64>() else {
            continue;
        };
        span = match name.as_str() {
            "years" => span.try_years(n).ok()?,
            "months" => span.try_months(n).ok()?,
            "weeks" => span.try_weeks(n).ok()?,
            "days" => span.try_days(n).ok()?,
            "hours" => span.try_hours(n).ok()?,
            "minutes" => span.try_minutes(n).ok()?,
            "seconds" => span.try_seconds(n).ok()?,
            _ => span,
        };
    }
    let later = c.checked_add(span).ok()?;
    Some(later.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Whether a moment fits a `date_spec`.
#[must_use]
pub fn fits(at: Seconds, parts: &[(String, String)]) -> bool {
    let Some(c) = civil(at) else { return false };
    let week = c.date().iso_week_date();
    parts.iter().all(|(name, value)| {
        let have = match name.as_str() {
            "seconds" => i64::from(c.second()),
            "minutes" => i64::from(c.minute()),
            "hours" => i64::from(c.hour()),
            "monthdays" => i64::from(c.day()),
            "months" => i64::from(c.month()),
            "years" => i64::from(c.year()),
            "weekdays" => i64::from(c.date().weekday().to_monday_one_offset()),
            "yeardays" => i64::from(c.date().day_of_year()),
            "weeks" => i64::from(week.week()),
            "weekyears" => i64::from(week.year()),
            _ => return true,
        };
        in_range(have, value)
    })
}

fn in_range(have: i64, range: &str) -> bool {
    match range.split_once('-') {
        None => range.trim().parse() == Ok(have),
        Some((low, high)) => {
            let low_ok =
                low.trim().is_empty() || low.trim().parse::<i64>().is_ok_and(|l| l <= have);
            let high_ok =
                high.trim().is_empty() || high.trim().parse::<i64>().is_ok_and(|h| have <= h);
            low_ok && high_ok
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_durations_are_none_and_do_no_harm() {
        assert_eq!(duration_seconds("P1é"), None);
        assert_eq!(duration_seconds("P9223372036854775807Y"), None);
        assert_eq!(duration_seconds("P9223372036854775807ST1S"), None);
        assert_eq!(duration_seconds("P1DT2H"), Some(93_600));
    }

    #[test]
    fn reads_the_forms_of_iso_8601() {
        assert_eq!(parse("1970-01-02"), Some(86_400));
        assert_eq!(parse("2005-020T12:30"), parse("2005-01-20 12:30:00Z"));
        assert_eq!(parse("2014-05-07 00:28:00"), Some(1_399_422_480));
        assert_eq!(
            parse("2016-04-28 11:50:29Z").map(text).as_deref(),
            Some("2016-04-28 11:50:29Z")
        );
        assert_eq!(duration_seconds("P1DT1H"), Some(90_000));
    }
}
