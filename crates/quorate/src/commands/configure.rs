//! `quorate configure ...`: statements one at a time, with the words of `crm configure`.

use std::io::Read;
use std::path::Path;

use quorate_model::crm::{self, Document, OnExisting, Verb};

use super::show::shown;
use crate::configure::{Change, Current, apply, read_file, write_private};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Load what can be loaded in spite of errors.
    #[arg(long, short = 'F')]
    force: bool,
    /// A statement (`primitive ...`, `property a=b`) or a command: show, delete, rename, load, save, modgroup,
    /// verify, erase. Without any, they are read from standard input.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "STATEMENT")]
    words: Vec<String>,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result {
    configure(&args.words, args.force, context)
}

/// Runs one command, or those on standard input.
pub fn configure(words: &[String], force: bool, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let mut session = Session { text: current.text.clone(), notes: Vec::new(), force, name: "configure".to_owned() };
    if words.is_empty() {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).map_err(|e| Error::new(format!("standard input: {e}"), ""))?;
        for line in logical_lines(&input) {
            let first = line.split_whitespace().next().unwrap_or("");
            if matches!(first, "quit" | "exit" | "bye" | "end" | "up" | "cd") {
                break;
            }
            session.run(&line)?;
        }
    } else {
        // A single argument is a statement as it stands; several were taken apart by the shell.
        let line = match words {
            [one] => one.clone(),
            many => many.iter().map(|word| requote(word)).collect::<Vec<_>>().join(" "),
        };
        session.run(&line)?;
    }
    if session.text == current.text {
        return Ok(Exit::Done);
    }
    let change = Change { notes: session.notes, force: session.force, ..Change::new(session.text, &session.name) };
    apply(context, &current, &change)
}

struct Session {
    text: String,
    notes: Vec<String>,
    force: bool,
    name: String,
}

impl Session {
    fn document(&self) -> Document {
        crm::parse(&self.text).0
    }

