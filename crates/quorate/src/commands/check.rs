//! `quorate check`: what is wrong with a configuration, before anything runs by it.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use quorate_model::crm::Document;
use quorate_model::diag::{Code, Diagnostic, Example, Severity, Source, Span, apply_fixes, render_all, unified_diff};
use quorate_model::lint::{self, Facts};
use quorate_model::{crm, services, xml};
use serde_json::{Value, json};

use crate::context::Context;
use crate::inputs::Inputs;
use crate::view;
use quorate_policy::faults::{Depth, matrix};
use crate::error::{Error, Exit, Result};
use crate::facts;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration in crm syntax or as CIB XML (`-`: standard input); files of services (my.cnf, haproxy.cfg,
    /// rabbitmq.conf) may follow.
    #[arg(value_name = "FILE", required_unless_present = "explain")]
    files: Vec<PathBuf>,
    /// Propose the corrected text as a diff (with --yes: write it).
    #[arg(long)]
    fix: bool,
    /// Say what would be loaded in spite of errors, as crmsh does.
    #[arg(long)]
    force: bool,
    /// What a finding's code means; `all` lists them.
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
    /// Judge the text alone: ask neither agents nor this host.
    #[arg(long)]
    no_host: bool,
    /// Another host's facts, from its `check FILE --host-facts`.
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,
    /// Print this host's facts for a check on another host.
    #[arg(long)]
    host_facts: bool,
    /// Try every single fault on paper: each node lost, each resource failing, each link. FILE may be `live`.
    #[arg(long)]
    faults: bool,
    /// And every pair of faults.
    #[arg(long, requires = "faults")]
    pairs: bool,
    /// Links that each node has, where nothing else says it.
    #[arg(long, value_name = "NUMBER", requires = "faults")]
    links: Option<usize>,
    /// A voter that runs nothing, which the file does not name; may be given several times.
    #[arg(long = "witness", value_name = "NAME", requires = "faults")]
    witnesses: Vec<String>,
}

/// Checks.
pub fn run(args: Args, context: &Context) -> Result {
    if let Some(code) = &args.explain {
        return explain(code, context);
    }
    if args.faults {
        return faults(&args, context);
    }
    let mut checked = Checked::read(&args.files[0])?;
    if args.host_facts {
        let questions = lint::questions(checked.configuration());
        let facts = facts::gather(&questions);
        println!("{:#}", facts.hosts.first().map(facts::to_json).unwrap_or_default());
        return Ok(Exit::Done);
    }
    checked.lint(&gather(&args, &checked, context)?);
    let mut reports = vec![checked];
    reports.extend(service_files(&args, &reports[0])?);
    if context.json {
        print_json(&reports, &args);
    } else {
        for report in &reports {
            let text = report.without_secrets();
            let source = Source { name: &report.name, text: &text };
            print!("{}", render_all(&report.found, source, std::io::stdout().is_terminal()));
        }
        if args.force {
            println!("{}", forced(&reports[0]));
        }
        if args.fix {
            fix(&reports[0], context)?;
        }
    }
    let has_errors = reports.iter().any(|report| report.found.iter().any(|d| d.severity == Severity::Error));
    Ok(if has_errors && !args.force { Exit::Configuration } else { Exit::Done })
}

/// Which services survive what.
fn faults(args: &Args, context: &Context) -> Result {
    let path = &args.files[0];
    let mut inputs = if path.as_os_str() == "live" { Inputs::live(context)? } else { Inputs::file(path)? };
    let surroundings = &mut inputs.surroundings;
    surroundings.witnesses.extend(args.witnesses.iter().cloned());
    if let Some(links) = args.links {
        surroundings.links = links.max(1);
        surroundings.links_of.clear();
    }
    let depth = if args.pairs { Depth::Pairs } else { Depth::Single };
    let matrix = matrix(&inputs.cib, &inputs.options, &inputs.surroundings, depth);
    if context.json {
        println!("{:#}", view::matrix::json(&matrix));
    } else {
        inputs.notes.iter().for_each(|note| println!("{note}"));
        if inputs.live.is_none() {
            println!("Each node is supposed to have {} links (--links says otherwise).", inputs.surroundings.links);
        }
        print!("{}", view::matrix::text(&matrix));
    }
    Ok(if matrix.single_points().is_empty() { Exit::Done } else { Exit::Attention })
}

