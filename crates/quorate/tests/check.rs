//! `quorate check` as an operator runs it, on the appendix of the document that the project began with. That text is
//! not part of the source tree: the tests look for it beside the workspace and say so when it is absent.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The appendix' statements, in a file of their own.
fn appendix(root: &Path) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["../../../shared/seeds", "../../../../shared/seeds"];
    let entries = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(here.join(folder)).ok());
    for entry in entries.flatten().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if text.contains("Appendix - Sample Pacemaker Configuration File") {
            let file = root.join("wiki.crm");
            let start = text.find("\nnode SERVER1\n")? + 1;
            std::fs::write(&file, &text[start..]).unwrap();
            return Some(file);
        }
    }
    eprintln!("SKIPPED: the seed documents are not beside the workspace");
    None
}

fn check(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("check")
        .args(words)
        .env("QUORATE_SOCKET", "/nonexistent/socket")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_defect_of_the_appendix_has_its_line_caret_reason_and_help() {
    let root = tempfile::tempdir().unwrap();
    let Some(file) = appendix(root.path()) else {
        return;
    };
    let name = file.to_str().unwrap();
    let output = check(&[name]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output);
    // Severity, message, place in the file and what the carets mark.
    for (message, place, marked) in [
        (
            "error[undefined-member]: `glance-ip-p` is not defined anywhere",
            "30:42",
            11,
        ),
        (
            "warning[node-case]: the node `server1` is written `SERVER1` elsewhere",
            "32:54",
            7,
        ),
        (
            "warning[node-case]: the node `server2` is written `SERVER2` elsewhere",
            "33:54",
            7,
        ),
        (
            "error[placeholder]: `MYSQL_VIP` is a placeholder, not a value",
            "28:20",
            9,
        ),
        (
            "error[placeholder]: `MYSQL_INTERFACE` is a placeholder, not a value",
            "28:36",
            15,
        ),
        (
            "error[placeholder]: `SERVER1_IPMI_IP` is a placeholder, not a value",
            "18:43",
            15,
        ),
        (
            "error[placeholder]: `ADD_PASSWORD_HERE` is a placeholder, not a value",
            "18:82",
            17,
        ),
        (
            "warning[placeholder]: the node's name `SERVER1` looks like a placeholder",
            "1:6",
            7,
        ),
        (
            "warning[password-in-clear]: `passwd` of `ipmilan-server1-p` is a password in clear text",
            "18:74",
            26,
        ),
        (
            "warning[no-monitor]: `db-lvm-p` has no recurring monitor",
            "8:11",
            8,
        ),
    ] {
        let at = format!("--> {name}:{place}\n");
        let finding = said
            .split("\n\n")
            .find(|finding| finding.starts_with(message) && finding.contains(&at))
            .unwrap_or_else(|| panic!("{message} at {place}: {said}"));
        assert!(finding.contains(&"^".repeat(marked)), "{finding}");
        assert!(!finding.contains(&"^".repeat(marked + 1)), "{finding}");
        let is_explained = finding.contains("= note: ") || finding.contains("^ ");
        assert!(is_explained && finding.contains("= help: "), "{finding}");
    }
    for message in [
        "warning[fencing-undecided]: nothing says whether failed nodes are fenced (stonith-enabled)",
        "warning[quorum-undecided]: two nodes, and nothing decides what the survivor of a lost contact may do",
    ] {
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn force_says_what_it_leaves_out_and_lets_it_pass() {
    let root = tempfile::tempdir().unwrap();
    let Some(file) = appendix(root.path()) else {
        return;
    };
    let output = check(&[file.to_str().unwrap(), "--force", "--no-host"]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output);
    let start = said.find("--force would load the rest").unwrap();
    assert!(
        said[start..].contains("`glance-ip-p` is not defined anywhere"),
        "{said}"
    );
}

#[test]
fn fix_proposes_a_diff_that_patch_takes_and_writes_it_when_told() {
    let root = tempfile::tempdir().unwrap();
    let Some(file) = appendix(root.path()) else {
        return;
    };
    let name = file.to_str().unwrap();
    let before = std::fs::read_to_string(&file).unwrap();
    let json: Value =
        serde_json::from_slice(&check(&[name, "--fix", "--no-host", "--json"]).stdout).unwrap();
    let (diff, fixed) = (
        json["files"][0]["diff"].as_str().unwrap(),
        json["files"][0]["fixed"].as_str().unwrap(),
    );
    assert!(
        diff.contains(
            "\n-group lvm-fs-ip-mysql-g db-lvm-p db-fs-p glance-ip-p nova-ip-p db-mysql-p \\\n"
        ),
        "{diff}"
    );
    assert!(
        diff.contains("\n+group lvm-fs-ip-mysql-g db-lvm-p db-fs-p nova-ip-p db-mysql-p \\\n"),
        "{diff}"
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        before,
        "proposing changes nothing"
    );

    let said = text(&check(&[name, "--fix", "--no-host", "--yes"]));
    assert!(said.contains("is corrected"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), fixed);
    // What only the site knows is left.
    let json: Value =
        serde_json::from_slice(&check(&[name, "--no-host", "--json"]).stdout).unwrap();
    let left = json["files"][0]["diagnostics"].as_array().unwrap();
    let errors = left.iter().filter(|d| d["severity"] == "error");
    assert!(
        errors.clone().count() > 0 && errors.clone().all(|d| d["code"] == "placeholder"),
        "{left:#?}"
    );
}

/// Facts of other hosts come from files where no cluster runs yet.
#[test]
fn the_numbers_of_accounts_are_compared_between_hosts() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("db.crm");
    let configuration = "node alpha\nnode beta\n\
        primitive db ocf:heartbeat:mysql params datadir=/data op monitor interval=20s timeout=30s\n\
        property stonith-enabled=false\n";
    std::fs::write(&file, configuration).unwrap();
    let facts = |node: &str, uid: u32| {
        let path = root.path().join(node);
        let value =
            serde_json::json!({"node": node, "accounts": {"mysql": {"uid": uid, "gid": 112}}});
        std::fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    };
    let (alpha, beta) = (facts("alpha", 107), facts("beta", 110));
    let name = file.to_str().unwrap();
    let said = text(&check(&[
        name,
        "--no-host",
        "--facts",
        &alpha,
        "--facts",
        &beta,
    ]));
    assert!(
        said.contains("error[uid-differs]: the account `mysql` has different numbers: alpha 107:112, beta 110:112"),
        "{said}"
    );
    // What this host would tell can be read back by the same option.
    let own = check(&[name, "--host-facts"]);
    let path = root.path().join("own");
    std::fs::write(&path, &own.stdout).unwrap();
    let output = check(&[name, "--no-host", "--facts", path.to_str().unwrap()]);
    assert_ne!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What is shipped for Galera stands as it is: no error, no warning, in any of its files.
#[test]
fn the_galera_example_is_clean() {
    let example = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples/galera")
            .join(name)
    };
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["check", "--no-host"])
        .args(
            [
                "galera.crm",
                "74-galera-tuning.cnf",
                "75-galera-custom.cnf",
                "haproxy.cfg",
            ]
            .map(example),
        )
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for word in ["error[", "warning["] {
        assert!(!said.contains(word), "{said}");
    }
}
