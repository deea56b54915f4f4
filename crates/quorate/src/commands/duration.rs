//! Durations as operators type them.

/// Milliseconds of `90s`, `10m`, `2h`, `1d`, `1h30m`; for clap.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no duration; write 90s, 10m, 2h, 1d or 1h30m");
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let so_far = number.unwrap_or(0);
            number = Some(
                so_far
                    .checked_mul(10)
                    .and_then(|n| n.checked_add(u64::from(digit)))
                    .ok_or_else(wrong)?,
            );
            continue;
        }
        let unit = match c {
            's' => 1000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number
            .take()
            .and_then(|n| n.checked_mul(unit))
            .ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    match (number, total) {
        (None, total) if total > 0 => Ok(total),
        _ => Err(wrong()),
    }
}

/// `2 h`, `1 min 30 s`, `250 ms`.
pub fn show(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms} ms");
    }
    let mut rest = ms / 1000;
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)] {
        if rest >= seconds && parts.len() < 2 {
            parts.push(format!("{} {unit}", rest / seconds));
            rest %= seconds;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse("90s"), Ok(90_000));
        assert_eq!(parse("1h30m"), Ok(5_400_000));
        for wrong in ["", "10", "h", "0s", "5x", "99999999999999999999d", "-1s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(show(250), "250 ms");
        assert_eq!(show(90_000), "1 min 30 s");
        assert_eq!(show(90_061_000), "1 d 1 h");
    }
}
