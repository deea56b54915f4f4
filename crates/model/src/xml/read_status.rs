//! The status section of a CIB, read without a tree: it may have tens of millions of letters.

use super::pull::{Pull, Step};
use super::read::{ReadError, ReadResult, extra, opt, or_empty, sets};
use super::tree::Tree;
use crate::status::{
    HistoryExtra, NodeState, OperationHistory, ResourceHistory, Status, TicketState,
};
use crate::text::Interner;

/// The reader with what it needs on the way.
pub(crate) struct StatusReader<'p, 'a> {
    pub text: &'a str,
    pub pull: &'p mut Pull<'a>,
    pub shared: Interner,
}

impl<'a> StatusReader<'_, 'a> {
    /// Reads the `status` element that began last.
    pub(crate) fn status(&mut self) -> ReadResult<Status> {
        let mut out = Status::default();
        while let Step::Start(name) = self.pull.step()? {
            match name {
                "node_state" => {
                    let state = self.node_state()?;
                    out.nodes.push(state);
                }
                "tickets" => {
                    let tree = Tree::read(name, self.pull, self.text)?;
                    out.tickets
                        .extend(tree.root().children().map(|el| TicketState {
                            id: or_empty(el, "id"),
                            granted: opt(el, "granted"),
                            last_granted: opt(el, "last-granted"),
                            standby: opt(el, "standby"),
                            extra: extra(el, &["id", "granted", "last-granted", "standby"]),
                        }));
                }
                _ => self.pull.skip()?,
            }
        }
        Ok(out)
    }

    fn node_state(&mut self) -> ReadResult<NodeState> {
        let mut out = NodeState::default();
        for attribute in self.pull.take_attributes() {
            let value = attribute.value.into_owned();
            match attribute.name {
                "id" => out.id = value,
                "uname" => out.uname = value,
                "in_ccm" => out.in_cluster = Some(value),
                "crmd" => out.crmd = Some(value),
                "join" => out.join = Some(value),
                "expected" => out.expected = Some(value),
                name => out.extra.push((name.to_owned(), value)),
            }
        }
        if out.id.is_empty() {
            out.id.clone_from(&out.uname);
        }
        while let Step::Start(name) = self.pull.step()? {
            match name {
                "transient_attributes" => {
                    let tree = Tree::read(name, self.pull, self.text)?;
                    out.transient.extend(sets(tree.root())?);
                }
                "lrm" => {
                    out.has_history = true;
                    self.histories(&mut out.resources)?;
                }
                _ => self.pull.skip()?,
            }
        }
        Ok(out)
    }

    /// `lrm`.
    fn histories(&mut self, out: &mut Vec<ResourceHistory>) -> ReadResult<()> {
        while let Step::Start(list) = self.pull.step()? {
            if list != "lrm_resources" {
                self.pull.skip()?;
                continue;
            }
            while let Step::Start(name) = self.pull.step()? {
                if name == "lrm_resource" {
                    let history = self.resource_history()?;
                    out.push(history);
                } else {
                    self.pull.skip()?;
                }
            }
        }
        Ok(())
    }

    fn resource_history(&mut self) -> ReadResult<ResourceHistory> {
        self.need("lrm_resource")?;
        let mut out = ResourceHistory::default();
        for attribute in self.pull.take_attributes() {
            let value = self.shared.text(&attribute.value);
            match attribute.name {
                "id" => out.id = value,
                "class" => out.class = value,
                "provider" => out.provider = Some(value),
                "type" => out.agent = value,
                "container" => out.container = Some(value),
                name => out.extra.push((self.shared.text(name), value)),
            }
        }
        // Most have one result or two.
        let mut first = None;
        while let Step::Start(name) = self.pull.step()? {
            if name != "lrm_rsc_op" {
                self.pull.skip()?;
                continue;
            }
            let operation = self.operation()?;
            if out.operations.is_empty() && first.is_none() {
                first = Some(operation);
                continue;
            }
            out.operations.extend(first.take());
            out.operations.push(operation);
        }
        if let Some(one) = first {
            out.operations.reserve_exact(1);
            out.operations.push(one);
        }
        Ok(out)
    }

    fn operation(&mut self) -> ReadResult<OperationHistory> {
        self.need("lrm_rsc_op")?;
        let mut out = OperationHistory {
            rc: -1,
            status: -1,
            ..OperationHistory::default()
        };
        let line = (self.pull.start, "lrm_rsc_op");
        let mut wrong = None;
        let mut left: HistoryExtra = Vec::new();
        for attribute in self.pull.take_attributes() {
            let value = &*attribute.value;
            let name = attribute.name;
            let slot = match name {
                "call-id" => {
                    number(name, value, &mut out.call_id, &mut wrong);
                    continue;
                }
                "rc-code" => {
                    number(name, value, &mut out.rc, &mut wrong);
                    continue;
                }
                "op-status" => {
                    number(name, value, &mut out.status, &mut wrong);
                    continue;
                }
                "interval" => {
                    number(name, value, &mut out.interval_ms, &mut wrong);
                    continue;
                }
                "last-rc-change" => {
                    let mut at = 0;
                    number(name, value, &mut at, &mut wrong);
                    out.last_rc_change = Some(at);
                    continue;
                }
                "id" => {
                    out.id = self.shared.text(value);
                    continue;
                }
                "operation" => {
                    out.operation = self.shared.text(value);
                    continue;
                }
                "operation_key" => &mut out.key,
                "transition-key" => &mut out.transition_key,
                "transition-magic" => &mut out.transition_magic,
                "exit-reason" => &mut out.exit_reason,
                "on_node" => &mut out.on_node,
                "op-digest" => &mut out.digest,
                "op-restart-digest" => &mut out.restart_digest,
                "op-secure-digest" => &mut out.secure_digest,
                "op-force-restart" => &mut out.force_restart,
                "op-secure-params" => &mut out.secure_params,
                name => {
                    if left.capacity() == 0 {
                        left.reserve_exact(4);
                    }
                    left.push((self.shared.text(name), self.shared.text(value)));
                    continue;
                }
            };
            *slot = Some(self.shared.text(value));
        }
        out.extra = left;
        self.pull_end()?;
        match wrong {
            None => Ok(out),
            Some((attribute, value)) => Err(ReadError::NotANumber {
                line: self.pull.line_of(line.0),
                element: line.1.to_owned(),
                attribute,
                value,
            }),
        }
    }

    /// Passes over what an element contains.
    fn pull_end(&mut self) -> ReadResult<()> {
        while let Step::Start(_) = self.pull.step()? {
            self.pull.skip()?;
        }
        Ok(())
    }

    /// An element without an id is none.
    fn need(&self, element: &str) -> ReadResult<()> {
        match self.pull.get("id") {
            Some(_) => Ok(()),
            None => Err(ReadError::Missing {
                line: self.pull.line_of(self.pull.start),
                element: element.to_owned(),
                attribute: "id",
            }),
        }
    }
}

/// The first attribute that is no number, and what stands there instead.
type Wrong = Option<(&'static str, String)>;

const NUMBERS: [&str; 5] = [
    "call-id",
    "rc-code",
    "op-status",
    "interval",
    "last-rc-change",
];

fn number<T: std::str::FromStr>(name: &str, value: &str, out: &mut T, wrong: &mut Wrong) {
    match value.trim().parse() {
        Ok(number) => *out = number,
        Err(_) => {
            let name = NUMBERS.into_iter().find(|n| *n == name).unwrap_or("");
            wrong.get_or_insert((name, value.to_owned()));
        }
    }
}
