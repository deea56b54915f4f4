//! The parameters that tell the cluster how to use a fence device (`pcmk_*`), as Pacemaker understands them.

use crate::metadata::Description;

/// A device's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    parameters: &'a [(String, String)],
}

/// How it is found out whether a device can fence a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostCheck {
    /// `pcmk_host_list` and `pcmk_host_map` name them.
    StaticList,
    /// The agent's `list` names them.
    DynamicList,
    /// The agent's `status` of the node tells.
    Status,
    /// Any node.
    None,
}

impl<'a> Device<'a> {
    /// Of these parameters.
    #[must_use]
    pub fn new(parameters: &'a [(String, String)]) -> Self {
        Self { parameters }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn of_action(&self, action: &str, what: &str) -> Option<&'a str> {
        self.value(&format!("pcmk_{action}_{what}"))
    }

    /// What the agent shall be told in place of this action (`pcmk_reboot_action=off`).
    #[must_use]
    pub fn action(&self, action: &str) -> String {
        self.of_action(action, "action")
            .unwrap_or(action)
            .to_owned()
    }

    /// The configuration gives this action a name of its own.
    #[must_use]
    pub fn has_own_action(&self, action: &str) -> bool {
        self.of_action(action, "action").is_some()
    }

    /// Milliseconds for this action (`pcmk_off_timeout`), or the given ones.
    #[must_use]
    pub fn timeout_ms(&self, action: &str, otherwise: u64) -> u64 {
        let action = if action == "power-status" {
            "status"
        } else {
            action
        };
        self.of_action(action, "timeout")
            .and_then(milliseconds)
            .unwrap_or(otherwise)
    }

    /// How often this action is tried (`pcmk_off_retries`). Once if nothing is given: whoever coordinates a
    /// fencing counts the attempts over all devices.
    #[must_use]
    pub fn attempts(&self, action: &str) -> u32 {
        let given = self
            .of_action(action, "retries")
            .and_then(|text| text.trim().parse().ok());
        given.unwrap_or(1).clamp(1, 100)
    }

    /// Milliseconds to wait before this target is fenced, at least and at most (`pcmk_delay_base`, which may be
    /// given by node, and `pcmk_delay_max`).
    #[must_use]
    pub fn delay_ms(&self, target: &str) -> (u64, u64) {
        let base = self.value("pcmk_delay_base").map_or(0, |text| {
            if text.contains([':', '=']) {
                let found = pairs(text).find(|(node, _)| node.eq_ignore_ascii_case(target));
                found
                    .and_then(|(_, delay)| milliseconds(&delay))
                    .unwrap_or(0)
            } else {
                milliseconds(text).unwrap_or(0)
            }
        });
        let max = self
            .value("pcmk_delay_max")
            .and_then(milliseconds)
            .unwrap_or(0);
        (base, max.max(base))
    }

    /// What the device calls this node (`pcmk_host_map`).
    #[must_use]
    pub fn plug(&self, target: &str) -> String {
        let map = self.value("pcmk_host_map").unwrap_or_default();
        let found = pairs(map).find(|(node, _)| node.eq_ignore_ascii_case(target));
        found.map_or_else(|| target.to_owned(), |(_, plug)| plug)
    }

    /// The agent's parameters that name the node (`pcmk_host_argument`; else `plug` or `port`, as it has one).
    /// Both where nothing is known of the agent: one that does not know a parameter says so and goes on.
    #[must_use]
    pub fn plug_arguments(&self, agent: Option<&Description>) -> Vec<String> {
        match (self.value("pcmk_host_argument"), agent) {
            (Some("none"), _) => Vec::new(),
            (Some(name), _) => vec![name.to_owned()],
            (None, Some(agent)) => ["plug", "port"]
                .into_iter()
                .find(|name| agent.parameter(name).is_some())
                .map(str::to_owned)
                .into_iter()
                .collect(),
            (None, None) => vec!["plug".to_owned(), "port".to_owned()],
        }
    }

    /// How it is found out which nodes it can fence.
    #[must_use]
    pub fn host_check(&self, agent: Option<&Description>) -> HostCheck {
        match self.value("pcmk_host_check") {
            Some("static-list") => HostCheck::StaticList,
            Some("dynamic-list") => HostCheck::DynamicList,
            Some("status") => HostCheck::Status,
            Some("none") => HostCheck::None,
            _ if self.value("pcmk_host_list").is_some()
                || self.value("pcmk_host_map").is_some() =>
            {
                HostCheck::StaticList
            }
            _ if agent.is_none_or(|agent| agent.has_action("list")) => HostCheck::DynamicList,
            _ if agent.is_some_and(|agent| agent.has_action("status")) => HostCheck::Status,
            _ => HostCheck::None,
        }
    }

