//! Fail counts, from node attributes.

use super::resources::base_name;
use crate::score::{INF, Score, add, parse};
use crate::world::{NodeIx, OnFail, RscIx, World};
use quorate_model::cib::Operation;
use quorate_model::status::OperationHistory;

/// Whether expiry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Ignored,
    Honoured,
}

/// A fail count and the time of the last failure in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailCount {
    pub count: Score,
    pub last: i64,
}

impl World<'_> {
    /// Fail count of a resource on a node; with [`Expiry::Honoured`] failures that timed out are forgotten.
    pub fn fail_count(
        &self,
        n: NodeIx,
        r: RscIx,
        expiry: Expiry,
        op: Option<&OperationHistory>,
    ) -> FailCount {
        let mut found = self.raw_fail_count(n, r);
        let rsc = &self.rscs[r];
        if found.count > 0
            && expiry == Expiry::Honoured
            && rsc.failure_timeout_ms > 0
            && !self.blocked_failure(n, r, op)
            && self.now > found.last + rsc.failure_timeout_ms / 1000
        {
            found.count = 0;
        }
        found
    }

    /// As [`World::fail_count`], with everything that runs inside the container.
    pub fn fail_count_with_fillers(&self, n: NodeIx, r: RscIx, expiry: Expiry) -> FailCount {
        let mut total = self.fail_count(n, r, expiry, None);
        for &f in &self.rscs[r].fillers {
            // What runs inside a guest fails on the guest.
            let inner = self.fail_count(n, f, expiry, None);
            total.count = add(total.count, inner.count);
            total.last = total.last.max(inner.last);
        }
        total
    }

    fn raw_fail_count(&self, n: NodeIx, r: RscIx) -> FailCount {
        let rsc = &self.rscs[r];
        let mut out = FailCount { count: 0, last: 0 };
        let history = self.history_name(r);
        let base = if rsc.unique {
            history
        } else {
            base_name(history)
        };
        let attrs = &self.nodes[n].attrs;
        let matching = |key: &str, prefix: &str| -> bool {
            let Some(rest) = key.strip_prefix(prefix).and_then(|k| k.strip_prefix(base)) else {
                return false;
            };
            let rest = if rsc.unique {
                rest
            } else if let Some(number) = rest.strip_prefix(':') {
                number.trim_start_matches(|c: char| c.is_ascii_digit())
            } else {
                rest
            };
            rest.is_empty() || (rest.starts_with('#') && rest.contains('_'))
        };
        let range = |prefix: &str| prefix.to_owned();
        let from = range("fail-count-");
        for (key, value) in attrs
            .range(from..)
            .take_while(|(k, _)| k.starts_with("fail-count-"))
        {
            if matching(key, "fail-count-") {
                out.count = add(out.count, parse(value).clamp(0, INF));
            }
        }
        let from = range("last-failure-");
        for (key, value) in attrs
            .range(from..)
            .take_while(|(k, _)| k.starts_with("last-failure-"))
        {
            if matching(key, "last-failure-") {
                out.last = out.last.max(value.parse().unwrap_or(0));
            }
        }
        out
    }

    /// A failure whose operation says `on-fail=block` does not time out.
    pub(super) fn blocked_failure(
        &self,
        n: NodeIx,
        r: RscIx,
        op: Option<&OperationHistory>,
    ) -> bool {
        if !self.is_primitive(r) {
            return false;
        }
        let cfg = self.cfg(r);
        for conf in &cfg.ops {
            let blocks = crate::opconfig::attribute(conf, "on-fail")
                .is_some_and(|v| v.eq_ignore_ascii_case("block"));
            if !blocks {
                continue;
            }
            let interval = crate::opconfig::interval_of(conf);
            let failed =
                |o: &OperationHistory| failure_of(base_name(&self.rscs[r].id), conf, interval, o);
            let blocked = match op {
                Some(op) if op.rc != super::result::expected_rc(op) => failed(op),
                // A success does not say which failure the count is from: any that is remembered counts.
                _ => self.history_at(r, n).is_some_and(|h| {
                    self.cib.status.nodes[h.node_state].resources[h.resource]
                        .operations
                        .iter()
                        .any(failed)
                }),
            };
            if blocked {
                return true;
            }
        }
        false
    }

    /// The resource that must leave the node, where too many failures happened there.
    pub fn threshold_reached(&self, r: RscIx, n: NodeIx) -> Option<RscIx> {
        let rsc = &self.rscs[r];
        if rsc.migration_threshold == 0 || rsc.ignore_failure {
            return None;
        }
        let count = self.fail_count_with_fillers(n, r, Expiry::Honoured).count;
        if count <= 0 {
            return None;
        }
        let who = if rsc.unique { r } else { self.uber(r) };
        (rsc.migration_threshold - count <= 0).then_some(who)
    }

    /// The policy that a role-independent failure sets off when several were found.
    pub(super) fn heavier(a: OnFail, b: OnFail) -> OnFail {
        a.max(b)
    }
}

/// Whether a result is a failure of a configured operation: kept as the last failure, or the operation's own
/// result that is not the expected one.
fn failure_of(name: &str, conf: &Operation, interval_ms: i64, op: &OperationHistory) -> bool {
    if !op.operation.eq_ignore_ascii_case(&conf.name)
        || i64::try_from(op.interval_ms).unwrap_or(0) != interval_ms
    {
        return false;
    }
    op.id == format!("{name}_last_failure_0")
        || op.id == format!("{name}_{}_{interval_ms}", conf.name)
            && op.rc != super::result::expected_rc(op)
}
