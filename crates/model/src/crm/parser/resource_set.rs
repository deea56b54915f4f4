//! Resources of a constraint: one, two, or sets in brackets.

use super::super::lexer::Word;
use super::Parser;
use crate::cib::{Extra, ResourceSet};
use crate::diag::{Code, Diagnostic, Span};

/// What the word behind a resource's colon means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    /// `resource:Role`.
    Role,
    /// `resource:action`.
    Action,
}

/// A resource with what stands behind its colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub name: String,
    pub suffix: Option<String>,
    pub instance: Option<String>,
    pub span: Span,
}

/// The resources of a constraint as written.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    pub sets: Vec<ResourceSet>,
    /// Every resource in order, when no bracket was used.
    pub plain: Option<Vec<Item>>,
    /// Pairs that belong to the constraint.
    pub attributes: Vec<(String, String, Span)>,
}

const ACTIONS: &[&str] = &[
    "start",
    "stop",
    "promote",
    "demote",
    "notify",
    "monitor",
    "migrate_to",
    "migrate_from",
];

struct Open {
    bracket: char,
    span: Span,
    set: ResourceSet,
    suffix_of_first: Option<Option<String>>,
}

impl Parser<'_, '_> {
    /// Resources and sets up to the end of the statement, or to the closing brace of a location.
    pub(super) fn members(&mut self, suffix: Suffix, in_braces: bool) -> Option<Members> {
        let mut members = Members {
            plain: Some(Vec::new()),
            ..Members::default()
        };
        let mut open: Option<Open> = None;
        // A run of bare names ends at a bracket, at another suffix and at the end.
        let mut run: Option<(Option<String>, ResourceSet)> = None;
        let mut closed_braces = false;
        for word in self.pieces() {
            match word.text.as_str() {
                "}" if !word.quoted && in_braces => {
                    closed_braces = true;
                    break;
                }
                "(" | "[" if !word.quoted => {
                    if let Some(open) = &open {
                        let outer = open.span;
                        self.bad_set(word.span, "brackets do not nest", Some(outer));
                        return None;
                    }
                    members.plain = None;
                    members.sets.extend(run.take().map(|(_, set)| set));
                    open = Some(open_set(&word));
                }
                ")" | "]" if !word.quoted => {
                    let closes = if word.text == ")" { '(' } else { '[' };
                    match open.take() {
                        Some(open) if open.bracket == closes && !open.set.members.is_empty() => {
                            members.sets.push(open.set);
                        }
                        Some(open) => {
                            self.bad_set(
                                word.span,
                                "this does not close what was opened",
                                Some(open.span),
                            );
                            return None;
                        }
                        None => {
                            self.bad_set(word.span, "nothing was opened", None);
                            return None;
                        }
                    }
                }
                _ => match word.pair() {
                    Some((name @ ("sequential" | "require-all"), value, _))
                        if open.is_some() || run.is_some() =>
                    {
                        // Of the whole constraint, not of a set, when only two are named.
                        let is_simple = name == "require-all"
                            && members.plain.as_ref().is_some_and(|plain| plain.len() <= 2);
                        if is_simple {
                            members
                                .attributes
                                .push((name.to_owned(), value.to_owned(), word.span));
                            continue;
                        }
                        if let Some(set) = open
                            .as_mut()
                            .map(|open| &mut open.set)
                            .or(run.as_mut().map(|(_, set)| set))
                        {
                            set_flag(set, name, value);
                            members.plain = None;
                        }
                    }
                    Some((name @ ("role" | "action" | "score"), value, _)) if open.is_some() => {
                        if let Some(open) = open.as_mut() {
                            set_flag(&mut open.set, name, value);
                        }
                    }
                    Some((name, value, span)) => {
                        members
                            .attributes
                            .push((name.to_owned(), value.to_owned(), span));
                    }
                    None => {
                        let item = self.item(&word, suffix)?;
                        if let Some(open) = open.as_mut() {
                            // One set has one role or action: another one begins another set of the same kind.
                            let same = open
                                .suffix_of_first
                                .get_or_insert_with(|| item.suffix.clone())
                                == &item.suffix;
                            if !same {
                                let next = ResourceSet {
                                    sequential: open.set.sequential.clone(),
                                    require_all: open.set.require_all.clone(),
                                    ..ResourceSet::default()
                                };
                                members.sets.push(std::mem::replace(&mut open.set, next));
                                open.suffix_of_first = Some(item.suffix.clone());
                            }
                            put_suffix(&mut open.set, &item, suffix);
                            open.set.members.push(item.name);
                            continue;
                        }
                        if run.as_ref().is_some_and(|(known, _)| *known != item.suffix) {
                            members.sets.extend(run.take().map(|(_, set)| set));
                        }
                        let (_, set) = run
                            .get_or_insert_with(|| (item.suffix.clone(), ResourceSet::default()));
                        put_suffix(set, &item, suffix);
                        set.members.push(item.name.clone());
                        if let Some(plain) = &mut members.plain {
                            plain.push(item);
                        }
                    }
                },
            }
        }
        if let Some(open) = open {
            self.bad_set(open.span, "this bracket is never closed", None);
            return None;
        }
        if in_braces && !closed_braces {
            self.bad_set(self.end, "`}` is missing", None);
            return None;
        }
        members.sets.extend(run.map(|(_, set)| set));
        let owner = self.id.clone();
        for set in &mut members.sets {
            set.id.clear();
        }
        let many = members.plain.as_ref().is_none_or(|plain| plain.len() > 2) || in_braces;
        if many {
            for (number, set) in members.sets.iter_mut().enumerate() {
                set.id = self.context.ids.make(&format!("{owner}-{number}"));
            }
        }
        Some(members)
    }

