//! Text to statements of words: comments, quotes, line continuation, spans.

use crate::diag::{Code, Diagnostic, Span};

/// Longest text that is read.
pub const TEXT_BYTES_MAX: usize = 32 << 20;
/// Most statements of a text.
pub const STATEMENTS_MAX: usize = 200_000;
/// Most words of a statement.
pub const WORDS_MAX: usize = 100_000;

/// A word with its quotes taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub text: String,
    /// Where it stands, quotes included.
    pub span: Span,
    /// It has quotes.
    pub quoted: bool,
    /// The first `=` outside quotes: its place in `text` and in the source.
    pub equals: Option<(usize, usize)>,
}

impl Word {
    /// Name, value and the value's place when the word is `name=value`.
    pub fn pair(&self) -> Option<(&str, &str, Span)> {
        let (at, source) = self.equals?;
        (at > 0).then(|| {
            (
                &self.text[..at],
                &self.text[at + 1..],
                Span::new(source + 1, self.span.end),
            )
        })
    }

    /// The unquoted word itself in lower case, to compare with keywords.
    pub fn keyword(&self) -> Option<String> {
        (!self.quoted && self.equals.is_none()).then(|| self.text.to_ascii_lowercase())
    }
}

/// A run of words up to an end of line that no backslash continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The words; at least one.
    pub words: Vec<Word>,
    /// From the first word to the last.
    pub span: Span,
    /// The comment lines directly above, if any.
    pub comment: Option<Span>,
}

