//! `quorate property [NAME[=VALUE] ...]`: cluster options.

use quorate_model::crm::OnExisting;
use quorate_model::options::{self, CLUSTER};
use serde_json::{Map, Value, json};

use crate::configure::{Change, Current, apply};
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `NAME=VALUE` sets an option, `NAME` shows it; without any, all that are set are shown.
    options: Vec<String>,
}

/// Shows or sets them.
pub fn run(args: Args, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let document = current.document();
    let (set, asked): (Vec<&String>, Vec<&String>) = args.options.iter().partition(|option| option.contains('='));
    if !set.is_empty() {
        let words: Vec<String> = set
            .iter()
            .map(|option| {
                let (name, value) = option.split_once('=').unwrap_or((option, ""));
                format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            })
            .collect();
        let statement = format!("property {}", words.join(" "));
        let edited = document.define(&statement, OnExisting::Refuse).map_err(|e| Error::new(e.to_string(), "").exit(Exit::Configuration))?;
        let change = Change { notes: edited.notes, no_host: true, ..Change::new(edited.text, "property") };
        return apply(context, &current, &change);
    }
    let pairs: Vec<(&str, &str)> = document
        .configuration()
        .options
        .iter()
        .flat_map(|set| &set.pairs)
        .map(|pair| (pair.name.as_str(), pair.value.as_deref().unwrap_or("")))
        .filter(|(name, _)| asked.is_empty() || asked.iter().any(|asked| asked == name))
        .collect();
    let mut json_out: Map<String, Value> = pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for name in asked.iter().filter(|name| !pairs.iter().any(|(known, _)| *known == name.as_str())) {
        let Some(option) = options::find(CLUSTER, name) else {
            let near = quorate_model::diag::nearest(name, CLUSTER.iter().map(|option| option.name));
            let help = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            return Err(Error::new(format!("there is no cluster option `{name}`"), help).exit(Exit::Usage));
        };
        json_out.insert((*name).clone(), json!(option.default));
        lines.push(format!("{name}={} (default; {})", option.default, option.about));
    }
    if context.json {
        println!("{}", Value::Object(json_out));
    } else {
        lines.iter().for_each(|line| println!("{line}"));
    }
    Ok(Exit::Done)
}
