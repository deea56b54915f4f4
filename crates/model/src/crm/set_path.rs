//! `set ID.NAME VALUE` and `set ID.OPERATION[.INTERVAL].NAME VALUE`, as crmsh has them.

use super::{Body, Document, EditError, print::pair_text};
use crate::cib::{Operation, SetKind};
use crate::diag::{Fix, Span, apply_fixes, nearest};
use crate::options;
use crate::times;

impl Document {
    /// The text with the attribute at the path set to a value: a parameter, a meta attribute or a utilization of a
    /// resource, or an attribute of one of its operations.
    ///
    /// # Errors
    /// Nothing has that name, or the path fits several operations.
    pub fn set_path(&self, path: &str, value: &str) -> Result<String, EditError> {
        let bad = |text: String| EditError::Statement(text);
        let parts: Vec<&str> = path.split('.').collect();
        // Names of resources may have dots: the longest that exists is meant.
        let known = (1..parts.len()).rev().find(|count| {
            let id = parts[..*count].join(".");
            self.statements().iter().any(|statement| statement.id == id)
        });
        let Some(count) = known else {
            let name = parts.first().copied().unwrap_or(path);
            let ids = self
                .statements()
                .iter()
                .map(|statement| statement.id.as_str());
            return Err(EditError::Unknown {
                name: name.to_owned(),
                near: nearest(name, ids).map(str::to_owned),
            });
        };
        let id = parts[..count].join(".");
        match &parts[count..] {
            [name] => self.set_pair(&id, self.kind_of(&id, name), name, Some(value)),
            [operation, name] => self.set_operation(&id, operation, None, name, value),
            [operation, interval, name] => {
                self.set_operation(&id, operation, Some(interval), name, value)
            }
            _ => Err(bad(format!(
                "`{path}` is no path: RESOURCE.NAME, RESOURCE.OPERATION.NAME or RESOURCE.OPERATION.INTERVAL.NAME"
            ))),
        }
    }

    /// In which kind of set an attribute stands, or would.
    fn kind_of(&self, id: &str, name: &str) -> SetKind {
        let statement = self
            .statements()
            .iter()
            .find(|statement| statement.id == id);
        let sets = match statement.map(|statement| &statement.body) {
            Some(Body::Primitive(primitive) | Body::Template(primitive)) => &primitive.sets,
            Some(Body::Group(group, _)) => &group.sets,
            Some(Body::Clone(clone, _)) => &clone.sets,
            Some(Body::Bundle(bundle, _)) => &bundle.sets,
            Some(Body::Node(node)) => &node.sets,
            _ => return SetKind::Instance,
        };
        let present = sets
            .iter()
            .find(|set| set.pairs.iter().any(|pair| pair.name == name))
            .map(|set| set.kind);
        present.unwrap_or(if options::find(options::META, name).is_some() {
            SetKind::Meta
        } else {
            SetKind::Instance
        })
    }

    fn set_operation(
        &self,
        id: &str,
        name: &str,
        interval: Option<&str>,
        attribute: &str,
        value: &str,
    ) -> Result<String, EditError> {
        let bad = |text: String| Err(EditError::Statement(text));
        let statement = self
            .statements()
            .iter()
            .find(|statement| statement.id == id);
        let Some(Body::Primitive(primitive) | Body::Template(primitive)) =
            statement.map(|statement| &statement.body)
        else {
            return bad(format!("`{id}` has no operations"));
        };
        let time = |text: Option<&str>| text.and_then(times::milliseconds).unwrap_or(0);
        let fits = |operation: &&Operation| {
            operation.name == name
                && interval
                    .is_none_or(|asked| time(operation.interval.as_deref()) == time(Some(asked)))
        };
        let found: Vec<&Operation> = primitive.operations.list.iter().filter(fits).collect();
        let operation = match found.as_slice() {
            [] => {
                let asked = interval
                    .map(|interval| format!(" with interval {interval}"))
                    .unwrap_or_default();
                return bad(format!("`{id}` has no operation `{name}`{asked}"));
            }
            [one] => one,
            many => {
                let intervals: Vec<&str> =
                    many.iter().filter_map(|o| o.interval.as_deref()).collect();
                return bad(format!(
                    "`{id}` has several operations `{name}`: say which, {id}.{name}.INTERVAL.{attribute} with one of {}",
                    intervals.join(", ")
                ));
            }
        };
        let pair = pair_text(attribute, Some(value));
        let parameter = operation
            .sets
            .iter()
            .flat_map(|set| &set.pairs)
            .find(|pair| pair.name == attribute)
            .and_then(|pair| self.spans().get(pair.id.as_deref()?, ""));
        let fix = if let Some(span) = parameter {
            Fix {
                span,
                replacement: pair,
            }
        } else if let Some(span) = self.spans().get(&operation.id, attribute) {
            // The value's place alone: the name stays as it is written.
            Fix {
                span,
                replacement: pair[attribute.len() + 1..].to_owned(),
            }
        } else if let Some(head) = self.spans().get(&operation.id, "") {
            Fix {
                span: Span::new(head.end, head.end),
                replacement: format!(" {pair}"),
            }
        } else {
            return bad(format!("`{id}` is written as XML: use `edit`"));
        };
        let finding = crate::diag::Diagnostic::new(crate::diag::Code::Syntax, "")
            .fix(fix.span, fix.replacement);
        Ok(apply_fixes(self.print(), &[finding]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const TEXT: &str = "\
# a comment
primitive vip IPaddr2 \\
\tparams ip=10.0.0.1 \\
\tmeta target-role=Started \\
\top monitor interval=10s timeout=\"20s\" \\
\top monitor interval=20s role=Promoted OCF_CHECK_LEVEL=10 \\
\top start timeout=20s # not for ever
";

    fn set(path: &str, value: &str) -> Result<String, String> {
        parse(TEXT)
            .0
            .set_path(path, value)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_path_changes_its_own_word_only() {
        for (path, value, before, after) in [
            ("vip.ip", "10.0.0.2", "ip=10.0.0.1", "ip=10.0.0.2"),
            (
                "vip.target-role",
                "Stopped",
                "target-role=Started",
                "target-role=Stopped",
            ),
            (
                "vip.start.timeout",
                "1min",
                "op start timeout=20s",
                "op start timeout=1min",
            ),
            (
                "vip.monitor.10s.timeout",
                "30s",
                "timeout=\"20s\"",
                "timeout=30s",
            ),
            (
                "vip.monitor.10.on-fail",
                "block",
                "op monitor interval=10s",
                "op monitor on-fail=block interval=10s",
            ),
            (
                "vip.monitor.20s.interval",
                "25s",
                "interval=20s",
                "interval=25s",
            ),
            (
                "vip.monitor.20s.OCF_CHECK_LEVEL",
                "20",
                "OCF_CHECK_LEVEL=10",
                "OCF_CHECK_LEVEL=20",
            ),
        ] {
            let text = set(path, value).unwrap();
            assert_eq!(text, TEXT.replacen(before, after, 1), "{path}");
        }
        assert!(
            set("vip.priority", "3")
                .unwrap()
                .contains("meta target-role=Started priority=3")
        );
    }

    #[test]
    fn what_is_not_there_or_not_one_is_refused() {
        for (path, words) in [
            ("vipp.ip", "did you mean `vip`"),
            ("vip.stop.timeout", "no operation `stop`"),
            ("vip.monitor.timeout", "10s, 20s"),
            ("vip.monitor.15s.timeout", "interval 15s"),
        ] {
            let error = set(path, "1").unwrap_err();
            assert!(error.contains(words), "{path}: {error}");
        }
    }
}
