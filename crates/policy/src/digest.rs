//! Digests of parameters: whether an operation ran with what is configured now.

use crate::world::{NodeIx, RscIx, World};
use md5::{Digest, Md5};
use quorate_model::status::OperationHistory;
use std::collections::BTreeMap;

/// What comparing digests says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// The history has no digest.
    Unknown,
    /// Parameters changed.
    Changed,
    /// Parameters changed that an agent cannot reload.
    Restart,
    /// Parameters changed that an agent can reload.
    Reload,
}

/// Digest of parameters in Pacemaker's form: an element with sorted attributes, a blank before, a line end after.
#[must_use]
pub fn of(params: &BTreeMap<String, String>) -> String {
    let mut text = String::from(" <parameters");
    for (name, value) in params {
        text.push(' ');
        text.push_str(name);
        text.push_str("=\"");
        escape_into(value, &mut text);
        text.push('"');
    }
    text.push_str("/>\n");
    let sum = Md5::digest(text.as_bytes());
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    sum.iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}

/// Escapes what may not stand in an attribute.
pub fn escape_into(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
}

impl World<'_> {
    /// Parameters that enter the digest of an operation.
    pub fn digest_params(
        &self,
        r: RscIx,
        task: &str,
        interval_ms: i64,
        n: NodeIx,
    ) -> BTreeMap<String, String> {
        let mut params = self.params(r, Some(n));
        let task = if task == "reload" {
            "reload-agent"
        } else {
            task
        };
        for (name, value) in self.op_params(r, task, interval_ms, Some(n)) {
            params.insert(name, value);
        }
        self.host_address(r, Some(n), &mut params);
        if interval_ms > 0
            && let Some(timeout) = self.op_timeout(r, task, interval_ms)
        {
            params.insert("CRM_meta_timeout".to_owned(), timeout);
        }
        params
    }

    /// Where passwords and the like are not known here, the rest decides.
    fn only_private_changed(
        &self,
        r: RscIx,
        op: &OperationHistory,
        params: &BTreeMap<String, String>,
    ) -> bool {
        let Some(secure) = op.secure_digest.as_deref() else {
            return false;
        };
        let private: Vec<&str> = op
            .secure_params
            .as_deref()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let device = self.rscs[r].fence_device;
        let public = |k: &str| !(private.contains(&k) || device && k.starts_with("pcmk_"));
        let mut rest = params.clone();
        rest.retain(|k, _| public(k));
        if of(&rest) == secure {
            return true;
        }
        rest.remove("CRM_meta_timeout");
        of(&rest) == secure
    }

    /// Compares what a result was made with to what is configured; where only private parameters differ
    /// (they may be blanked out here), nothing changed.
    pub fn digest_check(&self, r: RscIx, op: &OperationHistory, n: NodeIx) -> Verdict {
        let params = self.params_of_result(r, op, n);
        if restart_digest_differs(op, &params) {
            return Verdict::Restart;
        }
        if self.only_private_changed(r, op, &params) {
            return Verdict::Same;
        }
        self.compare_all(r, op, n, &params)
    }

    /// The same with every parameter, private ones too.
    pub fn full_digest_check(&self, r: RscIx, op: &OperationHistory, n: NodeIx) -> Verdict {
        let params = self.params_of_result(r, op, n);
        if restart_digest_differs(op, &params) {
            return Verdict::Restart;
        }
        self.compare_all(r, op, n, &params)
    }

    /// What the configuration says now of the parameters that a result was made with.
    fn params_of_result(
        &self,
        r: RscIx,
        op: &OperationHistory,
        n: NodeIx,
    ) -> BTreeMap<String, String> {
        let interval_ms = i64::try_from(op.interval_ms).unwrap_or(0);
        // A probe is judged by what is configured for starting, a rule of thumb that agents agree with.
        self.digest_params(r, &op.operation, interval_ms, n)
    }

    fn compare_all(
        &self,
        r: RscIx,
        op: &OperationHistory,
        n: NodeIx,
        params: &BTreeMap<String, String>,
    ) -> Verdict {
        let interval_ms = i64::try_from(op.interval_ms).unwrap_or(0);
        let Some(all) = op.digest.as_deref() else {
            return Verdict::Unknown;
        };
        if is_of(params, all) {
            return Verdict::Same;
        }
        if interval_ms == 0
            && !self
                .op_params(r, &op.operation, interval_ms, Some(n))
                .is_empty()
        {
            return Verdict::Restart;
        }
        if op.restart_digest.is_some() {
            Verdict::Reload
        } else {
            Verdict::Changed
        }
    }
}

/// Digest of no parameters at all, the most frequent one.
const OF_NOTHING: &str = "f2317cad3d54cec5d7d7aa7d0bf35cf8";

/// Whether parameters have that digest.
fn is_of(params: &BTreeMap<String, String>, digest: &str) -> bool {
    if params.is_empty() {
        return digest == OF_NOTHING;
    }
    of(params) == digest
}

/// Whether parameters that need a restart differ.
fn restart_digest_differs(op: &OperationHistory, params: &BTreeMap<String, String>) -> bool {
    let Some(restart) = op.restart_digest.as_deref() else {
        return false;
    };
    let mut subset = params.clone();
    subset.remove("CRM_meta_timeout");
    if let Some(names) = op.force_restart.as_deref() {
        let names: Vec<&str> = names.split_whitespace().collect();
        subset.retain(|k, _| names.contains(&k.as_str()));
    }
    !is_of(&subset, restart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_one_that_histories_show() {
        assert_eq!(of(&BTreeMap::new()), OF_NOTHING);
    }
}
