//! A majority is lost for good; a removed machine comes back.

use serde_json::Value;

use crate::daemons::{alone, join_by, state_of, three_with_resource, where_is};

#[test]
fn one_of_three_goes_on_after_two_are_lost_for_good() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some((mut nodes, home)) = three_with_resource(root.path()) else {
        return;
    };
    let refused = nodes[0].bad(&["recover", "--lost", "n2", "--yes-they-are-off-for-good"]);
    assert!(refused.contains("has a quorum"), "{refused}");

    // The service's node is among the lost.
    let kept = nodes.iter().position(|n| n.name != home).unwrap();
    let survivor = nodes.remove(kept);
    for node in &mut nodes {
        node.kill();
    }
    let [first, second] = [nodes[0].name.clone(), nodes[1].name.clone()];
    survivor.until("no quorum, and nobody", |s| {
        let is_silent = |n: &Value| n["name"] == *survivor.name || n["is_online"] == false;
        s["has_quorum"] == false && s["nodes"].as_array().unwrap().iter().all(is_silent)
    });
    let vouch = "--yes-they-are-off-for-good";
    let refused = survivor.bad(&["recover", "--lost", &first, vouch]);
    assert!(
        refused.contains(&format!("{second} may be alive"))
            && refused.contains("quorate recover --lost"),
        "{refused}"
    );
    let both = ["recover", "--lost", &first, "--lost", &second];
    // `--yes` is not enough, and what is at stake is said.
    let asked = survivor.quorate(&[&both[..], &["--yes"]].concat());
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(7), "{said}");
    assert!(
        said.contains("What could be lost") && said.contains("d1 (on ") && said.contains("entry "),
        "{said}"
    );
    assert!(
        survivor
            .bad(&["recover", "--lost", "n9", vouch])
            .contains("no member")
    );
    let said = survivor.good(&[&both[..], &[vouch]].concat());
    assert!(said.contains("count as off"), "{said}");
    let alone_now = survivor.until("the service here, alone", |s| {
        s["has_quorum"] == true && where_is(s, "d1").as_deref() == Some(&survivor.name)
    });
    assert_eq!(
        alone_now["nodes"].as_array().unwrap().len(),
        1,
        "{alone_now}"
    );
    let history = survivor.good(&["history"]);
    assert!(history.contains("the word of"), "{history}");

    // One machine is replaced; the other comes back with its old disk and is refused.
    let (mut replaced, mut returned) = (nodes.remove(0), nodes.remove(0));
    replaced.good(&["leave", "--wipe", "--yes"]);
    join_by(&survivor, &replaced);
    replaced.start();
    survivor.sees_online(2);
    returned.start();
    let refused = returned.until("its refusal", |s| {
        s["blocked"].to_string().contains("refuse") || s["blocked"].to_string().contains("lineage")
    });
    assert_eq!(refused["has_quorum"], false, "{refused}");
    assert_eq!(
        state_of(&survivor.status().unwrap(), &returned.name),
        "absent"
    );
}
