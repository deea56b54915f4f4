//! Regular expressions of constraints, as far as names need them: a small backtracking matcher.
//!
//! Understands literals, `.`, `[...]`, `*`, `+`, `?`, `{m,n}`, `^`, `$`, `( )`, `|` and backslash escapes.

/// Most steps of one search; beyond it the text counts as not matching.
const STEPS_MAX: u32 = 100_000;

#[derive(Debug, Clone)]
enum Node {
    Char(char),
    Any,
    Class(bool, Vec<(char, char)>),
    Start,
    End,
    Group(usize, Vec<Vec<Repeat>>),
}

#[derive(Debug, Clone)]
struct Repeat {
    node: Node,
    min: u32,
    max: u32,
}

struct Parser<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    groups: usize,
}

impl Parser<'_> {
    fn alternatives(&mut self, depth: u32) -> Option<Vec<Vec<Repeat>>> {
        if depth > 32 {
            return None;
        }
        let mut out = vec![Vec::new()];
        while let Some(&c) = self.chars.peek() {
            if c == ')' {
                break;
            }
            self.chars.next();
            if c == '|' {
                out.push(Vec::new());
                continue;
            }
            let node = match c {
                '.' => Node::Any,
                '^' => Node::Start,
                '$' => Node::End,
                '(' => {
                    self.groups += 1;
                    let number = self.groups;
                    let inner = self.alternatives(depth + 1)?;
                    if self.chars.next() != Some(')') {
                        return None;
                    }
                    Node::Group(number, inner)
                }
                '[' => self.class()?,
                '\\' => Node::Char(self.chars.next()?),
                c => Node::Char(c),
            };
            let (min, max) = self.quantifier()?;
            out.last_mut()?.push(Repeat { node, min, max });
        }
        Some(out)
    }

    fn quantifier(&mut self) -> Option<(u32, u32)> {
        let range = match self.chars.peek() {
            Some('*') => (0, u32::MAX),
            Some('+') => (1, u32::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                self.chars.next();
                let text: String =
                    std::iter::from_fn(|| self.chars.next_if(|c| *c != '}')).collect();
                let (low, high) = match text.split_once(',') {
                    None => (text.parse().ok()?, text.parse().ok()?),
                    Some((l, "")) => (l.parse().ok()?, u32::MAX),
                    Some((l, h)) => (l.parse().ok()?, h.parse().ok()?),
                };
                (low, high)
            }
            _ => return Some((1, 1)),
        };
        self.chars.next();
        Some(range)
    }

    fn class(&mut self) -> Option<Node> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            let c = self.chars.next()?;
            if c == ']' && !first {
                break;
            }
            first = false;
            let mut end = c;
            if self.chars.peek() == Some(&'-') {
                let mut ahead = self.chars.clone();
                ahead.next();
                if ahead.peek().is_some_and(|n| *n != ']') {
                    self.chars.next();
                    end = self.chars.next()?;
                }
            }
            ranges.push((c, end));
        }
        Some(Node::Class(negated, ranges))
    }
}

struct Matcher<'t> {
    text: &'t [char],
    groups: Vec<Option<(usize, usize)>>,
    steps: u32,
}

impl Matcher<'_> {
    fn sequence(
        &mut self,
        parts: &[Repeat],
        at: usize,
        then: &mut dyn FnMut(&mut Self, usize) -> bool,
    ) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        match parts.split_first() {
            None => then(self, at),
            Some((first, rest)) => self.repeat(first, rest, at, 0, then),
        }
    }

    fn repeat(
        &mut self,
        item: &Repeat,
        rest: &[Repeat],
        at: usize,
        done: u32,
        then: &mut dyn FnMut(&mut Self, usize) -> bool,
    ) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        if done < item.max {
            let more = self.one(&item.node, at, &mut |m, next| {
                (next > at || done < item.min) && m.repeat(item, rest, next, done + 1, then)
            });
            if more {
                return true;
            }
        }
        done >= item.min && self.sequence(rest, at, then)
    }

    fn one(
        &mut self,
        node: &Node,
        at: usize,
        then: &mut dyn FnMut(&mut Self, usize) -> bool,
    ) -> bool {
        let here = self.text.get(at).copied();
        match node {
            Node::Char(c) => here == Some(*c) && then(self, at + 1),
            Node::Any => here.is_some() && then(self, at + 1),
            Node::Class(negated, ranges) => {
                here.is_some_and(|h| ranges.iter().any(|(a, b)| *a <= h && h <= *b) != *negated)
                    && then(self, at + 1)
            }
            Node::Start => at == 0 && then(self, at),
            Node::End => at == self.text.len() && then(self, at),
            Node::Group(number, alternatives) => {
                for parts in alternatives {
                    let saved = self.groups[*number];
                    let found = self.sequence(parts, at, &mut |m, end| {
                        m.groups[*number] = Some((at, end));
                        then(m, end)
                    });
                    if found {
                        return true;
                    }
                    self.groups[*number] = saved;
                }
                false
            }
        }
    }
}

/// Finds the pattern anywhere in the text: the match and its groups. A pattern that is none matches nothing.
pub fn search(pattern: &str, text: &str) -> Option<Vec<String>> {
    let mut parser = Parser {
        chars: pattern.chars().peekable(),
        groups: 0,
    };
    let alternatives = parser.alternatives(0)?;
    if parser.chars.next().is_some() {
        return None;
    }
    let chars: Vec<char> = text.chars().collect();
    for start in 0..=chars.len() {
        for parts in &alternatives {
            let mut m = Matcher {
                text: &chars,
                groups: vec![None; parser.groups + 1],
                steps: 0,
            };
            let mut end = 0;
            let found = m.sequence(parts, start, &mut |m, at| {
                m.groups[0] = Some((start, at));
                end = at;
                true
            });
            if found {
                let text_of = |g: &Option<(usize, usize)>| {
                    g.map_or_else(String::new, |(a, b)| chars[a..b].iter().collect())
                };
                return Some(m.groups.iter().map(text_of).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::search;

    #[test]
    fn finds_groups_classes_and_repetitions() {
        assert_eq!(
            search("^dummy-(.*)$", "dummy-a1"),
            Some(vec!["dummy-a1".into(), "a1".into()])
        );
        assert!(search("rsc[0-9]+$", "rsc12").is_some());
        assert!(search("^a|b$", "xxb").is_some());
        assert!(search("(a*)*c", "aaaaaaaaaaaaaaaaaaaaaaaa").is_none());
        assert!(search("(", "x").is_none());
    }
}
