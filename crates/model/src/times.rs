//! Times as configurations write them: a number with or without a unit.

/// Milliseconds of `20`, `20s`, `2min`, `1h`, `300ms`, `PT30S`; `None` when it is no time.
pub fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.starts_with('P') {
        return iso_duration(text);
    }
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "s" | "sec" => 1_000,
        "ms" | "msec" => 1,
        // Below a millisecond counts as nothing.
        "us" | "usec" => return Some(number / 1_000),
        "m" | "min" => 60_000,
        "h" | "hr" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `P1DT2H3M4S`; months and years are not of fixed length and are refused.
fn iso_duration(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut number = String::new();
    let mut in_time = false;
    let mut any = false;
    for c in text.chars().skip(1) {
        match c {
            'T' => in_time = true,
            '0'..='9' => number.push(c),
            unit => {
                let factor = match (unit, in_time) {
                    ('W', false) => 604_800_000,
                    ('D', false) => 86_400_000,
                    ('H', true) => 3_600_000,
                    ('M', true) => 60_000,
                    ('S', true) => 1_000,
                    _ => return None,
                };
                total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
                number.clear();
                any = true;
            }
        }
    }
    (any && number.is_empty()).then_some(total)
}

/// A time in the largest unit that divides it.
pub fn spell(milliseconds: u64) -> String {
    match milliseconds {
        0 => "0".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 && ms >= 600_000 => format!("{}min", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_units() {
        for (text, expected) in [
            ("20", Some(20_000)),
            ("20s", Some(20_000)),
            ("300ms", Some(300)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("PT1M30S", Some(90_000)),
            ("P1D", Some(86_400_000)),
            ("P1M", None),
            ("abc", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        assert_eq!(spell(90_000), "90s");
    }
}
