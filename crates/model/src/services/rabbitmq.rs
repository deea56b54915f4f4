//! RabbitMQ's files and the commands that set a broker up. Facts: RabbitMQ's release notes 4.0 and 4.3.

use super::lines::lines;
use crate::diag::{Code, Diagnostic, Span};

pub(super) fn check(text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for line in lines(text, &['#']) {
        if let Some(at) = line.text.find("ha-mode") {
            let start = line.span.start + at;
            found.push(mirrored(Span::new(start, start + "ha-mode".len())));
        }
        let words = line.words();
        let plain: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        if let Some(position) = plain
            .iter()
            .position(|word| *word == "add_user" || *word == "change_password")
            && let Some((password, span)) = words.get(position + 2)
            && !password.starts_with(['$', '<', '-'])
        {
            found.push(
                Diagnostic::new(Code::PasswordInClear, "a password is written in clear text")
                    .at(
                        *span,
                        "readable here, and in the process list while the command runs",
                    )
                    .help("feed it on standard input: rabbitmqctl add_user NAME < FILE"),
            );
        }
        if plain.first() == Some(&"cluster_partition_handling") && plain.last() == Some(&"ignore") {
            found.push(
                Diagnostic::new(Code::PartitionsIgnored, "partitions are ignored")
                    .at(line.span, "each side goes on alone")
                    .because("Queues on the two sides diverge, and one side's messages are dropped when an operator \
                              restarts it.")
                    .help("cluster_partition_handling = pause_minority (three brokers)"),
            );
        }
    }
    found
}

fn mirrored(span: Span) -> Diagnostic {
    Diagnostic::new(Code::MirroredQueues, "mirrored queues (ha-mode) left RabbitMQ with version 4.0")
        .at(span, "ignored from 4.0 on")
        .because("The policy is accepted and does nothing: after an upgrade each queue lives on one broker only. And two \
                  brokers cannot lose one under the quorum queues that replace them.")
        .help("declare quorum queues (x-queue-type = quorum; for OpenStack: rabbit_quorum_queue = true) on three brokers")
}