/// What is known beyond the text.
fn gather(args: &Args, checked: &Checked, context: &Context) -> Result<Facts> {
    let mut facts = Facts::default();
    if !args.no_host {
        facts = facts::gather(&lint::questions(checked.configuration()));
        // In a running cluster the other members told theirs.
        if let Ok((state, local)) = view::fetch(context) {
            facts.hosts.extend(facts::of_peers(&state, &local.name));
            facts.voters = Some(state.members.len());
        }
    }
    for path in &args.facts {
        let host = facts::from_json(path)?;
        facts.hosts.retain(|known| known.node != host.node);
        facts.hosts.push(host);
    }
    Ok(facts)
}

/// A file with what was found in it.
pub struct Checked {
    name: String,
    text: String,
    document: Option<Document>,
    configuration: quorate_model::cib::Configuration,
    found: Vec<Diagnostic>,
}

impl Checked {
    /// Reads a configuration in either form.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = read(path)?;
        Self::of_text(path.display().to_string(), text)
    }

    /// A configuration in either form.
    pub fn of_text(name: String, text: String) -> Result<Self> {
        if text.trim_start().starts_with('<') {
            let (cib, found) = xml::import(&text).map_err(|error| {
                Error::new(format!("{name}: {error}"), "check it with `xmllint --noout`").exit(Exit::Configuration)
            })?;
            return Ok(Self { name, text, document: None, configuration: cib.configuration, found });
        }
        let (document, found) = crm::parse(&text);
        let configuration = document.configuration().clone();
        Ok(Self { name, text, document: Some(document), configuration, found })
    }

    /// The text as findings show it.
    fn without_secrets(&self) -> String {
        match self.document {
            Some(_) => crm::mask_in_place(&self.text, &self.found),
            None => self.text.clone(),
        }
    }

    /// What it means.
    pub fn configuration(&self) -> &quorate_model::cib::Configuration {
        &self.configuration
    }

    /// Adds what the linter finds.
    pub fn lint(&mut self, facts: &Facts) {
        if self.document.is_none() {
            // It was read a moment ago.
            self.found = lint::check_xml(&self.text, facts).map(|(_, found)| found).unwrap_or_default();
            return;
        }
        self.found.extend(lint::lint(&self.configuration, self.document.as_ref(), facts));
        self.found.sort_by_key(|d| (d.span.map_or(usize::MAX, |span| span.start), std::cmp::Reverse(d.severity)));
    }
}

fn read(path: &std::path::Path) -> Result<String> {
    let name = path.display();
    let mut text = String::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        // A log may hold anything.
        std::fs::read(path).map(|content| text = String::from_utf8_lossy(&content).into_owned())
    };
    result.map_err(|e| Error::new(format!("{name} cannot be read: {e}"), "give the path of a configuration file").exit(Exit::Usage))?;
    Ok(text)
}

/// Files of the services that the configuration runs.
fn service_files(args: &Args, configuration: &Checked) -> Result<Vec<Checked>> {
    let mut texts = Vec::new();
    for path in &args.files[1..] {
        let name = path.display().to_string();
        let kind = services::Kind::of(&name).ok_or_else(|| {
            Error::new(format!("{name} is no file that check knows"), "known are my.cnf and *.cnf of mysql, haproxy.cfg, files of rabbitmq, *.log of mysql, memcached.conf, and those of OpenStack's services")
                .exit(Exit::Usage)
        })?;
        texts.push((name, read(path)?, kind));
    }
    let files: Vec<services::File<'_>> = texts.iter().map(|(name, text, kind)| services::File { name, text, kind: *kind }).collect();
    let surroundings = services::Surroundings::gather(&configuration.configuration, &files);
    Ok(files
        .iter()
        .map(|file| Checked {
            name: file.name.to_owned(),
            text: file.text.to_owned(),
            document: None,
            configuration: Default::default(),
            found: services::check(*file, &surroundings),
        })
        .collect())
}

