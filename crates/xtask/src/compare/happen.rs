//! What happens to a random cluster between two decisions.

use super::dice::Dice;
use super::element::Element;

/// Does something to it; several things, sometimes.
pub fn happen(cib: &mut Element, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        match dice.below(17) {
            0 | 1 => lose_node(cib, dice),
            2..=5 => fail(cib, dice),
            6 | 7 => other_result(cib, dice),
            8 => pending(cib, dice),
            9 | 10 => meta(cib, dice),
            11 => node_attribute(cib, dice),
            12 => drop_resource(cib, dice),
            13 => parameter(cib, dice),
            14 => promotion(cib, dice),
            15 => shutdown(cib, dice),
            _ => quorum(cib, dice),
        }
    }
}

/// Promotion scores and tickets, as agents and operators set them.
pub fn attributes(cib: &mut Element, dice: &mut Dice) {
    for _ in 0..3 {
        promotion(cib, dice);
    }
    if dice.chance(60) {
        let ticket = Element::new("ticket_state")
            .with("id", "T")
            .with("granted", dice.chance(60))
            .with("standby", dice.chance(20));
        let tickets = Element::new("tickets").holding([ticket]);
        cib.child("status").children.push(tickets);
    }
}

fn states(cib: &mut Element) -> Vec<&mut Element> {
    let status = cib.child("status");
    status
        .children
        .iter_mut()
        .filter(|c| c.name == "node_state")
        .collect()
}

fn one_state<'c>(cib: &'c mut Element, dice: &mut Dice) -> Option<&'c mut Element> {
    let mut list = states(cib);
    if list.is_empty() {
        return None;
    }
    let at = dice.below(list.len());
    Some(list.swap_remove(at))
}

fn each<'c>(at: &'c Element, name: &str, out: &mut Vec<&'c Element>) {
    if at.name == name {
        out.push(at);
    }
    at.children.iter().for_each(|c| each(c, name, out));
}

/// Calls `f` with the n-th element of a name.
fn nth_of(at: &mut Element, name: &str, n: &mut usize, f: &mut dyn FnMut(&mut Element)) -> bool {
    if at.name == name {
        if *n == 0 {
            f(at);
            return true;
        }
        *n -= 1;
    }
    at.children.iter_mut().any(|c| nth_of(c, name, n, f))
}

fn random_of(at: &mut Element, name: &str, dice: &mut Dice, f: &mut dyn FnMut(&mut Element)) {
    let mut found = Vec::new();
    each(at, name, &mut found);
    if !found.is_empty() {
        let mut n = dice.below(found.len());
        nth_of(at, name, &mut n, f);
    }
}

fn lose_node(cib: &mut Element, dice: &mut Dice) {
    let orderly = dice.chance(30);
    if let Some(state) = one_state(cib, dice) {
        state.set("in_ccm", "false");
        state.set("crmd", "offline");
        state.set("join", "down");
        if orderly {
            state.set("expected", "down");
        }
    }
}

fn transient(state: &mut Element, name: &str, value: &str) {
    let id = state.get("id").unwrap_or_default().to_owned();
    let set_id = format!("status-{id}");
    let all = state.child("transient_attributes");
    all.set("id", &id);
    let set = all.child("instance_attributes");
    set.set("id", &set_id);
    let pair_id = format!("{set_id}-{}", name.replace(['#', ':'], "."));
    set.children.retain(|p| p.get("name") != Some(name));
    set.children.push(
        Element::new("nvpair")
            .with("id", pair_id)
            .with("name", name)
            .with("value", value),
    );
}

const NOW: i64 = 1_700_000_000;

