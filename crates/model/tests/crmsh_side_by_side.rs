//! The same statements given to the installed crmsh and to us make the same XML, ids included.
//!
//! The statements are in `crmsh/*.crm`, one construct of the language after the other. crmsh writes them into a
//! file of its own (`CIB_file`); no cluster is needed.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test runs an installed program"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_model::crm::parse;
use quorate_model::diag::{Severity, Source, render_all, unified_diff};
use quorate_model::xml::write;

const EMPTY: &str = r#"<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes/><resources/><constraints/></configuration><status/></cib>"#;

/// What crmsh makes of a file, or why nothing came of it.
fn by_crmsh(file: &Path) -> Result<String, String> {
    let folder = tempdir();
    let cib = folder.join("cib.xml");
    // A fencing topology for all nodes is written out for the nodes that crmsh knows: they come first.
    let text = std::fs::read_to_string(file).expect("a case is readable");
    let nodes: String = text
        .lines()
        .filter(|line| line.starts_with("node ") && line.split(' ').count() == 2)
        .map(|line| format!("<node id={:?} uname={:?}/>", &line[5..], &line[5..]))
        .collect();
    std::fs::write(
        &cib,
        EMPTY.replace("<nodes/>", &format!("<nodes>{nodes}</nodes>")),
    )
    .expect("the temporary folder takes a file");
    let output = Command::new("crm")
        .args(["-F", "configure", "load", "update"])
        .arg(file)
        .env("CIB_file", &cib)
        .env("HOME", &folder)
        .env("TERM", "dumb")
        .output()
        .map_err(|error| format!("crm does not run: {error}"))?;
    let text = std::fs::read_to_string(&cib).expect("the file is still there");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let _ = std::fs::remove_dir_all(&folder);
    if !text.contains("<nvpair") && !text.contains("<resource_ref") && !text.contains("<primitive")
    {
        return Err(said);
    }
    // What crmsh cannot read it leaves out and says so: a case must not rest on that.
    match said
        .lines()
        .find(|line| line.contains("syntax in") || line.contains("syntax error"))
    {
        Some(line) => Err(line.to_owned()),
        None => Ok(text),
    }
}

fn tempdir() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder =
        std::env::temp_dir().join(format!("quorate-crmsh-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// The configuration's elements, one a line, attributes in alphabetical order.
fn canonical(xml: &str) -> String {
    fn element(node: roxmltree::Node<'_, '_>, depth: usize, out: &mut String) {
        let mut attributes: Vec<(&str, &str)> =
            node.attributes().map(|a| (a.name(), a.value())).collect();
        attributes.sort_unstable();
        out.push_str(&"  ".repeat(depth));
        out.push_str(node.tag_name().name());
        for (name, value) in attributes {
            out.push_str(&format!(" {name}={value:?}"));
        }
        out.push('\n');
        let mut children: Vec<_> = node
            .children()
            .filter(roxmltree::Node::is_element)
            .collect();
        if node.has_tag_name("bundle") {
            // In any order, by the schema.
            children.sort_by_key(|child| child.tag_name().name());
        }
        for child in children {
            element(child, depth + 1, out);
        }
    }
    let document = roxmltree::Document::parse(xml).expect("well-formed XML");
    let mut out = String::new();
    let configuration = document
        .descendants()
        .find(|node| node.has_tag_name("configuration"))
        .expect("a configuration");
    // The order of sections is the schema's; empty ones say nothing.
    let mut sections: Vec<_> = configuration
        .children()
        .filter(|node| node.is_element() && node.children().any(|child| child.is_element()))
        .collect();
    sections.sort_by_key(|node| node.tag_name().name());
    for section in sections {
        // crmsh writes resources in an order of its own; they are compared by name.
        if section.has_tag_name("resources") {
            let mut resources: Vec<_> = section
                .children()
                .filter(roxmltree::Node::is_element)
                .collect();
            resources.sort_by_key(|resource| resource.attribute("id"));
            resources
                .into_iter()
                .for_each(|resource| element(resource, 1, &mut out));
        } else {
            element(section, 0, &mut out);
        }
    }
    out
}

#[test]
fn crmsh_makes_the_same_of_every_construct() {
    if Command::new("crm").arg("--version").output().is_err() {
        println!("SKIPPED: crmsh is not installed (apt-get install crmsh)");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crmsh");
    let wanted = std::env::var("QUORATE_CASE").ok();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the cases are there")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "crm"))
        .filter(|path| {
            wanted
                .as_ref()
                .is_none_or(|name| path.file_stem().is_some_and(|stem| *stem == **name))
        })
        .collect();
    files.sort();
    let mut different = Vec::new();
    for path in &files {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(path).expect("a case is readable");
        let (document, found) = parse(&text);
        let errors: Vec<_> = found
            .into_iter()
            .filter(|d| d.severity == Severity::Error)
            .collect();
        if !errors.is_empty() {
            different.push(format!(
                "{name}: we refuse it\n{}",
                render_all(
                    &errors,
                    Source {
                        name: &name,
                        text: &text
                    },
                    false
                )
            ));
            continue;
        }
        let ours = canonical(&write::configuration(document.configuration()));
        match by_crmsh(path) {
            Err(said) => different.push(format!("{name}: crmsh refuses it\n{said}")),
            Ok(theirs) => {
                let theirs = canonical(&theirs);
                if ours != theirs {
                    different.push(format!(
                        "{name}:\n{}",
                        unified_diff(&theirs, &ours, "crmsh")
                    ));
                }
            }
        }
    }
    println!(
        "{} of {} texts make the same XML",
        files.len() - different.len(),
        files.len()
    );
    assert!(different.is_empty(), "{}", different.join("\n"));
}
