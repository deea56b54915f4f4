//! systemd units over D-Bus: jobs awaited to their end, restarts left to the cluster.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_lite::StreamExt as _;
use quorate_core::event::{AgentCall, AgentResult, Outcome};
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Proxy};

use crate::outcome;
use crate::processes::{self, ProcessId};

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// How often a unit between two states is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Name of the drop-in that keeps systemd from restarting what the cluster manages.
const DROP_IN: &str = "50-quorate.conf";

/// systemd did not do it.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// No connection.
    #[error(
        "systemd cannot be reached over D-Bus: {0} (`systemd:` resources need systemd as process 1 and the dbus package)"
    )]
    Unreachable(String),
    /// There is no such unit, or none that may be started.
    #[error("the unit {unit} {why}")]
    Unusable {
        /// Its name.
        unit: String,
        /// In words.
        why: String,
    },
    /// The call failed.
    #[error("systemd refused {what}: {why}")]
    Refused {
        /// Which call.
        what: String,
        /// Its answer.
        why: String,
    },
}

/// Talks to the systemd of this machine.
pub struct Systemd {
    address: Option<String>,
    drop_ins: PathBuf,
    connection: tokio::sync::Mutex<Option<Connection>>,
}

/// The state of a unit as systemd tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// `active`, `inactive`, `failed`, `activating` ...
    pub active: String,
    /// `running`, `dead`, `auto-restart` ...
    pub sub: String,
    /// `loaded`, `not-found`, `masked` ...
    pub load: String,
    /// Its main process.
    pub main_process: Option<ProcessId>,
}

/// A unit's full name: `.service` unless it has a suffix of its own.
#[must_use]
pub fn unit_name(agent: &str) -> String {
    let suffixes = [
        ".service",
        ".socket",
        ".device",
        ".mount",
        ".automount",
        ".swap",
        ".target",
        ".path",
        ".timer",
        ".slice",
        ".scope",
    ];
    if suffixes.iter().any(|suffix| agent.ends_with(suffix)) {
        agent.to_owned()
    } else {
        format!("{agent}.service")
    }
}

fn refused(what: &str) -> impl Fn(zbus::Error) -> UnitError {
    move |error| UnitError::Refused {
        what: what.to_owned(),
        why: error.to_string(),
    }
}

impl Systemd {
    /// Over the system bus, or the bus at this address.
    #[must_use]
    pub fn new(address: Option<String>, drop_ins: PathBuf) -> Self {
        Self {
            address,
            drop_ins,
            connection: tokio::sync::Mutex::default(),
        }
    }

