//! `quorate agent RESOURCE ACTION`: runs an agent by hand, exactly as the cluster does, and shows all of it.

use std::path::{Path, PathBuf};

use quorate_agents::{Runner, Surroundings};
use quorate_core::document;
use quorate_core::event::{AgentCall, AgentResult, Outcome};
use quorate_core::ids::RunId;
use quorate_model::cib::{
    AttributeSet, CloneChild, Configuration, Operation, Primitive, Resource, SetKind,
};

use super::directories::Directories;
use crate::context::Context;
use crate::error::{Error, Exit, Result};
use crate::view;

/// Time that an operation has where nothing says so.
const TIMEOUT_MS: u64 = 20_000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource: a primitive of the configuration.
    resource: String,
    /// `monitor`, `start`, `stop`, `validate-all`, `meta-data` ... ; of a fence device also `status`, `off`, `on`,
    /// `reboot`, `list`, `power-status`.
    action: String,
    /// Show what the agent's script does, line by line.
    #[arg(long)]
    trace: bool,
    /// Only show the call.
    #[arg(long)]
    show: bool,
    /// The node that a fence device shall act on.
    #[arg(long, value_name = "NODE")]
    target: Option<String>,
    /// A parameter, in place of the configured one.
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Time it may take.
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Configuration to take the resource from [default: the cluster's].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    directories: Directories,
}

/// Runs it.
pub fn run(args: Args, context: &Context) -> Result {
    let (configuration, node) = match &args.file {
        Some(path) => (read(path)?, None),
        None => {
            let (state, local) = view::fetch(context)?;
            (state.configuration, Some(local.name))
        }
    };
    let mut call = call(&configuration, &args)?;
    if let Some(node) = node {
        call.meta.push(("on_node".into(), node));
    }
    let scratch = std::env::temp_dir().join(format!("quorate-agent-{}", std::process::id()));
    if args.trace {
        call.parameters.push(("trace_ra".into(), "1".into()));
        call.parameters.push(("trace_dir".into(), scratch.join("trace").to_string_lossy().into_owned()));
    }
    let tools = args.directories.paths().tools();
    let surroundings = Surroundings {
        tools: tools.is_dir().then_some(tools),
        runs: scratch.join("runs"),
        watched: scratch.join("watched"),
        ..Surroundings::default()
    };
    let programs = quorate_agents::programs(&surroundings, &call)
        .map_err(|reason| Error::new(reason, "`quorate check` says which agents are missing"))?;
    if !context.json {
        println!("{}", describe(&call, &programs));
    }
    if args.show {
        return Ok(Exit::Done);
    }
    if changes_something(&call) {
        context.confirm(&format!(
            "This runs `{}` of {} behind the cluster's back: it will notice at its next monitor, and may undo it. \
             (`quorate maintenance on` keeps it from that.)",
            call.action, call.resource
        ))?;
    }
    let result = execute(surroundings, call.clone());
    let trace = read_trace(&scratch.join("trace"));
    // Only this run's journal stands there.
    let _ = std::fs::remove_dir_all(&scratch);
    show(&call, &result?, &trace, context)
}

fn read(path: &Path) -> Result<Configuration> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::new(format!("{} cannot be read: {e}", path.display()), ""))?;
    Ok(document::derive(&text))
}

fn execute(surroundings: Surroundings, call: AgentCall) -> Result<AgentResult> {
    let failed = |what: String| Error::new(what, "run it as root");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let runner = Runner::open(surroundings).map_err(|e| failed(e.to_string()))?;
        Ok(runner.run(RunId(1), call).await)
    })
}

fn changes_something(call: &AgentCall) -> bool {
    let looks = [
        "monitor", "status", "validate-all", "meta-data", "list", "power-status", "getconfignames", "metadata",
    ];
    !looks.contains(&call.action.as_str())
}

fn primitives(configuration: &Configuration) -> impl Iterator<Item = &Primitive> {
    configuration.resources.iter().flat_map(|resource| -> Vec<&Primitive> {
        match resource {
            Resource::Primitive(one) => vec![one],
            Resource::Group(group) => group.members.iter().collect(),
            Resource::Clone(clone) => match &clone.child {
                CloneChild::Primitive(one) => vec![one],
                CloneChild::Group(group) => group.members.iter().collect(),
            },
            Resource::Bundle(bundle) => bundle.primitive.iter().collect(),
            Resource::Template(_) => Vec::new(),
        }
    })
}

fn add(pairs: &mut Vec<(String, String)>, sets: &[AttributeSet], kind: SetKind) {
    for set in sets.iter().filter(|set| set.kind == kind && set.rule.is_none()) {
        for pair in &set.pairs {
            if let (Some(value), false) = (&pair.value, pairs.iter().any(|(name, _)| *name == pair.name)) {
                pairs.push((pair.name.clone(), value.clone()));
            }
        }
    }
}

