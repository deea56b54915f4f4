//! XML of every schema since 1.0 comes in without loss, older forms with a note, and what goes out is valid.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads files that are not part of the source tree and runs xmllint"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_model::crm;
use quorate_model::diag::{Code, Source, render_all};
use quorate_model::xml::{import, read::read, write};

const SCHEMAS: &str = "/usr/share/pacemaker";

/// One of each form that a newer schema spells differently, and three things that no schema has.
const OLD: &str = r#"<cib validate-with="pacemaker-1.2" epoch="1">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="o1" name="stonith_enabled" value="true"/>
        <nvpair id="o2" name="default-resource-stickiness" value="100"/>
        <nvpair id="o3" name="default_action_timeout" value="30s"/>
        <nvpair id="o4" name="transition_idle_timeout" value="90s"/>
        <nvpair id="o5" name="is_managed_default" value="true"/>
        <nvpair id="o6" name="no-quorum-policy" value="ignore"/>
      </cluster_property_set>
    </crm_config>
    <nodes><node id="1" uname="n1" type="normal"/></nodes>
    <resources>
      <primitive id="f" class="stonith" type="fence_ipmilan">
        <instance_attributes id="f-i">
          <nvpair id="f-1" name="pcmk_off_cmd" value="off"/>
        </instance_attributes>
      </primitive>
      <master id="m">
        <meta_attributes id="m-m">
          <nvpair id="m-1" name="target_role" value="Started"/>
          <nvpair id="m-2" name="master-max" value="1"/>
        </meta_attributes>
        <primitive id="p" class="ocf" provider="heartbeat" type="Dummy" colour="blue">
          <sparkle id="s" size="3"/>
        </primitive>
      </master>
    </resources>
    <constraints>
      <rsc_order id="o" first="m" then="f" score="0"/>
      <rsc_order id="oo" first="m" then="f" score="INFINITY"/>
    </constraints>
    <acls>
      <acl_role id="operator"><write id="w1" xpath="//primitive"/><read id="w2" tag="node" attribute="uname"/></acl_role>
      <acl_user id="joe"><role_ref id="operator"/></acl_user>
      <acl_user id="ann"><read id="r1" ref="p"/></acl_user>
    </acls>
    <unheard-of/>
  </configuration>
</cib>
"#;

#[test]
fn every_older_form_is_respelled_with_a_note() {
    let (cib, notes) = import(OLD).unwrap();
    let source = Source {
        name: "old.xml",
        text: OLD,
    };
    insta::assert_snapshot!("notes", render_all(&notes, source, false));
    insta::assert_snapshot!("upgraded", crm::print(&cib.configuration));
    // A second time nothing is left to upgrade.
    let again = import(&write::cib(&cib).replace("pacemaker-1.2", "pacemaker-3.9")).unwrap();
    assert_eq!(again.1, [], "what is written is today's form");
    assert_eq!(again.0.configuration, cib.configuration);
}

