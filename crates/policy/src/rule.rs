//! Rules: whether one holds for given facts.

use crate::time;
use quorate_model::cib::{Rule, RulePart};
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a rule is judged against.
#[derive(Default)]
pub struct Facts<'a> {
    pub now: i64,
    /// Attributes of the node in question.
    pub node: Option<&'a BTreeMap<String, String>>,
    /// Class, provider and agent of the resource in question.
    pub agent: Option<(&'a str, Option<&'a str>, &'a str)>,
    /// Operation name and interval in milliseconds.
    pub op: Option<(&'a str, i64)>,
    pub params: Option<&'a BTreeMap<String, String>>,
    pub meta: Option<&'a BTreeMap<String, String>>,
    /// What a location constraint's pattern matched: text and groups for `%0`..`%9`.
    pub groups: Option<&'a [String]>,
    /// Earliest later time at which a date part changes.
    pub next: Cell<Option<i64>>,
}

impl Facts<'_> {
    fn change_at(&self, at: i64) {
        if at > self.now && self.next.get().is_none_or(|n| at < n) {
            self.next.set(Some(at));
        }
    }
}

/// Whether the rule holds.
pub fn holds(rule: &Rule, facts: &Facts<'_>) -> bool {
    let any = rule
        .boolean
        .as_deref()
        .is_some_and(|b| b.eq_ignore_ascii_case("or"));
    if rule.parts.is_empty() {
        return true;
    }
    // All parts are looked at, so that every change in time is noted.
    let mut all_hold = true;
    let mut one_holds = false;
    for part in &rule.parts {
        let yes = part_holds(part, facts);
        all_hold &= yes;
        one_holds |= yes;
    }
    if any { one_holds } else { all_hold }
}

fn part_holds(part: &RulePart, facts: &Facts<'_>) -> bool {
    match part {
        RulePart::Rule(inner) => holds(inner, facts),
        RulePart::Expression {
            attribute,
            operation,
            value,
            value_type,
            value_source,
            ..
        } => {
            let reference = reference(value.as_deref(), value_source.as_deref(), facts);
            let Some(attrs) = facts.node else {
                return false;
            };
            let name = expand(attribute, facts.groups);
            let actual = attrs.get(&name).map(String::as_str);
            expression(actual, operation, reference, value_type.as_deref())
        }
        RulePart::Date {
            operation,
            start,
            end,
            duration,
            spec,
            ..
        } => date(
            operation.as_deref(),
            start.as_deref(),
            end.as_deref(),
            duration.as_deref(),
            spec.as_deref(),
            facts,
        ),
        RulePart::ResourceType {
            class,
            provider,
            agent,
            ..
        } => {
            let Some((c, p, a)) = facts.agent else {
                return false;
            };
            class.as_deref().is_none_or(|x| x == c)
                && provider.as_deref().is_none_or(|x| Some(x) == p)
                && agent.as_deref().is_none_or(|x| x == a)
        }
        RulePart::Operation { name, interval, .. } => {
            let Some((n, ms)) = facts.op else {
                return false;
            };
            n == name
                && interval
                    .as_deref()
                    .is_none_or(|i| crate::score::parse_ms(i) == Some(ms))
        }
    }
}

fn expand(text: &str, groups: Option<&[String]>) -> String {
    let Some(groups) = groups else {
        return text.to_owned();
    };
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%'
            && let Some(d) = chars.peek().and_then(|d| d.to_digit(10))
        {
            chars.next();
            if let Some(g) = groups.get(d as usize) {
                out.push_str(g);
            }
            continue;
        }
        out.push(c);
    }
    out
}

fn reference<'a>(
    value: Option<&'a str>,
    source: Option<&str>,
    facts: &Facts<'a>,
) -> Option<&'a str> {
    match source {
        Some("param") => facts.params?.get(value?).map(String::as_str),
        Some("meta") => facts.meta?.get(value?).map(String::as_str),
        _ => value,
    }
}

