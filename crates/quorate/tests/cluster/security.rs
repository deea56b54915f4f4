//! Who may do what from elsewhere, what they see, and a new authority while everything runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::daemons::{Node, alone, is_passing, join_by, three};

/// A verb of an operator elsewhere: the local socket does not exist for him.
fn remote(node: &Node, credentials: &str, arguments: &[&str]) -> (bool, String) {
    let file = node.root.join(credentials);
    let mut all = vec![
        "--remote",
        node.addresses[0].as_str(),
        "--credentials",
        file.to_str().unwrap(),
        "--socket",
        "/nonexistent",
    ];
    all.extend(arguments);
    let mut tries = 0;
    loop {
        let output = node.quorate(&all);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        // A status that wants attention is an answer, too.
        let is_answered = matches!(output.status.code(), Some(0 | 6));
        tries += 1;
        if is_answered || !is_passing(&said) || tries > 50 {
            return (is_answered, said);
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn add_client(node: &Node, name: &str, role: &str) -> String {
    let file = format!("{name}.pem");
    let path = node.root.join(&file);
    let _ = fs::remove_file(&path);
    let out = path.to_str().unwrap();
    node.good(&["client", "add", name, "--role", role, "--out", out]);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    file
}

const CONFIGURATION: &str = "\
# the fence device of the first server
primitive f stonith:fence_dummy params password=tiger op monitor interval=60s
property stonith-enabled=false
";

#[test]
fn remote_operators_do_what_their_role_says_and_see_no_secret() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let nodes = three(root.path());
    let node = &nodes[0];
    let file = root.path().join("c.crm");
    fs::write(&file, CONFIGURATION).unwrap();
    let diff = node.good(&[
        "apply",
        file.to_str().unwrap(),
        "--yes",
        "--no-host",
        "--force",
        "--no-wait",
    ]);
    assert!(!diff.contains("tiger"), "{diff}");
    assert!(!node.good(&["show"]).contains("tiger"));
    assert!(!node.good(&["show", "--xml", "f"]).contains("tiger"));
    assert!(node.good(&["show", "--secrets"]).contains("password=tiger"));

    let (read, operate, configure) = (
        add_client(node, "ann", "read"),
        add_client(node, "bob", "operate"),
        add_client(node, "eve", "configure"),
    );
    let (good, said) = remote(node, &read, &["status"]);
    assert!(good && said.contains("n2"), "{said}");
    let (good, said) = remote(node, &read, &["show", "--secrets"]);
    assert!(
        good && !said.contains("tiger") && said.contains("****"),
        "{said}"
    );
    let (good, said) = remote(node, &read, &["cleanup"]);
    assert!(
        !good && said.contains("`read`") && said.contains("`operate`"),
        "{said}"
    );
    let (good, said) = remote(node, &operate, &["cleanup"]);
    assert!(good, "{said}");
    let (good, said) = remote(node, &operate, &["property", "batch-limit=5", "--yes"]);
    assert!(!good && said.contains("`configure`"), "{said}");
    assert!(node.good(&["show", "--secrets"]).contains("password=tiger"));
    let (good, said) = remote(node, &configure, &["property", "batch-limit=5", "--yes"]);
    assert!(good, "{said}");
    assert!(node.good(&["show", "--secrets"]).contains("password=tiger"));
    // The ledger has the certificate's name, whatever the client says of itself.
    let history = node.good(&["history", "-n", "50"]);
    assert!(history.contains("eve (remote)"), "{history}");
    assert!(!history.contains("tiger") && !node.log().contains("tiger"));

    node.good(&["client", "revoke", "bob", "--yes"]);
    let (good, said) = remote(&nodes[1], &format!("../n1/{operate}"), &["status"]);
    assert!(!good && said.contains("revoked"), "{said}");

    // A node's certificate is no operator's, and an operator's is no node's.
    let own = format!(
        "{}{}{}",
        fs::read_to_string(node.root.join("var/node.pem")).unwrap(),
        fs::read_to_string(node.root.join("var/node.key")).unwrap(),
        fs::read_to_string(node.root.join("var/ca.pem")).unwrap()
    );
    fs::write(node.root.join("node-as-client.pem"), own).unwrap();
    let (good, said) = remote(node, "node-as-client.pem", &["status"]);
    assert!(!good, "{said}");
}

#[test]
fn the_authority_is_rotated_while_everything_runs() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let mut nodes = three(root.path());
    let before = fs::read_to_string(nodes[0].root.join("var/ca.pem")).unwrap();
    let old = add_client(&nodes[0], "ann", "read");
    nodes[0].sees_online(3);

    // One node down: it says so, and nothing is lost.
    nodes[2].kill();
    let said = nodes[0].bad(&["certificate", "rotate", "--yes"]);
    assert!(
        said.contains("n3") && said.contains("nothing is lost"),
        "{said}"
    );
    nodes[2].start();
    nodes[0].sees_online(3);
    let said = nodes[0].good(&["certificate", "rotate", "--yes"]);
    assert!(said.contains("replaced"), "{said}");
    let after = fs::read_to_string(nodes[0].root.join("var/ca.pem")).unwrap();
    assert_ne!(before, after);
    for node in &nodes {
        assert_eq!(
            fs::read_to_string(node.root.join("var/ca.pem")).unwrap(),
            after
        );
        let mode = fs::metadata(node.root.join("var/ca.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!node.root.join("var/ca.next.key").exists());
        let certificate = node.good(&["certificate", "--json"]);
        assert!(certificate.contains("\"authorities\":1"), "{certificate}");
    }
    // Nobody was turned away, and everybody is there.
    for node in &nodes {
        assert!(
            !node.log().contains("another cluster's authority"),
            "{}",
            node.log()
        );
        node.sees_online(3);
    }

    // Every connection is made anew with the new certificates.
    for node in &mut nodes {
        node.kill();
        node.start();
        node.sees_online(3);
    }
    // What the old authority signed opens nothing; what the new one signs does, and lets nodes in.
    let (good, said) = remote(&nodes[0], &old, &["status"]);
    assert!(!good, "{said}");
    let new = add_client(&nodes[1], "ann", "read");
    let (good, said) = remote(&nodes[1], &new, &["status"]);
    assert!(good, "{said}");
    let mut fourth = Node::new(root.path(), "n4");
    join_by(&nodes[2], &fourth);
    fourth.start();
    fourth.sees_online(4);
}
