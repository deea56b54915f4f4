//! Message brokers and caches: how many, where, under which name.

use super::Linter;
use super::view::pairs;
use crate::cib::SetKind;
use crate::diag::{Code, Diagnostic};

/// Agents that distributions install under another provider than their authors: name, author's, distribution's.
const ELSEWHERE: &[(&str, &str, &str)] = &[("rabbitmq-server-ha", "rabbitmq", "heartbeat")];

impl Linter<'_> {
    pub(super) fn brokers(&mut self) {
        let mut found = Vec::new();
        for view in self.views.iter().filter(|view| !view.is_template) {
            let id = &view.primitive.id;
            let place = self.spans.near(id, "class");
            let agent = view.agent_type();
            let own = view.primitive.provider.as_deref().unwrap_or("");
            if let Some((name, _, installed)) = ELSEWHERE
                .iter()
                .find(|(name, author, _)| *name == agent && *author == own)
            {
                found.push(
                    Diagnostic::new(
                        Code::AgentElsewhere,
                        format!("Debian installs `ocf:{own}:{name}` as `ocf:{installed}:{name}`"),
                    )
                    .at(place, "both names are understood here")
                    .because(
                        "the agent is part of resource-agents since RabbitMQ no longer ships it",
                    )
                    .help(format!(
                        "`ocf:{installed}:{name}` also works under other cluster managers"
                    ))
                    .about(id.clone()),
                );
            }
            if matches!(agent, "rabbitmq-server-ha" | "rabbitmq-cluster") {
                let limit = view.clone.and_then(|clone| {
                    pairs(&clone.sets, SetKind::Meta)
                        .find(|pair| pair.name == "clone-max")
                        .and_then(|pair| pair.value.as_deref()?.parse::<usize>().ok())
                });
                let nodes = self.configuration.nodes.len();
                let brokers = match (limit, nodes) {
                    (Some(limit), 0) => limit,
                    (Some(limit), nodes) => limit.min(nodes),
                    (None, nodes) => nodes,
                };
                if brokers == 2 {
                    found.push(
                        Diagnostic::new(Code::TwoBrokers, format!("`{id}` runs two brokers"))
                            .at(place, "two brokers cannot lose one")
                            .because(
                                "With one of two gone no majority is left: pause_minority stops the other, and the quorum \
                                 queues that replace mirrored ones (ha-mode left RabbitMQ with 4.0) stop as well.",
                            )
                            .help("a third broker, on the tiebreaker's host if need be, and clone-max=3")
                            .about(id.clone()),
                    );
                }
            }
        }
        self.found.append(&mut found);
    }
}