    async fn connection(&self) -> Result<Connection, UnitError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept
            && !connection.is_closed()
        {
            return Ok(connection.clone());
        }
        let unreachable = |error: zbus::Error| UnitError::Unreachable(error.to_string());
        let builder = match &self.address {
            Some(address) => zbus::connection::Builder::address(address.as_str()),
            None => zbus::connection::Builder::system(),
        };
        let connection = builder
            .map_err(unreachable)?
            .build()
            .await
            .map_err(unreachable)?;
        *kept = Some(connection.clone());
        Ok(connection)
    }

    async fn manager(&self) -> Result<Proxy<'static>, UnitError> {
        let connection = self.connection().await?;
        Proxy::new(&connection, SERVICE, MANAGER_PATH, MANAGER)
            .await
            .map_err(refused("a connection"))
    }

    async fn unit(&self, unit: &str, interface: &'static str) -> Result<Proxy<'static>, UnitError> {
        let path: OwnedObjectPath = self
            .manager()
            .await?
            .call("LoadUnit", &(unit,))
            .await
            .map_err(refused("to load the unit"))?;
        let connection = self.connection().await?;
        zbus::proxy::Builder::new(&connection)
            .destination(SERVICE)
            .and_then(|builder| builder.path(path))
            .and_then(|builder| builder.interface(interface))
            .map_err(refused("a unit's path"))?
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(refused("a unit's properties"))
    }

    /// The state of a unit.
    pub async fn state(&self, unit: &str) -> Result<UnitState, UnitError> {
        let proxy = self.unit(unit, UNIT).await?;
        let get = async |name: &str| {
            proxy
                .get_property::<String>(name)
                .await
                .map_err(refused("a unit's properties"))
        };
        let main_process = match unit.ends_with(".service") {
            true => self.main_process(unit).await,
            false => None,
        };
        Ok(UnitState {
            active: get("ActiveState").await?,
            sub: get("SubState").await?,
            load: get("LoadState").await?,
            main_process,
        })
    }

    async fn main_process(&self, unit: &str) -> Option<ProcessId> {
        let proxy = self
            .unit(unit, "org.freedesktop.systemd1.Service")
            .await
            .ok()?;
        let pid: u32 = proxy.get_property("MainPID").await.ok()?;
        processes::stat(i32::try_from(pid).ok().filter(|pid| *pid > 0)?).map(|stat| stat.id)
    }

    /// Whether init starts the unit by itself: `enabled`, `disabled`, `static`, `masked` ...
    pub async fn enablement(&self, unit: &str) -> Result<String, UnitError> {
        let manager = self.manager().await?;
        manager
            .call("GetUnitFileState", &(unit,))
            .await
            .map_err(refused("the state of a unit's file"))
    }

    /// Starts or stops, and awaits the job's end. The job's result (`done`, `failed`, `timeout` ...).
    async fn job(&self, method: &str, unit: &str) -> Result<String, UnitError> {
        let manager = self.manager().await?;
        // Without a subscription there are no signals.
        manager
            .call::<_, _, ()>("Subscribe", &())
            .await
            .or_else(|error| match error {
                zbus::Error::MethodError(..) => Ok(()),
                other => Err(refused("a subscription")(other)),
            })?;
        let mut removed = manager
            .receive_signal("JobRemoved")
            .await
            .map_err(refused("a subscription"))?;
        let job: OwnedObjectPath = manager
            .call(method, &(unit, "replace"))
            .await
            .map_err(refused(method))?;
        while let Some(signal) = removed.next().await {
            let body = signal.body();
            let Ok((_, path, _, result)) =
                body.deserialize::<(u32, OwnedObjectPath, String, String)>()
            else {
                continue;
            };
            if path == job {
                return Ok(result);
            }
        }
        Err(UnitError::Unreachable(
            "the connection was closed while a job ran".into(),
        ))
    }

    /// Writes or removes the drop-in, and has systemd read it.
    async fn own(&self, unit: &str, drop_in: Option<String>) -> Result<(), UnitError> {
        let directory = self.drop_ins.join(format!("{unit}.d"));
        let changed =
            write_drop_in(&directory, drop_in.as_deref()).map_err(|error| UnitError::Refused {
                what: format!("the drop-in {}", directory.join(DROP_IN).display()),
                why: error.to_string(),
            })?;
        if changed {
            let manager = self.manager().await?;
            manager
                .call::<_, _, ()>("Reload", &())
                .await
                .map_err(refused("to reload its units"))?;
        }
        Ok(())
    }

    async fn start(&self, unit: &str, call: &AgentCall) -> Result<AgentResult, UnitError> {
        let state = self.state(unit).await?;
        usable(unit, &state)?;
        self.own(unit, Some(drop_in_text(&call.resource, unit)))
            .await?;
        let result = self.job("StartUnit", unit).await?;
        let state = self.settled(unit).await?;
        Ok(match state.active.as_str() {
            "active" => outcome::exited(0, "", 0),
            other => outcome::exited(
                1,
                format!(
                    "systemd could not start {unit}: the job ended as `{result}`, the unit is {other} ({}); \
                         `journalctl -u {unit}` tells more",
                    state.sub
                ),
                0,
            ),
        })
    }

    async fn stop(&self, unit: &str) -> Result<AgentResult, UnitError> {
        let state = self.state(unit).await?;
        let mut result = "done".to_owned();
        if !matches!(state.active.as_str(), "inactive" | "failed") {
            result = self.job("StopUnit", unit).await?;
        }
        let state = self.settled(unit).await?;
        if !matches!(state.active.as_str(), "inactive" | "failed") {
            let why = format!(
                "systemd could not stop {unit}: the job ended as `{result}`, the unit is {}",
                state.active
            );
            return Ok(outcome::exited(1, why, 0));
        }
        self.own(unit, None).await?;
        Ok(outcome::exited(0, "", 0))
    }

    async fn monitor(&self, unit: &str) -> Result<AgentResult, UnitError> {
        let state = self.state(unit).await?;
        if state.active == "inactive" {
            usable(unit, &state)?;
        }
        let state = self.settled(unit).await?;
        Ok(match state.active.as_str() {
            "active" | "reloading" => outcome::exited(0, "", 0),
            "failed" => {
                outcome::exited(7, format!("the unit {unit} has failed ({})", state.sub), 0)
            }
            _ => outcome::exited(7, "", 0),
        })
    }

    /// The state once the unit is not between two states any more.
    async fn settled(&self, unit: &str) -> Result<UnitState, UnitError> {
        loop {
            let state = self.state(unit).await?;
            let waits_to_restart = state.active == "activating" && state.sub == "auto-restart";
            if waits_to_restart
                || !matches!(
                    state.active.as_str(),
                    "activating" | "deactivating" | "refreshing"
                )
            {
                return Ok(state);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Carries out a call.
    pub async fn run(&self, call: &AgentCall) -> AgentResult {
        let unit = unit_name(&call.agent);
        let began = Instant::now();
        let action = async {
            match call.action.as_str() {
                "start" => self.start(&unit, call).await,
                "stop" => self.stop(&unit).await,
                "monitor" | "status" => self.monitor(&unit).await,
                "reload" | "reload-agent" => {
                    let result = self.job("ReloadUnit", &unit).await?;
                    Ok(outcome::exited(
                        i32::from(result != "done"),
                        format!("the reload ended as `{result}`"),
                        0,
                    ))
                }
                other => Ok(outcome::exited(
                    3,
                    format!("systemd units have no action `{other}`"),
                    0,
                )),
            }
        };
        let ended = tokio::time::timeout(Duration::from_millis(call.timeout_ms), action).await;
        let mut result = match ended {
            Ok(Ok(result)) => result,
            Ok(Err(error @ (UnitError::Unreachable(_) | UnitError::Unusable { .. }))) => {
                // What is not there is stopped; what cannot be asked is not known to be.
                let is_absent = matches!(error, UnitError::Unusable { .. });
                if call.action == "stop" && is_absent {
                    outcome::exited(0, "", 0)
                } else {
                    outcome::not_run(error.to_string())
                }
            }
            Ok(Err(error)) => outcome::exited(1, error.to_string(), 0),
            Err(_) => {
                let mut late = outcome::not_run(format!(
                    "{} of {unit} did not end within {} ms; systemd goes on with the job (`systemctl status {unit}`)",
                    call.action, call.timeout_ms
                ));
                late.outcome = Outcome::TimedOut;
                late
            }
        };
        result.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        result
    }
}

fn usable(unit: &str, state: &UnitState) -> Result<(), UnitError> {
    let why = match state.load.as_str() {
        "not-found" => "does not exist on this machine".to_owned(),
        "masked" => format!("is masked (systemctl unmask {unit})"),
        "bad-setting" | "error" => format!(
            "cannot be loaded ({}; systemd-analyze verify {unit})",
            state.load
        ),
        _ => return Ok(()),
    };
    Err(UnitError::Unusable {
        unit: unit.to_owned(),
        why,
    })
}

/// Stops come in the cluster's order: systemd must not restart the unit, nor stop it at a shutdown before us.
fn drop_in_text(resource: &str, unit: &str) -> String {
    let mut text = format!(
        "# Written by quorate: {unit} is managed as the cluster's resource {resource}.\n\
         [Unit]\nBefore=quorate.service\n"
    );
    if unit.ends_with(".service") {
        text.push_str("\n[Service]\nRestart=no\n");
    }
    text
}

/// Whether anything changed.
fn write_drop_in(directory: &Path, text: Option<&str>) -> std::io::Result<bool> {
    let path = directory.join(DROP_IN);
    match text {
        Some(text) if std::fs::read_to_string(&path).is_ok_and(|known| known == text) => Ok(false),
        Some(text) => {
            std::fs::create_dir_all(directory)?;
            std::fs::write(path, text)?;
            Ok(true)
        }
        None if path.exists() => {
            std::fs::remove_file(path)?;
            // Others may have drop-ins there.
            let _ = std::fs::remove_dir(directory);
            Ok(true)
        }
        None => Ok(false),
    }
}
