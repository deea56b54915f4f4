//! Scores: whole numbers with two infinities that absorb everything else.

/// A preference.
pub type Score = i32;
/// Must.
pub const INF: Score = 1_000_000;

/// Sum; minus infinity wins over plus infinity.
#[must_use]
pub fn add(a: Score, b: Score) -> Score {
    if a <= -INF || b <= -INF {
        -INF
    } else if a >= INF || b >= INF {
        INF
    } else {
        (a + b).clamp(-INF, INF)
    }
}

/// Reads a score as it is written (`INFINITY`, `-inf`, `red`-less numbers); nonsense counts as 0.
#[must_use]
pub fn parse(text: &str) -> Score {
    let t = text.trim();
    if t.eq_ignore_ascii_case("infinity")
        || t.eq_ignore_ascii_case("+infinity")
        || t.eq_ignore_ascii_case("inf")
    {
        return INF;
    }
    if t.eq_ignore_ascii_case("-infinity") || t.eq_ignore_ascii_case("-inf") {
        return -INF;
    }
    let (negative, digits) = match t.strip_prefix('-') {
        Some(d) => (true, d),
        None => (false, t.strip_prefix('+').unwrap_or(t)),
    };
    let mut value: i64 = 0;
    for c in digits.bytes() {
        if !c.is_ascii_digit() {
            break;
        }
        value = (value * 10 + i64::from(c - b'0')).min(i64::from(INF));
    }
    let value = i32::try_from(value).unwrap_or(INF);
    if negative { -value } else { value }
}

/// As Pacemaker prints it.
#[must_use]
pub fn text(score: Score) -> String {
    if score >= INF {
        "INFINITY".to_owned()
    } else if score <= -INF {
        "-INFINITY".to_owned()
    } else {
        score.to_string()
    }
}

/// Pacemaker's truth: `true yes on y 1`; anything else is false or, where it is none of the words, `None`.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(&["true", "on", "yes", "y", "1"]) {
        Some(true)
    } else if is(&["false", "off", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// True only where the text says so.
#[must_use]
pub fn is_true(text: Option<&str>) -> bool {
    text.and_then(parse_bool).unwrap_or(false)
}

/// Milliseconds of a time as written: `20`, `20s`, `500ms`, `2m`, `1h`, `3us`, ISO `PT20S`.
#[must_use]
pub fn parse_ms(text: &str) -> Option<i64> {
    let t = text.trim();
    if t.starts_with('P') {
        return crate::time::duration_seconds(t).map(|s| s.saturating_mul(1000));
    }
    let digits_end = t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    if digits_end == 0 {
        return None;
    }
    let n: i64 = t[..digits_end].parse().unwrap_or(i64::MAX / 4_000_000);
    let unit = t[digits_end..].trim();
    let is = |words: &[&str]| words.iter().any(|w| unit.eq_ignore_ascii_case(w));
    Some(match () {
        () if is(&["", "s", "sec"]) => n.saturating_mul(1000),
        () if is(&["ms", "msec"]) => n,
        () if is(&["us", "usec"]) => n / 1000,
        () if is(&["m", "min"]) => n.saturating_mul(60_000),
        () if is(&["h", "hr"]) => n.saturating_mul(3_600_000),
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_absorb() {
        assert_eq!(add(INF, -INF), -INF);
        assert_eq!(add(INF, -5), INF);
        assert_eq!(add(999_999, 5), INF);
        assert_eq!(parse("-INFINITY"), -INF);
        assert_eq!(parse_ms("2m"), Some(120_000));
    }
}
