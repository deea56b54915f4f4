//! The operator's document: crm text (or CIB XML) and the configuration derived from it.

use quorate_model::cib::{AttributeSet, Configuration};

/// Derives the configuration. What is in error is left out: `apply` refused it or the operator forced it,
/// and each node must derive the same.
#[must_use]
pub fn derive(text: &str) -> Configuration {
    if text.trim_start().starts_with('<') {
        return quorate_model::xml::read::read(text)
            .map(|cib| cib.configuration)
            .unwrap_or_default();
    }
    quorate_model::crm::parse(text).0.into_configuration()
}

/// A cluster option: the first set without a rule that has it.
#[must_use]
pub fn option<'a>(configuration: &'a Configuration, name: &str) -> Option<&'a str> {
    configuration
        .options
        .iter()
        .filter(|set| set.rule.is_none())
        .find_map(|set| value(set, name))
}

/// The value of a name in one set.
#[must_use]
pub fn value<'a>(set: &'a AttributeSet, name: &str) -> Option<&'a str> {
    set.pairs
        .iter()
        .find(|pair| pair.name == name)
        .and_then(|pair| pair.value.as_deref())
}

/// A time as configurations write it, in milliseconds: `5`, `5s`, `500ms`, `2min`, `1h`.
#[must_use]
pub fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "s" | "sec" => 1_000,
        "ms" | "msec" => 1,
        "m" | "min" => 60_000,
        "h" | "hr" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A truth value as configurations write it.
#[must_use]
pub fn is_true(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "on" | "yes" | "y" | "1"
    )
}
