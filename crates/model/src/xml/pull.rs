//! XML, one element at a time: what an information base needs of the language, and no more.
//!
//! Elements and attributes; comments, processing instructions, CDATA and text are checked and passed over.
//! Prefixes of namespaces are dropped (nobody tells elements of an information base apart by them), document
//! types are refused. A status has tens of millions of letters, so that no tree is built of it.

use std::borrow::Cow;

use super::read::{DEPTH_MAX, NODES_MAX, ReadError};

/// An attribute, its value with references resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute<'a> {
    pub name: &'a str,
    pub value: Cow<'a, str>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step<'a> {
    /// An element begins; its attributes are to be had with [`Pull::take_attributes`].
    Start(&'a str),
    /// The innermost open element ends.
    End,
    /// The document is over.
    Over,
}

/// A reader that walks through a document.
pub(crate) struct Pull<'a> {
    text: &'a str,
    at: usize,
    /// Of the element that began last.
    attributes: Vec<Attribute<'a>>,
    /// Where it began.
    pub(crate) start: usize,
    open: Vec<&'a str>,
    /// The element that began last ends at once (`<a/>`).
    empty: bool,
    elements: u32,
    had_root: bool,
}

type Pulled<T> = Result<T, ReadError>;

impl<'a> Pull<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Pull {
            text,
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            attributes: Vec::new(),
            start: 0,
            open: Vec::new(),
            empty: false,
            elements: 0,
            had_root: false,
        }
    }

    /// Attributes of the element that began last, taken out.
    pub(crate) fn take_attributes(&mut self) -> impl Iterator<Item = Attribute<'a>> + '_ {
        self.attributes.drain(..)
    }

    /// Value of an attribute of the element that began last.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|a| a.name == name)?;
        Some(&found.value)
    }

    /// Line (from 1) at which a position is.
    pub(crate) fn line_of(&self, at: usize) -> u32 {
        let breaks = self.text.as_bytes()[..at.min(self.text.len())]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        u32::try_from(breaks + 1).unwrap_or(u32::MAX)
    }

    fn fault<T>(&self, what: &str) -> Pulled<T> {
        Err(ReadError::Malformed {
            line: self.line_of(self.at),
            what: what.to_owned(),
        })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next element's begin or end.
    pub(crate) fn step(&mut self) -> Pulled<Step<'a>> {
        if self.empty {
            self.empty = false;
            self.open.pop();
            return Ok(Step::End);
        }
        loop {
            self.between()?;
            if self.byte().is_none() {
                return self.over();
            }
            // At `<`.
            match self.text.as_bytes().get(self.at + 1) {
                Some(b'/') => return self.end(),
                Some(b'!') => self.declaration()?,
                Some(b'?') => self.instruction()?,
                _ => return self.begin(),
            }
        }
    }

    /// Passes over what remains of the element that began last, its end included.
    pub(crate) fn skip(&mut self) -> Pulled<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.step()? {
                Step::Start(_) => depth += 1,
                Step::End => depth -= 1,
                Step::Over => break,
            }
        }
        Ok(())
    }

    fn over(&mut self) -> Pulled<Step<'a>> {
        if let Some(name) = self.open.last() {
            let what = format!("<{name}> is not closed");
            return self.fault(&what);
        }
        if !self.had_root {
            return self.fault("there is no element");
        }
        Ok(Step::Over)
    }

    /// Text up to the next `<`, which means nothing in an information base but must be right.
    fn between(&mut self) -> Pulled<()> {
        let bytes = self.text.as_bytes();
        let inside = !self.open.is_empty();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'<' => return Ok(()),
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ if !inside => return self.fault("text outside of the root element"),
                b'&' => {
                    self.reference()?;
                }
                b']' if self.rest().starts_with("]]>") => return self.fault("']]>' in a text"),
                0..0x20 => return self.fault("a control character"),
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// A comment or CDATA.
    fn declaration(&mut self) -> Pulled<()> {
        let rest = self.rest();
        let (skip, end) = if rest.starts_with("<!--") {
            (4, "-->")
        } else if rest.starts_with("<![CDATA[") && !self.open.is_empty() {
            (9, "]]>")
        } else if rest.starts_with("<!DOCTYPE") {
            return self.fault("a document type is not accepted");
        } else {
            return self.fault("'<!' begins neither a comment nor CDATA here");
        };
        match rest[skip..].find(end) {
            Some(length) => {
                let inner = &rest[skip..skip + length];
                if skip == 4 && (inner.contains("--") || inner.ends_with('-')) {
                    return self.fault("'--' inside a comment");
                }
                if inner.bytes().any(control) {
                    return self.fault("a control character");
                }
                self.at += skip + length + end.len();
                Ok(())
            }
            None => self.fault("a comment or CDATA is not closed"),
        }
    }

    /// `<?xml ...?>` at the begin, or any other instruction.
    fn instruction(&mut self) -> Pulled<()> {
        let rest = self.rest();
        let first = rest.starts_with("<?xml") && !rest[5..].starts_with(name_byte_char);
        let begin = if self.text.starts_with('\u{feff}') {
            3
        } else {
            0
        };
        if first && self.at != begin {
            return self.fault("'<?xml' may only stand at the begin");
        }
        if !rest[2..].starts_with(name_byte_char) {
            return self.fault("an instruction without a name");
        }
        match rest.find("?>") {
            Some(length) if !rest[..length].bytes().any(control) => {
                self.at += length + 2;
                Ok(())
            }
            Some(_) => self.fault("a control character"),
            None => self.fault("an instruction is not closed"),
        }
    }

    fn end(&mut self) -> Pulled<Step<'a>> {
        self.at += 2;
        let name = self.name()?;
        self.blanks();
        if self.byte() != Some(b'>') {
            return self.fault("an end tag holds more than a name");
        }
        match self.open.pop() {
            Some(open) if open == name => {
                self.at += 1;
                Ok(Step::End)
            }
            Some(open) => {
                let what = format!("<{open}> is closed by </{name}>");
                self.fault(&what)
            }
            None => self.fault("an end tag without a begin"),
        }
    }

    fn begin(&mut self) -> Pulled<Step<'a>> {
        self.start = self.at;
        self.at += 1;
        if self.open.is_empty() && self.had_root {
            return self.fault("a second root element");
        }
        if self.open.len() >= DEPTH_MAX {
            let line = self.line_of(self.start);
            return Err(ReadError::TooDeep { line });
        }
        self.elements += 1;
        if self.elements > NODES_MAX {
            return self.fault("too many elements");
        }
        let name = self.name()?;
        self.had_root = true;
        self.attributes.clear();
        // A bit for each kind of name seen, so that most names need not be compared with all before.
        let mut seen = 0_u64;
        loop {
            let apart = self.blanks();
            match self.byte() {
                Some(b'>') => {
                    self.at += 1;
                    break;
                }
                Some(b'/') if self.text.as_bytes().get(self.at + 1) == Some(&b'>') => {
                    self.at += 2;
                    self.empty = true;
                    break;
                }
                Some(b'<') | None => return self.fault("a tag is not closed"),
                Some(_) if apart => self.attribute(&mut seen)?,
                Some(_) => return self.fault("no blank before an attribute"),
            }
        }
        self.open.push(name);
        Ok(Step::Start(local(name)))
    }

    fn attribute(&mut self, seen: &mut u64) -> Pulled<()> {
        let full = self.name()?;
        self.blanks();
        if self.byte() != Some(b'=') {
            return self.fault("an attribute without a value");
        }
        self.at += 1;
        self.blanks();
        let value = self.value()?;
        if full == "xmlns" || full.starts_with("xmlns:") {
            return Ok(());
        }
        let name = local(full);
        let bytes = name.as_bytes();
        let mark = bytes.len() * 7
            + usize::from(bytes[0]) * 3
            + usize::from(bytes[bytes.len() - 1])
            + usize::from(bytes[bytes.len() / 2]) * 5;
        let bit = 1_u64 << (mark & 63);
        if *seen & bit != 0 && self.get(name).is_some() {
            let what = format!("the attribute '{name}' stands twice");
            return self.fault(&what);
        }
        *seen |= bit;
        self.attributes.push(Attribute { name, value });
        Ok(())
    }

    fn value(&mut self) -> Pulled<Cow<'a, str>> {
        let Some(quote @ (b'"' | b'\'')) = self.byte() else {
            return self.fault("a value without quotes");
        };
        self.at += 1;
        let bytes = self.text.as_bytes();
        let begin = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            if PLAIN[usize::from(byte)] {
                self.at += 1;
            } else if byte == quote {
                let value = &self.text[begin..self.at];
                self.at += 1;
                return Ok(Cow::Borrowed(value));
            } else if matches!(byte, b'"' | b'\'') {
                self.at += 1;
            } else {
                return self.rewritten(quote, begin);
            }
        }
        self.fault("a value is not closed")
    }

    /// A value in which something stands for something else.
    fn rewritten(&mut self, quote: u8, begin: usize) -> Pulled<Cow<'a, str>> {
        let bytes = self.text.as_bytes();
        let mut out = self.text[begin..self.at].to_owned();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                _ if byte == quote => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                b'&' => out.push(self.reference()?),
                b'<' => return self.fault("'<' in a value"),
                b'\r' if bytes.get(self.at + 1) == Some(&b'\n') => self.at += 1,
                b'\t' | b'\n' | b'\r' => {
                    out.push(' ');
                    self.at += 1;
                }
                0..0x20 => return self.fault("a control character"),
                _ => {
                    let from = self.at;
                    while bytes.get(self.at).is_some_and(|b| {
                        PLAIN[usize::from(*b)] || *b != quote && matches!(b, b'"' | b'\'')
                    }) {
                        self.at += 1;
                    }
                    out.push_str(&self.text[from..self.at]);
                }
            }
        }
        self.fault("a value is not closed")
    }

    /// `&amp;`, `&#10;`, `&#xA;` ...
    fn reference(&mut self) -> Pulled<char> {
        let rest = self.rest();
        // The longest is `&#x10FFFF;`; zeroes may stand before.
        let Some(length) = rest.bytes().take(32).position(|b| b == b';') else {
            return self.fault("'&' begins no reference");
        };
        let name = &rest[1..length];
        let number = |digits: &str, radix| {
            let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            let code = all
                .then(|| u32::from_str_radix(digits, radix).ok())
                .flatten();
            code.and_then(char::from_u32).filter(|c| allowed(*c))
        };
        let found = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
                (Some(digits), _) => number(digits, 16),
                (None, Some(digits)) => number(digits, 10),
                (None, None) => None,
            },
        };
        match found {
            Some(character) => {
                self.at += length + 1;
                Ok(character)
            }
            None => {
                let what = format!("unknown reference '&{name};'");
                self.fault(&what)
            }
        }
    }

    /// Passes over blanks; whether there were any.
    fn blanks(&mut self) -> bool {
        let from = self.at;
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.at > from
    }

    fn name(&mut self) -> Pulled<&'a str> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        while bytes.get(self.at).is_some_and(|b| NAME[usize::from(*b)]) {
            self.at += 1;
        }
        let name = &self.text[from..self.at];
        let bad = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':');
        if name.bytes().next().is_none_or(bad) || name.ends_with(':') {
            self.at = from;
            return self.fault("a name was expected");
        }
        Ok(name)
    }
}

