//! Recorded information bases come out of the writer as they went into the reader.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads files that are not part of the source tree"
)]

use quorate_model::crm::{differences, parse, print};
use quorate_model::diag::has_errors;
use quorate_model::xml::{read::read, write};

#[test]
fn what_is_written_reads_the_same() {
    let folders = [
        "/../../../shared/conformance/cases/xml",
        "/../../../../shared/conformance/cases/xml",
    ];
    let folders = folders.map(|folder| format!("{}{folder}", env!("CARGO_MANIFEST_DIR")));
    let Some(entries) = folders
        .iter()
        .find_map(|folder| std::fs::read_dir(folder).ok())
    else {
        println!("SKIPPED: the recorded cases are not beside the workspace");
        return;
    };
    let (mut count, mut unreadable) = (0, Vec::new());
    for entry in entries.flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a case is readable");
        let Ok(first) = read(&text) else {
            unreadable.push(entry.file_name());
            continue;
        };
        let written = write::cib(&first);
        let second =
            read(&written).unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        if first != second {
            let (a, b) = (format!("{first:#?}"), format!("{second:#?}"));
            let at = a
                .lines()
                .zip(b.lines())
                .position(|(a, b)| a != b)
                .unwrap_or(0);
            let lines = |text: &str| {
                text.lines()
                    .skip(at.saturating_sub(6))
                    .take(10)
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            panic!(
                "{} differs:\n{}\n---\n{}",
                entry.path().display(),
                lines(&a),
                lines(&b)
            );
        }
        count += 1;
    }
    println!("{count} information bases, not readable: {unreadable:?}");
    assert!(count > 100);
}

#[test]
fn recorded_configurations_print_as_crm_and_read_the_same() {
    let folders = [
        "/../../../shared/conformance/cases/xml",
        "/../../../../shared/conformance/cases/xml",
    ];
    let folders = folders.map(|folder| format!("{}{folder}", env!("CARGO_MANIFEST_DIR")));
    let Some(entries) = folders
        .iter()
        .find_map(|folder| std::fs::read_dir(folder).ok())
    else {
        println!("SKIPPED: the recorded cases are not beside the workspace");
        return;
    };
    let (mut same, mut in_error, mut statements, mut as_xml) = (0, 0, 0, 0);
    let mut different = Vec::new();
    for entry in entries.flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a case is readable");
        let Ok(first) = read(&text) else { continue };
        let printed = print(&first.configuration);
        let (document, diagnostics) = parse(&printed);
        statements += document.statements().len();
        as_xml += printed
            .lines()
            .filter(|line| line.starts_with("xml "))
            .count();
        let found = differences(&first.configuration, document.configuration());
        if found.is_empty() {
            assert_eq!(
                print(document.configuration()),
                printed,
                "{} is no fixed point",
                entry.path().display()
            );
            same += 1;
        } else if has_errors(&diagnostics) {
            in_error += 1;
        } else {
            different.push(format!("{:?}: {found:?}", entry.file_name()));
        }
    }
    println!(
        "{same} the same, {in_error} have errors, different {different:#?}; {as_xml} of {statements} statements as XML"
    );
    assert!(different.is_empty());
}