/// An operation fails and is counted, as the cluster does it.
fn fail(cib: &mut Element, dice: &mut Dice) {
    let (rc, status) = *dice.pick(&[
        (1, 0),
        (7, 0),
        (1, 2),
        (5, 0),
        (9, 0),
        (6, 0),
        (1, 4),
        (3, 0),
        (4, 0),
    ]);
    let operation = *dice.pick(&[
        "monitor", "monitor", "monitor", "start", "stop", "promote", "demote",
    ]);
    let count = *dice.pick(&["1", "1", "2", "INFINITY"]);
    let seconds_ago = *dice.pick(&[10, 30, 100]);
    let n = dice.below(64);
    let Some(state) = one_state(cib, dice) else {
        return;
    };
    let mut failed = None;
    let histories = state.child("lrm").child("lrm_resources");
    if histories.children.is_empty() {
        return;
    }
    let at = n % histories.children.len();
    let history = &mut histories.children[at];
    let id = history.get("id").unwrap_or_default().to_owned();
    let interval = if operation == "monitor" {
        let mut recurring = history.children.iter().filter_map(|o| o.get("interval"));
        recurring.rfind(|i| *i != "0").unwrap_or("0").to_owned()
    } else {
        "0".to_owned()
    };
    let runs = history
        .children
        .iter()
        .any(|o| o.get("rc-code") == Some("0"));
    let operation = if operation == "monitor" && interval == "0" && !runs {
        "start"
    } else {
        operation
    };
    let calls = history
        .children
        .iter()
        .filter_map(|o| o.get("call-id")?.parse::<i64>().ok());
    let call = calls.max().unwrap_or(0) + 1;
    let result = Element::new("lrm_rsc_op")
        .with("id", format!("{id}_last_failure_0"))
        .with("operation_key", format!("{id}_{operation}_{interval}"))
        .with("operation", operation)
        .with("crm-debug-origin", "x")
        .with("crm_feature_set", "3.15.0")
        .with(
            "transition-key",
            format!("1:{call}:0:00000000-0000-0000-0000-000000000000"),
        )
        .with(
            "transition-magic",
            format!("{status}:{rc};1:{call}:0:00000000-0000-0000-0000-000000000000"),
        )
        .with("exit-reason", "")
        .with("call-id", call)
        .with("rc-code", rc)
        .with("op-status", status)
        .with("interval", &interval)
        .with("last-rc-change", NOW - seconds_ago)
        .with("exec-time", 1)
        .with("queue-time", 0)
        .with("op-digest", "f2317cad3d54cec5d7d7aa7d0bf35cf8");
    if operation != "monitor" {
        let mut last = result.clone();
        last.set("id", format!("{id}_last_0"));
        history.children.retain(|o| o.get("id") != last.get("id"));
        history.children.push(last);
    }
    history.children.retain(|o| o.get("id") != result.get("id"));
    history.children.push(result);
    failed.replace((id, operation.to_owned(), interval));
    if let Some((id, operation, interval)) = failed {
        let base = id.split(':').next().unwrap_or(&id).to_owned();
        transient(
            state,
            &format!("fail-count-{base}#{operation}_{interval}"),
            count,
        );
        transient(
            state,
            &format!("last-failure-{base}#{operation}_{interval}"),
            &(NOW - seconds_ago).to_string(),
        );
    }
}

fn other_result(cib: &mut Element, dice: &mut Dice) {
    let rc = *dice.pick(&[0, 0, 1, 2, 5, 7, 7, 8, 9, 190, 191]);
    random_of(cib, "lrm_rsc_op", dice, &mut |op| {
        // Only a monitor finds what it was not sent for.
        let stateful = op.get("id").is_some_and(|id| id.starts_with('c'));
        let promoted = matches!(rc, 8 | 9 | 191);
        if rc < 2 || op.get("operation") == Some("monitor") && (stateful || !promoted) {
            op.set("rc-code", rc);
        }
    });
}

fn pending(cib: &mut Element, dice: &mut Dice) {
    let task = *dice.pick(&["", "", "start", "stop"]);
    random_of(cib, "lrm_rsc_op", dice, &mut |op| {
        op.set("rc-code", 193);
        op.set("op-status", -1);
        op.set("call-id", -1);
        if !task.is_empty() && op.get("interval") == Some("0") {
            op.set("operation", task);
        }
    });
}

fn set_pair(owner: &mut Element, kind: &str, name: &str, value: Option<&str>) {
    let owner_id = owner.get("id").unwrap_or_default().to_owned();
    let at = owner.children.iter().position(|c| c.name == kind);
    let at = at.unwrap_or_else(|| {
        let set = Element::new(kind).with("id", format!("of-{owner_id}-{kind}"));
        owner.children.insert(0, set);
        0
    });
    let set = &mut owner.children[at];
    set.children.retain(|p| p.get("name") != Some(name));
    if let Some(value) = value {
        let plain = name.replace('#', ".");
        let id = format!("{}-{plain}-x", set.get("id").unwrap_or_default());
        set.children.push(
            Element::new("nvpair")
                .with("id", id)
                .with("name", name)
                .with("value", value),
        );
    }
}

