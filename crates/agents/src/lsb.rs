//! Init scripts (`lsb:`).

use quorate_core::event::AgentCall;

use crate::execute::{Invocation, OUTPUT_BYTES_MAX};
use crate::surroundings::Surroundings;

/// The exact call: `monitor` is `status`, everything else goes by its own name.
#[must_use]
pub fn invocation(surroundings: &Surroundings, call: &AgentCall) -> Invocation {
    let action = match call.action.as_str() {
        "monitor" => "status",
        other => other,
    };
    Invocation {
        program: surroundings
            .init_scripts
            .join(&call.agent)
            .to_string_lossy()
            .into_owned(),
        arguments: vec![action.to_owned()],
        // With the redirection to systemd that Debian's init-functions do, `lsb:` would manage a unit.
        environment: [
            surroundings.base_environment(),
            vec![("SYSTEMCTL_SKIP_REDIRECT".into(), "1".into())],
        ]
        .concat(),
        input: String::new(),
        timeout_ms: call.timeout_ms,
        output_bytes_max: OUTPUT_BYTES_MAX as u64,
        ..Invocation::default()
    }
}

/// The OCF code for an init script's exit code, and what the LSB calls it.
#[must_use]
pub fn to_ocf(action: &str, code: i32) -> (i32, &'static str) {
    if matches!(action, "monitor" | "status") {
        return match code {
            0 => (0, "running"),
            1 => (7, "dead, and its pid file exists"),
            2 => (7, "dead, and its lock file exists"),
            3 => (7, "not running"),
            4 => (4, "status unknown: insufficient privileges"),
            150 => (5, "not installed"),
            _ => (1, "status unknown"),
        };
    }
    match code {
        0 => (0, "ok"),
        2 => (2, "invalid argument"),
        3 => (3, "not implemented"),
        4 => (4, "insufficient privileges"),
        5 => (5, "not installed"),
        6 => (6, "not configured"),
        7 => (7, "not running"),
        _ => (1, "failed"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_dead_service_with_a_pid_file_is_not_running() {
        assert_eq!(super::to_ocf("monitor", 1).0, 7);
        assert_eq!(super::to_ocf("stop", 1).0, 1);
    }
}
