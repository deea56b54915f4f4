//! The alert hook: a program of the administrator, run with the event in its environment.

use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Semaphore;

/// Alerts that run at once; more are dropped, with a message.
const AT_ONCE_MAX: usize = 8;
const LIMIT: Duration = Duration::from_secs(30);

/// Runs alert programs.
#[derive(Debug, Clone)]
pub struct Alerts {
    program: Option<String>,
    slots: Arc<Semaphore>,
}

impl Alerts {
    /// With the program of `node.toml`.
    #[must_use]
    pub fn new(program: Option<String>) -> Self {
        Self {
            program,
            slots: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }

    /// Runs them: the one of `node.toml`, or the one that the configuration names for this alert. Must be called
    /// inside a tokio runtime.
    pub fn raise(&self, variables: &[(String, String)]) {
        let configured = variables.iter().find(|(name, _)| name == "CRM_alert_path");
        let program = configured
            .map(|(_, path)| path.clone())
            .filter(|p| !p.is_empty());
        for program in program.into_iter().chain(self.program.clone()) {
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                tracing::warn!("An alert was dropped: {AT_ONCE_MAX} alert programs run already.");
                return;
            };
            let variables = variables.to_vec();
            tokio::spawn(async move {
                let mut command = Command::new(&program);
                command
                    .envs(variables)
                    .stdin(std::process::Stdio::null())
                    .kill_on_drop(true);
                match tokio::time::timeout(LIMIT, command.status()).await {
                    Ok(Ok(status)) if status.success() => {}
                    Ok(Ok(status)) => {
                        tracing::warn!("The alert program {program} failed: {status}.");
                    }
                    Ok(Err(e)) => tracing::warn!("The alert program {program} cannot be run: {e}."),
                    Err(_) => {
                        tracing::warn!(
                            "The alert program {program} was killed: it took over {} s.",
                            LIMIT.as_secs()
                        );
                    }
                }
                drop(slot);
            });
        }
    }
}