/// What `--force` would leave out.
fn forced(checked: &Checked) -> String {
    let errors: Vec<&Diagnostic> = checked.found.iter().filter(|d| d.severity == Severity::Error).collect();
    if errors.is_empty() {
        return "nothing needs to be forced".to_owned();
    }
    let mut text = String::from("--force would load the rest and leave out or keep as it is:\n");
    for error in errors {
        text.push_str(&format!("  {}\n", error.message));
    }
    text.trim_end().to_owned()
}

/// Prints the proposed change; writes it when that was confirmed.
fn fix(checked: &Checked, context: &Context) -> Result<()> {
    let fixed = apply_fixes(&checked.text, &checked.found);
    if fixed == checked.text {
        println!("nothing can be corrected without knowledge of the site");
        return Ok(());
    }
    print!("{}", unified_diff(&checked.text, &fixed, &checked.name));
    if context.yes && checked.name != "-" {
        std::fs::write(&checked.name, &fixed).map_err(|e| Error::new(format!("{} cannot be written: {e}", checked.name), ""))?;
        println!("{} is corrected", checked.name);
    } else {
        println!("(`--fix --yes` writes it)");
    }
    Ok(())
}

fn explain(code: &str, context: &Context) -> Result {
    if code == "all" {
        for code in Code::ALL {
            println!("{:<26} {:<8} {}", code.as_str(), code.severity().as_str(), code.explanation());
        }
        return Ok(Exit::Done);
    }
    let Some(known) = Code::from_name(code) else {
        let near = quorate_model::diag::nearest(code, Code::ALL.iter().map(|code| code.as_str()));
        let help = near.map_or_else(|| "`--explain all` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(Error::new(format!("there is no finding `{code}`"), help).exit(Exit::Usage));
    };
    if context.json {
        println!("{}", json!({"code": known.as_str(), "severity": known.severity().as_str(), "explanation": known.explanation(), "example": known.example().map(|e| match e {
            Example::Statements(text) | Example::Xml(text) | Example::OnHost(_, text) | Example::File(_, text) => text,
        })}));
    } else {
        println!("{} ({})\n\n{}", known.as_str(), known.severity().as_str(), known.explanation());
        if let Some(example) = known.example() {
            println!("\nFor example:\n\n{}", example_text(example));
        }
    }
    Ok(Exit::Done)
}

/// A rule's example, indented.
fn example_text(example: Example) -> String {
    let (remark, text) = match example {
        Example::Statements(text) | Example::Xml(text) => (String::new(), text),
        Example::OnHost(what, text) => (format!("\n\n({what})"), text),
        Example::File(name, text) => (format!("\n\n(a part of {name})"), text),
    };
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    format!("{}{remark}", lines.join("\n"))
}

fn print_json(reports: &[Checked], args: &Args) {
    let files: Vec<Value> = reports
        .iter()
        .map(|report| {
            let count = |severity| report.found.iter().filter(|d| d.severity == severity).count();
            let mut value = json!({
                "file": report.name,
                "errors": count(Severity::Error),
                "warnings": count(Severity::Warning),
                "notes": count(Severity::Note),
                "diagnostics": report.found.iter().map(|d| diagnostic_json(d, &report.text)).collect::<Vec<_>>(),
            });
            if args.fix {
                let fixed = apply_fixes(&report.text, &report.found);
                value["diff"] = json!(unified_diff(&report.text, &fixed, &report.name));
                value["fixed"] = json!(fixed);
            }
            value
        })
        .collect();
    println!("{:#}", json!({ "files": files }));
}

/// A finding as JSON.
pub fn diagnostic_json(diagnostic: &Diagnostic, text: &str) -> Value {
    let place = |span: Span| {
        let (line, column) = line_and_column(text, span.start);
        let (end_line, end_column) = line_and_column(text, span.end);
        json!({"line": line, "column": column, "end_line": end_line, "end_column": end_column})
    };
    json!({
        "code": diagnostic.code.as_str(),
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "place": diagnostic.span.map(place),
        "label": diagnostic.label,
        "related": diagnostic.related.iter().map(|(span, label)| json!({"place": place(*span), "label": label})).collect::<Vec<_>>(),
        "cause": diagnostic.cause,
        "help": diagnostic.help,
        "subject": diagnostic.subject,
        "fixes": diagnostic.fixes.iter().map(|fix| json!({"place": place(fix.span), "replacement": fix.replacement})).collect::<Vec<_>>(),
    })
}

/// Line and column (characters), both from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