/// The call as the cluster makes it; rules over nodes and times are not judged here.
fn call(configuration: &Configuration, args: &Args) -> Result<AgentCall> {
    let base = args.resource.split_once(':').map_or(args.resource.as_str(), |(name, _)| name);
    let primitive = primitives(configuration).find(|one| one.id == base).ok_or_else(|| {
        let names: Vec<&str> = primitives(configuration).map(|one| one.id.as_str()).collect();
        Error::new(
            format!("there is no primitive `{}` in the configuration", args.resource),
            format!("there are: {}", names.join(", ")),
        )
    })?;
    let template = primitive.template.as_deref().and_then(|id| {
        configuration.resources.iter().find_map(|resource| match resource {
            Resource::Template(template) if template.id == id => Some(template),
            _ => None,
        })
    });
    let operation = |one: &'_ Primitive| -> Option<Operation> {
        one.operations.list.iter().find(|operation| operation.name == args.action).cloned()
    };
    let operation = operation(primitive).or_else(|| template.and_then(operation));
    let mut parameters = Vec::new();
    for given in &args.parameters {
        let (name, value) = given
            .split_once('=')
            .ok_or_else(|| Error::new(format!("`{given}` is not NAME=VALUE"), "").exit(Exit::Usage))?;
        parameters.push((name.to_owned(), value.to_owned()));
    }
    if let Some(operation) = &operation {
        add(&mut parameters, &operation.sets, SetKind::Instance);
    }
    add(&mut parameters, &primitive.sets, SetKind::Instance);
    let mut meta = Vec::new();
    add(&mut meta, &primitive.sets, SetKind::Meta);
    if let Some(template) = template {
        add(&mut parameters, &template.sets, SetKind::Instance);
        add(&mut meta, &template.sets, SetKind::Meta);
    }
    let of_operation = |name: &str| {
        let extra = &operation.as_ref()?.extra;
        extra.iter().find(|(known, _)| known == name).and_then(|(_, value)| document::milliseconds(value))
    };
    let timeout_ms = match &args.timeout {
        Some(text) => document::milliseconds(text)
            .ok_or_else(|| Error::new(format!("`{text}` is no time"), "write 20s or 2min").exit(Exit::Usage))?,
        None => of_operation("timeout").unwrap_or(TIMEOUT_MS),
    };
    let either = |pick: fn(&Primitive) -> Option<&String>| {
        pick(primitive).or_else(|| template.and_then(pick)).cloned()
    };
    Ok(AgentCall {
        resource: args.resource.clone(),
        instance: args.resource.clone(),
        class: either(|one| one.class.as_ref()).unwrap_or_else(|| "ocf".into()),
        provider: either(|one| one.provider.as_ref()),
        agent: either(|one| one.agent.as_ref()).unwrap_or_default(),
        action: args.action.clone(),
        parameters,
        meta,
        target: args.target.clone(),
        timeout_ms,
        interval_ms: 0,
        name: String::new(),
    })
}

/// Whether a value is better not shown.
fn is_secret(name: &str) -> bool {
    crate::mask::is_secret(name)
}

fn quoted(value: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_./:,@%+".contains(char);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// The call as one can repeat it in a shell, without the passwords.
fn describe(call: &AgentCall, programs: &[quorate_agents::execute::Invocation]) -> String {
    let mut text = String::new();
    for program in programs {
        let mut lines: Vec<String> = Vec::new();
        for (name, value) in &program.environment {
            let value = if is_secret(name) { "********".to_owned() } else { quoted(value) };
            lines.push(format!("{name}={value}"));
        }
        let arguments: Vec<String> = program.arguments.iter().map(|argument| quoted(argument)).collect();
        lines.push(format!("{} {}", program.program, arguments.join(" ")));
        if !program.input.is_empty() {
            let input = program.input.lines().map(|line| match line.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}=********"),
                _ => line.to_owned(),
            });
            lines.push(format!("<<END\n{}\nEND", input.collect::<Vec<_>>().join("\n")));
        }
        text.push_str(&format!("env -i \\\n  {}\n", lines.join(" \\\n  ")));
    }
    if programs.is_empty() {
        text.push_str(&format!("{} of {} by systemd, over D-Bus\n", call.action, call.agent));
    }
    text
}

fn read_trace(directory: &Path) -> String {
    let mut text = String::new();
    let Ok(kinds) = std::fs::read_dir(directory) else { return text };
    for file in kinds.flatten().filter_map(|kind| std::fs::read_dir(kind.path()).ok()).flatten().flatten() {
        text.push_str(&String::from_utf8_lossy(&std::fs::read(file.path()).unwrap_or_default()));
    }
    text
}

fn show(call: &AgentCall, result: &AgentResult, trace: &str, context: &Context) -> Result {
    let meaning = |code: i32| match call.class.as_str() {
        "stonith" if matches!(call.action.as_str(), "power-status" | "status") && call.target.is_some() => {
            match code {
                0 => "on",
                2 => "off",
                _ => "unknown",
            }
        }
        "stonith" if code == 0 => "ok",
        "stonith" => "failed",
        _ => quorate_agents::ocf::meaning(code).unwrap_or("not defined by the OCF API"),
    };
    let (ended, is_good) = match result.outcome {
        Outcome::Exited(code) => {
            let is_answer = code == 0 || (call.class == "stonith" && code == 2);
            (format!("exit code {code}: {}", meaning(code)), is_answer)
        }
        Outcome::TimedOut => ("killed after its time".to_owned(), false),
        Outcome::NotRun => ("not run".to_owned(), false),
        Outcome::Lost => ("lost".to_owned(), false),
    };
    if context.json {
        println!(
            "{}",
            serde_json::json!({
                "resource": call.resource, "action": call.action, "ended": ended, "took_ms": result.took_ms,
                "exit_reason": result.exit_reason, "output": result.output, "trace": trace,
            })
        );
    } else {
        for text in [trace, &result.output].into_iter().filter(|text| !text.is_empty()) {
            println!("{}\n", text.trim_end());
        }
        println!("{} of {}: {ended}, after {} ms", call.action, call.resource, result.took_ms);
        if !result.exit_reason.is_empty() {
            println!("reason: {}", result.exit_reason);
        }
    }
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}