fn expression(actual: Option<&str>, op: &str, reference: Option<&str>, kind: Option<&str>) -> bool {
    match op {
        "defined" => return actual.is_some(),
        "not_defined" => return actual.is_none(),
        _ => {}
    }
    let order = compare(actual, reference, op, kind);
    match op {
        "eq" => order == Ordering::Equal,
        "ne" => order != Ordering::Equal,
        // Without a value of either side no "more" or "less" holds.
        _ if actual.is_none() || reference.is_none() => false,
        "lt" => order == Ordering::Less,
        "lte" => order != Ordering::Greater,
        "gt" => order == Ordering::Greater,
        "gte" => order != Ordering::Less,
        _ => false,
    }
}

fn compare(
    actual: Option<&str>,
    reference: Option<&str>,
    op: &str,
    kind: Option<&str>,
) -> Ordering {
    let (Some(a), Some(b)) = (actual, reference) else {
        return match (actual.is_some(), reference.is_some()) {
            (false, false) => Ordering::Equal,
            (false, true) => Ordering::Less,
            _ => Ordering::Greater,
        };
    };
    let kind = kind.unwrap_or_else(|| {
        // By default numbers where an order is asked for, text otherwise.
        if matches!(op, "lt" | "lte" | "gt" | "gte") {
            if a.contains('.') || b.contains('.') {
                "number"
            } else {
                "integer"
            }
        } else {
            "string"
        }
    });
    let text = || a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
    match kind {
        "integer" => match (integer(a), integer(b)) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => text(),
        },
        "number" => match (a.trim().parse::<f64>(), b.trim().parse::<f64>()) {
            (Ok(x), Ok(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
            _ => text(),
        },
        "version" => versions(a, b),
        _ => text(),
    }
}

/// Whole numbers; a fraction is cut off.
fn integer(text: &str) -> Option<i64> {
    let t = text.trim();
    let (sign, rest) = match t.strip_prefix('-') {
        Some(r) => (-1, r),
        None => (1, t.strip_prefix('+').unwrap_or(t)),
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    if end == 0 {
        return None;
    }
    let tail = &rest[end..];
    if !tail.is_empty() && !tail.starts_with('.') {
        return None;
    }
    rest[..end].parse::<i64>().ok().map(|n| sign * n)
}

/// Compares dotted version numbers part by part.
pub fn versions(a: &str, b: &str) -> Ordering {
    let part = |t: &str| {
        t.split('.')
            .map(|p| integer(p).unwrap_or(0))
            .collect::<Vec<_>>()
    };
    let (x, y) = (part(a), part(b));
    for i in 0..x.len().max(y.len()) {
        let order = x.get(i).unwrap_or(&0).cmp(y.get(i).unwrap_or(&0));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn date(
    op: Option<&str>,
    start: Option<&str>,
    end: Option<&str>,
    duration: Option<&[(String, String)]>,
    spec: Option<&[(String, String)]>,
    facts: &Facts<'_>,
) -> bool {
    let now = facts.now;
    let start = start.and_then(time::parse);
    let mut end = end.and_then(time::parse);
    match op.unwrap_or("in_range") {
        "gt" => match start {
            Some(s) => {
                facts.change_at(s + 1);
                now > s
            }
            None => false,
        },
        "lt" => match end {
            Some(e) => {
                facts.change_at(e);
                now < e
            }
            None => false,
        },
        "date_spec" => spec.is_some_and(|s| time::fits(now, s)),
        _ => {
            if end.is_none()
                && let (Some(d), Some(s)) = (duration, start)
            {
                end = time::add_duration(s, d);
            }
            if start.is_none() && end.is_none() {
                return false;
            }
            if let Some(s) = start
                && now < s
            {
                facts.change_at(s);
                return false;
            }
            if let Some(e) = end {
                if now > e {
                    return false;
                }
                facts.change_at(e + 1);
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_cut_for_integers_and_kept_for_numbers() {
        assert!(expression(Some("1"), "eq", Some("1.9"), Some("integer")));
        assert!(!expression(Some("1"), "eq", Some("1.9"), Some("number")));
        assert!(expression(Some("3"), "lt", Some("12"), None));
        assert_eq!(versions("1.10", "1.9"), Ordering::Greater);
    }
}
