//! Recorded information bases come out of the writer as they went into the reader.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads files that are not part of the source tree"
)]

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
