//! Every option that an installed agent gives a tool is known to it: `docs/agent-tools.md` has them all.

use super::options::{self, Opt};
use super::{attrd_updater, attribute, cibadmin, crm_failcount, crm_mon, crm_node, crm_resource};

/// What a tool says to an option that it does not know; nothing if it knows it.
fn refusal(tool: &str, option: &str) -> Option<String> {
    let known: &'static [Opt] = match tool {
        "attrd_updater" => attrd_updater::OPTIONS,
        // Both add what an agent's environment says, and hand the rest on.
        "crm_attribute" | "crm_master" | "crm_standby" | "ocf_promotion_score" => {
            attribute::OPTIONS
        }
        "cibadmin" => cibadmin::OPTIONS,
        "crm_failcount" => crm_failcount::OPTIONS,
        "crm_node" => crm_node::OPTIONS,
        "crm_resource" => crm_resource::OPTIONS,
        "crm_mon" | "crm_mon_no_validation" => return crm_mon::refusal(option),
        "crm_simulate" => return crate::commands::simulate::refusal(option),
        other => return Some(format!("there is no {other}")),
    };
    // With and without a value: whether it takes one is not asked here.
    let words = [option.to_owned(), "x".to_owned()];
    options::parse(&words, known)
        .err()
        .filter(|said| said.contains("unknown option"))
}

#[test]
fn every_option_of_an_installed_agent_is_known() {
    let page = include_str!("../../../../docs/agent-tools.md");
    let mut count = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (agent, tool, options) = (cells[1], cells[2], cells[3]);
        for option in options
            .split_whitespace()
            .map(|word| word.trim_matches('`'))
        {
            count += 1;
            if let Some(said) = refusal(tool, option) {
                panic!("{agent} calls {tool} {option}: {said}");
            }
        }
        if options.is_empty() && !tool.contains('_') {
            assert!(super::by_name(tool).is_some(), "{agent} calls {tool}");
        }
    }
    assert!(count > 100, "the page has options: {count}");
}

#[test]
fn an_option_that_is_not_known_fails() {
    for tool in [
        "attrd_updater",
        "crm_attribute",
        "cibadmin",
        "crm_failcount",
        "crm_node",
        "crm_resource",
        "crm_mon",
        "crm_simulate",
    ] {
        for option in ["--no-such-option", "-\u{e9}"] {
            assert!(refusal(tool, option).is_some(), "{tool} {option}");
        }
    }
}