/// Without the prefix of a namespace.
fn local(name: &str) -> &str {
    match name.bytes().rposition(|b| b == b':') {
        Some(colon) => &name[colon + 1..],
        None => name,
    }
}

/// A byte that XML does not allow.
fn control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

fn allowed(c: char) -> bool {
    !(u32::from(c) < 0x20 && !matches!(c, '\t' | '\n' | '\r')
        || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Bytes that a name may hold.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] =
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':') || b >= 0x80;
        byte += 1;
    }
    table
};

/// Bytes of a value that stand for themselves and end nothing.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b >= 0x20 && !matches!(b, b'"' | b'\'' | b'&' | b'<');
        byte += 1;
    }
    table
};

fn name_byte_char(c: char) -> bool {
    !c.is_ascii() || NAME[usize::from(c as u8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document as a line: `a[x=1](b)`.
    fn shown(text: &str) -> Pulled<String> {
        let mut pull = Pull::new(text);
        let mut out = String::new();
        loop {
            match pull.step()? {
                Step::Start(name) => {
                    out.push_str(name);
                    for a in pull.take_attributes() {
                        out.push_str(&format!("[{}={}]", a.name, a.value));
                    }
                    out.push('(');
                }
                Step::End => out.push(')'),
                Step::Over => return Ok(out),
            }
        }
    }

    #[test]
    fn elements_and_attributes() {
        let text = "<?xml version=\"1.0\"?>\n<!-- a -->\n<a x='1' y = \"&lt;&#x41;&#10;\t&quot;'\"><b/>t&amp;t<![CDATA[<]]>\
                    <c:d e:f='g' xmlns:c='u'></c:d ></a>\n";
        assert_eq!(shown(text).unwrap(), "a[x=1][y=<A\n \"'](b()d[f=g]())");
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("<a>", 1),
            ("<a>\n</b>", 2),
            ("<a/><b/>", 1),
            ("<a x='1' x='2'/>", 1),
            ("<a x=1/>", 1),
            ("<a x='<'/>", 1),
            ("<a x='&nope;'/>", 1),
            ("<a x='1'y='2'/>", 1),
            ("<a>\n\n&</a>", 3),
            ("x<a/>", 1),
            ("<!DOCTYPE a><a/>", 1),
            ("<a><!-- -- --></a>", 1),
            ("<a>\u{1}</a>", 1),
            ("<a x='&#0;'/>", 1),
            ("<1/>", 1),
            ("<a", 1),
            ("<a x='", 1),
        ] {
            match shown(text) {
                Err(ReadError::Malformed { line: at, .. }) => assert_eq!(at, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        assert!(matches!(shown(&deep), Err(ReadError::TooDeep { line: 1 })));
    }

    /// What another reader of XML makes of it, in the same form.
    fn by_the_other(text: &str) -> Option<String> {
        fn element(el: roxmltree::Node<'_, '_>, out: &mut String) {
            out.push_str(el.tag_name().name());
            for a in el.attributes() {
                out.push_str(&format!("[{}={}]", a.name(), a.value()));
            }
            out.push('(');
            let children = el.children().filter(roxmltree::Node::is_element);
            children.for_each(|c| element(c, out));
            out.push(')');
        }
        let document = roxmltree::Document::parse(text).ok()?;
        let mut out = String::new();
        element(document.root_element(), &mut out);
        Some(out)
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        #[test]
        fn another_reader_reads_the_same(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<a>", "</a>", "<b/>", "<b x='1'/>", "<a y=\"2\" z = '3'>", " ", "\n", "t", "&amp;", "&#65;", "<!-- c -->",
                "<![CDATA[d]]>", "<?p i?>", "<a x='&lt;\t\"'>", "<a x='1' x='2'>", "<", ">", "&", "'", "\"", "]]>", "</a >",
                "<e\u{e4} \u{fc}='\u{20ac}'/>", "<a x='1'y='2'/>", "--", "\r\n", "<a x=' \r\n '/>",
            ]), 0..12)) {
            let text = format!("<r>{}</r>", parts.concat());
            match (shown(&text), by_the_other(&text)) {
                (Ok(ours), Some(theirs)) => proptest::prop_assert_eq!(ours, theirs),
                (Err(_), None) => {}
                (ours, theirs) => proptest::prop_assert!(false, "{text:?}: {ours:?} and {theirs:?}"),
            }
        }
    }
}
