//! The log of a database: how long whole state transfers took, against the time that the cluster gives them.

use super::Surroundings;
use super::lines::lines;
use crate::diag::{Code, Diagnostic, Span};
use crate::times;

/// A measured transfer may become so many times as long before it must not be cut off.
const GROWTH: u64 = 3;

/// A whole transfer that this server received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Transfer {
    took_ms: u64,
    span: Span,
}

/// Judges the longest transfer against the shortest promotion timeout.
pub(super) fn check(text: &str, surroundings: &Surroundings) -> Vec<Diagnostic> {
    let Some(longest) = transfers(text)
        .into_iter()
        .max_by_key(|transfer| transfer.took_ms)
    else {
        return Vec::new();
    };
    let Some(timeout_ms) = surroundings.promote_timeout_ms else {
        return Vec::new();
    };
    let wanted_ms = longest.took_ms * GROWTH;
    if wanted_ms <= timeout_ms {
        return Vec::new();
    }
    let seconds = longest.took_ms.div_ceil(1000);
    let advised = times::spell(wanted_ms.div_ceil(60_000) * 60_000);
    vec![
        Diagnostic::new(
            Code::ShortTimeout,
            format!(
                "a state transfer took {seconds} s, the promotion of galera may take {}",
                times::spell(timeout_ms)
            ),
        )
        .at(longest.span, "it was complete here")
        .because(
            "the agent's promote waits for the transfer: one that is cut off begins anew, and its server gets fenced \
             when it cannot be stopped meanwhile",
        )
        .help(format!("op promote interval=0 timeout={advised}")),
    ]
}

/// From `... SST started on joiner (20261122 05:48:10.583)` to `... SST completed on joiner (...)`.
fn transfers(text: &str) -> Vec<Transfer> {
    let mut begun = None;
    let mut found = Vec::new();
    for line in lines(text, &[]) {
        if line.text.contains(" SST started on joiner (") {
            begun = moment_ms(line.text);
        } else if line.text.contains(" SST completed on joiner (") {
            let both = begun.take().zip(moment_ms(line.text));
            // Over midnight of the last day of a month: not counted.
            if let Some(took_ms) = both.and_then(|(from, to)| to.checked_sub(from)) {
                found.push(Transfer {
                    took_ms,
                    span: line.span,
                });
            }
        }
    }
    found
}

/// Milliseconds since the month began.
fn moment_ms(line: &str) -> Option<u64> {
    let (_, rest) = line.rsplit_once('(')?;
    let (date, time) = rest.split_once(')')?.0.split_once(' ')?;
    let day: u64 = date.get(6..8)?.parse().ok()?;
    let mut parts = time.split(':');
    let mut next = || parts.next();
    let (hour, minute) = (next()?.parse::<u64>().ok()?, next()?.parse::<u64>().ok()?);
    let (second, milli) = next()?.split_once('.')?;
    let (second, milli) = (second.parse::<u64>().ok()?, milli.parse::<u64>().ok()?);
    let fits = day <= 31 && hour < 24 && minute < 60 && second <= 60 && milli < 1000;
    fits.then(|| (((day * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
WSREP_SST: [INFO] rsync SST started on joiner (20261122 05:48:10.583)
WSREP_SST: [INFO] rsync SST completed on joiner (20261122 05:53:14.440)
WSREP_SST: [INFO] rsync SST started on joiner (20261122 06:48:10.583)
WSREP_SST: [INFO] rsync IST completed on joiner (20261122 06:58:10.583)
";

    #[test]
    fn only_whole_transfers_are_measured() {
        let found = transfers(LOG);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].took_ms, 303_857);
    }

    #[test]
    fn a_promotion_must_outlast_the_transfer() {
        let with = |promote_timeout_ms| Surroundings {
            promote_timeout_ms,
            ..Surroundings::default()
        };
        assert!(check(LOG, &with(None)).is_empty());
        assert!(check(LOG, &with(Some(1_000_000))).is_empty());
        let found = check(LOG, &with(Some(600_000)));
        assert!(found[0].message.contains("took 304 s"), "{found:?}");
        assert!(
            found[0]
                .help
                .iter()
                .any(|help| help.contains("timeout=16m") || help.contains("timeout=960s")),
            "{found:?}"
        );
    }
}
