//! Configuration changed in every way that there is, on a real daemon: statements, editor, file; comments and order
//! of what the operator wrote survive, and the services follow.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::daemons::{alone, one_resource, single, where_is};

#[test]
fn a_configuration_is_changed_in_every_way_and_keeps_its_comments() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some(file) = one_resource(root.path()) else {
        return;
    };
    let mut node = single(root.path());
    let text = fs::read_to_string(&file).unwrap();
    let commented = format!("# first of all\n{text}# the last word\n");
    fs::write(&file, &commented).unwrap();

    // A file, watched until it is in effect.
    let said = node.good(&["apply", file.to_str().unwrap(), "--yes", "--wait"]);
    assert!(said.contains("settled after"), "{said}");
    assert!(where_is(&node.status().unwrap(), "d1").is_some());
    assert_eq!(node.good(&["show"]), commented);

    // Statements.
    node.good(&[
        "configure",
        "--yes",
        "primitive",
        "d2",
        "ocf:heartbeat:Dummy",
        "op",
        "monitor",
        "interval=10s",
    ]);
    node.good(&["configure", "--yes", "property", "batch-limit=7"]);
    node.good(&["configure", "--yes", "location", "l1", "d2", "50:", "n1"]);
    node.until("d2 started", |s| where_is(s, "d2").is_some());
    let shown = node.good(&["show"]);
    assert!(
        shown.starts_with("# first of all\n") && shown.contains("# the last word"),
        "{shown}"
    );
    assert!(shown.contains("batch-limit=7"), "{shown}");
    let shown = node.good(&["show", "d2"]);
    assert!(
        shown.contains("ocf:heartbeat:Dummy") && !shown.contains("d1"),
        "{shown}"
    );
    let shown = node.good(&["show", "--xml", "l1"]);
    assert!(
        shown.contains("<rsc_location") && shown.contains("rsc=\"d2\""),
        "{shown}"
    );

    // What explains it names the line.
    let said = node.good(&["explain", "d2"]);
    assert!(said.contains("location l1 d2 50: n1"), "{said}");
    let said = node.good(&["explain", "d2", "--if", "monitor of d2 fails"]);
    assert!(said.contains("is restarted where it is"), "{said}");
    let said = node.bad(&["explain", "d2", "--if", "the moon falls"]);
    assert!(said.contains("is no event"), "{said}");

    // Another name goes through all that refers to it.
    node.good(&["configure", "--yes", "rename", "l1", "l2"]);
    assert!(node.good(&["show"]).contains("location l2 d2"));

    // A plan changes nothing and says for how long a service is away.
    let changed = root.path().join("changed.crm");
    fs::write(
        &changed,
        node.good(&["show"])
            .replace("interval=5s", "interval=6s")
            .replace("d1.state", "other.state"),
    )
    .unwrap();
    let before = node.good(&["show"]);
    let said = node.good(&["plan", changed.to_str().unwrap()]);
    assert!(said.contains("interval=6s"), "{said}");
    assert!(said.contains("away for at most"), "{said}");
    assert_eq!(node.good(&["show"]), before);

    // The editor.
    let editor = root.path().join("editor");
    fs::write(
        &editor,
        "#!/bin/sh\nsed -i 's/batch-limit=7/batch-limit=9/' \"$1\"\n",
    )
    .unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let editor: &'static str = Box::leak(editor.to_str().unwrap().to_owned().into_boxed_str());
    node.environment = vec![("EDITOR", editor), ("VISUAL", editor)];
    node.good(&["edit", "--yes"]);
    let shown = node.good(&["show"]);
    assert!(
        shown.contains("batch-limit=9") && shown.starts_with("# first of all\n"),
        "{shown}"
    );

    // An editor that leaves an error behind: nothing changes, and the operator's text is not lost.
    let slip = root.path().join("slip");
    fs::write(&slip, "#!/bin/sh\necho 'primtive oops Dummy' >> \"$1\"\n").unwrap();
    fs::set_permissions(&slip, fs::Permissions::from_mode(0o755)).unwrap();
    let slip: &'static str = Box::leak(slip.to_str().unwrap().to_owned().into_boxed_str());
    node.environment = vec![("EDITOR", slip), ("VISUAL", slip)];
    let said = node.bad(&["edit", "--yes"]);
    assert!(said.contains("did you mean `primitive`"), "{said}");
    let kept = said
        .split("quorate apply ")
        .nth(1)
        .and_then(|rest| rest.split('`').next())
        .unwrap_or_else(|| panic!("no word of the text: {said}"));
    let text = fs::read_to_string(kept).unwrap();
    assert!(
        text.contains("primtive oops Dummy") && text.contains("batch-limit=9"),
        "{text}"
    );
    fs::remove_file(kept).unwrap();
    assert_eq!(node.good(&["show"]), shown);

    // Gone: first it is stopped, then it may be removed.
    let output = node.quorate(&["configure", "--yes", "delete", "l2", "d2"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        assert!(said.contains("would be removed while running"), "{said}");
        node.good(&["tool", "crm", "--force", "resource", "stop", "d2"]);
        node.until("d2 stopped", |s| where_is(s, "d2").is_none());
        node.good(&["configure", "--yes", "delete", "l2", "d2"]);
    }
    let shown = node.good(&["show"]);
    assert!(
        !shown.contains("d2") && shown.starts_with("# first of all\n"),
        "{shown}"
    );
    assert!(where_is(&node.status().unwrap(), "d1").is_some());
}

/// Under the name that the 2011 document uses: what is wrong refuses the whole load, unless it is forced.
#[test]
fn crm_configure_load_update_refuses_errors_and_forced_loads_the_rest() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some(file) = one_resource(root.path()) else {
        return;
    };
    let node = single(root.path());
    let good = fs::read_to_string(&file).unwrap();
    let bad = format!("{good}group g1 d1 glance-ip-p meta target-role=Started\n");
    fs::write(&file, &bad).unwrap();
    let load = ["tool", "crm", "configure", "load", "update"];
    let words = [&load[..], &[file.to_str().unwrap()]].concat();

    let output = node.quorate(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error[undefined-member]: `glance-ip-p` is not defined anywhere"),
        "{said}"
    );
    assert!(said.contains("one.crm:3:13"), "{said}");
    assert!(said.contains("nothing was loaded"), "{said}");
    assert!(!node.good(&["show"]).contains("d1"), "something was loaded");

    node.good(&[&["tool", "crm", "-F"], &words[2..]].concat());
    node.until("d1 started", |s| where_is(s, "d1").is_some());
    let shown = node.good(&["tool", "crm", "configure", "show"]);
    assert!(shown.contains("group g1 d1"), "{shown}");
    assert!(
        node.good(&["tool", "crm_mon", "-n", "-1"]).contains("d1"),
        "not shown"
    );
}
