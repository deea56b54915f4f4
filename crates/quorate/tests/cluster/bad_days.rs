//! What goes wrong with disks, clocks, names, tokens and administrators. The index of all bad days is in
//! `docs/operations.md`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::daemons::{
    Node, alone, join_by, single_with_resource, start_after, state_of, three, where_is,
};

#[test]
fn tokens_names_and_verbs_without_a_daemon_are_refused_in_words() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let stranger = Node::new(root.path(), "n9");
    let error = stranger.bad(&["status"]);
    assert!(
        error.contains("does not answer") && error.contains("systemctl start quorate"),
        "{error}"
    );
    let error = stranger.bad(&["run"]);
    assert!(
        error.contains("quorate init") && error.contains("quorate join"),
        "{error}"
    );

    let mut first = Node::new(root.path(), "n1");
    first.init();
    let error = first.bad(&["init", "--address", "127.0.0.1"]);
    assert!(error.contains("in a cluster already"), "{error}");
    first.start();
    first.until("itself leading", |s| s["leader"] == "n1");
    let error = first.bad(&["run"]);
    assert!(error.contains("already"), "{error}");

    let token = first.good(&["token", "create"]);
    let mut twin = Node::new(root.path(), "twin");
    twin.name = "n1".into();
    let refused = twin.join(token.trim());
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("a member already"), "{error}");

    let token = first.good(&["token", "create"]);
    let second = Node::new(root.path(), "n2");
    assert!(second.join(token.trim()).status.success());
    let third = Node::new(root.path(), "n3");
    let again = third.join(token.trim());
    assert!(!again.status.success(), "a token worked twice");
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(error.contains("token"), "{error}");
    assert!(third.bad(&["join", "quorate1-AAAA"]).contains("token"));
}

#[test]
fn a_damaged_store_is_refused_and_the_node_can_be_wiped_and_rejoined() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    nodes[2].kill();
    let store = nodes[2].root.join("var/store.redb");
    let mut bytes = fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[64..middle] {
        *byte ^= 0x5a;
    }
    fs::write(&store, &bytes).unwrap();
    nodes[2].start();
    assert!(!nodes[2].end().success());
    let log = nodes[2].log();
    assert!(log.contains("wipe") || log.contains("damaged"), "{log}");

    nodes[0].until("n3 lost", |s| state_of(s, "n3") == "UNCLEAN (offline)");
    nodes[0].good(&["remove", "n3", "--yes"]);
    nodes[0].until("n3 removed", |s| state_of(s, "n3") != "online");
    nodes[2].good(&["leave", "--wipe", "--yes"]);
    join_by(&nodes[0], &nodes[2]);
    nodes[2].start();
    for node in &nodes {
        node.sees_online(3);
    }
}

#[test]
fn a_read_only_state_directory_is_refused_with_the_way_out() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::new(root.path(), "n1");
    node.init();
    if start_after(
        &mut node,
        "mount --bind var var; mount -o remount,bind,ro var",
    ) {
        assert!(!node.end().success());
        let log = node.log();
        assert!(
            log.contains("went read-only") && log.contains("remount it"),
            "{log}"
        );
    }
}

#[test]
fn a_full_state_directory_stops_the_daemon_in_words_and_room_brings_it_back() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::new(root.path(), "n1");
    node.init();
    let fill = "mkdir -p small; mount -t tmpfs -o size=4m tmpfs small; cp -a var/. small/; mount --bind small var; \
                dd if=/dev/zero of=var/filler bs=4k 2>/dev/null || true";
    if start_after(&mut node, fill) {
        // It may begin while the file has free pages; sooner or later a change does not fit.
        for _ in 0..400 {
            let ended = node
                .daemon
                .as_mut()
                .expect("it was started")
                .try_wait()
                .unwrap();
            if ended.is_some() {
                break;
            }
            node.quorate(&["token", "create"]);
        }
        assert!(!node.end().success());
        let log = node.log();
        assert!(
            log.contains("No space left") || log.contains("full"),
            "{log}"
        );
        node.start();
        node.until("itself leading", |s| s["leader"] == "n1");
    }
}

#[test]
fn clocks_an_hour_apart_do_no_harm() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !Path::new(library).exists() {
        eprintln!("SKIPPED: this test needs the package libfaketime");
        return;
    }
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut first = Node::new(root.path(), "n1");
    first.init();
    first.start();
    first.until("itself leading", |s| s["leader"] == "n1");
    let mut kept = Vec::new();
    for (name, offset) in [("n2", "+3601s"), ("n3", "-3601s")] {
        let mut node = Node::new(root.path(), name);
        node.environment = vec![("LD_PRELOAD", library), ("FAKETIME", offset)];
        join_by(&first, &node);
        node.start();
        kept.push(node);
    }
    first.sees_online(3);
    drop(kept);
}

#[test]
fn a_truncated_store_is_refused_in_words() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    for (keep, name) in [(2, "n1"), (1000, "n2")] {
        let mut node = Node::new(root.path(), name);
        node.init();
        let store = node.root.join("var/store.redb");
        let length = fs::metadata(&store).unwrap().len();
        let file = fs::File::options().write(true).open(&store).unwrap();
        file.set_len(length / keep).unwrap();
        node.start();
        assert!(!node.end().success());
        let log = node.log();
        assert!(
            log.contains("is damaged") && log.contains("wipe") && log.contains("join it"),
            "{name}: {log}"
        );
    }
}

/// The first has the configuration open in an editor while the second applies another one.
#[test]
fn of_two_administrators_the_second_gets_a_conflict_with_the_difference() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some((mut node, file)) = single_with_resource(root.path()) else {
        return;
    };

    let editor = root.path().join("editor");
    let other = root.path().join("other.crm");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&other, text.replace("interval=5s", "interval=7s")).unwrap();
    let script = format!(
        "#!/bin/sh\nset -e\n'{}' apply '{}' --yes\nsed -i s/timeout=20s/timeout=21s/ \"$1\"\n",
        env!("CARGO_BIN_EXE_quorate"),
        other.display()
    );
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let editor: &'static str = Box::leak(editor.to_str().unwrap().to_owned().into_boxed_str());
    node.environment = vec![("EDITOR", editor), ("VISUAL", editor)];
    let output = node.quorate(&["edit", "--yes"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("has changed the configuration meanwhile")
            && said
                .lines()
                .any(|l| l.starts_with('-') && l.contains("interval=5s"))
            && said
                .lines()
                .any(|l| l.starts_with('+') && l.contains("interval=7s"))
            && said.contains("your text is kept in"),
        "{said}"
    );
    let shown = node.good(&["show"]);
    assert!(
        shown.contains("interval=7s") && shown.contains("timeout=20s"),
        "{shown}"
    );
}

#[test]
fn a_configuration_that_would_stop_everything_says_so_before_it_asks() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some((node, file)) = single_with_resource(root.path()) else {
        return;
    };
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace(" op monitor", " meta target-role=Stopped op monitor"),
    )
    .unwrap();
    // Nobody answers: nothing is done, but it was said.
    let output = node.quorate(&["apply", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    let warned = said.find("THIS STOPS EVERY SERVICE THAT RUNS NOW");
    let asked = said.find("not confirmed");
    assert!(warned.is_some() && warned < asked, "{said}");
    assert!(where_is(&node.status().unwrap(), "d1").is_some());
}
