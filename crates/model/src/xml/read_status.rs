//! The status section of a CIB.

use crate::status::{NodeState, OperationHistory, ResourceHistory, Status, TicketState};
use crate::xml::read::{
    El, ReadError, ReadResult, elements, extra, line, need, opt, or_empty, sets,
};

pub(crate) fn status(el: El<'_>) -> ReadResult<Status> {
    let mut out = Status::default();
    for child in elements(el) {
        match child.tag_name().name() {
            "node_state" => out.nodes.push(node_state(child)?),
            "tickets" => out.tickets.extend(elements(child).map(ticket)),
            _ => {}
        }
    }
    Ok(out)
}

fn ticket(el: El<'_>) -> TicketState {
    TicketState {
        id: or_empty(el, "id"),
        granted: opt(el, "granted"),
        last_granted: opt(el, "last-granted"),
        standby: opt(el, "standby"),
        extra: extra(el, &["id", "granted", "last-granted", "standby"]),
    }
}

fn node_state(el: El<'_>) -> ReadResult<NodeState> {
    let mut out = NodeState {
        id: opt(el, "id").unwrap_or_else(|| or_empty(el, "uname")),
        uname: or_empty(el, "uname"),
        in_cluster: opt(el, "in_ccm"),
        crmd: opt(el, "crmd"),
        join: opt(el, "join"),
        expected: opt(el, "expected"),
        extra: extra(el, &["id", "uname", "in_ccm", "crmd", "join", "expected"]),
        ..NodeState::default()
    };
    for child in elements(el) {
        match child.tag_name().name() {
            "transient_attributes" => out.transient.extend(sets(child)?),
            "lrm" => {
                out.has_history = true;
                for list in elements(child).filter(|l| l.has_tag_name("lrm_resources")) {
                    for resource in elements(list).filter(|r| r.has_tag_name("lrm_resource")) {
                        out.resources.push(resource_history(resource)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

fn resource_history(el: El<'_>) -> ReadResult<ResourceHistory> {
    let mut operations = Vec::new();
    for op in elements(el).filter(|o| o.has_tag_name("lrm_rsc_op")) {
        operations.push(operation(op)?);
    }
    Ok(ResourceHistory {
        id: need(el, "id")?,
        class: or_empty(el, "class"),
        provider: opt(el, "provider"),
        agent: or_empty(el, "type"),
        container: opt(el, "container"),
        extra: extra(el, &["id", "class", "provider", "type", "container"]),
        operations,
    })
}

fn number<T: std::str::FromStr>(el: El<'_>, attribute: &'static str, absent: T) -> ReadResult<T> {
    match el.attribute(attribute) {
        None => Ok(absent),
        Some(value) => value.trim().parse().map_err(|_| ReadError::NotANumber {
            line: line(el),
            element: el.tag_name().name().to_owned(),
            attribute,
            value: value.to_owned(),
        }),
    }
}

const KNOWN: [&str; 17] = [
    "id",
    "operation_key",
    "operation",
    "call-id",
    "rc-code",
    "op-status",
    "interval",
    "transition-key",
    "transition-magic",
    "exit-reason",
    "last-rc-change",
    "on_node",
    "op-digest",
    "op-restart-digest",
    "op-secure-digest",
    "op-force-restart",
    "op-secure-params",
];

fn operation(el: El<'_>) -> ReadResult<OperationHistory> {
    let mut last_rc_change: Option<i64> = None;
    if el.has_attribute("last-rc-change") {
        last_rc_change = Some(number(el, "last-rc-change", 0)?);
    }
    Ok(OperationHistory {
        id: need(el, "id")?,
        key: opt(el, "operation_key"),
        operation: or_empty(el, "operation"),
        call_id: number(el, "call-id", 0)?,
        rc: number(el, "rc-code", -1)?,
        status: number(el, "op-status", -1)?,
        interval_ms: number(el, "interval", 0)?,
        transition_key: opt(el, "transition-key"),
        transition_magic: opt(el, "transition-magic"),
        exit_reason: opt(el, "exit-reason"),
        last_rc_change,
        on_node: opt(el, "on_node"),
        digest: opt(el, "op-digest"),
        restart_digest: opt(el, "op-restart-digest"),
        secure_digest: opt(el, "op-secure-digest"),
        force_restart: opt(el, "op-force-restart"),
        secure_params: opt(el, "op-secure-params"),
        extra: extra(el, &KNOWN),
    })
}