fn meta(cib: &mut Element, dice: &mut Dice) {
    let (name, value) = *dice.pick(&[
        ("target-role", Some("Stopped")),
        ("target-role", Some("Stopped")),
        ("target-role", Some("Slave")),
        ("target-role", None),
        ("is-managed", Some("false")),
        ("is-managed", None),
        ("maintenance", Some("true")),
        ("migration-threshold", Some("1")),
        ("clone-max", Some("1")),
        ("priority", Some("7")),
    ]);
    let kind = *dice.pick(&["primitive", "primitive", "clone", "group"]);
    if name == "clone-max" && kind != "clone" {
        return;
    }
    random_of(cib.child("configuration"), kind, dice, &mut |owner| {
        set_pair(owner, "meta_attributes", name, value);
    });
}

fn node_attribute(cib: &mut Element, dice: &mut Dice) {
    let (name, value) = *dice.pick(&[
        ("standby", "on"),
        ("standby", "on"),
        ("maintenance", "true"),
        ("a", "1"),
        ("#health-x", "red"),
    ]);
    random_of(cib.child("configuration"), "node", dice, &mut |node| {
        set_pair(node, "instance_attributes", name, Some(value));
    });
}

fn ids(at: &Element, out: &mut Vec<String>) {
    out.extend(at.get("id").map(str::to_owned));
    at.children.iter().for_each(|c| ids(c, out));
}

fn mentions(at: &Element, names: &[String]) -> bool {
    let fields = ["rsc", "with-rsc", "first", "then"];
    let own = fields
        .iter()
        .filter_map(|f| at.get(f))
        .any(|v| names.iter().any(|n| n == v));
    let reference =
        at.name == "resource_ref" && at.get("id").is_some_and(|v| names.iter().any(|n| n == v));
    own || reference || at.children.iter().any(|c| mentions(c, names))
}

/// Taken out of the configuration while its history stays.
fn drop_resource(cib: &mut Element, dice: &mut Dice) {
    let configuration = cib.child("configuration");
    let resources = configuration.child("resources");
    if resources.children.len() < 2 {
        return;
    }
    let at = dice.below(resources.children.len());
    let gone = resources.children.remove(at);
    let mut names = Vec::new();
    ids(&gone, &mut names);
    let constraints = configuration.child("constraints");
    constraints.children.retain(|c| !mentions(c, &names));
}

fn parameter(cib: &mut Element, dice: &mut Dice) {
    random_of(
        cib.child("configuration"),
        "primitive",
        dice,
        &mut |owner| {
            if owner.get("class") == Some("ocf") && owner.get("type") != Some("remote") {
                set_pair(owner, "instance_attributes", "fake", Some("changed"));
            }
        },
    );
}

fn promotion(cib: &mut Element, dice: &mut Dice) {
    let mut clones = Vec::new();
    each(cib.child("configuration"), "clone", &mut clones);
    let mut names = Vec::new();
    for clone in clones {
        let mut primitives = Vec::new();
        each(clone, "primitive", &mut primitives);
        names.extend(
            primitives
                .iter()
                .filter_map(|p| p.get("id").map(str::to_owned)),
        );
    }
    if names.is_empty() {
        return;
    }
    let name = dice.pick(&names).clone();
    let score = *dice.pick(&["5", "10", "100", "-1", "1000000"]);
    if let Some(state) = one_state(cib, dice) {
        transient(state, &format!("master-{name}"), score);
    }
}

fn shutdown(cib: &mut Element, dice: &mut Dice) {
    if let Some(state) = one_state(cib, dice) {
        transient(state, "shutdown", "1699999990");
    }
}

fn quorum(cib: &mut Element, dice: &mut Dice) {
    let has = if dice.chance(50) { 0 } else { 1 };
    cib.set("have-quorum", has);
}