    /// The words that are left (for braces: to the closing one), brackets cut off from names.
    fn pieces(&mut self) -> Vec<Word> {
        let mut pieces = Vec::new();
        while let Some(word) = self.next() {
            let is_close = word.text == "}" && !word.quoted;
            if word.quoted || word.text.len() < 2 {
                pieces.push(word.clone());
            } else {
                split_brackets(word, &mut pieces);
            }
            if is_close {
                break;
            }
        }
        pieces
    }

    /// `NAME`, `NAME:ROLE`, `NAME:action`, `NAME:INSTANCE`.
    fn item(&mut self, word: &Word, kind: Suffix) -> Option<Item> {
        let (name, behind) = match word.text.split_once(':') {
            Some((name, behind)) => (name, Some(behind)),
            None => (word.text.as_str(), None),
        };
        if !super::is_id(name) {
            self.syntax(
                word.span,
                format!("`{}` cannot be the name of a resource", word.text),
                "",
            );
            return None;
        }
        let span = Span::new(word.span.start, word.span.start + name.len());
        let owner = self.id.clone();
        self.context.spans.put(&owner, &format!("ref:{name}"), span);
        let mut item = Item {
            name: name.to_owned(),
            suffix: None,
            instance: None,
            span,
        };
        match behind {
            None => {}
            Some(number) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
                item.instance = Some(number.to_owned());
            }
            Some(role) if kind == Suffix::Role => {
                item.suffix = Some(self.role_name(role, word.span)?);
            }
            Some(action) => {
                let lower = action.to_ascii_lowercase();
                if !ACTIONS.contains(&lower.as_str()) {
                    let message = format!("`{action}` is not an action");
                    self.syntax(
                        word.span,
                        message,
                        "actions are start, stop, promote, demote",
                    );
                    return None;
                }
                item.suffix = Some(lower);
            }
        }
        Some(item)
    }

    fn bad_set(&mut self, span: Span, message: &str, opened: Option<Span>) {
        self.push(
            Diagnostic::new(Code::BadSet, message)
                .at(span, "here")
                .also(opened, "opened here")
                .help("( a b ) is a set in any order, [ a b ] one of which is enough, a b without brackets goes one after the other"),
        );
    }
}

fn open_set(word: &Word) -> Open {
    let bracket = if word.text == "(" { '(' } else { '[' };
    let require_all = (bracket == '[').then(|| "false".to_owned());
    let set = ResourceSet {
        sequential: Some("false".to_owned()),
        require_all,
        ..ResourceSet::default()
    };
    Open {
        bracket,
        span: word.span,
        set,
        suffix_of_first: None,
    }
}

/// Flags that say the default are dropped: brackets mean the opposite.
fn set_flag(set: &mut ResourceSet, name: &str, value: &str) {
    let is_true = matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "yes" | "on" | "1"
    );
    let flag = (!is_true).then(|| value.to_owned());
    match name {
        "sequential" => set.sequential = flag,
        "require-all" => set.require_all = flag,
        "role" => set.role = Some(value.to_owned()),
        "action" => set.action = Some(value.to_owned()),
        _ => set.score = Some(value.to_owned()),
    }
}

fn put_suffix(set: &mut ResourceSet, item: &Item, kind: Suffix) {
    if let Some(suffix) = &item.suffix {
        match kind {
            Suffix::Role => set.role = Some(suffix.clone()),
            Suffix::Action => set.action = Some(suffix.clone()),
        }
    }
}

/// `(a` and `b)` as two words each.
fn split_brackets(word: &Word, pieces: &mut Vec<Word>) {
    let is_bracket = |c: char| matches!(c, '(' | ')' | '[' | ']' | '{' | '}');
    let piece = |start: usize, end: usize| Word {
        text: word.text[start..end].to_owned(),
        span: Span::new(word.span.start + start, word.span.start + end),
        quoted: false,
        equals: None,
    };
    if word.text.len() != word.span.end - word.span.start || word.equals.is_some() {
        pieces.push(word.clone());
        return;
    }
    let mut start = 0;
    for (at, c) in word.text.char_indices() {
        if is_bracket(c) {
            if start < at {
                pieces.push(piece(start, at));
            }
            pieces.push(piece(at, at + 1));
            start = at + 1;
        }
    }
    if start < word.text.len() {
        pieces.push(piece(start, word.text.len()));
    }
}

/// Takes an attribute that the constraint knows out of the list.
pub(super) fn take(attributes: &mut Vec<(String, String, Span)>, name: &str) -> Option<String> {
    let at = attributes.iter().position(|(known, _, _)| known == name)?;
    Some(attributes.remove(at).1)
}

/// What is left of a constraint's attributes.
pub(super) fn rest(attributes: Vec<(String, String, Span)>) -> Extra {
    attributes
        .into_iter()
        .map(|(name, value, _)| (name, value))
        .collect()
}
