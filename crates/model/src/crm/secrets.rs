//! Secrets in a configuration: passwords and keys are shown to nobody who did not ask for them.

use super::{Document, references::each_primitive};
use crate::cib::{AttributeSet, Configuration, SetKind};
use crate::diag::{Code, Diagnostic, Span};

/// What stands in the place of a secret. `check` knows it and refuses a text that has it as a value.
pub const MASK: &str = "********";

/// Whether a parameter of that name holds a secret (and not the path to one).
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let names_one = name.contains("passw")
        || name.contains("secret")
        || name.ends_with("_cookie")
        || name.ends_with("_token")
        || matches!(
            name.as_str(),
            "pass" | "token" | "snmp_priv_key" | "community"
        );
    let points_to_one = ["_file", "_script", "_method", "_use_empty", "_path"]
        .iter()
        .any(|end| name.ends_with(end));
    names_one && !points_to_one
}

/// A secret value with its place in the text, where it has one.
fn secrets(document: &Document) -> Vec<(Option<Span>, String)> {
    let mut found = Vec::new();
    let mut visit = |set: &AttributeSet| {
        if set.kind == SetKind::Meta {
            return;
        }
        for pair in set.pairs.iter().filter(|pair| is_secret(&pair.name)) {
            let Some(value) = pair.value.clone().filter(|value| !value.is_empty()) else {
                continue;
            };
            // A path is not the secret itself.
            if value.starts_with('/') {
                continue;
            }
            let id = pair.id.as_deref().unwrap_or("");
            found.push((document.spans().get(id, "value"), value));
        }
    };
    let mut configuration: Configuration = document.configuration().clone();
    each_primitive(&mut configuration, &mut |primitive| {
        primitive.sets.iter().for_each(&mut visit);
        for operation in &primitive.operations.list {
            operation.sets.iter().for_each(&mut visit);
        }
    });
    for alert in &configuration.alerts {
        alert.sets.iter().for_each(&mut visit);
        for recipient in &alert.recipients {
            recipient.sets.iter().for_each(&mut visit);
        }
    }
    for node in &configuration.nodes {
        node.sets.iter().for_each(&mut visit);
    }
    found
}

/// The text with a mask in the place of every secret; nothing else changes.
pub fn mask(text: &str) -> String {
    let (document, _) = super::parse(text);
    let found = secrets(&document);
    let mut masked = String::with_capacity(text.len());
    let mut places: Vec<Span> = found.iter().filter_map(|(span, _)| *span).collect();
    places.sort();
    places.dedup();
    let mut at = 0;
    for place in places.into_iter().filter(|place| place.start < place.end) {
        if place.start < at {
            continue;
        }
        masked.push_str(&text[at..place.start]);
        masked.push_str(MASK);
        at = place.end;
    }
    masked.push_str(&text[at..]);
    // What stands in an XML statement has no place of its own.
    for (_, value) in found.iter().filter(|(span, _)| span.is_none()) {
        let escaped = value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        for value in [value, &escaped] {
            masked = masked
                .replace(&format!("value=\"{value}\""), &format!("value=\"{MASK}\""))
                .replace(&format!("value='{value}'"), &format!("value='{MASK}'"));
        }
    }
    masked
}

/// The text with stars in the place of every secret, one for each byte: what points into the text still does.
/// What a finding calls a placeholder or a mask is no secret, and is shown.
pub fn mask_in_place(text: &str, findings: &[Diagnostic]) -> String {
    let (document, _) = super::parse(text);
    let is_shown = |span: Span| {
        findings
            .iter()
            .filter(|d| matches!(d.code, Code::Placeholder | Code::MaskedValue))
            .filter_map(|d| d.span)
            .any(|known| span.start <= known.start && known.end <= span.end)
    };
    let mut bytes = text.as_bytes().to_vec();
    let places = secrets(&document).into_iter().filter_map(|(span, _)| span);
    for span in places.filter(|span| !is_shown(*span)) {
        for byte in bytes.get_mut(span.start..span.end).unwrap_or_default() {
            // Line ends keep the lines where they are; quotation marks keep the value a value.
            if !matches!(*byte, b'\n' | b'"' | b'\'' | b'\\') {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| mask(text))
}

/// The configuration with a mask in the place of every secret.
pub fn mask_configuration(configuration: &Configuration) -> Configuration {
    let mut masked = configuration.clone();
    super::each_set(&mut masked, &mut |set| {
        if set.kind == SetKind::Meta {
            return;
        }
        for pair in set.pairs.iter_mut().filter(|pair| is_secret(&pair.name)) {
            let is_path = |value: &String| value.is_empty() || value.starts_with('/');
            if let Some(value) = pair.value.as_mut().filter(|value| !is_path(value)) {
                MASK.clone_into(value);
            }
        }
    });
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand_and_nothing_else_is() {
        let text = "\
# passwd=tiger is in a comment: comments are the operator's own
primitive f stonith:external/ipmi params hostname=n1 passwd=\"ti ger\" passwd_method=param
primitive g galera params check_passwd=lion check_user=monitor op monitor interval=10s
primitive h stonith:x params password_script=/usr/bin/p passwd=/etc/secret
xml <primitive id=\"x\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"><instance_attributes id=\"x-i\"><nvpair id=\"x-p\" name=\"password\" value=\"a&amp;b\"/></instance_attributes></primitive>
";
        let masked = mask(text);
        for secret in ["ti ger", "lion", "a&amp;b", "a&b"] {
            assert!(!masked.contains(secret), "{secret} in\n{masked}");
        }
        assert_eq!(masked.matches(MASK).count(), 3, "{masked}");
        for kept in [
            "check_user=monitor",
            "passwd_method=param",
            "/usr/bin/p",
            "/etc/secret",
            "hostname=n1",
        ] {
            assert!(masked.contains(kept), "{kept} is missing in\n{masked}");
        }
        assert_eq!(
            mask("primitive a Dummy params state=/run/a\n"),
            "primitive a Dummy params state=/run/a\n"
        );
        let starred = mask_in_place(text, &[]);
        assert_eq!(starred.len(), text.len());
        assert!(
            !starred.contains("ti ger") && !starred.contains("lion"),
            "{starred}"
        );
        let (document, _) = super::super::parse(text);
        let xml = crate::xml::write::configuration(&mask_configuration(document.configuration()));
        assert!(
            !xml.contains("lion") && !xml.contains("ti ger") && !xml.contains("a&amp;b"),
            "{xml}"
        );
    }
}
