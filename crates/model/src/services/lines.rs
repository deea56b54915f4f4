//! Lines with their place in the text, comments taken off.

use crate::diag::Span;

/// One line with content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// The content without comment and surrounding white space.
    pub text: &'a str,
    /// Where it stands.
    pub span: Span,
}

/// The lines that say something. A comment begins with one of `comments` at the line's start or after white space.
pub(super) fn lines<'a>(text: &'a str, comments: &'a [char]) -> impl Iterator<Item = Line<'a>> {
    let mut offset = 0;
    text.split_inclusive('\n').filter_map(move |raw| {
        let start = offset;
        offset += raw.len();
        let body = &raw[..comment_start(raw, comments)];
        let content = body.trim();
        if content.is_empty() {
            return None;
        }
        let lead = body.len() - body.trim_start().len();
        Some(Line {
            text: content,
            span: Span::new(start + lead, start + lead + content.len()),
        })
    })
}

fn comment_start(line: &str, comments: &[char]) -> usize {
    let mut before_is_space = true;
    let mut quote = None;
    for (at, character) in line.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if character == '"' || character == '\'' => quote = Some(character),
            None if before_is_space && comments.contains(&character) => return at,
            None => {}
        }
        before_is_space = character.is_whitespace();
    }
    line.len()
}

impl<'a> Line<'a> {
    /// The words with their places.
    pub fn words(self) -> Vec<(&'a str, Span)> {
        let mut words = Vec::new();
        let mut rest = self.text;
        let mut at = self.span.start;
        while !rest.is_empty() {
            let lead = rest.len() - rest.trim_start().len();
            rest = &rest[lead..];
            at += lead;
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if end > 0 {
                words.push((&rest[..end], Span::new(at, at + end)));
            }
            rest = &rest[end..];
            at += end;
        }
        words
    }
}
