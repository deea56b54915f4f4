//! Passwords and cookies stay out of plain view: shown texts have a mask in their place, and a text that comes back with
//! the mask keeps what the cluster has.

use quorate_model::cib::{CloneChild, Configuration, Pair, Primitive, Resource, SetKind};
use quorate_model::crm;
use quorate_model::diag::Span;

use crate::error::{Error, Exit, Result};

pub use quorate_model::crm::MASK;

/// Whether a parameter of that name holds a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let speaks = ["passw", "secret", "token", "cookie"]
        .iter()
        .any(|word| name.contains(word));
    // Ways to get at a secret are none.
    let is_way = ["_script", "_method", "_file", "_timeout"]
        .iter()
        .any(|end| name.ends_with(end));
    speaks && !is_way
}

fn primitives(configuration: &Configuration) -> Vec<&Primitive> {
    let mut all = Vec::new();
    for resource in &configuration.resources {
        match resource {
            Resource::Primitive(one) | Resource::Template(one) => all.push(one),
            Resource::Group(group) => all.extend(&group.members),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(one) => all.push(one),
                CloneChild::Group(group) => all.extend(&group.members),
            },
            Resource::Bundle(bundle) => all.extend(&bundle.primitive),
        }
    }
    all
}

/// Every secret with the primitive it belongs to.
fn secrets(configuration: &Configuration) -> impl Iterator<Item = (&str, &Pair)> {
    primitives(configuration).into_iter().flat_map(|primitive| {
        let sets = primitive
            .sets
            .iter()
            .filter(|set| set.kind == SetKind::Instance);
        sets.flat_map(|set| &set.pairs)
            .filter(|pair| is_secret(&pair.name))
            .map(|pair| (primitive.id.as_str(), pair))
    })
}

/// A file's path or nothing is no secret.
fn is_hidden_worth(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('/') && value != MASK
}

/// The text with the values at these places replaced.
fn replaced(text: &str, mut edits: Vec<(Span, String)>) -> String {
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, new) in edits {
        text.replace_range(span.start..span.end, &new);
    }
    text
}

/// A text in the crm language (or XML) for eyes.
#[must_use]
pub fn mask(text: &str) -> String {
    if text.trim_start().starts_with('<') {
        return mask_xml(text);
    }
    let (document, _) = crm::parse(text);
    let edits = secrets(document.configuration())
        .filter(|(_, pair)| pair.value.as_deref().is_some_and(is_hidden_worth))
        .filter_map(|(_, pair)| {
            let span = document.spans().get(pair.id.as_deref()?, "")?;
            Some((span, format!("{}={MASK}", pair.name)))
        });
    replaced(text, edits.collect())
}

/// `name="password" ... value="secret"`, whatever stands between.
fn mask_xml(text: &str) -> String {
    let mut out = String::new();
    for (n, element) in text.split('<').enumerate() {
        if n > 0 {
            out.push('<');
        }
        let field = |name: &str| {
            let (_, rest) = element.split_once(&format!(" {name}=\""))?;
            rest.split('"').next()
        };
        let value = field("value").filter(|value| is_hidden_worth(value));
        match (element.starts_with("nvpair "), field("name"), value) {
            (true, Some(name), Some(value)) if is_secret(name) => {
                out += &element.replacen(
                    &format!(" value=\"{value}\""),
                    &format!(" value=\"{MASK}\""),
                    1,
                );
            }
            _ => out += element,
        }
    }
    out
}

/// Lines that are no whole text (of a difference): by the look of `name=value` alone.
#[must_use]
pub fn mask_lines(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some(at) = rest.find('=') {
            let (before, after) = rest.split_at(at + 1);
            out += before;
            let name = before[..at].rsplit(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
            let length = match after.strip_prefix('"') {
                Some(quoted) => quoted.find('"').map_or(after.len(), |end| end + 2),
                None => after.find(char::is_whitespace).unwrap_or(after.len()),
            };
            let value = after[..length].trim_matches('"');
            let is_one = name.into_iter().next().is_some_and(is_secret) && is_hidden_worth(value);
            out += if is_one { MASK } else { &after[..length] };
            rest = &after[length..];
        }
        out += rest;
    }
    out
}

