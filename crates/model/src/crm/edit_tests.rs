//! Edits leave everything else as it was written.

use super::{Document, EditError, GroupChange, OnExisting, parse};
use crate::cib::SetKind;

const TEXT: &str = "\
# the nodes
node n1
node n2

# what runs
primitive d1 ocf:pacemaker:Dummy \\
    params state=\"/tmp/x y\"   \\
    op monitor interval=10s
primitive d2 ocf:pacemaker:Dummy
group g1 d1 d2   # not a comment here
";

fn document(text: &str) -> Document {
    parse(text).0
}

fn base() -> Document {
    document(&TEXT.replace("   # not a comment here", ""))
}

#[test]
fn removal_takes_members_and_constraints_along() {
    let text = format!("{}location l g1 100: n1\norder o d1 d2\n", base().print());
    let edited = document(&text).remove(&["d2"]).expect("it is there");
    assert!(
        edited.text.contains("group g1 d1\n") && !edited.text.contains("order o"),
        "{}",
        edited.text
    );
    assert!(edited.text.contains(
        "# what runs\nprimitive d1 ocf:pacemaker:Dummy \\\n    params state=\"/tmp/x y\"   \\\n"
    ));
    let edited = document(&edited.text).remove(&["g1"]).expect("it is there");
    assert!(
        edited.text.contains("location l d1 100: n1"),
        "{}",
        edited.text
    );
    let edited = document(&edited.text).remove(&["d1"]).expect("it is there");
    assert!(!edited.text.contains("location"), "{}", edited.text);
    assert_eq!(edited.notes, ["location l is removed too"]);
}

#[test]
fn a_group_goes_with_its_last_member_and_a_clone_with_its_child() {
    let text = "primitive d ocf:pacemaker:Dummy\ngroup g d\nclone c g\nlocation l c 100: n1\n";
    let edited = document(text).remove(&["d"]).expect("it is there");
    assert_eq!(edited.text, "");
    let edited = document(text)
        .remove(&["d", "g", "c"])
        .expect("they are there");
    assert_eq!(edited.text, "");
}

#[test]
fn sets_shrink_to_pairs() {
    let primitives: String = (1..=4)
        .map(|n| format!("primitive d{n} ocf:pacemaker:Dummy\n"))
        .collect();
    let text = format!(
        "{primitives}colocation c2 inf: d1 d2 d3 d4\ncolocation c3 inf: ( d3 d4 ) ( d1 d2 )\norder o1 Serialize: d1 d2 ( d3 d4 )\n"
    );
    let edited = document(&text)
        .remove(&["d2", "d4"])
        .expect("they are there");
    let constraints: Vec<&str> = edited
        .text
        .lines()
        .filter(|line| !line.starts_with("primitive"))
        .collect();
    assert_eq!(
        constraints,
        [
            "colocation c2 inf: d3 d1",
            "colocation c3 inf: d3 d1",
            "order o1 Serialize: d1 d3"
        ]
    );
}

#[test]
fn renaming_reaches_every_reference() {
    let text = format!("{}colocation c inf: d1 d2\ntag t d1\n", base().print());
    let edited = document(&text).rename("d1", "p1").expect("it is there");
    assert!(!edited.text.contains("d1"), "{}", edited.text);
    assert!(matches!(
        document(&text).rename("d1", "d2"),
        Err(EditError::Exists(_))
    ));
    let error = document(&text)
        .rename("d9", "x")
        .expect_err("it is not there");
    assert!(error.to_string().contains("d9"));
}

#[test]
fn options_are_merged_in_place() {
    let text = "property stonith-enabled=false\n# end\n";
    let edited = document(text)
        .define(
            "property stonith-enabled=true no-quorum-policy=stop",
            OnExisting::Refuse,
        )
        .expect("good");
    assert_eq!(
        edited.text,
        "property stonith-enabled=true no-quorum-policy=stop\n# end\n"
    );
}

#[test]
fn definitions_go_to_the_end_or_replace_their_namesake() {
    let document = base();
    assert!(matches!(
        document.define("primitive d1 ocf:heartbeat:Dummy", OnExisting::Refuse),
        Err(EditError::Exists(_))
    ));
    let edited = document
        .define("primitive d1 ocf:heartbeat:Dummy", OnExisting::Replace)
        .expect("good");
    assert!(
        edited
            .text
            .contains("# what runs\nprimitive d1 ocf:heartbeat:Dummy\nprimitive d2"),
        "{}",
        edited.text
    );
    assert!(
        document
            .define("primtive d1 Dummy", OnExisting::Refuse)
            .is_err()
    );
}

#[test]
fn attributes_and_members_change_by_themselves() {
    let text = base()
        .set_pair("g1", SetKind::Meta, "target-role", Some("Stopped"))
        .expect("good");
    let again = document(&text)
        .set_pair("g1", SetKind::Meta, "target-role", Some("Started"))
        .expect("good");
    assert!(
        again.contains("group g1 d1 d2 \\\n\tmeta target-role=Started\n"),
        "{again}"
    );
    let text = format!("{}primitive d3 ocf:pacemaker:Dummy\n", base().print());
    let text = document(&text)
        .change_group("g1", GroupChange::Before("d3", "d2"))
        .expect("good");
    assert!(text.contains("group g1 d1 d3 d2"));
    let text = document(&text)
        .change_group("g1", GroupChange::Remove("d1"))
        .expect("good");
    assert!(text.contains("group g1 d3 d2"));
    assert!(
        document(&text)
            .change_group("g1", GroupChange::Append("nosuch"))
            .is_err()
    );
}