    /// The nodes that `pcmk_host_list` and `pcmk_host_map` name.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let listed = self.value("pcmk_host_list").unwrap_or_default();
        let mut hosts: Vec<String> = listed
            .split([' ', '\t', ',', ';'])
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect();
        for (host, _) in pairs(self.value("pcmk_host_map").unwrap_or_default()) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }
}

/// The nodes in the output of a device's `list` (or `gethosts`).
#[must_use]
pub fn hosts_of_list(output: &str) -> Vec<String> {
    output
        .lines()
        // `plug,alias` and `plug,alias,state` of fence-agents; bare names of plugins.
        .flat_map(|line| line.split(',').take(2).flat_map(str::split_whitespace))
        .map(|host| host.trim_matches('\'').to_owned())
        .filter(|host| !host.is_empty())
        .collect()
}

/// `a:1;b:2 c=3`, a backslash taking the next character as it is.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut found = Vec::new();
    let (mut name, mut value, mut in_value) = (String::new(), String::new(), false);
    let mut chars = text.chars();
    loop {
        let char = chars.next();
        match char {
            None | Some(';' | ' ' | '\t' | '\n') => {
                if in_value && !name.is_empty() {
                    found.push((std::mem::take(&mut name), std::mem::take(&mut value)));
                }
                name.clear();
                value.clear();
                in_value = false;
                if char.is_none() {
                    break;
                }
            }
            Some(':' | '=') if !in_value => in_value = true,
            Some(other) => {
                let taken = if other == '\\' {
                    chars.next()
                } else {
                    Some(other)
                };
                if in_value {
                    value.extend(taken);
                } else {
                    name.extend(taken);
                }
            }
        }
    }
    found.into_iter()
}

/// A time as configured: `20`, `20s`, `500ms`, `2min`, `1h`, `PT30S`.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "s" | "sec" => 1000,
        "ms" | "msec" => 1,
        "us" | "usec" => return Some(number / 1000),
        "m" | "min" => 60_000,
        "h" | "hr" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn map_and_list() {
        let given = parameters(&[
            ("pcmk_host_map", "n1:1;n2:2,3 n3=x\\ y"),
            ("pcmk_host_list", "n1 n4"),
        ]);
        let device = Device::new(&given);
        assert_eq!(device.plug("n2"), "2,3");
        assert_eq!(device.plug("N1"), "1");
        assert_eq!(device.plug("n3"), "x y");
        assert_eq!(device.plug("n9"), "n9");
        assert_eq!(device.hosts(), ["n1", "n4", "n2", "n3"]);
        assert_eq!(device.host_check(None), HostCheck::StaticList);
    }

    #[test]
    fn delays() {
        let given = parameters(&[("pcmk_delay_base", "n1:5;n2:10s"), ("pcmk_delay_max", "7")]);
        let device = Device::new(&given);
        assert_eq!(device.delay_ms("n1"), (5000, 7000));
        assert_eq!(device.delay_ms("n2"), (10_000, 10_000));
        assert_eq!(device.delay_ms("n3"), (0, 7000));
    }

    #[test]
    fn actions_timeouts_attempts() {
        let given = parameters(&[
            ("pcmk_reboot_action", "off"),
            ("pcmk_off_timeout", "90s"),
            ("pcmk_status_retries", "5"),
        ]);
        let device = Device::new(&given);
        assert_eq!(device.action("reboot"), "off");
        assert_eq!(device.timeout_ms("off", 1), 90_000);
        assert_eq!(device.timeout_ms("on", 1), 1);
        assert_eq!((device.attempts("status"), device.attempts("off")), (5, 1));
    }

    #[test]
    fn hosts_that_agents_list() {
        assert_eq!(hosts_of_list("1,n1\n2,n2\n"), ["1", "n1", "2", "n2"]);
        assert_eq!(hosts_of_list("n1 n2\nn3\n"), ["n1", "n2", "n3"]);
    }

    proptest! {
        #[test]
        fn a_map_of_any_text_is_survived(text in ".{0,200}", target in "[a-z0-9]{1,8}") {
            let given = parameters(&[("pcmk_host_map", &text), ("pcmk_delay_base", &text)]);
            let device = Device::new(&given);
            let _ = (device.plug(&target), device.hosts(), device.delay_ms(&target));
        }
    }
}