/// The text with every mask replaced by what `present` has in that place.
pub fn unmask(text: &str, present: &str) -> Result<String> {
    if !text.contains(MASK) {
        return Ok(text.to_owned());
    }
    if text.trim_start().starts_with('<') {
        // Taken as it stands, the mask itself would become the password, a fence device's among them.
        return Err(Error::new(
            "the XML has masked passwords, which are filled in again in the crm language only",
            "write the values, or begin with `quorate show --xml --secrets`",
        )
        .exit(Exit::Configuration));
    }
    let (document, _) = crm::parse(text);
    let (known, _) = crm::parse(present);
    let mut edits = Vec::new();
    for (id, pair) in secrets(document.configuration()) {
        if pair.value.as_deref() != Some(MASK) {
            continue;
        }
        let old =
            secrets(known.configuration()).find(|(of, other)| *of == id && other.name == pair.name);
        let value = old
            .and_then(|(_, other)| other.value.as_deref())
            .ok_or_else(|| {
                Error::new(
                    format!(
                        "`{}` of `{id}` is masked, and the cluster has no value for it",
                        pair.name
                    ),
                    "write the value, or let the agent read it from a file",
                )
                .exit(Exit::Configuration)
            })?;
        let span = pair
            .id
            .as_deref()
            .and_then(|id| document.spans().get(id, ""));
        edits.extend(span.map(|span| (span, format!("{}={}", pair.name, quoted(value)))));
    }
    Ok(replaced(text, edits))
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "primitive mq ocf:rabbitmq:rabbitmq-server-ha \\\n    params erlang_cookie=SALTY default_vhost=openstack # a note\n\
        primitive st stonith:fence_ipmilan params password=\"very secret\" ip=10.0.0.1 password_script=/bin/x\n\
        primitive ipmi stonith:external/ipmi params passwd=/etc/ipmi.pass passwd_method=file\nms ms-mq mq\n";

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let shown = mask(TEXT);
        assert!(
            !shown.contains("SALTY") && !shown.contains("very secret"),
            "{shown}"
        );
        for kept in [
            "erlang_cookie=********",
            "password=********",
            "/bin/x",
            "/etc/ipmi.pass",
            "# a note",
            "openstack",
        ] {
            assert!(shown.contains(kept), "{kept} in {shown}");
        }
    }

    #[test]
    fn a_text_that_comes_back_keeps_the_secrets() {
        let (before, _) = crm::parse(TEXT);
        let back = unmask(&mask(TEXT), TEXT).expect("all are known");
        let (after, _) = crm::parse(&back);
        assert_eq!(
            before.configuration().resources.len(),
            after.configuration().resources.len()
        );
        let values = |document: &crm::Document| -> Vec<Option<String>> {
            secrets(document.configuration())
                .map(|(_, pair)| pair.value.clone())
                .collect()
        };
        assert_eq!(values(&before), values(&after));
    }

    #[test]
    fn a_mask_for_nothing_is_refused() {
        let new = "primitive other stonith:fence_ipmilan params password=********\n";
        assert!(unmask(new, TEXT).is_err());
    }

    #[test]
    fn a_mask_in_xml_never_becomes_the_password() {
        let xml = r#"<nvpair id="a" name="passwd" value="********"/>"#;
        assert!(unmask(xml, TEXT).is_err());
    }

    #[test]
    fn lines_of_a_difference_are_masked() {
        let diff = "-   params passwd=old ip=1\n+   params passwd=\"new one\" ip=1\n x=y\n";
        assert_eq!(
            mask_lines(diff),
            "-   params passwd=******** ip=1\n+   params passwd=******** ip=1\n x=y\n"
        );
    }

    #[test]
    fn xml_is_masked_too() {
        let xml = r#"<nvpair id="a" name="erlang_cookie" value="SALTY"/><nvpair id="b" name="ip" value="10.0.0.1"/>"#;
        let shown = mask(xml);
        assert!(
            !shown.contains("SALTY") && shown.contains("10.0.0.1"),
            "{shown}"
        );
    }
}
