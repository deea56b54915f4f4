//! Diagnostics as text: file, line, caret, cause, help.

use super::{Diagnostic, Fix, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A named text that diagnostics point into.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the user calls it.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

/// One finding as the lines a user reads.
pub fn render(diagnostic: &Diagnostic, source: Source<'_>, colors: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str());
    let mut group = match snippet(diagnostic, source) {
        Some(snippet) => title.element(snippet),
        None => Group::with_title(title),
    };
    if let Some(cause) = &diagnostic.cause {
        group = group.element(Level::NOTE.message(cause.as_str()));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if colors {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    format!("{}\n", renderer.render(&[group]))
}

/// The marked lines of the source.
fn snippet<'a>(
    diagnostic: &'a Diagnostic,
    source: Source<'a>,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let fits = |span: super::Span| {
        let end = span.end.min(source.text.len());
        let start = span.start.min(end);
        (source.text.is_char_boundary(start) && source.text.is_char_boundary(end))
            .then_some(start..end)
    };
    let primary = fits(diagnostic.span?)?;
    let mut snippet = Snippet::source(source.text)
        .path(source.name)
        .line_start(1)
        .annotation(
            AnnotationKind::Primary
                .span(primary)
                .label(diagnostic.label.as_str()),
        );
    for (span, label) in &diagnostic.related {
        if let Some(range) = fits(*span) {
            snippet = snippet.annotation(AnnotationKind::Context.span(range).label(label.as_str()));
        }
    }
    Some(snippet)
}

/// All findings, with a last line that counts them.
pub fn render_all(diagnostics: &[Diagnostic], source: Source<'_>, colors: bool) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&render(diagnostic, source, colors));
        text.push('\n');
    }
    let count = |severity| {
        diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let (errors, warnings, notes) = (
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
    );
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    text.push_str(&format!(
        "{}: {}, {}, {}\n",
        source.name,
        plural(errors, "error"),
        plural(warnings, "warning"),
        plural(notes, "note")
    ));
    text
}

/// The text with every fix applied whose place no earlier fix has taken.
pub fn apply_fixes(text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut taken: Vec<&Fix> = Vec::new();
    for diagnostic in diagnostics {
        let free = diagnostic.fixes.iter().all(|fix| {
            fix.span.end <= text.len()
                && taken.iter().all(|other| {
                    *other == fix
                        || fix.span.end <= other.span.start
                        || other.span.end <= fix.span.start
                })
        });
        if free {
            taken.extend(diagnostic.fixes.iter());
        }
    }
    taken.sort_by_key(|fix| (fix.span.start, fix.span.end));
    taken.dedup();
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for fix in taken {
        if fix.span.start < at {
            continue;
        }
        result.push_str(&text[at..fix.span.start]);
        result.push_str(&fix.replacement);
        at = fix.span.end;
    }
    result.push_str(&text[at..]);
    result
}

/// The difference of two texts as `diff -u` prints it.
pub fn unified_diff(before: &str, after: &str, name: &str) -> String {
    similar::TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(
            &format!("a/{}", name.trim_start_matches('/')),
            &format!("b/{}", name.trim_start_matches('/')),
        )
        .to_string()
}
