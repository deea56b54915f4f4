//! `quorate show`: the configuration, as it was written.

use quorate_model::cib::{CloneChild, Configuration, Resource};
use quorate_model::crm::{self, Document};
use quorate_model::diag::nearest;
use quorate_model::xml::write;
use serde_json::json;

use crate::configure::Current;
use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these objects.
    ids: Vec<String>,
    /// As CIB XML.
    #[arg(long)]
    xml: bool,
    /// With passwords and cookies; a text with their masks can be applied again as it is.
    #[arg(long)]
    secrets: bool,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result {
    let current = Current::fetch(context)?;
    let text = shown(&current.document(), &args.ids, args.xml)?;
    let text = if args.secrets { text } else { crate::mask::mask(&text) };
    if context.json {
        let document = &current.state.document;
        println!("{}", json!({"text": text, "revision": document.revision, "who": document.who, "changed_ms": document.wall_ms}));
    } else {
        print!("{text}");
    }
    Ok(Exit::Done)
}

/// The text, or the statements of some objects, in either form.
pub fn shown(document: &Document, ids: &[String], as_xml: bool) -> Result<String> {
    if ids.is_empty() {
        let text = document.print();
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Ok(if as_xml { write::configuration(document.configuration()) } else { format!("{text}{newline}") });
    }
    let mut text = String::new();
    for id in ids {
        let of_id: Vec<_> = document.statements().iter().filter(|statement| statement.id == *id).collect();
        if of_id.is_empty() {
            let near = nearest(id, document.statements().iter().map(|statement| statement.id.as_str()));
            let help = near.map_or_else(|| "`quorate show` lists everything".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(Error::new(format!("nothing is called `{id}`"), help));
        }
        if as_xml {
            text.push_str(&object_xml(document.configuration(), id));
            continue;
        }
        for statement in of_id {
            let start = statement.comment.map_or(statement.span.start, |comment| comment.start);
            text.push_str(document.print().get(start..statement.span.end).unwrap_or(""));
            text.push('\n');
        }
    }
    Ok(text)
}

/// One object's XML, wherever it is.
fn object_xml(configuration: &Configuration, id: &str) -> String {
    for resource in &configuration.resources {
        if let Some(found) = find(resource, id) {
            return write::resource(&found);
        }
    }
    let mut text = String::new();
    for node in configuration.nodes.iter().filter(|node| node.uname == id) {
        text.push_str(&write::node(node));
    }
    let constraint_id = |constraint: &quorate_model::cib::Constraint| crm::constraint_id(constraint) == id;
    for constraint in configuration.constraints.iter().filter(|constraint| constraint_id(constraint)) {
        text.push_str(&write::constraint(constraint));
    }
    for (section, sets) in [
        ("crm_config", &configuration.options),
        ("rsc_defaults", &configuration.resource_defaults),
        ("op_defaults", &configuration.operation_defaults),
    ] {
        for set in sets.iter().filter(|set| set.id == id) {
            text.push_str(&write::set_in(section, set));
        }
    }
    for alert in configuration.alerts.iter().filter(|alert| alert.id == id) {
        text.push_str(&write::alert(alert));
    }
    text
}

fn find(resource: &Resource, id: &str) -> Option<Resource> {
    let primitives = |members: &[quorate_model::cib::Primitive]| {
        members.iter().find(|member| member.id == id).map(|member| Resource::Primitive(member.clone()))
    };
    match resource {
        Resource::Primitive(primitive) | Resource::Template(primitive) => (primitive.id == id).then(|| resource.clone()),
        Resource::Group(group) if group.id == id => Some(resource.clone()),
        Resource::Group(group) => primitives(&group.members),
        Resource::Clone(clone) if clone.id == id => Some(resource.clone()),
        Resource::Clone(clone) => match &clone.child {
            CloneChild::Primitive(primitive) => primitives(std::slice::from_ref(primitive)),
            CloneChild::Group(group) => find(&Resource::Group(group.clone()), id),
        },
        Resource::Bundle(bundle) if bundle.id == id => Some(resource.clone()),
        Resource::Bundle(bundle) => primitives(bundle.primitive.as_slice()),
    }
}