/// The recorded information bases.
fn recorded() -> Option<Vec<PathBuf>> {
    let folders = [
        "/../../../shared/conformance/cases/xml",
        "/../../../../shared/conformance/cases/xml",
    ];
    let folder = folders
        .map(|folder| format!("{}{folder}", env!("CARGO_MANIFEST_DIR")))
        .into_iter()
        .find(|folder| Path::new(folder).is_dir());
    let Some(folder) = folder else {
        println!("SKIPPED: the recorded cases are not beside the workspace");
        return None;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is readable")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    files.sort();
    Some(files)
}

#[test]
fn nothing_recorded_is_lost() {
    let Some(files) = recorded() else { return };
    let mut lost = Vec::new();
    let mut upgraded = 0;
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a case is readable");
        let Ok((_, notes)) = import(&text) else {
            continue;
        };
        upgraded += usize::from(notes.iter().any(|note| note.code == Code::UpgradedForm));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for note in notes.iter().filter(|note| note.code == Code::NotKept) {
            lost.push(format!("{name}: {}", note.message));
        }
    }
    println!(
        "{} information bases, {upgraded} of older forms; lost: {lost:#?}",
        files.len()
    );
    assert!(files.len() > 100);
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Which of the files are valid.
fn valid(schema: &str, files: &[PathBuf]) -> Vec<bool> {
    let output = Command::new("xmllint")
        .args(["--noout", "--relaxng"])
        .arg(Path::new(SCHEMAS).join(schema))
        .args(files)
        .output()
        .expect("xmllint runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    files
        .iter()
        .map(|file| {
            let line = format!("{} validates", file.display());
            said.lines().any(|said| said == line)
        })
        .collect()
}

#[test]
fn what_is_written_is_valid_by_the_schema() {
    let has_schema = Path::new(SCHEMAS).join("pacemaker-3.9.rng").exists();
    if !has_schema || Command::new("xmllint").arg("--version").output().is_err() {
        println!(
            "SKIPPED: no xmllint or no schemas (apt-get install libxml2-utils pacemaker-cli-utils)"
        );
        return;
    }
    let Some(files) = recorded() else { return };
    let folder = std::env::temp_dir().join(format!("quorate-schema-{}", std::process::id()));
    for name in ["before", "after", "through"] {
        std::fs::create_dir_all(folder.join(name)).expect("a temporary folder");
    }
    let (mut before, mut after, mut through) = (Vec::new(), Vec::new(), Vec::new());
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a case is readable");
        let Ok((mut cib, _)) = import(&text) else {
            continue;
        };
        let name = path.file_name().unwrap_or_default();
        let put = |kind: &str, text: &str| {
            let path = folder.join(kind).join(name);
            std::fs::write(&path, text).expect("a temporary file");
            path
        };
        let original = read(&text).expect("it was read a moment ago");
        before.push(put("before", &write::cib(&original)));
        after.push(put("after", &write::cib(&cib)));
        cib.configuration = crm::parse(&crm::print(&cib.configuration))
            .0
            .into_configuration();
        through.push(put("through", &write::cib(&cib)));
    }
    let (was, is, came) = (
        valid("pacemaker-3.9.rng", &before),
        valid("pacemaker-3.9.rng", &after),
        valid("pacemaker-3.9.rng", &through),
    );
    let count = |list: &[bool]| list.iter().filter(|valid| **valid).count();
    println!(
        "valid by pacemaker-3.9.rng: {} as recorded, {} imported, {} through the language, of {}",
        count(&was),
        count(&is),
        count(&came),
        was.len()
    );
    let broken: Vec<_> = (0..was.len())
        .filter(|at| was[*at] && !(is[*at] && came[*at]))
        .map(|at| before[at].file_name().unwrap_or_default())
        .collect();
    if broken.is_empty() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    assert!(
        broken.is_empty(),
        "valid before and not after (in {}): {broken:?}",
        folder.display()
    );
}

#[test]
fn findings_about_xml_point_into_it() {
    let text = r#"<cib validate-with="pacemaker-3.9">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="o1" name="stonith-enabld" value="true"/>
        <nvpair id="o2" name="no-quorum-policy" value="sometimes"/>
      </cluster_property_set>
    </crm_config>
    <nodes><node id="1" uname="a"/><node id="2" uname="b"/></nodes>
    <resources>
      <primitive id="p" class="ocf" provider="heartbeat" type="Dummy" template="gone">
        <operations><op id="p-m" name="monitor" interval="0"/></operations>
      </primitive>
    </resources>
    <constraints>
      <rsc_location id="l" rsc="pp" node="c" score="100"/>
      <rsc_order id="o" kind="Mandatory">
        <resource_set id="o-0"><resource_ref id="p"/><resource_ref id="q"/></resource_set>
      </rsc_order>
    </constraints>
  </configuration>
</cib>
"#;
    let (_, found) = quorate_model::lint::check_xml(text, &Default::default()).unwrap();
    let source = Source {
        name: "cib.xml",
        text,
    };
    insta::assert_snapshot!("findings", render_all(&found, source, false));
}