    /// One command or statement on the text so far.
    fn run(&mut self, line: &str) -> Result<()> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Some(first) = words.first() else { return Ok(()) };
        let rest = &words[1..];
        let rest: Vec<&str> = rest.iter().map(|word| word.trim_matches(['"', '\''])).collect();
        match first.as_str() {
            "commit" | "verify" | "refresh" | "ptest" | "simulate" | "_regtest" | "_test" | "upgrade" => Ok(()),
            "show" => self.show(&rest),
            "delete" | "remove" | "rm" | "del" => {
                let names: Vec<&str> = rest.into_iter().filter(|word| !matches!(*word, "--force" | "-f")).collect();
                self.edited(self.document().remove(&names).map(|edited| (edited.text, edited.notes)))
            }
            "rename" => match rest.as_slice() {
                [old, new] => self.edited(self.document().rename(old, new).map(|edited| (edited.text, edited.notes))),
                _ => Err(usage("rename OLD NEW")),
            },
            "erase" => {
                let nodes: Vec<String> = match rest.as_slice() {
                    ["nodes"] => Vec::new(),
                    _ => self.document().statements().iter().filter(|s| s.verb == Verb::Node).map(|s| self.text[s.span.start..s.span.end].to_owned()).collect(),
                };
                self.text = nodes.iter().map(|node| format!("{node}\n")).collect();
                Ok(())
            }
            "load" => self.load(&rest),
            "save" => match rest.as_slice() {
                ["xml", file] => save(file, &shown(&self.document(), &[], true)?),
                [file] => save(file, &self.text),
                _ => Err(usage("save [xml] FILE")),
            },
            "modgroup" => self.modgroup(&rest),
            "set" => self.set(&rest),
            _ => {
                let result = self.document().define(line, OnExisting::Refuse);
                self.edited(result.map(|edited| (edited.text, edited.notes)))
            }
        }
    }

    fn edited(&mut self, result: std::result::Result<(String, Vec<String>), crm::EditError>) -> Result<()> {
        let (text, notes) = result.map_err(|e| Error::new(e.to_string(), "").exit(Exit::Configuration))?;
        self.text = text;
        self.notes.extend(notes);
        Ok(())
    }

    fn show(&self, rest: &[&str]) -> Result<()> {
        let as_xml = rest.first() == Some(&"xml");
        let ids: Vec<String> = rest.iter().skip(usize::from(as_xml)).filter(|id| **id != "changed").map(|id| (*id).to_owned()).collect();
        print!("{}", crate::mask::mask(&shown(&self.document(), &ids, as_xml)?));
        Ok(())
    }

    /// `load [xml] {replace|update|push} FILE`.
    fn load(&mut self, rest: &[&str]) -> Result<()> {
        let rest = if rest.first() == Some(&"xml") { &rest[1..] } else { rest };
        let [method, file] = rest else {
            return Err(usage("load [xml] {replace|update|push} FILE"));
        };
        let text = read_file(Path::new(file))?;
        (*file).clone_into(&mut self.name);
        match *method {
            "replace" | "push" => {
                self.text = text;
                Ok(())
            }
            "update" if self.document().statements().is_empty() => {
                self.text = text;
                Ok(())
            }
            "update" => {
                let result = self.document().define(&text, OnExisting::Replace);
                self.edited(result.map(|edited| (edited.text, edited.notes)))
            }
            _ => Err(usage("load [xml] {replace|update|push} FILE")),
        }
    }

    /// `modgroup GROUP {add RESOURCE [{after|before} OTHER] | remove RESOURCE}`.
    fn modgroup(&mut self, rest: &[&str]) -> Result<()> {
        let (group, change) = match rest {
            [group, "add", resource] => (group, crm::GroupChange::Append(resource)),
            [group, "add", resource, "after", other] => (group, crm::GroupChange::After(resource, other)),
            [group, "add", resource, "before", other] => (group, crm::GroupChange::Before(resource, other)),
            [group, "remove", resource] => (group, crm::GroupChange::Remove(resource)),
            _ => return Err(usage("modgroup GROUP {add RESOURCE [{after|before} OTHER] | remove RESOURCE}")),
        };
        let result = self.document().change_group(group, change);
        self.edited(result.map(|text| (text, Vec::new())))
    }

    /// `set RESOURCE.PARAMETER VALUE`.
    fn set(&mut self, rest: &[&str]) -> Result<()> {
        let [path, value] = rest else { return Err(usage("set RESOURCE.[OPERATION.[INTERVAL.]]NAME VALUE")) };
        let result = self.document().set_path(path, value);
        self.edited(result.map(|text| (text, Vec::new())))
    }
}

fn usage(text: &str) -> Error {
    Error::new("the command is not complete", format!("usage: {text}")).exit(Exit::Usage)
}

fn save(file: &str, text: &str) -> Result<()> {
    if file == "-" {
        print!("{text}");
        return Ok(());
    }
    write_private(Path::new(file), text).map_err(|e| Error::new(format!("{file} cannot be written: {e}"), ""))
}

/// Lines with their continuations, comments and blank lines left out.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for part in text.lines() {
        if line.is_empty() && (part.trim().is_empty() || part.trim_start().starts_with('#')) {
            continue;
        }
        line.push_str(part);
        if part.ends_with('\\') {
            line.push('\n');
        } else {
            lines.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A shell word as the language wants it: values with blanks get their quotes back.
fn requote(word: &str) -> String {
    let needs = |text: &str| text.is_empty() || text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    if !needs(word) {
        return word.to_owned();
    }
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    match word.split_once('=') {
        Some((name, value)) if !needs(name) => format!("{name}={}", quote(value)),
        _ => quote(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_get_their_quotes_back() {
        assert_eq!(requote("ip=10.0.0.1"), "ip=10.0.0.1");
        assert_eq!(requote("hostlist=a b"), "hostlist=\"a b\"");
        assert_eq!(requote("a\"b"), "\"a\\\"b\"");
        assert_eq!(logical_lines("# c\nnode a\n\nprimitive p x \\\n  params a=b\n").len(), 2);
    }
}