/// Cuts a text into statements.
pub fn lex(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Line> {
    if text.len() > TEXT_BYTES_MAX {
        diagnostics.push(Diagnostic::new(
            Code::TooLarge,
            format!(
                "the text has {} bytes, more than {TEXT_BYTES_MAX}",
                text.len()
            ),
        ));
        return Vec::new();
    }
    let mut lexer = Lexer {
        text,
        at: 0,
        diagnostics,
    };
    let mut lines = Vec::new();
    let mut comment: Option<Span> = None;
    while lexer.at < text.len() {
        match lexer.line_start() {
            Start::Blank => comment = None,
            Start::Comment(span) => comment = Some(comment.map_or(span, |above| above.to(span))),
            Start::Statement => {
                if let Some(mut line) = lexer.line() {
                    line.comment = comment.take();
                    lines.push(line);
                }
                if lines.len() > STATEMENTS_MAX {
                    let message = format!("the text has more than {STATEMENTS_MAX} statements");
                    let end = Span::new(lexer.at, lexer.at);
                    lexer
                        .diagnostics
                        .push(Diagnostic::new(Code::TooLarge, message).at(end, "here"));
                    break;
                }
            }
        }
    }
    lines
}

enum Start {
    Blank,
    Comment(Span),
    Statement,
}

struct Lexer<'a, 'd> {
    text: &'a str,
    at: usize,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Lexer<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn end_of_line(&self) -> usize {
        self.text[self.at..]
            .find('\n')
            .map_or(self.text.len(), |n| self.at + n)
    }

    /// Looks at a line's first visible character; consumes blank lines and comments.
    fn line_start(&mut self) -> Start {
        let end = self.end_of_line();
        let line = &self.text[self.at..end];
        let inner = line.trim_start();
        if inner.is_empty() {
            self.at = (end + 1).min(self.text.len());
            return Start::Blank;
        }
        if inner.starts_with('#') {
            let span = Span::new(
                self.at + (line.len() - inner.len()),
                self.at + line.trim_end().len(),
            );
            self.at = (end + 1).min(self.text.len());
            return Start::Comment(span);
        }
        Start::Statement
    }

    /// One statement, to the end of its last line.
    fn line(&mut self) -> Option<Line> {
        let mut words: Vec<Word> = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                '\n' => {
                    self.at += 1;
                    break;
                }
                '\\' if self.continuation() => {}
                c if c.is_whitespace() => self.at += c.len_utf8(),
                _ => {
                    let word = self.word();
                    let is_xml = words.is_empty() && word.text.eq_ignore_ascii_case("xml");
                    words.push(word);
                    if is_xml {
                        words.extend(self.raw());
                        break;
                    }
                    if words.len() > WORDS_MAX {
                        let span = Span::new(self.at, self.at);
                        let message = format!("a statement has more than {WORDS_MAX} words");
                        self.diagnostics
                            .push(Diagnostic::new(Code::TooLarge, message).at(span, "here"));
                        self.at = self.end_of_line();
                        return None;
                    }
                }
            }
        }
        let span = words.first()?.span.to(words.last()?.span);
        Some(Line {
            words,
            span,
            comment: None,
        })
    }

    /// Steps over a backslash at the end of a line, and over comment lines that follow it.
    fn continuation(&mut self) -> bool {
        let end = self.end_of_line();
        let rest = &self.text[self.at + 1..end];
        if !rest.trim().is_empty() {
            return false;
        }
        if !rest.trim_end_matches('\r').is_empty() {
            let span = Span::new(self.at, end);
            self.diagnostics.push(
                Diagnostic::new(Code::Continuation, "white space after the backslash")
                    .at(span, "the statement was continued all the same")
                    .fix(span, "\\"),
            );
        }
        self.at = (end + 1).min(self.text.len());
        while self.at < self.text.len() {
            let end = self.end_of_line();
            // `#uname` and its like begin a rule's words; a comment has a blank after its mark.
            let mut inner = self.text[self.at..end].trim_start().chars();
            let is_comment = inner.next() == Some('#')
                && inner.next().is_none_or(|c| c.is_whitespace() || c == '#');
            if !is_comment {
                break;
            }
            self.at = (end + 1).min(self.text.len());
        }
        true
    }

    /// The rest of a statement as one word, quotes and all.
    fn raw(&mut self) -> Option<Word> {
        let start = self.at;
        loop {
            let end = self.end_of_line();
            let is_continued = self.text[self.at..end].trim_end().ends_with('\\');
            self.at = (end + 1).min(self.text.len());
            if !is_continued || self.at >= self.text.len() {
                let span = &self.text[start..end];
                let start = start + (span.len() - span.trim_start().len());
                let end = start + span.trim().len();
                let text = self.text.get(start..end).filter(|text| !text.is_empty())?;
                let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
                return Some(Word {
                    text,
                    span: Span::new(start, end),
                    quoted: true,
                    equals: None,
                });
            }
        }
    }

    /// One word, quotes taken off as a shell does.
    fn word(&mut self) -> Word {
        let start = self.at;
        let mut text = String::new();
        let mut quoted = false;
        let mut equals = None;
        while let Some(c) = self.peek() {
            match c {
                '\'' | '"' => {
                    quoted = true;
                    self.quoted(c, &mut text);
                }
                '\\' => {
                    let end = self.end_of_line();
                    if self.text[self.at + 1..end].trim().is_empty() {
                        break;
                    }
                    self.at += 1;
                    if let Some(c) = self.peek() {
                        text.push(c);
                        self.at += c.len_utf8();
                    }
                }
                c if c.is_whitespace() => break,
                c => {
                    if c == '=' && equals.is_none() && !quoted {
                        equals = Some((text.len(), self.at));
                    }
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        Word {
            text,
            span: Span::new(start, self.at),
            quoted,
            equals,
        }
    }

    /// The inside of a quoted part; it may run over lines.
    fn quoted(&mut self, quote: char, text: &mut String) {
        let open = self.at;
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c == quote {
                return;
            }
            if c == '\\' && quote == '"' {
                match self.peek() {
                    Some('\n') => {
                        self.at += 1;
                        continue;
                    }
                    Some(next @ ('"' | '\\')) => {
                        self.at += 1;
                        text.push(next);
                        continue;
                    }
                    _ => {}
                }
            }
            if c == '\n' {
                break;
            }
            text.push(c);
        }
        // Ends at the line's end: the next line is most likely a statement of its own.
        if self.text[..self.at].ends_with('\n') {
            self.at -= 1;
        }
        self.diagnostics.push(
            Diagnostic::new(Code::UnclosedQuote, format!("this {quote} is never closed"))
                .at(Span::new(open, open + 1), "opened here")
                .because("the rest of the line became part of the value")
                .help(format!("close it with {quote} on the same line")),
        );
    }
}
